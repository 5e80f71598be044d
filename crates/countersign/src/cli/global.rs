//! The flags every client command takes, and where their values come from: flag, environment, profile, `config.toml`, default. With
//! `--profile` as a flag, the environment's server, CA and key are passed over: whoever names a profile means that one.
//!
//! A credential that a file keeps goes to the server that the file names and to no other.

use super::errors::Failure;
use super::login::Tokens;
use super::output::Format;
use super::profile::{Profile, Profiles};
use clap::builder::{StringValueParser, TypedValueParser};
use countersign_core::Secret;
use reqwest::Url;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where a server is looked for when nobody says.
const SERVER_DEFAULT: &str = "localhost:8443";

/// The environment variables an API key is looked for in, after the flag; the later ones are those of the field's tools.
const API_KEY_VARIABLES: [&str; 3] = ["COUNTERSIGN_API_KEY", "TEMPORAL_CLOUD_API_KEY", "TEMPORAL_API_KEY"];

/// A switch's variable: yes or no in plain words, nothing counts as no. Any other word is a mistake, never a yes.
fn switch() -> impl TypedValueParser<Value = bool> {
    StringValueParser::new().try_map(|word| match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "" | "0" | "false" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err("use true or false"),
    })
}

/// The global flags.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The control plane, HOST:PORT or URL [default: localhost:8443]
    #[arg(long, short = 's', global = true, value_name = "HOST:PORT")]
    pub server: Option<String>,

    /// The API key to authenticate with. Process lists show it to everybody on this machine: rather set COUNTERSIGN_API_KEY, or use a
    /// profile
    #[arg(long, global = true, value_name = "KEY")]
    pub api_key: Option<String>,

    /// The only CA certificates (PEM) the server may be vouched for by [default: the system's]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// Use the server, CA and credential of this profile: countersign profile list
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// Where profiles, logins and config.toml are kept [default: ~/.config/countersign]
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,

    /// The form of the output [default: table on a terminal, else json]
    #[arg(
        long,
        short = 'o',
        global = true,
        env = "COUNTERSIGN_OUTPUT",
        hide_env = true,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub output: Option<Format>,

    /// Show every column of a list whole, however wide that is
    #[arg(long, global = true)]
    pub wide: bool,

    /// Answer every question with yes
    #[arg(long, alias = "auto_confirm", global = true, env = "COUNTERSIGN_AUTO_CONFIRM", hide_env = true, value_parser = switch())]
    pub auto_confirm: bool,

    /// Count "nothing to change" and "already exists" as done
    #[arg(long, global = true, env = "COUNTERSIGN_IDEMPOTENT", hide_env = true, value_parser = switch())]
    pub idempotent: bool,
}

/// `config.toml`: what need not be said each time.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Option<String>,
    ca_cert: Option<PathBuf>,
    api_key: Option<String>,
}

/// Where to connect, and as whom.
pub struct Target {
    /// `https://host:port/`.
    pub server: Url,
    /// The key, if there is one.
    pub api_key: Option<Secret>,
    /// The only roots, if given.
    pub ca_cert: Option<PathBuf>,
    /// The tokens of a login at this server, where there is no key.
    pub login: Option<Tokens>,
}

/// The sources of one run, put together.
struct Sources {
    /// The configuration directory, if there is a place for one.
    dir: Option<PathBuf>,
    /// The profile in use, if there is one.
    profile: Option<(String, Profile)>,
    /// Whether it was named, by the flag or the environment.
    is_named: bool,
    server: Url,
    /// Whether the profile is the server's own.
    is_own: bool,
    api_key: Option<Secret>,
    ca_cert: Option<PathBuf>,
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.trim().is_empty())
}

fn given_path(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

impl Global {
    /// Where to connect and as whom.
    pub fn target(&self) -> Result<Target, Failure> {
        let sources = self.sources(true)?;
        let login = if sources.api_key.is_none() { sources.tokens()? } else { None };
        Ok(Target { server: sources.server, api_key: sources.api_key, ca_cert: sources.ca_cert, login })
    }

    /// The same for a login, which may make the profile that was named.
    pub fn login_target(&self) -> Result<Target, Failure> {
        let sources = self.sources(false)?;
        Ok(Target { server: sources.server, api_key: sources.api_key, ca_cert: sources.ca_cert, login: None })
    }

    /// The tokens of a login at this server, whether or not there is a key too.
    pub fn tokens(&self) -> Result<Option<Tokens>, Failure> {
        self.sources(true)?.tokens()
    }

    /// The profile that was named, and whether by the flag.
    pub fn profile_name(&self) -> Result<Option<(String, bool)>, Failure> {
        let named = match given(&self.profile) {
            Some(name) => Some((name, true)),
            None => variable("COUNTERSIGN_PROFILE").map(|name| (name, false)),
        };
        if let Some((name, _)) = &named {
            super::profile::check_name(name)?;
        }
        Ok(named)
    }

    /// Server and CA as the command line or the environment states them.
    pub fn stated(&self) -> Result<(Option<String>, Option<PathBuf>), Failure> {
        let server = given(&self.server).or_else(|| variable("COUNTERSIGN_SERVER"));
        let ca_cert = given_path(&self.ca_cert).or_else(|| variable("COUNTERSIGN_CA_CERT").map(PathBuf::from));
        Ok((server, ca_cert))
    }

    fn sources(&self, must_exist: bool) -> Result<Sources, Failure> {
        let file = self.file()?;
        let dir = self.directory().ok();
        let named = self.profile_name()?;
        let all = dir.as_deref().map(Profiles::read).transpose()?.unwrap_or_default();
        let by_flag = named.as_ref().is_some_and(|(_, by_flag)| *by_flag);
        let is_named = named.is_some();
        let profile = match named {
            Some((name, _)) if must_exist || all.profiles.contains_key(&name) => {
                let profile = all.named(&name)?.clone();
                Some((name, profile))
            }
            Some(_) => None,
            None => all.current.clone().and_then(|name| all.profiles.get(&name).cloned().map(|profile| (name, profile))),
        };
        let environment = |name: &str| if by_flag { None } else { variable(name) };
        let server = given(&self.server)
            .or_else(|| environment("COUNTERSIGN_SERVER"))
            .or_else(|| profile.as_ref().map(|(_, profile)| profile.server.clone()))
            .or_else(|| file.server.clone());
        let server = parse_server(server.as_deref().unwrap_or(SERVER_DEFAULT))?;
        let is_at = |text: &str| parse_server(text).is_ok_and(|known| known == server);
        let is_own = profile.as_ref().is_some_and(|(_, profile)| is_at(&profile.server));
        let own = profile.as_ref().filter(|_| is_own).map(|(_, profile)| profile);
        // A file that names no server is meant for any.
        let files = Some(&file).filter(|file| !is_own && file.server.as_deref().is_none_or(is_at));
        let api_key = given(&self.api_key)
            .or_else(|| API_KEY_VARIABLES.iter().find_map(|name| environment(name)))
            .map(Secret::new)
            .or_else(|| own.and_then(Profile::key))
            .or_else(|| files.and_then(|file| file.api_key.clone()).map(Secret::new))
            .map(|key| Secret::new(key.expose().trim().to_owned()));
        let ca_cert = given_path(&self.ca_cert)
            .or_else(|| environment("COUNTERSIGN_CA_CERT").map(PathBuf::from))
            .or_else(|| own.and_then(|profile| profile.ca_cert.clone()))
            .or_else(|| files.and_then(|file| file.ca_cert.clone()));
        Ok(Sources { dir, profile, is_named, server, is_own, api_key, ca_cert })
    }

    /// The configuration directory, whether or not it is there.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        self.named_directory()
            .or_else(default_dir)
            .ok_or_else(|| Failure::usage("there is no place for profiles and logins").hint("set --config-dir, or HOME"))
    }

    fn named_directory(&self) -> Option<PathBuf> {
        given_path(&self.config_dir).or_else(|| variable("COUNTERSIGN_CONFIG_DIR").map(PathBuf::from))
    }

    fn file(&self) -> Result<File, Failure> {
        let Some(dir) = self.named_directory().or_else(default_dir) else { return Ok(File::default()) };
        let path = dir.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let file: File = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not readable: {}", path.display(), error.message()))
                .hint("it may hold the texts server, ca_cert and api_key")
        })?;
        if file.api_key.is_some() {
            refuse_readable_by_others(&path)?;
        }
        Ok(file)
    }
}

impl Sources {
    /// The tokens of a login at the server: the profile's; where no profile was named, any that this server has.
    fn tokens(&self) -> Result<Option<Tokens>, Failure> {
        let Some(dir) = &self.dir else { return Ok(None) };
        if let Some((name, _)) = self.profile.as_ref().filter(|_| self.is_own) {
            let own = Tokens::of_profile(dir, name, &self.server);
            if own.are_there()? || self.is_named {
                return Ok(Some(own).filter(|own| own.are_there().unwrap_or_default()));
            }
        }
        if self.is_named && self.profile.is_some() {
            return Ok(None);
        }
        Tokens::any(dir, &self.server)
    }
}

/// A file with a key in it is for its owner alone.
fn refuse_readable_by_others(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::refused("file_permissions", format!("{} holds an API key and others may read it", path.display()))
        .hint(format!("run chmod 600 {}", path.display())))
}

/// Where the configuration is when nobody says.
pub fn default_dir() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    base.or_else(|| std::env::var_os("HOME").filter(|v| !v.is_empty()).map(|home| PathBuf::from(home).join(".config")))
        .map(|dir| dir.join("countersign"))
}

/// `HOST`, `HOST:PORT` or `https://HOST[:PORT]`, never plain HTTP: the key would travel in the clear.
pub fn parse_server(text: &str) -> Result<Url, Failure> {
    let unusable = || Failure::usage(format!("`{text}` is no server")).hint("write it as HOST:PORT, for example localhost:8443");
    let (rest, port) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (rest, 443),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
            return Err(
                Failure::usage("the server is reached over TLS only").hint(format!("write {}", text.replacen("http:", "https:", 1)))
            );
        }
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("dns") => (rest.trim_start_matches('/'), 8443),
        Some(_) => return Err(unusable()),
        None => (text, 8443),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() || rest.contains(['/', '@', '?', '#']) {
        return Err(unusable());
    }
    let mut url = Url::parse(&format!("https://{rest}/")).map_err(|_| unusable())?;
    let port_given = rest.rsplit(']').next().unwrap_or(rest).contains(':');
    if !port_given {
        url.set_port(Some(port)).map_err(|()| unusable())?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_port_or_a_url() {
        for (text, url) in [
            ("localhost:8443", "https://localhost:8443/"),
            ("localhost", "https://localhost:8443/"),
            ("https://cs.example", "https://cs.example/"),
            ("https://cs.example:9000/", "https://cs.example:9000/"),
            ("[::1]:8443", "https://[::1]:8443/"),
            ("[::1]", "https://[::1]:8443/"),
            ("dns:///127.0.0.1:7000", "https://127.0.0.1:7000/"),
        ] {
            assert_eq!(parse_server(text).map(|u| u.to_string()), Ok(url.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_key_never_travels_without_tls() {
        for text in ["http://localhost:8443", "", "ftp://x", "a/b", "user@host", "host:99999"] {
            assert_eq!(parse_server(text).map_err(|f| f.exit), Err(super::super::errors::Exit::Usage), "{text:?}");
        }
    }
}

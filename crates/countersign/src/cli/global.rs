//! The flags every client command takes, and where their values come from: flag, environment, `config.toml`, default.

use super::errors::Failure;
use super::login::Tokens;
use super::output::Format;
use clap::builder::{StringValueParser, TypedValueParser};
use countersign_core::Secret;
use reqwest::Url;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where a server is looked for when nobody says.
const SERVER_DEFAULT: &str = "localhost:8443";

/// The environment variables an API key is looked for in, after the flag; the later ones are those of the field's tools.
const API_KEY_VARIABLES: [&str; 3] = ["COUNTERSIGN_API_KEY", "TEMPORAL_CLOUD_API_KEY", "TEMPORAL_API_KEY"];

/// A path that may be empty: a variable that is set to nothing counts as not set.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    StringValueParser::new().map(PathBuf::from)
}

/// A switch's variable: yes or no in plain words, nothing counts as no. Any other word is a mistake, never a yes.
fn switch() -> impl TypedValueParser<Value = bool> {
    StringValueParser::new().try_map(|word| match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "" | "0" | "false" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err("use true or false"),
    })
}

/// The global flags.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The control plane, HOST:PORT or URL [default: localhost:8443]
    #[arg(long, short = 's', global = true, env = "COUNTERSIGN_SERVER", hide_env = true, value_name = "HOST:PORT")]
    pub server: Option<String>,

    /// The API key to authenticate with; better given as COUNTERSIGN_API_KEY, where no process list shows it
    #[arg(long, global = true, value_name = "KEY")]
    pub api_key: Option<String>,

    /// The only CA certificates (PEM) the server may be vouched for by [default: the system's]
    #[arg(long, global = true, env = "COUNTERSIGN_CA_CERT", hide_env = true, value_name = "FILE", value_parser = path())]
    pub ca_cert: Option<PathBuf>,

    /// Where config.toml is looked for (server, ca_cert, api_key) [default: ~/.config/countersign]
    #[arg(long, global = true, env = "COUNTERSIGN_CONFIG_DIR", hide_env = true, value_name = "DIR", value_parser = path())]
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

impl Global {
    /// Puts flag, environment, file and default together. Reads `config.toml` when there is one.
    pub fn target(&self) -> Result<Target, Failure> {
        let file = self.file()?;
        let environment = || API_KEY_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()));
        let given = |text: &Option<String>| text.clone().filter(|t| !t.trim().is_empty());
        let server = given(&self.server).or(file.server).unwrap_or_else(|| SERVER_DEFAULT.to_owned());
        let server = parse_server(&server)?;
        let api_key = given(&self.api_key).or_else(environment).or(file.api_key).map(|key| Secret::new(key.trim().to_owned()));
        let tokens = self.directory().ok().filter(|_| api_key.is_none()).map(|dir| Tokens::of(&dir, &server));
        let login = match tokens {
            Some(tokens) if tokens.are_there()? => Some(tokens),
            _ => None,
        };
        Ok(Target { server, api_key, ca_cert: self.ca_cert.clone().filter(|p| !p.as_os_str().is_empty()).or(file.ca_cert), login })
    }

    /// The configuration directory, whether or not it is there.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        let given = self.config_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
        given.or_else(default_dir).ok_or_else(|| Failure::usage("there is no place for tokens").hint("set --config-dir, or HOME"))
    }

    fn file(&self) -> Result<File, Failure> {
        let given = self.config_dir.clone().filter(|dir| !dir.as_os_str().is_empty());
        let named = given.is_some();
        let Some(dir) = given.or_else(default_dir) else { return Ok(File::default()) };
        let path = dir.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && (!named || dir.is_dir()) => return Ok(File::default()),
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

fn default_dir() -> Option<PathBuf> {
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

//! `profile`: named servers with their CA and credential, kept in `profiles.toml` of the configuration directory for their owner alone.
//!
//! A credential of a profile is used with the profile's own server and with no other. No right is decided here.

use super::Session;
use super::errors::{Failure, Outcome};
use super::global::{Global, parse_server};
use super::login::Tokens;
use super::output::note;
use super::table::whole;
use super::{input, prompt};
use crate::plane::write_file;
use clap::Command;
use countersign_core::Secret;
use countersign_proto::rest::Page;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroize as _;

/// The profile that a first login makes.
pub const DEFAULT: &str = "default";
/// The file's name in the configuration directory.
const FILE: &str = "profiles.toml";
const NAME_CHARS_MAX: usize = 64;

/// `profile …`.
#[derive(clap::Subcommand)]
pub enum ProfileCommand {
    /// List the profiles; the one in use has a star
    #[command(visible_alias = "l")]
    List,
    /// Use a profile from now on, wherever none is named
    Use(NameArg),
    /// Add a profile: countersign profile add prod --server HOST:PORT --ca-cert FILE
    Add(AddArgs),
    /// Remove a profile with its credential
    Remove(NameArg),
}

/// Which profile.
#[derive(clap::Args)]
pub struct NameArg {
    /// The profile's name
    name: String,
}

/// `profile add`. Server, CA and key are the global flags.
#[derive(clap::Args)]
#[command(
    after_help = "The server is --server; the CA, if it is not one of the system's, is --ca-cert. An API key is kept only when it is given by \
                        --api-key-file; without one, log in: countersign login --profile NAME"
)]
pub struct AddArgs {
    /// The profile's name: letters, digits, - _ .
    name: String,

    /// The namespace of commands that name none
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// A file with the API key to keep, or - for stdin; its owner's alone
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Take the place of a profile of this name
    #[arg(long)]
    replace: bool,

    /// Also use it from now on
    #[arg(long)]
    r#use: bool,
}

/// One profile.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// HOST:PORT or URL of the control plane.
    pub server: String,
    /// The only CA certificates that may vouch for it, an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<PathBuf>,
    /// The API key, if one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    /// The namespace of commands that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Profile {
    /// With an API key, or to be logged in with.
    pub fn new(server: &str, ca_cert: Option<&Path>, api_key: Option<&Secret>) -> Self {
        let ca_cert = ca_cert.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        // The file is the key's place to be: for its owner alone, and named so.
        Self { server: server.to_owned(), ca_cert, api_key: api_key.map(|key| key.expose().to_owned()), namespace: None }
    }

    /// The API key, if one is kept.
    pub fn key(&self) -> Option<Secret> {
        self.api_key.clone().map(Secret::new)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.api_key.zeroize();
    }
}

/// All profiles of a configuration directory.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The one in use where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads them. No file is no profile; one that others may read is refused.
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let mut text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let mode = fs::metadata(&path).map_err(|error| Failure::file("read", &path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::refused("file_permissions", format!("{} may hold API keys and others may read it", path.display()))
                .hint(format!("run chmod 600 {}", path.display())));
        }
        let read = toml::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not readable: {}", path.display(), error.message()))
                .hint("correct it, or delete it and add the profiles again: countersign profile add")
        });
        text.zeroize();
        read
    }

    /// Changes them, one program at a time, and writes the file in one step.
    pub fn change<T>(dir: &Path, edit: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| Failure::file("make", dir, &error))?;
        let lock = dir.join("profiles.lock");
        let failed = |error: std::io::Error| Failure::file("lock", &lock, &error);
        let held = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&lock).map_err(failed)?;
        held.lock().map_err(failed)?;
        let mut all = Self::read(dir)?;
        let done = edit(&mut all)?;
        let mut text = toml::to_string(&all).map_err(|_| Failure::refused("file_error", "the profiles cannot be written"))?;
        let path = dir.join(FILE);
        let written = write_file(&path, text.as_bytes(), 0o600).map_err(|error| Failure::file("write", &path, &error));
        text.zeroize();
        written.map(|()| done)
    }

    /// The profile of this name.
    pub fn named(&self, name: &str) -> Result<&Profile, Failure> {
        self.profiles.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                format!("add it: countersign profile add {name} --server HOST:PORT")
            } else {
                format!("there are: {}; another is added by countersign profile add", known.join(", "))
            };
            Failure::refused("profile_not_found", format!("there is no profile `{name}`")).hint(hint)
        })
    }
}

/// A name that can be typed anywhere.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if good && (1..=NAME_CHARS_MAX).contains(&name.len()) && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` is no name of a profile")).hint("use 1 to 64 of A-Z a-z 0-9 - _ ."))
}

/// One row of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    server: String,
    ca_cert: Option<String>,
    /// `api_key`, `login` or `none`.
    credential: &'static str,
    current: bool,
}

/// Runs one.
pub fn run(session: &Session, command: ProfileCommand) -> Outcome {
    let dir = session.global.directory()?;
    match command {
        ProfileCommand::List => {
            let all = Profiles::read(&dir)?;
            let current = session.global.profile_name()?.map(|(name, _)| name).or_else(|| all.current.clone());
            let items =
                all.profiles.iter().map(|(name, profile)| listed(&dir, name, profile, current.as_deref())).collect::<Result<_, _>>()?;
            let page = Page { items, next_page_token: String::new() };
            let empty = "No profile. Add one: countersign profile add NAME --server HOST:PORT --ca-cert FILE";
            session.show_page(
                &page,
                &[whole("NAME"), whole("SERVER"), whole("CREDENTIAL"), whole("CA CERTIFICATE")],
                empty,
                |one: &Listed| {
                    let star = if one.current { " *" } else { "" };
                    let ca = one.ca_cert.clone().unwrap_or_else(|| "the system's".to_owned());
                    vec![format!("{}{star}", one.name), one.server.clone(), one.credential.replace('_', " "), ca]
                },
            )
        }
        ProfileCommand::Use(args) => {
            Profiles::change(&dir, |all| {
                all.named(&args.name)?;
                all.current = Some(args.name.clone());
                Ok(())
            })?;
            session.output.show(&serde_json::json!({ "name": args.name, "current": true }), || format!("{} is in use now.\n", args.name))
        }
        ProfileCommand::Add(args) => add(session, &dir, &args),
        ProfileCommand::Remove(args) => {
            let all = Profiles::read(&dir)?;
            let server = parse_server(&all.named(&args.name)?.server)?;
            prompt::demand(
                &format!("removing the profile {} with its credential from this machine. confirm:", args.name),
                session.auto_confirm,
            )?;
            let tokens = Tokens::of_profile(&dir, &args.name, &server);
            if tokens.are_there()? {
                tokens.forget()?;
                note("Its login is forgotten here; the session ends by itself, or now with: countersign session list");
            }
            Profiles::change(&dir, |all| {
                all.profiles.remove(&args.name);
                all.current = all.current.take().filter(|name| *name != args.name);
                Ok(())
            })?;
            session.output.show(&serde_json::json!({ "name": args.name, "removed": true }), || format!("{} is removed.\n", args.name))
        }
    }
}

fn listed(dir: &Path, name: &str, profile: &Profile, current: Option<&str>) -> Result<Listed, Failure> {
    let login = parse_server(&profile.server).ok().map(|server| Tokens::of_profile(dir, name, &server).are_there()).transpose()?;
    Ok(Listed {
        name: name.to_owned(),
        server: profile.server.clone(),
        ca_cert: profile.ca_cert.as_ref().map(|path| path.display().to_string()),
        credential: match (&profile.api_key, login) {
            (Some(_), _) => "api_key",
            (None, Some(true)) => "login",
            _ => "none",
        },
        current: current == Some(name),
    })
}

fn add(session: &Session, dir: &Path, args: &AddArgs) -> Outcome {
    check_name(&args.name)?;
    let (server, ca_cert) = session.global.stated()?;
    let server = server.ok_or_else(|| {
        Failure::usage("the profile has no server").hint(format!("countersign profile add {} --server HOST:PORT", args.name))
    })?;
    parse_server(&server)?;
    if let Some(path) = &ca_cert {
        // A profile whose CA cannot be used would fail at every command to come.
        super::client::roots(path)?;
    }
    if session.global.api_key.is_some() {
        return Err(Failure::usage("a profile does not keep the key of --api-key, which process lists show")
            .hint("write it to a file of your own and give --api-key-file FILE, or log in: countersign login --profile NAME"));
    }
    let key = match &args.api_key_file {
        Some(path) => {
            let bytes = input::read(path)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Failure::usage(format!("{} is no text", path.display())))?;
            // A whole line NAME=key, as dev.env has it, is taken too.
            let text = text.trim();
            let text = text.strip_prefix("COUNTERSIGN_API_KEY=").unwrap_or(text);
            if text.is_empty() || text.contains(char::is_whitespace) {
                return Err(Failure::usage(format!("{} is to hold one API key and nothing else", path.display())));
            }
            Some(Secret::new(text.to_owned()))
        }
        None => None,
    };
    let mut profile = Profile::new(&server, ca_cert.as_deref(), key.as_ref());
    profile.namespace = args.namespace.clone();
    let added = Profiles::change(dir, |all| {
        if all.profiles.contains_key(&args.name) && !args.replace {
            return Err(Failure::refused("already_exists", format!("there is a profile `{}` already", args.name))
                .hint("take another name, or pass --replace"));
        }
        all.profiles.insert(args.name.clone(), profile);
        if args.r#use || all.current.is_none() {
            all.current = Some(args.name.clone());
        }
        Ok(all.current.as_deref() == Some(args.name.as_str()))
    });
    let Some(current) = session.accept(added)? else { return Ok(()) };
    session.output.show(&serde_json::json!({ "name": args.name, "server": server, "current": current }), || {
        let next = if key.is_some() { "whoami" } else { "login" };
        format!("{} is added. Next: countersign --profile {} {next}\n", args.name, args.name)
    })
}

/// Lets commands that take a namespace from the environment take it from the profile too. A line or an environment that names a server
/// is not about the profile's. Whatever cannot be read changes nothing here: the command itself says so.
pub fn with_namespace(root: Command, words: &[OsString]) -> Command {
    let given = |flag: &str| {
        let long = format!("--{flag}");
        let after = words.iter().position(|word| *word == *long).and_then(|at| words.get(at + 1));
        let joined = words.iter().find_map(|word| word.to_str()?.strip_prefix(&long)?.strip_prefix('='));
        after.and_then(|word| word.to_str()).or(joined).map(str::to_owned).filter(|text| !text.is_empty())
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let flag = given("profile");
    let by_environment = ["COUNTERSIGN_SERVER", "TEMPORAL_CLOUD_NAMESPACE"].iter().any(|name| variable(name).is_some());
    if given("server").is_some() || words.iter().any(|word| *word == *"-s") || (flag.is_none() && by_environment) {
        return root;
    }
    let dir = given("config-dir").or_else(|| variable("COUNTERSIGN_CONFIG_DIR")).map(PathBuf::from).or_else(super::global::default_dir);
    let namespace = dir.and_then(|dir| Profiles::read(&dir).ok()).and_then(|all| {
        let name = flag.or_else(|| variable("COUNTERSIGN_PROFILE")).or(all.current)?;
        all.profiles.get(&name)?.namespace.clone()
    });
    match namespace {
        // One short text for as long as the program runs: defaults of the command line live that long.
        Some(namespace) => default_namespace(root, namespace.leak()),
        None => root,
    }
}

fn default_namespace(command: Command, namespace: &'static str) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if name == "COUNTERSIGN_NAMESPACE" => arg.default_value(namespace).hide_default_value(true),
            _ => arg,
        })
        .mut_subcommands(|sub| default_namespace(sub, namespace))
}

/// What a login leaves behind: a profile with this server and CA, which is in use from now on. Gives its name.
pub fn keep_login(global: &Global, dir: &Path, server: &reqwest::Url, ca_cert: Option<&Path>) -> Result<String, Failure> {
    let named = global.profile_name()?.map(|(name, _)| name);
    let same = |profile: &Profile| parse_server(&profile.server).is_ok_and(|known| known == *server);
    Profiles::change(dir, |all| {
        let name = match (named, &all.current) {
            (Some(name), _) => name,
            (None, Some(current)) if all.profiles.get(current).is_some_and(same) => current.clone(),
            // Nobody said a name: the one that has this server, or the first one, or one by the server's own name.
            (None, _) => match all.profiles.iter().find(|(_, profile)| same(profile) && profile.api_key.is_none()) {
                Some((name, _)) => name.clone(),
                None if !all.profiles.contains_key(DEFAULT) => DEFAULT.to_owned(),
                None => {
                    let port = server.port_or_known_default().map(|port| format!("-{port}")).unwrap_or_default();
                    let host: String =
                        server.host_str().unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
                    format!("{host}{port}")
                }
            },
        };
        check_name(&name)?;
        let before = all.profiles.get(&name).filter(|profile| same(profile));
        let kept_ca = before.and_then(|profile| profile.ca_cert.clone());
        let ca_cert = ca_cert.map(Path::to_owned).or(kept_ca);
        let namespace = before.and_then(|profile| profile.namespace.clone());
        // A key that this profile had would go before the login, so it goes.
        let mut profile = Profile::new(server.as_str(), ca_cert.as_deref(), None);
        profile.namespace = namespace;
        all.profiles.insert(name.clone(), profile);
        all.current = Some(name.clone());
        Ok(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_their_owners_alone_and_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/countersign");
        let key = Secret::new("csk_x".to_owned());
        Profiles::change(&deep, |all| {
            all.profiles.insert("dev".to_owned(), Profile::new("localhost:8443", Some(Path::new("/a/ca.pem")), Some(&key)));
            Ok(())
        })
        .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&deep), mode(&deep.join(FILE))), (0o700, 0o600));
        let read = Profiles::read(&deep).unwrap();
        let profile = read.named("dev").unwrap();
        assert_eq!((profile.server.as_str(), profile.ca_cert.as_deref()), ("localhost:8443", Some(Path::new("/a/ca.pem"))));
        assert_eq!(profile.key().unwrap().expose(), "csk_x");
        assert_eq!(read.named("prod").map(|_| ()).map_err(|f| f.code), Err("profile_not_found".to_owned()));
        fs::set_permissions(deep.join(FILE), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Profiles::read(&deep).map(|_| ()).map_err(|f| f.code), Err("file_permissions".to_owned()));
    }

    #[test]
    fn a_change_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let add = |name: &str| {
            Profiles::change(dir.path(), |all| {
                all.profiles.insert(name.to_owned(), Profile::new("a:1", None, None));
                if name == "bad" { Err(Failure::denied()) } else { Ok(()) }
            })
        };
        add("good").unwrap();
        add("bad").unwrap_err();
        assert_eq!(Profiles::read(dir.path()).unwrap().profiles.into_keys().collect::<Vec<_>>(), ["good"]);
    }

    #[test]
    fn a_profiles_namespace_is_that_of_commands_that_name_none() {
        let dir = tempfile::tempdir().unwrap();
        Profiles::change(dir.path(), |all| {
            let mut profile = Profile::new("a:1", None, None);
            profile.namespace = Some("demo.a1".to_owned());
            all.profiles.insert("dev".to_owned(), profile);
            Ok(())
        })
        .unwrap();
        let root = || {
            let namespace = clap::Arg::new("namespace").long("namespace").env("COUNTERSIGN_NAMESPACE");
            let global = |name: &'static str| clap::Arg::new(name).long(name).global(true);
            let get = Command::new("get").arg(namespace);
            Command::new("x").arg(global("profile")).arg(global("config-dir")).arg(global("server")).subcommand(get)
        };
        let config = dir.path().to_str().unwrap();
        let namespace = |more: &[&str]| {
            let words: Vec<OsString> = [&["x", "--config-dir", config][..], more].concat().into_iter().map(OsString::from).collect();
            let matches = with_namespace(root(), &words).try_get_matches_from(words).unwrap();
            matches.subcommand().unwrap().1.get_one::<String>("namespace").cloned()
        };
        assert_eq!(namespace(&["get", "--profile", "dev"]).as_deref(), Some("demo.a1"));
        assert_eq!(namespace(&["--profile=dev", "get", "--namespace", "other.a1"]).as_deref(), Some("other.a1"));
        assert_eq!(namespace(&["--profile", "dev", "--server", "b:1", "get"]), None, "another server has other namespaces");
    }

    #[test]
    fn a_name_can_be_typed_anywhere() {
        for good in ["dev", "prod-1", "cs.example_8443", "A"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "-x", ".hidden", "a/b", "ü", "x".repeat(65).as_str()] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}

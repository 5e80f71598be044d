//! Settings of `agent`: one TOML file, every one also an environment variable, the variable wins. It reads no certificate and
//! connects to nothing.

use crate::cli::parse_server;
use countersign_core::{Lifetime, Secret};
use countersign_x509::pkcs12;
use countersign_x509::private_key::KeyKind;
use reqwest::Url;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name, default, what is allowed.
const KNOWN: [(&str, &str, &str); 16] = [
    ("server", "", "HOST:PORT or https://HOST[:PORT] of the control plane"),
    ("ca_cert", "", "a PEM file with the only CAs of the control plane, or nothing for the system's"),
    ("directory", "", "a directory of the agent's own, in which `current` leads to the files in force"),
    ("certificate", "", "a file that holds the certificate and its chain, or nothing"),
    ("key", "", "a file that holds the private key, or nothing; it goes with `certificate`"),
    ("chain", "", "a file that holds the CAs alone, or nothing; it goes with `certificate`"),
    ("keystore", "", "a file that holds all of it as PKCS#12, or nothing; it goes with `keystore_password`"),
    ("keystore_password", "", "file:PATH or env:NAME of 6 to 128 printable ASCII characters, or nothing for no PKCS#12"),
    ("renew_before", "33%", "a share of the life such as 33%, or a time such as 30d"),
    ("check_every", "10m", "a time from 1s to 1d"),
    ("key_type", "", "ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096, ed25519, or nothing for the kind in use"),
    ("hook", "", "a line for the shell, or a list of a program and its arguments"),
    ("hook_timeout", "60s", "a time from 1s to 1h"),
    ("mode", "0600", "an octal mode that gives others nothing, such as 0600 or 0640"),
    ("owner", "", "USER, USER:GROUP or :GROUP, names or numbers, or nothing"),
    ("alias", "", "another alias for the certificates to come, or nothing for the one in use"),
];

/// A setting that is wrong: one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The file.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Nobody knows it.
    #[error("unknown setting `{name}`; the nearest known one is `{nearest}`")]
    Unknown {
        /// As written.
        name: String,
        /// By spelling.
        nearest: String,
    },
    /// It must be there.
    #[error("setting `{name}` is missing; allowed is {allowed}")]
    Missing {
        /// The setting.
        name: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value that is not allowed.
    #[error("setting `{name}` is `{value}`; allowed is {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// As written; never a secret.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl SettingsError {
    /// The stable word, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "settings_unreadable",
            Self::Unknown { .. } => "setting_unknown",
            Self::Missing { .. } | Self::Value { .. } => "setting_invalid",
        }
    }
}

/// How long before the end a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewBefore {
    /// Hundredths of the life, 1 to 90.
    Share(i64),
    /// This long.
    Fixed(Lifetime),
}

/// What is run after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookLine {
    /// By `sh -c`.
    Shell(String),
    /// A program and its arguments, without a shell.
    Program(Vec<String>),
}

/// Where plain copies go, besides the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// The certificate and its chain.
    pub certificate: Option<PathBuf>,
    /// The private key.
    pub key: Option<PathBuf>,
    /// The CAs alone.
    pub chain: Option<PathBuf>,
    /// PKCS#12.
    pub keystore: Option<PathBuf>,
}

/// Who may read the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Permission bits of private files.
    pub mode: u32,
    /// Numbers of the user and the group they are given to.
    pub user: Option<u32>,
    /// Likewise.
    pub group: Option<u32>,
}

impl Rights {
    /// Permission bits of a directory whose files have [`Rights::mode`].
    pub const fn directory_mode(&self) -> u32 {
        self.mode | ((self.mode & 0o440) >> 2) | 0o700
    }
}

/// The settings in force.
#[derive(Debug)]
pub struct Settings {
    /// The control plane.
    pub server: Url,
    /// Its only CAs.
    pub ca_cert: Option<PathBuf>,
    /// The agent's own directory.
    pub directory: PathBuf,
    /// Plain copies.
    pub copies: Copies,
    /// The password of the PKCS#12 file, if one is made.
    pub keystore_password: Option<Secret>,
    /// When to renew.
    pub renew_before: RenewBefore,
    /// How often the files and the clock are looked at.
    pub check_every: Duration,
    /// The kind of the keys to come; `None` for the kind in use.
    pub key_type: Option<KeyKind>,
    /// What is run after a change.
    pub hook: Option<HookLine>,
    /// How long it may take.
    pub hook_timeout: Duration,
    /// Who may read the files.
    pub rights: Rights,
    /// The alias of the certificates to come.
    pub alias: Option<String>,
}

/// The environment variable of a setting: `renew_before` is `COUNTERSIGN_AGENT_RENEW_BEFORE`.
fn variable(name: &str) -> String {
    format!("COUNTERSIGN_AGENT_{}", name.to_uppercase())
}

impl Settings {
    /// From a file and the environment.
    pub fn load(path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let failed = |reason: String| SettingsError::File { path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| failed(e.message().to_owned()))?;
        let mut values: BTreeMap<&'static str, toml::Value> =
            KNOWN.iter().map(|(name, default, _)| (*name, toml::Value::String((*default).to_owned()))).collect();
        for (name, value) in table {
            let Some((known, ..)) = KNOWN.iter().find(|(n, ..)| *n == name) else {
                return Err(SettingsError::Unknown { nearest: nearest(&name), name });
            };
            values.insert(known, value);
        }
        for (name, ..) in KNOWN {
            if let Some(value) = environment(&variable(name)) {
                values.insert(name, toml::Value::String(value));
            }
        }
        Self::check(&values, path.parent().unwrap_or(Path::new("")))
    }

    /// `base` is what relative paths start from: the settings' own directory, wherever the agent is started.
    fn check(values: &BTreeMap<&'static str, toml::Value>, base: &Path) -> Result<Self, SettingsError> {
        let text = |name: &str| match values.get(name) {
            Some(toml::Value::String(text)) => text.trim().to_owned(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let wrong = |name: &str| {
            if text(name).is_empty() {
                return SettingsError::Missing { name: name.to_owned(), allowed: allowed(name) };
            }
            let value = if name == "keystore_password" { "not to be used".to_owned() } else { text(name) };
            SettingsError::Value { name: name.to_owned(), value, allowed: allowed(name) }
        };
        let path = |name: &str| Some(text(name)).filter(|t| !t.is_empty()).map(|t| base.join(t));
        let span = |name: &str, max: u64| {
            let seconds = Lifetime::parse(&text(name)).ok().and_then(|span| u64::try_from(span.seconds()).ok());
            seconds.filter(|s| (1..=max).contains(s)).map(Duration::from_secs).ok_or_else(|| wrong(name))
        };
        let server = Some(text("server")).filter(|t| !t.is_empty()).ok_or_else(|| wrong("server"))?;
        let server = parse_server(&server).map_err(|_| wrong("server"))?;
        let copies = Copies { certificate: path("certificate"), key: path("key"), chain: path("chain"), keystore: path("keystore") };
        // A certificate without its key, or the other way round, would leave one of the two behind at the first renewal.
        match (&copies.certificate, &copies.key) {
            (Some(_), None) => return Err(wrong("key")),
            (None, Some(_)) => return Err(wrong("certificate")),
            (None, None) if copies.chain.is_some() => return Err(wrong("certificate")),
            _ => {}
        }
        let keystore_password = match text("keystore_password") {
            given if given.is_empty() => None,
            given => Some(password(&given, base).ok_or_else(|| wrong("keystore_password"))?),
        };
        if copies.keystore.is_some() && keystore_password.is_none() {
            return Err(wrong("keystore_password"));
        }
        let key_type = match text("key_type") {
            given if given.is_empty() => None,
            given => Some(given.parse().map_err(|_| wrong("key_type"))?),
        };
        let (user, group) = owner(&text("owner")).ok_or_else(|| wrong("owner"))?;
        let mode = text("mode");
        let mode = u32::from_str_radix(mode.trim_start_matches("0o"), 8).ok().filter(|m| m & 0o600 == 0o600 && m & !0o660 == 0);
        Ok(Self {
            server,
            ca_cert: path("ca_cert"),
            directory: path("directory").ok_or_else(|| wrong("directory"))?,
            copies,
            keystore_password,
            renew_before: renew_before(&text("renew_before")).ok_or_else(|| wrong("renew_before"))?,
            check_every: span("check_every", 86_400)?,
            key_type,
            hook: hook(values.get("hook")).ok_or_else(|| wrong("hook"))?,
            hook_timeout: span("hook_timeout", 3_600)?,
            rights: Rights { mode: mode.ok_or_else(|| wrong("mode"))?, user, group },
            alias: Some(text("alias")).filter(|t| !t.is_empty()),
        })
    }
}

fn renew_before(text: &str) -> Option<RenewBefore> {
    match text.strip_suffix('%') {
        Some(share) => share.trim().parse().ok().filter(|n| (1..=90).contains(n)).map(RenewBefore::Share),
        None => Lifetime::parse(text).ok().map(RenewBefore::Fixed),
    }
}

/// `None` is a wrong one; `Some(None)` is none.
fn hook(value: Option<&toml::Value>) -> Option<Option<HookLine>> {
    match value {
        None => Some(None),
        Some(toml::Value::String(line)) if line.trim().is_empty() => Some(None),
        Some(toml::Value::String(line)) => Some(Some(HookLine::Shell(line.clone()))),
        Some(toml::Value::Array(words)) => {
            let words: Vec<String> = words.iter().map(|w| w.as_str().map(ToOwned::to_owned)).collect::<Option<_>>()?;
            words.first().is_some_and(|program| !program.is_empty()).then_some(Some(HookLine::Program(words)))
        }
        Some(_) => None,
    }
}

/// A password is named, never written into the settings themselves.
fn password(text: &str, base: &Path) -> Option<Secret> {
    let found = match (text.strip_prefix("file:"), text.strip_prefix("env:")) {
        (Some(path), _) => std::fs::read_to_string(base.join(path)).ok()?.trim_end_matches(['\r', '\n']).to_owned(),
        (_, Some(name)) => std::env::var(name).ok()?,
        _ => return None,
    };
    let found = Secret::new(found);
    // Looked at for its form only.
    pkcs12::check_password(found.expose()).ok()?;
    Some(found)
}

/// Numbers of `USER`, `USER:GROUP` or `:GROUP`; names are looked up in the system's files.
fn owner(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = |name: &str, file: &str| match name {
        "" => Some(None),
        name => name.parse().ok().or_else(|| look_up(name, file)).map(Some),
    };
    Some((number(user, "/etc/passwd")?, number(group, "/etc/group")?))
}

/// The third field of the line that begins with this name, in the form that passwd(5) and group(5) share.
fn look_up(name: &str, file: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

fn allowed(name: &str) -> String {
    KNOWN.iter().find(|(n, ..)| *n == name).map(|(_, _, allowed)| (*allowed).to_owned()).unwrap_or_default()
}

fn nearest(name: &str) -> String {
    KNOWN.iter().map(|(n, ..)| *n).min_by_key(|n| strsim::damerau_levenshtein(n, name)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "server = \"localhost\"\ndirectory = \"tls\"\n";

    fn load(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("password"), "sesame-open\n").expect("a file");
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, text).expect("a file");
        Settings::load(&file, |_| None)
    }

    #[test]
    fn server_and_directory_are_enough() {
        let settings = load(LEAST).expect("settings");
        assert_eq!(settings.renew_before, RenewBefore::Share(33));
        assert_eq!(settings.check_every, Duration::from_secs(600));
        assert!(settings.directory.is_absolute(), "paths start from the settings' own directory");
        assert_eq!((settings.rights.mode, settings.rights.directory_mode()), (0o600, 0o700));
    }

    #[test]
    fn an_unknown_setting_names_the_nearest_known_one() {
        let error = load("sever = \"x\"").expect_err("refused");
        assert_eq!(error.to_string(), "unknown setting `sever`; the nearest known one is `server`");
        assert!(load(&format!("{LEAST}renew-before = \"1d\"")).expect_err("refused").to_string().ends_with("`renew_before`"));
    }

    #[test]
    fn a_wrong_value_says_what_is_allowed() {
        for wrong in [
            "renew_before = \"0%\"",
            "renew_before = \"soon\"",
            "check_every = \"0s\"",
            "mode = \"0644\"",
            "mode = \"0400\"",
            "owner = \"nobody-of-this-name\"",
            "hook = 7",
            "hook = []",
            "key_type = \"dsa\"",
            "keystore_password = \"in the clear\"",
            "keystore_password = \"file:absent\"",
        ] {
            assert!(matches!(load(&format!("{LEAST}{wrong}")), Err(SettingsError::Value { .. })), "{wrong}");
        }
        for missing in ["certificate = \"a\"", "key = \"a\"", "chain = \"a\"", "keystore = \"a\""] {
            assert!(matches!(load(&format!("{LEAST}{missing}")), Err(SettingsError::Missing { .. })), "{missing}");
        }
        assert!(matches!(load("directory = \"x\""), Err(SettingsError::Missing { .. })));
        assert!(!load(&format!("{LEAST}keystore_password = \"geheim\"")).expect_err("refused").to_string().contains("geheim"));
    }

    #[test]
    fn a_hook_is_a_line_or_a_program_and_a_password_is_in_a_file() {
        let settings = load(&format!(
            "{LEAST}hook = [\"systemctl\", \"reload\", \"app\"]\nkeystore_password = \"file:password\"\nmode = \"0640\"\nowner = \"0:0\""
        ))
        .expect("settings");
        assert_eq!(settings.hook, Some(HookLine::Program(vec!["systemctl".into(), "reload".into(), "app".into()])));
        assert!(settings.keystore_password.is_some());
        assert_eq!(settings.rights.directory_mode(), 0o750);
        assert_eq!((settings.rights.user, settings.rights.group), (Some(0), Some(0)));
    }
}

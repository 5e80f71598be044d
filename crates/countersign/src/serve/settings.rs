//! Settings of `serve`: one TOML file, every one also an environment variable, the variable wins.

use super::reference::meaning;
use crate::plane::Layout;
use crate::plane::heads::{Heads, Syslog};
use countersign_core::Secret;
use countersign_core::name::Hostname;
use countersign_core::namespace::Upstream;
use countersign_core::time::Lifetime;
use countersign_server::login::oidc::{OidcSettings, Provision};
use countersign_server::login::{LoginSettings, SecondFactor};
use countersign_server::{MailSettings, MailTls};
use countersign_x509::weak_list::WeakList;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name, default, what is allowed.
const KNOWN: [(&str, &str, &str); 42] = [
    ("storage", "sqlite:countersign-data", "sqlite:DIRECTORY"),
    ("control.listen", "127.0.0.1:8443", "an address and a port"),
    ("control.hosts", "localhost,127.0.0.1,::1", "names and addresses with commas between"),
    ("gateway.listen", "127.0.0.1:7233", "an address and a port"),
    ("gateway.domain", "localhost", "a host name"),
    ("gateway.name", "local", "1 to 64 of a-z A-Z 0-9 - _ ."),
    ("gateway.workers", "0", "a number of threads up to 256; 0 means one for each core"),
    ("gateway.max_connections", "50000", "a number of connections from 8 to 1000000; the limit of open files may bound it further"),
    ("gateway.access_log", "", "a file to which a line for each request is appended, or nothing"),
    ("gateway.local_upstreams", "false", "true or false: whether upstreams may be on this machine's loopback, or link-local"),
    ("control.public_url", "", "https://HOST[:PORT] under which people reach these pages"),
    (
        "master_key",
        "",
        "file:PATH, env:NAME, pkcs11:token=NAME;object=LABEL with pkcs11.module, or nothing for master.key in the data directory",
    ),
    ("login.require_second_factor", "owners", "owners, all or none"),
    ("login.oidc.issuer", "", "https://… of an OpenID Connect provider, or nothing"),
    ("login.oidc.client_id", "", "our client id there"),
    ("login.oidc.client_secret", "", "our client secret there: itself, file:PATH or env:NAME"),
    ("login.oidc.name", "single sign-on", "what the button says, 1 to 40 characters"),
    ("login.oidc.allowed_domains", "", "domains of mail addresses with commas between"),
    ("login.oidc.provision", "invited", "invited or domain"),
    ("login.oidc.ca_cert", "", "a PEM file with the only CAs of the provider"),
    ("mail.host", "", "the name or address of your SMTP server, or nothing for no mail"),
    ("mail.port", "", "1 to 65535, or nothing for 25, 587 (starttls) or 465 (tls)"),
    ("mail.tls", "starttls", "none, starttls or tls"),
    ("mail.username", "", "the name to log in with, or nothing"),
    ("mail.password_file", "", "a file that holds the password; only with mail.username"),
    ("mail.from", "", "who writes: NAME <user@example.com>"),
    ("mail.ca_cert", "", "a PEM file with the only CAs of the mail server"),
    ("metrics.listen", "127.0.0.1:9464", "an address and a port"),
    ("pki.listen", "", "an address and a port where CRLs, OCSP and CA certificates are served in clear, or nothing"),
    ("pki.url", "", "http://HOST[:PORT] where that is reached, as certificates are to say; or nothing for pki.listen"),
    ("pkcs11.module", "", "a PKCS#11 library in which issuers and the master key may have their keys, or nothing"),
    ("pkcs11.pin", "", "the PIN of its tokens: file:PATH or env:NAME"),
    ("issuers.staged_for", "", "how long a new issuer stands by before it signs, for example 7d, or nothing"),
    ("limits.certificates_per_owner", "1000", "active certificates that one owner may have; 0 for no limit"),
    ("weak_keys.file", "", "lists of Debian's broken keys (package openssl-blacklist) with commas between, or nothing"),
    ("temporal.upstream", "", "http://HOST:PORT, h2c://HOST:PORT, https://HOST:PORT, or nothing"),
    ("regions", "local", "ids with commas between, for example local,aws-us-east-1"),
    ("audit.heads_every", "1h", "how often the head of the audit trail is sent, 1m to 7d"),
    ("audit.heads_file", "", "a file to which heads of the audit trail are appended, best on another machine's disk, or nothing"),
    ("audit.heads_webhook", "", "https://… to which each head is posted, or nothing"),
    ("audit.heads_syslog", "", "unix:PATH or udp:HOST:PORT of a syslog daemon that gets each head, or nothing"),
    ("log.filter", "info", "a level or a filter of tracing's form"),
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
    /// What is set for mail does not go together.
    #[error("{0}")]
    Mail(String),
    /// A value that is not allowed.
    #[error("setting `{name}` is `{value}`; allowed is {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// As written.
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
            Self::Value { .. } | Self::Mail(_) => "setting_invalid",
        }
    }
}

/// The settings in force.
#[derive(Debug)]
pub struct Settings {
    /// Name to value and where it comes from.
    values: BTreeMap<&'static str, (String, String)>,
    storage: PathBuf,
    control: SocketAddr,
    gateway: SocketAddr,
    metrics: SocketAddr,
    pki: Option<SocketAddr>,
    domain: Hostname,
    workers: usize,
    login: LoginSettings,
    mail: Option<Arc<MailSettings>>,
    pkcs11: Option<Arc<(PathBuf, Secret)>>,
    default_upstream: Option<Upstream>,
    regions: Vec<String>,
    certificate_limit: usize,
    issuer_dwell: Option<Lifetime>,
    weak_keys: WeakList,
    heads: Option<Heads>,
}

/// The environment variable of a setting: `control.listen` is `COUNTERSIGN_CONTROL_LISTEN`.
fn variable(name: &str) -> String {
    format!("COUNTERSIGN_{}", name.to_uppercase().replace('.', "_"))
}

impl Settings {
    /// From a file, if one is named, and the environment.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut values: BTreeMap<&'static str, (String, String)> =
            KNOWN.iter().map(|(name, default, _)| (*name, ((*default).to_owned(), "default".to_owned()))).collect();
        if let Some(path) = file {
            let failed = |reason: String| SettingsError::File { path: path.display().to_string(), reason };
            let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
            let table: toml::Table = text.parse().map_err(|e: toml::de::Error| failed(e.message().to_owned()))?;
            for (name, value) in flatten("", &table) {
                let Some((known, _, _)) = KNOWN.iter().find(|(n, _, _)| *n == name) else {
                    return Err(SettingsError::Unknown { nearest: nearest(&name), name });
                };
                values.insert(known, (value, path.display().to_string()));
            }
        }
        for (name, _, _) in KNOWN {
            if let Some(value) = environment(&variable(name)) {
                values.insert(name, (value, variable(name)));
            }
        }
        Self::check(values)
    }

    fn check(values: BTreeMap<&'static str, (String, String)>) -> Result<Self, SettingsError> {
        let text = |name: &str| values.get(name).map(|(v, _)| v.clone()).unwrap_or_default();
        let wrong = |name: &str| SettingsError::Value { name: name.to_owned(), value: text(name), allowed: allowed(name) };
        let address = |name: &str| text(name).parse::<SocketAddr>().map_err(|_| wrong(name));
        let storage =
            text("storage").strip_prefix("sqlite:").filter(|p| !p.is_empty()).map(PathBuf::from).ok_or_else(|| wrong("storage"))?;
        let workers = text("gateway.workers").parse::<usize>().ok().filter(|n| *n <= 256).ok_or_else(|| wrong("gateway.workers"))?;
        let name = text("gateway.name");
        if !(1..=64).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(wrong("gateway.name"));
        }
        if text("control.hosts").split(',').any(|h| h.trim().is_empty()) {
            return Err(wrong("control.hosts"));
        }
        let upstream = text("temporal.upstream");
        let default_upstream =
            if upstream.is_empty() { None } else { Some(Upstream::parse(&upstream).map_err(|_| wrong("temporal.upstream"))?) };
        let regions: Vec<String> = text("regions").split(',').map(|id| id.trim().to_owned()).collect();
        let good =
            |id: &String| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !regions.iter().all(good) {
            return Err(wrong("regions"));
        }
        let room = "gateway.max_connections";
        if !text(room).parse::<usize>().is_ok_and(|room| (8..=1_000_000).contains(&room)) {
            return Err(wrong(room));
        }
        if !["true", "false"].contains(&text("gateway.local_upstreams").as_str()) {
            return Err(wrong("gateway.local_upstreams"));
        }
        let limit = "limits.certificates_per_owner";
        let dwell = Some(text("issuers.staged_for")).filter(|span| !span.is_empty());
        let dwell = dwell.map(|span| Lifetime::parse(&span).map_err(|_| wrong("issuers.staged_for"))).transpose()?;
        Ok(Self {
            issuer_dwell: dwell,
            certificate_limit: text(limit).parse().map_err(|_| wrong(limit))?,
            weak_keys: weak_keys(&text("weak_keys.file"))?,
            heads: heads(&text, &wrong)?,
            default_upstream,
            regions,
            storage,
            control: address("control.listen")?,
            gateway: address("gateway.listen")?,
            metrics: address("metrics.listen")?,
            pki: if text("pki.listen").is_empty() { None } else { Some(address("pki.listen")?) },
            domain: Hostname::parse(&text("gateway.domain")).map_err(|_| wrong("gateway.domain"))?,
            workers,
            login: login(&text, &wrong)?,
            mail: mail(&text, &wrong)?.map(Arc::new),
            pkcs11: pkcs11(&text)?.map(Arc::new),
            values,
        })
    }

    /// The names of all settings.
    #[cfg(test)]
    pub fn names() -> Vec<&'static str> {
        KNOWN.iter().map(|(name, ..)| *name).collect()
    }

    /// Every setting with its source, as TOML that can be read back.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for (name, (value, source)) in &self.values {
            // A secret that stands in the file itself is not repeated; one that is named shows where it is.
            let hidden = ["login.oidc.client_secret", "pkcs11.pin"].contains(name)
                && !value.is_empty()
                && !value.starts_with("file:")
                && !value.starts_with("env:");
            let value = if hidden { "(not shown)" } else { value };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# {}", meaning(name));
            let _ = writeln!(out, "{name} = {}  # {source}", toml::Value::String(value.to_owned()));
        }
        out
    }

    /// What is logged.
    pub fn log_filter(&self) -> &str {
        self.values.get("log.filter").map_or("info", |(value, _)| value.as_str())
    }

    /// What to start.
    pub fn layout(&self) -> Layout {
        let text = |name: &str| self.values.get(name).map(|(v, _)| v.clone()).unwrap_or_default();
        Layout {
            data_dir: self.storage.clone(),
            control: self.control,
            control_hosts: text("control.hosts").split(',').map(|h| h.trim().to_owned()).collect(),
            default_upstream: self.default_upstream.clone(),
            local_upstreams: text("gateway.local_upstreams") == "true",
            regions: self.regions.clone(),
            gateway: self.gateway,
            domain: self.domain.clone(),
            gateway_name: text("gateway.name"),
            workers: if self.workers == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { self.workers },
            connections: text("gateway.max_connections").parse().ok(),
            handover: None,
            access_log: Some(text("gateway.access_log")).filter(|path| !path.is_empty()).map(PathBuf::from),
            accept_older_database: false,
            heads: self.heads.clone(),
            metrics: self.metrics,
            pki: self.pki.into_iter().collect(),
            pki_url: text("pki.url"),
            master_key: text("master_key"),
            login: self.login.clone(),
            mail: self.mail.clone(),
            pkcs11: self.pkcs11.clone(),
            certificate_limit: self.certificate_limit,
            issuer_dwell: self.issuer_dwell,
            weak_keys: self.weak_keys.clone(),
        }
    }
}

/// The lists of keys of a broken generator, read whole: one that cannot be read must not look as if it were compared with.
fn weak_keys(places: &str) -> Result<WeakList, SettingsError> {
    let mut list = WeakList::default();
    for path in places.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        let failed = |reason: String| SettingsError::File { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        list.add(&text).map_err(|line| failed(format!("line {line} is no entry of 20 hexadecimal digits (weak_keys.file)")))?;
    }
    Ok(list)
}

/// Where heads of the audit trail are sent.
fn heads(text: &dyn Fn(&str) -> String, wrong: &dyn Fn(&str) -> SettingsError) -> Result<Option<Heads>, SettingsError> {
    let every = Lifetime::parse(&text("audit.heads_every")).ok().map(Lifetime::seconds);
    let every = every.filter(|seconds| (60..=7 * 86_400).contains(seconds)).and_then(|seconds| u64::try_from(seconds).ok());
    let (webhook, syslog) = (text("audit.heads_webhook"), text("audit.heads_syslog"));
    let is_https = |url: &String| reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "https");
    if !webhook.is_empty() && !is_https(&webhook) {
        return Err(wrong("audit.heads_webhook"));
    }
    let heads = Heads {
        every: std::time::Duration::from_secs(every.ok_or_else(|| wrong("audit.heads_every"))?),
        file: Some(text("audit.heads_file")).filter(|path| !path.is_empty()).map(PathBuf::from),
        webhook: Some(webhook).filter(|url| !url.is_empty()),
        syslog: match syslog.is_empty() {
            true => None,
            false => Some(Syslog::parse(&syslog).ok_or_else(|| wrong("audit.heads_syslog"))?),
        },
    };
    Ok(Some(heads).filter(Heads::is_set))
}

/// The module in which issuers may have keys, and its PIN, which is never in the settings themselves.
fn pkcs11(text: &dyn Fn(&str) -> String) -> Result<Option<(PathBuf, Secret)>, SettingsError> {
    if text("pkcs11.module").is_empty() {
        return Ok(None);
    }
    // Whatever stands there may be the PIN itself, so it is not repeated.
    let (name, value) = ("pkcs11.pin".to_owned(), "(not shown)".to_owned());
    let pin = pin(&text("pkcs11.pin")).ok_or_else(|| SettingsError::Value { allowed: allowed(&name), name, value })?;
    Ok(Some((PathBuf::from(text("pkcs11.module")), pin)))
}

/// A PIN by its place, `file:PATH` or `env:NAME`; nothing when it is not there.
pub fn pin(place: &str) -> Option<Secret> {
    if place.starts_with("file:") || place.starts_with("env:") { secret(place) } else { None }
}

/// How people log in, by the settings below `login`.
fn login(text: &dyn Fn(&str) -> String, wrong: &dyn Fn(&str) -> SettingsError) -> Result<LoginSettings, SettingsError> {
    let second_factor = match text("login.require_second_factor").as_str() {
        "owners" => SecondFactor::Owners,
        "all" => SecondFactor::All,
        "none" => SecondFactor::None,
        _ => return Err(wrong("login.require_second_factor")),
    };
    let public_url = text("control.public_url").trim_end_matches('/').to_owned();
    if !public_url.is_empty() && reqwest::Url::parse(&public_url).ok().is_none_or(|url| url.scheme() != "https" || url.path() != "/") {
        return Err(wrong("control.public_url"));
    }
    let key = text("master_key");
    let in_token = key.starts_with("pkcs11:") && !text("pkcs11.module").is_empty();
    if !key.is_empty() && !key.starts_with("file:") && !key.starts_with("env:") && !in_token {
        return Err(wrong("master_key"));
    }
    if text("login.oidc.issuer").is_empty() {
        return Ok(LoginSettings { second_factor, oidc: None, public_url });
    }
    let provision = match text("login.oidc.provision").as_str() {
        "invited" => Provision::Invited,
        "domain" => Provision::Domain,
        _ => return Err(wrong("login.oidc.provision")),
    };
    let name = text("login.oidc.name");
    if !(1..=40).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(wrong("login.oidc.name"));
    }
    let secret = secret(&text("login.oidc.client_secret")).ok_or_else(|| SettingsError::Value {
        name: "login.oidc.client_secret".to_owned(),
        value: "a file or variable that is not there".to_owned(),
        allowed: allowed("login.oidc.client_secret"),
    })?;
    let ca_cert = text("login.oidc.ca_cert");
    let ca_pem = if ca_cert.is_empty() { Vec::new() } else { std::fs::read(&ca_cert).map_err(|_| wrong("login.oidc.ca_cert"))? };
    let domains = text("login.oidc.allowed_domains");
    Ok(LoginSettings {
        second_factor,
        oidc: Some(OidcSettings {
            issuer: text("login.oidc.issuer"),
            client_id: text("login.oidc.client_id"),
            client_secret: Arc::new(secret),
            name,
            allowed_domains: domains.split(',').map(|d| d.trim().to_ascii_lowercase()).filter(|d| !d.is_empty()).collect(),
            provision,
            ca_pem,
        }),
        public_url,
    })
}

/// The mail server, by the settings below `mail`.
fn mail(text: &dyn Fn(&str) -> String, wrong: &dyn Fn(&str) -> SettingsError) -> Result<Option<MailSettings>, SettingsError> {
    let tls = MailTls::parse(&text("mail.tls")).ok_or_else(|| wrong("mail.tls"))?;
    let host = text("mail.host");
    if host.is_empty() {
        // Half of it would look as if mail went out.
        let lost = ["mail.port", "mail.username", "mail.password_file", "mail.from", "mail.ca_cert"];
        return match lost.into_iter().find(|name| !text(name).is_empty()) {
            None => Ok(None),
            Some(name) => Err(SettingsError::Value {
                name: "mail.host".to_owned(),
                value: String::new(),
                allowed: format!("the name or address of your SMTP server, since `{name}` is set"),
            }),
        };
    }
    let port = match text("mail.port").as_str() {
        "" => tls.port(),
        port => port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| wrong("mail.port"))?,
    };
    let (username, file) = (text("mail.username"), text("mail.password_file"));
    let login = match (username.is_empty(), file.is_empty()) {
        (true, true) => None,
        (true, false) => return Err(wrong("mail.username")),
        (false, true) => return Err(wrong("mail.password_file")),
        (false, false) => {
            let password = std::fs::read_to_string(&file).map_err(|_| wrong("mail.password_file"))?;
            Some((username, Secret::new(password.trim_end_matches(['\r', '\n']).to_owned())))
        }
    };
    let ca_cert = text("mail.ca_cert");
    let ca_pem = if ca_cert.is_empty() { Vec::new() } else { std::fs::read(&ca_cert).map_err(|_| wrong("mail.ca_cert"))? };
    let from = text("mail.from");
    if from.is_empty() {
        return Err(wrong("mail.from"));
    }
    let settings = MailSettings { host, port, tls, from, login, ca_pem };
    // What only the mail code knows, it says by itself: with the setting's name.
    settings.check().map_err(SettingsError::Mail)?;
    Ok(Some(settings))
}

/// A secret as written, from a file or from a variable.
fn secret(text: &str) -> Option<Secret> {
    let found = match (text.strip_prefix("file:"), text.strip_prefix("env:")) {
        (Some(path), _) => std::fs::read_to_string(path).ok()?.trim_end_matches(['\r', '\n']).to_owned(),
        (_, Some(name)) => std::env::var(name).ok()?,
        _ => text.to_owned(),
    };
    Some(Secret::new(found))
}

/// What is allowed for a setting.
fn allowed(name: &str) -> String {
    KNOWN.iter().find(|(n, _, _)| *n == name).map(|(_, _, allowed)| (*allowed).to_owned()).unwrap_or_default()
}

fn flatten(prefix: &str, table: &toml::Table) -> Vec<(String, String)> {
    table
        .iter()
        .flat_map(|(key, value)| {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => flatten(&name, inner),
                toml::Value::String(text) => vec![(name, text.clone())],
                toml::Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), ToOwned::to_owned)).collect();
                    vec![(name, items.join(","))]
                }
                other => vec![(name, other.to_string())],
            }
        })
        .collect()
}

/// By spelling. A word without a dot may be meant as a whole name, as its table or as its last part, so it is held against each.
fn nearest(name: &str) -> String {
    let distance = |known: &str| {
        let parts = known.split('.').filter(|_| !name.contains('.'));
        parts.chain([known]).map(|part| strsim::damerau_levenshtein(part, name)).min()
    };
    KNOWN.iter().map(|(n, _, _)| *n).min_by_key(|n| distance(n)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("c.toml");
        std::fs::write(&file, text).expect("a file");
        Settings::load(Some(&file), |_| None)
    }

    #[test]
    fn an_unknown_setting_names_the_nearest_known_one() {
        let error = load("[gatway]\nlisten = \"x\"\n").expect_err("refused");
        assert_eq!(error.to_string(), "unknown setting `gatway.listen`; the nearest known one is `gateway.listen`");
        for (written, meant) in [("gatway = \"x\"", "gateway."), ("domian = \"x\"", "gateway.domain"), ("storrage = \"x\"", "storage")] {
            let said = load(written).expect_err("refused").to_string();
            assert!(said.contains(&format!("the nearest known one is `{meant}")), "{said}");
        }
    }

    #[test]
    fn a_wrong_value_says_what_is_allowed() {
        for text in ["storage = \"mysql:x\"", "[gateway]\nworkers = -1", "[control]\nlisten = \"8443\"", "[gateway]\ndomain = \"a b\""] {
            assert!(matches!(load(text), Err(SettingsError::Value { .. })), "{text}");
        }
    }

    #[test]
    fn mail_is_set_whole_or_not_at_all_and_each_wrong_setting_is_named() {
        assert!(load("").expect("settings").layout().mail.is_none());
        let good = "[mail]\nhost = \"mail.example.com\"\nfrom = \"Countersign <c@example.com>\"\n";
        let mail = load(good).expect("settings").layout().mail.expect("mail");
        assert_eq!((mail.host.as_str(), mail.port, mail.tls), ("mail.example.com", 587, MailTls::StartTls));
        for (text, named) in [
            ("[mail]\nhost = \"x\"", "`mail.from`"),
            ("[mail]\nfrom = \"c@example.com\"", "`mail.host`"),
            ("[mail]\nhost = \"x\"\nfrom = \"nobody\"", "`mail.from`"),
            ("[mail]\nhost = \"smtp://x\"\nfrom = \"c@example.com\"", "`mail.host`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\nport = 70000", "`mail.port`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\ntls = \"maybe\"", "`mail.tls`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\nusername = \"u\"", "`mail.password_file`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\npassword_file = \"/nowhere\"", "`mail.username`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\nusername = \"u\"\npassword_file = \"/nowhere\"", "`mail.password_file`"),
            ("[mail]\nhost = \"x\"\nfrom = \"c@example.com\"\nca_cert = \"/nowhere\"", "`mail.ca_cert`"),
        ] {
            let said = load(text).expect_err(text).to_string();
            assert!(said.starts_with(&format!("setting {named}")), "{text}: {said}");
        }
        let said = load("[mail]\nusrname = \"x\"\n").expect_err("unknown").to_string();
        assert!(said.contains("the nearest known one is `mail.username`"), "{said}");
    }

    #[test]
    fn the_environment_wins_and_the_print_reads_back() {
        let settings = Settings::load(None, |n| (n == "COUNTERSIGN_GATEWAY_LISTEN").then(|| "127.0.0.1:1".into())).expect("settings");
        assert_eq!(settings.layout().gateway.port(), 1);
        assert_eq!(load(&settings.print()).expect("reads back").layout().gateway.port(), 1);
    }
}

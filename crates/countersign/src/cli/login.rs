//! `login` and `logout`: a person's way to act without an API key. The tokens are kept in `tokens.json` of the configuration
//! directory, for their owner alone, and renewed a minute before they end. No right is decided here.

use super::Session;
use super::client::Client;
use super::errors::{Failure, Outcome};
use super::output::note;
use crate::plane::{SystemClock, write_file};
use countersign_core::Secret;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use zeroize::Zeroize as _;

/// The file's name in the configuration directory.
const FILE: &str = "tokens.json";
/// Our name at the server.
const CLIENT: &str = "countersign";
/// Tokens are renewed so long before they end, in seconds.
const RENEW_BEFORE: i64 = 60;

/// `login`.
#[derive(clap::Args)]
pub struct LoginArgs {
    /// Only print the address, open no browser
    #[arg(long)]
    disable_pop_up: bool,

    /// The server to log in at, as tcld spells it
    #[arg(long, short = 'd', value_name = "URL", hide = true)]
    domain: Option<String>,

    /// As tcld spells it; the server needs none
    #[arg(long, short = 'a', hide = true)]
    audience: Option<String>,

    /// As tcld spells it
    #[arg(long, alias = "id", hide = true)]
    client_id: Option<String>,
}

/// One server's tokens.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    access_token: String,
    refresh_token: String,
    /// When the access token ends, in seconds since the Unix epoch.
    expiry: i64,
    /// The client id that the tokens belong to: only that one renews them.
    #[serde(default = "own_client")]
    client_id: String,
}

fn own_client() -> String {
    CLIENT.to_owned()
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

/// One login in the file with the tokens, by profile and server.
pub struct Tokens {
    file: PathBuf,
    key: String,
    server: String,
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    refresh_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

#[derive(Deserialize)]
struct OauthFailure {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Tokens {
    /// Those of a profile at its server, whether or not there are any. At another server they are not sent.
    pub fn of_profile(dir: &Path, profile: &str, server: &Url) -> Self {
        Self { file: dir.join(FILE), key: format!("{profile} {server}"), server: server.as_str().to_owned() }
    }

    /// Those of any login at this server: the one without a profile first, as earlier versions kept it.
    pub fn any(dir: &Path, server: &Url) -> Result<Option<Self>, Failure> {
        let bare = Self { file: dir.join(FILE), key: server.as_str().to_owned(), server: server.as_str().to_owned() };
        let all = bare.all()?;
        let ending = format!(" {server}");
        let found = all.keys().find(|key| **key == bare.key).or_else(|| all.keys().find(|key| key.ends_with(&ending))).cloned();
        Ok(found.map(|key| Self { key, ..bare }))
    }

    fn all(&self) -> Result<BTreeMap<String, Kept>, Failure> {
        let mut text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(Failure::file("read", &self.file, &error)),
        };
        let mode = fs::metadata(&self.file).map_err(|error| Failure::file("read", &self.file, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::refused("file_permissions", format!("{} holds tokens and others may read it", self.file.display()))
                .hint(format!("run chmod 600 {}", self.file.display())));
        }
        let read = serde_json::from_str(&text).map_err(|_| {
            Failure::refused("file_error", format!("{} is not readable", self.file.display())).hint("delete it and run: countersign login")
        });
        text.zeroize();
        read
    }

    fn kept(&self) -> Result<Option<Kept>, Failure> {
        Ok(self.all()?.remove(&self.key))
    }

    /// Forgets them.
    pub fn forget(&self) -> Outcome {
        self.keep(None)
    }

    /// Whether there are any for this server.
    pub fn are_there(&self) -> Result<bool, Failure> {
        Ok(self.kept()?.is_some())
    }

    fn keep(&self, kept: Option<Kept>) -> Result<(), Failure> {
        let mut all = self.all()?;
        match kept {
            Some(kept) => {
                all.insert(self.key.clone(), kept);
            }
            None => {
                all.remove(&self.key);
            }
        }
        if let Some(dir) = self.file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| Failure::file("make", dir, &error))?;
        }
        if all.is_empty() {
            return match fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file("delete", &self.file, &error)),
                _ => Ok(()),
            };
        }
        let mut text = serde_json::to_string_pretty(&all).map_err(|_| Failure::refused("file_error", "the tokens cannot be written"))?;
        // The file is the tokens' place to be; they go nowhere else.
        let written = write_file(&self.file, text.as_bytes(), 0o600).map_err(|error| Failure::file("write", &self.file, &error));
        text.zeroize();
        written
    }

    /// One of the programs that share the file renews at a time: a refresh token that is used twice ends the login.
    fn lock(&self) -> Result<fs::File, Failure> {
        let path = self.file.with_extension("lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Failure::file("open", &path, &error))?;
        file.lock().map_err(|error| Failure::file("lock", &path, &error))?;
        Ok(file)
    }

    /// An access token that is good for at least a minute.
    pub async fn bearer(&self, client: &Client) -> Result<Secret, Failure> {
        let kept = self.kept()?.ok_or_else(super::client::unauthenticated)?;
        if SystemClock.read().seconds() < kept.expiry - RENEW_BEFORE {
            return Ok(Secret::new(kept.access_token.clone()));
        }
        let lock = self.lock()?;
        // Another program may have renewed it while this one waited.
        let kept = self.kept()?.ok_or_else(super::client::unauthenticated)?;
        if SystemClock.read().seconds() < kept.expiry - RENEW_BEFORE {
            return Ok(Secret::new(kept.access_token.clone()));
        }
        let fields =
            [("grant_type", "refresh_token"), ("client_id", kept.client_id.as_str()), ("refresh_token", kept.refresh_token.as_str())];
        let issued = match client.form(&["oauth", "token"], &fields).await? {
            (StatusCode::OK, body) => read_issued(&body)?,
            (StatusCode::BAD_REQUEST, _) => {
                self.keep(None)?;
                return Err(
                    Failure::refused("unauthenticated", "request not authenticated: the login has ended").hint("run: countersign login")
                );
            }
            (status, body) => return Err(super::client::refusal(status, &body)),
        };
        let access = Secret::new(issued.access_token.clone());
        self.keep(Some(issued.kept(&kept.client_id)))?;
        drop(lock);
        Ok(access)
    }
}

impl Issued {
    fn kept(self, client_id: &str) -> Kept {
        let expiry = SystemClock.read().seconds().saturating_add(self.expires_in);
        Kept { access_token: self.access_token, refresh_token: self.refresh_token, expiry, client_id: client_id.to_owned() }
    }
}

fn read_issued(body: &[u8]) -> Result<Issued, Failure> {
    serde_json::from_slice(body).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    Failure::refused("unexpected_answer", "the server's answer to the login cannot be read")
        .hint("check that --server (COUNTERSIGN_SERVER) is a Countersign control plane")
}

/// Logs in by a code that is typed, or opened, in a browser.
pub async fn login(session: &Session, args: LoginArgs) -> Outcome {
    let mut target = session.global.login_target()?;
    if let Some(domain) = &args.domain {
        target.server = super::global::parse_server(domain)?;
    }
    let dir = session.global.directory()?;
    let (server, ca_cert) = (target.server.clone(), target.ca_cert.clone());
    if target.api_key.is_some() {
        note("an API key is set and goes before the login: unset COUNTERSIGN_API_KEY to act as yourself");
    }
    let client = Client::new(target)?;
    let id = args.client_id.as_deref().unwrap_or(CLIENT);
    let audience = args.audience.as_deref().unwrap_or("");
    let fields = [("client_id", id), ("audience", audience), ("scope", "openid profile user offline_access")];
    let (status, body) = client.form(&["oauth", "device", "code"], &fields).await?;
    if status != StatusCode::OK {
        return Err(failure(status, &body));
    }
    let started: Started = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    // The page is at the server's own public address, which may be another than the one it was called by.
    if Url::parse(&started.verification_uri_complete).ok().is_none_or(|url| url.scheme() != "https") {
        return Err(Failure::refused("unexpected_answer", "the server sends the login to an address without TLS; it is not followed"));
    }
    let opened = !args.disable_pop_up && open(&started.verification_uri_complete);
    note(&format!(
        "{}\n  {}\nThe page must show this code: {}   (to type it yourself: {})",
        if opened { "Your browser opens:" } else { "Open in a browser:" },
        started.verification_uri_complete,
        started.user_code,
        started.verification_uri
    ));
    let issued = wait(&client, id, &started).await?;
    // Server and CA are kept with the login, so that the next command needs neither flag.
    let profile = super::profile::keep_login(&session.global, &dir, &server, ca_cert.as_deref())?;
    let tokens = Tokens::of_profile(&dir, &profile, &server);
    tokens.keep(Some(issued.kept(id)))?;
    #[derive(Serialize)]
    struct LoggedIn<'a> {
        server: &'a str,
        profile: &'a str,
    }
    session.output.show(&LoggedIn { server: tokens.server.as_str(), profile: &profile }, || {
        format!(
            "Logged in at {}; kept as the profile {profile}, in use from now on. Who you are: countersign whoami\n",
            tokens.server.trim_end_matches('/')
        )
    })
}

async fn wait(client: &Client, id: &str, started: &Started) -> Result<Issued, Failure> {
    let ends = tokio::time::Instant::now() + Duration::from_secs(started.expires_in);
    let mut pause = Duration::from_secs(started.interval.clamp(1, 60));
    let fields =
        [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("client_id", id), ("device_code", started.device_code.as_str())];
    while tokio::time::Instant::now() < ends {
        tokio::time::sleep(pause).await;
        let (status, body) = client.form(&["oauth", "token"], &fields).await?;
        if status == StatusCode::OK {
            return read_issued(&body);
        }
        let Ok(said) = serde_json::from_slice::<OauthFailure>(&body) else { return Err(failure(status, &body)) };
        match said.error.as_str() {
            "authorization_pending" => {}
            "slow_down" => pause += Duration::from_secs(5),
            "access_denied" => return Err(Failure::refused("login_denied", "the login was refused in the browser")),
            _ => return Err(failure(status, &body)),
        }
    }
    Err(Failure::refused("login_expired", "nobody answered in the browser within ten minutes").hint("run it again: countersign login"))
}

fn failure(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<OauthFailure>(body) {
        Ok(said) => Failure::refused("login_failed", format!("the login failed: {} ({})", said.error_description, said.error)),
        Err(_) => super::client::refusal(status, body),
    }
}

/// Opens an address in the user's browser; `false` where there is none to be seen.
fn open(address: &str) -> bool {
    let (program, seen) = if cfg!(target_os = "macos") {
        ("open", true)
    } else {
        ("xdg-open", ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty())))
    };
    seen && Command::new(program).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}

/// Ends the login at the server and forgets its tokens.
pub async fn logout(session: &Session) -> Outcome {
    let target = session.global.target()?;
    let Some(tokens) = session.global.tokens()? else {
        note("there is no login here");
        return Ok(());
    };
    let Some(kept) = tokens.kept()? else { return Ok(()) };
    let client = Client::new(target)?;
    let ended = client.form(&["oauth", "revoke"], &[("token", kept.refresh_token.as_str())]).await;
    // The tokens go even when the server cannot be told: whoever logs out wants them gone from here.
    tokens.keep(None)?;
    match ended {
        Ok((status, _)) if status.is_success() => {
            let _ = writeln!(std::io::stderr().lock(), "Logged out.");
            Ok(())
        }
        Ok((status, body)) => Err(failure(status, &body)),
        Err(error) => Err(error.hint("the tokens are deleted here; end the session at the server too: countersign session list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_by_server_for_their_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("a/b");
        let tokens = |server: &str| Tokens::of_profile(&deep, "p", &Url::parse(server).expect("an address"));
        let kept =
            |n: i64| Kept { access_token: format!("cst_{n}"), refresh_token: format!("csr_{n}"), expiry: n, client_id: own_client() };
        tokens("https://a:1/").keep(Some(kept(1))).expect("kept");
        tokens("https://b:1/").keep(Some(kept(2))).expect("kept");
        assert_eq!(fs::metadata(deep.join("tokens.json")).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&deep).expect("there").permissions().mode() & 0o777, 0o700);
        assert_eq!(tokens("https://b:1/").kept().expect("read").map(|k| k.expiry), Some(2));
        assert!(!tokens("https://a:2/").are_there().expect("read"));
        fs::set_permissions(deep.join("tokens.json"), fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(tokens("https://a:1/").are_there().is_err(), "others may read it");
        fs::set_permissions(deep.join("tokens.json"), fs::Permissions::from_mode(0o600)).expect("chmod");
        tokens("https://a:1/").keep(None).expect("forgotten");
        tokens("https://b:1/").keep(None).expect("forgotten");
        assert!(!deep.join("tokens.json").exists());
    }
}

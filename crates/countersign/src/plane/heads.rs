//! Heads of the audit trail, sent to places that this installation cannot change: with them `audit verify --against` tells a trail that was
//! cut, made anew or put back. Each is one line of JSON; nothing of an entry is in it but its number and its hash.

use countersign_core::credential::hex;
use countersign_server::App;
use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a receiver may take.
const SENT_WITHIN: Duration = Duration::from_secs(10);

/// Where a syslog daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `udp:HOST:PORT`.
    Udp(String),
}

impl Syslog {
    /// Reads `unix:PATH` or `udp:HOST:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Some(Self::Unix(PathBuf::from(path)));
        }
        let address = text.strip_prefix("udp:")?;
        let (host, port) = address.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| Self::Udp(address.to_owned()))
    }
}

/// Where heads are sent, and how often.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Between two of them.
    pub every: Duration,
    /// A file to which each is appended.
    pub file: Option<PathBuf>,
    /// An address to which each is posted.
    pub webhook: Option<String>,
    /// A syslog daemon.
    pub syslog: Option<Syslog>,
}

impl Heads {
    /// Whether they are sent anywhere.
    pub const fn is_set(&self) -> bool {
        self.file.is_some() || self.webhook.is_some() || self.syslog.is_some()
    }

    /// Sends the head now and at every interval, until stopped; then once more.
    pub async fn run(self, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                _ = tick.tick() => false,
                // An error means that the sender is gone, which is an end as well.
                _ = stopped.wait_for(|stop| *stop) => true,
            };
            self.send(&app).await;
            if ended {
                return;
            }
        }
    }

    async fn send(&self, app: &App) {
        let (sequence, hash, revision) = match app.audit_head().await {
            Ok(head) => head,
            Err(error) => return app.job_failed(&error, "the head of the audit trail cannot be read; it is sent later"),
        };
        let time = super::clock::SystemClock.read();
        let line = serde_json::json!({
            "time": countersign_proto::convert::time(time),
            "account": app.account_id(),
            "revision": revision,
            "sequence": sequence,
            "hash": hex(&hash),
        })
        .to_string();
        if let Some(path) = &self.file {
            let (path, text) = (path.clone(), format!("{line}\n"));
            let written = tokio::task::spawn_blocking(move || append(&path, &text)).await;
            if let Err(error) = written.map_err(|error| error.to_string()).and_then(|done| done.map_err(|error| error.to_string())) {
                app.job_failed(&error, "the head of the audit trail cannot be written to its file");
            }
        }
        if let Some(url) = &self.webhook
            && let Err(error) = post(url, &line).await
        {
            app.job_failed(&error, "the head of the audit trail cannot be posted");
        }
        if let Some(place) = &self.syslog {
            let sent = tokio::time::timeout(SENT_WITHIN, to_syslog(place, &line, time)).await;
            if let Err(error) = sent.map_err(|_| "no answer in time".to_owned()).and_then(|done| done.map_err(|error| error.to_string())) {
                app.job_failed(&error, "the head of the audit trail cannot be sent to syslog");
            }
        }
    }
}

/// Appends durably, to a file for its owner alone.
fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let missing = !path.exists();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if missing {
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    file.write_all(text.as_bytes())?;
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

async fn post(url: &str, line: &str) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .timeout(SENT_WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| error.to_string())?;
    let request = client.post(url).header("content-type", "application/json").body(line.to_owned());
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("the receiver answered {}", answer.status().as_u16())) }
}

async fn to_syslog(place: &Syslog, line: &str, time: countersign_core::Timestamp) -> std::io::Result<()> {
    // RFC 5424: facility 13 (log audit), severity 6 (informational).
    let message = format!("<110>1 {} - countersign {} audit-head - {line}", countersign_proto::convert::time(time), std::process::id());
    match place {
        Syslog::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.send_to(message.as_bytes(), path).map(|_| ())
        }
        Syslog::Udp(address) => {
            let socket = match tokio::net::lookup_host(address).await?.next() {
                Some(to) => {
                    let any: std::net::SocketAddr = if to.is_ipv4() {
                        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
                    } else {
                        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
                    };
                    let socket = tokio::net::UdpSocket::bind(any).await?;
                    socket.connect(to).await?;
                    socket
                }
                None => return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")),
            };
            socket.send(message.as_bytes()).await.map(|_| ())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syslog_daemon_is_a_socket_or_a_host_and_a_port() {
        assert_eq!(Syslog::parse("unix:/dev/log"), Some(Syslog::Unix("/dev/log".into())));
        assert_eq!(Syslog::parse("udp:log.example.com:514"), Some(Syslog::Udp("log.example.com:514".into())));
        for none in ["", "/dev/log", "unix:log", "udp:host", "udp::514", "udp:h:0", "tcp:h:514"] {
            assert_eq!(Syslog::parse(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_head_reaches_a_syslog_daemon_as_one_message() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("log");
        let daemon = UnixDatagram::bind(&path).expect("bound");
        to_syslog(&Syslog::Unix(path), "{\"sequence\":1}", countersign_core::Timestamp::from_seconds(0)).await.expect("sent");
        let mut bytes = [0; 512];
        let count = daemon.recv(&mut bytes).expect("received");
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        assert!(text.starts_with("<110>1 1970-") && text.ends_with("{\"sequence\":1}"), "{text}");
    }

    #[test]
    fn a_file_of_heads_is_private_and_only_grows() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("heads");
        append(&path, "a\n").and_then(|()| append(&path, "b\n")).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "a\nb\n");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}

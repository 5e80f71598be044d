//! Live connections: what is under way ends when its credential does, and nothing else does.

use crate::plane::{PATIENCE, Plane, eventually, text};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};
use std::time::Instant;

/// A stream through the gateway that has delivered its first event.
pub struct Stream {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

pub fn stream(plane: &Plane, args: &[&str]) -> Stream {
    let url = plane.url("/events?stream=0&interval_ms=20");
    let mut all = vec!["--no-buffer", "--max-time", "60"];
    all.extend(args);
    all.push(&url);
    let mut child = plane.curl_command(&all).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("event") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the stream does not begin");
    }
    Stream { child, lines }
}

impl Stream {
    /// Waits for its end; answers curl's exit code.
    pub fn ended(mut self) -> i32 {
        let begun = Instant::now();
        let mut rest = Vec::new();
        self.lines.read_to_end(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        assert!(begun.elapsed() < PATIENCE);
        code
    }

    pub fn goes_on(&mut self) {
        let mut line = String::new();
        for _ in 0..6 {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended");
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}")
}

#[test]
fn a_revoked_key_ends_its_open_stream() {
    let plane = Plane::start();
    for version in ["--http1.1", "--http2"] {
        let (id, secret) = plane.key(&[]);
        let (_, other) = plane.key(&[]);
        let open = stream(&plane, &[version, "-H", &bearer(&secret)]);
        let mut unrelated = stream(&plane, &[version, "-H", &bearer(&other)]);
        let status = plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok().json();
        assert_eq!(status["requestStatus"]["receipt"]["streamsCut"], 1, "{version}: {status}");
        assert_ne!(open.ended(), 0, "{version}: cut, not finished");
        unrelated.goes_on();
    }
}

#[test]
fn a_disabled_key_ends_its_open_stream_and_an_unrelated_change_ends_nothing() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    let mut open = stream(&plane, &["-H", &bearer(&secret)]);
    let (unrelated, _) = plane.key(&[]);
    let status = plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &unrelated]).ok().json();
    assert_eq!(status["requestStatus"]["receipt"]["streamsCut"], 0, "{status}");
    plane.cli(&["namespace", "create", "--namespace", "quiet", "--upstream", "http://127.0.0.1:9"]).ok();
    open.goes_on();
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    assert_ne!(open.ended(), 0);
}

#[test]
fn an_expired_key_ends_its_open_stream() {
    let plane = Plane::start();
    let (_, secret) = plane.key(&["--duration", "3s"]);
    let open = stream(&plane, &["-H", &bearer(&secret)]);
    assert_ne!(open.ended(), 0);
}

#[test]
fn a_removed_ca_and_a_changed_filter_end_the_connections_they_let_in() {
    let plane = Plane::start();
    plane.certificates("acme");
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    let cert = ["--cert", "acme.pem", "--key", "acme.key"];
    let open = stream(&plane, &cert);
    let filters = r#"{"filters":[{"commonName":"somebody else"}]}"#;
    let status = plane.cli(&["--auto-confirm", "namespace", "certificate-filters", "import", "-i", filters]).ok().json();
    assert_eq!(status["requestStatus"]["receipt"]["streamsCut"], 1, "{status}");
    assert_ne!(open.ended(), 0);
    plane.cli(&["--auto-confirm", "namespace", "certificate-filters", "clear"]).ok();
    let open = stream(&plane, &cert);
    let listed = plane.cli(&["namespace", "accepted-client-ca", "list"]).ok().json();
    let fingerprint = text(&listed[0], "fingerprint");
    let status = plane.cli(&["--auto-confirm", "namespace", "accepted-client-ca", "remove", "--fp", &fingerprint]).ok().json();
    assert_eq!(status["requestStatus"]["receipt"]["streamsCut"], 1, "{status}");
    assert_ne!(open.ended(), 0);
}

#[test]
fn a_revoked_certificate_and_a_changed_role_end_open_streams() {
    let plane = Plane::start();
    plane.certificates("acme");
    let made = plane.cli(&["key", "create", "--certificate", "acme.pem"]).ok().json();
    let open = stream(&plane, &["--cert", "acme.pem", "--key", "acme.key"]);
    plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &text(&made, "id")]).ok();
    assert_ne!(open.ended(), 0);

    let made = plane.cli(&["service-account", "create", "--name", "r", "--account-role", "admin"]).ok().json();
    let account = made["id"].as_str().or(made["serviceAccountId"].as_str()).unwrap().to_owned();
    let (_, secret) = plane.key(&["--service-account-id", &account]);
    let open = stream(&plane, &["-H", &bearer(&secret)]);
    plane.cli(&["--auto-confirm", "service-account", "set-account-role", "--service-account-id", &account, "--account-role", "read"]).ok();
    assert_ne!(open.ended(), 0);
}

#[test]
fn a_long_upload_and_a_long_download_end_with_their_key() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    let mut source = Command::new("cat").arg("/dev/zero").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut upload = plane
        .curl_command(&["--max-time", "60", "-H", &bearer(&secret), "-T", "-", &plane.url("/upload")])
        .stdin(source.stdout.take().unwrap())
        .spawn()
        .unwrap();
    let busy = || {
        let (_, metrics) = plane.curl(&[plane.var("COUNTERSIGN_METRICS")]);
        metrics.lines().any(|l| l.starts_with("countersign_gateway_streams") && !l.ends_with(" 0"))
    };
    eventually("the upload is under way", busy);
    let status = plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok().json();
    assert_eq!(status["requestStatus"]["receipt"]["streamsCut"], 1, "{status}");
    // The gateway may answer with the refusal or cut the connection; either way the upload is over.
    upload.wait().unwrap();
    let _ = source.kill();
    let _ = source.wait();
}

#[test]
fn sigterm_finishes_what_is_under_way() {
    let mut plane = Plane::start();
    let url = plane.url("/events?stream=20&interval_ms=50");
    let child = plane.curl_command(&["-N", "-H", &bearer(plane.var("COUNTERSIGN_API_KEY")), &url]).spawn().unwrap();
    let mut child = child;
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(plane.stop(), 0, "{}", plane.log());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rest.contains("\"event\":20"), "{rest}");
}

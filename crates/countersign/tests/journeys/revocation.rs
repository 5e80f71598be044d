//! What was acknowledged is in effect: on new, kept-alive and resumed connections.

use crate::plane::{Plane, eventually, refusal, text};
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn a_resumed_session_of_a_removed_ca_is_refused() {
    let plane = Plane::start();
    plane.certificates("acme");
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    let host = format!("{}.localhost", plane.namespace());
    let session = |file: &str, flag: &str, version: &str| {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-no_ign_eof", "-connect", plane.var("COUNTERSIGN_GATEWAY"), "-servername", &host, version])
            .args(["-cert", "acme.pem", "-key", "acme.key", flag, file])
            .current_dir(plane.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        // The pipe stays open until the answer has ended, so that s_client does not hang up first.
        let waiter = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(2));
            drop(stdin);
        });
        let out = child.wait_with_output().unwrap();
        waiter.join().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    for version in ["-tls1_3", "-tls1_2"] {
        let file = format!("session{version}");
        let first = session(&file, "-sess_out", version);
        assert!(first.contains("200 OK"), "{version}: {first}");
    }
    plane.cli(&["--auto-confirm", "namespace", "auth-method", "set", "--auth-method", "api_key_or_mtls", "--idempotent"]);
    plane.cli(&["namespace", "certificate-filters", "add", "--auto-confirm", "-i", r#"{"filters":[{"commonName":"nobody"}]}"#]).ok();
    for version in ["-tls1_3", "-tls1_2"] {
        let file = format!("session{version}");
        if std::fs::metadata(plane.path(&file)).is_ok() {
            let again = session(&file, "-sess_in", version);
            assert!(!again.contains("200 OK"), "{version}: {again}");
            assert!(again.is_empty() || again.contains("certificate_filtered"), "{version}: {again}");
        }
    }
    let listed = plane.cli(&["namespace", "accepted-client-ca", "list"]).ok().json();
    let fingerprint = listed[0]["fingerprint"].as_str().unwrap().to_owned();
    plane.cli(&["--auto-confirm", "namespace", "accepted-client-ca", "remove", "--fp", &fingerprint]).ok();
    for version in ["-tls1_3", "-tls1_2"] {
        let file = format!("session{version}");
        if std::fs::metadata(plane.path(&file)).is_ok() {
            let again = session(&file, "-sess_in", version);
            assert!(!again.contains("200 OK"), "{version}: {again}");
        }
    }
}

#[test]
fn every_way_to_take_a_right_away_is_in_effect_when_it_is_answered() {
    let plane = Plane::start();
    let permission = format!("{}=write", plane.namespace());
    let made = plane.cli(&["service-account", "create-scoped", "--name", "w", "--namespace-permission", &permission]).ok().json();
    let account = made["id"].as_str().or(made["serviceAccountId"].as_str()).unwrap().to_owned();
    let keys: Vec<_> = (0..4).map(|_| plane.key(&["--service-account-id", &account])).collect();
    assert!(keys.iter().all(|(_, secret)| plane.get(secret, "/").0 == 200));
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &keys[0].0]).ok();
    assert_eq!(refusal(&plane.get(&keys[0].1, "/").1), "key_disabled");
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &keys[1].0]).ok();
    assert_eq!(refusal(&plane.get(&keys[1].1, "/").1), "key_unknown");
    let read = format!("{}=read", plane.namespace());
    plane
        .cli(&[
            "--auto-confirm",
            "service-account",
            "set-namespace-permissions",
            "--service-account-id",
            &account,
            "--namespace-permission",
            &read,
        ])
        .ok();
    assert_eq!(plane.get(&keys[2].1, "/").0, 200, "read still reads");
    let (status, body) = plane.curl(&["-X", "POST", "-d", "x", "-H", &format!("Authorization: Bearer {}", keys[2].1), &plane.url("/")]);
    assert_eq!((status, refusal(&body).as_str()), (403, "not_entitled"));
    plane.cli(&["--auto-confirm", "service-account", "delete", "--service-account-id", &account]).ok();
    assert_eq!(refusal(&plane.get(&keys[3].1, "/").1), "key_unknown");
    assert_eq!(plane.get(plane.var("COUNTERSIGN_API_KEY"), "/").0, 200, "nobody else is touched");
}

#[test]
fn the_receipt_names_the_gateway_and_how_fast_it_was() {
    let plane = Plane::start();
    let (id, _) = plane.key(&[]);
    let status = plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok().json()["requestStatus"].clone();
    let receipt = &status["receipt"];
    assert_eq!(receipt["inEffect"], true, "{status}");
    assert_eq!(text(&receipt["gateways"][0], "gateway"), "dev");
    assert!(receipt["gateways"][0]["milliseconds"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 1000.0), "{receipt}");
    assert_eq!(receipt["gateways"][0]["revision"], receipt["revision"]);
}

#[test]
fn a_change_of_an_api_applies_without_a_restart() {
    let plane = Plane::start();
    let key = plane.var("COUNTERSIGN_API_KEY").to_owned();
    let made = plane.cli(&["api", "create", "--name", "gone", "--listen-path", "/gone", "--upstream", "http://127.0.0.1:1"]).ok().json();
    let (status, body) = plane.get(&key, "/gone/x");
    assert_eq!((status, refusal(&body).as_str()), (503, "upstream_unavailable"));
    plane.cli(&["--auto-confirm", "api", "delete", "--id", &text(&made, "id")]).ok();
    assert_eq!(plane.get(&key, "/gone/x").0, 200);
}

#[test]
fn a_short_lived_key_ends_by_itself() {
    let plane = Plane::start();
    let (_, secret) = plane.key(&["--duration", "2s"]);
    assert_eq!(plane.get(&secret, "/").0, 200);
    eventually("the key expires", || refusal(&plane.get(&secret, "/").1) == "key_expired");
}

//! Every refusal is one sentence, a stable code and what to do, and changes nothing.

use crate::plane::{Answer, Plane, binary, refusal};
use std::process::Command;

fn openssl(plane: &Plane, args: &[&str]) {
    Answer::of(Command::new("openssl").args(args).current_dir(plane.path("")).output().unwrap()).ok();
}

fn read(plane: &Plane, name: &str) -> String {
    std::fs::read_to_string(plane.path(name)).unwrap()
}

#[test]
fn a_bad_ca_bundle_is_refused_and_nothing_changes() {
    let plane = Plane::start();
    plane.certificates("acme");
    let ca = read(&plane, "acme-ca.pem");
    std::fs::write(plane.path("with-key.pem"), ca.clone() + &read(&plane, "acme-ca.key")).unwrap();
    std::fs::write(plane.path("empty.pem"), "").unwrap();
    std::fs::write(plane.path("noise.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(plane.path("huge.pem"), "x".repeat(5 << 20)).unwrap();
    openssl(&plane, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "many.key"]);
    let mut many = String::new();
    for n in 0..17 {
        let subject = format!("/O=many/CN=ca{n}");
        openssl(&plane, &["req", "-x509", "-key", "many.key", "-days", "30", "-subj", &subject, "-out", "one.pem"]);
        many += &read(&plane, "one.pem");
    }
    std::fs::write(plane.path("many.pem"), many).unwrap();
    openssl(&plane, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "old.key"]);
    openssl(&plane, &["req", "-new", "-key", "old.key", "-subj", "/CN=old", "-out", "old.csr"]);
    std::fs::write(plane.path("ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    // `openssl ca` takes dates; `x509` of this version takes only days to come, so the past is faked.
    let past = Command::new("faketime")
        .args([
            "2020-01-01",
            "openssl",
            "x509",
            "-req",
            "-in",
            "old.csr",
            "-signkey",
            "old.key",
            "-days",
            "30",
            "-extfile",
            "ext",
            "-out",
            "old.pem",
        ])
        .current_dir(plane.path(""))
        .output();
    let before = plane.cli(&["namespace", "get"]).ok().stdout;
    let mut cases = vec![
        ("with-key.pem", "private_key_in_upload"),
        ("acme.pem", "not_a_ca"),
        ("many.pem", "too_many_certificates"),
        ("empty.pem", ""),
        ("noise.pem", ""),
        ("huge.pem", ""),
    ];
    if past.is_ok_and(|o| o.status.success()) {
        cases.push(("old.pem", "ca_expired"));
    } else {
        countersign_testkit::skipped("faketime is not here, so the expired CA was not tried");
    }
    for (file, code) in cases {
        for verb in ["add", "set"] {
            let answer = plane.cli(&["namespace", "accepted-client-ca", verb, "--ca-certificate-file", file]);
            answer.refused(code);
            assert!(answer.stderr.contains("code"), "{file}: {answer:?}");
        }
    }
    assert_eq!(plane.cli(&["namespace", "get"]).ok().stdout, before);
}

#[test]
fn a_bad_filter_is_refused() {
    let plane = Plane::start();
    for input in [
        r#"{"filters":[{"commonName":"*a*"}]}"#,
        r#"{"filters":[{"commonName":"a*b"}]}"#,
        r#"{"filters":[{"commonName":"*"}]}"#,
        r#"{"filters":[{}]}"#,
        r#"{"filters":[{"commonName":"a"},{"commonName":"a"}]}"#,
        r#"{"filters":[{"surname":"a"}]}"#,
        "nonsense",
    ] {
        let answer = plane.cli(&["--auto-confirm", "namespace", "certificate-filters", "add", "-i", input]);
        assert_ne!(answer.code, 0, "{input}: {answer:?}");
        assert!(!answer.stderr.is_empty());
    }
}

#[test]
fn a_bad_duration_is_refused_and_a_good_one_is_exact() {
    let plane = Plane::start();
    for duration in ["0", "0d", "-1d", "3y", "2y1s", "9e9d", "P1D", "", "99999999999999999999d", "d"] {
        let answer = plane.cli(&["apikey", "create", "--name", "x", &format!("--duration={duration}")]);
        assert!(answer.code == 1 || answer.code == 2, "{duration}: {answer:?}");
        assert!(answer.stdout.is_empty(), "{duration}");
    }
    for duration in ["4d12h", "2y", "1y12h"] {
        plane.key(&["--duration", duration]);
    }
}

#[test]
fn an_unknown_flag_or_command_names_the_nearest_one() {
    for (args, near) in [(&["apikey", "create", "--nam", "x"][..], "--name"), (&["apikye", "list"], "apikey")] {
        let answer = Answer::of(Command::new(binary()).args(args).output().unwrap());
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains(near), "{answer:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_apart() {
    let answer =
        Answer::of(Command::new(binary()).args(["--server", "localhost:1", "--api-key", "csk_x", "whoami"]).env_clear().output().unwrap());
    assert_eq!(answer.code, 3, "{answer:?}");
}

#[test]
fn a_server_with_a_foreign_certificate_is_not_talked_to() {
    let plane = Plane::start();
    plane.certificates("acme");
    let answer = plane.cli_with(&["whoami"], &[("COUNTERSIGN_CA_CERT", plane.path("acme-ca.pem").to_str().unwrap())], "");
    assert_ne!(answer.code, 0);
    assert!(answer.stdout.is_empty(), "{answer:?}");
}

#[test]
fn dev_says_in_one_line_why_it_does_not_start() {
    let plane = Plane::start();
    let fresh = plane.path("fresh");
    let dev = |args: &[&str]| {
        let mut all = vec!["dev"];
        all.extend(args);
        Answer::of(Command::new(binary()).args(&all).current_dir(plane.path("")).output().unwrap())
    };
    let zero = ["--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    fn with<'a>(zero: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        [zero, more].concat()
    }
    // The same directory while it is in use.
    let data = plane.data();
    let busy = dev(&with(&zero, &["--data-dir", data.to_str().unwrap()]));
    // A port in use.
    let port = dev(&[
        "--data-dir",
        fresh.to_str().unwrap(),
        "--control",
        plane.var("COUNTERSIGN_SERVER").replace("localhost", "127.0.0.1").as_str(),
        "--gateway",
        "127.0.0.1:0",
        "--metrics",
        "127.0.0.1:0",
    ]);
    let gateway = dev(&[
        "--data-dir",
        fresh.to_str().unwrap(),
        "--control",
        "127.0.0.1:0",
        "--gateway",
        plane.var("COUNTERSIGN_GATEWAY"),
        "--metrics",
        "127.0.0.1:0",
    ]);
    // A directory that cannot be one.
    std::fs::write(plane.path("file"), "").unwrap();
    let unwritable = dev(&with(&zero, &["--data-dir", plane.path("file").join("x").to_str().unwrap()]));
    for answer in [&busy, &port, &gateway, &unwritable] {
        assert_eq!(answer.code, 1, "{answer:?}");
        assert_eq!(answer.stderr.trim().lines().count(), 1, "{answer:?}");
        assert!(answer.stderr.contains("(code: "), "{answer:?}");
    }
    assert!(!fresh.exists(), "a start that fails leaves nothing behind");
    assert!(port.stderr.contains("--control") && gateway.stderr.contains("--gateway"), "{port:?} {gateway:?}");
}

#[test]
fn an_unknown_setting_is_named_with_its_nearest_neighbour() {
    let plane = Plane::start();
    std::fs::write(plane.path("c.toml"), "[gateway]\nlisen = \"127.0.0.1:0\"\n").unwrap();
    let answer = Answer::of(Command::new(binary()).args(["serve", "--config", "c.toml"]).current_dir(plane.path("")).output().unwrap());
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("gateway.listen"), "{answer:?}");
}

#[test]
fn a_broken_request_breaks_nothing() {
    let plane = Plane::start();
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    // A header of 1 MiB.
    std::fs::write(plane.path("big"), format!("X-Big: {}", "x".repeat(1 << 20))).unwrap();
    for version in ["--http1.1", "--http2"] {
        let (status, _) = plane.curl(&[version, "-H", &bearer, "-H", "@big", &plane.url("/")]);
        assert!(matches!(status, 400 | 431 | 0), "{version}: {status}");
    }
    // Requests that are ambiguous, cut short, or none.
    let host = format!("{}.localhost", plane.namespace());
    for raw in [
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n{bearer}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{bearer}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
        format!("TRACE / HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\r\n"),
        format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\r\n"),
        format!("GET http://other.example/ HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\r\n"),
        "\r\n\r\n\0\0\0\0".to_owned(),
    ] {
        let answer = raw_request(&plane, &host, &raw);
        let status: u16 = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        assert!(matches!(status, 0 | 400 | 405 | 421 | 501), "{raw:?} was answered {answer}");
    }
    // Cut short: the head never ends.
    let _ = raw_request(&plane, &host, "GET / HTTP/1.1\r\nHost: x");
    assert_eq!(plane.get(plane.var("COUNTERSIGN_API_KEY"), "/").0, 200, "it still serves");
    assert!(!plane.log().contains("panicked"), "{}", plane.log());
}

/// Sends bytes over TLS as they are and reads what comes until the other side closes or two seconds are over.
fn raw_request(plane: &Plane, host: &str, raw: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("timeout")
        .args([
            "2",
            "openssl",
            "s_client",
            "-quiet",
            "-connect",
            plane.var("COUNTERSIGN_GATEWAY"),
            "-servername",
            host,
            "-alpn",
            "http/1.1",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(raw.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn an_unknown_or_missing_server_name_gets_no_handshake() {
    let plane = Plane::start();
    let gateway = plane.var("COUNTERSIGN_GATEWAY").to_owned();
    for args in [vec!["-servername", "nowhere.example"], vec!["-noservername"]] {
        let out = Command::new("openssl")
            .args(["s_client", "-connect", &gateway])
            .args(args)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains("no peer certificate available"), "{out:?}");
    }
    let (status, body) = plane.curl(&[&plane.url("/")]);
    assert_eq!((status, refusal(&body).as_str()), (401, "key_missing"));
}

#[test]
fn a_switch_that_is_neither_yes_nor_no_is_never_a_yes() {
    let plane = Plane::start();
    let doubt = plane.cli_with(&["whoami"], &[("COUNTERSIGN_AUTO_CONFIRM", "maybe")], "");
    assert_eq!(doubt.code, 2, "{doubt:?}");
    for word in ["", "false", "true", "1"] {
        assert_eq!(plane.cli_with(&["whoami"], &[("COUNTERSIGN_AUTO_CONFIRM", word)], "").code, 0, "{word:?}");
    }
}

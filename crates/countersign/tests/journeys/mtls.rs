//! Client certificates: accepted CAs, filters, registered leaves (S01, S02, S03, S05, S40, S42, S46).

use crate::plane::{Answer, Plane, binary, refusal, text};
use std::process::Command;

fn openssl(plane: &Plane, args: &[&str]) -> Answer {
    Answer::of(Command::new("openssl").args(args).current_dir(plane.path("")).output().unwrap()).ok()
}

#[test]
fn seed_000_word_for_word() {
    let plane = Plane::start();
    let made = plane.cli_with(
        &[
            "generate-certificates",
            "certificate-authority-certificate",
            "--organization",
            "Temporal Education Team - Erica Sadun",
            "--validity-period",
            "90d",
            "--ca-certificate-file",
            "edu.pem",
            "--ca-key-file",
            "edu.key",
        ],
        &[],
        "y\n",
    );
    let said = format!("{}{}", made.stdout, made.stderr);
    for line in [
        "storing the certificate authority (private) key at edu.key, do not share this key with anyone. confirm: [y/n] ",
        "certificate authority generated at: edu.pem",
        "certificate authority key generated at: edu.key",
    ] {
        assert!(said.contains(line), "{line:?} is not in {said:?}");
    }
    let namespace = plane.namespace().to_owned();
    let added =
        plane.cli(&["namespace", "accepted-client-ca", "add", "--namespace", &namespace, "--ca-certificate-file", "edu.pem"]).ok().json();
    let status = &added["requestStatus"];
    for (name, value) in
        [("operationType", "UpdateNamespace"), ("resourceType", "namespace"), ("failureReason", ""), ("resourceId", namespace.as_str())]
    {
        assert_eq!(status[name], value, "{status}");
    }
    let request = text(status, "requestId");
    let polled = plane.cli(&["request", "get", "--request-id", &request]).ok().json();
    let polled = if polled["requestStatus"].is_object() { polled["requestStatus"].clone() } else { polled };
    assert_eq!(polled["state"], "Fulfilled", "{polled}");
    let listed = plane.cli(&["namespace", "accepted-client-ca", "list", "--namespace", &namespace]).ok();
    assert!(listed.stdout.contains("Erica Sadun"));

    // The same CA in other white space changes nothing.
    let pem = std::fs::read_to_string(plane.path("edu.pem")).unwrap();
    std::fs::write(plane.path("crlf.pem"), format!("\u{feff}\r\n{}\r\n\r\n", pem.trim().replace('\n', "\r\n"))).unwrap();
    plane.cli(&["namespace", "accepted-client-ca", "set", "--ca-certificate-file", "crlf.pem"]).refused("nothing to change");
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "crlf.pem"]).refused("nothing to change");
}

#[test]
fn a_client_of_an_accepted_ca_gets_in_and_any_other_does_not() {
    let plane = Plane::start();
    plane.certificates("acme");
    plane.certificates("stranger");
    assert_eq!(refusal(&plane.get_with("acme", "/").1), "certificate_unknown");
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    let (status, body) = plane.get_with("acme", "/in");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"certificate\""), "{body}");
    let (status, body) = plane.get_with("stranger", "/in");
    assert_eq!((status, refusal(&body).as_str()), (401, "certificate_unknown"));
    // A CA is no client.
    let (status, _) = plane.curl(&["--cert", "acme-ca.pem", "--key", "acme-ca.key", &plane.url("/")]);
    assert_ne!(status, 200);

    // Taken away by its SHA-1 fingerprint, as openssl prints it.
    let listed = plane.cli(&["namespace", "accepted-client-ca", "list"]).ok().json();
    let fingerprint = listed[0]["fingerprint"].as_str().unwrap().to_owned();
    let printed = openssl(&plane, &["x509", "-in", "acme-ca.pem", "-noout", "-fingerprint", "-sha1"]).stdout;
    assert!(printed.trim().to_lowercase().replace(':', "").ends_with(&fingerprint), "{printed} {fingerprint}");
    plane.cli(&["--auto-confirm", "namespace", "accepted-client-ca", "remove", "--ca-certificate-fingerprint", &fingerprint]).ok();
    assert_eq!(refusal(&plane.get_with("acme", "/").1), "certificate_unknown");
}

#[test]
fn a_filter_lets_through_only_what_matches() {
    let plane = Plane::start();
    plane.certificates("acme");
    plane.leaf("acme", "worker-1", &[]);
    plane.leaf("acme", "intern", &[]);
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "acme-ca.pem"]).ok();
    let filters = r#"{"filters":[{"commonName":"WORKER-*"},{"commonName":"boss"}]}"#;
    plane.cli(&["--auto-confirm", "namespace", "certificate-filters", "import", "--certificate-filter-input", filters]).ok();
    assert_eq!(plane.get_with("worker-1", "/").0, 200);
    let (status, body) = plane.get_with("intern", "/");
    assert_eq!((status, refusal(&body).as_str()), (403, "certificate_filtered"));
    plane.cli(&["--auto-confirm", "namespace", "certificate-filters", "clear"]).ok();
    assert_eq!(plane.get_with("intern", "/").0, 200);
}

#[test]
fn seed_003s_own_certificate_and_curl_line_get_200() {
    let plane = Plane::start();
    openssl(
        &plane,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:4096",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "365",
            "-nodes",
            "-subj",
            "/C=GB/O=Seed/CN=mtls",
        ],
    );
    let namespace = plane.namespace().to_owned();
    let api = plane
        .cli(&[
            "api",
            "create",
            "--namespace",
            &namespace,
            "--name",
            "mtls",
            "--listen-path",
            "/mtls-api/",
            "--enable-client-certificate",
            "true",
        ])
        .ok()
        .json();
    let api = text(&api, "id");
    let other = plane.cli(&["api", "create", "--namespace", &namespace, "--name", "keys", "--listen-path", "/keys/"]).ok().json();
    let made = plane.cli(&["key", "create", "--certificate", "cert.pem", "--api", &api]).ok().json();
    let id = text(&made, "id");

    // The quickstart's line, its port apart. `-k` stands in it, and its host is localhost.
    let url = format!("https://localhost:{}/mtls-api/my-endpoint", plane.gateway_port());
    let line = |url: &str| {
        Answer::of(
            Command::new("curl")
                .args(["-s", "-k", "--cert", "cert.pem", "--key", "key.pem", "-w", "\n%{http_code}", url])
                .current_dir(plane.path(""))
                .output()
                .unwrap(),
        )
    };
    let answer = line(&url);
    assert!(answer.stdout.ends_with("\n200"), "{answer:?}");
    assert!(answer.stdout.contains(&id), "{answer:?}");

    // The key lists its APIs; others refuse it, and one whose switch is off tells which switch.
    let refused = line(&format!("https://localhost:{}/elsewhere", plane.gateway_port()));
    assert!(refused.stdout.ends_with("\n403") && refused.stdout.contains("not_entitled"), "{refused:?}");
    let off = line(&format!("https://localhost:{}/keys/1", plane.gateway_port()));
    assert!(off.stdout.ends_with("\n401") && off.stdout.contains("certificate_not_enabled"), "{off:?}");
    drop(other);

    let revoked = plane.cli_with(&["certificate", "revoke", "--id", &id], &[], "REVOKE\n").ok();
    assert!(revoked.stdout.contains("receipt") || revoked.stderr.contains("receipt"), "{revoked:?}");
    let gone = line(&url);
    assert!(gone.stdout.ends_with("\n403") && gone.stdout.contains("certificate_revoked"), "{gone:?}");
    plane.cli(&["key", "create", "--certificate", "cert.pem"]).refused("certificate_revoked");
}

#[test]
fn a_revoke_wants_its_word_typed() {
    let plane = Plane::start();
    plane.certificates("acme");
    let made = plane.cli(&["key", "create", "--certificate", "acme.pem"]).ok().json();
    let id = text(&made, "id");
    let answer = plane.cli_with(&["certificate", "revoke", "--id", &id], &[], "yes\n");
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(plane.get_with("acme", "/").0, 200);
}

#[test]
fn the_clients_own_certificates_have_tclds_shape() {
    let plane = Plane::start();
    plane.certificates("acme");
    let ca = openssl(&plane, &["x509", "-in", "acme-ca.pem", "-noout", "-text"]).stdout;
    for part in ["ecdsa-with-SHA384", "secp384r1", "CA:TRUE", "Digital Signature, Certificate Sign, CRL Sign", "DNS:client.root.acme."] {
        assert!(ca.contains(part), "{part} is not in {ca}");
    }
    let leaf = openssl(&plane, &["x509", "-in", "acme.pem", "-noout", "-text"]).stdout;
    assert!(leaf.contains("CA:FALSE") && leaf.contains("DNS:client.endentity.acme.") && leaf.contains("OU = ,"), "{leaf}");
    assert!(!leaf.contains("X509v3 Key Usage") && !leaf.contains("Extended Key Usage"), "{leaf}");
    openssl(&plane, &["verify", "-x509_strict", "-CAfile", "acme-ca.pem", "acme.pem"]);
    for (period, fits) in [("7d", false), ("7d1s", true), ("1y", true), ("1.5y", false)] {
        let answer = Answer::of(
            Command::new(binary())
                .args([
                    "--auto-confirm",
                    "generate-certificates",
                    "ca",
                    "--organization",
                    "x",
                    "--validity-period",
                    period,
                    "--ca-certificate-file",
                    "p.pem",
                    "--ca-key-file",
                    "p.key",
                ])
                .current_dir(plane.path(""))
                .output()
                .unwrap(),
        );
        assert_eq!(answer.code == 0, fits, "{period}: {answer:?}");
    }
}

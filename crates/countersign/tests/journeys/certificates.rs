//! Certificates for applications with the tools that people use: openssl makes requests, curl goes through the gateway, openssl and
//! keytool open the keystore (S10 to S14; D11, D12 of research/pki.md).

use crate::plane::{Answer, Plane, binary, eventually, text};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[track_caller]
fn tool(plane: &Plane, program: &str, args: &[&str]) -> Answer {
    Answer::of(Command::new(program).args(args).current_dir(plane.path("")).output().unwrap())
}

#[track_caller]
fn openssl(plane: &Plane, args: &[&str]) -> Answer {
    tool(plane, "openssl", args).ok()
}

/// A request made by openssl: `<name>.csr`, `<name>.key`.
fn request(plane: &Plane, name: &str, subject: &str) {
    let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(plane, &[&["req", "-new"], &ec[..], &["-keyout", &key, "-subj", subject, "-out", &csr]].concat());
}

fn application(plane: &Plane, name: &str) {
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", name, "--sandbox-permission", &permission]).ok();
}

fn create(plane: &Plane, more: &[&str]) -> Answer {
    plane.cli(&[&["certificate", "create", "--application", "app", "--environment", "sandbox"], more].concat())
}

#[test]
fn s11_a_request_by_openssl_becomes_a_certificate_that_curl_gets_in_with() {
    let plane = Plane::start();
    application(&plane, "app");
    request(&plane, "client", "/O=Acme/CN=client");
    let made = create(&plane, &["--csr", "client.csr", "--out-dir", "."]).ok().json();
    openssl(&plane, &["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "client.ca.pem", "client.pem"]);
    let (status, body) = plane.get_with("client", "/hello");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(&text(&made, "id")) && body.contains("\"application\""), "{body}");
    // By stdin as well, with another name; the owner's own, outside any application.
    request(&plane, "mine", "/O=Acme/CN=mine");
    let csr = std::fs::read_to_string(plane.path("mine.csr")).unwrap();
    plane.cli_with(&["certificate", "create", "--csr", "-", "--alias", "mine", "--out-dir", "."], &[], &csr).ok();
    assert_eq!(plane.get_with("mine", "/").0, 200);
    // S14: the name again is refused, with the one in the way and a free name, and that one passes.
    request(&plane, "again", "/O=ACME/CN=Client");
    let refused = create(&plane, &["--csr", "again.csr"]);
    refused.refused("duplicate_certificate");
    assert!(refused.stderr.contains(&text(&made, "id")) && refused.stderr.contains("CN=Client-2 is free"), "{refused:?}");
    request(&plane, "next", "/O=ACME/CN=Client-2");
    create(&plane, &["--csr", "next.csr", "--out-dir", "."]).ok();
    assert_eq!(plane.get_with("next", "/").0, 200);
    // The end of the application is the end of its certificates, and of nobody else's.
    plane.cli(&["--auto-confirm", "application", "delete", "--id", "app"]).ok();
    assert_eq!((plane.get_with("client", "/").0, plane.get_with("mine", "/").0), (403, 200));
}

#[test]
fn s10_a_key_made_here_never_leaves_and_its_keystore_opens_everywhere() {
    let plane = Plane::start();
    application(&plane, "app");
    std::fs::write(plane.path("password"), "s3cret pass\n").unwrap();
    for kind in ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"] {
        let made = create(
            &plane,
            &["--generate-key", "--key-type", kind, "--alias", kind, "--keystore-password-file", "password", "--out-dir", "out"],
        )
        .ok();
        let file = |ending: &str| plane.path(&format!("out/{kind}.{ending}"));
        for secret in ["key", "p12"] {
            assert_eq!(std::fs::metadata(file(secret)).unwrap().permissions().mode() & 0o777, 0o600, "{kind}.{secret}");
        }
        let key = std::fs::read_to_string(file("key")).unwrap();
        let body: String = key.lines().filter(|line| !line.starts_with("---")).collect();
        assert!(!made.stdout.contains(body.get(..40).unwrap()) && !plane.log().contains(body.get(..40).unwrap()));
        let store = format!("out/{kind}.p12");
        let opened = openssl(&plane, &["pkcs12", "-in", &store, "-passin", "file:password", "-nodes"]);
        assert!(opened.stdout.contains("PRIVATE KEY") && opened.stdout.matches("BEGIN CERTIFICATE").count() == 3, "{opened:?}");
        if which("keytool") {
            let listed = tool(&plane, "keytool", &["-list", "-keystore", &store, "-storepass:file", "password"]).ok();
            assert!(listed.stdout.contains(kind) && listed.stdout.contains("PrivateKeyEntry"), "{listed:?}");
        } else {
            countersign_testkit::skipped("keytool is not here, so the keystore was not opened by it");
        }
        std::fs::copy(file("pem"), plane.path(&format!("{kind}.pem"))).unwrap();
        std::fs::copy(file("key"), plane.path(&format!("{kind}.key"))).unwrap();
        assert_eq!(plane.get_with(kind, "/").0, 200, "{kind}");
    }
    // Files that exist are never written over, and then nothing is even asked for.
    let before = std::fs::read(plane.path("out/ed25519.key")).unwrap();
    create(&plane, &["--generate-key", "--alias", "ed25519", "--out-dir", "out"]).refused("file_exists");
    assert_eq!(std::fs::read(plane.path("out/ed25519.key")).unwrap(), before);
    // A refusal leaves no files behind.
    create(&plane, &["--generate-key", "--alias", "fresh", "--subject", "CN=ed25519", "--out-dir", "out"]).refused("duplicate_certificate");
    assert!(!plane.path("out/fresh.key").exists() && !plane.path("out/fresh.csr").exists());
    for password in ["short", "pässword", "tab\tin it"] {
        std::fs::write(plane.path("bad"), password).unwrap();
        create(&plane, &["--generate-key", "--alias", "b", "--keystore-password-file", "bad", "--out-dir", "out"])
            .refused("keystore_password");
    }
}

fn which(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

#[test]
fn s12_a_certificate_of_a_trusted_ca_is_uploaded_with_its_proof() {
    let plane = Plane::start();
    application(&plane, "app");
    plane.certificates("partner");
    create(&plane, &["--upload", "partner.pem"]).refused("not_trusted");
    plane.cli(&["application", "trusted-ca", "add", "--environment", "sandbox", "--ca-certificate-file", "partner-ca.pem"]).ok();
    let listed = plane.cli(&["application", "trusted-ca", "list", "--environment", "sandbox"]).ok().json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    request(&plane, "other", "/CN=other");
    create(&plane, &["--upload", "partner.pem", "--key", "other.key"]).refused("key_mismatch");
    let made = create(&plane, &["--upload", "partner.pem", "--key", "partner.key"]).ok().json();
    assert_eq!(made["proven"], true);
    assert_eq!(plane.get_with("partner", "/").0, 200);
    // Without the key it lets its holder in, which proves nothing of who registered it.
    plane.leaf("partner", "second", &[]);
    let made = create(&plane, &["--upload", "second.pem"]).ok().json();
    assert_eq!(made["proven"], false);
    assert_eq!(plane.get_with("second", "/").0, 200);
    let id = text(&made, "id");
    let shown = || plane.cli(&["certificate", "get", "--id", &id]).ok().json();
    eventually("its use is shown", || shown()["usage"]["requests"] == 1);
    assert_eq!(shown()["proven"], false);
    let print = text(&listed["items"][0], "fingerprintSha256");
    plane.cli(&["application", "trusted-ca", "remove", "--environment", "sandbox", "--ca-certificate-fingerprint", &print]).ok();
    plane.leaf("partner", "third", &[]);
    create(&plane, &["--upload", "third.pem"]).refused("not_trusted");
}

#[test]
fn a2_a_private_key_is_refused_here_and_burned_on_request() {
    let plane = Plane::start();
    application(&plane, "app");
    request(&plane, "leaked", "/CN=leaked");
    create(&plane, &["--csr", "leaked.csr", "--out-dir", "."]).ok();
    assert_eq!(plane.get_with("leaked", "/").0, 200);
    let refused = create(&plane, &["--csr", "leaked.key"]);
    refused.refused("private_key_in_upload");
    assert!(!refused.stderr.contains("request:"), "nothing was sent: {refused:?}");
    assert_eq!(plane.get_with("leaked", "/").0, 200);
    create(&plane, &["--csr", "leaked.key", "--burn"]).refused("private_key_in_upload");
    assert_eq!(plane.get_with("leaked", "/").0, 403, "its certificate ends with it");
    create(&plane, &["--csr", "leaked.csr"]).refused("key_blocked");
    std::fs::write(plane.path("huge"), "x".repeat(5 << 20)).unwrap();
    create(&plane, &["--csr", "huge"]).refused("file_too_large");
    assert!(!plane.log().contains("PRIVATE KEY"));
}

#[test]
fn d12_kill_nine_in_the_midst_of_issuing_loses_nothing_that_was_acknowledged() {
    let mut plane = Plane::start();
    application(&plane, "app");
    for round in 0..3 {
        let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
                let (env, directory) = (plane.env.clone(), plane.path(""));
                std::thread::spawn(move || {
                    for n in 0..40 {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let alias = format!("c-{round}-{writer}-{n}");
                        let args = ["certificate", "create", "--application", "app", "--environment", "sandbox", "--generate-key"];
                        let out = Command::new(binary())
                            .args(args)
                            .args(["--alias", &alias, "--out-dir", "made", "-o", "json"])
                            .current_dir(&directory)
                            .env_clear()
                            .envs(&env)
                            .output()
                            .unwrap();
                        if out.status.success() {
                            let made: Value = serde_json::from_slice(&out.stdout).unwrap();
                            acknowledged.lock().unwrap().push(made["id"].as_str().unwrap().to_owned());
                        }
                    }
                })
            })
            .collect();
        eventually("some certificates are acknowledged", || acknowledged.lock().unwrap().len() >= 3);
        plane.kill_nine();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        plane.restart();
        let listed = plane.cli(&["certificate", "list", "--page-size", "1000"]).ok().stdout;
        let audit = plane.cli(&["audit", "export"]).ok().stdout;
        for id in acknowledged.lock().unwrap().iter() {
            assert!(listed.contains(id.as_str()), "round {round}: {id} was acknowledged and is lost");
            for action in ["IntendCertificate", "CreateCertificate"] {
                let found = audit.lines().filter(|line| line.contains(id.as_str()) && line.contains(action)).count();
                assert_eq!(found, 1, "round {round}: {action} of {id}");
            }
        }
        plane.cli(&["audit", "verify"]).ok();
    }
}

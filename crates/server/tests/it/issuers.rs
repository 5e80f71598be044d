//! Issuers and what they publish, judged by OpenSSL (rules D, F and G of research/pki.md section 6).

use crate::harness::{Plane, settings};
use crate::issuing::{application, ask, csr, key};
use countersign_core::id::CertificateId;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_server::{App, Sealer, listener};
use countersign_store::IntendedRow;
use countersign_testkit::Chance;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// A control plane that publishes on a port of its own.
pub struct Publishing {
    pub plane: Plane,
    pub base: String,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Publishing {
    pub async fn start() -> Self {
        let plane = Plane::start().await;
        plane.with_master_key().await;
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", port.local_addr().unwrap());
        plane.app.use_pki_url(&base).unwrap();
        plane.app.ensure_issuers().await.unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(listener::serve_clear(port, plane.app.pki_router(), stopped, listener::limits(64)));
        Self { plane, base, _stop: stop }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.plane.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    /// Runs a program in the test's directory: whether it succeeded, and all it said.
    pub async fn run(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.plane.directory.path());
        let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
    }

    #[track_caller]
    pub fn good((so, said): (bool, String)) -> String {
        assert!(so, "{said}");
        said
    }

    pub async fn fetch(&self, path: &str, file: &str) {
        Self::good(self.run(&["curl", "-sfS", "-o", file, &format!("{}/pki/{path}", self.base)]).await);
    }

    /// Issues a certificate for an application in the sandbox, into `<name>.pem`: its body.
    pub async fn leaf(&self, application: &str, name: &str) -> Value {
        let made = ask(&self.plane, application, &csr(&key(), &format!("/O=Acme/CN={name}"))).await.ok();
        std::fs::write(self.file(&format!("{name}.pem")), made["certificate"].as_str().unwrap()).unwrap();
        made
    }

    pub async fn revoke(&self, made: &Value, reason: &str) {
        let path = format!("/certificates/{}/revoke", made["id"].as_str().unwrap());
        self.plane.post(&path, &self.plane.owner, json!({"reason": reason})).await.ok();
    }

    /// Root and issuing CA, and the issuing CA's list, as files.
    pub async fn fetch_chain(&self) {
        self.fetch("root-1.pem", "root.pem").await;
        self.fetch("sandbox-1.pem", "chain.pem").await;
        self.fetch("sandbox-1.crt", "ca.der").await;
        Self::good(self.run(&["openssl", "x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem"]).await);
    }

    pub async fn ocsp(&self, what: &[&str]) -> String {
        let url = format!("{}/pki/ocsp", self.base);
        let mut words = vec!["openssl", "ocsp", "-issuer", "ca.pem", "-CAfile", "chain.pem", "-url", &url];
        words.extend(what);
        Self::good(self.run(&words).await)
    }

    pub async fn issuer(&self, name: &str) -> Value {
        self.plane.get(&format!("/issuers/{name}"), &self.plane.owner).await.ok()
    }

    pub async fn step(&self, name: &str, state: &str, force: bool) -> crate::harness::Answer {
        self.plane.call("PATCH", &format!("/issuers/{name}"), &self.plane.owner, json!({"state": state, "force": force})).await
    }
}

#[tokio::test]
async fn the_first_start_makes_a_root_and_an_issuer_for_each_environment_and_the_second_nothing() {
    let at = Publishing::start().await;
    at.plane.app.ensure_issuers().await.unwrap();
    let listed = at.plane.get("/issuers", &at.plane.owner).await.ok();
    let mut names: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["production-1", "root-1", "sandbox-1"]);
    for one in listed["items"].as_array().unwrap() {
        assert_eq!((&one["state"], &one["key"]), (&json!("active"), &json!("sealed")), "{one}");
    }
    let trail = at.plane.audit().await;
    assert_eq!(trail.iter().filter(|entry| entry["action"] == "CreateIssuer" && entry["actorKind"] == "system").count(), 3);
    assert!(!format!("{trail:?}{listed}").contains("PRIVATE"));
    at.fetch_chain().await;
    Publishing::good(at.run(&["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "ca.pem"]).await);
}

#[tokio::test]
async fn another_master_key_is_refused_while_issuers_are_sealed_by_the_first() {
    let at = Publishing::start().await;
    let again = App::start(at.plane.store.clone(), at.plane.clock.clone(), Arc::new(Chance), settings()).await.unwrap();
    let said = again.use_master_key(Sealer::new([8; 32], Arc::new(Chance))).await.unwrap_err();
    assert!(said.contains("root-1") || said.contains("-1"), "{said}");
    again.use_master_key(Sealer::new([7; 32], Arc::new(Chance))).await.unwrap();
}

#[tokio::test]
async fn d8_a_certificate_says_where_to_ask_and_openssl_finds_its_way() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    at.leaf("app", "leaf").await;
    at.fetch_chain().await;
    let text = Publishing::good(at.run(&["openssl", "x509", "-in", "leaf.pem", "-noout", "-text"]).await);
    for path in ["sandbox-1.crl", "sandbox-1.crt", "ocsp"] {
        assert!(text.contains(&format!("URI:{}/pki/{path}", at.base)), "{path}: {text}");
    }
    let verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
    Publishing::good(at.run(&[&verify[..], &["leaf.pem"]].concat()).await);
    Publishing::good(at.run(&["openssl", "x509", "-in", "leaf.pem", "-noout", "-checkend", "34000000"]).await);
    // OpenSSL fetches the list by itself.
    Publishing::good(at.run(&[&verify[..], &["-crl_check", "-crl_download", "leaf.pem"]].concat()).await);
}

#[tokio::test]
async fn f6_the_list_has_what_was_revoked_at_once_and_its_number_rises() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let (bad, held) = (at.leaf("app", "bad").await, at.leaf("app", "held").await);
    at.leaf("app", "fine").await;
    at.fetch_chain().await;
    let number = async |file: &str| {
        at.fetch("sandbox-1.crl", file).await;
        let said = at.run(&["openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-verify", "-CAfile", "chain.pem"]).await;
        assert!(Publishing::good(said).contains("verify OK"));
        let said = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-crlnumber"]).await);
        i64::from_str_radix(said.trim().rsplit_once("0x").unwrap().1, 16).unwrap()
    };
    let first = number("1.crl").await;
    assert_eq!(number("1.crl").await, first, "nothing changed");
    at.revoke(&bad, "keyCompromise").await;
    at.revoke(&held, "certificateHold").await;
    assert!(number("2.crl").await > first);
    let text = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "2.crl", "-noout", "-text"]).await);
    assert!(text.contains("Key Compromise") && text.contains("Certificate Hold"), "{text}");
    assert_eq!(text.matches("Serial Number:").count(), 2, "{text}");
    Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "2.crl", "-out", "2.pem"]).await);
    let verify = ["openssl", "verify", "-crl_check", "-CRLfile", "2.pem", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
    Publishing::good(at.run(&[&verify[..], &["fine.pem"]].concat()).await);
    let (so, said) = at.run(&[&verify[..], &["bad.pem"]].concat()).await;
    assert!(!so && said.contains("certificate revoked"), "{said}");
    // Released, it is off the list; the other stays.
    at.plane.post(&format!("/certificates/{}/release", held["id"].as_str().unwrap()), &at.plane.owner, json!({})).await.ok();
    number("3.crl").await;
    let text = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "3.crl", "-noout", "-text"]).await);
    assert_eq!(text.matches("Serial Number:").count(), 1, "{text}");
}

#[tokio::test]
async fn f6_a_list_is_made_anew_before_half_of_its_interval_and_a_certificate_that_ended_leaves_it() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let bad = at.leaf("app", "bad").await;
    at.revoke(&bad, "superseded").await;
    let serial = bad["serial"].as_str().unwrap();
    let serial: Vec<u8> = (0..serial.len()).step_by(2).map(|at| u8::from_str_radix(&serial[at..at + 2], 16).unwrap()).collect();
    let has = |list: &countersign_server::app::publication::Published| list.der.windows(serial.len()).any(|window| window == serial);
    let list = async || countersign_server::app::publication::crl(&at.plane.app, "sandbox-1").await.unwrap();
    let first = list().await;
    at.plane.clock.advance(Lifetime::from_seconds(12 * 3600 - 1));
    at.plane.app.renew_crls().await;
    assert_eq!(list().await.number, first.number);
    at.plane.clock.advance(Lifetime::from_seconds(1));
    at.plane.app.renew_crls().await;
    let second = list().await;
    assert!(second.number > first.number && second.made_at < first.next_update && has(&first) && has(&second));
    at.plane.clock.advance(Lifetime::from_days(398));
    assert!(has(&*list().await), "on a list once more after its end (RFC 5280 section 3.3)");
    at.plane.clock.advance(Lifetime::from_days(3));
    assert!(!has(&*list().await));
}

#[tokio::test]
async fn f7_a_list_is_cached_and_asked_for_again() {
    let at = Publishing::start().await;
    let url = format!("{}/pki/sandbox-1.crl", at.base);
    let head = Publishing::good(at.run(&["curl", "-sfS", "-D", "-", "-o", "x.crl", &url]).await);
    let field =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} {head}")).trim().to_owned();
    assert_eq!(field("content-type:"), "application/pkix-crl");
    assert!(field("cache-control:").starts_with("max-age="), "{head}");
    for given in [format!("If-None-Match: {}", field("etag:")), format!("If-Modified-Since: {}", field("last-modified:"))] {
        let again = at.run(&["curl", "-sS", "-o", "y", "-w", "%{http_code} %{size_download}", "-H", &given, &url]).await;
        assert_eq!(Publishing::good(again), "304 0", "{given}");
    }
    // The same on the control plane's own port, without a credential; and nothing else in clear.
    assert_eq!(at.plane.page("/pki/root-1.crt").await.status, 200);
    for nothing in ["pki/nobody.crl", "pki/root-1.key", "pki/root-1", "api/v1/issuers", "healthz", ""] {
        let said = at.run(&["curl", "-sS", "-o", "y", "-w", "%{http_code}", &format!("{}/{nothing}", at.base)]).await;
        assert_eq!(Publishing::good(said), "404", "{nothing}");
    }
}

#[tokio::test]
async fn f8_ocsp_says_good_revoked_and_unknown_by_a_responder_that_the_issuer_named() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let bad = at.leaf("app", "bad").await;
    at.leaf("app", "fine").await;
    at.fetch_chain().await;
    let said = at.ocsp(&["-cert", "fine.pem", "-cert", "bad.pem"]).await;
    assert!(said.contains("Response verify OK") && said.contains("fine.pem: good") && said.contains("bad.pem: good"), "{said}");
    at.revoke(&bad, "keyCompromise").await;
    for hash in ["-sha1", "-sha256"] {
        let said = at.ocsp(&[hash, "-cert", "fine.pem", "-cert", "bad.pem"]).await;
        assert!(said.contains("fine.pem: good") && said.contains("bad.pem: revoked") && said.contains("keyCompromise"), "{said}");
    }
    let said = at.ocsp(&["-serial", "0x1234", "-no_nonce"]).await;
    assert!(said.contains("0x1234: unknown"), "{said}");
    let text = at.ocsp(&["-cert", "fine.pem", "-text"]).await;
    assert!(text.contains("OCSP No Check") && text.contains("sandbox-1 OCSP") && text.contains("OCSP Nonce"), "{text}");
    // Another CA's certificate is not ours to speak of.
    at.fetch("production-1.crt", "other.der").await;
    Publishing::good(at.run(&["openssl", "x509", "-inform", "DER", "-in", "other.der", "-out", "other.pem"]).await);
    Publishing::good(at.run(&["openssl", "ocsp", "-issuer", "root.pem", "-cert", "other.pem", "-no_nonce", "-reqout", "r.der"]).await);
    let said = at.run(&["curl", "-sf", "--data-binary", "@r.der", "-o", "a.der", &format!("{}/pki/ocsp", at.base)]).await;
    Publishing::good(said);
    let said = at.run(&["openssl", "ocsp", "-respin", "a.der", "-CAfile", "root.pem", "-text", "-noverify"]).await;
    assert!(Publishing::good(said).contains("Cert Status: good"), "a CA under our root");
}

#[tokio::test]
async fn f8_ocsp_answers_a_get_and_refuses_what_it_cannot_read() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    at.leaf("app", "fine").await;
    at.fetch_chain().await;
    Publishing::good(at.run(&["openssl", "ocsp", "-issuer", "ca.pem", "-cert", "fine.pem", "-no_nonce", "-reqout", "r.der"]).await);
    let text = Publishing::good(at.run(&["openssl", "base64", "-A", "-in", "r.der"]).await);
    for path in [text.trim().to_owned(), text.trim().replace('/', "%2F").replace('+', "%2B").replace('=', "%3D")] {
        Publishing::good(at.run(&["curl", "-sfS", "-o", "a.der", &format!("{}/pki/ocsp/{path}", at.base)]).await);
        let said = at.run(&["openssl", "ocsp", "-respin", "a.der", "-issuer", "ca.pem", "-cert", "fine.pem", "-CAfile", "chain.pem"]).await;
        assert!(Publishing::good(said).contains("fine.pem: good"));
    }
    for bad in ["junk", &"A".repeat(9000)] {
        std::fs::write(at.file("bad"), bad).unwrap();
        let url = format!("{}/pki/ocsp", at.base);
        Publishing::good(at.run(&["curl", "-sfS", "--data-binary", "@bad", "-o", "a.der", &url]).await);
        assert_eq!(std::fs::read(at.file("a.der")).unwrap(), [0x30, 3, 0x0a, 1, 1], "malformedRequest");
    }
}

#[tokio::test]
async fn p20_a_serial_number_that_was_given_up_counts_as_revoked() {
    let at = Publishing::start().await;
    at.fetch_chain().await;
    let issuer = countersign_core::id::IssuerId::parse(at.issuer("sandbox-1").await["id"].as_str().unwrap()).unwrap();
    let serial = "5a".repeat(16);
    let mut write = at.plane.store.begin().await.unwrap();
    let now = Timestamp::from_seconds(1_700_000_000);
    let row = IntendedRow {
        issuer: issuer.clone(),
        serial: serial.clone(),
        certificate: CertificateId::mint(&Chance),
        to_be_signed: vec![0x30, 0],
        created_at: now,
    };
    write.intend_issuance(&row).await.unwrap();
    write.commit_without_revision().await.unwrap();
    at.plane.app.settle_issuances().await;
    let said = at.ocsp(&["-serial", &format!("0x{serial}")]).await;
    assert!(said.contains("revoked"), "{said}");
    at.fetch("sandbox-1.crl", "x.crl").await;
    let text = Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "x.crl", "-noout", "-text"]).await);
    assert!(text.contains(&serial.to_uppercase()), "{text}");
}

#[tokio::test]
async fn g1_an_issuer_only_moves_on_and_no_environment_is_left_without_one() {
    let at = Publishing::start().await;
    at.step("sandbox-1", "retiring", false).await.refused(409, "issuer_in_use");
    at.step("sandbox-1", "staged", false).await.refused(400, "invalid_argument");
    at.step("sandbox-1", "retired", false).await.refused(400, "invalid_argument");
    let order = json!({"name": "sandbox-2", "environment": "sandbox", "keyType": "ecdsa-p384"});
    at.plane.clock.advance(Lifetime::from_seconds(1));
    at.plane.post("/issuers", &at.plane.owner, order.clone()).await.ok();
    at.plane.post("/issuers", &at.plane.owner, order).await.refused(409, "already_exists");
    assert_eq!(at.issuer("sandbox-2").await["state"], "staged");
    application(&at.plane, "app").await;
    at.leaf("app", "old").await;
    at.step("sandbox-2", "active", false).await.ok();
    at.leaf("app", "new").await;
    at.fetch("sandbox-2.pem", "chain2.pem").await;
    at.fetch_chain().await;
    // G3: the new one signs, and what the old one signed is good.
    for (chain, leaf) in [("chain2.pem", "new.pem"), ("chain.pem", "old.pem")] {
        Publishing::good(at.run(&["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", chain, leaf]).await);
    }
    at.step("sandbox-1", "retiring", false).await.ok();
    let refused = at.step("sandbox-1", "retired", false).await.refused(409, "issuer_in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("1 certificates"), "{refused}");
    at.step("sandbox-1", "retired", true).await.ok();
    at.step("sandbox-1", "active", true).await.refused(400, "invalid_argument");
    // G6: it goes on publishing, and calls nothing good that gateways refuse.
    assert!(at.ocsp(&["-cert", "old.pem"]).await.contains("old.pem: revoked"));
    at.fetch("sandbox-1.crl", "x.crl").await;
    at.plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn d10_every_kind_of_key_signs_certificates_lists_and_answers() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    at.fetch("root-1.pem", "root.pem").await;
    for kind in ["ecdsa-p256", "ecdsa-p384", "rsa-3072", "ed25519"] {
        let name = format!("of-{kind}");
        let order = json!({"name": name, "environment": "sandbox", "keyType": kind});
        at.plane.clock.advance(Lifetime::from_seconds(1));
        at.plane.post("/issuers", &at.plane.owner, order).await.ok();
        at.step(&name, "active", false).await.ok();
        at.leaf("app", kind).await;
        at.fetch(&format!("{name}.pem"), "chain.pem").await;
        at.fetch(&format!("{name}.crt"), "ca.der").await;
        Publishing::good(at.run(&["openssl", "x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem"]).await);
        let leaf = format!("{kind}.pem");
        Publishing::good(at.run(&["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "ca.pem", &leaf]).await);
        assert!(at.ocsp(&["-cert", &leaf]).await.contains("good"));
        at.fetch(&format!("{name}.crl"), "x.crl").await;
        Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", "x.crl", "-noout", "-verify", "-CAfile", "chain.pem"]).await);
    }
    let order = json!({"name": "odd", "keyType": "dsa"});
    at.plane.post("/issuers", &at.plane.owner, order).await.refused(400, "unknown_key_kind");
}

#[tokio::test]
async fn a_ca_made_elsewhere_is_taken_in_with_its_own_key_only_and_signs() {
    let at = Publishing::start().await;
    for name in ["theirs", "other"] {
        let subject = format!("/O=Theirs/CN={name}");
        let words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "900", "-subj"];
        let more = [subject.as_str(), "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature", "-keyout"];
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        Publishing::good(at.run(&[&words[..], &more, &[&key, "-out", &certificate]].concat()).await);
    }
    let read = |name: &str| std::fs::read_to_string(at.file(name)).unwrap();
    let import = async |body: Value| at.plane.post("/issuers/import", &at.plane.owner, body).await;
    import(json!({"name": "x", "certificate": read("theirs.pem"), "privateKey": read("other.key")})).await.refused(400, "key_mismatch");
    let both = format!("{}{}", read("theirs.pem"), read("theirs.key"));
    import(json!({"name": "x", "certificate": both})).await.refused(400, "private_key_in_upload");
    import(json!({"name": "x", "certificate": format!("{}{}", read("theirs.pem"), read("other.pem"))}))
        .await
        .refused(400, "invalid_argument");
    // OpenSSL's clock goes on while the plane's stands still.
    at.plane.clock.advance(Lifetime::from_seconds(600));
    import(json!({"name": "bare", "certificate": read("other.pem")})).await.ok();
    assert_eq!(at.issuer("bare").await["key"], "absent");
    at.step("bare", "active", false).await.refused(400, "invalid_argument");
    import(json!({"name": "theirs", "certificate": read("theirs.pem"), "privateKey": read("theirs.key")})).await.ok();
    import(json!({"name": "twice", "certificate": read("theirs.pem"), "privateKey": read("theirs.key")}))
        .await
        .refused(409, "already_exists");
    at.step("theirs", "active", false).await.ok();
    let under = json!({"name": "under-theirs", "environment": "sandbox", "parent": "theirs"});
    at.plane.post("/issuers", &at.plane.owner, under).await.ok();
    at.fetch("under-theirs.crt", "u.der").await;
    Publishing::good(at.run(&["openssl", "x509", "-inform", "DER", "-in", "u.der", "-out", "u.pem"]).await);
    Publishing::good(at.run(&["openssl", "verify", "-no_check_time", "-CAfile", "theirs.pem", "u.pem"]).await);
    let trail = format!("{:?}", at.plane.audit().await);
    assert!(!trail.contains("PRIVATE KEY"), "no private key is in the trail");
}

#[tokio::test]
async fn p19_a_policy_holds_for_what_is_issued_from_then_on() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    let patch = async |body: Value| at.plane.call("PATCH", "/issuers/sandbox-1", &at.plane.owner, body).await;
    patch(json!({"lifetimeDefaultDays": 30, "lifetimeMaxDays": 20})).await.refused(400, "invalid_argument");
    patch(json!({"lifetimeMaxDays": 2000})).await.refused(400, "invalid_argument");
    patch(json!({"crlUrl": "https://x/crl"})).await.refused(400, "invalid_argument");
    patch(json!({})).await.refused(400, "nothing_to_change");
    patch(json!({"lifetimeDefaultDays": 7, "lifetimeMaxDays": 10, "crlUrl": "http://crl.example/g1.crl", "resourceVersion": "1"}))
        .await
        .ok();
    patch(json!({"lifetimeMaxDays": 11, "resourceVersion": "1"})).await.refused(409, "resource_version_conflict");
    at.leaf("app", "leaf").await;
    let text = Publishing::good(at.run(&["openssl", "x509", "-in", "leaf.pem", "-noout", "-text"]).await);
    assert!(text.contains("URI:http://crl.example/g1.crl"), "{text}");
    assert!(at.run(&["openssl", "x509", "-in", "leaf.pem", "-noout", "-checkend", "600000"]).await.0);
    assert!(!at.run(&["openssl", "x509", "-in", "leaf.pem", "-noout", "-checkend", "605000"]).await.0);
}

#[tokio::test]
async fn p12_only_who_may_manage_the_account_touches_issuers() {
    let at = Publishing::start().await;
    let (_, developer) = at.plane.machine("dev", "developer", json!({})).await;
    for (method, path, body) in [
        ("POST", "/issuers", json!({"name": "mine"})),
        ("POST", "/issuers/import", json!({"name": "mine", "certificate": "x"})),
        ("PATCH", "/issuers/sandbox-1", json!({"state": "retiring"})),
    ] {
        let answer = at.plane.call(method, path, &developer, body).await;
        assert!(crate::harness::is_refusal_of_rights(answer.status), "{method} {path}: {}", answer.text);
    }
    assert_eq!(at.issuer("sandbox-1").await["state"], "active");
}

/// A self-signed CA as a file `<name>.pem`, with this key, made where it is not there yet, and these extensions.
async fn made_elsewhere(at: &Publishing, name: &str, key: &str, subject: &str, extensions: &str) -> String {
    let file = format!("{key}.key");
    if !at.file(&file).exists() {
        Publishing::good(at.run(&["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &file]).await);
    }
    let config = format!("[req]\ndistinguished_name=dn\nx509_extensions=ext\nstring_mask=utf8only\n[dn]\n[ext]\n{extensions}\n");
    std::fs::write(at.file("ca.cnf"), config).unwrap();
    let certificate = format!("{name}.pem");
    let words = ["openssl", "req", "-x509", "-config", "ca.cnf", "-utf8", "-key", &file, "-days", "900", "-subj", subject];
    Publishing::good(at.run(&[&words[..], &["-out", &certificate]].concat()).await);
    std::fs::read_to_string(at.file(&certificate)).unwrap()
}

const CA: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign";

async fn take_in(at: &Publishing, name: &str, certificate: &str, key: Option<&str>) -> crate::harness::Answer {
    let key = key.map(|key| std::fs::read_to_string(at.file(&format!("{key}.key"))).unwrap());
    at.plane.post("/issuers/import", &at.plane.owner, json!({"name": name, "certificate": certificate, "privateKey": key})).await
}

#[tokio::test]
async fn g2_a_key_is_one_issuers_even_under_another_certificate_and_after_that_issuer_was_retired() {
    let at = Publishing::start().await;
    let first = made_elsewhere(&at, "first", "k", "/O=Theirs/CN=1", CA).await;
    let again = made_elsewhere(&at, "again", "k", "/O=Theirs/CN=1", CA).await;
    assert_ne!(first, again);
    take_in(&at, "first", &first, Some("k")).await.ok();
    for key in [Some("k"), None] {
        take_in(&at, "again", &again, key).await.refused(409, "already_exists");
    }
    at.step("first", "retired", true).await.ok();
    take_in(&at, "again", &again, Some("k")).await.refused(409, "already_exists");
    // Nor is anything of the retired one changed any more.
    at.plane.call("PATCH", "/issuers/first", &at.plane.owner, json!({"lifetimeMaxDays": 9})).await.refused(400, "invalid_argument");
    let (one, two) = tokio::join!(
        async { take_in(&at, "par-1", &made_elsewhere(&at, "par", "p", "/O=Theirs/CN=2", CA).await, Some("p")).await.status },
        async { take_in(&at, "other", &again, Some("k")).await.status }
    );
    assert_eq!((one, two), (201, 409));
}

/// A CA as a file `<name>.pem` that `by` signed, with a key of its own and these extensions.
async fn made_below(at: &Publishing, name: &str, by: &str, extensions: &str) -> String {
    let file = |ending: &str| format!("{name}.{ending}");
    std::fs::write(at.file(&file("ext")), extensions).unwrap();
    let (subject, ca, ca_key) = (format!("/O=Theirs/CN={name}"), format!("{by}.pem"), format!("{by}.key"));
    let request = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", &subject];
    Publishing::good(at.run(&[&request[..], &["-keyout", &file("key"), "-out", &file("csr")]].concat()).await);
    let sign = ["openssl", "x509", "-req", "-days", "800", "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-extfile", &file("ext")];
    Publishing::good(at.run(&[&sign[..], &["-in", &file("csr"), "-out", &file("pem")]].concat()).await);
    std::fs::read_to_string(at.file(&file("pem"))).unwrap()
}

/// The same certificate with its last byte, which is of the signature, changed.
async fn damaged(at: &Publishing, name: &str) -> String {
    let (pem, der) = (format!("{name}.pem"), format!("{name}.der"));
    Publishing::good(at.run(&["openssl", "x509", "-in", &pem, "-outform", "DER", "-out", &der]).await);
    let mut bytes = std::fs::read(at.file(&der)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(at.file(&der), bytes).unwrap();
    Publishing::good(at.run(&["openssl", "x509", "-inform", "DER", "-in", &der]).await)
}

#[tokio::test]
async fn a7_a13_a_ca_whose_signature_or_path_others_would_refuse_is_not_imported() {
    let at = Publishing::start().await;
    // OpenSSL's clock goes on while the plane's stands still.
    at.plane.clock.advance(Lifetime::from_seconds(600));
    let with_room = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";
    made_elsewhere(&at, "alone", "alone", "/O=Theirs/CN=alone", CA).await;
    for key in [Some("alone"), None] {
        take_in(&at, "alone", &damaged(&at, "alone").await, key).await.refused(400, "bad_signature");
    }
    // Below a root that has room for no CA.
    let narrow = made_elsewhere(&at, "narrow", "narrow", "/O=Theirs/CN=narrow", CA).await;
    let below = made_below(&at, "below-narrow", "narrow", CA).await;
    take_in(&at, "below", &below, Some("below-narrow")).await.refused(400, "issuer_missing");
    take_in(&at, "narrow", &narrow, None).await.ok();
    take_in(&at, "below", &below, Some("below-narrow")).await.refused(400, "path_length");
    // Below a CA of which the root's limit leaves no room for another.
    let one = CA.replace("pathlen:0", "pathlen:1");
    let top = made_elsewhere(&at, "top", "top", "/O=Theirs/CN=top", &one).await;
    let middle = made_below(&at, "middle", "top", with_room).await;
    let bottom = made_below(&at, "bottom", "middle", CA).await;
    take_in(&at, "top", &top, None).await.ok();
    take_in(&at, "middle", &damaged(&at, "middle").await, None).await.refused(400, "bad_signature");
    take_in(&at, "middle", &middle, None).await.ok();
    take_in(&at, "bottom", &bottom, Some("bottom")).await.refused(400, "path_length");
    // One that fits is imported with the CAs above it, and OpenSSL takes what it signs.
    let root = made_elsewhere(&at, "wide", "wide", "/O=Theirs/CN=wide", with_room).await;
    let policy = made_below(&at, "policy", "wide", with_room).await;
    let issuing = made_below(&at, "issuing", "policy", CA).await;
    take_in(&at, "wide", &root, None).await.ok();
    take_in(&at, "policy", &policy, None).await.ok();
    take_in(&at, "issuing", &damaged(&at, "issuing").await, Some("issuing")).await.refused(400, "bad_signature");
    take_in(&at, "issuing", &issuing, Some("issuing")).await.ok();
    at.step("issuing", "active", false).await.ok();
    at.step("sandbox-1", "retiring", true).await.ok();
    application(&at.plane, "app").await;
    at.leaf("app", "leaf").await;
    at.fetch("issuing.pem", "chain.pem").await;
    let verify = ["openssl", "verify", "-x509_strict", "-no_check_time", "-CAfile", "wide.pem", "-untrusted", "chain.pem", "leaf.pem"];
    Publishing::good(at.run(&verify).await);
}

#[tokio::test]
async fn d11_a_ca_that_says_what_nobody_here_would_keep_to_is_not_taken_in() {
    let at = Publishing::start().await;
    let cases = [
        ("1.3.6.1.4.1.99999.1=critical,ASN1:NULL", "/O=Theirs/CN=x", "unknown_critical_extension"),
        ("nameConstraints=critical,permitted;DNS:example.com", "/O=Theirs/CN=x", "unsupported_name_constraint"),
        ("extendedKeyUsage=serverAuth", "/O=Theirs/CN=x", "not_for_client_auth"),
        ("", "/", "bad_name"),
        ("", "/O=Theirs/CN=x\ty", "bad_name"),
    ];
    for (extension, subject, code) in cases {
        let certificate = made_elsewhere(&at, "odd", "odd", subject, &format!("{CA}\n{extension}")).await;
        take_in(&at, "odd", &certificate, Some("odd")).await.refused(400, code);
    }
    let no_lists = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";
    let certificate = made_elsewhere(&at, "odd", "odd", "/O=Theirs/CN=x", no_lists).await;
    take_in(&at, "odd", &certificate, Some("odd")).await.refused(400, "not_a_crl_signer");
    // One that only completes chains signs no list here.
    take_in(&at, "odd", &certificate, None).await.ok();
    let fine = made_elsewhere(&at, "fine", "fine", "/O=Theirs/CN=y", &format!("{CA}\nextendedKeyUsage=clientAuth")).await;
    take_in(&at, "fine", &fine, Some("fine")).await.ok();
    at.plane.clock.advance(Lifetime::from_days(-30));
    at.step("fine", "active", false).await.refused(400, "ca_not_yet_valid");
    let late = made_elsewhere(&at, "late", "late", "/O=Theirs/CN=z", CA).await;
    take_in(&at, "late", &late, Some("late")).await.refused(400, "ca_not_yet_valid");
}

#[tokio::test]
async fn p5_what_a_retired_issuer_signed_is_nowhere_called_good() {
    let at = Publishing::start().await;
    application(&at.plane, "app").await;
    at.leaf("app", "fine").await;
    let bad = at.leaf("app", "bad").await;
    let held = at.leaf("app", "held").await;
    at.revoke(&bad, "keyCompromise").await;
    at.revoke(&held, "certificateHold").await;
    at.fetch_chain().await;
    at.fetch("root-1.crl", "before.crl").await;
    at.step("sandbox-1", "retiring", true).await.ok();
    let said = at.ocsp(&["-cert", "fine.pem"]).await;
    assert!(said.contains("fine.pem: good"), "{said}");
    at.step("sandbox-1", "retired", true).await.ok();
    let said = at.ocsp(&["-cert", "fine.pem", "-cert", "held.pem", "-cert", "bad.pem"]).await;
    assert!(!said.contains("good") && said.matches("cessationOfOperation").count() == 2 && said.contains("keyCompromise"), "{said}");
    // The CA itself, by its root's answer and by its root's list, which was made anew.
    Publishing::good(at.run(&["openssl", "ocsp", "-issuer", "root.pem", "-cert", "ca.pem", "-no_nonce", "-reqout", "r.der"]).await);
    let url = format!("{}/pki/ocsp", at.base);
    Publishing::good(at.run(&["curl", "-sf", "--data-binary", "@r.der", "-o", "a.der", &url]).await);
    let said = at.run(&["openssl", "ocsp", "-respin", "a.der", "-CAfile", "root.pem", "-text", "-noverify"]).await;
    assert!(Publishing::good(said).contains("Cert Status: revoked"), "a retired CA under our root");
    at.fetch("root-1.crl", "after.crl").await;
    for (list, fine) in [("before.crl", true), ("after.crl", false)] {
        let pem = format!("{list}.pem");
        Publishing::good(at.run(&["openssl", "crl", "-inform", "DER", "-in", list, "-out", &pem]).await);
        let (so, said) = at.run(&["openssl", "verify", "-crl_check", "-CAfile", "root.pem", "-CRLfile", &pem, "ca.pem"]).await;
        assert_eq!(so, fine, "{list}: {said}");
    }
}

/// A question about so many serial numbers that nobody knows.
async fn question(at: &Publishing, count: usize) -> Vec<u8> {
    let serials: Vec<String> = (1..=count).map(|n| format!("0x{n:x}")).collect();
    let mut words = vec!["openssl", "ocsp", "-issuer", "ca.pem", "-no_nonce", "-reqout", "r.der"];
    words.extend(serials.iter().flat_map(|serial| ["-serial", serial.as_str()]));
    Publishing::good(at.run(&words).await);
    std::fs::read(at.file("r.der")).unwrap()
}

async fn answer(app: Arc<App>, question: Vec<u8>) -> Vec<u8> {
    countersign_server::app::publication::ocsp(&app, countersign_x509::ocsp::Request::read(&question)).await
}

#[tokio::test]
async fn p17_a_question_about_many_certificates_reads_the_issuers_once() {
    let at = Publishing::start().await;
    at.fetch_chain().await;
    for n in 0..30 {
        let order = json!({"name": format!("more-{n}"), "environment": "sandbox"});
        at.plane.post("/issuers", &at.plane.owner, order).await.ok();
    }
    let mut times = Vec::new();
    for count in [1, 16] {
        let question = question(&at, count).await;
        let mut best = std::time::Duration::MAX;
        for _ in 0..10 {
            let begun = std::time::Instant::now();
            let said = answer(Arc::clone(&at.plane.app), question.clone()).await;
            best = best.min(begun.elapsed());
            assert!(said.len() > 300);
        }
        times.push(best);
    }
    // Every reading of them costs as much as all the rest together.
    assert!(times[1] < times[0] * 4, "{times:?}");
}

#[tokio::test]
async fn p17_many_questions_at_once_get_an_answer_each_or_are_told_to_come_again() {
    let at = Publishing::start().await;
    at.fetch_chain().await;
    let question = question(&at, 16).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..200 {
        asked.spawn(answer(Arc::clone(&at.plane.app), question.clone()));
    }
    let answers = asked.join_all().await;
    let later = [0x30, 3, 0x0a, 1, 3];
    assert!(answers.iter().all(|answer| answer.len() > 300 || *answer == later));
    assert!(answers.iter().any(|answer| *answer != later));
    assert!(answer(Arc::clone(&at.plane.app), question).await.len() > 300, "the flood is over");
}

//! What keeps an owner's certificates apart and few: names that look alike, one key under two names, keys that anybody knows, and how
//! many there may be (rules S14, C7 and C8 of research/pki.md).

use crate::harness::{Chance, Plane};
use crate::issuing::{application, ask, csr, key, order, plane};
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use countersign_x509::private_key::{KeyKind, LocalKey};
use countersign_x509::tcld::{CaRequest, generate_ca};
use countersign_x509::weak_list::WeakList;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// What openssl says, given `input`.
fn openssl(place: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .current_dir(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// A CA that the sandbox trusts, as `ca.pem` and `ca.key`; openssl signs with it.
struct Ca(tempfile::TempDir);

impl Ca {
    async fn new(plane: &Plane) -> Self {
        let request = CaRequest { organization: "Partner".to_owned(), validity: Lifetime::from_days(300), rsa: false };
        let (pem, key) = generate_ca(&request, plane.clock.now(), &Chance).unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("ca.pem"), &pem).unwrap();
        std::fs::write(place.path().join("ca.key"), key.expose()).unwrap();
        std::fs::write(place.path().join("ext"), "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n")
            .unwrap();
        plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": pem})).await.ok();
        Self(place)
    }

    fn sign(&self, csr: &str) -> String {
        let arguments = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "100", "-extfile", "ext"];
        String::from_utf8(openssl(self.0.path(), &arguments, csr.as_bytes())).unwrap()
    }
}

async fn upload(plane: &Plane, pem: &str) -> crate::harness::Answer {
    plane.post("/certificates", &plane.owner, json!({"certificate": pem, "application": "app", "environment": "sandbox"})).await
}

#[tokio::test]
async fn s14_a_name_that_looks_like_another_one_is_refused_with_both_spellings() {
    let plane = plane().await;
    application(&plane, "app").await;
    application(&plane, "other").await;
    let latin = ask(&plane, "app", &csr(&key(), "/O=Acme/CN=ape")).await.ok();
    let id = latin["id"].as_str().unwrap();
    // Every letter of it is Cyrillic, so no rule about one word in two scripts sees it.
    let cyrillic = csr(&key(), "/O=Acme/CN=\u{430}\u{440}\u{435}");
    let refused = ask(&plane, "app", &cyrillic).await.refused(409, "look_alike_of_another");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(id) && detail.contains("U+0430 U+0440 U+0435 here, U+0061 U+0070 U+0065 there"), "{detail}");
    for name in ["/O=Acme/CN=APE", "/O=Acme/CN=ape "] {
        ask(&plane, "app", &csr(&key(), name)).await.refused(409, "duplicate_certificate");
    }
    for (first, second) in [("/CN=billing1", "/CN=bi11ing1"), ("/CN=modern", "/CN=modem")] {
        ask(&plane, "app", &csr(&key(), first)).await.ok();
        ask(&plane, "app", &csr(&key(), second)).await.refused(409, "look_alike_of_another");
    }
    // What differs for the eye is no look-alike, and numbers never are each other's.
    for name in ["/CN=my-app", "/CN=my_app", "/CN=node-10", "/CN=node-20", "/CN=node-50"] {
        ask(&plane, "app", &csr(&key(), name)).await.ok();
    }
    // Another owner's names are his own affair.
    ask(&plane, "other", &cyrillic).await.ok();
    // A certificate of another CA is held to the same.
    let ca = Ca::new(&plane).await;
    let foreign = ca.sign(&csr(&key(), "/O=Acme/CN=\u{430}\u{440}\u{435}"));
    upload(&plane, &foreign).await.refused(409, "look_alike_of_another");
    // A successor looks like the one it replaces, and is welcome; what is revoked is in nobody's way.
    plane.post(&format!("/certificates/{id}/rotate"), &plane.owner, json!({"csr": csr(&key(), "/O=Acme/CN=ape")})).await.ok();
    let of_app = plane.get("/certificates?page_size=100", &plane.owner).await.ok();
    for one in of_app["items"].as_array().unwrap().iter().filter(|one| one["subject"] == "CN=ape,O=Acme") {
        plane.post(&format!("/certificates/{}/revoke", one["id"].as_str().unwrap()), &plane.owner, json!({})).await.ok();
    }
    ask(&plane, "app", &csr(&key(), "/O=Acme/CN=\u{430}\u{440}\u{435}")).await.ok();
}

#[tokio::test]
async fn looks_of_certificates_of_an_older_version_are_filled_in_beside_the_service() {
    let plane = plane().await;
    application(&plane, "app").await;
    ask(&plane, "app", &csr(&key(), "/CN=ape")).await.ok();
    assert!(!plane.app.fill_looks().await, "a new one has its look");
    let file = plane.directory.path().join("data/countersign.db");
    let forgotten = Command::new("sqlite3").arg(file).arg("UPDATE certificate SET look_digest = NULL").status();
    if !forgotten.is_ok_and(|status| status.success()) {
        return countersign_testkit::skipped("there is no sqlite3 on this machine to make rows of an older version with");
    }
    assert!(plane.app.fill_looks().await);
    assert!(!plane.app.fill_looks().await, "and then there is nothing left to do");
    ask(&plane, "app", &csr(&key(), "/CN=\u{430}\u{440}\u{435}")).await.refused(409, "look_alike_of_another");
}

#[tokio::test]
async fn c7_a_key_of_debians_broken_generator_is_refused_where_the_operator_names_the_list() {
    let plane = plane().await;
    application(&plane, "app").await;
    let ca = Ca::new(&plane).await;
    let place = tempfile::tempdir().unwrap();
    let weak = LocalKey::generate(KeyKind::Rsa2048).unwrap();
    let request = csr(&weak, "/CN=weak");
    // The name of a key as Debian's openssl-vulnkey makes it, by openssl itself.
    let line = openssl(place.path(), &["req", "-noout", "-modulus"], request.as_bytes());
    let digest = openssl(place.path(), &["dgst", "-sha1", "-r"], &line);
    let name = String::from_utf8(digest).unwrap()[20..40].to_owned();
    let mut list = WeakList::default();
    list.add(&format!("# Blacklist, made for this test\n{name}\n")).unwrap();
    plane.app.use_weak_keys(list);
    let refused = ask(&plane, "app", &request).await.refused(400, "debian_weak_key");
    assert!(refused["detail"].as_str().unwrap().contains("CVE-2008-0166"), "{refused}");
    upload(&plane, &ca.sign(&request)).await.refused(400, "debian_weak_key");
    let sound = ask(&plane, "app", &csr(&LocalKey::generate(KeyKind::Rsa2048).unwrap(), "/CN=sound")).await.ok();
    let rotate = format!("/certificates/{}/rotate", sound["id"].as_str().unwrap());
    plane.post(&rotate, &plane.owner, json!({"csr": csr(&weak, "/CN=sound")})).await.refused(400, "debian_weak_key");
}

#[tokio::test]
async fn c8_one_key_under_two_names_is_refused_and_an_unproven_one_keeps_out_no_holder() {
    let plane = plane().await;
    application(&plane, "app").await;
    let ca = Ca::new(&plane).await;
    let shared = key();
    let first = upload(&plane, &ca.sign(&csr(&shared, "/CN=one"))).await.ok();
    assert_eq!(first["proven"], false);
    let refused = upload(&plane, &ca.sign(&csr(&shared, "/CN=two"))).await.refused(409, "key_in_use");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("one key under two names") && detail.contains(first["id"].as_str().unwrap()), "{detail}");
    // Who proves that he holds the key is not kept out by a registration that nobody proved.
    ask(&plane, "app", &csr(&shared, "/CN=three")).await.ok();
    // Outside an application each certificate stands for itself, and the second name is only told of.
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let other = key();
    let register = async |name: &str| {
        let body = json!({"certificate": ca.sign(&csr(&other, name)), "serviceAccountId": machine});
        plane.post("/certificates", &plane.owner, body).await.ok()["warnings"].clone()
    };
    assert!(!register("/CN=four").await.to_string().contains("C8"));
    assert!(register("/CN=five").await.to_string().contains("one key under two names"));
}

#[tokio::test]
async fn an_owner_has_no_more_certificates_than_the_limit_however_many_ask_at_once() {
    let plane = plane().await;
    plane.app.use_certificate_limit(3);
    application(&plane, "app").await;
    application(&plane, "other").await;
    let bodies: Vec<Value> = (0..8).map(|n| order("app", &csr(&key(), &format!("/CN=at-once-{n}")))).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| plane.post("/certificates", &plane.owner, body.clone()))).await;
    let made: Vec<&Value> = answers.iter().filter(|answer| answer.status < 300).map(|answer| &answer.body["id"]).collect();
    assert_eq!(made.len(), 3);
    assert!(answers.iter().filter(|answer| answer.status >= 300).all(|answer| answer.code() == "limit_reached"));
    let ca = Ca::new(&plane).await;
    upload(&plane, &ca.sign(&csr(&key(), "/CN=foreign"))).await.refused(409, "limit_reached");
    ask(&plane, "other", &csr(&key(), "/CN=other")).await.ok();
    // At the limit a successor still takes its predecessor's place, or a rotation would fail at the worst moment.
    let name = plane.get(&format!("/certificates/{}", made[0].as_str().unwrap()), &plane.owner).await.ok()["subject"].clone();
    let rotate = format!("/certificates/{}/rotate", made[0].as_str().unwrap());
    plane.post(&rotate, &plane.owner, json!({"csr": csr(&key(), name.as_str().unwrap())})).await.ok();
    // What is revoked makes room.
    for id in &made[..2] {
        plane.post(&format!("/certificates/{}/revoke", id.as_str().unwrap()), &plane.owner, json!({})).await.ok();
    }
    ask(&plane, "app", &csr(&key(), "/CN=again")).await.ok();
    ask(&plane, "app", &csr(&key(), "/CN=once-more")).await.refused(409, "limit_reached");
}

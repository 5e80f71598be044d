//! Issuance: names told apart, keys in one certificate only, each step durable and in the trail (rules B4, C7, C8, D12 of
//! research/pki.md, S14 of seed 001).

use crate::issuing::{Gate, application, ask, assert_every_intent_has_one_end, csr, key, order, plane, with_one_blocking_thread};
use countersign_core::id::OperationId;
use countersign_core::identity::IdentityId;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::rest::CreateCertificate;
use countersign_server::app::caller::Caller;
use countersign_server::app::certificates;
use countersign_x509::facts;
use countersign_x509::pem::{self, Block};
use serde_json::{Value, json};

fn der_of(text: &Value) -> Vec<u8> {
    match pem::read(text.as_str().unwrap().as_bytes()).unwrap().blocks.remove(0) {
        Block::Certificate(der) => der,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn d12_a_certificate_is_recorded_before_it_is_signed_and_kept_before_it_is_shown() {
    let plane = plane().await;
    let app = application(&plane, "app").await;
    let made = ask(&plane, "app", &csr(&key(), "/O=Acme/CN=app-1")).await.ok();
    let id = made["id"].as_str().unwrap();
    let facts = facts::of(&der_of(&made["certificate"])).unwrap();
    assert_eq!((made["serial"].as_str(), made["subject"].as_str()), (Some(facts.serial.as_str()), Some("CN=app-1,O=Acme")));
    let life = facts.not_after.seconds() - facts.not_before.seconds() + 1;
    assert_eq!(life, 397 * 86_400, "397 days when none is asked for, the last second included");
    assert!(facts.issuer.contains("sandbox"), "{}", facts.issuer);
    assert_eq!(made["chain"].as_str().unwrap().matches("BEGIN").count(), 2);
    let shown = plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok();
    assert_eq!((&shown["ownerId"], &shown["ownerType"]), (&app["sandbox"]["id"], &json!("application")));
    assert_eq!((&shown["proven"], &shown["alias"], &shown["state"]), (&json!(true), &json!("app-1"), &json!("active")));
    let trail = plane.audit().await;
    let of: Vec<&Value> = trail.iter().filter(|entry| entry["objectId"] == id).collect();
    let actions: Vec<&str> = of.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(actions == ["IntendCertificate", "CreateCertificate"] || actions == ["CreateCertificate", "IntendCertificate"], "{actions:?}");
    assert_eq!(of[0]["operationId"], of[1]["operationId"], "both belong to one operation");
    assert!(plane.store.read().await.unwrap().unsettled_issuances(Timestamp::from_seconds(i64::MAX / 2_000_000)).await.unwrap().is_empty());
    plane.assert_snapshot_is_the_stores().await;
    assert_eq!(plane.get("/audit/verify", &plane.owner).await.ok()["ok"], true);
}

#[tokio::test]
async fn s14_a_second_certificate_of_a_name_is_refused_with_the_one_in_the_way_and_a_free_name() {
    let plane = plane().await;
    application(&plane, "app").await;
    application(&plane, "other").await;
    let first = ask(&plane, "app", &csr(&key(), "/O=Acme/CN=client")).await.ok();
    ask(&plane, "app", &csr(&key(), "/O=Acme/CN=client-2")).await.ok();
    // RFC 5280 section 7.1: case and white space make no difference.
    for same in ["/O=Acme/CN=client", "/O=ACME/CN=Client", "/O=Acme/CN=client  "] {
        let refused = ask(&plane, "app", &csr(&key(), same.trim_end())).await.refused(409, "duplicate_certificate");
        assert!(refused["detail"].as_str().unwrap().contains(first["id"].as_str().unwrap()), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("-3 is free"), "{refused}");
    }
    ask(&plane, "app", &csr(&key(), "/O=Acme/CN=client-3")).await.ok();
    ask(&plane, "other", &csr(&key(), "/O=Acme/CN=client")).await.ok();
    let production = json!({"csr": csr(&key(), "/O=Acme/CN=client"), "application": "app", "environment": "production"});
    plane.post("/certificates", &plane.owner, production).await.ok();
    let revoke = format!("/certificates/{}/revoke", first["id"].as_str().unwrap());
    plane.post(&revoke, &plane.owner, json!({})).await.ok();
    ask(&plane, "app", &csr(&key(), "/O=Acme/CN=client")).await.ok();
}

#[tokio::test]
async fn c8_a_key_is_in_one_certificate_only_and_nobody_learns_whose_it_is() {
    let plane = plane().await;
    application(&plane, "app").await;
    application(&plane, "other").await;
    let key = key();
    let first = ask(&plane, "app", &csr(&key, "/CN=one")).await.ok();
    let id = first["id"].as_str().unwrap();
    let mine = ask(&plane, "app", &csr(&key, "/CN=two")).await.refused(409, "key_in_use");
    assert!(mine["detail"].as_str().unwrap().contains(id));
    let theirs = ask(&plane, "other", &csr(&key, "/CN=two")).await.refused(409, "key_in_use");
    assert!(!theirs.to_string().contains(id), "{theirs}");
}

#[tokio::test]
async fn c7_the_key_of_an_issuer_and_a_blocked_key_get_no_certificate() {
    let plane = plane().await;
    application(&plane, "app").await;
    let burned = key();
    let carries = ask(&plane, "app", &csr(&burned, "/CN=carries")).await.ok();
    let pasted = json!({"csr": burned.to_pem().unwrap().expose(), "application": "app", "environment": "sandbox", "burn": true});
    let refused = plane.post("/certificates", &plane.owner, pasted).await.refused(400, "private_key_in_upload");
    assert!(refused["detail"].as_str().unwrap().contains("blocked for ever"), "{refused}");
    ask(&plane, "app", &csr(&burned, "/CN=x")).await.refused(409, "key_blocked");
    assert!(plane.app.snapshot().is_key_blocked(&facts_key(&csr(&burned, "/CN=x"))));
    let carries = plane.get(&format!("/certificates/{}", carries["id"].as_str().unwrap()), &plane.owner).await.ok();
    assert_eq!(carries["state"], "revoked", "what carries it is revoked with it");
    let again = json!({"certificate": burned.to_pem().unwrap().expose(), "burn": true});
    plane.post("/certificates", &plane.owner, again).await.refused(400, "private_key_in_upload");
    assert!(!plane.audit().await.iter().any(|entry| entry.to_string().contains("PRIVATE KEY")), "no key in the trail");
    plane.assert_snapshot_is_the_stores().await;
}

/// Two requests of RSA keys with one prime in common, made by OpenSSL of numbers that Python computes. Nothing where there is no Python.
fn requests_with_a_common_prime() -> Option<[String; 2]> {
    const MAKE: &str = r#"
import subprocess, sys
run = lambda *a, **k: subprocess.run(["openssl", *a], check=True, capture_output=True, text=True, **k).stdout
prime = lambda: int(run("prime", "-generate", "-bits", "1024", "-hex").strip(), 16)
common = prime()
for name in ("a", "b"):
    p, q, e = common, prime(), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = [0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
    lines = "\n".join(f"n{i}=INTEGER:{n}" for i, n in enumerate(numbers))
    open("conf", "w").write("asn1=SEQUENCE:key\n[key]\n" + lines + "\n")
    run("asn1parse", "-genconf", "conf", "-out", name + ".der", "-noout")
    run("rsa", "-inform", "DER", "-in", name + ".der", "-out", name + ".key")
    run("req", "-new", "-key", name + ".key", "-subj", "/CN=" + name, "-out", name + ".csr")
"#;
    let directory = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("python3").args(["-c", MAKE]).current_dir(directory.path()).output().ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(["a.csr", "b.csr"].map(|name| std::fs::read_to_string(directory.path().join(name)).unwrap()))
}

#[tokio::test]
async fn c7_a_key_that_shares_a_prime_with_one_known_here_gets_no_certificate() {
    let Some([one, other]) = requests_with_a_common_prime() else {
        return countersign_testkit::skipped("there is no python3 to compute such keys with");
    };
    let plane = plane().await;
    application(&plane, "app").await;
    ask(&plane, "app", &one).await.ok();
    let refused = ask(&plane, "app", &other).await.refused(400, "rsa_shared_prime");
    assert!(refused["detail"].as_str().unwrap().contains("prime in common"), "{refused}");
    plane.assert_snapshot_is_the_stores().await;
}

fn facts_key(csr: &str) -> countersign_core::credential::certificate::Fingerprint {
    countersign_x509::csr::CheckedCsr::parse(csr.as_bytes()).unwrap().key_fingerprint
}

#[tokio::test]
async fn the_same_operation_is_the_same_certificate_also_when_twenty_ask_at_once() {
    let plane = plane().await;
    application(&plane, "app").await;
    let body = order("app", &csr(&key(), "/CN=once"));
    let answers = futures_util::future::join_all((0..20).map(|_| plane.again("/certificates", &plane.owner, &body, "op-1"))).await;
    let ids: std::collections::BTreeSet<String> =
        answers.into_iter().map(|answer| answer.ok()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1);
    let list = plane.get("/certificates", &plane.owner).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert!(plane.store.read().await.unwrap().unsettled_issuances(Timestamp::from_seconds(i64::MAX / 2_000_000)).await.unwrap().is_empty());
    let other = order("app", &csr(&key(), "/CN=two"));
    plane.again("/certificates", &plane.owner, &other, "op-1").await.refused(409, "idempotency_conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_race_for_a_name_one_gets_it() {
    let plane = plane().await;
    application(&plane, "app").await;
    let requests: Vec<String> = (0..20).map(|_| csr(&key(), "/CN=raced")).collect();
    let answers = futures_util::future::join_all(requests.iter().map(|one| ask(&plane, "app", one))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "duplicate_certificate").count(), 19);
    assert!(plane.store.read().await.unwrap().unsettled_issuances(Timestamp::from_seconds(i64::MAX / 2_000_000)).await.unwrap().is_empty());
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn d2_a_life_beyond_the_policy_is_refused_and_a_shorter_one_is_exact() {
    let plane = plane().await;
    application(&plane, "app").await;
    let mut body = order("app", &csr(&key(), "/CN=a"));
    body["duration"] = json!("398d");
    plane.post("/certificates", &plane.owner, body).await.refused(400, "validity_out_of_range");
    for bad in ["0d", "-1d", "soon", ""] {
        let mut body = order("app", &csr(&key(), "/CN=a"));
        body["duration"] = json!(bad);
        plane.post("/certificates", &plane.owner, body).await.refused(400, "invalid_argument");
    }
    let mut body = order("app", &csr(&key(), "/CN=a"));
    body["duration"] = json!("90d");
    let made = plane.post("/certificates", &plane.owner, body).await.ok();
    let end = countersign_proto::convert::parse_time(made["notAfter"].as_str().unwrap()).unwrap();
    use countersign_server::Clock as _;
    assert_eq!(end.seconds(), plane.clock.now().plus(Lifetime::from_days(90)).seconds());
}

/// Polls a future so often and then drops it, as when the process ends there.
async fn cut_after<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
            std::task::Poll::Pending => std::task::Poll::Ready(None),
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
        }
    })
    .await
}

#[test]
fn d12_cut_at_every_step_nothing_signed_is_unknown_and_nothing_half_made_is_usable() {
    with_one_blocking_thread(cut_at_every_step());
}

async fn cut_at_every_step() {
    let plane = plane().await;
    application(&plane, "app").await;
    let owner = plane.get("/users", &plane.owner).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let mut finished = 0;
    for polls in 1..400 {
        let body: CreateCertificate = serde_json::from_value(order("app", &csr(&key(), &format!("/CN=cut-{polls}")))).unwrap();
        // Not by the router, which lets a change go on when its caller hangs up.
        let caller =
            Caller { operation: OperationId::parse(&format!("op-{polls}")).ok(), ..Caller::system(IdentityId::parse(&owner).unwrap()) };
        // The first one ends between intent and signature for certain; later ones wherever so many steps lead.
        let gate = (polls == 1).then(Gate::close);
        let answer = cut_after(certificates::create(&plane.app, &caller, body.clone()), polls).await;
        drop(gate);
        // Half a minute later it may still be under way, after more than one it is given up.
        plane.clock.advance(Lifetime::from_seconds(61));
        plane.app.settle_issuances().await;
        let mut reader = plane.store.read().await.unwrap();
        assert!(reader.unsettled_issuances(Timestamp::from_seconds(i64::MAX / 2_000_000)).await.unwrap().is_empty(), "{polls}");
        drop(reader);
        // The same request again is the same operation, and ends with exactly one certificate.
        let made = certificates::create(&plane.app, &caller, body).await.unwrap();
        if let Some(answer) = answer {
            assert_eq!(answer.unwrap().id, made.id, "{polls}");
            finished += 1;
            if finished == 3 {
                break;
            }
        }
    }
    assert_eq!(finished, 3, "an issuance takes fewer steps than were tried");
    assert!(assert_every_intent_has_one_end(&plane).await > 0, "some were cut between intent and end");
}

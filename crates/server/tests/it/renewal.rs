//! Renewal by the old certificate: who signs with its key gets its successor, and nobody else gets anything.

use crate::harness::{Answer, Chance, Plane};
use crate::issuing::{application, ask, csr, key, plane};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::time::Lifetime;
use countersign_server::Clock as _;
use countersign_x509::pem::{self, Block};
use countersign_x509::private_key::{LocalKey, Signer as _};
use countersign_x509::request;
use countersign_x509::subject::Subject;
use countersign_x509::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use serde_json::{Value, json};

/// A certificate that was issued here, with its key.
struct Held {
    id: String,
    der: Vec<u8>,
    key: LocalKey,
}

fn der_of(text: &str) -> Vec<u8> {
    match pem::read(text.as_bytes()).unwrap().blocks.remove(0) {
        Block::Certificate(der) => der,
        other => panic!("{other:?}"),
    }
}

async fn issued(plane: &Plane, cn: &str) -> Held {
    let key = key();
    let csr = request::build_pem(&key, &Subject::parse(&format!("/O=Acme/CN={cn}")).unwrap(), &[]).unwrap();
    let made = plane.post("/certificates", &plane.owner, json!({"csr": csr, "alias": cn})).await.ok();
    Held { id: made["id"].as_str().unwrap().to_owned(), der: der_of(made["certificate"].as_str().unwrap()), key }
}

async fn challenge(plane: &Plane, der: &[u8], csr: &[u8]) -> String {
    let body = json!({"fingerprintSha256": Fingerprint::of(der).to_string(), "requestSha256": Fingerprint::of(csr).to_string()});
    plane.post("/certificates/renewal/challenge", "", body).await.ok()["challenge"].as_str().unwrap().to_owned()
}

fn proof(old: &Held, challenge: &str, csr: &[u8]) -> Value {
    let signature = STANDARD.encode(old.key.sign(challenge.as_bytes()).unwrap());
    json!({"certificate": pem::certificate(&old.der), "challenge": challenge, "signature": signature, "csr": STANDARD.encode(csr)})
}

/// Of a leaked certificate, its chain of successors that nobody logged in for: the last of them, with its key.
async fn renewed(plane: &Plane, old: &Held) -> Held {
    let new = key();
    let made = renew(plane, old, &new).await.ok();
    Held { id: made["id"].as_str().unwrap().to_owned(), der: der_of(made["certificate"].as_str().unwrap()), key: new }
}

async fn state(plane: &Plane, id: &str) -> (String, String) {
    let shown = plane.get(&format!("/certificates/{id}"), &plane.owner).await.ok();
    let text = |member: &str| shown[member].as_str().unwrap_or_default().to_owned();
    (text("state"), text("revocationReason"))
}

async fn renew(plane: &Plane, old: &Held, new: &LocalKey) -> Answer {
    let csr = request::successor(new, &old.der).unwrap();
    let challenge = challenge(plane, &old.der, &csr).await;
    plane.post("/certificates/renewal", "", proof(old, &challenge, &csr)).await
}

#[tokio::test]
async fn the_old_keys_signature_gets_a_successor_of_the_same_rights_and_the_trail_says_by_what() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let new = key();
    let made = renew(&plane, &old, &new).await.ok();
    let before = plane.get(&format!("/certificates/{}", old.id), &plane.owner).await.ok();
    let after = plane.get(&format!("/certificates/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
    for same in ["ownerId", "ownerType", "subject", "apis", "alias", "issuer"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!((before["state"].as_str(), after["state"].as_str()), (Some("active"), Some("active")), "both work until the old one goes");
    assert_eq!((&made["replaces"], der_of(made["certificate"].as_str().unwrap()) != old.der), (&before["id"], true));
    let entries = plane.audit().await;
    let entry = entries.iter().find(|e| e["action"] == "RotateCertificate" && e["result"] == "ok").unwrap();
    assert_eq!(entry["credential"].as_str(), Some(old.id.as_str()), "{entry}");
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn the_same_request_again_is_the_same_certificate_and_another_key_is_refused() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let new = key();
    let csr = request::successor(&new, &old.der).unwrap();
    let text = challenge(&plane, &old.der, &csr).await;
    let first = plane.post("/certificates/renewal", "", proof(&old, &text, &csr)).await.ok();
    let repeated = plane.post("/certificates/renewal", "", proof(&old, &text, &csr)).await.ok();
    // An answer was lost and the challenge has ended: the key is what the successor is known by.
    plane.clock.advance(Lifetime::from_seconds(7200));
    let later = renew(&plane, &old, &new).await.ok();
    assert_eq!((&first["certificate"], &first["id"]), (&repeated["certificate"], &repeated["id"]));
    assert_eq!((&first["certificate"], &first["id"]), (&later["certificate"], &later["id"]));
    renew(&plane, &old, &key()).await.refused(409, "already_renewed");
    let next = Held { id: String::new(), der: der_of(first["certificate"].as_str().unwrap()), key: new };
    renew(&plane, &next, &key()).await.ok();
}

#[tokio::test]
async fn without_the_old_key_nobody_learns_whether_there_is_such_a_certificate() {
    let plane = plane().await;
    let (old, new) = (issued(&plane, "billing").await, key());
    let csr = request::successor(&new, &old.der).unwrap();
    let thief = Held { id: String::new(), der: old.der.clone(), key: key() };
    let text = challenge(&plane, &old.der, &csr).await;
    let known = plane.post("/certificates/renewal", "", proof(&thief, &text, &csr)).await.refused(400, "possession_not_proved");
    // The same with a certificate that nobody here knows.
    let now = countersign_core::Timestamp::from_seconds(1_800_000_000);
    let ca = CaRequest { organization: "Elsewhere".to_owned(), validity: Lifetime::from_days(90), rsa: false };
    let (certificate, _) = generate_ca(&ca, now, &Chance).unwrap();
    let stranger = Held { id: String::new(), der: der_of(&certificate), key: key() };
    let text = challenge(&plane, &stranger.der, &csr).await;
    let unknown = plane.post("/certificates/renewal", "", proof(&stranger, &text, &csr)).await.refused(400, "possession_not_proved");
    assert_eq!((&known["detail"], &known["title"]), (&unknown["detail"], &unknown["title"]));
}

#[tokio::test]
async fn a_challenge_renews_by_its_own_request_alone_and_only_for_an_hour() {
    let plane = plane().await;
    let (old, new) = (issued(&plane, "billing").await, key());
    let csr = request::successor(&new, &old.der).unwrap();
    let text = challenge(&plane, &old.der, &csr).await;
    // Somebody who saw the signature sends a request of his own with it.
    let other = request::successor(&key(), &old.der).unwrap();
    let mut swapped = proof(&old, &text, &csr);
    swapped["csr"] = STANDARD.encode(&other).into();
    plane.post("/certificates/renewal", "", swapped).await.refused(400, "challenge_not_ours");
    // A text that was made up, and a signature that was given for the registration of a certificate.
    let forged = text.replace("nonce: ", "nonce: 0");
    plane.post("/certificates/renewal", "", proof(&old, &forged, &csr)).await.refused(400, "challenge_not_ours");
    let asked = plane.post("/certificates/challenge", &plane.owner, json!({"certificate": pem::certificate(&old.der)})).await;
    if let Some(registration) = asked.body["challenge"].as_str() {
        plane.post("/certificates/renewal", "", proof(&old, registration, &csr)).await.refused(400, "challenge_not_ours");
    }
    plane.clock.advance(Lifetime::from_seconds(3601));
    plane.post("/certificates/renewal", "", proof(&old, &text, &csr)).await.refused(400, "challenge_expired");
}

#[tokio::test]
async fn a_revoked_or_ended_certificate_renews_nothing_and_the_trail_shows_who_tried() {
    let plane = plane().await;
    let (revoked, ended) = (issued(&plane, "revoked").await, issued(&plane, "ended").await);
    plane.post(&format!("/certificates/{}/revoke", revoked.id), &plane.owner, json!({"reason": "superseded"})).await.ok();
    renew(&plane, &revoked, &key()).await.refused(409, "certificate_revoked");
    plane.clock.advance(Lifetime::from_days(89));
    renew(&plane, &ended, &key()).await.ok();
    let tried = plane.audit().await.into_iter().find(|e| e["result"] == "certificate_revoked").unwrap();
    assert_eq!((&tried["action"], tried["credential"].as_str()), (&json!("RotateCertificate"), Some(revoked.id.as_str())));
    plane.clock.advance(Lifetime::from_days(400));
    renew(&plane, &ended, &key()).await.refused(409, "certificate_expired");
}

/// Nothing that a retired issuer signed gets in, and so nothing of it comes back in by a successor.
#[tokio::test]
async fn g1_what_a_retired_issuer_signed_renews_nothing() {
    let plane = plane().await;
    let old = issued(&plane, "orphan").await;
    let next = json!({"name": "production-2", "environment": "production"});
    plane.post("/issuers", &plane.owner, next).await.ok();
    for (name, state) in [("production-2", "active"), ("production-1", "retiring"), ("production-1", "retired")] {
        plane.call("PATCH", &format!("/issuers/{name}"), &plane.owner, json!({"state": state, "force": true})).await.ok();
    }
    renew(&plane, &old, &key()).await.refused(409, "certificate_revoked");
}

#[tokio::test]
async fn a_successor_has_the_old_name_and_life_and_a_new_key() {
    let plane = plane().await;
    let key_of_old = key();
    let csr = request::build_pem(&key_of_old, &Subject::parse("/O=Acme/CN=short").unwrap(), &[]).unwrap();
    let made = plane.post("/certificates", &plane.owner, json!({"csr": csr, "alias": "short", "duration": "30d"})).await.ok();
    let old = Held { id: made["id"].as_str().unwrap().to_owned(), der: der_of(made["certificate"].as_str().unwrap()), key: key_of_old };
    for subject in ["/O=Acme/CN=admin", "/O=Other/CN=short"] {
        let csr = request::build(&key(), &Subject::parse(subject).unwrap(), &[]).unwrap();
        let text = challenge(&plane, &old.der, &csr).await;
        plane.post("/certificates/renewal", "", proof(&old, &text, &csr)).await.refused(400, "invalid_argument");
    }
    let same = request::successor(&old.key, &old.der).unwrap();
    let text = challenge(&plane, &old.der, &same).await;
    plane.post("/certificates/renewal", "", proof(&old, &text, &same)).await.refused(409, "key_in_use");
    let next = renew(&plane, &old, &key()).await.ok();
    let life = |der: &[u8]| {
        let facts = countersign_x509::facts::of(der).unwrap();
        facts.not_after.since(facts.not_before)
    };
    assert_eq!(life(&der_of(next["certificate"].as_str().unwrap())), life(&old.der), "no longer life than the one it follows");
}

#[tokio::test]
async fn successors_are_not_made_as_fast_as_somebody_can_sign() {
    let plane = plane().await;
    let mut held = issued(&plane, "billing").await;
    let mut made = 0;
    loop {
        let new = key();
        let answer = renew(&plane, &held, &new).await;
        if answer.status == 429 {
            break;
        }
        let answer = answer.ok();
        held = Held { id: String::new(), der: der_of(answer["certificate"].as_str().unwrap()), key: new };
        made += 1;
        assert!(made < 30, "it never ends");
    }
    plane.clock.advance(Lifetime::from_seconds(3600));
    renew(&plane, &held, &key()).await.ok();
}

#[tokio::test]
async fn a_short_life_is_renewed_for_ever_when_it_is_time() {
    let plane = plane().await;
    let first = key();
    let made = plane.post("/certificates", &plane.owner, json!({"csr": csr(&first, "/CN=short"), "duration": "10m"})).await.ok();
    let mut held = Held { id: String::new(), der: der_of(made["certificate"].as_str().unwrap()), key: first };
    for _ in 0..24 {
        plane.clock.advance(Lifetime::from_seconds(400));
        let new = key();
        let answer = renew(&plane, &held, &new).await.ok();
        held = Held { id: String::new(), der: der_of(answer["certificate"].as_str().unwrap()), key: new };
    }
}

#[tokio::test]
async fn failed_renewals_slow_the_address_they_come_from_and_never_the_holder() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let csr = request::successor(&key(), &old.der).unwrap();
    let thief = Held { id: String::new(), der: old.der.clone(), key: key() };
    let text = challenge(&plane, &old.der, &csr).await;
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(plane.post("/certificates/renewal", "", proof(&thief, &text, &csr)).await.status);
    }
    assert_eq!((codes.first(), codes.last()), (Some(&400), Some(&429)), "{codes:?}");
    // What needs no key at all, from the same address as the holder's: not even that keeps him from renewing.
    let junk = json!({"certificate": pem::certificate(&old.der), "challenge": "x", "signature": "AAAA", "csr": "x"});
    assert_eq!(plane.post("/certificates/renewal", "", junk).await.status, 429);
    renew(&plane, &old, &key()).await.ok();
}

#[tokio::test]
async fn an_applications_certificate_renews_by_its_environments_issuer_and_ends_with_the_application() {
    let plane = plane().await;
    let application = application(&plane, "billing").await;
    let key_of_old = key();
    let made = ask(&plane, application["id"].as_str().unwrap(), &csr(&key_of_old, "/O=Acme/CN=billing")).await.ok();
    let old = Held { id: made["id"].as_str().unwrap().to_owned(), der: der_of(made["certificate"].as_str().unwrap()), key: key_of_old };
    let new = key();
    let next = renew(&plane, &old, &new).await.ok();
    let issuer = |text: &str| countersign_x509::facts::of(&der_of(text)).unwrap().issuer;
    assert_eq!(issuer(made["certificate"].as_str().unwrap()), issuer(next["certificate"].as_str().unwrap()));
    let next = Held { id: String::new(), der: der_of(next["certificate"].as_str().unwrap()), key: new };
    let id = application["id"].as_str().unwrap();
    let gone = plane.call("DELETE", &format!("/applications/{id}"), &plane.owner, Value::Null).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let refused = renew(&plane, &next, &key()).await;
    assert!(["not_found", "certificate_revoked"].contains(&refused.code()), "{}", refused.text);
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_not_renewed_here() {
    let plane = plane().await;
    let now = plane.clock.now();
    let ca = CaRequest { organization: "Elsewhere".to_owned(), validity: Lifetime::from_days(90), rsa: false };
    let (ca, ca_key) = generate_ca(&ca, now, &Chance).unwrap();
    let leaf = LeafRequest {
        organization: "Elsewhere".to_owned(),
        organizational_unit: Some("ops".to_owned()),
        common_name: Some("x".to_owned()),
        validity: None,
    };
    let (certificate, leaf_key) = generate_leaf(&leaf, &ca, ca_key.expose(), now, &Chance).unwrap();
    plane.post("/certificates", &plane.owner, json!({"certificate": certificate})).await.ok();
    let held = Held { id: String::new(), der: der_of(&certificate), key: LocalKey::from_pem(leaf_key.expose()).unwrap() };
    renew(&plane, &held, &key()).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_compromised_key_takes_along_every_successor_that_was_made_by_it_alone() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let first = renewed(&plane, &old).await;
    let second = renewed(&plane, &first).await;
    let said = plane.post(&format!("/certificates/{}/revoke", old.id), &plane.owner, json!({"reason": "keyCompromise"})).await.ok();
    let named: Vec<_> = said["certificates"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert!(said["count"] == 3 && [&old, &first, &second].iter().all(|one| named.contains(&one.id.as_str())), "{said}");
    for gone in [&first, &second] {
        assert_eq!(state(&plane, &gone.id).await, ("revoked".to_owned(), "privilegeWithdrawn".to_owned()));
        renew(&plane, gone, &key()).await.refused(409, "certificate_revoked");
    }
    assert_eq!(state(&plane, &old.id).await.1, "keyCompromise");
    plane.assert_snapshot_is_the_stores().await;
}

/// Who learns of a leak first has a new certificate made, and then ends the old one: the new one is not the thief's.
#[tokio::test]
async fn a_successor_that_somebody_logged_in_for_outlives_the_compromise_of_the_old_key_and_is_named() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let new = key();
    let csr = STANDARD.encode(request::successor(&new, &old.der).unwrap());
    let made = plane.post(&format!("/certificates/{}/rotate", old.id), &plane.owner, json!({"csr": csr})).await.ok();
    let good = Held { id: made["id"].as_str().unwrap().to_owned(), der: der_of(made["certificate"].as_str().unwrap()), key: new };
    let next = renewed(&plane, &good).await;
    let said = plane.post(&format!("/certificates/{}/revoke", old.id), &plane.owner, json!({"reason": "keyCompromise"})).await.ok();
    assert_eq!(said["count"], 1, "{said}");
    assert!(said["warnings"][0].as_str().unwrap().contains(&good.id), "{said}");
    for one in [&good, &next] {
        assert_eq!(state(&plane, &one.id).await.0, "active");
    }
}

#[tokio::test]
async fn a_successor_that_a_revocation_leaves_is_named_and_the_thiefs_line_is_found_past_one_that_was_ended_before() {
    let plane = plane().await;
    let old = issued(&plane, "billing").await;
    let first = renewed(&plane, &old).await;
    let second = renewed(&plane, &first).await;
    let revoke =
        async |id: &str, reason: &str| plane.post(&format!("/certificates/{id}/revoke"), &plane.owner, json!({"reason": reason})).await;
    let said = revoke(&first.id, "superseded").await.ok();
    assert!(said["count"] == 1 && said["warnings"][0].as_str().unwrap().contains(&second.id), "{said}");
    let said = revoke(&old.id, "keyCompromise").await.ok();
    assert_eq!(said["count"], 2, "{said}");
    assert_eq!(state(&plane, &second.id).await.0, "revoked");
    assert_eq!(state(&plane, &first.id).await.1, "superseded", "what it ended for stays");
    let again = revoke(&old.id, "keyCompromise").await.refused(400, "nothing_to_change");
    assert!(again["detail"].as_str().unwrap().contains("keyCompromise"), "{again}");
}

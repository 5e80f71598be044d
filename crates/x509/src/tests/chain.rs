//! Rules E2, E3, B5 and the behaviour in time.

use super::fixtures::*;
use crate::certificate::{Certificate, SERVER_AUTH};
use crate::chain::{Anchors, ChainError, ChainFacts, verify};
use crate::issue::{COMMON_NAME, ORGANIZATION, ORGANIZATIONAL_UNIT};
use countersign_core::credential::certificate::Fingerprint;
use std::time::Instant;

fn anchors(cas: &[&Made]) -> Anchors {
    Anchors::new(&cas.iter().map(|ca| accepted(ca)).collect::<Vec<_>>())
}

fn check(anchors: &Anchors, leaf: &Made, between: &[&Made]) -> Result<ChainFacts, ChainError> {
    let between: Vec<&[u8]> = between.iter().map(|m| m.der.as_slice()).collect();
    verify(anchors, &leaf.der, &between, now())
}

#[test]
fn a_leaf_chains_over_a_presented_intermediate() {
    let root = root("root");
    let middle = make(&Spec { to: now().plus(days(30)), ..ca_spec("middle") }, Some(&root));
    let leaf = make(&Spec { from: now().minus(days(2)), ..leaf_spec("leaf") }, Some(&middle));
    let facts = check(&anchors(&[&root]), &leaf, &[&middle]).unwrap();
    let middle_facts = crate::facts::of(&middle.der).unwrap();
    assert_eq!(facts.anchor, Fingerprint::of(&root.der));
    assert_eq!((facts.not_before, facts.not_after), (middle_facts.not_before, middle_facts.not_after));
    assert_eq!(check(&anchors(&[&root]), &leaf, &[]), Err(ChainError::UnknownIssuer));
    // A client that sends its root along, or the leaf twice, does no harm.
    assert!(check(&anchors(&[&root]), &leaf, &[&leaf, &middle, &root]).is_ok());
}

#[test]
fn an_intermediate_of_the_bundle_need_not_be_presented() {
    let root = root("root");
    let middle = make(&ca_spec("middle"), Some(&root));
    let leaf = client("leaf", &middle);
    for bundle in [[&root, &middle], [&middle, &root]] {
        for presented in [&[][..], &[&middle]] {
            assert_eq!(check(&anchors(&bundle), &leaf, presented).unwrap().anchor, Fingerprint::of(&middle.der));
        }
    }
    // Once it is removed, only clients that present it are let in, by the root.
    assert_eq!(check(&anchors(&[&root]), &leaf, &[]), Err(ChainError::UnknownIssuer));
    assert_eq!(check(&anchors(&[&root]), &leaf, &[&middle]).unwrap().anchor, Fingerprint::of(&root.der));
    // Of two links the lower one is named.
    let lower = make(&ca_spec("lower"), Some(&middle));
    let facts = check(&anchors(&[&root, &lower, &middle]), &client("leaf", &lower), &[]).unwrap();
    assert_eq!(facts.anchor, Fingerprint::of(&lower.der));
    // Alone in the bundle it is the anchor itself.
    assert_eq!(check(&anchors(&[&middle]), &leaf, &[]).unwrap().anchor, Fingerprint::of(&middle.der));
}

#[test]
fn what_a_root_forbids_binds_the_intermediates_of_the_bundle() {
    let root = make(&Spec { to: now().minus(days(1)), from: now().minus(days(9)), ..ca_spec("root") }, None);
    let middle = make(&ca_spec("middle"), Some(&root));
    let facts = check(&anchors(&[&root, &middle]), &client("leaf", &middle), &[]).unwrap();
    assert!(facts.not_after < now(), "the root's end is the end");
}

#[test]
fn another_tenants_client_is_a_stranger() {
    let (ours, theirs) = (root("ours"), root("theirs"));
    assert_eq!(check(&anchors(&[&ours]), &client("leaf", &theirs), &[]), Err(ChainError::UnknownIssuer));
    // A namesake with another key, with and without key identifiers.
    let forged = root("ours");
    assert_eq!(check(&anchors(&[&ours]), &client("leaf", &forged), &[]), Err(ChainError::BadSignature));
    let bare = make(&Spec { key_ids: false, ..leaf_spec("leaf") }, Some(&forged));
    assert!(check(&anchors(&[&ours]), &bare, &[]).is_err());
    assert_eq!(check(&anchors(&[]), &client("leaf", &ours), &[]), Err(ChainError::UnknownIssuer));
}

#[test]
fn an_expired_leaf_yields_facts_so_that_the_refusal_can_say_so() {
    let root = root("root");
    let leaf = make(&Spec { from: now().minus(days(20)), to: now().minus(days(10)), ..leaf_spec("leaf") }, Some(&root));
    let facts = check(&anchors(&[&root]), &leaf, &[]).unwrap();
    assert_eq!(facts.not_after, crate::facts::of(&leaf.der).unwrap().not_after);
    let early = make(&Spec { from: now().plus(days(10)), to: now().plus(days(20)), ..leaf_spec("leaf") }, Some(&root));
    assert!(check(&anchors(&[&root]), &early, &[]).unwrap().not_before > now());
    // Expired and foreign stays foreign.
    assert_eq!(check(&anchors(&[&super::fixtures::root("other")]), &leaf, &[]), Err(ChainError::UnknownIssuer));
}

#[test]
fn an_expired_intermediate_yields_facts_too() {
    let root = root("root");
    let middle = make(&Spec { from: now().minus(days(20)), to: now().minus(days(10)), ..ca_spec("middle") }, Some(&root));
    let leaf = make(&Spec { from: now().minus(days(15)), ..leaf_spec("leaf") }, Some(&middle));
    assert!(check(&anchors(&[&root]), &leaf, &[&middle]).unwrap().not_after < now());
}

#[test]
fn a_renewed_intermediate_wins_over_its_expired_self() {
    let root = root("root");
    let old = make(&Spec { from: now().minus(days(20)), to: now().minus(days(1)), ..ca_spec("middle") }, Some(&root));
    let key = crate::private_key::LocalKey::from_pem(&old.key_pem()).unwrap();
    let new = make_with(&ca_spec("middle"), Some(&root), Some(key));
    let leaf = client("leaf", &old);
    for presented in [[&old, &new], [&new, &old]] {
        assert!(check(&anchors(&[&root]), &leaf, &presented).unwrap().not_after > now());
    }
    // The bundle may hold the good one while the client still sends the old one.
    assert!(check(&anchors(&[&root, &new]), &leaf, &[&old]).unwrap().not_after > now());
    // An expired stranger is a stranger all the same.
    let stranger = super::fixtures::root("stranger");
    assert!(check(&anchors(&[&stranger]), &leaf, &[&old]).is_err());
}

#[test]
fn a_good_anchor_wins_over_an_expired_one_of_the_same_key() {
    let old = make(&Spec { from: now().minus(days(20)), to: now().minus(days(1)), ..ca_spec("root") }, None);
    let key = crate::private_key::LocalKey::from_pem(&old.key_pem()).unwrap();
    let new = make_with(&ca_spec("root"), None, Some(key));
    let leaf = client("leaf", &old);
    for order in [[&old, &new], [&new, &old]] {
        let facts = check(&anchors(&order), &leaf, &[]).unwrap();
        assert_eq!(facts.anchor, Fingerprint::of(&new.der));
        assert!(facts.not_after > now());
    }
    let facts = check(&anchors(&[&old]), &leaf, &[]).unwrap();
    assert!(facts.not_after < now());
}

#[test]
fn one_expired_ca_does_not_touch_the_clients_of_the_other() {
    let old = make(&Spec { from: now().minus(days(20)), to: now().minus(days(1)), ..ca_spec("old") }, None);
    let new = root("new");
    let both = anchors(&[&old, &new]);
    assert!(check(&both, &client("a", &new), &[]).unwrap().not_after > now());
    assert!(check(&both, &client("b", &old), &[]).unwrap().not_after < now());
}

#[test]
fn a_hundred_anchors_of_one_name_stay_fast_and_the_right_one_is_found() {
    let many: Vec<Made> = (0..100).map(|_| root("same")).collect();
    let anchors = anchors(&many.iter().collect::<Vec<_>>());
    let leaf = client("leaf", &many[73]);
    let bare = make(&Spec { key_ids: false, ..leaf_spec("bare") }, Some(&many[99]));
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(check(&anchors, &leaf, &[]).unwrap().anchor, Fingerprint::of(&many[73].der));
        let _ = check(&anchors, &bare, &[]);
    }
    assert!(start.elapsed().as_millis() < 2_000, "{:?}", start.elapsed());
}

#[test]
fn a_ca_renewed_with_its_old_key_keeps_its_clients_whatever_its_key_identifier() {
    let old = root("root");
    let key = crate::private_key::LocalKey::from_pem(&old.key_pem()).unwrap();
    let dir = Dir::new();
    dir.write("k.pem", old.key_pem());
    // OpenSSL writes the SHA-1 form of the identifier, we write the SHA-256 form.
    dir.openssl("req -x509 -new -key k.pem -days 9 -subj /O=Acme/CN=root -out c.pem -utf8");
    let renewed = Made { der: crate::pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap().to_vec(), key };
    assert_ne!(Certificate::read(&old.der).unwrap().subject_key_id, Certificate::read(&renewed.der).unwrap().subject_key_id);
    let facts = check(&anchors(&[&renewed]), &client("leaf", &old), &[]).unwrap();
    assert_eq!(facts.anchor, Fingerprint::of(&renewed.der));
}

#[test]
fn e2_the_number_and_size_of_presented_certificates_is_bounded() {
    let root = root("root");
    let leaf = client("leaf", &root);
    let strangers: Vec<Made> = (0..5).map(|i| super::fixtures::root(&format!("s{i}"))).collect();
    assert_eq!(check(&anchors(&[&root]), &leaf, &strangers.iter().collect::<Vec<_>>()), Err(ChainError::TooManyCertificates));
    assert!(check(&anchors(&[&root]), &leaf, &strangers.iter().take(4).collect::<Vec<_>>()).is_ok());
    let huge = vec![0_u8; 33 * 1024];
    assert_eq!(verify(&anchors(&[&root]), &leaf.der, &[&huge], now()), Err(ChainError::TooLarge));
    assert_eq!(verify(&anchors(&[&root]), &leaf.der, &[b"junk"], now()), Err(ChainError::Malformed));
}

#[test]
fn e2_four_intermediates_are_enough_and_path_lengths_hold() {
    let mut line = vec![root("c0")];
    for i in 1..=4 {
        let next = make(&ca_spec(&format!("c{i}")), line.last());
        line.push(next);
    }
    let leaf = client("leaf", &line[4]);
    assert!(check(&anchors(&[&line[0]]), &leaf, &line[1..].iter().collect::<Vec<_>>()).is_ok());
    let tight = make(&Spec { ca: Some(Some(0)), ..ca_spec("tight") }, None);
    let below = make(&ca_spec("below"), Some(&tight));
    assert_eq!(check(&anchors(&[&tight]), &client("leaf", &below), &[&below]), Err(ChainError::PathTooLong));
    assert!(check(&anchors(&[&tight]), &client("leaf", &tight), &[]).is_ok());
}

#[test]
fn e3_purpose_usage_and_ca_flag_of_the_leaf_count() {
    let root = root("root");
    let leaf = |spec: Spec<'_>| check(&anchors(&[&root]), &make(&spec, Some(&root)), &[]);
    assert!(leaf(Spec { purpose: None, usage: None, ..leaf_spec("tcld") }).is_ok());
    assert_eq!(leaf(Spec { purpose: Some(SERVER_AUTH), ..leaf_spec("s") }), Err(ChainError::NotForClientAuth));
    assert_eq!(leaf(Spec { usage: Some(&[2]), ..leaf_spec("s") }), Err(ChainError::KeyUsage));
    assert_eq!(leaf(ca_spec("sub")), Err(ChainError::LeafIsCa));
}

#[test]
fn e3_an_end_entity_cannot_issue_and_a_ca_without_key_cert_sign_cannot_either() {
    let root = root("root");
    let rogue = client("rogue", &root);
    assert!(check(&anchors(&[&root]), &client("leaf", &rogue), &[&rogue]).is_err());
    let mute = make(&Spec { usage: Some(&[0]), ..ca_spec("mute") }, Some(&root));
    assert_eq!(check(&anchors(&[&root]), &client("leaf", &mute), &[&mute]), Err(ChainError::KeyUsage));
}

#[test]
fn e3_weak_keys_and_weak_signatures_are_refused_anywhere() {
    let dir = Dir::new();
    dir.self_signed("rsa:2048", SOUND, "");
    dir.write("ext", "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth");
    let ca = Made { der: crate::pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap().to_vec(), key: root("x").key };
    for (key, hash, outcome) in [
        ("rsa:2048", "sha256", None),
        ("rsa:2048", "sha1", Some(ChainError::WeakSignature)),
        ("rsa:1024", "sha256", Some(ChainError::WeakKey)),
    ] {
        dir.openssl(&format!("req -new -newkey {key} -nodes -keyout lk.pem -subj /CN=leaf -out l.csr"));
        dir.openssl(&format!(
            "x509 -req -in l.csr -CA c.pem -CAkey k.pem -CAcreateserial -days 30 -{hash} -extfile ext -outform DER -out l.der"
        ));
        assert_eq!(verify(&anchors(&[&ca]), &dir.read("l.der"), &[], now()).err(), outcome, "{key} {hash}");
    }
    // openssl's default leaf of old is v1.
    dir.openssl("x509 -req -in l.csr -CA c.pem -CAkey k.pem -CAcreateserial -days 30 -sha256 -outform DER -out v1.der");
    assert_eq!(verify(&anchors(&[&ca]), &dir.read("v1.der"), &[], now()), Err(ChainError::OldVersion));
}

#[test]
fn b5_a_chain_in_which_a_name_comes_twice_is_refused() {
    let same = Spec { subject: vec![(ORGANIZATION, "Acme")], ..ca_spec("") };
    let root = make(&same, None);
    let leaf = |subject| check(&anchors(&[&root]), &make(&Spec { subject, ..leaf_spec("") }, Some(&root)), &[]);
    assert_eq!(leaf(vec![(ORGANIZATION, "Acme")]), Err(ChainError::SameName));
    assert_eq!(leaf(vec![(ORGANIZATION, "  ACME ")]), Err(ChainError::SameName));
    // An empty OU makes it another name: that is how tcld's leaves differ from their CA.
    assert!(leaf(vec![(ORGANIZATION, "Acme"), (ORGANIZATIONAL_UNIT, "")]).is_ok());
    assert!(leaf(vec![(ORGANIZATION, "Acme"), (COMMON_NAME, "x")]).is_ok());
}

#[test]
fn a_name_constraint_of_the_ca_holds() {
    let dir = Dir::new();
    dir.self_signed(EC, &format!("{SOUND}\nnameConstraints=critical,permitted;DNS:acme.com"), "");
    let ca = Made { der: crate::pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap().to_vec(), key: root("x").key };
    for (host, good) in [("a.acme.com", true), ("a.evil.com", false)] {
        dir.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout lk.pem -subj /CN=leaf -out l.csr");
        dir.write("ext", format!("subjectAltName=DNS:{host}"));
        dir.openssl("x509 -req -in l.csr -CA c.pem -CAkey k.pem -CAcreateserial -days 30 -extfile ext -outform DER -out l.der");
        let outcome = verify(&anchors(&[&ca]), &dir.read("l.der"), &[], now());
        assert_eq!(outcome.is_ok(), good, "{host}: {outcome:?}");
    }
}

#[test]
fn a_serial_number_beyond_20_octets_and_a_name_in_another_encoding_are_said_to_be_just_that() {
    let dir = Dir::new();
    dir.self_signed(EC, SOUND, "");
    let ca = Made { der: crate::pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap().to_vec(), key: root("x").key };
    dir.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout lk.pem -subj /CN=leaf -out l.csr");
    dir.openssl(&format!("x509 -req -in l.csr -CA c.pem -CAkey k.pem -set_serial 0x{} -days 30 -outform DER -out l.der", "11".repeat(21)));
    let long = dir.read("l.der");
    assert_eq!(verify(&anchors(&[&ca]), &long, &[], now()), Err(ChainError::LongSerial));
    assert_eq!(crate::chain::Leaf::read(&long).err(), Some(ChainError::LongSerial));
    // The same CA with its name in PrintableString, by which it signed; one of that name with another key; one that nobody knows.
    dir.write(
        "p.cnf",
        format!("[req]\nstring_mask=default\ndistinguished_name=dn\nprompt=no\nx509_extensions=e\n[dn]\nO=ODD\nCN=odd\n[e]\n{SOUND}\n"),
    );
    dir.openssl("req -x509 -key k.pem -days 30 -config p.cnf -out p.pem");
    dir.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout q.key -days 30 -config p.cnf -out q.pem");
    for (signer, key, expected) in [("p.pem", "k.pem", ChainError::NameEncoding), ("q.pem", "q.key", ChainError::UnknownIssuer)] {
        dir.openssl(&format!("x509 -req -in l.csr -CA {signer} -CAkey {key} -set_serial 7 -days 30 -outform DER -out l.der"));
        assert_eq!(verify(&anchors(&[&ca]), &dir.read("l.der"), &[], now()), Err(expected), "{signer}");
    }
    let words = ChainError::NameEncoding.no_path();
    assert!(words.reason.contains("another encoding") && words.remedy.contains("byte by byte"));
    assert!(ChainError::UnknownIssuer.no_path().remedy.is_empty(), "accepting the CA is what is left");
}

#[test]
fn the_key_that_signed_the_leaf_is_told_whatever_certificate_of_its_ca_the_path_runs_over() {
    let (red, blue) = (root("red"), root("blue"));
    let mid_spec = ca_spec("mid");
    let mid = make(&mid_spec, Some(&red));
    let key = mid.key.to_pem().unwrap();
    let again = crate::private_key::LocalKey::from_pem(key.expose()).unwrap();
    let crossed = make_with(&mid_spec, Some(&blue), Some(again));
    let leaf = client("leaf", &mid);
    let print = |made: &Made| crate::facts::of(&made.der).unwrap().key.unwrap();
    let by = |cas: &[&Made], way: &Made| verify(&anchors(cas), &leaf.der, &[&way.der], now()).unwrap().issuer_key;
    assert_eq!(print(&mid), print(&crossed));
    for (cas, way) in [(&[&red][..], &mid), (&[&blue], &crossed), (&[&red, &blue], &crossed), (&[&red, &mid], &mid)] {
        assert_eq!(by(cas, way), print(&mid));
    }
    let direct = client("direct", &red);
    assert_eq!(verify(&anchors(&[&red]), &direct.der, &[], now()).unwrap().issuer_key, print(&red));
}

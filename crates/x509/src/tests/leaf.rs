//! Rules B1, B2, B8 to B10.

use super::fixtures::*;
use crate::certificate::SERVER_AUTH;
use crate::leaf::parse_registered;

#[test]
fn the_certificate_of_seed_003_is_accepted() {
    let dir = Dir::new();
    // The seed's own command, with a subject so that it asks nothing.
    dir.openssl("req -x509 -newkey rsa:4096 -keyout key.pem -out cert.pem -days 365 -nodes -subj /C=GB/O=Tyk/CN=client");
    let leaf = parse_registered(&dir.read("cert.pem"), now(), false).unwrap();
    assert_eq!(leaf.facts.common_names, ["client"]);
    assert_eq!(leaf.facts.subject, "CN=client,O=Tyk,C=GB");
    assert!(leaf.warnings.iter().any(|w| w.starts_with("B8")), "{:?}", leaf.warnings);
    let printed = dir.openssl("x509 -in cert.pem -noout -fingerprint -sha256");
    assert_eq!(leaf.fingerprint.to_string(), printed.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase());

    // Tyk's file holds certificate and key together.
    let both = format!("{}{}", dir.text("cert.pem"), dir.text("key.pem"));
    refused(parse_registered(both.as_bytes(), now(), false), "private_key_in_upload", "A2");
    let dropped = parse_registered(both.as_bytes(), now(), true).unwrap();
    assert!(dropped.private_key_dropped && dropped.der == leaf.der && !leaf.private_key_dropped);
}

#[test]
fn a2_a_private_key_is_refused_before_anything_else() {
    let key = root("ca").key_pem();
    refused(parse_registered(format!("{key}\n-----BEGIN CERTIFICATE-----\n!!").as_bytes(), now(), false), "private_key_in_upload", "A2");
    // An admin's is dropped where it stands beside a certificate; alone there is nothing to keep of it.
    refused(parse_registered(key.as_bytes(), now(), true), "private_key_in_upload", "A2");
}

#[test]
fn b1_exactly_one_leaf() {
    let ca = root("ca");
    let (one, two) = (client("one", &ca), client("two", &ca));
    let with_ca = parse_registered(format!("{}\n{}", ca.pem(), one.pem()).as_bytes(), now(), false).unwrap();
    assert_eq!(with_ca.der, one.der);
    assert!(with_ca.warnings[0].starts_with("B1"));
    refused(parse_registered(format!("{}\n{}", one.pem(), two.pem()).as_bytes(), now(), false), "too_many_certificates", "B1");
    assert_eq!(parse_registered(&one.der, now(), false).unwrap().der, one.der);
}

#[test]
fn b2_purpose_and_usage_must_allow_a_client() {
    let ca = root("ca");
    let leaf = |spec: Spec<'_>| parse_registered(make(&spec, Some(&ca)).pem().as_bytes(), now(), false);
    assert!(leaf(leaf_spec("good")).unwrap().warnings.is_empty());
    assert!(leaf(Spec { purpose: None, usage: None, ..leaf_spec("tcld") }).unwrap().warnings[0].starts_with("B2"));
    refused(leaf(Spec { purpose: Some(SERVER_AUTH), ..leaf_spec("server") }), "not_for_client_auth", "B2");
    refused(leaf(Spec { usage: Some(&[2]), ..leaf_spec("no signature") }), "no_digital_signature", "B2");
    let dir = Dir::new();
    let odd = dir.self_signed(EC, "basicConstraints=CA:FALSE\n1.2.3.4=critical,ASN1:NULL", "");
    refused(parse_registered(odd.as_bytes(), now(), false), "unknown_critical_extension", "B2");
}

#[test]
fn b8_a_foreign_ca_is_no_client_and_v1_is_refused_with_the_command_that_mends_it() {
    let ca = root("ca");
    let middle = make(&ca_spec("middle"), Some(&ca));
    refused(parse_registered(middle.pem().as_bytes(), now(), false), "ca_certificate", "B8");
    assert!(parse_registered(ca.pem().as_bytes(), now(), false).is_ok());
    let dir = Dir::new();
    dir.write("ca.pem", ca.pem());
    dir.write("ca.key", ca.key_pem());
    dir.openssl("req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=client -out client.csr");
    dir.openssl("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out v1.pem");
    let error = refused(parse_registered(&dir.read("v1.pem"), now(), false), "v1_certificate", "B8");
    assert!(error.hint.contains("-extfile") && error.hint.contains("clientAuth"), "{error}");
}

#[test]
fn b8_expired_is_refused_and_a_near_end_remarked() {
    let ca = root("ca");
    let leaf = |from, to| parse_registered(make(&Spec { from, to, ..leaf_spec("l") }, Some(&ca)).pem().as_bytes(), now(), false);
    refused(leaf(now().minus(days(5)), now().minus(days(1))), "leaf_expired", "B8");
    assert!(leaf(now().minus(days(5)), now().plus(days(1))).unwrap().warnings[0].starts_with("B10"));
    assert!(leaf(now().plus(days(1)), now().plus(days(60))).unwrap().warnings[0].starts_with("B8"));
}

#[test]
fn b10_sha1_and_weak_keys_are_refused() {
    let dir = Dir::new();
    let leaf = "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth";
    refused(parse_registered(dir.self_signed("rsa:2048", leaf, "-sha1").as_bytes(), now(), false), "sha1_signature", "B10");
    refused(parse_registered(dir.self_signed("rsa:1024", leaf, "-sha256").as_bytes(), now(), false), "rsa_key_size", "A10");
    assert!(parse_registered(dir.self_signed("rsa:2048", leaf, "-sha256").as_bytes(), now(), false).is_ok());
}

#[test]
fn a_serial_number_beyond_20_octets_is_refused_and_one_that_is_not_positive_is_remarked() {
    let dir = Dir::new();
    let made = |extensions: &str, serial: &str| dir.self_signed(EC, extensions, &format!("-set_serial {serial}"));
    const LEAF: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth";
    let long = [21, 22, 60].map(|octets| format!("0x{}", "11".repeat(octets)));
    for serial in &long {
        let error = refused(parse_registered(made(LEAF, serial).as_bytes(), now(), false), "serial_too_long", "B1");
        assert!(error.message.contains("octets") && !error.hint.is_empty(), "{error}");
        refused(accept(&made(SOUND, serial)), "serial_too_long", "A1");
    }
    // The sign's zero in front of 20 octets is none of them.
    for good in ["0x7f".to_owned() + &"11".repeat(19), "0x".to_owned() + &"ff".repeat(20)] {
        let leaf = parse_registered(made(LEAF, &good).as_bytes(), now(), false).unwrap();
        assert!(!leaf.warnings.iter().any(|w| w.contains("serial")), "{:?}", leaf.warnings);
    }
    for (odd, word) in [("0", "zero"), ("-1", "negative"), ("-70000", "negative")] {
        let leaf = parse_registered(made(LEAF, odd).as_bytes(), now(), false).unwrap();
        assert!(leaf.warnings.iter().any(|w| w.starts_with("B2") && w.contains(word)), "{:?}", leaf.warnings);
        let cas = accept(&made(SOUND, odd)).unwrap();
        assert!(cas[0].warnings.iter().any(|w| w.contains(word)), "{:?}", cas[0].warnings);
    }
}

//! Our own CAs: rules D1 to D7, D10, D11, judged by OpenSSL.

use super::fixtures::*;
use crate::authority::Authority;
use crate::pem;

fn ours() -> Authority {
    Authority::generate_internal("Countersign internal", now(), days(3650), &ENTROPY).unwrap()
}

#[test]
fn openssl_accepts_our_server_certificate_in_strict_mode() {
    let ca = ours();
    let names = ["gw.example.com".to_owned(), "*.ns.example.com".into(), "127.0.0.1".into(), "::1".into()];
    let (leaf, key) = ca.issue_server(&names, now(), days(30), &ENTROPY).unwrap();
    let dir = Dir::new();
    dir.write("ca.pem", ca.certificate_pem());
    dir.write("leaf.pem", pem::certificate(&leaf));
    dir.write("key.der", &key);
    for name in ["-verify_hostname gw.example.com", "-verify_hostname a.ns.example.com", "-verify_ip 127.0.0.1", "-verify_ip ::1"] {
        dir.openssl(&format!("verify -x509_strict -purpose sslserver -CAfile ca.pem {name} leaf.pem"));
    }
    let text = dir.openssl("x509 -in leaf.pem -noout -text");
    for expected in ["CA:FALSE", "Digital Signature", "TLS Web Server Authentication", "ecdsa-with-SHA256", "Version: 3"] {
        assert!(text.contains(expected), "{expected} is missing from {text}");
    }
    let public = dir.openssl("x509 -in leaf.pem -noout -pubkey");
    assert_eq!(dir.openssl("pkey -inform DER -in key.der -pubout"), public, "the key belongs to the certificate");
}

#[test]
fn serials_are_positive_short_and_different() {
    let ca = ours();
    let serials: Vec<String> =
        (0..8).map(|_| crate::facts::of(&ca.issue_server(&["a.b".into()], now(), days(1), &ENTROPY).unwrap().0).unwrap().serial).collect();
    for (i, serial) in serials.iter().enumerate() {
        assert!(serial.len() == 32 && serial.as_bytes()[0] < b'8' && !serials[..i].contains(serial), "{serial}");
    }
    struct Zero;
    impl countersign_core::Entropy for Zero {
        fn fill(&self, _: &mut [u8]) {}
    }
    assert!(ca.issue_server(&["a.b".into()], now(), days(1), &Zero).is_ok());
}

#[test]
fn an_authority_survives_its_own_files_and_takes_openssls() {
    let ca = ours();
    let again = Authority::from_pem(&ca.certificate_pem(), ca.key_pem().expose()).unwrap();
    assert_eq!(again.certificate_der(), ca.certificate_der());
    let dir = Dir::new();
    for key in [EC, "ec -pkeyopt ec_paramgen_curve:P-384", "rsa:2048", "ed25519"] {
        let cert = dir.self_signed(key, SOUND, "");
        let theirs = Authority::from_pem(&cert, &dir.text("k.pem")).unwrap_or_else(|e| panic!("{key}: {e}"));
        let (leaf, _) = theirs.issue_server(&["a.example.com".into()], now(), days(1), &ENTROPY).unwrap();
        dir.write("leaf.pem", pem::certificate(&leaf));
        dir.openssl("verify -purpose sslserver -CAfile c.pem leaf.pem");
    }
}

#[test]
fn an_authority_refuses_what_does_not_fit() {
    let (ca, other) = (ours(), ours());
    let mismatch = Authority::from_pem(&ca.certificate_pem(), other.key_pem().expose()).unwrap_err();
    assert_eq!(mismatch.code, "key_mismatch");
    assert_eq!(Authority::from_pem("x", "y").unwrap_err().code, "not_a_certificate");
    assert_eq!(Authority::from_pem(&ca.certificate_pem(), "y").unwrap_err().code, "bad_private_key");
    let made = root("ca");
    let leaf = client("leaf", &made);
    assert_eq!(Authority::from_pem(&leaf.pem(), &leaf.key_pem()).unwrap_err().code, "not_a_ca");
    for bad in ["", "a b", "-a.b", "a..b", "*", "*.*.b", "a\0b", "ä.de"] {
        refused(ca.issue_server(&[bad.to_owned()], now(), days(1), &ENTROPY), "bad_name", "D6");
    }
    refused(ca.issue_server(&[], now(), days(1), &ENTROPY), "bad_name", "D6");
    refused(ca.issue_server(&["a.b".into()], now(), days(36_500), &ENTROPY), "validity_out_of_range", "D2");
    refused(Authority::generate_internal("", now(), days(1), &ENTROPY).map(|_| ()), "bad_name", "C9");
}

#[test]
fn dates_after_2049_are_written_as_generalized_time() {
    let ca = Authority::generate_internal("long", now(), days(40 * 365), &ENTROPY).unwrap();
    let dir = Dir::new();
    dir.write("ca.pem", ca.certificate_pem());
    assert!(dir.openssl("asn1parse -in ca.pem").contains("GENERALIZEDTIME"));
    let facts = crate::facts::of(ca.certificate_der()).unwrap();
    assert_eq!(facts.not_after, now().plus(days(40 * 365)).min(facts.not_after));
}

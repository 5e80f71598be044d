//! tcld's shapes, as OpenSSL prints them.

use super::fixtures::*;
use crate::chain::{Anchors, verify};
use crate::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use countersign_core::Lifetime;

fn ca_request() -> CaRequest {
    CaRequest { organization: "Acme Inc".into(), validity: days(365), rsa: false }
}

fn leaf_request() -> LeafRequest {
    LeafRequest { organization: "Acme Inc".into(), organizational_unit: None, common_name: None, validity: None }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing from {text}");
    }
}

#[test]
fn a_ca_has_tclds_shape() {
    let (cert, key) = generate_ca(&ca_request(), now(), &ENTROPY).unwrap();
    assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let dir = Dir::new();
    dir.write("ca.pem", &cert);
    let text = dir.openssl("x509 -in ca.pem -noout -text");
    has(
        &text,
        &[
            "Signature Algorithm: ecdsa-with-SHA384",
            "Subject: O = Acme Inc\n",
            "NIST CURVE: P-384",
            "X509v3 Key Usage: critical\n                Digital Signature, Certificate Sign, CRL Sign\n",
            "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
            "X509v3 Subject Key Identifier",
            "DNS:client.root.Acme Inc.",
        ],
    );
    assert!(!text.contains("Extended Key Usage") && !text.contains("Authority Key Identifier") && !text.contains("pathlen"), "{text}");
    let facts = crate::facts::of(&crate::pem::block_of(&cert, "CERTIFICATE").unwrap()).unwrap();
    assert!(facts.serial.len() <= 34);
    assert_eq!(facts.not_before, now().minus(Lifetime::from_seconds(60)).min(facts.not_before));
    assert!(accept(&cert).unwrap()[0].warnings.is_empty());
}

#[test]
fn a_leaf_has_tclds_shape_and_chains_to_its_ca() {
    let (ca, ca_key) = generate_ca(&ca_request(), now(), &ENTROPY).unwrap();
    let (leaf, _) = generate_leaf(&leaf_request(), &ca, ca_key.expose(), now(), &ENTROPY).unwrap();
    let dir = Dir::new();
    dir.write("ca.pem", &ca);
    dir.write("leaf.pem", &leaf);
    let text = dir.openssl("x509 -in leaf.pem -noout -text");
    has(
        &text,
        &[
            "Signature Algorithm: ecdsa-with-SHA384",
            "Subject: O = Acme Inc, OU = \n",
            "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
            "X509v3 Authority Key Identifier",
            "DNS:client.endentity.Acme Inc.",
        ],
    );
    assert!(!text.contains("Key Usage") && !text.contains("Subject Key Identifier"), "{text}");
    dir.openssl("verify -CAfile ca.pem leaf.pem");

    let cas = accept(&ca).unwrap();
    let der = crate::pem::block_of(&leaf, "CERTIFICATE").unwrap();
    let facts = verify(&Anchors::new(&cas), &der, &[], now()).unwrap();
    assert_eq!(facts.not_after, cas[0].not_after.minus(days(1)));
    let facts = crate::facts::of(&der).unwrap();
    assert_eq!((facts.organizations, facts.organizational_units), (vec!["Acme Inc".to_owned()], vec![String::new()]));
    assert!(facts.common_names.is_empty() && !facts.subject_ambiguous);
    assert!(facts.alternative_names[0].starts_with("dns:client.endentity.Acme Inc."));

    let named = LeafRequest { organizational_unit: Some("Ops".into()), common_name: Some("worker".into()), ..leaf_request() };
    let (leaf, _) = generate_leaf(&named, &ca, ca_key.expose(), now(), &ENTROPY).unwrap();
    let facts = crate::facts::of(&crate::pem::block_of(&leaf, "CERTIFICATE").unwrap()).unwrap();
    assert_eq!(facts.subject, "CN=worker,OU=Ops,O=Acme Inc");
}

#[test]
fn the_validity_rules_of_tcld_hold() {
    let ca = |validity| generate_ca(&CaRequest { validity, ..ca_request() }, now(), &ENTROPY);
    for bad in [days(7), days(1), days(366), Lifetime::from_seconds(365 * 86_400 + 1)] {
        assert_eq!(ca(bad).unwrap_err().code, "validity_out_of_range", "{bad}");
    }
    assert!(ca(days(7)).unwrap_err().message.contains("cannot be less than"));
    let (cert, key) = ca(Lifetime::from_seconds(7 * 86_400 + 1)).unwrap();
    let leaf = |validity| generate_leaf(&LeafRequest { validity, ..leaf_request() }, &cert, key.expose(), now(), &ENTROPY);
    assert!(leaf(Some(days(7))).is_ok());
    assert_eq!(leaf(Some(days(8))).unwrap_err().code, "validity_out_of_range");
    let late = now().plus(days(6)).plus(days(1));
    assert_eq!(generate_leaf(&leaf_request(), &cert, key.expose(), late, &ENTROPY).unwrap_err().code, "validity_out_of_range");
}

#[test]
fn an_organization_that_no_dns_name_can_hold_is_refused() {
    for organization in ["", "Müller", "a\nb"] {
        let request = CaRequest { organization: organization.into(), ..ca_request() };
        assert_eq!(generate_ca(&request, now(), &ENTROPY).unwrap_err().code, "bad_name");
    }
}

#[test]
fn an_rsa_ca_may_encipher_keys_and_gives_rsa_leaves() {
    let (cert, key) = generate_ca(&CaRequest { rsa: true, ..ca_request() }, now(), &ENTROPY).unwrap();
    let (leaf, _) = generate_leaf(&leaf_request(), &cert, key.expose(), now(), &ENTROPY).unwrap();
    let dir = Dir::new();
    dir.write("ca.pem", &cert);
    dir.write("leaf.pem", &leaf);
    has(
        &dir.openssl("x509 -in ca.pem -noout -text"),
        &["Public-Key: (4096 bit)", "sha256WithRSAEncryption", "Digital Signature, Key Encipherment, Certificate Sign, CRL Sign"],
    );
    has(&dir.openssl("x509 -in leaf.pem -noout -text"), &["Public-Key: (4096 bit)", "sha256WithRSAEncryption"]);
    dir.openssl("verify -CAfile ca.pem leaf.pem");
}

//! What is read of a certificate, and that no bytes make the readers fall over.

use super::fixtures::*;
use crate::alternative_name::AlternativeName;
use crate::certificate::children;
use crate::challenge::{self, ChallengeKey};
use crate::csr::CheckedCsr;
use crate::encode::{bit_string, sequence};
use crate::foreign_crl::ForeignCrl;
use crate::private_key::{KeyKind, Signer};
use crate::subject::Subject;
use crate::{bundle, certificate::Certificate, chain, facts, issue, leaf, ocsp, pem, request};
use countersign_core::credential::certificate::RevocationReason;
use proptest::prelude::*;

fn subject(dir: &Dir, dn: &str, more: &str) -> countersign_core::credential::certificate::CertificateFacts {
    dir.write("dn.cnf", format!("[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ext\n{more}\n[dn]\n{dn}\n[ext]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:a.b,email:x@y.z,URI:spiffe://a/b,IP:1.2.3.4\n"));
    dir.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -config dn.cnf -keyout k.pem -out c.pem -utf8");
    facts::of(&pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap()).unwrap()
}

#[test]
fn names_are_read_in_order_and_written_in_rfc_4514() {
    let dir = Dir::new();
    let facts = subject(&dir, "C=DE\nO=Acme, Inc.\n0.OU=a\n1.OU=b\nCN=Zoë \\\"x\\\"+y", "");
    assert_eq!(facts.common_names, ["Zoë \"x\"+y"]);
    assert_eq!(facts.organizational_units, ["a", "b"]);
    assert_eq!(facts.organizations, ["Acme, Inc."]);
    assert_eq!(facts.subject, "CN=Zoë \\\"x\\\"\\+y,OU=b,OU=a,O=Acme\\, Inc.,C=DE");
    assert_eq!(facts.alternative_names, ["dns:a.b", "email:x@y.z", "uri:spiffe://a/b", "ip:1.2.3.4"]);
    assert!(!facts.subject_ambiguous);
    let printed = dir.openssl("x509 -in c.pem -noout -serial").trim().rsplit('=').next().unwrap().to_lowercase();
    assert_eq!(facts.serial.trim_start_matches('0'), printed.trim_start_matches('0'));
}

#[test]
fn what_readers_read_differently_is_ambiguous() {
    let dir = Dir::new();
    let multi = subject(&dir, "O=Acme\n+CN=x", "");
    assert!(multi.subject_ambiguous && multi.common_names.is_empty() && multi.organizations.is_empty(), "{multi:?}");
    let t61 = subject(&dir, "CN=Zoë", "string_mask=MASK:4");
    assert!(t61.subject_ambiguous && t61.common_names.is_empty(), "{t61:?}");
    let bmp = subject(&dir, "CN=Zoë", "string_mask=MASK:2048");
    assert!(bmp.subject_ambiguous && bmp.common_names.is_empty(), "{bmp:?}");
    let nul = make(&Spec { subject: vec![(crate::issue::COMMON_NAME, "good\0.evil")], ..leaf_spec("") }, Some(&root("ca")));
    assert!(facts::of(&nul.der).unwrap().subject_ambiguous);
}

#[test]
fn an_attribute_that_is_no_text_leaves_the_others_readable() {
    // x500UniqueIdentifier is a bit string.
    let dir = Dir::new();
    let plain = subject(&dir, "CN=x\nO=y", "");
    assert!(!plain.subject_ambiguous);
    let facts = subject(&dir, "CN=x\nO=y\nx500UniqueIdentifier=abc", "");
    assert_eq!((facts.common_names, facts.subject_ambiguous), (vec!["x".to_owned()], false), "{}", facts.subject);
}

#[test]
fn trailing_bytes_and_two_of_a_kind_are_no_certificate() {
    let mut der = root("ca").der;
    assert!(facts::of(&der).is_ok());
    der.push(0);
    assert_eq!(facts::of(&der).unwrap_err().code, "not_a_certificate");
    assert_eq!(facts::of(b"").unwrap_err().code, "not_a_certificate");
}

fn samples() -> &'static [Vec<u8>] {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        let ca = root("ca");
        let leaf = client("leaf", &ca);
        vec![
            ca.der.clone(),
            leaf.der.clone(),
            format!("{}\n{}", ca.pem(), leaf.pem()).into_bytes(),
            format!("{}\n{}", leaf.pem(), leaf.key_pem()).into_bytes(),
        ]
    })
}

/// A CA, and a request in both forms, a revocation list, an OCSP request.
fn asking() -> &'static (super::issuer::Authorities, [Vec<u8>; 4]) {
    static ASKING: std::sync::OnceLock<(super::issuer::Authorities, [Vec<u8>; 4])> = std::sync::OnceLock::new();
    ASKING.get_or_init(|| {
        let ca = super::issuer::authorities(KeyKind::P256);
        let names = [AlternativeName::parse("DNS:a.b").unwrap(), AlternativeName::parse("IP:::1").unwrap()];
        let der = request::build(&ca.key, &Subject::parse("/C=DE/CN=x").unwrap(), &names).unwrap();
        let text = pem::armour("CERTIFICATE REQUEST", &der).into_bytes();
        let list = super::crl::list(&ca, &[(&[1], RevocationReason::KeyCompromise), (&[2], RevocationReason::Superseded)]);
        let dir = Dir::new();
        let question = super::ocsp::asked(&dir, &ca, "").0;
        (ca, [der, text, list, question])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_never_make_a_reader_panic(
        which in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let mut bytes = samples()[which].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = bundle::parse(&bytes, now(), true);
        let _ = leaf::parse_registered(&bytes, now(), true);
        let _ = facts::of(&bytes);
        let _ = Certificate::read(&bytes);
        let ca = accepted(&Made { der: samples()[0].clone(), key: crate::private_key::LocalKey::generate(crate::private_key::KeyKind::P256).unwrap() });
        let _ = chain::verify(&chain::Anchors::new(&[ca]), &bytes, &[&bytes], now());
    }

    #[test]
    fn any_bytes_never_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = bundle::parse(&bytes, now(), false);
        let _ = leaf::parse_registered(&bytes, now(), false);
        let _ = pem::read(&bytes);
        let _ = CheckedCsr::parse(&bytes);
        let _ = ocsp::Request::read(&bytes);
        let _ = ForeignCrl::read(&bytes, &samples()[0], now());
        let _ = challenge::verify(&String::from_utf8_lossy(&bytes), &bytes, &samples()[1], "a", now(), &ChallengeKey::new([1; 32]));
    }

    #[test]
    fn any_text_never_makes_a_reader_panic(text in "\\PC{0,60}", more in "[-/,=\\\\%:+A-Za-z0-9 .@]{0,60}") {
        for text in [&text, &more] {
            let _ = Subject::parse(text).map(|s| (s.canonical(), s.skeleton(), s.to_string()));
            let _ = AlternativeName::parse(text).map(|n| n.entry());
            let _ = ocsp::Request::from_path(text);
            let _ = CheckedCsr::parse(text.as_bytes());
        }
    }

    #[test]
    fn a_subject_that_is_taken_is_written_read_and_signed_as_it_is(
        parts in prop::collection::vec((0_usize..11, "[ -~äßЖ中\\\\,+\"=#<>;]{1,12}"), 1..5),
    ) {
        let attributes = parts.into_iter().map(|(at, text)| (crate::subject::Attribute::ALL[at], text)).collect();
        if let Ok(subject) = Subject::new(attributes) {
            prop_assert_eq!(&Subject::from_der(&subject.to_der()).unwrap(), &subject);
            prop_assert_eq!(&Subject::parse(&subject.to_string()).unwrap(), &subject);
            let (ca, publication) = (&asking().0, super::issuer::publication());
            let order = crate::issuer::LeafOrder {
                subject: &subject,
                alternative_names: &[],
                public_key: ca.root.public_key(),
                lifetime: days(9),
                lifetime_max: days(9),
                shorten: false,
                publication: &publication,
            };
            let built = crate::issuer::leaf(&order, &ca.issuing, now(), &ENTROPY).unwrap();
            let der = crate::issuer::sign(&built, &ca.issuing, &ca.key).unwrap();
            prop_assert_eq!(crate::subject::canonical_of_certificate(&der).unwrap(), subject.canonical());
        }
    }

    #[test]
    fn mutated_requests_and_lists_never_make_a_reader_panic(
        which in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let (ca, inputs) = asking();
        let mut bytes = inputs[which].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = CheckedCsr::parse(&bytes);
        let _ = ocsp::Request::read(&bytes);
        let _ = ForeignCrl::read(&bytes, ca.issuing.der(), now());
        // What a signature guards is reached by signing it anew.
        let Some(signed) = children(&bytes).ok().and_then(|c| children(c.first()?.value).ok()).and_then(|c| c.first().map(|c| c.whole)) else {
            return Ok(());
        };
        let signature = ca.key.sign(signed).unwrap();
        let again = sequence(&[signed.to_vec(), issue::algorithm(&ca.key).unwrap(), bit_string(&signature)]);
        let _ = CheckedCsr::parse(&again);
        let _ = ForeignCrl::read(&again, ca.issuing.der(), now());
    }
}

#[test]
fn e5_no_rev_avail_is_read_of_a_leaf_and_not_believed_of_a_ca() {
    let dir = Dir::new();
    let leaf = "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth";
    for (extensions, said) in
        [(format!("{leaf}\n2.5.29.56=DER:0500"), true), (leaf.to_owned(), false), (format!("{SOUND}\n2.5.29.56=DER:0500"), false)]
    {
        dir.self_signed(EC, &extensions, "");
        dir.openssl("x509 -in c.pem -outform DER -out c.der");
        assert_eq!(crate::facts::of(&dir.read("c.der")).unwrap().no_list, said, "{extensions}");
    }
}

//! Our issuers: rules D1 to D11 and case C-01, judged by our own linter, by OpenSSL, and by pkilint where it is installed.

use super::fixtures::*;
use crate::alternative_name::AlternativeName;
use crate::certificate::Certificate;
use crate::chain;
use crate::csr::CheckedCsr;
use crate::issuer::{self, IssuerCertificate, LeafOrder, Publication};
use crate::lint::{self, Limits, Profile};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey, Signer};
use crate::request;
use crate::subject::Subject;
use countersign_core::Lifetime;

/// A root and an issuing CA under it.
pub struct Authorities {
    pub root: IssuerCertificate,
    pub root_key: LocalKey,
    pub issuing: IssuerCertificate,
    pub key: LocalKey,
}

pub fn authorities(kind: KeyKind) -> Authorities {
    let (root_key, key) = (LocalKey::generate(kind).unwrap(), LocalKey::generate(kind).unwrap());
    let name = Subject::parse(&format!("/O=Acme/CN=Acme Root {kind}")).unwrap();
    let root = IssuerCertificate::read(&issuer::root(&name, &root_key, now(), days(3650), &ENTROPY).unwrap()).unwrap();
    let name = Subject::parse(&format!("/O=Acme/CN=Acme Issuing {kind} G1")).unwrap();
    let order = issuer::issuing(&name, key.public_key(), &root, now(), days(1000), &Publication::default(), &ENTROPY).unwrap();
    let issuing = IssuerCertificate::read(&issuer::sign(&order, &root, &root_key).unwrap()).unwrap();
    Authorities { root, root_key, issuing, key }
}

pub fn publication() -> Publication {
    Publication {
        crl_urls: vec!["http://pki.example.com/g1.crl".into()],
        ocsp_urls: vec!["http://pki.example.com/ocsp".into()],
        issuer_urls: vec!["http://pki.example.com/g1.cer".into()],
    }
}

pub fn leaf(ca: &Authorities, cn: &str, key: &LocalKey) -> Vec<u8> {
    let (subject, publication) = (Subject::parse(&format!("/O=Acme/CN={cn}")).unwrap(), publication());
    let names = [AlternativeName::parse("DNS:app.example.com").unwrap(), AlternativeName::parse("URI:https://app.example.com/x").unwrap()];
    let order = LeafOrder {
        subject: &subject,
        alternative_names: &names,
        public_key: key.public_key(),
        lifetime: days(90),
        lifetime_max: days(397),
        shorten: false,
        publication: &publication,
    };
    let built = issuer::leaf(&order, &ca.issuing, now(), &ENTROPY).unwrap();
    issuer::sign(&built, &ca.issuing, &ca.key).unwrap()
}

#[test]
fn d1_to_d11_openssl_accepts_what_every_kind_of_issuer_signs() {
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let ca = authorities(kind);
        dir.write("root.pem", pem::certificate(ca.root.der()));
        dir.write("ca.pem", pem::certificate(ca.issuing.der()));
        for client in [KeyKind::P256, KeyKind::Ed25519] {
            let der = leaf(&ca, "billing", &LocalKey::generate(client).unwrap());
            dir.write("leaf.pem", pem::certificate(&der));
            dir.openssl("verify -x509_strict -purpose sslclient -CAfile root.pem -untrusted ca.pem leaf.pem");
            let text = dir.openssl("x509 -in leaf.pem -noout -text");
            for expected in
                ["CA:FALSE", "TLS Web Client Authentication", "Digital Signature", "http://pki.example.com/g1.crl", "OCSP - URI"]
            {
                assert!(text.contains(expected), "{expected}: {text}");
            }
            assert!(!text.contains("Key Encipherment") && !text.contains("Server Authentication"));
            // The gateway's own verdict.
            let anchors =
                chain::Anchors::new(&[accepted(&Made { der: ca.issuing.der().to_vec(), key: LocalKey::generate(KeyKind::P256).unwrap() })]);
            chain::verify(&anchors, &der, &[], now()).unwrap();
        }
    }
}

#[test]
fn c_01_what_is_issued_passes_every_rule_of_the_linter() {
    let ca = authorities(KeyKind::P256);
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let mut serials = std::collections::HashSet::new();
    for i in 0..500 {
        // Before it is made: the second may change in between.
        let limits = Limits { built_at: Some(now()), lifetime_max: Some(days(397)) };
        let der = leaf(&ca, &format!("app {i}"), &key);
        assert_eq!(lint::certificate(&der, Profile::Client, &ca.issuing, &limits), vec![]);
        assert!(serials.insert(Certificate::read(&der).unwrap().serial));
    }
    assert_eq!(lint::certificate(ca.root.der(), Profile::Root, &ca.root, &Limits::default()), vec![]);
    assert_eq!(lint::certificate(ca.issuing.der(), Profile::Issuing, &ca.root, &Limits::default()), vec![]);
}

#[test]
fn c_01_the_linter_finds_what_breaks_the_profile() {
    let ca = authorities(KeyKind::P256);
    let issuing = Made { der: ca.issuing.der().to_vec(), key: ca.key };
    let find = |made: &Made, limits: &Limits| -> Vec<&'static str> {
        lint::certificate(&made.der, Profile::Client, &ca.issuing, limits).into_iter().map(|f| f.rule).collect()
    };
    let spec = Spec { from: now(), ..leaf_spec("x") };
    let none = Limits::default();
    assert_eq!(find(&make(&spec, Some(&issuing)), &none), Vec::<&str>::new());
    assert!(find(&make(&Spec { ca: Some(None), ..spec.clone() }, Some(&issuing)), &none).contains(&"D4"));
    assert!(find(&make(&Spec { usage: Some(&[0, 2]), ..spec.clone() }, Some(&issuing)), &none).contains(&"D4"));
    assert!(find(&make(&Spec { usage: None, ..spec.clone() }, Some(&issuing)), &none).contains(&"D4"));
    let server = Spec { purpose: Some(crate::certificate::SERVER_AUTH), ..spec.clone() };
    assert!(find(&make(&server, Some(&issuing)), &none).contains(&"D5"));
    assert!(find(&make(&Spec { purpose: None, ..spec.clone() }, Some(&issuing)), &none).contains(&"D5"));
    assert!(find(&make(&Spec { key_ids: false, ..spec.clone() }, Some(&issuing)), &none).contains(&"D3"));
    assert!(find(&make(&Spec { to: now().plus(days(2000)), ..spec.clone() }, Some(&issuing)), &none).contains(&"D2"));
    assert!(find(&make(&Spec { subject: vec![], ..spec.clone() }, Some(&issuing)), &none).contains(&"D6"));
    let old = Spec { from: now().minus(days(1)), ..spec.clone() };
    assert!(find(&make(&old, Some(&issuing)), &Limits { built_at: Some(now()), ..none.clone() }).contains(&"D2"));
    assert!(find(&make(&spec, Some(&issuing)), &Limits { lifetime_max: Some(days(30)), ..none.clone() }).contains(&"D2"));
    let stranger = root("stranger");
    let foreign = find(&client("x", &stranger), &none);
    assert!(foreign.contains(&"D11") && foreign.contains(&"D3"), "{foreign:?}");
    assert_eq!(lint::certificate(b"x", Profile::Client, &ca.issuing, &none).len(), 1);
}

#[test]
fn d2_validity_is_the_shortest_of_order_policy_and_issuer() {
    let ca = authorities(KeyKind::P256);
    let (subject, publication) = (Subject::common_name("x").unwrap(), Publication::default());
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let order = |lifetime: Lifetime, lifetime_max: Lifetime, shorten: bool| {
        let order = LeafOrder {
            subject: &subject,
            alternative_names: &[],
            public_key: key.public_key(),
            lifetime,
            lifetime_max,
            shorten,
            publication: &publication,
        };
        issuer::leaf(&order, &ca.issuing, now(), &ENTROPY)
    };
    let at_most = order(days(397), days(397), false).unwrap();
    assert_eq!(at_most.not_after.seconds() - at_most.not_before.seconds() + 1, days(397).seconds(), "both ends count");
    refused(order(days(398), days(397), false), "validity_out_of_range", "D2");
    refused(order(days(2000), days(3000), false), "validity_out_of_range", "D2");
    let cut = order(days(2000), days(3000), true).unwrap();
    assert!(cut.shortened && cut.not_after == ca.issuing.not_after());
    refused(order(Lifetime::from_seconds(0), days(1), true), "validity_out_of_range", "D2");
    let outcome = issuer::root(&subject, &key, now(), days(4_000_000), &ENTROPY);
    refused(outcome, "validity_out_of_range", "D2");
}

#[test]
fn d11_d12_what_is_recorded_is_what_is_signed_and_only_by_the_right_key() {
    let ca = authorities(KeyKind::P256);
    let other = LocalKey::generate(KeyKind::P256).unwrap();
    let (subject, publication) = (Subject::common_name("x").unwrap(), publication());
    let mut order = LeafOrder {
        subject: &subject,
        alternative_names: &[],
        public_key: other.public_key(),
        lifetime: days(9),
        lifetime_max: days(9),
        shorten: false,
        publication: &publication,
    };
    let built = issuer::leaf(&order, &ca.issuing, now(), &ENTROPY).unwrap();
    refused(issuer::sign(&built, &ca.issuing, &other), "key_mismatch", "D11");
    let der = issuer::sign(&built, &ca.issuing, &ca.key).unwrap();
    let read = Certificate::read(&der).unwrap();
    assert_eq!(read.signed, built.bytes);
    assert_eq!((crate::facts::hex(&read.serial), read.not_after), (built.serial.clone(), built.not_after));
    // Bytes that were changed between record and signature.
    let mut changed = built.clone();
    changed.bytes =
        crate::issuer::issuing(&subject, other.public_key(), &ca.root, now(), days(9), &Publication::default(), &ENTROPY).unwrap().bytes;
    assert_eq!(issuer::sign(&changed, &ca.issuing, &ca.key).unwrap_err().code, "lint_failed");
    order.public_key = ca.issuing.public_key();
    refused(issuer::leaf(&order, &ca.issuing, now(), &ENTROPY), "issuer_key_reused", "C7");
    order.public_key = other.public_key();
    for url in ["https://a/b", "http://", "http:///x", "http://a b", "ldap://x"] {
        let bad = Publication { crl_urls: vec![url.into()], ..Publication::default() };
        refused(issuer::leaf(&LeafOrder { publication: &bad, ..order.clone() }, &ca.issuing, now(), &ENTROPY), "bad_publication_url", "D8");
    }
    struct Broken(LocalKey);
    impl Signer for Broken {
        fn public_key(&self) -> &[u8] {
            self.0.public_key()
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, crate::X509Error> {
            self.0.sign(b"something else")
        }
    }
    refused(issuer::sign(&built, &ca.issuing, &Broken(ca.key)), "signing_failed", "D11");
}

#[test]
fn d3_an_imported_issuer_is_referred_to_by_its_own_identifier() {
    let dir = Dir::new();
    dir.self_signed(
        EC,
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=DER:040401020304",
        "",
    );
    let der = pem::block_of(&dir.text("c.pem"), "CERTIFICATE").unwrap();
    let imported = IssuerCertificate::read(&der).unwrap();
    assert_eq!(imported.key_id(), [1, 2, 3, 4]);
    let key = LocalKey::from_pem(&dir.text("k.pem")).unwrap();
    let publication = Publication::default();
    let subject = Subject::common_name("x").unwrap();
    let client = LocalKey::generate(KeyKind::P256).unwrap();
    let order = LeafOrder {
        subject: &subject,
        alternative_names: &[],
        public_key: client.public_key(),
        lifetime: days(1),
        lifetime_max: days(1),
        shorten: false,
        publication: &publication,
    };
    // The issuer begins now, and so does the leaf: it is not backdated past its issuer.
    let built = issuer::leaf(&order, &imported, now(), &ENTROPY).unwrap();
    dir.write("leaf.pem", pem::certificate(&issuer::sign(&built, &imported, &key).unwrap()));
    dir.openssl("verify -purpose sslclient -CAfile c.pem leaf.pem");
    refused(IssuerCertificate::read(&client_der(&dir)), "not_a_ca", "A4");
}

fn client_der(dir: &Dir) -> Vec<u8> {
    let text = dir.self_signed(EC, "basicConstraints=CA:FALSE", "");
    pem::block_of(&text, "CERTIFICATE").unwrap().to_vec()
}

#[test]
fn g4_a_cross_certificate_carries_clients_of_the_new_ca_to_those_who_trust_the_old() {
    let dir = Dir::new();
    let (old, new) = (authorities(KeyKind::P256), authorities(KeyKind::P384));
    let order = issuer::cross(&new.root, &old.root, now(), days(365), &ENTROPY).unwrap();
    dir.write("cross.pem", pem::certificate(&issuer::sign(&order, &old.root, &old.root_key).unwrap()));
    dir.write("old.pem", pem::certificate(old.root.der()));
    let between = format!("{}\n{}\n", pem::certificate(new.issuing.der()), dir.text("cross.pem"));
    dir.write("between.pem", between);
    dir.write("leaf.pem", pem::certificate(&leaf(&new, "x", &LocalKey::generate(KeyKind::P256).unwrap())));
    dir.openssl("verify -x509_strict -purpose sslclient -CAfile old.pem -untrusted between.pem leaf.pem");
    refused(issuer::cross(&old.root, &old.root, now(), days(9), &ENTROPY), "nothing_to_cross", "G4");
    refused(issuer::cross(&new.root, &old.issuing, now(), days(9), &ENTROPY), "path_length", "A13");
    let name = Subject::common_name("too deep").unwrap();
    let outcome = issuer::issuing(&name, new.key.public_key(), &old.issuing, now(), days(9), &Publication::default(), &ENTROPY);
    refused(outcome, "path_length", "A13");
}

#[test]
fn d10_a_tokens_signature_is_turned_into_the_form_of_certificates() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    struct Token(EcdsaKeyPair, Vec<u8>);
    impl Signer for Token {
        fn public_key(&self) -> &[u8] {
            &self.1
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, crate::X509Error> {
            let fixed = self.0.sign(&aws_lc_rs::rand::SystemRandom::new(), message).unwrap();
            Ok(crate::private_key::ecdsa_signature(fixed.as_ref()).unwrap())
        }
    }
    let local = LocalKey::generate(KeyKind::P256).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &local.to_pkcs8().unwrap()).unwrap();
    assert!(local.public_key().ends_with(pair.public_key().as_ref()));
    let token = Token(pair, local.public_key().to_vec());
    for _ in 0..20 {
        issuer::root(&Subject::common_name("Token").unwrap(), &token, now(), days(9), &ENTROPY).unwrap();
    }
    assert!(crate::private_key::ecdsa_signature(&[1]).is_none() && crate::private_key::ecdsa_signature(&[]).is_none());
}

/// Without pkilint on the machine this test says that it tried nothing. URIs are https here, because pkilint calls every scheme
/// that browsers do not know (spiffe among them) bad syntax.
#[test]
fn pkilint_finds_nothing_in_what_is_issued() {
    let (Some(certs), Some(crls)) = (tool("lint_pkix_cert"), tool("lint_crl")) else {
        return skipped("pkilint is not installed, so nothing was linted by it (pip install pkilint)");
    };
    let dir = Dir::new();
    for kind in [KeyKind::P256, KeyKind::Rsa2048] {
        let ca = authorities(kind);
        let clean = |program: &std::path::Path, words: &[&str], file: &str, der: &[u8]| {
            dir.write(file, der);
            let output =
                std::process::Command::new(program).args(words).args(["-s", "WARNING", file]).current_dir(&dir.0).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{kind} {file}: {text}{}", String::from_utf8_lossy(&output.stderr));
        };
        clean(&certs, &["lint"], "root.pem", pem::certificate(ca.root.der()).as_bytes());
        clean(&certs, &["lint"], "issuing.pem", pem::certificate(ca.issuing.der()).as_bytes());
        clean(&certs, &["lint"], "leaf.pem", pem::certificate(&leaf(&ca, "x", &LocalKey::generate(KeyKind::P256).unwrap())).as_bytes());
        let crl = super::crl::list(&ca, &[(&[1, 2, 3], countersign_core::credential::certificate::RevocationReason::KeyCompromise)]);
        clean(&crls, &["lint", "-t", "CRL", "-p", "PKIX"], "list.pem", crate::crl::to_pem(&crl).as_bytes());
        let empty = super::crl::list(&ca, &[]);
        clean(&crls, &["lint", "-t", "CRL", "-p", "PKIX"], "empty.pem", crate::crl::to_pem(&empty).as_bytes());
    }
}

#[test]
fn c9_b4_a_successors_request_asks_for_the_same_names_and_another_fits_not() {
    let ca = authorities(KeyKind::P256);
    let (old, new) = (LocalKey::generate(KeyKind::P256).unwrap(), LocalKey::generate(KeyKind::P384).unwrap());
    let certificate = leaf(&ca, "billing", &old);
    let csr = CheckedCsr::parse(&request::successor(&new, &certificate).unwrap()).unwrap();
    assert_eq!((csr.subject.to_string().as_str(), csr.alternative_names.len()), ("CN=billing,O=Acme", 2));
    assert!(csr.fits_as_successor(&certificate).unwrap());
    for (subject, name) in [("/O=Acme/CN=admin", "DNS:app.example.com"), ("/O=Acme/CN=billing", "DNS:other.example.com")] {
        let names = [AlternativeName::parse(name).unwrap()];
        let other = CheckedCsr::parse(&request::build(&new, &Subject::parse(subject).unwrap(), &names).unwrap()).unwrap();
        assert!(!other.fits_as_successor(&certificate).unwrap(), "{subject} {name}");
    }
}

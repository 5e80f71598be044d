//! The profiles of what is issued, on the finished bytes (D4 to D7 of `research/pki.md` section 6d): as OpenSSL reads them, and with the
//! linter finding each departure.

use super::fixtures::*;
use super::issuer::{Authorities, authorities, leaf};
use crate::alternative_name::AlternativeName;
use crate::certificate::{CLIENT_AUTH, SERVER_AUTH};
use crate::encode::{integer, sequence, tlv};
use crate::issue::{self, Extensions, Template};
use crate::issuer::{self, IssuerCertificate, LeafOrder, Publication};
use crate::lint::{self, Limits, Profile};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey, Signer as _};
use crate::subject::Subject;
use const_oid::ObjectIdentifier;

const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The rules that a certificate of the issuing CA breaks.
fn broken(ca: &Authorities, der: &[u8], profile: Profile) -> Vec<&'static str> {
    let issuer = if profile == Profile::Issuing { &ca.root } else { &ca.issuing };
    lint::certificate(der, profile, issuer, &Limits::default()).into_iter().map(|found| found.rule).collect()
}

/// A client's certificate with these extensions in place of ours, signed by the issuing CA.
fn signed(ca: &Authorities, extensions: &[Vec<u8>]) -> Vec<u8> {
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let template = Template {
        serial: issue::serial(&ENTROPY),
        issuer: ca.issuing.subject().to_vec(),
        subject: Subject::common_name("x").unwrap().to_der(),
        not_before: now(),
        not_after: now().plus(days(9)),
        key: key.public_key().to_vec(),
        extensions: Extensions::default(),
    };
    let own = [
        crate::issue::extension(ObjectIdentifier::new_unwrap("2.5.29.14"), false, &tlv(0x04, &issue::key_id(key.public_key()))),
        crate::issue::extension(ObjectIdentifier::new_unwrap("2.5.29.35"), false, &sequence(&[tlv(0x80, ca.issuing.key_id())])),
    ];
    let fields = crate::certificate::children(
        crate::certificate::single(&issue::to_be_signed(&template, ca.issuing.algorithm()).unwrap()).unwrap().value,
    )
    .unwrap()
    .into_iter()
    .take(7)
    .map(|field| field.whole.to_vec())
    .chain([tlv(0xa3, &sequence(&extensions.iter().cloned().chain(own).collect::<Vec<_>>()))])
    .collect::<Vec<_>>();
    issue::finish(&sequence(&fields), &ca.key).unwrap()
}

fn of(text: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    crate::issue::extension(ObjectIdentifier::new_unwrap(text), critical, value)
}

/// basicConstraints, keyUsage and extendedKeyUsage as a client has them.
fn client_extensions() -> [Vec<u8>; 3] {
    let purposes = sequence(&[crate::encode::oid(CLIENT_AUTH)]);
    [of("2.5.29.19", true, &[0x30, 0]), of("2.5.29.15", true, &[3, 2, 7, 0x80]), of("2.5.29.37", false, &purposes)]
}

#[test]
fn d4_constraints_and_usage_are_critical_and_exactly_the_profiles() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let show = |name: &str, der: &[u8]| {
        dir.write(name, pem::certificate(der));
        dir.openssl(&format!("x509 -in {name} -noout -ext basicConstraints,keyUsage")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let constraints = "X509v3 Basic Constraints: critical";
    let client = show("leaf.pem", &leaf(&ca, "billing", &LocalKey::generate(KeyKind::Rsa2048).unwrap()));
    assert_eq!(client, format!("{constraints} CA:FALSE X509v3 Key Usage: critical Digital Signature"));
    let issuing = show("ca.pem", ca.issuing.der());
    let signs = "Certificate Sign, CRL Sign";
    assert_eq!(issuing, format!("{constraints} CA:TRUE, pathlen:0 X509v3 Key Usage: critical Digital Signature, {signs}"));
    assert_eq!(show("root.pem", ca.root.der()), format!("{constraints} CA:TRUE X509v3 Key Usage: critical {signs}"));
    // Each departure is found.
    let [constraint, usage, purpose] = client_extensions();
    assert_eq!(broken(&ca, &signed(&ca, &client_extensions()), Profile::Client), Vec::<&str>::new());
    for [one, two] in [
        [of("2.5.29.19", false, &[0x30, 0]), usage.clone()],
        [of("2.5.29.19", true, &sequence(&[tlv(1, &[0xff])])), usage.clone()],
        [of("2.5.29.19", true, &sequence(&[integer(&[0])])), usage.clone()],
        [constraint.clone(), of("2.5.29.15", false, &[3, 2, 7, 0x80])],
        [constraint.clone(), of("2.5.29.15", true, &[3, 2, 5, 0xa0])],
        [constraint, of("2.5.29.15", true, &[3, 2, 1, 6])],
    ] {
        let der = signed(&ca, &[one, two, purpose.clone()]);
        assert!(broken(&ca, &der, Profile::Client).contains(&"D4"), "{}", pem::certificate(&der));
    }
    // A CA that signs leaves may have none below it, and a root says nothing of it.
    let under_root = |limit| {
        Made { der: ca.root.der().to_vec(), key: LocalKey::from_der(&ca.root_key.to_pkcs8().unwrap()).unwrap() }.below(Spec {
            ca: Some(limit),
            usage: Some(&[0, 5, 6]),
            from: now(),
            ..ca_spec("below")
        })
    };
    assert!(!broken(&ca, &under_root(Some(0)), Profile::Issuing).contains(&"D4"));
    for limit in [None, Some(1)] {
        assert!(broken(&ca, &under_root(limit), Profile::Issuing).contains(&"D4"), "{limit:?}");
    }
}

impl Made {
    fn below(&self, spec: Spec<'_>) -> Vec<u8> {
        make(&spec, Some(self)).der
    }
}

#[test]
fn d5_what_is_issued_is_for_clients_and_for_nothing_else() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    dir.write("leaf.pem", pem::certificate(&leaf(&ca, "billing", &LocalKey::generate(KeyKind::P256).unwrap())));
    let said = dir.openssl("x509 -in leaf.pem -noout -ext extendedKeyUsage");
    assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), "X509v3 Extended Key Usage: TLS Web Client Authentication");
    let purposes = dir.openssl("x509 -in leaf.pem -noout -purpose");
    assert!(purposes.contains("SSL client : Yes") && purposes.contains("SSL server : No"), "{purposes}");
    let [constraint, usage, purpose] = client_extensions();
    let with = |all: &[ObjectIdentifier]| {
        let list: Vec<Vec<u8>> = all.iter().map(|one| crate::encode::oid(*one)).collect();
        signed(&ca, &[constraint.clone(), usage.clone(), of("2.5.29.37", false, &sequence(&list))])
    };
    assert!(!broken(&ca, &with(&[CLIENT_AUTH]), Profile::Client).contains(&"D5"));
    for wrong in [&[ANY_PURPOSE][..], &[SERVER_AUTH], &[CLIENT_AUTH, SERVER_AUTH], &[CLIENT_AUTH, ANY_PURPOSE], &[]] {
        assert!(broken(&ca, &with(wrong), Profile::Client).contains(&"D5"), "{wrong:?}");
    }
    assert!(broken(&ca, &signed(&ca, &[constraint.clone(), usage.clone()]), Profile::Client).contains(&"D5"), "none at all");
    assert!(broken(&ca, &signed(&ca, &[constraint, usage, purpose]), Profile::Responder).contains(&"D5"));
}

#[test]
fn d6_a_client_has_a_subject_and_only_names_that_were_checked() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    dir.write("leaf.pem", pem::certificate(&leaf(&ca, "billing", &LocalKey::generate(KeyKind::P256).unwrap())));
    assert_eq!(dir.openssl("x509 -in leaf.pem -noout -subject -nameopt RFC2253").trim(), "subject=CN=billing,O=Acme");
    let names = dir.openssl("x509 -in leaf.pem -noout -ext subjectAltName");
    assert!(names.trim().ends_with("DNS:app.example.com, URI:https://app.example.com/x"), "{names}");
    let issuing = Made { der: ca.issuing.der().to_vec(), key: LocalKey::from_der(&ca.key.to_pkcs8().unwrap()).unwrap() };
    let spec = Spec { from: now(), ..leaf_spec("x") };
    assert!(broken(&ca, &make(&Spec { subject: vec![], ..spec.clone() }, Some(&issuing)).der, Profile::Client).contains(&"D6"));
    // What a subject may not hold: a control character; and a mail address that the alternative names do not repeat.
    let control = Spec { subject: vec![(crate::issue::COMMON_NAME, "a\nb")], ..spec.clone() };
    assert!(broken(&ca, &make(&control, Some(&issuing)).der, Profile::Client).contains(&"D6"));
    let mail = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
    let alone = Spec { subject: vec![(mail, "ops@example.com")], ..spec };
    assert!(broken(&ca, &make(&alone, Some(&issuing)).der, Profile::Client).contains(&"D6"));
}

/// What OpenSSL calls the values of a certificate, line by line.
fn parsed(dir: &Dir, der: &[u8]) -> String {
    dir.write("one.der", der);
    dir.openssl("asn1parse -inform DER -in one.der")
}

#[test]
fn d7_what_is_issued_is_der_with_nothing_empty_and_no_default_value() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    let subject = Subject::parse("/C=DE/O=Acme/CN=Müller").unwrap();
    let publication = Publication::default();
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let order = LeafOrder {
        subject: &subject,
        alternative_names: &[],
        public_key: key.public_key(),
        lifetime: days(9),
        lifetime_max: days(9),
        shorten: false,
        publication: &publication,
    };
    let make = |order: &LeafOrder<'_>| issuer::sign(&issuer::leaf(order, &ca.issuing, now(), &ENTROPY)?, &ca.issuing, &ca.key);
    let said = parsed(&dir, &make(&order).unwrap());
    // The country is a PrintableString, as RFC 5280 says; everything else UTF8String.
    assert!(said.contains("PRINTABLESTRING   :DE") && said.contains("UTF8STRING        :Acme"), "{said}");
    for wrong in ["T61STRING", "BMPSTRING", "IA5STRING", "l=inf", "BOOLEAN           :0"] {
        assert!(!said.contains(wrong), "{wrong}: {said}");
    }
    // No list of names where there are none; the one empty sequence is that of basicConstraints, which means CA:FALSE.
    assert!(!said.contains("Subject Alternative Name"), "{said}");
    assert_eq!(said.matches("[HEX DUMP]:3000").count(), 1, "{said}");
    // A default value that is written out is no DER, and neither is an empty list.
    let [constraint, usage, purpose] = client_extensions();
    let usual = [usage.clone(), purpose.clone()];
    let spelled = of("2.5.29.19", true, &sequence(&[tlv(1, &[0])]));
    let found = broken(&ca, &signed(&ca, &[&[spelled][..], &usual].concat()), Profile::Client);
    assert!(found.contains(&"D7"), "{found:?}");
    let false_written = sequence(&[
        crate::encode::oid(ObjectIdentifier::new_unwrap("2.5.29.37")),
        tlv(1, &[0]),
        tlv(4, &sequence(&[crate::encode::oid(CLIENT_AUTH)])),
    ]);
    let found = broken(&ca, &signed(&ca, &[constraint.clone(), usage.clone(), false_written]), Profile::Client);
    assert!(found.contains(&"D7"), "{found:?}");
    let empty = of("2.5.29.17", false, &sequence::<Vec<u8>>(&[]));
    let found = broken(&ca, &signed(&ca, &[constraint, usage, purpose, empty]), Profile::Client);
    assert!(found.contains(&"D7"), "{found:?}");
    // Eight KiB are the end of it, whatever may be asked for one by one.
    let many: Vec<AlternativeName> =
        (0..100).map(|i| AlternativeName::parse(&format!("DNS:{i}.{}.{}.example.com", "a".repeat(60), "b".repeat(60))).unwrap()).collect();
    let outcome = make(&LeafOrder { alternative_names: &many, ..order.clone() });
    assert_eq!(outcome.unwrap_err().code, "lint_failed");
    assert!(IssuerCertificate::read(ca.issuing.der()).is_ok());
}

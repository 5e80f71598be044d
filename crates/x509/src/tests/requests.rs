//! What a request is read as, byte by byte (C2, C6 and C13 of `research/pki.md` section 6c): strict DER, a key that is taken over as it
//! came, and nothing computed for a key that is refused anyway.

use super::csr::{DN, openssl, parse, raw};
use super::fixtures::*;
use super::issuer::authorities;
use crate::X509Error;
use crate::alternative_name::AlternativeName;
use crate::csr::CheckedCsr;
use crate::encode::{bit_string, integer, oid, sequence, tlv};
use crate::issuer::{self, LeafOrder, Publication};
use crate::private_key::{KeyKind, LocalKey, Signer};
use const_oid::ObjectIdentifier;

const RSA: &str = "1.2.840.113549.1.1.1";

fn object(text: &str) -> Vec<u8> {
    oid(ObjectIdentifier::new_unwrap(text))
}

fn common_name() -> Vec<u8> {
    crate::encode::name(&[(crate::issue::COMMON_NAME, "x")])
}

/// A request with these bytes for its key and the signature of nobody.
fn with_key(spki: &[u8]) -> Vec<u8> {
    let signed = sequence(&[integer(&[0]), common_name(), spki.to_vec(), tlv(0xa0, &[])]);
    let algorithm = sequence(&[object("1.2.840.113549.1.1.11"), vec![5, 0]]);
    sequence(&[signed, algorithm, bit_string(&[1; 64])])
}

/// An EC key with this point.
fn point(curve: &str, point: &[u8]) -> Vec<u8> {
    sequence(&[sequence(&[object("1.2.840.10045.2.1"), object(curve)]), bit_string(point)])
}

fn read(der: &[u8]) -> Result<CheckedCsr, X509Error> {
    CheckedCsr::parse(der)
}

#[test]
fn c2_only_strict_der_of_version_1_is_a_request() {
    let dir = Dir::new();
    openssl(&dir, EC, DN, "", "");
    dir.openssl("req -in r.pem -outform DER -out r.der");
    let good = dir.read("r.der");
    read(&good).unwrap();
    // The head has a length of two bytes here; a third, zero one is the same number in BER.
    assert_eq!(&good[..2], &[0x30, 0x81]);
    let mut long = vec![0x30, 0x82, 0x00];
    long.extend_from_slice(&good[2..]);
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend_from_slice(&good[3..]);
    indefinite.extend_from_slice(&[0, 0]);
    let at = good.windows(3).position(|bytes| bytes == [2, 1, 0]).unwrap();
    let version = |number: u8| {
        let mut changed = good.clone();
        changed[at + 2] = number;
        changed
    };
    let mut no_context = good.clone();
    let attributes = good.windows(2).rposition(|bytes| bytes == [0xa0, 0x00]).unwrap();
    no_context[attributes] = 0x30;
    for wrong in [long, indefinite, version(1), version(2), no_context, good[..good.len() - 1].to_vec()] {
        let code = read(&wrong).unwrap_err().code;
        assert!(matches!(code, "malformed_request" | "not_a_request" | "trailing_bytes"), "{code}");
    }
}

#[test]
fn c2_of_the_attributes_only_the_requested_extensions_are_looked_at() {
    let dir = Dir::new();
    let subject = format!("attributes=att\n{DN}\n[att]\nchallengePassword=correct-horse\nunstructuredName=stable");
    let csr = parse(&openssl(&dir, EC, &subject, "subjectAltName=DNS:a.example.com", "")).unwrap();
    assert!(dir.openssl("req -in r.pem -noout -text").contains("correct-horse"), "the password is in the request");
    assert_eq!((csr.subject.to_string().as_str(), csr.alternative_names.len()), ("CN=billing,O=Acme,C=DE", 1));
    let known = format!("{} {:?} {:?}", csr.subject, csr.alternative_names, csr.warnings);
    assert!(!known.contains("horse") && !known.contains("stable"), "{known}");
    // Of what is looked at, one is enough: of two one could be read by one reader and the other by another.
    let one = crate::issue::extension(ObjectIdentifier::new_unwrap("2.5.29.17"), false, &sequence(&[tlv(0x82, b"a.example.com")]));
    let attribute = sequence(&[object("1.2.840.113549.1.9.14"), tlv(0x31, &sequence(&[one]))]);
    read(&raw(&common_name(), &attribute)).unwrap();
    refused(read(&raw(&common_name(), &[attribute.clone(), attribute].concat())), "malformed_request", "C2");
}

#[test]
fn c6_the_key_is_taken_over_byte_by_byte() {
    let dir = Dir::new();
    let ca = authorities(KeyKind::P256);
    for key in [EC, "rsa:2048", "ed25519"] {
        let csr = parse(&openssl(&dir, key, DN, "", "")).unwrap();
        let publication = Publication::default();
        let order = LeafOrder {
            subject: &csr.subject,
            alternative_names: &[],
            public_key: &csr.public_key,
            lifetime: days(9),
            lifetime_max: days(9),
            shorten: false,
            publication: &publication,
        };
        let built = issuer::leaf(&order, &ca.issuing, now(), &ENTROPY).unwrap();
        let der = issuer::sign(&built, &ca.issuing, &ca.key).unwrap();
        dir.write("leaf.pem", crate::pem::certificate(&der));
        assert_eq!(dir.openssl("x509 -in leaf.pem -noout -pubkey"), dir.openssl("req -in r.pem -noout -pubkey"), "{key}");
        assert_eq!(crate::facts::public_key(&der).unwrap(), csr.public_key, "{key}");
    }
}

#[test]
fn c6_points_are_whole_on_their_curve_and_parameters_are_those_of_the_kind() {
    let dir = Dir::new();
    let p256 = "1.2.840.10045.3.1.7";
    let good = LocalKey::generate(KeyKind::P256).unwrap();
    let whole = crate::key::bits(good.public_key()).unwrap().to_vec();
    assert!(crate::key::check(&point(p256, &whole)).is_ok());
    // The short form of a point, which OpenSSL reads as the same key.
    let short: Vec<u8> = std::iter::once(2 | (whole[64] & 1)).chain(whole[1..33].iter().copied()).collect();
    dir.write("short.der", point(p256, &short));
    dir.write("whole.der", point(p256, &whole));
    let form = "-outform DER -pubout -ec_conv_form uncompressed";
    for name in ["short", "whole"] {
        dir.openssl(&format!("pkey -pubin -inform DER -in {name}.der {form} -out {name}.out"));
    }
    assert_eq!(dir.read("short.out"), dir.read("whole.out"));
    refused(read(&with_key(&point(p256, &short))), "unsupported_key", "A10");
    refused(read(&with_key(&point(p256, &[0]))), "unsupported_key", "A10");
    let mut off = whole.clone();
    *off.last_mut().unwrap() ^= 1;
    refused(read(&with_key(&point(p256, &off))), "point_off_curve", "C6");
    refused(read(&with_key(&point("1.3.132.0.34", &whole))), "point_off_curve", "C6");
    refused(read(&with_key(&point(p256, &whole[..64]))), "point_off_curve", "C6");
    // RSA has NULL for its parameters, and Ed25519 none.
    let rsa = LocalKey::generate(KeyKind::Rsa2048).unwrap();
    let bits = bit_string(crate::key::bits(rsa.public_key()).unwrap());
    assert!(crate::key::check(&sequence(&[sequence(&[object(RSA), vec![5, 0]]), bits.clone()])).is_ok());
    for parameters in [vec![], vec![4, 1, 0], vec![5, 0, 5, 0]] {
        let spki = sequence(&[sequence(&[object(RSA), parameters]), bits.clone()]);
        refused(crate::key::check(&spki), "unsupported_key", "A10");
    }
    let edwards = LocalKey::generate(KeyKind::Ed25519).unwrap();
    let bits = bit_string(crate::key::bits(edwards.public_key()).unwrap());
    assert!(crate::key::check(&sequence(&[sequence(&[object("1.3.101.112")]), bits.clone()])).is_ok());
    refused(crate::key::check(&sequence(&[sequence(&[object("1.3.101.112"), vec![5, 0]]), bits])), "unsupported_key", "A10");
}

#[test]
fn c13_an_absurd_key_is_refused_by_its_size_before_anything_is_computed() {
    // Numbers that would take long, with a signature that would not verify: neither is looked at.
    let key = |bytes: usize, exponent: &[u8]| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = 0xfd;
        sequence(&[sequence(&[object(RSA), vec![5, 0]]), bit_string(&sequence(&[integer(&modulus), integer(exponent)]))])
    };
    let began = std::time::Instant::now();
    for bytes in [1025, 2048, 14_000] {
        refused(read(&with_key(&key(bytes, &[1, 0, 1]))), "rsa_key_size", "A10");
    }
    let e = vec![0xff; 512];
    refused(read(&with_key(&key(256, &e))), "rsa_exponent", "A10");
    assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
    // The largest that is taken costs no more than a fraction of a second, wrong signature and all.
    let began = std::time::Instant::now();
    assert!(read(&with_key(&key(1024, &[1, 0, 1]))).is_err());
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    refused(read(&with_key(&key(17_000, &[1, 0, 1]))), "request_too_large", "C1");
}

/// A request that asks for one extension, encoded by hand from its parts.
fn asking(extension: &[u8]) -> Vec<u8> {
    asking_for(&tlv(0x31, &tlv(0x30, extension)))
}

fn asking_for(values: &[u8]) -> Vec<u8> {
    raw(&common_name(), &sequence(&[object("1.2.840.113549.1.9.14"), values.to_vec()]))
}

#[test]
fn c2_what_a_request_asks_for_is_in_strict_der() {
    let (constraints, usage, purposes, names) = ("2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17");
    let plain = |kind: &str, value: &[u8]| sequence(&[object(kind), tlv(0x04, value)]);
    let marked = |flag: &[u8]| sequence(&[object(names), flag.to_vec(), tlv(0x04, &sequence(&[tlv(0x82, b"a.example.com")]))]);
    read(&asking(&marked(&[1, 1, 0xff]))).unwrap();
    read(&asking(&plain(constraints, &[0x30, 0]))).unwrap();
    let digital_signature = [3, 2, 7, 0x80];
    read(&asking(&plain(usage, &digital_signature))).unwrap();
    refused(read(&asking(&plain(constraints, &[0x30, 3, 1, 1, 0xff]))), "extension_not_allowed", "C10");
    let wrong = [
        // TRUE is FF, FALSE is the default, and both are one byte with the tag of a BOOLEAN.
        marked(&[1, 1, 1]),
        marked(&[1, 2, 0xff, 0xff]),
        marked(&[1, 1, 0]),
        marked(&[2, 1, 0xff]),
        plain(constraints, &[0x30, 3, 1, 1, 1]),
        plain(constraints, &[0x30, 4, 1, 2, 0xff, 0xff]),
        plain(constraints, &[0x30, 3, 1, 1, 0]),
        plain(constraints, &[0x30, 3, 4, 1, 0xff]),
        plain(constraints, &[0x30, 6, 1, 1, 0xff, 1, 1, 0xff]),
        plain(constraints, &[0x31, 0]),
        // A list of named bits ends with its last bit.
        plain(usage, &[3, 2, 0, 0x80]),
        plain(usage, &[3, 3, 7, 0x80, 0]),
        plain(usage, &[3, 1, 0]),
        plain(usage, &[4, 2, 7, 0x80]),
        plain(purposes, &[0x30, 0]),
        plain(purposes, &[0x31, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2]),
        plain(purposes, &[0x30, 10, 4, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2]),
        plain(names, &tlv(0x31, &tlv(0x82, b"a.example.com"))),
        plain("2.5.29.14", &tlv(0x03, &[1])),
        // An extension is a SEQUENCE whose value is an OCTET STRING, of a type that is an object identifier.
        tlv(0x31, &[object(names), tlv(0x04, &sequence(&[tlv(0x82, b"a.example.com")]))].concat()),
        sequence(&[object(names), tlv(0x03, &sequence(&[tlv(0x82, b"a.example.com")]))]),
        sequence(&[tlv(0x0d, &[1]), tlv(0x04, &[5, 0])]),
    ];
    for extension in wrong {
        let hex: String = extension.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(read(&asking(&extension)).unwrap_err().code, "malformed_request", "{hex}");
        refused(read(&asking(&extension)), "malformed_request", "C2");
    }
    let sound = sequence(&[plain(constraints, &[0x30, 0])]);
    for values in [tlv(0x30, &sound), tlv(0x31, &tlv(0x31, &plain(constraints, &[0x30, 0]))), tlv(0x31, &[])] {
        refused(read(&asking_for(&values)), "malformed_request", "C2");
    }
}

#[test]
fn c1_c4_c9_requests_as_windows_and_java_write_them_are_read() {
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let attribute_less = |subject: &[u8], algorithm: &[u8]| {
        let signed = sequence(&[integer(&[0]), subject.to_vec(), key.public_key().to_vec()]);
        sequence(&[signed.clone(), algorithm.to_vec(), bit_string(&key.sign(&signed).unwrap())])
    };
    let wide = |text: &str| tlv(0x1e, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    let part = |kind: &str, value: Vec<u8>| tlv(0x31, &sequence(&[object(kind), value]));
    let subject = sequence(&[part("2.5.4.6", tlv(0x13, b"DE")), part("2.5.4.10", wide("Bäckerei")), part("2.5.4.3", wide("billing"))]);
    let (bare, null) = (sequence(&[object("1.2.840.10045.4.3.2")]), sequence(&[object("1.2.840.10045.4.3.2"), vec![5, 0]]));
    for algorithm in [&bare, &null] {
        let der = attribute_less(&subject, algorithm);
        let csr = read(&der).unwrap();
        assert_eq!(csr.subject.to_string(), "CN=billing,O=Bäckerei,C=DE");
        assert_eq!(csr, read(csr.pem().as_bytes()).unwrap(), "PEM too");
    }
    // Other parameters mean nothing that is known, and a signature that is not the key's is none in any spelling.
    let odd = sequence(&[object("1.2.840.10045.4.3.2"), vec![4, 0]]);
    refused(read(&attribute_less(&subject, &odd)), "unsupported_request_signature", "C4");
    let mut broken = attribute_less(&subject, &null);
    *broken.last_mut().unwrap() ^= 1;
    assert!(read(&broken).is_err());
    // What they ask for beside, and nobody needs.
    for kind in ["1.2.840.113549.1.9.15", "2.5.29.35", "2.16.840.1.113730.1.13", "1.3.6.1.4.1.311.21.10"] {
        let extension = |critical| crate::issue::extension(ObjectIdentifier::new_unwrap(kind), critical, &sequence::<Vec<u8>>(&[]));
        let csr = read(&asking(&extension(false))).unwrap();
        assert!(csr.warnings.len() == 1 && csr.warnings[0].contains(kind), "{:?}", csr.warnings);
        refused(read(&asking(&extension(true))), "extension_not_allowed", "C10");
    }
    let theirs = sequence(&[object("1.3.6.1.4.1.311.2.1.14"), tlv(0x31, &sequence::<Vec<u8>>(&[]))]);
    assert_eq!(read(&raw(&common_name(), &theirs)).unwrap().warnings.len(), 1);
}

#[test]
fn c11_names_that_java_cannot_read_are_not_taken() {
    for name in [
        "URI:https://",
        "URI:https:///path",
        "URI:https://:443/",
        "URI:https://user@/",
        "URI:https:path",
        "URI:spiffe:a",
        "URI:x://",
        "URI:https://[::zz]/",
        "URI:https://[::1/",
        "URI:https://a.example./",
        "URI:https://a..b/",
        "URI:https://-a.example/",
        "URI:https://1.2.3/",
        "URI:https://300.1.1.1/",
        "URI:https://a.example:port/",
        "URI:https://a.example:99999/",
        "URI:https://a@b@c/",
        "URI:https://%61.example/",
        "URI:https://a.example/%zz",
        "URI:https://a.example/%",
        "URI:https://a.example/%4",
        "URI:https://a.example/[",
        "URI:https://a.example/#a#b",
        "URI:https://xn--99999999/",
        "DNS:10.0.0.1",
        "DNS:300.0.0.1",
        "DNS:1.2.3",
        "DNS:7",
        "DNS:a.0x7f",
        "DNS:xn--a",
        "DNS:xn--0.example",
        "DNS:a.xn--99999999.example",
        "DNS:XN--ABC.example",
        "DNS:xn--.example",
        "email:a@10.0.0.1",
        "email:a@xn--0.example",
    ] {
        let (kind, value) = name.split_once(':').unwrap();
        let tag = match kind {
            "DNS" => 0x82,
            "URI" => 0x86,
            _ => 0x81,
        };
        assert!(AlternativeName::parse(name).is_err(), "{name}");
        refused(AlternativeName::parse(name), "bad_alternative_name", "C11");
        let entry = sequence(&[tlv(tag, value.as_bytes())]);
        refused(read(&asking(&sequence(&[object("2.5.29.17"), tlv(0x04, &entry)]))), "bad_alternative_name", "C11");
    }
    for name in [
        "URI:https://a.example",
        "URI:https://user@a.example:8443/x",
        "URI:https://10.0.0.1/",
        "URI:https://[2001:db8::1]:443/x",
        "URI:spiffe://example.com/ns/x/sa/y",
        "URI:spiffe://trust_domain/x",
        "URI:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "URI:mailto:a@b.example",
        "URI:https://xn--bcher-kva.example/%C3%A4?q#f",
        "DNS:localhost",
        "DNS:1.1.1.1.example",
        "DNS:7a",
        "DNS:a_b.example",
        "DNS:xn--bcher-kva.example",
        "DNS:ab--c.example",
    ] {
        assert!(AlternativeName::parse(name).is_ok(), "{name}: {:?}", AlternativeName::parse(name));
    }
}

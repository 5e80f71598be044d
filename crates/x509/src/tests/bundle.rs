//! Rules A1 to A15.

use super::fixtures::*;
use crate::bundle::{parse, to_pem};
use crate::certificate::SERVER_AUTH;
use crate::encode::{bit_string, sequence, tlv};
use crate::issue::{self, Extensions, Template};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey, Signer};

#[test]
fn a1_pem_der_base64_and_pkcs7_all_give_the_same_bundle() {
    let made = root("one");
    let pem = made.pem();
    let crlf = pem.replace('\n', "\r\n");
    let dir = Dir::new();
    dir.write("c.pem", format!("{pem}\n"));
    dir.openssl("crl2pkcs7 -nocrl -certfile c.pem -out c.p7b");
    dir.openssl("crl2pkcs7 -nocrl -certfile c.pem -outform DER -out c.p7");
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(pem.bytes().flat_map(|b| [b, 0])).collect();
    let inputs: Vec<Vec<u8>> = vec![
        pem.clone().into_bytes(),
        format!("\u{feff}{crlf}").into_bytes(),
        format!("subject=O = Acme\nissuer=x\n{pem}").into_bytes(),
        pem.replace('\n', "\\n").into_bytes(),
        pem.replace('\n', " ").into_bytes(),
        made.der.clone(),
        base64(pem.as_bytes()),
        base64(&made.der),
        dir.read("c.p7b"),
        dir.read("c.p7"),
        base64(&utf16),
        utf16,
    ];
    for (i, input) in inputs.iter().enumerate() {
        let cas = parse(input, now(), false).unwrap_or_else(|e| panic!("input {i}: {e}"));
        assert_eq!(cas.len(), 1, "input {i}");
        assert_eq!(cas[0].der, made.der, "input {i}");
    }
}

#[test]
fn a1_too_many_too_large_empty_and_trusted_are_refused() {
    let many: Vec<String> = (0..17).map(|i| root(&format!("ca {i}")).pem()).collect();
    refused(accept(&many.join("\n")), "too_many_certificates", "A1");
    assert_eq!(accept(&many[..16].join("\n")).unwrap().len(), 16);
    let one = root("one").pem();
    refused(accept(&format!("{}{one}", "#".repeat(33 * 1024))), "bundle_too_large", "A1");
    refused(accept(&"#".repeat(70 * 1024)), "bundle_too_large", "A1");
    for empty in ["", " \r\n\t"] {
        refused(accept(empty), "empty_input", "A1");
    }
    refused(accept("hello"), "not_a_certificate", "A1");
    refused(accept(&one.replace("-----END CERTIFICATE-----", "")), "bad_pem", "A1");
    refused(accept(&one.replace("CERTIFICATE", "TRUSTED CERTIFICATE")), "trusted_certificate", "A1");
}

#[test]
fn a1_the_order_is_kept_and_the_text_has_no_final_newline() {
    let (a, b) = (root("b"), root("a"));
    let text = format!("{}\n{}", a.pem(), b.pem());
    let cas = accept(&format!("{text}\n{}\n", a.pem())).unwrap();
    assert_eq!(cas.iter().map(|c| &c.der).collect::<Vec<_>>(), [&a.der, &b.der]);
    assert_eq!(to_pem(&cas), text);
    let dir = Dir::new();
    dir.write("a.pem", a.pem());
    let printed =
        dir.openssl("x509 -in a.pem -noout -fingerprint -sha1").trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert_eq!(cas[0].fingerprint_sha1, printed);
}

#[test]
fn a2_a_private_key_is_refused_in_whatever_dress() {
    let made = root("one");
    let pem = made.pem();
    let dir = Dir::new();
    dir.write("k.pem", made.key_pem());
    dir.write("c.pem", &pem);
    dir.openssl("ec -in k.pem -out sec1.pem");
    dir.openssl("pkcs8 -topk8 -in k.pem -out enc.pem -passout pass:x");
    dir.openssl("pkcs8 -topk8 -in k.pem -nocrypt -outform DER -out k.der");
    dir.openssl("ec -in k.pem -outform DER -out sec1.der");
    dir.openssl("pkcs12 -export -in c.pem -inkey k.pem -out c.p12 -passout pass:x");
    let cut = made.key_pem().lines().take(2).collect::<Vec<_>>().join("\n");
    let dressed = [
        (made.key_pem(), "private_key_in_upload"),
        (dir.text("sec1.pem"), "private_key_in_upload"),
        (dir.text("enc.pem"), "encrypted_key_in_upload"),
        (cut, "private_key_in_upload"),
    ];
    for (key, code) in dressed {
        refused(accept(&format!("{pem}\n{key}")), code, "A2");
        refused(accept(&format!("{key}\n{pem}")), code, "A2");
    }
    // Dashes that got lost, and a key under a wrong label.
    let damaged = made.key_pem().replace("-----", "----");
    refused(accept(&format!("{pem}\n{damaged}")), "private_key_in_upload", "A2");
    refused(accept(&made.key_pem().replace("PRIVATE KEY", "CERTIFICATE")), "private_key_in_upload", "A2");
    for der in ["k.der", "sec1.der", "c.p12"] {
        refused(parse(&dir.read(der), now(), false), "private_key_in_upload", "A2");
    }
    assert!(accept(&pem).is_ok());
}

#[test]
fn a3_anything_but_certificates_is_refused_with_its_place() {
    let made = root("one");
    let dir = Dir::new();
    dir.write("k.pem", made.key_pem());
    dir.openssl("req -new -key k.pem -subj /CN=x -out r.pem");
    dir.openssl("req -in r.pem -outform DER -out r.der");
    dir.openssl("pkey -in k.pem -pubout -out p.pem");
    for (file, what) in [("r.pem", "CERTIFICATE REQUEST"), ("p.pem", "PUBLIC KEY")] {
        let error = refused(accept(&format!("{}\n{}", made.pem(), dir.text(file))), "mixed_content", "A3");
        assert!(error.message.contains("block 2") && error.message.contains(what), "{error}");
    }
    refused(parse(&dir.read("r.der"), now(), false), "mixed_content", "A3");
}

#[test]
fn a4_v1_and_a_missing_basic_constraints_are_refused_and_a_non_critical_one_remarked() {
    let dir = Dir::new();
    dir.openssl("ecparam -name prime256v1 -genkey -noout -out k.pem");
    dir.openssl("req -new -key k.pem -subj /CN=old -out r.pem");
    dir.openssl("x509 -req -in r.pem -signkey k.pem -days 30 -out v1.pem");
    refused(accept(&dir.text("v1.pem")), "v1_certificate", "A4");
    refused(accept(&dir.self_signed(EC, "keyUsage=keyCertSign", "")), "not_a_ca", "A4");
    let cas = accept(&dir.self_signed(EC, "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,cRLSign", "")).unwrap();
    assert!(cas[0].warnings.iter().any(|w| w.starts_with("A4")), "{:?}", cas[0].warnings);
    assert!(accept(&root("good").pem()).unwrap()[0].warnings.is_empty());
}

#[test]
fn a4_a_ca_without_a_name_is_refused() {
    refused(accept(&make(&Spec { subject: vec![], ..ca_spec("") }, None).pem()), "empty_subject", "A4");
}

#[test]
fn a5_key_usage_may_be_absent_but_not_without_key_cert_sign() {
    let ca = |usage| make(&Spec { usage, ..ca_spec("ca") }, None).pem();
    assert!(accept(&ca(None)).unwrap()[0].warnings[0].starts_with("A5"));
    assert!(accept(&ca(Some(&[5]))).unwrap()[0].warnings[0].contains("cRLSign"));
    refused(accept(&ca(Some(&[0, 6]))), "no_cert_sign", "A5");
}

#[test]
fn a6_a_ca_that_can_never_vouch_for_a_client_is_refused() {
    let ca = |purpose| make(&Spec { purpose, ..ca_spec("ca") }, None).pem();
    refused(accept(&ca(Some(SERVER_AUTH))), "not_for_client_auth", "A6");
    assert!(accept(&ca(Some(crate::certificate::CLIENT_AUTH))).is_ok());
}

#[test]
fn a7_an_intermediate_needs_its_issuer_beside_it() {
    let root = root("root");
    let middle = make(&ca_spec("middle"), Some(&root));
    let error = refused(accept(&middle.pem()), "issuer_missing", "A7");
    assert!(error.hint.contains("CN=root"), "{error}");
    assert_eq!(accept(&format!("{}\n{}", middle.pem(), root.pem())).unwrap().len(), 2);
}

#[test]
fn a7_a_namesake_that_did_not_sign_is_no_issuer() {
    let (real, other) = (root("root"), root("root"));
    let middle = make(&ca_spec("middle"), Some(&real));
    refused(accept(&format!("{}\n{}", middle.pem(), other.pem())), "bad_signature", "A7");
    assert_eq!(accept(&format!("{}\n{}\n{}", middle.pem(), other.pem(), real.pem())).unwrap().len(), 3);
}

#[test]
fn a8_expired_and_future_are_refused_and_a_near_end_is_remarked() {
    let ca = |from, to| make(&Spec { from, to, ..ca_spec("ca") }, None).pem();
    let now = now();
    refused(accept(&ca(now.minus(days(9)), now.minus(days(1)))), "ca_expired", "A8");
    refused(accept(&ca(now.plus(days(1)), now.plus(days(9)))), "ca_not_yet_valid", "A8");
    assert!(accept(&ca(now.minus(days(1)), now.plus(days(9)))).unwrap()[0].warnings[0].starts_with("A8"));
    // The last second counts whole.
    let end = now.plus(days(9));
    let late = countersign_core::Timestamp::from_micros(end.micros() + 999_999);
    assert!(parse(ca(now, end).as_bytes(), late, false).is_ok());
    refused(parse(ca(now, end).as_bytes(), end.plus(countersign_core::Lifetime::from_seconds(1)), false), "ca_expired", "A8");
}

#[test]
fn a9_sha1_is_refused_below_a_root_and_remarked_on_one() {
    let dir = Dir::new();
    let root = dir.self_signed("rsa:2048", SOUND, "-sha1");
    assert!(accept(&root).unwrap()[0].warnings.iter().any(|w| w.starts_with("A9")));
    dir.openssl("req -new -newkey rsa:2048 -nodes -keyout mk.pem -subj /CN=middle -out m.csr");
    dir.write("ext", SOUND);
    for (hash, good) in [("sha1", false), ("sha256", true)] {
        dir.openssl(&format!("x509 -req -in m.csr -CA c.pem -CAkey k.pem -CAcreateserial -days 30 -{hash} -extfile ext -out m.pem"));
        let outcome = accept(&format!("{}{root}", dir.text("m.pem")));
        if good {
            assert_eq!(outcome.unwrap().len(), 2);
        } else {
            refused(outcome, "sha1_signature", "A9");
        }
    }
}

#[test]
fn a10_weak_and_unsupported_keys_are_refused() {
    let dir = Dir::new();
    for (key, code) in [
        ("rsa:1024", "rsa_key_size"),
        ("rsa -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3", "rsa_exponent"),
        ("rsa -pkeyopt rsa_keygen_bits:2052", "rsa_key_size"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "unsupported_key"),
        ("ec -pkeyopt ec_paramgen_curve:secp224r1", "unsupported_key"),
        ("ec -pkeyopt ec_paramgen_curve:brainpoolP256r1", "unsupported_key"),
        ("ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "unsupported_key"),
        ("ed448", "unsupported_key"),
        ("rsa-pss -pkeyopt rsa_keygen_bits:2048", "unsupported_key"),
    ] {
        refused(accept(&dir.self_signed(key, SOUND, "")), code, "A10");
    }
}

#[test]
fn a10_the_keys_of_the_field_are_accepted() {
    let dir = Dir::new();
    for key in ["rsa:2048", "rsa:3072", EC, "ec -pkeyopt ec_paramgen_curve:P-384", "ec -pkeyopt ec_paramgen_curve:P-521", "ed25519"] {
        let cas = accept(&dir.self_signed(key, SOUND, "")).unwrap_or_else(|e| panic!("{key}: {e}"));
        assert!(cas[0].warnings.is_empty(), "{key}: {:?}", cas[0].warnings);
    }
}

#[test]
fn a11_a_public_root_needs_a_filter() {
    // A public root's key in a certificate of the machine's own store, if there is one.
    let Ok(store) = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt") else { return skipped("there are no public roots here") };
    let mut seen = 0;
    for block in store.split_inclusive("-----END CERTIFICATE-----").filter(|b| b.contains("BEGIN")) {
        let der = pem::block_of(block, "CERTIFICATE").unwrap();
        let read = crate::certificate::Certificate::read(&der).unwrap_or_else(|e| panic!("a public root is unreadable: {e}\n{block}"));
        if !crate::key::is_public_root(read.key) || parse(block.as_bytes(), now(), true).is_err() {
            continue;
        }
        refused(accept(block), "well_known_ca", "A11");
        let cas = parse(block.as_bytes(), now(), true).unwrap();
        assert!(cas[0].well_known && cas[0].warnings.iter().any(|w| w.starts_with("A11")));
        seen += 1;
    }
    assert!(seen > 3, "the machine's store has {seen} roots that are known");
    assert!(!accept(&root("own").pem()).unwrap()[0].well_known);
}

#[test]
fn a12_what_the_validator_does_not_understand_is_refused() {
    let dir = Dir::new();
    let with = |line: &str| dir.self_signed(EC, &format!("{SOUND}\n{line}"), "");
    let error = refused(accept(&with("1.2.3.4=critical,ASN1:NULL")), "unknown_critical_extension", "A12");
    assert!(error.message.contains("1.2.3.4"), "{error}");
    assert!(accept(&with("1.2.3.4=ASN1:NULL")).is_ok());
    for kind in ["email:acme.com", "URI:.acme.com"] {
        refused(accept(&with(&format!("nameConstraints=critical,permitted;{kind}"))), "unsupported_name_constraint", "A12");
    }
    for kind in ["DNS:acme.com", "IP:10.0.0.0/255.0.0.0"] {
        assert!(accept(&with(&format!("nameConstraints=critical,permitted;{kind}"))).is_ok(), "{kind}");
    }
}

/// A CA with these extensions beside its own, signed whatever they are.
fn with_extensions(more: &[Vec<u8>]) -> String {
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let subject = crate::encode::name(&[(issue::COMMON_NAME, "odd")]);
    let extensions = Extensions { ca: Some(None), key_usage: Some(&[5, 6]), more, ..Extensions::default() };
    let (not_before, not_after) = (now().minus(days(1)), now().plus(days(365)));
    let (serial, public) = (issue::serial(&ENTROPY), key.public_key().to_vec());
    let template = Template { serial, issuer: subject.clone(), subject, not_before, not_after, key: public, extensions };
    let algorithm = issue::algorithm(&key).unwrap();
    let signed = issue::to_be_signed(&template, &algorithm).unwrap();
    let signature = bit_string(&key.sign(&signed).unwrap());
    pem::certificate(&sequence(&[signed, algorithm, signature]))
}

#[test]
fn a12_name_constraints_are_in_strict_der_and_without_a_minimum() {
    let with = |value: &[u8]| accept(&with_extensions(&[issue::extension(crate::certificate::NAME_CONSTRAINTS, true, value)]));
    let dns = tlv(0x82, b"acme.com");
    let subtree = |fields: &[Vec<u8>]| sequence(fields);
    let permitted = |subtrees: &[Vec<u8>]| sequence(&[tlv(0xa0, &subtrees.concat())]);
    assert!(with(&permitted(&[subtree(std::slice::from_ref(&dns))])).is_ok());
    let both =
        sequence(&[tlv(0xa0, &subtree(std::slice::from_ref(&dns))), tlv(0xa1, &subtree(&[tlv(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])]))]);
    assert!(with(&both).is_ok());
    let wrong = [
        // The wrong tags: of a side, a subtree, the whole, a name.
        sequence(&[tlv(0xa2, &subtree(std::slice::from_ref(&dns)))]),
        sequence(&[tlv(0x30, &subtree(std::slice::from_ref(&dns)))]),
        sequence(&[tlv(0x80, &subtree(std::slice::from_ref(&dns)))]),
        permitted(&[tlv(0x31, &dns)]),
        permitted(&[subtree(&[tlv(0x0c, b"acme.com")])]),
        // Sides that come twice, in the wrong order, or not at all.
        sequence(&[tlv(0xa0, &subtree(std::slice::from_ref(&dns))), tlv(0xa0, &subtree(std::slice::from_ref(&dns)))]),
        sequence(&[tlv(0xa1, &subtree(std::slice::from_ref(&dns))), tlv(0xa0, &subtree(std::slice::from_ref(&dns)))]),
        sequence::<Vec<u8>>(&[]),
        permitted(&[]),
        permitted(&[subtree(&[])]),
        // A minimum, written out though it is the default, or another; a maximum.
        permitted(&[subtree(&[dns.clone(), tlv(0x80, &[0])])]),
        permitted(&[subtree(&[dns.clone(), tlv(0x80, &[1])])]),
        permitted(&[subtree(&[dns.clone(), tlv(0x81, &[1])])]),
        // Names that cannot be read.
        permitted(&[subtree(&[tlv(0x82, "ä.de".as_bytes())])]),
        permitted(&[subtree(&[tlv(0x87, &[10, 0, 0, 0])])]),
    ];
    for value in wrong {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(with(&value).map(|_| ()).unwrap_err().code, "unsupported_name_constraint", "{hex}");
        refused(with(&value), "unsupported_name_constraint", "A12");
    }
    assert!(with(&tlv(0x31, &tlv(0xa0, &subtree(&[dns])))).is_err());
}

#[test]
fn a12_a_ca_with_an_extension_twice_is_refused() {
    let ca_false = issue::extension(crate::certificate::BASIC_CONSTRAINTS, true, &[0x30, 0]);
    let ca_true = issue::extension(crate::certificate::BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff]);
    let unknown = issue::extension(const_oid::ObjectIdentifier::new_unwrap("1.2.3.4"), false, &[5, 0]);
    assert!(accept(&with_extensions(std::slice::from_ref(&unknown))).is_ok());
    for more in [vec![ca_false], vec![ca_true], vec![unknown.clone(), unknown]] {
        refused(accept(&with_extensions(&more)), "duplicate_extension", "A12");
    }
}

#[test]
fn a13_an_intermediate_that_its_root_forbids_is_refused() {
    for (limit, good) in [(Some(0), false), (Some(1), true), (None, true)] {
        let root = make(&Spec { ca: Some(limit), ..ca_spec("root") }, None);
        let middle = make(&ca_spec("middle"), Some(&root));
        let outcome = accept(&format!("{}\n{}", root.pem(), middle.pem()));
        if good {
            assert_eq!(outcome.unwrap().len(), 2);
        } else {
            refused(outcome, "path_length", "A13");
        }
    }
}

#[test]
fn a14_four_generations_of_one_ca_are_accepted_and_five_are_not() {
    let many: Vec<String> = (0..5).map(|_| root("same").pem()).collect();
    assert_eq!(accept(&many[..4].join("\n")).unwrap().len(), 4);
    refused(accept(&many.join("\n")), "too_many_same_subject", "A14");
}

#[test]
fn a15_a_leaf_is_no_ca() {
    let root = root("root");
    let leaf = client("leaf", &root);
    let error = refused(accept(&format!("{}\n{}", root.pem(), leaf.pem())), "not_a_ca", "A15");
    assert!(error.message.starts_with("block 2 (CN=leaf,O=Acme)"), "{error}");
}

#[test]
fn the_default_ca_of_openssl_is_accepted() {
    let dir = Dir::new();
    dir.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /O=DIY -keyout k.pem -out c.pem");
    let cas = accept(&dir.text("c.pem")).unwrap();
    assert_eq!(cas[0].warnings, ["A5: it has no keyUsage"]);
}

//! Requests, by rule C1 to C14; made by OpenSSL wherever a user would make them so.

use super::fixtures::*;
use crate::X509Error;
use crate::alternative_name::AlternativeName;
use crate::csr::{CheckedCsr, REQUEST_BYTES_MAX};
use crate::encode::{bit_string, integer, oid, sequence, tlv};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey, Signer};
use crate::request;
use crate::subject::{Attribute, Subject};
use const_oid::ObjectIdentifier;

/// `k.pem` and `r.pem` by OpenSSL.
pub fn openssl(dir: &Dir, key: &str, subject: &str, extensions: &str, more: &str) -> String {
    let section = if extensions.is_empty() { "" } else { "req_extensions=ext\n" };
    dir.write("r.cnf", format!("[req]\ndistinguished_name=dn\nprompt=no\nstring_mask=utf8only\n{section}{subject}\n[ext]\n{extensions}\n"));
    dir.openssl(format!("req -new -utf8 -newkey {key} -nodes -config r.cnf -keyout k.pem -out r.pem {more}").trim_end());
    dir.text("r.pem")
}

pub const DN: &str = "[dn]\nC=DE\nO=Acme\nCN=billing";

pub fn parse(text: &str) -> Result<CheckedCsr, X509Error> {
    CheckedCsr::parse(text.as_bytes())
}

/// A request of ours with any subject and attributes, signed or not.
pub fn raw(subject: &[u8], attributes: &[u8]) -> Vec<u8> {
    let key = LocalKey::generate(KeyKind::P256).unwrap();
    let signed = sequence(&[integer(&[0]), subject.to_vec(), key.public_key().to_vec(), tlv(0xa0, attributes)]);
    let signature = key.sign(&signed).unwrap();
    sequence(&[signed, crate::issue::algorithm(&key).unwrap(), bit_string(&signature)])
}

fn with_cn(cn: &str) -> Vec<u8> {
    raw(&crate::encode::name(&[(crate::issue::COMMON_NAME, cn)]), &[])
}

fn with_extension(oid_text: &str, value: &[u8]) -> Vec<u8> {
    let extension = crate::issue::extension(ObjectIdentifier::new_unwrap(oid_text), false, value);
    with_extensions(&[extension])
}

fn with_extensions(all: &[Vec<u8>]) -> Vec<u8> {
    let attribute = sequence(&[oid(ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14")), tlv(0x31, &sequence(all))]);
    raw(&crate::encode::name(&[(crate::issue::COMMON_NAME, "x")]), &attribute)
}

#[test]
fn c1_to_c11_what_openssl_asks_for_is_read() {
    let dir = Dir::new();
    let ext = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth\n\
               subjectAltName=DNS:App.Example.com,email:ops@example.com,URI:spiffe://example.com/app,IP:192.0.2.1,IP:2001:db8::1";
    let text = openssl(&dir, EC, DN, ext, "-sha256");
    let csr = parse(&text).unwrap();
    assert_eq!(csr.subject.to_string(), "CN=billing,O=Acme,C=DE");
    assert_eq!(csr.subject.canonical(), "2.5.4.6=de,2.5.4.10=acme,2.5.4.3=billing");
    let names: Vec<String> = csr.alternative_names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["DNS:app.example.com", "email:ops@example.com", "URI:spiffe://example.com/app", "IP:192.0.2.1", "IP:2001:db8::1"]);
    assert_eq!((csr.key_kind.as_str(), csr.key_bits), ("ecdsa-p256", 256));
    assert!(csr.warnings.iter().any(|w| w.contains("only digitalSignature")), "{:?}", csr.warnings);
    assert_eq!(csr.pem(), text);
    // C14 and C1: every way to paste it.
    let windows = format!("\u{feff}Certificate Request:\r\n    Data: …\r\n{}", text.replace('\n', "\r\n"));
    let old_label = text.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    let one_line = text.replace('\n', "");
    for way in [&windows, &old_label, &one_line, &text.trim_end().to_owned()] {
        assert_eq!(parse(way).unwrap(), csr);
    }
    assert_eq!(CheckedCsr::parse(&csr.der).unwrap(), csr, "DER");
}

#[test]
fn c3_c5_every_sound_key_proves_possession() {
    let dir = Dir::new();
    for (key, more, kind, bits) in [
        ("ec -pkeyopt ec_paramgen_curve:P-384", "-sha256", "ecdsa-p384", 384),
        ("ec -pkeyopt ec_paramgen_curve:P-256", "-sha384", "ecdsa-p256", 256),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "-sha512", "ecdsa-p521", 521),
        ("ed25519", "", "ed25519", 256),
        ("rsa:2048", "-sha256", "rsa-2048", 2048),
        ("rsa:2048", "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32", "rsa-2048", 2048),
    ] {
        let csr = parse(&openssl(&dir, key, DN, "", more)).unwrap_or_else(|e| panic!("{key} {more}: {e}"));
        assert_eq!((csr.key_kind.as_str(), csr.key_bits), (kind, bits));
        assert_eq!(csr.debian_fingerprint.is_some(), kind.starts_with("rsa"));
    }
    let expected = dir.openssl("req -in r.pem -noout -modulus").trim().to_owned();
    let csr = parse(&dir.text("r.pem")).unwrap();
    dir.write("line", format!("{expected}\n"));
    let sum = dir.openssl("dgst -sha1 line");
    assert!(sum.trim().ends_with(&csr.debian_fingerprint.unwrap()), "the fingerprint is the one of openssl-blacklist");
}

/// Runs a tool in `dir`; false when it is not on the machine.
fn ran(dir: &Dir, program: &str, words: &str) -> bool {
    let Some(file) = tool(program) else {
        skipped(&format!("{program} is not installed, so no request of its making was tried"));
        return false;
    };
    let output = std::process::Command::new(file).args(words.split(' ')).current_dir(&dir.0).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn c1_to_c11_requests_of_java_gnutls_and_nss_are_taken() {
    let dir = Dir::new();
    let store = "-alias a -keystore k.p12 -storepass changeit";
    if ran(&dir, "keytool", &format!("-genkeypair {store} -keyalg EC -groupname secp256r1 -dname CN=duke,O=Acme,C=DE"))
        && ran(&dir, "keytool", &format!("-certreq {store} -file java.csr -ext san=dns:a.example.com"))
    {
        let csr = parse(&dir.text("java.csr")).unwrap();
        assert_eq!((csr.subject.to_string().as_str(), csr.warnings.len()), ("CN=duke,O=Acme,C=DE", 0));
        assert_eq!(csr.alternative_names[0].to_string(), "DNS:a.example.com");
    }
    dir.write("g.cfg", "cn = gnutls\ncountry = DE\ntls_www_client\nsigning_key\ndns_name = a.example.com\n");
    if ran(&dir, "certtool", "--generate-privkey --key-type ecdsa --curve secp256r1 --outfile g.key")
        && ran(&dir, "certtool", "--generate-request --load-privkey g.key --template g.cfg --outfile gnutls.csr")
    {
        assert_eq!(parse(&dir.text("gnutls.csr")).unwrap().subject.to_string(), "CN=gnutls,C=DE");
    }
    std::fs::create_dir(dir.0.join("db")).unwrap();
    dir.write("noise", [5; 64]);
    if ran(&dir, "certutil", "-N -d sql:db --empty-password")
        && ran(&dir, "certutil", "-R -d sql:db -s CN=nss,O=Acme -k ec -q nistp256 -z noise -a -o nss.csr -8 a.example.com")
    {
        assert_eq!(parse(&dir.text("nss.csr")).unwrap().subject.to_string(), "CN=nss,O=Acme");
    }
}

#[test]
fn c3_a_changed_request_proves_nothing() {
    let good = with_cn("billing");
    let at = good.windows(7).position(|w| w == b"billing").unwrap();
    let mut bad = good.clone();
    bad[at] = b'B';
    assert!(CheckedCsr::parse(&good).is_ok());
    refused(CheckedCsr::parse(&bad), "possession_not_proved", "C3");
}

#[test]
fn c1_what_is_no_request_is_named() {
    let dir = Dir::new();
    let request = openssl(&dir, EC, DN, "", "");
    let key = dir.text("k.pem");
    refused(parse(&format!("{request}{key}")), "private_key_in_upload", "A2");
    refused(parse(&key), "private_key_in_upload", "A2");
    refused(CheckedCsr::parse(&pem::block_of(&key, "PRIVATE KEY").unwrap()), "private_key_in_upload", "A2");
    dir.openssl("pkcs8 -topk8 -in k.pem -passout pass:secret -out e.pem");
    refused(parse(&dir.text("e.pem")), "encrypted_key_in_upload", "A2");
    dir.openssl("ec -in k.pem -aes128 -passout pass:secret -out t.pem");
    refused(parse(&dir.text("t.pem")), "encrypted_key_in_upload", "A2");
    refused(parse(&format!("{request}{request}")), "several_blocks", "C1");
    let certificate = dir.self_signed(EC, SOUND, "");
    refused(parse(&certificate), "certificate_not_request", "C1");
    refused(CheckedCsr::parse(&pem::block_of(&certificate, "CERTIFICATE").unwrap()), "certificate_not_request", "C1");
    dir.openssl("crl2pkcs7 -nocrl -certfile c.pem -out c.p7b");
    refused(parse(&dir.text("c.p7b")), "pkcs7_not_request", "C1");
    dir.openssl("pkey -in k.pem -pubout -out p.pem");
    refused(parse(&dir.text("p.pem")), "not_a_request", "C1");
    for nothing in ["", " \n", "hello", "-----BEGIN CERTIFICATE REQUEST-----\n"] {
        let code = parse(nothing).unwrap_err().code;
        assert!(matches!(code, "not_a_request" | "bad_pem"), "{nothing:?}: {code}");
    }
}

#[test]
fn c1_size_and_end_are_exact() {
    let dir = Dir::new();
    let text = openssl(&dir, EC, DN, "", "");
    let mut der = pem::block_of(&text, "CERTIFICATE REQUEST").unwrap().to_vec();
    der.push(0);
    refused(CheckedCsr::parse(&der), "trailing_bytes", "C1");
    refused(parse(&pem::armour("CERTIFICATE REQUEST", &der)), "trailing_bytes", "C1");
    der.truncate(der.len() - 9);
    assert!(CheckedCsr::parse(&der).is_err());
    refused(parse(&format!("{}{text}", "x".repeat(REQUEST_BYTES_MAX))), "request_too_large", "C1");
    refused(CheckedCsr::parse(&vec![b'A'; 5 * 1024 * 1024]), "request_too_large", "C1");
    refused(parse(&format!("{}{}", dir.text("k.pem"), " ".repeat(5 * 1024 * 1024))), "private_key_in_upload", "A2");
}

#[test]
fn c4_weak_signatures_are_refused() {
    let dir = Dir::new();
    for hash in ["md5", "sha1", "sha224"] {
        refused(parse(&openssl(&dir, "rsa:2048", DN, "", &format!("-{hash}"))), "weak_request_signature", "C4");
    }
    refused(parse(&openssl(&dir, "rsa-pss", DN, "", "")), "unsupported_request_signature", "C4");
}

#[test]
fn c5_c7_weak_and_unsupported_keys_are_refused() {
    let dir = Dir::new();
    for (key, code) in [
        ("rsa:1024", "rsa_key_size"),
        ("rsa -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3", "rsa_exponent"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "unsupported_key"),
        ("ec -pkeyopt ec_paramgen_curve:brainpoolP256r1", "unsupported_key"),
        ("ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "unsupported_key"),
    ] {
        refused(parse(&openssl(&dir, key, DN, "", "-sha256")), code, "A10");
    }
}

#[test]
fn c9_subjects_are_bounded_and_plain() {
    let cases = [
        ("", "empty_subject"),
        ("a\0b", "control_character_in_name"),
        ("a\nb", "control_character_in_name"),
        ("a\u{202e}b", "invisible_character_in_name"),
        ("a\u{200b}b", "invisible_character_in_name"),
        ("a\u{feff}b", "invisible_character_in_name"),
        ("p\u{430}ypal", "look_alike_name"),
        ("ｐａｙｐａｌ", "look_alike_name"),
        ("Zoe\u{308}", "unnormalized_name"),
    ];
    for (cn, code) in cases {
        refused(CheckedCsr::parse(&with_cn(cn)), code, "C9");
    }
    refused(CheckedCsr::parse(&with_cn(&"x".repeat(65))), "bad_subject", "C9");
    for fine in ["Zoë Müller", "请求", "Ελλάδα", "Приложение", &"x".repeat(64)] {
        assert!(CheckedCsr::parse(&with_cn(fine)).is_ok(), "{fine}");
    }
    let dir = Dir::new();
    refused(parse(&openssl(&dir, EC, "[dn]\nO=Acme\n+CN=x", "", "")), "bad_subject", "C9");
    refused(parse(&openssl(&dir, EC, "[dn]\nCN=x\ntitle=Dr", "", "")), "bad_subject", "C9");
    refused(parse(&openssl(&dir, EC, "[dn]\nC=de\nCN=x", "", "")), "bad_subject", "C9");
    refused(CheckedCsr::parse(&raw(&sequence::<Vec<u8>>(&[]), &[])), "empty_subject", "C9");
}

#[test]
fn c9_other_string_types_are_written_anew() {
    let dir = Dir::new();
    dir.write("b.cnf", "[req]\ndistinguished_name=dn\nprompt=no\nstring_mask=MASK:2048\n[dn]\nCN=Zoë");
    dir.openssl("req -new -utf8 -newkey ed25519 -nodes -config b.cnf -keyout k.pem -out r.pem");
    let csr = parse(&dir.text("r.pem")).unwrap();
    assert_eq!(csr.subject.to_string(), "CN=Zoë");
    assert!(csr.subject.to_der().windows(2).any(|w| w == [0x0c, 4]), "UTF8String");
    dir.write("t.cnf", "[req]\ndistinguished_name=dn\nprompt=no\nstring_mask=MASK:4\n[dn]\nCN=Zoë");
    dir.openssl("req -new -utf8 -newkey ed25519 -nodes -config t.cnf -keyout k.pem -out r.pem");
    refused(parse(&dir.text("r.pem")), "bad_subject", "C9");
}

#[test]
fn c10_only_what_the_profile_gives_may_be_asked_for() {
    let dir = Dir::new();
    for ext in [
        "basicConstraints=CA:TRUE",
        "keyUsage=keyCertSign",
        "keyUsage=digitalSignature,cRLSign",
        "extendedKeyUsage=serverAuth",
        "extendedKeyUsage=clientAuth,codeSigning",
        "extendedKeyUsage=anyExtendedKeyUsage",
        "nameConstraints=permitted;DNS:x",
        "certificatePolicies=1.2.3",
        "crlDistributionPoints=URI:http://evil/x",
        "authorityInfoAccess=OCSP;URI:http://evil/",
        "tlsfeature=status_request",
        "1.2.3.4=DER:0500",
    ] {
        refused(parse(&openssl(&dir, EC, DN, ext, "")), "extension_not_allowed", "C10");
    }
    assert!(parse(&openssl(&dir, EC, DN, "subjectKeyIdentifier=hash", "")).is_ok(), "keytool and GnuTLS always ask for it");
    let template = CheckedCsr::parse(&with_extension("1.3.6.1.4.1.311.20.2", &tlv(0x1e, b"\0U"))).unwrap();
    assert_eq!(template.warnings.len(), 1);
    let twice = crate::issue::extension(ObjectIdentifier::new_unwrap("2.5.29.14"), false, &tlv(4, &[1]));
    refused(CheckedCsr::parse(&with_extensions(&[twice.clone(), twice])), "duplicate_extension", "C10");
}

#[test]
fn c11_alternative_names_are_of_known_kinds_and_sound() {
    let dir = Dir::new();
    for ext in ["subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:u@x", "subjectAltName=RID:1.2.3", "subjectAltName=DNS:*.example.com"]
    {
        refused(parse(&openssl(&dir, EC, DN, ext, "")), "bad_alternative_name", "C11");
    }
    for entry in
        [tlv(0x82, b"a\0.b"), tlv(0x82, b"a b"), tlv(0x82, "ä.de".as_bytes()), tlv(0x87, &[1, 2]), tlv(0x81, b"nobody"), tlv(0x86, b"x")]
    {
        let outcome = CheckedCsr::parse(&with_extension("2.5.29.17", &sequence(&[entry])));
        refused(outcome, "bad_alternative_name", "C11");
    }
    let many: Vec<Vec<u8>> = (0..101).map(|i| tlv(0x82, format!("a{i}.b").as_bytes())).collect();
    refused(CheckedCsr::parse(&with_extension("2.5.29.17", &sequence(&many))), "bad_alternative_name", "C11");
    for text in ["DNS:a.b", "email:a@b.c", "URI:urn:a", "IP:::1"] {
        assert_eq!(AlternativeName::parse(text).unwrap().to_string(), text);
    }
    for text in ["a.b", "DNS:", "X:a", "IP:300.1.1.1", "URI:no scheme", "email:a@"] {
        refused(AlternativeName::parse(text), "bad_alternative_name", "C11");
    }
}

#[test]
fn b4_names_are_the_same_by_text_and_look_alikes_are_known() {
    let of = |text: &str| Subject::parse(text).unwrap();
    let one = of("CN=Billing  Service,OU=x,O=Acme,C=DE");
    assert_eq!(one.canonical(), of("/C=DE/O=ACME/OU=X/CN=billing service ").canonical());
    assert_ne!(one.canonical(), of("CN=Billing Service,O=Acme,C=DE").canonical());
    assert_ne!(of("CN=a,O=b").canonical(), of("O=b,CN=a").canonical(), "order counts");
    assert_eq!(of("CN=billing1").skeleton(), of("CN=bi11ingl").skeleton());
    assert_ne!(of("CN=billing1").canonical(), of("CN=billingl").canonical());
    assert_eq!(of("CN=сор").skeleton(), of("CN=cop").skeleton(), "Cyrillic and Latin");
    let escaped = of("CN=a\\,b\\+c\\c3\\a4\\ ,O=x");
    assert_eq!(escaped.values(Attribute::CommonName).collect::<Vec<_>>(), ["a,b+cä "]);
    assert_eq!(of(&escaped.to_string()), escaped);
    for bad in ["CN=a\\\u{2003}", "", "x", "CN", "CN=a\\", "XX=1", "CN=a,CN=\\zz\\", "CN=a,OU="] {
        assert!(Subject::parse(bad).is_err(), "{bad}");
    }
    let dir = Dir::new();
    let made = dir.self_signed(EC, SOUND, "");
    let der = pem::block_of(&made, "CERTIFICATE").unwrap();
    assert_eq!(crate::subject::canonical_of_certificate(&der).unwrap(), of("/O=ODD/CN=Odd").canonical());
}

#[test]
fn requests_of_our_own_are_verified_by_openssl_and_by_us() {
    let dir = Dir::new();
    let subject = Subject::parse("/C=DE/O=Acme/CN=Zoë").unwrap();
    let names = [AlternativeName::parse("DNS:a.example.com").unwrap(), AlternativeName::parse("IP:::1").unwrap()];
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Ed25519] {
        let key = LocalKey::generate(kind).unwrap();
        let text = request::build_pem(&key, &subject, &names).unwrap();
        dir.write("r.pem", &text);
        dir.write("k.pem", key.to_pem().unwrap().expose());
        dir.openssl("req -in r.pem -verify -noout");
        assert_eq!(dir.openssl("pkey -in k.pem -pubout"), dir.openssl("req -in r.pem -noout -pubkey"));
        let csr = parse(&text).unwrap();
        assert_eq!((csr.key_kind.as_str(), &csr.subject, &csr.alternative_names[..]), (kind.name(), &subject, &names[..]));
        assert_eq!(csr.warnings, Vec::<String>::new());
        assert_eq!(kind.name().parse::<KeyKind>().unwrap(), kind);
    }
    assert_eq!("dsa".parse::<KeyKind>().unwrap_err().code, "unknown_key_kind");
}

//! The bad input that people do send, each with a sentence of its own, and nothing stored of any (issue list of bad input; rules A2,
//! B8, B10, C1 to C10 of research/pki.md, case C-05).

use crate::harness::{Answer, Plane};
use crate::issuing::{application, csr, order, plane};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Timestamp;
use countersign_server::Clock as _;
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::request;
use countersign_x509::subject::Subject;
use serde_json::{Value, json};
use std::process::Command;

/// A directory in which openssl works.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    #[track_caller]
    fn openssl(&self, line: &str) -> String {
        let out = Command::new("openssl").args(line.split(' ')).current_dir(self.0.path()).output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// A request of this name with a new key: `<name>.csr`, `<name>.key`.
    fn request(&self, name: &str) -> String {
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -subj /O=Acme/CN={name} -out {name}.csr"
        ));
        self.read(&format!("{name}.csr"))
    }

    /// A CA, `ca.pem`, and the extensions of a client's certificate, `ext`.
    fn ca(&self) -> String {
        self.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /O=Partner/CN=ca -days 90 -out ca.pem \
             -addext keyUsage=critical,keyCertSign,cRLSign",
        );
        self.write("ext", "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n");
        self.read("ca.pem")
    }

    /// A certificate for a request of this name, by that CA.
    fn certificate(&self, name: &str, more: &str) -> String {
        self.request(name);
        self.openssl(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -extfile ext -out {name}.pem {more}"));
        self.read(&format!("{name}.pem"))
    }
}

async fn refused(plane: &Plane, csr: &str, code: &str) -> String {
    let answer = crate::issuing::ask(plane, "app", csr).await;
    assert!((400..500).contains(&answer.status) && answer.code() == code, "{code}: {}", answer.text);
    sentence(&answer)
}

/// A sentence and what to do.
#[track_caller]
fn sentence(answer: &Answer) -> String {
    let text = |member: &str| answer.body[member].as_str().unwrap_or_default().to_owned();
    assert!(text("detail").len() > 10 && !text("hint").is_empty(), "{}", answer.text);
    assert!(!answer.text.contains("MII"), "nothing of the input is repeated: {}", answer.text);
    text("detail")
}

async fn nothing_was_stored(plane: &Plane) {
    assert_eq!(plane.get("/certificates", &plane.owner).await.ok()["items"], json!([]));
    let trail = plane.get("/audit?page_size=1000", &plane.owner).await.text;
    assert!(!trail.contains("PRIVATE") && !trail.contains("requestSha256"), "{trail}");
}

#[tokio::test]
async fn a2_and_c1_what_is_no_single_request_is_told_what_it_is() {
    let (plane, bench) = (plane().await, Bench::new());
    application(&plane, "app").await;
    let good = bench.request("good");
    let key = bench.read("good.key");
    bench.openssl("pkcs8 -topk8 -in good.key -out locked.key -passout pass:secret12");
    bench.openssl("req -x509 -key good.key -subj /CN=self -days 3 -out self.pem");
    bench.openssl("crl2pkcs7 -nocrl -certfile self.pem -out self.p7b");
    bench.openssl("req -in good.csr -outform DER -out good.der");
    let mut der = bench.bytes("good.der");
    let whole = STANDARD.encode(&der);
    let version = der.windows(3).position(|bytes| bytes == [2, 1, 0]).unwrap();
    let mut another_version = der.clone();
    another_version[version + 2] = 2;
    der.push(0);
    let cases = [
        (key.clone(), "private_key_in_upload"),
        (format!("{good}{key}"), "private_key_in_upload"),
        (bench.read("locked.key"), "encrypted_key_in_upload"),
        (format!("{good}{good}"), "several_blocks"),
        (bench.read("self.pem"), "certificate_not_request"),
        (bench.read("self.p7b"), "pkcs7_not_request"),
        (STANDARD.encode(&der), "trailing_bytes"),
        (String::new(), "not_a_request"),
        ("hello".to_owned(), "not_a_request"),
        (STANDARD.encode(&another_version), "malformed_request"),
        ("x".repeat(20_000), "request_too_large"),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (input, code) in &cases {
        let said = refused(&plane, input, code).await;
        assert!(sentences.insert(said) || matches!(*code, "private_key_in_upload" | "not_a_request"), "{code} has a sentence of its own");
    }
    let huge = json!({"csr": "x".repeat(5 << 20), "application": "app", "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, huge).await.refused(413, "body_too_large");
    let both = json!({"csr": good, "certificate": bench.read("self.pem"), "application": "app", "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, both).await.refused(400, "invalid_argument");
    nothing_was_stored(&plane).await;
    // What only looks odd is taken: a byte order mark and Windows line ends, text around it, DER in base64.
    for (name, form) in [("bom", 0), ("text", 1)] {
        let plain = bench.request(name);
        let odd = if form == 0 { format!("\u{feff}{}", plain.replace('\n', "\r\n")) } else { format!("Dear team,\n{plain}\nBye\n") };
        crate::issuing::ask(&plane, "app", &odd).await.ok();
    }
    crate::issuing::ask(&plane, "app", &whole).await.ok();
}

#[tokio::test]
async fn c4_and_c7_weak_keys_and_signatures_are_refused_with_the_reason() {
    let (plane, bench) = (plane().await, Bench::new());
    application(&plane, "app").await;
    bench.openssl("req -new -newkey rsa:1024 -nodes -keyout small.key -subj /CN=small -out small.csr");
    assert!(refused(&plane, &bench.read("small.csr"), "rsa_key_size").await.contains("1024"));
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out three.key");
    bench.openssl("req -new -key three.key -subj /CN=three -out three.csr");
    assert!(refused(&plane, &bench.read("three.csr"), "rsa_exponent").await.contains('3'));
    bench.request("sha");
    bench.openssl("req -new -sha1 -key sha.key -subj /CN=sha -out sha1.csr");
    assert!(refused(&plane, &bench.read("sha1.csr"), "weak_request_signature").await.contains("SHA-1"));
    bench.openssl("ecparam -name secp256k1 -genkey -noout -out curve.key");
    bench.openssl("req -new -key curve.key -subj /CN=curve -out curve.csr");
    refused(&plane, &bench.read("curve.csr"), "unsupported_key").await;
    nothing_was_stored(&plane).await;
}

/// A request whose common name has other bytes than anybody would type, signed as it should be.
fn patched(from: &str, to: &[u8]) -> String {
    let key = LocalKey::generate(KeyKind::Ed25519).unwrap();
    let mut der = request::build(&key, &Subject::common_name(from).unwrap(), &[]).unwrap();
    let at = der.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    der[at..at + to.len()].copy_from_slice(to);
    // Outer SEQUENCE with a length of one or two bytes; behind the request info come 5 + 2 bytes of algorithm and 3 + 64 of signature.
    let head = if der[1] & 0x80 == 0 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
    let signed = der.len() - 7 - 67;
    let signature = key.sign(&der[head..signed]).unwrap();
    let end = der.len();
    der[end - 64..].copy_from_slice(&signature);
    STANDARD.encode(der)
}

#[tokio::test]
async fn c9_names_that_deceive_are_refused() {
    let plane = plane().await;
    application(&plane, "app").await;
    refused(&plane, &patched("aXXXb", b"a\0xxb"), "control_character_in_name").await;
    refused(&plane, &patched("aXXXb", b"a\nxxb"), "control_character_in_name").await;
    refused(&plane, &patched("aXXXb", "a\u{202e}b".as_bytes()), "invisible_character_in_name").await;
    refused(&plane, &patched("pXXpal", "p\u{430}ypal".as_bytes().get(..6).unwrap()), "look_alike_name").await;
    refused(&plane, &patched("aXXXb", b"a\xff\xfe\xfdb"), "bad_subject").await;
    nothing_was_stored(&plane).await;
}

#[tokio::test]
async fn b8_and_b10_a_certificate_that_would_not_work_is_not_registered() {
    let (plane, bench) = (plane().await, Bench::new());
    application(&plane, "app").await;
    let ca = bench.ca();
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": ca})).await.ok();
    let leaf = bench.certificate("good", "-days 30");
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": leaf})).await.refused(400, "not_a_ca");
    let upload = |certificate: String| {
        let body = json!({"certificate": certificate, "application": "app", "environment": "sandbox"});
        async { plane.post("/certificates", &plane.owner, body).await }
    };
    let key = bench.read("good.key");
    bench.openssl("pkcs8 -topk8 -in good.key -passout pass:word -out shut.key");
    let refusals = [
        (format!("{leaf}{key}"), "private_key_in_upload"),
        (bench.read("shut.key"), "encrypted_key_in_upload"),
        (format!("{leaf}{}", bench.read("shut.key")), "encrypted_key_in_upload"),
        (ca.clone(), "ca_certificate"),
        (format!("{leaf}{}", bench.certificate("other", "-days 30")), "too_many_certificates"),
        (bench.certificate("sha", "-days 30 -sha1"), "sha1_signature"),
        (bench.read("good.csr"), "mixed_content"),
        (String::new(), "empty_input"),
    ];
    for (input, code) in refusals {
        let answer = upload(input).await;
        assert!(answer.code() == code, "{code}: {}", answer.text);
        sentence(&answer);
    }
    nothing_was_stored(&plane).await;
    // Exactly as with requests, a key is in one certificate and a serial number is given once.
    upload(bench.certificate("one", "-days 30 -set_serial 4711")).await.ok();
    let twice = upload(bench.certificate("two", "-days 30 -set_serial 4711")).await;
    assert!(sentence(&twice).contains("serial number"), "{}", twice.text);
    twice.refused(409, "duplicate_serial");
    bench.openssl("req -new -key one.key -subj /CN=renamed -out renamed.csr");
    bench.openssl("x509 -req -in renamed.csr -CA ca.pem -CAkey ca.key -extfile ext -out renamed.pem -days 30");
    let renamed = upload(bench.read("renamed.pem")).await;
    assert!(sentence(&renamed).contains("two names"), "{}", renamed.text);
    renamed.refused(409, "key_in_use");
}

#[tokio::test]
async fn a_certificate_comes_in_whatever_form_and_with_its_dates_said() {
    let (plane, bench) = (plane().await, Bench::new());
    application(&plane, "app").await;
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": bench.ca()})).await.ok();
    let upload = async |certificate: String| {
        let body = json!({"certificate": certificate, "application": "app", "environment": "sandbox"});
        plane.post("/certificates", &plane.owner, body).await
    };
    // Already over, and not begun yet: `openssl ca` gives dates of their own.
    bench.write("index.txt", "");
    bench.write("serial", "1000\n");
    let settings = "[ca]\ndefault_ca=one\n[one]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n\
                    unique_subject=no\n[any]\ncommonName=supplied\norganizationName=optional\n";
    bench.write("ca.cnf", settings);
    let dated = |name: &str, from: &str, to: &str| {
        bench.request(name);
        bench.openssl(&format!(
            "ca -config ca.cnf -batch -notext -in {name}.csr -cert ca.pem -keyfile ca.key -startdate {from} -enddate {to} -extfile ext -out \
             {name}.pem"
        ));
        bench.read(&format!("{name}.pem"))
    };
    let over = upload(dated("over", "20200101000000Z", "20200201000000Z")).await;
    assert!(sentence(&over).contains("2020-02-01"), "the day it ended is said: {}", over.text);
    over.refused(400, "leaf_expired");
    // One that begins when its CA is over never holds.
    let early = upload(dated("early", "20990101000000Z", "20990201000000Z")).await;
    assert!(sentence(&early).contains("2099-01-01"), "{}", early.text);
    early.refused(409, "not_trusted");
    nothing_was_stored(&plane).await;
    // One that only has to wait is taken, and what that means is said.
    let begins = (plane.clock.now().seconds() / 86_400 + 20) * 86_400;
    let day = |seconds: i64| countersign_proto::convert::time(Timestamp::from_seconds(seconds)).replace(['-', 'T', ':'], "");
    let waits = upload(dated("waits", &day(begins), &day(begins + 30 * 86_400))).await.ok();
    assert!(waits["warnings"].to_string().contains("valid before"), "{waits}");
    // The same certificate in the forms that tools write: each is read, and each is the same one.
    let pem = bench.certificate("good", "-days 30");
    bench.openssl("x509 -in good.pem -outform DER -out good.der");
    bench.openssl("crl2pkcs7 -nocrl -certfile good.pem -out good.p7b");
    bench.openssl("crl2pkcs7 -nocrl -certfile good.pem -outform DER -out good.p7");
    let forms = [
        STANDARD.encode(bench.bytes("good.der")),
        bench.read("good.p7b"),
        STANDARD.encode(bench.bytes("good.p7")),
        format!("\u{feff}{}", pem.replace('\n', "\r\n")),
        format!("Bag Attributes\n    friendlyName: good\n{}", pem.trim_end()),
    ];
    let mut forms = forms.into_iter();
    let first = upload(forms.next().unwrap()).await.ok();
    for form in forms {
        upload(form).await.refused(409, "already_exists");
    }
    assert_eq!(first["fingerprintSha256"].as_str().map(str::len), Some(64), "{first}");
    // What comes after its end is refused, and so is a PKCS#7 file that holds a key's owner twice.
    let mut longer = bench.bytes("good.der");
    longer.push(0);
    let answer = upload(STANDARD.encode(&longer)).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    sentence(&answer);
    bench.certificate("more", "-days 30");
    bench.write("two.pem", &format!("{pem}{}", bench.read("more.pem")));
    bench.openssl("crl2pkcs7 -nocrl -certfile two.pem -out two.p7b");
    let two = upload(bench.read("two.p7b")).await;
    assert_eq!(two.code(), "too_many_certificates", "{}", two.text);
    sentence(&two);
    let huge = json!({"certificate": "x".repeat(5 << 20), "application": "app", "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, huge).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn a_private_key_beside_a_certificate_is_burned_on_request() {
    let (plane, bench) = (plane().await, Bench::new());
    application(&plane, "app").await;
    plane.post("/trusted-cas/sandbox", &plane.owner, json!({"certificates": bench.ca()})).await.ok();
    let leaf = bench.certificate("good", "-days 30");
    let pasted = format!("{leaf}{}", bench.read("good.key"));
    let body = json!({"certificate": pasted, "application": "app", "environment": "sandbox", "burn": true});
    plane.post("/certificates", &plane.owner, body).await.refused(400, "private_key_in_upload");
    let clean = json!({"certificate": leaf, "application": "app", "environment": "sandbox"});
    plane.post("/certificates", &plane.owner, clean).await.refused(409, "key_blocked");
    nothing_was_stored_but(&plane, "RevokeCertificate").await;
}

async fn nothing_was_stored_but(plane: &Plane, action: &str) {
    assert_eq!(plane.get("/certificates", &plane.owner).await.ok()["items"], Value::Array(Vec::new()));
    let trail = plane.audit().await;
    assert!(trail.iter().any(|entry| entry["action"] == action), "the block stands in the trail");
    assert!(!trail.iter().any(|entry| entry.to_string().contains("PRIVATE")));
}

#[tokio::test]
async fn a_request_of_a_good_key_still_passes_after_all_that() {
    let plane = plane().await;
    application(&plane, "app").await;
    for kind in KeyKind::ALL {
        let key = LocalKey::generate(kind).unwrap();
        plane.post("/certificates", &plane.owner, order("app", &csr(&key, &format!("/CN={kind}")))).await.ok();
    }
}

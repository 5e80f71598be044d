//! What is recorded of a denial is what `explain` says of the same certificate: one verdict, one reason, one remedy.

use crate::plane::{Answer, Plane, text};
use serde_json::Value;
use std::process::Command;

struct Corpus {
    plane: Plane,
    compared: usize,
    reasons: std::collections::BTreeSet<String>,
}

impl Corpus {
    fn openssl(&self, line: &str) {
        Answer::of(Command::new("openssl").args(line.split(' ')).current_dir(self.plane.path("")).output().unwrap()).ok();
    }

    /// A leaf `x.pem` of the one key, by `ca`.
    fn leaf(&self, ca: &str, subject: &str, extensions: &str, more: &str) {
        std::fs::write(self.plane.path("ext"), extensions).unwrap();
        self.openssl(&format!("req -new -key leaf.key -subj {subject} -out x.csr"));
        let file = if extensions.is_empty() { "" } else { " -extfile ext" };
        let more = if more.is_empty() { "-days 30" } else { more };
        self.openssl(&format!("x509 -req -in x.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -out x.pem{file} {more}"));
    }

    /// Shows `x.pem` to the gateway and to `explain`; the reason of a denial. A handshake that ends in an alert has no record.
    #[track_caller]
    fn compare(&mut self, what: &str) -> String {
        let url = self.plane.url("/");
        let (status, body) = self.plane.curl(&["--ciphers", "DEFAULT@SECLEVEL=0", "--cert", "x.pem", "--key", "leaf.key", &url]);
        assert!(status != 0, "{what}: no answer");
        let answer = self.plane.cli(&["explain", "-o", "json", "--certificate", "x.pem"]);
        let said: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{what}: {} {}", answer.stdout, answer.stderr));
        assert_eq!(said["admitted"], status == 200, "{what}: {status} {body} {said}");
        self.compared += 1;
        if status == 200 {
            return String::new();
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        let id = text(&body["error"], "refusal_id");
        let server = self.plane.var("COUNTERSIGN_SERVER");
        let key = format!("Authorization: Bearer {}", self.plane.var("COUNTERSIGN_API_KEY"));
        let (status, record) = self.plane.curl(&["-H", &key, &format!("https://{server}/api/v1/refusals/{id}")]);
        assert_eq!(status, 200, "{what}: {record}");
        let record: Value = serde_json::from_str(&record).unwrap();
        for member in ["code", "reason", "remedy"] {
            assert_eq!(record[member], said[member], "{what}");
        }
        let reason = text(&record, "reason");
        self.reasons.insert(reason.rsplit(", and ").next().unwrap_or_default().to_owned());
        reason
    }
}

#[test]
fn a_denials_record_is_what_explain_says_of_a_hundred_odd_leaves() {
    let mut corpus = Corpus { plane: Plane::start(), compared: 0, reasons: std::collections::BTreeSet::new() };
    let new_ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 400 -subj";
    for (name, subject) in [("ca", "/O=Acme/CN=Acme"), ("other", "/O=Other/CN=Other"), ("twin", "/O=Acme/CN=Acme")] {
        corpus.openssl(&format!("{new_ca} {subject} -keyout {name}.key -out {name}.pem"));
    }
    // The accepted CA with its name in PrintableString.
    std::fs::write(
        corpus.plane.path("printable.cnf"),
        "[req]\nstring_mask=default\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\nbasicConstraints=critical,CA:TRUE\n",
    )
    .unwrap();
    std::fs::copy(corpus.plane.path("ca.key"), corpus.plane.path("printable.key")).unwrap();
    corpus.openssl("req -x509 -config printable.cnf -key ca.key -days 400 -subj /O=Acme/CN=Acme -out printable.pem");
    corpus.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.key");
    corpus.plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "ca.pem"]).ok();

    let purposes = ["", "clientAuth", "serverAuth", "anyExtendedKeyUsage", "codeSigning", "clientAuth,serverAuth"];
    let usages = ["", "digitalSignature", "keyAgreement", "keyEncipherment"];
    for ca in ["ca", "other", "twin", "printable"] {
        for purpose in purposes {
            for usage in usages {
                let mut extensions = "basicConstraints=CA:FALSE\n".to_owned();
                for (name, value) in [("extendedKeyUsage", purpose), ("keyUsage", usage)] {
                    if !value.is_empty() {
                        extensions.push_str(&format!("{name}={value}\n"));
                    }
                }
                corpus.leaf(ca, "/O=Acme/CN=odd", &extensions, "");
                let reason = corpus.compare(&format!("{ca} {purpose} {usage}"));
                let good = matches!(purpose, "" | "clientAuth" | "clientAuth,serverAuth") && matches!(usage, "" | "digitalSignature");
                match ca {
                    "ca" if good => assert_eq!(reason, ""),
                    "ca" => assert!(!reason.contains("no accepted"), "the CA is there: {reason}"),
                    "printable" => assert!(reason.contains("another encoding"), "{reason}"),
                    "twin" if good => assert!(reason.contains("does not match"), "{reason}"),
                    "twin" => {}
                    _ => assert!(reason.contains("no accepted client CA"), "{reason}"),
                }
            }
        }
    }
    const GOOD: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n";
    let with = |more: &str| format!("{GOOD}{more}\n");
    let odd: Vec<(&str, String, &str, &str)> = vec![
        ("/CN=odd", with("certificatePolicies=critical,1.2.3.4"), "", "critical extension"),
        ("/CN=odd", with("1.2.3.4=critical,DER:0500"), "", "critical extension"),
        ("/CN=odd", with("policyConstraints=critical,requireExplicitPolicy:0"), "", "critical extension"),
        ("/CN=odd", "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature,keyCertSign\n".to_owned(), "", "CA certificate"),
        ("/CN=odd", String::new(), "", ""),
        ("/O=Acme/CN=Acme", GOOD.to_owned(), "", "same distinguished name"),
        ("/CN=odd", GOOD.to_owned(), "-days 30 -set_serial 0", ""),
        ("/CN=odd", GOOD.to_owned(), "-days 30 -set_serial -5", ""),
        ("/CN=odd", GOOD.to_owned(), "-days 30 -set_serial 0x010203040506070809101112131415161718192021", "20 octets"),
        ("/", GOOD.to_owned(), "", ""),
        ("/CN=odd", with("subjectAltName=URI:spiffe://x/y,email:a@b.c,IP:1.2.3.4,DNS:a.b"), "", ""),
        ("/CN=odd", with("noCheck=ignored"), "", ""),
        ("/CN=odd", with("subjectKeyIdentifier=none"), "-days 3000", ""),
    ];
    for (subject, extensions, more, expected) in odd {
        corpus.leaf("ca", subject, &extensions, more);
        let reason = corpus.compare(&format!("{subject} {extensions} {more}"));
        assert!(reason.contains(expected), "{expected:?}: {reason}");
    }
    assert!(corpus.compared >= 100, "{}", corpus.compared);
    assert!(corpus.reasons.len() >= 9, "{:?}", corpus.reasons);
}

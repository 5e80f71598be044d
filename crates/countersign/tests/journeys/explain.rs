//! The gateway's own verdict on a certificate before anybody is refused: each rule by its id, with the command that mends it, for
//! certificates that openssl made. What is said to be refused is, and what is said to be let in gets in.

use crate::plane::{Answer, Plane, refusal, text};
use serde_json::Value;
use std::process::Command;

/// A plane with a CA of openssl's, `ca.pem`, that is accepted.
struct Case {
    plane: Plane,
}

impl Case {
    fn new() -> Self {
        let case = Self { plane: Plane::start() };
        case.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 400 -subj /O=Acme/CN=Acme-CA -keyout ca.key -out ca.pem",
        );
        case.plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "ca.pem"]).ok();
        case
    }

    fn openssl(&self, line: &str) -> Answer {
        Answer::of(Command::new("openssl").args(line.split(' ')).current_dir(self.plane.path("")).output().unwrap()).ok()
    }

    /// A key and a request `NAME.key`, `NAME.csr`, and a certificate `NAME.pem` by CA with these extensions; none makes it version 1.
    fn leaf(&self, name: &str, ca: &str, extensions: &str, more: &str) {
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=Acme/CN={name} -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(self.plane.path("ext"), extensions).unwrap();
        let file = if extensions.is_empty() { String::new() } else { " -extfile ext".to_owned() };
        self.openssl(&format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -out {name}.pem{file} {more}"));
    }

    fn good(&self, name: &str) {
        self.leaf(name, "ca", CLIENT, "-days 300");
    }

    fn explain(&self, file: &str) -> Value {
        let answer = self.plane.cli(&["explain", "-o", "json", "--certificate", file]);
        let said = answer.json();
        assert_eq!(answer.code, i32::from(said["admitted"] != true), "a denial ends with 1: {answer:?}");
        said
    }

    /// What the gateway itself says to this certificate.
    fn asked(&self, file: &str, key: &str) -> String {
        let (status, body) = self.plane.curl(&["--cert", file, "--key", key, &self.plane.url("/")]);
        if status == 200 { "admitted".to_owned() } else { refusal(&body) }
    }
}

const CLIENT: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n";

/// The checks of a rule that did not end well, with their remedies.
#[track_caller]
fn found(said: &Value, result: &str, rule: &str) -> String {
    let checks = said["checks"].as_array().unwrap_or_else(|| panic!("no checks in {said}"));
    checks
        .iter()
        .find(|check| check["rule"] == rule && check["result"] == result)
        .map(|check| format!("{} → {}", text(check, "detail"), check["remedy"].as_str().unwrap_or_default()))
        .unwrap_or_else(|| panic!("no {result} {rule} in {said}"))
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn a_good_certificate_is_good_by_every_rule_and_gets_in() {
    let case = Case::new();
    case.good("good");
    let said = case.explain("good.pem");
    assert!(said["admitted"] == true && said["checks"].as_array().unwrap().iter().all(|check| check["result"] == "ok"), "{said}");
    assert_eq!(case.asked("good.pem", "good.key"), "admitted");
    let people = case.plane.cli(&["explain", "-o", "table", "--certificate", "good.pem"]).ok().stdout;
    has(&people, &["let in", "ok  E2", "the accepted CA"]);
}

#[test]
fn version_1_purpose_order_and_dates_are_named_with_what_mends_them() {
    let case = Case::new();
    case.openssl("req -new -newkey rsa:2048 -nodes -subj /CN=v1 -keyout v1.key -out v1.csr");
    case.openssl("x509 -req -in v1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out v1.pem -days 30 -copy_extensions none");
    let version = case.openssl("x509 -in v1.pem -noout -text").stdout;
    if version.contains("Version: 1") {
        let said = case.explain("v1.pem");
        assert_eq!(said["admitted"], false, "{said}");
        has(&found(&said, "failed", "B8"), &["version 1", "-extfile", "extendedKeyUsage=clientAuth"]);
    } else {
        println!("this openssl makes no version 1 certificates from requests; that part is left out");
    }
    // For servers only.
    case.leaf("server", "ca", "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n", "-days 300");
    let said = case.explain("server.pem");
    assert_eq!(said["admitted"], false);
    has(&found(&said, "failed", "B2"), &["clientAuth", "-extfile"]);
    assert_ne!(case.asked("server.pem", "server.key"), "admitted");
    // The CA first and the client's own behind it.
    case.good("late");
    let both = std::fs::read_to_string(case.plane.path("ca.pem")).unwrap() + &std::fs::read_to_string(case.plane.path("late.pem")).unwrap();
    std::fs::write(case.plane.path("order.pem"), both).unwrap();
    let said = case.explain("order.pem");
    assert_eq!(said["admitted"], false);
    has(&found(&said, "failed", "E2"), &["number 2 in the file", "cat client.pem"]);
    // It ended, it has not begun, it ends soon.
    for (name, from, to, result, rule, parts) in [
        ("ended", "20200101000000Z", "20200201000000Z", "failed", "E14", ["it ended at 2020-02-01T00:00:00", "the clock here says"]),
        ("early", "20990101000000Z", "20990201000000Z", "failed", "E14", ["it begins at 2099-01-01T00:00:00", "timedatectl"]),
    ] {
        dated(&case, name, from, to);
        let said = case.explain(&format!("{name}.pem"));
        assert_eq!(said["admitted"], false, "{said}");
        has(&found(&said, result, rule), &parts);
        let code = case.asked(&format!("{name}.pem"), &format!("{name}.key"));
        assert_eq!(said["code"], code, "the gateway says the same");
    }
    case.leaf("soon", "ca", CLIENT, "-days 20");
    let said = case.explain("soon.pem");
    assert_eq!(said["admitted"], true);
    has(&found(&said, "warning", "F11"), &["it ends at", "rotate"]);
}

/// A certificate with dates of its own, which `openssl ca` can give it.
fn dated(case: &Case, name: &str, from: &str, to: &str) {
    case.openssl(&format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=Acme/CN={name} -keyout {name}.key -out {name}.csr"
    ));
    let path = |file: &str| case.plane.path(file);
    std::fs::write(path("index.txt"), "").unwrap();
    std::fs::write(path("serial"), "1000\n").unwrap();
    std::fs::write(path("ext"), CLIENT).unwrap();
    let settings = "[ca]\ndefault_ca=one\n[one]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n\
                    [any]\ncommonName=supplied\norganizationName=optional\n";
    std::fs::write(path("ca.cnf"), settings).unwrap();
    case.openssl(&format!(
        "ca -config ca.cnf -batch -notext -in {name}.csr -cert ca.pem -keyfile ca.key -startdate {from} -enddate {to} -extfile ext -out {name}.pem"
    ));
}

#[test]
fn a_chain_with_a_gap_names_the_issuer_that_is_missing() {
    let case = Case::new();
    case.leaf("middle", "ca", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n", "-days 300");
    case.leaf("below", "middle", CLIENT, "-days 200");
    let said = case.explain("below.pem");
    assert_eq!((&said["admitted"], text(&said, "code").as_str()), (&Value::Bool(false), "certificate_unknown"));
    has(&found(&said, "failed", "E2"), &["CN=middle", "cat client.pem intermediate.pem", "accepted-client-ca add"]);
    let read = |file: &str| std::fs::read_to_string(case.plane.path(file)).unwrap();
    std::fs::write(case.plane.path("whole.pem"), read("below.pem") + &read("middle.pem")).unwrap();
    assert_eq!(case.explain("whole.pem")["admitted"], true);
    assert_eq!(case.asked("whole.pem", "below.key"), "admitted");
    // Another CA of the same name.
    case.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 400 -subj /O=Acme/CN=Acme-CA -keyout twin.key -out twin.pem",
    );
    case.leaf("other", "twin", CLIENT, "-days 200");
    let said = case.explain("other.pem");
    assert_eq!(said["admitted"], false);
    has(&found(&said, "failed", "E2"), &["key"]);
}

#[test]
fn a_certificate_of_another_namespace_is_sent_to_its_own_door() {
    let case = Case::new();
    case.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 400 -subj /CN=Partner-CA -keyout p.key -out p.pem");
    case.plane
        .cli(&[
            "namespace",
            "create",
            "--namespace",
            "partner",
            "--upstream",
            "http://127.0.0.1:1",
            "--auth-method",
            "mtls",
            "--ca-certificate-file",
            "p.pem",
        ])
        .ok();
    case.leaf("guest", "p", CLIENT, "-days 200");
    let said = case.explain("guest.pem");
    assert_eq!(said["admitted"], false);
    has(&found(&said, "failed", "E1"), &["of namespace partner.", "connect to partner."]);
}

#[test]
fn a_ca_that_is_about_to_end_is_told_while_its_clients_still_get_in() {
    let case = Case::new();
    case.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 20 -subj /CN=Ending-CA -keyout e.key -out e.pem");
    case.plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "e.pem"]).ok();
    case.leaf("last", "e", CLIENT, "-days 10");
    let said = case.explain("last.pem");
    assert_eq!(said["admitted"], true, "{said}");
    has(&found(&said, "warning", "A8"), &["CN=Ending-CA", "ends at", "accepted-client-ca add --namespace"]);
}

#[test]
fn a_registered_certificate_is_explained_by_what_became_of_it() {
    let case = Case::new();
    case.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj /CN=own -addext basicConstraints=CA:FALSE -addext extendedKeyUsage=clientAuth -keyout own.key -out own.pem");
    let said = case.explain("own.pem");
    assert_eq!(said["admitted"], false);
    let made = case.plane.cli(&["key", "create", "--certificate", "own.pem"]).ok().json();
    let id = text(&made, "id");
    let said = case.explain("own.pem");
    assert_eq!(said["admitted"], true, "{said}");
    has(&found(&said, "ok", "B6"), &[&id]);
    let revoke = |reason: &str| {
        case.plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &id, "--reason", reason]).ok();
        case.explain("own.pem")
    };
    let said = revoke("certificateHold");
    assert_eq!((&said["admitted"], text(&said, "code").as_str()), (&Value::Bool(false), "certificate_revoked"));
    has(&found(&said, "failed", "F1"), &["on hold since", &format!("certificate release --id {id}")]);
    let said = revoke("keyCompromise");
    has(&found(&said, "failed", "F2"), &["revoked since", "reason keyCompromise", "never undone"]);
    has(&found(&said, "failed", "F4"), &["blocked for ever"]);
    // Another certificate with the blocked key is kept out by its key.
    case.openssl("req -x509 -key own.key -days 300 -subj /CN=again -addext extendedKeyUsage=clientAuth -out again.pem");
    has(&found(&case.explain("again.pem"), "failed", "F4"), &["compromised"]);
}

/// An application with a right at the demo door, and a certificate of an issuer of this installation in `NAME/`: its id.
fn issued(case: &Case, name: &str) -> String {
    let plane = &case.plane;
    let permission = format!("{}=write", plane.namespace());
    // Once made it is there already.
    plane.cli(&["application", "create", "--name", "shop", "--sandbox-permission", &permission, "--idempotent"]);
    crate::pki::certificate(plane, name)
}

/// What is explained is what the gateway does, to the word.
#[track_caller]
fn held_against_the_gateway(case: &Case, file: &str, key: &str) -> Value {
    let said = case.explain(file);
    let code = if said["admitted"] == true { "admitted".to_owned() } else { text(&said, "code") };
    assert_eq!(case.asked(file, key), code, "{said}");
    said
}

#[test]
fn what_a_retired_issuer_signed_is_said_to_be_out_and_is() {
    let case = Case::new();
    let id = issued(&case, "till");
    let (file, key) = ("till/till.pem", "till/till.key");
    let said = held_against_the_gateway(&case, file, key);
    assert!(said["admitted"] == true, "{said}");
    let issuer = |args: &[&str]| {
        let mut line = vec!["--auto-confirm", "issuer"];
        line.extend(args);
        case.plane.cli(&line).ok();
    };
    issuer(&["create", "--name", "sandbox-2", "--environment", "sandbox"]);
    issuer(&["activate", "--name", "sandbox-2", "--force"]);
    issuer(&["retiring", "--name", "sandbox-1", "--force"]);
    assert!(held_against_the_gateway(&case, file, key)["admitted"] == true, "a retiring one's certificates work on");
    issuer(&["retire", "--name", "sandbox-1", "--force"]);
    let said = held_against_the_gateway(&case, file, key);
    assert_eq!((&said["admitted"], text(&said, "code").as_str()), (&Value::Bool(false), "certificate_revoked"));
    has(&found(&said, "failed", "G1"), &["is retired", &format!("certificate rotate --id {id}")]);
}

#[test]
fn what_a_foreign_list_names_is_said_to_be_out_and_is() {
    let case = Case::new();
    for (name, content) in [
        (
            "crl.cnf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=revoked.txt\ncrlnumber=crlnumber\ncertificate=ca.pem\nprivate_key=ca.key\n\
             default_md=sha256\ndefault_crl_days=30\n",
        ),
        ("revoked.txt", ""),
        ("crlnumber", "01\n"),
    ] {
        std::fs::write(case.plane.path(name), content).unwrap();
    }
    case.good("one");
    case.good("two");
    let listed = |more: &str| {
        case.openssl(format!("ca -config crl.cnf -gencrl -out list.crl {more}").trim_end());
        case.plane.cli(&["namespace", "accepted-client-ca", "crl", "set", "--crl-file", "list.crl"]).ok();
    };
    listed("");
    let said = held_against_the_gateway(&case, "one.pem", "one.key");
    assert!(said["admitted"] == true, "{said}");
    has(&found(&said, "ok", "E4"), &["not on its CA's revocation list"]);
    case.openssl("ca -config crl.cnf -revoke one.pem -crl_reason keyCompromise");
    listed("");
    let said = held_against_the_gateway(&case, "one.pem", "one.key");
    assert_eq!((&said["admitted"], text(&said, "code").as_str()), (&Value::Bool(false), "certificate_revoked"));
    has(&found(&said, "failed", "E4"), &["by its CA's own revocation list", "new certificate from the CA"]);
    let said = held_against_the_gateway(&case, "two.pem", "two.key");
    assert!(said["admitted"] == true, "{said}");
    // A list of five seconds is stale before the next is made: that is said, here and by the doctor, and nobody is kept out by it.
    listed("-crlsec 5");
    let door = format!("{}:{}", case.plane.var("COUNTERSIGN_GATEWAY_HOST"), case.plane.gateway_port());
    let mut report = Value::Null;
    crate::plane::eventually("the doctor finds the list stale", || {
        report = case.plane.cli(&["doctor", "-o", "json", &door]).json();
        report["steps"].as_array().unwrap().iter().any(|step| step["step"] == "revocation lists" && step["result"] == "warning")
    });
    let step = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == "revocation lists").unwrap().clone();
    has(&text(&step, "detail"), &["CN=Acme-CA", "is stale since", "rule E4"]);
    has(&text(&step, "remedy"), &["crl set --namespace", "--crl-file"]);
    let said = held_against_the_gateway(&case, "two.pem", "two.key");
    assert!(said["admitted"] == true, "{said}");
    has(&found(&said, "warning", "E4"), &["is stale", "crl set"]);
    // Where a stale list lets nobody in, the same certificate is out, in both words.
    case.plane.cli(&["--auto-confirm", "namespace", "accepted-client-ca", "crl", "set", "--stale", "refuse"]).ok();
    let said = held_against_the_gateway(&case, "two.pem", "two.key");
    assert_eq!(text(&said, "code"), "certificate_revoked");
}

#[test]
fn one_that_nobody_proved_is_let_in_with_a_word_of_warning_until_it_is_proved() {
    let case = Case::new();
    case.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj /CN=own -addext basicConstraints=critical,CA:FALSE -addext keyUsage=digitalSignature -addext extendedKeyUsage=clientAuth -keyout own.key -out own.pem");
    case.plane.cli(&["key", "create", "--certificate", "own.pem"]).ok();
    let said = held_against_the_gateway(&case, "own.pem", "own.key");
    assert_eq!(said["admitted"], true, "{said}");
    has(&found(&said, "warning", "B3"), &["proved", "its key", "countersign"]);
    // A proved one has no such word.
    issued(&case, "till");
    let said = held_against_the_gateway(&case, "till/till.pem", "till/till.key");
    assert!(!said["checks"].as_array().unwrap().iter().any(|check| check["rule"] == "B3"), "{said}");
}

#[test]
fn one_that_was_replaced_works_until_it_is_ended_and_names_its_successor() {
    let case = Case::new();
    let id = issued(&case, "till");
    case.plane.cli(&["certificate", "rotate", "--id", &id, "--generate-key", "--out-dir", "next"]).ok();
    let shown = case.plane.cli(&["certificate", "get", "--id", &id]).ok().json();
    let next = text(&shown, "replacedBy");
    let said = held_against_the_gateway(&case, "till/till.pem", "till/till.key");
    assert_eq!(said["admitted"], true, "{said}");
    has(&found(&said, "warning", "F11"), &[&next, "works on until it is revoked"]);
    case.plane.cli(&["--auto-confirm", "certificate", "revoke", "--id", &id, "--reason", "superseded"]).ok();
    let said = held_against_the_gateway(&case, "till/till.pem", "till/till.key");
    assert_eq!(text(&said, "code"), "certificate_revoked");
    has(&found(&said, "failed", "F2"), &["reason superseded", &format!("certificate get --id {next}")]);
}

//! The doctor says at which step a request ends, and shows its credential to nobody it could not verify.

use crate::plane::{Plane, text};
use serde_json::Value;

/// Results by step.
fn steps(plane: &Plane, args: &[&str], env: &[(&str, &str)]) -> (i32, Value) {
    let door = format!("{}:{}", plane.var("COUNTERSIGN_GATEWAY_HOST"), plane.gateway_port());
    let mut line = vec!["doctor", "-o", "json", &door];
    line.extend(args);
    let answer = plane.cli_with(&line, env, "");
    (answer.code, answer.json())
}

fn result(report: &Value, step: &str) -> String {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().rfind(|one| one["step"] == step).map_or_else(String::new, |one| text(one, "result"))
}

#[test]
fn the_doctor_finds_a_good_way_good() {
    let plane = Plane::start();
    let (code, report) = steps(&plane, &[], &[]);
    assert_eq!(code, 0, "{report}");
    for step in ["name", "tcp", "tls", "server certificate", "client certificate", "clock", "answer"] {
        assert_eq!(result(&report, step), "ok", "{step}: {report}");
    }
}

#[test]
fn the_doctor_says_where_a_way_ends_and_how_to_mend_it() {
    let plane = Plane::start();
    let (code, report) = steps(&plane, &["--no-api-key"], &[]);
    assert_eq!((code, result(&report, "answer")), (1, "failed".to_owned()), "{report}");
    let answer = report["steps"].as_array().unwrap().last().unwrap();
    assert!(text(answer, "detail").contains("key_missing") && text(answer, "remedy").contains("--api-key"), "{answer}");
    // A server that nobody vouches for is told nothing.
    let (code, report) = steps(&plane, &[], &[("COUNTERSIGN_CA_CERT", "")]);
    assert_eq!((code, result(&report, "server certificate")), (1, "failed".to_owned()), "{report}");
    assert_eq!(result(&report, "answer"), "skipped", "{report}");
    // A certificate with somebody else's key.
    plane.certificates("team");
    let (leaf, key) = (plane.path("team.pem"), plane.path("team-ca.key"));
    let (code, report) = steps(&plane, &["--certificate", leaf.to_str().unwrap(), "--key", key.to_str().unwrap()], &[]);
    assert_eq!((code, result(&report, "own certificate")), (1, "failed".to_owned()), "{report}");
    // Nothing listens.
    let answer = plane.cli(&["doctor", "-o", "json", "demo.localhost:1"]);
    assert_eq!((answer.code, result(&answer.json(), "tcp")), (1, "failed".to_owned()));
    assert!(!format!("{report}").contains("csk_"), "no report shows a key");
}

/// Runs openssl in the plane's directory.
fn openssl(plane: &Plane, line: &str) {
    let done = std::process::Command::new("openssl").args(line.split(' ')).current_dir(plane.path("")).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_doctor_names_what_is_wrong_with_a_certificate_before_and_at_the_door() {
    let plane = Plane::start();
    let ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 400";
    openssl(&plane, &format!("{ca} -subj /CN=Right-CA -keyout right.key -out right.pem"));
    openssl(&plane, &format!("{ca} -subj /CN=Wrong-CA -keyout wrong.key -out wrong.pem"));
    plane.cli(&["namespace", "accepted-client-ca", "add", "--ca-certificate-file", "right.pem"]).ok();
    std::fs::write(plane.path("ext"), "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n").unwrap();
    for name in ["good", "foreign", "ended"] {
        let request = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&plane, &format!("{request} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
    }
    openssl(&plane, "x509 -req -in good.csr -CA right.pem -CAkey right.key -CAcreateserial -days 90 -extfile ext -out good.pem");
    openssl(&plane, "x509 -req -in foreign.csr -CA wrong.pem -CAkey wrong.key -CAcreateserial -days 90 -extfile ext -out foreign.pem");
    std::fs::write(plane.path("index.txt"), "").unwrap();
    std::fs::write(plane.path("serial"), "1000\n").unwrap();
    let settings = "[ca]\ndefault_ca=one\n[one]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n";
    std::fs::write(plane.path("ca.cnf"), settings).unwrap();
    openssl(
        &plane,
        "ca -config ca.cnf -batch -notext -in ended.csr -cert right.pem -keyfile right.key -startdate 20200101000000Z -enddate 20200201000000Z \
         -extfile ext -out ended.pem",
    );
    let shown = |name: &str| {
        let (file, key) = (plane.path(&format!("{name}.pem")), plane.path(&format!("{name}.key")));
        steps(&plane, &["--no-api-key", "--certificate", file.to_str().unwrap(), "--key", key.to_str().unwrap()], &[])
    };
    let step = |report: &Value, step: &str| {
        let found = report["steps"].as_array().unwrap().iter().rfind(|one| one["step"] == step).cloned().unwrap_or_default();
        (text(&found, "detail"), found["remedy"].as_str().unwrap_or_default().to_owned())
    };
    let (code, report) = shown("good");
    assert_eq!((code, result(&report, "own certificate"), result(&report, "answer")), (0, "ok".to_owned(), "ok".to_owned()), "{report}");
    // It ended: said of the file, before anything is sent.
    let (code, report) = shown("ended");
    assert_eq!((code, result(&report, "own certificate")), (1, "failed".to_owned()), "{report}");
    let (detail, remedy) = step(&report, "own certificate");
    assert!(detail.contains("2020-02-01") && !remedy.is_empty(), "{report}");
    // Of a CA that this door does not accept: the file is sound, and the gateway's answer says which rule it breaks and what to do.
    let (code, report) = shown("foreign");
    assert_eq!(
        (code, result(&report, "own certificate"), result(&report, "answer")),
        (1, "ok".to_owned(), "failed".to_owned()),
        "{report}"
    );
    let (detail, remedy) = step(&report, "answer");
    assert!(detail.contains("certificate_unknown") && !remedy.is_empty(), "{report}");
}

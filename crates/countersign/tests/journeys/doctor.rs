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

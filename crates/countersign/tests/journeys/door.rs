//! The first five minutes: start, try, start again.

use crate::plane::{Answer, Plane, binary, refusal, text};
use countersign_testkit::FORGED_HEADERS;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn the_first_key_opens_the_demo_and_a_wrong_one_is_refused_with_a_reason() {
    let plane = Plane::start();
    let (status, body) = plane.get(plane.var("COUNTERSIGN_API_KEY"), "/hello?x=1");
    assert_eq!(status, 200, "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((seen["path"].as_str(), seen["method"].as_str()), (Some("/hello?x=1"), Some("GET")));
    assert!(seen["headers"]["authorization"].is_null(), "the key stays at the door: {body}");
    assert_eq!(seen["headers"]["countersign-identity-kind"][0], "user");

    let (status, body) = plane.get("csk_wrong", "/hello");
    assert_eq!((status, refusal(&body).as_str()), (401, "key_malformed"));
    let (status, body) = plane.curl(&[&plane.url("/hello")]);
    assert_eq!((status, refusal(&body).as_str()), (401, "key_missing"));
}

#[test]
fn a_second_start_finds_everything_again() {
    let mut plane = Plane::start();
    let (id, secret) = plane.key(&["--duration", "30d"]);
    let (account, key) = (plane.var("COUNTERSIGN_ACCOUNT").to_owned(), plane.var("COUNTERSIGN_API_KEY").to_owned());
    assert_eq!(plane.stop(), 0, "SIGTERM ends it well: {}", plane.log());
    let took = plane.restart();
    eprintln!("the second start took {} ms in this build", took.as_millis());
    assert_eq!((plane.var("COUNTERSIGN_ACCOUNT"), plane.var("COUNTERSIGN_API_KEY")), (account.as_str(), key.as_str()));
    assert_eq!(plane.get(&secret, "/again").0, 200);
    let found = plane.cli(&["apikey", "get", "--id", &id]).ok().json();
    assert_eq!(text(&found, "id"), id);
}

#[test]
fn private_files_are_private() {
    let plane = Plane::start();
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(plane.data()), 0o700);
    for file in ["dev.env", "ca.key", "countersign.db"] {
        assert_eq!(mode(plane.data().join(file)), 0o600, "{file}");
    }
}

#[test]
fn host_and_server_name_that_differ_are_misdirected() {
    let plane = Plane::start();
    plane.cli(&["namespace", "create", "--namespace", "other", "--upstream", "http://127.0.0.1:9", "--auth-method", "api_key"]).ok();
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    let other = format!("Host: other.{}.localhost", plane.var("COUNTERSIGN_ACCOUNT"));
    for version in ["--http1.1", "--http2"] {
        let (status, body) = plane.curl(&[version, "-H", &bearer, "-H", &other, &plane.url("/")]);
        assert_eq!((status, refusal(&body).as_str()), (421, "misdirected"), "{version}");
        let unknown = "Host: nowhere.example";
        let (status, _) = plane.curl(&[version, "-H", &bearer, "-H", unknown, &plane.url("/")]);
        assert_eq!(status, 421, "{version}");
    }
}

#[test]
fn the_path_that_is_authorised_is_the_path_that_is_forwarded() {
    let plane = Plane::start();
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    for version in ["--http1.1", "--http2"] {
        let (status, body) = plane.curl(&[version, "--path-as-is", "-H", &bearer, &plane.url("/a/caf%C3%A9/b%20c/?q=%2F..%2F")]);
        assert_eq!(status, 200, "{body}");
        let seen: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(seen["path"], "/a/caf%C3%A9/b%20c/?q=%2F..%2F");
        for path in ["/a/../b", "/a/%2e%2e/b", "/a%2fb", "/a//b", "/a;x/b", "/a%5cb", "/a%252e", "/./a", "/a/."] {
            let (status, body) = plane.curl(&[version, "--path-as-is", "-H", &bearer, &plane.url(path)]);
            assert_eq!((status, refusal(&body).as_str()), (400, "bad_request"), "{version} {path}");
        }
    }
}

#[test]
fn forged_identity_headers_never_reach_the_upstream() {
    let plane = Plane::start();
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    for version in ["--http1.1", "--http2"] {
        let mut args = vec![version.to_owned(), "-H".into(), bearer.clone()];
        for name in FORGED_HEADERS {
            args.extend(["-H".to_owned(), format!("{name}: forged")]);
        }
        // A hop-by-hop list must not take our own headers away after they are set.
        if version == "--http1.1" {
            args.extend(["-H".to_owned(), "Connection: close, Countersign-Identity".into()]);
        }
        args.push(plane.url("/"));
        let (status, body) = plane.curl(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(status, 200, "{body}");
        assert!(!body.contains("forged"), "{version}: {body}");
        let seen: Value = serde_json::from_str(&body).unwrap();
        for name in ["countersign-identity", "countersign-identity-kind", "countersign-credential", "countersign-namespace"] {
            assert_eq!(seen["headers"][name].as_array().map(Vec::len), Some(1), "{version} {name}: {body}");
        }
    }
}

#[test]
fn a_refusal_can_be_looked_up_and_says_which_rule_and_what_to_do() {
    let plane = Plane::start();
    let (_, body) = plane.curl(&[&plane.url("/x")]);
    let json: Value = serde_json::from_str(&body).unwrap();
    let id = json["error"]["refusal_id"].as_str().unwrap();
    let (status, found) = plane.curl(&[
        "-H",
        &format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY")),
        &format!("https://{}/api/v1/refusals/{id}", plane.var("COUNTERSIGN_SERVER")),
    ]);
    assert_eq!(status, 200, "{found}");
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((found["code"].as_str(), found["path"].as_str()), (Some("key_missing"), Some("/x")));
    assert!(!text(&found, "remedy").is_empty() && !text(&found, "reason").is_empty());
}

#[test]
fn health_and_metrics_answer_on_their_own_address() {
    let plane = Plane::start();
    plane.get(plane.var("COUNTERSIGN_API_KEY"), "/x");
    let metrics = plane.var("COUNTERSIGN_METRICS").to_owned();
    let (status, body) = plane.curl(&[&metrics]);
    assert_eq!(status, 200);
    assert!(body.contains("countersign_") && body.contains("# TYPE"), "{body}");
    for page in ["healthz", "readyz"] {
        assert_eq!(plane.curl(&[&metrics.replace("metrics", page)]).0, 200, "{page}");
    }
}

#[test]
fn the_program_says_what_it_can_do() {
    for args in [&["--help"][..], &["dev", "--help"], &["apikey", "--help"], &["completions", "bash"], &["version"]] {
        let answer = Answer::of(Command::new(binary()).args(args).output().unwrap());
        assert_eq!(answer.code, 0, "{args:?} {answer:?}");
        assert!(!answer.stdout.is_empty());
    }
}

#[test]
fn the_login_address_of_dev_opens_the_overview_once() {
    let mut plane = Plane::start();
    let login = plane.var("COUNTERSIGN_LOGIN").to_owned();
    let (home, code) = login.split_once("login?code=").map(|(home, code)| (home.to_owned(), code.to_owned())).unwrap();
    assert_eq!(home, plane.var("COUNTERSIGN_CONSOLE"));
    let (ca, jar) = (plane.var("COUNTERSIGN_CA_CERT").to_owned(), plane.path("cookies"));
    let curl = |args: &[&str]| {
        let output = Command::new("curl").args(["-sS", "--cacert", &ca, "-b"]).arg(&jar).arg("-c").arg(&jar).args(args).output().unwrap();
        Answer::of(output).ok().stdout
    };
    assert!(curl(&[&login]).contains("Sign in"));
    let (origin, form) = (format!("Origin: {}", home.trim_end_matches('/')), format!("code={code}"));
    let (post, enter) = (["-H", &origin, "-d"], format!("{home}login"));
    let opened = curl(&[post[0], post[1], "-L", post[2], &form, &enter]);
    assert!(opened.contains("Overview") && opened.contains(plane.namespace()), "{opened}");
    assert!(curl(&[&home]).contains("Sign out"), "the cookie is kept");
    assert!(curl(&[post[0], post[1], post[2], &form, &enter]).contains("used before"));
    assert_eq!(plane.log().matches(&code).count(), 1, "it is shown to whoever started it, and in no line of the log");

    plane.stop();
    plane.restart();
    assert_ne!(plane.var("COUNTERSIGN_LOGIN").rsplit('=').next(), Some(code.as_str()), "each start has its own code");
}

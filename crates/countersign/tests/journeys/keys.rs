//! API keys: limits, secrets, states, rotation (S20 to S26, S30).

use crate::plane::{Plane, refusal, text};
use serde_json::{Value, json};
use std::time::Duration;

fn rest(plane: &Plane) -> reqwest::Client {
    let ca = std::fs::read(plane.var("COUNTERSIGN_CA_CERT")).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

/// Hundred creates at once; answers how many succeeded.
async fn race(plane: &Plane, body: Value) -> usize {
    let client = rest(plane);
    let url = format!("https://{}/api/v1/api-keys", plane.var("COUNTERSIGN_SERVER"));
    let all = (0..100).map(|_| client.post(&url).bearer_auth(plane.var("COUNTERSIGN_API_KEY")).json(&body).send());
    let mut made = 0;
    for answer in futures_util::future::join_all(all).await {
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        match status {
            200 | 201 => made += 1,
            409 => assert_eq!(body["code"], "limit_reached", "{body}"),
            other => panic!("{other}: {body}"),
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenth_key_is_the_last_even_when_a_hundred_race() {
    let plane = Plane::start();
    // One key is there already: the one of dev.env.
    assert_eq!(race(&plane, json!({"name": "race"})).await, 9);
    let listed = plane.cli(&["apikey", "list"]).ok().json();
    assert_eq!(listed["items"].as_array().or(listed.as_array()).map(Vec::len), Some(10), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twentieth_key_of_a_service_account_is_the_last_even_when_a_hundred_race() {
    let plane = Plane::start();
    let made = plane.cli(&["service-account", "create", "--name", "robot", "--account-role", "read"]).ok().json();
    let id = made["id"].as_str().or(made["serviceAccountId"].as_str()).unwrap().to_owned();
    assert_eq!(race(&plane, json!({"name": "race", "serviceAccountId": id})).await, 20);
}

#[test]
fn a_secret_is_shown_once_and_found_nowhere_else() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&["--description", "for the search"]);
    plane.get(&secret, "/used");
    plane.get(&secret[..secret.len() - 1], "/mistyped");
    for args in [
        vec!["apikey", "get", "--id", &id],
        vec!["apikey", "list"],
        vec!["--auto-confirm", "apikey", "disable", "--id", &id],
        vec!["apikey", "enable", "--id", &id],
        vec!["audit", "list"],
        vec!["audit", "export"],
        vec!["--auto-confirm", "apikey", "delete", "--id", &id],
    ] {
        let answer = plane.cli(&args).ok();
        assert!(!answer.stdout.contains(&secret) && !answer.stderr.contains(&secret), "{args:?}");
    }
    let (_, metrics) = plane.curl(&[plane.var("COUNTERSIGN_METRICS")]);
    assert!(!metrics.contains(&secret) && !plane.log().contains(&secret));
    // The random part alone must not be found either, in whatever file.
    let random = secret.strip_prefix("csk_").and_then(|s| s.split_once('_')).unwrap().1.as_bytes()[..40].to_vec();
    for entry in std::fs::read_dir(plane.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(random.len()).any(|w| w == random), "found in {}", path.display());
    }
}

#[test]
fn a_disabled_key_is_refused_and_an_enabled_one_gets_in_again() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    assert_eq!(plane.get(&secret, "/").0, 200);
    let status = plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok().json();
    assert_eq!(status["requestStatus"]["receipt"]["inEffect"], true, "{status}");
    let (code, body) = plane.get(&secret, "/");
    assert_eq!((code, refusal(&body).as_str()), (401, "key_disabled"));
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).refused("nothing_to_change");
    plane.cli(&["--idempotent", "--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    plane.cli(&["apikey", "enable", "--id", &id]).ok();
    assert_eq!(plane.get(&secret, "/").0, 200);
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok();
    let (code, body) = plane.get(&secret, "/");
    assert_eq!((code, refusal(&body).as_str()), (401, "key_unknown"));
    plane.cli(&["apikey", "get", "--id", &id]).refused("not_found");
}

#[test]
fn a_wrong_key_on_the_control_plane_says_what_to_check() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok();
    for wrong in [secret.as_str(), "csk_nonsense", "x"] {
        let answer = plane.cli_with(&["whoami"], &[("COUNTERSIGN_API_KEY", wrong)], "");
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.to_lowercase().contains("invalid api key") && answer.stderr.contains("copied"), "{answer:?}");
    }
    let answer = plane.cli_with(&["whoami"], &[("COUNTERSIGN_API_KEY", "")], "");
    assert!(answer.stderr.contains("request not authenticated"), "{answer:?}");
}

#[test]
fn the_key_is_also_read_from_the_variables_of_the_field() {
    let plane = Plane::start();
    let key = plane.var("COUNTERSIGN_API_KEY").to_owned();
    for name in ["TEMPORAL_CLOUD_API_KEY", "TEMPORAL_API_KEY"] {
        let answer = plane.cli_with(&["whoami"], &[("COUNTERSIGN_API_KEY", ""), (name, &key)], "");
        assert_eq!(answer.code, 0, "{name}: {answer:?}");
    }
}

#[test]
fn a_service_account_makes_its_own_successor_and_cannot_delete_without_the_right() {
    let plane = Plane::start();
    let permission = format!("{}=read", plane.namespace());
    let made = plane.cli(&["service-account", "create-scoped", "--name", "worker", "--namespace-permission", &permission]).ok().json();
    let account = made["id"].as_str().or(made["serviceAccountId"].as_str()).unwrap().to_owned();
    let (first, first_secret) = plane.key(&["--service-account-id", &account]);
    let as_robot = [("COUNTERSIGN_API_KEY", first_secret.as_str())];
    let next = plane.cli_with(&["apikey", "create", "--name", "next", "--service-account-id", &account], &as_robot, "").ok().json();
    assert_eq!(plane.get(&text(&next, "secretKey"), "/").0, 200);
    assert_eq!(plane.get(&first_secret, "/").0, 200, "both work side by side");
    plane.cli_with(&["--auto-confirm", "apikey", "delete", "--id", &first], &as_robot, "").refused("forbidden");
    plane
        .cli_with(&["apikey", "create", "--name", "x", "--service-account-id", "s0000000000000000000"], &as_robot, "")
        .refused("not_found");
    plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &first]).ok();
    assert_eq!(plane.get(&first_secret, "/").0, 401);
}

#[test]
fn creation_can_be_disabled_for_the_account_while_existing_keys_go_on() {
    let plane = Plane::start();
    let (_, secret) = plane.key(&[]);
    plane.cli(&["account", "api-keys", "disable-creation"]).ok();
    plane.cli(&["apikey", "create", "--name", "no"]).refused("api_key_creation_disabled");
    assert_eq!(plane.get(&secret, "/").0, 200);
    plane.cli(&["account", "api-keys", "enable-creation"]).ok();
    plane.key(&[]);
}

#[test]
fn keys_are_listed_by_state_and_kind_of_owner() {
    let plane = Plane::start();
    let (id, _) = plane.key(&[]);
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    let url = |q: &str| format!("https://{}/api/v1/api-keys?{q}", plane.var("COUNTERSIGN_SERVER"));
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    let ids = |q: &str| {
        let (status, body) = plane.curl(&["-H", &bearer, &url(q)]);
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["items"].as_array().unwrap().iter().map(|k| text(k, "id")).collect::<Vec<_>>()
    };
    assert_eq!(ids("state=disabled"), std::slice::from_ref(&id));
    assert!(!ids("state=enabled").contains(&id));
    assert!(ids("owner_type=service_account").is_empty());
    assert_eq!(plane.curl(&["-H", &bearer, &url("state=purple")]).0, 400);
}

#[test]
fn the_use_of_a_key_is_seen() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    for _ in 0..3 {
        plane.get(&secret, "/");
    }
    crate::plane::eventually("the key's use is counted", || {
        plane.cli(&["apikey", "get", "--id", &id]).ok().json()["usage"]["requests"] == 3
    });
}

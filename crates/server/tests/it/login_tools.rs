//! Tools log in: by a code that their user types, or by a browser on the user's machine. Each code and token is good once, for the
//! one it was given to.

use crate::harness::{Answer, Plane};
use crate::login::{Browser, encoded, member, start};
use axum::body::Body;
use axum::http::Request;
use countersign_core::time::Lifetime;
use countersign_server::login::SecondFactor;
use serde_json::{Value, json};
use sha2::Digest as _;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub async fn form(plane: &Plane, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let request = Request::builder().method("POST").uri(path).header("host", "localhost:8443").header("user-agent", "tcld/v0.55.0");
    plane.send(request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(body.join("&"))).unwrap()).await
}

pub async fn begin(plane: &Plane) -> Value {
    form(plane, "/oauth/device/code", &[("client_id", "cli"), ("scope", "openid offline_access")]).await.ok()
}

pub async fn poll(plane: &Plane, started: &Value, client: &str) -> Answer {
    let code = started["device_code"].as_str().unwrap();
    form(plane, "/oauth/token", &[("grant_type", DEVICE), ("device_code", code), ("client_id", client)]).await
}

#[track_caller]
pub fn refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.body["error"].as_str()), (400, Some(error)), "{}", answer.text);
}

pub async fn answer(plane: &Plane, browser: &mut Browser, started: &Value, yes: &str) -> Answer {
    browser.post(plane, "/device", &[("user_code", started["user_code"].as_str().unwrap()), ("answer", yes)]).await
}

/// A user's tokens by the device flow.
pub async fn tokens(plane: &Plane, browser: &mut Browser) -> (String, String) {
    let started = begin(plane).await;
    assert_eq!(answer(plane, browser, &started, "yes").await.status, 200);
    let got = poll(plane, &started, "cli").await.ok();
    (got["access_token"].as_str().unwrap().to_owned(), got["refresh_token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_device_gets_its_users_rights_once_he_said_yes() {
    let plane = start(SecondFactor::None).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "developer").await;
    let started = begin(&plane).await;
    for (name, value) in [("verification_uri", "https://localhost:8443/device"), ("expires_in", "600"), ("interval", "5")] {
        assert_eq!(started[name].to_string().trim_matches('"'), value);
    }
    let code = started["user_code"].as_str().unwrap();
    assert!(code.len() == 9 && !code.contains(['A', 'E', 'I', 'O', 'U', 'Y']));
    assert_eq!(started["verification_uri_complete"], format!("https://localhost:8443/device?user_code={code}"));
    refused(&poll(&plane, &started, "cli").await, "authorization_pending");
    refused(&poll(&plane, &started, "cli").await, "slow_down");
    refused(&poll(&plane, &started, "another").await, "invalid_grant");
    let shown = Browser::default().get(&plane, &format!("/device?user_code={code}")).await;
    assert!(shown.status == 303 && shown.headers["location"].to_str().unwrap().starts_with("/login?next=%2Fdevice"), "first one logs in");
    let page = browser.get(&plane, &format!("/device?user_code={}", code.to_lowercase())).await;
    assert!(page.text.contains(code) && page.text.contains("tcld/v0.55.0") && page.text.contains("ann@example.test"), "{}", page.text);
    refused(&poll(&plane, &started, "cli").await, "slow_down");
    assert_eq!(answer(&plane, &mut browser, &started, "yes").await.status, 200);
    assert_eq!(answer(&plane, &mut browser, &started, "yes").await.status, 403, "answered once");
    let polls = (0..8).map(|_| poll(&plane, &started, "cli"));
    let answers = futures_util::future::join_all(polls).await;
    let got: Vec<&Answer> = answers.iter().filter(|a| a.status == 200).collect();
    assert_eq!(got.len(), 1, "of parallel polls one gets tokens");
    let access = got[0].body["access_token"].as_str().unwrap();
    assert!(access.starts_with("cst_") && got[0].body["expires_in"] == 3600 && got[0].headers["cache-control"] == "no-store");
    assert_eq!(plane.get("/current-identity", access).await.ok()["id"], ann.as_str());
    let key = plane.post("/api-keys", access, json!({"name": "mine"})).await.ok();
    assert!(key["secretKey"].as_str().unwrap().starts_with("csk_"));
    plane.post("/users", access, json!({"email": "x@example.test", "access": {"accountRole": "read"}})).await.refused(403, "forbidden");
    let trail = plane.audit().await;
    let made = trail.iter().rfind(|e| e["action"] == "CreateApiKey" && e["result"] == "ok").unwrap();
    assert!(made["credential"].as_str().unwrap().starts_with('n') && made["actorName"] == "ann@example.test", "{made}");
    let text = serde_json::to_string(&trail).unwrap();
    for secret in [access, got[0].body["refresh_token"].as_str().unwrap(), started["device_code"].as_str().unwrap()] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn a_refused_an_old_and_an_unknown_device_get_nothing() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let no = begin(&plane).await;
    assert_eq!(answer(&plane, &mut browser, &no, "no").await.status, 200);
    refused(&poll(&plane, &no, "cli").await, "access_denied");
    let old = begin(&plane).await;
    plane.clock.advance(Lifetime::from_seconds(600));
    refused(&poll(&plane, &old, "cli").await, "expired_token");
    assert_eq!(answer(&plane, &mut browser, &old, "yes").await.status, 403);
    refused(&form(&plane, "/oauth/token", &[("grant_type", DEVICE), ("device_code", "x"), ("client_id", "cli")]).await, "expired_token");
    refused(&form(&plane, "/oauth/token", &[("grant_type", "password")]).await, "unsupported_grant_type");
    refused(&form(&plane, "/oauth/device/code", &[("client_id", "a b")]).await, "invalid_request");
    let mut refused_guesses = 0;
    for n in 0..12 {
        let letter = char::from(b"BCDFGHJKLMNP"[n]);
        let page = browser.get(&plane, &format!("/device?user_code=BCDFGHJ{letter}")).await;
        refused_guesses += usize::from(page.status == 429);
    }
    assert!(refused_guesses > 0, "codes are not to be guessed");
}

#[tokio::test]
async fn a_form_of_another_page_lets_no_device_in() {
    let plane = start(SecondFactor::None).await;
    let (_, browser) = member(&plane, "ann@example.test", "read").await;
    let started = begin(&plane).await;
    let cookie = format!("__Host-countersign-session={}", browser.session().unwrap());
    let body = format!("user_code={}&answer=yes", started["user_code"].as_str().unwrap());
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("accept", "*/*")] {
        let request = Request::builder().method("POST").uri("/device").header("host", "localhost:8443").header("cookie", &cookie);
        assert_eq!(plane.send(request.header(name, value).body(Body::from(body.clone())).unwrap()).await.status, 403, "{value}");
    }
    refused(&poll(&plane, &started, "cli").await, "authorization_pending");
    let rebound = Request::builder().method("POST").uri("/oauth/device/code").header("host", "evil.example");
    plane.send(rebound.body(Body::from("client_id=cli")).unwrap()).await.refused(421, "misdirected");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_login() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let (access, refresh) = tokens(&plane, &mut browser).await;
    plane.clock.advance(Lifetime::from_seconds(1800));
    browser.get(&plane, "/").await;
    plane.clock.advance(Lifetime::from_seconds(1800));
    let ended = plane.get("/account", &access).await;
    assert!(ended.text.contains("request not authenticated") && ended.status == 401, "an access token lives an hour");
    let renew = async |refresh: &str| form(&plane, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    let next = renew(&refresh).await.ok();
    let (access2, refresh2) = (next["access_token"].as_str().unwrap(), next["refresh_token"].as_str().unwrap());
    plane.get("/account", access2).await.ok();
    refused(&renew(&refresh).await, "invalid_grant");
    plane.get("/account", access2).await.refused(401, "unauthenticated");
    refused(&renew(refresh2).await, "invalid_grant");
    for wrong in ["", "csr_", &refresh2[..refresh2.len() - 1], access2] {
        refused(&renew(wrong).await, "invalid_grant");
    }
    let trail = serde_json::to_string(&plane.audit().await).unwrap();
    assert!(trail.contains("refresh_token_reused") && trail.contains("RenewSession"));
}

#[tokio::test]
async fn an_ended_session_opens_nothing_from_that_moment() {
    let plane = start(SecondFactor::None).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "developer").await;
    let (first, refresh) = tokens(&plane, &mut browser).await;
    let (second, _) = tokens(&plane, &mut browser).await;
    assert_eq!(form(&plane, "/oauth/revoke", &[("token", &refresh)]).await.status, 200);
    assert_eq!(form(&plane, "/oauth/revoke", &[("token", "nothing")]).await.status, 200);
    plane.get("/account", &first).await.refused(401, "unauthenticated");
    let mine = plane.get("/sessions", &second).await.ok();
    let mine = mine["items"].as_array().unwrap();
    assert_eq!((mine.len(), mine.iter().filter(|s| s["current"] == true).count()), (2, 1));
    // A right that is taken away is gone at once, and so is the user.
    plane.call("PATCH", &format!("/users/{ann}"), &plane.owner, json!({"accountRole": "read"})).await.ok();
    plane.post("/namespaces", &second, json!({"name": "x", "upstream": "http://127.0.0.1:1"})).await.refused(403, "forbidden");
    plane.call("DELETE", &format!("/users/{ann}"), &plane.owner, Value::Null).await.ok();
    plane.get("/account", &second).await.refused(401, "unauthenticated");
    // A browser's cookie is no bearer, and an access token no cookie.
    let (_, mut other) = member(&plane, "ben@example.test", "read").await;
    plane.get("/account", other.session().unwrap()).await.refused(401, "invalid_api_key");
    let (access, _) = tokens(&plane, &mut other).await;
    let mut thief = Browser::default();
    thief.cookies.insert("__Host-countersign-session".into(), access);
    assert_eq!(thief.get(&plane, "/security").await.status, 303);
}

pub fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.as_bytes()))
}

#[tokio::test]
async fn a_code_with_pkce_is_changed_once_by_the_one_who_asked() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let verifier = "v".repeat(43);
    let (redirect, challenge) = ("http://127.0.0.1:56628/callback", challenge(&verifier));
    let fields = [
        ("response_type", "code"),
        ("client_id", "cloud-cli"),
        ("redirect_uri", redirect),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("state", "s&t"),
    ];
    let query = |fields: &[(&str, &str)]| fields.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect::<Vec<_>>().join("&");
    let page = browser.get(&plane, &format!("/oauth/authorize?{}", query(&fields))).await;
    assert!(page.status == 200 && page.text.contains("cloud-cli") && page.text.contains(redirect));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("form-action 'self' http://127.0.0.1:56628;"));
    let ask = Browser::default().get(&plane, &format!("/oauth/authorize?{}", query(&fields))).await;
    assert!(ask.status == 303 && ask.headers["location"].to_str().unwrap().starts_with("/login?next=%2Foauth%2Fauthorize%3F"));
    // Nothing is sent to an address that was not checked.
    for (name, bad) in [
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", "http://127.0.0.1.evil.example/"),
        ("code_challenge_method", "plain"),
        ("code_challenge", ""),
        ("response_type", "token"),
    ] {
        let bent: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, if *n == name { bad } else { *v })).collect();
        let mut with_answer = bent.clone();
        with_answer.push(("answer", "yes"));
        assert_eq!(browser.get(&plane, &format!("/oauth/authorize?{}", query(&bent))).await.status, 400, "{bad}");
        let posted = browser.post(&plane, "/oauth/authorize", &with_answer).await;
        assert!(posted.status == 400 && !posted.headers.contains_key("location"), "{bad}");
    }
    let mut code = async || {
        let answer = browser.post(&plane, "/oauth/authorize", &[&fields[..], &[("answer", "yes")]].concat()).await;
        let place = answer.headers["location"].to_str().unwrap().to_owned();
        assert!(
            place.starts_with(&format!("{redirect}?code=")) && place.contains("&state=s%26t&iss=https%3A%2F%2Flocalhost%3A8443"),
            "{place}"
        );
        place.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned()
    };
    let redeem = async |code: &str, client: &str, redirect: &str, verifier: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", client),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        form(&plane, "/oauth/token", &fields).await
    };
    for (client, place, proof) in
        [("other", redirect, &*verifier), ("cloud-cli", "http://127.0.0.1:1/", &*verifier), ("cloud-cli", redirect, "wrong")]
    {
        let one = code().await;
        refused(&redeem(&one, client, place, proof).await, "invalid_grant");
        refused(&redeem(&one, "cloud-cli", redirect, &verifier).await, "invalid_grant");
    }
    let late = code().await;
    plane.clock.advance(Lifetime::from_seconds(60));
    refused(&redeem(&late, "cloud-cli", redirect, &verifier).await, "invalid_grant");
    let good = code().await;
    let tries = futures_util::future::join_all((0..6).map(|_| redeem(&good, "cloud-cli", redirect, &verifier))).await;
    let got: Vec<&Answer> = tries.iter().filter(|a| a.status == 200).collect();
    assert!(got.len() <= 1, "of parallel uses at most one gets tokens, and they end since the code came again");
    for one in got {
        plane.get("/account", one.body["access_token"].as_str().unwrap()).await.refused(401, "unauthenticated");
    }
    let once = code().await;
    let got = redeem(&once, "cloud-cli", redirect, &verifier).await.ok();
    plane.get("/account", got["access_token"].as_str().unwrap()).await.ok();
    let no = browser.post(&plane, "/oauth/authorize", &[&fields[..], &[("answer", "no")]].concat()).await;
    assert!(no.headers["location"].to_str().unwrap().contains("?error=access_denied&state="));
}

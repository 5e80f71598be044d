//! What one caller may take of the ways to log in, and what a token, a code or a cookie is worth: nobody fills a queue, guesses or
//! makes up a text so that somebody else has the trouble.

use crate::harness::{Answer, Plane, id_of};
use crate::login::{Browser, PASSWORD, by_password, code_of, encoded, invite, is_in, member, secret_in, start, totp};
use crate::login_tools::{answer, begin, challenge, form, poll, refused, tokens};
use axum::body::Body;
use axum::http::Request;
use countersign_core::time::Lifetime;
use countersign_server::listener::Peer;
use countersign_server::login::SecondFactor;
use serde_json::{Value, json};
use sha2::Digest as _;

/// A form from an address.
async fn from(plane: &Plane, address: &str, path: &str, fields: &[(&str, &str)], cookies: &str) -> Answer {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let request = Request::builder().method("POST").uri(path).header("host", "localhost:8443").header("origin", "https://localhost:8443");
    let request = request.header("cookie", cookies).header("content-type", "application/x-www-form-urlencoded");
    let mut request = request.body(Body::from(body.join("&"))).unwrap();
    request.extensions_mut().insert(Peer(std::net::SocketAddr::new(address.parse().unwrap(), 1)));
    plane.send(request).await
}

async fn log_in_from(plane: &Plane, address: &str, email: &str, password: &str, cookies: &str) -> Answer {
    from(plane, address, "/login", &[("email", email), ("password", password)], cookies).await
}

/// A token that was never issued, with the right form, id and checksum.
fn made_up(prefix: &str, id: &str) -> String {
    let body = format!("{prefix}{id}_{}", "A".repeat(43));
    let mut hash = sha2::Sha256::new();
    hash.update(b"countersign token checksum v1\0");
    hash.update(body.as_bytes());
    let sum: String = hash.finalize().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("{body}{sum}")
}

async fn renew(plane: &Plane, refresh: &str, client: &str) -> Answer {
    form(plane, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", client)]).await
}

#[tokio::test]
async fn only_a_refresh_token_that_was_issued_counts_as_used_twice() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let (access, refresh) = tokens(&plane, &mut browser).await;
    let entries = plane.audit().await.len();
    for text in [made_up("csr_", &id_of(&refresh)), made_up("csr_", "n0000000000000000000"), format!("{}x", &refresh[..refresh.len() - 1])]
    {
        refused(&renew(&plane, &text, "cli").await, "invalid_grant");
    }
    plane.get("/account", &access).await.ok();
    assert_eq!(plane.audit().await.len(), entries, "nothing happened, and the trail names no victim");
    // Of those that were issued each one counts, however old.
    let mut newest = refresh.clone();
    for _ in 0..3 {
        newest = renew(&plane, &newest, "cli").await.ok()["refresh_token"].as_str().unwrap().to_owned();
    }
    refused(&renew(&plane, &refresh, "cli").await, "invalid_grant");
    refused(&renew(&plane, &newest, "cli").await, "invalid_grant");
    assert!(plane.audit().await.iter().any(|entry| entry["result"] == "refresh_token_reused"));
}

#[tokio::test]
async fn a_refresh_token_belongs_to_its_client() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let (access, refresh) = tokens(&plane, &mut browser).await;
    refused(&renew(&plane, &refresh, "another").await, "invalid_grant");
    plane.get("/account", &access).await.ok();
    let next = renew(&plane, &refresh, "cli").await.ok();
    // The other client's reuse ends nothing either: it has no part in this login.
    refused(&renew(&plane, &refresh, "another").await, "invalid_grant");
    plane.get("/account", next["access_token"].as_str().unwrap()).await.ok();
}

async fn code(plane: &Plane, browser: &mut Browser, verifier: &str) -> String {
    let challenge = challenge(verifier);
    let fields = [
        ("response_type", "code"),
        ("client_id", "cli"),
        ("redirect_uri", "http://127.0.0.1:1/"),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
        ("answer", "yes"),
    ];
    let place = browser.post(plane, "/oauth/authorize", &fields).await.headers["location"].to_str().unwrap().to_owned();
    place.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned()
}

async fn redeem(plane: &Plane, code: &str, verifier: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("client_id", "cli"),
        ("redirect_uri", "http://127.0.0.1:1/"),
        ("code_verifier", verifier),
    ];
    form(plane, "/oauth/token", &fields).await
}

#[tokio::test]
async fn an_authorization_code_that_comes_again_ends_what_it_was_changed_for() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let verifier = "v".repeat(43);
    for second in [verifier.as_str(), "another verifier, by somebody who only saw the code"] {
        let code = code(&plane, &mut browser, &verifier).await;
        let got = redeem(&plane, &code, &verifier).await.ok();
        let access = got["access_token"].as_str().unwrap();
        plane.get("/account", access).await.ok();
        plane.clock.advance(Lifetime::from_seconds(300));
        refused(&redeem(&plane, &code, second).await, "invalid_grant");
        plane.get("/account", access).await.refused(401, "unauthenticated");
        refused(&renew(&plane, got["refresh_token"].as_str().unwrap(), "cli").await, "invalid_grant");
    }
    assert!(plane.audit().await.iter().any(|entry| entry["result"] == "authorization_code_reused"));
    assert!(is_in(&plane, &mut browser).await);
}

#[tokio::test]
async fn one_network_fills_no_queue_of_devices_for_others() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let client = [("client_id", "cli")];
    let hers = from(&plane, "192.0.2.1", "/oauth/device/code", &client, "").await.ok();
    let first = from(&plane, "198.51.100.1", "/oauth/device/code", &client, "").await.ok();
    let mut last = Value::Null;
    for n in 0..2500 {
        // An IPv6 host has a whole /64 to call from.
        let address = if n % 2 == 0 { "198.51.100.1".to_owned() } else { format!("2001:db8::{n:x}") };
        last = from(&plane, &address, "/oauth/device/code", &client, "").await.ok();
    }
    refused(&poll(&plane, &first, "cli").await, "expired_token");
    for waits in [&hers, &last] {
        assert_eq!(answer(&plane, &mut browser, waits, "yes").await.status, 200);
        poll(&plane, waits, "cli").await.ok();
    }
}

#[tokio::test]
async fn one_user_fills_no_queue_of_half_finished_logins_for_others() {
    let plane = start(SecondFactor::None).await;
    let with_factor = async |email: &str| {
        let (_, mut browser) = member(&plane, email, "read").await;
        let page = browser.post(&plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
        let secret = secret_in(&page.text);
        browser.post(&plane, "/security/second", &[("do", "confirm"), ("code", &totp(&plane, &secret, -1))]).await;
        (browser, secret)
    };
    let (_, ann) = with_factor("ann@example.test").await;
    let (_, ben) = with_factor("ben@example.test").await;
    let (mut bens, _) = by_password(&plane, "ben@example.test", PASSWORD).await;
    let (mut first, _) = by_password(&plane, "ann@example.test", PASSWORD).await;
    let mut last = Browser::default();
    for _ in 0..25 {
        last = by_password(&plane, "ann@example.test", PASSWORD).await.0;
    }
    first.post(&plane, "/login/second", &[("code", &totp(&plane, &ann, 0))]).await;
    assert!(first.session().is_none(), "the oldest gave way");
    last.post(&plane, "/login/second", &[("code", &totp(&plane, &ann, 0))]).await;
    bens.post(&plane, "/login/second", &[("code", &totp(&plane, &ben, 0))]).await;
    assert!(last.session().is_some() && bens.session().is_some());
}

#[tokio::test]
async fn guesses_from_many_networks_keep_no_known_user_out() {
    let plane = start(SecondFactor::None).await;
    let (_, address) = invite(&plane, "ann@example.test", "read").await;
    let fields = [("code", &*code_of(&address)), ("password", PASSWORD), ("again", PASSWORD)];
    let home = from(&plane, "192.0.2.1", "/invitation", &fields, "").await;
    let cookies: Vec<&str> = home.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap().split(';').next().unwrap()).collect();
    let device = cookies.iter().find(|cookie| cookie.starts_with("__Host-countersign-device=")).unwrap();
    let mut waits = 0;
    for n in 0..130 {
        let answer = log_in_from(&plane, &format!("198.51.100.{n}"), "ann@example.test", "a wrong password", "").await;
        waits += usize::from(answer.status == 429);
    }
    assert!(waits > 0, "a hundred guesses are enough, from wherever they come");
    // Who is logged in at home, and who comes with a known browser, is let in; who is known by neither has to wait.
    assert_eq!(log_in_from(&plane, "203.0.113.1", "ann@example.test", PASSWORD, "").await.status, 429);
    assert_eq!(log_in_from(&plane, "192.0.2.1", "ann@example.test", PASSWORD, "").await.status, 303);
    assert_eq!(log_in_from(&plane, "203.0.113.2", "ann@example.test", PASSWORD, device).await.status, 303);
    // The cookie of a known browser is for its user alone, and guesses with it are counted too.
    member(&plane, "ben@example.test", "read").await;
    let mut with_hers = 0;
    for _ in 0..12 {
        with_hers += usize::from(log_in_from(&plane, "203.0.113.3", "ben@example.test", "a wrong password", device).await.status == 429);
    }
    assert!(with_hers > 0);
    let mut of_device = 0;
    for _ in 0..12 {
        of_device += usize::from(log_in_from(&plane, "203.0.113.4", "ann@example.test", "a wrong password", device).await.status == 429);
    }
    assert!(of_device > 0);
}

#[tokio::test]
async fn a_right_password_goes_on_to_the_second_factor_however_many_were_wrong() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let page = browser.post(&plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
    let secret = secret_in(&page.text);
    browser.post(&plane, "/security/second", &[("do", "confirm"), ("code", &totp(&plane, &secret, -1))]).await;
    let mut waits = 0;
    for _ in 0..12 {
        waits += usize::from(log_in_from(&plane, "203.0.113.1", "ann@example.test", "a wrong password", "").await.status == 429);
    }
    assert!(waits > 0);
    let answer = log_in_from(&plane, "203.0.113.1", "ann@example.test", PASSWORD, "").await;
    assert!(answer.status == 303 && answer.headers["location"].to_str().unwrap().starts_with("/login/second"), "{}", answer.text);
    // A network that guesses without end waits in any case.
    let mut refused = 0;
    for n in 0..40 {
        refused +=
            usize::from(log_in_from(&plane, "203.0.113.1", &format!("x{n}@example.test"), "a wrong password", "").await.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(log_in_from(&plane, "203.0.113.1", "ann@example.test", PASSWORD, "").await.status, 429);
}

#[tokio::test]
async fn a_user_code_is_guessed_on_no_page_and_finding_ones_own_makes_up_for_no_guess() {
    let plane = start(SecondFactor::None).await;
    for posts in [true, false] {
        let (_, mut browser) = member(&plane, if posts { "ann@example.test" } else { "ben@example.test" }, "read").await;
        let own = begin(&plane).await;
        let own = own["user_code"].as_str().unwrap().to_owned();
        let mut waits = 0;
        for n in 0..10_usize {
            let guess = format!("BCDFGHJ{}", char::from(b"BCDFGHJKLM"[n]));
            let status = if posts {
                browser.post(&plane, "/device", &[("user_code", &guess), ("answer", "yes")]).await.status
            } else {
                browser.get(&plane, &format!("/device?user_code={guess}")).await.status
            };
            waits += usize::from(status == 429);
            browser.get(&plane, &format!("/device?user_code={own}")).await;
        }
        assert!(waits > 0, "{posts}");
    }
}

#[tokio::test]
async fn recovery_codes_are_made_anew_and_those_of_before_open_nothing() {
    let plane = start(SecondFactor::Owners).await;
    let (_, address) = invite(&plane, "boss@example.test", "owner").await;
    let mut browser = Browser::default();
    browser.post(&plane, "/invitation", &[("code", &*code_of(&address)), ("password", PASSWORD), ("again", PASSWORD)]).await;
    let secret = secret_in(&browser.get(&plane, "/login/enrol").await.text);
    let codes_in = |page: &str| -> Vec<String> {
        page.split("<li>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).filter(|code| code.len() == 14).collect()
    };
    let done = browser.post(&plane, "/login/enrol", &[("code", &totp(&plane, &secret, -1))]).await;
    let old = codes_in(&done.text);
    assert!(browser.get(&plane, "/security").await.text.contains("Make new recovery codes"), "an owner makes them, too");
    assert_eq!(browser.post(&plane, "/security/second", &[("do", "recovery"), ("code", "000000")]).await.status, 403);
    let (mut other, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
    other.post(&plane, "/login/second", &[("code", &totp(&plane, &secret, 0))]).await;
    assert!(is_in(&plane, &mut other).await);
    let made = browser.post(&plane, "/security/second", &[("do", "recovery"), ("code", &totp(&plane, &secret, 1))]).await;
    let new = codes_in(&made.text);
    assert!(made.status == 200 && new.len() == 8 && !new.contains(&old[0]), "{}", made.text);
    assert!(is_in(&plane, &mut browser).await && !is_in(&plane, &mut other).await);
    for (code, good) in [(&old[0], false), (&new[0], true)] {
        let (mut again, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
        again.post(&plane, "/login/second", &[("code", code)]).await;
        assert_eq!(again.session().is_some(), good, "{code}");
    }
    let trail = serde_json::to_string(&plane.audit().await).unwrap();
    assert!(trail.contains("RenewRecoveryCodes") && !trail.contains(&new[1]));
}

#[tokio::test]
async fn a_password_that_is_guessed_first_is_refused_wherever_one_is_set() {
    let plane = start(SecondFactor::None).await;
    let (_, address) = invite(&plane, "ann@example.test", "read").await;
    let (_, mut browser) = member(&plane, "ben@example.test", "read").await;
    for bad in ["password12345", "P@ssw0rd-2026", "Countersign123", "qwertyuiop12"] {
        let fields = [("code", &*code_of(&address)), ("password", bad), ("again", bad)];
        let answer = Browser::default().post(&plane, "/invitation", &fields).await;
        assert!(answer.status == 400 && answer.text.contains("guessed first"), "{bad}: {}", answer.text);
        assert_eq!(
            browser.post(&plane, "/security/password", &[("old", PASSWORD), ("new", bad), ("again", bad)]).await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn addresses_that_are_handed_on_come_from_the_settings_and_a_host_is_one_host() {
    let plane = start(SecondFactor::None).await;
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let ask = async |method: &str, path: &str, host: &str| {
        let request = Request::builder().method(method).uri(path).header("host", host);
        plane.send(request.header("content-type", "application/x-www-form-urlencoded").body(Body::from("client_id=cli")).unwrap()).await
    };
    for host in ["localhost:8443", "LOCALHOST:1", "127.0.0.1:8443", "[::1]:9999"] {
        let described = ask("GET", "/.well-known/oauth-authorization-server", host).await.ok();
        assert_eq!(
            (&described["issuer"], &described["token_endpoint"]),
            (&json!("https://localhost:8443"), &json!("https://localhost:8443/oauth/token"))
        );
        let started = ask("POST", "/oauth/device/code", host).await.ok();
        assert_eq!(started["verification_uri"], "https://localhost:8443/device", "{host}");
    }
    for host in ["localhost:8443,evil.test", "localhost:8443@evil.test", "evil.test@localhost:8443", "localhost:99999", "localhost:8443/x"]
    {
        for path in ["/.well-known/oauth-authorization-server", "/login", "/api/v1/account"] {
            ask("GET", path, host).await.refused(400, "invalid_argument");
        }
    }
    ask("GET", "/login", "evil.test").await.refused(421, "misdirected");
    let code = code(&plane, &mut browser, &"v".repeat(43)).await;
    assert!(!code.is_empty());
}

#[tokio::test]
async fn the_address_of_a_calendar_ends_with_its_maker() {
    let plane = start(SecondFactor::None).await;
    let opens = async |url: &str| plane.page(url.strip_prefix("https://localhost:8443").unwrap()).await.status == 200;
    for case in ["demoted", "deleted", "key disabled"] {
        let (machine, key) = plane.machine(case, "admin", json!({})).await;
        let url = plane.post("/notices/calendar", &key, Value::Null).await.ok()["url"].as_str().unwrap().to_owned();
        assert!(opens(&url).await, "{case}");
        match case {
            "demoted" => plane.call("PATCH", &format!("/service-accounts/{machine}"), &plane.owner, json!({"accountRole": "read"})).await,
            "deleted" => plane.call("DELETE", &format!("/service-accounts/{machine}"), &plane.owner, Value::Null).await,
            _ => plane.post(&format!("/api-keys/{}/disable", id_of(&key)), &plane.owner, Value::Null).await,
        }
        .ok();
        assert!(!opens(&url).await, "{case}");
    }
    let url = plane.post("/notices/calendar", &plane.owner, Value::Null).await.ok()["url"].as_str().unwrap().to_owned();
    assert!(opens(&url).await);
}

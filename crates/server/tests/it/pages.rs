//! The way in for people, and what a session shows: codes work once, sessions end, and the cookie opens nothing else.

use crate::harness::{Answer, Plane};
use axum::body::Body;
use axum::http::Request;
use countersign_core::time::Lifetime;
use countersign_server::bootstrap;
use serde_json::json;

const COOKIE: &str = "__Host-countersign-session";

async fn code(plane: &Plane) -> String {
    bootstrap::one_time_login(&plane.app).await.unwrap().expose().to_owned()
}

async fn look(plane: &Plane, path: &str, session: &str) -> Answer {
    let mut request = Request::builder().uri(path).header("host", "localhost:8443");
    if !session.is_empty() {
        request = request.header("cookie", format!("{COOKIE}={session}"));
    }
    plane.send(request.body(Body::empty()).unwrap()).await
}

async fn send(plane: &Plane, path: &str, from: (&str, &str), session: &str, form: String) -> Answer {
    let request = Request::builder().method("POST").uri(path).header("host", "localhost:8443").header(from.0, from.1);
    let request = request.header("cookie", format!("{COOKIE}={session}")).header("content-type", "application/x-www-form-urlencoded");
    plane.send(request.body(Body::from(form)).unwrap()).await
}

const OWN: (&str, &str) = ("origin", "https://localhost:8443");

async fn enter(plane: &Plane, code: &str) -> Answer {
    send(plane, "/login", OWN, "", format!("code={code}")).await
}

/// The text of the session that an answer opened.
#[track_caller]
fn session(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (303, "/"), "{}", answer.text);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    cookie.strip_prefix(&format!("{COOKIE}=")).unwrap().split(';').next().unwrap().to_owned()
}

async fn signed_in(plane: &Plane) -> String {
    session(&enter(plane, &code(plane).await).await)
}

async fn is_in(plane: &Plane, session: &str) -> bool {
    look(plane, "/", session).await.text.contains("Sign out")
}

#[tokio::test]
async fn a_code_opens_one_session_once_and_looking_at_it_uses_nothing_up() {
    let plane = Plane::start().await;
    let code = code(&plane).await;
    for _ in 0..3 {
        let page = look(&plane, &format!("/login?code={code}"), "").await;
        assert!(page.status == 200 && page.text.contains("<button>Sign in</button>") && !page.headers.contains_key("set-cookie"));
        assert!(page.headers["referrer-policy"] == "no-referrer" && page.headers["cache-control"] == "no-store");
        assert_eq!(
            page.headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
    }
    let opened = enter(&plane, &code).await;
    let cookie = opened.headers["set-cookie"].to_str().unwrap().to_owned();
    for flag in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains(&code), "{cookie}");
    assert!(is_in(&plane, &session(&opened)).await);
    let again = enter(&plane, &code).await;
    assert!(again.status == 403 && !again.headers.contains_key("set-cookie") && again.text.contains("countersign dev"));
    assert_eq!(look(&plane, &format!("/login?code={code}"), "").await.status, 403);
}

#[tokio::test]
async fn a_wrong_an_old_and_a_displaced_code_open_nothing() {
    let plane = Plane::start().await;
    for wrong in ["", "0", &"0".repeat(64), "%00", "<script>"] {
        assert_eq!(enter(&plane, wrong).await.status, 403, "{wrong}");
        assert_eq!(look(&plane, &format!("/login?code={}", wrong.replace('<', "%3C").replace('>', "%3E")), "").await.status, 403);
    }
    let good = code(&plane).await;
    assert_eq!(send(&plane, "/login", OWN, "", format!("code={good}&code={good}")).await.status, 403);
    plane.clock.advance(Lifetime::from_seconds(15 * 60));
    assert_eq!(enter(&plane, &good).await.status, 403);
    let first = code(&plane).await;
    plane.clock.advance(Lifetime::from_seconds(1));
    for _ in 0..8 {
        code(&plane).await;
    }
    assert_eq!(enter(&plane, &first).await.status, 403, "at most eight wait");
}

#[tokio::test]
async fn a_form_of_another_page_neither_opens_nor_ends_a_session() {
    let plane = Plane::start().await;
    let (good, inside) = (code(&plane).await, signed_in(&plane).await);
    let foreign = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:8443"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("accept", "*/*"),
    ];
    for from in foreign {
        assert_eq!(send(&plane, "/login", from, "", format!("code={good}")).await.status, 403, "{from:?}");
        assert_eq!(send(&plane, "/logout", from, &inside, String::new()).await.status, 403, "{from:?}");
    }
    assert!(is_in(&plane, &inside).await);
    session(&send(&plane, "/login", ("sec-fetch-site", "same-origin"), "", format!("code={good}")).await);
}

#[tokio::test]
async fn a_session_ends_by_its_owner_by_idleness_and_by_age() {
    let plane = Plane::start().await;
    let first = signed_in(&plane).await;
    let answer = send(&plane, "/logout", OWN, &first, String::new()).await;
    assert!(answer.status == 303 && answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert!(!is_in(&plane, &first).await, "it ends at the server");
    let idle = signed_in(&plane).await;
    plane.clock.advance(Lifetime::from_seconds(30 * 60));
    assert!(!is_in(&plane, &idle).await);
    let busy = signed_in(&plane).await;
    for _ in 0..23 {
        plane.clock.advance(Lifetime::from_seconds(20 * 60));
        assert!(is_in(&plane, &busy).await);
    }
    plane.clock.advance(Lifetime::from_seconds(20 * 60));
    assert!(!is_in(&plane, &busy).await, "eight hours are the most");
}

#[tokio::test]
async fn a_session_has_the_rights_of_now_and_ends_with_its_user() {
    let plane = Plane::start().await;
    let inside = signed_in(&plane).await;
    let me = plane.get("/current-identity", &plane.owner).await.ok()["id"].as_str().unwrap().to_owned();
    let other = json!({"email": "second@localhost", "access": {"accountRole": "owner"}});
    plane.post("/users", &plane.owner, other).await.ok();
    assert!(!look(&plane, "/", &inside).await.text.contains("Your rights do not show this"));
    let (_, admin) = plane.machine("owner-machine", "admin", json!({})).await;
    plane.call("PATCH", &format!("/users/{me}"), &plane.owner, json!({"accountRole": "read"})).await.ok();
    assert!(look(&plane, "/", &inside).await.text.contains("Your rights do not show this"));
    plane.call("DELETE", &format!("/users/{me}"), &admin, json!(null)).await.ok();
    assert!(!is_in(&plane, &inside).await);
}

#[tokio::test]
async fn the_cookie_is_no_credential_for_the_api() {
    let plane = Plane::start().await;
    let inside = signed_in(&plane).await;
    look(&plane, "/api/v1/account", &inside).await.refused(401, "unauthenticated");
    send(&plane, "/api/v1/api-keys", OWN, &inside, "{}".to_owned()).await.refused(401, "unauthenticated");
    let two = Request::builder().uri("/").header("host", "localhost").header("cookie", format!("{COOKIE}=x; {COOKIE}={inside}"));
    assert!(!plane.send(two.body(Body::empty()).unwrap()).await.text.contains("Sign out"), "of two cookies none counts");
}

#[tokio::test]
async fn the_overview_shows_names_as_text_and_secrets_never() {
    let plane = Plane::start().await;
    let name = "<script>alert(1)</script>\" onload='x'";
    let made = plane.post("/api-keys", &plane.owner, json!({"name": name})).await.ok();
    plane.post("/api-keys", &plane.owner, json!({"name": "a\u{202e}b"})).await;
    let inside = signed_in(&plane).await;
    let page = look(&plane, "/", &inside).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<script") && page.text.contains("&lt;script&gt;alert(1)"), "{}", page.text);
    assert!(!page.text.contains('\u{202e}') && !page.text.contains("style="));
    assert!(!page.text.contains(made["secretKey"].as_str().unwrap()) && !page.text.contains(&plane.owner) && !page.text.contains(&inside));
    for word in ["Namespaces", "demo.", "API keys", "Registered certificates", "countersign key create", "Gateways", "east", "SignIn"] {
        assert!(page.text.contains(word), "{word}");
    }
    assert!(look(&plane, "/", "").await.text.contains("COUNTERSIGN_LOGIN"));
}

#[tokio::test]
async fn a_browser_at_an_address_without_a_page_reads_a_page_and_a_program_reads_json() {
    let plane = Plane::start().await;
    let ask = |path: &str, accept: &str| {
        let request = Request::builder().uri(path).header("host", "localhost:8443").header("accept", accept);
        plane.send(request.body(Body::empty()).unwrap())
    };
    for path in ["/mistyped", "/consoles", "/security/nothing", "/notices/nothing.ics"] {
        let page = ask(path, "text/html,*/*;q=0.8").await;
        assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"), "{path}");
        assert!(page.text.contains("There is no page at this address") && page.headers["cache-control"] == "no-store");
        assert!(ask(path, "application/json").await.headers["content-type"] == "application/problem+json", "{path}");
    }
    ask("/api/v1/nothing", "text/html").await.refused(401, "unauthenticated");
    for path in ["/favicon.ico", "/favicon.svg"] {
        let icon = ask(path, "image/*").await;
        assert_eq!((icon.status, icon.headers["content-type"].to_str().unwrap()), (200, "image/svg+xml"));
    }
    assert_eq!(ask("/robots.txt", "*/*").await.text, "User-agent: *\nDisallow: /\n");
}

//! People log in: by password, second factor and invitation; sessions are listed, ended and end by themselves. No way in is wider
//! than its proof.

use crate::harness::{Answer, Chance, Plane};
use axum::body::Body;
use axum::http::Request;
use countersign_core::time::Lifetime;
use countersign_server::login::{LoginSettings, SecondFactor};
use countersign_server::seal::Sealer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const PASSWORD: &str = "correct horse battery";

/// A browser: it keeps cookies, and sends forms as our own pages do.
#[derive(Default)]
pub struct Browser {
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub async fn get(&mut self, plane: &Plane, path: &str) -> Answer {
        self.go(plane, "GET", path, "").await
    }

    pub async fn post(&mut self, plane: &Plane, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.go(plane, "POST", path, &form.join("&")).await
    }

    async fn go(&mut self, plane: &Plane, method: &str, path: &str, form: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8443").header("cookie", cookies.join("; "));
        let request = request.header("origin", "https://localhost:8443").header("content-type", "application/x-www-form-urlencoded");
        let answer = plane.send(request.body(Body::from(form.to_owned())).unwrap()).await;
        for value in answer.headers.get_all("set-cookie") {
            let (name, rest) = value.to_str().unwrap().split_once('=').unwrap();
            let flags = rest.split_once(';').unwrap();
            assert!(
                name.starts_with("__Host-") && flags.1.contains("Secure") && flags.1.contains("HttpOnly") && flags.1.contains("Path=/")
            );
            if flags.1.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), flags.0.to_owned());
            }
        }
        answer
    }

    pub fn session(&self) -> Option<&String> {
        self.cookies.get("__Host-countersign-session")
    }
}

pub fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

pub async fn start(second_factor: SecondFactor) -> Plane {
    let plane = Plane::start().await;
    plane.app.use_master_key(Sealer::new([7; 32], Arc::new(Chance))).await.unwrap();
    let public_url = "https://localhost:8443".to_owned();
    plane.app.use_login_settings(LoginSettings { second_factor, oidc: None, public_url }).unwrap();
    plane
}

/// Makes a user and takes the address at which he sets a password.
pub async fn invite(plane: &Plane, email: &str, role: &str) -> (String, String) {
    let made = plane.post("/users", &plane.owner, json!({"email": email, "access": {"accountRole": role}})).await.ok();
    let address = made["invitationUrl"].as_str().unwrap().strip_prefix("https://localhost:8443").unwrap().to_owned();
    (made["id"].as_str().unwrap().to_owned(), address)
}

pub fn code_of(address: &str) -> String {
    address.strip_prefix("/invitation?code=").unwrap().to_owned()
}

/// A user with a password, logged in.
pub async fn member(plane: &Plane, email: &str, role: &str) -> (String, Browser) {
    let (id, address) = invite(plane, email, role).await;
    let mut browser = Browser::default();
    let answer = browser.post(plane, "/invitation", &[("code", &code_of(&address)), ("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    (id, browser)
}

pub async fn by_password(plane: &Plane, email: &str, password: &str) -> (Browser, Answer) {
    let mut browser = Browser::default();
    let answer = browser.post(plane, "/login", &[("email", email), ("password", password)]).await;
    (browser, answer)
}

pub async fn is_in(plane: &Plane, browser: &mut Browser) -> bool {
    browser.get(plane, "/security").await.status == 200
}

/// The code that an authenticator app shows at the plane's time.
pub fn totp(plane: &Plane, secret: &str, steps: i64) -> String {
    let mut bits = String::new();
    for c in secret.chars() {
        let at = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap();
        bits.push_str(&format!("{at:05b}"));
    }
    let key: Vec<u8> = (0..bits.len() / 8).map(|i| u8::from_str_radix(&bits[i * 8..i * 8 + 8], 2).unwrap()).collect();
    let step = countersign_server::Clock::now(&*plane.clock).seconds() / 30 + steps;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = aws_lc_rs::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

pub fn secret_in(page: &str) -> String {
    page.split_once("<dt>Secret</dt><dd><code>").unwrap().1.split_once('<').unwrap().0.replace(' ', "")
}

async fn actions(plane: &Plane) -> Vec<(String, String)> {
    plane.audit().await.iter().map(|e| (e["action"].as_str().unwrap().to_owned(), e["result"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn an_invitation_is_good_once_and_sets_a_password() {
    let plane = start(SecondFactor::None).await;
    let (id, address) = invite(&plane, "ann@example.test", "read").await;
    let code = code_of(&address);
    let mut browser = Browser::default();
    for _ in 0..2 {
        assert!(browser.get(&plane, &address).await.text.contains("ann@example.test"), "looking uses nothing up");
    }
    for (password, again) in [("short", "short"), ("ann@example.test", "ann@example.test"), (PASSWORD, "correct horse batterz"), ("", "")] {
        let answer = browser.post(&plane, "/invitation", &[("code", &code), ("password", password), ("again", again)]).await;
        assert!(answer.status == 400 && browser.session().is_none() && !answer.text.contains(PASSWORD), "{}", answer.text);
    }
    let fields = [("code", code.as_str()), ("password", PASSWORD), ("again", PASSWORD)];
    // Two browsers at once: one gets in.
    let (mut a, mut b) = (Browser::default(), Browser::default());
    let (first, second) = tokio::join!(a.post(&plane, "/invitation", &fields), b.post(&plane, "/invitation", &fields));
    let mut both = [first.status, second.status];
    both.sort_unstable();
    assert_eq!(both, [303, 403]);
    assert_eq!(browser.get(&plane, &address).await.status, 403);
    let (mut browser, answer) = by_password(&plane, "Ann@Example.test", PASSWORD).await;
    assert!(answer.status == 303 && is_in(&plane, &mut browser).await);
    // An admin's new link is refused for one who has a way in; an owner's is good, and ends the sessions there are.
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    plane.post(&format!("/users/{id}/invitation"), &admin, json!({})).await.refused(403, "forbidden");
    let again = plane.post(&format!("/users/{id}/invitation"), &plane.owner, json!({})).await.ok();
    let address = again["invitationUrl"].as_str().unwrap().strip_prefix("https://localhost:8443").unwrap().to_owned();
    let new = "another horse battery";
    let answer = Browser::default().post(&plane, "/invitation", &[("code", &code_of(&address)), ("password", new), ("again", new)]).await;
    assert!(answer.status == 303 && !is_in(&plane, &mut browser).await);
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 403);
    assert_eq!(by_password(&plane, "ann@example.test", new).await.1.status, 303);
    let trail = serde_json::to_string(&plane.audit().await).unwrap();
    for secret in [PASSWORD, new, &code, "csi_", "csb_", "$argon2"] {
        assert!(!trail.contains(secret), "{secret}");
    }
    for action in ["InviteUser", "AcceptInvitation", "SignIn"] {
        assert!(trail.contains(action), "{action}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_sound_the_same_and_cost_a_growing_wait() {
    let plane = start(SecondFactor::None).await;
    member(&plane, "ann@example.test", "read").await;
    let (_, known) = by_password(&plane, "ann@example.test", "not the password").await;
    let (_, unknown) = by_password(&plane, "nobody@example.test", "not the password").await;
    let plain = |answer: &Answer| answer.text.replace("ann@example.test", "X").replace("nobody@example.test", "X");
    assert_eq!((known.status, plain(&known)), (unknown.status, plain(&unknown)));
    for who in ["ann@example.test", "nobody@example.test"] {
        let mut waits = 0;
        for _ in 0..8 {
            let answer = by_password(&plane, who, "not the password").await.1;
            waits += usize::from(answer.status == 429 && answer.headers.contains_key("retry-after"));
        }
        assert!(waits > 0, "{who}");
        plane.clock.advance(Lifetime::from_seconds(16 * 60));
    }
    // No lock-out: after the wait the right one is let in, and starts anew.
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 303);
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 303);
    let failed = actions(&plane).await.into_iter().filter(|(action, result)| action == "SignIn" && result == "wrong_password").count();
    assert!((8..=18).contains(&failed), "{failed}");
}

#[tokio::test]
async fn parallel_guesses_count_each() {
    let plane = start(SecondFactor::None).await;
    member(&plane, "ann@example.test", "read").await;
    let guesses = (0..30).map(|n| {
        let plane = &plane;
        async move { by_password(plane, "ann@example.test", &format!("a wrong password {n}")).await.1.status }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let tried = answers.iter().filter(|status| **status == 403).count();
    assert!(tried <= 6, "{tried} guesses were looked at: {answers:?}");
}

#[tokio::test]
async fn an_owner_sets_up_a_second_factor_and_needs_it_from_then_on() {
    let plane = start(SecondFactor::Owners).await;
    let (_, address) = invite(&plane, "boss@example.test", "owner").await;
    let mut browser = Browser::default();
    let fields = [("code", &*code_of(&address)), ("password", PASSWORD), ("again", PASSWORD)];
    let answer = browser.post(&plane, "/invitation", &fields).await;
    assert!(answer.status == 303 && answer.headers["location"].to_str().unwrap().starts_with("/login/enrol"));
    assert!(browser.session().is_none() && !is_in(&plane, &mut browser).await, "the password alone opens nothing");
    let page = browser.get(&plane, "/login/enrol").await;
    let secret = secret_in(&page.text);
    assert!(page.text.contains("<svg") && page.headers["cache-control"] == "no-store" && !page.text.contains("style="));
    assert_eq!(secret_in(&browser.get(&plane, "/login/enrol").await.text), secret, "reading it again changes nothing");
    assert_eq!(browser.post(&plane, "/login/enrol", &[("code", "000000")]).await.status, 403);
    let done = browser.post(&plane, "/login/enrol", &[("code", &totp(&plane, &secret, 0))]).await;
    assert!(done.status == 200 && browser.session().is_some() && is_in(&plane, &mut browser).await, "{}", done.text);
    let recovery: Vec<String> = done.text.split("<li>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(recovery.len(), 8);

    let (mut other, answer) = by_password(&plane, "boss@example.test", PASSWORD).await;
    assert!(answer.headers["location"].to_str().unwrap().starts_with("/login/second") && other.session().is_none());
    let old = totp(&plane, &secret, 0);
    assert_eq!(other.post(&plane, "/login/second", &[("code", &old)]).await.status, 403, "a step's code is used once");
    let next = totp(&plane, &secret, 1);
    let mut twin = Browser { cookies: other.cookies.clone() };
    let fields = [("code", next.as_str())];
    let (a, b) = tokio::join!(other.post(&plane, "/login/second", &fields), twin.post(&plane, "/login/second", &fields));
    assert!(
        usize::from(a.headers.contains_key("set-cookie") && a.headers["location"] == "/")
            + usize::from(b.status == 303 && b.headers["location"] == "/")
            == 1
    );
    // Recovery codes, once each.
    for (code, good) in [(recovery[0].clone(), true), (recovery[0].clone(), false), (recovery[1].to_uppercase(), true)] {
        let (mut again, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
        again.post(&plane, "/login/second", &[("code", &code)]).await;
        assert_eq!(again.session().is_some(), good, "{code}");
    }
    // Nobody gets past it by guessing.
    let (mut guesser, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
    let mut refused = 0;
    for n in 0..12 {
        refused += usize::from(guesser.post(&plane, "/login/second", &[("code", &format!("{n:06}"))]).await.status == 429);
    }
    assert!(refused > 0);
    plane.clock.advance(Lifetime::from_seconds(16 * 60));
    assert_eq!(browser.post(&plane, "/security/second", &[("do", "remove"), ("code", &totp(&plane, &secret, 0))]).await.status, 403);
    let trail = serde_json::to_string(&plane.audit().await).unwrap();
    assert!(!trail.contains(&secret) && !trail.contains(&recovery[2]));
    for word in ["EnrolSecondFactor", "wrong_second_factor", "UseRecoveryCode"] {
        assert!(trail.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session_and_asks_for_the_old_one() {
    let plane = start(SecondFactor::None).await;
    let (_, mut here) = member(&plane, "ann@example.test", "read").await;
    let (mut there, _) = by_password(&plane, "ann@example.test", PASSWORD).await;
    assert_ne!(here.session(), there.session());
    let new = "another horse battery";
    let form = |old, new, again| [("old", old), ("new", new), ("again", again)];
    assert_eq!(here.post(&plane, "/security/password", &form("wrong password here", new, new)).await.status, 403);
    assert_eq!(here.post(&plane, "/security/password", &form(PASSWORD, new, "different one here")).await.status, 400);
    assert_eq!(here.post(&plane, "/security/password", &form(PASSWORD, "short", "short")).await.status, 400);
    assert!(is_in(&plane, &mut there).await);
    assert_eq!(here.post(&plane, "/security/password", &form(PASSWORD, new, new)).await.status, 200);
    assert!(is_in(&plane, &mut here).await && !is_in(&plane, &mut there).await);
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 403);
}

#[tokio::test]
async fn a_session_is_new_at_each_login_and_one_that_was_planted_is_none() {
    let plane = start(SecondFactor::None).await;
    member(&plane, "ann@example.test", "read").await;
    let planted = format!("csb_n0000000000000000000_{}{}", "A".repeat(43), "000000");
    let mut victim = Browser::default();
    victim.cookies.insert("__Host-countersign-session".into(), planted.clone());
    victim.post(&plane, "/login", &[("email", "ann@example.test"), ("password", PASSWORD)]).await;
    assert!(is_in(&plane, &mut victim).await && victim.session() != Some(&planted));
    let mut thief = Browser::default();
    thief.cookies.insert("__Host-countersign-session".into(), planted);
    assert!(!is_in(&plane, &mut thief).await);
}

#[tokio::test]
async fn a_login_leads_nowhere_but_to_our_own_pages() {
    let plane = start(SecondFactor::None).await;
    member(&plane, "ann@example.test", "read").await;
    for bad in ["https://evil.example/", "//evil.example", "/\\evil.example", "/logout", "javascript:alert(1)", "/device\r\nX: y"] {
        let mut browser = Browser::default();
        let answer = browser.post(&plane, "/login", &[("email", "ann@example.test"), ("password", PASSWORD), ("next", bad)]).await;
        assert_eq!(answer.headers["location"], "/", "{bad}");
        let again = browser.get(&plane, &format!("/login?next={}", encoded(bad))).await;
        assert_eq!(again.headers["location"], "/", "{bad}");
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_user_and_by_admins_alone() {
    let plane = start(SecondFactor::None).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "read").await;
    let (_, mut boss) = member(&plane, "boss@example.test", "owner").await;
    let (_, admin) = plane.machine("admin", "admin", json!({})).await;
    let (_, reader) = plane.machine("reader", "read", json!({})).await;
    let all = plane.get("/sessions", &plane.owner).await.ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert!(!all.to_string().contains("csb_") && !all.to_string().contains("digest"));
    assert!(plane.get("/sessions", &reader).await.ok()["items"].as_array().unwrap().is_empty());
    plane.get(&format!("/sessions?user_id={ann}"), &reader).await.refused(403, "forbidden");
    let of = |user: &str| all["items"].as_array().unwrap().iter().find(|s| s["userId"] == user).unwrap()["id"].as_str().unwrap().to_owned();
    let (hers, bosss) =
        (of(&ann), all["items"].as_array().unwrap().iter().find(|s| s["userId"] != ann).unwrap()["id"].as_str().unwrap().to_owned());
    plane.call("DELETE", &format!("/sessions/{hers}"), &reader, Value::Null).await.refused(404, "not_found");
    plane.call("DELETE", &format!("/sessions/{bosss}"), &admin, Value::Null).await.refused(403, "forbidden");
    // By another's page too: not there.
    browser.post(&plane, "/security/sessions", &[("id", &bosss)]).await;
    assert!(is_in(&plane, &mut boss).await);
    plane.call("DELETE", &format!("/sessions/{hers}"), &admin, Value::Null).await.ok();
    assert!(!is_in(&plane, &mut browser).await);
    plane.call("DELETE", &format!("/sessions/{hers}"), &admin, Value::Null).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_user_who_goes_takes_all_ways_in_with_him() {
    let plane = start(SecondFactor::None).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "read").await;
    plane.call("DELETE", &format!("/users/{ann}"), &plane.owner, Value::Null).await.ok();
    assert!(!is_in(&plane, &mut browser).await);
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 403);
    let (_, address) = invite(&plane, "ann@example.test", "read").await;
    assert_eq!(Browser::default().get(&plane, &address).await.status, 200, "the same mail address is another user");
}

#[tokio::test]
async fn the_wrong_master_key_is_refused_while_something_is_sealed() {
    let plane = start(SecondFactor::None).await;
    assert!(plane.app.use_master_key(Sealer::new([8; 32], Arc::new(Chance))).await.is_ok(), "nothing is sealed yet");
    let (_, mut browser) = member(&plane, "ann@example.test", "read").await;
    let page = browser.post(&plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
    let secret = secret_in(&page.text);
    assert!(
        browser.post(&plane, "/security/second", &[("do", "confirm"), ("code", &totp(&plane, &secret, 0))]).await.text.contains("Recovery")
    );
    let said = plane.app.use_master_key(Sealer::new([8; 32], Arc::new(Chance))).await.unwrap_err();
    assert!(said.contains("another master key"), "{said}");
    let files: Vec<u8> = std::fs::read_dir(plane.directory.path().join("data"))
        .unwrap()
        .flatten()
        .filter(|f| f.file_name().to_string_lossy().starts_with("countersign.db"))
        .flat_map(|f| std::fs::read(f.path()).unwrap())
        .collect();
    for stolen in [secret.as_bytes(), PASSWORD.as_bytes(), browser.session().unwrap().as_bytes()] {
        assert!(!files.windows(stolen.len()).any(|w| w == stolen), "a stolen database holds {:?}", String::from_utf8_lossy(stolen));
    }
}

#[tokio::test]
async fn whoever_becomes_an_owner_logs_in_again_as_owners_have_to() {
    let plane = start(SecondFactor::Owners).await;
    let (ann, mut browser) = member(&plane, "ann@example.test", "read").await;
    plane.call("PATCH", &format!("/users/{ann}"), &plane.owner, json!({"accountRole": "metrics_read"})).await.ok();
    assert!(is_in(&plane, &mut browser).await, "whoever has less goes on with less");
    plane.call("PATCH", &format!("/users/{ann}"), &plane.owner, json!({"accountRole": "owner"})).await.ok();
    assert!(!is_in(&plane, &mut browser).await);
    let (_, answer) = by_password(&plane, "ann@example.test", PASSWORD).await;
    assert!(answer.headers["location"].to_str().unwrap().starts_with("/login/enrol"));
}

#[tokio::test]
async fn sessions_of_one_user_are_bounded_and_what_is_over_is_swept() {
    let plane = start(SecondFactor::None).await;
    let (ann, _) = member(&plane, "ann@example.test", "read").await;
    let id = countersign_core::id::UserId::parse(&ann).unwrap();
    let ann_epoch = plane.store.read().await.unwrap().login_epoch(&id).await.unwrap().unwrap();
    for n in 0..99_u8 {
        let mut write = plane.store.begin().await.unwrap();
        let now = countersign_server::Clock::now(&*plane.clock);
        let row = countersign_store::SessionRow {
            id: countersign_core::id::SessionId::mint(&Chance),
            user: id.clone(),
            kind: countersign_store::SessionKind::Tool,
            digest: [n; 32],
            refresh_digest: None,
            refresh_key: None,
            client: String::new(),
            epoch: ann_epoch,
            created_at: now,
            last_seen_at: now,
            access_until: now.plus(Lifetime::from_seconds(60)),
            expires_at: now.plus(Lifetime::from_seconds(60)),
            source: String::new(),
            agent: String::new(),
        };
        write.put_session(&row).await.unwrap();
        write.commit_without_revision().await.unwrap();
    }
    let count =
        async || plane.get(&format!("/sessions?user_id={ann}&page_size=1000"), &plane.owner).await.ok()["items"].as_array().unwrap().len();
    assert_eq!(count().await, 100);
    assert_eq!(by_password(&plane, "ann@example.test", PASSWORD).await.1.status, 303);
    assert_eq!(count().await, 100);
    plane.clock.advance(Lifetime::from_days(1));
    plane.app.sweep_logins().await;
    let mut read = plane.store.read().await.unwrap();
    let page = countersign_store::Page::first(1000);
    assert!(read.sessions(Some(&id), Default::default(), Default::default(), &page).await.unwrap().is_empty());
}

//! Logins by a provider that plays tricks: keys that change without notice, critical headers, and answers that come after the logins of
//! their user were ended.

use crate::harness::{Chance, Plane};
use crate::login::{Browser, is_in, member};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;
use countersign_server::Sealer;
use countersign_server::login::oidc::{OidcSettings, Provision};
use countersign_server::login::{LoginSettings, SecondFactor};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

struct Idp {
    issuer: String,
    key: Mutex<(u32, EcdsaKeyPair)>,
    header: Mutex<Value>,
    nonce: Mutex<String>,
    keys_read: Mutex<usize>,
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Idp {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let idp = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: Mutex::new((1, key())),
            header: Mutex::new(json!({})),
            nonce: Mutex::new(String::new()),
            keys_read: Mutex::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&idp));
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp
    }

    fn rotate(&self) {
        let mut held = self.key.lock().unwrap();
        *held = (held.0 + 1, key());
    }
}

async fn describe(State(idp): State<Arc<Idp>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", idp.issuer);
    Json(json!({
        "issuer": idp.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"), "jwks_uri": at("/jwks"),
    }))
}

async fn keys(State(idp): State<Arc<Idp>>) -> Json<Value> {
    *idp.keys_read.lock().unwrap() += 1;
    let held = idp.key.lock().unwrap();
    let point = held.1.public_key().as_ref();
    let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": held.0.to_string(), "x": x, "y": y}]}))
}

async fn token(State(idp): State<Arc<Idp>>) -> Json<Value> {
    let held = idp.key.lock().unwrap();
    let mut header = json!({"alg": "ES256", "typ": "JWT", "kid": held.0.to_string()});
    for (name, value) in idp.header.lock().unwrap().as_object().unwrap() {
        header[name] = value.clone();
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": idp.issuer, "sub": "7", "aud": "us", "exp": now + 600, "iat": now, "nonce": *idp.nonce.lock().unwrap(),
        "email": "ann@example.test", "email_verified": true,
    });
    let body = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
    let signature = held.1.sign(&aws_lc_rs::rand::SystemRandom::new(), body.as_bytes()).unwrap();
    Json(json!({"id_token": format!("{body}.{}", b64(signature.as_ref())), "access_token": "x", "token_type": "Bearer"}))
}

async fn plane(idp: &Idp) -> Plane {
    let plane = Plane::start().await;
    plane.app.use_master_key(Sealer::new([7; 32], Arc::new(Chance))).await.unwrap();
    let oidc = OidcSettings {
        issuer: idp.issuer.clone(),
        client_id: "us".into(),
        client_secret: Arc::new(Secret::new(String::new())),
        name: "Acme".into(),
        allowed_domains: vec![],
        provision: Provision::Invited,
        ca_pem: vec![],
    };
    let settings = LoginSettings { second_factor: SecondFactor::Owners, oidc: Some(oidc), public_url: "https://localhost:8443".into() };
    plane.app.use_login_settings(settings).unwrap();
    plane
}

/// Goes to the provider: the state, and the browser that waits for the answer.
async fn ask(plane: &Plane, idp: &Idp) -> (Browser, String) {
    let mut browser = Browser::default();
    let answer = browser.get(plane, "/login/provider").await;
    let place = reqwest::Url::parse(answer.headers["location"].to_str().unwrap()).unwrap();
    let given = |name: &str| place.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    assert_eq!(given("redirect_uri"), "https://localhost:8443/login/provider/answer");
    *idp.nonce.lock().unwrap() = given("nonce");
    (browser, given("state"))
}

async fn back(plane: &Plane, browser: &mut Browser, state: &str) -> bool {
    browser.get(plane, &format!("/login/provider/answer?state={state}&code=x")).await;
    browser.session().is_some()
}

async fn log_in(plane: &Plane, idp: &Idp) -> bool {
    let (mut browser, state) = ask(plane, idp).await;
    back(plane, &mut browser, &state).await
}

#[tokio::test]
async fn a_provider_changes_its_keys_without_notice_and_a_made_up_key_is_no_flood() {
    let idp = Idp::start().await;
    let plane = plane(&idp).await;
    member(&plane, "ann@example.test", "read").await;
    assert!(log_in(&plane, &idp).await);
    idp.rotate();
    assert!(log_in(&plane, &idp).await, "the new key is fetched at once");
    *idp.header.lock().unwrap() = json!({"kid": "made up"});
    let before = *idp.keys_read.lock().unwrap();
    for _ in 0..20 {
        assert!(!log_in(&plane, &idp).await);
    }
    assert!(*idp.keys_read.lock().unwrap() - before <= 5);
    for crit in [json!(["exp"]), json!([])] {
        *idp.header.lock().unwrap() = json!({"crit": crit});
        assert!(!log_in(&plane, &idp).await, "{crit}");
    }
    *idp.header.lock().unwrap() = json!({});
    assert!(log_in(&plane, &idp).await);
}

#[tokio::test]
async fn an_answer_of_the_provider_opens_nothing_once_logins_of_its_user_were_ended() {
    let idp = Idp::start().await;
    let plane = plane(&idp).await;
    let (ann, _) = member(&plane, "ann@example.test", "read").await;
    // Also before the provider's account is bound to anybody.
    for bound in [false, true] {
        let (mut browser, state) = ask(&plane, &idp).await;
        plane.post(&format!("/users/{ann}/invitation"), &plane.owner, json!({})).await.ok();
        assert!(!back(&plane, &mut browser, &state).await, "{bound}");
        // What happens to others ends nothing.
        let (mut browser, state) = ask(&plane, &idp).await;
        member(&plane, &format!("ben{bound}@example.test"), "read").await;
        assert!(back(&plane, &mut browser, &state).await && is_in(&plane, &mut browser).await, "{bound}");
    }
    let (mut browser, state) = ask(&plane, &idp).await;
    plane.call("PATCH", &format!("/users/{ann}"), &plane.owner, json!({"accountRole": "owner"})).await.ok();
    assert!(!back(&plane, &mut browser, &state).await);
}

#[tokio::test]
async fn redirects_to_the_provider_of_one_network_give_way_to_its_own_newest() {
    let idp = Idp::start().await;
    let plane = plane(&idp).await;
    member(&plane, "ann@example.test", "read").await;
    let (mut oldest, old_state) = ask(&plane, &idp).await;
    for _ in 0..30 {
        ask(&plane, &idp).await;
    }
    assert!(!back(&plane, &mut oldest, &old_state).await);
    assert!(log_in(&plane, &idp).await);
    // At another of our names a browser goes first to the one that the provider answers at.
    let request = axum::http::Request::builder().uri("/login/provider?next=/security").header("host", "127.0.0.1:8443");
    let moved = plane.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(moved.headers["location"], "https://localhost:8443/login/provider?moved=1&next=%2Fsecurity");
}

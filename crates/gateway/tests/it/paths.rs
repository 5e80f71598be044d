//! One path, one host, one cookie field: what two servers could read in two ways goes on in one form or not at all.

use crate::client::{H2, Raw, get};
use crate::rig::{ClientCa, Rig};
use countersign_core::namespace::AuthMethod;
use countersign_core::path_form::PathForm;

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_of_one_path_reach_one_api_over_http_1_and_http_2() {
    let rig = Rig::new().await;
    let mut namespace = rig.mtls("k", &[&ClientCa::new("Acme")]);
    namespace.auth_method = AuthMethod::ApiKey;
    namespace.apis = vec![rig.api("/orders", true, false), rig.api("/orders/vault", false, true), rig.api("/vault", false, true)];
    rig.put(namespace).await;
    let key = rig.key().await;
    for (path, status) in [
        ("/orders/x", 200),
        ("/orders/vault", 401),
        ("/orders/vault/x", 401),
        ("/orders/%76ault", 400),
        ("/orders/va%75lt/x", 400),
        ("/orders/VAULT", 400),
        ("/orders/Vault/x?y", 400),
        ("/ORDERS/vault", 400),
        ("/%76ault", 400),
        ("/VAULT", 400),
        ("/orders/../vault", 400),
        ("/orders//vault", 400),
        ("/orders%2fvault", 400),
        ("/orders;/vault", 400),
        ("/orders/x/VAULT", 200),
        ("/other", 200),
    ] {
        let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", path, Some(&key.text))).await;
        assert_eq!(answer.status, status, "{path}");
        let absolute = get("k.test", &format!("https://k.test{path}"), Some(&key.text));
        assert_eq!(Raw::open(&rig, "k.test", None).await.ask(absolute).await.status, status, "{path}");
        let (over_h2, ..) = H2::open(&rig, "k.test", None).await.get("k.test", path, Some(&key.text)).await;
        assert_eq!(over_h2, status, "{path}");
    }
    // Nobody learns which paths there are by their spelling.
    let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", "/orders/VAULT", None)).await;
    assert_eq!(answer.status, 401);
    assert!(rig.upstream.take().iter().all(|seen| !seen.target.to_lowercase().starts_with("/orders/v")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escape_goes_upstream_in_its_canonical_form() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    let mut api = rig.api("/files", true, false);
    api.allowed_path_forms = vec![PathForm::EncodedSlash];
    namespace.apis = vec![api, rig.api("/caf%C3%A9", false, true)];
    rig.put(namespace).await;
    let key = rig.key().await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    assert_eq!(raw.ask(get("k.test", "/files/a%2fb%c3%a9?q=%2f", Some(&key.text))).await.status, 200);
    assert_eq!(rig.upstream.take()[0].target, "/files/a%2Fb%C3%A9?q=%2f");
    assert_eq!(raw.ask(get("k.test", "/caf%c3%a9/x", Some(&key.text))).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_several_http_2_fields_go_on_as_one() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    let request = http::Request::get("https://k.test/")
        .header("authorization", format!("Bearer {}", key.text))
        .header("cookie", "session=abc")
        .header("cookie", "csrftoken=def");
    let (response, feed) = h2.open_stream(request).await;
    drop(feed);
    assert_eq!(response.status(), 200);
    let seen = rig.upstream.take().remove(0);
    assert_eq!(seen.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["session=abc; csrftoken=def"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_canonical_host_goes_upstream() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let port = rig.gateway.local_addr().port();
    let own = format!("k.test:{port}");
    for (written, expected) in
        [("k.test", "k.test"), ("K.Test.", "k.test"), (&*format!("K.TEST.:{port}"), &*own), ("k.test:443", "k.test"), (&*own, &*own)]
    {
        let mut raw = Raw::open(&rig, "k.test", None).await;
        assert_eq!(raw.ask(get(written, "/", Some(&key.text))).await.status, 200, "{written}");
        assert_eq!(H2::open(&rig, "k.test", None).await.get(written, "/", Some(&key.text)).await.0, 200, "{written}");
        let seen = rig.upstream.take();
        assert_eq!(seen.len(), 2);
        for seen in seen {
            assert_eq!(
                (&seen.headers["host"], &seen.headers["x-forwarded-host"]),
                (&expected.parse().unwrap(), &expected.parse().unwrap())
            );
        }
    }
}

//! Who gets in: certificates and keys, asked on every request.

use crate::client::{H2, Raw, config, connect, get};
use crate::rig::{ClientCa, Rig};
use countersign_core::namespace::AuthMethod;
use countersign_core::{Change, Lifetime};

#[tokio::test(flavor = "multi_thread")]
async fn t_01_without_a_certificate_nobody_passes_an_mtls_door() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let answer = Raw::open(&rig, "a.test", None).await.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "certificate_required"));
    let (status, ..) = H2::open(&rig, "a.test", None).await.get("a.test", "/", None).await;
    assert_eq!(status, 401);
    assert!(rig.upstream.take().is_empty());
    // The positive twin.
    let leaf = ca.leaf("svc");
    assert_eq!(Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/", None)).await.status, 200);
    assert_eq!(H2::open(&rig, "a.test", Some(&leaf)).await.get("a.test", "/x?y=%41", None).await.0, 200);
    let seen = rig.upstream.take();
    assert_eq!(seen.iter().map(|s| s.target.as_str()).collect::<Vec<_>>(), ["/", "/x?y=%41"]);
    assert_eq!(seen[0].headers["countersign-identity"], leaf.fingerprint().to_string());
    assert_eq!(seen[0].headers["countersign-identity-kind"], "certificate");
    assert_eq!(seen[0].headers["host"], "a.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_02_a_certificate_of_another_ca_is_unknown() {
    let rig = Rig::new().await;
    let (ours, theirs) = (ClientCa::new("Acme"), ClientCa::new("Acme"));
    rig.put(rig.mtls("a", &[&ours])).await;
    rig.put(rig.mtls("b", &[&theirs])).await;
    let leaf = theirs.leaf("svc");
    let answer = Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "certificate_unknown"));
    assert!(rig.upstream.take().is_empty());
    assert_eq!(Raw::open(&rig, "b.test", Some(&leaf)).await.ask(get("b.test", "/", None)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_leaf_gets_in_without_a_ca_and_a_revoked_one_never_again() {
    let rig = Rig::new().await;
    let leaf = ClientCa::new("Elsewhere").leaf("partner");
    rig.put(rig.mtls("a", &[])).await;
    let mut raw = Raw::open(&rig, "a.test", Some(&leaf)).await;
    assert_eq!(raw.ask(get("a.test", "/", None)).await.code(), "certificate_unknown");
    rig.change([rig.registered(&leaf, false)]).await;
    assert_eq!(raw.ask(get("a.test", "/", None)).await.status, 200, "the same connection is asked again");
    let applied = rig.change([rig.registered(&leaf, true)]).await;
    assert_eq!((applied.connections_cut, applied.streams_cut), (1, 0));
    raw.ended().await;
    let answer = Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "certificate_revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn x_01_an_expired_leaf_is_refused_and_says_so() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    rig.put(rig.mtls("a", &[&ca])).await;
    let (short, long) = (ca.leaf_for("short", Lifetime::from_days(2)), ca.leaf("long"));
    let mut raw = Raw::open(&rig, "a.test", Some(&short)).await;
    assert_eq!(raw.ask(get("a.test", "/", None)).await.status, 200);
    rig.clock.advance(Lifetime::from_days(3));
    let answer = raw.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "certificate_expired"));
    assert_eq!(Raw::open(&rig, "a.test", Some(&long)).await.ask(get("a.test", "/", None)).await.status, 200);
    rig.clock.advance(Lifetime::from_days(400));
    let answer = Raw::open(&rig, "a.test", Some(&long)).await.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "certificate_expired"), "its CA ended too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_session_of_a_removed_ca_is_refused() {
    let rig = Rig::new().await;
    let (ca, other) = (ClientCa::new("Acme"), ClientCa::new("Other"));
    rig.put(rig.mtls("a", &[&ca, &other])).await;
    let leaf = ca.leaf("svc");
    let config = config(&rig, Some(&leaf), "http/1.1");
    let mut first = Raw(connect(&rig, config.clone(), "a.test").await.unwrap());
    assert_eq!(first.ask(get("a.test", "/", None)).await.status, 200);
    let mut second = Raw(connect(&rig, config.clone(), "a.test").await.unwrap());
    assert_eq!(second.ask(get("a.test", "/", None)).await.status, 200);
    assert_eq!(second.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed), "the twin resumes");
    rig.put(rig.mtls("a", &[&other])).await;
    first.ended().await;
    second.ended().await;
    let mut third = Raw(connect(&rig, config, "a.test").await.unwrap());
    let answer = third.ask(get("a.test", "/", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "certificate_unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gets_in_and_each_wrong_one_is_told_apart_where_that_tells_nothing() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    assert_eq!(h2.get("k.test", "/", Some(&key.text)).await.0, 200);
    let seen = rig.upstream.take().remove(0);
    assert_eq!(seen.headers["countersign-credential"], key.id.as_str());
    assert_eq!(seen.headers["countersign-identity"], rig.owner.as_str());
    assert_eq!(seen.headers["countersign-namespace"], "kk.acc01");
    assert!(!seen.headers.contains_key("authorization"), "the key stays here");
    let mut raw = Raw::open(&rig, "k.test", None).await;
    let ask = async |raw: &mut Raw, key: Option<&str>| raw.ask(get("k.test", "/", key)).await.code();
    assert_eq!(ask(&mut raw, None).await, "key_missing");
    assert_eq!(ask(&mut raw, Some("csk_nonsense")).await, "key_malformed");
    let mut broken = key.text.clone();
    broken.replace_range(30..31, if &broken[30..31] == "A" { "B" } else { "A" });
    assert_eq!(ask(&mut raw, Some(&broken)).await, "key_malformed");
    rig.change([key.entry(true, crate::rig::real_now().plus(Lifetime::from_days(9)))]).await;
    assert_eq!(ask(&mut raw, Some(&key.text)).await, "key_disabled");
    rig.change([Change::RemoveKey(key.id.clone())]).await;
    assert_eq!(ask(&mut raw, Some(&key.text)).await, "key_unknown");
    assert!(rig.upstream.take().is_empty());
    let usage = rig.gateway.drain_usage();
    assert_eq!((usage.len(), usage[0].count, usage[0].credential.as_str()), (1, 1, key.id.as_str()));
    assert!(rig.gateway.drain_usage().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_at_an_api_that_takes_none_is_told_so() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("a", AuthMethod::ApiKeyOrMtls);
    namespace.apis = vec![rig.api("/orders", true, false)];
    rig.put(namespace).await;
    let leaf = ClientCa::new("Acme").leaf("svc");
    rig.change([rig.registered(&leaf, false)]).await;
    let mut raw = Raw::open(&rig, "a.test", Some(&leaf)).await;
    assert_eq!(raw.ask(get("a.test", "/orders/1", None)).await.code(), "certificate_not_enabled");
    assert_eq!(raw.ask(get("a.test", "/ordersx", None)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_hears_nothing_stops_serving_open_streams_included() {
    let rig = Rig::new().await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.snapshot_age_max = Lifetime::from_seconds(3600);
    rig.put(namespace).await;
    let key = rig.key().await;
    let mut sse = Raw::open(&rig, "k.test", None).await;
    sse.send(get("k.test", "/sse", Some(&key.text))).await;
    assert_eq!(sse.head().await.unwrap().status, 200);
    let mut raw = Raw::open(&rig, "k.test", None).await;
    assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    rig.clock.advance(Lifetime::from_seconds(3700));
    let answer = raw.ask(get("k.test", "/", Some(&key.text))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "stale_snapshot"));
    sse.ended().await;
    rig.gateway.heard(countersign_gateway::Clock::now(&*rig.clock));
    assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200, "it recovers without a restart");
}

//! Rules of research/pki.md section 6e that are the gateway's own, by their ids.

use crate::client::{H2, Raw, get};
use crate::rig::{ClientCa, Rig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::namespace::AuthMethod;
use countersign_core::{Lifetime, RefusalCode};

/// Names under which somebody may send a certificate that nobody verified, in the spellings that upstreams read as one.
const FORGED: [&str; 8] = [
    "Client-Cert",
    "client-cert-chain",
    "Client_Cert",
    "CLIENT_CERT_CHAIN",
    "X-Forwarded-Client-Cert",
    "x_forwarded_client_cert",
    "X-SSL-Client-Cert",
    "X-Client-Cert",
];

#[tokio::test(flavor = "multi_thread")]
async fn e10_the_upstream_gets_the_certificate_that_was_verified_or_none_and_never_a_clients_word() {
    let rig = Rig::new().await;
    let ca = ClientCa::new("Acme");
    let mut namespace = rig.mtls("a", &[&ca]);
    let mut api = rig.api("/with", true, true);
    api.forward_client_certificate = true;
    namespace.apis = vec![api, rig.api("/without", true, true)];
    namespace.auth_method = AuthMethod::ApiKeyOrMtls;
    rig.put(namespace).await;
    let (key, leaf) = (rig.key().await, ca.leaf("svc"));
    let forged: String = FORGED.iter().map(|name| format!("{name}: :Zm9yZ2Vk:\r\n")).collect();
    let ask = |path: &str, key: Option<&str>| get("a.test", path, key).replacen("\r\n", &format!("\r\n{forged}"), 1);
    let names = |headers: &http::HeaderMap| -> Vec<String> {
        let of_it = |name: &&http::HeaderName| name.as_str().replace('_', "-").contains("client-cert");
        headers.keys().filter(of_it).map(ToString::to_string).collect()
    };
    let mut with_leaf = Raw::open(&rig, "a.test", Some(&leaf)).await;
    assert_eq!(with_leaf.ask(ask("/with", None)).await.status, 200);
    let seen = rig.upstream.take().remove(0);
    assert_eq!(names(&seen.headers), ["client-cert"], "one field, and no chain beside it");
    // RFC 9440 section 2.1: a byte sequence between colons, once.
    let values: Vec<_> = seen.headers.get_all("client-cert").iter().collect();
    let text = values[0].to_str().unwrap();
    let inner = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).unwrap();
    assert_eq!((values.len(), STANDARD.decode(inner).unwrap()), (1, leaf.der().as_ref().to_vec()));
    // An API that did not ask for it gets none, and neither does a request by a key.
    assert_eq!(with_leaf.ask(ask("/without", None)).await.status, 200);
    assert!(names(&rig.upstream.take().remove(0).headers).is_empty());
    let mut without = Raw::open(&rig, "a.test", None).await;
    assert_eq!(without.ask(ask("/with", Some(&key.text))).await.status, 200);
    assert!(names(&rig.upstream.take().remove(0).headers).is_empty());
    // Over HTTP/2 likewise.
    let mut h2 = H2::open(&rig, "a.test", Some(&leaf)).await;
    let mut request = http::Request::get("https://a.test/without");
    for name in FORGED {
        request = request.header(name.to_lowercase(), ":Zm9yZ2Vk:");
    }
    assert_eq!(h2.send_whole(request, b"").await.status(), 200);
    assert!(names(&rig.upstream.take().remove(0).headers).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_a_refused_certificate_is_remembered_by_its_fingerprint_with_the_reason_and_without_its_key() {
    let rig = Rig::new().await;
    let (ca, stranger) = (ClientCa::new("Acme"), ClientCa::new("Stranger"));
    rig.put(rig.mtls("a", &[&ca])).await;
    let leaf = stranger.leaf("svc");
    let answer = Raw::open(&rig, "a.test", Some(&leaf)).await.ask(get("a.test", "/x?secret=hunter2", None)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "certificate_unknown"));
    let record = rig.gateway.refusals().newest(1).remove(0);
    assert_eq!(Some(record.id.as_str()), answer.header("countersign-refusal-id"));
    assert_eq!((record.code, record.credential.clone()), (RefusalCode::CertificateUnknown, Some(leaf.fingerprint().to_string())));
    assert_eq!((record.path.as_str(), record.source.to_string().as_str()), ("/x", "127.0.0.1"));
    assert!(record.reason.contains("CN=svc") && record.remedy.contains("accepted-client-ca add"), "{record:?}");
    let said = format!("{record:?}");
    assert!(!said.contains("PRIVATE") && !said.contains("hunter2"), "{said}");
    // What ended is told apart from what nobody knows.
    let short = ca.leaf_for("short", Lifetime::from_days(1));
    rig.clock.advance(Lifetime::from_days(2));
    let answer = Raw::open(&rig, "a.test", Some(&short)).await.ask(get("a.test", "/", None)).await;
    assert_eq!(answer.code(), "certificate_expired");
    assert_eq!(rig.gateway.refusals().newest(1).remove(0).credential, Some(short.fingerprint().to_string()));
}

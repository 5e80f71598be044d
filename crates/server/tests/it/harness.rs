//! A whole control plane in a test: temporary store, a clock that stands still, gateways that confirm or hang.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use countersign_core::name::Hostname;
use countersign_core::namespace::Upstream;
use countersign_core::receipt::Applied;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::rest::{GatewayBody, RefusalBody};
use countersign_server::{App, Clock, Gateways, Settings, Usage, bootstrap};
use countersign_store::Store;
pub use countersign_testkit::Chance;
use countersign_testkit::StandingClock;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tower::ServiceExt as _;

/// A clock that moves only when told.
pub struct TestClock(StandingClock);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.read()
    }
}

impl TestClock {
    pub fn advance(&self, by: Lifetime) {
        self.0.advance(by);
    }
}

/// Two gateways that confirm at once, or one of them never.
#[derive(Default)]
pub struct Fleet {
    pub revision: AtomicI64,
    pub hangs: AtomicBool,
    pub usage: Mutex<Vec<Usage>>,
    pub refusal: Mutex<Option<RefusalBody>>,
}

impl Gateways for Fleet {
    fn apply(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Vec<Applied>> {
        Box::pin(async move {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let revision = snapshot.revision();
            let before = self.revision.swap(revision, Ordering::SeqCst);
            assert!(before < revision, "revisions only rise at a gateway: {before} then {revision}");
            ["east", "west"]
                .map(|name| Applied { gateway: name.to_owned(), revision, micros: 1, connections_cut: 1, streams_cut: 0 })
                .to_vec()
        })
    }

    fn describe(&self) -> Vec<GatewayBody> {
        let revision = self.revision.load(Ordering::SeqCst);
        ["east", "west"].map(|name| GatewayBody { name: name.to_owned(), revision, ..GatewayBody::default() }).to_vec()
    }

    fn refusal(&self, id: &str) -> Option<RefusalBody> {
        self.refusal.lock().unwrap().clone().filter(|refusal| refusal.id == id)
    }

    fn drain_usage(&self) -> Vec<Usage> {
        std::mem::take(&mut *self.usage.lock().unwrap())
    }

    fn heard(&self, _: Timestamp) {}
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status == 200 || self.status == 201, "{} {}", self.status, self.text);
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        self.body
    }
}

/// What a control plane is told at its start.
pub fn settings() -> Settings {
    Settings {
        gateway_domain: Hostname::parse("gw.test").unwrap(),
        gateway_address: "127.0.0.1:7233".to_owned(),
        gateway_port: 7233,
        control_hosts: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
        default_upstream: None,
        server_ca: String::new(),
        upstreams: countersign_core::upstream_policy::UpstreamPolicy { local: true, ..Default::default() },
        regions: vec![countersign_server::app::regions::region("local"), countersign_server::app::regions::region("aws-us-east-1")],
    }
}

/// A control plane.
pub struct Plane {
    pub app: Arc<App>,
    pub store: Store,
    pub clock: Arc<TestClock>,
    pub fleet: Arc<Fleet>,
    pub directory: tempfile::TempDir,
    pub account: String,
    pub owner: String,
    router: axum::Router,
}

impl Plane {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).await.unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let clock = Arc::new(TestClock(StandingClock::at(Timestamp::from_seconds(i64::try_from(now).unwrap()))));
        let settings = settings();
        let app = App::start(store.clone(), clock.clone(), Arc::new(Chance), settings).await.unwrap();
        let fleet = Arc::new(Fleet::default());
        let made =
            bootstrap::dev_setup(&app, Upstream::parse("http://127.0.0.1:1").unwrap(), vec![Hostname::parse("gw.test").unwrap()], None)
                .await
                .unwrap();
        app.attach(fleet.clone());
        let (account, owner) = (made.account, made.owner_key.expose().to_owned());
        let router = app.router();
        Self { app, store, clock, fleet, directory, account, owner, router }
    }

    /// With something to seal secrets by.
    pub async fn with_master_key(&self) {
        self.app.use_master_key(countersign_server::Sealer::new([7; 32], Arc::new(Chance))).await.unwrap();
    }

    /// A page that anybody may ask for.
    pub async fn page(&self, path: &str) -> Answer {
        self.send(Request::builder().uri(path).header("host", "localhost:8443").body(Body::empty()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub fn request(method: &str, path: &str, key: &str, body: Option<&Value>) -> Request<Body> {
        let mut builder = Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "localhost:8443");
        if !key.is_empty() {
            builder = builder.header("authorization", format!("Bearer {key}"));
        }
        match body {
            Some(body) => builder.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap(),
            None => builder.body(Body::empty()).unwrap(),
        }
    }

    pub async fn call(&self, method: &str, path: &str, key: &str, body: Value) -> Answer {
        self.send(Self::request(method, path, key, (!body.is_null()).then_some(&body))).await
    }

    pub async fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, key, Value::Null).await
    }

    pub async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.call("POST", path, key, body).await
    }

    /// With an operation id.
    pub async fn again(&self, path: &str, key: &str, body: &Value, operation: &str) -> Answer {
        let mut request = Self::request("POST", path, key, Some(body));
        request.headers_mut().insert("idempotency-key", operation.parse().unwrap());
        self.send(request).await
    }

    /// A service account with these rights, and a key of it: (id, key).
    pub async fn machine(&self, name: &str, role: &str, permissions: Value) -> (String, String) {
        let body = json!({"name": name, "access": {"accountRole": role, "namespacePermissions": permissions}});
        let id = self.post("/service-accounts", &self.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
        let key = self.key_for(&id).await;
        (id, key)
    }

    /// A service account scoped to a namespace, and a key of it.
    pub async fn scoped(&self, name: &str, namespace: &str, permission: &str) -> (String, String) {
        let body = json!({"name": name, "namespaceScope": {"namespace": namespace, "permission": permission}});
        let id = self.post("/service-accounts", &self.owner, body).await.ok()["id"].as_str().unwrap().to_owned();
        let key = self.key_for(&id).await;
        (id, key)
    }

    pub async fn key_for(&self, service_account: &str) -> String {
        let body = json!({"name": "k", "serviceAccountId": service_account});
        self.post("/api-keys", &self.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned()
    }

    pub async fn namespace(&self, name: &str) -> String {
        let body = json!({"name": name, "upstream": "http://127.0.0.1:1"});
        self.post("/namespaces", &self.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
    }

    /// The whole audit trail.
    pub async fn audit(&self) -> Vec<Value> {
        self.get("/audit?page_size=1000", &self.owner).await.ok()["items"].as_array().unwrap().clone()
    }

    /// What the store holds gives the same snapshot as the one that was built change by change.
    pub async fn assert_snapshot_is_the_stores(&self) {
        let (revision, changes) = self.store.read().await.unwrap().snapshot().await.unwrap();
        let fresh = Snapshot::default().apply(revision, changes.clone());
        let live = self.app.snapshot();
        assert_eq!((fresh.revision(), fresh.counts()), (live.revision(), live.counts()));
        for change in changes {
            use countersign_core::snapshot::Change;
            match change {
                Change::PutNamespace(ns) => {
                    assert_eq!(live.namespace(&ns.id), Some(&ns));
                    for host in ns.hostnames() {
                        assert_eq!(live.namespace_at(host).map(|n| &n.id), Some(&ns.id));
                    }
                }
                // What a group adds is in both: the rights that decide are compared.
                Change::PutIdentity(id, _) => assert_eq!(live.identity(&id), fresh.identity(&id), "{id}"),
                Change::PutGroup(..) => {}
                Change::PutCustomRole(role) => assert_eq!(live.custom_role(&role.id), Some(&role)),
                Change::RetireIssuer(issuer) => assert!(live.is_issuer_retired(&issuer)),
                Change::BlockKey(key) => assert!(live.is_key_blocked(&key)),
                Change::BlockLeaf(leaf) => assert!(live.is_leaf_blocked(&leaf)),
                Change::PutKey(id, entry) => assert_eq!(format!("{:?}", live.key(&id).unwrap()), format!("{entry:?}")),
                Change::PutCertificate(print, entry) => {
                    assert_eq!(format!("{:?}", live.certificate(&print).unwrap()), format!("{entry:?}"))
                }
                other => panic!("a snapshot only puts: {other:?}"),
            }
        }
    }
}

/// The public id inside a key's text.
pub fn id_of(key: &str) -> String {
    key.split('_').nth(1).unwrap().to_owned()
}

pub fn is_refusal_of_rights(status: u16) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].iter().any(|s| s.as_u16() == status)
}

//! What a credential passes on: no credential that is made with another lives longer than that one was given to live, and none reaches
//! more than that one (promise P12), whichever operation makes it and over however many steps.

use crate::harness::{Answer, Chance, Plane, id_of};
use crate::issuing;
use crate::rights_cases as cases;
use crate::rights_matrix::{self, Who};
use crate::tcld::{CLOUD, INVALID_ARGUMENT, PERMISSION_DENIED, Tcld};
use countersign_core::time::Lifetime;
use countersign_proto::grpc::wire::temporal::api::cloud::cloudservice::v1 as api;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1 as identity;
use countersign_server::Clock as _;
use countersign_x509::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

/// The life of the weakest credential of every chain.
const SHORT: i64 = 3600;

/// The operations that make a credential, by their names in the OpenAPI document. An operation that is added to the table of the REST
/// API belongs into this list or into [`MAKES_NONE`].
const MAKES: [&str; 8] = [
    "createApiKey",
    "rotateApiKey",
    "generateApiKey",
    "createCertificate",
    "rotateCertificate",
    "createUser",
    "inviteUser",
    // Listens to whoever holds the old certificate's key, without a login: its successors are tried in `renewal`.
    "renewCertificate",
];

/// The changes that make none: they change rights, settings or what is there already.
const MAKES_NONE: [&str; 62] = [
    "addAcceptedClientCas",
    "addCertificateFilters",
    "addTrustedCas",
    "addUserGroupMember",
    "askRegistration",
    "clearCertificateFilters",
    "createApi",
    "createApplication",
    "createAuditSink",
    "createCalendar",
    "createCustomRole",
    "createIssuer",
    "createNamespace",
    "createServiceAccount",
    "createUserGroup",
    "createWebhook",
    "deleteApi",
    "deleteApiKey",
    "deleteApplication",
    "deleteAuditSink",
    "deleteCustomRole",
    "deleteNamespace",
    "deleteServiceAccount",
    "deleteUser",
    "deleteUserGroup",
    "deleteWebhook",
    "disableApiKey",
    "disableApiKeyCreation",
    "enableApiKey",
    "enableApiKeyCreation",
    "endSession",
    "importIssuer",
    "releaseCertificate",
    "removeAcceptedClientCa",
    "removeTrustedCa",
    "removeUserGroupMember",
    "renameSearchAttribute",
    "restoreLeaf",
    "retireApiKey",
    "retireCertificate",
    "revokeCertificate",
    "revokeCertificates",
    "revokeLeaf",
    "rotateAuditSinkSecret",
    "setAcceptedClientCas",
    "setAccess",
    "setAuthMethod",
    "setCertificateFilters",
    "setForeignCrl",
    "setNoticeSettings",
    "testMail",
    "updateApi",
    "updateApiKey",
    "updateApplication",
    "updateAuditSink",
    "updateCustomRole",
    "updateIssuer",
    "updateNamespace",
    "updateServiceAccount",
    "updateTags",
    "updateUser",
    "updateUserGroup",
];

/// A name that no certificate has yet.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/O=Acme/CN=chain-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn csr() -> String {
    issuing::csr(&issuing::key(), &fresh_name())
}

/// Somebody else's certificate, valid for so many days.
fn foreign(plane: &Plane, days: i64) -> String {
    let request = CaRequest { organization: "Other".to_owned(), validity: Lifetime::from_days(days + 1), rsa: false };
    let (ca, key) = generate_ca(&request, plane.clock.now(), &Chance).unwrap();
    let request = LeafRequest {
        organization: "Other".to_owned(),
        organizational_unit: None,
        common_name: Some(fresh_name()[11..].to_owned()),
        validity: Some(Lifetime::from_days(days)),
    };
    generate_leaf(&request, &ca, key.expose(), plane.clock.now(), &Chance).unwrap().0
}

/// What every chain has at hand.
struct Scene {
    plane: Plane,
    namespace: String,
    application: String,
    machine: String,
}

/// Who begins a chain: a key of an hour, beside it a long key and a certificate of the same owner.
struct Holder {
    name: &'static str,
    short: String,
    long: String,
    certificate: String,
}

async fn id(answer: Answer) -> String {
    answer.ok()["id"].as_str().unwrap().to_owned()
}

impl Scene {
    async fn new() -> Self {
        let plane = issuing::plane().await;
        let namespace = plane.namespace("pay").await;
        let application =
            id(plane.post("/applications", &plane.owner, json!({"name": "shop", "sandbox": {&namespace: "write"}})).await).await;
        let (machine, _) = plane.machine("worker", "read", json!({})).await;
        Self { plane, namespace, application, machine }
    }

    /// A holder whose credentials are made with these members in the body.
    async fn holder(&self, name: &'static str, owner: Value) -> Holder {
        let body = |more: Value| {
            let mut body = owner.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let key = async |duration: &str| {
            let made = self.plane.post("/api-keys", &self.plane.owner, body(json!({"name": name, "duration": duration}))).await.ok();
            made["secretKey"].as_str().unwrap().to_owned()
        };
        let (short, long) = (key("1h").await, id_of(&key("300d").await));
        let certificate = id(self.plane.post("/certificates", &self.plane.owner, body(json!({"csr": csr()}))).await).await;
        Holder { name, short, long, certificate }
    }

    async fn holders(&self) -> Vec<Holder> {
        let mut all = Vec::new();
        for (name, role) in [("a machine that reads", "read"), ("a machine that is Global Admin", "admin"), ("an owner's machine", "owner")]
        {
            let (id, _) = self.plane.machine(name, role, json!({})).await;
            all.push(self.holder(name, json!({"serviceAccountId": id})).await);
        }
        // The service account that the namespace's own button makes, as an admin of the namespace.
        let made = self.plane.post("/namespaces/pay/generate-api-key", &self.plane.owner, json!({"duration": "1d"})).await.ok();
        all.push(self.holder("a namespace's admin", json!({"serviceAccountId": made["serviceAccountId"]})).await);
        let shop = json!({"application": self.application, "environment": "sandbox"});
        all.push(self.holder("an application", shop).await);
        all.push(self.holder("a user", json!({})).await);
        all
    }

    /// The steps that one who holds `key` may try. What each is asked for is as much as there is.
    fn steps(&self, holder: &Holder, key: &str) -> Vec<(String, Value)> {
        let (long, namespace, machine) = (&holder.long, &self.namespace, &self.machine);
        let shop = json!({"application": self.application, "environment": "sandbox"});
        let with = |base: &Value, more: Value| {
            let mut body = base.clone();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let none = json!({});
        let far = countersign_proto::convert::time(self.plane.clock.now().plus(Lifetime::from_days(700)));
        let mut steps = Vec::new();
        for ask in [none.clone(), json!({"duration": "730d"}), json!({"expiryTime": far})] {
            steps.push(("/api-keys".to_owned(), with(&json!({"name": "own"}), ask.clone())));
            steps.push((format!("/api-keys/{}/rotate", id_of(key)), ask.clone()));
            steps.push((format!("/api-keys/{long}/rotate"), ask.clone()));
            steps.push(("/api-keys".to_owned(), with(&json!({"name": "for", "serviceAccountId": machine}), ask.clone())));
            steps.push(("/api-keys".to_owned(), with(&with(&shop, json!({"name": "for"})), ask)));
        }
        for ask in [none.clone(), json!({"duration": "730d"})] {
            steps.push((format!("/namespaces/{namespace}/generate-api-key"), ask));
        }
        for ask in [none.clone(), json!({"duration": "300d"})] {
            steps.push(("/certificates".to_owned(), with(&json!({"csr": csr()}), ask.clone())));
            steps.push(("/certificates".to_owned(), with(&json!({"csr": csr(), "serviceAccountId": machine}), ask.clone())));
            steps.push(("/certificates".to_owned(), with(&with(&shop, json!({"csr": csr()})), ask)));
        }
        for ask in [none.clone(), json!({"lifetime": "300d"})] {
            steps.push((format!("/certificates/{}/rotate", holder.certificate), with(&json!({"csr": csr()}), ask)));
        }
        steps.push(("/certificates".to_owned(), json!({"certificate": foreign(&self.plane, 300)})));
        steps.push(("/certificates".to_owned(), json!({"certificate": foreign(&self.plane, 300), "serviceAccountId": machine})));
        steps.push((format!("/api-keys/{long}/retire"), json!({"whenIdle": "24h"})));
        steps.push((format!("/api-keys/{long}/retire"), json!({"cancel": true})));
        steps.push((format!("/api-keys/{}/enable", id_of(key)), Value::Null));
        steps
    }

    /// Every credential there is, by id, with its end.
    async fn ends(&self) -> Vec<(String, i64)> {
        let mut all = Vec::new();
        for (path, end) in [("/api-keys?page_size=1000", "expiryTime"), ("/certificates?page_size=1000", "notAfter")] {
            for one in self.plane.get(path, &self.plane.owner).await.ok()["items"].as_array().unwrap() {
                let at = countersign_proto::convert::parse_time(one[end].as_str().unwrap()).unwrap();
                all.push((one["id"].as_str().unwrap().to_owned(), at.since(self.plane.clock.now()) / 1_000_000));
            }
        }
        all
    }

    /// Ends what was made since, so that limits and successions are as before.
    async fn clean(&self, before: &BTreeSet<String>) {
        for (id, _) in self.ends().await.into_iter().filter(|(id, _)| !before.contains(id)) {
            if id.starts_with('k') {
                self.plane.call("DELETE", &format!("/api-keys/{id}"), &self.plane.owner, Value::Null).await.ok();
            } else {
                let reason = json!({"reason": "superseded"});
                let answer = self.plane.post(&format!("/certificates/{id}/revoke"), &self.plane.owner, reason).await;
                assert!(answer.status == 200 || answer.code() == "nothing_to_change", "{}", answer.text);
            }
        }
    }

    async fn assert_bounded(&self, before: &BTreeSet<String>, by: &str) -> usize {
        let mut made = 0;
        for (id, life) in self.ends().await.into_iter().filter(|(id, _)| !before.contains(id)) {
            assert!(life <= SHORT, "{by}: {id} lives for {life} s, and the key that it goes back to was given {SHORT} s");
            made += 1;
        }
        made
    }
}

/// A machine without rights may make itself a successor of its own life; an admin may make others' credentials: neither may make one
/// that lives longer than the key they act by. Every pair of steps, and a third after many of them, by whoever begins with an hour.
#[tokio::test]
async fn no_chain_of_operations_makes_a_credential_that_outlives_what_the_weakest_key_was_given() {
    let scene = Scene::new().await;
    let mut thirds = 0_usize;
    for holder in scene.holders().await {
        let before: BTreeSet<String> = scene.ends().await.into_iter().map(|(id, _)| id).collect();
        let first = scene.steps(&holder, &holder.short);
        let mut made = 0;
        for (at, (path, body)) in first.iter().enumerate() {
            let answer = scene.plane.post(path, &holder.short, body.clone()).await;
            made += scene.assert_bounded(&before, &format!("{} by {path} {body}", holder.name)).await;
            let next = answer.body["secretKey"].as_str().map_or_else(|| holder.short.clone(), str::to_owned);
            // The second step goes on with what the first one gave, and the third with what the second one gave.
            let second = scene.steps(&holder, &next);
            for (then, (path, body)) in second.iter().enumerate().filter(|(then, _)| (at + then) % 3 == 0) {
                let answer = scene.plane.post(path, &next, body.clone()).await;
                let Some(last) = answer.body["secretKey"].as_str() else { continue };
                thirds += 1;
                let third = scene.steps(&holder, last);
                let (path, body) = &third[(at + then + thirds) % third.len()];
                scene.plane.post(path, last, body.clone()).await;
                scene.assert_bounded(&before, &format!("{} in three steps", holder.name)).await;
                scene.clean(&before).await;
            }
            scene.assert_bounded(&before, &format!("{} in two steps after {path} {body}", holder.name)).await;
            scene.clean(&before).await;
        }
        assert!(made > 2, "{} made hardly anything, so this says nothing: {made}", holder.name);
    }
    assert!(thirds > 50, "hardly any chain had three steps: {thirds}");
    scene.plane.assert_snapshot_is_the_stores().await;
}

/// A successor of a successor has the life of the first, whenever it is made.
#[tokio::test]
async fn rotating_another_key_of_the_account_is_bound_by_the_key_that_asks() {
    let scene = Scene::new().await;
    let (machine, _) = scene.plane.machine("m", "read", json!({})).await;
    let holder = scene.holder("m", json!({"serviceAccountId": machine})).await;
    let rotate = format!("/api-keys/{}/rotate", holder.long);
    scene.plane.post(&rotate, &holder.short, json!({"duration": "730d"})).await.refused(400, "invalid_argument");
    scene.plane.clock.advance(Lifetime::from_seconds(1800));
    let made = scene.plane.post(&rotate, &holder.short, json!({})).await.ok();
    let ends = scene.ends().await;
    let life = ends.iter().find(|(id, _)| made["id"] == id.as_str()).unwrap().1;
    assert_eq!(life, SHORT, "as long as the calling key was given, from now on");
    // A login is bounded by nothing but the two years there are, and so is the owner's key, which was given as much.
    let made = scene.plane.post("/api-keys", &scene.plane.owner, json!({"name": "n", "duration": "730d"})).await;
    made.ok();
}

#[tokio::test]
async fn an_invitation_made_with_a_short_key_is_good_no_longer_than_that_key_was_given_to_live() {
    let scene = Scene::new().await;
    let (machine, _) = scene.plane.machine("m", "admin", json!({})).await;
    let holder = scene.holder("m", json!({"serviceAccountId": machine})).await;
    let body = json!({"email": "new@example.com", "access": {"accountRole": "read"}});
    let made = scene.plane.post("/users", &holder.short, body).await.ok();
    let invite = format!("/users/{}/invitation", made["id"].as_str().unwrap());
    let again = scene.plane.post(&invite, &holder.short, Value::Null).await.ok();
    let until = countersign_proto::convert::parse_time(again["expiryTime"].as_str().unwrap()).unwrap();
    assert!(until.since(scene.plane.clock.now()) <= Lifetime::from_seconds(SHORT).micros(), "{again}");
    let text = again["invitationUrl"].as_str().unwrap();
    let path = text.split_once("/invitation").map(|(_, tail)| format!("/invitation{tail}")).unwrap();
    assert_eq!(scene.plane.page(&path).await.status, 200);
    scene.plane.clock.advance(Lifetime::from_seconds(SHORT + 1));
    assert_ne!(scene.plane.page(&path).await.status, 200, "it is over");
}

#[tokio::test]
async fn the_life_of_the_calling_key_binds_through_every_surface() {
    let scene = Scene::new().await;
    let (machine, _) = scene.plane.machine("m", "admin", json!({})).await;
    let holder = scene.holder("m", json!({"serviceAccountId": machine})).await;
    let client = Tcld { plane: &scene.plane, key: holder.short.clone(), version: Some("v0.55.0") };
    let seconds = scene.plane.clock.now().seconds();
    let asked = |days: i64| api::CreateApiKeyRequest {
        spec: Some(identity::ApiKeySpec {
            owner_id: machine.clone(),
            owner_type: identity::OwnerType::ServiceAccount.into(),
            display_name: "n".to_owned(),
            expiry_time: Some(prost_types::Timestamp { seconds: seconds + days * 86_400 + 60, nanos: 0 }),
            ..identity::ApiKeySpec::default()
        }),
        async_operation_id: String::new(),
    };
    client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &asked(0)).await.unwrap();
    let long = client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &asked(700)).await.unwrap_err();
    long.is(INVALID_ARGUMENT, "lives at most as long as that key was given to live");
    let pool = DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    let spec = json!({"displayName": "n", "expiryTime": {"seconds": (seconds + 700 * 86_400).to_string()}});
    for (method, body) in
        [("CreateAPIKey", json!({"spec": spec})), ("CreateServiceAccountAPIKey", json!({"serviceAccountId": machine, "spec": spec}))]
    {
        let mut body = body;
        body["spec"]["expiryTime"] = json!(countersign_proto::convert::time(scene.plane.clock.now().plus(Lifetime::from_days(700))));
        let bytes = rights_matrix::message(&pool, crate::tcld::AUTH, method, body);
        let no = client.bytes(crate::tcld::AUTH, method, &bytes).await.unwrap_err();
        no.is(INVALID_ARGUMENT, "lives at most as long as that key was given to live");
    }
    let body = json!({"spec": {"ownerId": machine, "ownerType": "OWNER_TYPE_SERVICE_ACCOUNT", "displayName": "n",
        "expiryTime": countersign_proto::convert::time(scene.plane.clock.now().plus(Lifetime::from_days(700)))}});
    let request = axum::http::Request::builder().method("POST").uri("/cloud/api-keys").header("host", "localhost");
    let request = request.header("content-type", "application/json").header("authorization", format!("Bearer {}", holder.short));
    let answer = scene.plane.send(request.body(axum::body::Body::from(body.to_string())).unwrap()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

/// Whoever adds an operation says here whether it makes a credential; if it does, the tests of this file want a step for it.
#[test]
fn every_operation_is_known_to_make_a_credential_or_none() {
    let said: BTreeSet<&str> = MAKES.into_iter().chain(MAKES_NONE).collect();
    assert_eq!(said.len(), MAKES.len() + MAKES_NONE.len(), "an operation stands in one list, once");
    let all = countersign_server::rest::table();
    let changing: BTreeSet<&str> = all.iter().filter(|entry| entry.changes()).map(|entry| entry.name).collect();
    let unknown: Vec<_> = changing.difference(&said).collect();
    assert!(unknown.is_empty(), "whether these make a credential is not said in this file: {unknown:?}");
    let gone: Vec<_> = said.difference(&changing).filter(|name| **name != "renewCertificate").collect();
    assert!(gone.is_empty(), "there are no such operations any more: {gone:?}");
}

/// A key that is narrowed to one API, of a machine that is Global Admin: what is left to it is to read who it is, and a successor that is
/// narrowed as it is.
async fn narrowed(plane: &Plane, ns: &str, machine: &str) -> (String, String) {
    let api = plane.get(&format!("/namespaces/{ns}/apis"), &plane.owner).await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "narrow", "serviceAccountId": machine, "apis": [api], "duration": "1h"});
    (api, plane.post("/api-keys", &plane.owner, body).await.ok()["secretKey"].as_str().unwrap().to_owned())
}

async fn all_credentials(plane: &Plane) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in ["/api-keys?page_size=1000", "/certificates?page_size=1000", "/users?page_size=1000", "/service-accounts?page_size=1000"] {
        let page = plane.get(path, &plane.owner).await.ok();
        all.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
    }
    all
}

#[tokio::test]
async fn a_narrowed_key_makes_nothing_but_its_own_successor_by_any_operation_of_rest() {
    let plane = Plane::start().await;
    let (world, places, _) = rights_matrix::world(&plane).await;
    let place = &places[0];
    let (machine, _) = plane.machine("narrowed admin", "admin", json!({})).await;
    let (_, key) = narrowed(&plane, &place.ns, &machine).await;
    let who = Who::of_key(&key);
    let before = all_credentials(&plane).await;
    for entry in countersign_server::rest::table().iter().filter(|entry| entry.changes() || entry.name == "explain") {
        for case in cases::rest(entry.name, &world, place).unwrap_or_else(|| panic!("{} has no case", entry.name)) {
            let path = cases::fill(entry.path, &world, place, &who, case.on);
            let answer = plane.call(entry.method.as_str(), &path, &key, case.body.clone()).await;
            let own = case.on == cases::On::Mine && entry.action.as_str() == "CreateApiKey";
            assert!(own || [403, 400, 404].contains(&answer.status), "{}: {} {}", entry.name, answer.status, answer.text);
            if entry.action.as_str() != "CreateApiKey" {
                answer.refused(403, "forbidden");
            }
        }
    }
    assert_eq!(all_credentials(&plane).await, before, "nothing was made, and nobody");
}

#[tokio::test]
async fn a_narrowed_key_makes_nothing_but_its_own_successor_by_any_call() {
    let plane = Plane::start().await;
    let (world, places, _) = rights_matrix::world(&plane).await;
    let place = &places[0];
    let (machine, _) = plane.machine("narrowed admin", "admin", json!({})).await;
    let (_, key) = narrowed(&plane, &place.ns, &machine).await;
    let client = Tcld { plane: &plane, key, version: Some("v0.55.0") };
    let before = all_credentials(&plane).await;
    let pool = DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    let cloud = pool.get_service_by_name(CLOUD).unwrap();
    let cloud = cloud.methods().map(|method| (CLOUD.to_owned(), method.name().to_owned())).collect::<Vec<_>>();
    let tcld = countersign_server::grpc::tcld::METHODS.iter().map(|(service, method)| ((*service).to_owned(), (*method).to_owned()));
    for (service, method) in cloud.into_iter().chain(tcld) {
        let row = countersign_server::grpc::row(&format!("/{service}/{method}")).unwrap();
        for case in cases::rpc(&service, &method, &world, place).unwrap() {
            let bytes = rights_matrix::message(&pool, &service, &method, case.body);
            let answer = client.bytes(&service, &method, &bytes).await;
            if row.changes && row.action.as_str() != "CreateApiKey" {
                let no = answer.unwrap_err();
                assert!(no.number == PERMISSION_DENIED || no.number == crate::tcld::UNIMPLEMENTED, "{method}: {no:?}");
            }
        }
    }
    assert_eq!(all_credentials(&plane).await, before);
}

/// The shown way: a key narrowed to one API asks for the key of its namespace; and the other ways that are left to it.
#[tokio::test]
async fn a_narrowed_key_gets_no_wider_one_by_generate_create_or_rotate() {
    let plane = Plane::start().await;
    let ns = plane.namespace("pay").await;
    for name in ["one", "two"] {
        plane.post(&format!("/namespaces/{ns}/apis"), &plane.owner, json!({"name": name, "listenPath": format!("/{name}")})).await.ok();
    }
    // The account that the button made: its own key presses the button again.
    let made = plane.post("/namespaces/pay/generate-api-key", &plane.owner, json!({})).await.ok();
    let (account, wide) = (made["serviceAccountId"].as_str().unwrap(), made["id"].as_str().unwrap());
    let (api, key) = narrowed(&plane, &ns, account).await;
    for body in [json!({}), json!({"permission": "admin"}), json!({"duration": "1h"})] {
        plane.post("/namespaces/pay/generate-api-key", &key, body).await.refused(403, "forbidden");
    }
    plane.post(&format!("/api-keys/{wide}/rotate"), &key, json!({})).await.refused(403, "forbidden");
    plane.post(&format!("/api-keys/{wide}/retire"), &key, json!({"force": true})).await.refused(403, "forbidden");
    let made = plane.post("/api-keys", &key, json!({"name": "successor"})).await.ok();
    let next = made["secretKey"].as_str().unwrap();
    plane.post("/namespaces/pay/generate-api-key", next, json!({})).await.refused(403, "forbidden");
    let rotated = plane.post(&format!("/api-keys/{}/rotate", id_of(next)), next, json!({})).await.ok();
    for made in [&made, &rotated] {
        let shown = plane.get(&format!("/api-keys/{}", made["id"].as_str().unwrap()), &plane.owner).await.ok();
        assert_eq!(shown["apis"], json!([api]));
    }
    // The API goes, and so does what was narrowed to it: its key is not wide then.
    plane.call("DELETE", &format!("/namespaces/{ns}/apis/one"), &plane.owner, Value::Null).await.ok();
    plane.post("/namespaces/pay/generate-api-key", next, json!({})).await.refused(403, "forbidden");
    plane.get("/namespaces", next).await.refused(403, "forbidden");
}

//! Every operation of every surface, called as every role on its own and on another namespace, and compared with the table in
//! `docs/rights.md`. The operations are those that are served: one without a case fails.

use crate::harness::{Plane, id_of};
use crate::rights_cases::{self as cases, Case, On};
use crate::tcld::{CLOUD, NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, UNIMPLEMENTED};
use axum::body::Body;
use axum::http::Request;
use countersign_proto::rest::RefusalBody;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The table as people read it: the words of each cell by action and column.
struct Table {
    account: BTreeMap<String, BTreeMap<String, String>>,
    namespace: BTreeMap<String, BTreeMap<String, String>>,
}

fn table() -> Table {
    let page = include_str!("../../../../docs/rights.md");
    let mut found = Table { account: BTreeMap::new(), namespace: BTreeMap::new() };
    let mut columns: Vec<String> = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        if cells[0] == "operations" {
            columns = cells[1..].to_vec();
            continue;
        }
        let row: BTreeMap<_, _> = columns.iter().cloned().zip(cells[1..].iter().cloned()).collect();
        let half = if columns.len() == 6 { &mut found.account } else { &mut found.namespace };
        for action in cells[0].split('`').map(str::trim).filter(|action| !action.is_empty()) {
            assert!(half.insert(action.to_owned(), row.clone()).is_none(), "{action} stands twice");
        }
    }
    assert!(found.account.len() > 80 && found.namespace.len() > 25, "the page has another form");
    found
}

/// One who calls.
pub struct Who {
    name: String,
    role: &'static str,
    /// His permission in the first namespace; he has none in the second.
    permission: Option<&'static str>,
    pub key: String,
    /// What his custom role adds in the second namespace or to the account.
    added: &'static [&'static str],
}

impl Who {
    /// Somebody of whom nothing but the key is asked.
    pub fn of_key(key: &str) -> Self {
        Self { name: String::new(), role: "", permission: None, key: key.to_owned(), added: &[] }
    }
}

/// A namespace with what belongs to it.
pub struct Place {
    pub own: bool,
    pub ns: String,
    pub api: String,
    pub machine: String,
    pub key: String,
    pub certificate: String,
}

/// What belongs to no namespace.
pub struct World {
    pub user: String,
    pub group: String,
    pub role: String,
    pub application: String,
    pub issuer: String,
    pub operation: &'static str,
    pub csr: String,
    pub pem: String,
}

async fn made(plane: &Plane, path: &str, body: Value) -> String {
    plane.post(path, &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
}

/// A request for a certificate, by a key of its own.
fn request() -> String {
    let key = countersign_x509::private_key::LocalKey::generate(countersign_x509::private_key::KeyKind::P256).unwrap();
    let subject = countersign_x509::subject::Subject::parse("/O=Acme/CN=case").unwrap();
    countersign_x509::request::build_pem(&key, &subject, &[]).unwrap()
}

async fn place(plane: &Plane, name: &str, own: bool) -> Place {
    let ns = plane.namespace(name).await;
    made(plane, &format!("/namespaces/{ns}/apis"), json!({"name": "one", "listenPath": "/one"})).await;
    let (machine, key) = plane.scoped(&format!("of-{name}"), &ns, "read").await;
    let certificate = made(plane, "/certificates", json!({"csr": request(), "alias": name, "serviceAccountId": machine})).await;
    Place { own, ns, api: "one".to_owned(), machine, key: id_of(&key), certificate }
}

async fn everybody(plane: &Plane, own: &str, other: &str) -> Vec<Who> {
    let mut all = Vec::new();
    for role in ["owner", "admin", "developer", "finance_admin", "read", "metrics_read"] {
        let (_, key) = plane.machine(role, role, json!({})).await;
        all.push(Who { name: role.to_owned(), role, permission: None, key, added: &[] });
    }
    for permission in ["admin", "write", "read"] {
        let name = format!("namespace {permission}");
        let (_, key) = plane.machine(&name, "read", json!({own: permission})).await;
        all.push(Who { name, role: "read", permission: Some(permission), key, added: &[] });
        let (id, key) = plane.scoped(&format!("scoped {permission}"), own, permission).await;
        let role = plane.get(&format!("/service-accounts/{id}"), &plane.owner).await.ok()["access"]["accountRole"].clone();
        let role = ["read", "metrics_read"].into_iter().find(|known| role == *known).unwrap();
        all.push(Who { name: format!("scoped {permission}"), role, permission: Some(permission), key, added: &[] });
    }
    let lines = json!([
        {"resourceType": "namespace", "resourceIds": [other], "actions": ["cloud.namespace.get", "cloud.namespace.update"]},
        {"resourceType": "account", "allowAll": true, "actions": ["cloud.auditlog.list"]},
    ]);
    let custom = made(plane, "/custom-roles", json!({"name": "custom", "permissions": lines})).await;
    let body = json!({"name": "custom", "access": {"accountRole": "read", "customRoles": [custom]}});
    let id = made(plane, "/service-accounts", body).await;
    let key = plane.key_for(&id).await;
    let added = &["GetNamespace", "UpdateNamespace", "GetAuditLogs"];
    all.push(Who { name: "custom".to_owned(), role: "read", permission: None, key, added });
    let none = Who { name: "nobody".to_owned(), role: "", permission: None, key: String::new(), added: &[] };
    all.push(none);
    all
}

pub async fn world(plane: &Plane) -> (World, [Place; 2], Vec<Who>) {
    plane.with_master_key().await;
    plane.app.ensure_issuers().await.unwrap();
    let issuers = plane.get("/issuers", &plane.owner).await.ok();
    let issuer = issuers["items"][0]["id"].as_str().unwrap().to_owned();
    let csr = request();
    let places = [place(plane, "own", true).await, place(plane, "other", false).await];
    let user = made(plane, "/users", json!({"email": "case@example.com", "access": {"accountRole": "read"}})).await;
    let group = made(plane, "/user-groups", json!({"name": "case", "access": {"accountRole": "read"}})).await;
    let line = json!([{"resourceType": "namespace", "allowAll": true, "actions": ["cloud.namespace.get"]}]);
    let role = made(plane, "/custom-roles", json!({"name": "case", "permissions": line})).await;
    let application = made(plane, "/applications", json!({"name": "case"})).await;
    let url = json!({"name": "siem", "kinesis": {"destinationUri": "http://127.0.0.1:1/"}});
    plane.post("/audit-sinks", &plane.owner, url).await.ok();
    plane.again("/api-keys", &plane.owner, &json!({"name": "case"}), "the-owners").await.ok();
    let one = plane.get(&format!("/certificates/{}", places[0].certificate), &plane.owner).await.ok();
    let pem = one["pem"].as_str().unwrap().to_owned();
    let who = everybody(plane, &places[0].ns, &places[1].ns).await;
    (World { user, group, role, application, issuer, operation: "the-owners", csr, pem }, places, who)
}

/// What the page says of a call: allowed, refused, or without a word of its own (who asks must be known, and no more).
fn says(table: &Table, action: &str, who: &Who, place: &Place, on: On) -> Option<bool> {
    let administers = ["owner", "admin"].contains(&who.role);
    let here = if administers { Some("admin") } else { who.permission.filter(|_| place.own) };
    if who.added.contains(&action) && (!place.own || on == On::Account) {
        return Some(true);
    }
    if on == On::Late {
        return None;
    }
    if let Some(row) = table.namespace.get(action) {
        return Some(here.is_some_and(|permission| row[permission] == "yes"));
    }
    let row = table.account.get(action).unwrap_or_else(|| panic!("docs/rights.md has no row for {action}"));
    match (row[who.role].as_str(), on) {
        (_, On::Operation) => Some(administers),
        ("yes", _) => Some(true),
        ("·", _) => Some(false),
        ("own", On::Unowned) => Some(administers),
        ("own", On::Nothing) => None,
        ("own", On::List) => Some(true),
        ("own", On::Machines) => Some(who.role != "metrics_read"),
        ("own", On::Machine) if action == "GetServiceAccount" => Some(who.role != "metrics_read" || here == Some("admin")),
        ("own", On::Machine | On::Credential) => Some(here == Some("admin")),
        // One's own, and all who ask are machines: they see it and make a successor, and end none without the right.
        ("own", On::Mine) => {
            let his = administers || (who.name.starts_with("scoped") && who.permission == Some("admin"));
            Some(his || matches!(action, "CreateApiKey" | "GetApiKey"))
        }
        (cell, on) => panic!("no rule for {action}: {cell} on {on:?}"),
    }
}

struct Found(Vec<String>);

impl Found {
    fn compare(&mut self, says: Option<bool>, on: On, what: &str, who: &Who, place: &Place, answer: (&str, String)) {
        let (refusal, text) = answer;
        let right = match says {
            _ if who.role.is_empty() => refusal == "unknown",
            _ if refusal == "unimplemented" => true,
            Some(true) => refusal.is_empty() || (refusal == "hidden" && on == On::Nothing),
            Some(false) => refusal == "forbidden" || refusal == "hidden",
            None => refusal.is_empty() || refusal == "forbidden" || refusal == "hidden",
        };
        if !right {
            let place = if place.own { "his own" } else { "another" };
            self.0.push(format!("{what} by {} in {place} namespace: {says:?}, but {refusal:?} {text}", who.name));
        }
    }

    #[track_caller]
    fn none(self) {
        let first: Vec<_> = self.0.iter().take(40).map(String::as_str).collect();
        assert!(self.0.is_empty(), "{} cells differ from docs/rights.md, among them:\n{}", self.0.len(), first.join("\n"));
    }
}

async fn rest(
    plane: &Plane,
    world: &World,
    place: &Place,
    who: &Who,
    entry: &countersign_server::rest::table::Entry,
    case: &Case,
) -> (&'static str, String) {
    let mut path = cases::fill(entry.path, world, place, who, case.on);
    if entry.method == "DELETE" && entry.query.iter().any(|known| known.name == "resource_version") {
        path.push_str("?resource_version=999");
    }
    let answer = plane.call(entry.method.as_str(), &path, &who.key, case.body.clone()).await;
    let refusal = match answer.status {
        401 => "unknown",
        403 => "forbidden",
        404 => "hidden",
        501 => "unimplemented",
        500.. => "broken",
        _ => "",
    };
    (refusal, format!("{} {}", answer.status, answer.text))
}

#[tokio::test]
async fn every_rest_operation_is_allowed_and_refused_as_the_page_says() {
    let plane = Plane::start().await;
    let (world, places, everybody) = world(&plane).await;
    let (table, mut found) = (table(), Found(Vec::new()));
    for place in &places {
        let id = "r".repeat(10);
        let time = countersign_proto::convert::time(countersign_server::Clock::now(&*plane.clock));
        *plane.fleet.refusal.lock().unwrap() = Some(RefusalBody { id, time, namespace: place.ns.clone(), ..RefusalBody::default() });
        for entry in countersign_server::rest::table() {
            for case in cases::rest(entry.name, &world, place).unwrap_or_else(|| panic!("{} has no case", entry.name)) {
                for who in everybody.iter().filter(|who| case.on != On::Mine || !who.role.is_empty()) {
                    let answer = rest(&plane, &world, place, who, &entry, &case).await;
                    let says = if who.role.is_empty() { None } else { says(&table, entry.action.as_str(), who, place, case.on) };
                    found.compare(says, case.on, entry.name, who, place, answer);
                    if entry.name == "disableApiKeyCreation" {
                        plane.post("/account/api-keys/enable-creation", &plane.owner, Value::Null).await;
                    }
                }
            }
        }
    }
    found.none();
}

/// A message from its JSON, by the served descriptors.
pub fn message(pool: &DescriptorPool, service: &str, method: &str, body: Value) -> Vec<u8> {
    let service = pool.get_service_by_name(service).unwrap();
    let input = service.methods().find(|known| known.name() == method).unwrap().input();
    DynamicMessage::deserialize(input, body).unwrap_or_else(|error| panic!("{method}: {error}")).encode_to_vec()
}

async fn rpc(plane: &Plane, who: &Who, service: &str, method: &str, bytes: &[u8]) -> (&'static str, String) {
    let mut frame = vec![0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    let mut request = Request::builder().method("POST").uri(format!("/{service}/{method}")).header("host", "localhost");
    request = request.header("content-type", "application/grpc");
    if !who.key.is_empty() {
        request = request.header("authorization", format!("Bearer {}", who.key));
    }
    let answer = plane.send(request.body(Body::from(frame)).unwrap()).await;
    // A refusal is all in the headers; an answer says that it is one after its message.
    let told = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let refusal = match told("grpc-status").parse().unwrap_or(0) {
        UNAUTHENTICATED => "unknown",
        PERMISSION_DENIED => "forbidden",
        NOT_FOUND => "hidden",
        UNIMPLEMENTED => "unimplemented",
        2 | 13 | 14 => "broken",
        _ => "",
    };
    (refusal, told("grpc-message").replace("%20", " "))
}

async fn every_rpc(methods: Vec<(String, String)>) {
    let plane = Plane::start().await;
    let (world, places, everybody) = world(&plane).await;
    let (table, mut found) = (table(), Found(Vec::new()));
    let pool = DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    for place in &places {
        for (service, method) in &methods {
            let row = countersign_server::grpc::row(&format!("/{service}/{method}")).unwrap();
            for case in cases::rpc(service, method, &world, place).unwrap_or_else(|| panic!("{service}/{method} has no case")) {
                let bytes = message(&pool, service, method, case.body.clone());
                for who in &everybody {
                    let answer = rpc(&plane, who, service, method, &bytes).await;
                    let says = if who.role.is_empty() { None } else { says(&table, row.action.as_str(), who, place, case.on) };
                    found.compare(says, case.on, method, who, place, answer);
                }
            }
        }
    }
    found.none();
}

#[tokio::test]
async fn every_rpc_of_the_cloud_ops_api_is_allowed_and_refused_as_the_page_says() {
    let pool = DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    let service = pool.get_service_by_name(CLOUD).unwrap();
    let methods: Vec<_> = service.methods().map(|method| (CLOUD.to_owned(), method.name().to_owned())).collect();
    assert_eq!(methods.len(), 76);
    every_rpc(methods).await;
}

#[tokio::test]
async fn every_rpc_of_tclds_services_is_allowed_and_refused_as_the_page_says() {
    let methods = countersign_server::grpc::tcld::METHODS.iter();
    every_rpc(methods.map(|(service, method)| ((*service).to_owned(), (*method).to_owned())).collect()).await;
}

#[tokio::test]
async fn what_server_this_is_may_be_asked_by_anybody() {
    let plane = Plane::start().await;
    let (_, places, everybody) = world(&plane).await;
    assert!(places[0].own);
    for who in &everybody {
        let answer = rpc(&plane, who, "temporal.api.workflowservice.v1.WorkflowService", "GetSystemInfo", &[]).await;
        assert_eq!(answer.0, "", "{}: {}", who.name, answer.1);
    }
}

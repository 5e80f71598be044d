//! The Cloud Ops API's traps and small promises, asked as clients ask: bytes by hand where a number on the wire is what matters.

use crate::harness::{Chance, Plane, id_of};
use crate::tcld::{AUTH, CLOUD, NOT_FOUND, PERMISSION_DENIED, Tcld};
use axum::body::Body;
use axum::http::Request;
use countersign_core::time::Lifetime;
use countersign_proto::grpc::wire::api::authservice::v1 as auth;
use countersign_proto::grpc::wire::temporal::api::cloud::cloudservice::v1 as api;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1 as identity;
use countersign_proto::grpc::wire::temporal::api::cloud::namespace::v1 as ns;
use countersign_server::Clock as _;
use countersign_x509::tcld::{CaRequest, generate_ca};
use http_body_util::BodyExt as _;
use prost::Message;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tower::ServiceExt as _;

/// A call by its HTTP path.
async fn http(plane: &Plane, method: &str, path: &str, key: &str, body: Value) -> crate::harness::Answer {
    let request = Request::builder().method(method).uri(path).header("host", "localhost").header("content-type", "application/json");
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    plane.send(request.header("authorization", format!("Bearer {key}")).body(body).unwrap()).await
}

fn code(answer: &crate::harness::Answer) -> &str {
    answer.headers.get("countersign-code").map_or("", |code| code.to_str().unwrap())
}

fn framed(bytes: &[u8], compressed: u8) -> Vec<u8> {
    let mut frame = vec![compressed];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    frame
}

/// A call with headers of its own: the number, and the first frame of the answer.
async fn raw(plane: &Plane, method: &str, headers: &[(&str, &str)], frame: Vec<u8>) -> (i32, Vec<u8>, String) {
    let mut request = Request::builder().method("POST").uri(format!("/{method}")).header("host", "localhost");
    request = request.header("content-type", "application/grpc").header("authorization", format!("Bearer {}", plane.owner));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = plane.app.router().oneshot(request.body(Body::from(frame)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let told = |name: &str| trailers.get(name).or_else(|| parts.headers.get(name)).map(|value| value.to_str().unwrap().to_owned());
    (told("grpc-status").unwrap().parse().unwrap(), body.to_bytes().to_vec(), told("grpc-message").unwrap_or_default().replace("%20", " "))
}

fn ca(plane: &Plane, name: &str) -> String {
    let request = CaRequest { organization: name.to_owned(), validity: Lifetime::from_days(90), rsa: false };
    generate_ca(&request, plane.clock.now(), &Chance).unwrap().0
}

fn machine_key(owner: &str, name: &str, operation: &str) -> api::CreateApiKeyRequest {
    let spec = identity::ApiKeySpec {
        owner_id: owner.to_owned(),
        owner_type: identity::OwnerType::ServiceAccount.into(),
        display_name: name.to_owned(),
        ..identity::ApiKeySpec::default()
    };
    api::CreateApiKeyRequest { spec: Some(spec), async_operation_id: operation.to_owned() }
}

async fn get(client: &Tcld<'_>, namespace: &str) -> ns::Namespace {
    let asked = api::GetNamespaceRequest { namespace: namespace.to_owned() };
    client.ask::<api::GetNamespaceResponse>(CLOUD, "GetNamespace", &asked).await.unwrap().namespace.unwrap()
}

async fn change(client: &Tcld<'_>, namespace: &str, edit: impl FnOnce(&mut ns::NamespaceSpec)) -> Result<(), crate::tcld::No> {
    let known = get(client, namespace).await;
    let mut spec = known.spec.unwrap();
    edit(&mut spec);
    let (namespace, resource_version) = (namespace.to_owned(), known.resource_version);
    let asked = api::UpdateNamespaceRequest { namespace, spec: Some(spec), resource_version, async_operation_id: String::new() };
    client.ask::<api::UpdateNamespaceResponse>(CLOUD, "UpdateNamespace", &asked).await.map(drop)
}

#[tokio::test]
async fn a_version_that_is_none_is_refused_with_a_sentence_and_not_repeated() {
    let plane = Plane::start().await;
    let method = format!("{CLOUD}/GetAccount");
    for good in ["v0.17.1", "v0.10.0", "0.3.0", "2024-05-13-00", "2025-07-09-00", "v1.0.0-rc1"] {
        assert_eq!(raw(&plane, &method, &[("temporal-cloud-api-version", good)], framed(&[], 0)).await.0, 0, "{good}");
    }
    assert_eq!(raw(&plane, &method, &[], framed(&[], 0)).await.0, 0, "none need be named");
    for bad in ["", "latest", "v", "1", plane.owner.as_str(), "v1.2 3", "v1..2", "v0.17.1/x", &format!("1.{}", "0".repeat(80))] {
        let (number, _, text) = raw(&plane, &method, &[("temporal-cloud-api-version", bad)], framed(&[], 0)).await;
        assert!(number == 3 && text.contains("temporal-cloud-api-version") && !text.contains("csk_"), "{bad}: {number} {text}");
        let request = Request::builder().uri("/cloud/account").header("host", "localhost").header("temporal-cloud-api-version", bad);
        let answer = plane.send(request.header("authorization", format!("Bearer {}", plane.owner)).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, code(&answer)), (400, "invalid_argument"), "{bad}");
    }
    let two = [("temporal-cloud-api-version", "v0.17.1"), ("temporal-cloud-api-version", "v0.17.1")];
    assert_eq!(raw(&plane, &method, &two, framed(&[], 0)).await.0, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_calls_at_once_with_one_operation_id_make_one_key() {
    let plane = Plane::start().await;
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let client = Tcld::owner(&plane);
    let asked = machine_key(&machine, "once", "the-one");
    let calls = (0..20).map(|_| client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &asked));
    let answers: Vec<_> = futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let id = &answers[0].key_id;
    assert!(answers.iter().all(|answer| answer.key_id == *id && answer.async_operation.as_ref().unwrap().id == "the-one"));
    assert_eq!(answers.iter().filter(|answer| !answer.token.is_empty()).count(), 1, "the secret is shown once");
    let keys = plane.get(&format!("/api-keys?owner_id={machine}"), &plane.owner).await.ok();
    assert_eq!(keys["items"].as_array().unwrap().iter().filter(|key| key["name"] == "once").count(), 1);
    let no = client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &machine_key(&machine, "twice", "the-one")).await.unwrap_err();
    assert_eq!(no.code, "idempotency_conflict");
}

#[tokio::test]
async fn more_changes_at_once_than_there_may_be_are_refused_and_taking_away_is_not() {
    let plane = Plane::start().await;
    let (_, victim) = plane.machine("victim", "read", json!({})).await;
    plane.fleet.hangs.store(true, Ordering::SeqCst);
    let bodies: Vec<_> = (0..80).map(|n| json!({"spec": {"name": format!("n{n}"), "regions": ["local"], "retentionDays": 7}})).collect();
    let calls = bodies.into_iter().map(|body| http(&plane, "POST", "/cloud/namespaces", &plane.owner, body));
    let calls = futures_util::future::join_all(calls);
    let path = format!("/cloud/api-keys/{}", id_of(&victim));
    let (answers, taken) = tokio::join!(calls, http(&plane, "DELETE", &path, &plane.owner, Value::Null));
    plane.fleet.hangs.store(false, Ordering::SeqCst);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((made, refused.len()), (64, 16), "64 at once, and no more");
    assert!(refused.iter().all(|answer| code(answer) == "rate_limited" && answer.text.contains("nothing was changed")));
    assert!(refused.iter().all(|answer| answer.body["code"] == 8), "ResourceExhausted, which tools try again");
    taken.ok();
    plane.namespace("after").await;
    plane.assert_snapshot_is_the_stores().await;
}

#[tokio::test]
async fn with_creation_disabled_no_surface_makes_a_key_and_those_there_go_on() {
    let plane = Plane::start().await;
    let (machine, key) = plane.machine("m", "read", json!({})).await;
    let ns = plane.namespace("here").await;
    plane.post("/account/api-keys/disable-creation", &plane.owner, Value::Null).await.ok();
    let client = Tcld::owner(&plane);
    let code = "api_key_creation_disabled";
    for (path, body) in [
        ("/api-keys".to_owned(), json!({"name": "n"})),
        ("/api-keys".to_owned(), json!({"name": "n", "serviceAccountId": machine})),
        (format!("/api-keys/{}/rotate", id_of(&key)), json!({})),
        (format!("/namespaces/{ns}/generate-api-key"), json!({})),
    ] {
        plane.post(&path, &plane.owner, body).await.refused(403, code);
    }
    let no = client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &machine_key(&machine, "n", "")).await.unwrap_err();
    assert_eq!((no.code.as_str(), no.number), (code, 9), "no matter of rights: another caller would be refused too");
    let body = json!({"spec": {"displayName": "n", "ownerId": machine, "ownerType": "OWNER_TYPE_SERVICE_ACCOUNT"}});
    assert_eq!(self::code(&http(&plane, "POST", "/cloud/api-keys", &plane.owner, body).await), code);
    let expiry_time = Some(prost_types::Timestamp { seconds: plane.clock.now().seconds() + 86_400, nanos: 0 });
    let spec = Some(auth::ApiKeySpec { display_name: "n".to_owned(), expiry_time, ..auth::ApiKeySpec::default() });
    let asked = auth::CreateApiKeyRequest { spec: spec.clone(), request_id: String::new() };
    assert_eq!(client.ask::<auth::CreateApiKeyResponse>(AUTH, "CreateAPIKey", &asked).await.unwrap_err().code, code);
    let asked = auth::CreateServiceAccountApiKeyRequest { service_account_id: machine, spec, request_id: String::new() };
    let no = client.ask::<auth::CreateServiceAccountApiKeyResponse>(AUTH, "CreateServiceAccountAPIKey", &asked).await.unwrap_err();
    assert_eq!(no.code, code);
    plane.get("/current-identity", &key).await.ok();
    plane.post("/account/api-keys/enable-creation", &plane.owner, Value::Null).await.ok();
    plane.post("/api-keys", &key, json!({"name": "successor"})).await.ok();
}

#[tokio::test]
async fn the_last_owner_stays_whichever_surface_asks() {
    let plane = Plane::start().await;
    let me = plane.get("/current-identity", &plane.owner).await.ok();
    let (id, email) = (me["id"].as_str().unwrap().to_owned(), me["name"].as_str().unwrap().to_owned());
    let client = Tcld::owner(&plane);
    plane.call("DELETE", &format!("/users/{id}"), &plane.owner, Value::Null).await.refused(409, "last_owner");
    plane.call("PATCH", &format!("/users/{id}"), &plane.owner, json!({"accountRole": "admin"})).await.refused(409, "last_owner");
    let asked = api::DeleteUserRequest { user_id: id.clone(), ..api::DeleteUserRequest::default() };
    let no = client.ask::<api::DeleteUserResponse>(CLOUD, "DeleteUser", &asked).await.unwrap_err();
    assert_eq!((no.code.as_str(), no.number), ("last_owner", 9));
    let access = json!({"accountAccess": {"role": "ROLE_ADMIN"}});
    let path = format!("/cloud/users/{id}");
    let answer = http(&plane, "POST", &path, &plane.owner, json!({"spec": {"email": email, "access": access}})).await;
    assert_eq!(code(&answer), "last_owner", "{}", answer.text);
    assert_eq!(code(&http(&plane, "DELETE", &path, &plane.owner, Value::Null).await), "last_owner");
    let asked = auth::DeleteUserRequest { user_id: id.clone(), ..auth::DeleteUserRequest::default() };
    assert_eq!(client.ask::<auth::DeleteUserResponse>(AUTH, "DeleteUser", &asked).await.unwrap_err().code, "last_owner");
    // A machine with the role is none that could sign in and help: it does not count.
    plane.machine("robot", "owner", json!({})).await;
    plane.call("DELETE", &format!("/users/{id}"), &plane.owner, Value::Null).await.refused(409, "last_owner");
}

#[tokio::test]
async fn service_accounts_come_under_a_name_in_the_singular() {
    let plane = Plane::start().await;
    let (id, _) = plane.machine("m", "read", json!({})).await;
    let listed = http(&plane, "GET", "/cloud/service-accounts", &plane.owner, Value::Null).await.ok();
    assert_eq!(listed["serviceAccount"][0]["id"], id.as_str(), "{listed}");
}

#[tokio::test]
async fn set_access_takes_account_and_namespace_in_the_other_order_and_a_new_namespaces_spec_is_field_2() {
    let plane = Plane::start().await;
    let ns = plane.namespace("here").await;
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let access = identity::NamespaceAccess { permission: identity::namespace_access::Permission::Write.into(), ..Default::default() };
    let access = field(3, &access.encode_to_vec());
    let client = Tcld::owner(&plane);
    let bytes = [field(1, machine.as_bytes()), field(2, ns.as_bytes()), access.clone()].concat();
    client.bytes(CLOUD, "SetServiceAccountNamespaceAccess", &bytes).await.unwrap();
    let user = json!({"email": "a@example.com", "access": {"accountRole": "read"}});
    let user = plane.post("/users", &plane.owner, user).await.ok()["id"].as_str().unwrap().to_owned();
    let bytes = [field(1, ns.as_bytes()), field(2, user.as_bytes()), access].concat();
    client.bytes(CLOUD, "SetUserNamespaceAccess", &bytes).await.unwrap();
    for path in [format!("/service-accounts/{machine}"), format!("/users/{user}")] {
        assert_eq!(plane.get(&path, &plane.owner).await.ok()["access"]["namespacePermissions"][&ns], "write");
    }
    let spec = ns_spec("second");
    client.bytes(CLOUD, "CreateNamespace", &field(2, &spec.encode_to_vec())).await.unwrap();
    assert_eq!(client.bytes(CLOUD, "CreateNamespace", &field(1, &spec.encode_to_vec())).await.unwrap_err().number, 3);
}

#[allow(deprecated, reason = "clients still send the old field")]
fn ns_spec(name: &str) -> ns::NamespaceSpec {
    let api_key_auth = Some(ns::ApiKeyAuthSpec { enabled: true });
    ns::NamespaceSpec { name: name.to_owned(), regions: vec!["local".to_owned()], retention_days: 7, api_key_auth, ..Default::default() }
}

#[tokio::test]
async fn the_same_bundle_in_other_white_space_is_nothing_to_change_and_no_mtls_is_none() {
    let plane = Plane::start().await;
    let ns = plane.namespace("here").await;
    let client = Tcld::owner(&plane);
    let bundle = ca(&plane, "one");
    let mtls = |text: &str| Some(ns::MtlsAuthSpec { enabled: true, accepted_client_ca: text.as_bytes().to_vec(), ..Default::default() });
    change(&client, &ns, |spec| spec.mtls_auth = mtls(&bundle)).await.unwrap();
    for other in [bundle.replace('\n', "\r\n"), format!("\n\n{bundle}\n"), bundle.trim_end().to_owned()] {
        let no = change(&client, &ns, |spec| spec.mtls_auth = mtls(&other)).await.unwrap_err();
        assert_eq!(no.code, "nothing_to_change", "{no:?}");
    }
    // A client that takes the last CA away leaves the whole part out.
    change(&client, &ns, |spec| {
        spec.mtls_auth = None;
        spec.api_key_auth = Some(ns::ApiKeyAuthSpec { enabled: true });
    })
    .await
    .unwrap();
    let after = plane.get(&format!("/namespaces/{ns}"), &plane.owner).await.ok();
    assert_eq!((after["authMethod"].as_str(), &after["acceptedClientCas"]), (Some("api_key"), &json!([])));
}

#[tokio::test]
async fn a_key_of_a_year_and_a_half_is_made_and_one_of_more_than_two_years_is_not() {
    let plane = Plane::start().await;
    let (machine, _) = plane.machine("m", "read", json!({})).await;
    let client = Tcld::owner(&plane);
    for (days, made) in [(547, true), (800, false)] {
        let mut asked = machine_key(&machine, &format!("of {days} days"), "");
        let seconds = plane.clock.now().seconds() + days * 86_400;
        asked.spec.as_mut().unwrap().expiry_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let answer = client.ask::<api::CreateApiKeyResponse>(CLOUD, "CreateApiKey", &asked).await;
        assert_eq!(answer.is_ok(), made, "{days}: {answer:?}");
    }
}

/// A gzip member of one stored block (RFC 1951 section 3.2.4, RFC 1952).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let length = u16::try_from(bytes.len()).unwrap();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

#[tokio::test]
async fn gzip_frames_are_read_and_written_and_a_timeout_in_microseconds_is_understood() {
    let plane = Plane::start().await;
    let method = format!("{CLOUD}/GetUsers");
    let message = api::GetUsersRequest { page_size: 1, ..api::GetUsersRequest::default() }.encode_to_vec();
    let headers = [("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip"), ("grpc-timeout", "4999742u"), ("te", "trailers")];
    let (number, answer, text) = raw(&plane, &method, &headers, framed(&gzip(&message), 1)).await;
    assert_eq!(number, 0, "{text}");
    assert_eq!((answer[0], &answer[5..7]), (1, &[0x1f, 0x8b][..]), "compressed, as was offered");
    let (number, answer, _) = raw(&plane, &method, &[("grpc-timeout", "4999742u")], framed(&message, 0)).await;
    assert_eq!((number, answer[0]), (0, 0), "not compressed unless offered");
    let (number, answer, _) = raw(&plane, "temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo", &headers, framed(&[], 0)).await;
    assert_eq!((number, answer.len()), (0, 5));
}

#[tokio::test]
async fn an_unknown_namespace_is_not_found_or_not_allowed_and_never_a_fault_of_ours() {
    let plane = Plane::start().await;
    let (_, reader) = plane.machine("m", "read", json!({})).await;
    let pool = prost_reflect::DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    for key in [&plane.owner, &reader] {
        let client = Tcld { key: key.clone(), ..Tcld::owner(&plane) };
        for unknown in
            ["nothing.zzzzz".to_owned(), format!("nothing.{}", plane.account), "nothing".to_owned(), "../x".to_owned(), String::new()]
        {
            for method in [
                "GetNamespace",
                "DeleteNamespace",
                "UpdateNamespaceTags",
                "GetUserNamespaceAssignments",
                "GetServiceAccountNamespaceAssignments",
                "GetUserGroupNamespaceAssignments",
            ] {
                let bytes = crate::rights_matrix::message(&pool, CLOUD, method, json!({"namespace": unknown}));
                let no = client.bytes(CLOUD, method, &bytes).await.unwrap_err();
                assert!([NOT_FOUND, PERMISSION_DENIED].contains(&no.number), "{method} {unknown}: {no:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_operation_reads_the_same_by_both_of_its_names() {
    let plane = Plane::start().await;
    let made = plane.post("/api-keys", &plane.owner, json!({"name": "n"})).await.ok();
    let id = made["requestStatus"]["requestId"].as_str().unwrap();
    let one = plane.get(&format!("/operations/{id}"), &plane.owner).await.ok();
    let two = http(&plane, "GET", &format!("/cloud/operations/{id}"), &plane.owner, Value::Null).await.ok();
    assert_eq!((one["requestId"].as_str(), two["asyncOperation"]["id"].as_str()), (Some(id), Some(id)));
    assert_eq!((one["state"].as_str(), two["asyncOperation"]["state"].as_str()), (Some("Fulfilled"), Some("STATE_FULFILLED")));
}

/// A proxy, a log and a rule of somebody's go by the address; a body that names another object would act past them.
#[tokio::test]
async fn an_address_and_a_body_that_name_different_objects_are_refused_whole() {
    let plane = Plane::start().await;
    let mut tried = 0;
    for (method, path, rpc) in countersign_server::grpc::http_json::paths() {
        let fields: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(str::to_owned).collect();
        let Some(field) = fields.last() else { continue };
        let filled = fields.iter().fold(path.clone(), |path, field| path.replace(&format!("{{{field}}}"), "one"));
        let nested = field.rsplit('.').fold(json!("another"), |value, name| json!({name: value}));
        let answer = if method == "GET" || method == "DELETE" {
            http(&plane, &method, &format!("{filled}?{field}=another"), &plane.owner, Value::Null).await
        } else {
            http(&plane, &method, &filled, &plane.owner, nested).await
        };
        assert!(answer.status == 400 && answer.text.contains("two different objects"), "{rpc}: {} {}", answer.status, answer.text);
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
    let user = plane.post("/users", &plane.owner, json!({"email": "a@b.c", "access": {"accountRole": "read"}})).await.ok();
    let user = user["id"].as_str().unwrap();
    let spec = json!({"email": "a@b.c", "access": {"accountAccess": {"role": "ROLE_DEVELOPER"}}});
    let other = json!({"userId": "u0000000000000000000", "spec": spec, "resourceVersion": "1"});
    http(&plane, "POST", &format!("/cloud/users/{user}"), &plane.owner, other).await;
    assert_eq!(plane.get(&format!("/users/{user}"), &plane.owner).await.ok()["access"]["accountRole"], "read", "nothing was changed");
    let same = json!({"userId": user, "spec": spec, "resourceVersion": "1"});
    let answer = http(&plane, "POST", &format!("/cloud/users/{user}"), &plane.owner, same).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Nor is a member there twice.
    let request =
        Request::builder().method("POST").uri("/cloud/users").header("host", "localhost").header("content-type", "application/json");
    let text = r#"{"asyncOperationId": "a", "asyncOperationId": "b"}"#;
    let request = request.header("authorization", format!("Bearer {}", plane.owner)).body(Body::from(text)).unwrap();
    let answer = plane.send(request).await;
    assert!(answer.status == 400 && answer.text.contains("duplicate member"), "{}", answer.text);
}

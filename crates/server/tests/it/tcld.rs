//! The services that only `tcld` calls, asked as `tcld` asks them: calls by hand through the real server, answers looked at on the wire
//! where a number is what matters. The client's own binary is tried in `interop/tcld.py`.

use crate::harness::{Chance, Plane};
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::time::Lifetime;
use countersign_proto::grpc::wire::api::{authservice::v1 as auth, namespaceservice::v1 as ns, requestservice::v1 as request};
use countersign_proto::grpc::wire::temporal::api::cloud::cloudservice::v1 as cloud;
use countersign_server::Clock as _;
use countersign_x509::tcld::{CaRequest, generate_ca};
use http_body_util::BodyExt as _;
use prost::Message;
use tower::ServiceExt as _;

pub const AUTH: &str = "api.authservice.v1.AuthService";
pub const NAMESPACES: &str = "api.namespaceservice.v1.NamespaceService";
pub const REQUESTS: &str = "api.requestservice.v1.RequestService";
pub const ACCOUNTS: &str = "api.accountservice.v1.AccountService";
pub const CLOUD: &str = "temporal.api.cloud.cloudservice.v1.CloudService";

/// gRPC's numbers, as far as they are met here.
pub const INVALID_ARGUMENT: i32 = 3;
pub const NOT_FOUND: i32 = 5;
pub const ALREADY_EXISTS: i32 = 6;
pub const PERMISSION_DENIED: i32 = 7;
const FAILED_PRECONDITION: i32 = 9;
pub const UNIMPLEMENTED: i32 = 12;
pub const UNAUTHENTICATED: i32 = 16;

/// An answer that refuses.
#[derive(Debug)]
pub struct No {
    pub number: i32,
    pub code: String,
    pub text: String,
}

impl No {
    #[track_caller]
    pub fn is(&self, number: i32, says: &str) {
        assert!(self.number == number && self.text.contains(says), "expected {number} and `{says}`: {self:?}");
    }
}

/// A client of one key.
pub struct Tcld<'a> {
    pub plane: &'a Plane,
    pub key: String,
    pub version: Option<&'static str>,
}

impl<'a> Tcld<'a> {
    pub fn owner(plane: &'a Plane) -> Self {
        Self { plane, key: plane.owner.clone(), version: Some("v0.55.0") }
    }

    /// The bytes of the answer's message, whatever the request's are.
    pub async fn bytes(&self, service: &str, method: &str, message: &[u8]) -> Result<Vec<u8>, No> {
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        let mut built = Request::builder().method("POST").uri(format!("/{service}/{method}")).header("host", "localhost:8443");
        built =
            built.header("content-type", "application/grpc").header("te", "trailers").header("temporal-cloud-api-version", "2025-07-09-00");
        if !self.key.is_empty() {
            built = built.header("authorization", format!("Bearer {}", self.key));
        }
        if let Some(version) = self.version {
            built = built.header("tcld-version", version);
        }
        let response = self.plane.app.router().oneshot(built.body(Body::from(frame)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{service}/{method}");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let told = |name: &str| {
            let value = trailers.get(name).or_else(|| parts.headers.get(name));
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let number: i32 = told("grpc-status").parse().unwrap();
        if number != 0 {
            return Err(No { number, code: told("countersign-code"), text: told("grpc-message").replace("%20", " ") });
        }
        let body = body.to_bytes();
        assert_eq!(body[0], 0, "not compressed unless asked to be");
        Ok(body[5..].to_vec())
    }

    pub async fn ask<R: Message + Default>(&self, service: &str, method: &str, message: &impl Message) -> Result<R, No> {
        let bytes = self.bytes(service, method, &message.encode_to_vec()).await?;
        Ok(R::decode(bytes.as_slice()).unwrap())
    }

    pub async fn namespace(&self, namespace: &str) -> Result<ns::Namespace, No> {
        let asked = ns::GetNamespaceRequest { namespace: namespace.to_owned() };
        self.ask::<ns::GetNamespaceResponse>(NAMESPACES, "GetNamespace", &asked).await.map(|got| got.namespace.unwrap())
    }

    pub async fn create(&self, name: &str, spec: ns::NamespaceSpec) -> Result<request::RequestStatus, No> {
        let asked = ns::CreateNamespaceRequest { namespace: name.to_owned(), spec: Some(spec), ..ns::CreateNamespaceRequest::default() };
        let made = self.ask::<ns::CreateNamespaceResponse>(NAMESPACES, "CreateNamespace", &asked).await?;
        Ok(made.request_status.unwrap())
    }

    /// As the client changes a namespace: the spec that is there with one thing changed, and its version.
    pub async fn change(&self, namespace: &str, edit: impl FnOnce(&mut ns::NamespaceSpec)) -> Result<request::RequestStatus, No> {
        let got = self.namespace(namespace).await?;
        let mut spec = got.spec.unwrap();
        edit(&mut spec);
        let (namespace, resource_version) = (namespace.to_owned(), got.resource_version);
        let asked = ns::UpdateNamespaceRequest { namespace, spec: Some(spec), resource_version, request_id: String::new() };
        let changed = self.ask::<ns::UpdateNamespaceResponse>(NAMESPACES, "UpdateNamespace", &asked).await?;
        Ok(changed.request_status.unwrap())
    }

    async fn key_named(&self, name: &str, days: i64, request_id: &str) -> Result<auth::CreateApiKeyResponse, No> {
        let now = self.plane.clock.now().seconds();
        let expiry_time = Some(prost_types::Timestamp { seconds: now + days * 86_400, nanos: 0 });
        let spec = Some(auth::ApiKeySpec { display_name: name.to_owned(), expiry_time, ..auth::ApiKeySpec::default() });
        self.ask(AUTH, "CreateAPIKey", &auth::CreateApiKeyRequest { spec, request_id: request_id.to_owned() }).await
    }

    async fn api_key(&self, id: &str) -> Result<auth::ApiKey, No> {
        let asked = auth::GetApiKeyRequest { id: id.to_owned() };
        self.ask::<auth::GetApiKeyResponse>(AUTH, "GetAPIKey", &asked).await.map(|got| got.api_key.unwrap())
    }

    pub async fn roles_of(&self, specs: Vec<auth::RoleSpec>) -> Vec<String> {
        let asked = auth::GetRolesByPermissionsRequest { specs };
        let got = self.ask::<auth::GetRolesByPermissionsResponse>(AUTH, "GetRolesByPermissions", &asked).await.unwrap();
        got.roles.into_iter().map(|role| role.id).collect()
    }

    pub async fn user(&self, email: &str) -> Result<auth::User, No> {
        let asked = auth::GetUserRequest { user_id: String::new(), user_email: email.to_owned() };
        self.ask::<auth::GetUserResponse>(AUTH, "GetUser", &asked).await.map(|got| got.user.unwrap())
    }
}

pub fn mtls(bundle: &str) -> ns::NamespaceSpec {
    ns::NamespaceSpec {
        accepted_client_ca: if bundle.is_empty() { String::new() } else { STANDARD.encode(bundle) },
        retention_days: 30,
        auth_method: ns::AuthMethod::Mtls.into(),
        region_id: Some(region("us-east-1")),
        ..ns::NamespaceSpec::default()
    }
}

pub fn region(name: &str) -> ns::RegionId {
    ns::RegionId { name: name.to_owned(), provider: ns::region_id::CloudProvider::Aws.into() }
}

fn ca(plane: &Plane, name: &str) -> String {
    let request = CaRequest { organization: name.to_owned(), validity: Lifetime::from_days(90), rsa: false };
    generate_ca(&request, plane.clock.now(), &Chance).unwrap().0
}

/// What stands in a message, number by number; of what is no text or message only the number.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (number, kind) = decode_key(&mut bytes).unwrap();
        let mut value = Vec::new();
        if kind == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut bytes).unwrap()).unwrap();
            value.extend(&bytes[..length]);
            bytes = &bytes[length..];
        } else {
            skip_field(kind, number, &mut bytes, DecodeContext::default()).unwrap();
        }
        found.push((number, value));
    }
    found
}

/// That a field of an answer's bytes is the status of a change that is done, by the numbers of the client.
#[track_caller]
fn is_status(answer: &[u8], number: u32) {
    let found = fields(answer);
    let status = &found.iter().find(|(known, _)| *known == number).unwrap_or_else(|| panic!("no field {number} in {found:?}")).1;
    let read = request::RequestStatus::decode(status.as_slice()).unwrap();
    assert_eq!(read.state, i32::from(request::State::Fulfilled), "{read:?}");
    assert_eq!(String::from_utf8(fields(status)[0].1.clone()).unwrap(), read.request_id);
    assert_eq!(fields(status)[0].0, 2, "the id is field 2");
}

#[tokio::test]
async fn request_status_is_field_3_where_tcld_reads_it() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let spec = Some(auth::ApiKeySpec { display_name: "one".to_owned(), ..auth::ApiKeySpec::default() });
    let asked = auth::CreateApiKeyRequest { spec: spec.clone(), request_id: String::new() }.encode_to_vec();
    let made = tcld.bytes(AUTH, "CreateAPIKey", &asked).await.unwrap();
    is_status(&made, 3);
    let text = |number: u32| String::from_utf8(fields(&made).into_iter().find(|(known, _)| *known == number).unwrap().1).unwrap();
    let (id, secret) = (text(1), text(2));
    assert!(secret.contains(&id), "1 is the id, 2 the secret");
    let (machine, _) = plane.machine("robot", "read", serde_json::json!({})).await;
    let asked = auth::CreateServiceAccountApiKeyRequest { service_account_id: machine, spec: spec.clone(), request_id: String::new() };
    is_status(&tcld.bytes(AUTH, "CreateServiceAccountAPIKey", &asked.encode_to_vec()).await.unwrap(), 3);
    // And 1 where a key is changed, as everywhere else.
    let known = tcld.api_key(&id).await.unwrap();
    let spec = Some(auth::ApiKeySpec { disabled: true, ..known.spec.unwrap() });
    let version = known.resource_version;
    let asked = auth::UpdateApiKeyRequest { id: id.clone(), spec, resource_version: version, request_id: String::new() };
    is_status(&tcld.bytes(AUTH, "UpdateAPIKey", &asked.encode_to_vec()).await.unwrap(), 1);
    let asked = auth::DeleteApiKeyRequest { id, ..auth::DeleteApiKeyRequest::default() };
    is_status(&tcld.bytes(AUTH, "DeleteAPIKey", &asked.encode_to_vec()).await.unwrap(), 3);
}

#[tokio::test]
async fn service_accounts_are_listed_under_the_singular_name() {
    let plane = Plane::start().await;
    let (one, _) = plane.machine("one", "read", serde_json::json!({})).await;
    let (two, _) = plane.machine("two", "read", serde_json::json!({})).await;
    let asked = auth::GetServiceAccountsRequest { page_size: 10, page_token: String::new() };
    let listed = Tcld::owner(&plane).bytes(AUTH, "GetServiceAccounts", &asked.encode_to_vec()).await.unwrap();
    let ids: Vec<String> = fields(&listed)
        .into_iter()
        .map(|(number, account)| {
            assert_eq!(number, 1, "each is field 1, and there is no further page");
            auth::ServiceAccount::decode(account.as_slice()).unwrap().id
        })
        .collect();
    assert!(ids.contains(&one) && ids.contains(&two), "{ids:?}");
    let pool = prost_reflect::DescriptorPool::decode(countersign_proto::grpc::SERVICES).unwrap();
    let message = pool.get_message_by_name("api.authservice.v1.GetServiceAccountsResponse").unwrap();
    let field = message.get_field(1).unwrap();
    assert!(field.is_list() && field.json_name() == "serviceAccount");
}

#[tokio::test]
async fn one_bundle_three_views() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (one, two) = (ca(&plane, "one"), ca(&plane, "two"));
    let canonical = format!("{}\n{}", one.trim(), two.trim());
    let sent = format!("\r\n  {}\r\n\r\n{}\n\n", one.replace('\n', "\r\n"), two);
    tcld.create("views", mtls(&sent)).await.unwrap();
    let namespace = format!("views.{}", plane.account);
    let private = tcld.namespace(&namespace).await.unwrap().spec.unwrap();
    assert_eq!(
        STANDARD.decode(&private.accepted_client_ca).unwrap(),
        canonical.as_bytes(),
        "the form that the client compares byte by byte"
    );
    let asked = cloud::GetNamespaceRequest { namespace: namespace.clone() };
    let public = tcld.ask::<cloud::GetNamespaceResponse>(CLOUD, "GetNamespace", &asked).await.unwrap();
    let public = public.namespace.unwrap().spec.unwrap().mtls_auth.unwrap();
    #[allow(deprecated, reason = "the old view is one of the three")]
    let (raw, text) = (public.accepted_client_ca, public.accepted_client_ca_deprecated);
    assert_eq!((raw, text), (canonical.into_bytes(), private.accepted_client_ca));
    let listed = plane.get(&format!("/namespaces/{namespace}/accepted-client-cas"), &plane.owner).await.ok();
    assert_eq!(listed["acceptedClientCas"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_bundle_in_other_white_space_is_nothing_to_change() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (one, two) = (ca(&plane, "one"), ca(&plane, "two"));
    tcld.create("same", mtls(&format!("{one}{two}"))).await.unwrap();
    let namespace = format!("same.{}", plane.account);
    for other in [format!("{two}\n\n\n{one}"), format!("{one}{two}").replace('\n', "\r\n"), format!("\n\n{one}\n{two}\n")] {
        let no = tcld.change(&namespace, |spec| spec.accepted_client_ca = STANDARD.encode(&other)).await.unwrap_err();
        no.is(INVALID_ARGUMENT, "nothing to change");
        assert_eq!(no.code, "nothing_to_change");
    }
    tcld.change(&namespace, |spec| spec.accepted_client_ca = STANDARD.encode(&one)).await.unwrap();
}

#[tokio::test]
async fn what_the_client_checks_is_checked_here_too() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let bundle = ca(&plane, "one");
    tcld.create("strict", mtls(&bundle)).await.unwrap();
    let namespace = format!("strict.{}", plane.account);
    // `remove --all` while certificates are a way in.
    let no = tcld.change(&namespace, |spec| spec.accepted_client_ca.clear()).await.unwrap_err();
    no.is(INVALID_ARGUMENT, "not removed all at once");
    let filter = |name: &str| ns::CertificateFilterSpec { common_name: name.to_owned(), ..ns::CertificateFilterSpec::default() };
    for (filters, says) in [
        (vec![filter("a"), filter("a")], "twice"),
        (vec![filter("")], "has no field"),
        (vec![filter("a*b")], "wildcard"),
        (vec![filter("*")], "wildcard"),
        ((0..26).map(|at| filter(&format!("n{at}"))).collect(), "at most 25"),
    ] {
        tcld.change(&namespace, |spec| spec.certificate_filters = filters).await.unwrap_err().is(INVALID_ARGUMENT, says);
    }
    tcld.change(&namespace, |spec| spec.auth_method = 9).await.unwrap_err().is(INVALID_ARGUMENT, "auth_method");
    let key = format!("{bundle}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let no = tcld.change(&namespace, |spec| spec.accepted_client_ca = STANDARD.encode(&key)).await.unwrap_err();
    assert_eq!((no.number, no.code.as_str()), (INVALID_ARGUMENT, "private_key_in_upload"), "{no:?}");
    // With another way in, they go.
    tcld.change(&namespace, |spec| spec.auth_method = ns::AuthMethod::ApiKey.into()).await.unwrap();
    tcld.change(&namespace, |spec| spec.accepted_client_ca.clear()).await.unwrap();
    assert!(tcld.namespace(&namespace).await.unwrap().spec.unwrap().accepted_client_ca.is_empty());
}

#[tokio::test]
async fn an_operation_is_read_by_either_of_its_names() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    tcld.create("named", mtls("")).await.unwrap();
    let namespace = format!("named.{}", plane.account);
    let done = tcld.change(&namespace, |spec| spec.retention_days = 7).await.unwrap();
    let asked = request::GetRequestStatusRequest { request_id: done.request_id.clone() };
    let private =
        tcld.ask::<request::GetRequestStatusResponse>(REQUESTS, "GetRequestStatus", &asked).await.unwrap().request_status.unwrap();
    assert_eq!((private.operation_type.as_str(), private.resource_type.as_str()), ("UpdateNamespace", "namespace"));
    assert_eq!((private.resource_id, private.state), (namespace, i32::from(request::State::Fulfilled)));
    assert!(private.check_duration.is_some() && private.start_time.is_some() && private.finish_time.is_some());
    let asked = cloud::GetAsyncOperationRequest { async_operation_id: done.request_id.clone() };
    let public = tcld.ask::<cloud::GetAsyncOperationResponse>(CLOUD, "GetAsyncOperation", &asked).await.unwrap().async_operation.unwrap();
    assert_eq!((public.id, public.operation_type), (done.request_id, private.operation_type));
    let asked = request::GetRequestStatusRequest { request_id: "none-such".to_owned() };
    let no = tcld.ask::<request::GetRequestStatusResponse>(REQUESTS, "GetRequestStatus", &asked).await.unwrap_err();
    no.is(NOT_FOUND, "none-such");
}

#[tokio::test]
async fn a_repeated_request_id_makes_one_key_and_shows_it_once() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let first = tcld.key_named("one", 30, "mine").await.unwrap();
    assert_eq!(first.request_status.unwrap().request_id, "mine");
    let again = tcld.key_named("one", 30, "mine").await.unwrap();
    assert_eq!((again.id, again.secret_key.as_str()), (first.id, ""));
    let no = tcld.key_named("another", 30, "mine").await.unwrap_err();
    assert_eq!((no.number, no.code.as_str()), (FAILED_PRECONDITION, "idempotency_conflict"), "{no:?}");
    let no = tcld.key_named("one", 30, &first.secret_key).await.unwrap_err();
    assert!(no.number == INVALID_ARGUMENT && !no.text.contains(&first.secret_key), "{no:?}");
}

#[tokio::test]
async fn a_key_of_a_year_and_a_half_is_made_one_of_three_years_is_not() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let made = tcld.key_named("long", 547, "").await.unwrap();
    tcld.key_named("longer", 3 * 365, "").await.unwrap_err().is(INVALID_ARGUMENT, "two years");
    tcld.key_named("past", -1, "").await.unwrap_err().is(INVALID_ARGUMENT, "past");
    plane.clock.advance(Lifetime::from_days(546));
    let own = Tcld { key: made.secret_key, ..Tcld::owner(&plane) };
    assert_eq!(own.api_key(&made.id).await.unwrap().state, i32::from(auth::ApiKeyState::ApikeyStateActive));
    plane.clock.advance(Lifetime::from_days(2));
    own.api_key(&made.id).await.unwrap_err().is(UNAUTHENTICATED, "");
    assert_ne!(tcld.api_key(&made.id).await.unwrap().state, i32::from(auth::ApiKeyState::ApikeyStateActive));
}

#[tokio::test]
async fn an_expired_key_is_a_state_and_a_disabled_one_a_setting() {
    let plane = Plane::start().await;
    let tcld = Tcld::owner(&plane);
    let (short, long) = (tcld.key_named("short", 1, "").await.unwrap(), tcld.key_named("long", 60, "").await.unwrap());
    plane.clock.advance(Lifetime::from_days(2));
    let expired = tcld.api_key(&short.id).await.unwrap();
    assert_eq!((expired.state, expired.spec.unwrap().disabled), (6, false));
    let known = tcld.api_key(&long.id).await.unwrap();
    assert_eq!((known.state, known.owner.unwrap().owner_type), (3, 1));
    let spec = Some(auth::ApiKeySpec { disabled: true, ..known.spec.unwrap() });
    let asked = auth::UpdateApiKeyRequest { id: long.id.clone(), spec, ..auth::UpdateApiKeyRequest::default() };
    tcld.ask::<auth::UpdateApiKeyResponse>(AUTH, "UpdateAPIKey", &asked).await.unwrap();
    let disabled = tcld.api_key(&long.id).await.unwrap();
    assert_eq!((disabled.state, disabled.spec.unwrap().disabled), (3, true));
    let no = Tcld { key: long.secret_key, ..Tcld::owner(&plane) }.api_key(&long.id).await.unwrap_err();
    no.is(UNAUTHENTICATED, "");
    // The end of a key is fixed when it is made.
    let known = tcld.api_key(&long.id).await.unwrap();
    let expiry_time = Some(prost_types::Timestamp { seconds: plane.clock.now().seconds() + 86_400, nanos: 0 });
    let spec = Some(auth::ApiKeySpec { expiry_time, ..known.spec.unwrap() });
    let asked = auth::UpdateApiKeyRequest { id: long.id.clone(), spec, ..auth::UpdateApiKeyRequest::default() };
    tcld.ask::<auth::UpdateApiKeyResponse>(AUTH, "UpdateAPIKey", &asked).await.unwrap_err().is(INVALID_ARGUMENT, "end of an API key");
    // Lists by the words that the client uses for kinds of owner.
    for (owner_type, found) in [("user", 3), ("service-account", 0), ("", 3)] {
        let asked = auth::GetApiKeysRequest { owner_type: owner_type.to_owned(), ..auth::GetApiKeysRequest::default() };
        let listed = tcld.ask::<auth::GetApiKeysResponse>(AUTH, "GetAPIKeys", &asked).await.unwrap();
        assert_eq!(listed.api_keys.len(), found, "{owner_type}");
    }
}

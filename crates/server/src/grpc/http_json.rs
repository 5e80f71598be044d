//! The Cloud Ops API over HTTP: the paths of its own annotations, proto3 JSON in and out. A request becomes the very call that gRPC would
//! bring, answered by the very same service, so the two surfaces cannot differ.

use super::{CLOUD, Meaning, cloud, status};
use crate::app::App;
use crate::app::caller::Caller;
use crate::error::{AsItIs, Refused};
use crate::rest::{body, strict, table::Row};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use countersign_core::authz::Actor;
use countersign_proto::grpc::SERVICES;
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value,
};
use std::sync::{Arc, OnceLock};
use tonic::{Code, Status};
use tower::ServiceExt as _;

/// One annotated path.
struct Route {
    method: Method,
    segments: Vec<Segment>,
    /// Whether the body is the whole message.
    whole_body: bool,
    rpc: MethodDescriptor,
    meaning: Option<Meaning>,
}

enum Segment {
    Fixed(String),
    /// The field, by the names on the way to it.
    Field(Vec<String>),
}

/// The paths, read once. A descriptor set without them gives none, which a test would see.
fn routes() -> &'static [Route] {
    static ROUTES: OnceLock<Vec<Route>> = OnceLock::new();
    ROUTES.get_or_init(|| read().unwrap_or_default())
}

fn read() -> Option<Vec<Route>> {
    let pool = DescriptorPool::decode(SERVICES).ok()?;
    let http = pool.get_extension_by_name("google.api.http")?;
    let service = pool.get_service_by_name(CLOUD)?;
    Some(
        service
            .methods()
            .filter_map(|rpc| {
                let options = rpc.options();
                let rule = options.get_extension(&http).as_message()?.clone();
                let (verb, path) = ["get", "post", "put", "delete", "patch"].into_iter().find_map(|verb| {
                    let path = rule.get_field_by_name(verb)?.as_str()?.to_owned();
                    (!path.is_empty()).then_some((verb, path))
                })?;
                let whole_body = rule.get_field_by_name("body").is_some_and(|body| body.as_str() == Some("*"));
                let method = Method::from_bytes(verb.to_ascii_uppercase().as_bytes()).ok()?;
                let meaning = cloud::meaning(rpc.name());
                Some(Route { method, segments: template(&path), whole_body, rpc, meaning })
            })
            .collect(),
    )
}

fn template(path: &str) -> Vec<Segment> {
    let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(field) => Segment::Field(field.split('.').map(str::to_owned).collect()),
        None => Segment::Fixed(text.to_owned()),
    };
    path.trim_start_matches('/').split('/').map(segment).collect()
}

impl Route {
    /// The fields that a path names, decoded; `None` for a path that is another's.
    fn matches(&self, path: &str) -> Option<Vec<(&[String], String)>> {
        let mut given = path.strip_prefix('/')?.split('/');
        let mut fields = Vec::new();
        for segment in &self.segments {
            let text = given.next()?;
            match segment {
                Segment::Fixed(fixed) if fixed == text => {}
                Segment::Field(field) if !text.is_empty() => fields.push((field.as_slice(), decoded(text)?)),
                _ => return None,
            }
        }
        given.next().is_none().then_some(fields)
    }
}

/// Percent-decoding of one segment (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether a path is one of this surface.
pub fn is_ours(path: &str) -> bool {
    path == "/cloud" || path.starts_with("/cloud/")
}

/// What the one way in needs to know of a request.
///
/// # Errors
/// `not_found`, `method_not_allowed`.
pub fn row(method: &Method, path: &str) -> Result<Row, Refused> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut other = false;
    for route in routes() {
        if route.matches(path).is_none() {
            continue;
        }
        if let (true, Some(meaning)) = (route.method == *method, route.meaning) {
            return Ok(super::row_of(route.method.clone(), meaning));
        }
        other = true;
    }
    Err(if other {
        Refused::new("method_not_allowed", "this address does not take this method")
    } else {
        Refused::new("not_found", "there is nothing at this address of the Cloud Ops API")
    })
}

/// The paths.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/cloud/{*path}", axum::routing::any(answer))
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    match call(&app, request).await {
        Ok(response) => response,
        Err(status) => error(&status),
    }
}

async fn call(app: &Arc<App>, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let found = routes().iter().filter(|route| route.method == method).find_map(|route| Some((route, route.matches(parts.uri.path())?)));
    let (route, fields) = found.ok_or_else(|| Status::not_found("there is nothing at this address"))?;
    let body = body::whole(body).await?;
    let mut message = message(route, &body)?;
    check_same(&message, &fields, "the body")?;
    for (path, text) in &fields {
        set(&mut message, path, text)?;
    }
    if !route.whole_body {
        query(&mut message, &parts.uri)?;
        check_same(&message, &fields, "the query")?;
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).map_err(|_| Status::invalid_argument("the request is too large"))?);
    message.encode(&mut frame).map_err(|_| Status::invalid_argument("the request is too large"))?;
    let mut inner = axum::http::Request::new(Body::from(frame.freeze()));
    *inner.method_mut() = Method::POST;
    *inner.uri_mut() = Uri::try_from(format!("/{CLOUD}/{}", route.rpc.name())).map_err(|_| Status::unimplemented("unknown method"))?;
    inner.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(caller) = parts.extensions.get::<Caller>() {
        inner.extensions_mut().insert(caller.clone());
    }
    if let Some(actor) = parts.extensions.get::<Actor>() {
        inner.extensions_mut().insert(actor.clone());
    }
    let response = match cloud::service(app).oneshot(inner).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let answered = outcome(response).await?;
    let message = DynamicMessage::decode(route.rpc.output(), answered).map_err(|_| Status::unavailable("an answer without a form"))?;
    let text = serde_json::to_vec(&message).map_err(|_| Status::unavailable("an answer without a form"))?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// The message of a body; unknown members are refused, so that a misspelt one is not taken for absent.
fn message(route: &Route, body: &[u8]) -> Result<DynamicMessage, Status> {
    let input = route.rpc.input();
    if !route.whole_body || body.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(input));
    }
    strict::check_unique(body).map_err(|error| Refused::invalid(format!("the body cannot be read: {error}")))?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let read = DynamicMessage::deserialize_with_options(input, &mut json, &options).and_then(|message| json.end().map(|()| message));
    read.map_err(|error| {
        // The place and the kind, never the value: it may be a secret in the wrong place.
        let text = error.to_string();
        let what = if text.contains("unrecognized field") {
            "it has a member that this method does not know"
        } else {
            "it is no valid JSON of this method"
        };
        Refused::invalid(format!("the body cannot be read: {what} (line {}, column {})", error.line(), error.column())).into()
    })
}

/// A field by its proto or JSON name.
fn field(message: &DynamicMessage, name: &str) -> Option<FieldDescriptor> {
    let descriptor = message.descriptor();
    descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name))
}

/// Refuses a request whose address names one object and whose body or query another: which of the two is meant nobody can say.
fn check_same(message: &DynamicMessage, fields: &[(&[String], String)], other: &str) -> Result<(), Status> {
    for (path, text) in fields {
        if said(message, path).is_some_and(|said| said != *text) {
            let name = crate::error::shown(&path.join("."));
            return Err(Refused::invalid(format!(
                "the address and {other} name two different objects: `{name}` differs; nothing was changed"
            ))
            .hint("leave it out of the body, or write the same as in the address")
            .into());
        }
    }
    Ok(())
}

/// The text of a field, where a message says one.
fn said(message: &DynamicMessage, path: &[String]) -> Option<String> {
    let (name, rest) = path.split_first()?;
    let field = field(message, name)?;
    if !message.has_field(&field) {
        return None;
    }
    match &*message.get_field(&field) {
        Value::Message(inner) => said(inner, rest),
        Value::String(text) if rest.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Sets a field from text, whatever messages lie on the way to it.
fn set(message: &mut DynamicMessage, path: &[String], text: &str) -> Result<(), Status> {
    let unknown = || Status::from(Refused::invalid(format!("there is no parameter `{}` here", crate::error::shown(&path.join(".")))));
    let (name, rest) = path.split_first().ok_or_else(unknown)?;
    let field = field(message, name).ok_or_else(unknown)?;
    if !rest.is_empty() {
        return match message.get_field_mut(&field) {
            Value::Message(inner) => set(inner, rest, text),
            _ => Err(unknown()),
        };
    }
    let wrong = || Status::from(Refused::invalid(format!("the parameter `{name}` has the wrong form")));
    let value = match field.kind() {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bool => Value::Bool(text.parse().map_err(|_| wrong())?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(text.parse().map_err(|_| wrong())?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(text.parse().map_err(|_| wrong())?),
        Kind::Enum(kind) => {
            let number = kind.get_value_by_name(text).map(|value| value.number()).or_else(|| text.parse().ok());
            Value::EnumNumber(number.ok_or_else(wrong)?)
        }
        Kind::Message(kind) => {
            // Times and durations are texts in JSON.
            let mut json = serde_json::Deserializer::from_str(text);
            let quoted = serde_json::Value::String(text.to_owned());
            let read = DynamicMessage::deserialize(kind.clone(), quoted).or_else(|_| DynamicMessage::deserialize(kind, &mut json));
            Value::Message(read.map_err(|_| wrong())?)
        }
        _ => return Err(wrong()),
    };
    if field.is_list() {
        if let Value::List(list) = message.get_field_mut(&field) {
            list.push(value);
        }
    } else {
        message.set_field(&field, value);
    }
    Ok(())
}

fn query(message: &mut DynamicMessage, uri: &Uri) -> Result<(), Status> {
    let unreadable = |_| Status::from(Refused::invalid("the query cannot be read"));
    let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(unreadable)?;
    for (i, (name, value)) in pairs.iter().enumerate() {
        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
        let repeated = field(message, &path[0]).is_some_and(|field| field.is_list());
        if !repeated && pairs[..i].iter().any(|(other, _)| other == name) {
            let text = format!("the query parameter `{}` stands there twice", crate::error::shown(name));
            return Err(Refused::invalid(text).into());
        }
        set(message, &path, value)?;
    }
    Ok(())
}

/// The message of a gRPC answer, or its error.
async fn outcome(response: axum::http::Response<tonic::body::Body>) -> Result<Bytes, Status> {
    let (parts, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Code::Ok
    {
        return Err(status);
    }
    let collected = body.collect().await?;
    if let Some(status) = collected.trailers().and_then(Status::from_header_map)
        && status.code() != Code::Ok
    {
        return Err(status);
    }
    let bytes = collected.to_bytes();
    if bytes.len() < 5 { Err(Status::unavailable("an answer without a message")) } else { Ok(bytes.slice(5..)) }
}

/// An error as this surface says it, with the HTTP status that its number has.
pub fn error(status: &Status) -> Response {
    let http = match status.code() {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let text = serde_json::json!({"code": i32::from(status.code()), "message": status.message(), "details": []}).to_string();
    let mut response = (http, [(CONTENT_TYPE, "application/json")], text).into_response();
    if let Some(code) = status.metadata().get(status::CODE).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(status::CODE, code);
    }
    if http == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response.extensions_mut().insert(AsItIs);
    response
}

/// Every path with its method and the name of its call, for tests and people.
pub fn paths() -> Vec<(String, String, String)> {
    let text = |segments: &[Segment]| {
        let part = |segment: &Segment| match segment {
            Segment::Fixed(text) => text.clone(),
            Segment::Field(path) => format!("{{{}}}", path.join(".")),
        };
        format!("/{}", segments.iter().map(part).collect::<Vec<_>>().join("/"))
    };
    routes().iter().map(|route| (route.method.to_string(), text(&route.segments), route.rpc.name().to_owned())).collect()
}

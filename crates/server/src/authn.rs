//! The one place where a request to the control plane becomes a caller, before anything of its body is read; and where a refused
//! change leaves its entry in the audit trail. What a caller may do is `authz`'s business.

use crate::app::caller::Caller;
use crate::app::effect::Effect;
use crate::app::{App, delegation, refused_changes};
use crate::error::{Refused, RefusedCode, RequestId, shown};
use crate::grpc;
use crate::listener::{self, Peer};
use crate::login::record::Origin;
use crate::login::{session, token};
use crate::rest::{PREFIX, SESSION_COOKIE, body, cookie, is_own_origin, renewal, table::Row};
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_core::admission;
use countersign_core::authz::{Action, Actor};
use countersign_core::credential::api_key::{self, PresentedKey};
use countersign_core::id::{ApiKeyId, OperationId};
use countersign_core::identity::IdentityId;
use countersign_core::{Access, Snapshot};
use countersign_store::SessionKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So long a change waits for others that are under way: clients of Temporal's surfaces try again by themselves, those of REST do not.
const CHANGE_WAITS: Duration = Duration::from_secs(2);
/// What the console says of itself.
const CONSOLE_HEADER: &str = "x-countersign-console";

/// What the layers know.
#[derive(Clone)]
pub struct Gate {
    /// The control plane.
    pub app: Arc<App>,
    /// The operations.
    pub rows: Arc<Vec<Row>>,
}

/// Authenticates everything but the pages that anybody may read.
pub async fn authenticate(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) || grpc::is_open(request.uri().path()) {
        return next.run(request).await;
    }
    match admit(&gate, request, next).await {
        Ok(response) => grpc::status::with_code(response),
        Err(refused) => refused.into_response(),
    }
}

/// Pages that nobody needs a credential for; those of people ask for a session themselves.
fn is_open(path: &str) -> bool {
    const OPEN: [&str; 17] = [
        "/authorize",
        "/",
        "/logout",
        "/device",
        "/invitation",
        "/pages.css",
        "/pages.js",
        "/favicon.ico",
        "/favicon.svg",
        "/robots.txt",
        "/ca.pem",
        "/healthz",
        "/readyz",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs.css",
        "/.well-known/oauth-authorization-server",
    ];
    let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    OPEN.contains(&path)
        || renewal::is_ours(path)
        || below("/console")
        || below("/login")
        || below("/notices")
        || below("/oauth")
        || below("/pki")
        || below("/security")
}

async fn admit(gate: &Gate, mut request: Request, next: Next) -> Result<Response, Refused> {
    let source = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default();
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let (mut caller, actor) = if is_console(&request) {
        let origin = Origin { source, request_id, ..Origin::default() };
        let text = cookie(request.headers(), SESSION_COOKIE).unwrap_or("");
        let current = session::current(&gate.app, SessionKind::Browser, text, &origin).await?.ok_or_else(Refused::session_ended)?;
        (current.caller, current.actor)
    } else {
        identify(&gate.app, request.headers(), source, request_id).await?
    };
    listener::authenticated(request.extensions(), caller.identity.as_str());
    let path = request.uri().path();
    let rpc = if grpc::is_call(request.headers()) {
        Some(grpc::row(path)?)
    } else if grpc::http_json::is_ours(path) {
        Some(grpc::http_json::row(request.method(), path)?)
    } else {
        None
    };
    let called = rpc.is_some();
    // A call's object and its operation's id are inside its message.
    let (row, object, checked) = match rpc {
        Some(row) => {
            let checked = check_narrowed(&caller, &row);
            (row, String::new(), checked)
        }
        None => {
            let (row, object) = find(&gate.rows, request.method(), path)?;
            let (row, object) = (row.clone(), shown(object.unwrap_or("")));
            let requested = check_query(&row, request.uri()).and_then(|requested| operation_id(&row, request.headers(), requested));
            let checked = requested.and_then(|id| {
                caller.operation = id;
                check_narrowed(&caller, &row)
            });
            (row, object, checked)
        }
    };
    if !row.changes {
        checked?;
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(actor);
        return Ok(next.run(request).await);
    }
    // Calls are counted where their services are. What is refused here is not in the trail: a flood must not become writes.
    let under_way = if called || matches!(row.effect, Effect::TakesAway | Effect::Reads) {
        None
    } else {
        match grpc::bound::permit(&gate.app.under_way) {
            Ok(permit) => Some(permit),
            Err(refused) if row.effect == Effect::ByChange && row.method == Method::PATCH => {
                request = only_taking_away(request, refused).await?;
                None
            }
            // A burst is let through one after the other; only what goes on is refused.
            Err(_) => Some(grpc::bound::permit_within(&gate.app.under_way, CHANGE_WAITS).await?),
        }
    };
    // A task of its own: a client that hangs up must not stop a change half-way, nor keep its refusal out of the trail.
    let app = Arc::clone(&gate.app);
    let task = tokio::spawn(async move {
        let _under_way = under_way;
        let response = match checked {
            Ok(()) => {
                caller.effect = row.effect;
                request.extensions_mut().insert(caller.clone());
                request.extensions_mut().insert(actor);
                match row.effect {
                    // Where there is no room for it, nothing of it is begun.
                    Effect::Grants if !app.store.has_reserve() => Refused::from(countersign_store::StoreError::Full).into_response(),
                    Effect::Grants | Effect::Reads => next.run(request).await,
                    Effect::TakesAway | Effect::ByChange => run_on_reserve(&app, &caller, request, next).await,
                }
            }
            Err(refused) => refused.into_response(),
        };
        let refused = refused_code(&response);
        if let Some(code) = &refused {
            app.failures.change(code);
        }
        if let Some(code) = refused
            && let Err(error) = refused_changes::record(&app, &caller, row.action, row.kind, &object, &code).await
        {
            tracing::error!(%error, action = row.action.as_str(), "a refused change could not be recorded in the audit trail");
        }
        response
    });
    task.await.map_err(|error| {
        gate.app.failures.change("unavailable");
        Refused::unavailable(error)
    })
}

/// Whether the console asks, which acts by the browser's session: by our own API, from a page of ours, and with a header that no form
/// and no foreign script can send without being allowed to first. A cookie alone is no credential here.
fn is_console(request: &Request) -> bool {
    let headers = request.headers();
    request.uri().path().strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'))
        && !headers.contains_key(AUTHORIZATION)
        && headers.get(CONSOLE_HEADER).is_some_and(|value| value == "1")
        && is_own_origin(request.uri(), headers)
}

/// The stable code of an answer that refuses, by whichever surface it goes.
fn refused_code(response: &Response) -> Option<String> {
    if let Some(code) = grpc::status::code_of(response) {
        return Some(code);
    }
    let called = response.headers().get("grpc-status").is_some_and(|status| status != "0");
    let failed = called || response.status().is_client_error() || response.status().is_server_error();
    failed.then(|| response.extensions().get::<RefusedCode>().map_or("invalid_argument", |code| code.0).to_owned())
}

/// Whether a body alone tells that it only takes access away: a key is disabled, or a user or service account is given a low role or no
/// permission. Such a PATCH is let past a flood of other changes; whether it may use the reserve is decided by what it changes.
fn takes_away_by_body(bytes: &[u8]) -> bool {
    let Ok(serde_json::Value::Object(mut members)) = serde_json::from_slice(bytes) else { return false };
    members.remove("resourceVersion");
    let none = |value: &serde_json::Value| value.as_object().is_some_and(serde_json::Map::is_empty) || value == &serde_json::json!([]);
    !members.is_empty()
        && members.iter().all(|(name, value)| match name.as_str() {
            "disabled" => value == true,
            "accountRole" => value == "metrics_read" || value == "read",
            "namespacePermissions" | "customRoles" => none(value),
            _ => false,
        })
}

/// Lets a change go on only if its body takes access away, which nobody's flood of other changes may keep out.
async fn only_taking_away(request: Request, refused: Refused) -> Result<Request, Refused> {
    let (parts, body) = request.into_parts();
    let bytes = body::whole(body).await?;
    if takes_away_by_body(&bytes) { Ok(Request::from_parts(parts, Body::from(bytes))) } else { Err(refused) }
}

/// Runs a change that takes access away, or may. One that found no room is made once more when the space that is kept back for it was
/// spent. A body that is larger than others may be is not kept for that.
async fn run_on_reserve(app: &App, caller: &Caller, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let large = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if large.is_some_and(|bytes| bytes > body::BODY_BYTES_MAX) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let bytes = match body::whole(body).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused.into_response(),
    };
    let again = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let response = next.clone().run(Request::from_parts(parts, Body::from(bytes))).await;
    let full = refused_code(&response).is_some_and(|code| code == "disk_full");
    let takes_away = caller.effect == Effect::TakesAway || caller.again.load(Ordering::Relaxed);
    if full && takes_away && app.store.spend_reserve() {
        tracing::warn!("the disk is full; a change that takes access away goes through on the space kept back for it");
        return next.run(again).await;
    }
    response
}

/// The caller, by his API key, on the same predicate as the gateways', or by a login's access token. Whatever is wrong with a key,
/// the answer is one.
async fn identify(app: &App, headers: &HeaderMap, source: String, request_id: String) -> Result<(Caller, Actor), Refused> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Err(Refused::unauthenticated());
    };
    if given.next().is_some() {
        return Err(Refused::invalid_api_key());
    }
    let text = value.to_str().map_err(|_| Refused::invalid_api_key())?;
    let text = match text.split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
        _ => return Err(Refused::unauthenticated()),
    };
    if text.starts_with(token::ACCESS) {
        let origin = Origin { source, request_id, ..Origin::default() };
        let current = session::current(app, SessionKind::Tool, text, &origin).await?.ok_or_else(Refused::session_ended)?;
        return Ok((current.caller, current.actor));
    }
    let key = PresentedKey::parse(text).ok_or_else(Refused::invalid_api_key)?;
    let (snapshot, now) = (app.snapshot(), app.now());
    let (entry, access) = admission::authenticate(&snapshot, &key, now).map_err(|_| Refused::invalid_api_key())?;
    app.usage.note_key(key.id.as_str(), now, &source);
    let caller = Caller::by_key(key.id, entry, source, request_id, None);
    let actor = actor(&snapshot, caller.identity.clone(), access, caller.credential.clone());
    Ok((caller, actor))
}

/// One who asks, with the rights of this snapshot.
pub fn actor(snapshot: &Snapshot, identity: IdentityId, access: &Access, credential: Option<ApiKeyId>) -> Actor {
    let custom_roles = access.custom_roles.iter().filter_map(|id| snapshot.custom_role(id).cloned()).collect();
    Actor { identity, name: String::new(), access: access.clone(), custom_roles, credential }
}

/// The operation of a request.
fn find<'r, 'p>(rows: &'r [Row], method: &Method, path: &'p str) -> Result<(&'r Row, Option<&'p str>), Refused> {
    // HEAD is GET without the body (RFC 9110 section 9.3.2).
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    for row in rows {
        if let Some(object) = row.matches(path) {
            if row.method == *method {
                return Ok((row, object));
            }
            allowed.push(row.method.as_str());
        }
    }
    if allowed.is_empty() {
        return Err(Refused::new("not_found", "there is nothing at this address")
            .hint(format!("what there is below {PREFIX} is listed at /api/docs")));
    }
    Err(Refused::new("method_not_allowed", format!("this address takes {}", allowed.join(", "))))
}

/// Refuses unknown and repeated query parameters: a misspelt filter must not read as none. Gives the operation id, if there is one.
fn check_query(row: &Row, uri: &Uri) -> Result<Option<String>, Refused> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| Refused::invalid("the query cannot be read"))?;
    for (i, (name, _)) in pairs.iter().enumerate() {
        if !row.query.contains(name) {
            let known = if row.query.is_empty() { "none".to_owned() } else { row.query.join(", ") };
            return Err(Refused::invalid(format!("there is no query parameter `{}` here; known are: {known}", shown(name))));
        }
        if pairs[..i].iter().any(|(other, _)| other == name) {
            return Err(Refused::invalid(format!("the query parameter `{}` stands there twice", shown(name))));
        }
    }
    Ok(pairs.into_iter().find(|(name, _)| name == "requestId").map(|(_, value)| value).filter(|value| !value.is_empty()))
}

/// The operation id a caller chose, by header or by parameter.
fn operation_id(row: &Row, headers: &HeaderMap, requested: Option<String>) -> Result<Option<OperationId>, Refused> {
    if !row.changes {
        return Ok(None);
    }
    let unreadable = || Refused::invalid("an operation id (Idempotency-Key, requestId) has 1 to 128 of A-Z a-z 0-9 - _ . :");
    let header = match headers.get("idempotency-key") {
        None => None,
        // The draft of the header field quotes its value; most clients do not.
        Some(value) => Some(value.to_str().map_err(|_| unreadable())?.trim().trim_matches('"').to_owned()),
    };
    let text = match (header, requested) {
        (Some(a), Some(b)) if a != b => return Err(Refused::invalid("Idempotency-Key and requestId name two operations")),
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Ok(None),
    };
    if text.contains(api_key::PREFIX) {
        return Err(Refused::invalid("an operation id must not hold an API key: it is stored and shown"));
    }
    OperationId::parse(&text).map(Some).map_err(|_| unreadable())
}

/// A key that is narrowed to APIs is for those: here it only sees who it is and makes its own successor (promise P12).
fn check_narrowed(caller: &Caller, row: &Row) -> Result<(), Refused> {
    if matches!(row.action, Action::GetCurrentIdentity | Action::GetAsyncOperation) {
        return Ok(());
    }
    delegation::check_change(caller, row.action)
}

#[cfg(test)]
mod tests {
    use super::takes_away_by_body;

    #[test]
    fn what_takes_away_is_told_from_what_gives_by_the_body() {
        for taking in [
            r#"{"disabled": true}"#,
            r#"{"disabled": true, "resourceVersion": "3"}"#,
            r#"{"accountRole": "read", "namespacePermissions": {}}"#,
        ] {
            assert!(takes_away_by_body(taking.as_bytes()), "{taking}");
        }
        for other in [r#"{"disabled": false}"#, r#"{"disabled": true, "name": "x"}"#, r#"{"accountRole": "admin"}"#, "{}", "[]", "x"] {
            assert!(!takes_away_by_body(other.as_bytes()), "{other}");
        }
    }
}

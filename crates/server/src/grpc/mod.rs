//! gRPC: Temporal's Cloud Ops API, the services of `tcld`, and what their clients ask before. Thin views of the use cases in `app`; no
//! rule lives here, and nothing is decoded before its sender is known.

pub(crate) mod bound;
pub mod cloud;
pub mod http_json;
mod open;
pub mod status;
pub mod tcld;

use crate::app::App;
use crate::app::caller::Caller;
use crate::app::effect::Effect;
use crate::error::Refused;
use crate::rest::table::Row;
use axum::Router;
use axum::http::{HeaderMap, Method, header::CONTENT_TYPE};
use axum::middleware::from_fn_with_state;
use countersign_core::authz::{Action, Actor};
use countersign_core::id::OperationId;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The Cloud Ops API.
pub const CLOUD: &str = "temporal.api.cloud.cloudservice.v1.CloudService";

/// Where a client says which version of the Cloud Ops API it speaks.
pub const VERSION: &str = "temporal-cloud-api-version";

/// Looks at the version a client says it speaks. Every version is served the same, and none need be named; what can be no version is a
/// header set by mistake, a key in the wrong place for example, and is not repeated.
///
/// # Errors
/// `invalid_argument` for a text that is neither a number (`v0.17.1`) nor a date (`2025-07-09-00`), or for two of them.
pub fn check_version(headers: &HeaderMap) -> Result<(), Refused> {
    let mut given = headers.get_all(VERSION).iter();
    let Some(value) = given.next() else { return Ok(()) };
    let text = value.to_str().unwrap_or("");
    let number = text.strip_prefix('v').unwrap_or(text);
    let separated =
        number.split(['.', '-']).take(2).filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).count() == 2;
    let plain = text.len() <= 64 && number.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b));
    if separated && plain && given.next().is_none() {
        return Ok(());
    }
    let text = format!("{VERSION} is one version, as v0.17.1 or 2025-07-09-00; what came is none");
    Err(Refused::invalid(text).hint("set it to the version your client was made for, or leave it out"))
}

/// What a method is in the table of rights: the action, the kind of its object, what it does to access.
pub type Meaning = (Action, &'static str, Effect);

/// A method's row.
pub fn row_of(method: Method, (action, kind, effect): Meaning) -> Row {
    Row { method, segments: Vec::new(), action, kind, changes: effect != Effect::Reads, effect, query: Vec::new() }
}

/// Whether a request is a call.
pub fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// A call's row: what the one way in needs to know of it.
///
/// # Errors
/// `unimplemented`, in the words that clients look for.
pub fn row(path: &str) -> Result<Row, Refused> {
    let unknown = |text: String| Refused::new("unimplemented", text);
    let (service, method) = path
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .ok_or_else(|| unknown(format!("unknown service {}", crate::error::shown(path))))?;
    let meaning = match service {
        CLOUD => cloud::meaning(method),
        _ if tcld::SERVICES.contains(&service) => tcld::meaning(service, method),
        _ => return Err(unknown(format!("unknown service {}", crate::error::shown(service)))),
    };
    let meaning = meaning.ok_or_else(|| unknown(format!("unknown method {} for service {service}", crate::error::shown(method))))?;
    Ok(row_of(Method::POST, meaning))
}

/// Whether a call may come from anybody: what server this is, whether it lives, what it serves.
pub fn is_open(path: &str) -> bool {
    path == open::SYSTEM_INFO || path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")
}

/// Every service, to be put beside the REST surface.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let calls = Router::new().merge(cloud::router(app)).merge(tcld::router(app)).merge(http_json::router());
    Router::new().merge(open::router()).merge(calls.layer(from_fn_with_state(Arc::clone(&app.under_way), bound::hold)))
}

/// One call, its sender known.
pub struct Call {
    /// The control plane.
    pub app: Arc<App>,
    /// Who calls.
    pub caller: Caller,
    /// With which rights.
    pub actor: Actor,
}

impl Call {
    /// Decides on a right to the account as a whole, where no use case does.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn decide(&self, action: Action) -> Result<(), Refused> {
        crate::app::decide(&self.actor, action, countersign_core::authz::Target::Account).map(drop)
    }

    /// The caller with the operation id he chose, if he did.
    ///
    /// # Errors
    /// `invalid_argument` for a text that can be none.
    pub fn operation(&self, id: &str) -> Result<Caller, Refused> {
        let mut caller = self.caller.clone();
        if !id.is_empty() {
            if id.contains(countersign_core::credential::api_key::PREFIX) {
                return Err(Refused::invalid("an operation id must not hold an API key: it is stored and shown"));
            }
            let unreadable = |_| Refused::invalid("an operation id has 1 to 128 of A-Z a-z 0-9 - _ . :");
            caller.operation = Some(OperationId::parse(id).map_err(unreadable)?);
        }
        Ok(caller)
    }
}

/// Hands a call to its use case. The layer that authenticates has left caller and actor among the extensions.
async fn handle<Q, R, F, Fut>(app: &Arc<App>, mut request: Request<Q>, work: F) -> Result<Response<R>, Status>
where
    F: FnOnce(Call, Q) -> Fut,
    Fut: Future<Output = Result<R, Refused>>,
{
    let caller = request.extensions_mut().remove::<Caller>();
    let actor = request.extensions_mut().remove::<Actor>();
    let (Some(caller), Some(actor)) = (caller, actor) else {
        return Err(Refused::unauthenticated().into());
    };
    let call = Call { app: Arc::clone(app), caller, actor };
    Ok(Response::new(work(call, request.into_inner()).await?))
}

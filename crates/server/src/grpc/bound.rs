//! What is looked at before a call of a known sender reaches its service: the version he says he speaks, and how many changes are under
//! way already. No right is decided here.

use super::{check_version, http_json, is_call, row, status};
use crate::app::effect::Effect;
use crate::error::Refused;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many changes may be under way at once, on all surfaces together. Each waits up to a second for the gateways'
/// confirmation; what takes access away is not counted, so that nobody can keep it out by a flood of other changes.
pub const CHANGES_AT_ONCE: usize = 64;

/// Lets a call through, with a permit for as long as it lasts if it changes something.
pub async fn hold(State(under_way): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let call = is_call(request.headers());
    match permitted(&under_way, &request, call) {
        Ok(permit) => {
            let response = next.run(request).await;
            drop(permit);
            response
        }
        Err(refused) if call => status::response(refused.into()),
        Err(refused) => http_json::error(&refused.into()),
    }
}

fn permitted(under_way: &Arc<Semaphore>, request: &Request, call: bool) -> Result<Option<OwnedSemaphorePermit>, Refused> {
    check_version(request.headers())?;
    let path = request.uri().path();
    let row = if call { row(path)? } else { http_json::row(request.method(), path)? };
    if matches!(row.effect, Effect::Reads | Effect::TakesAway) {
        return Ok(None);
    }
    permit(under_way).map(Some)
}

/// One more change, or a refusal that tools understand: they wait and try again.
///
/// # Errors
/// `rate_limited`.
pub(crate) fn permit(under_way: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refused> {
    Arc::clone(under_way).try_acquire_owned().map_err(|_| full())
}

/// As [`permit`], after waiting so long at most.
///
/// # Errors
/// `rate_limited`.
pub(crate) async fn permit_within(under_way: &Arc<Semaphore>, wait: Duration) -> Result<OwnedSemaphorePermit, Refused> {
    let waited = tokio::time::timeout(wait, Arc::clone(under_way).acquire_owned()).await;
    waited.ok().and_then(Result::ok).ok_or_else(full)
}

fn full() -> Refused {
    let text = format!("{CHANGES_AT_ONCE} changes are under way, as many as may be at once; nothing was changed");
    Refused::new("rate_limited", text).hint("try again in a second, with the same operation id")
}

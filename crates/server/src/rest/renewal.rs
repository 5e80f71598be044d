//! `/certificates/renewal`: open to whoever can sign with a certificate's key, so it stands beside the table of operations, whose
//! rows all ask for a credential first.

use super::PREFIX;
use super::body::Body;
use crate::app::{App, renewal};
use crate::error::Refused;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use countersign_proto::rest::{AskRenewal, RenewalChallenge};
use std::sync::Arc;

/// The addresses.
const PATHS: [&str; 1] = ["/certificates/renewal/challenge"];

/// Whether an address takes a signature in place of a credential.
pub(crate) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|path| PATHS.contains(&path))
}

pub(super) fn router() -> Router<Arc<App>> {
    let [challenge] = PATHS.map(|path| format!("{PREFIX}{path}"));
    Router::new().route(&challenge, post(ask))
}

async fn ask(State(app): State<Arc<App>>, Body(body): Body<AskRenewal>) -> Result<Json<RenewalChallenge>, Refused> {
    renewal::ask(&app, body).await.map(Json)
}

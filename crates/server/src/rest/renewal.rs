//! `/certificates/renewal`: open to whoever can sign with a certificate's key. So it stands beside the table of operations, whose
//! rows all ask for a credential first; in the document it stands among them.

use super::PREFIX;
use super::body::Body;
use super::table::{Entry, entry};
use crate::app::{App, renewal};
use crate::error::Refused;
use axum::extract::State;
use axum::http::Method;
use axum::{Json, Router};
use countersign_core::authz::Action;
use countersign_proto::rest::{AskRenewal, RenewalChallenge};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Certificates", "certificate");
/// Its addresses below the prefix.
const PATHS: [&str; 1] = ["/certificates/renewal/challenge"];

pub(super) fn table() -> Vec<Entry> {
    let [challenge] = PATHS;
    vec![
        entry(
            Method::POST,
            challenge,
            Action::RotateCertificate,
            NOUN,
            "askRenewal",
            "A text to sign with the key of the certificate to renew; needs no credential",
            ask,
        )
        .takes::<AskRenewal>()
        .gives::<RenewalChallenge>(),
    ]
}

/// Whether an address takes a signature in place of a credential.
pub(crate) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|path| PATHS.contains(&path))
}

pub(super) fn router() -> Router<Arc<App>> {
    table().into_iter().fold(Router::new(), |router, entry| router.route(&format!("{PREFIX}{}", entry.path), entry.handler))
}

async fn ask(State(app): State<Arc<App>>, Body(body): Body<AskRenewal>) -> Result<Json<RenewalChallenge>, Refused> {
    renewal::ask(&app, body).await.map(Json)
}

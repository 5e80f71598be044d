//! `/certificates/renewal`: open to whoever can sign with a certificate's key. So it stands beside the table of operations, whose
//! rows all ask for a credential first; in the document it stands among them.

use super::PREFIX;
use super::body::Body;
use super::table::{Entry, entry};
use crate::app::App;
use crate::app::renewal::{self, Origin};
use crate::error::{Refused, RequestId};
use crate::listener::Peer;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::{Json, Router};
use countersign_core::authz::Action;
use countersign_proto::rest::{AskRenewal, RenewCertificate, RenewalChallenge, RenewedCertificate};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Certificates", "certificate");
/// Its addresses below the prefix.
const PATHS: [&str; 2] = ["/certificates/renewal/challenge", "/certificates/renewal"];

pub(super) fn table() -> Vec<Entry> {
    let [challenge, renewal] = PATHS;
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
        .reads()
        .takes::<AskRenewal>()
        .gives::<RenewalChallenge>(),
        entry(
            Method::POST,
            renewal,
            Action::RotateCertificate,
            NOUN,
            "renewCertificate",
            "The successor of a certificate, for a signature by its key; needs no credential",
            renew,
        )
        .grants()
        .takes::<RenewCertificate>()
        .creates::<RenewedCertificate>(),
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

async fn renew(
    State(app): State<Arc<App>>,
    parts: Parts,
    Body(body): Body<RenewCertificate>,
) -> Result<(StatusCode, Json<RenewedCertificate>), Refused> {
    let origin = Origin {
        source: parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default(),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
    };
    // A task of its own: a client that hangs up must not stop an issuance half-way.
    let task = tokio::spawn(async move { renewal::renew(&app, &origin, body).await });
    task.await.map_err(Refused::unavailable)?.map(|made| (StatusCode::CREATED, Json(made)))
}

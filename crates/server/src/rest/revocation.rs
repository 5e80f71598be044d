//! Below `/certificates`: ending them before their time.

use super::body::Body;
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, revocation};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::{Extension, Json};
use countersign_core::authz::Action;
use countersign_proto::rest::{Changed, RevokeCertificate};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Certificates", "certificate");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::POST,
            "/certificates/{id}/revoke",
            Action::RevokeCertificate,
            NOUN,
            "revokeCertificate",
            "Revoke for ever; connections by it end",
            revoke,
        )
        .takes::<RevokeCertificate>()
        .gives::<Changed>(),
    ]
}

async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<RevokeCertificate>,
) -> Result<Json<Changed>, Refused> {
    revocation::revoke(&app, &caller, &id, body).await.map(Json)
}

//! Below `/certificates` and `/revocations`: ending certificates before their time.

use super::body::Body;
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, revocation};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::{Extension, Json};
use countersign_core::authz::Action;
use countersign_proto::rest::{Changed, RevokeCertificate, RevokeCertificates, Revoked};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Certificates", "certificate");

pub(super) fn table() -> Vec<Entry> {
    let row = |path, name, summary| (Method::POST, path, Action::RevokeCertificate, NOUN, name, summary);
    let (method, path, action, noun, name, what) =
        row("/certificates/{id}/revoke", "revokeCertificate", "Revoke for ever, or put on hold; connections by it end");
    let one = entry(method, path, action, noun, name, what, revoke).takes_away().takes::<RevokeCertificate>().gives::<Revoked>();
    let (method, path, action, noun, name, what) = row("/certificates/{id}/release", "releaseCertificate", "Take off its hold");
    let release = entry(method, path, action, noun, name, what, release).grants().gives::<Changed>();
    let (method, path, action, noun, name, what) = row(
        "/revocations",
        "revokeCertificates",
        "Revoke by serial number, fingerprint, certificate, compromised key, owner or application; or say what would be revoked",
    );
    let many = entry(method, path, action, noun, name, what, revoke_where).takes_away().takes::<RevokeCertificates>().gives::<Revoked>();
    vec![one, release, many]
}

async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<RevokeCertificate>,
) -> Result<Json<Revoked>, Refused> {
    revocation::revoke(&app, &caller, &id, body).await.map(Json)
}

async fn release(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Changed>, Refused> {
    revocation::release(&app, &caller, &id).await.map(Json)
}

async fn revoke_where(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RevokeCertificates>,
) -> Result<Json<Revoked>, Refused> {
    revocation::revoke_where(&app, &caller, body).await.map(Json)
}

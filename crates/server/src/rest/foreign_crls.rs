//! Below `/namespaces/{id}/accepted-client-cas/{fingerprint}`: leaves that are kept out, and the CA's own revocation list.

use super::body::{Asked, Body, long};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, foreign_crls};
use crate::error::Refused;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{Changed, ForeignCrlBody, ForeignCrlTaken, LeafQuery, RevokeLeaf, RevokedLeaves, SetForeignCrl};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Namespaces", "namespace");
/// Bytes of a request that carries a revocation list: some three hundred thousand entries in base64.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/namespaces/{id}/accepted-client-cas/{fingerprint}/revoked-leaves",
            Action::GetNamespace,
            NOUN,
            "listRevokedLeaves",
            "The leaves of an accepted CA that are kept out",
            list,
        )
        .gives::<RevokedLeaves>(),
        entry(
            Method::POST,
            "/namespaces/{id}/accepted-client-cas/{fingerprint}/revoked-leaves",
            Action::BlockLeaf,
            NOUN,
            "revokeLeaf",
            "Keep a leaf of an accepted CA out; connections by it end",
            revoke,
        )
        .takes_away()
        .takes::<RevokeLeaf>()
        .creates::<Changed>(),
        entry(
            Method::DELETE,
            "/namespaces/{id}/accepted-client-cas/{fingerprint}/revoked-leaves/{serial}",
            Action::BlockLeaf,
            NOUN,
            "restoreLeaf",
            "Let a leaf in again that was revoked here",
            restore,
        )
        .grants()
        .asks::<LeafQuery>()
        .gives::<Changed>(),
        entry(
            Method::GET,
            "/namespaces/{id}/accepted-client-cas/{fingerprint}/crl",
            Action::GetNamespace,
            NOUN,
            "getForeignCrl",
            "The revocation list of an accepted CA that is applied",
            get_crl,
        )
        .gives::<ForeignCrlBody>(),
        entry(
            Method::POST,
            "/namespaces/{id}/accepted-client-cas/{fingerprint}/crl",
            Action::BlockLeaf,
            NOUN,
            "setForeignCrl",
            "Take in the revocation list of an accepted CA, or say what a stale one does",
            set_crl,
        )
        .takes_away()
        .takes::<SetForeignCrl>()
        .gives::<ForeignCrlTaken>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path((id, fingerprint)): Path<(String, String)>,
) -> Result<Json<RevokedLeaves>, Refused> {
    foreign_crls::revoked_leaves(&app, &actor, &id, &fingerprint).await.map(Json)
}

async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, fingerprint)): Path<(String, String)>,
    Body(body): Body<RevokeLeaf>,
) -> Result<(StatusCode, Json<Changed>), Refused> {
    foreign_crls::revoke_leaf(&app, &caller, &id, &fingerprint, body).await.map(|changed| (StatusCode::CREATED, Json(changed)))
}

async fn restore(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((id, fingerprint, serial)): Path<(String, String, String)>,
    Asked(query): Asked<LeafQuery>,
) -> Result<Json<Changed>, Refused> {
    foreign_crls::restore_leaf(&app, &caller, &id, &fingerprint, &serial, query.issuer.as_deref()).await.map(Json)
}

async fn get_crl(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path((id, fingerprint)): Path<(String, String)>,
) -> Result<Json<ForeignCrlBody>, Refused> {
    foreign_crls::get_crl(&app, &actor, &id, &fingerprint).await.map(Json)
}

async fn set_crl(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(actor): Extension<Actor>,
    Path((id, fingerprint)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ForeignCrlTaken>, Refused> {
    let body: SetForeignCrl = long(request, LIST_BYTES_MAX).await?;
    foreign_crls::set_crl(&app, &caller, &actor, &id, &fingerprint, body).await.map(Json)
}

//! `/current-identity` and `/account`.

use super::table::{Entry, entry};
use crate::app::accounts as app;
use crate::app::{App, caller::Caller};
use crate::error::Refused;
use axum::extract::State;
use axum::http::Method;
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{AccountBody, Changed, CurrentIdentity};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Account", "account");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/current-identity",
            Action::GetCurrentIdentity,
            NOUN,
            "getCurrentIdentity",
            "Who the caller is, and with which rights",
            current_identity,
        )
        .gives::<CurrentIdentity>(),
        entry(Method::GET, "/account", Action::GetAccount, NOUN, "getAccount", "The account and its gateway", get).gives::<AccountBody>(),
        entry(
            Method::POST,
            "/account/api-keys/disable-creation",
            Action::UpdateAccount,
            NOUN,
            "disableApiKeyCreation",
            "Refuse new API keys; those that exist go on working",
            disable,
        )
        .takes_away()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/account/api-keys/enable-creation",
            Action::UpdateAccount,
            NOUN,
            "enableApiKeyCreation",
            "Allow new API keys again",
            enable,
        )
        .grants()
        .gives::<Changed>(),
    ]
}

async fn current_identity(State(at): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Json<CurrentIdentity>, Refused> {
    app::current_identity(&at, &caller).await.map(Json)
}

async fn get(State(at): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<AccountBody>, Refused> {
    app::get(&at, &actor).await.map(Json)
}

async fn disable(State(at): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Json<Changed>, Refused> {
    app::set_api_key_creation(&at, &caller, true).await.map(Json)
}

async fn enable(State(at): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Json<Changed>, Refused> {
    app::set_api_key_creation(&at, &caller, false).await.map(Json)
}

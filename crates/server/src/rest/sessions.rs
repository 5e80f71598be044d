//! `/sessions`, and invitations of `/users/{id}/invitation`.

use super::body::Asked;
use super::table::{Entry, entry};
use crate::app::App;
use crate::app::caller::Caller;
use crate::error::Refused;
use crate::login::{invite, sessions};
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{Changed, InvitationBody, Page, SessionBody, SessionQuery};
use std::sync::Arc;

const SESSION: (&str, &str) = ("Sessions", "session");

pub(super) fn table() -> Vec<Entry> {
    vec![
        entry(
            Method::GET,
            "/sessions",
            Action::GetSessions,
            SESSION,
            "listSessions",
            "Logins of people: one's own, or all for admins",
            list,
        )
        .asks::<SessionQuery>()
        .lists::<SessionBody>(),
        entry(
            Method::DELETE,
            "/sessions/{id}",
            Action::EndSession,
            SESSION,
            "endSession",
            "End a login; its tokens open nothing more",
            end,
        )
        .takes_away()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/users/{id}/invitation",
            Action::InviteUser,
            ("Users", "user"),
            "inviteUser",
            "Make a new address at which a user sets a password",
            invite_again,
        )
        .grants()
        .creates::<InvitationBody>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<SessionQuery>,
) -> Result<Json<Page<SessionBody>>, Refused> {
    sessions::list(&app, &caller, &actor, &query).await.map(Json)
}

async fn end(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>, Path(id): Path<String>) -> Result<Json<Changed>, Refused> {
    sessions::end(&app, &caller, &id).await.map(Json)
}

async fn invite_again(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<InvitationBody>), Refused> {
    invite::again(&app, &caller, &id).await.map(|made| (StatusCode::CREATED, Json(made)))
}

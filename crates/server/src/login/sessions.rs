//! Sessions as their users and admins see them: listed and ended.

use super::session;
use crate::app::caller::Caller;
use crate::app::rights;
use crate::app::unit::{Begun, Done, Unit};
use crate::app::{App, decide, page};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::id::{SessionId, UserId};
use countersign_core::identity::IdentityId;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, Page, SessionBody, SessionQuery};
use countersign_store::SessionRow;

/// As it is shown. `own` is the session that asks.
pub fn body(row: &SessionRow, own: Option<&SessionId>) -> SessionBody {
    let end = if row.refresh_digest.is_some() { row.expires_at } else { row.expires_at.min(row.last_seen_at.plus(session::BROWSER_IDLE)) };
    SessionBody {
        id: row.id.to_string(),
        user_id: row.user.to_string(),
        kind: row.kind.as_str().to_owned(),
        program: row.agent.clone(),
        source: row.source.clone(),
        created_time: convert::time(row.created_at),
        last_seen_time: convert::time(row.last_seen_at),
        expiry_time: convert::time(end),
        current: own == Some(&row.id),
    }
}

/// Sessions of one user; without a user an admin's answer is all there are, anybody else's his own.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn list(app: &App, caller: &Caller, actor: &Actor, query: &SessionQuery) -> Result<Page<SessionBody>, Refused> {
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let admin = actor.access.account_role.administers_every_namespace();
    let wanted = match (&query.user_id, &actor.identity) {
        (Some(text), _) => Some(UserId::parse(text).map_err(|_| Refused::not_found("user", text))?),
        (None, _) if admin => None,
        (None, IdentityId::User(user)) => Some(user.clone()),
        // A machine has no sessions.
        (None, _) => return Ok(Page { items: Vec::new(), next_page_token: String::new() }),
    };
    if let Some(user) = &wanted {
        decide(actor, Action::GetSessions, Target::CredentialOf(&IdentityId::User(user.clone()), None))?;
    }
    let now = app.now();
    let found = app.store.read().await?.sessions(wanted.as_ref(), now, now.minus(session::BROWSER_IDLE), &page::one_more(&asked)).await?;
    Ok(page::cut(found, &asked, |row| row.id.to_string(), |row| body(&row, caller.session.as_ref())))
}

/// Ends a session: one's own, or anybody's for admins; an owner's is an owner's matter.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn end(app: &App, caller: &Caller, text: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::EndSession, &text).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let absent = || Refused::not_found("session", text);
    let id = SessionId::parse(text).map_err(|_| absent())?;
    let row = unit.write.session(&id).await?.ok_or_else(absent)?;
    let owner = IdentityId::User(row.user.clone());
    // Whose sessions one may not even see are not there.
    unit.decide(Action::EndSession, Target::CredentialOf(&owner, None)).map_err(|_| absent())?;
    if owner != unit.actor.identity
        && let Some(rights) = rights::of(&mut unit.write, &owner).await?
        && unit.decide_owner(&rights.access).is_err()
    {
        return Err(Refused::forbidden("an Account Owner's session is ended by Account Owners alone"));
    }
    unit.write.end_session(&id).await?;
    // What was begun from it and not finished yet ends too: an approved device, a code, half a login.
    unit.write.end_pending_logins(&row.user).await?;
    let before = serde_json::to_value(body(&row, None)).ok();
    let operation = unit.commit(Done { kind: "session", id: text, before, after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

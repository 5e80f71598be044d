//! Sessions: begun, looked up on every request, renewed, ended. They are kept in the store as digests; what their user may do is
//! read from the snapshot each time, so that a deleted user or a right taken away counts at once.

use super::record::{Event, Origin};
use super::token;
use crate::app::App;
use crate::app::caller::Caller;
use crate::error::Refused;
use countersign_core::authz::Actor;
use countersign_core::id::{SessionId, UserId};
use countersign_core::identity::IdentityId;
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_store::{Page, SessionKind, SessionRow, Write};
use serde_json::json;

/// How long a browser's session lives without a request.
pub const BROWSER_IDLE: Lifetime = Lifetime::from_seconds(30 * 60);
/// How long it lives at all.
pub const BROWSER_LIFE: Lifetime = Lifetime::from_seconds(8 * 60 * 60);
/// How long a tool's access token is good.
pub const ACCESS_LIFE: Lifetime = Lifetime::from_seconds(60 * 60);
/// How long its refresh token is; each renewal begins it anew.
pub const REFRESH_LIFE: Lifetime = Lifetime::from_days(30);
/// How long a tool may renew at all before its user logs in again.
pub const TOOL_LIFE: Lifetime = Lifetime::from_days(365);
/// Sessions of one user at a time; the one that was quiet longest gives way.
const SESSIONS_OF_ONE_MAX: usize = 100;
/// `last_seen_at` is at most this old, so that not every request writes.
const SEEN_EVERY: Lifetime = Lifetime::from_seconds(60);

/// The tokens of a tool, shown once.
pub struct Tokens {
    /// The session.
    pub session: SessionId,
    /// For the next hour.
    pub access: Secret,
    /// For one renewal.
    pub refresh: Secret,
}

/// A session that is good now.
pub struct Current {
    /// The session.
    pub row: SessionRow,
    /// Who asks, for the use cases.
    pub caller: Caller,
    /// His rights of this moment.
    pub actor: Actor,
}

fn event<'e>(user: (&'e UserId, &'e str), action: &'static str, row: &'e SessionRow, how: &str) -> Event<'e> {
    let after = json!({"kind": row.kind.as_str(), "program": row.agent, "by": how});
    Event { who: Some(user), action, object: ("session", row.id.as_str()), result: "ok", after: Some(after) }
}

/// Begins a browser's session: its id and the cookie's text. `epoch` is the one of the user's logins at the proof; `how` says by
/// which proof, for the audit trail.
///
/// # Errors
/// When the user is gone, the epoch has moved since, or the store fails.
pub async fn open_browser(
    app: &App,
    write: &mut Write<'_>,
    user: &UserId,
    epoch: i64,
    origin: &Origin,
    how: &str,
) -> Result<(SessionId, Secret), Refused> {
    let now = app.now();
    let id = SessionId::mint(&*app.entropy);
    let (text, digest) = token::mint(token::BROWSER, id.as_str(), &*app.entropy);
    let row = SessionRow {
        id,
        user: user.clone(),
        kind: SessionKind::Browser,
        digest,
        refresh_digest: None,
        refresh_key: None,
        client: String::new(),
        epoch,
        created_at: now,
        last_seen_at: now,
        access_until: now.plus(BROWSER_LIFE),
        expires_at: now.plus(BROWSER_LIFE),
        source: origin.source.clone(),
        agent: origin.agent.clone(),
    };
    begin(write, &row, origin, how).await?;
    Ok((row.id, text))
}

/// Whom a tool's session is for, as its user approved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The user.
    pub user: UserId,
    /// The epoch of the user's logins at the approval.
    pub epoch: i64,
}

/// Begins a tool's session in a transaction of its own; `None` when logins of its user were ended since the approval.
///
/// # Errors
/// When the store fails.
pub async fn open_tool(app: &App, approval: &Approval, client: &str, origin: &Origin, how: &str) -> Result<Option<Tokens>, Refused> {
    let Approval { user, epoch } = approval;
    let now = app.now();
    let id = SessionId::mint(&*app.entropy);
    let mut refresh_key = [0; 32];
    app.entropy.fill(&mut refresh_key);
    let (access, digest) = token::mint(token::ACCESS, id.as_str(), &*app.entropy);
    let (refresh, refresh_digest) = token::mint_refresh(id.as_str(), &refresh_key, &*app.entropy);
    let row = SessionRow {
        id: id.clone(),
        user: user.clone(),
        kind: SessionKind::Tool,
        digest,
        refresh_digest: Some(refresh_digest),
        refresh_key: Some(refresh_key),
        client: client.to_owned(),
        epoch: *epoch,
        created_at: now,
        last_seen_at: now,
        access_until: now.plus(ACCESS_LIFE),
        expires_at: now.plus(REFRESH_LIFE),
        source: origin.source.clone(),
        agent: origin.agent.clone(),
    };
    let mut write = app.store.begin().await?;
    if write.login_epoch(user).await? != Some(*epoch) {
        return Ok(None);
    }
    begin(&mut write, &row, origin, how).await?;
    write.commit_without_revision().await?;
    Ok(Some(Tokens { session: id, access, refresh }))
}

async fn begin(write: &mut Write<'_>, row: &SessionRow, origin: &Origin, how: &str) -> Result<(), Refused> {
    let user = write.user(&row.user).await?.ok_or_else(Refused::session_ended)?;
    if write.login_epoch(&row.user).await? != Some(row.epoch) {
        return Err(Refused::session_ended());
    }
    let now = row.created_at;
    let there = write.sessions(Some(&user.id), now, now.minus(BROWSER_IDLE), &Page::first(SESSIONS_OF_ONE_MAX)).await?;
    if there.len() >= SESSIONS_OF_ONE_MAX
        && let Some(quiet) = there.iter().min_by_key(|row| row.last_seen_at)
    {
        write.end_session(&quiet.id).await?;
        let ended = event((&user.id, &user.email), "EndSession", quiet, "its user has too many");
        write.append_audit(ended.entry(origin, now)).await?;
    }
    write.put_session(row).await?;
    write.append_audit(event((&user.id, &user.email), "SignIn", row, how).entry(origin, row.created_at)).await?;
    Ok(())
}

/// The session behind a text of this kind, when it is good now. The store is asked each time: a session that was ended a moment
/// ago by whichever process opens nothing.
///
/// # Errors
/// When the store fails.
pub async fn current(app: &App, kind: SessionKind, text: &str, origin: &Origin) -> Result<Option<Current>, Refused> {
    let prefix = if kind == SessionKind::Browser { token::BROWSER } else { token::ACCESS };
    let Some(presented) = token::parse(prefix, text) else { return Ok(None) };
    let now = app.now();
    let found = app.store.read().await?.session_by_digest(&presented.digest).await?;
    let Some(row) = found.filter(|row| row.kind == kind && is_good(row, now)) else { return Ok(None) };
    let (snapshot, identity) = (app.snapshot(), IdentityId::User(row.user.clone()));
    let Some(access) = snapshot.identity(&identity) else { return Ok(None) };
    if now >= row.last_seen_at.plus(SEEN_EVERY) {
        seen(app, &row.id, now).await;
    }
    let actor = crate::authn::actor(&snapshot, identity.clone(), access, None);
    let caller = Caller {
        session: Some(row.id.clone()),
        source: origin.source.clone(),
        request_id: origin.request_id.clone(),
        system: false,
        ..Caller::system(identity)
    };
    Ok(Some(Current { row, caller, actor }))
}

/// Whether a session opens anything at `now`.
pub fn is_good(row: &SessionRow, now: Timestamp) -> bool {
    let idle = row.kind == SessionKind::Browser && now >= row.last_seen_at.plus(BROWSER_IDLE);
    now < row.access_until && now < row.expires_at && !idle
}

/// A request must not fail because its moment cannot be written.
async fn seen(app: &App, id: &SessionId, now: Timestamp) {
    let written = async {
        if !app.store.has_reserve() {
            return Ok(());
        }
        let mut write = app.store.begin().await?;
        write.session_seen(id, now).await?;
        write.commit_without_revision().await
    };
    if let Err(error) = written.await {
        tracing::warn!(%error, "when a session was last used could not be written");
    }
}

/// Changes a refresh token for a new pair. One that was used before means that two hold it: the session ends. A token that was never
/// issued is no such sign, whatever session it names (RFC 9700 section 4.14.2). A client that names itself has to be the one that
/// the token was issued to; another one's attempt changes nothing.
///
/// # Errors
/// `None` for a token that renews nothing; else when the store fails.
pub async fn renew(app: &App, text: &str, client: &str, origin: &Origin) -> Result<Option<Tokens>, Refused> {
    let Some(presented) = token::parse(token::REFRESH, text) else { return Ok(None) };
    let Ok(id) = SessionId::parse(presented.id) else { return Ok(None) };
    let now = app.now();
    let is_of = |row: &SessionRow| {
        let issued = row.refresh_digest == Some(presented.digest) || row.refresh_key.is_some_and(|key| token::was_issued(text, &key));
        let client_fits = client.is_empty() || row.client.is_empty() || row.client == client;
        row.kind == SessionKind::Tool && now < row.expires_at && issued && client_fits
    };
    // Looked at before anything is written: what was made up costs no write.
    if !app.store.read().await?.session(&id).await?.as_ref().is_some_and(is_of) {
        return Ok(None);
    }
    let mut write = app.store.begin().await?;
    let Some(mut row) = write.session(&id).await?.filter(is_of) else { return Ok(None) };
    let Some(user) = write.user(&row.user).await? else { return Ok(None) };
    if row.refresh_digest != Some(presented.digest) {
        write.end_session(&id).await?;
        let mut ended = event((&user.id, &user.email), "EndSession", &row, "a refresh token was used twice");
        ended.result = "refresh_token_reused";
        write.append_audit(ended.entry(origin, now)).await?;
        write.commit_without_revision().await?;
        tracing::warn!(session = %id, "a refresh token was used twice; its session is ended");
        return Ok(None);
    }
    let mut refresh_key = [0; 32];
    app.entropy.fill(&mut refresh_key);
    // A session of an earlier version has none yet.
    let refresh_key = *row.refresh_key.get_or_insert(refresh_key);
    let (access, digest) = token::mint(token::ACCESS, id.as_str(), &*app.entropy);
    let (refresh, refresh_digest) = token::mint_refresh(id.as_str(), &refresh_key, &*app.entropy);
    row.digest = digest;
    row.refresh_digest = Some(refresh_digest);
    row.access_until = now.plus(ACCESS_LIFE);
    row.expires_at = now.plus(REFRESH_LIFE).min(row.created_at.plus(TOOL_LIFE));
    row.last_seen_at = now;
    row.source.clone_from(&origin.source);
    write.renew_session(&row).await?;
    write.append_audit(event((&user.id, &user.email), "RenewSession", &row, "refresh token").entry(origin, now)).await?;
    write.commit_without_revision().await?;
    Ok(Some(Tokens { session: id, access, refresh }))
}

/// Ends a session for a reason other than its user's wish, with `code` as the result in the trail.
///
/// # Errors
/// When the store fails.
pub async fn end_for(app: &App, row: &SessionRow, why: &str, code: &'static str, origin: &Origin) -> Result<(), Refused> {
    let mut write = app.store.begin().await?;
    let name = write.user(&row.user).await?.map(|user| user.email).unwrap_or_default();
    if write.end_session(&row.id).await? {
        let mut ended = event((&row.user, &name), "EndSession", row, why);
        ended.result = code;
        write.append_audit(ended.entry(origin, app.now())).await?;
        write.commit_without_revision().await?;
    }
    Ok(())
}

/// Ends a session because its user asks so; one that is gone is ended too.
///
/// # Errors
/// When the store fails.
pub async fn close(app: &App, row: &SessionRow, origin: &Origin) -> Result<(), Refused> {
    app.store.make_room();
    let mut write = app.store.begin_on_reserve().await?;
    let name = write.user(&row.user).await?.map(|user| user.email).unwrap_or_default();
    if write.end_session(&row.id).await? {
        write.append_audit(event((&row.user, &name), "SignOut", row, "its user").entry(origin, app.now())).await?;
        write.commit_without_revision().await?;
    }
    Ok(())
}

/// Ends the tool's session that an access or refresh token belongs to (RFC 7009). Anything else changes nothing.
///
/// # Errors
/// When the store fails.
pub async fn revoke(app: &App, text: &str, origin: &Origin) -> Result<(), Refused> {
    let Some(presented) = token::parse(token::ACCESS, text).or_else(|| token::parse(token::REFRESH, text)) else { return Ok(()) };
    let Ok(id) = SessionId::parse(presented.id) else { return Ok(()) };
    let found = app.store.read().await?.session(&id).await?;
    let holds = |row: &SessionRow| row.digest == presented.digest || row.refresh_digest == Some(presented.digest);
    match found.filter(|row| row.kind == SessionKind::Tool && holds(row)) {
        Some(row) => close(app, &row, origin).await,
        None => Ok(()),
    }
}

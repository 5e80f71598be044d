//! Invitations: a link, good once and for seven days, by which a user sets the first password, or a new one. Whoever holds the
//! link is believed to be the user; a second factor that is set up stays.

use super::record::{Event, Origin};
use super::way_in::{NotIn, Proved, Step, after_proof};
use super::{password, token};
use crate::app::App;
use crate::app::caller::Caller;
use crate::app::delegation;
use crate::app::rights::{self, Maker};
use crate::app::unit::{Begun, Done, Unit};
use crate::error::Refused;
use crate::notices::mail::Letter;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::id::{OperationId, UserId};
use countersign_core::identity::{IdentityId, User};
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::InvitationBody;
use countersign_store::{InvitationRow, LoginRow, Reader, StoreError, Write};
use std::sync::Arc;

/// How long an invitation is good.
pub const INVITATION_LIFE: Lifetime = Lifetime::from_days(7);

/// How long an invitation is good that this caller makes: no longer than the API key it is made with was given to live.
///
/// # Errors
/// When the store fails.
pub async fn life(unit: &mut Unit<'_>, caller: &Caller) -> Result<Lifetime, Refused> {
    Ok(delegation::longest_life(&mut unit.write, caller).await?.map_or(INVITATION_LIFE, |bound| bound.min(INVITATION_LIFE)))
}

/// Makes an invitation in this transaction, good for `life`. Earlier ones of the user end, and with them every session and half-finished login: an
/// invitation is a new way in, and whoever asks for one has lost the old one or no longer trusts it. Its address is shown once.
///
/// # Errors
/// When the store fails.
pub async fn make(app: &App, write: &mut Write<'_>, user: &UserId, maker: &Caller, life: Lifetime) -> Result<Secret, StoreError> {
    let now = app.now();
    let (text, digest) = token::mint(token::INVITATION, user.as_str(), &*app.entropy);
    write.end_logins(user, None).await?;
    let (made_by, made_with) = Maker::of(maker).map_or((None, None), |maker| (Some(maker.by), maker.with));
    let invitation = InvitationRow { user: user.clone(), made_by, made_with };
    write.put_invitation(&digest, &invitation, now, now.plus(life)).await?;
    let base = &app.desk.settings().public_url;
    // The address is for the one who hands it on; of it only the digest is kept.
    Ok(Secret::new(format!("{base}/invitation?code={}", text.expose())))
}

/// A new invitation for a user, by one who may invite. For somebody who can log in already it is a new way into his account, and
/// so an Account Owner's matter.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn again(app: &App, caller: &Caller, text: &str) -> Result<InvitationBody, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::InviteUser, &text).await? {
        Begun::Repeated(operation) => {
            return Ok(InvitationBody { request_status: convert::request_status(&operation), invitation_url: None, expiry_time: None });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::InviteUser, Target::Account)?;
    let actor = unit.actor.clone();
    let id = UserId::parse(text).map_err(|_| Refused::not_found("user", text))?;
    let user = unit.write.user(&id).await?.ok_or_else(|| Refused::not_found("user", text))?;
    let has_way_in = has_way_in(&mut unit.write, &id).await?;
    decide(&mut unit.write, &actor, &id, has_way_in).await?;
    let life = life(&mut unit, caller).await?;
    let url = make(app, &mut unit.write, &id, caller, life).await?;
    let until = unit.now.plus(life);
    let after = serde_json::json!({"email": user.email, "expiryTime": convert::time(until), "hasWayIn": has_way_in});
    let operation = unit.commit(Done { kind: "user", id: text, before: None, after: Some(after) }).await?;
    Ok(InvitationBody {
        request_status: convert::request_status(&operation),
        // Shown once, to the one who hands it on.
        invitation_url: Some(url.expose().to_owned()),
        expiry_time: Some(convert::time(until)),
    })
}

async fn has_way_in(reader: &mut Reader, user: &UserId) -> Result<bool, Refused> {
    Ok(reader.login(user).await?.is_some_and(|login| login.password.is_some() || login.oidc.is_some()))
}

/// Decides who may let somebody in by an invitation, on effective rights: nobody gives a way to rights beyond the own ones, and a
/// user who can log in already is an Account Owner's matter. Asked when an invitation is made and again when it is used.
async fn decide(reader: &mut Reader, actor: &Actor, user: &UserId, has_way_in: bool) -> Result<(), Refused> {
    let target = rights::of(reader, &IdentityId::User(user.clone())).await?.ok_or_else(|| Refused::not_found("user", user.as_str()))?;
    authz::decide_way_in(actor, &target.access).map_err(Refused::forbidden)?;
    if has_way_in && !actor.access.is_owner() {
        return Err(Refused::forbidden("a new way in for somebody who can log in already is given by an Account Owner"));
    }
    Ok(())
}

/// Whether the one who made an invitation could make it now. One who was deleted or demoted, or whose API key was deleted or
/// disabled, lets nobody in any more.
async fn maker_still_may(reader: &mut Reader, invitation: &InvitationRow) -> Result<bool, Refused> {
    let Some(by) = invitation.made_by.clone() else { return Ok(true) };
    let Some(actor) = (Maker { by, with: invitation.made_with.clone() }).now(reader).await? else { return Ok(false) };
    let may_invite = [Action::CreateUser, Action::InviteUser].into_iter().any(|a| authz::decide(&actor, a, Target::Account).is_ok());
    let has_way_in = has_way_in(reader, &invitation.user).await?;
    Ok(may_invite && decide(reader, &actor, &invitation.user, has_way_in).await.is_ok())
}

/// The user of an invitation that is good now.
async fn good(reader: &mut Reader, digest: &[u8; 32], now: Timestamp) -> Result<Option<User>, Refused> {
    let Some(invitation) = reader.invitation(digest, now).await? else { return Ok(None) };
    if !maker_still_may(reader, &invitation).await? {
        return Ok(None);
    }
    Ok(reader.user(&invitation.user).await?)
}

/// Whether invitations go out by mail.
pub fn can_post(app: &App) -> bool {
    app.post.get().is_some()
}

/// Sends an invitation's address to the one it is for, where a mail server is set; nobody waits for it. What the server says goes to the log.
pub fn post(app: &Arc<App>, to: &str, address: &str) {
    if !can_post(app) {
        return;
    }
    let (app, to) = (Arc::clone(app), to.to_owned());
    let text = format!(
        "You are invited to Countersign as {to}.\n\nSet your password here; the address is good once, and for {} days:\n\n{address}\n\n\
         If you do not know what this is, do nothing: without the address nobody gets in.\n",
        INVITATION_LIFE.seconds() / 86_400
    );
    tokio::spawn(async move {
        let Some(post) = app.post.get() else { return };
        let id = OperationId::mint(&*app.entropy).to_string();
        let letter = Letter { to: &to, id: &id, subject: "Countersign: you are invited".to_owned(), text };
        if let Err(error) = post.send(&letter).await {
            tracing::warn!(%to, %error, "an invitation could not be mailed; `countersign user resend-invite` makes another");
        }
    });
}

/// Whom an invitation is for. Looking uses nothing up.
///
/// # Errors
/// When the store fails.
pub async fn whose(app: &App, text: &str) -> Result<Option<User>, Refused> {
    let Some(presented) = token::parse(token::INVITATION, text) else { return Ok(None) };
    good(&mut app.store.read().await?, &presented.digest, app.now()).await
}

/// Uses an invitation up: sets the password, ends every session there was, and lets its user in.
///
/// # Errors
/// [`NotIn`].
pub async fn accept(app: &App, text: &str, given: Secret, origin: &Origin) -> Result<Step, NotIn> {
    let user = whose(app, text).await?.ok_or(NotIn::Over)?;
    // The text is looked at to hold it against the rules, and hashed.
    password::check(given.expose(), &user.email).map_err(NotIn::Rule)?;
    let hash = app.desk.hashing.hash(given, &*app.entropy).await?;
    let now = app.now();
    let mut write = app.store.begin().await?;
    let presented = token::parse(token::INVITATION, text).ok_or(NotIn::Over)?;
    // Asked again inside: of parallel uses one finds it.
    let user = good(&mut write, &presented.digest, now).await?.ok_or(NotIn::Over)?;
    write.end_logins(&user.id, None).await?;
    let before = write.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), now));
    let login = LoginRow { password: Some(hash), failures: 0, modified_at: now, ..before };
    write.put_login(&login).await?;
    let event = Event {
        who: Some((&user.id, &user.email)),
        action: "AcceptInvitation",
        object: ("user", user.id.as_str()),
        result: "ok",
        after: None,
    };
    write.append_audit(event.entry(origin, now)).await?;
    let proved = Proved::of(&mut write, &user.id).await?.ok_or(NotIn::Over)?;
    after_proof(app, Some(write), &proved, &login, origin, "invitation").await
}

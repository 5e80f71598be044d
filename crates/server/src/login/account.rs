//! What people change about their own logins, from a browser's session: password and second factor. Each change asks for a proof
//! again, and ends every other session.

use super::record::{Event, Origin};
use super::session::Current;
use super::totp::{Checked, Factor};
use super::way_in::{NotIn, Shown, begin_enrolment, failed, put_factor, shown, use_factor};
use super::{password, sessions};
use crate::app::App;
use crate::error::Refused;
use countersign_core::identity::User;
use countersign_core::secret::Secret;
use countersign_core::time::Lifetime;
use countersign_proto::rest::SessionBody;
use countersign_store::{LoginRow, Page, Write};

/// How long a second factor may wait to be confirmed.
const ENROLMENT_LIFE: Lifetime = Lifetime::from_seconds(10 * 60);
/// Sessions shown on the page; the API lists them all.
const SESSIONS_SHOWN: usize = 100;

/// How a user logs in, for his own eyes.
pub struct Standing {
    /// The mail address.
    pub email: String,
    /// Whether there is a password.
    pub has_password: bool,
    /// Recovery codes left, where there is a second factor.
    pub factor: Option<usize>,
    /// Whether his rights demand one.
    pub factor_needed: bool,
    /// The provider his account is bound to.
    pub provider: Option<String>,
    /// Failed attempts since the last login.
    pub failures: i64,
    /// His sessions.
    pub sessions: Vec<SessionBody>,
}

async fn user_of(app: &App, current: &Current) -> Result<(User, LoginRow), Refused> {
    let mut read = app.store.read().await?;
    let user = read.user(&current.row.user).await?.ok_or_else(Refused::session_ended)?;
    let login = read.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), app.now()));
    Ok((user, login))
}

/// See [`Standing`].
///
/// # Errors
/// When the store fails.
pub async fn standing(app: &App, current: &Current) -> Result<Standing, Refused> {
    let (user, login) = user_of(app, current).await?;
    let factor = match &login.totp {
        Some(sealed) => {
            let factor = Factor::open(app.sealer()?, &user.id, sealed).map_err(Refused::unavailable)?;
            Some(factor.recovery_left())
        }
        None => None,
    };
    let now = app.now();
    let rows = app
        .store
        .read()
        .await?
        .sessions(Some(&user.id), now, now.minus(super::session::BROWSER_IDLE), &Page::first(SESSIONS_SHOWN))
        .await?;
    Ok(Standing {
        has_password: login.password.is_some(),
        factor,
        factor_needed: app.desk.settings().second_factor.is_needed(&current.actor.access),
        provider: login.oidc.map(|(issuer, _)| issuer),
        failures: login.failures,
        sessions: rows.iter().map(|row| sessions::body(row, Some(&current.row.id))).collect(),
        email: user.email,
    })
}

/// Proves again who it is: by the password, where there is one.
async fn prove(app: &App, user: &User, login: &LoginRow, given: Secret, origin: &Origin) -> Result<(), NotIn> {
    let Some(hash) = login.password.clone() else { return Ok(()) };
    let name = [format!("again {}", user.id)];
    app.desk.throttle.begin(app.now(), &name)?;
    if !app.desk.hashing.verify(given, Some(hash)).await? {
        failed(app, Some(user), origin, "wrong_password").await;
        return Err(NotIn::Wrong);
    }
    app.desk.throttle.good(&name);
    Ok(())
}

/// Whether the session still goes on in this transaction, and nothing ended logins of its user since `epoch`.
async fn check_session(write: &mut Write<'_>, current: &Current, epoch: i64) -> Result<(), NotIn> {
    let row = write.session(&current.row.id).await?.ok_or(NotIn::Over)?;
    if row.epoch == epoch { Ok(()) } else { Err(NotIn::Over) }
}

/// Sets a new password. Every other session of the user ends.
///
/// # Errors
/// [`NotIn`].
pub async fn change_password(app: &App, current: &Current, old: Secret, new: Secret, origin: &Origin) -> Result<(), NotIn> {
    let (user, login) = user_of(app, current).await?;
    prove(app, &user, &login, old, origin).await?;
    // The text is looked at to hold it against the rules, and hashed.
    password::check(new.expose(), &user.email).map_err(NotIn::Rule)?;
    let hash = app.desk.hashing.hash(new, &*app.entropy).await?;
    let mut write = app.store.begin().await?;
    let now = app.now();
    check_session(&mut write, current, current.row.epoch).await?;
    let login = write.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), now));
    write.put_login(&LoginRow { password: Some(hash), modified_at: now, ..login }).await?;
    let ended = write.end_logins(&user.id, Some(&current.row.id)).await?;
    record(&mut write, &user, "ChangePassword", serde_json::json!({"sessionsEnded": ended}), origin, now).await?;
    write.commit_without_revision().await?;
    Ok(())
}

async fn record(
    write: &mut Write<'_>,
    user: &User,
    action: &'static str,
    after: serde_json::Value,
    origin: &Origin,
    now: countersign_core::time::Timestamp,
) -> Result<(), NotIn> {
    let event = Event { who: Some((&user.id, &user.email)), action, object: ("user", user.id.as_str()), result: "ok", after: Some(after) };
    write.append_audit(event.entry(origin, now)).await?;
    Ok(())
}

/// Begins to set up a second factor, or shows the one that waits to be confirmed.
///
/// # Errors
/// [`NotIn`]; [`NotIn::Over`] when there is one already.
pub async fn begin_factor(app: &App, current: &Current, given: Secret, origin: &Origin) -> Result<Shown, NotIn> {
    app.sealer()?;
    let (user, login) = user_of(app, current).await?;
    if login.totp.is_some() {
        return Err(NotIn::Over);
    }
    prove(app, &user, &login, given, origin).await?;
    let now = app.now();
    let enrolment = begin_enrolment(app, current.row.epoch);
    let page = shown(&enrolment, &user.email);
    app.desk.enrolments.put(now, current.row.id.clone(), user.id.as_str(), enrolment, now.plus(ENROLMENT_LIFE));
    Ok(page)
}

/// The second factor that waits to be confirmed.
pub async fn waiting_factor(app: &App, current: &Current) -> Result<Option<Shown>, Refused> {
    let (user, _) = user_of(app, current).await?;
    Ok(app.desk.enrolments.with(app.now(), &current.row.id, |enrolment| shown(enrolment, &user.email)))
}

/// Confirms it with a code: the recovery codes, to show once.
///
/// # Errors
/// [`NotIn`].
pub async fn confirm_factor(app: &App, current: &Current, typed: &str, origin: &Origin) -> Result<Vec<Secret>, NotIn> {
    let (user, _) = user_of(app, current).await?;
    let (now, key) = (app.now(), &current.row.id);
    let name = [format!("factor {}", user.id)];
    app.desk.throttle.begin(now, &name)?;
    let checked = app.desk.enrolments.with(now, key, |enrolment| enrolment.factor.check(typed, now)).ok_or(NotIn::Over)?;
    let Checked::Step(step) = checked else { return Err(NotIn::Wrong) };
    let mut write = app.store.begin().await?;
    let enrolment = app.desk.enrolments.take(now, key).ok_or(NotIn::Over)?;
    check_session(&mut write, current, enrolment.epoch).await?;
    let codes = put_factor(app, &mut write, &user, enrolment, step, origin, Some(key)).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&name);
    Ok(codes)
}

/// Makes the recovery codes anew, by a code of the second factor: the new ones, to show once. Those of before open nothing.
///
/// # Errors
/// [`NotIn`].
pub async fn renew_recovery_codes(app: &App, current: &Current, typed: &str, origin: &Origin) -> Result<Vec<Secret>, NotIn> {
    let (user, _) = user_of(app, current).await?;
    let now = app.now();
    let name = [format!("factor {}", user.id)];
    app.desk.throttle.begin(now, &name)?;
    let mut write = app.store.begin().await?;
    check_session(&mut write, current, current.row.epoch).await?;
    if !use_factor(app, &mut write, &user, typed).await? {
        drop(write);
        failed(app, Some(&user), origin, "wrong_second_factor").await;
        return Err(NotIn::Wrong);
    }
    let login = write.login(&user.id).await?.ok_or(NotIn::Over)?;
    let sealed = login.totp.as_ref().ok_or(NotIn::Over)?;
    let factor = Factor::open(app.sealer()?, &user.id, sealed).map_err(Refused::unavailable)?;
    let (factor, codes) = factor.with_recovery_codes(&*app.entropy);
    let totp = Some(factor.seal(app.sealer()?, &user.id));
    write.put_login(&LoginRow { totp, modified_at: now, ..login }).await?;
    write.end_logins(&user.id, Some(&current.row.id)).await?;
    record(&mut write, &user, "RenewRecoveryCodes", serde_json::json!({}), origin, now).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&name);
    Ok(codes)
}

/// Takes the second factor away, by a code of it; not from somebody who needs one.
///
/// # Errors
/// [`NotIn`].
pub async fn remove_factor(app: &App, current: &Current, typed: &str, origin: &Origin) -> Result<(), NotIn> {
    if app.desk.settings().second_factor.is_needed(&current.actor.access) {
        return Err(NotIn::Over);
    }
    let (user, _) = user_of(app, current).await?;
    let now = app.now();
    let name = [format!("factor {}", user.id)];
    app.desk.throttle.begin(now, &name)?;
    let mut write = app.store.begin().await?;
    check_session(&mut write, current, current.row.epoch).await?;
    if !use_factor(app, &mut write, &user, typed).await? {
        drop(write);
        failed(app, Some(&user), origin, "wrong_second_factor").await;
        return Err(NotIn::Wrong);
    }
    let login = write.login(&user.id).await?.ok_or(NotIn::Over)?;
    write.put_login(&LoginRow { totp: None, totp_last_step: 0, modified_at: now, ..login }).await?;
    write.end_logins(&user.id, Some(&current.row.id)).await?;
    record(&mut write, &user, "RemoveSecondFactor", serde_json::json!({}), origin, now).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&name);
    Ok(())
}

//! The ways in by password: password, then the second factor where there is or has to be one, then a session. Whatever is wrong,
//! a stranger hears the same, after the same work (promise P11).

use super::record::{Event, Origin};
use super::throttle::Wait;
use super::totp::{Checked, Factor};
use super::{Digest, password, session};
use crate::app::App;
use crate::error::Refused;
use countersign_core::credential::hex;
use countersign_core::id::UserId;
use countersign_core::identity::User;
use countersign_core::secret::Secret;
use countersign_core::time::Lifetime;
use countersign_store::{LoginRow, StoreError, Write};
use sha2::{Digest as _, Sha256};

/// How long a login may stand between its password and its second factor.
const TICKET_LIFE: Lifetime = Lifetime::from_seconds(10 * 60);

/// A login that waits for its second factor, or for one to be set up.
#[derive(Debug)]
pub struct Ticket {
    pub(super) user: UserId,
    how: &'static str,
    enrolment: Option<Enrolment>,
}

/// A second factor that is shown and not yet confirmed.
pub struct Enrolment {
    pub(super) factor: Factor,
    pub(super) codes: Vec<Secret>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment")
    }
}

/// What comes after a good proof.
#[derive(Debug)]
pub enum Step {
    /// A session: the cookie's text.
    In(Secret),
    /// The second factor is asked for: the ticket's text.
    Second(Secret),
    /// A second factor has to be set up: the ticket's text.
    Enrol(Secret),
}

/// Why a login does not go on.
#[derive(Debug)]
pub enum NotIn {
    /// Something of it is wrong; nobody says what.
    Wrong,
    /// Too many attempts.
    Wait(Wait),
    /// Too many logins at once.
    Busy,
    /// Begin again: the ticket or invitation is over.
    Over,
    /// A rule for new passwords, for the one who chooses it.
    Rule(String),
    /// It cannot be done.
    Refused(Refused),
}

impl From<Refused> for NotIn {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for NotIn {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<password::Busy> for NotIn {
    fn from(_: password::Busy) -> Self {
        Self::Busy
    }
}

impl From<Wait> for NotIn {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

/// The name that attempts from an address are counted under: an IPv6 host has a whole /64 to call from.
pub(super) fn address(source: &str) -> String {
    match source.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("address {}", hex(&address.octets()[..8])),
        Err(_) => format!("address {source}"),
    }
}

fn mail(email: &str) -> String {
    format!("mail {}", hex(&Sha256::digest(email.as_bytes())))
}

/// By mail address and password.
///
/// # Errors
/// [`NotIn`].
pub async fn by_password(app: &App, email: &str, given: Secret, origin: &Origin) -> Result<Step, NotIn> {
    let email = email.trim().to_ascii_lowercase();
    let names = [mail(&email), address(&origin.source)];
    app.desk.throttle.begin(app.now(), &names)?;
    let (user, login) = {
        let mut read = app.store.read().await?;
        let user = if email.len() <= 254 { read.user_by_email(&email).await? } else { None };
        let login = match &user {
            Some(user) => read.login(&user.id).await?,
            None => None,
        };
        (user, login)
    };
    let hash = login.as_ref().and_then(|login| login.password.clone());
    let right = app.desk.hashing.verify(given, hash).await?;
    let (Some(user), Some(login), true) = (&user, login, right) else {
        failed(app, user.as_ref(), origin, "wrong_password").await;
        return Err(NotIn::Wrong);
    };
    app.desk.throttle.good(&names[..1]);
    app.desk.throttle.not_counted(&names[1]);
    after_proof(app, None, user, &login, origin, "password").await
}

/// After the first proof: a session, or a ticket for the second factor.
pub(super) async fn after_proof(
    app: &App,
    write: Option<Write<'_>>,
    user: &User,
    login: &LoginRow,
    origin: &Origin,
    how: &'static str,
) -> Result<Step, NotIn> {
    let needed = app.desk.settings().second_factor.is_needed(&user.access);
    if login.totp.is_none() && !needed {
        let mut write = match write {
            Some(write) => write,
            None => app.store.begin().await?,
        };
        let (_, text) = session::open_browser(app, &mut write, &user.id, origin, how).await?;
        forget_failures(&mut write, &user.id).await?;
        write.commit_without_revision().await?;
        return Ok(Step::In(text));
    }
    if let Some(write) = write {
        write.commit_without_revision().await?;
    }
    let (digest, text) = super::mint(app);
    let now = app.now();
    let ticket = Ticket { user: user.id.clone(), how, enrolment: None };
    app.desk.tickets.put(now, digest, ticket, now.plus(TICKET_LIFE)).map_err(|_| NotIn::Busy)?;
    Ok(if login.totp.is_some() { Step::Second(text) } else { Step::Enrol(text) })
}

async fn forget_failures(write: &mut Write<'_>, user: &UserId) -> Result<(), StoreError> {
    match write.login(user).await? {
        Some(login) if login.failures > 0 => write.put_login(&LoginRow { failures: 0, ..login }).await,
        _ => Ok(()),
    }
}

/// Records a failed attempt, within the bound. The attempt has failed whether or not that can be written.
pub(super) async fn failed(app: &App, user: Option<&User>, origin: &Origin, code: &'static str) {
    let now = app.now();
    if !app.desk.may_record(now) {
        return;
    }
    let written = async {
        let mut write = app.store.begin().await?;
        let who = user.map(|user| (&user.id, user.email.as_str()));
        let event = Event { who, action: "SignIn", object: ("session", ""), result: code, after: None };
        write.append_audit(event.entry(origin, now)).await?;
        if let Some(user) = user
            && let Some(login) = write.login(&user.id).await?
        {
            write.put_login(&LoginRow { failures: login.failures.saturating_add(1), ..login }).await?;
        }
        write.commit_without_revision().await
    };
    if let Err(error) = written.await {
        tracing::error!(%error, "a failed login could not be recorded in the audit trail");
    }
}

fn ticket_key(text: &str) -> Result<Digest, NotIn> {
    super::digest(text).ok_or(NotIn::Over)
}

/// Whose ticket it is.
pub fn ticket_user(app: &App, text: &str) -> Option<UserId> {
    app.desk.tickets.with(app.now(), &super::digest(text)?, |ticket| ticket.user.clone())
}

/// The second factor of a ticket: a code of the app, or a recovery code.
///
/// # Errors
/// [`NotIn`].
pub async fn by_second(app: &App, text: &str, typed: &str, origin: &Origin) -> Result<Step, NotIn> {
    let key = ticket_key(text)?;
    let now = app.now();
    let (id, how) = app.desk.tickets.with(now, &key, |ticket| (ticket.user.clone(), ticket.how)).ok_or(NotIn::Over)?;
    let names = [format!("factor {id}"), address(&origin.source)];
    app.desk.throttle.begin(now, &names)?;
    let mut write = app.store.begin().await?;
    let user = write.user(&id).await?.ok_or(NotIn::Over)?;
    if !use_factor(app, &mut write, &user, typed).await? {
        drop(write);
        failed(app, Some(&user), origin, "wrong_second_factor").await;
        return Err(NotIn::Wrong);
    }
    // Of parallel answers to one ticket one goes on.
    app.desk.tickets.take(now, &key).ok_or(NotIn::Over)?;
    let (_, cookie) = session::open_browser(app, &mut write, &id, origin, &format!("{how} and second factor")).await?;
    forget_failures(&mut write, &id).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&names[..1]);
    app.desk.throttle.not_counted(&names[1]);
    Ok(Step::In(cookie))
}

/// Whether the text is this user's second factor now; uses it up in the transaction.
pub(super) async fn use_factor(app: &App, write: &mut Write<'_>, user: &User, typed: &str) -> Result<bool, NotIn> {
    let sealer = app.sealer()?;
    let Some(login) = write.login(&user.id).await? else { return Ok(false) };
    let Some(sealed) = &login.totp else { return Ok(false) };
    let mut factor = Factor::open(sealer, &user.id, sealed).map_err(Refused::unavailable)?;
    match factor.check(typed, app.now()) {
        Checked::Step(step) => Ok(write.use_totp_step(&user.id, step).await?),
        Checked::Recovery => {
            let totp = Some(factor.seal(sealer, &user.id));
            write.put_login(&LoginRow { totp, ..login }).await?;
            let event = Event {
                who: Some((&user.id, &user.email)),
                action: "UseRecoveryCode",
                object: ("user", user.id.as_str()),
                result: "ok",
                after: Some(serde_json::json!({"left": factor.recovery_left()})),
            };
            write.append_audit(event.entry(&Origin::default(), app.now())).await?;
            Ok(true)
        }
        Checked::Wrong => Ok(false),
    }
}

/// What an enrolment's page shows: the user's mail address, the secret to type, the address for the QR code.
pub struct Shown {
    /// Whose.
    pub email: String,
    /// To type.
    pub base32: Secret,
    /// To scan.
    pub uri: Secret,
}

/// Begins or shows the enrolment that a ticket demands.
///
/// # Errors
/// [`NotIn::Over`].
pub async fn enrolment(app: &App, text: &str) -> Result<Shown, NotIn> {
    app.sealer()?;
    let key = ticket_key(text)?;
    let now = app.now();
    let id = ticket_user(app, text).ok_or(NotIn::Over)?;
    let user = app.store.read().await?.user(&id).await?.ok_or(NotIn::Over)?;
    app.desk
        .tickets
        .with(now, &key, |ticket| shown(ticket.enrolment.get_or_insert_with(|| begin_enrolment(app)), &user.email))
        .ok_or(NotIn::Over)
}

pub(super) fn begin_enrolment(app: &App) -> Enrolment {
    let (factor, codes) = Factor::mint(&*app.entropy);
    Enrolment { factor, codes }
}

pub(super) fn shown(enrolment: &Enrolment, email: &str) -> Shown {
    Shown { email: email.to_owned(), base32: enrolment.factor.base32(), uri: enrolment.factor.uri(email) }
}

/// Ends the enrolment that a ticket demands with a code of it: the session's cookie, and the recovery codes to show once.
///
/// # Errors
/// [`NotIn`].
pub async fn enrol(app: &App, text: &str, typed: &str, origin: &Origin) -> Result<(Secret, Vec<Secret>), NotIn> {
    let key = ticket_key(text)?;
    let now = app.now();
    let id = ticket_user(app, text).ok_or(NotIn::Over)?;
    let name = [format!("factor {id}")];
    app.desk.throttle.begin(now, &name)?;
    let checked = app.desk.tickets.with(now, &key, |ticket| ticket.enrolment.as_mut().map(|enrolment| enrolment.factor.check(typed, now)));
    let Some(Checked::Step(step)) = checked.ok_or(NotIn::Over)? else { return Err(NotIn::Wrong) };
    let mut write = app.store.begin().await?;
    let user = write.user(&id).await?.ok_or(NotIn::Over)?;
    let ticket = app.desk.tickets.take(now, &key).ok_or(NotIn::Over)?;
    let enrolment = ticket.enrolment.ok_or(NotIn::Over)?;
    let codes = put_factor(app, &mut write, &user, enrolment, step, origin).await?;
    let (_, cookie) = session::open_browser(app, &mut write, &id, origin, &format!("{} and second factor", ticket.how)).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&name);
    Ok((cookie, codes))
}

/// Keeps a confirmed second factor. A user who has one already keeps it: two logins that enrol at once must not replace each other.
pub(super) async fn put_factor(
    app: &App,
    write: &mut Write<'_>,
    user: &User,
    enrolment: Enrolment,
    step: i64,
    origin: &Origin,
) -> Result<Vec<Secret>, NotIn> {
    let now = app.now();
    let login = write.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), now));
    if login.totp.is_some() {
        return Err(NotIn::Over);
    }
    let totp = Some(enrolment.factor.seal(app.sealer()?, &user.id));
    write.put_login(&LoginRow { totp, totp_last_step: step, modified_at: now, ..login }).await?;
    let event = Event {
        who: Some((&user.id, &user.email)),
        action: "EnrolSecondFactor",
        object: ("user", user.id.as_str()),
        result: "ok",
        after: None,
    };
    write.append_audit(event.entry(origin, now)).await?;
    Ok(enrolment.codes)
}

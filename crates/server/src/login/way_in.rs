//! The ways in by password: password, then the second factor where there is or has to be one, then a session. Whatever is wrong,
//! a stranger hears the same, after the same work (promise P11).

use super::record::{Event, Origin};
use super::throttle::Wait;
use super::totp::{Checked, Factor};
use super::{Digest, device, password, session};
use crate::app::{App, rights};
use crate::error::Refused;
use countersign_core::access::Access;
use countersign_core::credential::hex;
use countersign_core::id::{SessionId, UserId};
use countersign_core::identity::{IdentityId, User};
use countersign_core::secret::Secret;
use countersign_core::time::Lifetime;
use countersign_store::{LoginRow, Page, Reader, StoreError, Write};
use sha2::{Digest as _, Sha256};

/// How long a login may stand between its password and its second factor.
const TICKET_LIFE: Lifetime = Lifetime::from_seconds(10 * 60);

/// A login that waits for its second factor, or for one to be set up.
#[derive(Debug)]
pub struct Ticket {
    pub(super) user: UserId,
    /// The epoch of the user's logins at the first proof.
    epoch: i64,
    how: &'static str,
    enrolment: Option<Enrolment>,
}

/// A second factor that is shown and not yet confirmed.
pub struct Enrolment {
    /// The epoch of the user's logins when it was begun.
    pub(super) epoch: i64,
    pub(super) factor: Factor,
    pub(super) codes: Vec<Secret>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment")
    }
}

/// A user as read for a proof: what a login goes on with is this epoch, and nothing once it has moved.
pub(super) struct Proved {
    pub user: User,
    /// Effective rights.
    pub access: Access,
    pub epoch: i64,
}

impl Proved {
    pub(super) async fn of(reader: &mut Reader, id: &UserId) -> Result<Option<Self>, Refused> {
        let (user, epoch) = (reader.user(id).await?, reader.login_epoch(id).await?);
        let rights = rights::of(reader, &IdentityId::User(id.clone())).await?;
        let (Some(user), Some(epoch), Some(rights)) = (user, epoch, rights) else { return Ok(None) };
        Ok(Some(Self { user, access: rights.access, epoch }))
    }
}

/// A session that has just begun.
#[derive(Debug)]
pub struct SignedIn {
    /// The cookie's text.
    pub cookie: Secret,
    /// Whose.
    pub user: UserId,
}

/// What comes after a good proof.
#[derive(Debug)]
pub enum Step {
    /// A session.
    In(SignedIn),
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

/// The name that attempts from a network are counted under.
fn address(origin: &Origin) -> String {
    format!("address {}", origin.network())
}

fn mail(email: &str) -> String {
    format!("mail {}", hex(&Sha256::digest(email.as_bytes())))
}

/// The name that attempts with a mail address are counted under wherever they come from.
fn everywhere(email: &str) -> String {
    format!("everywhere {}", mail(email))
}

/// The names that an attempt to log in as somebody is counted under.
struct Counted {
    /// Of the attempter alone: forgotten once one of them is right.
    own: Vec<String>,
    /// Shared with others: of a right one, only itself is taken back.
    shared: Vec<String>,
}

impl Counted {
    /// From a browser that is known, only that browser's failures count. Else those of this network with this mail address, of this
    /// network, and, above a bound that only guessing from many networks reaches, those with this mail address from anywhere; but
    /// not where the user is logged in from the same network.
    fn of(email: &str, device: Option<&str>, at_home: bool, origin: &Origin) -> Self {
        if let Some(device) = device {
            return Self { own: vec![format!("device {device}")], shared: vec![] };
        }
        let shared = std::iter::once(address(origin)).chain((!at_home).then(|| everywhere(email)));
        Self { own: vec![format!("{} {}", mail(email), origin.network())], shared: shared.collect() }
    }

    fn begin(&self, app: &App) -> Result<(), Wait> {
        app.desk.throttle.begin(app.now(), &[&self.own[..], &self.shared[..]].concat())
    }

    fn good(&self, app: &App) {
        app.desk.throttle.good(&self.own);
        self.shared.iter().for_each(|name| app.desk.throttle.not_counted(name));
    }
}

/// Whether the user has a session from this network: who guesses from elsewhere does not keep that user out.
async fn is_at_home(app: &App, reader: &mut Reader, user: &UserId, origin: &Origin) -> Result<bool, Refused> {
    let (now, page) = (app.now(), Page::first(device::SESSIONS_LOOKED_AT));
    let network = origin.network();
    let sessions = reader.sessions(Some(user), now, now.minus(session::BROWSER_IDLE), &page).await?;
    let from = |source: &str| Origin { source: source.to_owned(), ..Origin::default() }.network();
    Ok(sessions.iter().any(|row| from(&row.source) == network))
}

/// By mail address and password.
///
/// # Errors
/// [`NotIn`].
pub async fn by_password(app: &App, email: &str, given: Secret, device: &str, origin: &Origin) -> Result<Step, NotIn> {
    let email = email.trim().to_ascii_lowercase();
    let guarded = app.desk.throttle.waits(app.now(), &everywhere(&email));
    let (proved, login, at_home) = {
        let mut read = app.store.read().await?;
        let user = if email.len() <= 254 { read.user_by_email(&email).await? } else { None };
        match &user {
            Some(user) => {
                let at_home = guarded && is_at_home(app, &mut read, &user.id, origin).await?;
                (Proved::of(&mut read, &user.id).await?, read.login(&user.id).await?, at_home)
            }
            None => (None, None, false),
        }
    };
    let device = proved.as_ref().and_then(|proved| device::known(app, &proved.user.id, device));
    let counted = Counted::of(&email, device.as_deref(), at_home, origin);
    // Who has to wait may still be the user: where a second factor follows, a right password goes on to it, and everybody else hears
    // the same after the same work. A network that guesses too much has to wait in any case.
    let waits = match counted.begin(app) {
        Ok(()) => None,
        Err(wait) => {
            app.desk.throttle.begin(app.now(), &[address(origin)])?;
            Some(wait)
        }
    };
    let may_go_on = |login: &&LoginRow| waits.is_none() || login.totp.is_some();
    let hash = login.as_ref().filter(may_go_on).and_then(|login| login.password.clone());
    let right = app.desk.hashing.verify(given, hash).await?;
    let (Some(proved), Some(login), true) = (&proved, login, right) else {
        failed(app, proved.as_ref().map(|proved| &proved.user), origin, "wrong_password").await;
        return Err(waits.map_or(NotIn::Wrong, NotIn::Wait));
    };
    match waits {
        None => counted.good(app),
        Some(_) => app.desk.throttle.not_counted(&address(origin)),
    }
    after_proof(app, None, proved, &login, origin, "password").await
}

/// By a one-time address, which the program shows to whoever runs it.
///
/// # Errors
/// [`NotIn`].
pub async fn by_one_time_code(app: &App, code: &str, origin: &Origin) -> Result<Step, NotIn> {
    let (user, epoch) = app.desk.use_code(app, code).ok_or(NotIn::Over)?;
    let mut write = app.store.begin().await?;
    check_epoch(&mut write, &user, epoch).await?;
    let (_, cookie) = session::open_browser(app, &mut write, &user, epoch, origin, "one-time address").await?;
    write.commit_without_revision().await?;
    Ok(Step::In(SignedIn { cookie, user }))
}

/// After the first proof: a session, or a ticket for the second factor.
pub(super) async fn after_proof(
    app: &App,
    write: Option<Write<'_>>,
    proved: &Proved,
    login: &LoginRow,
    origin: &Origin,
    how: &'static str,
) -> Result<Step, NotIn> {
    let Proved { user, access, epoch } = proved;
    let needed = app.desk.settings().second_factor.is_needed(access);
    if login.totp.is_none() && !needed {
        let mut write = match write {
            Some(write) => write,
            None => app.store.begin().await?,
        };
        check_epoch(&mut write, &user.id, *epoch).await?;
        let (_, cookie) = session::open_browser(app, &mut write, &user.id, *epoch, origin, how).await?;
        forget_failures(&mut write, &user.id).await?;
        write.commit_without_revision().await?;
        return Ok(Step::In(SignedIn { cookie, user: user.id.clone() }));
    }
    if let Some(write) = write {
        write.commit_without_revision().await?;
    }
    let (digest, text) = super::mint(app);
    let now = app.now();
    let ticket = Ticket { user: user.id.clone(), epoch: *epoch, how, enrolment: None };
    app.desk.tickets.put(now, digest, user.id.as_str(), ticket, now.plus(TICKET_LIFE));
    Ok(if login.totp.is_some() { Step::Second(text) } else { Step::Enrol(text) })
}

/// Whether nothing ended the user's logins since the proof.
pub(super) async fn check_epoch(reader: &mut Reader, user: &UserId, epoch: i64) -> Result<(), NotIn> {
    if reader.login_epoch(user).await? == Some(epoch) { Ok(()) } else { Err(NotIn::Over) }
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
pub async fn by_second(app: &App, text: &str, typed: &str, device: &str, origin: &Origin) -> Result<Step, NotIn> {
    let key = ticket_key(text)?;
    let now = app.now();
    let (id, epoch, how) = app.desk.tickets.with(now, &key, |ticket| (ticket.user.clone(), ticket.epoch, ticket.how)).ok_or(NotIn::Over)?;
    // Whoever is here knows the password. Codes are few, so that guesses count from wherever they come; a known browser has its own.
    let counted = match device::known(app, &id, device) {
        Some(device) => Counted { own: vec![format!("factor {device}")], shared: vec![] },
        None => Counted { own: vec![format!("factor {id}")], shared: vec![address(origin)] },
    };
    counted.begin(app)?;
    let mut write = app.store.begin().await?;
    let user = write.user(&id).await?.ok_or(NotIn::Over)?;
    check_epoch(&mut write, &id, epoch).await?;
    if !use_factor(app, &mut write, &user, typed).await? {
        drop(write);
        failed(app, Some(&user), origin, "wrong_second_factor").await;
        return Err(NotIn::Wrong);
    }
    // Of parallel answers to one ticket one goes on.
    app.desk.tickets.take(now, &key).ok_or(NotIn::Over)?;
    // A recovery code that was used raises the epoch; this login is the one that goes on.
    let epoch = write.login_epoch(&id).await?.ok_or(NotIn::Over)?;
    let (_, cookie) = session::open_browser(app, &mut write, &id, epoch, origin, &format!("{how} and second factor")).await?;
    forget_failures(&mut write, &id).await?;
    write.commit_without_revision().await?;
    counted.good(app);
    Ok(Step::In(SignedIn { cookie, user: id }))
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
            // Whoever comes without the phone may not have it any more: nothing that waits for its codes goes on.
            write.end_pending_logins(&user.id).await?;
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
    let (id, epoch) = app.desk.tickets.with(now, &key, |ticket| (ticket.user.clone(), ticket.epoch)).ok_or(NotIn::Over)?;
    let user = {
        let mut read = app.store.read().await?;
        check_epoch(&mut read, &id, epoch).await?;
        read.user(&id).await?.ok_or(NotIn::Over)?
    };
    app.desk
        .tickets
        .with(now, &key, |ticket| shown(ticket.enrolment.get_or_insert_with(|| begin_enrolment(app, epoch)), &user.email))
        .ok_or(NotIn::Over)
}

pub(super) fn begin_enrolment(app: &App, epoch: i64) -> Enrolment {
    let (factor, codes) = Factor::mint(&*app.entropy);
    Enrolment { epoch, factor, codes }
}

pub(super) fn shown(enrolment: &Enrolment, email: &str) -> Shown {
    Shown { email: email.to_owned(), base32: enrolment.factor.base32(), uri: enrolment.factor.uri(email) }
}

/// Ends the enrolment that a ticket demands with a code of it: the session's cookie, and the recovery codes to show once.
///
/// # Errors
/// [`NotIn`].
pub async fn enrol(app: &App, text: &str, typed: &str, origin: &Origin) -> Result<(SignedIn, Vec<Secret>), NotIn> {
    let key = ticket_key(text)?;
    let now = app.now();
    let (id, epoch) = app.desk.tickets.with(now, &key, |ticket| (ticket.user.clone(), ticket.epoch)).ok_or(NotIn::Over)?;
    let name = [format!("factor {id}")];
    app.desk.throttle.begin(now, &name)?;
    let checked = app.desk.tickets.with(now, &key, |ticket| ticket.enrolment.as_mut().map(|enrolment| enrolment.factor.check(typed, now)));
    let Some(Checked::Step(step)) = checked.ok_or(NotIn::Over)? else { return Err(NotIn::Wrong) };
    let mut write = app.store.begin().await?;
    let user = write.user(&id).await?.ok_or(NotIn::Over)?;
    check_epoch(&mut write, &id, epoch).await?;
    let ticket = app.desk.tickets.take(now, &key).ok_or(NotIn::Over)?;
    let enrolment = ticket.enrolment.ok_or(NotIn::Over)?;
    let codes = put_factor(app, &mut write, &user, enrolment, step, origin, None).await?;
    let epoch = write.login_epoch(&id).await?.ok_or(NotIn::Over)?;
    let how = format!("{} and second factor", ticket.how);
    let (_, cookie) = session::open_browser(app, &mut write, &id, epoch, origin, &how).await?;
    write.commit_without_revision().await?;
    app.desk.throttle.good(&name);
    Ok((SignedIn { cookie, user: id }, codes))
}

/// Keeps a confirmed second factor, and ends every login of before but the session it was set up in. A user who has one already keeps it: two logins that enrol at once must not replace each other.
pub(super) async fn put_factor(
    app: &App,
    write: &mut Write<'_>,
    user: &User,
    enrolment: Enrolment,
    step: i64,
    origin: &Origin,
    session: Option<&SessionId>,
) -> Result<Vec<Secret>, NotIn> {
    let now = app.now();
    let login = write.login(&user.id).await?.unwrap_or_else(|| LoginRow::none(user.id.clone(), now));
    if login.totp.is_some() {
        return Err(NotIn::Over);
    }
    let totp = Some(enrolment.factor.seal(app.sealer()?, &user.id));
    write.put_login(&LoginRow { totp, totp_last_step: step, modified_at: now, ..login }).await?;
    write.end_logins(&user.id, session).await?;
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

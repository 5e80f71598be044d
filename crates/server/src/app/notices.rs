//! Expiry notices: what ends soon, whom it concerns, and how it goes out. Planned and delivered by a job, each once for a credential, a
//! day and a channel; none for what was revoked, disabled or replaced (seed 001).

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, decide, page};
use crate::error::Refused;
use crate::notices::{calendar, webhook};
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::api_key::KeyState;
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::credential::{hex, unhex};
use countersign_core::id::{ApiKeyId, CertificateId};
use countersign_core::identity::IdentityId;
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::name::NamespaceId;
use countersign_core::namespace::AcceptedCa;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_core::{Access, notice};
use countersign_proto::convert;
use countersign_proto::rest::{
    CalendarBody, Changed, CreateWebhook, CreatedWebhook, DeliveryBody, NoticeBody, NoticeSettingsBody, Page, PageQuery, WebhookBody,
};
use countersign_store::{NoticeKey, NoticeRow, Page as StorePage, Reader};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How far ahead is looked.
const HORIZON: Lifetime = Lifetime::from_days(notice::DAYS[0]);
/// Without a use for so long nobody is thought to use it.
const IDLE: Lifetime = Lifetime::from_days(30);
/// Credentials read at a time.
const STEP: usize = 1000;
/// Deliveries tried in one round.
const ROUND: i64 = 50;
/// The pause after a failure, doubled each time, and the longest.
const PAUSE: Lifetime = Lifetime::from_seconds(60);
const PAUSE_MAX: Lifetime = Lifetime::from_seconds(6 * 3600);
/// Delivered notices are kept so long.
const KEPT: Lifetime = Lifetime::from_days(400);
/// More people than this are not written to about one credential.
const RECIPIENTS_MAX: usize = 50;
const WEBHOOKS_MAX: usize = 10;
const INBOX: &str = "inbox";
const MAIL: &str = "mail";

/// Notices that are known to be kept, so that a round need not ask for each again.
#[derive(Debug, Default)]
pub struct Planned {
    known: Mutex<HashSet<(String, i64, String)>>,
    /// The earliest end of each kind within the horizon, as the last round found it.
    earliest: Mutex<Vec<(&'static str, Timestamp)>>,
}

impl Planned {
    fn is_new(&self, row: &NoticeRow) -> bool {
        let key = (row.credential.clone(), row.days, row.channel.clone());
        !self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    fn remember(&self, rows: Vec<NoticeRow>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(rows.into_iter().map(|row| (row.credential, row.days, row.channel)));
    }

    fn note_ends(&self, endings: &[Ending]) {
        let mut earliest: Vec<(&'static str, Timestamp)> = Vec::new();
        for ending in endings {
            match earliest.iter_mut().find(|(kind, _)| *kind == ending.kind) {
                Some((_, at)) => *at = (*at).min(ending.ends),
                None => earliest.push((ending.kind, ending.ends)),
            }
        }
        *self.earliest.lock().unwrap_or_else(PoisonError::into_inner) = earliest;
    }

    /// The earliest end of each kind of credential, where one ends within 60 days.
    pub fn earliest(&self) -> Vec<(&'static str, Timestamp)> {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A webhook as kept: its secret sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Webhook {
    id: String,
    url: String,
    sealed: String,
    created_at: Timestamp,
}

/// Something that ends.
struct Ending {
    credential: String,
    kind: &'static str,
    name: String,
    owner: Option<IdentityId>,
    namespace: Option<NamespaceId>,
    begins: Timestamp,
    ends: Timestamp,
    advice: &'static str,
}

impl Ending {
    fn body(&self, due: notice::Due, used: Option<Timestamp>, now: Timestamp) -> NoticeBody {
        NoticeBody {
            credential: self.credential.clone(),
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            owner_id: self.owner.as_ref().map(|owner| owner.as_str().to_owned()).unwrap_or_default(),
            namespace: self.namespace.as_ref().map(ToString::to_string),
            end_time: convert::time(self.ends),
            days: due.days,
            due_time: convert::time(due.at),
            in_use: self.kind == "accepted_client_ca" || used.is_some_and(|at| now < at.plus(IDLE)),
            last_used_time: used.map(convert::time),
            advice: self.advice.to_owned(),
            deliveries: Vec::new(),
        }
    }
}

/// The id of an accepted CA among credentials.
fn ca_id(namespace: &NamespaceId, ca: &AcceptedCa) -> String {
    format!("{namespace}/{}", ca.fingerprint_sha1)
}

fn ca_ending(namespace: &NamespaceId, ca: &AcceptedCa) -> Ending {
    Ending {
        credential: ca_id(namespace, ca),
        kind: "accepted_client_ca",
        name: ca.subject.clone(),
        owner: None,
        namespace: Some(namespace.clone()),
        begins: ca.not_before,
        ends: ca.not_after,
        advice: "Every client of this CA is refused from then on. Add the next CA beside it: countersign namespace accepted-client-ca add.",
    }
}

/// Everything that ends within the horizon and is not on its way out anyway.
async fn endings(app: &App, reader: &mut Reader, now: Timestamp) -> Result<Vec<Ending>, Refused> {
    let mut found = Vec::new();
    let mut page = StorePage::first(STEP);
    loop {
        let keys = reader.api_keys_ending(now, now.plus(HORIZON), &page).await?;
        let Some(last) = keys.last() else { break };
        page.after = Some(last.id.to_string());
        for key in keys {
            let namespace = super::api_keys::owner(reader, &key.owner).await?.and_then(|owner| owner.scope);
            found.push(Ending {
                credential: key.id.to_string(),
                kind: "api_key",
                name: key.name,
                owner: Some(key.owner),
                namespace,
                begins: key.created_at,
                ends: key.expires_at,
                advice: "Create its successor, let clients use that one, then delete this one: countersign apikey create.",
            });
        }
    }
    let mut page = StorePage::first(STEP);
    loop {
        let certificates = reader.certificates_ending(now, now.plus(HORIZON), &page).await?;
        let Some(last) = certificates.last() else { break };
        page.after = Some(last.id.to_string());
        for certificate in certificates.into_iter().filter(|c| c.replaced_by.is_none()) {
            let namespace = super::api_keys::owner(reader, &certificate.owner).await?.and_then(|owner| owner.scope);
            found.push(Ending {
                credential: certificate.id.to_string(),
                kind: "certificate",
                name: if certificate.alias.is_empty() { certificate.facts.subject.clone() } else { certificate.alias },
                owner: Some(certificate.owner),
                namespace,
                begins: certificate.facts.not_before,
                ends: certificate.facts.not_after,
                advice: "Make its successor, let clients use that one, then revoke this one: countersign certificate rotate.",
            });
        }
    }
    for namespace in app.snapshot().namespaces() {
        let soon = |ca: &&AcceptedCa| ca.not_after > now && ca.not_after <= now.plus(HORIZON);
        found.extend(namespace.accepted_client_cas.iter().filter(soon).map(|ca| ca_ending(&namespace.id, ca)));
    }
    Ok(found)
}

/// Notes every notice that has become due. Gives how many were new.
///
/// # Errors
/// When the store fails; the next round finds the same.
pub async fn plan(app: &App) -> Result<usize, Refused> {
    let now = app.now();
    let mut read = app.store.read().await?;
    let settings = settings(&mut read).await?;
    let mut channels = vec![INBOX.to_owned()];
    if settings.mail && app.post.get().is_some() {
        channels.push(MAIL.to_owned());
    }
    channels.extend(webhooks(&mut read).await?.into_iter().map(|hook| format!("webhook:{}", hook.id)));
    let mut rows = Vec::new();
    let endings = endings(app, &mut read, now).await?;
    app.planned.note_ends(&endings);
    for ending in endings {
        let used = read.usage(&ending.credential).await?.map(|row| row.last_used_at);
        let idle = ending.kind != "accepted_client_ca" && used.is_none_or(|at| now >= at.plus(IDLE));
        let Some(due) = notice::due(ending.begins, ending.ends, now, idle) else { continue };
        let body = ending.body(due, used, now);
        let document = serde_json::to_string(&body).unwrap_or_default();
        rows.extend(channels.iter().map(|channel| NoticeRow {
            credential: ending.credential.clone(),
            days: due.days,
            channel: channel.clone(),
            document: document.clone(),
            due_at: due.at,
            attempts: 0,
            next_attempt_at: now,
            // The inbox is delivered by being there.
            sent_at: (channel == INBOX).then_some(now),
            failure: String::new(),
        }));
    }
    drop(read);
    rows.retain(|row| app.planned.is_new(row));
    if rows.is_empty() {
        return Ok(0);
    }
    let mut write = app.store.begin().await?;
    let mut new = 0;
    for row in &rows {
        new += usize::from(write.add_notice(row).await?);
    }
    write.forget_notices(now.minus(KEPT)).await?;
    write.commit_without_revision().await?;
    app.planned.remember(rows);
    Ok(new)
}

/// Delivers what is open and due. A failure is tried again after a pause that grows.
///
/// # Errors
/// When the store fails.
pub async fn deliver(app: &App) -> Result<(), Refused> {
    let now = app.now();
    let mut read = app.store.read().await?;
    let open = read.open_notices(now, ROUND).await?;
    if open.is_empty() {
        return Ok(());
    }
    let hooks = webhooks(&mut read).await?;
    drop(read);
    for row in open {
        let Ok(body) = serde_json::from_str::<NoticeBody>(&row.document) else { continue };
        let mut read = app.store.read().await?;
        let concerns = still_concerns(app, &mut read, &body, now).await?;
        let to = if row.channel == MAIL && concerns { recipients(&mut read, &body).await? } else { Vec::new() };
        drop(read);
        let outcome = if concerns { send(app, &hooks, &row, &body, &to, now).await } else { Ok(()) };
        let mut write = app.store.begin().await?;
        match outcome {
            _ if !concerns => {
                write.give_up_notices(&row.credential).await?;
            }
            Ok(()) => write.notice_sent(&row, app.now()).await?,
            Err(why) => {
                let doublings = u32::try_from(row.attempts.clamp(0, 10)).unwrap_or(10);
                let pause = Lifetime::from_seconds((PAUSE.seconds() << doublings).min(PAUSE_MAX.seconds()));
                tracing::warn!(credential = %row.credential, channel = %row.channel, %why, "a notice could not be delivered; it is tried again");
                write.notice_failed(&row, now.plus(pause), &why.chars().take(300).collect::<String>()).await?;
            }
        }
        write.commit_without_revision().await?;
    }
    Ok(())
}

async fn send(app: &App, hooks: &[Webhook], row: &NoticeRow, body: &NoticeBody, to: &[String], now: Timestamp) -> Result<(), String> {
    if row.channel == MAIL {
        let post = app.post.get().ok_or("no mail server is set (mail.server)")?;
        return post.send(to, body).await;
    }
    let id = row.channel.strip_prefix("webhook:").unwrap_or_default();
    // One that was taken away has nobody to deliver to.
    let Some(hook) = hooks.iter().find(|hook| hook.id == id) else { return Ok(()) };
    let secret = open_secret(app, hook).ok_or("its secret cannot be opened with the present master key; make the webhook anew")?;
    let message = serde_json::json!({"type": "credential.expiring", "timestamp": convert::time(now), "data": body});
    // The same id at each attempt: a receiver tells a repetition by it.
    let message_id = format!("msg_{}_{}", hex(&sha2::Sha256::digest(row.credential.as_bytes())[..12]), row.days);
    let client = app.webhook_client().ok_or("TLS cannot be set up")?;
    webhook::send(client, &hook.url, &secret, &message_id, now, message.to_string()).await
}

/// Whether the credential still ends as the notice says and nobody has taken care of it.
async fn still_concerns(app: &App, reader: &mut Reader, body: &NoticeBody, now: Timestamp) -> Result<bool, Refused> {
    Ok(match body.kind.as_str() {
        "api_key" => match ApiKeyId::parse(&body.credential) {
            Ok(id) => reader.api_key(&id).await?.is_some_and(|key| key.state(now) == KeyState::Enabled),
            Err(_) => false,
        },
        "certificate" => match CertificateId::parse(&body.credential) {
            Ok(id) => reader.certificate(&id).await?.is_some_and(|certificate| {
                certificate.status == CertificateStatus::Active && certificate.replaced_by.is_none() && now < certificate.facts.not_after
            }),
            Err(_) => false,
        },
        _ => app.snapshot().namespaces().any(|ns| ns.accepted_client_cas.iter().any(|ca| ca_id(&ns.id, ca) == body.credential)),
    })
}

/// Who is written to: a person about his own; else the admins of the account, those of the namespace, and whoever the settings name.
async fn recipients(reader: &mut Reader, body: &NoticeBody) -> Result<Vec<String>, Refused> {
    let mut to = settings(reader).await?.recipients;
    if let Some(IdentityId::User(id)) = IdentityId::parse(&body.owner_id) {
        to.extend(reader.user(&id).await?.map(|user| user.email));
    } else {
        let namespace = body.namespace.as_deref().and_then(|text| NamespaceId::parse(text).ok());
        let concerned = |access: &Access| match &namespace {
            Some(namespace) => access.permission(namespace) == Some(countersign_core::NamespacePermission::Admin),
            None => access.account_role.administers_every_namespace(),
        };
        let mut page = StorePage::first(STEP);
        loop {
            let users = reader.users(&page).await?;
            let Some(last) = users.last() else { break };
            page.after = Some(last.id.to_string());
            to.extend(users.into_iter().filter(|user| concerned(&user.access)).map(|user| user.email));
        }
    }
    to.sort();
    to.dedup();
    to.truncate(RECIPIENTS_MAX);
    Ok(to)
}

async fn settings(reader: &mut Reader) -> Result<NoticeSettingsBody, Refused> {
    let default = || NoticeSettingsBody { mail: true, recipients: Vec::new() };
    Ok(reader.setting("notices").await?.unwrap_or_else(default))
}

async fn webhooks(reader: &mut Reader) -> Result<Vec<Webhook>, Refused> {
    Ok(reader.setting("webhooks").await?.unwrap_or_default())
}

const SECRET: &str = "webhook secret";

fn open_secret(app: &App, hook: &Webhook) -> Option<Vec<u8>> {
    let sealed =
        (0..hook.sealed.len() / 2).map(|i| u8::from_str_radix(hook.sealed.get(i * 2..i * 2 + 2)?, 16).ok()).collect::<Option<Vec<_>>>()?;
    app.sealer().ok()?.open(&format!("{SECRET} {}", hook.id), &sealed).ok().map(|bytes| bytes.to_vec())
}

/// What the settings are.
///
/// # Errors
/// `forbidden`.
pub async fn get_settings(app: &App, actor: &Actor) -> Result<NoticeSettingsBody, Refused> {
    decide(actor, Action::SetNotices, Target::Account)?;
    settings(&mut app.store.read().await?).await
}

/// Sets them.
///
/// # Errors
/// `forbidden`, `invalid_argument`, `nothing_to_change`.
pub async fn set_settings(app: &App, caller: &Caller, body: NoticeSettingsBody) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::SetNotices, &("settings", &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::SetNotices, Target::Account)?;
    if body.recipients.len() > RECIPIENTS_MAX || body.recipients.iter().any(|to| to.len() > 254 || to.parse::<lettre::Address>().is_err()) {
        return Err(Refused::invalid(format!("recipients are up to {RECIPIENTS_MAX} mail addresses, each as name@example.com")));
    }
    let before = settings(&mut unit.write).await?;
    if before == body {
        return Err(Refused::nothing_to_change("the settings of notices are so already"));
    }
    let now = unit.now;
    unit.write.put_setting("notices", &body, now).await?;
    let done = Done { kind: "notice_settings", id: "notices", before: value(&before), after: value(&body) };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// The webhooks.
///
/// # Errors
/// `forbidden`.
pub async fn list_webhooks(app: &App, actor: &Actor) -> Result<Page<WebhookBody>, Refused> {
    decide(actor, Action::SetNotices, Target::Account)?;
    let hooks = webhooks(&mut app.store.read().await?).await?;
    let items = hooks.iter().map(shown).collect();
    Ok(Page { items, next_page_token: String::new() })
}

fn shown(hook: &Webhook) -> WebhookBody {
    WebhookBody { id: hook.id.clone(), url: hook.url.clone(), created_time: convert::time(hook.created_at) }
}

/// Makes a webhook. Its secret is shown by this answer alone.
///
/// # Errors
/// `forbidden`, `invalid_argument`, `limit_reached`.
pub async fn create_webhook(app: &App, caller: &Caller, body: CreateWebhook) -> Result<CreatedWebhook, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::SetNotices, &("webhook", &body)).await? {
        Begun::Repeated(operation) => return Ok(CreatedWebhook { id: operation.resource_id, secret: String::new() }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::SetNotices, Target::Account)?;
    webhook::check_url(&body.url).map_err(Refused::invalid)?;
    let mut hooks = webhooks(&mut unit.write).await?;
    if hooks.len() >= WEBHOOKS_MAX {
        return Err(Refused::new("limit_reached", format!("there are {WEBHOOKS_MAX} webhooks already, and no more are kept")));
    }
    let mut bytes = [0_u8; 8];
    app.entropy.fill(&mut bytes);
    let id = hex(&bytes);
    let (secret, plain) = webhook::mint(&*app.entropy);
    let sealed = app.sealer()?.seal(&format!("{SECRET} {id}"), &plain);
    let hook = Webhook { id: id.clone(), url: body.url, sealed: hex(&sealed), created_at: unit.now };
    let after = value(&shown(&hook));
    hooks.push(hook);
    let now = unit.now;
    unit.write.put_setting("webhooks", &hooks, now).await?;
    unit.commit(Done { kind: "webhook", id: &id, before: None, after }).await?;
    // Shown here, this once.
    Ok(CreatedWebhook { id, secret: secret.expose().to_owned() })
}

/// Takes a webhook away.
///
/// # Errors
/// `forbidden`, `not_found`.
pub async fn delete_webhook(app: &App, caller: &Caller, id: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::SetNotices, &("webhook/delete", id)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::SetNotices, Target::Account)?;
    let mut hooks = webhooks(&mut unit.write).await?;
    let at = hooks.iter().position(|hook| hook.id == id).ok_or_else(|| Refused::not_found("webhook", id))?;
    let gone = hooks.remove(at);
    let now = unit.now;
    unit.write.put_setting("webhooks", &hooks, now).await?;
    let done = Done { kind: "webhook", id, before: value(&shown(&gone)), after: None };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// The inbox: notices of what the caller may see, newest first.
///
/// # Errors
/// `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<NoticeBody>, Refused> {
    decide(actor, Action::GetNotices, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut after = asked.after.as_deref().map(key).transpose()?;
    let mut read = app.store.read().await?;
    let mut found: Vec<(NoticeRow, NoticeBody)> = Vec::new();
    while found.len() <= asked.size {
        let rows = read.notices(after.as_ref(), 500).await?;
        let Some(last) = rows.last() else { break };
        after = Some((last.due_at, last.credential.clone(), last.days, last.channel.clone()));
        for row in rows.into_iter().filter(|row| row.channel == INBOX) {
            let Ok(body) = serde_json::from_str::<NoticeBody>(&row.document) else { continue };
            if may_see(actor, &body) {
                found.push((row, body));
            }
        }
    }
    let mut page = page::cut(found, &asked, |(row, _)| text_key(row), |(_, body)| body);
    for body in &mut page.items {
        let rows = read.notices_of(&body.credential).await?;
        body.deliveries = rows.into_iter().filter(|row| row.days == body.days).map(delivery).collect();
    }
    Ok(page)
}

fn delivery(row: NoticeRow) -> DeliveryBody {
    DeliveryBody { channel: row.channel, sent_time: row.sent_at.map(convert::time), attempts: row.attempts, failure: row.failure }
}

/// Whether a notice is about something the caller may know of.
fn may_see(actor: &Actor, body: &NoticeBody) -> bool {
    let namespace = body.namespace.as_deref().and_then(|text| NamespaceId::parse(text).ok());
    match IdentityId::parse(&body.owner_id) {
        Some(owner) => authz::decide(actor, Action::GetNotices, Target::CredentialOf(&owner, namespace.as_ref())).is_ok(),
        None => namespace.is_some_and(|ns| actor.access.permission(&ns) == Some(countersign_core::NamespacePermission::Admin)),
    }
}

fn text_key(row: &NoticeRow) -> String {
    format!("{}|{}|{}", row.due_at.micros(), row.days, row.credential)
}

fn key(text: &str) -> Result<NoticeKey, Refused> {
    let wrong = || Refused::invalid("page_token is not one that an answer gave; leave it out for the first page");
    let mut parts = text.splitn(3, '|');
    let mut next = || parts.next().ok_or_else(wrong);
    let at = next()?.parse().map_err(|_| wrong())?;
    let days = next()?.parse().map_err(|_| wrong())?;
    Ok((Timestamp::from_micros(at), next()?.to_owned(), days, INBOX.to_owned()))
}

/// Makes the calendar feed's address anew; the one before ends.
///
/// # Errors
/// `forbidden`.
pub async fn create_calendar(app: &App, caller: &Caller) -> Result<CalendarBody, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::SetNotices, &"calendar").await? {
        Begun::Repeated(_) => return Ok(CalendarBody { url: String::new() }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::SetNotices, Target::Account)?;
    let mut bytes = [0_u8; 32];
    app.entropy.fill(&mut bytes);
    let now = unit.now;
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    unit.write.put_setting("calendar", &hex(&digest), now).await?;
    unit.commit(Done { kind: "calendar", id: "calendar", before: None, after: None }).await?;
    let host = app.settings.control_hosts.first().map_or("localhost", String::as_str);
    Ok(CalendarBody { url: format!("https://{host}/notices/{}.ics", hex(&bytes)) })
}

/// The feed, for whoever has its address.
///
/// # Errors
/// `not_found` for any other address.
pub async fn calendar(app: &App, token: &str) -> Result<String, Refused> {
    let absent = || Refused::not_found("calendar", "at this address");
    let bytes = unhex::<32>(token).filter(|_| token.len() == 64).ok_or_else(absent)?;
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    let mut read = app.store.read().await?;
    // A digest of 256 random bits is compared: the time it takes tells nothing of them.
    if read.setting::<String>("calendar").await?.as_deref() != Some(&hex(&digest)) {
        return Err(absent());
    }
    let now = app.now();
    let mut found = endings(app, &mut read, now).await?;
    found.sort_by_key(|ending| ending.ends);
    let events: Vec<_> = found
        .into_iter()
        .map(|ending| {
            let name: String = ending.name.chars().take(DISPLAY_NAME_CHARS_MAX).collect();
            let summary = format!("{} {name} ends", ending.kind.replace('_', " "));
            calendar::Event { id: ending.credential, summary, at: ending.ends }
        })
        .collect();
    Ok(calendar::feed(&events, now))
}

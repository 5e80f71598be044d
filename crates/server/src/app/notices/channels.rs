//! Where notices go: settings, mail on trial, webhooks with their secrets, and the calendar feed. Nothing here decides what is due.

use super::{RECIPIENTS_MAX, endings};
use crate::app::App;
use crate::app::caller::Caller;
use crate::app::decide;
use crate::app::rights::Maker;
use crate::app::unit::{Begun, Done, Unit, value};
use crate::error::Refused;
use crate::notices::{calendar as feed, mail, webhook};
use countersign_core::Timestamp;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::{hex, unhex};
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_proto::convert;
use countersign_proto::rest::{
    CalendarBody, Changed, CreateWebhook, CreatedWebhook, NoticeSettingsBody, Page, TestMail, TestedMail, WebhookBody,
};
use countersign_store::Reader;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

const WEBHOOKS_MAX: usize = 10;

/// A webhook as kept: its secret sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Webhook {
    /// Names it in channels.
    pub id: String,
    /// Where to.
    pub url: String,
    sealed: String,
    created_at: Timestamp,
}
/// The settings in force.
pub(super) async fn settings(reader: &mut Reader) -> Result<NoticeSettingsBody, Refused> {
    let default = || NoticeSettingsBody { mail: true, recipients: Vec::new() };
    Ok(reader.setting("notices").await?.unwrap_or_else(default))
}

/// The webhooks as kept.
pub(super) async fn webhooks(reader: &mut Reader) -> Result<Vec<Webhook>, Refused> {
    Ok(reader.setting("webhooks").await?.unwrap_or_default())
}

const SECRET: &str = "webhook secret";

/// The secret that signs a webhook's messages; `None` when the present master key does not open it.
pub(super) fn open_secret(app: &App, hook: &Webhook) -> Option<Vec<u8>> {
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

/// Sends one mail now, so that an admin sees whether mail works. The server's answer is shown to admins only: they set it.
///
/// # Errors
/// `forbidden`, `invalid_argument` for an address that is none, or where no mail server is set.
pub async fn test_mail(app: &App, caller: &Caller, body: TestMail) -> Result<TestedMail, Refused> {
    let unit = match Unit::begin(app, caller, Action::SetNotices, &("test-mail", &body)).await? {
        // It went out, or failed, at the first time.
        Begun::Repeated(_) => return Ok(TestedMail { accepted: true, failure: String::new() }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::SetNotices, Target::Account)?;
    if body.to.len() > 254 || body.to.parse::<lettre::Address>().is_err() {
        return Err(Refused::invalid("to is one mail address, as name@example.com"));
    }
    let Some(post) = app.post.get() else {
        return Err(Refused::invalid("no mail server is set").hint("set mail.host and mail.from in the settings of `countersign serve`"));
    };
    // Recorded before it leaves: whoever has mail sent in our name stands in the trail.
    let after = value(&body);
    let operation = unit.commit(Done { kind: "test_mail", id: "mail", before: None, after }).await?;
    let failure = post.send(&mail::trial(&body.to, operation.id.as_str())).await.err().unwrap_or_default();
    Ok(TestedMail { accepted: failure.is_empty(), failure })
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

/// The calendar feed's address, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Calendar {
    Made {
        digest: String,
        maker: Option<Maker>,
    },
    /// By an earlier version, which did not keep who made it: it opens nothing.
    OfNobody(String),
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
    unit.write.put_setting("calendar", &Calendar::Made { digest: hex(&digest), maker: Maker::of(caller) }, now).await?;
    unit.commit(Done { kind: "calendar", id: "calendar", before: None, after: None }).await?;
    Ok(CalendarBody { url: format!("{}/notices/{}.ics", app.desk.settings().public_url, hex(&bytes)) })
}

/// The feed, for whoever has its address.
///
/// # Errors
/// `not_found` for any other address, and for one whose maker may not make it any more.
pub async fn calendar(app: &App, token: &str) -> Result<String, Refused> {
    let absent = || Refused::not_found("calendar", "at this address");
    let bytes = unhex::<32>(token).filter(|_| token.len() == 64).ok_or_else(absent)?;
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    let mut read = app.store.read().await?;
    // A digest of 256 random bits is compared: the time it takes tells nothing of them.
    let Some(Calendar::Made { digest: kept, maker }) = read.setting("calendar").await? else { return Err(absent()) };
    if kept != hex(&digest) {
        return Err(absent());
    }
    if let Some(maker) = maker {
        let actor = maker.now(&mut read).await?.ok_or_else(absent)?;
        authz::decide(&actor, Action::SetNotices, Target::Account).map_err(|_| absent())?;
    }
    let now = app.now();
    let mut found = endings(app, &mut read, now).await?;
    found.sort_by_key(|ending| ending.ends);
    let events: Vec<_> = found
        .into_iter()
        .map(|ending| {
            let name: String = ending.name.chars().take(DISPLAY_NAME_CHARS_MAX).collect();
            let summary = format!("{} {name} ends", ending.kind.replace('_', " "));
            feed::Event { id: ending.credential, summary, at: ending.ends }
        })
        .collect();
    Ok(feed::feed(&events, now))
}

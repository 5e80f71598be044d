//! Notices on their way: what is open goes out, what fails goes again after a pause that grows, and what nobody needs any more goes
//! nowhere. A mail is one delivery for each of its readers, so that one bad address brings nobody the same letter twice.

use super::channels::{Webhook, open_secret, settings, webhooks};
use super::stale::{self, REVOCATION_LIST};
use super::{MAIL, RECIPIENTS_MAX, STEP, ca_id};
use crate::app::App;
use crate::error::Refused;
use crate::notices::{mail, webhook};
use countersign_core::Access;
use countersign_core::credential::api_key::KeyState;
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::credential::hex;
use countersign_core::id::{ApiKeyId, CertificateId, IssuerId};
use countersign_core::identity::IdentityId;
use countersign_core::issuer::IssuerState;
use countersign_core::name::NamespaceId;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::NoticeBody;
use countersign_store::{NoticeRow, Page as StorePage, Reader};
use sha2::Digest as _;

/// Deliveries tried in one round.
const ROUND: i64 = 50;
/// The pause after a failure, doubled each time, and the longest.
const PAUSE: Lifetime = Lifetime::from_seconds(60);
const PAUSE_MAX: Lifetime = Lifetime::from_seconds(6 * 3600);

/// Delivers what is open and due. A failure is tried again after a pause that grows.
///
/// # Errors
/// When the store fails.
pub async fn deliver(app: &App) -> Result<(), Refused> {
    // Twice, so that the readers whom a mail was found to have in the first turn get it in the second.
    for _ in 0..2 {
        let now = app.now();
        let mut read = app.store.read().await?;
        let open = read.open_notices(now, ROUND).await?;
        if open.is_empty() {
            break;
        }
        let hooks = webhooks(&mut read).await?;
        drop(read);
        for row in open {
            deliver_one(app, &hooks, &row, now).await?;
        }
    }
    Ok(())
}

/// What became of one delivery.
enum Outcome {
    Sent,
    Failed(String),
    /// The credential was taken care of: nothing of it that waits is needed.
    GivenUp,
    /// A later notice of the same channel takes its place.
    Overtaken,
    /// A mail, with its readers.
    FannedOut(Vec<String>),
}

async fn deliver_one(app: &App, hooks: &[Webhook], row: &NoticeRow, now: Timestamp) -> Result<(), Refused> {
    let outcome = match serde_json::from_str::<NoticeBody>(&row.document) {
        Ok(body) => attempt(app, hooks, row, &body, now).await?,
        // Written by another version, and unreadable to this one: nobody can be told.
        Err(_) => Outcome::Overtaken,
    };
    let mut write = app.store.begin().await?;
    match outcome {
        Outcome::GivenUp => {
            write.give_up_notices(&row.credential).await?;
        }
        Outcome::Overtaken => write.drop_notice(row).await?,
        Outcome::Sent => write.notice_sent(row, app.now()).await?,
        Outcome::FannedOut(readers) => {
            for reader in readers {
                let channel = format!("{MAIL}:{reader}");
                write.add_notice(&NoticeRow { channel, attempts: 0, next_attempt_at: now, failure: String::new(), ..row.clone() }).await?;
            }
            write.notice_sent(row, app.now()).await?;
        }
        Outcome::Failed(why) => {
            let doublings = u32::try_from(row.attempts.clamp(0, 10)).unwrap_or(10);
            let pause = Lifetime::from_seconds((PAUSE.seconds() << doublings).min(PAUSE_MAX.seconds()));
            tracing::warn!(credential = %row.credential, channel = %row.channel, %why, "a notice could not be delivered; it is tried again");
            write.notice_failed(row, now.plus(pause), &why.chars().take(300).collect::<String>()).await?;
        }
    }
    write.commit_without_revision().await?;
    Ok(())
}

async fn attempt(app: &App, hooks: &[Webhook], row: &NoticeRow, body: &NoticeBody, now: Timestamp) -> Result<Outcome, Refused> {
    let mut read = app.store.read().await?;
    if !still_concerns(app, &mut read, body, now).await? {
        return Ok(Outcome::GivenUp);
    }
    // A channel that was out of reach for long hears the newest notice of a credential, and not all of them at once.
    if read.notices_of(&row.credential).await?.iter().any(|other| other.channel == row.channel && other.days < row.days) {
        return Ok(Outcome::Overtaken);
    }
    if row.channel == MAIL {
        return Ok(Outcome::FannedOut(recipients(&mut read, body).await?));
    }
    drop(read);
    Ok(send(app, hooks, row, body, now).await.map_or_else(Outcome::Failed, |()| Outcome::Sent))
}

async fn send(app: &App, hooks: &[Webhook], row: &NoticeRow, body: &NoticeBody, now: Timestamp) -> Result<(), String> {
    // The same id at each attempt: a receiver tells a repetition by it.
    let message_id = format!("msg_{}_{}", hex(&sha2::Sha256::digest(row.credential.as_bytes())[..12]), row.days);
    if let Some(reader) = row.channel.strip_prefix(MAIL).and_then(|rest| rest.strip_prefix(':')) {
        let post = app.post.get().ok_or("no mail server is set (mail.host)")?;
        return post.send(&mail::letter(reader, &message_id, body)).await;
    }
    let id = row.channel.strip_prefix("webhook:").unwrap_or_default();
    // One that was taken away has nobody to deliver to.
    let Some(hook) = hooks.iter().find(|hook| hook.id == id) else { return Ok(()) };
    let secret = open_secret(app, hook).ok_or("its secret cannot be opened with the present master key; make the webhook anew")?;
    let kind = if body.kind == REVOCATION_LIST { "revocation_list.stale" } else { "credential.expiring" };
    let message = serde_json::json!({"type": kind, "timestamp": convert::time(now), "data": body});
    let client = app.webhook_client().ok_or("TLS cannot be set up")?;
    webhook::send(client, &hook.url, &secret, &message_id, now, message.to_string()).await
}

/// Whether the credential still ends as the notice says and nobody has taken care of it.
async fn still_concerns(app: &App, reader: &mut Reader, body: &NoticeBody, now: Timestamp) -> Result<bool, Refused> {
    Ok(match body.kind.as_str() {
        "api_key" => match ApiKeyId::parse(&body.credential) {
            Ok(id) => {
                reader.api_key(&id).await?.is_some_and(|key| key.state(now) == KeyState::Enabled)
                    && reader.key_succession_of(&id).await?.is_none()
            }
            Err(_) => false,
        },
        "certificate" => match CertificateId::parse(&body.credential) {
            Ok(id) => reader.certificate(&id).await?.is_some_and(|certificate| {
                certificate.status == CertificateStatus::Active && certificate.replaced_by.is_none() && now < certificate.facts.not_after
            }),
            Err(_) => false,
        },
        REVOCATION_LIST => stale::still_is(app, reader, body, now).await?,
        super::ISSUER => match IssuerId::parse(&body.credential) {
            Ok(id) => reader.issuer(&id).await?.is_some_and(|issuer| issuer.state != IssuerState::Retired),
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
    // An address that no mail program reads cannot be told; the others are.
    to.retain(|address| address.parse::<lettre::Address>().is_ok());
    to.sort();
    to.dedup();
    to.truncate(RECIPIENTS_MAX);
    Ok(to)
}

//! The inbox: notices as the API shows them, to whoever may know of what they are about.

use super::{INBOX, MAIL};
use crate::app::{App, decide, page};
use crate::error::Refused;
use countersign_core::Timestamp;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::identity::IdentityId;
use countersign_core::name::NamespaceId;
use countersign_proto::convert;
use countersign_proto::rest::{DeliveryBody, NoticeBody, Page, PageQuery};
use countersign_store::{NoticeKey, NoticeRow};

/// The inbox: notices of what the caller may see, newest first.
///
/// # Errors
/// `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<NoticeBody>, Refused> {
    decide(actor, Action::GetNotices, Target::Account)?;
    let sets = decide(actor, Action::SetNotices, Target::Account).is_ok();
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
        body.deliveries = rows.into_iter().filter(|row| row.days == body.days).filter_map(|row| delivery(row, sets)).collect();
    }
    Ok(page)
}

/// A delivery as shown. Who else is written to, and what servers answered, is for those who say where notices go. The fan-out to
/// the readers of a mail is none.
fn delivery(row: NoticeRow, sets: bool) -> Option<DeliveryBody> {
    if row.channel == MAIL && row.sent_at.is_some() {
        return None;
    }
    let channel = if !sets && row.channel.starts_with(MAIL) { MAIL.to_owned() } else { row.channel };
    let failure = if sets || row.failure.is_empty() { row.failure } else { "it is tried again".to_owned() };
    Some(DeliveryBody { channel, sent_time: row.sent_at.map(convert::time), attempts: row.attempts, failure })
}

/// Whether a notice is about something the caller may know of.
fn may_see(actor: &Actor, body: &NoticeBody) -> bool {
    let namespace = body.namespace.as_deref().and_then(|text| NamespaceId::parse(text).ok());
    match IdentityId::parse(&body.owner_id) {
        Some(owner) => authz::decide(actor, Action::GetNotices, Target::CredentialOf(&owner, namespace.as_ref())).is_ok(),
        None => namespace.map_or_else(
            || actor.access.account_role.administers_every_namespace(),
            |ns| actor.access.permission(&ns) == Some(countersign_core::NamespacePermission::Admin),
        ),
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

//! Expiry notices: what ends soon, whom it concerns, and how it goes out. Planned and delivered by a job, each once for a credential, a
//! day and a channel; none for what was revoked, disabled or replaced (seed 001).

mod channels;
mod delivery;
mod ends;
mod inbox;
mod stale;

pub use channels::{calendar, create_calendar, create_webhook, delete_webhook, get_settings, list_webhooks, set_settings, test_mail};
pub use delivery::deliver;
pub use ends::{Ends, look};
pub use inbox::list;

use super::App;
use super::unit::{Unit, name_and_access};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::identity::IdentityId;
use countersign_core::issuer::{IssuerKind, IssuerState};
use countersign_core::name::NamespaceId;
use countersign_core::namespace::AcceptedCa;
use countersign_core::notice;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::NoticeBody;
use countersign_store::{NoticeRow, Page as StorePage, Reader, UsageRow};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// How far ahead is looked.
const HORIZON: Lifetime = Lifetime::from_days(notice::DAYS[0]);
/// Without a use for so long nobody is thought to use it.
const IDLE: Lifetime = Lifetime::from_days(30);
/// Credentials read at a time.
const STEP: usize = 1000;
/// Delivered notices are kept so long.
const KEPT: Lifetime = Lifetime::from_days(400);
/// More people than this are not written to about one credential.
const RECIPIENTS_MAX: usize = 50;
const INBOX: &str = "inbox";
const MAIL: &str = "mail";
const ACCEPTED_CA: &str = "accepted_client_ca";
const ISSUER: &str = "issuer";

/// Notices that are known to be kept, so that a round need not ask for each again.
#[derive(Debug, Default)]
pub struct Planned {
    known: Mutex<HashSet<(String, i64, String)>>,
}

impl Planned {
    fn is_new(&self, row: &NoticeRow) -> bool {
        let key = (row.credential.clone(), row.days, row.channel.clone());
        !self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    fn forget_namespace(&self, id: &NamespaceId) {
        let of_it = format!("{id}/");
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|(credential, ..)| !credential.starts_with(&of_it));
    }

    fn remember(&self, rows: Vec<NoticeRow>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(rows.into_iter().map(|row| (row.credential, row.days, row.channel)));
    }
}

/// Something that ends.
struct Ending {
    credential: String,
    kind: &'static str,
    name: String,
    owner: Option<IdentityId>,
    namespace: Option<NamespaceId>,
    owner_name: String,
    begins: Timestamp,
    ends: Timestamp,
    advice: &'static str,
    command: String,
}

impl Ending {
    /// Whether somebody will notice: a CA has users that nobody counts, so it always counts as used.
    fn in_use(&self, usage: Option<&UsageRow>, now: Timestamp) -> bool {
        matches!(self.kind, ACCEPTED_CA | ISSUER | stale::REVOCATION_LIST) || usage.is_some_and(|row| now < row.last_used_at.plus(IDLE))
    }

    fn body(&self, due: notice::Due, usage: Option<&UsageRow>, now: Timestamp) -> NoticeBody {
        NoticeBody {
            credential: self.credential.clone(),
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            owner_id: self.owner.as_ref().map(|owner| owner.as_str().to_owned()).unwrap_or_default(),
            owner_name: self.owner_name.clone(),
            namespace: self.namespace.as_ref().map(ToString::to_string),
            end_time: convert::time(self.ends),
            days: due.days,
            due_time: convert::time(due.at),
            in_use: self.in_use(usage, now),
            last_used_time: usage.map(|row| convert::time(row.last_used_at)),
            last_source: usage.map(|row| row.last_source.clone()).unwrap_or_default(),
            uses: usage.map_or(0, |row| row.count),
            advice: self.advice.to_owned(),
            command: self.command.clone(),
            deliveries: Vec::new(),
        }
    }
}

/// Names and scopes of owners, each read once a round.
#[derive(Default)]
pub(super) struct Owners(HashMap<IdentityId, (String, Option<NamespaceId>)>);

impl Owners {
    /// Name and scope of an owner; no name where it is gone.
    pub(super) async fn of(&mut self, reader: &mut Reader, id: &IdentityId) -> Result<(String, Option<NamespaceId>), Refused> {
        if let Some(known) = self.0.get(id) {
            return Ok(known.clone());
        }
        let name = name_and_access(reader, id).await?.map(|(name, _)| name).unwrap_or_default();
        let scope = super::api_keys::owner(reader, id).await?.and_then(|owner| owner.scope);
        self.0.insert(id.clone(), (name.clone(), scope.clone()));
        Ok((name, scope))
    }
}

/// The id of an accepted CA among credentials.
fn ca_id(namespace: &NamespaceId, ca: &AcceptedCa) -> String {
    format!("{namespace}/{}", ca.fingerprint_sha1)
}

fn ca_ending(namespace: &NamespaceId, ca: &AcceptedCa) -> Ending {
    Ending {
        credential: ca_id(namespace, ca),
        kind: ACCEPTED_CA,
        name: countersign_core::printable::printable(&ca.subject).into_owned(),
        owner: None,
        owner_name: String::new(),
        namespace: Some(namespace.clone()),
        begins: ca.not_before,
        ends: ca.not_after,
        advice: "Add the next CA beside it, and take this one away when its clients have new certificates:",
        command: format!("countersign namespace accepted-client-ca add --namespace {namespace} --ca-certificate-file NEXT-CA.pem"),
    }
}

/// The command that makes an issuer's successor.
fn next_issuer(kind: IssuerKind, environment: Option<Environment>) -> String {
    let environment = environment.map_or_else(|| "both".to_owned(), |environment| environment.to_string());
    match kind {
        IssuerKind::Root => "countersign issuer create --name NEXT --kind root".to_owned(),
        IssuerKind::Issuing => format!("countersign issuer create --name NEXT --environment {environment}"),
    }
}

/// Everything that ends within the horizon and is not on its way out anyway.
async fn endings(app: &App, reader: &mut Reader, now: Timestamp) -> Result<Vec<Ending>, Refused> {
    let mut found = Vec::new();
    let mut owners = Owners::default();
    let mut page = StorePage::first(STEP);
    loop {
        let keys = reader.api_keys_ending(now, now.plus(HORIZON), &page).await?;
        let Some(last) = keys.last() else { break };
        page.after = Some(last.id.to_string());
        for key in keys {
            if reader.key_succession_of(&key.id).await?.is_some() {
                continue;
            }
            let (owner_name, namespace) = owners.of(reader, &key.owner).await?;
            found.push(Ending {
                command: format!("countersign apikey rotate --id {}", key.id),
                credential: key.id.to_string(),
                kind: "api_key",
                name: key.name,
                owner: Some(key.owner),
                owner_name,
                namespace,
                begins: key.created_at,
                ends: key.expires_at,
                advice: "Make its successor, let clients use that one, then delete this one:",
            });
        }
    }
    let mut page = StorePage::first(STEP);
    loop {
        let certificates = reader.certificates_ending(now, now.plus(HORIZON), &page).await?;
        let Some(last) = certificates.last() else { break };
        page.after = Some(last.id.to_string());
        for certificate in certificates.into_iter().filter(|c| c.replaced_by.is_none()) {
            let (owner_name, namespace) = owners.of(reader, &certificate.owner).await?;
            found.push(Ending {
                command: format!("countersign certificate rotate --id {} --generate-key --out-dir .", certificate.id),
                credential: certificate.id.to_string(),
                kind: "certificate",
                name: if certificate.alias.is_empty() {
                    countersign_core::printable::printable(&certificate.facts.subject).into_owned()
                } else {
                    certificate.alias
                },
                owner: Some(certificate.owner),
                owner_name,
                namespace,
                begins: certificate.facts.not_before,
                ends: certificate.facts.not_after,
                advice: "Make its successor, let clients use that one, then revoke this one:",
            });
        }
    }
    for issuer in reader.issuers().await?.into_iter().filter(|issuer| issuer.state != IssuerState::Retired) {
        // What cannot be read is the issuers' business to say; a notice needs its dates.
        let Ok(facts) = countersign_x509::facts::of(&issuer.der) else { continue };
        if facts.not_after > now && facts.not_after <= now.plus(HORIZON) {
            found.push(Ending {
                credential: issuer.id.to_string(),
                kind: ISSUER,
                name: issuer.name.clone(),
                owner: None,
                owner_name: String::new(),
                namespace: None,
                begins: facts.not_before,
                ends: facts.not_after,
                advice: "Everything it signed ends with it at the latest. Make the next one beside it, let it sign, then retire this one:",
                command: next_issuer(issuer.kind, issuer.environment),
            });
        }
    }
    for namespace in app.snapshot().namespaces() {
        let soon = |ca: &&AcceptedCa| ca.not_after > now && ca.not_after <= now.plus(HORIZON);
        found.extend(namespace.accepted_client_cas.iter().filter(soon).map(|ca| ca_ending(&namespace.id, ca)));
    }
    Ok(found)
}

/// The namespace whose accepted CA, or whose CA's list, a notice is about.
fn namespace_of(row: &NoticeRow) -> Option<NamespaceId> {
    NamespaceId::parse(row.credential.split_once('/')?.0).ok()
}

/// Takes out every notice about a namespace that goes away, as a part of that change: whoever makes one of the same name reads none of
/// them, and is told of what ends there anew.
pub(super) async fn forget_namespace(unit: &mut Unit<'_>, id: &NamespaceId) -> Result<(), Refused> {
    unit.write.forget_notices_of_namespace(id).await?;
    unit.app().planned.forget_namespace(id);
    Ok(())
}

/// Notes every notice that has become due. Gives how many were new.
///
/// # Errors
/// When the store fails; the next round finds the same.
pub async fn plan(app: &App) -> Result<usize, Refused> {
    let now = app.now();
    let mut read = app.store.read().await?;
    let settings = channels::settings(&mut read).await?;
    let mut channels = vec![INBOX.to_owned()];
    if settings.mail && app.post.get().is_some() {
        channels.push(MAIL.to_owned());
    }
    channels.extend(channels::webhooks(&mut read).await?.into_iter().map(|hook| format!("webhook:{}", hook.id)));
    let mut rows = Vec::new();
    let mut all = endings(app, &mut read, now).await?;
    all.extend(stale::lists(app, &mut read, now).await?);
    for ending in all {
        let usage = read.usage(&ending.credential).await?;
        let idle = !ending.in_use(usage.as_ref(), now);
        let due = match ending.kind {
            stale::REVOCATION_LIST => Some(stale::due(&ending)),
            _ => notice::due(ending.begins, ending.ends, now, idle),
        };
        let Some(due) = due else { continue };
        let body = ending.body(due, usage.as_ref(), now);
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
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        // Deleted since it was looked at, it has taken its notices with it.
        if let Some(namespace) = namespace_of(&row)
            && write.namespace(&namespace).await?.is_none()
        {
            continue;
        }
        new += usize::from(write.add_notice(&row).await?);
        kept.push(row);
    }
    write.forget_notices(now.minus(KEPT)).await?;
    write.commit_without_revision().await?;
    app.planned.remember(kept);
    Ok(new)
}

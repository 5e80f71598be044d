//! Audit sinks: the trail delivered to an address of the operator's, signed, in order, at least once. Only admins name the address
//! (promise P19); what the receiver answers is not shown. The trail itself is the truth: a sink is a copy.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, check_text, check_version, decide, page};
use crate::error::{Refused, shown};
use crate::notices::webhook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::audit::Chained;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{AuditSinkBody, Changed, CreateAuditSink, CreatedAuditSink, KinesisSink, Page, PageQuery, UpdateAuditSink};
use countersign_store::{AuditFilter, AuditPage, AuditSinkRow, Page as StorePage, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Sinks of one account.
const SINKS_MAX: usize = 10;
/// Entries of one batch, and batches sent to a sink in one round.
const BATCH: usize = 200;
const BATCHES: usize = 25;
/// The pause after a failure, doubled each time, and the longest.
const PAUSE: Lifetime = Lifetime::from_seconds(5);
const PAUSE_MAX: Lifetime = Lifetime::from_seconds(600);
/// What a signing secret is sealed for.
const SECRET: &str = "audit sink";

/// How deliveries went since the start; a restart tries at once.
#[derive(Debug, Default)]
pub struct Health(Mutex<HashMap<SinkKey, Failing>>);

/// A sink that is deleted and made again under its name is another one.
type SinkKey = (String, Timestamp);

fn key_of(row: &AuditSinkRow) -> SinkKey {
    (row.name.clone(), row.created_at)
}

#[derive(Clone, Debug)]
struct Failing {
    why: String,
    attempts: u32,
    again_at: Timestamp,
}

impl Health {
    fn of(&self, sink: &SinkKey) -> Option<Failing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sink).cloned()
    }

    fn forget(&self, sink: &SinkKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sink);
    }

    fn failed(&self, sink: SinkKey, why: String, now: Timestamp) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = map.get(&sink).map_or(0, |failing| failing.attempts).saturating_add(1);
        let pause = Lifetime::from_seconds((PAUSE.seconds() << attempts.min(10)).min(PAUSE_MAX.seconds()));
        map.insert(sink, Failing { why: why.chars().take(300).collect(), attempts, again_at: now.plus(pause) });
    }
}

/// A sink's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sink {
    enabled: bool,
    kinesis: KinesisSink,
    sealed: String,
}

fn read(row: &AuditSinkRow) -> Result<Sink, Refused> {
    serde_json::from_str(&row.document).map_err(|_| Refused::unavailable("an audit sink cannot be read"))
}

fn write(sink: &Sink) -> Result<String, Refused> {
    serde_json::to_string(sink).map_err(Refused::unavailable)
}

fn body(app: &App, row: &AuditSinkRow, head: i64) -> Result<AuditSinkBody, Refused> {
    let sink = read(row)?;
    let failing = app.sinks.of(&key_of(row)).filter(|_| sink.enabled);
    let state = match (sink.enabled, &failing) {
        (false, _) => "disabled",
        (true, None) => "healthy",
        (true, Some(_)) => "failing",
    };
    Ok(AuditSinkBody {
        name: row.name.clone(),
        enabled: sink.enabled,
        kinesis: sink.kinesis,
        state: state.to_owned(),
        failure: failing.map(|failing| failing.why).unwrap_or_default(),
        sent_to: row.sent_to,
        behind: (head - row.sent_to).max(0),
        resource_version: row.resource_version.to_string(),
        created_time: convert::time(row.created_at),
        last_modified_time: convert::time(row.modified_at),
    })
}

/// What is written to the trail of a sink: all but how it does.
fn traced(name: &str, sink: &Sink) -> Option<serde_json::Value> {
    value(&serde_json::json!({"name": name, "enabled": sink.enabled, "kinesis": sink.kinesis}))
}

fn check_name(name: &str) -> Result<(), Refused> {
    let ok = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if ok { Ok(()) } else { Err(Refused::invalid(format!("`{}` is no name of a sink: 1 to 64 of a-z A-Z 0-9 - _ .", shown(name)))) }
}

fn destination(asked: Option<&KinesisSink>) -> Result<KinesisSink, Refused> {
    let honest = "use an https:// address, to which batches of JSON lines are sent by POST, signed by Standard Webhooks";
    let sink =
        asked.ok_or_else(|| Refused::invalid("a sink has a destination of the kind kinesis; no other is delivered to").hint(honest))?;
    webhook::check_url(&sink.destination_uri).map_err(|_| {
        Refused::invalid("nothing is delivered to this destinationUri: neither AWS nor Google is spoken to from here").hint(honest)
    })?;
    check_text("roleName", &sink.role_name, 0, 200)?;
    check_text("region", &sink.region, 0, 100)?;
    Ok(sink.clone())
}

/// Whether a sink would be taken. Nothing is sent, so the address is not tried.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub fn validate(actor: &Actor, asked: &CreateAuditSink) -> Result<(), Refused> {
    decide(actor, Action::ValidateAccountAuditLogSink, Target::Account)?;
    check_name(&asked.name)?;
    destination(asked.kinesis.as_ref()).map(drop)
}

/// One sink.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, name: &str) -> Result<AuditSinkBody, Refused> {
    decide(actor, Action::GetAccountAuditLogSink, Target::Account)?;
    let mut reader = app.store.read().await?;
    let head = reader.audit_head().await?.sequence;
    let row = reader.audit_sink(name).await?.ok_or_else(|| Refused::not_found("audit sink", name))?;
    body(app, &row, head)
}

/// All sinks, ascending by name.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<AuditSinkBody>, Refused> {
    decide(actor, Action::GetAccountAuditLogSinks, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut reader = app.store.read().await?;
    let head = reader.audit_head().await?.sequence;
    let found = reader.audit_sinks(&page::one_more(&asked)).await?;
    let bodies = found.iter().map(|row| body(app, row, head)).collect::<Result<Vec<_>, _>>()?;
    Ok(page::cut(bodies, &asked, |sink| sink.name.clone(), |sink| sink))
}

fn seal(app: &App, name: &str, plain: &[u8]) -> Result<String, Refused> {
    Ok(STANDARD.encode(app.sealer()?.seal(&format!("{SECRET} {name}"), plain)))
}

/// Makes a sink. It gets every entry from the one of its own making on.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`, `limit_reached`.
pub async fn create(app: &App, caller: &Caller, asked: CreateAuditSink) -> Result<CreatedAuditSink, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateAccountAuditLogSink, &asked).await? {
        Begun::Repeated(operation) => {
            let request_status = convert::request_status(&operation);
            return Ok(CreatedAuditSink { id: operation.resource_id, signing_secret: None, request_status });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateAccountAuditLogSink, Target::Account)?;
    check_name(&asked.name)?;
    let kinesis = destination(asked.kinesis.as_ref())?;
    if unit.write.audit_sink(&asked.name).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is an audit sink {} already", asked.name)).hint("choose another name"));
    }
    if unit.write.audit_sinks(&StorePage::first(SINKS_MAX)).await?.len() >= SINKS_MAX {
        return Err(Refused::new("limit_reached", format!("an account has at most {SINKS_MAX} audit sinks")));
    }
    let (secret, plain) = webhook::mint(&*app.entropy);
    let sink = Sink { enabled: asked.enabled.unwrap_or(true), kinesis, sealed: seal(app, &asked.name, &plain)? };
    let row = AuditSinkRow {
        name: asked.name.clone(),
        document: write(&sink)?,
        sent_to: unit.write.audit_head().await?.sequence,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_audit_sink(&row).await?;
    app.sinks.forget(&key_of(&row));
    let operation = unit.commit(Done { kind: "audit_sink", id: &row.name, before: None, after: traced(&row.name, &sink) }).await?;
    // Shown here, this once.
    let signing_secret = Some(secret.expose().to_owned());
    Ok(CreatedAuditSink { id: row.name, signing_secret, request_status: convert::request_status(&operation) })
}

/// Changes where a sink goes, or whether.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, name: &str, asked: UpdateAuditSink) -> Result<Changed, Refused> {
    let unit = match Unit::begin(app, caller, Action::UpdateAccountAuditLogSink, &(name, &asked)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let edit = |sink: &mut Sink| {
        sink.enabled = asked.enabled.unwrap_or(sink.enabled);
        if asked.kinesis.is_some() {
            sink.kinesis = destination(asked.kinesis.as_ref())?;
        }
        Ok(())
    };
    change(app, unit, name, asked.resource_version.as_deref(), edit).await
}

/// Gives a sink a new signing secret; batches are signed by it from then on.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn rotate_secret(app: &App, caller: &Caller, name: &str) -> Result<CreatedAuditSink, Refused> {
    let unit = match Unit::begin(app, caller, Action::UpdateAccountAuditLogSink, &("rotate", name)).await? {
        Begun::Repeated(operation) => {
            let request_status = convert::request_status(&operation);
            return Ok(CreatedAuditSink { id: operation.resource_id, signing_secret: None, request_status });
        }
        Begun::New(unit) => unit,
    };
    let (secret, plain) = webhook::mint(&*app.entropy);
    let sealed = seal(app, name, &plain)?;
    let edit = |sink: &mut Sink| {
        sink.sealed = sealed;
        Ok(())
    };
    let changed = change(app, unit, name, None, edit).await?;
    // Shown here, this once.
    Ok(CreatedAuditSink { id: name.to_owned(), signing_secret: Some(secret.expose().to_owned()), request_status: changed.request_status })
}

async fn change(
    app: &App,
    mut unit: Box<Unit<'_>>,
    name: &str,
    version: Option<&str>,
    edit: impl FnOnce(&mut Sink) -> Result<(), Refused> + Send,
) -> Result<Changed, Refused> {
    unit.decide(Action::UpdateAccountAuditLogSink, Target::Account)?;
    let before = unit.write.audit_sink(name).await?.ok_or_else(|| Refused::not_found("audit sink", name))?;
    check_version(version, before.resource_version)?;
    let old = read(&before)?;
    let mut new = old.clone();
    edit(&mut new)?;
    if new == old {
        return Err(Refused::nothing_to_change(format!("audit sink {name} is so already")));
    }
    let row = AuditSinkRow { document: write(&new)?, resource_version: before.resource_version + 1, modified_at: unit.now, ..before };
    unit.write.put_audit_sink(&row).await?;
    app.sinks.forget(&key_of(&row));
    let done = Done { kind: "audit_sink", id: name, before: traced(name, &old), after: traced(name, &new) };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// Deletes a sink; the trail stays.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, name: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteAccountAuditLogSink, &(name, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::DeleteAccountAuditLogSink, Target::Account)?;
    let before = unit.write.audit_sink(name).await?.ok_or_else(|| Refused::not_found("audit sink", name))?;
    check_version(version, before.resource_version)?;
    unit.write.delete_audit_sink(name).await?;
    app.sinks.forget(&key_of(&before));
    let done = Done { kind: "audit_sink", id: name, before: traced(name, &read(&before)?), after: None };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// Sends to every sink what it has not got yet. Each in a task of its own: one that hangs keeps no other waiting.
///
/// # Errors
/// When the store fails; the next round begins where this one ended.
pub async fn deliver(app: &Arc<App>) -> Result<(), Refused> {
    let now = app.now();
    let rows = app.store.read().await?.audit_sinks(&StorePage::first(SINKS_MAX)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for row in rows {
        let Ok(sink) = read(&row) else { continue };
        if !sink.enabled || app.sinks.of(&key_of(&row)).is_some_and(|failing| now < failing.again_at) {
            continue;
        }
        let app = Arc::clone(app);
        tasks.spawn(async move {
            match catch_up(&app, &row, &sink).await {
                Ok(()) => app.sinks.forget(&key_of(&row)),
                Err(why) => {
                    tracing::warn!(sink = %row.name, %why, "the audit trail could not be delivered; it is tried again");
                    app.sinks.failed(key_of(&row), why, app.now());
                }
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// A batch as one document of the form that Standard Webhooks recommends: its libraries read the body as JSON after they verified it.
fn document(sink: &str, entries: &[Chained]) -> Result<String, serde_json::Error> {
    let last = entries.last().map(|entry| convert::time(entry.entry.at)).unwrap_or_default();
    let entries: Vec<_> = entries.iter().map(convert::audit_entry).collect();
    // The time of the last entry, so that a batch that is sent again is the same document.
    let document = serde_json::json!({"type": "audit.entries", "timestamp": last, "data": {"sink": sink, "entries": entries}});
    serde_json::to_string(&document)
}

async fn catch_up(app: &App, row: &AuditSinkRow, sink: &Sink) -> Result<(), String> {
    let internal = |error: StoreError| error.to_string();
    let no_secret = || "its signing secret cannot be opened by this master key; give it a new one".to_owned();
    let sealed = STANDARD.decode(&sink.sealed).map_err(|_| no_secret())?;
    let sealer = app.sealer().map_err(|_| "there is no master key".to_owned())?;
    let secret = sealer.open(&format!("{SECRET} {}", row.name), &sealed).map_err(|_| no_secret())?;
    let client = app.webhook_client().ok_or("TLS cannot be set up")?;
    let mut sent_to = row.sent_to;
    for _ in 0..BATCHES {
        let batch = AuditPage { size: BATCH, after: Some(sent_to), descending: false };
        let entries = app.store.read().await.map_err(internal)?.audit(&AuditFilter::default(), &batch).await.map_err(internal)?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        // The same batch has the same id when it is sent again, so a receiver can tell.
        let id = format!("audit_{}_{}_{}", row.name, first.sequence, last.sequence);
        let last = last.sequence;
        let text = document(&row.name, &entries).map_err(|error| error.to_string())?;
        webhook::send(client, &sink.kinesis.destination_uri, &secret, &id, app.now(), text).await?;
        let mut write = app.store.begin().await.map_err(internal)?;
        let same = write.audit_sink_sent(&row.name, row.created_at, last).await.map_err(internal)?;
        write.commit_without_revision().await.map_err(internal)?;
        if !same {
            // Deleted meanwhile.
            return Ok(());
        }
        sent_to = last;
    }
    Ok(())
}

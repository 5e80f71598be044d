//! Rotation without fear: a successor beside the old credential, how the traffic moves from one to the other, and the end of the old
//! one when nobody would notice. It issues nothing itself: keys are `api_keys`', certificates `issuance`'s business.

use super::api_keys::{self, NewKey, check_owners_matter, decide_ending, decide_making, insert};
use super::caller::Caller;
use super::effect::Effect;
use super::issuance::{self, Order};
use super::unit::{Begun, Done, Unit, value};
use super::{App, certificates, check_text, delegation, usage};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor};
use countersign_core::credential::api_key::{ApiKey, KeyState};
use countersign_core::credential::certificate::{Certificate, CertificateStatus, Retirement};
use countersign_core::identity::IdentityId;
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::snapshot::Change;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{
    CreatedApiKey, CreatedCertificate, Retire, Retired, RetirementBody, RotateApiKey, RotateCertificate, RotationBody, RotationQuery,
    RotationSide, StillUsing, UsageBody,
};
use countersign_store::{KeySuccession, Reader};
use countersign_x509::csr::CheckedCsr;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Without a use for so long an old credential counts as idle, when nobody says otherwise.
const IDLE: Lifetime = Lifetime::from_days(1);
/// The time over which shares are counted, when nobody says otherwise.
const WINDOW: Lifetime = Lifetime::from_seconds(3600);
/// Use by the minute is kept so long; no window is longer.
pub const KEPT: Lifetime = Lifetime::from_days(7);
/// Bounds of what one asks for.
const SHORTEST: Lifetime = Lifetime::from_seconds(60);
const IDLE_MAX: Lifetime = Lifetime::from_days(400);
/// Addresses named in a refusal.
const NAMED_MAX: usize = 5;

/// Makes a key's successor: same owner, rights and narrowing; both work.
///
/// # Errors
/// As the creation of a key; `already_renewed` where there is a successor.
pub async fn rotate_key(app: &App, caller: &Caller, text: &str, body: RotateApiKey) -> Result<CreatedApiKey, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateApiKey, &("rotate", text, &body)).await? {
        Begun::Repeated(operation) => {
            let request_status = convert::request_status(&operation);
            return Ok(CreatedApiKey { id: operation.resource_id, secret_key: None, request_status });
        }
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let old = api_keys::visible(&mut unit.write, &actor, text).await?;
    decide_making(&mut unit, caller, Action::CreateApiKey, &old.owner).await?;
    if old.state(unit.now) != KeyState::Enabled {
        return Err(Refused::invalid(format!(
            "API key {} is {}, and only one that gets in is rotated",
            old.id,
            old.state(unit.now).as_str()
        ))
        .hint("enable it first, or create a new one: countersign apikey create"));
    }
    if let Some(known) = unit.write.key_succession_of(&old.id).await?
        && unit.write.api_key(&known.successor).await?.is_some()
    {
        return Err(already(&format!("API key {}", old.id), known.successor.as_str(), "delete it first, and rotate again"));
    }
    let name = body.name.unwrap_or_else(|| old.name.clone());
    check_text("name", &name, 1, DISPLAY_NAME_CHARS_MAX)?;
    let default = api_keys::default_life(&mut unit, caller, delegation::life(&old)).await?;
    let expires_at = api_keys::expiry(body.duration.as_deref(), body.expiry_time.as_deref(), unit.now, default)?;
    let new = NewKey { owner: old.owner.clone(), name, description: old.description.clone(), apis: old.apis.clone(), expires_at };
    let (key, secret) = insert(app, &mut unit, caller, new).await?;
    let succession = KeySuccession { predecessor: old.id.clone(), successor: key.id.clone(), retirement: None, created_at: unit.now };
    unit.write.put_key_succession(&succession).await?;
    let mut after = api_keys::shown_key(&key, unit.now);
    if let Some(serde_json::Value::Object(members)) = &mut after {
        members.insert("replaces".to_owned(), old.id.as_str().into());
    }
    let operation = unit.commit(Done { kind: "api_key", id: key.id.as_str(), before: None, after }).await?;
    // Shown here, this once: the caller asked for it, and the change is durable.
    let secret_key = Some(secret.expose().to_owned());
    Ok(CreatedApiKey { id: key.id.to_string(), secret_key, request_status: convert::request_status(&operation) })
}

fn already(what: &str, successor: &str, else_do: &str) -> Refused {
    Refused::new("already_renewed", format!("{what} has a successor already: {successor}"))
        .hint(format!("use that one; if it is lost, {else_do}"))
}

/// Has a certificate's successor issued: same owner, narrowing and, unless another is asked for, alias.
///
/// # Errors
/// As [`issuance::issue`].
pub async fn rotate_certificate(app: &App, caller: &Caller, text: &str, body: RotateCertificate) -> Result<CreatedCertificate, Refused> {
    let csr = CheckedCsr::parse(body.csr.as_bytes())?;
    super::weak_keys::check(app, &csr.public_key)?;
    let lifetime = body.lifetime.as_deref().map(Lifetime::parse).transpose().map_err(Refused::invalid)?;
    let (old, environment) = {
        let mut reader = app.store.read().await?;
        let actor = super::unit::current(&mut reader, caller, app.now()).await?;
        let old = certificates::visible(&mut reader, &actor, text).await?;
        let environment = match &old.owner {
            IdentityId::Application(id) => reader.application_of(id).await?.and_then(|application| application.environment_of(id)),
            IdentityId::User(_) | IdentityId::ServiceAccount(_) => None,
        };
        (old, environment)
    };
    let alias = match body.alias.as_deref() {
        None => old.alias.clone(),
        asked => certificates::alias(asked, None)?,
    };
    let asked = (text, csr.key_fingerprint.to_string(), &alias, &body.lifetime);
    let order = Order {
        owner: old.owner.clone(),
        environment,
        alias: alias.clone(),
        csr,
        lifetime,
        apis: old.apis.clone(),
        replaces: Some(old.id.clone()),
        key_reuse_allowed: false,
    };
    let issued = issuance::issue(app, caller, Action::RotateCertificate, &asked, order).await?;
    Ok(certificates::created(&issued.certificate, &issued.chain, issued.warnings, &issued.operation))
}

/// What is being exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// API keys.
    Key,
    /// Certificates.
    Certificate,
}

impl Noun {
    const fn kind(self) -> &'static str {
        match self {
            Self::Key => "api_key",
            Self::Certificate => "certificate",
        }
    }

    /// What a change of the retirement is in the trail: nothing ends by it yet.
    const fn planning(self) -> Action {
        match self {
            Self::Key => Action::UpdateApiKey,
            Self::Certificate => Action::RotateCertificate,
        }
    }

    const fn ending(self) -> Action {
        match self {
            Self::Key => Action::DeleteApiKey,
            Self::Certificate => Action::RevokeCertificate,
        }
    }
}

/// A credential of either kind.
#[derive(Clone, Debug)]
enum Credential {
    Key(Box<ApiKey>),
    Certificate(Box<Certificate>),
}

impl Credential {
    fn id(&self) -> &str {
        match self {
            Self::Key(key) => key.id.as_str(),
            Self::Certificate(certificate) => certificate.id.as_str(),
        }
    }

    fn owner(&self) -> &IdentityId {
        match self {
            Self::Key(key) => &key.owner,
            Self::Certificate(certificate) => &certificate.owner,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.name,
            Self::Certificate(certificate) => &certificate.alias,
        }
    }

    fn state(&self, now: Timestamp) -> String {
        match self {
            Self::Key(key) => key.state(now).as_str().to_owned(),
            Self::Certificate(certificate) => convert::certificate(certificate, UsageBody::default(), now).state,
        }
    }

    /// Whether it gets in at `now`.
    fn works(&self, now: Timestamp) -> bool {
        match self {
            Self::Key(key) => key.state(now) == KeyState::Enabled,
            Self::Certificate(certificate) => {
                certificate.status == CertificateStatus::Active && now.seconds() <= certificate.facts.not_after.seconds()
            }
        }
    }
}

/// An old credential and the one that takes its place.
struct Pair {
    noun: Noun,
    old: Credential,
    new: Credential,
    retirement: Option<Retirement>,
}

async fn key(reader: &mut Reader, actor: Option<&Actor>, text: &str) -> Result<ApiKey, Refused> {
    if let Some(actor) = actor {
        return api_keys::visible(reader, actor, text).await;
    }
    let absent = || Refused::not_found("API key", text);
    let id = countersign_core::id::ApiKeyId::parse(text).map_err(|_| absent())?;
    reader.api_key(&id).await?.ok_or_else(absent)
}

async fn certificate(reader: &mut Reader, actor: Option<&Actor>, text: &str) -> Result<Certificate, Refused> {
    if let Some(actor) = actor {
        return certificates::visible(reader, actor, text).await;
    }
    let absent = || Refused::not_found("certificate", text);
    let id = countersign_core::id::CertificateId::parse(text).map_err(|_| absent())?;
    reader.certificate(&id).await?.ok_or_else(absent)
}

fn not_replaced(what: &str, command: &str) -> Refused {
    Refused::new("not_replaced", format!("{what} has no successor, so nothing could take its traffic")).hint(format!(
        "make one: countersign {command} rotate; or end it without one: countersign {command} {}",
        match command {
            "apikey" => "delete",
            _ => "revoke",
        }
    ))
}

/// The pair that a credential is the old one of, or else the new one. Without an actor the rights were decided before.
async fn pair(reader: &mut Reader, actor: Option<&Actor>, noun: Noun, text: &str) -> Result<Pair, Refused> {
    match noun {
        Noun::Key => {
            let one = key(reader, actor, text).await?;
            let succession = match reader.key_succession_of(&one.id).await? {
                Some(succession) => Some(succession),
                None => reader.key_succession_to(&one.id).await?,
            };
            let succession = succession.ok_or_else(|| not_replaced(&format!("API key {}", one.id), "apikey"))?;
            let (old, new) = (reader.api_key(&succession.predecessor).await?, reader.api_key(&succession.successor).await?);
            match (old, new) {
                (Some(old), Some(new)) => Ok(Pair {
                    noun,
                    old: Credential::Key(Box::new(old)),
                    new: Credential::Key(Box::new(new)),
                    retirement: succession.retirement,
                }),
                _ => Err(not_replaced(&format!("API key {}", one.id), "apikey")),
            }
        }
        Noun::Certificate => {
            let one = certificate(reader, actor, text).await?;
            let other = match (&one.replaced_by, &one.replaces) {
                (Some(id), _) | (None, Some(id)) => reader.certificate(id).await?,
                (None, None) => None,
            };
            let other = other.ok_or_else(|| not_replaced(&format!("certificate {}", one.id), "certificate"))?;
            let (old, new) = if one.replaced_by.is_some() { (one, other) } else { (other, one) };
            let retirement = old.retirement;
            Ok(Pair { noun, old: Credential::Certificate(Box::new(old)), new: Credential::Certificate(Box::new(new)), retirement })
        }
    }
}

/// How a pair stands.
async fn standing(reader: &mut Reader, pair: &Pair, window: Lifetime, idle: Lifetime, now: Timestamp) -> Result<RotationBody, Refused> {
    let mut sides = Vec::with_capacity(2);
    for one in [&pair.old, &pair.new] {
        let last = reader.usage(one.id()).await?;
        let within = reader.usage_since(one.id(), now.minus(window)).await?;
        sides.push(RotationSide {
            id: one.id().to_owned(),
            name: one.name().to_owned(),
            state: one.state(now),
            requests: within.iter().map(|minute| u64::try_from(minute.count).unwrap_or(0)).sum(),
            percent: None,
            last_used_time: last.as_ref().map(|row| convert::time(row.last_used_at)),
            last_used_from: last.map(|row| row.last_source).filter(|source| !source.is_empty()),
        });
    }
    let all: u64 = sides.iter().map(|side| side.requests).sum();
    for side in &mut sides {
        // Counts of a week are far below what a double holds exactly.
        #[allow(clippy::cast_precision_loss)]
        let percent = (all > 0).then(|| (side.requests as f64 * 1000.0 / all as f64).round() / 10.0);
        side.percent = percent;
    }
    let still_using = still_using(reader, pair.old.id(), idle, now).await?;
    let moved = reader.usage(pair.new.id()).await?.is_some();
    let (safe, reason) = if !pair.old.works(now) {
        (true, format!("{} lets nobody in any more", pair.old.id()))
    } else if !pair.new.works(now) {
        (false, format!("its successor {} is {} and lets nobody in", pair.new.id(), pair.new.state(now)))
    } else if !still_using.is_empty() {
        (false, format!("it was used within the last {}: by {}", spoken(idle), named(&still_using)))
    } else if !moved {
        (false, format!("its successor {} was never used: whoever uses the old one has not changed over", pair.new.id()))
    } else {
        (true, format!("its successor is in use, and it was not used within the last {}", spoken(idle)))
    };
    let mut sides = sides.into_iter();
    Ok(RotationBody {
        kind: pair.noun.kind().to_owned(),
        old: sides.next().unwrap_or_default(),
        new: sides.next().unwrap_or_default(),
        window_seconds: window.seconds(),
        idle_seconds: idle.seconds(),
        safe_to_revoke: safe,
        reason,
        still_using,
        retirement: pair
            .retirement
            .filter(|retirement| retirement.by_itself)
            .map(|retirement| RetirementBody { when_idle_seconds: retirement.idle.seconds(), at: retirement.at.map(convert::time) }),
    })
}

/// Who used a credential within the idle time, the latest first.
async fn still_using(reader: &mut Reader, credential: &str, idle: Lifetime, now: Timestamp) -> Result<Vec<StillUsing>, Refused> {
    let from = now.minus(idle);
    // The last use is known to the moment; what is counted by the minute says who else.
    let Some(last) = reader.usage(credential).await?.filter(|last| last.last_used_at > from) else { return Ok(Vec::new()) };
    let mut by_source: BTreeMap<String, (u64, Timestamp)> = BTreeMap::new();
    for minute in reader.usage_since(credential, from).await? {
        let entry = by_source.entry(minute.source).or_insert((0, minute.minute));
        entry.0 += u64::try_from(minute.count).unwrap_or(0);
        entry.1 = entry.1.max(minute.minute);
    }
    let entry = by_source.entry(last.last_source).or_insert((0, last.last_used_at));
    entry.1 = last.last_used_at;
    let mut all: Vec<_> = by_source.into_iter().collect();
    all.sort_by_key(|(_, (_, at))| std::cmp::Reverse(*at));
    Ok(all.into_iter().map(|(source, (requests, at))| StillUsing { source, requests, last_used_time: convert::time(at) }).collect())
}

/// Addresses for a sentence.
fn named(users: &[StillUsing]) -> String {
    let mut text = String::new();
    for one in users.iter().take(NAMED_MAX) {
        let source = if one.source.is_empty() { "an unknown address" } else { &one.source };
        // Writing to a String cannot fail.
        let _ =
            write!(text, "{}{source} ({} requests, last {})", if text.is_empty() { "" } else { ", " }, one.requests, one.last_used_time);
    }
    if users.len() > NAMED_MAX {
        let _ = write!(text, " and {} more", users.len() - NAMED_MAX);
    }
    text
}

/// A span in the largest unit that fits.
fn spoken(span: Lifetime) -> String {
    let seconds = span.seconds();
    match seconds {
        s if s % 86_400 == 0 && s > 86_400 => format!("{} days", s / 86_400),
        s if s % 3600 == 0 => format!("{} hours", s / 3600),
        s if s % 60 == 0 => format!("{} minutes", s / 60),
        s => format!("{s} seconds"),
    }
}

fn span(member: &str, text: Option<&str>, absent: Lifetime, max: Lifetime) -> Result<Lifetime, Refused> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(absent) };
    let span = Lifetime::parse(text).map_err(|error| Refused::invalid(format!("{member}: {error}")))?;
    if span < SHORTEST || span > max {
        return Err(Refused::invalid(format!("{member} is a time from 1m to {}d, for example 24h", max.seconds() / 86_400)));
    }
    Ok(span)
}

/// How far the rotation of a credential is, asked by either of the two.
///
/// # Errors
/// `not_found`, `not_replaced`, `invalid_argument`.
pub async fn get(app: &App, actor: &Actor, noun: Noun, text: &str, query: &RotationQuery) -> Result<RotationBody, Refused> {
    let window = span("window", query.window.as_deref(), WINDOW, KEPT)?;
    let idle = span("idle", query.idle.as_deref(), IDLE, IDLE_MAX)?;
    usage::flush(app).await?;
    let mut reader = app.store.read().await?;
    let pair = pair(&mut reader, Some(actor), noun, text).await?;
    standing(&mut reader, &pair, window, idle, app.now()).await
}

/// Ends an old credential now, where nobody would notice or `force` says so; or has it end by itself once it is idle.
///
/// # Errors
/// `not_found`, `forbidden`, `not_replaced`, `still_in_use`, `invalid_argument`, `nothing_to_change`.
pub async fn retire(app: &App, caller: &Caller, noun: Noun, text: &str, body: Retire) -> Result<Retired, Refused> {
    let now = app.now();
    let when_idle = body.when_idle.as_deref().map(|text| span("whenIdle", Some(text), IDLE, IDLE_MAX)).transpose()?;
    let at = match body.at.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            convert::parse_time(text)
                .filter(|at| *at > now)
                .ok_or_else(|| Refused::invalid("at is a moment that has not come yet, written as 2027-01-31T00:00:00Z"))?,
        ),
    };
    if at.is_some() && when_idle.is_none() || body.cancel && (when_idle.is_some() || body.force) {
        return Err(Refused::invalid("at belongs to whenIdle, and cancel stands alone"));
    }
    usage::flush(app).await?;
    let action = if body.cancel || when_idle.is_some() { noun.planning() } else { noun.ending() };
    // Taking a planned end back takes nothing away.
    let effect = if body.cancel { Effect::Grants } else { caller.effect };
    let caller = &Caller { effect, ..caller.clone() };
    let mut unit = match Unit::begin(app, caller, action, &("retire", text, &body)).await? {
        Begun::Repeated(operation) => {
            let gone = pair(&mut app.store.read().await?, None, noun, text).await.map_or(true, |pair| !pair.old.works(now));
            return Ok(Retired { gone, rotation: None, warnings: Vec::new(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let pair = pair(&mut unit.write, Some(&actor), noun, text).await?;
    if pair.old.id() != text {
        return Err(Refused::invalid(format!("{text} is the successor; the one that goes is {}", pair.old.id())));
    }
    decide_ending(&mut unit, noun.ending(), pair.old.owner()).await?;
    let idle = when_idle.unwrap_or(IDLE);
    let rotation = standing(&mut unit.write, &pair, WINDOW, idle, now).await?;
    if body.cancel {
        check_owners_matter(&mut unit, pair.old.owner()).await?;
        if pair.retirement.is_none() {
            return Err(Refused::nothing_to_change(format!("{text} does not go by itself")));
        }
        return note_retirement(unit, pair, rotation, None).await;
    }
    if let Some(idle) = when_idle {
        return note_retirement(unit, pair, rotation, Some(Retirement { idle, by_itself: true, at })).await;
    }
    if !rotation.safe_to_revoke && !body.force {
        let command = if noun == Noun::Key { "apikey" } else { "certificate" };
        return Err(Refused::new("still_in_use", format!("{text} cannot go unnoticed: {}", rotation.reason)).hint(format!(
            "let it go by itself: countersign {command} retire --id {text} --when-idle 24h; or end it all the same: --force"
        )));
    }
    let operation = end(unit, pair.old).await?;
    Ok(Retired { gone: true, rotation: Some(rotation), warnings: Vec::new(), request_status: convert::request_status(&operation) })
}

/// Writes when an old credential goes.
async fn note_retirement(
    mut unit: Box<Unit<'_>>,
    pair: Pair,
    mut rotation: RotationBody,
    retirement: Option<Retirement>,
) -> Result<Retired, Refused> {
    if pair.retirement == retirement {
        return Err(Refused::nothing_to_change(format!("{} goes so already", pair.old.id())));
    }
    let said = |retirement: Option<Retirement>| {
        retirement.map(|one| RetirementBody { when_idle_seconds: one.idle.seconds(), at: one.at.map(convert::time) })
    };
    rotation.retirement = said(retirement);
    let record = |which: Option<Retirement>| value(&serde_json::json!({ "retirement": said(which) }));
    let (before, after) = (record(pair.retirement), record(retirement));
    match (&pair.old, &pair.new) {
        (Credential::Key(old), Credential::Key(new)) => {
            let created_at = unit.write.key_succession_of(&old.id).await?.map_or(unit.now, |known| known.created_at);
            let succession = KeySuccession { predecessor: old.id.clone(), successor: new.id.clone(), retirement, created_at };
            unit.write.put_key_succession(&succession).await?;
        }
        (Credential::Certificate(old), _) => {
            let mut changed = (**old).clone();
            changed.retirement = retirement;
            changed.resource_version += 1;
            changed.modified_at = unit.now;
            unit.write.put_certificate(&changed).await?;
        }
        (Credential::Key(_), Credential::Certificate(_)) => return Err(Refused::unavailable("a key is followed by a key")),
    }
    let mut warnings = Vec::new();
    if let (Some(retirement), false) = (retirement, rotation.safe_to_revoke) {
        warnings.push(match retirement.at {
            Some(at) => format!("{}; at {} it goes all the same", rotation.reason, convert::time(at)),
            None => format!("{}; it stays until that changes", rotation.reason),
        });
    }
    let id = pair.old.id().to_owned();
    let operation = unit.commit(Done { kind: pair.noun.kind(), id: &id, before, after }).await?;
    Ok(Retired { gone: false, rotation: Some(rotation), warnings, request_status: convert::request_status(&operation) })
}

/// Ends an old credential: a key is deleted, a certificate revoked as superseded.
async fn end(mut unit: Box<Unit<'_>>, old: Credential) -> Result<countersign_core::operation::Operation, Refused> {
    match old {
        Credential::Key(key) => {
            unit.write.delete_api_key(&key.id).await?;
            unit.publish(Change::RemoveKey(key.id.clone()));
            let before = api_keys::shown_key(&key, unit.now);
            unit.commit(Done { kind: "api_key", id: key.id.as_str(), before, after: None }).await
        }
        Credential::Certificate(before) => super::revocation::supersede(unit, *before).await,
    }
}

/// Ends what was to go by itself and may now. Returns how many went.
///
/// # Errors
/// When the store fails.
pub async fn retire_idle(app: &App) -> Result<usize, Refused> {
    let mut waiting: Vec<(Noun, String)> = Vec::new();
    {
        let mut reader = app.store.read().await?;
        let keys = reader.key_successions_retiring().await?;
        waiting.extend(keys.into_iter().map(|one| (Noun::Key, one.predecessor.to_string())));
        let certificates = reader.certificates_replaced().await?;
        waiting.extend(certificates.into_iter().map(|one| (Noun::Certificate, one.id.to_string())));
    }
    if waiting.is_empty() {
        return Ok(0);
    }
    usage::flush(app).await?;
    let mut gone = 0;
    for (noun, id) in waiting {
        match retire_one(app, noun, &id).await {
            Ok(true) => gone += 1,
            Ok(false) => {}
            Err(error) => tracing::warn!(credential = %id, %error, "a replaced credential could not be retired; tried again later"),
        }
    }
    Ok(gone)
}

async fn retire_one(app: &App, noun: Noun, id: &str) -> Result<bool, Refused> {
    // What is to be done is looked up outside a writing transaction: most rounds end with nothing.
    let owner = {
        let mut reader = app.store.read().await?;
        match due(&mut reader, noun, id, app.now()).await? {
            Some(pair) => pair.old.owner().clone(),
            None => return Ok(false),
        }
    };
    let caller = Caller { effect: Effect::TakesAway, ..Caller::system(owner) };
    let Begun::New(mut unit) = Unit::begin(app, &caller, noun.ending(), &("retire_idle", id)).await? else { return Ok(false) };
    let now = unit.now;
    let Some(pair) = due(&mut unit.write, noun, id, now).await? else { return Ok(false) };
    end(unit, pair.old).await?;
    tracing::info!(credential = id, successor = pair.new.id(), "a replaced credential went by itself");
    Ok(true)
}

/// The pair whose old credential is to go now.
async fn due(reader: &mut Reader, noun: Noun, id: &str, now: Timestamp) -> Result<Option<Pair>, Refused> {
    let pair = match pair(reader, None, noun, id).await {
        Ok(pair) => pair,
        // Its successor was deleted: it stays, since nothing has taken its place.
        Err(refused) if refused.code == "not_replaced" || refused.code == "not_found" => return Ok(None),
        Err(refused) => return Err(refused),
    };
    let Some(retirement) = pair.retirement.filter(|one| one.by_itself) else { return Ok(None) };
    let latest = retirement.at.is_some_and(|at| now >= at);
    let safe = standing(reader, &pair, SHORTEST, retirement.idle, now).await?.safe_to_revoke;
    Ok((safe || latest).then_some(pair))
}

/// Takes out what is no longer asked for: successions that are over, and use by the minute that is older than any window.
///
/// # Errors
/// When the store fails.
pub async fn sweep(app: &App) -> Result<(), Refused> {
    let mut write = app.store.begin().await?;
    write.sweep_successions(app.now(), KEPT).await?;
    Ok(write.commit_without_revision().await?)
}

//! Issuing certificates: recorded before signed, kept before shown (promise P20, rules C7, C8, B4, D11 to D13 of research/pki.md
//! section 6). Whoever calls here has read the request and knows for whom it is; what a profile allows is x509's business, and who
//! may sign is `issuers`'. No path leads from here to a signature that the trail does not know.

use super::App;
use super::api_keys::decide_making;
use super::caller::Caller;
use super::delegation;
use super::issuers::{Signing, signing};
use super::unit::{Begun, Done, Unit, name_and_access};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::audit::Entry;
use countersign_core::authz::Action;
use countersign_core::credential::certificate::{Certificate, CertificateStatus, Fingerprint};
use countersign_core::id::{ApiId, CertificateId, IssuerId, OperationId};
use countersign_core::identity::IdentityId;
use countersign_core::issuer::IssuerPolicy;
use countersign_core::operation::Operation;
use countersign_core::snapshot::Change;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_store::{IntendedRow, Reader};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::issuer::{LeafOrder, ToBeSigned};
use countersign_x509::subject::{Attribute, Subject};
use countersign_x509::{facts, issuer};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// So long an intended certificate may stay unsettled before it is given up: far beyond any signature, so that a slow one is not
/// taken for a crash.
pub const SETTLED_WITHIN: Lifetime = Lifetime::from_seconds(60);
/// Names that are tried before none is proposed.
const PROPOSALS_MAX: u32 = 100;
/// Predecessors that are followed: more than a certificate has in its life.
const LINEAGE_MAX: usize = 64;
/// Characters of a common name (RFC 5280 appendix A.1).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// What is to be issued, after the caller's right was decided.
#[derive(Debug)]
pub struct Order {
    /// Whose certificate it is to be.
    pub owner: IdentityId,
    /// Whose issuer signs; without one, that of both, else production's.
    pub environment: Option<Environment>,
    /// A short name.
    pub alias: String,
    /// The request, every rule of which holds.
    pub csr: CheckedCsr,
    /// The life asked for; the issuer's default without.
    pub lifetime: Option<Lifetime>,
    /// The APIs it is narrowed to.
    pub apis: Vec<ApiId>,
    /// The one whose place it takes: it may have its name.
    pub replaces: Option<CertificateId>,
    /// Whether it may have a key that another certificate of this owner has, where the issuer's policy allows it too.
    pub key_reuse_allowed: bool,
}

/// What was issued.
#[derive(Debug)]
pub struct Issued {
    /// The certificate as it is kept.
    pub certificate: Certificate,
    /// Its issuer and those above, nearest first, DER.
    pub chain: Vec<Vec<u8>>,
    /// What was remarkable, by rule.
    pub warnings: Vec<String>,
    /// The operation.
    pub operation: Operation,
}

/// Issues in three steps, each durable: intent + audit, signature, kept + audit. Repeated by the caller's operation id. Rights are
/// decided in both transactions, on their rows: for who renews by the old certificate it is that certificate, for everybody else
/// whether he may make a credential of this owner.
///
/// # Errors
/// `forbidden`, `not_found`, `duplicate_certificate`, `key_in_use`, `key_blocked`, `already_renewed`, `no_issuer`,
/// `idempotency_conflict`, and x509's codes.
pub async fn issue(app: &App, caller: &Caller, action: Action, request: &impl Serialize, order: Order) -> Result<Issued, Refused> {
    let operation = caller.operation.clone().unwrap_or_else(|| OperationId::mint(&*app.entropy));
    let caller = &Caller { operation: Some(operation), ..caller.clone() };
    let mut unit = match Unit::begin(app, caller, action, request).await? {
        Begun::Repeated(operation) => return repeated(app, *operation).await,
        Begun::New(unit) => unit,
    };
    decide(&mut unit, caller, action, &order).await?;
    let signing = signing(app, &mut unit.write, order.environment).await?;
    check_free(app, &mut unit.write, &order, &signing.issuer.policy, unit.now).await?;
    let bound = delegation::longest_life(&mut unit.write, caller).await?;
    let planned = plan(app, &order, &signing, unit.now, bound)?;
    let intended = IntendedRow {
        issuer: signing.issuer.id.clone(),
        serial: planned.serial.clone(),
        certificate: CertificateId::mint(&*app.entropy),
        to_be_signed: planned.bytes.clone(),
        created_at: unit.now,
    };
    unit.write.intend_issuance(&intended).await?;
    let record = json!({
        "ownerId": order.owner.as_str(),
        "ownerType": order.owner.kind(),
        "issuerId": intended.issuer.as_str(),
        "subject": order.csr.subject.to_string(),
        "serial": intended.serial,
        "notBefore": convert::time(planned.not_before),
        "notAfter": convert::time(planned.not_after),
        "requestSha256": Fingerprint::of(&order.csr.der).to_string(),
        "keySha256": order.csr.key_fingerprint.to_string(),
        "toBeSignedSha256": planned.digest.to_string(),
    });
    unit.note("IntendCertificate", Done { kind: "certificate", id: intended.certificate.as_str(), before: None, after: Some(record) })
        .await?;
    let issued = sign_and_keep(app, caller, action, request, &order, &signing, planned, &intended).await;
    if !matches!(&issued, Ok(issued) if issued.certificate.id == intended.certificate) {
        let why = issued.as_ref().err().map_or("repeated", |refused| refused.code);
        if let Err(error) = give_up(app, &intended, why).await {
            tracing::warn!(%error, "what was not issued could not be noted as given up; done later");
        }
    }
    issued
}

/// Everything after the intent is durable.
#[allow(clippy::too_many_arguments)]
async fn sign_and_keep(
    app: &App,
    caller: &Caller,
    action: Action,
    request: &impl Serialize,
    order: &Order,
    signing: &Arc<Signing>,
    planned: ToBeSigned,
    intended: &IntendedRow,
) -> Result<Issued, Refused> {
    let mut warnings = order.csr.warnings.clone();
    if planned.shortened {
        warnings.push(format!("D2: it ends with its issuer, on {}", convert::time(planned.not_after)));
    }
    super::shared_keys::check(app, &order.csr.public_key).await?;
    // Off the runtime's threads: a large RSA key takes milliseconds, a token as long as it likes.
    let signer = Arc::clone(signing);
    let der = tokio::task::spawn_blocking(move || issuer::sign(&planned, &signer.certificate, &*signer.signer))
        .await
        .map_err(Refused::unavailable)??;
    let mut unit = match Unit::begin(app, caller, action, request).await? {
        Begun::Repeated(operation) => return repeated(app, *operation).await,
        Begun::New(unit) => unit,
    };
    decide(&mut unit, caller, action, order).await?;
    check_free(app, &mut unit.write, order, &signing.issuer.policy, unit.now).await?;
    if !unit.write.settle_issuance(&intended.issuer, &intended.serial, true).await? {
        return Err(Refused::unavailable("the issuance took so long that it was given up"));
    }
    let certificate = Certificate {
        id: intended.certificate.clone(),
        fingerprint: Fingerprint::of(&der),
        facts: facts::of(&der)?,
        der,
        owner: order.owner.clone(),
        alias: order.alias.clone(),
        apis: order.apis.clone(),
        status: CertificateStatus::Active,
        revoked_at: None,
        reason: None,
        issuer: Some(intended.issuer.clone()),
        proven: true,
        vouched: false,
        ended_by_admin: false,
        replaces: order.replaces.clone(),
        replaced_by: None,
        retirement: None,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_certificate(&certificate).await?;
    unit.publish(Change::certificate(&certificate));
    if let Some(old) = &order.replaces
        && let Some(mut old) = unit.write.certificate(old).await?
    {
        old.replaced_by = Some(certificate.id.clone());
        old.resource_version += 1;
        old.modified_at = unit.now;
        unit.write.put_certificate(&old).await?;
    }
    let chain = chain(&mut unit.write, &intended.issuer).await?;
    let after = super::certificates::shown(&certificate, unit.now);
    let operation = unit.commit(Done { kind: "certificate", id: certificate.id.as_str(), before: None, after }).await?;
    Ok(Issued { certificate, chain, warnings, operation })
}

/// Whether this caller may have a credential of this owner made, on the rows of this transaction.
async fn decide(unit: &mut Unit<'_>, caller: &Caller, action: Action, order: &Order) -> Result<(), Refused> {
    let Order { owner, apis, .. } = order;
    delegation::check_narrowing(caller, owner, apis)?;
    if caller.certificate.is_some() {
        // The old certificate was held against its rows when the change began; whose it is, is all that is left.
        if *owner != caller.identity {
            return Err(Refused::forbidden("a certificate renews itself for its own owner alone"));
        }
        name_and_access(&mut unit.write, owner).await?.ok_or_else(|| Refused::not_found("owner", owner.as_str()))?;
        return Ok(());
    }
    if matches!(owner, IdentityId::User(_)) && *owner != caller.identity {
        return Err(Refused::forbidden("a user's credentials are made by that user alone"));
    }
    decide_making(unit, caller, action, owner).await
}

/// What is to be signed, by request, policy and profile alone.
/// `bound` is the longest life that the caller may give: an order that asks for more is refused, one that names no life gets it.
fn plan(app: &App, order: &Order, signing: &Signing, now: Timestamp, bound: Option<Lifetime>) -> Result<ToBeSigned, Refused> {
    let policy = &signing.issuer.policy;
    let successor = order.replaces.is_some();
    if let Some(lifetime) = order.lifetime {
        delegation::check_end(now.plus(lifetime), now, bound)?;
    }
    let lifetime = match order.lifetime {
        // Nobody stands by when a successor is asked for: it lives as long as it may.
        Some(lifetime) if successor => lifetime.min(policy.lifetime_max),
        Some(lifetime) => lifetime,
        None => policy.lifetime_default.min(policy.lifetime_max).min(bound.unwrap_or(policy.lifetime_max)),
    };
    let leaf = LeafOrder {
        subject: &order.csr.subject,
        alternative_names: &order.csr.alternative_names,
        public_key: &order.csr.public_key,
        lifetime,
        lifetime_max: policy.lifetime_max,
        shorten: order.lifetime.is_none() || successor,
        publication: &signing.publication(),
    };
    Ok(issuer::leaf(&leaf, &signing.certificate, now, &*app.entropy)?)
}

/// Whether key and name are free, as far as this transaction knows.
async fn check_free(app: &App, reader: &mut Reader, order: &Order, policy: &IssuerPolicy, now: Timestamp) -> Result<(), Refused> {
    let family = lineage(reader, order, now).await?;
    check_key(app, reader, order, policy).await?;
    let subject = &order.csr.subject;
    check_name(reader, &order.owner, &digest(subject), Some(subject), &family, now).await?;
    super::look_alike::check_look_alike(reader, &order.owner, subject, &family, now).await?;
    // A successor takes another one's place: at the limit nobody's renewal must fail.
    if order.replaces.is_none() {
        super::certificate_limit::check(app, reader, &order.owner, now).await?;
    }
    Ok(())
}

/// The certificates whose name the new one may have: the one it replaces, and those before it.
async fn lineage(reader: &mut Reader, order: &Order, now: Timestamp) -> Result<Vec<CertificateId>, Refused> {
    let mut family: Vec<CertificateId> = Vec::new();
    let mut next = order.replaces.clone();
    while let Some(id) = next.take()
        && family.len() < LINEAGE_MAX
        && !family.contains(&id)
    {
        let old = reader.certificate(&id).await?.filter(|old| old.owner == order.owner);
        let old = old.ok_or_else(|| Refused::not_found("certificate", id.as_str()))?;
        if family.is_empty() {
            super::renewal::check_good(&old, now)?;
            if let Some(by) = &old.replaced_by
                && reader.certificate(by).await?.is_some_and(|by| by.status != CertificateStatus::Revoked)
            {
                return Err(Refused::new("already_renewed", format!("certificate {id} has a successor already: {by}"))
                    .hint("use that one; if it is lost, revoke it first, and then make another"));
            }
        }
        next = old.replaces;
        family.push(id);
    }
    Ok(family)
}

/// C7 and C8: not blocked, no CA's, nobody else's, and no other certificate's of this owner unless that is allowed.
async fn check_key(app: &App, reader: &mut Reader, order: &Order, policy: &IssuerPolicy) -> Result<(), Refused> {
    let key = &order.csr.key_fingerprint;
    let new_pair = "make a new key pair and a request with it";
    check_not_blocked(reader, key).await?;
    for one in reader.issuers().await? {
        if super::issuers::certificate(app, &one).is_ok_and(|ca| *ca.public_key() == *order.csr.public_key) {
            return Err(Refused::new("issuer_key_reused", "the request has the key of a certificate authority (rule C7)").hint(new_pair));
        }
    }
    if let Some(what) = app.installation_keys().what(&order.csr.public_key) {
        return Err(Refused::new("issuer_key_reused", format!("the request has the key of {what} of this installation (rule C7)"))
            .hint("make a key pair for the client alone; and ask how anybody came by that private key"));
    }
    // One that nobody proved to hold is no reason to refuse who has just proved it.
    for other in reader.certificates_of_key(key).await?.iter().filter(|other| other.proven) {
        if other.owner != order.owner {
            return Err(Refused::new("key_in_use", "the request's key is another owner's already (rule C7)").hint(new_pair));
        }
        if !(order.key_reuse_allowed && policy.key_reuse) {
            return Err(Refused::new("key_in_use", format!("certificate {} has this key already (rule C8)", other.id)).hint(new_pair));
        }
    }
    Ok(())
}

/// A blocked key is nobody's (F4).
pub(super) async fn check_not_blocked(reader: &mut Reader, key: &Fingerprint) -> Result<(), Refused> {
    if reader.is_key_blocked(key).await? {
        return Err(Refused::new("key_blocked", "this key is blocked for ever, because it is known to others (rule F4)")
            .hint("make a new key pair; nothing unblocks the old one"));
    }
    Ok(())
}

/// S14, B4: no second certificate of the same Distinguished Name for this owner, but in `family`. The error names the one in the way
/// and proposes the next name, where `subject` is one of those that are taken here.
pub(super) async fn check_name(
    reader: &mut Reader,
    owner: &IdentityId,
    name: &Fingerprint,
    subject: Option<&Subject>,
    family: &[CertificateId],
    now: Timestamp,
) -> Result<(), Refused> {
    let Some(other) = in_the_way(reader, owner, name, family, now).await? else { return Ok(()) };
    let mut proposed = None;
    let mut free = subject.cloned();
    for _ in 0..PROPOSALS_MAX {
        let Some(next) = free.as_ref().and_then(next_name) else { break };
        if in_the_way(reader, owner, &digest(&next), &[], now).await?.is_none() {
            proposed = next.values(Attribute::CommonName).last().map(str::to_owned);
            break;
        }
        free = Some(next);
    }
    let hint = match (proposed, other.facts.common_names.last().map(|name| counted_on(name))) {
        (Some(name), _) => format!("change the name: CN={name} is free; or revoke {} first", other.id),
        (None, Some(name)) => format!("change the name, for example to CN={name}; or revoke {} first", other.id),
        (None, None) => format!("change an attribute of the name, the CN for example; or revoke {} first", other.id),
    };
    let end = convert::time(other.facts.not_after);
    let alias = if other.alias.is_empty() { "no alias" } else { &other.alias };
    let detail = format!(
        "certificate {} ({alias}, valid until {end}) has the same Distinguished Name, {} (rule S14)",
        other.id, other.facts.subject
    );
    Err(Refused::new("duplicate_certificate", detail).hint(hint))
}

/// What a name is compared by (B4).
fn digest(subject: &Subject) -> Fingerprint {
    Fingerprint::of(subject.canonical().as_bytes())
}

/// Another living certificate of this owner that has the name, outside `family`.
pub(super) async fn in_the_way(
    reader: &mut Reader,
    owner: &IdentityId,
    name: &Fingerprint,
    family: &[CertificateId],
    now: Timestamp,
) -> Result<Option<Certificate>, Refused> {
    let found = reader.certificates_of_name(owner, name).await?;
    Ok(found.into_iter().find(|one| now.seconds() <= one.facts.not_after.seconds() && !family.contains(&one.id)))
}

/// The name with the next number at the end of its last CN.
fn next_name(subject: &Subject) -> Option<Subject> {
    let mut attributes = subject.attributes().to_vec();
    let (_, name) = attributes.iter_mut().rev().find(|(attribute, _)| *attribute == Attribute::CommonName)?;
    *name = counted_on(name);
    Subject::new(attributes).ok()
}

/// `app` is followed by `app-2`, `app-2` by `app-3`.
fn counted_on(name: &str) -> String {
    let counted = name.rsplit_once('-').and_then(|(stem, digits)| Some((stem, digits.parse::<u64>().ok()?.checked_add(1)?)));
    let (stem, number) = counted.unwrap_or((name, 2));
    let tail = format!("-{number}");
    let stem: String = stem.chars().take(COMMON_NAME_CHARS_MAX - tail.len()).collect();
    format!("{stem}{tail}")
}

/// An issuer's certificate and those above it, nearest first.
pub(super) async fn chain(reader: &mut Reader, issuer: &IssuerId) -> Result<Vec<Vec<u8>>, Refused> {
    let mut chain = Vec::new();
    let mut next = Some(issuer.clone());
    while let Some(id) = next.take()
        && chain.len() < 8
        && let Some(found) = reader.issuer(&id).await?
    {
        chain.push(found.der);
        next = found.parent;
    }
    Ok(chain)
}

/// The same answer again, from what is kept.
async fn repeated(app: &App, operation: Operation) -> Result<Issued, Refused> {
    let absent = || Refused::not_found("certificate", &operation.resource_id);
    let id = CertificateId::parse(&operation.resource_id).map_err(|_| absent())?;
    let mut reader = app.store.read().await?;
    let certificate = reader.certificate(&id).await?.ok_or_else(absent)?;
    let chain = match &certificate.issuer {
        Some(issuer) => chain(&mut reader, issuer).await?,
        None => Vec::new(),
    };
    Ok(Issued { certificate, chain, warnings: Vec::new(), operation })
}

/// Notes that what was intended will never be: its serial number is known and revoked, and the trail says why.
async fn give_up(app: &App, intended: &IntendedRow, why: &str) -> Result<(), Refused> {
    let mut write = app.store.begin().await?;
    if !write.settle_issuance(&intended.issuer, &intended.serial, false).await? {
        return Ok(());
    }
    let after = json!({"issuerId": intended.issuer.as_str(), "serial": intended.serial, "state": "abandoned"});
    write
        .append_audit(Entry {
            at: app.now(),
            actor_kind: "system".to_owned(),
            actor_id: "system".to_owned(),
            actor_name: "system".to_owned(),
            credential: String::new(),
            action: "AbandonCertificate".to_owned(),
            object_kind: "certificate".to_owned(),
            object_id: intended.certificate.to_string(),
            result: why.to_owned(),
            before: String::new(),
            after: after.to_string(),
            source: String::new(),
            request_id: String::new(),
            operation_id: String::new(),
        })
        .await?;
    write.commit_without_revision().await?;
    app.crl_changed(&intended.issuer);
    Ok(())
}

/// Gives up what a crash left between its intent and its end; how many there were.
///
/// # Errors
/// When the store fails.
pub async fn settle(app: &App) -> Result<usize, Refused> {
    let left = app.store.read().await?.unsettled_issuances(app.now().minus(SETTLED_WITHIN)).await?;
    for intended in &left {
        give_up(app, intended, "interrupted").await?;
    }
    Ok(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str) -> String {
        next_name(&Subject::parse(text).unwrap()).map(|subject| subject.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_next_name_counts_on() {
        assert_eq!(next("/O=Acme/CN=app"), "CN=app-2,O=Acme");
        assert_eq!(next("/CN=app-2"), "CN=app-3");
        assert_eq!(next("/CN=example-1682563200"), "CN=example-1682563201");
        assert_eq!(next("/O=Acme"), "", "without a CN there is nothing to count");
        assert_eq!(next(&format!("/CN={}", "x".repeat(64))), format!("CN={}-2", "x".repeat(62)));
    }
}

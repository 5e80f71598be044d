//! Leaves of accepted CAs that are kept out although we are not their CA: revoked here by an admin, or named on the CA's own revocation
//! list. What a list must look like is x509's business; that a leaf so blocked is let in nowhere, `admit`'s.

use super::caller::Caller;
use super::revocation::{one_certificate, reason, serial_number};
use super::unit::{Begun, Done, Unit, value};
use super::{App, decide, namespace_id, namespaces};
use crate::error::{Refused, shown};
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::certificate::{Fingerprint, RevocationReason};
use countersign_core::credential::{hex, unhex};
use countersign_core::name::NamespaceId;
use countersign_core::namespace::{AcceptedCa, Namespace};
use countersign_core::snapshot::{Change, ForeignLeaf};
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, ForeignCrlBody, ForeignCrlTaken, RevokeLeaf, RevokedLeaf, RevokedLeaves, SetForeignCrl};
use countersign_store::{ForeignCrlRow, Reader};
use countersign_x509::facts;
use countersign_x509::foreign_crl::ForeignCrl;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Leaves that an answer lists.
const LISTED_MAX: usize = 10_000;

/// The accepted CA of this fingerprint, SHA-256 or, as `tcld` prints it, SHA-1.
fn ca_of<'n>(namespace: &'n Namespace, fingerprint: &str) -> Result<&'n AcceptedCa, Refused> {
    let plain = fingerprint.replace(':', "").to_ascii_lowercase();
    let sha256 = unhex::<32>(&plain).map(Fingerprint::from_bytes);
    let found = namespace.accepted_client_cas.iter().find(|ca| ca.fingerprint_sha1 == plain || Some(ca.fingerprint) == sha256);
    found.ok_or_else(|| {
        Refused::new("not_found", format!("no accepted CA has the fingerprint {}", shown(fingerprint)))
            .hint("countersign namespace accepted-client-ca list")
    })
}

/// The accepted CAs that a path to a leaf of `ca` may end at: itself, and those above it.
fn anchors(namespace: &Namespace, ca: &AcceptedCa) -> Vec<Fingerprint> {
    let mut found = vec![ca];
    let mut at = 0;
    while let Some(below) = found.get(at).copied() {
        for above in &namespace.accepted_client_cas {
            if above.subject == below.issuer && !found.iter().any(|known| known.fingerprint == above.fingerprint) {
                found.push(above);
            }
        }
        at += 1;
    }
    found.into_iter().map(|ca| ca.fingerprint).collect()
}

/// What is blocked of a CA is blocked in every namespace that accepts it, so it takes the right in all of them.
fn decide_everywhere(app: &App, unit: &Unit<'_>, here: &NamespaceId, anchors: &[Fingerprint]) -> Result<(), Refused> {
    let snapshot = app.snapshot();
    for other in snapshot.namespaces().filter(|other| other.id != *here) {
        let shared = other.accepted_client_cas.iter().any(|ca| anchors.contains(&ca.fingerprint));
        if shared && unit.decide(Action::BlockLeaf, Target::Namespace(&other.id)).is_err() {
            return Err(Refused::forbidden("this CA is accepted by another namespace too, which you do not administer")
                .hint("ask a Global Admin: a leaf is kept out wherever its CA is accepted"));
        }
    }
    Ok(())
}

/// Keeps a leaf of an accepted CA out. Live connections that came in by it end.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, and x509's codes.
pub async fn revoke_leaf(app: &App, caller: &Caller, namespace: &str, fingerprint: &str, body: RevokeLeaf) -> Result<Changed, Refused> {
    let id = namespace_id(app, namespace)?;
    let why = reason(body.reason.as_deref(), RevocationReason::Unspecified)?;
    let given = match (body.certificate.as_deref(), body.serial.as_deref()) {
        (Some(text), None) => {
            let facts = facts::of(&one_certificate(text)?)?;
            (facts.serial, Some(facts.issuer))
        }
        (None, Some(text)) => (serial(text)?, None),
        _ => return Err(Refused::invalid("give exactly one of certificate and serial")),
    };
    let mut unit = match Unit::begin(app, caller, Action::BlockLeaf, &("revoke", namespace, fingerprint, &given, why)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let held = unit.namespace(&id, Action::BlockLeaf).await?;
    let ca = ca_of(&held, fingerprint)?;
    let (serial, issuer) = given;
    let issuer = issuer.unwrap_or_else(|| ca.subject.clone());
    let anchors = anchors(&held, ca);
    decide_everywhere(app, &unit, &id, &anchors)?;
    let mut new = false;
    for anchor in anchors {
        let leaf = ForeignLeaf { anchor, issuer: issuer.clone(), serial: serial.clone() };
        if unit.write.block_leaf(&leaf, false, why.as_str(), unit.now).await? {
            new = true;
            unit.publish(Change::BlockLeaf(leaf));
        }
    }
    if !new {
        return Err(Refused::nothing_to_change(format!("the leaf with serial number {serial} is revoked here already")));
    }
    let after = value(&serde_json::json!({
        "acceptedClientCa": ca.fingerprint.to_string(), "issuer": issuer, "serial": serial, "reason": why.as_str(),
    }));
    let operation = unit.commit(Done { kind: "namespace", id: id.as_str(), before: None, after }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

fn serial(text: &str) -> Result<String, Refused> {
    serial_number(&text.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase())
}

/// Lets a leaf in again that was revoked here. What its own CA revoked stays out.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`.
pub async fn restore_leaf(
    app: &App,
    caller: &Caller,
    namespace: &str,
    fingerprint: &str,
    text: &str,
    issuer: Option<&str>,
) -> Result<Changed, Refused> {
    let id = namespace_id(app, namespace)?;
    let serial = serial(text)?;
    let mut unit = match Unit::begin(app, caller, Action::BlockLeaf, &("restore", namespace, fingerprint, &serial, issuer)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let held = unit.namespace(&id, Action::BlockLeaf).await?;
    let ca = ca_of(&held, fingerprint)?;
    let issuer = issuer.unwrap_or(&ca.subject).to_owned();
    let anchors = anchors(&held, ca);
    decide_everywhere(app, &unit, &id, &anchors)?;
    let mut gone = false;
    for anchor in anchors {
        let leaf = ForeignLeaf { anchor, issuer: issuer.clone(), serial: serial.clone() };
        if !unit.write.unblock_leaf(&leaf, false).await? {
            continue;
        }
        gone = true;
        if !unit.write.blocked_leaves(&anchor, true).await?.contains(&leaf) {
            unit.publish(Change::UnblockLeaf(leaf));
        }
    }
    if !gone {
        return Err(Refused::not_found("leaf revoked here with serial number", &serial)
            .hint("countersign namespace accepted-client-ca revoked-leaves; what its own CA revoked is taken back by its CA alone"));
    }
    let before = value(&serde_json::json!({ "acceptedClientCa": ca.fingerprint.to_string(), "issuer": issuer, "serial": serial }));
    let operation = unit.commit(Done { kind: "namespace", id: id.as_str(), before, after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// The leaves of an accepted CA that are kept out.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn revoked_leaves(app: &App, actor: &Actor, namespace: &str, fingerprint: &str) -> Result<RevokedLeaves, Refused> {
    let held = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    let ca = ca_of(&held, fingerprint)?;
    let mut reader = app.store.read().await?;
    let mut listed = RevokedLeaves::default();
    for (by_crl, by) in [(false, "here"), (true, "crl")] {
        let leaves = reader.blocked_leaves(&ca.fingerprint, by_crl).await?;
        listed.count += u64::try_from(leaves.len()).unwrap_or(0);
        let room = LISTED_MAX.saturating_sub(listed.items.len());
        let lines = leaves.into_iter().take(room);
        listed.items.extend(lines.map(|leaf| RevokedLeaf { issuer: leaf.issuer, serial: leaf.serial, by: by.to_owned() }));
    }
    Ok(listed)
}

fn refuses(text: Option<&str>) -> Result<Option<bool>, Refused> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("keep") => Ok(Some(false)),
        Some(text) if text.eq_ignore_ascii_case("refuse") => Ok(Some(true)),
        Some(_) => Err(Refused::invalid("stale is keep or refuse")),
    }
}

fn body(row: &ForeignCrlRow, revoked: usize, refuses: bool, now: Timestamp) -> ForeignCrlBody {
    let is_stale = now.seconds() > row.next_update.seconds();
    let mut warnings = Vec::new();
    if is_stale {
        let what = if refuses { "nobody of this CA is let in" } else { "whoever it does not name is still let in" };
        warnings.push(format!("E4: the list is stale since {}: {what} until a newer one is set", convert::time(row.next_update)));
    }
    ForeignCrlBody {
        number: row.number.clone(),
        this_update: convert::time(row.this_update),
        next_update: convert::time(row.next_update),
        taken_time: convert::time(row.taken_at),
        is_stale,
        stale: if refuses { "refuse" } else { "keep" }.to_owned(),
        revoked: u64::try_from(revoked).unwrap_or(u64::MAX),
        warnings,
    }
}

/// The revocation list of an accepted CA that is applied.
///
/// # Errors
/// `not_found`, also when none was ever set; `forbidden`.
pub async fn get_crl(app: &App, actor: &Actor, namespace: &str, fingerprint: &str) -> Result<ForeignCrlBody, Refused> {
    let held = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    let ca = ca_of(&held, fingerprint)?;
    let mut reader = app.store.read().await?;
    let row = reader.foreign_crl(&ca.fingerprint, &ca.subject).await?.ok_or_else(|| {
        Refused::new("not_found", format!("no revocation list of {} was set", ca.subject))
            .hint("countersign namespace accepted-client-ca crl set --crl-file FILE")
    })?;
    let revoked = named_by(&mut reader, &ca.fingerprint, &ca.subject).await?.len();
    Ok(body(&row, revoked, ca.refuse_after.is_some(), app.now()))
}

/// The serial numbers of an issuer's leaves that its list named, under one anchor.
async fn named_by(reader: &mut Reader, anchor: &Fingerprint, issuer: &str) -> Result<BTreeSet<String>, Refused> {
    let leaves = reader.blocked_leaves(anchor, true).await?;
    Ok(leaves.into_iter().filter(|leaf| leaf.issuer == issuer).map(|leaf| leaf.serial).collect())
}

/// A list's number as it is kept.
fn number(crl: &ForeignCrl) -> String {
    crl.number.as_deref().map(hex).unwrap_or_default()
}

/// Whether `new` may follow `old` (E4: numbers rise, and a list does not lose its number).
fn check_order(old: &ForeignCrlRow, new: &ForeignCrl) -> Result<(), Refused> {
    let given = number(new);
    // Without leading zeros the longer number is the greater one.
    let by_number = (!old.number.is_empty()).then(|| (given.len(), given.as_str()).cmp(&(old.number.len(), old.number.as_str())));
    let by_time = new.this_update.cmp(&old.this_update);
    if by_number.is_some_and(std::cmp::Ordering::is_lt) || by_time.is_lt() {
        return Err(Refused::new(
            "crl_older",
            format!(
                "the revocation list (number {}, of {}) is older than the one that is applied (number {}, of {})",
                if given.is_empty() { "none" } else { &given },
                convert::time(new.this_update),
                if old.number.is_empty() { "none" } else { &old.number },
                convert::time(old.this_update)
            ),
        )
        .hint("set the newest list that the CA publishes; whoever serves an older one may be hiding a revocation"));
    }
    Ok(())
}

/// Takes in the revocation list of an accepted CA, or changes what a stale one does. Leaves that it names are kept out from now on,
/// live connections included; those that it names no longer are let in again, unless they were revoked here.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `crl_older`, and x509's codes for the list.
pub async fn set_crl(
    app: &App,
    caller: &Caller,
    actor: &Actor,
    namespace: &str,
    fingerprint: &str,
    asked: SetForeignCrl,
) -> Result<ForeignCrlTaken, Refused> {
    let id = namespace_id(app, namespace)?;
    decide(actor, Action::BlockLeaf, Target::Namespace(&id))?;
    let refuses = refuses(asked.stale.as_deref())?;
    let crl = match asked.crl.filter(|text| !text.trim().is_empty()) {
        None => None,
        Some(text) => {
            // Read before the transaction: a long list takes its time, and there is only one writer.
            let held = app.snapshot().namespace(&id).cloned().ok_or_else(|| Refused::not_found("namespace", id.as_str()))?;
            let issuer = ca_of(&held, fingerprint)?.der.clone();
            let now = app.now();
            let read = tokio::task::spawn_blocking(move || ForeignCrl::read(&bytes_of(&text), &issuer, now));
            Some(read.await.map_err(Refused::unavailable)??)
        }
    };
    if crl.is_none() && refuses.is_none() {
        return Err(Refused::invalid("give a revocation list, or what a stale one does"));
    }
    let digest = crl.as_ref().map(|crl| (number(crl), crl.this_update.micros(), crl.entries().len()));
    let mut unit = match Unit::begin(app, caller, Action::BlockLeaf, &("crl", namespace, fingerprint, digest, refuses)).await? {
        Begun::Repeated(operation) => {
            return Ok(ForeignCrlTaken { request_status: convert::request_status(&operation), ..ForeignCrlTaken::default() });
        }
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::BlockLeaf).await?;
    let ca = ca_of(&before, fingerprint)?.clone();
    let old = unit.write.foreign_crl(&ca.fingerprint, &ca.subject).await?;
    let refuses = refuses.unwrap_or(ca.refuse_after.is_some());
    let (mut added, mut removed) = (0, 0);
    let row = match (&crl, &old) {
        (Some(crl), old) => {
            if let Some(old) = old {
                check_order(old, crl)?;
            }
            let row = ForeignCrlRow { number: number(crl), this_update: crl.this_update, next_update: crl.next_update, taken_at: unit.now };
            let same = old.as_ref().is_some_and(|old| old.number == row.number && old.this_update == row.this_update);
            if same && refuses == ca.refuse_after.is_some() {
                return Err(Refused::nothing_to_change("this revocation list is applied already"));
            }
            if !same {
                (added, removed) = apply(&mut unit, &before, &ca, crl).await?;
                unit.write.put_foreign_crl(&ca.fingerprint, &ca.subject, &row).await?;
            }
            row
        }
        (None, Some(old)) if refuses != ca.refuse_after.is_some() => old.clone(),
        (None, Some(_)) => return Err(Refused::nothing_to_change("that is the rule already")),
        (None, None) => return Err(Refused::invalid("there is no revocation list yet that could be stale").hint("set one first")),
    };
    set_rule(app, &mut unit, &id, &ca.fingerprint, refuses, row.next_update).await?;
    let shown = |row: &ForeignCrlRow, refuses: bool| {
        serde_json::json!({
            "acceptedClientCa": ca.fingerprint.to_string(), "crlNumber": row.number, "thisUpdate": convert::time(row.this_update),
            "nextUpdate": convert::time(row.next_update), "stale": if refuses { "refuse" } else { "keep" },
        })
    };
    let mut after = shown(&row, refuses);
    if let Some(members) = after.as_object_mut() {
        members.insert("added".to_owned(), added.into());
        members.insert("removed".to_owned(), removed.into());
    }
    let done = Done {
        kind: "namespace",
        id: id.as_str(),
        before: old.as_ref().map(|old| shown(old, ca.refuse_after.is_some())),
        after: Some(after),
    };
    let revoked = crl.as_ref().map(|crl| crl.entries().len());
    let revoked = match revoked {
        Some(count) => count,
        None => named_by(&mut unit.write, &ca.fingerprint, &ca.subject).await?.len(),
    };
    let now = unit.now;
    let operation = unit.commit(done).await?;
    Ok(ForeignCrlTaken {
        crl: Some(body(&row, revoked, refuses, now)),
        added,
        removed,
        request_status: convert::request_status(&operation),
    })
}

/// PEM as it is; what is base64 of DER, decoded.
fn bytes_of(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    match base64::engine::general_purpose::STANDARD.decode(&plain) {
        Ok(der) if !text.contains("-----BEGIN") => der,
        _ => text.as_bytes().to_vec(),
    }
}

/// Blocks what the list names, and lets in again what it names no longer. Returns how many of each.
async fn apply(unit: &mut Unit<'_>, namespace: &Namespace, ca: &AcceptedCa, crl: &ForeignCrl) -> Result<(u64, u64), Refused> {
    let mut named = BTreeSet::new();
    let mut why = std::collections::BTreeMap::new();
    for entry in crl.entries() {
        let serial = serial_number(&hex(&entry.serial()))?;
        why.insert(serial.clone(), entry.reason());
        named.insert(serial);
    }
    let (mut added, mut removed) = (0, 0);
    for anchor in anchors(namespace, ca) {
        let leaf = |serial: &str| ForeignLeaf { anchor, issuer: ca.subject.clone(), serial: serial.to_owned() };
        let known = named_by(&mut unit.write, &anchor, &ca.subject).await?;
        let here: BTreeSet<ForeignLeaf> = unit.write.blocked_leaves(&anchor, false).await?.into_iter().collect();
        for serial in named.difference(&known) {
            let reason = why.get(serial).copied().unwrap_or(RevocationReason::Unspecified);
            unit.write.block_leaf(&leaf(serial), true, reason.as_str(), unit.now).await?;
            unit.publish(Change::BlockLeaf(leaf(serial)));
            added += u64::from(anchor == ca.fingerprint);
        }
        for serial in known.difference(&named) {
            unit.write.unblock_leaf(&leaf(serial), true).await?;
            removed += u64::from(anchor == ca.fingerprint);
            if !here.contains(&leaf(serial)) {
                unit.publish(Change::UnblockLeaf(leaf(serial)));
            }
        }
    }
    Ok((added, removed))
}

/// Notes in this namespace what a stale list does, and in every other one that has the strict rule for the same CA, how long the new
/// list holds.
async fn set_rule(
    app: &App,
    unit: &mut Unit<'_>,
    here: &NamespaceId,
    ca: &Fingerprint,
    refuses: bool,
    next_update: Timestamp,
) -> Result<(), Refused> {
    let snapshot = app.snapshot();
    let holders: Vec<NamespaceId> = snapshot
        .namespaces()
        .filter(|namespace| namespace.accepted_client_cas.iter().any(|known| known.fingerprint == *ca))
        .map(|namespace| namespace.id.clone())
        .collect();
    for id in holders {
        let Some(mut namespace) = unit.write.namespace(&id).await? else { continue };
        let Some(known) = namespace.accepted_client_cas.iter_mut().find(|known| known.fingerprint == *ca) else { continue };
        let strict = if id == *here { refuses } else { known.refuse_after.is_some() };
        let wanted = strict.then_some(next_update);
        if known.refuse_after == wanted {
            continue;
        }
        known.refuse_after = wanted;
        namespace.resource_version += 1;
        namespace.modified_at = unit.now;
        unit.write.put_namespace(&namespace).await?;
        unit.publish(Change::PutNamespace(Arc::new(namespace)));
    }
    Ok(())
}

//! Leaves of accepted CAs that are kept out although they were not issued here: revoked here by an admin, or named on the CA's own
//! revocation list. What a list must look like is x509's business; that a leaf so blocked is let in nowhere, `admit`'s. A leaf is
//! known by what it is, and a list by the CA's name and key, so that no renewed, cross-signed or re-added certificate of the CA brings
//! a revoked leaf back.

use super::caller::Caller;
use super::revocation::{is_admin, one_certificate, reason, serial_number};
use super::unit::{Begun, Done, Unit, value};
use super::{App, decide, namespace_id, namespaces};
use crate::error::{Refused, shown};
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint, RevocationReason};
use countersign_core::credential::{hex, unhex};
use countersign_core::name::NamespaceId;
use countersign_core::namespace::{AcceptedCa, Namespace};
use countersign_core::snapshot::{BlockedLeaf, Change, LeafSelector};
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, ForeignCrlBody, ForeignCrlTaken, RevokeLeaf, RevokedLeaf, RevokedLeaves, SetForeignCrl};
use countersign_store::{CaId, ForeignCrlRow, Reader, RevokedLeafRow};
use countersign_x509::foreign_crl::ForeignCrl;
use countersign_x509::{chain, facts};
use std::collections::{BTreeMap, BTreeSet};
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

/// What makes a CA the same CA in every certificate of its; `None` for bytes that are no certificate, which no bundle takes.
pub(super) fn ca_id(der: &[u8]) -> Option<CaId> {
    let facts = facts::of(der).ok()?;
    Some(CaId { key: facts.key?, name: facts.name? })
}

fn id_of(ca: &AcceptedCa) -> Result<CaId, Refused> {
    ca_id(&ca.der).ok_or_else(|| Refused::unavailable(format!("the accepted CA {} cannot be read", ca.fingerprint)))
}

/// A leaf as somebody names it.
enum Given {
    Certificate { der: Vec<u8>, facts: Box<CertificateFacts> },
    Serial(String),
}

/// Keeps a leaf of an accepted CA out: of every namespace where a Global Admin says so, of this one where an admin of it does. Live
/// connections that came in by it end.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, and x509's codes.
pub async fn revoke_leaf(app: &App, caller: &Caller, namespace: &str, fingerprint: &str, body: RevokeLeaf) -> Result<Changed, Refused> {
    let id = namespace_id(app, namespace)?;
    let why = reason(body.reason.as_deref(), RevocationReason::Unspecified)?;
    let given = match (body.certificate.as_deref(), body.serial.as_deref()) {
        (Some(text), None) => {
            let der = one_certificate(text)?;
            let facts = Box::new(facts::of(&der)?);
            Given::Certificate { der, facts }
        }
        (None, Some(text)) => Given::Serial(serial(text)?),
        _ => return Err(Refused::invalid("give exactly one of certificate and serial")),
    };
    let digest = match &given {
        Given::Certificate { der, .. } => Fingerprint::of(der).to_string(),
        Given::Serial(serial) => serial.clone(),
    };
    let mut unit = match Unit::begin(app, caller, Action::BlockLeaf, &("revoke", namespace, fingerprint, &digest, why)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let held = unit.namespace(&id, Action::BlockLeaf).await?;
    let ca = ca_of(&held, fingerprint)?;
    let named = id_of(ca)?;
    take_over(&mut unit, &held, &ca.subject).await?;
    let everywhere = is_admin(&unit.actor);
    let scope = (!everywhere).then(|| id.clone());
    let (serial, issuer, selectors) = selectors(&mut unit, &held, ca, &named, given, why).await?;
    let mut new = false;
    for leaf in selectors {
        if let (LeafSelector::Key(key), true) = (&leaf, everywhere)
            && unit.write.block_key(key, why.as_str(), None, unit.now).await?
        {
            // Whoever had the key may have had any certificate issued for it.
            new = true;
            unit.publish(Change::BlockKey(*key));
        }
        let block = BlockedLeaf { namespace: scope.clone(), leaf };
        let row = RevokedLeafRow {
            block: block.clone(),
            ca: named,
            point: String::new(),
            issuer: issuer.clone(),
            serial: serial.clone(),
            by_crl: false,
        };
        if unit.write.revoke_leaf(&row, why.as_str(), unit.now).await? {
            new = true;
            unit.publish(Change::BlockLeaf(block));
        }
    }
    if !new {
        return Err(Refused::nothing_to_change(format!("the leaf with serial number {serial} is revoked here already")));
    }
    let after = value(&serde_json::json!({
        "acceptedClientCa": ca.fingerprint.to_string(), "issuer": issuer, "serial": serial, "reason": why.as_str(),
        "everywhere": everywhere,
    }));
    let operation = unit.commit(Done { kind: "namespace", id: id.as_str(), before: None, after }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Serial number and issuer of a leaf, and everything that tells it from others: its content, who signed it with which number, and its
/// key where that is compromised.
async fn selectors(
    unit: &mut Unit<'_>,
    held: &Namespace,
    ca: &AcceptedCa,
    named: &CaId,
    given: Given,
    why: RevocationReason,
) -> Result<(String, String, Vec<LeafSelector>), Refused> {
    let (der, facts) = match given {
        Given::Serial(serial) => {
            let mut found = vec![LeafSelector::Serial { issuer_key: named.key, serial: serial.clone() }];
            found.extend(registered(unit, &serial, ca).await?);
            return Ok((serial, ca.subject.clone(), found));
        }
        Given::Certificate { der, facts } => (der, facts),
    };
    let mut found: Vec<LeafSelector> = facts.content.map(LeafSelector::Content).into_iter().collect();
    // The CA that signed it need not be the one that was named: what matters is that nobody else gives this number.
    for signer in std::iter::once(ca).chain(&held.accepted_client_cas).filter(|signer| chain::is_issued_by(&der, &signer.der)) {
        let signed = LeafSelector::Serial { issuer_key: id_of(signer)?.key, serial: facts.serial.clone() };
        if !found.contains(&signed) {
            found.push(signed);
        }
    }
    if why == RevocationReason::KeyCompromise {
        found.extend(facts.key.map(LeafSelector::Key));
    }
    Ok((facts.serial, facts.issuer, found))
}

/// Registered certificates that a CA signed under this number. Of them the gateway may see no path, when their holder leaves out an
/// intermediate: they are known by themselves.
async fn registered(unit: &mut Unit<'_>, serial: &str, ca: &AcceptedCa) -> Result<Vec<LeafSelector>, Refused> {
    let known = unit.write.foreign_certificates_by_serial(serial).await?;
    let of_ca = known.iter().filter(|one| chain::is_issued_by(&one.der, &ca.der));
    Ok(of_ca.filter_map(|one| facts::of(&one.der).ok()?.content).map(LeafSelector::Content).collect())
}

/// Takes over what an older version blocked by an accepted CA and its issuer's name, for leaves of the CAs of `namespace` that are named
/// `issuer`. What another CA of this name issued elsewhere stays as it is.
async fn take_over(unit: &mut Unit<'_>, namespace: &Namespace, issuer: &str) -> Result<(), Refused> {
    for old in unit.write.old_blocks(Some(issuer)).await? {
        let rows = successors(&old, namespace);
        if rows.is_empty() {
            continue;
        }
        for row in rows {
            unit.write.revoke_leaf(&row, &old.reason, old.created_at).await?;
            unit.publish(Change::BlockLeaf(row.block));
        }
        unit.write.drop_old_block(&old).await?;
        if !unit.write.is_leaf_revoked(&old.block(), &old.serial).await? {
            unit.publish(Change::UnblockLeaf(old.block()));
        }
    }
    Ok(())
}

/// What takes the place of an older version's block, when the CA that signed the leaf is accepted in `namespace`: the very CA of the
/// block, or one below it.
pub(super) fn successors(old: &countersign_store::OldBlock, namespace: &Namespace) -> Vec<RevokedLeafRow> {
    if !namespace.accepted_client_cas.iter().any(|ca| ca.fingerprint == old.anchor) {
        return Vec::new();
    }
    let signers = namespace.accepted_client_cas.iter().filter(|ca| ca.subject == old.issuer);
    let rows = signers.filter_map(|ca| {
        let id = ca_id(&ca.der)?;
        Some(RevokedLeafRow {
            block: BlockedLeaf { namespace: None, leaf: LeafSelector::Serial { issuer_key: id.key, serial: old.serial.clone() } },
            ca: id,
            point: String::new(),
            issuer: old.issuer.clone(),
            serial: old.serial.clone(),
            by_crl: old.by_crl,
        })
    });
    rows.collect()
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
    take_over(&mut unit, &held, &issuer).await?;
    let rows = unit.write.revoked_leaves(&id_of(ca)?.key, false, Some(&serial)).await?;
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.issuer == issuer && row.block.namespace.as_ref().is_none_or(|namespace| *namespace == id))
        .collect();
    let everywhere = is_admin(&unit.actor);
    let (own, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| everywhere || row.block.namespace.is_some());
    if own.is_empty() && others.is_empty() {
        return Err(Refused::not_found("leaf revoked here with serial number", &serial)
            .hint("countersign namespace accepted-client-ca revoked-leaves; what its own CA revoked is taken back by its CA alone"));
    }
    if !others.is_empty() {
        return Err(Refused::forbidden("a Global Admin revoked this leaf for every namespace")
            .hint("ask a Global Admin to restore it: it is kept out wherever its CA is accepted"));
    }
    for row in own {
        unit.write.restore_leaf(&row).await?;
        if !unit.write.is_leaf_revoked(&row.block, &row.serial).await? {
            unit.publish(Change::UnblockLeaf(row.block));
        }
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
    let old = reader.old_blocks(Some(&ca.subject)).await?;
    for (by_crl, by) in [(false, "here"), (true, "crl")] {
        let rows = reader.revoked_leaves(&id_of(ca)?.key, by_crl, None).await?;
        let here = rows.into_iter().filter(|row| row.block.namespace.as_ref().is_none_or(|namespace| *namespace == held.id));
        let older = old.iter().filter(|old| old.by_crl == by_crl && old.anchor == ca.fingerprint);
        // One leaf may be blocked by several of its marks.
        let leaves: BTreeSet<(String, String)> =
            here.map(|row| (row.issuer, row.serial)).chain(older.map(|old| (old.issuer.clone(), old.serial.clone()))).collect();
        listed.count += u64::try_from(leaves.len()).unwrap_or(0);
        let room = LISTED_MAX.saturating_sub(listed.items.len());
        listed.items.extend(leaves.into_iter().take(room).map(|(issuer, serial)| RevokedLeaf { issuer, serial, by: by.to_owned() }));
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

/// The revocation list of an accepted CA that is applied; of several, for distribution points, the one that was taken in last.
///
/// # Errors
/// `not_found`, also when none was ever set; `forbidden`.
pub async fn get_crl(app: &App, actor: &Actor, namespace: &str, fingerprint: &str) -> Result<ForeignCrlBody, Refused> {
    let held = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    let ca = ca_of(&held, fingerprint)?;
    let id = id_of(ca)?;
    let mut reader = app.store.read().await?;
    let row = reader.foreign_crls_of(&id).await?.into_iter().next().ok_or_else(|| {
        Refused::new("not_found", format!("no revocation list of {} was set", ca.subject))
            .hint("countersign namespace accepted-client-ca crl set --crl-file FILE")
    })?;
    let revoked = count(&mut reader, &id).await?;
    Ok(body(&row, revoked, ca.refuse_after.is_some(), app.now()))
}

/// How many leaves a CA's lists name.
async fn count(reader: &mut Reader, ca: &CaId) -> Result<usize, Refused> {
    let rows = reader.revoked_leaves(&ca.key, true, None).await?;
    Ok(rows.into_iter().filter(|row| row.ca == *ca).map(|row| row.serial).collect::<BTreeSet<_>>().len())
}

/// Whether `new` may follow `old` (E4: numbers rise, and so do dates). `by_number` where both count the same certificates.
fn check_order(old: &ForeignCrlRow, new: &ForeignCrl, by_number: bool) -> Result<(), Refused> {
    let given = hex(&new.number);
    // A number of more than 20 octets is none (RFC 5280 section 5.2.3); an older version took such ones.
    let known = Some(&old.number).filter(|number| by_number && !number.is_empty() && number.len() <= 40);
    // Without leading zeros the longer number is the greater one.
    let by_number = known.map(|number| (given.len(), given.as_str()).cmp(&(number.len(), number.as_str())));
    let by_time = new.this_update.cmp(&old.this_update);
    if by_number.is_some_and(std::cmp::Ordering::is_lt) || by_time.is_lt() {
        return Err(Refused::new(
            "crl_older",
            format!(
                "the revocation list (number {}, of {}) is older than the one that is applied (number {}, of {})",
                if given.is_empty() { "0" } else { &given },
                convert::time(new.this_update),
                if old.number.is_empty() { "none" } else { &old.number },
                convert::time(old.this_update)
            ),
        )
        .hint("set the newest list that the CA publishes; whoever serves an older one may be hiding a revocation"));
    }
    Ok(())
}

/// The lists of one file, each with the accepted CA whose it is, the newest of each distribution point alone.
type Lists = BTreeMap<(CaId, String), (AcceptedCa, ForeignCrl)>;

/// Reads a file of lists. Each has to be of a CA that the namespace accepts, and one of the CA that was named.
async fn read_lists(app: &App, namespace: &Namespace, named: &AcceptedCa, text: String) -> Result<Lists, Refused> {
    let mut cas = vec![named.clone()];
    cas.extend(namespace.accepted_client_cas.iter().filter(|ca| ca.fingerprint != named.fingerprint).cloned());
    let (now, ders) = (app.now(), cas.iter().map(|ca| ca.der.clone()).collect::<Vec<_>>());
    // Read before the transaction: a long list takes its time, and there is only one writer.
    let read = tokio::task::spawn_blocking(move || {
        let issuers: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
        ForeignCrl::read_all(&bytes_of(&text), &issuers, now)
    });
    let mut lists = Lists::new();
    for (at, list) in read.await.map_err(Refused::unavailable)?? {
        let Some(ca) = cas.get(at) else { continue };
        let key = (id_of(ca)?, list.point.map(|point| point.to_string()).unwrap_or_default());
        let age = |list: &ForeignCrl| (list.number.len(), list.number.clone(), list.this_update);
        if lists.get(&key).is_none_or(|(_, known)| age(known) < age(&list)) {
            lists.insert(key, (ca.clone(), list));
        }
    }
    let wanted = id_of(named)?;
    if !lists.keys().any(|(id, _)| *id == wanted) {
        return Err(Refused::new("crl_other_issuer", format!("no revocation list of the file is one of {} (rule E4)", named.subject))
            .hint("name the CA whose lists these are, or give the list that this very CA publishes"));
    }
    Ok(lists)
}

/// Takes in revocation lists of an accepted CA, or changes what a stale one does. Leaves that it names are kept out from now on, live
/// connections included; those that it names no longer are let in again, unless they were revoked here. A list counts for every
/// certificate of its CA, whenever that is accepted.
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
    let lists = match asked.crl.filter(|text| !text.trim().is_empty()) {
        None => Lists::new(),
        Some(text) => {
            let held = app.snapshot().namespace(&id).cloned().ok_or_else(|| Refused::not_found("namespace", id.as_str()))?;
            read_lists(app, &held, ca_of(&held, fingerprint)?, text).await?
        }
    };
    if lists.is_empty() && refuses.is_none() {
        return Err(Refused::invalid("give a revocation list, or what a stale one does"));
    }
    let digest: Vec<_> =
        lists.iter().map(|((id, point), (_, list))| (id.key, point, hex(&list.number), list.this_update, list.entries().len())).collect();
    let mut unit = match Unit::begin(app, caller, Action::BlockLeaf, &("crl", namespace, fingerprint, digest, refuses)).await? {
        Begun::Repeated(operation) => {
            return Ok(ForeignCrlTaken { request_status: convert::request_status(&operation), ..ForeignCrlTaken::default() });
        }
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::BlockLeaf).await?;
    let ca = ca_of(&before, fingerprint)?.clone();
    let named = id_of(&ca)?;
    let old = unit.write.foreign_crls_of(&named).await?.into_iter().next();
    let refuses = refuses.unwrap_or(ca.refuse_after.is_some());
    if lists.is_empty() && old.is_none() {
        return Err(Refused::invalid("there is no revocation list yet that could be stale").hint("set one first"));
    }
    let (mut added, mut removed, mut changed) = (0, 0, false);
    for ((id, point), (ca, list)) in &lists {
        let Some((more, less)) = take(&mut unit, &before, ca, id, point, list).await? else { continue };
        (added, removed, changed) = (added + more, removed + less, true);
    }
    if !changed && refuses == ca.refuse_after.is_some() {
        return Err(match lists.is_empty() {
            true => Refused::nothing_to_change("that is the rule already"),
            false => Refused::nothing_to_change("this revocation list is applied already"),
        });
    }
    let mut ends: BTreeMap<CaId, Timestamp> = BTreeMap::new();
    for ((id, _), (_, list)) in &lists {
        let end = ends.entry(*id).or_insert(list.next_update);
        *end = list.next_update.min(*end);
    }
    if let (None, Some(old)) = (ends.get(&named), &old) {
        ends.insert(named, old.next_update);
    }
    set_rules(app, &mut unit, &id, &named, refuses, &ends).await?;
    let row = unit
        .write
        .foreign_crls_of(&named)
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| Refused::not_found("revocation list of", &ca.subject))?;
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
        members.insert("lists".to_owned(), lists.len().into());
    }
    let done = Done {
        kind: "namespace",
        id: id.as_str(),
        before: old.as_ref().map(|old| shown(old, ca.refuse_after.is_some())),
        after: Some(after),
    };
    let revoked = count(&mut unit.write, &named).await?;
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

/// Applies one list: how many leaves are newly kept out, and how many are not any more. `None` when it is applied already.
async fn take(
    unit: &mut Unit<'_>,
    namespace: &Namespace,
    ca: &AcceptedCa,
    id: &CaId,
    point: &str,
    list: &ForeignCrl,
) -> Result<Option<(u64, u64)>, Refused> {
    let rows = unit.write.foreign_crls_of(id).await?;
    for row in &rows {
        let same = row.point == *point;
        // A list of the whole CA says of every leaf what it is; that of a point leaves other points alone.
        if same || point.is_empty() {
            check_order(row, list, same)?;
        }
    }
    let row = ForeignCrlRow {
        point: point.to_owned(),
        number: hex(&list.number),
        this_update: list.this_update,
        next_update: list.next_update,
        taken_at: unit.now,
    };
    if rows.iter().any(|old| old.point == row.point && old.number == row.number && old.this_update == row.this_update) {
        return Ok(None);
    }
    take_over(unit, namespace, &ca.subject).await?;
    let changed = apply(unit, ca, id, point, list).await?;
    if point.is_empty() {
        for other in rows.iter().filter(|row| !row.point.is_empty()) {
            unit.write.drop_foreign_crl(id, &other.point).await?;
        }
    }
    unit.write.put_foreign_crl(id, &ca.subject, &row).await?;
    Ok(Some(changed))
}

/// Blocks what the list names, and lets in again what it names no longer. Returns how many of each.
async fn apply(unit: &mut Unit<'_>, ca: &AcceptedCa, id: &CaId, point: &str, list: &ForeignCrl) -> Result<(u64, u64), Refused> {
    let mut named = BTreeMap::new();
    for entry in list.entries() {
        named.insert(serial_number(&hex(&entry.serial()))?, entry.reason());
    }
    let known = unit.write.revoked_leaves(&id.key, true, None).await?;
    let known: Vec<_> = known.into_iter().filter(|row| row.ca == *id && (point.is_empty() || row.point == *point)).collect();
    let there: BTreeSet<&str> = known.iter().map(|row| row.serial.as_str()).collect();
    let (mut added, mut gone) = (0, BTreeSet::new());
    for (serial, reason) in &named {
        let mut leaves = vec![LeafSelector::Serial { issuer_key: id.key, serial: serial.clone() }];
        leaves.extend(registered(unit, serial, ca).await?);
        for leaf in leaves {
            let row = RevokedLeafRow {
                block: BlockedLeaf { namespace: None, leaf },
                ca: *id,
                point: point.to_owned(),
                issuer: ca.subject.clone(),
                serial: serial.clone(),
                by_crl: true,
            };
            if unit.write.revoke_leaf(&row, reason.as_str(), unit.now).await? {
                unit.publish(Change::BlockLeaf(row.block));
            }
        }
        added += u64::from(!there.contains(serial.as_str()));
    }
    for row in &known {
        let is_named = named.contains_key(&row.serial);
        // What another point's list named, and this one of the whole CA names too, stands in this one's rows now.
        if is_named && row.point == *point {
            continue;
        }
        unit.write.restore_leaf(row).await?;
        if !unit.write.is_leaf_revoked(&row.block, &row.serial).await? {
            unit.publish(Change::UnblockLeaf(row.block.clone()));
        }
        if !is_named {
            gone.insert(row.serial.as_str());
        }
    }
    Ok((added, u64::try_from(gone.len()).unwrap_or(u64::MAX)))
}

/// Notes in this namespace what a stale list of the CA `named` does, and in every namespace that has the strict rule for one of the CAs
/// whose lists were taken in, how long the new list holds. The rule is that of the CA, whichever certificate of it is accepted.
async fn set_rules(
    app: &App,
    unit: &mut Unit<'_>,
    here: &NamespaceId,
    named: &CaId,
    refuses: bool,
    ends: &BTreeMap<CaId, Timestamp>,
) -> Result<(), Refused> {
    let snapshot = app.snapshot();
    let is_of_list = |ca: &AcceptedCa| ca_id(&ca.der).is_some_and(|id| ends.contains_key(&id));
    let holders: Vec<NamespaceId> = snapshot
        .namespaces()
        .filter(|namespace| namespace.accepted_client_cas.iter().any(is_of_list))
        .map(|namespace| namespace.id.clone())
        .collect();
    for id in holders {
        let Some(mut namespace) = unit.write.namespace(&id).await? else { continue };
        let mut changed = false;
        for known in &mut namespace.accepted_client_cas {
            let Some(ca) = ca_id(&known.der) else { continue };
            let Some(end) = ends.get(&ca) else { continue };
            let strict = if id == *here && ca == *named { refuses } else { known.refuse_after.is_some() };
            let wanted = strict.then_some(*end);
            changed |= known.refuse_after != wanted;
            known.refuse_after = wanted;
        }
        if !changed {
            continue;
        }
        namespace.resource_version += 1;
        namespace.modified_at = unit.now;
        unit.write.put_namespace(&namespace).await?;
        unit.publish(Change::PutNamespace(Arc::new(namespace)));
    }
    Ok(())
}

/// Keeps out, or lets in again, what a registered certificate of another CA is when its signature is encoded in another way: an ECDSA
/// signature has two valid forms, the fingerprint of the other is registered nowhere, and an accepted CA vouches for both.
///
/// # Errors
/// When the store fails.
pub(super) async fn follow(unit: &mut Unit<'_>, certificate: &Certificate) -> Result<(), Refused> {
    if certificate.issuer.is_some() {
        return Ok(());
    }
    let Some(content) = facts::of(&certificate.der).ok().and_then(|facts| facts.content) else { return Ok(()) };
    let none = Fingerprint::from_bytes([0; 32]);
    let row = RevokedLeafRow {
        block: BlockedLeaf { namespace: None, leaf: LeafSelector::Content(content) },
        // It is not under any CA that somebody accepted.
        ca: CaId { key: none, name: none },
        point: String::new(),
        issuer: certificate.facts.issuer.clone(),
        serial: certificate.facts.serial.clone(),
        by_crl: false,
    };
    if certificate.status != CertificateStatus::Active && certificate.binds() {
        let reason = certificate.reason.unwrap_or(RevocationReason::Unspecified);
        if unit.write.revoke_leaf(&row, reason.as_str(), unit.now).await? {
            unit.publish(Change::BlockLeaf(row.block));
        }
    } else if unit.write.restore_leaf(&row).await? && !unit.write.is_leaf_revoked(&row.block, &row.serial).await? {
        unit.publish(Change::UnblockLeaf(row.block));
    }
    Ok(())
}

/// What follows from other accepted CAs in a namespace: a further certificate of a CA has the rule of the one that is there, and of a CA
/// that no namespace accepts any more the number of its last list is forgotten. What it revoked is not.
///
/// # Errors
/// When the store fails.
pub(super) async fn cas_changed(
    app: &App,
    unit: &mut Unit<'_>,
    here: &NamespaceId,
    before: &[AcceptedCa],
    after: &mut [AcceptedCa],
) -> Result<(), Refused> {
    let is_in = |cas: &[AcceptedCa], ca: &AcceptedCa| cas.iter().any(|other| other.fingerprint == ca.fingerprint);
    for new in after.iter_mut().filter(|ca| ca.refuse_after.is_none() && !is_in(before, ca)) {
        let Some(id) = ca_id(&new.der) else { continue };
        new.refuse_after = before.iter().filter(|ca| ca_id(&ca.der) == Some(id)).find_map(|ca| ca.refuse_after);
    }
    let gone: BTreeSet<CaId> = before.iter().filter(|ca| !is_in(after, ca)).filter_map(|ca| ca_id(&ca.der)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let snapshot = app.snapshot();
    let elsewhere = snapshot.namespaces().filter(|namespace| namespace.id != *here).flat_map(|namespace| &namespace.accepted_client_cas);
    let left: BTreeSet<CaId> = elsewhere.chain(after.iter()).filter_map(|ca| ca_id(&ca.der)).collect();
    for ca in gone.difference(&left) {
        unit.write.forget_crl_number(ca).await?;
    }
    Ok(())
}

//! Ending certificates before their time, for a while or for ever. How they are made is `certificates`' and `issuance`'s business,
//! and what a CRL looks like that of `publication`.

use super::api_keys::{check_owners_matter, decide_ending};
use super::caller::Caller;
use super::certificates::{shown, visible};
use super::successors::{self, Successor};
use super::unit::{Begun, Done, Unit, value};
use super::{App, applications, decide, foreign_crls};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::certificate::{Certificate, CertificateStatus, Fingerprint, RevocationReason};
use countersign_core::id::{CertificateId, IssuerId};
use countersign_core::identity::IdentityId;
use countersign_core::limits::KEY_BLOCKS_PER_DAY_MAX;
use countersign_core::operation::Operation;
use countersign_core::snapshot::Change;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{Changed, RevokeCertificate, RevokeCertificates, Revoked, RevokedCertificate};
use countersign_x509::{facts, given_key, pem};
use std::collections::BTreeSet;
use zeroize::Zeroize as _;

/// Certificates that an answer lists.
const LISTED_MAX: usize = 1000;

/// Reads a reason of revocation for a leaf.
pub(super) fn reason(text: Option<&str>, absent: RevocationReason) -> Result<RevocationReason, Refused> {
    let offered = || RevocationReason::ALL.into_iter().filter(|reason| *reason != RevocationReason::CaCompromise);
    match text {
        None | Some("") => Ok(absent),
        Some(text) => RevocationReason::parse(text).filter(|given| offered().any(|one| one == *given)).ok_or_else(|| {
            Refused::invalid(format!("reason is one of {}", offered().map(RevocationReason::as_str).collect::<Vec<_>>().join(", ")))
        }),
    }
}

/// One that is about to end.
struct Ending {
    /// As it was before.
    before: Certificate,
    reason: RevocationReason,
}

/// What a revocation is about to do.
struct Plan {
    reason: RevocationReason,
    ends: Vec<Ending>,
    /// The key to block for ever.
    blocks: Option<Fingerprint>,
    /// What lives on and might have been meant too: a certificate and the one whose place it took.
    left: Vec<(CertificateId, CertificateId)>,
}

/// The key of a certificate; of one that was kept before keys were, from its DER.
fn key_of(certificate: &Certificate) -> Option<Fingerprint> {
    certificate.facts.key.or_else(|| facts::of(&certificate.der).ok()?.key)
}

/// Whether a revocation for `reason` would change anything of a certificate: a revoked one stays what it is, but may turn out to
/// have been compromised (research/pki.md F2).
fn is_changed_by(certificate: &Certificate, reason: RevocationReason) -> bool {
    match certificate.status {
        CertificateStatus::Active => true,
        CertificateStatus::Held => reason != RevocationReason::CertificateHold,
        CertificateStatus::Revoked => {
            reason == RevocationReason::KeyCompromise && certificate.reason != Some(RevocationReason::KeyCompromise)
        }
    }
}

fn so_already(certificate: &Certificate) -> Refused {
    let since = certificate.revoked_at.map(convert::time).unwrap_or_default();
    let why = certificate.reason.unwrap_or(RevocationReason::Unspecified).as_str();
    let what = if certificate.status == CertificateStatus::Held { "on hold" } else { "revoked" };
    Refused::nothing_to_change(format!("certificate {} is {what} already, since {since} ({why})", certificate.id))
}

impl Plan {
    /// To end those of `all` of which anything changes by it.
    fn of(reason: RevocationReason, all: impl IntoIterator<Item = Certificate>) -> Self {
        let ends = all.into_iter().filter(|one| is_changed_by(one, reason)).map(|before| Ending { before, reason }).collect();
        Self { reason, ends, blocks: None, left: Vec::new() }
    }

    /// That one key is compromised: all that carry it end, `named` among them, and it is blocked for ever.
    async fn of_key(unit: &mut Unit<'_>, key: Fingerprint, named: Option<&Certificate>) -> Result<Self, Refused> {
        let mut carriers = unit.write.certificates_of_key(&key).await?;
        // Of one that was kept before keys were, the key is known by its DER alone.
        carriers.extend(named.filter(|named| carriers.iter().all(|one| one.id != named.id)).cloned());
        let plan = Self { blocks: Some(key), ..Self::of(RevocationReason::KeyCompromise, carriers.iter().cloned()) };
        plan.with_successors(unit, &carriers).await
    }

    /// Adds what came after `first`. Whoever had a compromised key may have had its successor made by it, and that one's: those go
    /// along. What somebody who was logged in had made stays, and with other reasons all stay; but it is said.
    async fn with_successors(mut self, unit: &mut Unit<'_>, first: &[Certificate]) -> Result<Self, Refused> {
        let known: BTreeSet<CertificateId> = self.ends.iter().map(|one| one.before.id.clone()).collect();
        for one in successors::of(&mut unit.write, first).await? {
            let Successor { certificate, after, by_key_alone } = one;
            if known.contains(&certificate.id) || certificate.status == CertificateStatus::Revoked {
                continue;
            }
            if self.reason == RevocationReason::KeyCompromise && by_key_alone {
                // Nobody says that its own key is known to others; the right by which it was made is gone.
                self.ends.push(Ending { before: certificate, reason: RevocationReason::PrivilegeWithdrawn });
            } else if certificate.status == CertificateStatus::Active && unit.now.seconds() <= certificate.facts.not_after.seconds() {
                self.left.push((certificate.id, after));
            }
        }
        Ok(self)
    }

    /// Writes and publishes it.
    async fn carry_out(self, unit: &mut Unit<'_>) -> Result<Vec<Certificate>, Refused> {
        let by_admin = is_admin(&unit.actor);
        let mut ended = Vec::with_capacity(self.ends.len());
        for Ending { before: mut after, reason } in self.ends {
            after.ended_by_admin |= by_admin;
            if after.status != CertificateStatus::Revoked {
                after.revoked_at = Some(unit.now);
            }
            after.status = match reason {
                RevocationReason::CertificateHold => CertificateStatus::Held,
                _ => CertificateStatus::Revoked,
            };
            after.reason = Some(reason);
            after.retirement = None;
            after.resource_version += 1;
            after.modified_at = unit.now;
            unit.write.put_certificate(&after).await?;
            unit.publish(Change::certificate(&after));
            foreign_crls::follow(unit, &after).await?;
            ended.push(after);
        }
        if let Some(key) = self.blocks {
            let by = (!by_admin).then(|| unit.actor.identity.clone());
            if let Some(by) = &by {
                check_blocks(unit, by).await?;
            }
            if unit.write.block_key(&key, self.reason.as_str(), by.as_ref(), unit.now).await? {
                unit.publish(Change::BlockKey(key));
            }
        }
        Ok(ended)
    }
}

/// Whether one has the right to block any key: then his word ends a leaf, and not a registration alone (docs/decisions/0012).
pub(super) fn is_admin(actor: &Actor) -> bool {
    decide(actor, Action::BlockKey, Target::Account).is_ok()
}

/// A bound on what is never taken back.
async fn check_blocks(unit: &mut Unit<'_>, by: &IdentityId) -> Result<(), Refused> {
    let day_ago = unit.now.minus(Lifetime::from_days(1));
    if unit.write.count_blocked_by(by, day_ago).await? < KEY_BLOCKS_PER_DAY_MAX {
        return Ok(());
    }
    Err(Refused::new("limit_reached", format!("{by} had {KEY_BLOCKS_PER_DAY_MAX} keys blocked for ever within a day, the most there are"))
        .hint("ask a Global Admin, or revoke the certificates for another reason than keyCompromise"))
}

/// Who may have a key blocked for ever: admins, and whoever has proved that it is his. A certificate that was merely registered may
/// carry anybody's public key, and must not be a way to shut its holder out; that somebody came in by it proves that he has the key,
/// and nothing of who registered it.
fn decide_block(unit: &mut Unit<'_>, certificate: &Certificate) -> Result<(), Refused> {
    if certificate.proven {
        return Ok(());
    }
    unit.decide(Action::BlockKey, Target::Account).map(drop).map_err(|refused| {
        refused.hint("possession of this key was never proved: send the private key as proof, ask a Global Admin, or give another reason")
    })
}

/// Revokes one, for ever or on hold. Live connections that came in by it end. A compromised key takes all that carry it along.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`.
pub async fn revoke(app: &App, caller: &Caller, text: &str, body: RevokeCertificate) -> Result<Revoked, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::RevokeCertificate, &(text, &body)).await? {
        Begun::Repeated(operation) => return repeated(app, &operation).await,
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let before = visible(&mut unit.write, &actor, text).await?;
    decide_ending(&mut unit, Action::RevokeCertificate, &before.owner).await?;
    let reason = reason(body.reason.as_deref(), RevocationReason::Unspecified)?;
    let plan = plan_for(&mut unit, before, reason).await?;
    finish(app, unit, plan, text.to_owned(), false).await
}

async fn plan_for(unit: &mut Unit<'_>, before: Certificate, reason: RevocationReason) -> Result<Plan, Refused> {
    let key = key_of(&before).filter(|_| reason == RevocationReason::KeyCompromise);
    let plan = match key {
        Some(key) => {
            decide_block(unit, &before)?;
            Plan::of_key(unit, key, Some(&before)).await?
        }
        None => {
            let first = [before.clone()];
            Plan::of(reason, [before.clone()]).with_successors(unit, &first).await?
        }
    };
    if plan.ends.is_empty() {
        return Err(so_already(&before));
    }
    Ok(plan)
}

/// The answer of a request that was carried out before: what it ended is read again.
async fn repeated(app: &App, operation: &Operation) -> Result<Revoked, Refused> {
    let mut certificates = Vec::new();
    if let Ok(id) = CertificateId::parse(&operation.resource_id) {
        certificates.extend(app.store.read().await?.certificate(&id).await?.as_ref().map(line));
    }
    let count = u64::try_from(certificates.len()).unwrap_or(0);
    let request_status = Some(convert::request_status(operation));
    Ok(Revoked { dry_run: false, count, certificates, blocked_key: None, warnings: Vec::new(), request_status })
}

fn line(certificate: &Certificate) -> RevokedCertificate {
    RevokedCertificate {
        id: certificate.id.to_string(),
        alias: certificate.alias.clone(),
        fingerprint_sha256: certificate.fingerprint.to_string(),
        serial: certificate.facts.serial.clone(),
        owner_id: certificate.owner.to_string(),
        reason: certificate.reason.map(RevocationReason::as_str).unwrap_or_default().to_owned(),
        revoked_time: certificate.revoked_at.map(convert::time).unwrap_or_default(),
    }
}

/// A certificate in the audit trail, with the reason beside it.
fn recorded(certificate: &Certificate, now: Timestamp) -> Option<serde_json::Value> {
    let mut shown = shown(certificate, now);
    if let (Some(serde_json::Value::Object(members)), Some(reason)) = (&mut shown, certificate.reason) {
        members.insert("revocationReason".to_owned(), reason.as_str().into());
    }
    shown
}

/// Carries a plan out, records and publishes it, or with `dry_run` only says what it is.
async fn finish(app: &App, mut unit: Box<Unit<'_>>, plan: Plan, id: String, dry_run: bool) -> Result<Revoked, Refused> {
    let (now, blocked_key) = (unit.now, plan.blocks.map(|key| key.to_string()));
    let (before, reasons): (Vec<_>, Vec<_>) = plan.ends.iter().map(|one| (one.before.clone(), one.reason)).unzip();
    let left = plan.left.clone();
    let ended = if dry_run { before.clone() } else { plan.carry_out(&mut unit).await? };
    let count = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    let mut certificates = Vec::new();
    let actor = unit.actor.clone();
    for (one, reason) in ended.iter().zip(reasons).take(LISTED_MAX) {
        // By a proof of compromise one revokes what one may not see: it is counted, and not named.
        if visible(&mut unit.write, &actor, one.id.as_str()).await.is_ok() {
            let mut line = line(one);
            line.reason = reason.as_str().to_owned();
            certificates.push(line);
        }
    }
    let mut warnings = Vec::new();
    for (one, after) in left {
        if visible(&mut unit.write, &actor, one.as_str()).await.is_ok() {
            warnings.push(format!(
                "certificate {one} took the place of {after} and gets in; if it is to go too: countersign certificate revoke --id {one}"
            ));
        }
    }
    if dry_run {
        return Ok(Revoked { dry_run, count, certificates, blocked_key, warnings, request_status: None });
    }
    let done = match (before.as_slice(), ended.as_slice()) {
        ([old], [new]) => Done { kind: "certificate", id: &id, before: recorded(old, now), after: recorded(new, now) },
        // Of many the entry names each, in a line and not whole.
        (old, new) => Done {
            kind: "certificate",
            id: &id,
            before: value(&old.iter().map(line).collect::<Vec<_>>()),
            after: value(&serde_json::json!({
                "certificates": new.iter().map(line).collect::<Vec<_>>(), "blockedKey": &blocked_key,
            })),
        },
    };
    let operation = unit.commit(done).await?;
    note_crls(app, &ended);
    Ok(Revoked { dry_run, count, certificates, blocked_key, warnings, request_status: Some(convert::request_status(&operation)) })
}

/// Ends a certificate whose place another has taken, in a change whose right was decided.
pub(super) async fn supersede(mut unit: Box<Unit<'_>>, before: Certificate) -> Result<Operation, Refused> {
    let app = unit.app();
    let old = recorded(&before, unit.now);
    let plan = Plan::of(RevocationReason::Superseded, [before]);
    let ended = plan.carry_out(&mut unit).await?;
    let now = unit.now;
    let (id, after) = ended.first().map(|one| (one.id.to_string(), recorded(one, now))).unwrap_or_default();
    let operation = unit.commit(Done { kind: "certificate", id: &id, before: old, after }).await?;
    note_crls(app, &ended);
    Ok(operation)
}

/// Ends certificates by whose makers a right was abused, within a change whose rights were decided; those that end by it.
pub(super) async fn withdraw(unit: &mut Unit<'_>, all: Vec<Certificate>) -> Result<Vec<Certificate>, Refused> {
    Plan::of(RevocationReason::PrivilegeWithdrawn, all).carry_out(unit).await
}

/// Has the lists of every issuer concerned made anew.
fn note_crls(app: &App, ended: &[Certificate]) {
    let issuers: BTreeSet<&IssuerId> = ended.iter().filter_map(|one| one.issuer.as_ref()).collect();
    issuers.into_iter().for_each(|issuer| app.crl_changed(issuer));
}

/// Takes a certificate off its hold.
///
/// # Errors
/// `not_found`, `forbidden`, `nothing_to_change`, `certificate_revoked` for one that is revoked for ever.
pub async fn release(app: &App, caller: &Caller, text: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::RevokeCertificate, &(text, "release")).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let before = visible(&mut unit.write, &actor, text).await?;
    decide_ending(&mut unit, Action::RevokeCertificate, &before.owner).await?;
    check_owners_matter(&mut unit, &before.owner).await?;
    match before.status {
        CertificateStatus::Held if before.ended_by_admin && !is_admin(&unit.actor) => {
            return Err(Refused::forbidden("a hold that an admin set is taken off by admins"));
        }
        CertificateStatus::Held => {}
        CertificateStatus::Active => return Err(Refused::nothing_to_change(format!("certificate {} is not on hold", before.id))),
        CertificateStatus::Revoked => {
            return Err(Refused::new(
                "certificate_revoked",
                format!("certificate {} was revoked, and only a hold is taken back", before.id),
            )
            .hint("make a new key pair and a new certificate"));
        }
    }
    let mut after = before.clone();
    after.status = CertificateStatus::Active;
    after.revoked_at = None;
    after.reason = None;
    after.ended_by_admin = false;
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_certificate(&after).await?;
    foreign_crls::follow(&mut unit, &after).await?;
    unit.publish(Change::certificate(&after));
    let (old, new) = (recorded(&before, unit.now), recorded(&after, unit.now));
    let operation = unit.commit(Done { kind: "certificate", id: text, before: old, after: new }).await?;
    note_crls(app, &[after]);
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Which certificates are meant. What was pasted is read before anything else, and wiped.
#[derive(serde::Serialize)]
enum Meant {
    Serial { serial: String, issuer: Option<String> },
    Print(Fingerprint),
    Key { key: Fingerprint, proved: bool },
    Owner(String),
    Application { application: String, environment: Option<Environment> },
}

impl Meant {
    fn read(body: &mut RevokeCertificates) -> Result<Self, Refused> {
        // Whatever happens below, a private key is not left behind in memory.
        let key = body.key.take().filter(|text| !text.trim().is_empty()).map(|mut text| {
            let read = given_key::read(text.as_bytes());
            text.zeroize();
            read
        });
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (serial, print, certificate) = (given(&body.serial), given(&body.fingerprint_sha256), given(&body.certificate));
        let (owner, application) = (given(&body.owner_id), given(&body.application_id));
        let count = [serial.is_some(), print.is_some(), certificate.is_some(), key.is_some(), owner.is_some(), application.is_some()];
        if count.into_iter().filter(|one| *one).count() != 1 {
            return Err(Refused::invalid("give exactly one of serial, fingerprintSha256, certificate, key, ownerId and applicationId"));
        }
        if serial.is_none() && body.issuer.is_some() || application.is_none() && body.environment.is_some() {
            return Err(Refused::invalid("issuer belongs to serial, and environment to applicationId"));
        }
        let plain = |text: &str| text.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase();
        if let Some(key) = key {
            let key = key?;
            return Ok(Self::Key { key: key.fingerprint, proved: key.holds_private });
        }
        if let Some(text) = serial {
            return Ok(Self::Serial { serial: serial_number(&plain(&text))?, issuer: given(&body.issuer) });
        }
        if let Some(text) = print {
            let print = Fingerprint::try_from(plain(&text));
            return print.map(Self::Print).map_err(|_| Refused::invalid("fingerprintSha256 has 64 hexadecimal characters"));
        }
        if let Some(text) = certificate {
            return Ok(Self::Print(Fingerprint::of(&one_certificate(&text)?)));
        }
        if let Some(application) = application {
            let environment = match given(&body.environment) {
                None => None,
                Some(text) => Some(Environment::parse(&text).ok_or_else(|| Refused::invalid("environment is sandbox or production"))?),
            };
            return Ok(Self::Application { application, environment });
        }
        owner.map(Self::Owner).ok_or_else(|| Refused::invalid("ownerId is empty"))
    }
}

/// A serial number as facts spell it: lower-case, two digits a byte, no zero bytes in front.
pub(super) fn serial_number(plain: &str) -> Result<String, Refused> {
    let digits = plain.strip_prefix("0x").unwrap_or(plain);
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Refused::invalid("a serial number is hexadecimal and has at most 20 bytes"));
    }
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    let mut rest = even.as_str();
    while let Some(shorter) = rest.strip_prefix("00").filter(|shorter| !shorter.is_empty()) {
        rest = shorter;
    }
    Ok(rest.to_owned())
}

/// The one certificate of a paste. A private key beside it is refused: it is no proof of compromise here, but an accident.
pub(super) fn one_certificate(text: &str) -> Result<Vec<u8>, Refused> {
    let found = pem::read(text.as_bytes())?;
    if found.has_private_key() {
        return Err(Refused::new("private_key_in_upload", "the input holds a private key; nothing of it was stored")
            .hint("send the certificate alone; if that key is compromised, send it as `key`"));
    }
    let mut ders = found.blocks.into_iter().filter_map(|block| match block {
        pem::Block::Certificate(der) => Some(der),
        pem::Block::PrivateKey | pem::Block::Other(_) => None,
    });
    match (ders.next(), ders.next()) {
        (Some(der), None) => Ok(der),
        _ => Err(Refused::new("not_a_certificate", "the input is not exactly one certificate").hint("send the leaf alone, as PEM")),
    }
}

/// Revokes every certificate that is meant, in one change. Whoever brings the private key itself has proved its compromise and needs
/// no other right; everybody else needs that of each certificate.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, and x509's codes for what was pasted.
pub async fn revoke_where(app: &App, caller: &Caller, mut body: RevokeCertificates) -> Result<Revoked, Refused> {
    let meant = Meant::read(&mut body)?;
    let by_key = matches!(meant, Meant::Key { .. });
    let absent = if by_key { RevocationReason::KeyCompromise } else { RevocationReason::Unspecified };
    let reason = reason(body.reason.as_deref(), absent)?;
    let request = ("revoke_where", &meant, reason, body.dry_run);
    let mut unit = match Unit::begin(app, caller, Action::RevokeCertificate, &request).await? {
        Begun::Repeated(operation) => return repeated(app, &operation).await,
        Begun::New(unit) => unit,
    };
    let (plan, id) = match meant {
        Meant::Serial { serial, issuer } => {
            let found = by_serial(&mut unit, &serial, issuer.as_deref()).await?;
            single(&mut unit, found, reason, &|| unknown_serial(&serial)).await?
        }
        Meant::Print(print) => {
            let found = unit.write.certificate_by_fingerprint(&print).await?;
            single(&mut unit, found, reason, &|| Refused::not_found("certificate", &print.to_string())).await?
        }
        Meant::Key { key, proved } => (by_key_plan(&mut unit, key, proved, reason).await?, key.to_string()),
        Meant::Owner(text) => {
            let owner = IdentityId::parse(&text).ok_or_else(|| Refused::invalid("ownerId is no id of an owner of certificates"))?;
            (of_owners(&mut unit, &[owner], reason).await?, text)
        }
        Meant::Application { application, environment } => {
            let actor = unit.actor.clone();
            let found = applications::visible(&mut unit.write, &actor, &application).await?;
            let owners: Vec<_> = Environment::ALL
                .into_iter()
                .filter(|one| environment.is_none_or(|wanted| wanted == *one))
                .map(|one| applications::identity(&found, one))
                .collect();
            (of_owners(&mut unit, &owners, reason).await?, found.id.to_string())
        }
    };
    finish(app, unit, plan, id, body.dry_run).await
}

/// The plan for one certificate that was looked for by something else than its id. One that the caller may not see is absent in the
/// very words in which one is that nobody has (promise P13).
async fn single(
    unit: &mut Unit<'_>,
    found: Option<Certificate>,
    reason: RevocationReason,
    absent: &(dyn Fn() -> Refused + Sync),
) -> Result<(Plan, String), Refused> {
    let actor = unit.actor.clone();
    let id = found.ok_or_else(absent)?.id;
    let before = visible(&mut unit.write, &actor, id.as_str()).await.map_err(|refused| match refused.code {
        "not_found" => absent(),
        _ => refused,
    })?;
    decide_ending(unit, Action::RevokeCertificate, &before.owner).await?;
    let id = before.id.to_string();
    Ok((plan_for(unit, before, reason).await?, id))
}

fn unknown_serial(serial: &str) -> Refused {
    Refused::not_found("certificate of serial number", serial)
        .hint("serial numbers are looked up among what was issued here; name others by --fingerprint")
}

/// The certificate of a serial number that the caller may see. Those of others count as absent: that two issuers have used a number
/// tells that there are such certificates.
async fn by_serial(unit: &mut Unit<'_>, serial: &str, issuer: Option<&str>) -> Result<Option<Certificate>, Refused> {
    let mut issuers = unit.write.issuers().await?;
    if let Some(text) = issuer {
        issuers.retain(|one| one.name == text || one.id.as_str() == text);
        if issuers.is_empty() {
            return Err(Refused::not_found("issuer", text).hint("countersign issuer list"));
        }
    }
    let actor = unit.actor.clone();
    let mut found = Vec::new();
    for issuer in &issuers {
        if let Some(one) = unit.write.certificate_by_serial(&issuer.id, serial).await?
            && visible(&mut unit.write, &actor, one.id.as_str()).await.is_ok()
        {
            found.push(one);
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Refused::invalid("several issuers have used this serial number").hint("name the issuer too: --issuer NAME")),
    }
}

/// Everything that carries a key, and the key itself, also when nothing carries it yet.
async fn by_key_plan(unit: &mut Unit<'_>, key: Fingerprint, proved: bool, reason: RevocationReason) -> Result<Plan, Refused> {
    if reason != RevocationReason::KeyCompromise {
        return Err(Refused::invalid("who names a key says that it is compromised: the reason is keyCompromise"));
    }
    let carriers = unit.write.certificates_of_key(&key).await?;
    if !proved && unit.decide(Action::BlockKey, Target::Account).is_err() {
        // Without proof and without the right, one blocks what is one's own and proven, and nothing else. Whether anybody else
        // has this key is not told apart from its being unknown.
        let actor = unit.actor.clone();
        let mut own = None;
        for one in &carriers {
            if visible(&mut unit.write, &actor, one.id.as_str()).await.is_ok() {
                // A proven one first: of the others none gives the right.
                own = own.filter(|found: &Certificate| found.proven || !one.proven).or(Some(one.clone()));
            }
        }
        let own = own.ok_or_else(|| Refused::not_found("certificate of key", &key.to_string()))?;
        decide_ending(unit, Action::RevokeCertificate, &own.owner).await?;
        decide_block(unit, &own)?;
    }
    let plan = Plan::of_key(unit, key, None).await?;
    if plan.ends.is_empty() && unit.write.is_key_blocked(&key).await? {
        return Err(Refused::nothing_to_change(format!("the key {key} is blocked already")));
    }
    Ok(plan)
}

async fn of_owners(unit: &mut Unit<'_>, owners: &[IdentityId], reason: RevocationReason) -> Result<Plan, Refused> {
    if reason == RevocationReason::KeyCompromise {
        return Err(Refused::invalid("keyCompromise is about one key: revoke by certificate or by key").hint("--reason superseded"));
    }
    let mut ends = Vec::new();
    for owner in owners {
        decide_ending(unit, Action::RevokeCertificate, owner).await?;
        let all = unit.write.certificates_of(owner).await?;
        ends.extend(all);
    }
    let plan = Plan::of(reason, ends);
    if plan.ends.is_empty() {
        return Err(Refused::nothing_to_change("no certificate of this owner is left to revoke"));
    }
    Ok(plan)
}

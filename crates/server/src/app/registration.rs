//! Registering a certificate that another CA issued: for an application one of a CA that its environment trusts, for everybody else
//! any leaf, self-signed ones included (seed 003). Whoever proves to hold the key has it; who does not prove it blocks nobody (rule B3
//! of research/pki.md). What our own CAs sign is `issuance`'s business.

use super::api_keys::{decide_making, narrowing, owner_asked};
use super::caller::Caller;
use super::certificates::{alias, asked, created, sha256, shown};
use super::issuance::{check_name, check_not_blocked, in_the_way};
use super::unit::{Begun, Done, Unit};
use super::{App, certificate_limit, delegation, look_alike, registered_crl, renewal, revocation, trusted_cas, weak_keys};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::authz::Action;
use countersign_core::credential::certificate::{Certificate, CertificateStatus};
use countersign_core::credential::hex;
use countersign_core::id::CertificateId;
use countersign_core::identity::IdentityId;
use countersign_core::snapshot::Change;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{AskRegistration, CreateCertificate, CreatedCertificate, RegistrationChallenge, RevokeCertificates};
use countersign_store::Reader;
use countersign_x509::chain::{self, Anchors};
use countersign_x509::leaf::{self, RegisteredLeaf};
use countersign_x509::pem::{self, Block};
use countersign_x509::subject::Subject;
use countersign_x509::{X509Error, challenge, facts};
use zeroize::Zeroizing;

/// What a name is refused for in a certificate of another CA too: nobody could tell it from another one.
const UNREADABLE_NAMES: [&str; 3] = ["control_character_in_name", "invisible_character_in_name", "look_alike_name"];

/// What a challenge for a registration is bound to, besides the certificate: this account, this purpose and this owner. A signature
/// that was given for anything else proves nothing here.
fn bound_to(app: &App, owner: &IdentityId) -> String {
    format!("{}:registration-for:{owner}", app.account_id())
}

/// A text to be signed with a certificate's key, before it is registered for this owner. Nothing is kept of it.
///
/// # Errors
/// `not_found`, `invalid_argument`, x509's codes.
pub async fn ask(app: &App, caller: &Caller, body: AskRegistration) -> Result<RegistrationChallenge, Refused> {
    let input = Zeroizing::new(body.certificate);
    let (application, environment) = (body.application, body.environment);
    let wanted = CreateCertificate { service_account_id: body.service_account_id, application, environment, ..Default::default() };
    let owner = {
        // Decided as the registration will be; nothing is written, so it is no operation.
        let caller = &Caller { operation: None, ..caller.clone() };
        let Begun::New(mut unit) = Unit::begin(app, caller, Action::CreateCertificate, &"").await? else {
            return Err(Refused::unavailable("an operation without an id was found done"));
        };
        let actor = unit.actor.clone();
        let owner = owner_asked(&mut unit.write, &actor, asked(&wanted)).await?;
        decide_making(&mut unit, caller, Action::CreateCertificate, &owner).await?;
        owner
    };
    let leaf = leaf::parse_registered(input.as_bytes(), app.now(), false)?;
    let key = renewal::challenge_key(app).await?;
    let challenge = challenge::make(&bound_to(app, &owner), &leaf.fingerprint, app.now(), key, &*app.entropy);
    Ok(RegistrationChallenge { challenge, command: challenge::command(&leaf.der).to_owned() })
}

/// Registers a leaf. A private key beside it is dropped for admins and refused for everybody else (seed 003); for an application it is
/// always refused.
///
/// # Errors
/// `forbidden`, `not_found`, `already_exists`, `certificate_revoked`, `duplicate_certificate`, `duplicate_serial`, `key_in_use`,
/// `key_blocked`, `not_trusted`, and x509's codes.
pub(super) async fn register(app: &App, caller: &Caller, mut body: CreateCertificate) -> Result<CreatedCertificate, Refused> {
    let input = Zeroizing::new(body.certificate.take().unwrap_or_default());
    if body.burn
        && let Err(error) = leaf::parse_registered(input.as_bytes(), app.now(), false)
    {
        return Err(private_key(app, caller, &input, true, error).await);
    }
    if body.duration.is_some() {
        return Err(Refused::invalid("duration is for a request; a certificate that exists has its own end"));
    }
    let request = (
        hex(&sha256(input.as_bytes())),
        (&body.alias, &body.service_account_id, &body.application, &body.environment, &body.apis),
        (&body.challenge, &body.signature),
    );
    let mut unit = match Unit::begin(app, caller, Action::CreateCertificate, &request).await? {
        Begun::Repeated(operation) => {
            let absent = || Refused::not_found("certificate", &operation.resource_id);
            let id = CertificateId::parse(&operation.resource_id).map_err(|_| absent())?;
            let known = app.store.read().await?.certificate(&id).await?.ok_or_else(absent)?;
            return Ok(created(&known, &[], Vec::new(), &operation));
        }
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let owner = owner_asked(&mut unit.write, &actor, asked(&body)).await?;
    decide_making(&mut unit, caller, Action::CreateCertificate, &owner).await?;
    let environment = body.environment.as_deref().and_then(Environment::parse);
    let admin = actor.access.account_role.administers_every_namespace() && environment.is_none();
    let leaf = leaf::parse_registered(input.as_bytes(), unit.now, admin)?;
    let apis = narrowing(app, &unit.actor, caller, &body.apis)?;
    delegation::check_narrowing(caller, &owner, &apis)?;
    let bound = delegation::longest_life(&mut unit.write, caller).await?;
    delegation::check_registered(leaf.facts.not_after, unit.now, bound)?;
    let proven = proof(app, &body, &leaf, &owner, unit.now).await?;
    let key = leaf.facts.key.ok_or_else(|| Refused::invalid("the certificate has no key"))?;
    check_not_blocked(&mut unit.write, &key).await?;
    if let Some(public_key) = facts::public_key(&leaf.der) {
        weak_keys::check(app, &public_key)?;
    }
    let others = beside(input.as_bytes(), &leaf)?;
    if let Some(environment) = environment {
        check_trusted(&mut unit.write, environment, &leaf, &others, unit.now).await?;
    }
    let stale = registered_crl::check(app, &mut unit.write, &leaf, &others, unit.now).await?;
    let by_admin = revocation::is_admin(&actor);
    let before = match standing(&mut unit.write, &leaf, &owner, proven, by_admin).await? {
        Standing::Free => None,
        Standing::TakesOver(known) => {
            unit.write.forget_unproven_certificate(&known.id).await?;
            Some(*known)
        }
        Standing::Strengthened(known) => {
            let before = shown(&known, unit.now);
            let mut after = *known;
            after.proven |= proven;
            after.vouched |= by_admin;
            after.resource_version += 1;
            after.modified_at = unit.now;
            unit.write.put_certificate(&after).await?;
            unit.publish(Change::certificate(&after));
            let new = shown(&after, unit.now);
            let operation = unit.commit(Done { kind: "certificate", id: after.id.as_str(), before, after: new }).await?;
            return Ok(created(&after, &[], leaf.warnings, &operation));
        }
    };
    // The one that it takes the place of is gone already.
    certificate_limit::check(app, &mut unit.write, &owner, unit.now).await?;
    if environment.is_some() {
        check_alone(&mut unit.write, &leaf, &owner, unit.now).await?;
    }
    let namesake = match &leaf.facts.name {
        Some(name) if environment.is_none() => in_the_way(&mut unit.write, &owner, name, &[], unit.now).await?,
        _ => None,
    };
    let shared = check_key(&mut unit.write, &leaf, &owner, proven, environment.is_some()).await?;
    let certificate = Certificate {
        id: CertificateId::mint(&*app.entropy),
        fingerprint: leaf.fingerprint,
        alias: alias(body.alias.as_deref(), leaf.facts.common_names.first().map(String::as_str))?,
        der: leaf.der,
        facts: leaf.facts,
        owner,
        apis,
        status: CertificateStatus::Active,
        revoked_at: None,
        reason: None,
        issuer: None,
        proven,
        vouched: by_admin,
        ended_by_admin: false,
        replaces: None,
        replaced_by: None,
        retirement: None,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_certificate(&certificate).await?;
    unit.publish(Change::certificate(&certificate));
    let mut warnings = leaf.warnings;
    warnings.extend(stale);
    warnings.extend(shared);
    if let Some(other) = namesake {
        warnings.push(format!(
            "B4: certificate {} of this owner has the same Distinguished Name, {}; both get in, each by its own bytes",
            other.id, other.facts.subject
        ));
    }
    if leaf.private_key_dropped {
        warnings.push("a private key came with the certificate; it was dropped and is not stored".to_owned());
    }
    if before.is_some() {
        warnings.push("B3: a registration of this certificate by somebody who had not proved to hold its key was taken out".to_owned());
    }
    if !certificate.binds() {
        warnings.push(
            "B3: nobody proved to hold its key: where a namespace accepts its CA, that decides, and not this registration".to_owned(),
        );
    }
    let (before, after) = (before.and_then(|known| shown(&known, unit.now)), shown(&certificate, unit.now));
    let operation = unit.commit(Done { kind: "certificate", id: certificate.id.as_str(), before, after }).await?;
    Ok(created(&certificate, &[], warnings, &operation))
}

/// Whether possession of the key was proved by a signed challenge; a wrong proof is refused, no proof is none.
async fn proof(app: &App, body: &CreateCertificate, leaf: &RegisteredLeaf, owner: &IdentityId, now: Timestamp) -> Result<bool, Refused> {
    let (text, signature) = match (&body.challenge, &body.signature) {
        (None, None) => return Ok(false),
        (Some(text), Some(signature)) => (text, signature),
        _ => return Err(Refused::invalid("challenge and signature come together")),
    };
    let key = renewal::challenge_key(app).await?;
    challenge::verify(text, signature.as_bytes(), &leaf.der, &bound_to(app, owner), now, key)?;
    Ok(true)
}

/// How a leaf stands to what is registered.
enum Standing {
    /// Nobody has it.
    Free,
    /// Somebody else has it who never proved to hold its key; who registers it now has, or is an admin.
    TakesOver(Box<Certificate>),
    /// This owner has it, and has now proved to hold its key, or an admin speaks for it.
    Strengthened(Box<Certificate>),
}

/// See docs/decisions/0012. That somebody came in by it says nothing here: it proves that *he* has the key, not that the one who
/// registered the certificate has.
async fn standing(
    reader: &mut Reader,
    leaf: &RegisteredLeaf,
    owner: &IdentityId,
    proven: bool,
    by_admin: bool,
) -> Result<Standing, Refused> {
    let Some(known) = reader.certificate_by_fingerprint(&leaf.fingerprint).await? else { return Ok(Standing::Free) };
    let (own, revoked) = (known.owner == *owner, known.status == CertificateStatus::Revoked);
    if revoked && (own || known.proven || known.ended_by_admin) {
        return Err(Refused::new("certificate_revoked", "this certificate was revoked, and a revoked one never comes back (rule B8)")
            .hint("make a new key pair and register the certificate for it"));
    }
    // An admin's word stands against another admin's, until what it was given for is gone.
    let admin_decides = by_admin && !known.proven && (!known.vouched || revoked);
    if own && (proven && !known.proven || admin_decides) {
        return Ok(Standing::Strengthened(Box::new(known)));
    }
    if !own && known.ended_by_admin {
        return Err(Refused::new("certificate_revoked", "an admin put this certificate on hold, and only he takes it off (rule F1)")
            .hint("ask a Global Admin: countersign certificate release"));
    }
    if !own && !known.proven && (proven || admin_decides) {
        return Ok(Standing::TakesOver(Box::new(known)));
    }
    let hint = if own || known.proven {
        "countersign certificate list"
    } else {
        "whoever registered it has not proved to hold its key: prove that you do, with --key or a signed challenge, and it is yours; \
         an admin may take it over without"
    };
    Err(Refused::new("already_exists", "this certificate is registered already (rule B6)").hint(hint))
}

/// The certificates that came with the leaf.
fn beside(input: &[u8], leaf: &RegisteredLeaf) -> Result<Vec<Vec<u8>>, Refused> {
    let blocks = pem::read(input)?.blocks.into_iter();
    let others = blocks.filter_map(|block| match block {
        Block::Certificate(der) if der != leaf.der => Some(der),
        _ => None,
    });
    Ok(others.collect())
}

/// B1: a path leads to a CA that the environment trusts, now.
async fn check_trusted(
    reader: &mut Reader,
    environment: Environment,
    leaf: &RegisteredLeaf,
    others: &[Vec<u8>],
    now: Timestamp,
) -> Result<(), Refused> {
    let trusted = trusted_cas::of(reader, environment).await?;
    let hint = format!(
        "use a certificate of a CA that countersign application trusted-ca list --environment {environment} shows, or have one issued \
         here: countersign certificate create --csr FILE; an admin adds CAs with trusted-ca add"
    );
    if trusted.is_empty() {
        return Err(Refused::new(
            "not_trusted",
            format!("no CA is trusted in {environment}, so no certificate of another CA is registered"),
        )
        .hint(hint));
    }
    let intermediates: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
    let found = chain::verify(&Anchors::new(&trusted), &leaf.der, &intermediates, now).map_err(|error| match error {
        chain::ChainError::UnknownIssuer => Refused::new(
            "not_trusted",
            format!("the certificate's issuer, {}, is no CA that is trusted in {environment} (rule B1)", leaf.facts.issuer),
        )
        .hint(hint.clone()),
        other => Refused::new(other.code(), format!("{other} (rule B1)")),
    })?;
    if found.not_before > found.not_after {
        return Err(Refused::new(
            "not_trusted",
            format!(
                "the certificate begins on {}, when a CA above it has ended: it would never hold (rule B10)",
                convert::time(found.not_before)
            ),
        )
        .hint(hint));
    }
    if now.seconds() > found.not_after.seconds() {
        return Err(Refused::new(
            "not_trusted",
            format!("a CA above the certificate ended on {} (rule B1)", convert::time(found.not_after)),
        )
        .hint(hint));
    }
    Ok(())
}

/// The rules that hold among an application's certificates: names that are told apart (S14), by machines and by people, and no second
/// certificate of an issuer's serial number (B7).
async fn check_alone(reader: &mut Reader, leaf: &RegisteredLeaf, owner: &IdentityId, now: Timestamp) -> Result<(), Refused> {
    let subject = match Subject::parse(&leaf.facts.subject) {
        Ok(subject) => Some(subject),
        Err(error) if UNREADABLE_NAMES.contains(&error.code) => return Err(error.into()),
        Err(_) => None,
    };
    for other in reader.foreign_certificates_by_serial(&leaf.facts.serial).await? {
        if other.facts.issuer == leaf.facts.issuer && other.fingerprint != leaf.fingerprint {
            return Err(Refused::new(
                "duplicate_serial",
                format!("another certificate with the serial number {} of this issuer is registered (rule B7)", leaf.facts.serial),
            )
            .hint("have it issued again: no CA gives a serial number twice; if yours does, tell its operator"));
        }
    }
    if let Some(name) = &leaf.facts.name {
        check_name(reader, owner, name, subject.as_ref(), &[], now).await?;
        if let Some(look) = &leaf.facts.look {
            look_alike::check(reader, owner, &leaf.facts.subject, (name, look), &[], now).await?;
        }
    }
    Ok(())
}

/// C8: one key has one name. Among an application's certificates a second one is refused; whoever else registers is only told, since
/// there each certificate stands for itself (seed 003). A certificate whose key nobody proved to hold blocks no one but its own owner,
/// who can take it away, and not even him when he proves now that he holds the key: so it never keeps a good one out.
async fn check_key(
    reader: &mut Reader,
    leaf: &RegisteredLeaf,
    owner: &IdentityId,
    proven: bool,
    for_application: bool,
) -> Result<Option<String>, Refused> {
    let Some(key) = &leaf.facts.key else { return Ok(None) };
    let mut warning = None;
    for other in reader.certificates_of_key(key).await?.iter().filter(|other| other.fingerprint != leaf.fingerprint) {
        let (own, counts) = (other.owner == *owner, other.proven || (other.owner == *owner && !proven));
        let told = if own {
            let unproven = if other.proven { "" } else { "; nobody has proved to hold it" };
            format!("certificate {} ({}) has this key already: one key under two names (rule C8){unproven}", other.id, other.facts.subject)
        } else {
            "another owner's certificate has this key already, under the name it was made for (rule C8)".to_owned()
        };
        if for_application && counts {
            return Err(Refused::new("key_in_use", told).hint("make a new key pair, and have a certificate issued for it"));
        }
        if own {
            warning = Some(format!("C8: {told}; whoever has the key is both"));
        }
    }
    Ok(warning)
}

/// What becomes of an upload that x509 refused: the refusal, and with `burn`, where it holds a private key, that key's public half is
/// blocked for ever. Whoever has a private key has proved by that what a block needs (F3).
pub(super) async fn private_key(app: &App, caller: &Caller, input: &str, burn: bool, error: X509Error) -> Refused {
    let refused = Refused::from(error);
    if !burn || refused.code != "private_key_in_upload" {
        return refused;
    }
    match block(app, caller, input).await {
        Ok(()) => Refused {
            detail: "the input holds a private key; nothing of it was kept, and its public half is blocked for ever (rule A2)".to_owned(),
            hint: Some("make a new key pair; every certificate of the old one is revoked".to_owned()),
            ..refused
        },
        Err(failed) => Refused {
            hint: Some(format!(
                "it could not be blocked: {}; make a new key pair and revoke the certificates of the old one",
                failed.detail
            )),
            ..refused
        },
    }
}

/// Blocks it and revokes what carries it, in an operation of its own: the one that the caller named is the certificate's, and stays free.
async fn block(app: &App, caller: &Caller, input: &str) -> Result<(), Refused> {
    let caller = &Caller { operation: None, ..caller.clone() };
    // The private key itself, since that is the proof that whoever asks needs (F3); it is wiped there.
    let body = RevokeCertificates { key: Some(input.to_owned()), ..RevokeCertificates::default() };
    match revocation::revoke_where(app, caller, body).await {
        Ok(_) => Ok(()),
        Err(refused) if refused.code == "nothing_to_change" => Ok(()),
        Err(refused) => Err(refused),
    }
}

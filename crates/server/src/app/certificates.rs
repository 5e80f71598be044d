//! Registered certificates: one leaf, bound to an identity. A fingerprint is registered once for ever; revoked stays revoked.

use super::api_keys::{decide_making, narrowing, owner, owner_asked, owners_seen};
use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, check_text, page, usage};
use crate::error::Refused;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::certificate::{Certificate, CertificateStatus};
use countersign_core::id::CertificateId;
use countersign_core::identity::IdentityId;
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::snapshot::Change;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{CertificateBody, CertificateQuery, Page, RegisterCertificate, RegisteredCertificate, UsageBody};
use countersign_store::{CertificateSelection, Reader};
use countersign_x509::leaf;

pub(super) fn shown(certificate: &Certificate, now: Timestamp) -> Option<serde_json::Value> {
    value(&convert::certificate(certificate, UsageBody::default(), now))
}

/// Registers a leaf. A private key beside it is dropped for admins and refused for everybody else (seed 003).
///
/// # Errors
/// `forbidden`, `not_found`, `already_exists`, `certificate_revoked`, and x509's codes.
pub async fn create(app: &App, caller: &Caller, body: RegisterCertificate) -> Result<RegisteredCertificate, Refused> {
    let request = (countersign_core::credential::hex(&sha256(&body.certificate)), &body.alias, &body.service_account_id, &body.apis);
    let mut unit = match Unit::begin(app, caller, Action::CreateCertificate, &request).await? {
        Begun::Repeated(operation) => {
            let print = match CertificateId::parse(&operation.resource_id) {
                Ok(id) => app.store.read().await?.certificate(&id).await?.map(|c| c.fingerprint.to_string()).unwrap_or_default(),
                Err(_) => String::new(),
            };
            let request_status = convert::request_status(&operation);
            return Ok(RegisteredCertificate {
                id: operation.resource_id,
                fingerprint_sha256: print,
                warnings: Vec::new(),
                request_status,
            });
        }
        Begun::New(unit) => unit,
    };
    let who = owner_asked(caller, body.service_account_id.as_deref())?;
    decide_making(&mut unit, caller, Action::CreateCertificate, &who).await?;
    let admin = unit.actor.access.account_role.administers_every_namespace();
    let leaf = leaf::parse_registered(body.certificate.as_bytes(), unit.now, admin)?;
    if let Some(known) = unit.write.certificate_by_fingerprint(&leaf.fingerprint).await? {
        return Err(if known.status == CertificateStatus::Revoked {
            Refused::new("certificate_revoked", "this certificate was revoked, and a revoked one never comes back")
                .hint("make a new key pair and register the certificate for it")
        } else {
            Refused::new("already_exists", "this certificate is registered already").hint("countersign certificate list")
        });
    }
    let alias = match body.alias {
        Some(alias) if !alias.is_empty() => {
            check_text("alias", &alias, 1, DISPLAY_NAME_CHARS_MAX)?;
            alias
        }
        _ => leaf
            .facts
            .common_names
            .first()
            .map(|name| name.chars().filter(|c| !c.is_control()).take(DISPLAY_NAME_CHARS_MAX).collect())
            .unwrap_or_default(),
    };
    let apis = narrowing(app, &unit, caller, &body.apis)?;
    let certificate = Certificate {
        id: CertificateId::mint(&*app.entropy),
        fingerprint: leaf.fingerprint,
        der: leaf.der,
        facts: leaf.facts,
        owner: who,
        alias,
        apis,
        status: CertificateStatus::Active,
        revoked_at: None,
        reason: None,
        issuer: None,
        proven: false,
        replaces: None,
        replaced_by: None,
        retirement: None,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_certificate(&certificate).await?;
    unit.publish(Change::certificate(&certificate));
    let id = certificate.id.to_string();
    let mut warnings = leaf.warnings;
    if leaf.private_key_dropped {
        warnings.push("a private key came with the certificate; it was dropped and is not stored".to_owned());
    }
    let after = shown(&certificate, unit.now);
    let operation = unit.commit(Done { kind: "certificate", id: &id, before: None, after }).await?;
    let fingerprint_sha256 = certificate.fingerprint.to_string();
    Ok(RegisteredCertificate { id, fingerprint_sha256, warnings, request_status: convert::request_status(&operation) })
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).into()
}

/// A certificate the caller may know of.
pub(super) async fn visible(reader: &mut Reader, actor: &Actor, text: &str) -> Result<Certificate, Refused> {
    let absent = || Refused::not_found("certificate", text);
    let certificate = reader.certificate(&CertificateId::parse(text).map_err(|_| absent())?).await?.ok_or_else(absent)?;
    let scope = owner(reader, &certificate.owner).await?.and_then(|owner| owner.scope);
    authz::decide(actor, Action::GetCertificate, Target::CredentialOf(&certificate.owner, scope.as_ref())).map_err(|_| absent())?;
    Ok(certificate)
}

/// One certificate.
///
/// # Errors
/// `not_found`, also where it is another's.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<CertificateBody, Refused> {
    let mut read = app.store.read().await?;
    let certificate = visible(&mut read, actor, text).await?;
    let usage = usage::body(&mut read, certificate.id.as_str()).await?;
    Ok(convert::certificate(&certificate, usage, app.now()))
}

/// The certificates the caller may see, as with API keys.
///
/// # Errors
/// `invalid_argument`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, query: &CertificateQuery) -> Result<Page<CertificateBody>, Refused> {
    super::decide(actor, Action::GetCertificates, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let now = app.now();
    let status = match query.state.as_deref() {
        None | Some("") => None,
        Some("active") => Some(CertificateStatus::Active),
        Some("revoked") => Some(CertificateStatus::Revoked),
        Some(_) => return Err(Refused::invalid("state is active or revoked")),
    };
    let owner = match query.owner_id.as_deref() {
        None | Some("") => None,
        Some(text) => Some(IdentityId::parse(text).ok_or_else(|| Refused::invalid("owner_id is no id of a user or service account"))?),
    };
    let mut read = app.store.read().await?;
    let found = if actor.access.account_role.administers_every_namespace() {
        read.certificates(&CertificateSelection { owner, status }, &page::one_more(&asked)).await?
    } else {
        let mut found = Vec::new();
        for one in owners_seen(&mut read, actor).await? {
            if owner.as_ref().is_none_or(|o| *o == one) {
                found.extend(read.certificates_of(&one).await?);
            }
        }
        found.retain(|c| status.is_none_or(|s| c.status == s) && asked.after.as_deref().is_none_or(|after| c.id.as_str() > after));
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    };
    let mut page = page::cut(found, &asked, |c| c.id.to_string(), |c| convert::certificate(&c, UsageBody::default(), now));
    for item in &mut page.items {
        item.usage = usage::body(&mut read, &item.id).await?;
    }
    Ok(page)
}

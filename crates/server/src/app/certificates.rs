//! Certificates of identities: looking at them, and having one made, by our own CA (`issuance`) or by another (`registration`). A
//! fingerprint is registered once for ever; revoked stays revoked.

use super::api_keys::{For, narrowing, owner, owner_asked, owners_seen};
use super::applications::holder;
use super::caller::Caller;
use super::issuance::{self, Order};
use super::notices::Owners;
use super::unit::{current, value};
use super::{App, check_text, page, registration, usage, weak_keys};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::certificate::{Certificate, CertificateStatus};
use countersign_core::credential::hex;
use countersign_core::id::CertificateId;
use countersign_core::identity::IdentityId;
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::operation::Operation;
use countersign_core::printable::printable;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{CertificateBody, CertificateQuery, CreateCertificate, CreatedCertificate, Page, UsageBody};
use countersign_store::{CertificateSelection, Reader};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::subject::Attribute;
use zeroize::Zeroizing;

pub(super) fn shown(certificate: &Certificate, now: Timestamp) -> Option<serde_json::Value> {
    value(&convert::certificate(certificate, UsageBody::default(), now))
}

/// Has a certificate issued, or registers one that another CA issued.
///
/// # Errors
/// As [`super::issuance::issue`] and [`super::registration::register`].
pub async fn create(app: &App, caller: &Caller, body: CreateCertificate) -> Result<CreatedCertificate, Refused> {
    match (&body.csr, &body.certificate) {
        (Some(_), None) => request(app, caller, body).await,
        (None, Some(_)) => registration::register(app, caller, body).await,
        _ => Err(Refused::invalid("give exactly one of csr and certificate")
            .hint("csr is a PKCS#10 request to have a certificate issued for; certificate is one that another CA has issued")),
    }
}

/// Has one issued for a request.
async fn request(app: &App, caller: &Caller, mut body: CreateCertificate) -> Result<CreatedCertificate, Refused> {
    let input = Zeroizing::new(body.csr.take().unwrap_or_default());
    let csr = match CheckedCsr::parse(input.as_bytes()) {
        Ok(csr) => csr,
        Err(error) => return Err(registration::private_key(app, caller, &input, body.burn, error).await),
    };
    weak_keys::check(app, &csr.public_key)?;
    if body.challenge.is_some() || body.signature.is_some() {
        return Err(Refused::invalid("a request proves possession by itself; challenge and signature belong to a certificate"));
    }
    let lifetime = body.duration.as_deref().map(Lifetime::parse).transpose().map_err(Refused::invalid)?;
    let alias = alias(body.alias.as_deref(), csr.subject.values(Attribute::CommonName).last())?;
    // Rights to see the application and to name the APIs; the right to the certificate itself is decided where it is issued.
    let (owner, apis) = {
        let mut reader = app.store.read().await?;
        let actor = current(&mut reader, caller, app.now()).await?;
        let owner = owner_asked(&mut reader, &actor, asked(&body)).await?;
        (owner, narrowing(app, &actor, caller, &body.apis)?)
    };
    let environment = body.environment.as_deref().and_then(Environment::parse);
    let asked = (hex(&sha256(&csr.der)), &body.alias, owner.as_str(), &body.duration, &body.apis);
    let order = Order { owner: owner.clone(), environment, alias, csr, lifetime, apis, replaces: None, key_reuse_allowed: false };
    let issued = issuance::issue(app, caller, Action::CreateCertificate, &asked, order).await?;
    Ok(created(&issued.certificate, &issued.chain, issued.warnings, &issued.operation))
}

/// The answer.
pub(super) fn created(certificate: &Certificate, chain: &[Vec<u8>], warnings: Vec<String>, operation: &Operation) -> CreatedCertificate {
    CreatedCertificate {
        id: certificate.id.to_string(),
        alias: certificate.alias.clone(),
        subject: printable(&certificate.facts.subject).into_owned(),
        serial: certificate.facts.serial.clone(),
        fingerprint_sha256: certificate.fingerprint.to_string(),
        not_before: convert::time(certificate.facts.not_before),
        not_after: convert::time(certificate.facts.not_after),
        proven: certificate.proven,
        certificate: convert::certificate_pem(&certificate.der),
        chain: chain.iter().map(|der| convert::certificate_pem(der)).collect(),
        warnings,
        request_status: convert::request_status(operation),
    }
}

/// For whom it is asked.
pub(super) fn asked(body: &CreateCertificate) -> For<'_> {
    For {
        service_account: body.service_account_id.as_deref(),
        application: body.application.as_deref(),
        environment: body.environment.as_deref(),
    }
}

/// The alias that was asked for, else the common name, as far as it fits.
pub(super) fn alias(asked: Option<&str>, common_name: Option<&str>) -> Result<String, Refused> {
    match asked {
        Some(alias) if !alias.is_empty() => {
            check_text("alias", alias, 1, DISPLAY_NAME_CHARS_MAX)?;
            Ok(alias.to_owned())
        }
        _ => Ok(common_name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(DISPLAY_NAME_CHARS_MAX).collect()),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// A certificate the caller may know of.
pub(super) async fn visible(reader: &mut Reader, actor: &Actor, text: &str) -> Result<Certificate, Refused> {
    let absent = || Refused::not_found("certificate", text);
    let certificate = reader.certificate(&CertificateId::parse(text).map_err(|_| absent())?).await?.ok_or_else(absent)?;
    let scope = owner(reader, &certificate.owner).await?.and_then(|owner| owner.scope);
    let holder = holder(reader, &actor.identity, &certificate.owner).await?;
    authz::decide(actor, Action::GetCertificate, Target::CredentialOf(&holder, scope.as_ref())).map_err(|_| absent())?;
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
    let owner_name = Owners::default().of(&mut read, &certificate.owner).await?.0;
    Ok(CertificateBody { owner_name, ..convert::certificate(&certificate, usage, app.now()) })
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
        Some(text) => Some(
            IdentityId::parse(text)
                .ok_or_else(|| Refused::invalid("owner_id is no id of a user, a service account or an application's environment"))?,
        ),
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
    let mut owners = Owners::default();
    for item in &mut page.items {
        item.usage = usage::body(&mut read, &item.id).await?;
        if let Some(owner) = IdentityId::parse(&item.owner_id) {
            item.owner_name = owners.of(&mut read, &owner).await?.0;
        }
    }
    Ok(page)
}

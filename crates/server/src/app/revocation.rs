//! Ending certificates before their time. How they are made is `certificates`' and `issuance`'s business, and what a CRL looks like
//! that of `publication`.

use super::App;
use super::api_keys::decide_ending;
use super::caller::Caller;
use super::certificates::{shown, visible};
use super::unit::{Begun, Done, Unit};
use crate::error::Refused;
use countersign_core::authz::Action;
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, RevokeCertificate};

/// RFC 5280 section 5.3.1, less those that do not end a certificate.
const REASONS: [&str; 7] =
    ["unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn"];

/// Revokes one, for ever. Live connections that came in by it end.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`.
pub async fn revoke(app: &App, caller: &Caller, text: &str, body: RevokeCertificate) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::RevokeCertificate, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let before = visible(&mut unit.write, &actor, text).await?;
    decide_ending(&mut unit, Action::RevokeCertificate, &before.owner).await?;
    let reason = body.reason.as_deref().unwrap_or("unspecified");
    if !REASONS.contains(&reason) {
        return Err(Refused::invalid(format!("reason is one of {}", REASONS.join(", "))));
    }
    if before.status == CertificateStatus::Revoked {
        return Err(Refused::nothing_to_change(format!("certificate {} is revoked already", before.id)));
    }
    let mut after = before.clone();
    after.status = CertificateStatus::Revoked;
    after.revoked_at = Some(unit.now);
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_certificate(&after).await?;
    unit.publish(Change::certificate(&after));
    let mut new = shown(&after, unit.now);
    if let Some(serde_json::Value::Object(members)) = &mut new {
        members.insert("revocationReason".to_owned(), reason.into());
    }
    let old = shown(&before, unit.now);
    let operation = unit.commit(Done { kind: "certificate", id: text, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

//! What was made with an API key: keys and certificates, and what was made with those. The audit trail says it, since nothing is made
//! past it, and so it is known of keys that are gone too. It only looks; what ends for it is decided by `api_keys`.

use super::api_keys::decide_ending;
use super::applications::holder;
use super::unit::Unit;
use crate::error::Refused;
use countersign_core::authz::{Action, Target};
use countersign_core::credential::api_key::ApiKey;
use countersign_core::credential::certificate::{Certificate, CertificateStatus};
use countersign_core::id::{ApiKeyId, CertificateId};
use countersign_core::identity::IdentityId;
use countersign_store::{AuditFilter, AuditPage};
use std::collections::BTreeSet;

/// What there still is of it.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Keys that are not deleted; the nearest first.
    pub keys: Vec<ApiKey>,
    /// Certificates that are neither revoked nor ended.
    pub certificates: Vec<Certificate>,
}

impl Made {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty()
    }

    /// What to say of it where it stays.
    pub fn left(&self, of: &str) -> Option<String> {
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let parts = [counted(self.keys.len(), "API key", "API keys"), counted(self.certificates.len(), "certificate", "certificates")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| {
            let parts = parts.join(" and ");
            format!("{parts} made with it stay; if it leaked, end them too: countersign apikey delete --id {of} --descendants")
        })
    }
}

/// Everything that was made with the key `first`, or with something that was.
///
/// # Errors
/// When the store fails.
pub(super) async fn of(unit: &mut Unit<'_>, first: &str) -> Result<Made, Refused> {
    let mut made = Made::default();
    let mut seen = BTreeSet::from([first.to_owned()]);
    let mut ahead = vec![first.to_owned()];
    let mut at = 0;
    while let Some(credential) = ahead.get(at).cloned() {
        at += 1;
        for (_, id) in unit.write.made_by(&credential).await? {
            if !seen.insert(id.clone()) {
                continue;
            }
            if let Ok(id) = ApiKeyId::parse(&id) {
                made.keys.extend(unit.write.api_key(&id).await?);
            } else if let Ok(id) = CertificateId::parse(&id) {
                let found = unit.write.certificate(&id).await?;
                made.certificates.extend(
                    found.filter(|one| one.status != CertificateStatus::Revoked && unit.now.seconds() <= one.facts.not_after.seconds()),
                );
            }
            ahead.push(id);
        }
    }
    Ok(made)
}

/// Decides an action on what a key made that is deleted already: as on the key itself, by whose it was. Who could not have seen it
/// learns nothing.
///
/// # Errors
/// `not_found`, `forbidden`.
pub(super) async fn decide_deleted(unit: &mut Unit<'_>, text: &str) -> Result<(), Refused> {
    let absent = || Refused::not_found("API key", text);
    ApiKeyId::parse(text).map_err(|_| absent())?;
    let filter = AuditFilter {
        action: Some(Action::CreateApiKey.as_str().to_owned()),
        object_id: Some(text.to_owned()),
        result: Some("ok".to_owned()),
        ..AuditFilter::default()
    };
    let entries = unit.write.audit(&filter, &AuditPage { size: 1, after: None, descending: false }).await?;
    let shown = entries.first().and_then(|made| serde_json::from_str::<serde_json::Value>(&made.entry.after).ok());
    let owner = shown.as_ref().and_then(|shown| shown.get("ownerId")?.as_str()).and_then(IdentityId::parse).ok_or_else(absent)?;
    let actor = unit.actor.clone();
    let holder = holder(&mut unit.write, &actor.identity, &owner).await?;
    let scope = super::api_keys::owner(&mut unit.write, &owner).await?.and_then(|owner| owner.scope);
    unit.decide(Action::GetApiKey, Target::CredentialOf(&holder, scope.as_ref())).map_err(|_| absent())?;
    decide_ending(unit, Action::DeleteApiKey, &owner).await
}

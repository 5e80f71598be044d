//! What came after a certificate, and by whose authority: the key of the one before alone, or somebody who was logged in. It only
//! looks; what ends for it is decided by `revocation` and `api_keys`.

use crate::error::Refused;
use countersign_core::authz::Action;
use countersign_core::credential::certificate::Certificate;
use countersign_core::id::CertificateId;
use countersign_store::{AuditFilter, AuditPage, Reader};
use std::collections::BTreeSet;

/// One that came after.
#[derive(Debug)]
pub(super) struct Successor {
    /// It.
    pub certificate: Certificate,
    /// The one whose place it took.
    pub after: CertificateId,
    /// Whether nothing but keys of those before authorised it, from the first one on: whoever had the first key may have made it.
    pub by_key_alone: bool,
}

/// Every certificate that took the place of one of `first`, or of one of those, whatever became of them; the nearest first.
///
/// # Errors
/// When the store fails.
pub(super) async fn of(reader: &mut Reader, first: &[Certificate]) -> Result<Vec<Successor>, Refused> {
    let mut seen: BTreeSet<CertificateId> = first.iter().map(|one| one.id.clone()).collect();
    let mut found: Vec<Successor> = Vec::new();
    let mut ahead: Vec<(CertificateId, bool)> = seen.iter().map(|id| (id.clone(), true)).collect();
    let mut at = 0;
    while let Some((after, by_key_so_far)) = ahead.get(at).cloned() {
        at += 1;
        for certificate in reader.certificates_replacing(&after).await? {
            if !seen.insert(certificate.id.clone()) {
                continue;
            }
            let by_key_alone = by_key_so_far && renewed_itself(reader, &certificate.id, &after).await?;
            ahead.push((certificate.id.clone(), by_key_alone));
            found.push(Successor { certificate, after: after.clone(), by_key_alone });
        }
    }
    Ok(found)
}

/// Whether a successor was made by the open renewal: the trail says by which credential, and nothing takes that out of it. What the
/// trail does not know counts as made by the key.
async fn renewed_itself(reader: &mut Reader, made: &CertificateId, before: &CertificateId) -> Result<bool, Refused> {
    let filter = AuditFilter {
        action: Some(Action::RotateCertificate.as_str().to_owned()),
        object_id: Some(made.to_string()),
        result: Some("ok".to_owned()),
        ..AuditFilter::default()
    };
    // The first of them is how it was made; later ones are about how it goes.
    let entries = reader.audit(&filter, &AuditPage { size: 1, after: None, descending: false }).await?;
    Ok(entries.first().is_none_or(|made| made.entry.credential == before.as_str()))
}

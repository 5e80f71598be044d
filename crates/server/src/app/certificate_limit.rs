//! How many active certificates one owner may have. Decided inside the transaction that adds one, by counting in an index, so that many
//! requests at once cannot outrun it.

use super::App;
use crate::error::Refused;
use countersign_core::identity::IdentityId;
use countersign_core::limits::CERTIFICATES_PER_OWNER_MAX;
use countersign_core::time::Timestamp;
use countersign_store::Reader;

impl App {
    /// Sets how many active certificates one owner may have; 0 for no limit. Only the first call counts.
    pub fn use_certificate_limit(&self, most: usize) {
        // Settings are read once.
        let _ = self.certificate_limit.set(most);
    }
}

/// Refuses one more certificate of an owner who has as many active ones as he may. What was revoked or has ended does not count.
///
/// # Errors
/// `limit_reached`; when the store fails.
pub(super) async fn check(app: &App, reader: &mut Reader, owner: &IdentityId, now: Timestamp) -> Result<(), Refused> {
    let most = app.certificate_limit.get().copied().unwrap_or(CERTIFICATES_PER_OWNER_MAX);
    if most == 0 {
        return Ok(());
    }
    let count = reader.count_active_certificates(owner, now).await?;
    if count < most {
        return Ok(());
    }
    Err(Refused::new("limit_reached", format!("{owner} has {count} active certificates; {most} is the most an owner may have")).hint(
        "revoke those that are not used (countersign certificate list shows when each was); an operator sets limits.certificates_per_owner",
    ))
}

//! The first start: a root, and an issuing CA under it for each environment. What is there already is left as it is, so that a start after
//! a crash makes what is missing and nothing twice.

use super::change::{self, KeySource, Making};
use super::{App, Refused};
use countersign_core::application::Environment;
use countersign_core::issuer::{IssuerKind, IssuerState};
use countersign_x509::private_key::KeyKind;

impl App {
    /// Makes the issuers that a first start lacks: `root-1`, `sandbox-1` and `production-1`, ECDSA on P-256, keys sealed by the master key.
    ///
    /// # Errors
    /// When there is no master key, or the store fails.
    pub async fn ensure_issuers(&self) -> Result<(), Refused> {
        let known = self.store.read().await?.issuers().await?;
        if self.store.unreadable_rows().iter().any(|row| row.kind == "issuer") {
            // One that cannot be read is there all the same: nothing is made in its place.
            return Ok(());
        }
        if !known.iter().any(|one| one.kind == IssuerKind::Root) && known.is_empty() {
            change::make(self, None, Making::root("root-1", KeySource::New(KeyKind::P256))).await?;
        }
        let known = self.store.read().await?.issuers().await?;
        // Whoever brought his own CAs, and made none here, wants none made.
        let Some(root) = known.iter().find(|one| one.name == "root-1" && one.state == IssuerState::Active) else { return Ok(()) };
        for environment in Environment::ALL {
            let there = known.iter().any(|one| one.kind == IssuerKind::Issuing && one.environment.is_none_or(|own| own == environment));
            if !there {
                let making =
                    Making::issuing(&format!("{environment}-1"), Some(environment), KeySource::New(KeyKind::P256), root.id.clone());
                change::make(self, None, Making { state: IssuerState::Active, ..making }).await?;
            }
        }
        Ok(())
    }
}

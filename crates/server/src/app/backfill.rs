//! What older versions did not keep of certificates and newer ones need: digests of key and name, serial and end. Filled in at the
//! start, before anybody is served, because a key that is blocked and a name that is taken are found by them.

use super::App;
use countersign_core::credential::certificate::{Certificate, CertificateFacts};
use countersign_store::StoreError;
use countersign_x509::facts;

impl App {
    /// Fills in what is missing, a thousand certificates a transaction, so that an interrupted start goes on where it was. Gives how
    /// many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn fill_certificates(&self) -> Result<u64, StoreError> {
        let mut filled = 0;
        loop {
            // A start that has nothing to write needs no free byte.
            if self.store.read().await?.certificates_without_digests().await?.is_empty() {
                return Ok(filled);
            }
            let mut write = self.store.begin().await?;
            let found = write.certificates_without_digests().await?;
            for certificate in &found {
                write.fill_certificate(&certificate.id, &known(certificate)).await?;
                filled += 1;
            }
            // Nothing that a gateway decides on changes, so no revision.
            write.commit_without_revision().await?;
        }
    }
}

/// What the certificate itself says. One that this version cannot read any more keeps what was known of it, and is not asked again.
fn known(certificate: &Certificate) -> CertificateFacts {
    facts::of(&certificate.der).unwrap_or_else(|error| {
        tracing::warn!(certificate = %certificate.id, %error, "a kept certificate cannot be read; what was known of it stays");
        certificate.facts.clone()
    })
}

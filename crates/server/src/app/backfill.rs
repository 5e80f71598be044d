//! What older versions did not keep of certificates and newer ones need: digests of key and name, serial and end, and the keys of the
//! CAs whose leaves are revoked. Filled in at the start, before anybody is served, because what is blocked is found by them.

use super::{App, foreign_crls};
use countersign_core::credential::certificate::{Certificate, CertificateFacts};
use countersign_core::snapshot::Snapshot;
use countersign_store::{Store, StoreError};
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

/// Takes over leaves that an older version blocked by the accepted CA at the end of their path. Of those whose CA is not accepted any
/// more the key is not known: they stay blocked by their issuer's name, whatever CA of that name is accepted later. Gives how many blocks
/// were taken over; then the snapshot has to be read again.
///
/// # Errors
/// When the store fails.
pub(super) async fn take_over_blocks(store: &Store, snapshot: &Snapshot) -> Result<u64, StoreError> {
    let mut read = store.read().await?;
    let (blocks, crls) = (read.old_blocks(None).await?, read.old_crls().await?);
    drop(read);
    let known: Vec<_> = blocks
        .iter()
        .map(|old| (old, snapshot.namespaces().flat_map(|namespace| foreign_crls::successors(old, namespace)).collect::<Vec<_>>()))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    // A start that has nothing to write needs no room on the disk.
    if known.is_empty() && crls.is_empty() {
        return Ok(0);
    }
    let mut write = store.begin().await?;
    for (old, rows) in &known {
        for row in rows {
            write.revoke_leaf(row, &old.reason, old.created_at).await?;
        }
        write.drop_old_block(old).await?;
    }
    let taken = u64::try_from(known.len()).unwrap_or(u64::MAX);
    for (anchor, issuer, crl) in &crls {
        let cas = snapshot.namespaces().flat_map(|namespace| &namespace.accepted_client_cas);
        let Some(ca) = cas.into_iter().find(|ca| ca.fingerprint == *anchor && ca.subject == *issuer) else { continue };
        let Some(id) = foreign_crls::ca_id(&ca.der) else { continue };
        let known = write.foreign_crls_of(&id).await?;
        if known.iter().all(|known| known.this_update < crl.this_update) {
            write.put_foreign_crl(&id, issuer, crl).await?;
        }
    }
    write.drop_old_crls().await?;
    write.commit().await?;
    Ok(taken)
}

/// What the certificate itself says. One that this version cannot read any more keeps what was known of it, and is not asked again.
fn known(certificate: &Certificate) -> CertificateFacts {
    facts::of(&certificate.der).unwrap_or_else(|error| {
        tracing::warn!(certificate = %certificate.id, %error, "a kept certificate cannot be read; what was known of it stays");
        certificate.facts.clone()
    })
}

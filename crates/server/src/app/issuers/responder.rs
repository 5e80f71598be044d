//! Who answers OCSP for an issuer: a key made in memory, with a short-lived certificate of the issuer's that says so (rule F8 of
//! research/pki.md section 6). The issuer's own key, which may be slow or far away, is used once in days, not once a question.

use super::change::intend;
use super::{App, Refused, Signing};
use countersign_core::id::{CertificateId, IssuerId};
use countersign_core::time::{Lifetime, Timestamp};
use countersign_store::IntendedRow;
use countersign_x509::issuer as x509;
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::subject::{Attribute, Subject};
use std::collections::HashMap;
use std::sync::Arc;

/// Nobody can revoke such a certificate, so it lives for days.
const LIFETIME: Lifetime = Lifetime::from_days(7);

/// A responder. Its key is nowhere else and ends with the process.
pub(in crate::app) struct Answering {
    /// Its certificate, signed by the issuer.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: LocalKey,
    made_at: Timestamp,
    renew_at: Timestamp,
    not_after: Timestamp,
}

/// The responders that were made.
pub(super) type Responders = tokio::sync::Mutex<HashMap<IssuerId, Arc<Answering>>>;

/// The responder of an issuer, renewed when half of its life is over. While no new one can be made, the old one goes on to its end.
///
/// # Errors
/// When there is none and none can be made.
pub(in crate::app) async fn responder(app: &App, signing: &Signing) -> Result<Arc<Answering>, Refused> {
    let mut known = app.vault.responders.lock().await;
    let now = app.now();
    // One that was made while the clock was ahead is not valid yet, or would outlive its time.
    let old = known.get(&signing.issuer.id).filter(|one| one.made_at <= now && now < one.not_after).cloned();
    if let Some(one) = old.as_ref().filter(|one| now < one.renew_at) {
        return Ok(Arc::clone(one));
    }
    match (make(app, signing, now).await, old) {
        (Ok(made), _) => {
            let made = Arc::new(made);
            known.insert(signing.issuer.id.clone(), Arc::clone(&made));
            Ok(made)
        }
        (Err(error), Some(old)) => {
            tracing::warn!(issuer = %signing.issuer.name, %error, "its OCSP responder could not be renewed; the old one goes on");
            Ok(old)
        }
        (Err(error), None) => Err(error),
    }
}

async fn make(app: &App, signing: &Signing, now: Timestamp) -> Result<Answering, Refused> {
    let key = LocalKey::generate(KeyKind::P256)?;
    app.installation_keys().add(key.public_key(), "an OCSP responder");
    let common = format!("{} OCSP", signing.issuer.name);
    let subject = Subject::new(vec![(Attribute::Organization, "Countersign".to_owned()), (Attribute::CommonName, common)])?;
    let ordered = x509::responder(&subject, key.public_key(), &signing.certificate, now, LIFETIME, &*app.entropy)?;
    let intended = IntendedRow {
        issuer: signing.issuer.id.clone(),
        serial: ordered.serial.clone(),
        certificate: CertificateId::mint(&*app.entropy),
        to_be_signed: ordered.bytes.clone(),
        created_at: now,
    };
    intend(app, None, &intended, &subject, &ordered.digest, "ocspResponder").await?;
    let certificate = x509::sign(&ordered, &signing.certificate, &*signing.signer)?;
    let mut write = app.store.begin().await?;
    if !write.settle_issuance(&intended.issuer, &intended.serial, true).await? {
        return Err(Refused::unavailable("the signing took so long that it was given up"));
    }
    write.commit_without_revision().await?;
    let half = now.plus(Lifetime::from_seconds(LIFETIME.seconds() / 2));
    Ok(Answering { certificate, key, made_at: now, renew_at: half.min(ordered.not_after), not_after: ordered.not_after })
}

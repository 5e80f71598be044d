//! The notice that a foreign CA's revocation list is stale: the one thing here that nobody's clock but the CA's decides. One notice for
//! each list that was not followed by its successor; what a stale list does is `foreign_crls`' and `admit`'s business.

use super::Ending;
use crate::app::{App, foreign_crls::ca_id};
use crate::error::Refused;
use countersign_core::name::NamespaceId;
use countersign_core::namespace::AcceptedCa;
use countersign_core::notice::Due;
use countersign_core::time::Timestamp;
use countersign_proto::rest::NoticeBody;
use countersign_store::Reader;

/// Its kind among notices.
pub(crate) const REVOCATION_LIST: &str = "revocation_list";

/// The id of a list among credentials: its next one, that did not come, tells it from those before and after.
fn list_id(namespace: &NamespaceId, ca: &AcceptedCa, promised: Timestamp) -> String {
    format!("{}/crl/{}", super::ca_id(namespace, ca), promised.seconds())
}

/// Since when it is due: since the moment for which the next list was promised.
pub(super) fn due(ending: &Ending) -> Due {
    Due { days: 0, at: ending.ends }
}

/// Every list of an accepted CA that is stale at `now`, once for each namespace whose admins can mend it.
///
/// # Errors
/// When the store fails.
pub(super) async fn lists(app: &App, reader: &mut Reader, now: Timestamp) -> Result<Vec<Ending>, Refused> {
    let stale = reader.stale_crls(now).await?;
    if stale.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for namespace in app.snapshot().namespaces() {
        for ca in &namespace.accepted_client_cas {
            let Some(id) = ca_id(&ca.der) else { continue };
            let of_ca = stale.iter().filter(|(list, _)| *list == id).min_by_key(|(_, promised)| *promised);
            // A second is not over before the next one begins, as everywhere else.
            let Some((_, promised)) = of_ca.filter(|(_, promised)| now.seconds() > promised.seconds()) else { continue };
            found.push(Ending {
                credential: list_id(&namespace.id, ca, *promised),
                kind: REVOCATION_LIST,
                name: countersign_core::printable::printable(&ca.subject).into_owned(),
                owner: None,
                owner_name: String::new(),
                namespace: Some(namespace.id.clone()),
                begins: *promised,
                ends: *promised,
                advice: if ca.refuse_after.is_some() {
                    "Nobody of this CA is let in until a newer list is set:"
                } else {
                    "Whoever the CA has revoked since then is still let in. Set its newest list:"
                },
                command: format!(
                    "countersign namespace accepted-client-ca crl set --namespace {} --ca-certificate-fingerprint {} --crl-file NEW.crl",
                    namespace.id, ca.fingerprint
                ),
            });
        }
    }
    Ok(found)
}

/// Whether the list that a notice is about is still the one that is applied, and stale.
pub(super) async fn still_is(app: &App, reader: &mut Reader, body: &NoticeBody, now: Timestamp) -> Result<bool, Refused> {
    Ok(lists(app, reader, now).await?.iter().any(|list| list.credential == body.credential))
}

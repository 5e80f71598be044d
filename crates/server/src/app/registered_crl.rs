//! What the revocation list of a foreign certificate's own CA says of it, at the moment it is registered (rule B9 of research/pki.md).
//! Lists themselves are `foreign_crls`' business, and what they mean at a gateway `admit`'s.

use super::App;
use crate::error::Refused;
use countersign_core::namespace::AcceptedCa;
use countersign_core::snapshot::ForeignLeaf;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_store::Reader;
use countersign_x509::chain::{self, Anchors};
use countersign_x509::facts;
use countersign_x509::leaf::RegisteredLeaf;
use std::collections::HashMap;

/// Refuses a leaf that its CA's list, or an admin, keeps out. Where the list is stale, what that means is what was decided for the CA:
/// a warning, or a refusal. A CA whose list nobody set says nothing.
///
/// # Errors
/// `certificate_revoked`, `crl_stale`; when the store fails.
pub(super) async fn check(
    app: &App,
    reader: &mut Reader,
    leaf: &RegisteredLeaf,
    others: &[Vec<u8>],
    now: Timestamp,
) -> Result<Vec<String>, Refused> {
    let mut issuers: Vec<String> = others.iter().filter_map(|der| facts::of(der).ok()).map(|facts| facts.issuer).collect();
    issuers.push(leaf.facts.issuer.clone());
    // Each CA once, with the strictest rule that any namespace has for its list.
    let mut anchors: HashMap<_, (AcceptedCa, bool)> = HashMap::new();
    let snapshot = app.snapshot();
    for ca in snapshot.namespaces().flat_map(|namespace| &namespace.accepted_client_cas).filter(|ca| issuers.contains(&ca.subject)) {
        let (_, strict) = anchors.entry(ca.fingerprint).or_insert_with(|| (ca.clone(), false));
        *strict |= ca.refuse_after.is_some();
    }
    let mut warnings = Vec::new();
    let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
    for (anchor, (ca, strict)) in anchors {
        let one = ForeignLeaf { anchor, issuer: leaf.facts.issuer.clone(), serial: leaf.facts.serial.clone() };
        let is_blocked = snapshot.is_leaf_blocked(&one);
        let stale = reader.foreign_crl(&anchor, &leaf.facts.issuer).await?.filter(|list| now.seconds() > list.next_update.seconds());
        // E5: of this one no list tells anything, fresh or not.
        let stale = stale.filter(|_| !leaf.facts.no_list);
        if !is_blocked && stale.is_none() {
            continue;
        }
        // A CA of the same name that did not sign it has no say.
        if chain::verify(&Anchors::new(std::slice::from_ref(&ca)), &leaf.der, &others, now).is_err() {
            continue;
        }
        if is_blocked {
            return Err(Refused::new("certificate_revoked", format!("its CA, {}, or an admin has revoked it (rule B9)", ca.subject))
                .hint("have a new certificate issued for a new key pair"));
        }
        let Some(list) = stale else { continue };
        let what = format!("the revocation list of {} is stale since {}", ca.subject, convert::time(list.next_update));
        if strict {
            return Err(Refused::new("crl_stale", format!("{what}, and a stale one lets nobody in (rule B9)"))
                .hint("countersign namespace accepted-client-ca crl set with the CA's newest list"));
        }
        warnings.push(format!("B9: {what}: whether it was revoked since then is not known"));
    }
    Ok(warnings)
}

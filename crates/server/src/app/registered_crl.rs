//! What the revocation list of a foreign certificate's own CA says of it, at the moment it is registered (rule B9 of research/pki.md).
//! Lists themselves are `foreign_crls`' business, and what they mean at a gateway `admit`'s.

use super::App;
use crate::error::Refused;
use countersign_core::namespace::AcceptedCa;
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
    let snapshot = app.snapshot();
    let revoked = |by: &str| {
        Refused::new("certificate_revoked", format!("{by} has revoked it (rule B9)"))
            .hint("have a new certificate issued for a new key pair")
    };
    // What is known of the leaf by itself needs no CA.
    if snapshot.keeps_out_everywhere(&leaf.facts, None) {
        return Err(revoked(&format!("its CA, {}, or an admin", leaf.facts.issuer)));
    }
    let mut issuers: Vec<String> = others.iter().filter_map(|der| facts::of(der).ok()).map(|facts| facts.issuer).collect();
    issuers.push(leaf.facts.issuer.clone());
    // Each CA once, with the strictest rule that any namespace has for its list.
    let mut anchors: HashMap<_, (AcceptedCa, bool)> = HashMap::new();
    for ca in snapshot.namespaces().flat_map(|namespace| &namespace.accepted_client_cas).filter(|ca| issuers.contains(&ca.subject)) {
        let (_, strict) = anchors.entry(ca.fingerprint).or_insert_with(|| (ca.clone(), false));
        *strict |= ca.refuse_after.is_some();
    }
    let mut warnings = Vec::new();
    let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
    for (ca, strict) in anchors.into_values() {
        // A CA of the same name that did not sign it has no say.
        let Ok(path) = chain::verify(&Anchors::new(std::slice::from_ref(&ca)), &leaf.der, &others, now) else { continue };
        if snapshot.keeps_out_everywhere(&leaf.facts, Some(&path.issuer_key)) {
            return Err(revoked(&format!("its CA, {}, or an admin", ca.subject)));
        }
        let lists = reader.foreign_crls(&path.issuer_key).await?.into_iter().filter(|(_, issuer, _)| *issuer == leaf.facts.issuer);
        let newest = lists.map(|(.., list)| list).next();
        // E5: of this one no list tells anything, fresh or not.
        let Some(list) = newest.filter(|list| now.seconds() > list.next_update.seconds() && !leaf.facts.no_list) else { continue };
        let what = format!("the revocation list of {} is stale since {}", ca.subject, convert::time(list.next_update));
        if strict {
            return Err(Refused::new("crl_stale", format!("{what}, and a stale one lets nobody in (rule B9)"))
                .hint("countersign namespace accepted-client-ca crl set with the CA's newest list"));
        }
        let warning = format!("B9: {what}: whether it was revoked since then is not known");
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Ok(warnings)
}

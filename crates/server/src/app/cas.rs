//! The accepted client CAs of a namespace: add, set, remove. Rules of a bundle are x509's; those of the whole set are here.

use super::caller::Caller;
use super::{App, namespaces};
use crate::error::{Refused, shown};
use countersign_core::authz::{Action, Actor};
use countersign_core::credential::{certificate::Fingerprint, unhex};
use countersign_core::limits::{ACCEPTED_CLIENT_CAS_MAX, CA_BUNDLE_BYTES_MAX};
use countersign_core::namespace::{AcceptedCa, AuthMethod, Namespace};
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{AcceptedCas, CaBundle, Changed};
use countersign_store::Reader;
use countersign_x509::{bundle, facts, pem};
use std::collections::BTreeSet;

/// The accepted CAs.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, namespace: &str) -> Result<AcceptedCas, Refused> {
    let namespace = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    Ok(AcceptedCas { accepted_client_cas: namespace.accepted_client_cas.iter().map(convert::accepted_ca).collect() })
}

/// A bundle from its text.
pub(super) fn parse(text: &str, now: Timestamp, has_filters: bool) -> Result<Vec<AcceptedCa>, Refused> {
    Ok(bundle::parse(text.as_bytes(), now, has_filters)?)
}

/// Adds CAs. One that is there already is refused, as `tcld` does.
///
/// # Errors
/// `not_found`, `forbidden`, `nothing_to_change`, `limit_reached`, `resource_version_conflict`, and x509's codes.
pub async fn add(app: &App, caller: &Caller, namespace: &str, body: CaBundle) -> Result<Changed, Refused> {
    let request = ("cas/add", namespace, &body);
    namespaces::change(app, caller, namespace, &request, body.resource_version.as_deref(), |ns, now| {
        let added = beside(&ns.accepted_client_cas, &body.certificates, now, !ns.certificate_filters.is_empty())?;
        if let Some(known) = added.iter().find(|ca| ns.accepted_client_cas.iter().any(|old| old.fingerprint == ca.fingerprint)) {
            return Err(Refused::nothing_to_change(format!("the CA {} is accepted already", known.fingerprint_sha1))
                .hint("countersign namespace accepted-client-ca list; leave out the CAs that are there"));
        }
        ns.accepted_client_cas.extend(added);
        check_set(&ns.accepted_client_cas)
    })
    .await
}

/// Sets the whole list. The same set of certificates, in whatever white space or order, is nothing to change.
///
/// # Errors
/// As [`add`].
pub async fn set(app: &App, caller: &Caller, namespace: &str, body: CaBundle) -> Result<Changed, Refused> {
    let request = ("cas/set", namespace, &body);
    namespaces::change(app, caller, namespace, &request, body.resource_version.as_deref(), |ns, now| {
        let new = if body.certificates.trim().is_empty() {
            check_not_all(ns.auth_method)?;
            Vec::new()
        } else {
            parse(&body.certificates, now, !ns.certificate_filters.is_empty())?
        };
        let prints = |cas: &[AcceptedCa]| cas.iter().map(|ca| ca.fingerprint).collect::<BTreeSet<_>>();
        if prints(&new) == prints(&ns.accepted_client_cas) {
            return Err(Refused::nothing_to_change("these are the accepted CAs already"));
        }
        check_set(&new)?;
        ns.accepted_client_cas = keep_rules(new, &ns.accepted_client_cas);
        Ok(())
    })
    .await
}

/// Removes one, by SHA-1 (as `tcld` prints it) or SHA-256. Live connections that came in by it end.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn remove(app: &App, caller: &Caller, namespace: &str, fingerprint: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let request = ("cas/remove", namespace, fingerprint);
    namespaces::change(app, caller, namespace, &request, version, |ns, _| {
        let plain = fingerprint.replace(':', "").to_ascii_lowercase();
        let sha256 = unhex::<32>(fingerprint).map(Fingerprint::from_bytes);
        let is_it = |ca: &AcceptedCa| ca.fingerprint_sha1 == plain || Some(ca.fingerprint) == sha256;
        if !ns.accepted_client_cas.iter().any(is_it) {
            return Err(Refused::new("not_found", format!("no accepted CA has the fingerprint {}", shown(fingerprint)))
                .hint("countersign namespace accepted-client-ca list"));
        }
        ns.accepted_client_cas.retain(|ca| !is_it(ca));
        Ok(())
    })
    .await
}

/// `tcld … remove --all`: refused while certificates are a way in.
pub(super) fn check_not_all(method: AuthMethod) -> Result<(), Refused> {
    if !matches!(method, AuthMethod::Mtls | AuthMethod::ApiKeyOrMtls) {
        return Ok(());
    }
    Err(Refused::invalid(format!("the auth method {method} takes client certificates: its CAs are not removed all at once"))
        .hint("set the auth method to api_key or restricted first"))
}

/// Makes `bundle` the whole list of a namespace; an empty text takes all away. The same set in another form or order changes nothing.
///
/// # Errors
/// `limit_reached`, and x509's codes.
pub(super) fn replace(namespace: &mut Namespace, bundle: &str, now: Timestamp) -> Result<(), Refused> {
    let new = if bundle.trim().is_empty() { Vec::new() } else { parse(bundle, now, !namespace.certificate_filters.is_empty())? };
    let prints = |cas: &[AcceptedCa]| cas.iter().map(|ca| ca.fingerprint).collect::<BTreeSet<_>>();
    if prints(&new) == prints(&namespace.accepted_client_cas) {
        return Ok(());
    }
    check_set(&new)?;
    namespace.accepted_client_cas = keep_rules(new, &namespace.accepted_client_cas);
    Ok(())
}

/// What was decided of a CA's revocation list stays decided when the CA is named again.
fn keep_rules(mut new: Vec<AcceptedCa>, old: &[AcceptedCa]) -> Vec<AcceptedCa> {
    for ca in &mut new {
        ca.refuse_after = old.iter().find(|known| known.fingerprint == ca.fingerprint).and_then(|known| known.refuse_after);
    }
    new
}

/// CAs to be put beside those that are there: each must be a root, or issued by another of the whole set.
fn beside(old: &[AcceptedCa], text: &str, now: Timestamp, has_filters: bool) -> Result<Vec<AcceptedCa>, Refused> {
    let alone = bundle::parse(text.as_bytes(), now, has_filters);
    // An old CA that has ended would have the whole refused; it vouches for nobody and is left out of the comparison.
    let valid: Vec<AcceptedCa> = old.iter().filter(|ca| ca.not_after > now).cloned().collect();
    if valid.is_empty() {
        return Ok(alone?);
    }
    let blocks = match pem::read(text.as_bytes()) {
        Ok(found) if !found.has_private_key() => found.blocks,
        _ => return Ok(alone?),
    };
    let mut whole = bundle::to_pem(&valid);
    let mut ders = Vec::new();
    for block in blocks {
        let pem::Block::Certificate(der) = block else { return Ok(alone?) };
        if valid.iter().any(|ca| ca.der == der) {
            // The caller compares; alone it may be refused for want of its issuer, which stands there.
            ders.push(der);
            continue;
        }
        whole.push('\n');
        whole.push_str(&pem::certificate(&der));
        ders.push(der);
    }
    match bundle::parse(whole.as_bytes(), now, has_filters) {
        Ok(all) => Ok(all.into_iter().filter(|ca| ders.contains(&ca.der)).collect()),
        // The first error speaks of the caller's own blocks; the second of the whole set, which only rules of the set break.
        Err(error) => Err(alone.err().unwrap_or(error).into()),
    }
}

/// A16: what our own issuers sign is let in by itself, as its owner and with his rights. An issuer on this list would let all of it in,
/// whoever owns it, and with every right of the data plane.
///
/// # Errors
/// `own_issuer`; when the store fails.
pub(super) async fn check_not_own(app: &App, reader: &mut Reader, before: &[AcceptedCa], after: &[AcceptedCa]) -> Result<(), Refused> {
    let new: Vec<&AcceptedCa> = after.iter().filter(|ca| !before.iter().any(|old| old.fingerprint == ca.fingerprint)).collect();
    if new.is_empty() {
        return Ok(());
    }
    for ca in &new {
        if let Some(what) = facts::public_key(&ca.der).and_then(|key| app.installation_keys().what(&key)) {
            return Err(Refused::new("own_issuer", format!("{} has the key of {what} of this installation (rule A16)", ca.subject))
                .hint("it vouches for servers, never for clients; add the CA that issues your clients' certificates"));
        }
    }
    for issuer in reader.issuers().await? {
        let Some(key) = facts::public_key(&issuer.der) else { continue };
        // By the key: a cross-certificate of it would vouch for the same certificates.
        if let Some(ca) = new.iter().find(|ca| facts::public_key(&ca.der).is_some_and(|other| other == key)) {
            return Err(Refused::new(
                "own_issuer",
                format!("{} is the issuer {} of this installation (rule A16)", ca.subject, issuer.name),
            )
            .hint(
                "nothing needs to be added for what it signs: every certificate that was issued here gets in as its owner; give that \
                     owner a permission in the namespace",
            ));
        }
    }
    Ok(())
}

fn check_set(cas: &[AcceptedCa]) -> Result<(), Refused> {
    if cas.len() > ACCEPTED_CLIENT_CAS_MAX {
        return Err(Refused::new(
            "limit_reached",
            format!("{} accepted CAs; a namespace has at most {ACCEPTED_CLIENT_CAS_MAX}", cas.len()),
        )
        .hint("remove CAs that are no longer needed first"));
    }
    let bytes = bundle::to_pem(cas).len();
    if bytes > CA_BUNDLE_BYTES_MAX {
        return Err(Refused::new(
            "limit_reached",
            format!("the accepted CAs have {bytes} bytes as PEM; at most {CA_BUNDLE_BYTES_MAX} are allowed"),
        )
        .hint("remove CAs that are no longer needed first"));
    }
    Ok(())
}

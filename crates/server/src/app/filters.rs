//! The certificate filters of a namespace: read, set, add, clear. Their rules are core's.

use super::caller::Caller;
use super::{App, namespaces};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor};
use countersign_core::filter::{self, CertificateFilter};
use countersign_core::namespace::Namespace;
use countersign_proto::convert;
use countersign_proto::rest::{Changed, FilterBody, Filters};

/// The filters.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, namespace: &str) -> Result<Filters, Refused> {
    let namespace = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    Ok(Filters { filters: namespace.certificate_filters.iter().map(convert::filter).collect() })
}

/// A set of filters from the wire, every rule checked.
pub(super) fn checked(bodies: &[FilterBody]) -> Result<Vec<CertificateFilter>, Refused> {
    let filters: Vec<_> = bodies.iter().map(convert::parse_filter).collect();
    filter::check(&filters).map_err(Refused::invalid)?;
    Ok(filters)
}

/// A public root vouches for everybody: it is only accepted beside filters (A11).
pub(super) fn check_public_roots(namespace: &Namespace) -> Result<(), Refused> {
    match namespace.accepted_client_cas.iter().find(|ca| ca.well_known) {
        Some(ca) if namespace.certificate_filters.is_empty() => Err(Refused::invalid(format!(
            "the accepted CA {} is a public root, which is only accepted together with certificate filters",
            ca.fingerprint_sha1
        ))
        .hint("remove that CA first")),
        _ => Ok(()),
    }
}

/// Sets the whole list.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`.
pub async fn set(app: &App, caller: &Caller, namespace: &str, body: Filters) -> Result<Changed, Refused> {
    namespaces::change(app, caller, namespace, &("filters/set", namespace, &body), None, |ns, _| {
        ns.certificate_filters = checked(&body.filters)?;
        check_public_roots(ns)
    })
    .await
}

/// Adds to the list.
///
/// # Errors
/// As [`set`].
pub async fn add(app: &App, caller: &Caller, namespace: &str, body: Filters) -> Result<Changed, Refused> {
    namespaces::change(app, caller, namespace, &("filters/add", namespace, &body), None, |ns, _| {
        let added = checked(&body.filters)?;
        if added.iter().all(|f| ns.certificate_filters.contains(f)) {
            return Err(Refused::nothing_to_change("these certificate filters are there already"));
        }
        ns.certificate_filters.extend(added);
        filter::check(&ns.certificate_filters).map_err(Refused::invalid)
    })
    .await
}

/// Takes all away: every client of an accepted CA is let in then.
///
/// # Errors
/// As [`set`]; refused while a public root is accepted.
pub async fn clear(app: &App, caller: &Caller, namespace: &str) -> Result<Changed, Refused> {
    namespaces::change(app, caller, namespace, &("filters/clear", namespace), None, |ns, _| {
        ns.certificate_filters.clear();
        check_public_roots(ns)
    })
    .await
}

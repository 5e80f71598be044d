//! What a change does to access: it grants, it takes away, or its content decides. The effect of an operation is a property of its row in
//! the tables; what a change with an effect `ByChange` did is found by comparing the state before and after it. On a full disk only what
//! takes access away is written. No right is decided here.

use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::namespace::{Api, Authentication, Namespace};
use countersign_core::snapshot::{Change, GroupEntry, KeyEntry};
use countersign_core::{Access, Snapshot};

/// What an operation does to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is written.
    Reads,
    /// It creates, widens or restores access, or changes something beside it.
    Grants,
    /// It only ever takes access away.
    TakesAway,
    /// It may do either; decided by what it changes.
    ByChange,
}

/// What one change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Wider,
    Same,
    Narrower,
}

impl Step {
    /// Both together: what widens anything is wider.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wider, _) | (_, Self::Wider) => Self::Wider,
            (Self::Narrower, _) | (_, Self::Narrower) => Self::Narrower,
            _ => Self::Same,
        }
    }

    /// From whether the new state is within the old one, and whether it equals it.
    const fn of(within: bool, same: bool) -> Self {
        match (within, same) {
            (_, true) => Self::Same,
            (true, false) => Self::Narrower,
            (false, false) => Self::Wider,
        }
    }
}

/// Whether these changes take access away and grant none.
pub fn takes_away(before: &Snapshot, changes: &[Change]) -> bool {
    changes.iter().map(|change| step(before, change)).reduce(Step::and) == Some(Step::Narrower)
}

/// What these changes take away, each in a few words.
pub fn taken(before: &Snapshot, changes: &[Change]) -> Vec<String> {
    changes.iter().filter(|change| step(before, change) == Step::Narrower).map(label).collect()
}

fn step(before: &Snapshot, change: &Change) -> Step {
    match change {
        Change::RemoveNamespace(_)
        | Change::RemoveIdentity(_)
        | Change::RemoveGroup(_)
        | Change::RemoveCustomRole(_)
        | Change::RemoveKey(_)
        | Change::BlockKey(_)
        | Change::BlockLeaf(_)
        | Change::RetireIssuer(_) => Step::Narrower,
        Change::UnblockLeaf(_) => Step::Wider,
        Change::PutIdentity(id, access) => before.own_access(id).map_or(Step::Wider, |old| of_access(old, access)),
        Change::PutGroup(id, group) => before.group(id).map_or(Step::Wider, |old| of_group(old, group)),
        Change::PutCustomRole(role) => before.custom_role(&role.id).map_or(Step::Wider, |old| {
            let within = role.permissions.iter().all(|new| old.permissions.contains(new));
            Step::of(within, role.permissions == old.permissions)
        }),
        Change::PutKey(id, key) => before.key(id).map_or(Step::Wider, |old| of_key(old, key)),
        Change::PutCertificate(fingerprint, new) => before.certificate(fingerprint).map_or(Step::Wider, |old| {
            let status = match (old.status, new.status) {
                (old, new) if old == new => Step::Same,
                (CertificateStatus::Active, _) | (_, CertificateStatus::Revoked) => Step::Narrower,
                _ => Step::Wider,
            };
            let rest = old.owner == new.owner && old.issuer == new.issuer && old.binds == new.binds;
            status.and(of_apis(&old.apis, &new.apis)).and(Step::of(rest, rest))
        }),
        Change::PutNamespace(new) => before.namespace(&new.id).map_or(Step::Wider, |old| of_namespace(old, new)),
    }
}

fn of_access(old: &Access, new: &Access) -> Step {
    Step::of(old.contains(new), old == new)
}

fn of_group(old: &GroupEntry, new: &GroupEntry) -> Step {
    of_access(&old.access, &new.access).and(Step::of(new.members.is_subset(&old.members), new.members == old.members))
}

/// APIs that a credential is narrowed to; none is no narrowing.
fn of_apis<T: PartialEq>(old: &[T], new: &[T]) -> Step {
    let within = old.is_empty() || (!new.is_empty() && new.iter().all(|api| old.contains(api)));
    Step::of(within, old == new)
}

fn of_key(old: &KeyEntry, new: &KeyEntry) -> Step {
    let same = old.digest == new.digest && old.owner == new.owner;
    Step::of(same, same)
        .and(Step::of(new.disabled >= old.disabled, new.disabled == old.disabled))
        .and(Step::of(new.expires_at <= old.expires_at, new.expires_at == old.expires_at))
        .and(of_apis(&old.apis, &new.apis))
}

fn of_namespace(old: &Namespace, new: &Namespace) -> Step {
    let method = of_authentication(old.auth_method.authentication(), new.auth_method.authentication());
    let within = new.accepted_client_cas.iter().all(|ca| old.accepted_client_cas.contains(ca));
    let cas = Step::of(within, old.accepted_client_cas == new.accepted_client_cas);
    // No filter lets everyone in whom a CA vouches for.
    let (before, after) = (&old.certificate_filters, &new.certificate_filters);
    let within = before.is_empty() || (!after.is_empty() && after.iter().all(|filter| before.contains(filter)));
    let filters = Step::of(within, before == after);
    let hosts = Step::of(
        new.extra_hostnames.iter().all(|host| old.extra_hostnames.contains(host)),
        old.hostname == new.hostname && old.extra_hostnames == new.extra_hostnames,
    );
    let upstream = Step::of(new.upstream.is_none(), old.upstream == new.upstream);
    let apis = if old.apis.len() == new.apis.len() {
        old.apis.iter().zip(&new.apis).map(|(old, new)| of_api(old, new)).reduce(Step::and).unwrap_or(Step::Same)
    } else {
        // What an API covered goes to the namespace's own rules when it is gone: that may be more.
        Step::Wider
    };
    let age = Step::of(new.snapshot_age_max <= old.snapshot_age_max, new.snapshot_age_max == old.snapshot_age_max);
    let beside = old.delete_protection == new.delete_protection && old.temporal == new.temporal;
    [method, cas, filters, hosts, upstream, apis, age, Step::of(beside, beside)].into_iter().fold(Step::Same, Step::and)
}

fn of_authentication(old: Authentication, new: Authentication) -> Step {
    Step::of((!new.client_certificate || old.client_certificate) && (!new.api_key || old.api_key), old == new)
}

fn of_api(old: &Api, new: &Api) -> Step {
    let rest =
        Api { authentication: old.authentication, resource_version: old.resource_version, modified_at: old.modified_at, ..new.clone() };
    if rest == *old { of_authentication(old.authentication, new.authentication) } else { Step::Wider }
}

/// What is said of a change when the database lost it.
fn label(change: &Change) -> String {
    match change {
        Change::PutNamespace(namespace) => format!("namespace {} (narrowed)", namespace.id),
        Change::RemoveNamespace(id) => format!("namespace {id}"),
        Change::PutIdentity(id, _) => format!("{} {id} (rights)", id.kind()),
        Change::RemoveIdentity(id) => format!("{} {id}", id.kind()),
        Change::PutGroup(id, _) => format!("user group {id} (rights or members)"),
        Change::RemoveGroup(id) => format!("user group {id}"),
        Change::PutCustomRole(role) => format!("custom role {} (rights)", role.id),
        Change::RemoveCustomRole(id) => format!("custom role {id}"),
        Change::PutKey(id, _) | Change::RemoveKey(id) => format!("API key {id}"),
        Change::PutCertificate(_, entry) => format!("certificate {}", entry.id),
        Change::BlockKey(key) => format!("public key {key}"),
        Change::BlockLeaf(block) | Change::UnblockLeaf(block) => format!("revoked leaf {:?}", block.leaf),
        Change::RetireIssuer(id) => format!("issuer {id}"),
    }
}

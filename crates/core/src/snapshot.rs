//! The state that admission is decided on: immutable, numbered, replaced as a whole.

use crate::access::Access;
use crate::credential::api_key::{ApiKey, KeyDigest};
use crate::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint};
use crate::custom_role::CustomRole;
use crate::id::{ApiId, ApiKeyId, CertificateId, CustomRoleId, IssuerId, UserGroupId, UserId};
use crate::identity::IdentityId;
use crate::name::{Hostname, NamespaceId};
use crate::namespace::Namespace;
use crate::shard_map::ShardMap;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the gateway needs of an API key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The digest.
    pub digest: KeyDigest,
    /// Whose rights it carries.
    pub owner: IdentityId,
    /// Whether it is disabled.
    pub disabled: bool,
    /// From when on it is expired.
    pub expires_at: Timestamp,
    /// The APIs it is narrowed to; empty means no narrowing.
    pub apis: Vec<ApiId>,
}

/// What the gateway needs of a registered certificate.
#[derive(Clone, Debug)]
pub struct CertificateEntry {
    /// The id.
    pub id: CertificateId,
    /// Whose rights it carries.
    pub owner: IdentityId,
    /// Whether it lets anybody in.
    pub status: CertificateStatus,
    /// Who issued it, if that was one of ours. Shared: there are few issuers.
    pub issuer: Option<Arc<IssuerId>>,
    /// The APIs it is narrowed to; empty means no narrowing.
    pub apis: Vec<ApiId>,
    /// Whether it decides before an accepted CA does; see [`Certificate::binds`].
    pub binds: bool,
}

/// By what a leaf of an accepted CA is told from all others. None of it depends on the path that the leaf was presented with: a
/// renewed or cross-signed certificate of its CA changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeafSelector {
    /// The SHA-256 of what its CA signed (TBSCertificate). Unlike the fingerprint it stays the same when somebody rewrites an ECDSA
    /// signature into its other valid form.
    Content(Fingerprint),
    /// Who signed it, and its number: what a CRL says of a leaf.
    Serial {
        /// SHA-256 of the signing CA's SubjectPublicKeyInfo.
        issuer_key: Fingerprint,
        /// The serial number, lower-case hexadecimal, as in its facts.
        serial: String,
    },
    /// The public key that it carries, as SHA-256 of its SubjectPublicKeyInfo.
    Key(Fingerprint),
    /// The name of its issuer and its number: a block of a version that did not keep the key of the CA, which is not known any more.
    Named {
        /// The issuer in RFC 4514 form, as in its facts.
        issuer: String,
        /// The serial number, as in its facts.
        serial: String,
    },
}

/// A leaf of an accepted CA that is kept out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockedLeaf {
    /// Where; `None` in every namespace.
    pub namespace: Option<NamespaceId>,
    /// Which.
    pub leaf: LeafSelector,
}

/// What a group gives, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// The rights every member has beside his own.
    pub access: Access,
    /// The members.
    pub members: BTreeSet<UserId>,
}

/// One thing that changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A namespace is made or changed.
    PutNamespace(Arc<Namespace>),
    /// A namespace is gone.
    RemoveNamespace(NamespaceId),
    /// An identity is made or its rights changed.
    PutIdentity(IdentityId, Access),
    /// An identity is gone, and with it every credential of its.
    RemoveIdentity(IdentityId),
    /// A group is made, or its rights or members changed.
    PutGroup(UserGroupId, GroupEntry),
    /// A group is gone; its members keep what is their own.
    RemoveGroup(UserGroupId),
    /// A custom role is made or changed.
    PutCustomRole(Arc<CustomRole>),
    /// A custom role is gone, and with it what it gave.
    RemoveCustomRole(CustomRoleId),
    /// A key is made or changed.
    PutKey(ApiKeyId, KeyEntry),
    /// A key is gone.
    RemoveKey(ApiKeyId),
    /// A certificate is registered or revoked.
    PutCertificate(Fingerprint, CertificateEntry),
    /// A key is blocked: no certificate that carries it lets anybody in (research/pki.md F4).
    BlockKey(Fingerprint),
    /// A leaf of an accepted CA is revoked here, although its CA is not ours.
    BlockLeaf(BlockedLeaf),
    /// Nothing that this issuer signed lets anybody in any more (research/pki.md G1).
    RetireIssuer(IssuerId),
    /// It is let in again: its CA took it off its CRL, or an admin off ours.
    UnblockLeaf(BlockedLeaf),
}

impl Change {
    /// From a key.
    pub fn key(key: &ApiKey) -> Self {
        Self::PutKey(
            key.id.clone(),
            KeyEntry {
                digest: key.digest,
                owner: key.owner.clone(),
                disabled: key.disabled,
                expires_at: key.expires_at,
                apis: key.apis.clone(),
            },
        )
    }

    /// From a certificate.
    pub fn certificate(certificate: &Certificate) -> Self {
        Self::PutCertificate(
            certificate.fingerprint,
            CertificateEntry {
                id: certificate.id.clone(),
                owner: certificate.owner.clone(),
                status: certificate.status,
                issuer: certificate.issuer.clone().map(Arc::new),
                apis: certificate.apis.clone(),
                binds: certificate.binds(),
            },
        )
    }
}

/// See the module. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: i64,
    hosts: ShardMap<Hostname, NamespaceId>,
    namespaces: ShardMap<NamespaceId, Arc<Namespace>>,
    /// The rights that decide: an identity's own joined with its groups'.
    identities: ShardMap<IdentityId, Arc<Access>>,
    /// The rights that are an identity's own.
    own: ShardMap<IdentityId, Arc<Access>>,
    groups: ShardMap<UserGroupId, Arc<GroupEntry>>,
    custom_roles: ShardMap<CustomRoleId, Arc<CustomRole>>,
    keys: ShardMap<ApiKeyId, Arc<KeyEntry>>,
    certificates: ShardMap<Fingerprint, Arc<CertificateEntry>>,
    blocked_keys: ShardMap<Fingerprint, ()>,
    /// Leaves that are kept out of every namespace, and of one.
    blocked_leaves: ShardMap<LeafSelector, ()>,
    blocked_leaves_of: ShardMap<(NamespaceId, LeafSelector), ()>,
    retired_issuers: ShardMap<IssuerId, ()>,
}

impl Snapshot {
    /// The revision of the store it shows. Revisions only rise.
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// The namespace reached at `host`.
    pub fn namespace_at(&self, host: &Hostname) -> Option<&Arc<Namespace>> {
        self.namespaces.get(self.hosts.get(host)?)
    }

    /// The namespace of this id.
    pub fn namespace(&self, id: &NamespaceId) -> Option<&Arc<Namespace>> {
        self.namespaces.get(id)
    }

    /// A custom role.
    pub fn custom_role(&self, id: &CustomRoleId) -> Option<&Arc<CustomRole>> {
        self.custom_roles.get(id)
    }

    /// The rights of an identity, its groups' included; `None` when there is no such one (any more).
    pub fn identity(&self, id: &IdentityId) -> Option<&Arc<Access>> {
        self.identities.get(id)
    }

    /// The rights that are an identity's own, without its groups'.
    pub fn own_access(&self, id: &IdentityId) -> Option<&Access> {
        self.own.get(id).map(Arc::as_ref)
    }

    /// A group.
    pub fn group(&self, id: &UserGroupId) -> Option<&GroupEntry> {
        self.groups.get(id).map(Arc::as_ref)
    }

    /// A key.
    pub fn key(&self, id: &ApiKeyId) -> Option<&Arc<KeyEntry>> {
        self.keys.get(id)
    }

    /// A registered certificate.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<&Arc<CertificateEntry>> {
        self.certificates.get(fingerprint)
    }

    /// Whether a certificate's key is blocked.
    pub fn is_key_blocked(&self, key: &Fingerprint) -> bool {
        !self.blocked_keys.is_empty() && self.blocked_keys.get(key).is_some()
    }

    /// Whether an issuer is retired.
    pub fn is_issuer_retired(&self, issuer: &IssuerId) -> bool {
        !self.retired_issuers.is_empty() && self.retired_issuers.get(issuer).is_some()
    }

    /// Whether exactly this block is in force.
    pub fn is_leaf_blocked(&self, block: &BlockedLeaf) -> bool {
        match &block.namespace {
            None => self.blocked_leaves.get(&block.leaf).is_some(),
            Some(namespace) => self.blocked_leaves_of.get(&(namespace.clone(), block.leaf.clone())).is_some(),
        }
    }

    /// Whether a leaf with these facts is kept out of `namespace`. `issuer_key` is the key that its verified path says signed it;
    /// without a path nobody knows who did, and it is known by itself alone.
    pub fn keeps_out(&self, namespace: &NamespaceId, facts: &CertificateFacts, issuer_key: Option<&Fingerprint>) -> bool {
        if self.blocked_leaves.is_empty() && self.blocked_leaves_of.is_empty() {
            return false;
        }
        selectors(facts, issuer_key).any(|leaf| {
            self.blocked_leaves.get(&leaf).is_some()
                || (!self.blocked_leaves_of.is_empty() && self.blocked_leaves_of.get(&(namespace.clone(), leaf)).is_some())
        })
    }

    /// The same of all namespaces: what one of them alone keeps out does not count.
    pub fn keeps_out_everywhere(&self, facts: &CertificateFacts, issuer_key: Option<&Fingerprint>) -> bool {
        !self.blocked_leaves.is_empty() && selectors(facts, issuer_key).any(|leaf| self.blocked_leaves.get(&leaf).is_some())
    }

    /// Every namespace.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.iter().map(|(_, namespace)| namespace)
    }

    /// Namespaces, identities, keys and certificates in it.
    pub const fn counts(&self) -> (usize, usize, usize, usize) {
        (self.namespaces.len(), self.identities.len(), self.keys.len(), self.certificates.len())
    }

    /// This snapshot with `changes` applied, at `revision`. A revision that is not higher changes nothing.
    #[must_use]
    pub fn apply(&self, revision: i64, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        if revision <= self.revision {
            return next;
        }
        next.revision = revision;
        for change in changes {
            next.put(change);
        }
        next
    }

    /// This snapshot as somebody sees it who may not know of a key. Cheap, and never to be served.
    #[must_use]
    pub fn without_key(&self, id: &ApiKeyId) -> Self {
        let mut other = self.clone();
        other.keys.remove(id);
        other
    }

    /// An empty snapshot of `revision`, to be filled with [`Snapshot::fill`] before anybody sees it: a start reads a million
    /// certificates, and holds each once.
    #[must_use]
    pub fn to_fill(revision: i64) -> Self {
        Self { revision, ..Self::default() }
    }

    /// Puts in what belongs to its revision. For the first reading only: a change of what is served is [`Snapshot::apply`]'s.
    pub fn fill(&mut self, change: Change) {
        self.put(change);
    }

    fn put(&mut self, change: Change) {
        match change {
            Change::PutNamespace(namespace) => {
                self.remove_hosts(&namespace.id);
                for host in namespace.hostnames() {
                    self.hosts.insert(host.clone(), namespace.id.clone());
                }
                self.namespaces.insert(namespace.id.clone(), namespace);
            }
            Change::RemoveNamespace(id) => {
                self.remove_hosts(&id);
                self.namespaces.remove(&id);
            }
            Change::PutIdentity(id, access) => {
                self.own.insert(id.clone(), Arc::new(access));
                self.join(&id);
            }
            Change::RemoveIdentity(id) => {
                self.own.remove(&id);
                self.identities.remove(&id);
            }
            Change::PutGroup(id, entry) => {
                let mut touched = entry.members.clone();
                touched.extend(self.groups.get(&id).into_iter().flat_map(|old| old.members.iter().cloned()));
                self.groups.insert(id, Arc::new(entry));
                touched.into_iter().for_each(|member| self.join(&IdentityId::User(member)));
            }
            Change::RemoveGroup(id) => {
                let touched = self.groups.get(&id).map(|old| old.members.clone()).unwrap_or_default();
                self.groups.remove(&id);
                touched.into_iter().for_each(|member| self.join(&IdentityId::User(member)));
            }
            Change::PutCustomRole(role) => self.custom_roles.insert(role.id.clone(), role),
            Change::RemoveCustomRole(id) => self.custom_roles.remove(&id),
            Change::PutKey(id, entry) => self.keys.insert(id, Arc::new(entry)),
            Change::RemoveKey(id) => self.keys.remove(&id),
            Change::PutCertificate(fingerprint, entry) => self.certificates.insert(fingerprint, Arc::new(entry)),
            Change::BlockKey(key) => self.blocked_keys.insert(key, ()),
            Change::RetireIssuer(issuer) => self.retired_issuers.insert(issuer, ()),
            Change::BlockLeaf(BlockedLeaf { namespace: None, leaf }) => self.blocked_leaves.insert(leaf, ()),
            Change::BlockLeaf(BlockedLeaf { namespace: Some(id), leaf }) => self.blocked_leaves_of.insert((id, leaf), ()),
            Change::UnblockLeaf(BlockedLeaf { namespace: None, leaf }) => self.blocked_leaves.remove(&leaf),
            Change::UnblockLeaf(BlockedLeaf { namespace: Some(id), leaf }) => self.blocked_leaves_of.remove(&(id, leaf)),
        }
    }

    /// Works out an identity's rights anew: its own, joined with those of the groups it is in. There are few groups.
    fn join(&mut self, id: &IdentityId) {
        let Some(own) = self.own.get(id).cloned() else { return };
        let IdentityId::User(user) = id else {
            self.identities.insert(id.clone(), own);
            return;
        };
        let mut groups = self.groups.iter().filter(|(_, group)| group.members.contains(user)).peekable();
        let joined = match groups.peek() {
            None => own,
            Some(_) => Arc::new(groups.fold(own.as_ref().clone(), |access, (_, group)| access.join(&group.access))),
        };
        self.identities.insert(id.clone(), joined);
    }

    fn remove_hosts(&mut self, id: &NamespaceId) {
        if let Some(old) = self.namespaces.get(id).cloned() {
            for host in old.hostnames() {
                self.hosts.remove(host);
            }
        }
    }
}

/// Everything that a leaf with these facts can be kept out by.
fn selectors<'f>(facts: &'f CertificateFacts, issuer_key: Option<&'f Fingerprint>) -> impl Iterator<Item = LeafSelector> + 'f {
    let signed = issuer_key.into_iter().flat_map(|key| {
        [
            LeafSelector::Serial { issuer_key: *key, serial: facts.serial.clone() },
            LeafSelector::Named { issuer: facts.issuer.clone(), serial: facts.serial.clone() },
        ]
    });
    facts.content.map(LeafSelector::Content).into_iter().chain(facts.key.map(LeafSelector::Key)).chain(signed)
}

//! The state that admission is decided on: immutable, numbered, replaced as a whole.

use crate::access::Access;
use crate::credential::api_key::{ApiKey, KeyDigest};
use crate::credential::certificate::{Certificate, CertificateStatus, Fingerprint};
use crate::id::{ApiId, ApiKeyId, CertificateId};
use crate::identity::IdentityId;
use crate::name::{Hostname, NamespaceId};
use crate::namespace::Namespace;
use crate::shard_map::ShardMap;
use crate::time::Timestamp;
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
    /// Whether it is revoked.
    pub revoked: bool,
    /// The APIs it is narrowed to; empty means no narrowing.
    pub apis: Vec<ApiId>,
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
    /// A key is made or changed.
    PutKey(ApiKeyId, KeyEntry),
    /// A key is gone.
    RemoveKey(ApiKeyId),
    /// A certificate is registered or revoked.
    PutCertificate(Fingerprint, CertificateEntry),
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
                revoked: certificate.status == CertificateStatus::Revoked,
                apis: certificate.apis.clone(),
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
    identities: ShardMap<IdentityId, Arc<Access>>,
    keys: ShardMap<ApiKeyId, Arc<KeyEntry>>,
    certificates: ShardMap<Fingerprint, Arc<CertificateEntry>>,
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

    /// The rights of an identity; `None` when there is no such one (any more).
    pub fn identity(&self, id: &IdentityId) -> Option<&Arc<Access>> {
        self.identities.get(id)
    }

    /// A key.
    pub fn key(&self, id: &ApiKeyId) -> Option<&Arc<KeyEntry>> {
        self.keys.get(id)
    }

    /// A registered certificate.
    pub fn certificate(&self, fingerprint: &Fingerprint) -> Option<&Arc<CertificateEntry>> {
        self.certificates.get(fingerprint)
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
            Change::PutIdentity(id, access) => self.identities.insert(id, Arc::new(access)),
            Change::RemoveIdentity(id) => self.identities.remove(&id),
            Change::PutKey(id, entry) => self.keys.insert(id, Arc::new(entry)),
            Change::RemoveKey(id) => self.keys.remove(&id),
            Change::PutCertificate(fingerprint, entry) => self.certificates.insert(fingerprint, Arc::new(entry)),
        }
    }

    fn remove_hosts(&mut self, id: &NamespaceId) {
        if let Some(old) = self.namespaces.get(id).cloned() {
            for host in old.hostnames() {
                self.hosts.remove(host);
            }
        }
    }
}

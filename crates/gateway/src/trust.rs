//! The client's certificate of one connection, and its path to the CAs of a namespace. Says what is true of it; whether that lets
//! anybody in, admission says.

use base64::Engine as _;
use countersign_core::admission::{ChainPath, PresentedCertificate};
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::namespace::AcceptedCa;
use countersign_core::{NamespaceId, Timestamp, namespace::Namespace};
use countersign_x509::chain::{Anchors, Leaf};
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// Paths that a worker remembers, of all its namespaces; about 2 KiB each.
const PATHS_MAX: usize = 8192;

/// The accepted CAs of a namespace, prepared for verification.
struct Prepared {
    namespace: Arc<Namespace>,
    anchors: Rc<Anchors>,
    /// SHA-256 over the fingerprints of the CAs, in their order: which set it is.
    set: Fingerprint,
}

/// A leaf, and the set of CAs that it has a path to.
type PathKey = (Fingerprint, Fingerprint);

/// Verified paths, the oldest first to go. A path is a fact about a leaf and a set of CAs; no verdict is kept.
#[derive(Default)]
struct Paths {
    known: HashMap<PathKey, Arc<PresentedCertificate>>,
    order: VecDeque<PathKey>,
}

impl Paths {
    fn put(&mut self, key: PathKey, presented: Arc<PresentedCertificate>) {
        if self.known.insert(key, presented).is_none() {
            self.order.push_back(key);
        }
        while self.known.len() > PATHS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
    }

    fn forget(&mut self, set: Fingerprint) {
        self.known.retain(|(_, of), _| *of != set);
        self.order.retain(|(_, of)| *of != set);
    }
}

/// The anchors of the namespaces that a worker has met, prepared for verification, and the paths that were found to them.
#[derive(Default)]
pub(crate) struct AnchorCache {
    by_namespace: RefCell<HashMap<NamespaceId, Prepared>>,
    paths: RefCell<Paths>,
}

impl AnchorCache {
    /// Forgets namespaces that are gone.
    pub(crate) fn retain(&self, exists: impl Fn(&NamespaceId) -> bool) {
        let mut gone = Vec::new();
        self.by_namespace.borrow_mut().retain(|id, prepared| {
            let stays = exists(id);
            if !stays {
                gone.push(prepared.set);
            }
            stays
        });
        gone.into_iter().for_each(|set| self.paths.borrow_mut().forget(set));
    }

    fn of(&self, namespace: &Arc<Namespace>) -> (Rc<Anchors>, Fingerprint) {
        let mut cache = self.by_namespace.borrow_mut();
        if let Some(known) = cache.get(&namespace.id)
            && (Arc::ptr_eq(&known.namespace, namespace) || same_cas(&known.namespace.accepted_client_cas, &namespace.accepted_client_cas))
        {
            return (Rc::clone(&known.anchors), known.set);
        }
        let anchors = Rc::new(Anchors::new(&namespace.accepted_client_cas));
        let prints: Vec<u8> = namespace.accepted_client_cas.iter().flat_map(|ca| *ca.fingerprint.as_bytes()).collect();
        let set = Fingerprint::of(&prints);
        let prepared = Prepared { namespace: Arc::clone(namespace), anchors: Rc::clone(&anchors), set };
        if let Some(before) = cache.insert(namespace.id.clone(), prepared) {
            // A namespace with the same CAs finds its paths again.
            self.paths.borrow_mut().forget(before.set);
        }
        (anchors, set)
    }

    /// What is true of the leaf of `chain` in `namespace`.
    fn look(&self, namespace: &Arc<Namespace>, chain: &[CertificateDer<'_>], now: Timestamp) -> Arc<PresentedCertificate> {
        let (leaf, rest) = chain.split_first().map_or((&[][..], &[][..]), |(leaf, rest)| (leaf.as_ref(), rest));
        let (anchors, set) = self.of(namespace);
        let key = (Fingerprint::of(leaf), set);
        // Where a path holds no more, the client may have sent along a better one.
        let holds = |presented: &PresentedCertificate| {
            presented.chain.is_some_and(|path| path.not_before <= now && now.seconds() <= path.not_after.seconds())
        };
        if let Some(known) = self.paths.borrow().known.get(&key).filter(|known| holds(known)) {
            return Arc::clone(known);
        }
        // A leaf that cannot be read proves possession all the same: it is refused at the request, with a reason.
        let read = Leaf::read(leaf);
        let facts = read.as_ref().map(Leaf::facts).unwrap_or_default();
        let intermediates: Vec<&[u8]> = rest.iter().map(AsRef::as_ref).collect();
        let path = read.and_then(|leaf| leaf.verify(&anchors, &intermediates, now));
        let (path, no_path) = match path {
            Ok(path) => (Some(ChainPath::from(path)), None),
            Err(error) => (None, Some(error.no_path())),
        };
        let presented = Arc::new(PresentedCertificate { fingerprint: key.0, facts, chain: path, no_path });
        if holds(&presented) {
            self.paths.borrow_mut().put(key, Arc::clone(&presented));
        }
        presented
    }
}

fn same_cas(a: &[AcceptedCa], b: &[AcceptedCa]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.fingerprint == b.fingerprint)
}

struct Known {
    namespace: Arc<Namespace>,
    presented: Arc<PresentedCertificate>,
    looked_after_end: bool,
}

/// A certificate whose key's possession the handshake proved, or a resumed session restored.
pub(crate) struct ClientCertificate {
    der: Vec<CertificateDer<'static>>,
    fingerprint: Fingerprint,
    header: OnceCell<HeaderValue>,
    known: RefCell<Known>,
}

impl ClientCertificate {
    /// From the chain of the handshake, leaf first; `None` when it is empty. `known` is what a resumed session knew of it, in the
    /// namespace as it was then.
    pub(crate) fn new(
        der: Vec<CertificateDer<'static>>,
        anchors: &AnchorCache,
        namespace: &Arc<Namespace>,
        known: Option<(Arc<Namespace>, Arc<PresentedCertificate>)>,
        now: Timestamp,
    ) -> Option<Self> {
        der.first()?;
        let (namespace, presented) = known.unwrap_or_else(|| (Arc::clone(namespace), anchors.look(namespace, &der, now)));
        let fingerprint = presented.fingerprint;
        let known = RefCell::new(Known { namespace, presented, looked_after_end: false });
        Some(Self { der, fingerprint, header: OnceCell::new(), known })
    }

    /// The leaf's fingerprint.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate with its path in `namespace`. The path is looked for again when the CAs changed.
    pub(crate) fn presented(&self, anchors: &AnchorCache, namespace: &Arc<Namespace>, now: Timestamp) -> Arc<PresentedCertificate> {
        let mut known = self.known.borrow_mut();
        let ended = known.presented.chain.is_some_and(|path| now > path.not_after);
        let unchanged = Arc::ptr_eq(&known.namespace, namespace);
        if unchanged && (!ended || known.looked_after_end) {
            return Arc::clone(&known.presented);
        }
        // Any other set of CAs may hold a better path, or take away what this one rests on.
        let stands = known.namespace.id == namespace.id && same_cas(&known.namespace.accepted_client_cas, &namespace.accepted_client_cas);
        if !stands || ended {
            known.presented = anchors.look(namespace, &self.der, now);
            known.looked_after_end = ended;
        }
        known.namespace = Arc::clone(namespace);
        Arc::clone(&known.presented)
    }

    /// The value of `Client-Cert` (RFC 9440 section 2.1).
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        if let Some(value) = self.header.get() {
            return Some(value.clone());
        }
        let text = format!(":{}:", base64::engine::general_purpose::STANDARD.encode(self.der.first()?));
        let value = HeaderValue::from_str(&text).ok()?;
        Some(self.header.get_or_init(|| value).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_remembers_so_many_paths_and_none_to_cas_that_are_gone() {
        let print = |n: usize| Fingerprint::of(&n.to_be_bytes());
        let presented = Arc::new(PresentedCertificate {
            fingerprint: print(0),
            facts: countersign_core::credential::certificate::CertificateFacts::default(),
            chain: None,
            no_path: None,
        });
        let mut paths = Paths::default();
        for n in 0..PATHS_MAX + 100 {
            paths.put((print(n), print(n % 2)), Arc::clone(&presented));
            paths.put((print(n), print(n % 2)), Arc::clone(&presented));
        }
        assert_eq!((paths.known.len(), paths.order.len()), (PATHS_MAX, PATHS_MAX));
        assert!(!paths.known.contains_key(&(print(98), print(0))) && paths.known.contains_key(&(print(100), print(0))));
        paths.forget(print(0));
        assert_eq!((paths.known.len(), paths.order.len()), (PATHS_MAX / 2, PATHS_MAX / 2));
        assert!(paths.known.keys().all(|(_, set)| *set == print(1)));
    }
}

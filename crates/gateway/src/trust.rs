//! The client's certificate of one connection, and its path to the CAs of a namespace. Says what is true of it; whether that lets
//! anybody in, admission says.

use base64::Engine as _;
use countersign_core::admission::{ChainPath, PresentedCertificate};
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::namespace::AcceptedCa;
use countersign_core::{Timestamp, namespace::Namespace};
use countersign_x509::chain::{self, Anchors};
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

type Prepared = HashMap<countersign_core::NamespaceId, (Arc<Namespace>, Rc<Anchors>)>;

/// The anchors of the namespaces that a worker has met, prepared for verification.
#[derive(Default)]
pub(crate) struct AnchorCache {
    by_namespace: RefCell<Prepared>,
}

impl AnchorCache {
    /// Forgets namespaces that are gone.
    pub(crate) fn retain(&self, exists: impl Fn(&countersign_core::NamespaceId) -> bool) {
        self.by_namespace.borrow_mut().retain(|id, _| exists(id));
    }

    fn of(&self, namespace: &Arc<Namespace>) -> Rc<Anchors> {
        let mut cache = self.by_namespace.borrow_mut();
        if let Some((seen, anchors)) = cache.get(&namespace.id)
            && (Arc::ptr_eq(seen, namespace) || same_cas(&seen.accepted_client_cas, &namespace.accepted_client_cas))
        {
            return Rc::clone(anchors);
        }
        let anchors = Rc::new(Anchors::new(&namespace.accepted_client_cas));
        cache.insert(namespace.id.clone(), (Arc::clone(namespace), Rc::clone(&anchors)));
        anchors
    }
}

fn same_cas(a: &[AcceptedCa], b: &[AcceptedCa]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.fingerprint == b.fingerprint)
}

struct Known {
    namespace: Option<Arc<Namespace>>,
    presented: Rc<PresentedCertificate>,
    looked_after_end: bool,
}

/// A certificate whose key's possession the handshake proved, or a resumed session restored.
pub(crate) struct ClientCertificate {
    der: Vec<CertificateDer<'static>>,
    header: OnceCell<HeaderValue>,
    known: RefCell<Known>,
}

impl ClientCertificate {
    /// From the chain of the handshake, leaf first; `None` when it is empty.
    pub(crate) fn new(der: Vec<CertificateDer<'static>>) -> Option<Self> {
        let leaf = der.first()?;
        // A leaf whose facts cannot be read proves possession all the same: it is refused at the request, with a reason.
        let facts = countersign_x509::facts::of(leaf).unwrap_or_default();
        let presented = Rc::new(PresentedCertificate { fingerprint: Fingerprint::of(leaf), facts, chain: None });
        Some(Self { der, header: OnceCell::new(), known: RefCell::new(Known { namespace: None, presented, looked_after_end: false }) })
    }

    /// The leaf's fingerprint.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.known.borrow().presented.fingerprint
    }

    /// The certificate with its path in `namespace`. The path is looked for again when the CAs changed.
    pub(crate) fn presented(&self, anchors: &AnchorCache, namespace: &Arc<Namespace>, now: Timestamp) -> Rc<PresentedCertificate> {
        let mut known = self.known.borrow_mut();
        let ended = known.presented.chain.is_some_and(|path| now > path.not_after);
        let unchanged = known.namespace.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, namespace));
        if unchanged && (!ended || known.looked_after_end) {
            return Rc::clone(&known.presented);
        }
        // Any other set of CAs may hold a better path, or take away what this one rests on.
        let stands = known
            .namespace
            .as_ref()
            .is_some_and(|seen| seen.id == namespace.id && same_cas(&seen.accepted_client_cas, &namespace.accepted_client_cas));
        if !stands || ended {
            let chain = self.path(&anchors.of(namespace), now);
            known.presented =
                Rc::new(PresentedCertificate { fingerprint: known.presented.fingerprint, facts: known.presented.facts.clone(), chain });
            known.looked_after_end = ended;
        }
        known.namespace = Some(Arc::clone(namespace));
        Rc::clone(&known.presented)
    }

    fn path(&self, anchors: &Anchors, now: Timestamp) -> Option<ChainPath> {
        let (leaf, rest) = self.der.split_first()?;
        let intermediates: Vec<&[u8]> = rest.iter().map(AsRef::as_ref).collect();
        match chain::verify(anchors, leaf, &intermediates, now) {
            Ok(facts) => Some(ChainPath { anchor: facts.anchor, not_before: facts.not_before, not_after: facts.not_after }),
            Err(error) => {
                tracing::debug!(fingerprint = %Fingerprint::of(leaf), %error, "no path to an accepted CA");
                None
            }
        }
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

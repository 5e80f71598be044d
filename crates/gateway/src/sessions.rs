//! TLS sessions of one namespace: which may be resumed, and for how long. A client keeps offering an old session after it was given
//! another certificate, so a session whose certificate lets nobody in any more, or that has none, is not resumed: the handshake becomes a
//! full one (RFC 8446 section 2.2), in which the client shows what it has now. Decides on resumption only; each request is decided by
//! admission.

use countersign_core::admission::{PresentedCertificate, is_of_use};
use countersign_core::namespace::Namespace;
use countersign_core::{Lifetime, Snapshot, Timestamp};
use rustls::server::StoresServerSessions;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Sessions that one namespace remembers.
const SESSIONS: usize = 4096;
/// How long after its first handshake a session may be resumed, however often it was meanwhile (secure default: one hour).
const SESSION_LIFETIME: Lifetime = Lifetime::from_seconds(3600);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a full handshake established, and every session has that comes of it.
#[derive(Clone)]
pub(crate) struct Established {
    /// When the full handshake was.
    first: Timestamp,
    /// The namespace at that time, and what was known of the client's certificate in it.
    client: Option<(Arc<Namespace>, Arc<PresentedCertificate>)>,
}

impl Established {
    /// What was known of the client's certificate.
    pub(crate) fn client(&self) -> Option<(Arc<Namespace>, Arc<PresentedCertificate>)> {
        self.client.clone()
    }
}

/// Set when the handshake that stored a session is over; until then nobody resumes it.
type Origin = Arc<OnceLock<Established>>;

#[derive(Default)]
struct Store {
    sessions: HashMap<Vec<u8>, (Vec<u8>, Origin)>,
    order: VecDeque<Vec<u8>>,
}

/// The sessions of one namespace, the oldest first to go.
#[derive(Default)]
pub(crate) struct Sessions {
    store: Mutex<Store>,
}

impl Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>, origin: Origin) {
        let mut store = lock(&self.store);
        if store.sessions.insert(key.clone(), (value, origin)).is_none() {
            store.order.push_back(key);
        }
        while store.sessions.len() > SESSIONS {
            let Some(oldest) = store.order.pop_front() else { break };
            store.sessions.remove(&oldest);
        }
        // Of those taken meanwhile the keys are still in the queue.
        if store.order.len() > 2 * SESSIONS {
            let Store { sessions, order } = &mut *store;
            order.retain(|key| sessions.contains_key(key));
        }
    }

    fn get(&self, key: &[u8]) -> Option<(Vec<u8>, Origin)> {
        lock(&self.store).sessions.get(key).cloned()
    }

    fn remove(&self, key: &[u8]) {
        lock(&self.store).sessions.remove(key);
    }
}

/// What a session is judged by: the snapshot, the namespace in it, and the time.
type Judge = (Arc<Snapshot>, Arc<Namespace>, Timestamp);

/// What one handshake may do with the sessions of its namespace: judged by the worker's own snapshot.
pub(crate) struct Handshake {
    sessions: Arc<Sessions>,
    /// Taken out when the handshake is over: a connection must not keep an old snapshot alive.
    judge: Mutex<Option<Judge>>,
    offered: Mutex<Option<Established>>,
    origin: Origin,
    stored: Mutex<Vec<Vec<u8>>>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

impl Handshake {
    pub(crate) fn new(sessions: Arc<Sessions>, snapshot: Arc<Snapshot>, namespace: Arc<Namespace>, now: Timestamp) -> Self {
        Self {
            sessions,
            judge: Mutex::new(Some((snapshot, namespace, now))),
            offered: Mutex::default(),
            origin: Origin::default(),
            stored: Mutex::default(),
        }
    }

    /// The session that was resumed, when the handshake says that one was. Called once, after it.
    pub(crate) fn resumed(&self) -> Option<Established> {
        lock(&self.offered).take()
    }

    /// The handshake is over: sessions that it stored may be resumed from now on, if that is of any use. `resumed` is the session that it
    /// resumed itself: the new ones do not live longer than that.
    pub(crate) fn finish(&self, resumed: Option<Established>, client: Option<(Arc<Namespace>, Arc<PresentedCertificate>)>) {
        let Some((_, namespace, now)) = lock(&self.judge).take() else { return };
        let established = resumed.unwrap_or(Established { first: now, client });
        if established.client.is_none() && namespace.takes_certificates() {
            for key in lock(&self.stored).drain(..) {
                self.sessions.remove(&key);
            }
            return;
        }
        // It is set once, here.
        let _ = self.origin.set(established);
    }

    fn judged(&self, key: &[u8], taken: bool) -> Option<Vec<u8>> {
        let (value, origin) = self.sessions.get(key)?;
        let established = origin.get();
        let resumes = established.filter(|established| self.may_resume(established));
        if taken || (established.is_some() && resumes.is_none()) {
            self.sessions.remove(key);
        }
        *lock(&self.offered) = resumes.cloned();
        resumes.map(|_| value)
    }

    fn may_resume(&self, established: &Established) -> bool {
        let judge = lock(&self.judge);
        let Some((snapshot, namespace, now)) = judge.as_ref() else { return false };
        if !(0..=SESSION_LIFETIME.micros()).contains(&now.since(established.first)) {
            return false;
        }
        match &established.client {
            _ if !namespace.takes_certificates() => true,
            None => false,
            Some((_, certificate)) => is_of_use(snapshot, namespace, certificate, *now),
        }
    }
}

impl StoresServerSessions for Handshake {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        lock(&self.stored).push(key.clone());
        self.sessions.put(key, value, Arc::clone(&self.origin));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.judged(key, false)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.judged(key, true)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

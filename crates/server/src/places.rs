//! The slots of one port of the control plane: who holds a connection is counted by core's limiter, its clock and its signals are here.

use countersign_core::connection_limiter::{ConnectionLimiter, ConnectionLimits, ConnectionSlot, Eviction, SlotHandle};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::Notify;

/// The slots of one port.
#[derive(Debug)]
pub(crate) struct Places {
    limiter: Arc<ConnectionLimiter>,
    began: Instant,
    requests: AtomicUsize,
}

impl Places {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limiter: Arc::new(ConnectionLimiter::new(limits)), began: Instant::now(), requests: AtomicUsize::new(0) })
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Requests under way on all connections.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// A slot for a connection from this address; none when every connection is busy.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let evicted = Arc::new(Notify::new());
        let notify = Arc::clone(&evicted);
        let slot = self.limiter.enter(address, self.millis(), move || notify.notify_one())?;
        let standing = Standing { places: Arc::clone(self), handle: slot.handle().clone() };
        Some(Place { standing, evicted, _slot: slot })
    }
}

/// A connection's slot; given back by its drop.
#[derive(Debug)]
pub(crate) struct Place {
    standing: Standing,
    evicted: Arc<Notify>,
    _slot: ConnectionSlot,
}

impl Place {
    /// What requests on this connection carry along.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Returns when another connection needs the slot: this one is to end.
    pub(crate) async fn evicted(&self) -> Eviction {
        loop {
            self.evicted.notified().await;
            if let Some(eviction) = self.standing.handle.eviction() {
                return eviction;
            }
        }
    }
}

/// How a connection stands, for those who find out who is at its other end.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    places: Arc<Places>,
    handle: SlotHandle,
}

impl Standing {
    /// Notes that a credential of `identity` was accepted on the connection: strangers no longer evict it.
    pub(crate) fn authenticate(&self, identity: impl Hash) {
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        self.handle.authenticate(Some(hasher.finish()), self.places.millis());
    }

    /// Whether one was.
    pub(crate) fn known(&self) -> bool {
        self.handle.is_authenticated()
    }

    /// Counts a request as under way until the guard is dropped.
    pub(crate) fn request(&self) -> UnderWay {
        self.handle.request_began();
        self.places.requests.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Standing);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.handle.request_ended(self.0.places.millis());
        self.0.places.requests.fetch_sub(1, Relaxed);
    }
}

//! What was refused and why, for the owner who looks an id up. Bounded; never holds a secret, a query or a body.

use countersign_core::id::RefusalId;
use countersign_core::{NamespaceId, RefusalCode, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// One refusal.
#[derive(Clone, Debug)]
pub struct RefusalRecord {
    /// The id the client was given.
    pub id: RefusalId,
    /// When.
    pub at: Timestamp,
    /// The code.
    pub code: RefusalCode,
    /// Which rule refused.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// The door, where the connection's name led to one.
    pub namespace: Option<NamespaceId>,
    /// The method.
    pub method: String,
    /// The path, without its query; cut at 512 bytes.
    pub path: String,
    /// The public id of the credential that was presented: a key's id or a leaf's fingerprint.
    pub credential: Option<String>,
    /// Where it came from.
    pub source: IpAddr,
}

#[derive(Default)]
struct Ring {
    order: VecDeque<RefusalId>,
    records: HashMap<RefusalId, Arc<RefusalRecord>>,
}

/// The newest refusals; older ones fall out.
pub struct RefusalLog {
    capacity: usize,
    ring: Mutex<Ring>,
}

impl RefusalLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), ring: Mutex::default() }
    }

    pub(crate) fn record(&self, record: RefusalRecord) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.order.len() >= self.capacity
            && let Some(oldest) = ring.order.pop_front()
        {
            ring.records.remove(&oldest);
        }
        ring.order.push_back(record.id.clone());
        ring.records.insert(record.id.clone(), Arc::new(record));
    }

    /// The refusal of this id, while it is remembered.
    pub fn get(&self, id: &RefusalId) -> Option<Arc<RefusalRecord>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).records.get(id).cloned()
    }

    /// The newest `count`, newest first.
    pub fn newest(&self, count: usize) -> Vec<Arc<RefusalRecord>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.order.iter().rev().take(count).filter_map(|id| ring.records.get(id).cloned()).collect()
    }
}

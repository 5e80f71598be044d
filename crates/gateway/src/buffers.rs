//! Memory for messages that are looked into before they go on: counted for the gateway and for each door, so that neither a flood nor
//! one tenant takes it all (promise P17). Counts only; whoever holds bytes counts them here first.

use crate::connection::Conn;
use countersign_core::NamespaceId;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What is held now, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    total: AtomicUsize,
    doors: Mutex<HashMap<NamespaceId, Arc<AtomicUsize>>>,
}

impl Buffers {
    /// The count of a door, to be held by a connection.
    pub(crate) fn door(&self, namespace: &NamespaceId) -> Arc<AtomicUsize> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(namespace) {
            return Arc::clone(door);
        }
        // A new door is rare: a good moment to forget those that nobody is at.
        doors.retain(|_, door| Arc::strong_count(door) > 1);
        Arc::clone(doors.entry(namespace.clone()).or_default())
    }
}

/// Bytes that one request holds; given back when this is dropped.
pub(crate) struct Held {
    conn: Rc<Conn>,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub(crate) const fn new(conn: Rc<Conn>) -> Self {
        Self { conn, bytes: 0 }
    }

    /// Takes what is missing to hold `bytes`; `false` when the gateway or the door has no room for it. One door gets half of all.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let shared = &self.conn.worker.shared;
        let room = shared.settings.limits.buffered_bytes;
        let total = shared.buffers.total.fetch_add(more, Relaxed).saturating_add(more);
        let door = self.conn.buffered.fetch_add(more, Relaxed).saturating_add(more);
        self.bytes += more;
        total <= room && door <= room / 2
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.conn.worker.shared.buffers.total.fetch_sub(self.bytes, Relaxed);
        self.conn.buffered.fetch_sub(self.bytes, Relaxed);
    }
}

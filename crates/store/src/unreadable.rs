//! Rows that cannot be read. Each closes what it belongs to and nothing else (promise P6): it is left out of what is served, said once in
//! the log, and kept here to be counted and named. Nothing is repaired.

use crate::error::StoreError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    /// What it is, for example `namespace`.
    pub kind: &'static str,
    /// Its id, as far as that can be read.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Those that were met since the start. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreadable(Arc<Mutex<BTreeMap<(&'static str, String), String>>>);

impl Unreadable {
    /// Notes one, and says it in the log the first time.
    pub(crate) fn note(&self, kind: &'static str, id: &str, error: &StoreError) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.insert((kind, id.to_owned()), error.to_string()).is_none() {
            tracing::error!(kind, %id, %error, "a row cannot be read: what it belongs to is closed, everything else goes on");
        }
    }

    pub(crate) fn rows(&self) -> Vec<UnreadableRow> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|((kind, id), reason)| UnreadableRow { kind, id: id.clone(), reason: reason.clone() }).collect()
    }
}

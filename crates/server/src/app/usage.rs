//! Use of credentials: gathered in memory, written in batches, never on the path of a request. It decides nothing.

use super::App;
use crate::error::Refused;
use crate::fleet::Usage;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::UsageBody;
use countersign_store::{Reader, UsageAdded};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Different credentials remembered between two writes; use of further ones goes uncounted until then.
const CREDENTIALS_MAX: usize = 100_000;

/// Use that is not written yet.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Mutex<HashMap<String, UsageAdded>>,
}

impl Ledger {
    /// Adds to it.
    pub fn add(&self, usage: Usage) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= CREDENTIALS_MAX && !rows.contains_key(&usage.credential) {
            return;
        }
        let row = rows.entry(usage.credential.clone()).or_insert_with(|| UsageAdded {
            credential: usage.credential.clone(),
            kind: usage.kind.clone(),
            count: 0,
            last_used_at: usage.last_used,
            last_source: String::new(),
        });
        row.count = row.count.saturating_add(i64::try_from(usage.count).unwrap_or(i64::MAX));
        if usage.last_used >= row.last_used_at {
            row.last_used_at = usage.last_used;
            row.last_source = usage.last_source;
        }
    }

    /// One use of an API key at the control plane itself.
    pub fn note_key(&self, id: &str, at: Timestamp, source: &str) {
        self.add(Usage { credential: id.to_owned(), kind: "api_key".to_owned(), count: 1, last_used: at, last_source: source.to_owned() });
    }

    fn take(&self) -> Vec<UsageAdded> {
        std::mem::take(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    fn put_back(&self, rows: Vec<UsageAdded>) {
        for row in rows {
            let count = u64::try_from(row.count).unwrap_or(0);
            self.add(Usage {
                credential: row.credential,
                kind: row.kind,
                count,
                last_used: row.last_used_at,
                last_source: row.last_source,
            });
        }
    }
}

/// Writes what was gathered, the gateways' part included.
///
/// # Errors
/// When the store fails; nothing is lost then but the time.
pub async fn flush(app: &App) -> Result<(), Refused> {
    if !app.store.has_reserve() {
        // What is left of a full disk is not for it; it stays in memory.
        return Ok(());
    }
    if let Some(gateways) = app.gateways() {
        for usage in gateways.drain_usage() {
            app.usage.add(usage);
        }
    }
    let rows = app.usage.take();
    if rows.is_empty() {
        return Ok(());
    }
    let written = async {
        let mut write = app.store.begin().await?;
        write.add_usage(&rows).await?;
        write.add_usage_minutes(&rows).await?;
        write.commit_without_revision().await
    }
    .await;
    if written.is_err() {
        app.usage.put_back(rows);
    }
    Ok(written?)
}

/// The use of one credential, as shown.
///
/// # Errors
/// When the store fails.
pub async fn body(reader: &mut Reader, credential: &str) -> Result<UsageBody, Refused> {
    Ok(reader.usage(credential).await?.map_or_else(UsageBody::default, |row| UsageBody {
        requests: u64::try_from(row.count).unwrap_or(0),
        last_used_time: Some(convert::time(row.last_used_at)),
        last_used_from: Some(row.last_source).filter(|source| !source.is_empty()),
    }))
}

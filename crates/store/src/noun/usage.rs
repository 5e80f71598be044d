//! Usage: how often each credential was let in, when last, and from where. Batched by the caller; a loss of the last seconds is
//! allowed here and nowhere else.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;

crate::statements::statements! {
    ONE = "SELECT credential, kind, count, last_used_at, last_source FROM credential_usage WHERE credential = $1";
    ADD = "INSERT INTO credential_usage (credential, kind, count, last_used_at, last_source) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (credential) DO UPDATE SET count = credential_usage.count + excluded.count, \
        last_source = CASE WHEN excluded.last_used_at >= credential_usage.last_used_at THEN excluded.last_source \
        ELSE credential_usage.last_source END, \
        last_used_at = CASE WHEN excluded.last_used_at >= credential_usage.last_used_at THEN excluded.last_used_at \
        ELSE credential_usage.last_used_at END";
}

/// The usage of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The credential, in the text of `Permit::credential_text`.
    pub credential: String,
    /// `api_key`, `certificate` or `accepted_ca`.
    pub kind: String,
    /// Requests let in.
    pub count: i64,
    /// When last.
    pub last_used_at: Timestamp,
    /// From which address last; empty when not known.
    pub last_source: String,
}

/// What is added to the usage of one credential: `count` more requests, and the last of them.
pub type UsageAdded = UsageRow;

fn read(row: &Row) -> Result<UsageRow, StoreError> {
    Ok(UsageRow {
        credential: row::text(row, "credential")?,
        kind: row::text(row, "kind")?,
        count: row::integer(row, "count")?,
        last_used_at: row::moment(row, "last_used_at")?,
        last_source: row::text(row, "last_source")?,
    })
}

impl Reader {
    /// The usage of one credential; `None` when it was never used.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn usage(&mut self, credential: &str) -> Result<Option<UsageRow>, StoreError> {
        self.one(query(ONE).bind(credential.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The usage of those of `credentials` that were used; meant for the entries of one page.
    ///
    /// # Errors
    /// As [`Reader::usage`].
    pub async fn usages<S: AsRef<str> + Sync>(&mut self, credentials: &[S]) -> Result<Vec<UsageRow>, StoreError> {
        let mut found = Vec::new();
        for credential in credentials {
            found.extend(self.usage(credential.as_ref()).await?);
        }
        Ok(found)
    }
}

impl Write<'_> {
    /// Adds a batch. An older last use never replaces a newer one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn add_usage(&mut self, batch: &[UsageAdded]) -> Result<(), StoreError> {
        for added in batch {
            self.run(
                query(ADD)
                    .bind(added.credential.clone())
                    .bind(added.kind.clone())
                    .bind(added.count)
                    .bind(added.last_used_at.micros())
                    .bind(added.last_source.clone()),
            )
            .await?;
        }
        Ok(())
    }
}

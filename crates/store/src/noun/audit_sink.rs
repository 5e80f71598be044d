//! Audit sinks: where the trail is delivered to, and how far each has got. The document's meaning is its use case's business.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT name, document, sent_to, resource_version, created_at, modified_at FROM audit_sink ", $tail)
    };
}

crate::statements::statements! {
    BY_NAME = select!("WHERE name = $1");
    PAGE = select!("WHERE name > $1 ORDER BY name LIMIT $2");
    PUT = "INSERT INTO audit_sink (name, document, sent_to, resource_version, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (name) DO UPDATE SET document = excluded.document, resource_version = excluded.resource_version, \
        modified_at = excluded.modified_at WHERE audit_sink.resource_version = excluded.resource_version - 1";
    SENT = "UPDATE audit_sink SET sent_to = $2 WHERE name = $1 AND created_at = $3 AND sent_to < $2";
    DELETE = "DELETE FROM audit_sink WHERE name = $1";
}

/// A sink as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSinkRow {
    /// Its name, which is its id.
    pub name: String,
    /// What it is, as JSON.
    pub document: String,
    /// The number of the last entry that was taken there.
    pub sent_to: i64,
    /// For updates.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

fn read(row: &Row) -> Result<AuditSinkRow, StoreError> {
    Ok(AuditSinkRow {
        name: row::text(row, "name")?,
        document: row::text(row, "document")?,
        sent_to: row::integer(row, "sent_to")?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One sink.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn audit_sink(&mut self, name: &str) -> Result<Option<AuditSinkRow>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Sinks, ascending by name.
    ///
    /// # Errors
    /// As [`Reader::audit_sink`].
    pub async fn audit_sinks(&mut self, page: &Page) -> Result<Vec<AuditSinkRow>, StoreError> {
        self.page_of("audit_sink", "name", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }
}

impl Write<'_> {
    /// Makes or changes a sink. How far it has got is written at its making only; see [`Write::audit_sink_sent`].
    ///
    /// # Errors
    /// [`crate::Clash::ResourceVersion`].
    pub async fn put_audit_sink(&mut self, sink: &AuditSinkRow) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(sink.name.clone())
                .bind(sink.document.clone())
                .bind(sink.sent_to)
                .bind(sink.resource_version)
                .bind(sink.created_at.micros())
                .bind(sink.modified_at.micros()),
        )
        .await
    }

    /// Notes that entries up to `sequence` were taken, by the sink that was made at `created_at`: a later one of the same name has a
    /// place of its own. It only rises.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_sink_sent(&mut self, name: &str, created_at: Timestamp, sequence: i64) -> Result<bool, StoreError> {
        Ok(self.run(query(SENT).bind(name.to_owned()).bind(sequence).bind(created_at.micros())).await? > 0)
    }

    /// Takes a sink out; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_audit_sink(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.change(query(DELETE).bind(name.to_owned())).await? > 0)
    }
}

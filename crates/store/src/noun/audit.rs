//! The audit trail: appended to, never changed. The head is kept apart, so that a trail that was cut short is found out too.

use crate::error::StoreError;
use crate::page::{AuditFilter, AuditPage};
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::audit::{Chained, Entry, Verifier};

macro_rules! select {
    ($tail:expr) => {
        concat!(
            "SELECT sequence, happened_at, actor_kind, actor_id, actor_name, credential, action, object_kind, object_id, result, \
             object_before, object_after, source, request_id, operation_id, previous, hash FROM audit ",
            $tail
        )
    };
}

// Empty texts let all through; $3 and $4 are the bounds of time, $11 and $12 those of the sequence numbers that belong to them.
macro_rules! filtered {
    ($order:expr) => {
        select!(concat!(
            "WHERE happened_at >= $3 AND happened_at < $4 AND ($5 = '' OR actor_id = $5) AND ($6 = '' OR action = $6) \
             AND ($7 = '' OR object_kind = $7) AND ($8 = '' OR object_id = $8) AND ($9 = '' OR result = $9) \
             AND ($10 = '' OR operation_id = $10) AND sequence >= $11 AND sequence <= $12 ",
            $order
        ))
    };
}

// Entries of one value of a column that has an index, which ends with the sequence number.
macro_rules! ascending {
    ($narrowed:literal) => {
        filtered!(concat!("AND sequence > $1 AND ", $narrowed, " ORDER BY sequence LIMIT $2"))
    };
}

macro_rules! descending {
    ($narrowed:literal) => {
        filtered!(concat!("AND sequence < $1 AND ", $narrowed, " ORDER BY sequence DESC LIMIT $2"))
    };
}

crate::statements::statements! {
    ASCENDING = filtered!("AND sequence > $1 ORDER BY sequence LIMIT $2");
    DESCENDING = filtered!("AND sequence < $1 ORDER BY sequence DESC LIMIT $2");
    ASCENDING_OF_ACTOR = ascending!("actor_id = $13");
    DESCENDING_OF_ACTOR = descending!("actor_id = $13");
    ASCENDING_OF_OBJECT = ascending!("object_id = $13");
    DESCENDING_OF_OBJECT = descending!("object_id = $13");
    // With the very words of the indexes, which are of some entries only.
    ASCENDING_OF_OPERATION = ascending!("operation_id <> '' AND operation_id = $13");
    DESCENDING_OF_OPERATION = descending!("operation_id <> '' AND operation_id = $13");
    ASCENDING_OF_RESULT = ascending!("result <> 'ok' AND result = $13");
    DESCENDING_OF_RESULT = descending!("result <> 'ok' AND result = $13");
    ASCENDING_OF_ACTION = ascending!("action = $13");
    DESCENDING_OF_ACTION = descending!("action = $13");
    ASCENDING_OF_KIND = ascending!("object_kind = $13");
    DESCENDING_OF_KIND = descending!("object_kind = $13");
    BOUNDS = "SELECT MIN(sequence) AS low, MAX(sequence) AS high FROM audit WHERE happened_at >= $1 AND happened_at < $2";
    WALK = select!("WHERE sequence > $1 ORDER BY sequence LIMIT $2");
    // Word for word what its index is of; an entry with a state before is of a change and no making.
    MADE_BY = "SELECT object_kind, object_id FROM audit WHERE credential = $1 AND credential <> '' AND result = 'ok' \
        AND object_before = '' AND action IN ('CreateApiKey', 'CreateCertificate', 'RotateCertificate') ORDER BY sequence";
    HASH_AT = "SELECT hash FROM audit WHERE sequence = $1";
    HEAD = "SELECT sequence, hash FROM audit_head";
    APPEND = "INSERT INTO audit (sequence, happened_at, actor_kind, actor_id, actor_name, credential, action, object_kind, object_id, \
        result, object_before, object_after, source, request_id, operation_id, previous, hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    MOVE_HEAD = "UPDATE audit_head SET sequence = $1, hash = $2 WHERE sequence = $3";
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The number of the last entry; 0 when there is none.
    pub sequence: i64,
    /// Its hash; zeroes when there is none.
    pub hash: [u8; 32],
}

fn read(row: &Row) -> Result<Chained, StoreError> {
    Ok(Chained {
        sequence: row::integer(row, "sequence")?,
        entry: Entry {
            at: row::moment(row, "happened_at")?,
            actor_kind: row::text(row, "actor_kind")?,
            actor_id: row::text(row, "actor_id")?,
            actor_name: row::text(row, "actor_name")?,
            credential: row::text(row, "credential")?,
            action: row::text(row, "action")?,
            object_kind: row::text(row, "object_kind")?,
            object_id: row::text(row, "object_id")?,
            result: row::text(row, "result")?,
            before: row::text(row, "object_before")?,
            after: row::text(row, "object_after")?,
            source: row::text(row, "source")?,
            request_id: row::text(row, "request_id")?,
            operation_id: row::text(row, "operation_id")?,
        },
        previous: row::digest(row, "previous")?,
        hash: row::digest(row, "hash")?,
    })
}

impl Reader {
    /// Audit entries that pass the filter, in order of their sequence numbers.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn audit(&mut self, filter: &AuditFilter, page: &AuditPage) -> Result<Vec<Chained>, StoreError> {
        let refused = filter.result.clone().filter(|result| result != "ok");
        // The most selective first.
        let narrowings = [
            (&filter.object_id, ASCENDING_OF_OBJECT, DESCENDING_OF_OBJECT),
            (&filter.operation_id, ASCENDING_OF_OPERATION, DESCENDING_OF_OPERATION),
            (&filter.actor_id, ASCENDING_OF_ACTOR, DESCENDING_OF_ACTOR),
            (&refused, ASCENDING_OF_RESULT, DESCENDING_OF_RESULT),
            (&filter.action, ASCENDING_OF_ACTION, DESCENDING_OF_ACTION),
            (&filter.object_kind, ASCENDING_OF_KIND, DESCENDING_OF_KIND),
        ];
        let narrowed = narrowings.iter().find_map(|(value, up, down)| Some((value.as_ref()?.clone(), *up, *down)));
        let (from, to) = (filter.from.map_or(i64::MIN, |at| at.micros()), filter.to.map_or(i64::MAX, |at| at.micros()));
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        if filter.from.is_some() || filter.to.is_some() {
            let bounds = row::required(self.one(query(BOUNDS).bind(from).bind(to)).await?, "the bounds of a time")?;
            if bounds.is_null("low")? {
                return Ok(Vec::new());
            }
            (low, high) = (row::integer(&bounds, "low")?, row::integer(&bounds, "high")?);
        }
        let sql = match (&narrowed, page.descending) {
            (Some((_, up, _)), false) => *up,
            (Some((_, _, down)), true) => *down,
            (None, false) => ASCENDING,
            (None, true) => DESCENDING,
        };
        let mut statement = query(sql)
            .bind(page.after.unwrap_or(if page.descending { i64::MAX } else { 0 }))
            .bind(i64::try_from(page.size).unwrap_or(i64::MAX))
            .bind(from)
            .bind(to);
        for text in [&filter.actor_id, &filter.action, &filter.object_kind, &filter.object_id, &filter.result, &filter.operation_id] {
            statement = statement.bind(text.clone().unwrap_or_default());
        }
        statement = statement.bind(low).bind(high);
        if let Some((value, _, _)) = narrowed {
            statement = statement.bind(value);
        }
        self.all(statement).await?.iter().map(read).collect()
    }

    /// Kind and id of every credential that was made with this one: API keys, and certificates, those included by which one renewed
    /// itself. What is gone by now is among them.
    ///
    /// # Errors
    /// As [`Reader::audit`].
    pub async fn made_by(&mut self, credential: &str) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.all(query(MADE_BY).bind(credential.to_owned())).await?;
        rows.iter().map(|row| Ok((row::text(row, "object_kind")?, row::text(row, "object_id")?))).collect()
    }

    /// The end of the chain.
    ///
    /// # Errors
    /// As [`Reader::audit`].
    pub async fn audit_head(&mut self) -> Result<AuditHead, StoreError> {
        let row = row::required(self.one(query(HEAD)).await?, "the head of the audit trail")?;
        Ok(AuditHead { sequence: row::integer(&row, "sequence")?, hash: row::digest(&row, "hash")? })
    }

    /// Walks the whole trail and answers with its head.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] with the first entry that is missing, changed or out of place.
    pub async fn verify_audit(&mut self) -> Result<AuditHead, StoreError> {
        const STEP: i64 = 1_000;
        let broken = |error: String| StoreError::Inconsistent { detail: error };
        let mut verifier = Verifier::default();
        loop {
            let rows = self.all(query(WALK).bind(verifier.checked()).bind(STEP)).await?;
            for row in &rows {
                verifier.check(&read(row)?).map_err(|error| broken(error.to_string()))?;
            }
            if rows.is_empty() {
                break;
            }
        }
        let head = self.audit_head().await?;
        if head.sequence != verifier.checked() || head.hash != *verifier.head() {
            return Err(broken(format!("the audit trail ends at entry {}, and should end at {}", verifier.checked(), head.sequence)));
        }
        Ok(head)
    }
}

impl Write<'_> {
    /// Chains an entry behind the last one, in this transaction, and answers with its place.
    ///
    /// # Errors
    /// When it cannot be written; then the change must not happen either (promise P16).
    pub async fn append_audit(&mut self, entry: Entry) -> Result<Chained, StoreError> {
        let head = self.audit_head().await?;
        let chained = entry.chain(head.sequence + 1, head.hash);
        let entry = &chained.entry;
        let mut statement = query(APPEND).bind(chained.sequence).bind(entry.at.micros());
        for text in [
            &entry.actor_kind,
            &entry.actor_id,
            &entry.actor_name,
            &entry.credential,
            &entry.action,
            &entry.object_kind,
            &entry.object_id,
            &entry.result,
            &entry.before,
            &entry.after,
            &entry.source,
            &entry.request_id,
            &entry.operation_id,
        ] {
            statement = statement.bind(text.clone());
        }
        self.run(statement.bind(chained.previous.to_vec()).bind(chained.hash.to_vec())).await?;
        let moved = self.run(query(MOVE_HEAD).bind(chained.sequence).bind(chained.hash.to_vec()).bind(head.sequence)).await?;
        if moved == 1 { Ok(chained) } else { Err(StoreError::Inconsistent { detail: "the audit trail's head was moved".to_owned() }) }
    }
}

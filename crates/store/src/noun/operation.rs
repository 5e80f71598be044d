//! Operations: found again by their id, so that a repeated request is the same one.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::id::OperationId;
use countersign_core::operation::{Operation, OperationState};
use countersign_core::receipt::Receipt;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, state, operation_type, resource_id, resource_type, failure_reason, request_digest, started_at, finished_at, \
             receipt FROM operation ",
            $tail
        )
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    UNFINISHED = select!("WHERE state = 'in_progress' ORDER BY started_at, id");
    PUT = "INSERT INTO operation (id, state, operation_type, resource_id, resource_type, failure_reason, request_digest, started_at, \
        finished_at, receipt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    FINISH = "UPDATE operation SET state = $2, failure_reason = $3, finished_at = $4, receipt = $5 \
        WHERE id = $1 AND state = 'in_progress'";
}

fn read(row: &Row) -> Result<Operation, StoreError> {
    Ok(Operation {
        id: row::parsed(row, "id", OperationId::parse)?,
        state: row::from_word(row, "state")?,
        operation_type: row::text(row, "operation_type")?,
        resource_id: row::text(row, "resource_id")?,
        resource_type: row::text(row, "resource_type")?,
        failure_reason: row::text(row, "failure_reason")?,
        request_digest: row::digest(row, "request_digest")?,
        started_at: row::moment(row, "started_at")?,
        finished_at: row::optional_moment(row, "finished_at")?,
        receipt: row::optional_text(row, "receipt")?
            .map(|text| serde_json::from_str(&text).map_err(|error| StoreError::unreadable("receipt", error)))
            .transpose()?,
    })
}

impl Reader {
    /// One operation.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn operation(&mut self, id: &OperationId) -> Result<Option<Operation>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// Every operation that can be read and has not ended, the oldest first: what a start after a crash takes up again.
    ///
    /// # Errors
    /// As [`Reader::operation`].
    pub async fn unfinished_operations(&mut self) -> Result<Vec<Operation>, StoreError> {
        let rows = self.all(query(UNFINISHED)).await?;
        Ok(self.readable("operation", "id", &rows, read))
    }
}

impl Write<'_> {
    /// Keeps a new operation, in the transaction of the change it stands for.
    ///
    /// # Errors
    /// [`crate::Clash::Id`] when there is one of this id: ask [`Reader::operation`] first.
    pub async fn put_operation(&mut self, operation: &Operation) -> Result<(), StoreError> {
        let receipt = operation.receipt.as_ref().map(row::to_document).transpose()?;
        self.run(
            query(PUT)
                .bind(operation.id.as_str().to_owned())
                .bind(row::word(&operation.state)?)
                .bind(operation.operation_type.clone())
                .bind(operation.resource_id.clone())
                .bind(operation.resource_type.clone())
                .bind(operation.failure_reason.clone())
                .bind(operation.request_digest.to_vec())
                .bind(operation.started_at.micros())
                .bind(operation.finished_at.map(Timestamp::micros))
                .bind(receipt),
        )
        .await
        .map(|_| ())
    }

    /// Ends an operation; `false` when it has ended already or is none. `failure_reason` is empty unless it failed.
    ///
    /// # Errors
    /// [`StoreError::Rule`] when `state` is no end.
    pub async fn finish_operation(
        &mut self,
        id: &OperationId,
        state: OperationState,
        failure_reason: &str,
        receipt: Option<&Receipt>,
        finished_at: Timestamp,
    ) -> Result<bool, StoreError> {
        if state == OperationState::InProgress {
            return Err(StoreError::Rule { rule: "an operation ends fulfilled or failed".to_owned() });
        }
        let receipt = receipt.map(row::to_document).transpose()?;
        let ended = self
            .run(
                query(FINISH)
                    .bind(id.as_str().to_owned())
                    .bind(row::word(&state)?)
                    .bind(failure_reason.to_owned())
                    .bind(finished_at.micros())
                    .bind(receipt),
            )
            .await?;
        Ok(ended > 0)
    }
}

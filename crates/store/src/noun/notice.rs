//! Notices: what is due and what was sent. The primary key (credential, days, channel) is why none is sent twice.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::{NamespaceId, Timestamp};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT credential, days, channel, document, due_at, attempts, next_attempt_at, sent_at, failure FROM notice ", $tail)
    };
}

crate::statements::statements! {
    ADD = "INSERT INTO notice (credential, days, channel, document, due_at, attempts, next_attempt_at, sent_at, failure) \
        VALUES ($1, $2, $3, $4, $5, 0, $6, $7, '') ON CONFLICT (credential, days, channel) DO NOTHING";
    OPEN = select!("WHERE sent_at IS NULL AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2");
    SENT = "UPDATE notice SET sent_at = $4, attempts = attempts + 1, failure = '' WHERE credential = $1 AND days = $2 AND channel = $3";
    FAILED = "UPDATE notice SET attempts = attempts + 1, next_attempt_at = $4, failure = $5 \
        WHERE credential = $1 AND days = $2 AND channel = $3";
    // Newest first; the row values are the key of the page before.
    NEWEST = select!("WHERE (due_at, credential, days, channel) < ($1, $2, $3, $4) ORDER BY due_at DESC, credential DESC, days DESC, \
        channel DESC LIMIT $5");
    OF = select!("WHERE credential = $1 ORDER BY days DESC, channel");
    FORGET = "DELETE FROM notice WHERE due_at < $1 AND sent_at IS NOT NULL";
    DROP = "DELETE FROM notice WHERE credential = $1 AND days = $2 AND channel = $3 AND sent_at IS NULL";
    // A document is JSON: a quote inside a name is escaped there, so no name can look like this member.
    FORGET_NAMESPACE = "DELETE FROM notice WHERE document LIKE $1";
    GIVE_UP = "DELETE FROM notice WHERE credential = $1 AND sent_at IS NULL";
}

/// One notice in one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// The credential's id; `<namespace>/<fingerprint>` for an accepted client CA.
    pub credential: String,
    /// Which of the days.
    pub days: i64,
    /// `inbox`, `mail` or `webhook:<id>`.
    pub channel: String,
    /// What is said, as JSON.
    pub document: String,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// How often delivery was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
    /// When it was delivered.
    pub sent_at: Option<Timestamp>,
    /// Why the last try failed.
    pub failure: String,
}

/// Where a page of notices, newest first, goes on.
pub type NoticeKey = (Timestamp, String, i64, String);

fn read(row: &Row) -> Result<NoticeRow, StoreError> {
    Ok(NoticeRow {
        credential: row::text(row, "credential")?,
        days: row::integer(row, "days")?,
        channel: row::text(row, "channel")?,
        document: row::text(row, "document")?,
        due_at: row::moment(row, "due_at")?,
        attempts: row::integer(row, "attempts")?,
        next_attempt_at: row::moment(row, "next_attempt_at")?,
        sent_at: row::optional_moment(row, "sent_at")?,
        failure: row::text(row, "failure")?,
    })
}

impl Reader {
    /// What is to be delivered now, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn open_notices(&mut self, now: Timestamp, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
        self.all(query(OPEN).bind(now.micros()).bind(limit)).await?.iter().map(read).collect()
    }

    /// Notices of every channel, newest first, after `after`.
    ///
    /// # Errors
    /// As [`Reader::open_notices`].
    pub async fn notices(&mut self, after: Option<&NoticeKey>, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
        let (at, credential, days, channel) = after.cloned().unwrap_or((Timestamp::from_micros(i64::MAX), String::new(), 0, String::new()));
        let statement = query(NEWEST).bind(at.micros()).bind(credential).bind(days).bind(channel).bind(limit);
        self.all(statement).await?.iter().map(read).collect()
    }

    /// The notices of one credential.
    ///
    /// # Errors
    /// As [`Reader::open_notices`].
    pub async fn notices_of(&mut self, credential: &str) -> Result<Vec<NoticeRow>, StoreError> {
        self.all(query(OF).bind(credential.to_owned())).await?.iter().map(read).collect()
    }
}

impl Write<'_> {
    /// Notes that a notice is due in a channel; `false` when that was noted before. With `sent_at` it needs no delivery.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_notice(&mut self, notice: &NoticeRow) -> Result<bool, StoreError> {
        let statement = query(ADD)
            .bind(notice.credential.clone())
            .bind(notice.days)
            .bind(notice.channel.clone())
            .bind(notice.document.clone())
            .bind(notice.due_at.micros())
            .bind(notice.next_attempt_at.micros())
            .bind(notice.sent_at.map(Timestamp::micros));
        Ok(self.run(statement).await? > 0)
    }

    /// Notes a delivery.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn notice_sent(&mut self, notice: &NoticeRow, at: Timestamp) -> Result<(), StoreError> {
        let statement = query(SENT).bind(notice.credential.clone()).bind(notice.days).bind(notice.channel.clone()).bind(at.micros());
        self.run(statement).await.map(|_| ())
    }

    /// Notes a failure and when to try again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn notice_failed(&mut self, notice: &NoticeRow, again: Timestamp, failure: &str) -> Result<(), StoreError> {
        let statement = query(FAILED)
            .bind(notice.credential.clone())
            .bind(notice.days)
            .bind(notice.channel.clone())
            .bind(again.micros())
            .bind(failure.to_owned());
        self.run(statement).await.map(|_| ())
    }

    /// Takes out one notice that was not delivered and is not needed any more: a later one of its channel takes its place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_notice(&mut self, notice: &NoticeRow) -> Result<(), StoreError> {
        let statement = query(DROP).bind(notice.credential.clone()).bind(notice.days).bind(notice.channel.clone());
        self.run(statement).await.map(|_| ())
    }

    /// Takes out what was never delivered of a credential that ended, was revoked or was replaced.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_up_notices(&mut self, credential: &str) -> Result<u64, StoreError> {
        self.run(query(GIVE_UP).bind(credential.to_owned())).await
    }

    /// Takes out every notice about a namespace, its accepted CAs or credentials of accounts that are scoped to it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_notices_of_namespace(&mut self, namespace: &NamespaceId) -> Result<u64, StoreError> {
        self.change(query(FORGET_NAMESPACE).bind(format!("%\"namespace\":\"{namespace}\"%"))).await
    }

    /// Takes out delivered notices that were due before `before`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_notices(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(query(FORGET).bind(before.micros())).await
    }
}

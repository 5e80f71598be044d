//! Which API key takes which one's place, and how the use of credentials moves while they are exchanged. Certificates keep their
//! succession in their own rows. When an old one may go is the control plane's decision, not the store's.

use crate::error::StoreError;
use crate::noun::usage::UsageAdded;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::credential::certificate::Retirement;
use countersign_core::id::ApiKeyId;
use countersign_core::{Lifetime, Timestamp};

/// The microseconds of one bucket of use.
const MINUTE: i64 = 60_000_000;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT predecessor, successor, retirement, created_at FROM key_succession ", $tail)
    };
}

crate::statements::statements! {
    OF = select!("WHERE predecessor = $1");
    TO = select!("WHERE successor = $1 ORDER BY predecessor LIMIT 1");
    RETIRING = select!("WHERE retirement IS NOT NULL ORDER BY predecessor");
    PUT = "INSERT INTO key_succession (predecessor, successor, retirement, created_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (predecessor) DO UPDATE SET successor = excluded.successor, retirement = excluded.retirement, \
        created_at = excluded.created_at";
    FORGET = "DELETE FROM key_succession WHERE predecessor NOT IN (SELECT id FROM api_key)";
    // Use is kept by the minute for those alone that are being exchanged: a share is asked of no other.
    ADD = "INSERT INTO usage_minute (credential, minute, source, count) SELECT $1, $2, $3, $4 \
        WHERE EXISTS (SELECT 1 FROM key_succession WHERE predecessor = $1) OR EXISTS (SELECT 1 FROM key_succession WHERE successor = $1) \
        OR EXISTS (SELECT 1 FROM certificate WHERE id = $1 AND (replaces IS NOT NULL OR replaced_by IS NOT NULL)) \
        ON CONFLICT (credential, minute, source) DO UPDATE SET count = usage_minute.count + excluded.count";
    SINCE = "SELECT minute, source, count FROM usage_minute WHERE credential = $1 AND minute >= $2 ORDER BY minute, source";
    SWEEP = "DELETE FROM usage_minute WHERE minute < $1";
}

/// A key and the one that takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySuccession {
    /// The one that goes.
    pub predecessor: ApiKeyId,
    /// The one that comes.
    pub successor: ApiKeyId,
    /// When the old one goes by itself.
    pub retirement: Option<Retirement>,
    /// Since when there are both.
    pub created_at: Timestamp,
}

/// Use of one credential from one address within one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageMinute {
    /// The minute's begin.
    pub minute: Timestamp,
    /// The address; of requests that were counted together, the last one's.
    pub source: String,
    /// Requests let in.
    pub count: i64,
}

fn read(row: &Row) -> Result<KeySuccession, StoreError> {
    let retirement = row::optional_text(row, "retirement")?;
    Ok(KeySuccession {
        predecessor: row::parsed(row, "predecessor", ApiKeyId::parse)?,
        successor: row::parsed(row, "successor", ApiKeyId::parse)?,
        retirement: retirement
            .map(|text| serde_json::from_str(&text).map_err(|error| StoreError::unreadable("retirement", error)))
            .transpose()?,
        created_at: row::moment(row, "created_at")?,
    })
}

/// The begin of the minute that holds `at`.
const fn minute_of(at: Timestamp) -> i64 {
    at.micros().div_euclid(MINUTE) * MINUTE
}

impl Reader {
    /// The succession in which a key goes.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn key_succession_of(&mut self, predecessor: &ApiKeyId) -> Result<Option<KeySuccession>, StoreError> {
        self.one(query(OF).bind(predecessor.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The succession in which a key comes.
    ///
    /// # Errors
    /// As [`Reader::key_succession_of`].
    pub async fn key_succession_to(&mut self, successor: &ApiKeyId) -> Result<Option<KeySuccession>, StoreError> {
        self.one(query(TO).bind(successor.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Every succession whose old key goes by itself.
    ///
    /// # Errors
    /// As [`Reader::key_succession_of`].
    pub async fn key_successions_retiring(&mut self) -> Result<Vec<KeySuccession>, StoreError> {
        let rows = self.all(query(RETIRING)).await?;
        Ok(self.readable("key_succession", "predecessor", &rows, read))
    }

    /// Use of a credential that is being exchanged, from the minute that holds `from` on.
    ///
    /// # Errors
    /// As [`Reader::key_succession_of`].
    pub async fn usage_since(&mut self, credential: &str, from: Timestamp) -> Result<Vec<UsageMinute>, StoreError> {
        let rows = self.all(query(SINCE).bind(credential.to_owned()).bind(minute_of(from))).await?;
        rows.iter()
            .map(|row| {
                Ok(UsageMinute {
                    minute: row::moment(row, "minute")?,
                    source: row::text(row, "source")?,
                    count: row::integer(row, "count")?,
                })
            })
            .collect()
    }
}

impl Write<'_> {
    /// Notes that one key takes another's place, or when the old one goes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_key_succession(&mut self, succession: &KeySuccession) -> Result<(), StoreError> {
        self.run(
            query(PUT)
                .bind(succession.predecessor.as_str().to_owned())
                .bind(succession.successor.as_str().to_owned())
                .bind(succession.retirement.as_ref().map(row::to_document).transpose()?)
                .bind(succession.created_at.micros()),
        )
        .await
        .map(|_| ())
    }

    /// Adds a batch of use to the minutes it fell in, as far as it is of credentials that are being exchanged.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_usage_minutes(&mut self, batch: &[UsageAdded]) -> Result<(), StoreError> {
        for added in batch {
            self.run(
                query(ADD)
                    .bind(added.credential.clone())
                    .bind(minute_of(added.last_used_at))
                    .bind(added.last_source.clone())
                    .bind(added.count),
            )
            .await?;
        }
        Ok(())
    }

    /// Takes out successions whose old key is gone, and use that is older than `kept`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep_successions(&mut self, now: Timestamp, kept: Lifetime) -> Result<(), StoreError> {
        self.run(query(FORGET)).await?;
        self.run(query(SWEEP).bind(minute_of(now.minus(kept)))).await.map(|_| ())
    }
}

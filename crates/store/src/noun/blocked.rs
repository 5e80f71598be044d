//! What is blocked whoever asks: keys for ever, and leaves of accepted CAs that are not ours.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::identity::IdentityId;
use countersign_core::snapshot::{Change, ForeignLeaf};

crate::statements::statements! {
    KEYS = "SELECT digest FROM blocked_key";
    KEY = "SELECT digest FROM blocked_key WHERE digest = $1";
    BLOCK_KEY = "INSERT INTO blocked_key (digest, reason, created_at, blocked_by) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING";
    BLOCKED_BY = "SELECT COUNT(*) AS blocked FROM blocked_key WHERE blocked_by = $1 AND created_at > $2";
    LEAVES = "SELECT DISTINCT anchor, issuer, serial FROM blocked_leaf";
    LEAVES_OF = "SELECT anchor, issuer, serial FROM blocked_leaf WHERE anchor = $1 AND by_crl = $2 ORDER BY issuer, serial";
    BLOCK_LEAF = "INSERT INTO blocked_leaf (anchor, issuer, serial, by_crl, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (anchor, issuer, serial, by_crl) DO NOTHING";
    UNBLOCK_LEAF = "DELETE FROM blocked_leaf WHERE anchor = $1 AND issuer = $2 AND serial = $3 AND by_crl = $4";
    CRL = "SELECT number, this_update, next_update, taken_at FROM foreign_crl WHERE anchor = $1 AND issuer = $2";
    STALE = "SELECT anchor, issuer, next_update FROM foreign_crl WHERE next_update < $1";
    PUT_CRL = "INSERT INTO foreign_crl (anchor, issuer, number, this_update, next_update, taken_at) VALUES ($1, $2, $3, $4, $5, $6) \
        ON CONFLICT (anchor, issuer) DO UPDATE SET number = excluded.number, this_update = excluded.this_update, \
        next_update = excluded.next_update, taken_at = excluded.taken_at";
}

fn leaf(row: &Row) -> Result<ForeignLeaf, StoreError> {
    Ok(ForeignLeaf {
        anchor: Fingerprint::from_bytes(row::digest(row, "anchor")?),
        issuer: row::text(row, "issuer")?,
        serial: row::text(row, "serial")?,
    })
}

/// A CRL of an accepted CA that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCrlRow {
    /// Its number, hexadecimal without leading zeroes; empty when it had none.
    pub number: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one is promised.
    pub next_update: Timestamp,
    /// When it was taken in.
    pub taken_at: Timestamp,
}

impl Reader {
    /// Whether a key is blocked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_key_blocked(&mut self, key: &Fingerprint) -> Result<bool, StoreError> {
        Ok(self.one(query(KEY).bind(key.as_bytes().to_vec())).await?.is_some())
    }

    /// How many keys an identity had blocked after `since` without an admin's right.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_blocked_by(&mut self, by: &IdentityId, since: Timestamp) -> Result<usize, StoreError> {
        let row = self.one(query(BLOCKED_BY).bind(by.as_str().to_owned()).bind(since.micros())).await?;
        row.map_or(Ok(0), |row| row::integer(&row, "blocked").map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// The leaves of one accepted CA that are blocked, by its CRL or by an admin.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn blocked_leaves(&mut self, anchor: &Fingerprint, by_crl: bool) -> Result<Vec<ForeignLeaf>, StoreError> {
        self.all(query(LEAVES_OF).bind(anchor.as_bytes().to_vec()).bind(by_crl)).await?.iter().map(leaf).collect()
    }

    /// The CRL of an accepted CA's issuer that was taken in last.
    ///
    /// # Errors
    /// As [`Reader::blocked_leaves`].
    pub async fn foreign_crl(&mut self, anchor: &Fingerprint, issuer: &str) -> Result<Option<ForeignCrlRow>, StoreError> {
        let row = self.one(query(CRL).bind(anchor.as_bytes().to_vec()).bind(issuer.to_owned())).await?;
        row.map(|row| {
            Ok(ForeignCrlRow {
                number: row::text(&row, "number")?,
                this_update: row::moment(&row, "this_update")?,
                next_update: row::moment(&row, "next_update")?,
                taken_at: row::moment(&row, "taken_at")?,
            })
        })
        .transpose()
    }

    /// The revocation lists whose promised successor has not come by `now`: anchor, issuer, and for when it was promised.
    ///
    /// # Errors
    /// As [`Reader::blocked_leaves`].
    pub async fn stale_crls(&mut self, now: Timestamp) -> Result<Vec<(Fingerprint, String, Timestamp)>, StoreError> {
        let rows = self.all(query(STALE).bind(now.micros())).await?;
        rows.iter()
            .map(|row| {
                let anchor = Fingerprint::from_bytes(row::digest(row, "anchor")?);
                Ok((anchor, row::text(row, "issuer")?, row::moment(row, "next_update")?))
            })
            .collect()
    }

    /// What the gateways are told of it.
    pub(crate) async fn blocked(&mut self) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for row in &self.all(query(KEYS)).await? {
            changes.push(Change::BlockKey(Fingerprint::from_bytes(row::digest(row, "digest")?)));
        }
        for row in &self.all(query(LEAVES)).await? {
            changes.push(Change::BlockLeaf(leaf(row)?));
        }
        Ok(changes)
    }
}

impl Write<'_> {
    /// Blocks a key for ever; `false` when it is blocked already. `by` is who had it blocked without an admin's right.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn block_key(&mut self, key: &Fingerprint, reason: &str, by: Option<&IdentityId>, at: Timestamp) -> Result<bool, StoreError> {
        let by = by.map(|by| by.as_str().to_owned());
        let statement = query(BLOCK_KEY).bind(key.as_bytes().to_vec()).bind(reason.to_owned()).bind(at.micros()).bind(by);
        Ok(self.change(statement).await? > 0)
    }

    /// Blocks a leaf of an accepted CA; `false` when it is blocked that way already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn block_leaf(&mut self, leaf: &ForeignLeaf, by_crl: bool, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
        let statement = query(BLOCK_LEAF)
            .bind(leaf.anchor.as_bytes().to_vec())
            .bind(leaf.issuer.clone())
            .bind(leaf.serial.clone())
            .bind(by_crl)
            .bind(reason.to_owned())
            .bind(at.micros());
        Ok(self.change(statement).await? > 0)
    }

    /// Takes one of the two blocks off a leaf; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unblock_leaf(&mut self, leaf: &ForeignLeaf, by_crl: bool) -> Result<bool, StoreError> {
        let statement =
            query(UNBLOCK_LEAF).bind(leaf.anchor.as_bytes().to_vec()).bind(leaf.issuer.clone()).bind(leaf.serial.clone()).bind(by_crl);
        Ok(self.change(statement).await? > 0)
    }

    /// Notes which CRL was taken in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_foreign_crl(&mut self, anchor: &Fingerprint, issuer: &str, crl: &ForeignCrlRow) -> Result<(), StoreError> {
        self.run(
            query(PUT_CRL)
                .bind(anchor.as_bytes().to_vec())
                .bind(issuer.to_owned())
                .bind(crl.number.clone())
                .bind(crl.this_update.micros())
                .bind(crl.next_update.micros())
                .bind(crl.taken_at.micros()),
        )
        .await
        .map(|_| ())
    }
}

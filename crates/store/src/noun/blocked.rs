//! What is blocked whoever asks: keys permanently, and leaves of accepted CAs that were not issued here.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::identity::IdentityId;
use countersign_core::name::NamespaceId;
use countersign_core::snapshot::{BlockedLeaf, Change, LeafSelector};

crate::statements::statements! {
    KEYS = "SELECT digest FROM blocked_key";
    KEY = "SELECT digest FROM blocked_key WHERE digest = $1";
    BLOCK_KEY = "INSERT INTO blocked_key (digest, reason, created_at, blocked_by) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING";
    BLOCKED_BY = "SELECT COUNT(*) AS blocked FROM blocked_key WHERE blocked_by = $1 AND created_at > $2";
    LEAVES = "SELECT DISTINCT namespace, selector, digest, serial FROM revoked_leaf";
    LEAVES_OF = "SELECT namespace, selector, digest, issuer, serial, ca_name, point FROM revoked_leaf WHERE ca_key = $1 AND by_crl = $2 \
        ORDER BY serial, namespace, selector";
    LEAVES_OF_SERIAL = "SELECT namespace, selector, digest, issuer, serial, ca_name, point FROM revoked_leaf \
        WHERE ca_key = $1 AND by_crl = $2 AND serial = $3 ORDER BY namespace, selector";
    REVOKE_LEAF = "INSERT INTO revoked_leaf (namespace, selector, digest, ca_key, ca_name, point, issuer, serial, by_crl, reason, \
        created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (namespace, selector, digest, ca_name, point, serial, by_crl) DO NOTHING";
    RESTORE_LEAF = "DELETE FROM revoked_leaf WHERE namespace = $1 AND selector = $2 AND digest = $3 AND ca_name = $4 AND point = $5 \
        AND serial = $6 AND by_crl = $7";
    STILL = "SELECT namespace FROM revoked_leaf WHERE namespace = $1 AND selector = $2 AND digest = $3 \
        AND (serial = $4 OR selector <> 'serial') LIMIT 1";
    FORGET_NAMESPACE = "DELETE FROM revoked_leaf WHERE namespace = $1";
    NAMESPACE_LEAVES = "SELECT DISTINCT namespace, selector, digest, serial FROM revoked_leaf WHERE namespace = $1";
    OLD_LEAVES = "SELECT DISTINCT issuer, serial FROM blocked_leaf";
    OLD_LEAF_ROWS = "SELECT anchor, issuer, serial, by_crl, reason, created_at FROM blocked_leaf";
    OLD_LEAVES_OF = "SELECT anchor, issuer, serial, by_crl, reason, created_at FROM blocked_leaf WHERE issuer = $1";
    OLD_STILL = "SELECT anchor FROM blocked_leaf WHERE issuer = $1 AND serial = $2 LIMIT 1";
    DROP_OLD_LEAF = "DELETE FROM blocked_leaf WHERE anchor = $1 AND issuer = $2 AND serial = $3 AND by_crl = $4";
    OLD_CRLS = "SELECT anchor, issuer, number, this_update, next_update, taken_at FROM foreign_crl";
    DROP_OLD_CRLS = "DELETE FROM foreign_crl";
    CRLS = "SELECT ca_name, point, issuer, number, this_update, next_update, taken_at FROM applied_crl WHERE ca_key = $1 \
        ORDER BY taken_at DESC, point";
    STALE = "SELECT ca_key, ca_name, next_update FROM applied_crl one WHERE next_update < $1 AND taken_at = \
        (SELECT MAX(taken_at) FROM applied_crl other WHERE other.ca_key = one.ca_key AND other.ca_name = one.ca_name)";
    DROP_CRL = "DELETE FROM applied_crl WHERE ca_key = $1 AND ca_name = $2 AND point = $3";
    PUT_CRL = "INSERT INTO applied_crl (ca_key, ca_name, point, issuer, number, this_update, next_update, taken_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (ca_key, ca_name, point) DO UPDATE SET number = excluded.number, this_update = excluded.this_update, \
        next_update = excluded.next_update, taken_at = excluded.taken_at";
    FORGET_NUMBER = "UPDATE applied_crl SET number = '' WHERE ca_key = $1 AND ca_name = $2 AND number <> ''";
}

/// A CA by what makes it the same CA in every certificate of its: SHA-256 of its SubjectPublicKeyInfo, and of its name in the canonical
/// form of RFC 5280 section 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaId {
    /// Its public key.
    pub key: Fingerprint,
    /// Its name.
    pub name: Fingerprint,
}

/// One block of a leaf, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedLeafRow {
    /// Where, and which.
    pub block: BlockedLeaf,
    /// The CA under which it was revoked.
    pub ca: CaId,
    /// The distribution point whose CRL says so; empty for a list that covers all certificates of its CA, and for an admin.
    pub point: String,
    /// The leaf's issuer in RFC 4514 form, for people.
    pub issuer: String,
    /// The leaf's serial number, lower-case hexadecimal.
    pub serial: String,
    /// Whether a CRL says so, and no admin.
    pub by_crl: bool,
}

/// A block of a version that knew a leaf by the accepted CA at the end of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldBlock {
    /// SHA-256 of that CA's certificate.
    pub anchor: Fingerprint,
    /// The leaf's issuer in RFC 4514 form.
    pub issuer: String,
    /// Its serial number.
    pub serial: String,
    /// Whether a CRL said so.
    pub by_crl: bool,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
}

impl OldBlock {
    /// What gateways are told of it.
    pub fn block(&self) -> BlockedLeaf {
        BlockedLeaf { namespace: None, leaf: LeafSelector::Named { issuer: self.issuer.clone(), serial: self.serial.clone() } }
    }
}

fn old(row: &Row) -> Result<OldBlock, StoreError> {
    Ok(OldBlock {
        anchor: Fingerprint::from_bytes(row::digest(row, "anchor")?),
        issuer: row::text(row, "issuer")?,
        serial: row::text(row, "serial")?,
        by_crl: row::flag(row, "by_crl")?,
        reason: row::text(row, "reason")?,
        created_at: row::moment(row, "created_at")?,
    })
}

fn print(row: &Row, column: &str) -> Result<Fingerprint, StoreError> {
    row::digest(row, column).map(Fingerprint::from_bytes)
}

fn block(row: &Row) -> Result<BlockedLeaf, StoreError> {
    let namespace = match row::text(row, "namespace")?.is_empty() {
        true => None,
        false => Some(row::parsed(row, "namespace", NamespaceId::parse)?),
    };
    let (digest, serial) = (print(row, "digest")?, row::text(row, "serial")?);
    let leaf = row::parsed(row, "selector", |selector| match selector {
        "content" => Ok(LeafSelector::Content(digest)),
        "serial" => Ok(LeafSelector::Serial { issuer_key: digest, serial }),
        "key" => Ok(LeafSelector::Key(digest)),
        other => Err(format!("`{other}` selects no leaf")),
    })?;
    Ok(BlockedLeaf { namespace, leaf })
}

/// Namespace, selector and digest, as columns; `None` for a block that only an older version makes.
fn columns(block: &BlockedLeaf) -> Option<(String, &'static str, Vec<u8>)> {
    let namespace = block.namespace.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default();
    let (selector, digest) = match &block.leaf {
        LeafSelector::Content(digest) => ("content", digest),
        LeafSelector::Serial { issuer_key, .. } => ("serial", issuer_key),
        LeafSelector::Key(digest) => ("key", digest),
        LeafSelector::Named { .. } => return None,
    };
    Some((namespace, selector, digest.as_bytes().to_vec()))
}

/// A CRL of an accepted CA that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCrlRow {
    /// The distribution point whose certificates it covers, as a digest; empty where it covers all of its CA.
    pub point: String,
    /// Its number, hexadecimal without leading zeroes; empty when none is remembered.
    pub number: String,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one is promised.
    pub next_update: Timestamp,
    /// When it was taken in.
    pub taken_at: Timestamp,
}

fn crl(row: &Row, point: String) -> Result<ForeignCrlRow, StoreError> {
    Ok(ForeignCrlRow {
        point,
        number: row::text(row, "number")?,
        this_update: row::moment(row, "this_update")?,
        next_update: row::moment(row, "next_update")?,
        taken_at: row::moment(row, "taken_at")?,
    })
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

    /// The leaves of the CAs with one key that are blocked, by their CRL or by an admin; of one serial number where that is given.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn revoked_leaves(
        &mut self,
        ca_key: &Fingerprint,
        by_crl: bool,
        serial: Option<&str>,
    ) -> Result<Vec<RevokedLeafRow>, StoreError> {
        let statement = query(if serial.is_some() { LEAVES_OF_SERIAL } else { LEAVES_OF }).bind(ca_key.as_bytes().to_vec()).bind(by_crl);
        let statement = match serial {
            Some(serial) => statement.bind(serial.to_owned()),
            None => statement,
        };
        let rows = self.all(statement).await?;
        rows.iter()
            .map(|row| {
                Ok(RevokedLeafRow {
                    block: block(row)?,
                    ca: CaId { key: *ca_key, name: print(row, "ca_name")? },
                    point: row::text(row, "point")?,
                    issuer: row::text(row, "issuer")?,
                    serial: row::text(row, "serial")?,
                    by_crl,
                })
            })
            .collect()
    }

    /// Whether anything still demands a block: another CA's CRL, an admin beside a CRL, or an older version's row.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_leaf_revoked(&mut self, block: &BlockedLeaf, serial: &str) -> Result<bool, StoreError> {
        if let LeafSelector::Named { issuer, serial } = &block.leaf {
            return Ok(self.one(query(OLD_STILL).bind(issuer.clone()).bind(serial.clone())).await?.is_some());
        }
        let Some((namespace, selector, digest)) = columns(block) else { return Ok(false) };
        let statement = query(STILL).bind(namespace).bind(selector.to_owned()).bind(digest).bind(serial.to_owned());
        Ok(self.one(statement).await?.is_some())
    }

    /// What is kept out of one namespace only.
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn leaves_revoked_in(&mut self, namespace: &NamespaceId) -> Result<Vec<BlockedLeaf>, StoreError> {
        self.all(query(NAMESPACE_LEAVES).bind(namespace.as_str().to_owned())).await?.iter().map(block).collect()
    }

    /// Blocks of an older version, all or those of leaves whose issuer has this name (RFC 4514).
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn old_blocks(&mut self, issuer: Option<&str>) -> Result<Vec<OldBlock>, StoreError> {
        let statement = match issuer {
            Some(issuer) => query(OLD_LEAVES_OF).bind(issuer.to_owned()),
            None => query(OLD_LEAF_ROWS),
        };
        self.all(statement).await?.iter().map(old).collect()
    }

    /// CRLs that an older version took in: the accepted CA, the issuer, and the list.
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn old_crls(&mut self) -> Result<Vec<(Fingerprint, String, ForeignCrlRow)>, StoreError> {
        let rows = self.all(query(OLD_CRLS)).await?;
        rows.iter().map(|row| Ok((print(row, "anchor")?, row::text(row, "issuer")?, crl(row, String::new())?))).collect()
    }

    /// The CRLs of the CAs with one key, with the name of each, the one that was taken in last first.
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn foreign_crls(&mut self, ca_key: &Fingerprint) -> Result<Vec<(CaId, String, ForeignCrlRow)>, StoreError> {
        let rows = self.all(query(CRLS).bind(ca_key.as_bytes().to_vec())).await?;
        rows.iter()
            .map(|row| {
                let id = CaId { key: *ca_key, name: print(row, "ca_name")? };
                Ok((id, row::text(row, "issuer")?, crl(row, row::text(row, "point")?)?))
            })
            .collect()
    }

    /// The CRLs of one CA: one, or one for each of its distribution points. The one that was taken in last is the first.
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn foreign_crls_of(&mut self, ca: &CaId) -> Result<Vec<ForeignCrlRow>, StoreError> {
        Ok(self.foreign_crls(&ca.key).await?.into_iter().filter(|(id, ..)| id == ca).map(|(.., crl)| crl).collect())
    }

    /// The CRLs whose promised successor has not come by `now`, and for when it was promised.
    ///
    /// # Errors
    /// As [`Reader::revoked_leaves`].
    pub async fn stale_crls(&mut self, now: Timestamp) -> Result<Vec<(CaId, Timestamp)>, StoreError> {
        let rows = self.all(query(STALE).bind(now.micros())).await?;
        rows.iter()
            .map(|row| Ok((CaId { key: print(row, "ca_key")?, name: print(row, "ca_name")? }, row::moment(row, "next_update")?)))
            .collect()
    }

    /// What the gateways are told of it.
    pub(crate) async fn blocked(&mut self) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for row in &self.all(query(KEYS)).await? {
            changes.push(Change::BlockKey(print(row, "digest")?));
        }
        for row in &self.all(query(LEAVES)).await? {
            changes.push(Change::BlockLeaf(block(row)?));
        }
        for row in &self.all(query(OLD_LEAVES)).await? {
            let leaf = LeafSelector::Named { issuer: row::text(row, "issuer")?, serial: row::text(row, "serial")? };
            changes.push(Change::BlockLeaf(BlockedLeaf { namespace: None, leaf }));
        }
        Ok(changes)
    }
}

impl Write<'_> {
    /// Blocks a key permanently; `false` when it is blocked already. `by` is who had it blocked without an admin's right.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn block_key(&mut self, key: &Fingerprint, reason: &str, by: Option<&IdentityId>, at: Timestamp) -> Result<bool, StoreError> {
        let by = by.map(|by| by.as_str().to_owned());
        let statement = query(BLOCK_KEY).bind(key.as_bytes().to_vec()).bind(reason.to_owned()).bind(at.micros()).bind(by);
        Ok(self.change(statement).await? > 0)
    }

    /// Blocks a leaf of an accepted CA; `false` when it is blocked that way already, or by its issuer's name, which only an older
    /// version does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_leaf(&mut self, leaf: &RevokedLeafRow, reason: &str, at: Timestamp) -> Result<bool, StoreError> {
        let Some((namespace, selector, digest)) = columns(&leaf.block) else { return Ok(false) };
        let statement = query(REVOKE_LEAF)
            .bind(namespace)
            .bind(selector.to_owned())
            .bind(digest)
            .bind(leaf.ca.key.as_bytes().to_vec())
            .bind(leaf.ca.name.as_bytes().to_vec())
            .bind(leaf.point.clone())
            .bind(leaf.issuer.clone())
            .bind(leaf.serial.clone())
            .bind(leaf.by_crl)
            .bind(reason.to_owned())
            .bind(at.micros());
        Ok(self.change(statement).await? > 0)
    }

    /// Takes one block off a leaf; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn restore_leaf(&mut self, leaf: &RevokedLeafRow) -> Result<bool, StoreError> {
        let Some((namespace, selector, digest)) = columns(&leaf.block) else { return Ok(false) };
        let statement = query(RESTORE_LEAF)
            .bind(namespace)
            .bind(selector.to_owned())
            .bind(digest)
            .bind(leaf.ca.name.as_bytes().to_vec())
            .bind(leaf.point.clone())
            .bind(leaf.serial.clone())
            .bind(leaf.by_crl);
        Ok(self.change(statement).await? > 0)
    }

    /// Removes what was kept out of one namespace only.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_leaves_revoked_in(&mut self, namespace: &NamespaceId) -> Result<(), StoreError> {
        self.run(query(FORGET_NAMESPACE).bind(namespace.as_str().to_owned())).await.map(|_| ())
    }

    /// Removes a block of an older version, once another took its place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_old_block(&mut self, block: &OldBlock) -> Result<(), StoreError> {
        let statement = query(DROP_OLD_LEAF)
            .bind(block.anchor.as_bytes().to_vec())
            .bind(block.issuer.clone())
            .bind(block.serial.clone())
            .bind(block.by_crl);
        self.run(statement).await.map(|_| ())
    }

    /// Removes the CRLs of an older version, once they were taken over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_old_crls(&mut self) -> Result<(), StoreError> {
        self.run(query(DROP_OLD_CRLS)).await.map(|_| ())
    }

    /// Notes which CRL was taken in. `issuer` is the CA's name for people.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_foreign_crl(&mut self, ca: &CaId, issuer: &str, crl: &ForeignCrlRow) -> Result<(), StoreError> {
        self.run(
            query(PUT_CRL)
                .bind(ca.key.as_bytes().to_vec())
                .bind(ca.name.as_bytes().to_vec())
                .bind(crl.point.clone())
                .bind(issuer.to_owned())
                .bind(crl.number.clone())
                .bind(crl.this_update.micros())
                .bind(crl.next_update.micros())
                .bind(crl.taken_at.micros()),
        )
        .await
        .map(|_| ())
    }

    /// Removes a CRL of a CA; what it revoked is not touched.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_foreign_crl(&mut self, ca: &CaId, point: &str) -> Result<(), StoreError> {
        let statement = query(DROP_CRL).bind(ca.key.as_bytes().to_vec()).bind(ca.name.as_bytes().to_vec()).bind(point.to_owned());
        self.run(statement).await.map(|_| ())
    }

    /// Forgets the number of a CA's last CRL: no namespace accepts the CA any more. The date stays, so that an older list does not
    /// bring back what a newer one revoked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_crl_number(&mut self, ca: &CaId) -> Result<(), StoreError> {
        let statement = query(FORGET_NUMBER).bind(ca.key.as_bytes().to_vec()).bind(ca.name.as_bytes().to_vec());
        self.run(statement).await.map(|_| ())
    }
}

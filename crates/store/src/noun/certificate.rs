//! Registered certificates. They are never taken out: a fingerprint that was revoked stays known, and revoked.

use crate::error::StoreError;
use crate::page::{CertificateSelection, Page};
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Passing, Row, query};
use countersign_core::IdentityId;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::{Certificate, CertificateFacts, Fingerprint, RevocationReason};
use countersign_core::id::{CertificateId, IssuerId};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, fingerprint, der, facts, owner_id, alias, apis, status, revoked_at, reason, issuer_id, proven, vouched, \
             ended_by_admin, replaces, replaced_by, retirement, resource_version, created_at, modified_at FROM certificate ",
            $tail
        )
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_FINGERPRINT = select!("WHERE fingerprint = $1");
    OF_OWNER = select!("WHERE owner_id = $1 ORDER BY id");
    PAGE = select!("WHERE id > $1 AND ($3 = '' OR status = $3) ORDER BY id LIMIT $2");
    PAGE_OF_OWNER = select!("WHERE id > $1 AND ($3 = '' OR status = $3) AND owner_id = $4 ORDER BY id LIMIT $2");
    // In no order: one by the id would be had from an index of the owner alone, and all he has be read.
    OF_NAME = select!("WHERE owner_id = $1 AND name_digest = $2 AND status <> 'revoked'");
    OF_LOOK = select!("WHERE owner_id = $1 AND look_digest = $2 AND name_digest <> $3 AND status <> 'revoked'");
    WITHOUT_LOOK = "SELECT id, der FROM certificate WHERE look_digest IS NULL ORDER BY id LIMIT $1";
    FILL_LOOK = "UPDATE certificate SET look_digest = $2 WHERE id = $1";
    ACTIVE_OF = "SELECT COUNT(*) AS active FROM certificate WHERE owner_id = $1 AND status = 'active' AND not_after >= $2";
    OF_KEY = select!("WHERE key_digest = $1 ORDER BY id");
    BY_SERIAL = select!("WHERE issuer_id = $1 AND serial = $2");
    FOREIGN_SERIAL = select!("WHERE issuer_id IS NULL AND serial = $1 ORDER BY id");
    FORGET = "DELETE FROM certificate WHERE id = $1 AND NOT proven AND NOT ended_by_admin";
    REVOKED = "SELECT serial, revoked_at, reason, not_after FROM certificate WHERE issuer_id = $1 AND status <> 'active' \
        AND serial > $2 ORDER BY serial LIMIT $3";
    REPLACING = select!("WHERE replaces = $1 ORDER BY id");
    DERS = "SELECT id, der FROM certificate WHERE id > $1 ORDER BY id LIMIT $2";
    ENDING = select!("WHERE status = 'active' AND not_after >= $1 AND not_after < $2 AND id > $3 ORDER BY id LIMIT $4");
    // In the order of its index, so that no others are read than those that were replaced.
    FIRST_END = "SELECT not_after FROM certificate WHERE status = 'active' AND not_after > $1 AND replaced_by IS NULL \
        ORDER BY not_after LIMIT 1";
    REPLACED = select!("WHERE status = 'active' AND replaced_by IS NOT NULL AND retirement IS NOT NULL ORDER BY id");
    // Rows of before have no issuer and no serial, which an index finds: a start must not read a million others for it.
    WITHOUT_DIGESTS = select!("WHERE issuer_id IS NULL AND serial = '' AND name_digest IS NULL ORDER BY id LIMIT 1000");
    FILL = "UPDATE certificate SET facts = $2, serial = $3, key_digest = $4, name_digest = $5, not_after = $6, look_digest = $7 \
        WHERE id = $1";
    // What a registration is of, and that it was revoked, never change back.
    PUT = "INSERT INTO certificate (id, fingerprint, der, facts, owner_kind, owner_id, alias, apis, status, revoked_at, reason, issuer_id, \
        serial, key_digest, name_digest, not_after, proven, replaces, replaced_by, retirement, resource_version, created_at, modified_at, \
        look_digest, vouched, ended_by_admin) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26) \
        ON CONFLICT (id) DO UPDATE SET alias = excluded.alias, apis = excluded.apis, status = excluded.status, \
        revoked_at = excluded.revoked_at, reason = excluded.reason, proven = excluded.proven, vouched = excluded.vouched, \
        ended_by_admin = excluded.ended_by_admin, replaces = excluded.replaces, \
        replaced_by = excluded.replaced_by, retirement = excluded.retirement, resource_version = excluded.resource_version, \
        modified_at = excluded.modified_at \
        WHERE certificate.resource_version = excluded.resource_version - 1 AND certificate.fingerprint = excluded.fingerprint \
        AND certificate.owner_id = excluded.owner_id AND (certificate.status <> 'revoked' OR excluded.status = 'revoked')";
}

fn optional<T, E: std::fmt::Display>(row: &Row, column: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, StoreError> {
    row::optional_text(row, column)?.map(|text| parse(&text).map_err(|error| StoreError::unreadable(column, error))).transpose()
}

fn read(row: &Row) -> Result<Certificate, StoreError> {
    Ok(Certificate {
        id: row::parsed(row, "id", CertificateId::parse)?,
        fingerprint: Fingerprint::from_bytes(row::digest(row, "fingerprint")?),
        der: row::bytes(row, "der")?,
        facts: row::document(row, "facts")?,
        owner: row::identity(row, "owner_id")?,
        alias: row::text(row, "alias")?,
        apis: row::document(row, "apis")?,
        status: row::from_word(row, "status")?,
        revoked_at: row::optional_moment(row, "revoked_at")?,
        reason: optional(row, "reason", |text| RevocationReason::parse(text).ok_or("it is no reason"))?,
        issuer: optional(row, "issuer_id", IssuerId::parse)?,
        proven: row::flag(row, "proven")?,
        vouched: row::flag(row, "vouched")?,
        ended_by_admin: row::flag(row, "ended_by_admin")?,
        replaces: optional(row, "replaces", CertificateId::parse)?,
        replaced_by: optional(row, "replaced_by", CertificateId::parse)?,
        retirement: optional(row, "retirement", |text| serde_json::from_str(text))?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

/// A line of a CRL as nearly all are; whatever is otherwise is read by [`read_revoked`], which says what is wrong. A list has a million.
fn usual_revoked(row: &Passing<'_>) -> Option<RevokedRow> {
    Some(RevokedRow {
        serial: row.text(0)?.to_owned(),
        revoked_at: Timestamp::from_micros(row.integer(1)?),
        reason: RevocationReason::parse(row.text(2)?)?,
        not_after: Timestamp::from_micros(row.integer(3)?),
    })
}

fn read_revoked(row: &Row) -> Result<RevokedRow, StoreError> {
    let reason = optional(row, "reason", |text| RevocationReason::parse(text).ok_or("it is no reason"))?;
    Ok(RevokedRow {
        serial: row::text(row, "serial")?,
        revoked_at: row::moment(row, "revoked_at")?,
        reason: reason.unwrap_or(RevocationReason::Unspecified),
        not_after: row::moment(row, "not_after")?,
    })
}

impl Reader {
    /// One registered certificate.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn certificate(&mut self, id: &CertificateId) -> Result<Option<Certificate>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// The registered certificate of this fingerprint, revoked ones included.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificate_by_fingerprint(&mut self, fingerprint: &Fingerprint) -> Result<Option<Certificate>, StoreError> {
        self.one(query(BY_FINGERPRINT).bind(fingerprint.as_bytes().to_vec())).await?.as_ref().map(read).transpose()
    }

    /// Registered certificates that pass the selection, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates(&mut self, selection: &CertificateSelection, page: &Page) -> Result<Vec<Certificate>, StoreError> {
        let status = selection.status.as_ref().map(row::word).transpose()?.unwrap_or_default();
        let statement = |after: String, limit: i64| {
            let statement =
                query(if selection.owner.is_some() { PAGE_OF_OWNER } else { PAGE }).bind(after).bind(limit).bind(status.clone());
            match &selection.owner {
                Some(owner) => statement.bind(owner.as_str()),
                None => statement,
            }
        };
        self.page_of("certificate", "id", page, statement, read).await
    }

    /// Every registered certificate of an identity, revoked ones included, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_of(&mut self, owner: &IdentityId) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(OF_OWNER).bind(owner.as_str())).await?.iter().map(read).collect()
    }
}

/// One line of a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedRow {
    /// The serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// When it would have ended.
    pub not_after: Timestamp,
}

impl Reader {
    /// An owner's certificates of this subject that are not revoked (research/pki.md B4).
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_of_name(&mut self, owner: &IdentityId, name: &Fingerprint) -> Result<Vec<Certificate>, StoreError> {
        let statement = query(OF_NAME).bind(owner.as_str().to_owned()).bind(name.as_bytes().to_vec());
        self.all(statement).await?.iter().map(read).collect()
    }

    /// An owner's certificates that are not revoked and whose subject looks like this and is another one.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_of_look(
        &mut self,
        owner: &IdentityId,
        look: &Fingerprint,
        but: &Fingerprint,
    ) -> Result<Vec<Certificate>, StoreError> {
        let statement = query(OF_LOOK).bind(owner.as_str().to_owned()).bind(look.as_bytes().to_vec()).bind(but.as_bytes().to_vec());
        self.all(statement).await?.iter().map(read).collect()
    }

    /// How many active certificates an owner has that have not ended at `now`. Asked inside the writing transaction, the answer cannot
    /// be outrun.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn count_active_certificates(&mut self, owner: &IdentityId, now: Timestamp) -> Result<usize, StoreError> {
        let row = self.one(query(ACTIVE_OF).bind(owner.as_str().to_owned()).bind(now.micros())).await?;
        row::count(&row::required(row, "the number of certificates")?, "active")
    }

    /// Id and DER of up to `limit` certificates that were kept before what their names look like was.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_without_look(&mut self, limit: usize) -> Result<Vec<(CertificateId, Vec<u8>)>, StoreError> {
        let rows = self.all(query(WITHOUT_LOOK).bind(i64::try_from(limit).unwrap_or(i64::MAX))).await?;
        rows.iter().map(|row| Ok((row::parsed(row, "id", CertificateId::parse)?, row::bytes(row, "der")?))).collect()
    }

    /// Every certificate that carries this key, revoked ones included.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_of_key(&mut self, key: &Fingerprint) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(OF_KEY).bind(key.as_bytes().to_vec())).await?.iter().map(read).collect()
    }

    /// The certificate of this serial number that an issuer of ours signed.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificate_by_serial(&mut self, issuer: &IssuerId, serial: &str) -> Result<Option<Certificate>, StoreError> {
        let statement = query(BY_SERIAL).bind(issuer.as_str().to_owned()).bind(serial.to_owned());
        self.one(statement).await?.as_ref().map(read).transpose()
    }

    /// Registered certificates of this serial number that other CAs signed, whichever those are.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn foreign_certificates_by_serial(&mut self, serial: &str) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(FOREIGN_SERIAL).bind(serial.to_owned())).await?.iter().map(read).collect()
    }

    /// What stands on an issuer's CRL, ascending by serial; the page's key is the serial.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn revoked_of(&mut self, issuer: &IssuerId, page: &Page) -> Result<Vec<RevokedRow>, StoreError> {
        let mut found = Vec::new();
        self.pass(&query(REVOKED).bind(issuer.as_str().to_owned()).bind(page.after()).bind(page.limit()), |row| {
            found.push(match usual_revoked(row) {
                Some(revoked) => revoked,
                None => read_revoked(&row.kept()?)?,
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Every certificate's id and DER, ascending by id from after `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_der(&mut self, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.all(query(DERS).bind(after.to_owned()).bind(limit)).await?;
        rows.iter().map(|row| Ok((row::text(row, "id")?, row::bytes(row, "der")?))).collect()
    }

    /// Every certificate that took the place of this one; several, where the first of them was revoked.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_replacing(&mut self, id: &CertificateId) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(REPLACING).bind(id.as_str().to_owned())).await?.iter().map(read).collect()
    }

    /// Active certificates that end from `from` on and before `to`, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_ending(&mut self, from: Timestamp, to: Timestamp, page: &Page) -> Result<Vec<Certificate>, StoreError> {
        let statement = |after: String, limit: i64| query(ENDING).bind(from.micros()).bind(to.micros()).bind(after).bind(limit);
        self.page_of("certificate", "id", page, statement, read).await
    }

    /// The earliest end after `now` of an active certificate that nothing replaces.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn first_certificate_end(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.one(query(FIRST_END).bind(now.micros())).await?.as_ref().map(|row| row::moment(row, "not_after")).transpose()
    }

    /// Active certificates that were replaced and are to go by themselves, or to be shown as safe to revoke.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_replaced(&mut self) -> Result<Vec<Certificate>, StoreError> {
        let rows = self.all(query(REPLACED)).await?;
        Ok(self.readable("certificate", "id", &rows, read))
    }

    /// Up to a thousand certificates that were kept before their digests were.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_without_digests(&mut self) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(WITHOUT_DIGESTS)).await?.iter().map(read).collect()
    }
}

impl Write<'_> {
    /// Fills in what was not kept before: facts with their digests.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fill_certificate(&mut self, id: &CertificateId, facts: &CertificateFacts) -> Result<(), StoreError> {
        self.run(
            query(FILL)
                .bind(id.as_str().to_owned())
                .bind(row::to_document(facts)?)
                .bind(facts.serial.clone())
                .bind(facts.key.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default())
                .bind(facts.name.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default())
                .bind(facts.not_after.micros())
                .bind(facts.look.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default()),
        )
        .await
        .map(|_| ())
    }

    /// Fills in what a name looks like; without one, that it looks like none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fill_look(&mut self, id: &CertificateId, look: Option<&Fingerprint>) -> Result<(), StoreError> {
        let look = look.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
        self.run(query(FILL_LOOK).bind(id.as_str().to_owned()).bind(look)).await.map(|_| ())
    }

    /// Takes out a registration of which nobody proved to hold the key; `false` when there is none, it was proved, or an admin ended it.
    /// The one way out for a registered certificate: who does hold the key, or an admin, takes its place.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_unproven_certificate(&mut self, id: &CertificateId) -> Result<bool, StoreError> {
        Ok(self.change(query(FORGET).bind(id.as_str().to_owned())).await? > 0)
    }

    /// Registers a certificate, or changes a registration. Fingerprint and owner never change, and a revoked one stays revoked.
    ///
    /// # Errors
    /// [`crate::Clash::CertificateFingerprint`], [`crate::Clash::ResourceVersion`].
    pub async fn put_certificate(&mut self, certificate: &Certificate) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(certificate.id.as_str().to_owned())
                .bind(certificate.fingerprint.as_bytes().to_vec())
                .bind(certificate.der.clone())
                .bind(row::to_document(&certificate.facts)?)
                .bind(certificate.owner.kind())
                .bind(certificate.owner.as_str().to_owned())
                .bind(certificate.alias.clone())
                .bind(row::to_document(&certificate.apis)?)
                .bind(row::word(&certificate.status)?)
                .bind(certificate.revoked_at.map(Timestamp::micros))
                .bind(certificate.reason.map(RevocationReason::as_str))
                .bind(certificate.issuer.as_ref().map(|id| id.as_str().to_owned()))
                .bind(certificate.facts.serial.clone())
                .bind(certificate.facts.key.map(|digest| digest.as_bytes().to_vec()))
                .bind(certificate.facts.name.map(|digest| digest.as_bytes().to_vec()))
                .bind(certificate.facts.not_after.micros())
                .bind(certificate.proven)
                .bind(certificate.replaces.as_ref().map(|id| id.as_str().to_owned()))
                .bind(certificate.replaced_by.as_ref().map(|id| id.as_str().to_owned()))
                .bind(certificate.retirement.as_ref().map(row::to_document).transpose()?)
                .bind(certificate.resource_version)
                .bind(certificate.created_at.micros())
                .bind(certificate.modified_at.micros())
                .bind(certificate.facts.look.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default())
                .bind(certificate.vouched)
                .bind(certificate.ended_by_admin),
        )
        .await
    }
}

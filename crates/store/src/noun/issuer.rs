//! Issuers, and what they are about to sign.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::application::Environment;
use countersign_core::id::{CertificateId, IssuerId};
use countersign_core::issuer::Issuer;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, kind, environment, state, der, parent, key_place, policy, crl_number, resource_version, created_at, \
             modified_at FROM issuer ",
            $tail
        )
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_NAME = select!("WHERE name = $1");
    ALL = select!("ORDER BY id");
    PUT = "INSERT INTO issuer (id, name, kind, environment, state, der, parent, key_place, policy, crl_number, resource_version, \
        created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, policy = excluded.policy, resource_version = excluded.resource_version, \
        modified_at = excluded.modified_at \
        WHERE issuer.resource_version = excluded.resource_version - 1 AND issuer.der = excluded.der";
    NEXT_CRL = "UPDATE issuer SET crl_number = CASE WHEN crl_number < $2 THEN $2 ELSE crl_number + 1 END WHERE id = $1 RETURNING crl_number";
    INTEND = "INSERT INTO issuance (issuer_id, serial, certificate_id, to_be_signed, state, created_at) \
        VALUES ($1, $2, $3, $4, 'intended', $5)";
    SETTLE = "UPDATE issuance SET state = $3 WHERE issuer_id = $1 AND serial = $2 AND state = 'intended'";
    INTENDED = "SELECT issuer_id, serial, certificate_id, to_be_signed, created_at FROM issuance WHERE state = 'intended' AND created_at < $1 \
        ORDER BY created_at";
    ABANDONED = "SELECT serial, created_at FROM issuance WHERE issuer_id = $1 AND state = 'abandoned' AND serial > $2 ORDER BY serial LIMIT $3";
    LIVING = "SELECT COUNT(*) AS living FROM certificate WHERE issuer_id = $1 AND status = 'active' AND not_after >= $2";
    LIVING_BY_OWNER = "SELECT owner_id, COUNT(*) AS living FROM certificate WHERE issuer_id = $1 AND status = 'active' AND not_after >= $2 \
        GROUP BY owner_id ORDER BY living DESC, owner_id LIMIT $3";
    UNSIGNED = "SELECT state FROM issuance WHERE issuer_id = $1 AND serial = $2 AND state <> 'signed'";
}

fn read(row: &Row) -> Result<Issuer, StoreError> {
    let environment = row::optional_text(row, "environment")?;
    let parent = row::optional_text(row, "parent")?;
    Ok(Issuer {
        id: row::parsed(row, "id", IssuerId::parse)?,
        name: row::text(row, "name")?,
        kind: row::from_word(row, "kind")?,
        environment: environment
            .map(|text| Environment::parse(&text).ok_or_else(|| StoreError::unreadable("environment", "it is no environment")))
            .transpose()?,
        state: row::from_word(row, "state")?,
        der: row::bytes(row, "der")?,
        parent: parent.map(|id| IssuerId::parse(&id).map_err(|error| StoreError::unreadable("parent", error))).transpose()?,
        key: row::document(row, "key_place")?,
        policy: row::document(row, "policy")?,
        crl_number: row::integer(row, "crl_number")?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

/// What was about to be signed and has neither been kept nor given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntendedRow {
    /// By whom.
    pub issuer: IssuerId,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// The id the certificate was to have.
    pub certificate: CertificateId,
    /// The TBSCertificate.
    pub to_be_signed: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
}

impl Reader {
    /// One issuer.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn issuer(&mut self, id: &IssuerId) -> Result<Option<Issuer>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The issuer of this name.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn issuer_by_name(&mut self, name: &str) -> Result<Option<Issuer>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Every issuer that can be read, ascending by id: there are few.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn issuers(&mut self) -> Result<Vec<Issuer>, StoreError> {
        let rows = self.all(query(ALL)).await?;
        Ok(self.readable("issuer", "id", &rows, read))
    }

    /// What was intended before `before` and not settled: what a crash left.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn unsettled_issuances(&mut self, before: Timestamp) -> Result<Vec<IntendedRow>, StoreError> {
        let rows = self.all(query(INTENDED).bind(before.micros())).await?;
        Ok(self.readable("issuance", "serial", &rows, |row| {
            Ok(IntendedRow {
                issuer: row::parsed(row, "issuer_id", IssuerId::parse)?,
                serial: row::text(row, "serial")?,
                certificate: row::parsed(row, "certificate_id", CertificateId::parse)?,
                to_be_signed: row::bytes(row, "to_be_signed")?,
                created_at: row::moment(row, "created_at")?,
            })
        }))
    }

    /// What an issuer was about to sign and was given up, with when; ascending by serial, which is the page's key.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn abandoned_of(&mut self, issuer: &IssuerId, page: &Page) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows = self.all(query(ABANDONED).bind(issuer.as_str().to_owned()).bind(page.after()).bind(page.limit())).await?;
        rows.iter().map(|row| Ok((row::text(row, "serial")?, row::moment(row, "created_at")?))).collect()
    }

    /// How many certificates of an issuer are active and have not ended at `now`.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn living_certificates_of(&mut self, issuer: &IssuerId, now: Timestamp) -> Result<i64, StoreError> {
        let row = self.one(query(LIVING).bind(issuer.as_str().to_owned()).bind(now.micros())).await?;
        row::integer(&row::required(row, "a count")?, "living")
    }

    /// Whose those are, and how many of each: those with the most first.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn owners_of_living(&mut self, issuer: &IssuerId, now: Timestamp, limit: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.all(query(LIVING_BY_OWNER).bind(issuer.as_str().to_owned()).bind(now.micros()).bind(limit)).await?;
        rows.iter().map(|row| Ok((row::text(row, "owner_id")?, row::integer(row, "living")?))).collect()
    }

    /// Whether an issuer was about to sign this serial number, and did not.
    ///
    /// # Errors
    /// As [`Reader::issuer`].
    pub async fn is_unsigned(&mut self, issuer: &IssuerId, serial: &str) -> Result<bool, StoreError> {
        Ok(self.one(query(UNSIGNED).bind(issuer.as_str().to_owned()).bind(serial.to_owned())).await?.is_some())
    }
}

impl Write<'_> {
    /// Makes an issuer, or changes its state or policy. Certificate and key never change.
    ///
    /// # Errors
    /// [`crate::Clash::IssuerName`], [`crate::Clash::ResourceVersion`].
    pub async fn put_issuer(&mut self, issuer: &Issuer) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(issuer.id.as_str().to_owned())
                .bind(issuer.name.clone())
                .bind(row::word(&issuer.kind)?)
                .bind(issuer.environment.map(Environment::as_str))
                .bind(row::word(&issuer.state)?)
                .bind(issuer.der.clone())
                .bind(issuer.parent.as_ref().map(|id| id.as_str().to_owned()))
                .bind(row::to_document(&issuer.key)?)
                .bind(row::to_document(&issuer.policy)?)
                .bind(issuer.crl_number)
                .bind(issuer.resource_version)
                .bind(issuer.created_at.micros())
                .bind(issuer.modified_at.micros()),
        )
        .await
    }

    /// The number of an issuer's next CRL; each is given once, and none is below the seconds of `now`: a database that was put back from
    /// a backup goes on above what it published before (research/pki.md G9).
    ///
    /// # Errors
    /// When there is no such issuer, or the database does not answer.
    pub async fn next_crl_number(&mut self, issuer: &IssuerId, now: Timestamp) -> Result<i64, StoreError> {
        let row = self.one(query(NEXT_CRL).bind(issuer.as_str().to_owned()).bind(now.seconds())).await?;
        row::integer(&row::required(row, "the issuer")?, "crl_number")
    }

    /// Notes what is about to be signed (research/pki.md D12).
    ///
    /// # Errors
    /// [`crate::Clash::Id`] when the serial number was used before.
    pub async fn intend_issuance(&mut self, intended: &IntendedRow) -> Result<(), StoreError> {
        self.run(
            query(INTEND)
                .bind(intended.issuer.as_str().to_owned())
                .bind(intended.serial.clone())
                .bind(intended.certificate.as_str().to_owned())
                .bind(intended.to_be_signed.clone())
                .bind(intended.created_at.micros()),
        )
        .await
        .map(|_| ())
    }

    /// Notes that what was intended was signed and kept, or given up; `false` when that was noted before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn settle_issuance(&mut self, issuer: &IssuerId, serial: &str, signed: bool) -> Result<bool, StoreError> {
        let state = if signed { "signed" } else { "abandoned" };
        Ok(self.run(query(SETTLE).bind(issuer.as_str().to_owned()).bind(serial.to_owned()).bind(state)).await? > 0)
    }
}

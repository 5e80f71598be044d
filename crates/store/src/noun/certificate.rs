//! Registered certificates. They are never taken out: a fingerprint that was revoked stays known, and revoked.

use crate::error::StoreError;
use crate::page::{CertificateSelection, Page};
use crate::row;
use crate::session::{Reader, Write};
use countersign_core::IdentityId;
use countersign_core::credential::certificate::{Certificate, Fingerprint};
use countersign_core::id::CertificateId;
use sqlx::query;
use sqlx::sqlite::SqliteRow;

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, fingerprint, der, facts, owner_id, alias, apis, status, revoked_at, resource_version, created_at, modified_at \
             FROM certificate ",
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
    // What a registration is of, and that it was revoked, never change back.
    PUT = "INSERT INTO certificate (id, fingerprint, der, facts, owner_kind, owner_id, alias, apis, status, revoked_at, \
        resource_version, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
        ON CONFLICT (id) DO UPDATE SET alias = excluded.alias, apis = excluded.apis, status = excluded.status, \
        revoked_at = excluded.revoked_at, resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE certificate.resource_version = excluded.resource_version - 1 AND certificate.fingerprint = excluded.fingerprint \
        AND certificate.owner_id = excluded.owner_id AND (certificate.status = 'active' OR excluded.status = 'revoked')";
}

fn read(row: &SqliteRow) -> Result<Certificate, StoreError> {
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
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
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
        let statement =
            query(if selection.owner.is_some() { PAGE_OF_OWNER } else { PAGE }).bind(page.after()).bind(page.limit()).bind(status);
        let statement = match &selection.owner {
            Some(owner) => statement.bind(owner.as_str()),
            None => statement,
        };
        self.all(statement).await?.iter().map(read).collect()
    }

    /// Every registered certificate of an identity, revoked ones included, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::certificate`].
    pub async fn certificates_of(&mut self, owner: &IdentityId) -> Result<Vec<Certificate>, StoreError> {
        self.all(query(OF_OWNER).bind(owner.as_str())).await?.iter().map(read).collect()
    }
}

impl Write<'_> {
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
                .bind(certificate.revoked_at.map(|at| at.micros()))
                .bind(certificate.resource_version)
                .bind(certificate.created_at.micros())
                .bind(certificate.modified_at.micros()),
        )
        .await
    }
}

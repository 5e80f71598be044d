//! Everything a gateway decides on, in one consistent read.
//!
//! What cannot be read closes alone (promise P6): a namespace, an identity or a key is left out, so that it lets nobody in, and
//! a certificate is given as revoked, so that no accepted CA vouches for it either.

use crate::error::StoreError;
use crate::noun::namespace;
use crate::row;
use crate::session::Reader;
use crate::sql::{Passing, Row, query};
use crate::unreadable::Unreadable;
use countersign_core::IdentityId;
use countersign_core::credential::api_key::KeyDigest;
use countersign_core::credential::certificate::{CertificateStatus, Fingerprint};
use countersign_core::id::{ApiKeyId, CertificateId, IssuerId};
use countersign_core::issuer::IssuerState;
use countersign_core::snapshot::{CertificateEntry, Change, KeyEntry, Snapshot};
use std::sync::Arc;

crate::statements::statements! {
    NAMESPACES = "SELECT id, document FROM namespace";
    IDENTITIES = "SELECT id, access FROM user_account UNION ALL SELECT id, access FROM service_account \
        UNION ALL SELECT sandbox_id AS id, sandbox_access AS access FROM application \
        UNION ALL SELECT production_id AS id, production_access AS access FROM application";
    KEYS = "SELECT id, owner_id, digest, disabled, expires_at, apis FROM api_key";
    // One index has all of it.
    CERTIFICATES = "SELECT id, fingerprint, owner_id, status, issuer_id, apis, proven, vouched, ended_by_admin FROM certificate \
        ORDER BY id";
    STATES = "SELECT id, state FROM issuer";
}

fn identity(row: &Row) -> Result<Change, StoreError> {
    Ok(Change::PutIdentity(row::identity(row, "id")?, row::document(row, "access")?))
}

fn key(row: &Row) -> Result<Change, StoreError> {
    Ok(Change::PutKey(
        row::parsed(row, "id", ApiKeyId::parse)?,
        KeyEntry {
            digest: KeyDigest::from_bytes(row::digest(row, "digest")?),
            owner: row::identity(row, "owner_id")?,
            disabled: row::flag(row, "disabled")?,
            expires_at: row::moment(row, "expires_at")?,
            apis: row::document(row, "apis")?,
        },
    ))
}

/// Fails only where not even the certificate's own names can be read. `known` has the issuers seen so far, so that each is kept once.
fn certificate(row: &Row, known: &mut Vec<Arc<IssuerId>>, unreadable: &Unreadable) -> Result<Change, StoreError> {
    let fingerprint = Fingerprint::from_bytes(row::digest(row, "fingerprint")?);
    let id = row::parsed(row, "id", CertificateId::parse)?;
    let owner = row::identity(row, "owner_id")?;
    let status = row::from_word(row, "status");
    let issuer = issuer(row, known);
    let (status, issuer, apis, binds) = match (status, issuer, row::document(row, "apis"), binds(row)) {
        (Ok(status), Ok(issuer), Ok(apis), Ok(binds)) => (status, issuer, apis, binds),
        (Err(error), ..) | (_, Err(error), ..) | (_, _, Err(error), _) | (.., Err(error)) => {
            // It counts as revoked.
            unreadable.note("certificate", id.as_str(), &error);
            (CertificateStatus::Revoked, None, Vec::new(), true)
        }
    };
    Ok(Change::PutCertificate(fingerprint, CertificateEntry { id, owner, status, issuer, apis, binds }))
}

/// As [`countersign_core::credential::certificate::Certificate::binds`].
fn binds(row: &Row) -> Result<bool, StoreError> {
    Ok(row::flag(row, "proven")? || row::flag(row, "vouched")? || row::flag(row, "ended_by_admin")?)
}

/// A certificate as nearly all are: narrowed to nothing, every column in order. Whatever is otherwise is read by [`certificate`], which
/// takes five times as long and says what is wrong; a start reads a million.
fn usual(row: &Passing<'_>, known: &[Arc<IssuerId>]) -> Option<Change> {
    let id = CertificateId::parse(row.text(0)?).ok()?;
    let fingerprint = Fingerprint::from_bytes(row.bytes(1)?.try_into().ok()?);
    let owner = IdentityId::parse(row.text(2)?)?;
    let status = match row.text(3)? {
        "active" => CertificateStatus::Active,
        "revoked" => CertificateStatus::Revoked,
        _ => return None,
    };
    let issuer = match row.text(4) {
        Some(text) => Some(Arc::clone(known.iter().find(|id| id.as_str() == text)?)),
        None if row.is_null(4) => None,
        None => return None,
    };
    if row.text(5)? != "[]" {
        return None;
    }
    let flag = |place| row.integer(place).filter(|number| matches!(number, 0 | 1)).map(|number| number == 1);
    let binds = [flag(6)?, flag(7)?, flag(8)?].contains(&true);
    Some(Change::PutCertificate(fingerprint, CertificateEntry { id, owner, status, issuer, apis: Vec::new(), binds }))
}

fn issuer(row: &Row, known: &mut Vec<Arc<IssuerId>>) -> Result<Option<Arc<IssuerId>>, StoreError> {
    let Some(text) = row::optional_text(row, "issuer_id")? else { return Ok(None) };
    if let Some(known) = known.iter().find(|id| id.as_str() == text) {
        return Ok(Some(Arc::clone(known)));
    }
    let id = Arc::new(IssuerId::parse(&text).map_err(|error| StoreError::unreadable("issuer_id", error))?);
    known.push(Arc::clone(&id));
    Ok(Some(id))
}

impl Reader {
    /// Everything, and the revision it is of. Applied to an empty snapshot it is what every change so far comes to.
    ///
    /// # Errors
    /// When the database does not answer, or a certificate is so damaged that it cannot even be refused.
    pub async fn snapshot(&mut self) -> Result<(i64, Vec<Change>), StoreError> {
        let revision = self.revision().await?;
        let mut changes = Vec::new();
        self.everything(&mut |change| changes.push(change)).await?;
        Ok((revision, changes))
    }

    /// The snapshot itself, without a list of everything beside it: what a start reads.
    ///
    /// # Errors
    /// As [`Reader::snapshot`].
    pub async fn whole_snapshot(&mut self) -> Result<Snapshot, StoreError> {
        let mut snapshot = Snapshot::to_fill(self.revision().await?);
        self.everything(&mut |change| snapshot.fill(change)).await?;
        Ok(snapshot)
    }

    async fn everything(&mut self, put: &mut (dyn FnMut(Change) + Send)) -> Result<(), StoreError> {
        let rows = self.all(query(NAMESPACES)).await?;
        let namespace = |row: &Row| namespace::read(row).map(|namespace| Change::PutNamespace(Arc::new(namespace)));
        self.readable("namespace", "id", &rows, namespace).into_iter().for_each(&mut *put);
        let rows = self.all(query(IDENTITIES)).await?;
        self.readable("identity", "id", &rows, identity).into_iter().for_each(&mut *put);
        let rows = self.all(query(KEYS)).await?;
        self.readable("api_key", "id", &rows, key).into_iter().for_each(&mut *put);
        self.blocked().await?.into_iter().for_each(&mut *put);
        self.readable_groups().await?.into_iter().for_each(&mut *put);
        self.readable_custom_roles().await?.into_iter().for_each(|role| put(Change::PutCustomRole(Arc::new(role))));
        // An issuer of which it cannot be read whether it is retired counts as retired. Certificates of one whose id cannot be read count as
        // revoked, each by itself.
        let rows = self.all(query(STATES)).await?;
        let retired = self.readable("issuer", "id", &rows, |row| {
            let id = row::parsed(row, "id", IssuerId::parse)?;
            let state = row::from_word::<IssuerState>(row, "state");
            if let Err(error) = &state {
                self.note_unreadable("issuer", id.as_str(), error);
            }
            Ok((state.unwrap_or(IssuerState::Retired) == IssuerState::Retired).then_some(id))
        });
        retired.into_iter().flatten().for_each(|id| put(Change::RetireIssuer(id)));
        let unreadable = self.unreadable();
        let mut issuers = Vec::new();
        self.pass(&query(CERTIFICATES), |row| {
            let change = match usual(row, &issuers) {
                Some(change) => change,
                None => certificate(&row.kept()?, &mut issuers, &unreadable)?,
            };
            put(change);
            Ok(())
        })
    }
}

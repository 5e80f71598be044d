//! Service accounts, of the whole account and of one namespace.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::NamespaceId;
use countersign_core::id::ServiceAccountId;
use countersign_core::identity::ServiceAccount;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, name, description, access, scope, resource_version, created_at, modified_at FROM service_account ", $tail)
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_NAME = select!("WHERE name = $1");
    PAGE = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    SCOPED_TO = select!("WHERE scope = $1 ORDER BY id");
    PUT = "INSERT INTO service_account (id, name, description, access, scope, resource_version, created_at, modified_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, access = excluded.access, \
        scope = excluded.scope, resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE service_account.resource_version = excluded.resource_version - 1";
    DELETE = "DELETE FROM service_account WHERE id = $1";
}

fn read(row: &Row) -> Result<ServiceAccount, StoreError> {
    Ok(ServiceAccount {
        id: row::parsed(row, "id", ServiceAccountId::parse)?,
        name: row::text(row, "name")?,
        description: row::text(row, "description")?,
        access: row::document(row, "access")?,
        scope: row::optional_text(row, "scope")?
            .map(|scope| NamespaceId::parse(&scope).map_err(|error| StoreError::unreadable("scope", error)))
            .transpose()?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One service account.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn service_account(&mut self, id: &ServiceAccountId) -> Result<Option<ServiceAccount>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// The service account of this name.
    ///
    /// # Errors
    /// As [`Reader::service_account`].
    pub async fn service_account_by_name(&mut self, name: &str) -> Result<Option<ServiceAccount>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Service accounts, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::service_account`].
    pub async fn service_accounts(&mut self, page: &Page) -> Result<Vec<ServiceAccount>, StoreError> {
        self.page_of("service_account", "id", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }

    /// Every service account that is scoped to a namespace, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::service_account`].
    pub async fn service_accounts_scoped_to(&mut self, namespace: &NamespaceId) -> Result<Vec<ServiceAccount>, StoreError> {
        self.all(query(SCOPED_TO).bind(namespace.as_str())).await?.iter().map(read).collect()
    }
}

impl Write<'_> {
    /// Makes or changes a service account.
    ///
    /// # Errors
    /// [`crate::Clash::ServiceAccountName`], [`crate::Clash::ResourceVersion`].
    pub async fn put_service_account(&mut self, account: &ServiceAccount) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(account.id.as_str().to_owned())
                .bind(account.name.clone())
                .bind(account.description.clone())
                .bind(row::to_document(&account.access)?)
                .bind(account.scope.as_ref().map(|scope| scope.as_str().to_owned()))
                .bind(account.resource_version)
                .bind(account.created_at.micros())
                .bind(account.modified_at.micros()),
        )
        .await
    }

    /// Takes a service account out; `false` when there was none. Credentials are taken out or revoked by the caller.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_service_account(&mut self, id: &ServiceAccountId) -> Result<bool, StoreError> {
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

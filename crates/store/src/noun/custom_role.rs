//! Custom roles.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::custom_role::CustomRole;
use countersign_core::id::CustomRoleId;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, name, description, permissions, resource_version, created_at, modified_at FROM custom_role ", $tail)
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_NAME = select!("WHERE name = $1");
    PAGE = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    ALL = select!("ORDER BY id");
    PUT = "INSERT INTO custom_role (id, name, description, permissions, resource_version, created_at, modified_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, permissions = excluded.permissions, \
        resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE custom_role.resource_version = excluded.resource_version - 1";
    DELETE = "DELETE FROM custom_role WHERE id = $1";
}

fn read(row: &Row) -> Result<CustomRole, StoreError> {
    Ok(CustomRole {
        id: row::parsed(row, "id", CustomRoleId::parse)?,
        name: row::text(row, "name")?,
        description: row::text(row, "description")?,
        permissions: row::document(row, "permissions")?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One custom role.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn custom_role(&mut self, id: &CustomRoleId) -> Result<Option<CustomRole>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The custom role of this name.
    ///
    /// # Errors
    /// As [`Reader::custom_role`].
    pub async fn custom_role_by_name(&mut self, name: &str) -> Result<Option<CustomRole>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Custom roles, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::custom_role`].
    pub async fn custom_roles(&mut self, page: &Page) -> Result<Vec<CustomRole>, StoreError> {
        self.page_of("custom_role", "id", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }

    /// Every custom role that can be read; one that cannot gives nothing to anybody.
    pub(crate) async fn readable_custom_roles(&mut self) -> Result<Vec<CustomRole>, StoreError> {
        let rows = self.all(query(ALL)).await?;
        Ok(self.readable("custom_role", "id", &rows, read))
    }
}

impl Write<'_> {
    /// Makes or changes a custom role.
    ///
    /// # Errors
    /// [`crate::Clash::CustomRoleName`], [`crate::Clash::ResourceVersion`].
    pub async fn put_custom_role(&mut self, role: &CustomRole) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(role.id.as_str().to_owned())
                .bind(role.name.clone())
                .bind(role.description.clone())
                .bind(row::to_document(&role.permissions)?)
                .bind(role.resource_version)
                .bind(role.created_at.micros())
                .bind(role.modified_at.micros()),
        )
        .await
    }

    /// Takes a custom role out; `false` when there was none. Identities that have it are changed by the caller.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_custom_role(&mut self, id: &CustomRoleId) -> Result<bool, StoreError> {
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

//! The account: one row.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::query;
use countersign_core::identity::Account;

crate::statements::statements! {
    ONE = "SELECT id, api_key_creation_disabled, resource_version, created_at, modified_at FROM account";
    PUT = "INSERT INTO account (one, id, api_key_creation_disabled, resource_version, created_at, modified_at) \
        VALUES (1, $1, $2, $3, $4, $5) \
        ON CONFLICT (one) DO UPDATE SET api_key_creation_disabled = excluded.api_key_creation_disabled, \
        resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE account.resource_version = excluded.resource_version - 1 AND account.id = excluded.id";
}

impl Reader {
    /// The account; `None` before the first start has made it.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn account(&mut self) -> Result<Option<Account>, StoreError> {
        let row = self.one(query(ONE)).await?;
        row.map(|row| {
            Ok(Account {
                id: row::text(&row, "id")?,
                api_key_creation_disabled: row::flag(&row, "api_key_creation_disabled")?,
                resource_version: row::integer(&row, "resource_version")?,
                created_at: row::moment(&row, "created_at")?,
                modified_at: row::moment(&row, "modified_at")?,
            })
        })
        .transpose()
    }
}

impl Write<'_> {
    /// Makes or changes the account. Its id never changes.
    ///
    /// # Errors
    /// [`crate::Clash::ResourceVersion`] when it was changed meanwhile, or is another account.
    pub async fn put_account(&mut self, account: &Account) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(account.id.clone())
                .bind(account.api_key_creation_disabled)
                .bind(account.resource_version)
                .bind(account.created_at.micros())
                .bind(account.modified_at.micros()),
        )
        .await
    }
}

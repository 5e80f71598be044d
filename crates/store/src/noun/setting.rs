//! Settings that admins change while it runs: one document a name. What they mean is their use cases' business.

use crate::error::StoreError;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::query;
use countersign_core::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

crate::statements::statements! {
    ONE = "SELECT document FROM setting WHERE name = $1";
    PUT = "INSERT INTO setting (name, document, modified_at) VALUES ($1, $2, $3) \
        ON CONFLICT (name) DO UPDATE SET document = excluded.document, modified_at = excluded.modified_at";
}

impl Reader {
    /// A setting; `None` while nobody has set it.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn setting<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        self.one(query(ONE).bind(name.to_owned())).await?.as_ref().map(|row| row::document(row, "document")).transpose()
    }
}

impl Write<'_> {
    /// Sets it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_setting<T: Serialize + Sync>(&mut self, name: &str, value: &T, at: Timestamp) -> Result<(), StoreError> {
        let document = row::to_document(value)?;
        self.run(query(PUT).bind(name.to_owned()).bind(document).bind(at.micros())).await.map(|_| ())
    }
}

//! API keys: never more of the secret than its digest.

use crate::error::StoreError;
use crate::page::{KeyFilter, Page};
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::credential::api_key::{ApiKey, KeyDigest, KeyState};
use countersign_core::id::ApiKeyId;
use countersign_core::{IdentityId, Timestamp};

macro_rules! select {
    ($tail:expr) => {
        concat!(
            "SELECT id, owner_id, name, description, digest, disabled, apis, expires_at, parent, resource_version, created_at, \
             modified_at FROM api_key ",
            $tail
        )
    };
}

// $3 is the owner's kind or '', $4 the state or '', $5 the moment the state is judged at.
macro_rules! filtered {
    ($tail:literal) => {
        select!(concat!(
            "WHERE id > $1 AND ($3 = '' OR owner_kind = $3) AND ($4 = '' OR $4 = CASE WHEN expires_at <= $5 THEN 'expired' \
             WHEN disabled THEN 'disabled' ELSE 'enabled' END) ",
            $tail
        ))
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    OF_OWNER = select!("WHERE owner_id = $1 ORDER BY id");
    PAGE = filtered!("ORDER BY id LIMIT $2");
    PAGE_OF_OWNER = filtered!("AND owner_id = $6 ORDER BY id LIMIT $2");
    ENDING = select!("WHERE expires_at > $1 AND expires_at <= $2 AND NOT disabled AND id > $3 ORDER BY id LIMIT $4");
    FIRST_END = "SELECT expires_at FROM api_key WHERE expires_at > $1 AND NOT disabled AND NOT EXISTS \
        (SELECT 1 FROM key_succession WHERE predecessor = api_key.id) ORDER BY expires_at LIMIT 1";
    UNEXPIRED = "SELECT COUNT(*) AS unexpired FROM api_key WHERE owner_id = $1 AND expires_at > $2";
    PUT = "INSERT INTO api_key (id, owner_kind, owner_id, name, description, digest, disabled, apis, expires_at, parent, \
        resource_version, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, disabled = excluded.disabled, \
        apis = excluded.apis, expires_at = excluded.expires_at, resource_version = excluded.resource_version, \
        modified_at = excluded.modified_at WHERE api_key.resource_version = excluded.resource_version - 1 \
        AND api_key.owner_id = excluded.owner_id AND api_key.digest = excluded.digest";
    DELETE = "DELETE FROM api_key WHERE id = $1";
}

fn read(row: &Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row::parsed(row, "id", ApiKeyId::parse)?,
        owner: row::identity(row, "owner_id")?,
        name: row::text(row, "name")?,
        description: row::text(row, "description")?,
        digest: KeyDigest::from_bytes(row::digest(row, "digest")?),
        disabled: row::flag(row, "disabled")?,
        apis: row::document(row, "apis")?,
        expires_at: row::moment(row, "expires_at")?,
        parent: row::optional_text(row, "parent")?
            .map(|id| ApiKeyId::parse(&id).map_err(|error| StoreError::unreadable("parent", error)))
            .transpose()?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One API key.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn api_key(&mut self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// API keys that pass the filter, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::api_key`].
    pub async fn api_keys(&mut self, filter: &KeyFilter, page: &Page) -> Result<Vec<ApiKey>, StoreError> {
        let statement = |after: String, limit: i64| {
            let statement = query(if filter.owner.is_some() { PAGE_OF_OWNER } else { PAGE })
                .bind(after)
                .bind(limit)
                .bind(filter.owner_kind.unwrap_or(""))
                .bind(filter.state.map_or("", KeyState::as_str))
                .bind(filter.now.micros());
            match &filter.owner {
                Some(owner) => statement.bind(owner.as_str()),
                None => statement,
            }
        };
        self.page_of("api_key", "id", page, statement, read).await
    }

    /// Every API key of an identity, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::api_key`].
    pub async fn api_keys_of(&mut self, owner: &IdentityId) -> Result<Vec<ApiKey>, StoreError> {
        self.all(query(OF_OWNER).bind(owner.as_str())).await?.iter().map(read).collect()
    }

    /// How many API keys of an identity are not expired at `now`, disabled ones included. Asked inside the writing transaction,
    /// the answer cannot be outrun.
    ///
    /// # Errors
    /// As [`Reader::api_key`].
    pub async fn count_unexpired_keys(&mut self, owner: &IdentityId, now: Timestamp) -> Result<usize, StoreError> {
        let row = self.one(query(UNEXPIRED).bind(owner.as_str()).bind(now.micros())).await?;
        row::count(&row::required(row, "the number of keys")?, "unexpired")
    }
}

impl Reader {
    /// Enabled keys that end after `from` and up to `to`, ascending by id.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn api_keys_ending(&mut self, from: Timestamp, to: Timestamp, page: &Page) -> Result<Vec<ApiKey>, StoreError> {
        let statement = |after: String, limit: i64| query(ENDING).bind(from.micros()).bind(to.micros()).bind(after).bind(limit);
        self.page_of("api_key", "id", page, statement, read).await
    }

    /// The earliest end after `now` of an enabled key that nothing replaces.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn first_api_key_end(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.one(query(FIRST_END).bind(now.micros())).await?.as_ref().map(|row| row::moment(row, "expires_at")).transpose()
    }
}

impl Write<'_> {
    /// Makes or changes an API key. Owner and digest never change.
    ///
    /// # Errors
    /// [`crate::Clash::KeyDigest`], [`crate::Clash::ResourceVersion`].
    pub async fn put_api_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(key.id.as_str().to_owned())
                .bind(key.owner.kind())
                .bind(key.owner.as_str().to_owned())
                .bind(key.name.clone())
                .bind(key.description.clone())
                .bind(key.digest.as_bytes().to_vec())
                .bind(key.disabled)
                .bind(row::to_document(&key.apis)?)
                .bind(key.expires_at.micros())
                .bind(key.parent.as_ref().map(|id| id.as_str().to_owned()))
                .bind(key.resource_version)
                .bind(key.created_at.micros())
                .bind(key.modified_at.micros()),
        )
        .await
    }

    /// Takes an API key out; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_api_key(&mut self, id: &ApiKeyId) -> Result<bool, StoreError> {
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

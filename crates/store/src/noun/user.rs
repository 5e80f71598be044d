//! Users.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::id::UserId;
use countersign_core::identity::User;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, email, access, resource_version, created_at, modified_at FROM user_account ", $tail)
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_EMAIL = select!("WHERE email = $1");
    PAGE = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    OWNERS = "SELECT COUNT(*) AS owners FROM user_account WHERE account_role = 'owner'";
    PUT = "INSERT INTO user_account (id, email, account_role, access, resource_version, created_at, modified_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (id) DO UPDATE SET email = excluded.email, account_role = excluded.account_role, access = excluded.access, \
        resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE user_account.resource_version = excluded.resource_version - 1";
    LEAVE_GROUPS = "DELETE FROM user_group_member WHERE user_id = $1";
    END_SESSIONS = "DELETE FROM session WHERE user_id = $1";
    END_INVITATIONS = "DELETE FROM invitation WHERE user_id = $1";
    END_LOGIN = "DELETE FROM user_login WHERE user_id = $1";
    DELETE = "DELETE FROM user_account WHERE id = $1";
}

fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row::parsed(row, "id", UserId::parse)?,
        email: row::text(row, "email")?,
        access: row::document(row, "access")?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One user.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn user(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// The user with this mail address, in lower case as it is kept.
    ///
    /// # Errors
    /// As [`Reader::user`].
    pub async fn user_by_email(&mut self, email: &str) -> Result<Option<User>, StoreError> {
        self.one(query(BY_EMAIL).bind(email.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Users, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::user`].
    pub async fn users(&mut self, page: &Page) -> Result<Vec<User>, StoreError> {
        self.page_of("user", "id", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }

    /// How many users have the role Owner.
    ///
    /// # Errors
    /// As [`Reader::user`].
    pub async fn owners_count(&mut self) -> Result<usize, StoreError> {
        let row = self.one(query(OWNERS)).await?;
        row::count(&row::required(row, "the number of owners")?, "owners")
    }
}

impl Write<'_> {
    /// Makes or changes a user.
    ///
    /// # Errors
    /// [`crate::Clash::UserEmail`], [`crate::Clash::ResourceVersion`].
    pub async fn put_user(&mut self, user: &User) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(user.id.as_str().to_owned())
                .bind(user.email.clone())
                .bind(user.access.account_role.as_str())
                .bind(row::to_document(&user.access)?)
                .bind(user.resource_version)
                .bind(user.created_at.micros())
                .bind(user.modified_at.micros()),
        )
        .await
    }

    /// Takes a user out, with sessions, ways to log in and memberships; `false` when there was none. Credentials are taken out or
    /// revoked by the caller, one by one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        for statement in [LEAVE_GROUPS, END_SESSIONS, END_INVITATIONS, END_LOGIN] {
            self.change(query(statement).bind(id.as_str().to_owned())).await?;
        }
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

//! User groups and who is in them.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::group::UserGroup;
use countersign_core::id::{UserGroupId, UserId};
use countersign_core::snapshot::{Change, GroupEntry};
use std::collections::{BTreeMap, BTreeSet};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, name, kind, access, resource_version, created_at, modified_at FROM user_group ", $tail)
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_NAME = select!("WHERE name = $1");
    PAGE = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    ALL = select!("ORDER BY id");
    OF_USER = select!("WHERE id IN (SELECT group_id FROM user_group_member WHERE user_id = $1) ORDER BY id");
    MEMBERS = "SELECT user_id, created_at FROM user_group_member WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
    MEMBERSHIPS = "SELECT group_id, user_id FROM user_group_member";
    PUT = "INSERT INTO user_group (id, name, kind, access, resource_version, created_at, modified_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, access = excluded.access, \
        resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE user_group.resource_version = excluded.resource_version - 1";
    DELETE = "DELETE FROM user_group WHERE id = $1";
    ADD = "INSERT INTO user_group_member (group_id, user_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (group_id, user_id) DO NOTHING";
    REMOVE = "DELETE FROM user_group_member WHERE group_id = $1 AND user_id = $2";
    EMPTY = "DELETE FROM user_group_member WHERE group_id = $1";
}

fn read(row: &Row) -> Result<UserGroup, StoreError> {
    Ok(UserGroup {
        id: row::parsed(row, "id", UserGroupId::parse)?,
        name: row::text(row, "name")?,
        kind: row::document(row, "kind")?,
        access: row::document(row, "access")?,
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One group.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn user_group(&mut self, id: &UserGroupId) -> Result<Option<UserGroup>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The group of this name.
    ///
    /// # Errors
    /// As [`Reader::user_group`].
    pub async fn user_group_by_name(&mut self, name: &str) -> Result<Option<UserGroup>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Groups, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::user_group`].
    pub async fn user_groups(&mut self, page: &Page) -> Result<Vec<UserGroup>, StoreError> {
        self.page_of("user_group", "id", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }

    /// The groups a user is in, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::user_group`].
    pub async fn user_groups_of(&mut self, user: &UserId) -> Result<Vec<UserGroup>, StoreError> {
        self.all(query(OF_USER).bind(user.as_str().to_owned())).await?.iter().map(read).collect()
    }

    /// A group's members and since when they are, ascending by the user's id.
    ///
    /// # Errors
    /// As [`Reader::user_group`].
    pub async fn user_group_members(&mut self, group: &UserGroupId, page: &Page) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        let rows = self.all(query(MEMBERS).bind(group.as_str().to_owned()).bind(page.after()).bind(page.limit())).await?;
        rows.iter().map(|row| Ok((row::parsed(row, "user_id", UserId::parse)?, row::moment(row, "created_at")?))).collect()
    }

    /// What the gateways are told of every group; one that cannot be read gives nothing to anybody.
    pub(crate) async fn readable_groups(&mut self) -> Result<Vec<Change>, StoreError> {
        let mut members: BTreeMap<String, BTreeSet<UserId>> = BTreeMap::new();
        for row in &self.all(query(MEMBERSHIPS)).await? {
            let user = match row::parsed(row, "user_id", UserId::parse) {
                Ok(user) => user,
                Err(error) => {
                    self.note_unreadable("user_group_member", &row::text(row, "group_id").unwrap_or_default(), &error);
                    continue;
                }
            };
            members.entry(row::text(row, "group_id")?).or_default().insert(user);
        }
        let rows = self.all(query(ALL)).await?;
        Ok(self
            .readable("user_group", "id", &rows, read)
            .into_iter()
            .map(|group| {
                let members = members.remove(group.id.as_str()).unwrap_or_default();
                Change::PutGroup(group.id, GroupEntry { access: group.access, members })
            })
            .collect())
    }
}

impl Write<'_> {
    /// Makes or changes a group.
    ///
    /// # Errors
    /// [`crate::Clash::UserGroupName`], [`crate::Clash::ResourceVersion`].
    pub async fn put_user_group(&mut self, group: &UserGroup) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(group.id.as_str().to_owned())
                .bind(group.name.clone())
                .bind(row::to_document(&group.kind)?)
                .bind(row::to_document(&group.access)?)
                .bind(group.resource_version)
                .bind(group.created_at.micros())
                .bind(group.modified_at.micros()),
        )
        .await
    }

    /// Takes a group out with its memberships; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_user_group(&mut self, id: &UserGroupId) -> Result<bool, StoreError> {
        self.change(query(EMPTY).bind(id.as_str().to_owned())).await?;
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }

    /// Puts a user into a group; `false` when he is in it already.
    ///
    /// # Errors
    /// When the database does not answer, or one of them does not exist.
    pub async fn add_user_group_member(&mut self, group: &UserGroupId, user: &UserId, at: Timestamp) -> Result<bool, StoreError> {
        let statement = query(ADD).bind(group.as_str().to_owned()).bind(user.as_str().to_owned()).bind(at.micros());
        Ok(self.change(statement).await? > 0)
    }

    /// Takes a user out of a group; `false` when he was not in it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_user_group_member(&mut self, group: &UserGroupId, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.change(query(REMOVE).bind(group.as_str().to_owned()).bind(user.as_str().to_owned())).await? > 0)
    }
}

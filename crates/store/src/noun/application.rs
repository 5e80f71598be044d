//! Applications, each with its two environments in one row.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::application::{Application, ApplicationEnvironment};
use countersign_core::id::{ApplicationId, EnvironmentId, UserId};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, description, owner_id, sandbox_id, sandbox_access, production_id, production_access, resource_version, \
             created_at, modified_at FROM application ",
            $tail
        )
    };
}

crate::statements::statements! {
    BY_ID = select!("WHERE id = $1");
    BY_NAME = select!("WHERE name = $1");
    BY_ENVIRONMENT = select!("WHERE sandbox_id = $1 OR production_id = $1");
    PAGE = select!("WHERE id > $1 ORDER BY id LIMIT $2");
    PAGE_OF_OWNER = select!("WHERE id > $1 AND owner_id = $3 ORDER BY id LIMIT $2");
    PUT = "INSERT INTO application (id, name, description, owner_id, sandbox_id, sandbox_access, production_id, production_access, \
        resource_version, created_at, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, owner_id = excluded.owner_id, \
        sandbox_access = excluded.sandbox_access, production_access = excluded.production_access, \
        resource_version = excluded.resource_version, modified_at = excluded.modified_at \
        WHERE application.resource_version = excluded.resource_version - 1";
    DELETE = "DELETE FROM application WHERE id = $1";
}

fn read(row: &Row) -> Result<Application, StoreError> {
    let owner = row::optional_text(row, "owner_id")?;
    Ok(Application {
        id: row::parsed(row, "id", ApplicationId::parse)?,
        name: row::text(row, "name")?,
        description: row::text(row, "description")?,
        owner: owner.map(|id| UserId::parse(&id).map_err(|error| StoreError::unreadable("owner_id", error))).transpose()?,
        sandbox: ApplicationEnvironment {
            id: row::parsed(row, "sandbox_id", EnvironmentId::parse)?,
            access: row::document(row, "sandbox_access")?,
        },
        production: ApplicationEnvironment {
            id: row::parsed(row, "production_id", EnvironmentId::parse)?,
            access: row::document(row, "production_access")?,
        },
        resource_version: row::integer(row, "resource_version")?,
        created_at: row::moment(row, "created_at")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

impl Reader {
    /// One application.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn application(&mut self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The application of this name.
    ///
    /// # Errors
    /// As [`Reader::application`].
    pub async fn application_by_name(&mut self, name: &str) -> Result<Option<Application>, StoreError> {
        self.one(query(BY_NAME).bind(name.to_owned())).await?.as_ref().map(read).transpose()
    }

    /// The application that this environment is one of.
    ///
    /// # Errors
    /// As [`Reader::application`].
    pub async fn application_of(&mut self, environment: &EnvironmentId) -> Result<Option<Application>, StoreError> {
        self.one(query(BY_ENVIRONMENT).bind(environment.as_str().to_owned())).await?.as_ref().map(read).transpose()
    }

    /// Applications, all or one developer's, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::application`].
    pub async fn applications(&mut self, owner: Option<&UserId>, page: &Page) -> Result<Vec<Application>, StoreError> {
        let statement = |after, limit| match owner {
            None => query(PAGE).bind(after).bind(limit),
            Some(owner) => query(PAGE_OF_OWNER).bind(after).bind(limit).bind(owner.as_str().to_owned()),
        };
        self.page_of("application", "id", page, statement, read).await
    }
}

impl Write<'_> {
    /// Makes or changes an application. Its environments' ids never change.
    ///
    /// # Errors
    /// [`crate::Clash::ApplicationName`], [`crate::Clash::ResourceVersion`].
    pub async fn put_application(&mut self, application: &Application) -> Result<(), StoreError> {
        self.put(
            query(PUT)
                .bind(application.id.as_str().to_owned())
                .bind(application.name.clone())
                .bind(application.description.clone())
                .bind(application.owner.as_ref().map(|id| id.as_str().to_owned()))
                .bind(application.sandbox.id.as_str().to_owned())
                .bind(row::to_document(&application.sandbox.access)?)
                .bind(application.production.id.as_str().to_owned())
                .bind(row::to_document(&application.production.access)?)
                .bind(application.resource_version)
                .bind(application.created_at.micros())
                .bind(application.modified_at.micros()),
        )
        .await
    }

    /// Takes an application out; `false` when there was none. Its credentials are ended by the caller, one by one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_application(&mut self, id: &ApplicationId) -> Result<bool, StoreError> {
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

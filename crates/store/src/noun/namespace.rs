//! Namespaces: one document each, and their host names in a table of their own, where no two namespaces can hold the same.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::namespace::Namespace;
use countersign_core::{Hostname, NamespaceId};

crate::statements::statements! {
    BY_ID = "SELECT id, document FROM namespace WHERE id = $1";
    BY_HOSTNAME = "SELECT namespace.id, namespace.document FROM namespace \
        JOIN namespace_hostname ON namespace_hostname.namespace_id = namespace.id WHERE namespace_hostname.hostname = $1";
    PAGE = "SELECT id, document FROM namespace WHERE id > $1 ORDER BY id LIMIT $2";
    PUT = "INSERT INTO namespace (id, document, resource_version, created_at, modified_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (id) DO UPDATE SET document = excluded.document, resource_version = excluded.resource_version, \
        modified_at = excluded.modified_at WHERE namespace.resource_version = excluded.resource_version - 1";
    FREE_HOSTNAMES = "DELETE FROM namespace_hostname WHERE namespace_id = $1";
    TAKE_HOSTNAME = "INSERT INTO namespace_hostname (hostname, namespace_id) VALUES ($1, $2)";
    DELETE = "DELETE FROM namespace WHERE id = $1";
}

/// Reads a whole namespace; the row's id and the document's must be the same.
pub(crate) fn read(row: &Row) -> Result<Namespace, StoreError> {
    let namespace: Namespace = row::document(row, "document")?;
    let id = row::text(row, "id")?;
    if namespace.id.as_str() == id {
        Ok(namespace)
    } else {
        Err(StoreError::unreadable("a namespace", format!("the row of {id} holds {}", namespace.id)))
    }
}

impl Reader {
    /// One namespace.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn namespace(&mut self, id: &NamespaceId) -> Result<Option<Namespace>, StoreError> {
        self.one(query(BY_ID).bind(id.as_str())).await?.as_ref().map(read).transpose()
    }

    /// The namespace that is reached at a host, by its own or an additional name.
    ///
    /// # Errors
    /// As [`Reader::namespace`].
    pub async fn namespace_by_hostname(&mut self, host: &Hostname) -> Result<Option<Namespace>, StoreError> {
        self.one(query(BY_HOSTNAME).bind(host.as_str())).await?.as_ref().map(read).transpose()
    }

    /// Namespaces, ascending by id.
    ///
    /// # Errors
    /// As [`Reader::namespace`].
    pub async fn namespaces(&mut self, page: &Page) -> Result<Vec<Namespace>, StoreError> {
        self.page_of("namespace", "id", page, |after, limit| query(PAGE).bind(after).bind(limit), read).await
    }
}

impl Write<'_> {
    /// Makes or changes a namespace, and takes the host names it is reached at.
    ///
    /// # Errors
    /// [`crate::Clash::Hostname`] when another namespace is reached at one of them, [`crate::Clash::ResourceVersion`].
    pub async fn put_namespace(&mut self, namespace: &Namespace) -> Result<(), StoreError> {
        let id = namespace.id.as_str();
        self.put(
            query(PUT)
                .bind(id.to_owned())
                .bind(row::to_document(namespace)?)
                .bind(namespace.resource_version)
                .bind(namespace.created_at.micros())
                .bind(namespace.modified_at.micros()),
        )
        .await?;
        self.change(query(FREE_HOSTNAMES).bind(id.to_owned())).await?;
        for host in namespace.hostnames() {
            self.change(query(TAKE_HOSTNAME).bind(host.as_str().to_owned()).bind(id.to_owned())).await?;
        }
        Ok(())
    }

    /// Takes a namespace out and frees its host names; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_namespace(&mut self, id: &NamespaceId) -> Result<bool, StoreError> {
        self.change(query(FREE_HOSTNAMES).bind(id.as_str().to_owned())).await?;
        Ok(self.change(query(DELETE).bind(id.as_str().to_owned())).await? > 0)
    }
}

//! The only SQL of Countersign: what is kept, in one file of SQLite, by one writer and several readers.
//!
//! It makes no decisions: it knows no roles, no limits and no clock. Every value that goes in was decided on by its caller.
//!
//! **How it is used.** There is one pattern. [`Store::read`] gives a [`Reader`]: one consistent state of what was committed,
//! for as long as it is held (hold it shortly). [`Store::begin`] gives a [`Write`], of which there is one at a time; it is a
//! `Reader` too (it derefs to one, and sees its own changes), so a function that only reads takes `&mut Reader` and serves both:
//!
//! ```no_run
//! # use countersign_store::{Reader, Store, StoreError, Page};
//! # use countersign_core::id::UserId;
//! # async fn example(store: &Store, id: &UserId) -> Result<(), StoreError> {
//! async fn email(reader: &mut Reader, id: &UserId) -> Result<Option<String>, StoreError> {
//!     Ok(reader.user(id).await?.map(|user| user.email))
//! }
//! let mut read = store.read().await?;
//! email(&mut read, id).await?;
//!
//! let mut write = store.begin().await?;
//! email(&mut write, id).await?;
//! write.delete_user(id).await?;
//! // `write.append_audit(entry)` belongs here, in the same transaction.
//! let revision = write.commit_then(|revision| { /* publish, in the order of the commits */ revision }).await?;
//! # let _ = revision; Ok(()) }
//! ```
//!
//! **Rules.**
//! - A `Write` that is dropped has changed nothing. A `Write` in which a statement failed can only be dropped: everything after
//!   it, `commit` included, is refused with the same kind of error.
//! - `put_…` inserts an object or replaces the stored one. A replacing object must carry the resource version that follows the
//!   stored one, else it is [`Clash::ResourceVersion`]: a change that was decided on an older state never wins.
//! - A transaction that put or deleted an object of the domain raises the revision by exactly one. Operations, audit entries
//!   and usage alone do not.
//! - [`Write::commit`] and [`Write::commit_then`] run to their end even when the caller's future is dropped half-way.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod engine;
mod error;
mod file_check;
mod files;
mod migrations;
mod noun;
mod page;
mod row;
mod session;
mod sql;
mod statements;
mod writer;

#[cfg(test)]
mod conformance;

pub use error::{Clash, StoreError};
pub use file_check::{FileCheck, Wholeness};
pub use noun::audit::AuditHead;
pub use noun::audit_sink::AuditSinkRow;
pub use noun::blocked::{CaId, ForeignCrlRow, OldBlock, RevokedLeafRow};
pub use noun::certificate::RevokedRow;
pub use noun::issuer::IntendedRow;
pub use noun::login::{InvitationRow, LoginRow, SessionKind, SessionRow};
pub use noun::notice::{NoticeKey, NoticeRow};
pub use noun::succession::{KeySuccession, UsageMinute};
pub use noun::usage::{UsageAdded, UsageRow};
pub use page::{AuditFilter, AuditPage, CertificateSelection, KeyFilter, Page};
pub use session::{Reader, Write};

use engine::Engine;
use std::path::Path;
use std::sync::Arc;

/// The store of one control plane. Cheap to clone; the last clone to go frees the data directory.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<Engine>,
}

impl Store {
    /// Opens the data directory, making it, its database and the current schema where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Permission`] when directory or files are open to others or cannot be written, [`StoreError::Busy`] when
    /// another process holds it, [`StoreError::Newer`] when a newer version wrote it, [`StoreError::Inconsistent`] when the
    /// database is damaged.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self { engine: Arc::new(Engine::open(directory).await?) })
    }

    /// One consistent state of what was committed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no reader becomes free within ten seconds.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        self.engine.read().await
    }

    /// The one writer. Waits until every earlier caller's `Write` has gone, first come, first served.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when something outside this process locks the database for longer than five seconds.
    pub async fn begin(&self) -> Result<Write<'_>, StoreError> {
        Ok(Write::new(self.engine.write().await?))
    }

    /// One consistent state of a database that another process holds: what a process that has closed its store and is ending goes by.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer version has changed the schema meanwhile; otherwise as [`Store::read`].
    pub async fn read_beside(directory: &Path) -> Result<Reader, StoreError> {
        Engine::beside(directory).await
    }

    /// Writes all there is into the main file, closes it and frees the data directory. Waits for a `Write` that is under way.
    ///
    /// # Errors
    /// What the engine says; the data is safe then too.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.engine.close().await
    }

    /// The check of the database file. A large file is not checked by [`Store::open`]: run [`FileCheck::beside`] once you serve.
    pub fn file_check(&self) -> FileCheck {
        self.engine.file_check.clone()
    }

    /// Gives the disk space that is kept back for a full disk, so that revocations still go through; `false` when it is spent
    /// already. Call it when a change that takes access away was answered with [`StoreError::Full`], then repeat the change.
    pub fn spend_reserve(&self) -> bool {
        self.engine.files.spend_reserve()
    }

    /// Whether the space is kept back at present. While it is spent, what is left belongs to changes that take access away.
    pub fn has_reserve(&self) -> bool {
        self.engine.files.has_reserve()
    }

    /// Keeps the space back again once there is room; `false` when there is none yet.
    pub fn restore_reserve(&self) -> bool {
        self.engine.files.restore_reserve()
    }
}

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
mod fence;
mod file_check;
mod files;
mod migrations;
mod noun;
mod page;
mod row;
mod session;
mod sql;
mod statements;
mod unreadable;
mod writer;

#[cfg(test)]
mod conformance;

pub use error::{Clash, StoreError};
pub use fence::OlderDatabase;
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
pub use unreadable::UnreadableRow;

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
    /// [`StoreError::Older`] when it lost changes that were acknowledged, or that cannot be told.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self { engine: Arc::new(Engine::open(directory, false).await?) })
    }

    /// As [`Store::open`], but takes a database that lost changes as it is, and says so. The caller records it in the audit trail.
    ///
    /// # Errors
    /// As [`Store::open`], but for [`StoreError::Older`].
    pub async fn open_older(directory: &Path) -> Result<(Self, Option<OlderDatabase>), StoreError> {
        let engine = Arc::new(Engine::open(directory, true).await?);
        let older = engine.older.clone();
        Ok((Self { engine }, older))
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
    /// [`StoreError::Full`] while the reserve is spent: what is left then belongs to changes that take access away.
    /// [`StoreError::Locked`] when another process keeps the write lock; no thread waits for that meanwhile.
    pub async fn begin(&self) -> Result<Write<'_>, StoreError> {
        if !self.has_reserve() {
            return Err(StoreError::Full);
        }
        self.begin_on_reserve().await
    }

    /// The one writer, for a change that takes access away, or that is found to before it is committed ([`Store::make_room`]). It
    /// may also use what the spent reserve set free.
    ///
    /// # Errors
    /// As [`Store::begin`], but for the reserve.
    pub async fn begin_on_reserve(&self) -> Result<Write<'_>, StoreError> {
        Ok(Write::new(self.engine.write().await?))
    }

    /// One consistent state of a database that another process holds: what a process that has closed its store and is ending goes by.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer version has changed the schema meanwhile; otherwise as [`Store::read`].
    pub async fn read_beside(directory: &Path) -> Result<Reader, StoreError> {
        Engine::beside(directory).await
    }

    /// The rows that could not be read since the start, by kind and id.
    pub fn unreadable_rows(&self) -> Vec<UnreadableRow> {
        self.engine.unreadable.rows()
    }

    /// The file that keeps space back: while it is missing, what is left of the disk belongs to changes that take access away.
    pub fn reserve_file(&self) -> std::path::PathBuf {
        self.engine.files.reserve()
    }

    /// Spends the reserve where the disk is nearly full. Call it before a change that takes access away is written.
    pub fn make_room(&self) {
        self.engine.files.make_room();
    }

    /// Whether there is room for records of what was refused, which anyone can cause: well before the disk is full, and never on
    /// what the reserve set free.
    pub fn has_room_for_records(&self) -> bool {
        self.engine.files.has_room_for_records()
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

    /// Keeps the space back again once there is room, and with it accepts every change again; `false` when there is none yet. It
    /// waits for the disk.
    pub fn restore_reserve(&self) -> bool {
        self.engine.files.restore_reserve()
    }
}

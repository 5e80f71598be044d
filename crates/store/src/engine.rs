//! What is SQLite's own: how its file is opened, checked and brought to the current schema, and how its one writer and its readers
//! get their connections. A second engine is a second module of this shape.

use crate::error::StoreError;
use crate::file_check::FileCheck;
use crate::files::{self, Files};
use crate::migrations;
use crate::row;
use crate::session::Reader;
use crate::sql::{self, query};
use crate::writer::{BEGIN, COMMIT, Queue, Writer};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The oldest SQLite that is accepted: the one whose WAL is mended (SECURITY-PROMISES, secure defaults).
const OLDEST: [u32; 3] = [3, 51, 3];
/// Bytes of a database that are checked before the start; more takes longer than a start may.
const CHECKED_BEFORE_START: u64 = 256 * 1024 * 1024;
/// Readers at a time. More than the cores of a small machine only wait for each other.
const READERS: usize = 4;
/// So long a reader is waited for.
const READER_WITHIN: Duration = Duration::from_secs(10);
/// Statements that are kept prepared, a connection: more than there are.
const STATEMENTS_KEPT: usize = 512;
/// Pages of the write-ahead log after which they are moved into the main file: 16 MiB, so that a page that is written over and over is
/// moved once.
const CHECKPOINT_PAGES: i64 = 4_000;

/// How a connection is opened, always in the same way.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) database: PathBuf,
}

impl Opening {
    /// The writer's connection.
    pub(crate) fn writing(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.busy_timeout(Duration::from_secs(5))?;
        // Commits are durable when they are answered (promise P15): with NORMAL the last ones may go with the power.
        connection
            .execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // Plans do not depend on what is bound, so that no statement is prepared again for it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }

    /// A connection that changes nothing.
    pub(crate) fn reading(&self) -> Result<Connection, StoreError> {
        let connection = self.writing()?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    }
}

/// A reader's connection, given back to the others when it goes.
#[derive(Debug)]
pub(crate) struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Whatever it was, the next reader begins anew; a connection that cannot even end its transaction is closed.
        if let Some(connection) = self.connection.take()
            && connection.execute_batch(COMMIT).is_ok()
        {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

/// One opened database.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) files: Files,
    pub(crate) file_check: FileCheck,
    opening: Opening,
    writers: Queue,
    readers: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Engine {
    pub(crate) async fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory: PathBuf = directory.to_owned();
        tokio::task::spawn_blocking(move || Self::open_here(&directory))
            .await
            .map_err(|error| StoreError::Unavailable { detail: error.to_string() })?
    }

    fn open_here(directory: &Path) -> Result<Self, StoreError> {
        let files = Files::open(directory)?;
        let opening = Opening { database: files.database() };
        let connection = opening.writing()?;
        check_version(&connection)?;
        // A start must not wait for gigabytes to be read, nor compete for the disk with that: those are checked once it serves.
        let file_check = FileCheck::new(opening.clone());
        let bytes = std::fs::metadata(files.database()).map_or(0, |found| found.len());
        if bytes <= CHECKED_BEFORE_START {
            file_check.before(&connection)?;
        }
        migrate(&connection)?;
        Ok(Self {
            files,
            file_check,
            writers: Queue::new(Writer::new(opening.clone(), connection)),
            opening,
            readers: Arc::new(Semaphore::new(READERS)),
            idle: Arc::default(),
        })
    }

    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        let unavailable = |detail: &str| StoreError::Unavailable { detail: detail.to_owned() };
        let permit = tokio::time::timeout(READER_WITHIN, Arc::clone(&self.readers).acquire_owned())
            .await
            .map_err(|_| unavailable("no reader became free within ten seconds"))?
            .map_err(|_| unavailable("the store is closed"))?;
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.opening.reading()?,
        };
        connection.execute_batch("BEGIN")?;
        Ok(Reader::reading(Lent { connection: Some(connection), idle: Arc::clone(&self.idle), _permit: permit }))
    }

    pub(crate) async fn write(&self) -> Result<Reader, StoreError> {
        let mut turn = self.writers.turn().await;
        turn.begin()?;
        Ok(Reader::writing(turn))
    }

    /// The writer's place, for tests that put its connection into a bad state.
    #[cfg(test)]
    pub(crate) async fn writer_for_tests(&self) -> crate::writer::Turn {
        self.writers.turn().await
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // The last connection to close moves the WAL into the main file.
        let closed = self.writers.turn().await.close();
        self.files.release();
        closed
    }

    /// A reader of a database that another process has opened.
    pub(crate) async fn beside(directory: &Path) -> Result<Reader, StoreError> {
        let opening = Opening { database: directory.join(files::DATABASE) };
        let connection = opening.reading()?;
        let found = sql::one(&connection, &query(migrations::VERSION))?;
        let found = found.as_ref().map_or(Ok(0), |row| row::integer(row, "version"))?;
        let known = migrations::known();
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        connection.execute_batch("BEGIN")?;
        let closed = |_| StoreError::Unavailable { detail: "the store is closed".to_owned() };
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(closed)?;
        Ok(Reader::reading(Lent { connection: Some(connection), idle: Arc::default(), _permit: permit }))
    }
}

fn check_version(connection: &Connection) -> Result<(), StoreError> {
    let found = sql::one(connection, &query("SELECT sqlite_version() AS version"))?;
    let version = row::text(&row::required(found, "SQLite's version")?, "version")?;
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    if parts.as_slice() >= OLDEST.as_slice() {
        Ok(())
    } else {
        Err(StoreError::Rule { rule: format!("SQLite is 3.51.3 or newer, this one is {version}") })
    }
}

/// Brings the schema to the current version, each step in a transaction of its own: a crash leaves whole steps.
fn migrate(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(BEGIN)?;
    sql::execute(connection, &query(migrations::VERSION_TABLE))?;
    let found = sql::one(connection, &query(migrations::VERSION))?;
    let found = found.as_ref().map_or(Ok(0), |row| row::integer(row, "version"))?;
    let known = migrations::known();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    connection.execute_batch(COMMIT)?;
    let mut version = found;
    for step in migrations::STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(BEGIN)?;
        for text in *step {
            connection.execute_batch(&migrations::spelled(text, "BLOB", "TEXT"))?;
        }
        version += 1;
        if version == 1 {
            sql::execute(connection, &query(migrations::FIRST_HEAD).bind(vec![0_u8; 32]))?;
        }
        sql::execute(connection, &query(migrations::SET_VERSION).bind(version))?;
        connection.execute_batch(COMMIT)?;
    }
    Ok(())
}

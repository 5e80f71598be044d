//! What is SQLite's own: how its file is opened, checked and brought to the current schema, and how its one writer and its readers
//! get their connections. A second engine is a second module of this shape.

use crate::error::StoreError;
use crate::fence::{self, Fence, Mark, OlderDatabase};
use crate::file_check::FileCheck;
use crate::files::{self, Files};
use crate::migrations;
use crate::row;
use crate::session::Reader;
use crate::sql::{self, query};
use crate::unreadable::Unreadable;
use crate::writer::{BEGIN, COMMIT, Queue, Writer};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The oldest SQLite that is accepted: the one whose WAL is mended (SECURITY-PROMISES, secure defaults).
const OLDEST: [u32; 3] = [3, 51, 3];
/// Bytes of a database that are checked before the start; more takes longer than a start may.
const CHECKED_BEFORE_START: u64 = 256 * 1024 * 1024;
/// Readers at a time. More than the cores of a small machine only wait for each other.
const READERS: usize = 4;
/// So long a reader is waited for.
const READER_WITHIN: Duration = Duration::from_secs(10);
/// So long a write lock is waited for that another process holds; no thread waits meanwhile.
const WRITE_LOCK_WITHIN: Duration = Duration::from_secs(2);
/// So long one statement waits for a lock on its thread: what a reader meets in the moment in which another process recovers the log.
const LOCK_WITHIN: Duration = Duration::from_millis(50);
/// So long a start does.
const LOCK_AT_START_WITHIN: Duration = Duration::from_secs(5);
/// Statements that are kept prepared, a connection: more than there are.
const STATEMENTS_KEPT: usize = 512;
/// Pages of the write-ahead log after which they are moved into the main file: 16 MiB, so that a page that is written over and over is
/// moved once.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Fewer bytes than this are no room for the index that SQLite shares between processes.
const SHARED_INDEX_ROOM: u64 = 1024 * 1024;
/// The setting with the id that the database shares with its fence.
const FENCE_ID: &str = "fence";

/// How a connection is opened, always in the same way.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) database: PathBuf,
    /// Keeps the index of the log in memory and the file from every other process: needs no free byte.
    pub(crate) alone: bool,
}

impl Opening {
    /// The writer's connection.
    pub(crate) fn writing(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = if self.alone {
            // sqlite.org/vfs.html, section 2.1.
            Connection::open_with_flags_and_vfs(&self.database, flags, c"unix-excl")?
        } else {
            Connection::open_with_flags(&self.database, flags)?
        };
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.busy_timeout(LOCK_WITHIN)?;
        // Commits are durable when they are answered (promise P15): with NORMAL the last ones may go with the power.
        connection
            .execute_batch("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // Plans do not depend on what is bound, so that no statement is prepared again for it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }

    /// The first connection, and how all of them are opened. On a full disk there may be no room for the index that processes share.
    fn first(files: &Files) -> Result<(Self, Connection), StoreError> {
        let mut opening = Self { database: files.database(), alone: false };
        let begun = Instant::now();
        let tried = |opening: &Self| {
            let connection = loop {
                match opening.writing() {
                    // No runtime's thread: a start waits on one of its own.
                    Err(StoreError::Locked) if begun.elapsed() < LOCK_AT_START_WITHIN => std::thread::sleep(LOCK_WITHIN),
                    opened => break opened?,
                }
            };
            connection.busy_timeout(LOCK_AT_START_WITHIN)?;
            sql::one(&connection, &query("SELECT count(*) AS tables FROM sqlite_master"))?;
            Ok::<_, StoreError>(connection)
        };
        match tried(&opening) {
            Err(error) if files.free().is_some_and(|free| free < SHARED_INDEX_ROOM) => {
                tracing::warn!(%error, "the disk is full: the database is opened for this process only");
                opening.alone = true;
                let connection = tried(&opening)?;
                Ok((opening, connection))
            }
            Ok(connection) => Ok((opening, connection)),
            Err(error) => Err(error),
        }
    }

    /// Makes the fence of a database that has none yet. The file first: a crash in between leaves a fence without its id in the database,
    /// which a start completes, and never an id without its fence.
    pub(crate) fn make_fence(&self, connection: &Connection, mark: Mark) -> Result<Fence, StoreError> {
        let directory = self.database.parent().unwrap_or(Path::new("."));
        let id = match fence_id(connection)? {
            Some(id) => id,
            None => {
                let row = sql::one(connection, &query("SELECT lower(hex(randomblob(16))) AS id"))?;
                row::text(&row::required(row, "a random id")?, "id")?
            }
        };
        let made = Fence::make(directory, &id, mark).map_err(|error| files::refused(&fence::path(directory), &error))?;
        keep_fence_id(connection, &id)?;
        Ok(made)
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
    /// What the database lost, where it was opened all the same.
    pub(crate) older: Option<OlderDatabase>,
    pub(crate) unreadable: Unreadable,
    opening: Opening,
    writers: Queue,
    readers: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Engine {
    /// With `accept_older`, also one that lost changes.
    pub(crate) async fn open(directory: &Path, accept_older: bool) -> Result<Self, StoreError> {
        let directory: PathBuf = directory.to_owned();
        tokio::task::spawn_blocking(move || Self::open_here(&directory, accept_older))
            .await
            .map_err(|error| StoreError::Unavailable { detail: error.to_string() })?
    }

    fn open_here(directory: &Path, accept_older: bool) -> Result<Self, StoreError> {
        let files = Files::open(directory, accept_older)?;
        let (opening, connection) = Opening::first(&files)?;
        check_version(&connection)?;
        // A start must not wait for gigabytes to be read, nor compete for the disk with that: those are checked once it serves.
        let file_check = FileCheck::new(opening.clone());
        let bytes = std::fs::metadata(files.database()).map_or(0, |found| found.len());
        if bytes <= CHECKED_BEFORE_START {
            file_check.before(&connection)?;
        }
        let known = fence::read(directory);
        let older = missing_changes(&connection, directory, &known)?;
        if let Some(older) = older.as_ref().filter(|_| !accept_older) {
            return Err(older.clone().refused(directory));
        }
        let complete = schema_version(&connection)? == migrations::known() && fence_id(&connection)?.is_some();
        migrate(&connection)?;
        let found = mark(&connection)?;
        let fence = match known {
            Ok(Some(known)) if older.is_none() => {
                if fence_id(&connection)?.is_none() {
                    keep_fence_id(&connection, &known.id)?;
                }
                let path = fence::path(directory);
                let mut fence = Fence::go_on(directory, known).map_err(|error| files::refused(&path, &error))?;
                fence.note(found, &[]).map_err(|error| files::refused(&path, &error))?;
                Some(fence)
            }
            // The old fence stays until the first commit, which records in the audit trail that this database was taken all the same.
            _ if older.is_some() => None,
            _ => match opening.make_fence(&connection, found) {
                Ok(fence) => Some(fence),
                Err(StoreError::Full) => {
                    tracing::warn!(
                        "no room for the fence, which tells a database that lost its last changes: it is made once there is space"
                    );
                    None
                }
                Err(error) => return Err(error),
            },
        };
        if !complete && connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").is_err() {
            // So that the main file knows of its fence even without its log. A reader of another process may be in the way.
            tracing::info!("the write-ahead log is not yet in the database file");
        }
        // From here on a writer waits for a lock in between its attempts, and no thread does.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            files,
            file_check,
            older,
            unreadable: Unreadable::default(),
            writers: Queue::new(Writer::new(opening.clone(), connection, fence)),
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
        let lent = Lent { connection: Some(connection), idle: Arc::clone(&self.idle), _permit: permit };
        Ok(Reader::reading(lent, self.unreadable.clone()))
    }

    pub(crate) async fn write(&self) -> Result<Reader, StoreError> {
        let mut turn = self.writers.turn().await;
        turn.begin_within(WRITE_LOCK_WITHIN).await?;
        Ok(Reader::writing(turn, self.unreadable.clone()))
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
        let opening = Opening { database: directory.join(files::DATABASE), alone: false };
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
        let lent = Lent { connection: Some(connection), idle: Arc::default(), _permit: permit };
        Ok(Reader::reading(lent, Unreadable::default()))
    }
}

/// How far the database is.
pub(crate) fn mark(connection: &Connection) -> Result<Mark, StoreError> {
    let revision = row::required(sql::one(connection, &query(crate::session::REVISION))?, "the revision")?;
    let head = row::required(sql::one(connection, &query(crate::noun::audit::HEAD))?, "the head of the audit trail")?;
    Ok(Mark {
        revision: row::integer(&revision, "revision")?,
        sequence: row::integer(&head, "sequence")?,
        hash: row::digest(&head, "hash")?,
    })
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    let found = query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1").bind(name.to_owned());
    Ok(sql::one(connection, &found)?.is_some())
}

fn schema_version(connection: &Connection) -> Result<i64, StoreError> {
    if !has_table(connection, "schema_version")? {
        return Ok(0);
    }
    sql::one(connection, &query(migrations::VERSION))?.as_ref().map_or(Ok(0), |row| row::integer(row, "version"))
}

fn fence_id(connection: &Connection) -> Result<Option<String>, StoreError> {
    if !has_table(connection, "setting")? {
        return Ok(None);
    }
    let found = sql::one(connection, &query(crate::noun::setting::ONE).bind(FENCE_ID.to_owned()))?;
    found.as_ref().map(|row| row::document(row, "document")).transpose()
}

fn keep_fence_id(connection: &Connection, id: &str) -> Result<(), StoreError> {
    let put = query(crate::noun::setting::PUT).bind(FENCE_ID.to_owned()).bind(row::to_document(&id)?).bind(0_i64);
    Ok(sql::execute(connection, &put).map(|_| ())?)
}

/// What the database lacks, by the fence beside it.
fn missing_changes(
    connection: &Connection,
    directory: &Path,
    known: &Result<Option<fence::Known>, String>,
) -> Result<Option<OlderDatabase>, StoreError> {
    if schema_version(connection)? == 0 {
        return Ok(files::was_installed(directory).then(|| files::missing(directory)));
    }
    let (id, found) = (fence_id(connection)?, mark(connection)?);
    let untold = |reason: String| OlderDatabase { reason, revision: Some(found.revision), incomplete: true, ..OlderDatabase::default() };
    match known {
        Ok(Some(known)) => fence::compare(known, id.as_deref(), &found, |sequence| {
            let hash = sql::one(connection, &query(crate::noun::audit::HASH_AT).bind(sequence))?;
            hash.as_ref().map(|row| row::digest(row, "hash")).transpose()
        }),
        // One of an older version, which kept no fence.
        Ok(None) if id.is_none() => Ok(None),
        Ok(None) => Ok(Some(untold("its fence, which tells whether it is the last one, is missing".to_owned()))),
        Err(reason) => Ok(Some(untold(format!("its fence, which tells whether it is the last one, is damaged ({reason})")))),
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

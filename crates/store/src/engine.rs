//! What is SQLite's own: how its file is opened, checked and brought to the current schema, and how its one writer and its readers
//! get their connections. A second engine is a second module of this shape.

use crate::error::StoreError;
use crate::files::Files;
use crate::migrations;
use crate::row;
use crate::session::{self, Reader, WriterSlot};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, query};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The oldest SQLite that is accepted: the one whose WAL is mended (SECURITY-PROMISES, secure defaults).
const OLDEST: [u32; 3] = [3, 51, 3];
/// Bytes of a database that are checked before the start; more takes longer than a start may.
const CHECKED_BEFORE_START: u64 = 256 * 1024 * 1024;
/// Readers at a time. More than the cores of a small machine only wait for each other.
const READERS: u32 = 4;

/// One opened database.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) files: Files,
    options: SqliteConnectOptions,
    writer: Arc<Mutex<WriterSlot>>,
    readers: SqlitePool,
}

impl Engine {
    pub(crate) async fn open(directory: &std::path::Path) -> Result<Self, StoreError> {
        let directory: PathBuf = directory.to_owned();
        let files = tokio::task::spawn_blocking(move || Files::open(&directory))
            .await
            .map_err(|error| StoreError::Unavailable { detail: error.to_string() })??;
        // Commits are durable when they are answered (promise P15): with NORMAL the last ones may go with the power.
        let options = SqliteConnectOptions::new()
            .filename(files.database())
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256)
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        check_version(&mut connection).await?;
        // A start must not wait for gigabytes to be read: those are checked while it serves already.
        let bytes = std::fs::metadata(files.database()).map_or(0, |found| found.len());
        if bytes <= CHECKED_BEFORE_START {
            check_file(&mut connection).await?;
        } else {
            tokio::spawn(check_later(options.clone().pragma("query_only", "ON")));
        }
        migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.clone().pragma("query_only", "ON"));
        Ok(Self { files, options, writer: Arc::new(Mutex::new(WriterSlot(Some(connection)))), readers })
    }

    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(Reader::reading(self.readers.begin().await?))
    }

    pub(crate) async fn write(&self) -> Result<Reader, StoreError> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        let fresh = guard.0.is_none();
        let mut writer = Reader::writing(guard);
        if !fresh {
            match writer.start().await {
                Ok(()) => return Ok(writer),
                // A connection that cannot begin may be one whose last transaction ended in an unknown way: a new one tells.
                Err(error) => tracing::warn!(%error, "the writer's connection is opened again"),
            }
        }
        writer.replace(self.options.connect().await?);
        writer.start().await?;
        Ok(writer)
    }

    /// The writer's place, for tests that put its connection into a bad state.
    #[cfg(test)]
    pub(crate) async fn writer_for_tests(&self) -> tokio::sync::OwnedMutexGuard<WriterSlot> {
        Arc::clone(&self.writer).lock_owned().await
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        let connection = self.writer.lock().await.0.take();
        // The last connection to close moves the WAL into the main file.
        if let Some(connection) = connection {
            connection.close().await?;
        }
        Ok(())
    }
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let row = query("SELECT sqlite_version() AS version").fetch_one(&mut *connection).await?;
    let version = row::text(&row, "version")?;
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    if parts.as_slice() >= OLDEST.as_slice() {
        Ok(())
    } else {
        Err(StoreError::Rule { rule: format!("SQLite is 3.51.3 or newer, this one is {version}") })
    }
}

/// Checks a large file beside the service, once, and says so loudly when it is damaged.
async fn check_later(options: SqliteConnectOptions) {
    let checked = async {
        let mut connection = options.connect().await?;
        check_file(&mut connection).await?;
        connection.close().await.map_err(StoreError::from)
    };
    match checked.await {
        Ok(()) => tracing::info!("the database file was checked and is whole"),
        Err(error @ StoreError::Inconsistent { .. }) => tracing::error!(%error, "the database file is damaged: restore a backup"),
        Err(error) => tracing::warn!(%error, "the database file could not be checked"),
    }
}

/// A damaged file is refused at the start, rather than found out by a request.
async fn check_file(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let row = query("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    match row::text(&row, "quick_check")?.as_str() {
        "ok" => Ok(()),
        detail => Err(StoreError::Inconsistent { detail: detail.replace('\n', " ") }),
    }
}

/// Brings the schema to the current version, each step in a transaction of its own: a crash leaves whole steps.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    query(session::BEGIN).execute(&mut *connection).await?;
    query(migrations::VERSION_TABLE).execute(&mut *connection).await?;
    let row = query(migrations::VERSION).fetch_optional(&mut *connection).await?;
    let found = row.as_ref().map_or(Ok(0), |row| row::integer(row, "version"))?;
    let known = migrations::known();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    query(session::COMMIT).execute(&mut *connection).await?;
    let mut version = found;
    for step in migrations::STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        query(session::BEGIN).execute(&mut *connection).await?;
        for text in *step {
            query(AssertSqlSafe(migrations::spelled(text, "BLOB", "TEXT"))).persistent(false).execute(&mut *connection).await?;
        }
        version += 1;
        if version == 1 {
            query(migrations::FIRST_HEAD).bind(vec![0_u8; 32]).execute(&mut *connection).await?;
        }
        query(migrations::SET_VERSION).bind(version).execute(&mut *connection).await?;
        query(session::COMMIT).execute(&mut *connection).await?;
    }
    Ok(())
}

//! Whether the database file is whole. Small files are checked before they are used, large ones beside the service; what was found is
//! told to whoever asks. Nothing is mended here: a damaged file is replaced by a backup.

use crate::engine::Opening;
use crate::error::StoreError;
use crate::row;
use crate::sql::{self, query};
use rusqlite::Connection;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of the database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wholeness {
    /// It was not checked yet, or the check did not come to its end.
    Unknown,
    /// It was checked and is whole.
    Whole,
    /// It was checked and is damaged: a backup is to be restored.
    Damaged,
}

/// The check of one database file, and what it found. Clones know the same. It holds no data directory.
#[derive(Clone)]
pub struct FileCheck {
    opening: Opening,
    found: Arc<Mutex<Wholeness>>,
}

impl fmt::Debug for FileCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCheck").field("found", &self.found()).finish_non_exhaustive()
    }
}

impl FileCheck {
    pub(crate) fn new(opening: Opening) -> Self {
        Self { opening, found: Arc::new(Mutex::new(Wholeness::Unknown)) }
    }

    /// What was found.
    pub fn found(&self) -> Wholeness {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, found: Wholeness) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Checks before anything uses the file: a damaged one is refused rather than found out by a request.
    pub(crate) fn before(&self, connection: &Connection) -> Result<(), StoreError> {
        check(connection)?;
        self.note(Wholeness::Whole);
        Ok(())
    }

    /// Checks beside the service, unless that was done already, and says loudly when the file is damaged. It reads the whole file,
    /// seconds for each gigabyte, on a connection of its own; changes go on meanwhile.
    pub async fn beside(&self) {
        if self.found() != Wholeness::Unknown {
            return;
        }
        let opening = self.opening.clone();
        let checked = tokio::task::spawn_blocking(move || check(&opening.reading()?));
        let checked = checked.await.unwrap_or_else(|error| Err(StoreError::Unavailable { detail: error.to_string() }));
        match checked {
            Ok(()) => {
                self.note(Wholeness::Whole);
                tracing::info!("the database file was checked and is whole");
            }
            Err(error @ StoreError::Inconsistent { .. }) => {
                self.note(Wholeness::Damaged);
                tracing::error!(%error, "the database file is damaged: restore a backup");
            }
            Err(error) => tracing::warn!(%error, "the database file could not be checked"),
        }
    }
}

fn check(connection: &Connection) -> Result<(), StoreError> {
    let found = sql::one(connection, &query("PRAGMA quick_check(1)"))?;
    match row::text(&row::required(found, "the result of the check")?, "quick_check")?.as_str() {
        "ok" => Ok(()),
        detail => Err(StoreError::Inconsistent { detail: detail.replace('\n', " ") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, SeekFrom, Write as _};

    /// A file with a table and rows enough for many pages.
    fn file(directory: &std::path::Path) -> Opening {
        let database = directory.join("a.db");
        let connection = Connection::open(&database).unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, hex(randomblob(50)) FROM n";
        connection.execute_batch(&format!("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); {rows}")).unwrap();
        Opening { database, alone: false }
    }

    #[tokio::test]
    async fn a_whole_file_is_known_as_whole_once_it_was_checked() {
        let directory = tempfile::tempdir().unwrap();
        let check = FileCheck::new(file(directory.path()));
        assert_eq!(check.found(), Wholeness::Unknown);
        check.clone().beside().await;
        assert_eq!(check.found(), Wholeness::Whole);
    }

    #[tokio::test]
    async fn a_file_damaged_in_its_midst_is_known_as_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let opening = file(directory.path());
        let mut raw = std::fs::OpenOptions::new().write(true).open(directory.path().join("a.db")).unwrap();
        raw.seek(SeekFrom::Start(10 * 4096)).unwrap();
        raw.write_all(&[0xff; 4096]).unwrap();
        drop(raw);
        let check = FileCheck::new(opening);
        check.beside().await;
        assert_eq!(check.found(), Wholeness::Damaged);
    }
}

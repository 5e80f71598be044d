//! The data directory: its mode, its lock, the database's file and the reserve. It makes what is missing with the right mode,
//! whatever the umask, and refuses what is open to others (CONTRACT section 5) instead of mending it in silence.

use crate::error::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The database's file.
pub(crate) const DATABASE: &str = "countersign.db";
/// The lock's file; it holds the id of the process that has it, for the message to the next.
const LOCK: &str = "lock";
/// The file that is given up when the disk is full.
const RESERVE: &str = "reserve";
/// Bytes of it (SECURITY-PROMISES, secure defaults).
const RESERVE_BYTES: usize = 16 * 1024 * 1024;
/// Every file that is ours in the data directory. The last two are SQLite's, which gives them the database's own mode.
const OURS: [&str; 5] = [DATABASE, LOCK, RESERVE, "countersign.db-wal", "countersign.db-shm"];

/// A data directory that is held by this process.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    /// Held open: the lock goes with the file, even when the process is killed.
    lock: Mutex<Option<File>>,
}

impl Files {
    /// Makes and checks the directory, takes the lock, makes the database's file.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        make_directory(directory)?;
        check_mode(directory, 0o700)?;
        for name in OURS {
            let path = directory.join(name);
            if path.exists() {
                check_mode(&path, 0o600)?;
            }
        }
        let lock = lock(directory)?;
        let database = directory.join(DATABASE);
        private(&database, false).and_then(|file| file.sync_all()).map_err(|error| refused(&database, &error))?;
        // The names themselves must survive a power cut, or the first acknowledged changes go with them.
        File::open(directory).and_then(|opened| opened.sync_all()).map_err(|error| refused(directory, &error))?;
        let files = Self { directory: directory.to_owned(), lock: Mutex::new(Some(lock)) };
        if !files.restore_reserve() {
            tracing::warn!(directory = %files.directory.display(), "no room for the reserve: the disk is nearly full");
        }
        Ok(files)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    /// Gives the directory free for another process.
    pub(crate) fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// See [`crate::Store::spend_reserve`].
    pub(crate) fn spend_reserve(&self) -> bool {
        std::fs::remove_file(self.directory.join(RESERVE)).is_ok()
    }

    /// See [`crate::Store::has_reserve`].
    pub(crate) fn has_reserve(&self) -> bool {
        std::fs::metadata(self.directory.join(RESERVE)).is_ok_and(|found| found.len() == RESERVE_BYTES as u64)
    }

    /// See [`crate::Store::restore_reserve`].
    pub(crate) fn restore_reserve(&self) -> bool {
        let path = self.directory.join(RESERVE);
        if self.has_reserve() {
            return true;
        }
        // Written rather than set to a length: a hole in a file keeps no room.
        let kept = private(&path, true).and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]).and_then(|()| file.sync_all()));
        if kept.is_err() {
            // A part of it would only make the disk fuller.
            let _ = std::fs::remove_file(&path);
        }
        kept.is_ok()
    }
}

/// Opens a file of ours, or makes it with mode 0600 exactly.
fn private(path: &Path, truncate: bool) -> std::io::Result<File> {
    let missing = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)?;
    if missing {
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| refused(parent, &error))?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .and_then(|()| std::fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .map_err(|error| refused(directory, &error))
}

/// Refuses what others may enter, and what its own user may not.
fn check_mode(path: &Path, wanted: u32) -> Result<(), StoreError> {
    let mode = std::fs::metadata(path).map_err(|error| refused(path, &error))?.mode() & 0o777;
    let remedy = format!("run: chmod {wanted:04o} {}", path.display());
    let reason = if mode & 0o077 != 0 {
        format!("mode {mode:04o} lets other users in; it must be {wanted:04o}")
    } else if mode & wanted != wanted {
        format!("mode {mode:04o} keeps its own user from writing; it must be {wanted:04o}")
    } else {
        return Ok(());
    };
    Err(StoreError::Permission { path: path.to_owned(), reason, remedy })
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let mut file = private(&path, false).map_err(|error| refused(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message; it may be unreadable.
            let _ = file.read_to_string(&mut holder);
            return Err(StoreError::Busy { directory: directory.to_owned(), process: holder.trim().parse().ok() });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(refused(&path, &error)),
    }
    let note = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    note.map_err(|error| refused(&path, &error))?;
    Ok(file)
}

fn refused(path: &Path, error: &std::io::Error) -> StoreError {
    if error.kind() == ErrorKind::StorageFull {
        return StoreError::Full;
    }
    StoreError::Permission {
        path: path.to_owned(),
        reason: error.to_string(),
        remedy: "give the user that countersign runs as a data directory that it may write".to_owned(),
    }
}

//! The data directory: its mode, its lock, the database's file and the reserve. It makes what is missing with the right mode,
//! whatever the umask, and refuses what is open to others (CONTRACT section 5) instead of mending it in silence.

use crate::error::StoreError;
use crate::fence::{FENCE, OlderDatabase};
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
/// A change that takes access away has this much room before it begins, or the reserve is spent for it.
const CHANGE_BYTES: u64 = 2 * 1024 * 1024;
/// Records that outsiders can cause stop while less than this is free, or less than an eighth of a small file system.
const RECORDS_FLOOR: u64 = 64 * 1024 * 1024;
/// Files that are made after the database: where one of them is, there was a database.
const BESIDE: [&str; 3] = [FENCE, "master.key", "master.key.wrapped"];
/// Every file that is ours in the data directory. The last two are SQLite's, which gives them the database's own mode.
const OURS: [&str; 6] = [DATABASE, LOCK, RESERVE, FENCE, "countersign.db-wal", "countersign.db-shm"];

/// A data directory that is held by this process.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    /// Held open: the lock goes with the file, even when the process is killed.
    lock: Mutex<Option<File>>,
}

impl Files {
    /// Makes and checks the directory, takes the lock, makes the database's file.
    pub(crate) fn open(directory: &Path, accept_older: bool) -> Result<Self, StoreError> {
        make_directory(directory)?;
        check_mode(directory, 0o700)?;
        for name in OURS {
            let path = directory.join(name);
            if path.exists() {
                check_mode(&path, 0o600)?;
            }
        }
        let lock = lock(directory)?;
        if !accept_older {
            check_is_there(directory)?;
        }
        let database = directory.join(DATABASE);
        private(&database, false).and_then(|file| file.sync_all()).map_err(|error| refused(&database, &error))?;
        // The names themselves must survive a power cut, or the first acknowledged changes go with them.
        File::open(directory).and_then(|opened| opened.sync_all()).map_err(|error| refused(directory, &error))?;
        let files = Self { directory: directory.to_owned(), lock: Mutex::new(Some(lock)) };
        if !files.restore_reserve() {
            tracing::warn!(
                directory = %files.directory.display(),
                "the disk is full: the last state is served, and only changes that take access away are accepted until there is space"
            );
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

    pub(crate) fn reserve(&self) -> PathBuf {
        self.directory.join(RESERVE)
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
        // Asked first, so that the 16 MiB are not written and removed again every second on a full disk.
        if self.free().is_some_and(|free| free < RESERVE_BYTES as u64) {
            return false;
        }
        // Written rather than set to a length: a hole in a file keeps no room.
        let kept = private(&path, true).and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]).and_then(|()| file.sync_all()));
        if kept.is_err() {
            // A part of it would only make the disk fuller.
            let _ = std::fs::remove_file(&path);
        }
        kept.is_ok()
    }

    /// Makes room for a change that takes access away: spends the reserve where the disk is nearly full.
    pub(crate) fn make_room(&self) {
        if self.free().is_some_and(|free| free < CHANGE_BYTES) && self.spend_reserve() {
            tracing::warn!("the disk is full; a change that takes access away uses the space kept back for it");
        }
    }

    /// See [`crate::Store::has_room_for_records`].
    pub(crate) fn has_room_for_records(&self) -> bool {
        let found = rustix::fs::statvfs(&self.directory).ok();
        let enough = found.is_none_or(|found| {
            let (free, whole) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
            free >= RECORDS_FLOOR.min(whole / 8)
        });
        enough && self.has_reserve()
    }

    /// Bytes that this process may still write there; `None` where the file system does not tell.
    pub(crate) fn free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.directory).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Opens a file of ours, or makes it with mode 0600 exactly.
pub(crate) fn private(path: &Path, truncate: bool) -> std::io::Result<File> {
    let missing = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)?;
    if missing {
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Whether an installation was here before, which has a database.
pub(crate) fn was_installed(directory: &Path) -> bool {
    BESIDE.iter().any(|name| directory.join(name).exists())
}

/// Refuses to make a new database where there was one. Looked at before SQLite opens it: beside an empty file it deletes the log.
fn check_is_there(directory: &Path) -> Result<(), StoreError> {
    let bytes = std::fs::metadata(directory.join(DATABASE)).map_or(0, |found| found.len());
    if bytes > 0 || !was_installed(directory) {
        return Ok(());
    }
    Err(missing(directory).refused(directory))
}

/// What is known where the database is gone.
pub(crate) fn missing(directory: &Path) -> OlderDatabase {
    let known = crate::fence::read(directory).ok().flatten();
    OlderDatabase {
        reason: "it is missing or empty, and was there before".to_owned(),
        revision: None,
        fence_revision: known.as_ref().map(|known| known.mark.revision),
        // Nothing that was taken away is in an empty database.
        let_in_again: Vec::new(),
        incomplete: false,
    }
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
    // Only for the message to the next one; a full disk must not keep a start from serving. Longer than any id, so that nothing is left
    // of a longer one and no space has to be given back and taken again.
    let note = file.rewind().and_then(|()| writeln!(file, "{:<10}", std::process::id())).and_then(|()| file.set_len(11));
    match note {
        Err(error) if error.kind() != ErrorKind::StorageFull => Err(refused(&path, &error)),
        _ => Ok(file),
    }
}

pub(crate) fn refused(path: &Path, error: &std::io::Error) -> StoreError {
    if error.kind() == ErrorKind::StorageFull {
        return StoreError::Full;
    }
    StoreError::Permission {
        path: path.to_owned(),
        reason: error.to_string(),
        remedy: "give the user that countersign runs as a data directory that it may write".to_owned(),
    }
}

//! The agent's directory: whole sets side by side, and `current`, a link to the one in force. A set is written under a name
//! that nobody reads, made durable, and only then gets its name; the link changes in one step. So a crash at any point leaves
//! the old set in force or the new one, and never a half. It knows nothing of a control plane.

use super::disk::Disk;
use super::set::{self, Set};
use super::settings::{Copies, Rights, Settings};
use crate::cli::Failure;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::{Secret, Timestamp};
use countersign_x509::private_key::{KeyKind, LocalKey};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The link to the set in force.
const CURRENT: &str = "current";
/// The key of a request that may have been answered already.
const NEXT: &str = "next";
/// The certificate that the key in [`NEXT`] is to follow.
const REPLACES: &str = "replaces";
/// The set whose hook has not run to a good end yet.
const HOOK_DUE: &str = "hook-due";
/// Held by the one agent that works here.
const LOCK: &str = "lock";

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    copies: Copies,
    disk: Disk,
    /// Held for as long as this lives.
    _lock: File,
}

impl Shelf {
    /// Makes the directory if there is none, and takes it for this process. Fails with `agent_running` when another has it.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        Self::at(&settings.directory, settings.copies.clone(), settings.rights)
    }

    fn at(directory: &Path, copies: Copies, rights: Rights) -> Result<Self, Failure> {
        let failed = |error: &io::Error| Failure::file("use the directory", directory, error);
        let disk = Disk::new(rights);
        disk.directory(directory).map_err(|e| failed(&e))?;
        refuse(directory, 0o002, "others may write to it, and so put a key of their own in force", "chmod o-w")?;
        let lock = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK)).map_err(|e| failed(&e))?;
        if lock.try_lock().is_err() {
            return Err(Failure::refused("agent_running", format!("another agent works in {}", directory.display()))
                .hint("stop it first, or give this one a directory of its own"));
        }
        Ok(Self { directory: directory.to_owned(), copies, disk, _lock: lock })
    }

    /// Where readers find a file of the set in force.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(CURRENT).join(name)
    }

    /// The set in force. Takes over what somebody put into the files of the settings, and mends copies that a crash left behind.
    /// Fails with `no_certificate` while there is none.
    pub fn settle(&self, password: Option<&Secret>, now: Timestamp) -> Result<Set, Failure> {
        let current = self.current()?;
        let (certificate, key) = match (&self.copies.certificate, &self.copies.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ => (self.directory.join(set::CERTIFICATE), self.directory.join(set::KEY)),
        };
        let Some(current) = current else {
            if !certificate.exists() {
                return Err(Failure::refused(
                    "no_certificate",
                    format!("there is no certificate to keep fresh: neither {} nor {}", self.path("").display(), certificate.display()),
                )
                .hint("make the first one: countersign certificate create --generate-key; then name its files in the settings"));
            }
            let first = self.placed(&certificate, &key)?;
            self.put(&first, password).map_err(|e| self.failed(&e))?;
            return Ok(first);
        };
        if self.copies.certificate.is_some() && certificate.exists() && !current.is_in(&certificate) && !self.knows(&certificate)? {
            let placed = self.placed(&certificate, &key)?;
            if placed.facts.not_before >= current.facts.not_before || now > current.facts.not_after {
                self.install(&placed, password)?;
                return Ok(placed);
            }
        }
        let whole = password.is_none() || self.path(set::KEYSTORE).exists();
        if !whole {
            // The settings ask for a keystore only since this set was made.
            let files = current.files(password)?;
            for file in files.iter().filter(|file| file.name == set::KEYSTORE) {
                self.disk.replace(&self.path(file.name), &file.bytes, file.private).map_err(|e| self.failed(&e))?;
            }
        }
        self.copy().map_err(|e| self.failed(&e))?;
        Ok(current)
    }

    /// What somebody put into the files of the settings.
    fn placed(&self, certificate: &Path, key: &Path) -> Result<Set, Failure> {
        refuse(key, 0o007, "it holds a private key and others may use it", "chmod o=")?;
        Set::read(certificate, key, self.copies.chain.as_deref())
    }

    fn current(&self) -> Result<Option<Set>, Failure> {
        if std::fs::symlink_metadata(self.directory.join(CURRENT)).is_err() {
            return Ok(None);
        }
        Set::read(&self.path(set::CERTIFICATE), &self.path(set::KEY), Some(&self.path(set::CHAIN))).map(Some)
    }

    /// Whether this file holds a certificate that was in force here.
    fn knows(&self, certificate: &Path) -> Result<bool, Failure> {
        let text = std::fs::read(certificate).map_err(|error| Failure::file("read", certificate, &error))?;
        let ders = set::certificates(&text, certificate)?;
        Ok(ders.first().is_some_and(|der| {
            let mut id = Fingerprint::of(der).to_string();
            id.truncate(32);
            self.directory.join(id).is_dir()
        }))
    }

    /// Puts a set in force. From when it returns, and also after a crash in it, its hook is due.
    pub fn install(&self, new: &Set, password: Option<&Secret>) -> Result<(), Failure> {
        let due = self.directory.join(HOOK_DUE);
        self.disk.replace(&due, new.id().as_bytes(), false).map_err(|e| self.failed(&e))?;
        self.put(new, password).map_err(|e| self.failed(&e))
    }

    fn put(&self, new: &Set, password: Option<&Secret>) -> io::Result<()> {
        let id = new.id();
        let (staged, whole) = (self.directory.join(format!("{id}.new")), self.directory.join(&id));
        if !whole.is_dir() {
            self.disk.remove_directory(&staged)?;
            self.disk.directory(&staged)?;
            for file in new.files(password).map_err(|failure| io::Error::other(failure.message))? {
                self.disk.write_new(&staged.join(file.name), &file.bytes, file.private)?;
            }
            self.disk.sync_directory(&staged)?;
            self.disk.rename(&staged, &whole)?;
        }
        let before = std::fs::read_link(self.directory.join(CURRENT)).ok();
        if before.as_deref() != Some(Path::new(&id)) {
            self.disk.point(&self.directory.join(CURRENT), &id)?;
        }
        self.copy()?;
        self.disk.remove_directory(&self.directory.join(NEXT))?;
        self.tidy(&id, before.as_deref())
    }

    /// Brings the plain copies up to the set in force. Each is replaced in one step, one after the other.
    fn copy(&self) -> io::Result<()> {
        let copies = [
            (set::CHAIN, &self.copies.chain, false),
            (set::KEY, &self.copies.key, true),
            (set::CERTIFICATE, &self.copies.certificate, false),
            (set::KEYSTORE, &self.copies.keystore, true),
        ];
        let own = std::fs::canonicalize(&self.directory)?;
        for (name, copy, private) in copies {
            let Some(copy) = copy else { continue };
            // A link that leads into our directory is as fresh as can be. Any other is replaced, never followed: where it leads
            // is the word of whoever may write there, and the agent may have more rights than he.
            if std::fs::canonicalize(copy).is_ok_and(|target| target.starts_with(&own)) {
                continue;
            }
            let bytes = Zeroizing::new(std::fs::read(self.path(name))?);
            let is_plain = std::fs::symlink_metadata(copy).is_ok_and(|found| found.is_file());
            if !is_plain || std::fs::read(copy).map(Zeroizing::new).ok().as_ref() != Some(&bytes) {
                self.disk.replace(copy, &bytes, private)?;
            }
        }
        Ok(())
    }

    /// Removes what no reader needs: sets older than the one before this, and what a crash left half-made.
    fn tidy(&self, id: &str, before: Option<&Path>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let old = name.strip_suffix(".new").unwrap_or(&name);
            let is_set = old.len() == 32 && old.bytes().all(|b| b.is_ascii_hexdigit());
            if is_set && name != id && before != Some(Path::new(&name)) {
                self.disk.remove_directory(&self.directory.join(name))?;
            }
        }
        Ok(())
    }

    /// The key for the successor of `old`: the same one until the successor is in force, so that a request whose answer was lost
    /// is the same request when it is made again. Durable before it is returned.
    pub fn next_key(&self, old: &Set, kind: KeyKind) -> Result<LocalKey, Failure> {
        let next = self.directory.join(NEXT);
        let print = old.fingerprint().to_string();
        if std::fs::read_to_string(next.join(REPLACES)).is_ok_and(|text| text == print)
            && let Ok(text) = std::fs::read_to_string(next.join(set::KEY)).map(Zeroizing::new)
            && let Ok(key) = LocalKey::from_pem(&text)
        {
            return Ok(key);
        }
        let key = LocalKey::generate(kind)?;
        // The key goes into a file that only its owner may read; it leaves this machine by no other way.
        let pem = key.to_pem()?;
        let staged = self.directory.join("next.new");
        let write = || {
            self.disk.remove_directory(&staged)?;
            self.disk.remove_directory(&next)?;
            self.disk.directory(&staged)?;
            self.disk.write_new(&staged.join(set::KEY), pem.expose().as_bytes(), true)?;
            self.disk.write_new(&staged.join(REPLACES), print.as_bytes(), true)?;
            self.disk.sync_directory(&staged)?;
            self.disk.rename(&staged, &next)
        };
        write().map_err(|e| self.failed(&e))?;
        Ok(key)
    }

    /// Whether the hook has still to run for this set.
    pub fn is_hook_due(&self, current: &Set) -> bool {
        std::fs::read_to_string(self.directory.join(HOOK_DUE)).is_ok_and(|id| id == current.id())
    }

    /// The hook has run to a good end.
    pub fn hook_done(&self) -> Result<(), Failure> {
        self.disk.remove_file(&self.directory.join(HOOK_DUE)).map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file("write the files in", &self.directory, error).hint("what was in force before stays; it is tried again")
    }
}

/// Refuses what others have these permission bits on.
fn refuse(path: &Path, bits: u32, why: &str, command: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?.permissions().mode();
    if mode & bits == 0 {
        return Ok(());
    }
    Err(Failure::refused("file_permissions", format!("{}: {why}", path.display())).hint(format!("run {command} {}", path.display())))
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;

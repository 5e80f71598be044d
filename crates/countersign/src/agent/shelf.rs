//! The agent's directory: whole sets side by side, and `current`, a link to the one in force. A set is written under a name
//! that nobody reads, made durable, and only then gets its name; the link changes in one step. So a crash at any point leaves
//! the old set in force or the new one, and never a half. It knows nothing of a control plane.

use super::disk::Disk;
use super::set::{self, Set};
use super::settings::{Copies, Rights, Settings};
use crate::cli::Failure;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::{Secret, Timestamp};
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
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

/// What was found, once everything that can be put in order is in order.
#[derive(Debug)]
pub struct Settled {
    /// The set in force.
    pub set: Set,
    /// What was broken and is whole again.
    pub healed: Vec<String>,
    /// What is wrong and left to a person; the set in force is sound all the same.
    pub wrong: Vec<Failure>,
}

/// What stands in the copy of the certificate.
enum CopyState {
    /// A set of ours, or nothing that can be read.
    Ours,
    /// A whole set that somebody put there.
    Placed(Box<Set>),
    /// A certificate that somebody put there, and not its key, or one that others may read.
    Unfinished(Failure),
}

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

    /// The set in force. Takes over what somebody put into the files of the settings. What a crash or a careless hand left broken is
    /// made whole from what is sound; what cannot be made whole is reported and does not keep the set in force from being renewed.
    /// Fails with `no_certificate` while there is none.
    pub fn settle(&self, password: Option<&Secret>, now: Timestamp) -> Result<Settled, Failure> {
        let (mut healed, mut wrong) = (Vec::new(), Vec::new());
        let (certificate, key) = self.places();
        let current = match self.current() {
            Ok(Some(current)) => current,
            Ok(None) if certificate.exists() => match self.placed(&certificate, &key) {
                Ok(first) => {
                    self.put(&first, password).map_err(|e| self.failed(&e))?;
                    return Ok(Settled { set: first, healed, wrong });
                }
                Err(failure) => self.recover(password, failure, &mut healed)?,
            },
            Ok(None) => {
                let none = Failure::refused(
                    "no_certificate",
                    format!("there is no certificate to keep fresh: neither {} nor {}", self.path("").display(), certificate.display()),
                );
                let none =
                    none.hint("make the first one: countersign certificate create --generate-key; then name its files in the settings");
                self.recover(password, none, &mut healed)?
            }
            Err(failure) => self.recover(password, failure, &mut healed)?,
        };
        match self.state_of_copies(&current) {
            CopyState::Ours => {}
            CopyState::Placed(placed) => {
                if placed.facts.not_before >= current.facts.not_before || now > current.facts.not_after {
                    self.install(&placed, password)?;
                    return Ok(Settled { set: *placed, healed, wrong });
                }
            }
            CopyState::Unfinished(failure) => wrong.push(failure),
        }
        let whole = password.is_none() || self.path(set::KEYSTORE).exists();
        if !whole {
            // The settings ask for a keystore only since this set was made.
            let files = current.files(password)?;
            for file in files.iter().filter(|file| file.name == set::KEYSTORE) {
                self.disk.replace(&self.path(file.name), &file.bytes, file.private).map_err(|e| self.failed(&e))?;
            }
        }
        // The set in force is sound whatever becomes of its copies.
        match self.copy(&current) {
            Ok(replaced) => healed.extend(replaced.iter().map(|path| format!("{} is a copy of the set in force again", path.display()))),
            Err(error) => wrong.push(self.failed(&error)),
        }
        Ok(Settled { set: current, healed, wrong })
    }

    /// Where somebody puts a certificate and its key for the agent to take up.
    fn places(&self) -> (PathBuf, PathBuf) {
        match (&self.copies.certificate, &self.copies.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            _ => (self.directory.join(set::CERTIFICATE), self.directory.join(set::KEY)),
        }
    }

    /// What the copy of the certificate says about the copies.
    fn state_of_copies(&self, current: &Set) -> CopyState {
        let Some(certificate) = &self.copies.certificate else { return CopyState::Ours };
        // A link that leads nowhere is no file, and is replaced with the other copies.
        if !certificate.exists() || current.is_in(certificate) {
            return CopyState::Ours;
        }
        match self.knows(certificate) {
            // What is emptied, cut or no certificate at all is nobody's work: it is replaced with the other copies.
            Ok(true) | Err(_) => CopyState::Ours,
            Ok(false) => {
                let (certificate, key) = self.places();
                // Whoever put the key there first finds that it was set aside until its certificate came.
                let placed = self.placed(&certificate, &key);
                match placed.or_else(|failure| self.placed(&certificate, &aside(&key)).map_err(|_| failure)) {
                    Ok(placed) => CopyState::Placed(Box::new(placed)),
                    Err(failure) => CopyState::Unfinished(failure),
                }
            }
        }
    }

    /// The set in force is broken or gone: puts the best sound one in its place, or gives `failure` when there is none.
    fn recover(&self, password: Option<&Secret>, failure: Failure, healed: &mut Vec<String>) -> Result<Set, Failure> {
        let named = std::fs::read_link(self.directory.join(CURRENT)).ok();
        let (certificate, key) = self.places();
        let mut sound: Vec<Set> = self.sets().iter().filter_map(|directory| read_sound(directory)).collect();
        sound.extend(self.placed(&certificate, &key).ok());
        let is_named = |set: &Set| named.as_deref() == Some(Path::new(&set.id()));
        // The one that was in force, else the newest.
        let Some(best) = sound.into_iter().max_by_key(|set| (is_named(set), set.facts.not_before)) else { return Err(failure) };
        if is_named(&best) {
            for file in best.files(password)? {
                let path = self.directory.join(best.id()).join(file.name);
                self.disk.directory(&self.directory.join(best.id())).map_err(|e| self.failed(&e))?;
                self.disk.replace(&path, &file.bytes, file.private).map_err(|e| self.failed(&e))?;
            }
        } else {
            let broken = self.directory.join(best.id());
            if broken.is_dir() && Set::read(&broken.join(set::CERTIFICATE), &broken.join(set::KEY), None).is_err() {
                self.disk.remove_directory(&broken).map_err(|e| self.failed(&e))?;
            }
            self.install(&best, password)?;
        }
        healed.push(format!("{}; the sound set {} is in force", failure.message, best.id()));
        Ok(best)
    }

    /// The directories of sets.
    fn sets(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().filter_map(Result::ok);
        let is_set = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        entries.map(|entry| entry.path()).filter(is_set).collect()
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
        // The set is in force now: that a copy cannot be written is said last.
        let copied = self.copy(new);
        self.disk.remove_directory(&self.directory.join(NEXT))?;
        self.tidy(&id, before.as_deref())?;
        copied.map(drop)
    }

    /// Brings the plain copies up to the set in force. Each is replaced in one step, one after the other. A certificate that somebody
    /// has put there without its key, so far, stays as it is with all that is beside it. Gives the copies that were replaced.
    fn copy(&self, current: &Set) -> io::Result<Vec<PathBuf>> {
        let mut replaced = Vec::new();
        if matches!(self.state_of_copies(current), CopyState::Unfinished(_)) {
            return Ok(replaced);
        }
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
                if name == set::KEY && is_plain {
                    self.set_aside(copy)?;
                }
                self.disk.replace(copy, &bytes, private)?;
                replaced.push(copy.clone());
            }
        }
        Ok(replaced)
    }

    /// A private key of nobody here that is about to be replaced is kept beside the copy: it may be the only one of its certificate.
    fn set_aside(&self, copy: &Path) -> io::Result<()> {
        let text = Zeroizing::new(std::fs::read(copy)?);
        let text = String::from_utf8_lossy(&text);
        let Ok(key) = LocalKey::from_pem(&text) else { return Ok(()) };
        let is_ours = |directory: &PathBuf| {
            let kept = std::fs::read_to_string(directory.join(set::KEY)).map(Zeroizing::new);
            kept.is_ok_and(|kept| LocalKey::from_pem(&kept).is_ok_and(|kept| kept.public_key() == key.public_key()))
        };
        if self.sets().iter().any(is_ours) {
            return Ok(());
        }
        self.disk.rename(copy, &aside(copy))
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

/// Where a private key is kept that is not of the set in force.
fn aside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".set-aside");
    PathBuf::from(name)
}

/// A set from its directory: from its files, else from the one that holds all of it.
fn read_sound(directory: &Path) -> Option<Set> {
    let (chain, combined) = (directory.join(set::CHAIN), directory.join(set::COMBINED));
    Set::read(&directory.join(set::CERTIFICATE), &directory.join(set::KEY), Some(&chain))
        .or_else(|_| Set::read(&combined, &combined, Some(&chain)))
        .or_else(|_| Set::read(&combined, &combined, None))
        .or_else(|_| Set::read(&directory.join(set::CERTIFICATE), &directory.join(set::KEY), None))
        .ok()
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

//! The few steps on files that the agent's promises rest on, each durable when it returns. Tests count them and let one fail.

use super::settings::Rights;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown, symlink};
use std::path::Path;

/// The file system, with the rights that everything gets.
#[derive(Debug)]
pub struct Disk {
    rights: Rights,
    /// Steps until everything fails, as if the machine had lost its power.
    #[cfg(test)]
    pub steps_left: std::cell::Cell<Option<u32>>,
}

impl Disk {
    /// With these rights.
    pub const fn new(rights: Rights) -> Self {
        Self {
            rights,
            #[cfg(test)]
            steps_left: std::cell::Cell::new(None),
        }
    }

    /// Counts a step.
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(left) = self.steps_left.get() {
            if left == 0 {
                return Err(io::Error::other("the power is gone"));
            }
            self.steps_left.set(Some(left - 1));
        }
        Ok(())
    }

    /// Makes a directory, and the ones above it. One that is there stays as it is.
    pub fn directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        self.step()?;
        DirBuilder::new().mode(0o700).create(path)?;
        chown(path, self.rights.user, self.rights.group)?;
        std::fs::set_permissions(path, Permissions::from_mode(self.rights.directory_mode()))
    }

    /// Writes a new file and waits until it is on the disk. A file of this name is an error.
    pub fn write_new(&self, path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
        self.step()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        self.step()?;
        file.write_all(second)?;
        fchown(&file, self.rights.user, self.rights.group)?;
        file.set_permissions(Permissions::from_mode(if private { self.rights.mode } else { self.rights.mode | 0o044 }))?;
        file.sync_all()
    }

    /// Puts a file in the place of another, or of none: whoever opens the path has the old one or the new one.
    pub fn replace(&self, path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let new = path.with_file_name(name);
        remove_file(&new)?;
        self.write_new(&new, bytes, private)?;
        self.rename(&new, path)
    }

    /// Gives a file or a whole directory its name. Durable once it returns.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        std::fs::rename(from, to)?;
        sync(to.parent())
    }

    /// Waits until a directory's names are on the disk.
    pub fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        sync(Some(path))
    }

    /// Lets `link` lead to `target`, in one step for whoever looks.
    pub fn point(&self, link: &Path, target: &str) -> io::Result<()> {
        let new = link.with_extension("new");
        remove_file(&new)?;
        self.step()?;
        symlink(target, &new)?;
        self.rename(&new, link)
    }

    /// Removes a file; one that is not there is removed already.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        remove_file(path)
    }

    /// Removes a directory with all in it; likewise.
    pub fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(directory: Option<&Path>) -> io::Result<()> {
    match directory {
        Some(path) if !path.as_os_str().is_empty() => std::fs::File::open(path)?.sync_all(),
        _ => std::fs::File::open(".")?.sync_all(),
    }
}

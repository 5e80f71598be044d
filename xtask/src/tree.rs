//! The text of the tree, read once. Rules see only this, so that a test can give them a made-up one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of files that others wrote, which are kept as they are.
pub const VENDORED: &str = "crates/proto/protos/vendor/";

/// Every text file, by its path from the root with `/` between the parts.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl Finding {
    /// Puts one together.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { write!(f, "{}: {}", self.path, self.what) } else { write!(f, "{}:{}: {}", self.path, self.line, self.what) }
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

impl Tree {
    /// Reads the workspace this was built in: what git tracks or would track, or everything but build folders where there is no git.
    ///
    /// # Errors
    /// A folder that cannot be read. A file that is no text, or has gone meanwhile, is left out.
    pub fn load() -> io::Result<Self> {
        let root = root();
        let paths = match tracked(&root) {
            Some(paths) => paths,
            None => walked(&root)?,
        };
        let files = paths.into_iter().filter_map(|path| std::fs::read_to_string(root.join(&path)).ok().map(|text| (path, text))).collect();
        Ok(Self { files })
    }

    /// A made-up tree.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files of the crates and of this program.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The folders below `crates/`.
    pub fn crates(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.keys().filter_map(|path| path.strip_prefix("crates/")?.split('/').next()).collect();
        names.dedup();
        names
    }

    /// Whether a file, or a folder with something in it, is there.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.range(folder.clone()..).next().is_some_and(|(first, _)| first.starts_with(&folder))
    }
}

/// What git tracks, and what is new and not ignored.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let output =
        Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root).output().ok()?;
    let paths: Vec<String> =
        String::from_utf8_lossy(&output.stdout).split('\0').filter(|path| !path.is_empty()).map(ToOwned::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// The files of an unpacked archive, without what a build leaves behind.
fn walked(root: &Path) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if !entry.file_type()?.is_dir() {
                paths.push(path);
            } else if !["target", ".git", "node_modules", "__pycache__", "countersign-data"].contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_that_is_built_is_the_tree_that_is_read() {
        let tree = Tree::load().unwrap();
        assert!(tree.text("xtask/src/tree.rs").is_some() && tree.has("crates/core") && !tree.has("target"));
        assert!(tree.crates().contains(&"core"));
    }

    #[test]
    fn an_unpacked_archive_is_read_as_well() {
        let paths = walked(&root()).unwrap();
        assert!(paths.contains(&"xtask/src/tree.rs".to_owned()) && !paths.iter().any(|path| path.contains("target/")));
    }
}

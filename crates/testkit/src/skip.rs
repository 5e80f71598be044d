//! What a test does where the machine lacks a program or a right that the test needs. Every such test goes through [`skipped`].

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Records that a test, or a part of one, was left out. With `COUNTERSIGN_TESTS=strict`, which `./test` sets once it has installed what
/// tests need, the test fails instead. The reason is printed, and added to the file that `COUNTERSIGN_TESTS_SKIPPED` names if there is
/// one, because libtest shows nothing of what a passing test prints.
///
/// # Panics
/// With `COUNTERSIGN_TESTS=strict`.
#[track_caller]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub fn skipped(why: &str) {
    let strict = std::env::var_os("COUNTERSIGN_TESTS").is_some_and(|mode| mode == "strict");
    assert!(!strict, "not tested, which COUNTERSIGN_TESTS=strict forbids: {why}");
    let place = std::panic::Location::caller();
    let line = format!("SKIPPED: {why} ({}:{})\n", place.file(), place.line());
    eprint!("{line}");
    if let Some(file) = std::env::var_os("COUNTERSIGN_TESTS_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).expect("COUNTERSIGN_TESTS_SKIPPED can be written");
        file.write_all(line.as_bytes()).expect("COUNTERSIGN_TESTS_SKIPPED can be written");
    }
}

/// A device of a few mebibytes at a directory, unmounted when dropped.
pub struct SmallDevice(PathBuf);

impl SmallDevice {
    /// Mounts a tmpfs, which takes the rights of root; without them the test is [`skipped`].
    #[track_caller]
    pub fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        let options = format!("size={mebibytes}m,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        skipped("a small device cannot be mounted here, which takes root");
        None
    }
}

impl Drop for SmallDevice {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

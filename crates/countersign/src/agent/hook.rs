//! The hook: a command of the user's own, run after new files are in force. It gets paths, never a secret, and whatever becomes
//! of it, the files stay.

use super::set;
use super::settings::HookLine;
use super::shelf::Shelf;
use crate::cli::Failure;
use countersign_proto::convert;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;

/// Runs it and waits for its end, for at most `patience`; then its whole process group is killed. Fails with `hook_failed`.
pub async fn run(line: &HookLine, patience: Duration, shelf: &Shelf, current: &set::Set) -> Result<(), Failure> {
    let mut command = match line {
        HookLine::Shell(line) => {
            let mut command = tokio::process::Command::new("/bin/sh");
            command.arg("-c").arg(line);
            command
        }
        HookLine::Program(words) => {
            let mut command = tokio::process::Command::new(words.first().map(String::as_str).unwrap_or_default());
            command.args(words.iter().skip(1));
            command
        }
    };
    command
        .env("COUNTERSIGN_CERTIFICATE_FILE", shelf.path(set::CERTIFICATE))
        .env("COUNTERSIGN_KEY_FILE", shelf.path(set::KEY))
        .env("COUNTERSIGN_CHAIN_FILE", shelf.path(set::CHAIN))
        .env("COUNTERSIGN_COMBINED_FILE", shelf.path(set::COMBINED))
        .env("COUNTERSIGN_KEYSTORE_FILE", shelf.path(set::KEYSTORE))
        .env("COUNTERSIGN_FINGERPRINT", current.fingerprint().to_string())
        .env("COUNTERSIGN_NOT_AFTER", convert::time(current.facts.not_after))
        .stdin(Stdio::null())
        // What it says belongs beside what the agent says, and stdout stays empty.
        .stdout(Stdio::from(std::io::stderr()))
        .process_group(0);
    let failed = |what: String| Failure::refused("hook_failed", what).hint("the new files are in force; the hook is run again");
    let mut child = command.spawn().map_err(|error| failed(format!("the hook cannot be started: {error}")))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    match tokio::time::timeout(patience, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("the hook failed: {status}"))),
        Ok(Err(error)) => Err(failed(format!("the hook cannot be waited for: {error}"))),
        Err(_) => {
            if let Some(group) = group {
                // One that ended in this very moment is gone already.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait().await;
            Err(failed(format!("the hook did not end within {} s and was killed", patience.as_secs())))
        }
    }
}

//! The process's own log, on stderr: what an operator has to know. It holds no secret, no body and no query.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging by a filter of tracing's form (`info`, `countersign_gateway=debug,warn`).
///
/// # Errors
/// One sentence when the filter cannot be read. A second start in one process changes nothing.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| e.to_string())?;
    // Only the first one of a process is in force; tests may start several.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(true)
        // A log that cannot be written (a full disk, a closed pipe) must not end anything; telling of it on stderr would panic.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

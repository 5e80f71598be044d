//! The process's own log, on stderr: what an operator has to know. It holds no secret, no body and no query.

use countersign_core::printable::printable;
use countersign_core::redact::redact;
use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use tracing_subscriber::EnvFilter;

/// Starts logging by a filter of tracing's form (`info`, `countersign_gateway=debug,warn`).
///
/// # Errors
/// One sentence when the filter cannot be read. A second start in one process changes nothing.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| e.to_string())?;
    let ansi = io::stderr().is_terminal();
    // Only the first one of a process is in force; tests may start several.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Redacting { sink: io::stderr(), ansi })
        .with_ansi(ansi)
        .with_target(true)
        // A log that cannot be written (a full disk, a closed pipe) must not end anything; telling of it on stderr would panic.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// Takes secrets out of every line, whoever wrote it, and escapes what would begin another line or turn the text. The subscriber hands over
/// each line whole; on a terminal its colours are control characters and stay.
struct Redacting<W> {
    sink: W,
    ansi: bool,
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let text = if self.ansi { Cow::Borrowed(text) } else { printable(text) };
        self.sink.write_all(format!("{}{end}", redact(&text)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_of_the_log_has_a_key_in_it() {
        let written = Shared::default();
        let sink = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || Redacting { sink: sink.clone(), ansi: false }).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(path = "/p/csk_k0000000000000000000_AbCdEfGh", "of csk_k0000000000000000000_AbCdEfGh");
            tracing::info!(error = ?"%63sk_k0000000000000000000_AbCdEfGh");
            tracing::info!("CN=a\nb\u{202e}c");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("AbCdEfGh") && text.contains("csk_k0000000000000000000_…"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("\\e2\\80\\aec"), "{text}");
    }
}

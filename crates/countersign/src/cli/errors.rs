//! How a command fails: one sentence, a stable code, what to do, and the exit code. Never holds a secret.

pub use crate::terminal::clean;
use crate::terminal::{Style, Terminal};
use countersign_core::redact::redact;
use countersign_proto::problem::Problem;
use countersign_x509::X509Error;
use std::io::Write;
use std::process::ExitCode;

/// What kind of end it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The reader of our output went away: nobody is left to tell.
    Quiet,
    /// The answer is a no, and was printed already (1).
    Denied,
    /// Refused, or it failed (1).
    Refused,
    /// The command line is not usable (2).
    Usage,
    /// The server did not answer (3).
    NotReachable,
}

/// A command's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub exit: Exit,
    /// The stable word, for programs.
    pub code: String,
    /// One sentence, without a full stop.
    pub message: String,
    /// What to do, where one can act.
    pub hint: Option<String>,
    /// The server's name for the request, to find it in the audit trail.
    pub request_id: Option<String>,
}

/// The result of every command.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// Refused, or it failed, here or at the server.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, code: code.to_owned(), message: message.into(), hint: None, request_id: None }
    }

    /// The command line cannot be carried out as written.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::refused("usage", message) }
    }

    /// The server did not answer.
    pub fn not_reachable(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotReachable, ..Self::refused("not_reachable", message) }
    }

    /// The reader of our output is gone.
    pub fn quiet() -> Self {
        Self { exit: Exit::Quiet, ..Self::refused("broken_pipe", "the output is closed") }
    }

    /// The answer that was printed is a no.
    pub fn denied() -> Self {
        Self { exit: Exit::Denied, ..Self::refused("denied", "the answer is no") }
    }

    /// A file that cannot be read or written.
    pub fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::refused("file_error", format!("cannot {doing} {}: {}", path.display(), plain(error)))
    }

    /// The same with what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether `--idempotent` counts it as done.
    pub fn is_already_so(&self) -> bool {
        matches!(self.code.as_str(), "nothing_to_change" | "already_exists")
    }

    /// Says it on stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let code = match self.exit {
            Exit::Quiet => return ExitCode::SUCCESS,
            Exit::Denied => return ExitCode::from(1),
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::NotReachable => 3,
        };
        let mut err = std::io::stderr().lock();
        // A closed stderr leaves the exit code as the only answer.
        let _ = err.write_all(self.text(Terminal::stderr()).as_bytes());
        ExitCode::from(code)
    }

    /// The text of it.
    fn text(&self, terminal: Terminal) -> String {
        let faint = |label| terminal.paint(Style::Faint, label);
        // What was pasted in a wrong place, a key above all, is not repeated.
        let (message, hint) = (redact(&self.message), self.hint.as_deref().map(redact));
        let mut text =
            format!("{} {}\n{}  {}\n", terminal.paint(Style::Bad, "error:"), sentence(&message), faint("code:"), clean(&self.code));
        if let Some(hint) = &hint {
            text.push_str(&format!("{}  {}\n", faint("hint:"), clean(hint)));
        }
        if let Some(id) = &self.request_id {
            text.push_str(&format!("{} {}\n", faint("request:"), clean(id)));
        }
        text
    }
}

impl From<X509Error> for Failure {
    fn from(error: X509Error) -> Self {
        Self::refused(error.code, error.message).hint(error.hint)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let message = if problem.detail.is_empty() { problem.title } else { problem.detail };
        let request_id = Some(problem.request_id).filter(|id| !id.is_empty());
        let hint =
            problem.hint.or_else(|| (problem.code == "nothing_to_change").then(|| "pass --idempotent to count this as done".to_owned()));
        Self { exit: Exit::Refused, code: problem.code, message, hint, request_id }
    }
}

/// The operating system's words without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn sentence(text: &str) -> String {
    // As the server says it: scripts look for its words, "nothing to change" and "request not authenticated" among them.
    let text = clean(text.trim_end());
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_which_code_and_what_to_do() {
        let failure = Failure::refused("limit_reached", "a user has at most 10 non-expired API keys").hint("delete one");
        assert_eq!(
            failure.text(Terminal::PLAIN),
            "error: a user has at most 10 non-expired API keys.\ncode:  limit_reached\nhint:  delete one\n"
        );
    }

    #[test]
    fn a_name_from_the_server_cannot_move_the_cursor() {
        let failure = Failure::refused("x", "bad \u{1b}[2Jname");
        assert!(!failure.text(Terminal::PLAIN).contains('\u{1b}'));
    }
}

//! Questions to the person at the keyboard. With `--auto-confirm` they are printed and answered at once, as `tcld` does.

use super::errors::{Failure, clean};
use std::io::{BufRead, IsTerminal as _, Write};
use zeroize::Zeroizing;

/// Where the question is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Where the command's only output is its transcript (seed 000).
    Stdout,
    /// Where stdout may be read by a program.
    Stderr,
}

impl Stream {
    fn print(self, text: &str) -> Result<(), Failure> {
        let written = match self {
            Self::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
        };
        written.map_err(|_| Failure::quiet())
    }
}

/// Asks until the answer begins with y or n. `Ok(false)` is a no; end of input is a refusal of its own.
pub fn confirm(question: &str, auto: bool, stream: Stream) -> Result<bool, Failure> {
    ask(question, auto, stream, &mut std::io::stdin().lock())
}

/// Like [`confirm`], but a no is a refusal: nothing was changed.
pub fn demand(question: &str, auto: bool) -> Result<(), Failure> {
    if confirm(question, auto, Stream::Stderr)? { Ok(()) } else { Err(declined()) }
}

/// Asks for `word` to be typed, for what cannot be taken back.
pub fn demand_word(question: &str, word: &str, auto: bool) -> Result<(), Failure> {
    if auto {
        return Ok(());
    }
    Stream::Stderr.print(&format!("{}\ntype {word} to go on: ", clean(question)))?;
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(n) if n > 0 && line.trim() == word => Ok(()),
        Ok(0) | Err(_) => Err(unanswered()),
        Ok(_) => Err(declined()),
    }
}

/// Asks for a password, twice, without showing it where there is a terminal.
pub fn password(question: &str) -> Result<Zeroizing<String>, Failure> {
    let quiet = Quiet::begin();
    let mut lines = std::io::stdin().lock();
    let mut ask = |question: &str| -> Result<Zeroizing<String>, Failure> {
        Stream::Stderr.print(&clean(question))?;
        let mut line = Zeroizing::new(String::new());
        let read = lines.read_line(&mut line);
        if quiet.0 {
            Stream::Stderr.print("\n")?;
        }
        match read {
            Ok(n) if n > 0 => Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())),
            _ => Err(Failure::refused("not_confirmed", "nobody gave a password; nothing was changed").hint("name a file that holds it")),
        }
    };
    let first = ask(question)?;
    if *ask("and once more: ")? == *first { Ok(first) } else { Err(Failure::usage("the two passwords differ")) }
}

/// A terminal that does not show what is typed, for as long as this lives. Whether it was turned off.
struct Quiet(bool);

impl Quiet {
    fn begin() -> Self {
        Self(std::io::stdin().is_terminal() && Self::stty("-echo"))
    }

    fn stty(argument: &str) -> bool {
        std::process::Command::new("stty").arg(argument).stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.0 {
            Self::stty("echo");
        }
    }
}

/// What a no amounts to.
pub fn declined() -> Failure {
    Failure::refused("not_confirmed", "not confirmed; nothing was changed").hint("answer y, or pass --auto-confirm")
}

fn unanswered() -> Failure {
    Failure::refused("not_confirmed", "nobody answered the question; nothing was changed").hint("pass --auto-confirm in scripts")
}

fn ask(question: &str, auto: bool, stream: Stream, input: &mut dyn BufRead) -> Result<bool, Failure> {
    loop {
        stream.print(&format!("{} [y/n] ", clean(question)))?;
        if auto {
            stream.print("y\n")?;
            return Ok(true);
        }
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => {
                stream.print("\n")?;
                return Err(unanswered());
            }
        }
        match line.trim_start().chars().next() {
            Some('y' | 'Y') => return Ok(true),
            Some('n' | 'N') => return Ok(false),
            _ => stream.print("please answer y or n\n")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_counts() {
        assert_eq!(ask("go?", false, Stream::Stderr, &mut "\nmaybe\nYes\n".as_bytes()), Ok(true));
        assert_eq!(ask("go?", false, Stream::Stderr, &mut "no\n".as_bytes()), Ok(false));
    }

    #[test]
    fn silence_is_not_consent() {
        let refused = ask("go?", false, Stream::Stderr, &mut "".as_bytes());
        assert_eq!(refused.map_err(|f| f.code), Err("not_confirmed".to_owned()));
    }
}

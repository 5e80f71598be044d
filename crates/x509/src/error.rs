//! Why bytes were refused. One shape for the whole crate, so that every transport can show it; never a key or a whole paste.

use std::fmt;

/// Why an input was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Error {
    /// A stable word for programs, such as `private_key_in_upload`.
    pub code: &'static str,
    /// The rule of `research/pki.md` section 6 that was broken, such as `A2`.
    pub rule: Option<&'static str>,
    /// One sentence that says what is wrong and where.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl X509Error {
    /// Puts one together.
    pub(crate) fn new(code: &'static str, rule: Option<&'static str>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, rule, message: message.into(), hint: hint.into() }
    }

    /// The same, with the place it happened in front of the sentence.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for X509Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        match self.rule {
            Some(rule) => write!(f, " (rule {rule})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for X509Error {}

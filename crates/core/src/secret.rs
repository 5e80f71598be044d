//! Text that must not leak. It has no `Debug` text, no `Display`, no `Clone` and no serialisation.

use std::fmt;
use zeroize::Zeroize;

/// A secret text, wiped when dropped.
pub struct Secret(String);

impl Secret {
    /// Takes the text over; the caller keeps no copy.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The one door to the text. Each caller says in a comment why it may look.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

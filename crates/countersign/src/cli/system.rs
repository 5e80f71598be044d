//! The clock and the chance of this machine, for the commands that need them; everything below takes them as arguments.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use countersign_core::{Entropy, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by this machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The operating system's generator.
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// Opens it.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // A predictable secret is worse than no answer (see the trait).
        assert!(self.0.fill(bytes).is_ok(), "the system's random generator fails");
    }
}

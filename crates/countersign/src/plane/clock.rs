//! The system's clock and generator: the only places that read them.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use countersign_core::Entropy;
use countersign_core::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The present moment.
    pub fn read(self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl countersign_server::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.read()
    }
}

impl countersign_gateway::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.read()
    }
}

/// The crypto library's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    #[expect(clippy::panic, reason = "a predictable secret is worse than an end")]
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.fill(bytes).is_err() {
            panic!("the system gives no random bytes");
        }
    }
}

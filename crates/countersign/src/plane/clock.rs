//! The system's clock and generator: the only places that read them.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use countersign_core::Entropy;
use countersign_core::time::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// No machine that runs this program has an earlier date: the oldest compiler that builds it was released then (2026-04-16).
const EARLIEST: i64 = 1_776_297_600;

/// Whether a clock can be right (research/pki.md E14). One that was never set would let in what has ended, and sign what ends before
/// it begins.
///
/// # Errors
/// One sentence, with what to do.
pub fn plausible(now: Timestamp) -> Result<(), String> {
    if now.seconds() >= EARLIEST {
        return Ok(());
    }
    Err(format!(
        "this machine's clock says {}, which is before this program was made (rule E14); set it (timedatectl set-ntp true) and start again",
        countersign_proto::convert::time(now)
    ))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e14_a_clock_from_before_the_program_was_made_is_not_believed() {
        let made = "2026-04-16T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(EARLIEST, made);
        assert!(plausible(Timestamp::from_seconds(made)).is_ok() && plausible(SystemClock.read()).is_ok());
        for never_set in [0, made - 1] {
            let said = plausible(Timestamp::from_seconds(never_set)).unwrap_err();
            assert!(said.contains("timedatectl") && said.contains("rule E14"), "{said}");
        }
    }
}

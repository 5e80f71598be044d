//! Clocks for tests. The crates under test bring their own trait; a test implements it over one of these in a line.

use countersign_core::time::{Lifetime, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's time.
pub fn real_now() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    Timestamp::from_micros(i64::try_from(micros).unwrap())
}

/// Moves only when told.
#[derive(Debug)]
pub struct StandingClock(AtomicI64);

impl StandingClock {
    /// Stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.micros()))
    }

    /// This moment.
    pub fn read(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Moves forward.
    pub fn advance(&self, by: Lifetime) {
        self.0.fetch_add(by.micros(), Ordering::SeqCst);
    }
}

/// The machine's time, turned by as much as a test wants.
#[derive(Debug, Default)]
pub struct TurnedClock(AtomicI64);

impl TurnedClock {
    /// This moment.
    pub fn read(&self) -> Timestamp {
        Timestamp::from_micros(real_now().micros() + self.0.load(Ordering::SeqCst))
    }

    /// Turns it forward.
    pub fn advance(&self, by: Lifetime) {
        self.0.fetch_add(by.micros(), Ordering::SeqCst);
    }
}

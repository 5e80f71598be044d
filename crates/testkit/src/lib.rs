//! Fixtures that several crates' tests share: chance, clocks, and what a forger sends. Never shipped, and never a place for rules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fixture that fails ends its test")]

mod chance;
mod clock;
mod forged;

pub use chance::Chance;
pub use clock::{StandingClock, TurnedClock, real_now};
pub use forged::FORGED_HEADERS;

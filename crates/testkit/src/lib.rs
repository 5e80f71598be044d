//! Fixtures that several crates' tests share: chance, clocks, what a forger sends, and a store that fails. Never shipped, and never a place for rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a fixture that fails ends its test")]

mod chance;
mod clock;
mod faults;
mod forged;
mod skip;

pub use chance::Chance;
pub use clock::{StandingClock, TurnedClock, real_now};
pub use faults::{Faults, Lasting};
pub use forged::FORGED_HEADERS;
pub use skip::{SmallDevice, skipped};

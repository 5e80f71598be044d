//! How often somebody may guess. Failures are counted by whatever names the guesser or the guessed; after the first few each one
//! costs a growing wait, never a lock-out for good. Counted before the guess is looked at, so that parallel guesses count too.

use countersign_core::time::{Lifetime, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures that cost nothing yet: typos. Behind one address there may be a whole office; and with one mail address from everywhere
/// together, NIST SP 800-63B section 5.2.2 allows a hundred.
const FREE: u32 = 5;
const FREE_OF_AN_ADDRESS: u32 = 30;
const FREE_FROM_EVERYWHERE: u32 = 100;
/// The longest wait, in seconds; short for an address, which one who guesses shares with those who do not.
const WAIT_MAX_SECONDS: i64 = 15 * 60;
const WAIT_MAX_SECONDS_OF_AN_ADDRESS: i64 = 60;
/// Failures are forgotten after so long without one.
const FORGOTTEN: Lifetime = Lifetime::from_seconds(60 * 60);
/// Names remembered at a time; the one that was longest quiet gives way.
const NAMES_MAX: usize = 20_000;

/// An attempt comes too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whole seconds until it may be repeated, at least one.
    pub seconds: i64,
}

impl Wait {
    /// For people.
    pub fn sentence(self) -> String {
        let wait = if self.seconds < 120 { format!("{} seconds", self.seconds) } else { format!("{} minutes", (self.seconds + 59) / 60) };
        format!("There were too many failed attempts. Wait {wait}, then try again.")
    }
}

#[derive(Debug)]
struct Count {
    failures: u32,
    until: Timestamp,
    last: Timestamp,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: Mutex<HashMap<String, Count>>,
}

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt that counts as failed under each of `names`, until [`Throttle::good`] says otherwise.
    ///
    /// # Errors
    /// [`Wait`] when one of the names has to wait; nothing is counted then.
    pub fn begin(&self, now: Timestamp, names: &[String]) -> Result<(), Wait> {
        let mut counts = self.lock();
        let ends = names.iter().filter_map(|name| counts.get(name)).map(|count| count.until).max().unwrap_or(now);
        if now < ends {
            return Err(Wait { seconds: (ends.since(now) + 999_999) / 1_000_000 });
        }
        for name in names {
            if counts.len() >= NAMES_MAX && !counts.contains_key(name) {
                make_room(&mut counts, now);
            }
            let count = counts.entry(name.clone()).or_insert(Count { failures: 0, until: now, last: now });
            if now >= count.last.plus(FORGOTTEN) {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last = now;
            let (free, max) = bounds(name);
            if count.failures > free {
                let doublings = (count.failures - free - 1).min(12);
                let seconds = (1_i64 << doublings).min(max);
                count.until = now.plus(Lifetime::from_seconds(seconds));
            }
        }
        Ok(())
    }

    /// The attempt was good after all: its names start anew.
    pub fn good(&self, names: &[String]) {
        let mut counts = self.lock();
        for name in names {
            counts.remove(name);
        }
    }

    /// Whether an attempt under this name would have to wait now. Nothing is counted.
    pub fn waits(&self, now: Timestamp, name: &str) -> bool {
        self.lock().get(name).is_some_and(|count| now < count.until)
    }

    /// The attempt was good, but the name is one that many share: only this attempt is taken back.
    pub fn not_counted(&self, name: &str) {
        if let Some(count) = self.lock().get_mut(name) {
            count.failures = count.failures.saturating_sub(1);
            count.until = count.last;
        }
    }
}

/// Failures that are free, and the longest wait in seconds.
fn bounds(name: &str) -> (u32, i64) {
    match name.split_once(' ') {
        Some(("address", _)) => (FREE_OF_AN_ADDRESS, WAIT_MAX_SECONDS_OF_AN_ADDRESS),
        Some(("everywhere", _)) => (FREE_FROM_EVERYWHERE, WAIT_MAX_SECONDS),
        _ => (FREE, WAIT_MAX_SECONDS),
    }
}

fn make_room(counts: &mut HashMap<String, Count>, now: Timestamp) {
    counts.retain(|_, count| now < count.last.plus(FORGOTTEN));
    if counts.len() >= NAMES_MAX
        && let Some(quiet) = counts.iter().min_by_key(|(_, count)| count.last).map(|(name, _)| name.clone())
    {
        counts.remove(&quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_has_an_end_and_a_good_attempt_starts_anew() {
        let throttle = Throttle::default();
        let name = ["a@example.test".to_owned()];
        let mut now = Timestamp::from_seconds(0);
        for _ in 0..6 {
            assert_eq!(throttle.begin(now, &name), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..14 {
            let wait = throttle.begin(now, &name).unwrap_err();
            waits.push(wait.seconds);
            now = now.plus(Lifetime::from_seconds(wait.seconds));
            assert_eq!(throttle.begin(now, &name), Ok(()), "after the wait one attempt is let through");
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        throttle.good(&name);
        assert_eq!(throttle.begin(now, &name), Ok(()));
        assert_eq!(throttle.begin(now, &["b".to_owned()]), Ok(()));
    }
}

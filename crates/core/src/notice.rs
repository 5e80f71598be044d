//! Expiry notices: when one is due (seed 001; research/pki.md F11). Pure: whom it goes to and how is not decided here.

use crate::time::{Lifetime, Timestamp};

/// Days before the end at which a notice is due, for a life of [`WHOLE_LIFE`] or more.
pub const DAYS: [i64; 6] = [60, 30, 14, 7, 3, 1];
/// The days that count for a credential which nobody uses: less often, so that what is in use stands out.
pub const DAYS_IDLE: [i64; 3] = [30, 7, 1];
/// From this life on the days are whole days; a shorter life has them in proportion, so that none is due before its half.
pub const WHOLE_LIFE: Lifetime = Lifetime::from_days(120);

/// One notice that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which of the days; with the credential it names the notice.
    pub days: i64,
    /// Since when it is due.
    pub at: Timestamp,
}

/// The notice that is due at `now` for a credential with this life: the last one whose time has come, so that a start after a long
/// silence sends one and not six. `None` before the first, and once the credential has ended.
pub fn due(begins: Timestamp, ends: Timestamp, now: Timestamp, idle: bool) -> Option<Due> {
    if now >= ends {
        return None;
    }
    let life = ends.since(begins).max(0);
    let days: &[i64] = if idle { &DAYS_IDLE } else { &DAYS };
    // The shortest distance comes last, so the last one that has come is the newest.
    days.iter().rev().map(|days| Due { days: *days, at: ends.minus(distance(*days, life)) }).find(|due| due.at <= now)
}

/// How long before the end `days` are, in a life of so many microseconds.
fn distance(days: i64, life: i64) -> Lifetime {
    let whole = Lifetime::from_days(days);
    if life >= WHOLE_LIFE.micros() {
        return whole;
    }
    // In seconds, so that the product stays far below the bound of the type.
    Lifetime::from_seconds(whole.seconds() * (life / 1_000_000) / WHOLE_LIFE.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(days_before: i64, life: i64, idle: bool) -> Option<i64> {
        let begins = Timestamp::from_seconds(0);
        let ends = Timestamp::from_seconds(life * DAY);
        due(begins, ends, Timestamp::from_seconds((life - days_before) * DAY), idle).map(|due| due.days)
    }

    #[test]
    fn s16_notices_are_due_sixty_thirty_fourteen_seven_three_and_one_days_before_the_end() {
        assert_eq!(at(61, 397, false), None);
        for (before, days) in [(60, 60), (45, 60), (30, 30), (14, 14), (8, 14), (7, 7), (3, 3), (2, 3), (1, 1)] {
            assert_eq!(at(before, 397, false), Some(days), "{before} days before");
        }
        assert_eq!(at(0, 397, false), None, "what has ended needs no notice");
    }

    #[test]
    fn a_short_life_has_its_notices_in_proportion_and_none_before_its_half() {
        let begins = Timestamp::from_seconds(0);
        let ends = Timestamp::from_seconds(DAY);
        assert_eq!(due(begins, ends, Timestamp::from_seconds(DAY / 2 - 1), false), None);
        assert_eq!(due(begins, ends, Timestamp::from_seconds(DAY / 2), false).map(|d| d.days), Some(60));
        assert_eq!(due(begins, ends, Timestamp::from_seconds(DAY - 60), false).map(|d| d.days), Some(1));
    }

    #[test]
    fn what_nobody_uses_is_spoken_of_less_often() {
        for (before, days) in [(60, None), (30, Some(30)), (14, Some(30)), (7, Some(7)), (3, Some(7)), (1, Some(1))] {
            assert_eq!(at(before, 397, true), days, "{before} days before");
        }
    }
}

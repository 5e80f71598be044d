//! Moments and spans. Never reads a clock: `now` is always an argument.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A moment, in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the Unix epoch; saturates far outside any real date.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment and `lifetime` later; saturates.
    pub const fn plus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(lifetime.micros()))
    }

    /// This moment, `lifetime` earlier; saturates.
    pub const fn minus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_sub(lifetime.micros()))
    }

    /// The span from `earlier` to this moment, negative when this one is the earlier.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A span of time, at least zero, in whole microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lifetime(i64);

/// Why a text is no lifetime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeError {
    /// Nothing was given.
    #[error("a duration is missing; write it as 30d, 4d12h or 1y")]
    Empty,
    /// It is zero or below.
    #[error("the duration `{0}` is not positive; write it as 30d, 4d12h or 1y")]
    NotPositive(String),
    /// It is no number-and-unit text, or larger than three hundred years.
    #[error("`{0}` is no duration; write it as 30d, 4d12h or 1y (units y, d, h, m, s)")]
    Unreadable(String),
}

impl Lifetime {
    /// The span of nothing.
    pub const ZERO: Self = Self(0);

    /// From whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// From days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self::from_seconds(days * 86_400)
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0 / 1_000_000
    }

    /// Reads the duration texts of the field's CLIs: Go's syntax plus `d` (24 h) and `y` (365 d), fractions allowed
    /// (`30d`, `4d12h`, `1.5y`). Zero, negative, empty and overlong spans are refused. Follows `tcld`'s flags.
    pub fn parse(text: &str) -> Result<Self, LifetimeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LifetimeError::Empty);
        }
        let unreadable = || LifetimeError::Unreadable(text.chars().take(40).collect());
        if text == "0" || text.starts_with('-') {
            return Err(LifetimeError::NotPositive(text.chars().take(40).collect()));
        }
        let mut total: i128 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(unreadable)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, after) = tail.split_at(unit_end);
            let unit: i128 = match unit {
                "y" => 365 * 86_400_000_000,
                "d" => 86_400_000_000,
                "h" => 3_600_000_000,
                "m" => 60_000_000,
                "s" => 1_000_000,
                "ms" => 1_000,
                "us" | "µs" => 1,
                _ => return Err(unreadable()),
            };
            total += part(number, unit).ok_or_else(unreadable)?;
            rest = after;
        }
        // Three hundred years keep every later sum inside an i64.
        if total > 300 * 365 * 86_400_000_000_i128 {
            return Err(unreadable());
        }
        match i64::try_from(total) {
            Ok(micros) if micros > 0 => Ok(Self(micros)),
            _ => Err(LifetimeError::NotPositive(text.chars().take(40).collect())),
        }
    }
}

/// A decimal number times a unit, exact to the microsecond; `None` when it is no number.
fn part(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 12 || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole * unit;
    if !fraction.is_empty() {
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        value += fraction.parse::<i128>().ok()? * unit / scale;
    }
    Some(value)
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let mut any = false;
        for (n, unit) in [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")] {
            if n > 0 {
                write!(f, "{n}{unit}")?;
                any = true;
            }
        }
        if any { Ok(()) } else { f.write_str("0s") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_fields_tools_write_them() {
        for (text, seconds) in
            [("30d", 30 * 86_400), ("4d12h", 4 * 86_400 + 12 * 3_600), ("1.5y", 365 * 86_400 * 3 / 2), ("1h30m5s", 5_405), (".5d", 43_200)]
        {
            assert_eq!(Lifetime::parse(text).map(Lifetime::seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_none_is_refused() {
        for text in ["", "0", "0d", "-1d", "P1D", "d", "1", "1x", "1..5d", "9e9d", "99999999999999d", "1.5.5d", "٣d", " "] {
            assert!(Lifetime::parse(text).is_err(), "{text:?}");
        }
    }
}

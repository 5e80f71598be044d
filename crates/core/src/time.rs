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
    /// It has a fraction, which the field's tools read in different ways.
    #[error("the duration `{0}` has a fraction; write it in whole numbers, for example 36h or 1d12h")]
    Fraction(String),
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

    /// Reads the duration texts of the field's CLIs: Go's units plus `d` (24 h) and `y` (365 d), each with a whole number (`30d`,
    /// `4d12h`). Fractions, zero, negative, empty and overlong spans are refused.
    pub fn parse(text: &str) -> Result<Self, LifetimeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LifetimeError::Empty);
        }
        let unreadable = || LifetimeError::Unreadable(text.chars().take(40).collect());
        if text == "0" || text.starts_with('-') {
            return Err(LifetimeError::NotPositive(text.chars().take(40).collect()));
        }
        if text.contains(['.', ',']) {
            return Err(LifetimeError::Fraction(text.chars().take(40).collect()));
        }
        let mut total: i128 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(unreadable)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
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
            // Twelve digits of years are far beyond the bound below, and no overflow of the sum.
            if number.len() > 12 {
                return Err(unreadable());
            }
            total += number.parse::<i128>().map_err(|_| unreadable())? * unit;
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
            [("30d", 30 * 86_400), ("4d12h", 4 * 86_400 + 12 * 3_600), ("1y", 365 * 86_400), ("1h30m5s", 5_405), (" 36h ", 129_600)]
        {
            assert_eq!(Lifetime::parse(text).map(Lifetime::seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn a_duration_with_a_fraction_is_refused_with_what_to_write_instead() {
        for text in ["1.5d", ".5d", "1.d", "1.5y", "1d0.5h", "1,5d", "0.0d", "1.5.5d", "."] {
            let error = Lifetime::parse(text).unwrap_err();
            assert!(matches!(&error, LifetimeError::Fraction(said) if said == text), "{text}: {error}");
            assert!(error.to_string().contains("36h"));
        }
    }

    #[test]
    fn a_duration_that_is_none_is_refused() {
        for text in ["", "0", "0d", "-1d", "P1D", "d", "1", "1x", "1..5d", "9e9d", "99999999999999d", "1.5.5d", "٣d", " "] {
            assert!(Lifetime::parse(text).is_err(), "{text:?}");
        }
    }
}

//! The promises of this crate, by rule.

//! Two things that live in one place each: SQL in the store, the reading of the clock in the binary.

use crate::source::{has_word, is_test_file, product_lines};
use crate::tree::{Finding, Tree};

/// Beginnings of statements. In capitals, as all our SQL is written.
const STATEMENTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "CREATE UNIQUE INDEX ",
    "ALTER TABLE ",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
];

/// Ways to ask for the time of day. `Instant` measures spans and is no time of day.
const CLOCKS: &[&str] = &["SystemTime::now", "Utc::now", "Timestamp::now", "Zoned::now", "OffsetDateTime::now_utc"];

/// No statement and no row type outside `crates/store`. A test may reach into the database from outside, to break it.
pub fn sql(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let theirs = |path: &str| path.starts_with("crates/store/") || path.starts_with("crates/testkit/") || is_test_file(path);
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/") && !theirs(path)) {
        for line in product_lines(text) {
            let statement = STATEMENTS.iter().any(|statement| line.code.contains(statement));
            let update = line.code.split_once("UPDATE ").is_some_and(|(_, rest)| rest.contains(" SET "));
            if statement || update || has_word(line.code, "rusqlite") {
                findings.push(Finding::new(path, line.number, "SQL belongs into crates/store; ask the store for what you need"));
            }
        }
    }
    findings
}

/// The time is an argument everywhere; the binary alone reads the clock, and tests make theirs.
pub fn clock(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/") && !path.starts_with("crates/countersign/")) {
        if is_test_file(path) {
            continue;
        }
        let pure = ["crates/core/", "crates/x509/", "crates/proto/"].iter().any(|p| path.starts_with(p));
        for line in product_lines(text) {
            if CLOCKS.iter().any(|clock| line.code.contains(clock)) {
                findings.push(Finding::new(path, line.number, "take the time as an argument, or from the Clock that the binary gives"));
            } else if pure && has_word(line.code, "Instant") {
                findings.push(Finding::new(path, line.number, "a pure crate has no clock of any kind"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_outside_the_store_is_found() {
        for code in ["let q = \"SELECT 1\";", "q(\"UPDATE t SET a = 1\")", "use rusqlite::Row;", "\"DELETE FROM api_key WHERE id = $1\""] {
            assert_eq!(sql(&Tree::of(&[("crates/server/src/a.rs", code)])).len(), 1, "{code}");
            assert!(sql(&Tree::of(&[("crates/store/src/a.rs", code)])).is_empty());
        }
        assert!(sql(&Tree::of(&[("crates/server/tests/it/a.rs", "\"SELECT 1\"")])).is_empty());
        assert!(sql(&Tree::of(&[("crates/server/src/a.rs", "// SELECT is what the store does\nlet update = 1;")])).is_empty());
    }

    #[test]
    fn a_clock_outside_the_binary_is_found() {
        for (path, code, found) in [
            ("crates/gateway/src/a.rs", "let t = std::time::SystemTime::now();", 1),
            ("crates/server/src/a.rs", "jiff::Timestamp::now()", 1),
            ("crates/core/src/a.rs", "use std::time::Instant;", 1),
            ("crates/gateway/src/a.rs", "let begun = Instant::now();", 0),
            ("crates/countersign/src/a.rs", "SystemTime::now()", 0),
            ("crates/x509/src/tests/a.rs", "SystemTime::now()", 0),
        ] {
            assert_eq!(clock(&Tree::of(&[(path, code)])).len(), found, "{path}: {code}");
        }
    }
}

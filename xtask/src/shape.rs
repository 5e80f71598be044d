//! The shape of a file: it says what it is, it is short, and it names nothing for nothing.

use crate::source::product_lines;
use crate::tree::{Finding, Tree, VENDORED};

/// The hard stop, in lines. The habit is 400.
const LINES_MAX: usize = 700;
/// Endings of files that people write by hand.
const WRITTEN: &[&str] = &[".rs", ".sql", ".py", ".sh", ".ts", ".tsx", ".css", ".proto"];
/// Words that say nothing of what a thing is.
const EMPTY_WORDS: &[&str] = &["Manager", "Helper", "Util", "Utils"];
/// The same as names of modules.
const EMPTY_MODULES: &[&str] = &["util", "utils", "helper", "helpers", "misc", "manager"];

/// Every Rust file begins with `//!`.
pub fn module_heads(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(_, text)| {
            // The interpreter line and blank lines may come first.
            !text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!/")).is_some_and(|line| line.starts_with("//!"))
        })
        .map(|(path, _)| Finding::new(path, 1, "begin the file with //!: what it is, and what it must not become"))
        .collect()
}

/// No file is longer than the stop.
pub fn lengths(tree: &Tree) -> Vec<Finding> {
    tree.all()
        .filter(|(path, _)| !path.starts_with(VENDORED) && WRITTEN.iter().any(|ending| path.ends_with(ending)))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| Finding::new(path, 0, format!("{lines} lines; split it by noun or verb before {LINES_MAX}")))
        .collect()
}

/// No type and no module is named with a word that fits everything.
pub fn names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        if path.rsplit('/').next().and_then(|file| file.strip_suffix(".rs")).is_some_and(|stem| EMPTY_MODULES.contains(&stem)) {
            findings.push(Finding::new(path, 0, "name the module for what it holds"));
        }
        for line in product_lines(text) {
            let mut words = line.code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                let declares_type = matches!(word, "struct" | "enum" | "trait" | "type" | "union");
                if !declares_type && word != "mod" {
                    continue;
                }
                let Some(name) = words.next() else { break };
                if declares_type && EMPTY_WORDS.iter().any(|empty| name.ends_with(empty)) || EMPTY_MODULES.contains(&name) {
                    findings.push(Finding::new(path, line.number, format!("{name} says nothing of what it is; use a word of the product")));
                }
            }
        }
    }
    findings
}

/// A test that leaves something out goes through `testkit`, which makes it a failure where everything is there: what a passing test
/// prints is shown to nobody.
pub fn skips(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/") && !path.starts_with("crates/testkit/")) {
        for (index, line) in text.lines().enumerate() {
            if line.contains("println!(") && line.to_ascii_lowercase().contains("skipped") {
                findings.push(Finding::new(path, index + 1, "call countersign_testkit::skipped, which ./test turns into a failure"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_skips_in_silence_is_found() {
        let text = "eprintln!(\"SKIPPED: no such program\");";
        assert_eq!(skips(&Tree::of(&[("crates/a/tests/b.rs", text)])).len(), 1);
        assert!(skips(&Tree::of(&[("crates/testkit/src/skip.rs", text), ("crates/a/src/b.rs", "skipped(\"no\");")])).is_empty());
    }

    #[test]
    fn a_module_without_a_head_is_found() {
        assert_eq!(module_heads(&Tree::of(&[("crates/a/src/b.rs", "use std::fmt;\n//! late\n")])).len(), 1);
        assert_eq!(module_heads(&Tree::of(&[("crates/a/src/b.rs", "")])).len(), 1);
        assert!(module_heads(&Tree::of(&[("crates/a/src/b.rs", "\n//! What it is.\n")])).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(lengths(&Tree::of(&[("a.rs", &"x\n".repeat(LINES_MAX + 1))])).len(), 1);
        assert!(lengths(&Tree::of(&[("a.rs", &"x\n".repeat(LINES_MAX)), ("a.lock", &"x\n".repeat(5000))])).is_empty());
    }

    #[test]
    fn an_empty_name_is_found() {
        for code in ["pub struct KeyManager;", "enum CertHelper {}", "trait Util {}", "mod utils;"] {
            assert_eq!(names(&Tree::of(&[("crates/a/src/b.rs", code)])).len(), 1, "{code}");
        }
        assert_eq!(names(&Tree::of(&[("crates/a/src/helpers.rs", "//! x")])).len(), 1);
        assert!(names(&Tree::of(&[("crates/a/src/b.rs", "pub struct Permit; // no Manager\nmod admission;")])).is_empty());
    }
}

//! What the documents name has to exist: files, folders, links, crates, and the names of things in ARCHITECTURE.md.

use crate::source::has_word;
use crate::tree::{Finding, Tree};

/// The page whose names of types and functions are looked up in the code.
const MAP: &str = "ARCHITECTURE.md";
/// Endings by which a word in backticks is taken for a file of ours.
const FILES: &[&str] = &[".rs", ".md", ".toml", ".sh", ".sql"];

/// See the module.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.all().filter(|(path, _)| path.ends_with(".md") && !path.starts_with("crates/")) {
        for (index, line) in prose(text) {
            for target in links(line) {
                if !tree.has(&beside(path, target)) {
                    findings.push(Finding::new(path, index, format!("the link to {target} leads nowhere")));
                }
            }
            for word in quoted(line) {
                if let Some(what) = missing(tree, path, word) {
                    findings.push(Finding::new(path, index, what));
                }
            }
        }
    }
    if let Some(map) = tree.text(MAP) {
        for folder in tree.crates() {
            if !map.contains(&format!("crates/{folder}")) {
                findings.push(Finding::new(MAP, 0, format!("crates/{folder} is not on the map")));
            }
        }
    }
    findings
}

/// The lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// Targets of relative links, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(move |(at, _)| {
        let target = line.get(at + 2..)?.split(')').next()?.split('#').next()?;
        (!target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).then_some(target)
    })
}

/// What stands in single backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A link's target as a path from the root.
fn beside(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a word in backticks names something that is not there.
fn missing(tree: &Tree, page: &str, word: &str) -> Option<String> {
    let path = word.strip_prefix("./").unwrap_or(word);
    let is_path = path.contains('/')
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !path.starts_with(['/', '.'])
        && !path.starts_with("countersign-data")
        && !path.starts_with("target/");
    if is_path {
        let first = path.split('/').next().unwrap_or_default();
        let ours = tree.has(first) || tree.has(&format!("crates/{first}")) || FILES.iter().any(|ending| path.ends_with(ending));
        if ours && !tree.has(path) && !tree.has(&format!("crates/{path}")) {
            return Some(format!("`{word}` is not in the tree"));
        }
        return None;
    }
    // A promise is tried by tests that the page names.
    let is_test = word.matches('_').count() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_test && !tree.rust().any(|(_, text)| has_word(text, word)) {
        return Some(format!("there is no test `{word}`"));
    }
    if page != MAP {
        return None;
    }
    let name = word.strip_suffix("()").unwrap_or(word);
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
        && (name.len() < word.len()
            || name.contains("::")
            || name.chars().next().is_some_and(char::is_uppercase) && name.chars().any(char::is_lowercase));
    let last = name.rsplit("::").next().unwrap_or(name);
    if is_name && !last.is_empty() && !tree.rust().any(|(path, text)| path.starts_with("crates/") && has_word(text, last)) {
        return Some(format!("`{word}` is not in the code"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a map with this text, in a tree with one crate.
    fn said(map: &str) -> Vec<String> {
        let map = format!("crates/core\n{map}");
        check(&Tree::of(&[(MAP, &map), ("crates/core/src/time.rs", "pub struct Timestamp; pub fn admit() {}"), ("docs/a.md", "x")]))
            .into_iter()
            .map(|f| f.what)
            .collect()
    }

    #[test]
    fn what_is_not_there_is_found() {
        for map in [
            "see `crates/core/src/clock.rs`",
            "see `core/src/clock.rs`",
            "[b](docs/b.md#x)",
            "a `Permit`",
            "`admission::decide`",
            "`revoke()`",
        ] {
            assert_eq!(said(map).len(), 1, "{map}");
        }
        let promise = check(&Tree::of(&[("SECURITY.md", "`a_stranger_gets_in`"), ("crates/core/src/a.rs", "fn a_stranger_gets_out() {}")]));
        assert_eq!(promise.len(), 1, "a test that is not there");
        assert_eq!(check(&Tree::of(&[(MAP, "nothing"), ("crates/core/src/a.rs", "")])).len(), 1, "a crate that is not on the map");
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let map = "`crates/core/src/time.rs` `core/src/time.rs` [a](docs/a.md) `Timestamp` `admit()` `core::admit` `/api/v1/x` `text/html`\n```\n`No::Such`\n```\n<https://x.y>";
        assert_eq!(said(map), Vec::<String>::new());
        assert!(check(&Tree::of(&[("docs/d/0001-a.md", "[x](../a.md)"), ("docs/a.md", "")])).is_empty());
    }
}

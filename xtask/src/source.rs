//! Reading Rust far enough for the rules: which lines are code, and which of them are tests. It is no parser and need not be:
//! the code is formatted by one tool.

/// One line of code without its line comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1.
    pub number: usize,
    /// What stands before `//`.
    pub code: &'a str,
}

/// Whether the whole file is a test's.
pub fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "conformance" || part == "tests.rs") || path.starts_with("crates/testkit/")
}

/// The lines of the product in a file: without comments, and without `#[cfg(test)] mod … { … }`.
pub fn product_lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut after_cfg_test = false;
    let mut in_tests = false;
    for (index, line) in text.lines().enumerate() {
        if in_tests {
            in_tests = line != "}";
            continue;
        }
        if line.starts_with("#[cfg(test)]") {
            after_cfg_test = true;
            continue;
        }
        if after_cfg_test && line.ends_with('{') {
            in_tests = true;
            after_cfg_test = false;
            continue;
        }
        after_cfg_test = after_cfg_test && line.starts_with("#[");
        let code = without_comment(line);
        if !code.trim().is_empty() {
            lines.push(Line { number: index + 1, code });
        }
    }
    lines
}

/// A `//` behind a colon is an address, not a comment.
fn without_comment(line: &str) -> &str {
    let mut from = 0;
    while let Some(found) = line.get(from..).and_then(|rest| rest.find("//")) {
        let at = from + found;
        if !line.get(..at).is_some_and(|before| before.ends_with(':')) {
            return line.get(..at).unwrap_or(line);
        }
        from = at + 2;
    }
    line
}

/// Whether `word` stands in `line` with no letter, digit or `_` on either side.
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|s| s.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_are_not_the_product() {
        let text = "//! head\nfn a() {} // why\nlet u = \"https://x\";\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let codes: Vec<_> = product_lines(text).into_iter().map(|l| (l.number, l.code.trim())).collect();
        assert_eq!(codes, [(2, "fn a() {}"), (3, "let u = \"https://x\";"), (8, "fn c() {}")]);
        assert!(is_test_file("crates/core/src/admission/tests.rs") && !is_test_file("crates/core/src/time.rs"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("a = rusqlite::query()", "rusqlite") && !has_word("my_rusqlite_thing", "rusqlite"));
    }
}

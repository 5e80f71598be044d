//! `docs/settings.md`: its tables are written from the code, so that no setting is without its line and no line lies.

use crate::codes::{cell, literals};
use crate::tree::{Finding, Tree, root};
use std::io;

const PAGE: &str = "docs/settings.md";
const SERVE: &str = "crates/countersign/src/serve/settings.rs";
const MEANINGS: &str = "crates/countersign/src/serve/reference.rs";
const AGENT: &str = "crates/countersign/src/agent/settings.rs";

/// Rows of three literals between a table's name and its end.
fn rows(text: &str, table: &str) -> Vec<[String; 3]> {
    let body =
        text.split_once(table).and_then(|(_, rest)| rest.split_once("] = ").or_else(|| rest.split_once("= "))).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n];").map_or("", |(body, _)| body);
    let words = literals(body);
    words.chunks_exact(3).map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]).collect()
}

fn code(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", cell(text)) }
}

fn serve(tree: &Tree) -> String {
    let meanings = rows(tree.text(MEANINGS).unwrap_or_default(), "const MEANINGS");
    let mut out = "| setting | meaning | allowed | default | example |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for [name, default, allowed] in rows(tree.text(SERVE).unwrap_or_default(), "const KNOWN") {
        let (meaning, example) = meanings
            .iter()
            .find(|[known, ..]| *known == name)
            .map_or((String::new(), String::new()), |[_, meaning, example]| (meaning.clone(), example.clone()));
        out.push_str(&format!("| `{name}` | {} | {} | {} | {} |\n", cell(&meaning), cell(&allowed), code(&default), code(&example)));
    }
    out
}

fn agent(tree: &Tree) -> String {
    let mut out = "| setting | allowed | default |\n| --- | --- | --- |\n".to_owned();
    for [name, default, allowed] in rows(tree.text(AGENT).unwrap_or_default(), "const KNOWN") {
        out.push_str(&format!("| `{name}` | {} | {} |\n", cell(&allowed), code(&default)));
    }
    out
}

/// The page with its tables as they should be.
fn filled(tree: &Tree, page: &str) -> Result<String, String> {
    let mut page = page.to_owned();
    for (name, table) in [("serve", serve(tree)), ("agent", agent(tree))] {
        let (begin, end) = (format!("<!-- {name}: written by xtask -->\n"), format!("<!-- {name}: end -->"));
        let from = page.find(&begin).ok_or_else(|| format!("the line {} is missing", begin.trim()))? + begin.len();
        let length = page.get(from..).and_then(|rest| rest.find(&end)).ok_or_else(|| format!("the line {end} is missing"))?;
        page.replace_range(from..from + length, &table);
    }
    Ok(page)
}

/// The page says what the code says, and every setting of `serve` has a meaning and an example.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.text(PAGE) else { return vec![Finding::new(PAGE, 0, "the page is missing")] };
    let mut findings = Vec::new();
    match filled(tree, page) {
        Ok(wanted) if wanted == page => {}
        Ok(_) => findings.push(Finding::new(
            PAGE,
            0,
            "the code says something else; run `cargo run -q -p xtask -- settings` and read the difference",
        )),
        Err(what) => findings.push(Finding::new(PAGE, 0, what)),
    }
    let meanings = rows(tree.text(MEANINGS).unwrap_or_default(), "const MEANINGS");
    for [name, ..] in rows(tree.text(SERVE).unwrap_or_default(), "const KNOWN") {
        if !meanings.iter().any(|[known, ..]| *known == name) {
            findings.push(Finding::new(MEANINGS, 0, format!("say what `{name}` means, with an example")));
        }
    }
    findings
}

/// Writes the tables into the page.
///
/// # Errors
/// The page is missing, has lost a mark, or cannot be written.
pub fn write(tree: &Tree) -> io::Result<()> {
    let page = tree.text(PAGE).ok_or_else(|| io::Error::other("it is missing"))?;
    std::fs::write(root().join(PAGE), filled(tree, page).map_err(io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "const KNOWN: [(&str, &str, &str); 2] = [\n    (\"a.listen\", \"\", \"an address\"),\n    (\n        \"b\",\n        \"x\",\n        \"y or \\\n         z\",\n    ),\n];\n";

    #[test]
    fn the_tables_are_read_out_of_the_code() {
        assert_eq!(rows(KNOWN, "const KNOWN"), [["a.listen", "", "an address"], ["b", "x", "y or z"]].map(|row| row.map(str::to_owned)));
    }

    #[test]
    fn a_setting_without_a_meaning_and_a_page_that_lies_are_found() {
        let meanings = "pub const MEANINGS: &[(&str, &str, &str)] = &[\n    (\"b\", \"B.\", \"x\"),\n];\n";
        let page = "<!-- serve: written by xtask -->\n<!-- serve: end -->\n<!-- agent: written by xtask -->\n<!-- agent: end -->\n";
        let tree = Tree::of(&[(SERVE, KNOWN), (MEANINGS, meanings), (PAGE, page)]);
        let said: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains("xtask -- settings")), "{said:?}");
        assert!(said.iter().any(|line| line.contains("`a.listen`")), "{said:?}");
    }
}

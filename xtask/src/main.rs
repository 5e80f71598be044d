//! Checks that are not tests of one crate: `cargo run -q -p xtask -- check`.
//!
//! Each rule is a function from the text of the tree to what it finds wrong, so that a test can show it a made-up bad tree and
//! see it fail. It depends on nothing: it must start at once and work while every other crate is broken.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line for developers")]

mod codes;
mod direction;
mod documents;
mod graph;
mod machine;
mod placement;
mod protos;
mod settings;
mod shape;
mod source;
mod tree;

use std::process::ExitCode;
use tree::{Finding, Tree, VENDORED};

/// A rule: its name, and what breaks it in a tree.
type Rule = (&'static str, fn(&Tree) -> Vec<Finding>);

/// Every rule that needs nothing but the text of the tree.
const RULES: &[Rule] = &[
    ("the rule of direction", direction::check),
    ("SQL lives in the store", placement::sql),
    ("the clock is read by the binary", placement::clock),
    ("a module says what it is", shape::module_heads),
    ("files are short", shape::lengths),
    ("names say what they are", shape::names),
    ("no test skips itself in silence", shape::skips),
    ("what the documents name exists", documents::check),
    ("docs/errors.md is what the code says", codes::check),
    ("docs/settings.md is what the code says", settings::check),
    ("nothing of one machine is in the tree", machine::check),
    ("the vendored .proto files are complete", protos::check),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tree = match Tree::load() {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("xtask: the tree cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => check(&tree),
        ["errors"] => written("docs/errors.md", codes::write(&tree)),
        ["settings"] => written("docs/settings.md", settings::write(&tree)),
        ["protos", "write"] => written(VENDORED, protos::write(&tree)),
        ["protos", "check"] => match protos::compare(&tree) {
            Ok(findings) => report("the vendored .proto files are the package's", &findings),
            Err(error) => {
                eprintln!("xtask: the .proto files cannot be compared: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!(
                "usage: cargo run -q -p xtask -- check | errors | settings | protos check | protos write\n  check         every rule of the house\n  errors        write the tables of docs/errors.md from the code\n  settings      write the tables of docs/settings.md from the code\n  protos check  compare Temporal's .proto files with the package they come from, which a registry has to hold\n  protos write  copy them anew"
            );
            ExitCode::from(2)
        }
    }
}

/// The end of a command that writes files.
fn written(what: &str, result: Result<(), impl std::fmt::Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {what} cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one rule and what breaks it.
fn report(name: &str, findings: &[Finding]) -> ExitCode {
    println!("{} {name}", if findings.is_empty() { "ok  " } else { "FAIL" });
    for finding in findings {
        println!("     {finding}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(tree: &Tree) -> ExitCode {
    let linked = ("one crypto library, and no forbidden one is linked", graph::check());
    let mut code = ExitCode::SUCCESS;
    for (name, found) in RULES.iter().map(|(name, rule)| (*name, rule(tree))).chain([linked]) {
        if report(name, &found) != ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one rule on the real tree.
    fn holds(rule: fn(&Tree) -> Vec<Finding>) {
        let findings = rule(&Tree::load().unwrap());
        assert!(findings.is_empty(), "\n{}", findings.iter().map(|f| format!("  {f}\n")).collect::<String>());
    }

    #[test]
    fn the_rule_of_direction_holds() {
        holds(direction::check);
    }

    #[test]
    fn only_the_store_holds_sql() {
        holds(placement::sql);
    }

    #[test]
    fn only_the_binary_reads_the_clock() {
        holds(placement::clock);
    }

    #[test]
    fn every_module_says_what_it_is() {
        holds(shape::module_heads);
    }

    #[test]
    fn no_file_is_longer_than_a_reader_bears() {
        holds(shape::lengths);
    }

    #[test]
    fn no_type_is_named_for_nothing() {
        holds(shape::names);
    }

    #[test]
    fn no_test_skips_itself_in_silence() {
        holds(shape::skips);
    }

    #[test]
    fn what_the_documents_name_exists() {
        holds(documents::check);
    }

    #[test]
    fn the_page_of_errors_is_what_the_code_says() {
        holds(codes::check);
    }

    #[test]
    fn the_page_of_settings_is_what_the_code_says() {
        holds(settings::check);
    }

    #[test]
    fn nothing_of_one_machine_is_in_the_tree() {
        holds(machine::check);
    }

    #[test]
    fn a_build_has_every_proto_file_that_it_needs() {
        holds(protos::check);
    }
}

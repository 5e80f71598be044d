//! Every command line that a hint, a page or a document tells people to type is one that this program takes.

use std::fs;
use std::path::{Path, PathBuf};

/// Files below `folder` with one of these endings.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules", "work", "decisions"].contains(&name.as_str()) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// What is wrong with the command line that begins at `line`; `None` where it is one, or is not meant as one.
fn fault(root: &clap::Command, line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace().peekable();
    let mut command = root;
    let mut path = Vec::new();
    while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word.trim_end_matches([',', ':', '…']))) {
        path.push(next.get_name().to_owned());
        command = next;
        words.next();
    }
    if path.is_empty() {
        return None;
    }
    let following = words.peek().copied().unwrap_or("");
    let is_word = !following.is_empty() && following.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !following.starts_with('-');
    if command.is_subcommand_required_set() && is_word {
        return Some(format!("`countersign {}` has no command `{following}`", path.join(" ")));
    }
    let known: Vec<&str> = command
        .get_arguments()
        .chain(root.get_arguments())
        .flat_map(|argument| argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default()))
        .chain(["help", "version"])
        .collect();
    let flags = words.filter_map(|word| word.trim_start_matches('[').strip_prefix("--"));
    let names = flags.map(|flag| flag.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or(""));
    let unknown = names.filter(|name| !name.is_empty()).find(|name| !known.contains(name))?;
    Some(format!("`countersign {}` has no flag --{unknown}", path.join(" ")))
}

/// The text after each `countersign ` up to where a string, a code span or a line ends.
fn lines(text: &str) -> Vec<String> {
    let mut joined = String::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_suffix('\\') {
            Some(part) => joined.push_str(part.trim_start()),
            None => joined.push_str(line.trim_start()),
        }
    }
    let parts: Vec<&str> = joined.split("countersign ").collect();
    let mut found = Vec::new();
    for pair in parts.windows(2) {
        let [before, after] = pair else { continue };
        // Names of digests are byte strings; a path or a longer name is not this program, and "the countersign account" is a user.
        if before.ends_with("b\"") || before.ends_with("the ") || before.ends_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c)) {
            continue;
        }
        let end = after.find(['"', '`', '\n', '<', ';', '|', '#']).unwrap_or(after.len());
        found.push(after[..end].to_owned());
    }
    found
}

#[test]
fn every_command_that_a_hint_a_page_or_a_document_names_exists_with_its_flags() {
    let mut root = crate::root();
    root.build();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for krate in fs::read_dir(top.join("crates")).unwrap() {
        files(&krate.unwrap().path().join("src"), &[".rs"], &mut found);
    }
    files(&top.join("web/src"), &[".ts", ".tsx"], &mut found);
    files(&top.join("docs"), &[".md"], &mut found);
    found.push(top.join("README.md"));
    let mut faults = Vec::new();
    let mut tried = 0;
    for file in found.iter().filter(|file| !file.ends_with("hints_tests.rs")) {
        for line in lines(&fs::read_to_string(file).unwrap()) {
            tried += 1;
            faults.extend(fault(&root, &line).map(|fault| format!("{}: {fault} ({line})", file.display())));
        }
    }
    assert!(tried > 200, "only {tried} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_wrong_verb_and_a_wrong_flag_are_found() {
    let mut root = crate::root();
    root.build();
    assert!(fault(&root, "application upgrade").unwrap().contains("no command `upgrade`"));
    assert!(fault(&root, "apikey list --colour").unwrap().contains("--colour"));
    assert_eq!(fault(&root, "apikey list --page-size 5 shows them"), None);
    assert_eq!(fault(&root, "is a word"), None);
}

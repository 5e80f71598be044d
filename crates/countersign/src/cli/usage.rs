//! Errors of the command line as a person needs them: what is missing and nothing else, and tips that are names, not letters.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// A name this far away, in edits, is still a likely mistake.
const EDITS_MAX: usize = 2;

/// The same error, made readable. clap's own usage line repeats every flag that was given, those of the environment too, and its tips
/// offer one-letter aliases.
pub fn tidy(root: &Command, error: Error) -> Error {
    match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {}
        _ => return error,
    }
    let mut tidied = Error::new(error.kind()).with_cmd(root);
    let path = path(&error);
    for (kind, value) in error.context() {
        let value = match kind {
            ContextKind::Usage => ContextValue::StyledStr(usage(&path, &error).into()),
            ContextKind::SuggestedArg | ContextKind::SuggestedSubcommand | ContextKind::SuggestedValue => match names(value) {
                Some(names) => names,
                None => continue,
            },
            ContextKind::Suggested if matches!(value, ContextValue::StyledStrs(tips) if tips.is_empty()) => continue,
            _ => value.clone(),
        };
        tidied.insert(kind, value);
    }
    if tidied.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(name) = nearest(root, &path, word)
    {
        tidied.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![name]));
    }
    tidied
}

/// `countersign apikey create` of the usage line.
fn path(error: &Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => return String::new(),
    };
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    words.take_while(|word| !word.starts_with(['-', '<', '['])).collect::<Vec<_>>().join(" ")
}

fn usage(path: &str, error: &Error) -> String {
    let missing = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) => missing.join(" "),
        (ErrorKind::InvalidSubcommand, _) => return format!("Usage: {path} <COMMAND>"),
        _ => String::new(),
    };
    let blank = if missing.is_empty() { "" } else { " " };
    format!("Usage: {path}{blank}{missing} [OPTIONS]")
}

/// Suggestions without one-letter names.
fn names(value: &ContextValue) -> Option<ContextValue> {
    let is_name = |text: &String| text.trim_start_matches('-').chars().count() > 1;
    match value {
        ContextValue::String(text) => Some(text).filter(|text| is_name(text)).map(|text| ContextValue::String(text.clone())),
        ContextValue::Strings(texts) => {
            let texts: Vec<String> = texts.iter().filter(|text| is_name(text)).cloned().collect();
            (!texts.is_empty()).then_some(ContextValue::Strings(texts))
        }
        other => Some(other.clone()),
    }
}

/// The command below `path` whose name is nearest to what was typed.
fn nearest(root: &Command, path: &str, word: &str) -> Option<String> {
    let parent = path.split(' ').skip(1).try_fold(root, |at, name| at.find_subcommand(name))?;
    let named = parent.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    let scored = named.map(|name| (strsim::damerau_levenshtein(name, word), name));
    scored.filter(|(edits, _)| *edits <= EDITS_MAX).min().map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn root() -> Command {
        let create = Command::new("create")
            .visible_alias("c")
            .arg(Arg::new("name").long("name").alias("n").required(true))
            .arg(Arg::new("duration").long("duration").alias("d"))
            .arg(Arg::new("id").long("id").required(true));
        let apikey = Command::new("apikey").visible_alias("k").subcommand_required(true).subcommand(create);
        let region = Command::new("request").visible_alias("r").visible_alias("p");
        Command::new("tool").subcommand_required(true).subcommand(apikey).subcommand(region)
    }

    fn said(line: &[&str]) -> String {
        let error = root().try_get_matches_from(line).unwrap_err();
        tidy(&root(), error).to_string()
    }

    #[test]
    fn a_usage_error_lists_what_is_missing_and_nothing_else() {
        let text = said(&["tool", "apikey", "create", "--duration", "30d", "--name", "x"]);
        assert!(text.contains("Usage: tool apikey create --id <id> [OPTIONS]"), "{text}");
        assert!(!text.contains("duration"), "{text}");
    }

    #[test]
    fn a_tip_is_a_name_and_never_a_letter() {
        for line in [&["tool", "portal"][..], &["tool", "apikey", "cc"], &["tool", "apikey", "create", "--nn"]] {
            let text = said(line);
            for letter in ["'r'", "'p'", "'c'", "'k'", "'--n'", "'--d'"] {
                assert!(!text.contains(letter), "{line:?}: {text}");
            }
        }
        assert!(said(&["tool", "apikye"]).contains("'apikey'"), "{}", said(&["tool", "apikye"]));
    }
}

//! Lets a `tcld` line work unchanged: Go's flags may be written with one dash or two, short or long. Touches spelling only.

use clap::{ArgAction, Command};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// Adds to each one-letter flag its form with two dashes (`--d` for `-d`).
pub fn with_long_letters(command: Command) -> Command {
    let taken: BTreeSet<String> = command.get_arguments().flat_map(longs).collect();
    command
        .mut_args(|arg| match arg.get_short().and_then(letter) {
            Some(letter) if !taken.contains(letter) => arg.alias(letter),
            _ => arg,
        })
        .mut_subcommands(with_long_letters)
}

/// The letter as a text that lives as long as clap wants it.
fn letter(short: char) -> Option<&'static str> {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    LETTERS.find(short).and_then(|at| LETTERS.get(at..=at))
}

/// Rewrites `-org` to `--org` where that is the name of a flag, and nothing else; `-ojson` stays a short flag with its value.
pub fn normalise(command: &Command, line: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut names = BTreeSet::new();
    collect(command, &mut names);
    let mut only_values = false;
    line.into_iter()
        .enumerate()
        .map(|(i, word)| {
            only_values |= word == OsStr::new("--");
            match word.to_str() {
                Some(text) if i > 0 && !only_values && is_single_dash_name(text, &names) => OsString::from(format!("-{text}")),
                _ => word,
            }
        })
        .collect()
}

fn is_single_dash_name(text: &str, names: &BTreeSet<String>) -> bool {
    let Some(rest) = text.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else { return false };
    let name = rest.split('=').next().unwrap_or(rest);
    name.len() > 1 && names.contains(name)
}

fn collect(command: &Command, names: &mut BTreeSet<String>) {
    names.extend(command.get_arguments().filter(|a| !matches!(a.get_action(), ArgAction::Version)).flat_map(longs));
    for sub in command.get_subcommands() {
        collect(sub, names);
    }
}

fn longs(arg: &clap::Arg) -> Vec<String> {
    let aliases = arg.get_all_aliases().unwrap_or_default();
    arg.get_long().into_iter().chain(aliases).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let sub = Command::new("ca")
            .arg(Arg::new("validity-period").long("validity-period").short('d'))
            .arg(Arg::new("ca-certificate-file").long("ca-certificate-file").alias("ca-cert"));
        with_long_letters(Command::new("x").arg(Arg::new("output").long("output").short('o')).subcommand(sub))
    }

    #[test]
    fn a_flag_may_be_written_with_one_dash_or_two() {
        let line = ["x", "-ojson", "ca", "--d", "90d", "-ca-cert=a.pem"].map(OsString::from);
        let line = normalise(&command(), line);
        assert_eq!(line, ["x", "-ojson", "ca", "--d", "90d", "--ca-cert=a.pem"].map(OsString::from));
        let matches = command().try_get_matches_from(line).unwrap();
        let (_, ca) = matches.subcommand().unwrap();
        assert_eq!(ca.get_one::<String>("validity-period").map(String::as_str), Some("90d"));
    }
}

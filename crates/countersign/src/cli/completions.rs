//! Shell completions: a short script for each shell that asks this program, which knows its own commands and asks the server for ids.
//!
//! Whatever goes wrong completes nothing and says nothing: the line that is typed is not to be disturbed.

use super::Session;
use super::errors::{Failure, Outcome};
use super::output::print;
use super::profile::Profiles;
use crate::terminal::clean_line;
use clap::{Arg, Command};
use serde_json::Value;
use std::time::Duration;

/// The server has so long to name its ids.
const PATIENCE: Duration = Duration::from_secs(2);

/// `completions`.
#[derive(clap::Args)]
#[command(after_help = "Install for bash:  countersign completions bash > ~/.local/share/bash-completion/completions/countersign\n\
                  Install for zsh:   countersign completions zsh > \"${fpath[1]}/_countersign\"\n\
                  Install for fish:  countersign completions fish > ~/.config/fish/completions/countersign.fish\n\
                  Ids are asked of the server, with the login or key that commands use; make the directory first where there is none.")]
pub struct Args {
    /// bash, zsh or fish
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// The shells.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `complete`: what the scripts call.
#[derive(clap::Args)]
pub struct CompleteArgs {
    /// The words after the program's name, the one that is typed last
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

const BASH: &str = r#"# Completions of countersign for bash.
_countersign() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _countersign countersign
"#;

const ZSH: &str = r#"#compdef countersign
# Completions of countersign for zsh.
_countersign() {
    local -a described
    local line
    for line in "${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#described )); then _describe 'countersign' described; else _files; fi
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then _countersign "$@"; else compdef _countersign countersign; fi
"#;

const FISH: &str = r#"# Completions of countersign for fish.
function __countersign_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l found ($words[1] complete -- $words[2..-1] $current 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path $current
    end
end
complete --command countersign --no-files --arguments '(__countersign_complete)'
"#;

/// Prints the script.
pub fn run(args: &Args) -> Outcome {
    print(match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    })
}

/// Prints what the last word may become, one a line, with what it is behind a tab.
pub async fn complete(session: &Session, args: CompleteArgs, mut root: Command) -> Outcome {
    root.build();
    let line = Line::read(&root, &args.words);
    let mut found = match &line.wanted {
        Wanted::Words(words) => words.clone(),
        Wanted::Ids(source) => {
            tokio::time::timeout(PATIENCE, ids(session, &line, *source)).await.ok().and_then(Result::ok).unwrap_or_default()
        }
        Wanted::Files => Vec::new(),
    };
    found.retain(|(word, _)| word.starts_with(&line.typed) && !word.is_empty());
    found.dedup();
    let lines = found.into_iter().map(|(word, what)| format!("{}{}\t{}\n", line.before, clean_line(&word), clean_line(&what)));
    print(&lines.collect::<String>())
}

/// A word and what it is.
type Candidate = (String, String);

/// What may stand at the end of the line.
enum Wanted {
    Words(Vec<Candidate>),
    Ids(Source),
    /// The shell's own: names of files, or nothing that can be known.
    Files,
}

/// Where names of objects come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A list of the server: its path, the member that is typed, and the one that says what it is.
    List(&'static [&'static str], &'static str, &'static str),
    /// Users and service accounts.
    Owners,
    Profiles,
}

/// Flags that mean the same object in every command.
const BY_FLAG: &[(&str, Source)] = &[
    ("namespace", Source::List(&["namespaces"], "namespace", "hostname")),
    ("service-account-id", Source::List(&["service-accounts"], "id", "name")),
    ("user-id", Source::List(&["users"], "id", "email")),
    ("user-email", Source::List(&["users"], "email", "id")),
    ("owner-id", Source::Owners),
    ("application", Source::List(&["applications"], "name", "id")),
    ("application-id", Source::List(&["applications"], "id", "name")),
    ("api-key-id", Source::List(&["api-keys"], "id", "name")),
    ("certificate-id", Source::List(&["certificates"], "id", "alias")),
    ("group-id", Source::List(&["user-groups"], "id", "name")),
    ("role-id", Source::List(&["custom-roles"], "id", "name")),
    ("alias", Source::List(&["certificates"], "alias", "id")),
    ("issuer", Source::List(&["issuers"], "name", "state")),
    ("region", Source::List(&["regions"], "id", "location")),
    ("profile", Source::Profiles),
];

/// What `--id` means, by the command's noun.
const BY_NOUN: &[(&str, Source)] = &[
    ("apikey", Source::List(&["api-keys"], "id", "name")),
    ("certificate", Source::List(&["certificates"], "id", "alias")),
    ("key", Source::List(&["certificates"], "id", "alias")),
    ("application", Source::List(&["applications"], "id", "name")),
    ("service-account", Source::List(&["service-accounts"], "id", "name")),
    ("user", Source::List(&["users"], "id", "email")),
    ("user-group", Source::List(&["user-groups"], "id", "name")),
    ("custom-role", Source::List(&["custom-roles"], "id", "name")),
    ("session", Source::List(&["sessions"], "id", "program")),
    ("notice", Source::List(&["notices", "webhooks"], "id", "url")),
];

/// A command line as far as it is typed.
struct Line {
    /// What was given so far by flags of the connection: `--server` and so on.
    given: Vec<(String, String)>,
    wanted: Wanted,
    /// The part of the last word that candidates begin with.
    typed: String,
    /// The part of the last word before that, such as `--profile=`.
    before: String,
}

impl Line {
    fn read(root: &Command, words: &[String]) -> Self {
        let (words, was_split) = joined(words);
        let (last, words) = words.split_last().map_or((String::new(), &[][..]), |(last, words)| (last.clone(), words));
        let (mut at, mut noun, mut pending, mut given) = (root, "", None, Vec::new());
        for word in words {
            if let Some(arg) = pending.take() {
                given.push((flag_name(arg), word.clone()));
            } else if word.starts_with('-') {
                let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
                match (flag(at, name), value) {
                    (Some(arg), Some(value)) => given.push((flag_name(arg), value.to_owned())),
                    (Some(arg), None) if arg.get_action().takes_values() => pending = Some(arg),
                    _ => {}
                }
            } else if let Some(sub) = at.find_subcommand(word) {
                if noun.is_empty() {
                    noun = sub.get_name();
                }
                at = sub;
            }
        }
        let wanted = match pending {
            Some(arg) => return Self { wanted: values(noun, arg), typed: last, before: String::new(), given },
            None if last.starts_with('-') => match last.split_once('=') {
                Some((name, typed)) => {
                    let wanted = flag(at, name).map_or(Wanted::Files, |arg| values(noun, arg));
                    // bash took the word apart at the equals sign and wants the value alone.
                    let before = if was_split { String::new() } else { format!("{name}=") };
                    return Self { wanted, typed: typed.to_owned(), before, given };
                }
                None => Wanted::Words(flags(at)),
            },
            None => match subcommands(at) {
                words if words.is_empty() => at.get_positionals().next().map_or(Wanted::Files, |arg| match (noun, arg.get_id().as_str()) {
                    ("profile", "name") => Wanted::Ids(Source::Profiles),
                    _ => values(noun, arg),
                }),
                words => Wanted::Words(words),
            },
        };
        Self { wanted, typed: last, before: String::new(), given }
    }
}

/// bash takes words apart at `:` and `=`; here they are whole again. Whether the last one was in parts.
fn joined(words: &[String]) -> (Vec<String>, bool) {
    let mut whole: Vec<String> = Vec::new();
    let (mut glue, mut was_split) = (false, false);
    for word in words {
        let is_break = matches!(word.as_str(), ":" | "=");
        was_split = glue || is_break;
        match whole.last_mut() {
            Some(last) if was_split => last.push_str(word),
            _ => whole.push(word.clone()),
        }
        glue = is_break;
    }
    (whole, was_split)
}

fn flag<'a>(at: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.trim_start_matches('-');
    at.get_arguments().find(|arg| {
        let by_letter = name.chars().count() == 1 && arg.get_short().is_some_and(|short| name.starts_with(short));
        by_letter || arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    })
}

fn flag_name(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().to_owned()
}

/// The first line of a help text.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn flags(at: &Command) -> Vec<Candidate> {
    let shown = at.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg.get_help())))).collect()
}

fn subcommands(at: &Command) -> Vec<Candidate> {
    let shown = at.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| (command.get_name().to_owned(), help(command.get_about()))).collect()
}

fn values(noun: &str, arg: &Arg) -> Wanted {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        return Wanted::Words(possible.iter().map(|value| (value.get_name().to_owned(), help(value.get_help()))).collect());
    }
    let long = arg.get_long().unwrap_or_default();
    let table = if long == "id" { BY_NOUN } else { BY_FLAG };
    let name = if long == "id" { noun } else { long };
    table.iter().find(|(known, _)| *known == name).map_or(Wanted::Files, |(_, source)| Wanted::Ids(*source))
}

async fn ids(session: &Session, line: &Line, source: Source) -> Result<Vec<Candidate>, Failure> {
    let mut global = session.global.clone();
    for (name, value) in &line.given {
        match name.as_str() {
            "server" => global.server = Some(value.clone()),
            "ca-cert" => global.ca_cert = Some(value.into()),
            "api-key" => global.api_key = Some(value.clone()),
            "profile" => global.profile = Some(value.clone()),
            "config-dir" => global.config_dir = Some(value.into()),
            _ => {}
        }
    }
    let session = Session::new(global);
    match source {
        Source::Profiles => {
            let all = Profiles::read(&session.global.directory()?)?;
            Ok(all.profiles.into_iter().map(|(name, profile)| (name, profile.server.clone())).collect())
        }
        Source::List(path, id, what) => list(&session, path, id, what).await,
        Source::Owners => {
            let mut found = list(&session, &["users"], "id", "email").await.unwrap_or_default();
            found.extend(list(&session, &["service-accounts"], "id", "name").await?);
            Ok(found)
        }
    }
}

async fn list(session: &Session, path: &[&str], id: &str, what: &str) -> Result<Vec<Candidate>, Failure> {
    let page: Value = session.client()?.get(path, &[("page_size", Some("200".to_owned()))]).await?;
    let text = |item: &Value, member: &str| item[member].as_str().unwrap_or_default().to_owned();
    Ok(page["items"].as_array().map(|items| items.iter().map(|item| (text(item, id), text(item, what))).collect()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    fn root() -> Command {
        let get = Command::new("get").arg(Arg::new("id").long("id").short('i'));
        let list = Command::new("list").arg(Arg::new("state").long("state").value_parser(["enabled", "disabled"]));
        let hidden = Command::new("secret").hide(true);
        let mut root = Command::new("countersign")
            .arg(Arg::new("profile").long("profile").global(true))
            .arg(Arg::new("wide").long("wide").global(true).action(ArgAction::SetTrue))
            .subcommand(Command::new("apikey").visible_alias("ak").about("API keys").subcommand(get).subcommand(list))
            .subcommand(hidden);
        root.build();
        root
    }

    fn wanted(words: &[&str]) -> (Vec<String>, Option<Source>) {
        let root = root();
        let line = Line::read(&root, &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        match line.wanted {
            Wanted::Words(words) => (words.into_iter().map(|(word, _)| word).collect(), None),
            Wanted::Ids(source) => (Vec::new(), Some(source)),
            Wanted::Files => (Vec::new(), None),
        }
    }

    #[test]
    fn commands_flags_and_values_are_completed_and_hidden_ones_are_not() {
        assert_eq!(wanted(&[""]).0, ["apikey", "help"]);
        assert!(wanted(&["ak", "li"]).0.contains(&"list".to_owned()));
        assert!(wanted(&["apikey", "list", "--"]).0.contains(&"--state".to_owned()));
        assert_eq!(wanted(&["--wide", "apikey", "list", "--state", ""]).0, ["enabled", "disabled"]);
    }

    #[test]
    fn ids_come_from_the_list_of_their_noun() {
        let keys = Source::List(&["api-keys"], "id", "name");
        assert_eq!(wanted(&["apikey", "get", "--id", ""]).1, Some(keys));
        assert_eq!(wanted(&["--profile", "dev", "apikey", "get", "-i", "k"]).1, Some(keys));
        assert_eq!(wanted(&["apikey", "get", "--id=k"]).1, Some(keys));
        assert_eq!(wanted(&["--profile", "d"]).1, Some(Source::Profiles));
    }

    #[test]
    fn words_that_bash_took_apart_are_whole_again() {
        let words: Vec<String> = ["--server", "localhost", ":", "8443", "--id", "=", "k"].map(str::to_owned).into();
        assert_eq!(joined(&words), (vec!["--server".into(), "localhost:8443".into(), "--id=k".into()], true));
    }

    #[test]
    fn each_script_is_small() {
        assert!([BASH, ZSH, FISH].iter().all(|script| script.len() < 2_000));
    }
}

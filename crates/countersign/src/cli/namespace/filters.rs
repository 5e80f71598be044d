//! `namespace certificate-filters`: import, export, add and clear, as JSON `{"filters": [...]}`.

use super::super::Session;
use super::super::change::{ChangeFlags, VersionFlag};
use super::super::client::NO_QUERY;
use super::super::errors::{Failure, Outcome};
use super::super::output::{self, note};
use super::super::{input, prompt};
use super::NamespaceFlag;
use countersign_proto::convert;
use countersign_proto::rest::{FilterBody, Filters, NamespaceBody};
use reqwest::Method;
use std::path::{Path, PathBuf};

/// `namespace certificate-filters …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Replace the filters by those of a file
    #[command(visible_alias = "imp")]
    Import(WriteArgs),
    /// Print the filters, or store them in a file
    #[command(visible_alias = "exp")]
    Export(ExportArgs),
    /// Add filters
    #[command(visible_alias = "a")]
    Add(WriteArgs),
    /// Take all filters away: every certificate of an accepted CA gets in
    #[command(visible_alias = "c")]
    Clear(ClearArgs),
}

/// `certificate-filters import` and `add`.
#[derive(clap::Args)]
pub struct WriteArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// A JSON file: {"filters": [{"commonName": "...", "organization": "...", "organizationalUnit": "...", "subjectAlternativeName": "dns:*.example.com"}]}; alternative names are dns:, uri:, email: or ip:, and * in one is one whole label
    #[arg(long, short = 'f', alias = "file", value_name = "FILE")]
    certificate_filter_file: Option<PathBuf>,

    /// The same JSON itself
    #[arg(long, short = 'i', alias = "input", value_name = "JSON")]
    certificate_filter_input: Option<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `certificate-filters export`.
#[derive(clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// Where the JSON is stored instead of printed
    #[arg(long, short = 'f', alias = "file", value_name = "FILE")]
    certificate_filter_file: Option<PathBuf>,
}

/// `certificate-filters clear`.
#[derive(clap::Args)]
pub struct ClearArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Import(args) => write(session, args, Method::PUT).await,
        Command::Add(args) => write(session, args, Method::POST).await,
        Command::Export(args) => export(session, args).await,
        Command::Clear(args) => {
            let namespace = args.namespace.get()?;
            prompt::demand(
                &format!("clearing the certificate filters of {namespace} lets in every certificate of its accepted CAs. confirm:"),
                session.auto_confirm,
            )?;
            let path = ["namespaces", &namespace, "certificate-filters"];
            unless_changed(session, &namespace, &args.version).await?;
            session.change::<()>(&args.change, Method::DELETE, &path, None).await
        }
    }
}

/// Filters from a file or a text, checked for a better message. `None` when neither is given.
pub fn read(file: Option<&Path>, text: Option<&str>) -> Result<Option<Vec<FilterBody>>, Failure> {
    let bytes = match (file, text) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(
                Failure::usage("--certificate-filter-file and --certificate-filter-input exclude each other").hint("give one of them")
            );
        }
        (Some(path), None) => input::read(path)?,
        (None, Some(text)) => text.as_bytes().to_vec().into(),
    };
    let filters: Filters = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::refused("invalid_argument", format!("the certificate filters are not readable: {error}")).hint(
            r#"write them as {"filters": [{"commonName": "worker-*", "organization": "Acme"}]}; the other names are organizationalUnit and subjectAlternativeName (dns:*.example.com, uri:spiffe://example.com/ns/*, email:ops@example.com, ip:192.0.2.1)"#,
        )
    })?;
    let parsed: Vec<_> = filters.filters.iter().map(convert::parse_filter).collect();
    countersign_core::filter::check(&parsed).map_err(|error| Failure::refused("invalid_argument", error.to_string()))?;
    Ok(Some(parsed.iter().map(convert::filter).collect()))
}

async fn fetch(session: &Session, namespace: &str) -> Result<Filters, Failure> {
    session.client()?.get(&["namespaces", namespace, "certificate-filters"], NO_QUERY).await
}

async fn write(session: &Session, args: WriteArgs, method: Method) -> Outcome {
    let namespace = args.namespace.get()?;
    let filters = read(args.certificate_filter_file.as_deref(), args.certificate_filter_input.as_deref())?.ok_or_else(|| {
        Failure::usage("no certificate filters are given").hint("add --certificate-filter-file FILE or --certificate-filter-input JSON")
    })?;
    let before = fetch(session, &namespace).await?.filters;
    let after = if method == Method::PUT { filters.clone() } else { before.iter().chain(&filters).cloned().collect() };
    if before == after {
        return session.accept::<()>(Err(Failure::refused("nothing_to_change", "nothing to change: the filters are so already"))).map(drop);
    }
    note(&difference(&before, &after));
    prompt::demand(&format!("the certificate filters of {namespace} change as shown above. confirm:"), session.auto_confirm)?;
    let path = ["namespaces", &namespace, "certificate-filters"];
    unless_changed(session, &namespace, &args.version).await?;
    session.change(&args.change, method, &path, Some(&Filters { filters })).await
}

/// Looks whether the namespace is still the one that was meant: filters themselves carry no version.
async fn unless_changed(session: &Session, namespace: &str, version: &VersionFlag) -> Outcome {
    let Some(meant) = &version.resource_version else { return Ok(()) };
    let body: NamespaceBody = session.client()?.get(&["namespaces", namespace], NO_QUERY).await?;
    if body.resource_version == *meant {
        return Ok(());
    }
    let message = format!("{namespace} was changed in the meantime: its resource version is {}, not {meant}", body.resource_version);
    Err(Failure::refused("resource_version_conflict", message).hint("look at it again, then repeat the change"))
}

async fn export(session: &Session, args: ExportArgs) -> Outcome {
    let namespace = args.namespace.get()?;
    let filters = fetch(session, &namespace).await?;
    let text = output::json(&filters)?;
    match args.certificate_filter_file {
        None => output::print(&text),
        Some(path) => {
            std::fs::write(&path, text).map_err(|error| Failure::file("write", &path, &error))?;
            note(&format!("certificate filters of {namespace} stored at: {}", path.display()));
            Ok(())
        }
    }
}

/// What changes, a filter a line.
fn difference(before: &[FilterBody], after: &[FilterBody]) -> String {
    let mut lines = Vec::new();
    lines.extend(before.iter().filter(|f| !after.contains(f)).map(|f| format!("- {}", line(f))));
    lines.extend(after.iter().map(|f| format!("{} {}", if before.contains(f) { ' ' } else { '+' }, line(f))));
    lines.join("\n")
}

fn line(filter: &FilterBody) -> String {
    serde_json::to_string(filter).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> FilterBody {
        FilterBody { common_name: Some(name.into()), ..Default::default() }
    }

    #[test]
    fn a_difference_shows_what_goes_and_what_comes() {
        let shown = difference(&[named("a"), named("b")], &[named("b"), named("c")]);
        assert_eq!(shown, "- {\"commonName\":\"a\"}\n  {\"commonName\":\"b\"}\n+ {\"commonName\":\"c\"}");
    }

    #[test]
    fn a_filter_with_two_wildcards_is_refused_before_it_is_sent() {
        let read = read(None, Some(r#"{"filters":[{"commonName":"*a*"}]}"#));
        assert_eq!(read.map_err(|f| f.code), Err("invalid_argument".to_owned()));
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        assert!(read(None, Some(r#"{"filters":[{"commonname":"a"}]}"#)).is_err());
    }
}

//! `audit`: the trail of every change; reading, storing and verifying it, at the server or from a file alone.

use super::Session;
use super::audit_against;
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::output::{self, note};
use super::pages::PageFlags;
use super::table::{text, whole};
use countersign_core::audit::Verifier;
use countersign_core::credential::hex;
use countersign_proto::convert;
use countersign_proto::rest::{AuditEntry, AuditVerified, Page};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// `audit …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List entries
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// Verify the chain of hashes: at the server, or of an exported file without any server
    Verify(VerifyArgs),
    /// Write all entries as lines of JSON
    Export(ExportArgs),
}

/// Which entries.
#[derive(clap::Args)]
struct Filters {
    /// Only what this identity did
    #[arg(long, value_name = "ID")]
    actor_id: Option<String>,

    /// Only this action, for example CreateApiKey
    #[arg(long)]
    action: Option<String>,

    /// Only what was done to objects of this kind, for example api_key
    #[arg(long, value_name = "KIND")]
    object_kind: Option<String>,

    /// Only what was done to this object
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,

    /// Only with this result: ok, or the code of a refusal
    #[arg(long, value_name = "CODE")]
    result: Option<String>,

    /// Only what this request did
    #[arg(long, value_name = "ID")]
    operation_id: Option<String>,

    /// From this moment on, RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// Before this moment, RFC 3339
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Filters {
    fn query(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("actor_id", self.actor_id.clone()),
            ("action", self.action.clone()),
            ("object_kind", self.object_kind.clone()),
            ("object_id", self.object_id.clone()),
            ("result", self.result.clone()),
            ("operation_id", self.operation_id.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
        ]
    }
}

/// `audit list`.
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    filters: Filters,

    /// Newest first
    #[arg(long)]
    newest: bool,

    #[command(flatten)]
    pages: PageFlags,
}

/// `audit verify`.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// A file from audit export; - reads stdin
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,

    /// Compare with what was kept elsewhere: a file from audit export, a file of heads, or a head as NUMBER:HASH
    #[arg(long, value_name = "EXPORT|HEAD")]
    against: Option<String>,
}

/// `audit export`.
#[derive(clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: Filters,

    /// Where it is stored instead of printed
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(args) => {
            let mut filters = args.filters.query();
            filters.push(("order", args.newest.then(|| "desc".to_owned())));
            let page = session.pages::<AuditEntry>(&["audit"], &args.pages, &filters).await?;
            let empty = "No entry. Every change leaves one; take filters away to see more.";
            session.show_page(
                &page,
                &[whole("NO"), whole("TIME"), text("WHO"), whole("ACTION"), whole("OBJECT"), whole("RESULT"), whole("FROM")],
                empty,
                |e| {
                    vec![
                        e.sequence.to_string(),
                        e.time.get(..19).unwrap_or(&e.time).replace('T', " "),
                        if e.actor_name.is_empty() { e.actor_id.clone() } else { e.actor_name.clone() },
                        e.action.clone(),
                        e.object_id.clone(),
                        e.result.clone(),
                        e.source.clone(),
                    ]
                },
            )
        }
        Command::Verify(args) => {
            let heads = args.against.as_deref().map(audit_against::read).transpose()?;
            let Some(path) = args.file else {
                let client = session.client()?;
                let verified: AuditVerified = client.get(&["audit", "verify"], NO_QUERY).await?;
                if let (true, Some(heads)) = (verified.ok, &heads) {
                    audit_against::server(client, &verified, heads).await?;
                }
                return tell(session, &verified, heads.as_ref().map_or(0, BTreeMap::len));
            };
            let heads = heads.unwrap_or_default();
            let mut found = BTreeMap::new();
            let verified = verify_file(&path, &mut |sequence, hash| {
                if heads.contains_key(&sequence) {
                    found.insert(sequence, hex(hash));
                }
            })?;
            if verified.ok {
                for (sequence, kept) in &heads {
                    audit_against::compare(*sequence, kept, found.get(sequence).map(String::as_str), verified.entries)?;
                }
            }
            tell(session, &verified, heads.len())
        }
        Command::Export(args) => export(session, args).await,
    }
}

fn tell(session: &Session, verified: &AuditVerified, compared: usize) -> Outcome {
    session.output.show(verified, || {
        let entries = output::count(u64::try_from(verified.entries).unwrap_or_default(), "entry", "entries");
        let word = session.output.verdict(if verified.ok { "holds" } else { "is broken" }, verified.ok);
        let compared = match u64::try_from(compared).unwrap_or_default() {
            0 => String::new(),
            count if verified.ok => format!("It is the one that was kept: {} compared\n", output::count(count, "entry", "entries")),
            _ => String::new(),
        };
        format!("The chain {word}: {entries} good, head {}:{}\n{compared}", verified.entries, verified.head)
    })?;
    if verified.ok {
        return Ok(());
    }
    let where_it_breaks = verified.broken.clone().unwrap_or_else(|| "the chain is broken".to_owned());
    Err(Failure::refused("audit_chain_broken", where_it_breaks)
        .hint("compare with an earlier export: entries up to the break are as they were written"))
}

/// Verifies an export, entry by entry; it may be larger than memory.
fn verify_file(path: &Path, good: &mut dyn FnMut(i64, &[u8; 32])) -> Result<AuditVerified, Failure> {
    if path == Path::new("-") {
        return verify(&mut std::io::stdin().lock(), path, good);
    }
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    verify(&mut BufReader::new(file), path, good)
}

fn verify(lines: &mut dyn BufRead, path: &Path, good: &mut dyn FnMut(i64, &[u8; 32])) -> Result<AuditVerified, Failure> {
    let mut verifier = Verifier::default();
    let mut broken = None;
    for (i, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| Failure::file("read", path, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let unreadable = || format!("line {} is no audit entry", i + 1);
        let entry = serde_json::from_str::<AuditEntry>(&line).ok().as_ref().and_then(convert::parse_audit_entry);
        broken = match entry {
            Some(entry) => verifier.check(&entry).err().map(|error| error.to_string()),
            None => Some(unreadable()),
        };
        if broken.is_some() {
            break;
        }
        good(verifier.checked(), verifier.head());
    }
    Ok(AuditVerified { ok: broken.is_none(), entries: verifier.checked(), head: hex(verifier.head()), broken })
}

/// Makes or empties a file for its owner alone, whatever the umask: the trail names people and addresses.
fn private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

async fn export(session: &Session, args: ExportArgs) -> Outcome {
    let mut file = match &args.file {
        Some(path) => Some(BufWriter::new(private(path).map_err(|error| Failure::file("write", path, &error))?)),
        None => None,
    };
    let mut token: Option<String> = None;
    let mut entries = 0_u64;
    loop {
        let mut query = args.filters.query();
        query.push(("page_size", Some("1000".to_owned())));
        query.push(("page_token", token.clone()));
        let page: Page<AuditEntry> = session.client()?.get(&["audit"], &query).await?;
        let mut text = String::new();
        for entry in &page.items {
            let line = serde_json::to_string(entry).map_err(|_| Failure::refused("internal", "an entry cannot be written as JSON"))?;
            text.push_str(&line);
            text.push('\n');
            entries += 1;
        }
        match (&mut file, &args.file) {
            (Some(file), Some(path)) => file.write_all(text.as_bytes()).map_err(|error| Failure::file("write", path, &error))?,
            _ => output::print(&text)?,
        }
        if page.next_page_token.is_empty() || token.as_deref() == Some(&page.next_page_token) {
            break;
        }
        token = Some(page.next_page_token);
    }
    if let (Some(mut file), Some(path)) = (file, &args.file) {
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|error| Failure::file("write", path, &error))?;
        note(&format!("{} stored at: {}", output::count(entries, "entry", "entries"), path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::Timestamp;
    use countersign_core::audit::Entry;

    fn exported() -> Vec<String> {
        let mut previous = [0; 32];
        (1..=3)
            .map(|n| {
                let entry = Entry {
                    at: Timestamp::from_micros(1_900_000_000_123_456 + n),
                    actor_kind: "user".into(),
                    actor_id: "u1".into(),
                    actor_name: "owner@localhost".into(),
                    credential: "k1".into(),
                    action: "CreateApiKey".into(),
                    object_kind: "api_key".into(),
                    object_id: format!("k{n}"),
                    result: "ok".into(),
                    before: String::new(),
                    after: r#"{"name":"x"}"#.into(),
                    source: "127.0.0.1".into(),
                    request_id: format!("q{n}"),
                    operation_id: String::new(),
                };
                let chained = entry.chain(n, previous);
                previous = chained.hash;
                serde_json::to_string(&convert::audit_entry(&chained)).unwrap()
            })
            .collect()
    }

    fn verified(lines: &[String]) -> AuditVerified {
        verify(&mut lines.join("\n").as_bytes(), Path::new("-"), &mut |_, _| {}).unwrap()
    }

    #[test]
    fn an_export_verifies_without_any_server() {
        let found = verified(&exported());
        assert_eq!((found.ok, found.entries), (true, 3));
    }

    #[test]
    fn a_changed_or_missing_line_is_found() {
        let mut lines = exported();
        lines[1] = lines[1].replace("k2", "k9");
        assert_eq!((verified(&lines).ok, verified(&lines).entries), (false, 1));
        let mut lines = exported();
        lines.remove(1);
        assert!(!verified(&lines).ok);
        assert!(!verified(&["{}".to_owned()]).ok);
    }
}

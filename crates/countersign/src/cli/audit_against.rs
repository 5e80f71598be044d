//! `audit verify --against`: the trail compared with what was kept of it elsewhere, an export, a file of heads, or one head. A chain holds
//! in itself also when its end was cut off, or when all of it was made anew; only what is kept elsewhere tells.

use super::client::Client;
use super::errors::{Failure, Outcome};
use countersign_core::audit::Verifier;
use countersign_proto::convert;
use countersign_proto::rest::{AuditEntry, AuditVerified, Page};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// More heads than this are compared by reading the trail instead of asking for each.
const ASKED_ONE_BY_ONE: usize = 100;

/// Hashes of entries by their numbers, as they were once.
pub type Heads = BTreeMap<i64, String>;

/// A line of a file of heads, or what `audit verify -o json` prints.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "entries")]
    sequence: i64,
    #[serde(alias = "head")]
    hash: String,
}

fn head(text: &str) -> Option<(i64, String)> {
    let (sequence, hash) = text.split_once(':')?;
    let whole = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    Some((sequence.parse().ok().filter(|n| *n > 0)?, hash.to_ascii_lowercase())).filter(|_| whole)
}

/// Reads what to compare with: `NUMBER:HASH`, or a file.
///
/// # Errors
/// When it is neither, holds nothing, or is an export whose own chain does not hold.
pub fn read(text: &str) -> Result<Heads, Failure> {
    if let Some(head) = head(text) {
        return Ok(Heads::from([head]));
    }
    let path = Path::new(text);
    let content = std::fs::read(path).map_err(|error| {
        Failure::file("read", path, &error).hint("--against takes a file from audit export, a file of heads, or a head as NUMBER:HASH")
    })?;
    of_file(&content, path)
}

fn of_file(content: &[u8], path: &Path) -> Result<Heads, Failure> {
    let unusable = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let mut heads = Heads::new();
    // The output of `audit verify -o json` may be one document of several lines.
    if let Ok(line) = serde_json::from_slice::<Line>(content) {
        let head = head(&format!("{}:{}", line.sequence, line.hash));
        heads.extend(head);
        return if heads.is_empty() { Err(unusable("it holds no head of a trail".to_owned())) } else { Ok(heads) };
    }
    let mut verifier = Some(Verifier::default());
    for (number, line) in content.lines().enumerate() {
        let line = line.map_err(|error| Failure::file("read", path, &error))?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let neither = || unusable(format!("line {} is neither an audit entry nor a head", number + 1));
        if let Some((sequence, hash)) = head(line) {
            heads.insert(sequence, hash);
            continue;
        }
        let read: Line = serde_json::from_str(line).map_err(|_| neither())?;
        if let Ok(entry) = serde_json::from_str::<AuditEntry>(line)
            && let Some(chained) = convert::parse_audit_entry(&entry)
        {
            // An export of some entries has gaps, and is compared entry by entry; one of all entries is verified besides.
            let first = heads.is_empty();
            verifier = match verifier.take().filter(|_| !first || chained.sequence == 1) {
                Some(mut verifier) => {
                    verifier.check(&chained).map_err(|error| unusable(format!("this export does not hold itself: {error}")))?;
                    Some(verifier)
                }
                None => None,
            };
        } else {
            verifier = None;
        }
        heads.insert(read.sequence, read.hash.to_ascii_lowercase());
    }
    heads.retain(|sequence, _| *sequence > 0);
    if heads.is_empty() { Err(unusable("it holds nothing to compare with".to_owned())) } else { Ok(heads) }
}

/// What is told where the trail differs.
fn differs(text: String) -> Failure {
    Failure::refused("audit_trail_differs", text)
        .hint("the trail was cut, made anew, or is an older one: restore the newest backup, and find out who could write to the database")
}

/// Compares one entry with what was kept of it.
///
/// # Errors
/// `audit_trail_differs`.
pub fn compare(sequence: i64, kept: &str, found: Option<&str>, entries: i64) -> Outcome {
    match found {
        None => {
            Err(differs(format!("the trail has {entries} entries, and had entry {sequence} before: it was cut off or is an older one")))
        }
        Some(found) if !found.eq_ignore_ascii_case(kept) => {
            Err(differs(format!("entry {sequence} is not the one that was there before: the trail was made anew")))
        }
        Some(_) => Ok(()),
    }
}

/// The token of the page that follows an entry, as the server gives it.
fn page_token(after: i64) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, after.to_string())
}

/// Compares the server's trail, whose chain holds, with what was kept.
///
/// # Errors
/// `audit_trail_differs`, or when the server does not answer.
pub async fn server(client: &Client, verified: &AuditVerified, heads: &Heads) -> Outcome {
    if let Some((last, kept)) = heads.last_key_value().filter(|(last, _)| **last > verified.entries) {
        return compare(*last, kept, None, verified.entries);
    }
    let page = |after: i64, size: &str| vec![("page_size", Some(size.to_owned())), ("page_token", Some(page_token(after)))];
    if heads.len() <= ASKED_ONE_BY_ONE {
        for (sequence, kept) in heads {
            let found: Page<AuditEntry> = client.get(&["audit"], &page(sequence - 1, "1")).await?;
            let found = found.items.first().filter(|entry| entry.sequence == *sequence).map(|entry| entry.hash.as_str());
            compare(*sequence, kept, found, verified.entries)?;
        }
        return Ok(());
    }
    let mut wanted = heads.iter().peekable();
    let mut after = heads.keys().next().map_or(0, |first| first - 1);
    while wanted.peek().is_some() {
        let found: Page<AuditEntry> = client.get(&["audit"], &page(after, "1000")).await?;
        let Some(last) = found.items.last() else { break };
        after = last.sequence;
        for entry in &found.items {
            while let Some((sequence, kept)) = wanted.next_if(|(sequence, _)| **sequence <= entry.sequence) {
                compare(*sequence, kept, (*sequence == entry.sequence).then_some(entry.hash.as_str()), verified.entries)?;
            }
        }
    }
    wanted.next().map_or(Ok(()), |(sequence, kept)| compare(*sequence, kept, None, verified.entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_from_every_form_in_which_they_are_kept() {
        let hash = "ab".repeat(32);
        assert_eq!(read(&format!("7:{hash}")).ok(), Some(Heads::from([(7, hash.clone())])));
        let path = Path::new("x");
        for text in [
            format!("{{\"ok\": true,\n \"entries\": 7, \"head\": \"{hash}\"}}"),
            format!("{{\"time\":\"t\",\"revision\":3,\"sequence\":7,\"hash\":\"{hash}\"}}\n"),
            format!("7:{hash}\n\n"),
        ] {
            assert_eq!(of_file(text.as_bytes(), path).ok(), Some(Heads::from([(7, hash.clone())])), "{text}");
        }
        for text in ["", "7", "hello", "{}", "{\"sequence\":0,\"hash\":\"\"}"] {
            assert!(of_file(text.as_bytes(), path).is_err(), "{text}");
        }
        assert!(read("/nowhere/at/all").is_err());
    }

    #[test]
    fn a_cut_and_a_rewritten_trail_are_told_apart() {
        assert!(compare(3, "aa", Some("AA"), 5).is_ok());
        for (found, word) in [(None, "cut off"), (Some("bb"), "made anew")] {
            let failure = compare(3, "aa", found, 2).unwrap_err();
            assert!(failure.code == "audit_trail_differs" && failure.message.contains(word), "{}", failure.message);
        }
    }
}

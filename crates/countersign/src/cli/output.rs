//! What a command prints: JSON for programs, aligned columns for people. No decisions and no network.

use super::errors::{Failure, Outcome};
use super::table::{self, Column};
use crate::terminal::{Style, Terminal, clean, clean_line, columns, is_unsafe};
use countersign_core::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::ReceiptBody;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// The two forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For programs; the default when stdout is no terminal.
    Json,
    /// For people; the default on a terminal.
    Table,
}

/// How to print, for one run.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    terminal: Terminal,
    wide: bool,
    now: Timestamp,
}

impl Output {
    /// Decides by the flag, else by what stdout is.
    pub fn new(flag: Option<Format>, wide: bool, now: Timestamp) -> Self {
        let format = flag.unwrap_or(if std::io::stdout().is_terminal() { Format::Table } else { Format::Json });
        Self { format, terminal: Terminal::stdout(), wide, now }
    }

    /// The same for texts that go to stderr.
    pub fn on_stderr(self) -> Self {
        Self { terminal: Terminal::stderr(), ..self }
    }

    /// The stream that texts for people are made for.
    pub const fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints `value` as JSON, or what `people` makes for a person.
    pub fn show<T: Serialize>(&self, value: &T, people: impl FnOnce() -> String) -> Outcome {
        if self.is_json() { print(&json(value)?) } else { print(&people()) }
    }

    /// A list; when it is empty, `empty` says what that means and what to do next.
    pub fn list(&self, head: &[Column], rows: Vec<Vec<String>>, empty: &str) -> String {
        if rows.is_empty() {
            return format!("{empty}\n");
        }
        table::render(self.terminal, self.wide, head, &rows)
    }

    /// One object: a name and its value a line; empty values are left out. A value is never wrapped and nothing follows it: one that
    /// does not fit beside its name is on a line of its own, from the margin on, so that it can be copied whole.
    pub fn card(&self, lines: &[(&str, String)]) -> String {
        let lines: Vec<_> = lines.iter().filter(|(_, value)| !value.is_empty()).collect();
        let margin = lines.iter().map(|(name, _)| columns(name)).max().unwrap_or_default() + 2;
        let mut out = String::new();
        for (name, value) in lines {
            let name = format!("{}{}", self.terminal.paint(Style::Faint, name), " ".repeat(margin.saturating_sub(columns(name))));
            for (i, value) in value.lines().map(clean_line).enumerate() {
                let fits = self.terminal.width().is_none_or(|width| margin + columns(&value) <= width);
                match (i, fits) {
                    (0, true) => out.push_str(&format!("{name}{value}\n")),
                    (0, false) => out.push_str(&format!("{}\n{value}\n", name.trim_end_matches(' '))),
                    (_, true) => out.push_str(&format!("{}{value}\n", " ".repeat(margin))),
                    (_, false) => out.push_str(&format!("{value}\n")),
                }
            }
        }
        out
    }

    /// A moment for a person: the day, and how far away it is.
    pub fn when(&self, rfc3339: &str) -> String {
        match convert::parse_time(rfc3339) {
            Some(at) => {
                let day = rfc3339.get(..10).unwrap_or(rfc3339);
                format!("{day} ({})", distance(at, self.now))
            }
            None => rfc3339.to_owned(),
        }
    }

    /// How far away a moment is, for the columns of a list.
    pub fn ago(&self, rfc3339: &str) -> String {
        convert::parse_time(rfc3339).map_or_else(|| rfc3339.to_owned(), |at| distance(at, self.now))
    }

    /// A text in a colour, where colour is wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        self.terminal.paint(style, text)
    }

    /// A word in green (`good`) or red, where colour is wanted.
    pub fn verdict(&self, word: &str, good: bool) -> String {
        self.paint(if good { Style::Good } else { Style::Bad }, word)
    }

    /// A warning as a line of its own.
    pub fn warning(&self, text: &str) -> String {
        format!("{} {}\n", self.paint(Style::Warning, "warning:"), clean(text))
    }
}

/// JSON as `tcld` indents it, with a final newline.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let failed = || Failure::refused("internal", "the answer cannot be written as JSON");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).map_err(|_| failed())?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map(|text| escape(&text)).map_err(|_| failed())
}

/// JSON leaves some characters as they are that a terminal does not: they are written as `\uXXXX`, which means the same.
fn escape(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // Below U+0020 only the line feeds and tabs of the form itself are left, and above U+FFFF nothing is unsafe.
        if is_unsafe(c) && !matches!(c, '\n' | '\t') { safe.push_str(&format!("\\u{:04x}", u32::from(c))) } else { safe.push(c) }
    }
    safe
}

/// Writes to stdout. A reader that went away ends the command quietly.
pub fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(),
        _ => Failure::refused("file_error", format!("cannot write to stdout: {}", super::errors::plain(&error))),
    })
}

/// A remark on stderr, next to what stdout gets. A closed stderr is no reason to fail.
pub fn note(text: &str) {
    let line = match text.split_once(' ') {
        Some((label @ ("warning:" | "remark:"), rest)) => format!("{} {}", Terminal::stderr().paint(Style::Warning, label), clean(rest)),
        _ => clean(text),
    };
    rendered(&format!("{line}\n"));
}

/// A text on stderr that was made by [`Output::on_stderr`].
pub fn rendered(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A receipt as a sentence: `In effect on 1 of 1 gateways after 3 ms; 2 live connections and 1 stream cut.` Whether nothing was
/// cut is worth saying only of a change that takes something away (`takes`).
pub fn receipt(receipt: &ReceiptBody, takes: bool) -> String {
    let (done, all) = (receipt.gateways.len(), receipt.gateways.len() + receipt.outstanding.len());
    if all == 0 {
        return "No gateway is connected; it holds as soon as one is.".to_owned();
    }
    let slowest = receipt.gateways.iter().map(|g| g.milliseconds).fold(0.0, f64::max);
    let mut text = if receipt.in_effect { "In effect on ".to_owned() } else { "Not yet everywhere: on ".to_owned() };
    text.push_str(&format!("{done} of {all} gateways"));
    if done > 0 {
        text.push_str(&if slowest < 1.0 { " in less than 1 ms".to_owned() } else { format!(" after {slowest:.0} ms") });
    }
    text.push_str(&match (receipt.connections_cut, receipt.streams_cut) {
        (0, 0) if takes => "; nothing live depended on it.".to_owned(),
        (0, 0) => ".".to_owned(),
        (connections, streams) => {
            format!("; {} and {} cut.", count(connections, "live connection", "live connections"), count(streams, "stream", "streams"))
        }
    });
    if !receipt.outstanding.is_empty() {
        text.push_str(&format!(" Outstanding: {}.", receipt.outstanding.join(", ")));
    }
    text
}

/// A number and its noun.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// How far `at` is from `now`, to the unit a person would use.
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.since(now) / 1_000_000;
    let span = seconds.abs();
    let text = match span {
        0..45 => return if seconds > 0 { "in a moment".to_owned() } else { "just now".to_owned() },
        45..5_400 => count((span as u64).div_ceil(60), "minute", "minutes"),
        5_400..172_800 => count(span as u64 / 3_600, "hour", "hours"),
        // A key of 90 days made a second ago is said to end in 90 days, not in 89.
        172_800..63_072_000 => count((span as u64 + 43_200) / 86_400, "day", "days"),
        _ => count(span as u64 / 31_536_000, "year", "years"),
    };
    if seconds > 0 { format!("in {text}") } else { format!("{text} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_proto::rest::{AppliedBody, Changed, RequestStatus};

    #[test]
    fn a_changed_request_reads_as_in_seed_000() {
        let status = RequestStatus {
            request_id: "baf5ffb9-dda3-480c-becd-4dc063341e2e".into(),
            state: "InProgress".into(),
            check_duration: "10s".into(),
            operation_type: "UpdateNamespace".into(),
            resource_id: "demo.abc12".into(),
            resource_type: "namespace".into(),
            failure_reason: String::new(),
            start_time: "2024-03-01T20:53:00Z".into(),
            finish_time: None,
            receipt: None,
        };
        let expected = "{\n\t\"requestStatus\": {\n\t\t\"requestId\": \"baf5ffb9-dda3-480c-becd-4dc063341e2e\",\n\t\t\"state\": \"InProgress\",\n\t\t\
            \"checkDuration\": \"10s\",\n\t\t\"operationType\": \"UpdateNamespace\",\n\t\t\"resourceId\": \"demo.abc12\",\n\t\t\
            \"resourceType\": \"namespace\",\n\t\t\"failureReason\": \"\",\n\t\t\"startTime\": \"2024-03-01T20:53:00Z\",\n\t\t\
            \"finishTime\": null\n\t}\n}\n";
        assert_eq!(json(&Changed { request_status: status }), Ok(expected.to_owned()));
    }

    #[test]
    fn a_receipt_is_a_sentence() {
        let applied = AppliedBody { gateway: "g1".into(), revision: 4, milliseconds: 3.2, connections_cut: 2, streams_cut: 1 };
        let mut body = ReceiptBody { in_effect: true, connections_cut: 2, streams_cut: 1, gateways: vec![applied], ..Default::default() };
        assert_eq!(receipt(&body, true), "In effect on 1 of 1 gateways after 3 ms; 2 live connections and 1 stream cut.");
        body.in_effect = false;
        body.outstanding = vec!["g2".into()];
        assert_eq!(
            receipt(&body, true),
            "Not yet everywhere: on 1 of 2 gateways after 3 ms; 2 live connections and 1 stream cut. Outstanding: g2."
        );
    }

    fn output(width: usize) -> Output {
        Output { format: Format::Table, terminal: Terminal::wide(width, false), wide: false, now: Timestamp::from_seconds(0) }
    }

    #[test]
    fn a_secret_is_never_wrapped_padded_or_followed_by_anything() {
        let secret = "csk_kswvnpbej9zhxvrcdyqb_cOhoi8pgymn7IHrz8KE2dHt-2LPSvb1L-sVioovg4Jc5084de";
        for width in [20, 60, 80, 200] {
            let card = output(width).card(&[("id", "kswvnpbej9zhxvrcdyqb".to_owned()), ("secret key", secret.to_owned())]);
            assert!(card.lines().any(|line| line == secret || line == format!("secret key  {secret}")), "{width}: {card}");
            assert!(card.lines().all(|line| line == line.trim_end()), "{width}: {card}");
        }
        assert!(output(80).card(&[("secret key", secret.to_owned())]).starts_with(&format!("secret key\n{secret}\n")));
    }

    #[test]
    fn json_holds_nothing_that_a_terminal_would_obey() {
        let text = json(&"a\u{1b}[2J\u{9b}2J\u{202e}x\nGröße").unwrap();
        assert_eq!(text, "\"a\\u001b[2J\\u009b2J\\u202ex\\nGröße\"\n");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "a\u{1b}[2J\u{9b}2J\u{202e}x\nGröße");
    }

    #[test]
    fn distances_are_said_as_people_say_them() {
        let now = Timestamp::from_seconds(1_900_000_000);
        for (seconds, text) in [
            (89 * 86_400 + 86_399, "in 90 days"),
            (-3 * 86_400, "3 days ago"),
            (5, "in a moment"),
            (-7_200, "2 hours ago"),
            (-61, "2 minutes ago"),
        ] {
            assert_eq!(distance(Timestamp::from_seconds(1_900_000_000 + seconds), now), text);
        }
    }
}

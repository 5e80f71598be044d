//! What a command prints: JSON for programs, calm tables for people. No decisions and no network.

use super::errors::{Failure, Outcome, clean, colour};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
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
    colour: bool,
    now: Timestamp,
}

impl Output {
    /// Decides by the flag, else by what stdout is.
    pub fn new(flag: Option<Format>, now: Timestamp) -> Self {
        let stdout = std::io::stdout();
        let format = flag.unwrap_or(if stdout.is_terminal() { Format::Table } else { Format::Json });
        Self { format, colour: colour(&stdout), now }
    }

    /// Whether colour is wanted.
    pub const fn colours(&self) -> bool {
        self.colour
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
    pub fn list(&self, columns: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
        if rows.is_empty() {
            return format!("{empty}\n");
        }
        let mut table = self.table();
        table.set_header(columns.iter().map(|c| self.faint(c)));
        for row in rows {
            table.add_row(row.iter().map(|text| Cell::new(clean(text))));
        }
        render(&mut table)
    }

    /// One object: a name and its value a line; empty values are left out.
    pub fn card(&self, lines: &[(&str, String)]) -> String {
        let mut table = self.table();
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            table.add_row([self.faint(name), Cell::new(clean(value))]);
        }
        render(&mut table)
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

    /// A word in green (`good`) or red, where colour is wanted.
    pub fn verdict(&self, word: &str, good: bool) -> String {
        match (self.colour, good) {
            (false, _) => word.to_owned(),
            (true, true) => format!("\u{1b}[32m{word}\u{1b}[0m"),
            (true, false) => format!("\u{1b}[31m{word}\u{1b}[0m"),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    fn faint(&self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colour { cell.add_attribute(Attribute::Dim) } else { cell }
    }
}

/// JSON as `tcld` indents it, with a final newline.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let failed = || Failure::refused("internal", "the answer cannot be written as JSON");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter)).map_err(|_| failed())?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|_| failed())
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
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
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

/// Columns begin at the margin and stand two blanks apart.
fn render(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
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

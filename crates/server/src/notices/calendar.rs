//! Ends of credentials as a calendar (RFC 5545), for whoever has the feed's address.

use countersign_core::Timestamp;
use std::fmt::Write as _;

/// One entry: an id that stays, a line for people, the moment.
pub struct Event {
    /// Unique and lasting: the credential's id.
    pub id: String,
    /// What ends.
    pub summary: String,
    /// When.
    pub at: Timestamp,
}

/// The time zone of all moments here (section 3.6.5).
const UTC: [&str; 8] = [
    "BEGIN:VTIMEZONE",
    "TZID:Etc/UTC",
    "BEGIN:STANDARD",
    "DTSTART:19700101T000000",
    "TZOFFSETFROM:+0000",
    "TZOFFSETTO:+0000",
    "END:STANDARD",
    "END:VTIMEZONE",
];

/// The feed.
pub fn feed(events: &[Event], now: Timestamp) -> String {
    let mut out =
        String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Countersign//Ends of credentials//EN\r\nX-WR-CALNAME:Countersign\r\n");
    // A calendar has at least one component (section 3.6): where nothing ends, this one says the time zone of what will.
    for line in UTC {
        folded(&mut out, line);
    }
    for event in events {
        let lines = [
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}@countersign", escaped(&event.id)),
            format!("DTSTAMP:{}", stamp(now)),
            format!("DTSTART:{}", stamp(event.at)),
            format!("SUMMARY:{}", escaped(&event.summary)),
            "END:VEVENT".to_owned(),
        ];
        for line in lines {
            folded(&mut out, &line);
        }
    }
    out.push_str("END:VCALENDAR\r\n");
    out
}

/// UTC in the basic form: 20270131T000000Z.
fn stamp(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| "19700101T000000Z".to_owned(), |t| t.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Section 3.3.11: what has a meaning of its own is escaped; other control characters do not belong into a text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Section 3.1: no line is longer than 75 octets.
fn folded(out: &mut String, line: &str) {
    let mut width = 0;
    for c in line.chars() {
        if width + c.len_utf8() > 74 {
            out.push_str("\r\n ");
            width = 1;
        }
        width += c.len_utf8();
        // Writing to a String cannot fail.
        let _ = write!(out, "{c}");
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_without_entries_has_a_component_all_the_same() {
        let feed = feed(&[], Timestamp::from_seconds(0));
        let inner = feed.split("\r\n").filter(|line| line.starts_with("BEGIN:") && *line != "BEGIN:VCALENDAR").count();
        assert_eq!(inner, 2, "{feed}");
        assert_eq!(feed.matches("BEGIN:").count(), feed.matches("END:").count());
    }

    #[test]
    fn a_feed_is_read_as_rfc_5545_wants_it() {
        let event =
            Event { id: "c1".into(), summary: format!("Certificate a,b;c\\\r\nX: {}", "ü".repeat(60)), at: Timestamp::from_seconds(0) };
        let feed = feed(&[event], Timestamp::from_seconds(86_400));
        assert!(feed.starts_with("BEGIN:VCALENDAR\r\n") && feed.ends_with("END:VCALENDAR\r\n"));
        assert!(feed.contains("DTSTART:19700101T000000Z\r\n") && feed.contains("a\\,b\\;c\\\\\\nX:"), "{feed}");
        assert!(feed.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{feed}");
    }
}

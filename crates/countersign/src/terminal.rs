//! What reaches a terminal: its width, colours, links, and which characters of a text may be written to it.
//!
//! The one place that decides colour and escaping for every command. A text from elsewhere goes through [`clean`] or
//! [`clean_line`] before a colour is put around it, so that no name can move the cursor, and no colour of ours is taken for one.

use std::io::IsTerminal;
use unicode_width::UnicodeWidthChar as _;

/// The width where a terminal does not say its own.
const WIDTH_DEFAULT: usize = 80;

/// How a word is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it should be: green.
    Good,
    /// It works, and something is remarkable: yellow.
    Warning,
    /// Refused or failed: red.
    Bad,
    /// Headings and labels: dim.
    Faint,
    /// What to look at first: bold.
    Strong,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\u{1b}[32m",
            Self::Warning => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
            Self::Faint => "\u{1b}[2m",
            Self::Strong => "\u{1b}[1m",
        }
    }
}

/// What can be done with one output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    colour: bool,
    links: bool,
    /// Columns, where the stream is a terminal.
    width: Option<usize>,
}

impl Terminal {
    /// No terminal: no colour, no width.
    #[cfg(test)]
    pub const PLAIN: Self = Self { colour: false, links: false, width: None };

    /// Standard output.
    pub fn stdout() -> Self {
        let stream = std::io::stdout();
        Self::of(&stream, terminal_size::terminal_size_of(&stream))
    }

    /// Standard error.
    pub fn stderr() -> Self {
        let stream = std::io::stderr();
        Self::of(&stream, terminal_size::terminal_size_of(&stream))
    }

    fn of(stream: &impl IsTerminal, size: Option<(terminal_size::Width, terminal_size::Height)>) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let width = stream.is_terminal().then(|| size.map_or(WIDTH_DEFAULT, |(width, _)| usize::from(width.0)));
        let colour = width.is_some() && colours(variable);
        Self { colour, links: colour && has_links(variable), width }
    }

    /// A terminal of this width, for tests.
    #[cfg(test)]
    pub const fn wide(width: usize, colour: bool) -> Self {
        Self { colour, links: false, width: Some(width) }
    }

    /// Columns, where the stream is a terminal.
    pub const fn width(self) -> Option<usize> {
        self.width
    }

    /// A text in a colour, where the stream takes one. The text is made safe first.
    pub fn paint(self, style: Style, text: &str) -> String {
        let text = clean(text);
        if self.colour { format!("{}{text}\u{1b}[0m", style.code()) } else { text }
    }

    /// An address that can be clicked where the terminal has links (OSC 8), else the plain address.
    pub fn link(self, address: &str) -> String {
        let address = clean_line(address);
        if self.links { format!("\u{1b}]8;;{address}\u{1b}\\{address}\u{1b}]8;;\u{1b}\\") } else { address }
    }
}

/// Whether text may be coloured (<https://no-color.org>).
fn colours(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").is_none_or(|v| v.is_empty()) && variable("TERM").is_none_or(|t| t != "dumb")
}

/// Whether the terminal is one that is known to have links. A terminal that has none may show the escape as text, so an unknown
/// one gets the plain address.
fn has_links(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str, known: &[&str]| variable(name).is_some_and(|value| known.contains(&value.as_str()));
    // GNOME Terminal and its relatives have links since VTE 0.50.
    let vte = variable("VTE_VERSION").and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version >= 5000);
    let multiplexed = variable("TMUX").is_some() || variable("STY").is_some();
    !multiplexed
        && (vte
            || is("TERM_PROGRAM", &["iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper"])
            || is("TERM", &["xterm-kitty", "xterm-ghostty", "foot", "alacritty", "wezterm"])
            || variable("WT_SESSION").is_some()
            || variable("KONSOLE_VERSION").is_some())
}

/// Text from elsewhere made safe for a terminal: control characters, and those that change the direction of writing or break a line,
/// are written out as `\u{…}`. Only a line feed stays.
pub fn clean(text: &str) -> String {
    escape(text, |c| c != '\n' && is_unsafe(c))
}

/// The same for what has to stay on one line.
pub fn clean_line(text: &str) -> String {
    escape(text, is_unsafe)
}

fn escape(text: &str, unsafe_here: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if unsafe_here(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

/// Whether a terminal may do something else with this character than show it.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How many columns a text takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The beginning of a text in at most so many columns, with `…` at its end if something was cut off.
pub fn shorten(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor_or_turn_the_direction_of_writing() {
        assert_eq!(clean("a\u{1b}[2Jb\u{9b}c\u{202e}d\u{2028}e\nf"), "a\\u{1b}[2Jb\\u{9b}c\\u{202e}d\\u{2028}e\nf");
        assert_eq!(clean_line("two\nlines"), "two\\u{a}lines");
        assert_eq!(clean("Größe 中文 👩‍🔧"), "Größe 中文 👩‍🔧");
    }

    #[test]
    fn a_colour_is_put_around_a_text_after_it_was_made_safe() {
        let terminal = Terminal::wide(80, true);
        assert_eq!(terminal.paint(Style::Warning, "warning"), "\u{1b}[33mwarning\u{1b}[0m");
        assert_eq!(terminal.paint(Style::Good, "\u{1b}[31mno"), "\u{1b}[32m\\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Terminal::PLAIN.paint(Style::Bad, "no"), "no");
    }

    #[test]
    fn a_link_is_written_only_where_the_terminal_is_known_to_have_links() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            has_links(move |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
        };
        assert!(of(&[("VTE_VERSION", "7600")]));
        assert!(of(&[("TERM_PROGRAM", "vscode")]));
        assert!(!of(&[("VTE_VERSION", "4000")]));
        assert!(!of(&[("TERM", "xterm-256color")]));
        assert!(!of(&[("TERM_PROGRAM", "vscode"), ("TMUX", "/tmp/x")]));
        assert_eq!(Terminal::PLAIN.link("https://a/b"), "https://a/b");
        let linked = Terminal { colour: true, links: true, width: Some(80) }.link("https://a/b");
        assert_eq!(linked, "\u{1b}]8;;https://a/b\u{1b}\\https://a/b\u{1b}]8;;\u{1b}\\");
    }

    #[test]
    fn a_text_is_shortened_by_columns_not_by_bytes() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(shorten("中文中文", 5), "中文…");
        assert_eq!(columns("中文"), 4);
    }
}

//! The forms in which one path can be written a second time: percent-encoding, dot segments, doubled slashes, parameters and case. Each
//! is refused unless an API allows it by name, and then only where every reading leads to the same API.

use crate::path::{PathError, covers};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A form that some servers read as another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathForm {
    /// `%76`: an escape of a letter, a digit, `-`, `_` or `~` (RFC 3986 section 6.2.2.2).
    EncodedUnreserved,
    /// `%2E`.
    EncodedDot,
    /// `%2F`.
    EncodedSlash,
    /// `%5C`.
    EncodedBackslash,
    /// `%23`, `%25` or `%3F`: a fragment, a second encoding or a query, once decoded.
    EncodedDelimiter,
    /// An escape of a control character.
    EncodedControl,
    /// `.` or `..` as a segment.
    DotSegment,
    /// `//`.
    EmptySegment,
    /// `;` or `%3B`: parameters of a segment.
    Semicolon,
}

impl PathForm {
    /// Every form.
    pub const ALL: [Self; 9] = [
        Self::EncodedUnreserved,
        Self::EncodedDot,
        Self::EncodedSlash,
        Self::EncodedBackslash,
        Self::EncodedDelimiter,
        Self::EncodedControl,
        Self::DotSegment,
        Self::EmptySegment,
        Self::Semicolon,
    ];

    /// The name in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EncodedUnreserved => "encoded_unreserved",
            Self::EncodedDot => "encoded_dot",
            Self::EncodedSlash => "encoded_slash",
            Self::EncodedBackslash => "encoded_backslash",
            Self::EncodedDelimiter => "encoded_delimiter",
            Self::EncodedControl => "encoded_control",
            Self::DotSegment => "dot_segment",
            Self::EmptySegment => "empty_segment",
            Self::Semicolon => "semicolon",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == text)
    }

    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::EncodedUnreserved => "an escape of a character that needs none (RFC 3986 section 2.3)",
            Self::EncodedDot => "an encoded dot (%2E)",
            Self::EncodedSlash => "an encoded slash (%2F)",
            Self::EncodedBackslash => "an encoded backslash (%5C)",
            Self::EncodedDelimiter => "an encoded #, % or ? (%23, %25, %3F)",
            Self::EncodedControl => "an encoded control character",
            Self::DotSegment => "a dot segment",
            Self::EmptySegment => "an empty segment (//)",
            Self::Semicolon => "a semicolon",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The form of an escape that stands for `byte`, if it is one.
    const fn of_escape(byte: u8) -> Option<Self> {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Some(Self::EncodedUnreserved),
            b'.' => Some(Self::EncodedDot),
            b'/' => Some(Self::EncodedSlash),
            b'\\' => Some(Self::EncodedBackslash),
            b'#' | b'%' | b'?' => Some(Self::EncodedDelimiter),
            b';' => Some(Self::Semicolon),
            0x00..=0x1f | 0x7f => Some(Self::EncodedControl),
            _ => None,
        }
    }
}

impl fmt::Display for PathForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which forms a path holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathForms(u16);

impl PathForms {
    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first of them.
    pub fn first(self) -> Option<PathForm> {
        PathForm::ALL.into_iter().find(|form| self.0 & form.bit() != 0)
    }

    /// Those that are not in `allowed`.
    #[must_use]
    pub fn without(self, allowed: &[PathForm]) -> Self {
        Self(allowed.iter().fold(self.0, |left, form| left & !form.bit()))
    }

    const fn add(&mut self, form: PathForm) {
        self.0 |= form.bit();
    }
}

/// The forms of a request's path, without its query. Allocates nothing.
///
/// # Errors
/// What no API can allow: no leading slash, a raw byte that is not allowed, a broken escape, more than 8 KiB.
pub fn forms(raw: &str) -> Result<PathForms, PathError> {
    let bytes = raw.as_bytes();
    if bytes.len() > 8192 {
        return Err(PathError::TooLong);
    }
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let mut found = PathForms::default();
    let (mut i, mut segment) = (1, 1);
    while i < bytes.len() {
        match bytes[i] {
            b'/' => {
                note_segment(&bytes[segment..i], &mut found);
                segment = i + 1;
            }
            b'%' => {
                let Some(byte) = escape(&bytes[i..]) else { return Err(PathError::Escape) };
                if let Some(form) = PathForm::of_escape(byte) {
                    found.add(form);
                }
                i += 2;
            }
            b';' => found.add(PathForm::Semicolon),
            b if is_raw(b) => {}
            _ => return Err(PathError::Byte),
        }
        i += 1;
    }
    // The last segment may be empty: a trailing slash, or the root.
    let last = &bytes[segment..];
    if !last.is_empty() {
        note_segment(last, &mut found);
    }
    Ok(found)
}

fn note_segment(segment: &[u8], found: &mut PathForms) {
    match segment {
        b"" => found.add(PathForm::EmptySegment),
        b"." | b".." => found.add(PathForm::DotSegment),
        _ => {}
    }
}

/// Whether a byte may be in a segment as it is: `pchar` of RFC 3986 section 3.3, but for `;`.
fn is_raw(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b)
}

pub(crate) fn hex(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// The byte that the escape at the beginning of `bytes` stands for.
fn escape(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(hex(high)? << 4 | hex(low)?),
        _ => None,
    }
}

/// Whether a path without any form is the canonical spelling of itself.
pub(crate) fn is_canonical(path: &str) -> bool {
    let bytes = path.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| &bytes[at..]);
    let spelled = |at: &[u8]| escape(at).is_some_and(|byte| !is_raw(byte)) && !at.iter().skip(1).take(2).any(u8::is_ascii_lowercase);
    escapes.into_iter().all(spelled) && String::from_utf8(decode(path)).is_ok()
}

/// The path with its escapes in upper case, which is the same path (RFC 3986 section 6.2.2.1) and the one that is forwarded.
pub fn with_upper_escapes(path: &str) -> Cow<'_, str> {
    let lower = |at: &[u8]| at.iter().skip(1).take(2).any(u8::is_ascii_lowercase);
    if !path.as_bytes().iter().enumerate().any(|(at, byte)| *byte == b'%' && lower(&path.as_bytes()[at..])) {
        return Cow::Borrowed(path);
    }
    let mut bytes = path.as_bytes().to_vec();
    for at in (0..bytes.len()).filter(|at| path.as_bytes()[*at] == b'%') {
        bytes.iter_mut().skip(at + 1).take(2).for_each(u8::make_ascii_uppercase);
    }
    // Only ASCII letters were changed, so it is UTF-8 still.
    String::from_utf8(bytes).map_or(Cow::Borrowed(path), Cow::Owned)
}

/// Every escape decoded, once.
fn decode(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if let Some(byte) = escape(&bytes[i..]) {
            out.push(byte);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    out
}

/// Decoded, and in one case if `any_case`: what two spellings of a path have in common.
fn folded(path: &str, any_case: bool) -> String {
    let text = String::from_utf8_lossy(&decode(path)).into_owned();
    // Both ways, so that what is upper or lower case to any server is one: the Kelvin sign is a k, the long s an s.
    if any_case { text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect() } else { text }
}

/// How many segments a listen path has: of two that cover one path, the narrower has more.
pub(crate) fn depth(listen_path: &str) -> usize {
    listen_path.trim_end_matches('/').bytes().filter(|b| *b == b'/').count()
}

/// As [`covers`], whatever the spelling of either, and in any case if `any_case`.
pub fn covers_respelled(listen_path: &str, path: &str, any_case: bool) -> bool {
    if listen_path.contains('%') || path.contains('%') || !listen_path.is_ascii() || !path.is_ascii() {
        return covers(&folded(listen_path, any_case), &folded(path, any_case));
    }
    if !any_case {
        return covers(listen_path, path);
    }
    let prefix = listen_path.strip_suffix('/').unwrap_or(listen_path).as_bytes();
    let Some((head, rest)) = path.as_bytes().split_at_checked(prefix.len()) else { return false };
    head.eq_ignore_ascii_case(prefix) && matches!(rest.first(), None | Some(b'/'))
}

/// Bytes of a path with forms in it: what follows is worked out for each of its readings.
pub(crate) const READ_MAX: usize = 2048;

/// What servers make of a path with forms in it: decoded once, several times or not at all, cut at a decoded delimiter or not, parameters
/// cut off or not, backslashes and doubled slashes merged or not, dot segments removed or not, in several orders.
pub(crate) fn readings(path: &str) -> Vec<String> {
    let decoded = |path: &str| String::from_utf8_lossy(&decode(path)).into_owned();
    let mut all = vec![path.to_owned()];
    let steps: [fn(&str) -> String; 11] = [
        without_dots,
        decoded,
        decoded,
        decoded,
        at_delimiters,
        without_parameters,
        with_slashes,
        without_dots,
        merged,
        without_dots,
        merged,
    ];
    for step in steps {
        let more: Vec<String> = all.iter().map(|text| step(text)).collect();
        all.extend(more);
        all.sort_unstable();
        all.dedup();
    }
    all
}

fn at_delimiters(path: &str) -> String {
    path.split(['?', '#', '\0', '\r', '\n']).next().unwrap_or_default().to_owned()
}

fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

fn with_slashes(path: &str) -> String {
    path.replace('\\', "/")
}

fn merged(path: &str) -> String {
    format!("/{}", path.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_found_by_its_name() {
        for (path, form) in [
            ("/%76ault", PathForm::EncodedUnreserved),
            ("/a%2Eb", PathForm::EncodedDot),
            ("/a%2fb", PathForm::EncodedSlash),
            ("/a%5cb", PathForm::EncodedBackslash),
            ("/a%23", PathForm::EncodedDelimiter),
            ("/a%252e", PathForm::EncodedDelimiter),
            ("/a%3f", PathForm::EncodedDelimiter),
            ("/a%00", PathForm::EncodedControl),
            ("/a/../b", PathForm::DotSegment),
            ("/a//b", PathForm::EmptySegment),
            ("/a;v=1/b", PathForm::Semicolon),
            ("/a%3Bb", PathForm::Semicolon),
        ] {
            let found = forms(path).unwrap();
            assert_eq!(found.first(), Some(form), "{path}");
            assert!(found.without(&[form]).is_empty() && PathForm::parse(form.as_str()) == Some(form), "{path}");
        }
        assert!(forms("/caf%C3%A9/a%20b/%40:@").unwrap().is_empty());
    }

    #[test]
    fn escapes_are_forwarded_in_upper_case() {
        assert_eq!(with_upper_escapes("/caf%c3%A9/abc%2f"), "/caf%C3%A9/abc%2F");
        assert_eq!(with_upper_escapes("/%e2%82%acab%ef"), "/%E2%82%ACab%EF");
        assert!(matches!(with_upper_escapes("/caf%C3%A9/abc"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_respelled_path_is_covered_in_every_spelling() {
        for (listen, path) in [
            ("/vault", "/%76ault"),
            ("/vault", "/VAULT/x"),
            ("/vault", "/va%55lt"),
            ("/vaulk", "/vaul%E2%84%AA"),
            ("/caf%C3%A9", "/CAF%C3%89"),
            ("/a@b", "/a%40B/x"),
        ] {
            assert!(covers_respelled(listen, path, true), "{listen} {path}");
        }
        assert!(!covers_respelled("/vault", "/VAULT", false) && covers_respelled("/vault", "/%76ault", false));
        assert!(!covers_respelled("/vault", "/vaults", true) && !covers_respelled("/vault/x", "/vault", true));
    }
}

//! The path of a request, in the only form that is authorised and forwarded.

use std::fmt;

/// Why a request target is refused. The text names the rule and is fit for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No leading slash (also `*` and absolute forms, which the caller has taken apart).
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// A byte that some server would read differently from another.
    #[error(
        "the path has a byte that is not allowed (control, space, non-ASCII, backslash, semicolon, fragment or one that must be encoded)"
    )]
    Byte,
    /// An encoding that could hide a separator, a dot, a control byte or a second encoding.
    #[error("the path has an ambiguous encoding (%2f, %5c, %2e, %3b, %3f, %23, %25, a control byte, or a broken escape)")]
    Encoding,
    /// `.` or `..` as a segment, or an empty segment.
    #[error("the path has an empty or dot segment")]
    Segment,
    /// Longer than 8 KiB.
    #[error("the path is longer than 8192 bytes")]
    TooLong,
}

/// A path that reads the same to every normaliser: byte for byte what is forwarded (promise P9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// Reads the path of a request target, without its query.
    ///
    /// Refused: what RFC 3986 section 6 allows two parties to read in two ways. A trailing slash is fine.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        check(raw)?;
        Ok(Self(raw.to_owned()))
    }

    /// The bytes, as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule itself, for a caller that must not allocate.
pub fn check(raw: &str) -> Result<(), PathError> {
    let bytes = raw.as_bytes();
    if bytes.len() > 8192 {
        return Err(PathError::TooLong);
    }
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let mut i = 0;
    let mut segment = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'/' => {
                if i > 0 {
                    check_segment(&bytes[segment..i])?;
                }
                segment = i + 1;
            }
            b'%' => {
                let (Some(high), Some(low)) = (bytes.get(i + 1).and_then(hex), bytes.get(i + 2).and_then(hex)) else {
                    return Err(PathError::Encoding);
                };
                let byte = high << 4 | low;
                if byte < 0x20 || byte == 0x7f || b"/\\.;?#%".contains(&byte) {
                    return Err(PathError::Encoding);
                }
                i += 2;
            }
            b if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b) => {}
            _ => return Err(PathError::Byte),
        }
        i += 1;
    }
    // The last segment may be empty: a trailing slash, or the root.
    let last = &bytes[segment.min(bytes.len())..];
    if last.is_empty() { Ok(()) } else { check_segment(last) }
}

fn check_segment(segment: &[u8]) -> Result<(), PathError> {
    if matches!(segment, b"" | b"." | b"..") { Err(PathError::Segment) } else { Ok(()) }
}

fn hex(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Whether `path` lies at or below the listen path `prefix`, on a segment's boundary: `/a` covers `/a` and `/a/b`, not `/ab`.
/// Only for a `path` that [`check`] accepted.
pub fn covers(prefix: &str, path: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_path_is_kept_byte_for_byte() {
        for path in ["/", "/a", "/a/", "/v1/orders/7", "/caf%C3%A9/x%20y", "/a.b/..c/...", "/pkg.Service/Method", "/~u/@v1:go"] {
            assert_eq!(CanonicalPath::parse(path).map(|p| p.to_string()), Ok(path.to_owned()));
        }
    }

    #[test]
    fn a_path_that_two_servers_could_read_differently_is_refused() {
        for path in [
            "",
            "*",
            "a",
            "//",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/.",
            "/a/..",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/%2e%2e/b",
            "/a%00",
            "/a;b",
            "/a%3bb",
            "/a\\b",
            "/a#b",
            "/a%23",
            "/a%3f",
            "/a%252e",
            "/a b",
            "/a\tb",
            "/é",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a\"",
            "/a<b>",
            "/a|b",
            "/a^b",
            "/a`b",
            "/{a}",
            "/a%7f",
            "/a%0d%0a",
            "/%c0%ae/%",
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_listen_path_covers_whole_segments() {
        assert!(covers("/v1/", "/v1") && covers("/v1", "/v1/x") && covers("/", "/x") && covers("/v1/", "/v1/"));
        assert!(!covers("/v1", "/v10") && !covers("/v1/x", "/v1"));
    }

    /// Decode once or twice, cut parameters, turn backslashes, merge slashes, take dots out: what a careless upstream might do.
    fn careless(path: &str) -> String {
        let mut text = path.to_owned();
        for _ in 0..2 {
            let mut out = Vec::new();
            let b = text.as_bytes();
            let mut i = 0;
            while i < b.len() {
                if b[i] == b'%' && b.get(i + 1).and_then(hex).is_some() && b.get(i + 2).and_then(hex).is_some() {
                    out.push(hex(&b[i + 1]).unwrap_or(0) << 4 | hex(&b[i + 2]).unwrap_or(0));
                    i += 3;
                } else {
                    out.push(b[i]);
                    i += 1;
                }
            }
            text = String::from_utf8_lossy(&out).into_owned();
        }
        let text = text.replace('\\', "/").to_lowercase();
        let mut segments: Vec<&str> = Vec::new();
        for s in text.split('/') {
            match s.split(';').next().unwrap_or("") {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                s => segments.push(s),
            }
        }
        format!("/{}", segments.join("/"))
    }

    proptest! {
        /// H-07: what is inside a right stays inside it after every normaliser an upstream may apply.
        #[test]
        fn no_normaliser_leads_out_of_the_right(tail in "[a-z./%;\\\\2eEfF5cC0]{0,24}") {
            let path = format!("/v1/orders/{tail}");
            if check(&path).is_ok() {
                prop_assert!(covers("/v1/orders", &path));
                prop_assert!(covers("/v1/orders", &careless(&path)), "{} -> {}", path, careless(&path));
            }
        }
    }
}

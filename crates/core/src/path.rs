//! The path of a request, in the only form that is authorised and forwarded. Ways to write a path that two servers could read as two
//! paths are in `path_form`.

use crate::path_form::{self, PathForm};
use std::fmt;

/// Why a request target is refused. The text names the rule and is fit for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No leading slash (also `*` and absolute forms, which the caller has taken apart).
    #[error("the path must begin with a slash")]
    NotAbsolute,
    /// A byte that must be percent-encoded, or that some servers read as a separator.
    #[error("the path has a byte that is not allowed (control, space, non-ASCII, backslash, fragment or one that must be encoded)")]
    Byte,
    /// A percent sign without two hexadecimal digits.
    #[error("the path has a percent sign that is not followed by two hexadecimal digits")]
    Escape,
    /// A form that is refused where the API does not allow it by name.
    #[error("the path has {form}, which an API must allow by the name `{0}`", form = .0.description())]
    Form(PathForm),
    /// A listen path that is written otherwise than its canonical form.
    #[error(
        "the path is not in its canonical form: write letters, digits and the characters -._~!$&'()*+,=:@ as they are, and other escapes in upper case and UTF-8"
    )]
    NotCanonical,
    /// Longer than 8 KiB.
    #[error("the path is longer than 8192 bytes")]
    TooLong,
}

/// A path that reads the same to every normaliser: byte for byte what is forwarded (promise P9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// Reads a listen path: the one spelling of it.
    ///
    /// # Errors
    /// Refused is what [`check`] refuses, and every spelling but the canonical one: an escape of a character that can be written as it is,
    /// an escape in lower case, or escapes that are not UTF-8. A trailing slash is fine.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        check(raw)?;
        if path_form::is_canonical(raw) { Ok(Self(raw.to_owned())) } else { Err(PathError::NotCanonical) }
    }

    /// The bytes, as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule itself: a path that holds no [`PathForm`].
///
/// # Errors
/// The first rule that is broken.
pub fn check(raw: &str) -> Result<(), PathError> {
    path_form::forms(raw)?.first().map_or(Ok(()), |form| Err(PathError::Form(form)))
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
    fn a_listen_path_has_one_spelling() {
        for path in ["/%61dmin", "/%76ault", "/a%7Eb", "/caf%c3%a9", "/a%40b", "/a%3Ab", "/a%2Bb", "/a%ff", "/x%C3", "/a%21"] {
            assert!(CanonicalPath::parse(path).is_err(), "{path}");
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
            "/%76ault",
            "/va%75lt",
            "/a%2D",
            "/a%5f",
            "/a%7E",
            "/%30",
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
                if b[i] == b'%' && b.get(i + 1).and_then(path_form::hex).is_some() && b.get(i + 2).and_then(path_form::hex).is_some() {
                    out.push(path_form::hex(&b[i + 1]).unwrap_or(0) << 4 | path_form::hex(&b[i + 2]).unwrap_or(0));
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

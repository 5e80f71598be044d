//! Names of doors: namespaces and the hosts they are reached at.
//!
//! A [`Hostname`] can only be built by the one parser here, so that the name that selects the TLS policy and the name that
//! selects the route are compared as the same type (promise P2).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that is not the name asked for; says which rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an account id.
    #[error("an account id is 5 to 12 of a-z and 0-9, beginning with a letter")]
    AccountId,
    /// Not a host name.
    #[error("this is not a host name (letters, digits and hyphens in labels of up to 63, dots between, up to 253 in all)")]
    Hostname,
    /// Not a namespace's name.
    #[error("a namespace's name has 2 to 39 of a-z, 0-9 and hyphen, begins with a letter and ends with a letter or digit")]
    NamespaceName,
    /// Not a namespace's id.
    #[error("a namespace's id is <name>.<account>, for example payments.a1b2c")]
    NamespaceId,
}

/// The id of a namespace, `<name>.<account>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceId(String);

impl NamespaceId {
    /// From its two halves (research/temporal-cloud.md section 7: 2 to 39 characters, and so on).
    pub fn new(name: &str, account: &str) -> Result<Self, NameError> {
        let bytes = name.as_bytes();
        let ok = (2..=39).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes[bytes.len() - 1] != b'-'
            // Such a label is the ASCII form of another name (RFC 5890 section 2.3.1), and is shown as that one.
            && !name.starts_with("xn--")
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if !ok {
            return Err(NameError::NamespaceName);
        }
        check_account(account)?;
        Ok(Self(format!("{name}.{account}")))
    }

    /// Reads `<name>.<account>`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (name, account) = text.split_once('.').ok_or(NameError::NamespaceId)?;
        Self::new(name, account)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The half before the dot.
    pub fn name(&self) -> &str {
        self.0.split_once('.').map_or(self.0.as_str(), |(name, _)| name)
    }

    /// The half behind the dot.
    pub fn account(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, account)| account)
    }
}

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NamespaceId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<NamespaceId> for String {
    fn from(id: NamespaceId) -> String {
        id.0
    }
}

/// Checks an account's short id: 5 to 12 of `a-z0-9`, a letter first.
pub fn check_account(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let ok = (5..=12).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if ok { Ok(()) } else { Err(NameError::AccountId) }
}

/// A host name in its one canonical form: lower case, no trailing dot, no port, no wildcard, never an IP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

impl Hostname {
    /// Reads a DNS name (RFC 1123 section 2.1), as a TLS server name or a setting has it: one trailing dot is dropped, case is folded.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() || text.len() > 253 {
            return Err(NameError::Hostname);
        }
        let mut last_numeric = false;
        for label in text.split('.') {
            let bytes = label.as_bytes();
            let ok = (1..=63).contains(&bytes.len())
                && bytes[0] != b'-'
                && bytes[bytes.len() - 1] != b'-'
                && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            if !ok {
                return Err(NameError::Hostname);
            }
            last_numeric = bytes.iter().all(u8::is_ascii_digit);
        }
        // A name whose last label is all digits is an IPv4 address or meant to look like one (WHATWG URL, "ends in a number").
        if last_numeric {
            return Err(NameError::Hostname);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Reads a `Host` header or `:authority`: a host name and at most one numeric port, nothing else (RFC 9110 section 7.2).
    /// User information, lists, spaces and empty ports are refused rather than cut off.
    pub fn parse_authority(text: &str) -> Result<Self, NameError> {
        match text.split_once(':') {
            None => Self::parse(text),
            Some((host, port)) => {
                let ok = (1..=5).contains(&port.len())
                    && port.bytes().all(|b| b.is_ascii_digit())
                    && port.parse::<u32>().is_ok_and(|p| (1..=65_535).contains(&p));
                if ok { Self::parse(host) } else { Err(NameError::Hostname) }
            }
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Hostname {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Hostname> for String {
    fn from(name: Hostname) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_form() {
        for text in ["a.test", "A.TEST", "a.test.", "A.Test:443", "a.test.:7233"] {
            assert_eq!(Hostname::parse_authority(text).map(String::from), Ok("a.test".to_owned()), "{text}");
        }
    }

    #[test]
    fn an_authority_that_is_more_than_host_and_port_is_refused() {
        for text in [
            "",
            ".",
            "a..test",
            "a.test..",
            "user@a.test",
            "a.test,evil",
            "a.test:99999",
            "a.test:",
            "a.test:0",
            "a.test:1:2",
            "a test",
            "a.test/",
            "127.0.0.1",
            "1.2",
            "[::1]",
            "*.test",
            "-a.test",
            "a-.test",
            "a.test\0",
            "ａ.test",
            "a.test:+80",
            "0x7f.1",
        ] {
            assert!(Hostname::parse_authority(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_namespace_is_named_as_documented() {
        for ok in ["demo.a1b2c", "p1.abcde", "a-b.abcde"] {
            assert!(NamespaceId::parse(ok).is_ok(), "{ok}");
        }
        for bad in ["demo", "d.abcde", "1demo.abcde", "demo-.abcde", "Demo.abcde", "demo.abc", "demo.a1b2c.x", "de_mo.abcde", ".abcde"] {
            assert!(NamespaceId::parse(bad).is_err(), "{bad}");
        }
    }
}

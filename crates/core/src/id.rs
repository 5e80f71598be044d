//! Identifiers. Each noun has its own type; none is ever used again after its object is gone.
//!
//! Text form: one letter that tells the kind, then nineteen characters of Crockford's base 32 in lower case (95 random
//! bits). No separator is in it, so an id can stand inside an API key's text or a path without quoting.

use crate::entropy::Entropy;
use serde::{Deserialize, Serialize};
use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is not an id of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of {0}")]
pub struct IdError(pub &'static str);

fn mint(letter: char, entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 19];
    entropy.fill(&mut bytes);
    let mut text = String::with_capacity(20);
    text.push(letter);
    text.extend(bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])));
    text
}

fn check(text: &str, letter: char) -> bool {
    text.len() == 20 && text.starts_with(letter) && text.bytes().skip(1).all(|b| ALPHABET.contains(&b))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $letter:literal $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes a new one.
            pub fn mint(entropy: &dyn Entropy) -> Self {
                Self(mint($letter, entropy))
            }

            /// Reads the text form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if check(text, $letter) { Ok(Self(text.to_owned())) } else { Err(IdError($what)) }
            }

            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// A person of the account.
    UserId 'u' "a user";
    /// A machine of the account.
    ServiceAccountId 's' "a service account";
    /// An API key; the public part of the key's text.
    ApiKeyId 'k' "an API key";
    /// A registered certificate.
    CertificateId 'c' "a certificate";
    /// A route of a namespace.
    ApiId 'a' "an API";
    /// A request that the gateway refused.
    RefusalId 'r' "a refusal";
    /// A group of users.
    UserGroupId 'g' "a user group";
    /// A role made of single actions.
    CustomRoleId 'l' "a custom role";
    /// An application of a portal developer.
    ApplicationId 'p' "an application";
    /// One of an application's two environments: what its credentials belong to.
    EnvironmentId 'e' "an environment of an application";
    /// A certificate authority whose key is held here.
    IssuerId 'i' "an issuer";
    /// A login of a person.
    SessionId 'n' "a session";
}

/// The id of an operation: chosen by the caller (so that a retry is the same operation) or made here.
///
/// 1 to 128 characters of `A-Z a-z 0-9 - _ . :`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(String);

impl OperationId {
    /// Makes a new one in the form of a version 4 UUID (RFC 9562 section 5.4), as the field's tools print them.
    pub fn mint(entropy: &dyn Entropy) -> Self {
        let mut b = [0_u8; 16];
        entropy.fill(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let hex = crate::credential::hex(&b);
        Self(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }

    /// Reads one that a caller chose.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let ok =
            (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));
        if ok { Ok(Self(text.to_owned())) } else { Err(IdError("an operation (1 to 128 of A-Z a-z 0-9 - _ . :)")) }
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OperationId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> String {
        id.0
    }
}

//! Client certificates: what is known of a presented one, and the registered ones.

use crate::id::{ApiId, CertificateId};
use crate::identity::IdentityId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The SHA-256 of a certificate's DER: the one thing a registered certificate is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Of a certificate's DER.
    pub fn of(der: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(der).into())
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(print: Fingerprint) -> String {
        print.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        super::unhex(&text).map(Self).ok_or("a SHA-256 fingerprint has 64 hexadecimal characters")
    }
}

/// What a leaf says of itself, as far as anybody may rely on it. Made by the x509 crate only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The subject in RFC 4514 form, for people.
    pub subject: String,
    /// The issuer in RFC 4514 form, for people.
    pub issuer: String,
    /// The serial number, lower-case hexadecimal.
    pub serial: String,
    /// Values of the subject's CN attributes, in their order. Only UTF8String, PrintableString and IA5String values count;
    /// an attribute inside a multi-valued RDN is left out and sets `subject_ambiguous`.
    pub common_names: Vec<String>,
    /// Values of O, likewise.
    pub organizations: Vec<String>,
    /// Values of OU, likewise.
    pub organizational_units: Vec<String>,
    /// SAN entries of kind dNSName, rfc822Name and URI, as text.
    pub alternative_names: Vec<String>,
    /// The subject holds a multi-valued RDN, a string type that is read differently by different readers, or a NUL or other
    /// control character: no filter on the subject matches.
    pub subject_ambiguous: bool,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity (inclusive second, RFC 5280 section 4.1.2.5).
    pub not_after: Timestamp,
}

/// The life of a registered certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Authenticates inside its validity.
    Active,
    /// Never again, not after a second registration either.
    Revoked,
}

/// A registered certificate: one leaf, bound to an identity. It may be self-signed (seed 003).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The id.
    pub id: CertificateId,
    /// The SHA-256 of the DER, unique for ever.
    pub fingerprint: Fingerprint,
    /// The DER itself.
    pub der: Vec<u8>,
    /// What it says of itself.
    pub facts: CertificateFacts,
    /// Whose rights it carries.
    pub owner: IdentityId,
    /// A short name.
    pub alias: String,
    /// The APIs it is narrowed to; empty means all its owner may use.
    pub apis: Vec<ApiId>,
    /// Whether it was revoked.
    pub status: CertificateStatus,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

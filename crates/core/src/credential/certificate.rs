//! Client certificates: what is known of a presented one, and the registered ones.

use crate::id::{ApiId, CertificateId, IssuerId};
use crate::identity::IdentityId;
use crate::time::{Lifetime, Timestamp};
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
    /// SAN entries with their kind in front: `dns:`, `email:`, `uri:` and `ip:`.
    pub alternative_names: Vec<String>,
    /// The subject holds a multi-valued RDN, a string type that is read differently by different readers, or a NUL or other
    /// control character: no filter on the subject matches.
    pub subject_ambiguous: bool,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity (inclusive second, RFC 5280 section 4.1.2.5).
    pub not_after: Timestamp,
    /// SHA-256 of the SubjectPublicKeyInfo: what a blocked key is known by. `None` in what was kept before it was known.
    #[serde(default)]
    pub key: Option<Fingerprint>,
    /// SHA-256 of the subject in its canonical form: what "the same Distinguished Name" means (research/pki.md B4). Likewise.
    #[serde(default)]
    pub name: Option<Fingerprint>,
    /// SHA-256 of what the subject looks like: two names of one look are taken for each other. Likewise.
    #[serde(default)]
    pub look: Option<Fingerprint>,
    /// SHA-256 of what its CA signed (TBSCertificate): the same however its signature is encoded. Likewise.
    #[serde(default)]
    pub content: Option<Fingerprint>,
    /// It says that no revocation list will ever tell of it (noRevAvail, RFC 9608): that there is no fresh one is then no reason
    /// against it. What is revoked or blocked here counts all the same.
    #[serde(default)]
    pub no_list: bool,
}

/// Why a certificate ended (RFC 5280 section 5.3.1, less those that end none).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// Nobody said.
    Unspecified,
    /// The key is known to others. The key is blocked for ever.
    KeyCompromise,
    /// The CA's key is.
    #[serde(rename = "cACompromise")]
    CaCompromise,
    /// The owner's name or affiliation changed.
    AffiliationChanged,
    /// Another took its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// For a while; the only one that can be taken back.
    CertificateHold,
    /// The owner lost a right.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
    ];

    /// The word in JSON and flags, as RFC 5280 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    /// The number in CRLs and OCSP answers.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// Reads the word, in any case, with or without `-` and `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.replace(['-', '_'], "");
        Self::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(&plain))
    }
}

/// When a replaced certificate goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// So long without a use it must have been.
    pub idle: Lifetime,
    /// Whether it is revoked then, or only shown as safe to revoke.
    pub by_itself: bool,
    /// At the latest then, in use or not; `None`: never while in use.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// The life of a registered certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Authenticates inside its validity.
    Active,
    /// Does not, until the hold is taken off.
    Held,
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
    /// When it was revoked, or put on hold.
    pub revoked_at: Option<Timestamp>,
    /// Why; `None` while it is active.
    pub reason: Option<RevocationReason>,
    /// Who signed it, when that is one of ours.
    pub issuer: Option<IssuerId>,
    /// Whether who registered it proved to hold its key: by a CSR or a signed challenge. A handshake proves that of whoever presents
    /// the certificate, and of nobody else.
    pub proven: bool,
    /// Whether an admin registered it: his word stands before that of an accepted CA, though it proves nothing.
    pub vouched: bool,
    /// Whether an admin revoked it or put it on hold. `false` while it is active.
    pub ended_by_admin: bool,
    /// The one whose place it takes.
    pub replaces: Option<CertificateId>,
    /// The one that takes its place.
    pub replaced_by: Option<CertificateId>,
    /// When it goes by itself, once it is replaced.
    pub retirement: Option<Retirement>,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

impl Certificate {
    /// Whether the registration decides on its leaf before an accepted CA does, and keeps what is revoked out for ever: when the key's
    /// holder or an admin speaks by it. Of the rest nobody knows that it is not a squatter's (docs/decisions/0012).
    pub const fn binds(&self) -> bool {
        self.proven || self.vouched || self.ended_by_admin
    }
}

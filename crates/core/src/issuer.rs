//! Issuers: certificate authorities whose keys are held here, and their life from staged to retired (research/pki.md G1).

use crate::application::Environment;
use crate::id::IssuerId;
use crate::time::{Lifetime, Timestamp};
use serde::{Deserialize, Serialize};

/// What an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// Issuing CAs only.
    Root,
    /// Leaves for clients, and the CRL.
    Issuing,
}

/// How far it is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerState {
    /// Known and trusted, not signing yet.
    Staged,
    /// Signs.
    Active,
    /// Signs no leaf any more; what it signed works on, and it goes on publishing its CRL.
    Retiring,
    /// Nothing that it signed is let in.
    Retired,
}

/// Where its private key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum KeyPlace {
    /// Here, PKCS#8, sealed by the master key.
    Sealed {
        /// The sealed bytes.
        #[serde(with = "crate::credential::hex_bytes")]
        sealed: Vec<u8>,
    },
    /// In a PKCS#11 token.
    Pkcs11 {
        /// RFC 7512, without a PIN.
        uri: String,
    },
    /// Nowhere here: an imported root without its key.
    Absent,
}

/// What it signs by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerPolicy {
    /// The life of a certificate when none is asked for.
    pub lifetime_default: Lifetime,
    /// The longest life.
    pub lifetime_max: Lifetime,
    /// Where its CRL is found, as written into certificates; empty for none.
    pub crl_url: String,
    /// Where OCSP is answered, likewise.
    pub ocsp_url: String,
    /// Whether a renewal may have the same key.
    pub key_reuse: bool,
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The id.
    pub id: IssuerId,
    /// The name, unique among issuers; part of its CRL's address.
    pub name: String,
    /// What it signs.
    pub kind: IssuerKind,
    /// Whose certificates: those of this environment, or of both.
    pub environment: Option<Environment>,
    /// How far it is.
    pub state: IssuerState,
    /// Its certificate.
    pub der: Vec<u8>,
    /// Who signed that; `None` for a root.
    pub parent: Option<IssuerId>,
    /// Where its key is.
    pub key: KeyPlace,
    /// What it signs by.
    pub policy: IssuerPolicy,
    /// The number of its last CRL; only rises.
    pub crl_number: i64,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

//! Ending certificates before their time: ours, and leaves of accepted CAs that are not ours.

use super::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `POST /revocations`: every certificate that is meant by exactly one of `serial`, `fingerprintSha256`, `certificate`, `key`,
/// `ownerId` and `applicationId`. It has no `Debug`: `key` may hold a private key.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeCertificates {
    /// The serial number, hexadecimal, with or without colons.
    #[serde(default)]
    pub serial: Option<String>,
    /// With `serial`: who signed it, by id or name; needed where two issuers have used the same number.
    #[serde(default)]
    pub issuer: Option<String>,
    /// SHA-256 of the DER, with or without colons.
    #[serde(default)]
    pub fingerprint_sha256: Option<String>,
    /// The certificate itself, PEM or base64 of it.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The compromised key: as a public key, a certificate request, or the private key as proof of the compromise, all PEM. Of a
    /// private key only the public half is used; it is neither stored nor logged.
    #[serde(default)]
    pub key: Option<String>,
    /// All certificates of this user, service account or application's environment.
    #[serde(default)]
    pub owner_id: Option<String>,
    /// All certificates of this application, by id or name.
    #[serde(default)]
    pub application_id: Option<String>,
    /// With `applicationId`: only those of `sandbox` or `production`.
    #[serde(default)]
    pub environment: Option<String>,
    /// An RFC 5280 reason; `unspecified` when absent, and `keyCompromise` with `key`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only says what would be revoked.
    #[serde(default)]
    pub dry_run: bool,
}

/// One certificate that was, or would be, revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedCertificate {
    /// The id.
    pub id: String,
    /// The alias.
    pub alias: String,
    /// SHA-256 of the DER.
    pub fingerprint_sha256: String,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// The owner's id.
    pub owner_id: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub revoked_time: String,
}

/// What a revocation ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// Whether nothing was changed: it was only asked what would be.
    pub dry_run: bool,
    /// How many certificates.
    pub count: u64,
    /// They themselves, at most a thousand, without those the caller may not see.
    pub certificates: Vec<RevokedCertificate>,
    /// The key that is blocked for ever, by the SHA-256 of its SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_key: Option<String>,
    /// What lives on and might have been meant too: those that took the place of what was revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation; absent in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_status: Option<RequestStatus>,
}

/// `POST /namespaces/{id}/accepted-client-cas/{fingerprint}/revoked-leaves`: exactly one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeLeaf {
    /// The leaf itself, PEM or base64 of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its serial number, hexadecimal, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// An RFC 5280 reason; `unspecified` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A leaf of an accepted CA that is kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedLeaf {
    /// Its issuer.
    pub issuer: String,
    /// Its serial number, lower-case hexadecimal.
    pub serial: String,
    /// `here` by an admin, or `crl` by its own CA.
    pub by: String,
}

/// Those of one accepted CA.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedLeaves {
    /// At most ten thousand, those revoked here first.
    pub items: Vec<RevokedLeaf>,
    /// How many there are.
    pub count: u64,
}

/// `POST /namespaces/{id}/accepted-client-cas/{fingerprint}/crl`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetForeignCrl {
    /// The CA's revocation list, PEM or base64 of its DER; of several lists in PEM, as for distribution points or further accepted CAs,
    /// all are taken or none. Absent when only the rule changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<String>,
    /// What a stale list does: `keep` lets in whom it does not name, `refuse` lets in nobody of this CA until a newer one comes.
    /// Absent: as it was, `keep` at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// The revocation list of an accepted CA that is applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignCrlBody {
    /// Its number, hexadecimal; empty when it has none.
    pub number: String,
    /// When it was made.
    pub this_update: String,
    /// By when there should be a newer one.
    pub next_update: String,
    /// When it was taken in.
    pub taken_time: String,
    /// Whether a newer one should be there by now.
    pub is_stale: bool,
    /// `keep` or `refuse`.
    pub stale: String,
    /// Leaves that it names.
    pub revoked: u64,
    /// What to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer of taking one in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignCrlTaken {
    /// It as it is applied now; absent when a repeated request finds it taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<ForeignCrlBody>,
    /// Leaves newly kept out.
    pub added: u64,
    /// Leaves that it names no longer.
    pub removed: u64,
    /// The operation.
    pub request_status: RequestStatus,
}

/// What `DELETE …/revoked-leaves/{serial}` asks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct LeafQuery {
    /// The leaf's issuer as the list shows it; the CA itself when absent.
    pub issuer: Option<String>,
}

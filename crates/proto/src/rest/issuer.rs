//! Certificate authorities whose keys are held here.

use super::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An issuer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerBody {
    /// The id.
    pub id: String,
    /// The name, which is part of its CRL's address.
    pub name: String,
    /// `root` or `issuing`.
    pub kind: String,
    /// `sandbox`, `production` or `both`.
    pub environment: String,
    /// `staged`, `active`, `retiring` or `retired`.
    pub state: String,
    /// The subject.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub fingerprint_sha256: String,
    /// First moment of its validity.
    pub not_before: String,
    /// Last moment of its validity.
    pub not_after: String,
    /// The issuer that signed it; absent for roots, and where that one is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Where its key is: `sealed`, `pkcs11` or `absent`.
    pub key: String,
    /// Days a certificate lives when none are asked for.
    pub lifetime_default_days: i64,
    /// Days a certificate lives at most.
    pub lifetime_max_days: i64,
    /// Where certificates say its CRL is; empty for the operator's own address.
    pub crl_url: String,
    /// Where certificates say OCSP is answered, likewise.
    pub ocsp_url: String,
    /// Whether a renewal may have the same key.
    pub key_reuse: bool,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /issuers`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateIssuer {
    /// The name: 1 to 40 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// `issuing` (default) or `root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `sandbox`, `production` or `both` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `ecdsa-p256` (default), `ecdsa-p384`, `rsa-2048`, `rsa-3072`, `rsa-4096` or `ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Instead of `keyType`: a key that is in the server's token already, by its RFC 7512 URI, `pkcs11:token=NAME;object=LABEL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_uri: Option<String>,
    /// The root that signs it, by id or name; the newest active one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its own life; five years when absent, twenty for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_days: Option<i64>,
}

/// `POST /issuers/import`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportIssuer {
    /// The name: 1 to 40 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// `sandbox`, `production` or `both` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The CA's certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM, not encrypted. Sealed at once; left out only for a CA that completes chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// Instead of `privateKey`: the key's RFC 7512 URI in the server's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_uri: Option<String>,
}

impl std::fmt::Debug for ImportIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportIssuer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `PATCH /issuers/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateIssuer {
    /// `active`, `retiring` or `retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Does it although an environment is left without, or certificates are refused.
    #[serde(default)]
    pub force: bool,
    /// Days a certificate lives when none are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_default_days: Option<i64>,
    /// Days a certificate lives at most; up to three years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_max_days: Option<i64>,
    /// Where certificates say its CRL is; empty for the operator's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_url: Option<String>,
    /// Where certificates say OCSP is answered, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp_url: Option<String>,
    /// Whether a renewal may have the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_reuse: Option<bool>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// The answer of a creation or an import.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedIssuer {
    /// The new issuer's id.
    pub id: String,
    /// What is remarkable, for example that other issuers go on signing when this one is activated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// Who signs the next certificate that is asked for, by the issuer's name; absent where nobody does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextSigners {
    /// For applications in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// For applications in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<String>,
    /// For service accounts and users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<String>,
}

/// The answer of a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedIssuer {
    /// Who signs from now on.
    pub signs_next: NextSigners,
    /// What is remarkable, for example that another issuer still signs where this one was activated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// Filters of `GET /issuers`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct IssuerQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only those that serve `sandbox` or `production`.
    pub environment: Option<String>,
}

//! API keys and registered certificates.

use super::common::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An API key; never its secret.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyBody {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The owner's id.
    pub owner_id: String,
    /// The owner's name, as lists and single views have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_name: String,
    /// `user`, `service_account` or `application`.
    pub owner_type: String,
    /// `enabled`, `disabled` or `expired`.
    pub state: String,
    /// From when on it is expired.
    pub expiry_time: String,
    /// The APIs it is narrowed to.
    pub apis: Vec<String>,
    /// The key it was made with, if it was made with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When, where from and how often it was used.
    pub usage: UsageBody,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// Use of a credential at the gateways, a few seconds late.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBody {
    /// Admitted requests.
    pub requests: u64,
    /// When last.
    pub last_used_time: Option<String>,
    /// From which address last.
    pub last_used_from: Option<String>,
}

/// The answer of deleting an API key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedApiKey {
    /// The keys that are gone, by id; none where a repeated request finds them gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<String>,
    /// The certificates that were made with them and are revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked_certificates: Vec<String>,
    /// What was made with them and still gets in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// `POST /api-keys`. Without an owner the key is the caller's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApiKey {
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// How long it lives, for example `30d` or `4d12h`; 90 days when neither this nor `expiryTime` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it ends, RFC 3339; wins over `duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_time: Option<String>,
    /// A service account to make it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_id: Option<String>,
    /// An application to make it for, by id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// In which of the application's environments: `sandbox` or `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The APIs to narrow it to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
}

/// The answer of a key's creation: the only time the secret is shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedApiKey {
    /// The id.
    pub id: String,
    /// The whole key; null when a repeated request finds it made already.
    pub secret_key: Option<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// `PATCH /api-keys/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateApiKey {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Disable or enable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// Filters of `GET /api-keys`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct ApiKeyQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only this owner's.
    pub owner_id: Option<String>,
    /// `user`, `service_account` or `application`.
    pub owner_type: Option<String>,
    /// `enabled`, `disabled` or `expired`.
    pub state: Option<String>,
}

/// Filters of `GET /certificates`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct CertificateQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only this owner's.
    pub owner_id: Option<String>,
    /// `active` (expired ones included) or `revoked`.
    pub state: Option<String>,
}

/// A registered certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateBody {
    /// The id.
    pub id: String,
    /// A short name.
    pub alias: String,
    /// SHA-256 of the DER.
    pub fingerprint_sha256: String,
    /// The subject.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// First moment of validity.
    pub not_before: String,
    /// Last moment of validity.
    pub not_after: String,
    /// `active`, `expired`, `held` or `revoked`.
    pub state: String,
    /// Whether who registered it proved to hold its key: by its request or by a signed challenge. A handshake proves that of whoever
    /// presents it.
    #[serde(default)]
    pub proven: bool,
    /// The issuer of ours that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_id: Option<String>,
    /// The owner's id.
    pub owner_id: String,
    /// The owner's name, as lists and single views have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_name: String,
    /// `user`, `service_account` or `application`.
    pub owner_type: String,
    /// The APIs it is narrowed to.
    pub apis: Vec<String>,
    /// When, where from and how often it was used.
    pub usage: UsageBody,
    /// The certificate.
    pub pem: String,
    /// For updates.
    pub resource_version: String,
    /// When it was registered.
    pub created_time: String,
    /// When it was revoked.
    pub revoked_time: Option<String>,
    /// Why, in RFC 5280's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_reason: Option<String>,
    /// The one whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The one that takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

/// `POST /certificates`: has one issued for a request, or registers one that another CA issued. Exactly one of `csr` and
/// `certificate`. Without an owner it is the caller's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCertificate {
    /// One certificate request (PKCS#10): PEM, or base64 of DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// One certificate, PEM or base64 of it. A private key beside it is refused, or dropped for admins, and never stored (seed 003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A short name; the subject's CN when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// A service account to make it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_id: Option<String>,
    /// An application to make it for, by id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// In which of the application's environments: `sandbox` or `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How long it lives, for example `90d`; the issuer's default when absent. For a request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The APIs to narrow it to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
    /// The text that `POST /certificates/challenge` gave for this certificate and owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The challenge, signed with the certificate's key, in base64: then possession is proved at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// When a private key was sent by mistake, block its public half for ever. The request is refused all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub burn: bool,
}

/// The answer: the certificate as it is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedCertificate {
    /// The id.
    pub id: String,
    /// A short name.
    pub alias: String,
    /// The subject.
    pub subject: String,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the DER.
    pub fingerprint_sha256: String,
    /// First moment of validity.
    pub not_before: String,
    /// Last moment of validity.
    pub not_after: String,
    /// Whether who registered it proved to hold its key. One of which nobody did lets its holder in where no accepted CA vouches for
    /// it, and does no more.
    pub proven: bool,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its issuer and those above, nearest first, PEM; empty for one that another CA issued.
    pub chain: String,
    /// What was remarkable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// `POST /certificates/challenge`: whose key is to be proved, and for whom the certificate is to be registered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskRegistration {
    /// One certificate, PEM or base64 of it.
    pub certificate: String,
    /// As in `POST /certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_id: Option<String>,
    /// As in `POST /certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// As in `POST /certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What to sign.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationChallenge {
    /// The text to sign, byte for byte. It can be answered for an hour.
    pub challenge: String,
    /// The command that signs it, as `challenge.txt`, with the key in `client.key`.
    pub command: String,
}

/// `POST /certificates/{id}/revoke`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeCertificate {
    /// An RFC 5280 reason; `unspecified` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /namespaces/{id}/generate-api-key`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateApiKey {
    /// `admin` when absent, as seed 002 says of the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// `2y` when absent, as seed 002 says of the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}

/// The answer of it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedApiKey {
    /// The service account, made or found.
    pub service_account_id: String,
    /// The key's id.
    pub id: String,
    /// The whole key; null when a repeated request finds it made already.
    pub secret_key: Option<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

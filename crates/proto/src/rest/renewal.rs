//! Renewal of a certificate by its own key: the bodies of its two calls.

use super::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /certificates/renewal/challenge`. Nobody is asked who he is, and the answer is made in the same way for every
/// certificate, known or not.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskRenewal {
    /// SHA-256 of the DER of the certificate to renew, 64 hexadecimal characters.
    pub fingerprint_sha256: String,
    /// SHA-256 of the DER of the request for the new one, likewise: the signature will be good for this request alone.
    pub request_sha256: String,
}

/// What is to be signed with the key of the old certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalChallenge {
    /// The text, to be signed byte for byte, its last line feed included. It can be answered for an hour.
    pub challenge: String,
}

/// `POST /certificates/renewal`. The signature is all the authentication there is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewCertificate {
    /// The certificate to renew, PEM or base64 of it.
    pub certificate: String,
    /// The text of [`RenewalChallenge`], unchanged.
    pub challenge: String,
    /// The signature over it by the old certificate's key, base64.
    pub signature: String,
    /// The request for the new certificate, PEM or base64 of it: the old one's subject, another key.
    pub csr: String,
    /// Another alias than the old one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// The new certificate. The old one works on until it ends or is revoked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewedCertificate {
    /// The new certificate's id.
    pub id: String,
    /// The new certificate, PEM.
    pub certificate: String,
    /// The CAs above it, nearest first, PEM.
    pub chain: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its last moment of validity.
    pub not_after: String,
    /// The id of the one whose place it takes.
    pub replaces: String,
    /// The operation; absent when a repeated request finds it made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_status: Option<RequestStatus>,
}

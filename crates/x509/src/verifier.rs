//! The TLS side: a client certificate verifier that asks for one thing only, that the peer holds the key of the certificate
//! it shows. Whom that certificate makes the peer is decided later, per request, against the current snapshot; deciding it
//! here would tie an answer to a connection. It must never grow a list of trusted CAs.

use crate::certificate::key_of;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;

/// Accepts every certificate whose key signs the handshake. The key is taken out of the certificate by our own reader, so
/// that a CA certificate (seed 003), a leaf without keyUsage (tcld) and even X.509 v1 get through to a request, where the
/// refusal can say why.
pub struct ProofOfPossession {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Default for ProofOfPossession {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ProofOfPossession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProofOfPossession")
    }
}

impl ProofOfPossession {
    /// With the schemes of the process's crypto provider.
    pub fn new() -> Self {
        Self { algorithms: rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms }
    }

    fn check(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        first_only: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some((_, algorithms)) = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme) else {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        };
        // The certificate itself is read once, after the handshake, and one that cannot be read is refused then, with a reason.
        let key = SubjectPublicKeyInfoDer::from(key_of(certificate).ok_or_else(bad_encoding)?);
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| bad_encoding())?;
        // TLS 1.3 binds the scheme to one curve, which stands first; TLS 1.2 does not (RFC 5246 section 7.4.1.4.1).
        let tried = if first_only { 1 } else { algorithms.len() };
        if algorithms.iter().take(tried).any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok()) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}

/// Schemes that only TLS 1.2 may use (RFC 8446 section 4.2.3).
fn is_legacy(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::ECDSA_SHA1_Legacy
            | SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
    )
}

impl ClientCertVerifier for ProofOfPossession {
    fn offer_client_auth(&self) -> bool {
        true
    }

    /// A client may come with an API key instead.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: the list would tell every stranger the tenants' CAs, and would have to be the same for all of them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Only that it has a key at all; trust is no matter of the handshake.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        key_of(end_entity).map(|_| ClientCertVerified::assertion()).ok_or_else(bad_encoding)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if is_legacy(signed.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        self.check(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

//! Which key somebody means, when he names one by what he has of it: a certificate, a request, the public key, or the private key
//! itself as the proof that it is no secret any more. Only the public half leaves this module; it must never keep the other.

use crate::X509Error;
use crate::csr::CheckedCsr;
use crate::facts;
use crate::pem::{self, Block};
use crate::private_key::{LocalKey, Signer as _};
use countersign_core::credential::certificate::Fingerprint;

/// A key, by the fingerprint that certificates and blocked keys are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fingerprint: Fingerprint,
    /// Whether the private key itself was given.
    pub holds_private: bool,
}

/// Reads an unencrypted private key (PKCS#8, SEC1, PKCS#1), a public key, a certificate request or a certificate in PEM; the last
/// also as DER or base64. Fails with `bad_private_key`, and as [`pem::read`] and [`CheckedCsr::parse`] do. The caller wipes its own
/// buffer.
pub fn read(input: &[u8]) -> Result<GivenKey, X509Error> {
    let public = |fingerprint| GivenKey { fingerprint, holds_private: false };
    if let Ok(text) = std::str::from_utf8(input) {
        if text.contains("PRIVATE KEY-----") {
            let key = LocalKey::from_pem(text)?;
            return Ok(GivenKey { fingerprint: Fingerprint::of(key.public_key()), holds_private: true });
        }
        if let Some(der) = pem::block_of(text, "PUBLIC KEY") {
            return Ok(public(Fingerprint::of(&der)));
        }
    }
    for block in pem::read(input)?.blocks {
        match block {
            Block::Certificate(der) => {
                if let Some(key) = facts::of(&der)?.key {
                    return Ok(public(key));
                }
            }
            Block::PrivateKey | Block::Other(_) => {}
        }
    }
    CheckedCsr::parse(input).map(|csr| public(csr.key_fingerprint))
}

/// A SubjectPublicKeyInfo as a `PUBLIC KEY` block with a trailing newline.
pub fn public_pem(der: &[u8]) -> String {
    pem::armour("PUBLIC KEY", der)
}

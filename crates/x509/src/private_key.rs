//! Private keys that sign: made here, read from PKCS#8, or held by something else behind [`Signer`]. It knows no certificate
//! and no policy. A key that lives in a token implements [`Signer`] elsewhere and never passes through this file.

use crate::X509Error;
use crate::encode::{bit_string, integer, oid, sequence, tlv};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use const_oid::ObjectIdentifier;
use countersign_core::Secret;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

pub(crate) const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const RSA_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Which key to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, signing over SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384, signing over SHA-384.
    P384,
    /// RSA with 2048 bits, signing with PKCS#1 v1.5 over SHA-256. Making one takes about a tenth of a second.
    Rsa2048,
    /// RSA with 3072 bits, as above.
    Rsa3072,
    /// RSA with 4096 bits, as above; about a second.
    Rsa4096,
    /// Ed25519. NSS and some older Java versions cannot read it.
    Ed25519,
}

impl KeyKind {
    /// Every kind, the default first.
    pub const ALL: [Self; 6] = [Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::Ed25519];

    /// Its word on the command line and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "ecdsa-p256",
            Self::P384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyKind {
    type Err = X509Error;

    /// Reads [`KeyKind::name`]. Fails with `unknown_key_kind`.
    fn from_str(text: &str) -> Result<Self, X509Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            X509Error::new(
                "unknown_key_kind",
                Some("A10"),
                format!("`{}` is no kind of key", text.chars().take(40).collect::<String>()),
                "use ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519",
            )
        })
    }
}

/// Whatever can sign with one private key: a key in memory, a token, a service. Implementations answer with the signature in
/// the form that certificates carry (for ECDSA the DER sequence) and keep the key to themselves.
pub trait Signer: Send + Sync {
    /// SubjectPublicKeyInfo of the key, in DER.
    fn public_key(&self) -> &[u8];

    /// Signs `message` (not its digest). The key decides how (D10): PKCS#1 v1.5 over SHA-256 for RSA, SHA-256 on P-256, SHA-384
    /// on P-384, Ed25519. Fails with `signing_failed`.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, X509Error>;
}

/// A signature, or what was to carry it, could not be made.
pub(crate) fn failed(what: &str) -> X509Error {
    X509Error::new("signing_failed", Some("D11"), format!("nothing was signed: {what}"), "try again; report it if it stays")
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A private key in this process's memory.
pub struct LocalKey {
    pair: Pair,
    public: Vec<u8>,
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("public_bytes", &self.public.len()).finish_non_exhaustive()
    }
}

impl LocalKey {
    fn of(pair: Pair) -> Self {
        let null = tlv(0x05, &[]);
        let public = match &pair {
            Pair::P256(key) => sequence(&[sequence(&[oid(EC_KEY), oid(P256)]), bit_string(key.public_key().as_ref())]),
            Pair::P384(key) => sequence(&[sequence(&[oid(EC_KEY), oid(P384)]), bit_string(key.public_key().as_ref())]),
            Pair::Rsa(key) => sequence(&[sequence(&[oid(RSA_KEY), null]), bit_string(key.public_key().as_ref())]),
            Pair::Ed25519(key) => sequence(&[sequence(&[oid(ED25519)]), bit_string(key.public_key().as_ref())]),
        };
        Self { pair, public }
    }

    /// A new key from the system's generator. Fails with `signing_failed`.
    pub fn generate(kind: KeyKind) -> Result<Self, X509Error> {
        let no_key = |_| failed("the system gave no new key");
        let rsa = |size| RsaKeyPair::generate(size).map(|key| Pair::Rsa(Box::new(key)));
        Ok(Self::of(
            match kind {
                KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::P256),
                KeyKind::P384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Pair::P384),
                KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
                KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
                KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
                KeyKind::Ed25519 => Ed25519KeyPair::generate().map(|key| Pair::Ed25519(Box::new(key))),
            }
            .map_err(no_key)?,
        ))
    }

    /// Reads `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY` or `RSA PRIVATE KEY` in PEM. Fails with `bad_private_key`.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let labels = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
        let der = labels.iter().find_map(|label| crate::pem::block_of(text, label)).ok_or_else(bad_private_key)?;
        Self::from_der(&der)
    }

    /// Reads PKCS#8, SEC1 or PKCS#1 in DER. Fails with `bad_private_key`.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let ec = |alg: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::from_pkcs8(alg, der).or_else(|_| EcdsaKeyPair::from_private_key_der(alg, der)).ok()
        };
        let pair = if let Some(key) = ec(&ECDSA_P256_SHA256_ASN1_SIGNING) {
            Pair::P256(key)
        } else if let Some(key) = ec(&ECDSA_P384_SHA384_ASN1_SIGNING) {
            Pair::P384(key)
        } else if let Ok(key) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            Pair::Rsa(Box::new(key))
        } else {
            Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| bad_private_key())?))
        };
        Ok(Self::of(pair))
    }

    /// The key as PKCS#8, wiped by its owner. Fails with `signing_failed`.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, X509Error> {
        let no = |_| failed("the key could not be exported");
        Ok(Zeroizing::new(match &self.pair {
            Pair::P256(key) | Pair::P384(key) => key.to_pkcs8v1().map_err(no)?.as_ref().to_vec(),
            Pair::Rsa(key) => AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(key.as_ref()).map_err(no)?.as_ref().to_vec(),
            Pair::Ed25519(key) => key.to_pkcs8v1().map_err(no)?.as_ref().to_vec(),
        }))
    }

    /// The key as an unencrypted `PRIVATE KEY` block with a trailing newline. Fails with `signing_failed`.
    pub fn to_pem(&self) -> Result<Secret, X509Error> {
        Ok(Secret::new(crate::pem::armour("PRIVATE KEY", &self.to_pkcs8()?)))
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.public.clone()
    }
}

/// An ECDSA signature in the form that certificates carry, out of the two numbers of equal length that tokens give (PKCS#11
/// CKM_ECDSA). `None` when the length is odd or zero.
pub fn ecdsa_signature(numbers: &[u8]) -> Option<Vec<u8>> {
    if numbers.is_empty() || !numbers.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = numbers.split_at(numbers.len() / 2);
    Some(sequence(&[integer(r), integer(s)]))
}

fn bad_private_key() -> X509Error {
    X509Error::new(
        "bad_private_key",
        None,
        "the private key cannot be read, or is of a kind that is not supported",
        "use an unencrypted PKCS#8 key in PEM: ECDSA P-256 or P-384, RSA or Ed25519",
    )
}

impl Signer for LocalKey {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, X509Error> {
        let random = SystemRandom::new();
        let no = |_| failed("the key did not sign");
        match &self.pair {
            Pair::P256(key) | Pair::P384(key) => key.sign(&random, message).map(|s| s.as_ref().to_vec()).map_err(no),
            Pair::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(no)?;
                Ok(signature)
            }
            Pair::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

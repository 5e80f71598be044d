//! Private keys and the one way certificates are made here: build, sign, verify what was signed, read it back (rules D1 to
//! D4, D7, D10, D11 of `research/pki.md`). What goes into a certificate is the caller's profile; this file knows no policy.

use crate::X509Error;
use crate::certificate::{
    AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, Certificate, EXTENDED_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER,
};
use crate::encode::{bit_string, concat, integer, named_bits, oid, sequence, time, tlv};
use crate::key::{self, Signed};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use const_oid::ObjectIdentifier;
use countersign_core::{Entropy, Timestamp};
use zeroize::Zeroizing;

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(crate) const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const EC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// A private key that can sign.
pub(crate) enum SigningKey {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Which key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    /// About a second of work.
    Rsa4096,
}

fn failed(what: &str) -> X509Error {
    X509Error::new("signing_failed", Some("D11"), format!("the certificate was not made: {what}"), "try again; report it if it stays")
}

impl SigningKey {
    /// A new key from the system's generator.
    pub fn generate(kind: Kind) -> Result<Self, X509Error> {
        let no_key = |_| failed("the system gave no new key");
        Ok(match kind {
            Kind::P256 => Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(no_key)?),
            Kind::P384 => Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(no_key)?),
            Kind::Rsa4096 => Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa4096).map_err(no_key)?)),
        })
    }

    /// Reads `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY` or `RSA PRIVATE KEY`. Fails with `bad_private_key`.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let bad = || {
            X509Error::new(
                "bad_private_key",
                None,
                "the private key cannot be read, or is of a kind that is not supported",
                "use an unencrypted PKCS#8 key in PEM: ECDSA P-256 or P-384, RSA or Ed25519",
            )
        };
        let ec = |alg: &'static EcdsaSigningAlgorithm, der: &[u8]| {
            EcdsaKeyPair::from_pkcs8(alg, der).or_else(|_| EcdsaKeyPair::from_private_key_der(alg, der)).ok()
        };
        let labels = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
        let der = labels.iter().find_map(|label| crate::pem::block_of(text, label)).ok_or_else(bad)?;
        if let Some(key) = ec(&ECDSA_P256_SHA256_ASN1_SIGNING, &der) {
            return Ok(Self::P256(key));
        }
        if let Some(key) = ec(&ECDSA_P384_SHA384_ASN1_SIGNING, &der) {
            return Ok(Self::P384(key));
        }
        if let Ok(key) = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)) {
            return Ok(Self::Rsa(Box::new(key)));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(|key| Self::Ed25519(Box::new(key))).map_err(|_| bad())
    }

    /// The key as PKCS#8, wiped by its owner.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, X509Error> {
        let no = |_| failed("the key could not be exported");
        Ok(Zeroizing::new(match self {
            Self::P256(key) | Self::P384(key) => key.to_pkcs8v1().map_err(no)?.as_ref().to_vec(),
            Self::Rsa(key) => AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(key.as_ref()).map_err(no)?.as_ref().to_vec(),
            Self::Ed25519(key) => key.to_pkcs8v1().map_err(no)?.as_ref().to_vec(),
        }))
    }

    /// SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        let null = tlv(0x05, &[]);
        match self {
            Self::P256(key) => sequence(&[sequence(&[oid(EC_KEY), oid(P256)]), bit_string(key.public_key().as_ref())]),
            Self::P384(key) => sequence(&[sequence(&[oid(EC_KEY), oid(P384)]), bit_string(key.public_key().as_ref())]),
            Self::Rsa(key) => sequence(&[sequence(&[oid(RSA_KEY), null]), bit_string(key.public_key().as_ref())]),
            Self::Ed25519(key) => sequence(&[sequence(&[oid(ED25519)]), bit_string(key.public_key().as_ref())]),
        }
    }

    /// D10: the hash follows the key; NULL parameters for RSA only.
    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::P256(_) => sequence(&[oid(ECDSA_SHA256)]),
            Self::P384(_) => sequence(&[oid(ECDSA_SHA384)]),
            Self::Rsa(_) => sequence(&[oid(RSA_SHA256), tlv(0x05, &[])]),
            Self::Ed25519(_) => sequence(&[oid(ED25519)]),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, X509Error> {
        let random = SystemRandom::new();
        let no = |_| failed("the key did not sign");
        match self {
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).map(|s| s.as_ref().to_vec()).map_err(no),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(no)?;
                Ok(signature)
            }
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// The extensions of a certificate to be made; what is `None` is left out.
pub(crate) struct Extensions<'e> {
    /// CA, with or without a pathLen. Always critical.
    pub ca: Option<Option<u8>>,
    /// keyUsage bits, critical.
    pub key_usage: Option<&'e [u8]>,
    pub extended_key_usage: Option<ObjectIdentifier>,
    pub subject_key_id: bool,
    /// The issuer's own subjectKeyIdentifier, byte for byte (D3).
    pub authority_key_id: Option<&'e [u8]>,
    /// Encoded GeneralName entries.
    pub alternative_names: &'e [Vec<u8>],
}

/// What is to be signed.
pub(crate) struct Template<'e> {
    pub serial: Vec<u8>,
    /// Encoded Name.
    pub issuer: Vec<u8>,
    /// Encoded Name.
    pub subject: Vec<u8>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    pub extensions: Extensions<'e>,
}

/// D3: the leftmost 160 bits of the SHA-256 of the key's bits (RFC 7093 section 2, method 1).
pub(crate) fn key_id(spki: &[u8]) -> Vec<u8> {
    let bits = key::bits(spki).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bits);
    digest.as_ref().iter().copied().take(20).collect()
}

/// D1: 127 bits of chance, positive, without a leading zero byte.
pub(crate) fn serial(entropy: &dyn Entropy) -> Vec<u8> {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    bytes[0] = (bytes[0] & 0x7f).max(1);
    bytes.to_vec()
}

fn extensions(template: &Template<'_>) -> Vec<u8> {
    let extension = |kind, critical: bool, value: Vec<u8>| {
        let mut parts = vec![oid(kind)];
        if critical {
            parts.push(tlv(0x01, &[0xff]));
        }
        parts.push(tlv(0x04, &value));
        sequence(&parts)
    };
    let wanted = &template.extensions;
    let mut all = Vec::new();
    all.push(match wanted.ca {
        None => extension(BASIC_CONSTRAINTS, true, sequence::<Vec<u8>>(&[])),
        Some(limit) => {
            let mut parts = vec![tlv(0x01, &[0xff])];
            parts.extend(limit.map(|n| integer(&[n])));
            extension(BASIC_CONSTRAINTS, true, sequence(&parts))
        }
    });
    if let Some(bits) = wanted.key_usage {
        all.push(extension(KEY_USAGE, true, named_bits(bits)));
    }
    if let Some(purpose) = wanted.extended_key_usage {
        all.push(extension(EXTENDED_KEY_USAGE, false, sequence(&[oid(purpose)])));
    }
    if wanted.subject_key_id {
        all.push(extension(SUBJECT_KEY_IDENTIFIER, false, tlv(0x04, &key_id(&template.key))));
    }
    if let Some(id) = wanted.authority_key_id {
        all.push(extension(AUTHORITY_KEY_IDENTIFIER, false, sequence(&[tlv(0x80, id)])));
    }
    if !wanted.alternative_names.is_empty() {
        all.push(extension(SUBJECT_ALT_NAME, false, sequence(wanted.alternative_names)));
    }
    tlv(0xa3, &sequence(&all))
}

/// Signs `template` with `key` and returns the DER, verified and read back (D11).
pub(crate) fn sign(template: &Template<'_>, key: &SigningKey) -> Result<Vec<u8>, X509Error> {
    let (Some(from), Some(to)) = (time(template.not_before), time(template.not_after)) else {
        return Err(X509Error::new(
            "validity_out_of_range",
            Some("D2"),
            "a date of the certificate lies before 1970 or after 9999",
            "ask for a shorter validity",
        ));
    };
    let algorithm = key.algorithm();
    let signed = sequence(&[
        tlv(0xa0, &integer(&[2])),
        integer(&template.serial),
        algorithm.clone(),
        template.issuer.clone(),
        sequence(&[from, to]),
        template.subject.clone(),
        template.key.clone(),
        extensions(template),
    ]);
    let signature = key.sign(&signed)?;
    let der = tlv(0x30, &concat(&[signed, algorithm, bit_string(&signature)]));
    let made = Certificate::read(&der).map_err(|_| failed("it cannot be read back"))?;
    if key::signed_by(&made, &key.public()) != Signed::Yes {
        return Err(failed("its signature does not verify"));
    }
    Ok(der)
}

//! The one way certificates are made here: build, sign, verify what was signed, read it back (rules D1 to D4, D7, D10, D11 of
//! `research/pki.md`). What goes into a certificate is the caller's profile; this file knows no policy.

use crate::X509Error;
use crate::certificate::{
    AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, Certificate, EXTENDED_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER,
};
use crate::encode::{bit_string, concat, integer, named_bits, oid, sequence, time, tlv};
use crate::key::{self, Signed};
use crate::private_key::{Signer, failed};
use const_oid::ObjectIdentifier;
use countersign_core::{Entropy, Timestamp};

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
pub(crate) const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// The extensions of a certificate to be made; what is `None` or empty is left out.
#[derive(Default)]
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
    /// Further extensions, encoded, in this order.
    pub more: &'e [Vec<u8>],
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

/// One Extension, encoded.
pub(crate) fn extension(kind: ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(kind)];
    if critical {
        parts.push(tlv(0x01, &[0xff]));
    }
    parts.push(tlv(0x04, value));
    sequence(&parts)
}

fn extensions(template: &Template<'_>) -> Vec<u8> {
    let wanted = &template.extensions;
    let mut all = Vec::new();
    all.push(match wanted.ca {
        None => extension(BASIC_CONSTRAINTS, true, &sequence::<Vec<u8>>(&[])),
        Some(limit) => {
            let mut parts = vec![tlv(0x01, &[0xff])];
            parts.extend(limit.map(|n| integer(&[n])));
            extension(BASIC_CONSTRAINTS, true, &sequence(&parts))
        }
    });
    if let Some(bits) = wanted.key_usage {
        all.push(extension(KEY_USAGE, true, &named_bits(bits)));
    }
    if let Some(purpose) = wanted.extended_key_usage {
        all.push(extension(EXTENDED_KEY_USAGE, false, &sequence(&[oid(purpose)])));
    }
    if wanted.subject_key_id {
        all.push(extension(SUBJECT_KEY_IDENTIFIER, false, &tlv(0x04, &key_id(&template.key))));
    }
    if let Some(id) = wanted.authority_key_id {
        all.push(extension(AUTHORITY_KEY_IDENTIFIER, false, &sequence(&[tlv(0x80, id)])));
    }
    if !wanted.alternative_names.is_empty() {
        all.push(extension(SUBJECT_ALT_NAME, false, &sequence(wanted.alternative_names)));
    }
    all.extend_from_slice(wanted.more);
    tlv(0xa3, &sequence(&all))
}

/// The bytes of `template` that a key with the AlgorithmIdentifier `algorithm` is to sign. Fails with `validity_out_of_range`
/// for dates that cannot be written.
pub(crate) fn to_be_signed(template: &Template<'_>, algorithm: &[u8]) -> Result<Vec<u8>, X509Error> {
    let (Some(from), Some(to)) = (time(template.not_before), time(template.not_after)) else {
        return Err(X509Error::new(
            "validity_out_of_range",
            Some("D2"),
            "a date of the certificate lies before 1970 or after 9999",
            "ask for a shorter validity",
        ));
    };
    Ok(sequence(&[
        tlv(0xa0, &integer(&[2])),
        integer(&template.serial),
        algorithm.to_vec(),
        template.issuer.clone(),
        sequence(&[from, to]),
        template.subject.clone(),
        template.key.clone(),
        extensions(template),
    ]))
}

/// The AlgorithmIdentifier of what `key` signs.
pub(crate) fn algorithm(key: &dyn Signer) -> Result<Vec<u8>, X509Error> {
    key::issuing_algorithm(key.public_key()).ok_or_else(|| failed("the key is of a kind that signs nothing here"))
}

/// Puts a certificate together around `signed`, checks that its signature verifies and that it can be read back (D11).
pub(crate) fn finish(signed: &[u8], key: &dyn Signer) -> Result<Vec<u8>, X509Error> {
    let signature = key.sign(signed)?;
    let der = tlv(0x30, &concat(&[signed, &algorithm(key)?, &bit_string(&signature)]));
    let made = Certificate::read(&der).map_err(|_| failed("the certificate cannot be read back"))?;
    if key::signed_by(&made, key.public_key()) != Signed::Yes {
        return Err(failed("the signature that was made does not verify"));
    }
    Ok(der)
}

/// Signs `template` with `key` and returns the DER, verified and read back (D11).
pub(crate) fn sign(template: &Template<'_>, key: &dyn Signer) -> Result<Vec<u8>, X509Error> {
    finish(&to_be_signed(template, &algorithm(key)?)?, key)
}

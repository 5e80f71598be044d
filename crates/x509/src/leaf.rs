//! One registered client certificate: from what a user uploads to a leaf that may be bound to an identity (rules B1, B2, B8
//! to B10 of `research/pki.md` section 6b). It is known by its SHA-256 alone, so a self-signed one is as good as any. That the
//! user holds its key is proved in the handshake, not here.

use crate::X509Error;
use crate::bundle::{self, EXPIRY_WARNING, day};
use crate::certificate::{Certificate, DIGITAL_SIGNATURE, serial_remark};
use crate::key::{self, Signed};
use crate::pem::{self, Block};
use crate::{facts, name};
use countersign_core::Timestamp;
use countersign_core::credential::certificate::{CertificateFacts, Fingerprint};
use countersign_core::limits::CLOCK_SKEW;

/// A leaf that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredLeaf {
    /// The DER as it came.
    pub der: Vec<u8>,
    /// What it says of itself.
    pub facts: CertificateFacts,
    /// SHA-256 of the DER.
    pub fingerprint: Fingerprint,
    /// What was remarkable, rule by rule.
    pub warnings: Vec<String>,
    /// A private key came along and was thrown away.
    pub private_key_dropped: bool,
}

/// Reads one client certificate. With `admin`, a private key in the same paste is dropped and reported (seed 003's file holds
/// both); without it such a paste is refused before anything else is looked at. CA certificates next to the leaf are ignored
/// with a warning. The caller wipes its own buffer.
pub fn parse_registered(input: &[u8], now: Timestamp, admin: bool) -> Result<RegisteredLeaf, X509Error> {
    let found = pem::read(input)?;
    let has_key = found.has_private_key();
    if has_key && !admin {
        return Err(bundle::private_key(found.encrypted_key));
    }
    let mut ders: Vec<(usize, Vec<u8>)> = Vec::new();
    for (i, block) in found.blocks.into_iter().enumerate() {
        match block {
            Block::Certificate(der) if ders.iter().any(|(_, known)| *known == der) => {}
            Block::Certificate(der) => ders.push((i + 1, der)),
            Block::PrivateKey => {}
            Block::Other(label) => return Err(with_rule(bundle::mixed(i + 1, &label), "B1")),
        }
    }
    if has_key && ders.is_empty() {
        return Err(bundle::private_key(found.encrypted_key));
    }
    let mut read = Vec::new();
    for (index, der) in &ders {
        read.push((*index, Certificate::read(der).map_err(|e| with_rule(e.at(&format!("block {index}")), "B1"))?));
    }
    let mut warnings = Vec::new();
    let certificate = the_leaf(&read, &mut warnings)?;
    judge(certificate, now, &mut warnings)?;
    if has_key {
        warnings.push("A2: a private key came along; it was thrown away and is best replaced".into());
    }
    Ok(RegisteredLeaf {
        der: certificate.der.to_vec(),
        facts: facts::from(certificate),
        fingerprint: Fingerprint::of(certificate.der),
        warnings,
        private_key_dropped: has_key,
    })
}

fn with_rule(mut error: X509Error, rule: &'static str) -> X509Error {
    error.rule = Some(rule);
    error
}

/// B1: the only certificate, or the only one that is no CA.
fn the_leaf<'c, 'a>(read: &'c [(usize, Certificate<'a>)], warnings: &mut Vec<String>) -> Result<&'c Certificate<'a>, X509Error> {
    let hint = "send one client certificate; its CA may stand next to it, other clients' certificates may not";
    match read {
        [] => Err(X509Error::new("empty_input", Some("B1"), "the input holds no certificate", hint)),
        [(_, only)] => Ok(only),
        several => {
            let leaves: Vec<_> = several.iter().filter(|(_, c)| !c.is_ca()).collect();
            match leaves.as_slice() {
                [(_, leaf)] => {
                    warnings.push(format!("B1: {} CA certificate(s) next to the leaf were ignored", several.len() - 1));
                    Ok(leaf)
                }
                found => Err(X509Error::new(
                    "too_many_certificates",
                    Some("B1"),
                    format!("the input holds {} certificates, {} of them client certificates", several.len(), found.len()),
                    hint,
                )),
            }
        }
    }
}

fn judge(certificate: &Certificate<'_>, now: Timestamp, warnings: &mut Vec<String>) -> Result<(), X509Error> {
    if certificate.version != 3 {
        return Err(X509Error::new(
            "v1_certificate",
            Some("B8"),
            format!("it is an X.509 version {} certificate, which TLS stacks do not take from clients", certificate.version),
            "issue it again with `openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -out client.pem -days 365 -extfile \
             <(printf 'basicConstraints=CA:FALSE\\nkeyUsage=digitalSignature\\nextendedKeyUsage=clientAuth\\n')`",
        ));
    }
    validity(certificate, now, warnings)?;
    warnings.extend(serial_remark(&certificate.serial).map(|remark| format!("B2: {remark}")));
    key::check_signature_algorithm(certificate.algorithm, "B10")?;
    key::check_thoroughly(certificate.key)?;
    if let Some(oid) = certificate.unknown_critical {
        return Err(X509Error::new(
            "unknown_critical_extension",
            Some("B2"),
            format!("it has the critical extension {oid}, which is not understood here"),
            "issue it without that extension, or not marked critical",
        ));
    }
    if certificate.has_usage(DIGITAL_SIGNATURE) == Some(false) {
        if certificate.is_ca() {
            return Err(ca_as_leaf("it is a CA certificate, which signs others and is no client's"));
        }
        return Err(X509Error::new(
            "no_digital_signature",
            Some("B2"),
            "its keyUsage lacks digitalSignature, so it cannot prove itself in a TLS handshake",
            "issue it with keyUsage=digitalSignature",
        ));
    }
    match certificate.allows_client_auth() {
        Some(true) => {}
        None => warnings.push("B2: it has no extendedKeyUsage; clientAuth would be better".into()),
        Some(false) => {
            return Err(X509Error::new(
                "not_for_client_auth",
                Some("B2"),
                "its extendedKeyUsage leaves out clientAuth",
                "issue it with extendedKeyUsage=clientAuth; public CAs no longer do so, hence use your own CA or a self-signed certificate",
            ));
        }
    }
    let self_signed = certificate.is_self_issued() && key::signed_by(certificate, certificate.key) == Signed::Yes;
    if certificate.is_ca() {
        if !self_signed {
            return Err(ca_as_leaf("it is a CA certificate; only a self-signed one may stand for a client"));
        }
        warnings.push("B8: it calls itself a CA; it is bound as this one certificate and vouches for no other".into());
    }
    if certificate.subject.is_empty() && certificate.general_names().is_empty() {
        warnings.push(format!("B2: it names nobody; it is known by its fingerprint alone{}", issuer_note(certificate)));
    }
    Ok(())
}

fn ca_as_leaf(what: &str) -> X509Error {
    let hint = "send the client's own certificate, or add this CA to the namespace's accepted client CAs";
    X509Error::new("ca_certificate", Some("B8"), what, hint)
}

fn issuer_note(certificate: &Certificate<'_>) -> String {
    let issuer = name::rfc4514(certificate.decoded.tbs_certificate().issuer());
    if issuer.is_empty() { String::new() } else { format!(" (issuer {issuer})") }
}

fn validity(certificate: &Certificate<'_>, now: Timestamp, warnings: &mut Vec<String>) -> Result<(), X509Error> {
    if certificate.not_after.seconds() < now.seconds() {
        return Err(X509Error::new(
            "leaf_expired",
            Some("B8"),
            format!("it expired on {}", day(certificate.not_after)),
            "register its successor",
        ));
    }
    if certificate.not_after < certificate.not_before {
        return Err(X509Error::new("leaf_expired", Some("B8"), "its validity ends before it begins", "issue it again"));
    }
    if certificate.not_before > now.plus(CLOCK_SKEW) {
        warnings.push(format!("B8: it is not valid before {}", day(certificate.not_before)));
    }
    if certificate.not_after < now.plus(EXPIRY_WARNING) {
        warnings.push(format!("B10: it expires on {}", day(certificate.not_after)));
    }
    Ok(())
}

//! The certificate of a CA that was made elsewhere and is to sign here: what it says of itself must be what will be held to, since
//! nothing here keeps within limits that it cannot read (rules A5, A6, A8, A12 and D6 of `research/pki.md` section 6). It knows no other CA.

use crate::X509Error;
use crate::certificate::{CRL_SIGN, Certificate};
use crate::name;
use countersign_core::Timestamp;
use countersign_core::limits::CLOCK_SKEW;

/// Refuses one that has a critical extension nobody here understands, no subject or one that readers may read differently, or that
/// begins in the future; and, where it is to sign (`signs`), one with name constraints, without the usage for lists, or for other
/// purposes than clients. That it is a CA is for [`crate::issuer::IssuerCertificate::read`] to say.
///
/// # Errors
/// `not_a_certificate`, `unknown_critical_extension`, `bad_name`, `ca_not_yet_valid`, `unsupported_name_constraint`,
/// `not_a_crl_signer`, `not_for_client_auth`.
pub fn check(der: &[u8], now: Timestamp, signs: bool) -> Result<(), X509Error> {
    let certificate = Certificate::read(der)?;
    if let Some(oid) = certificate.unknown_critical {
        let text = format!("the CA's certificate has the critical extension {oid}, which is not understood here");
        return Err(X509Error::new("unknown_critical_extension", Some("A12"), text, "make the CA without it, or not marked critical"));
    }
    let subject = certificate.decoded.tbs_certificate().subject();
    if certificate.subject.is_empty() || name::facts(subject).ambiguous {
        return Err(X509Error::new(
            "bad_name",
            Some("D6"),
            "the CA's subject is empty, or has control characters or values that readers may read differently",
            "make the CA with a plain subject, such as O=Example,CN=Example issuing CA 1",
        ));
    }
    if certificate.not_before > now.plus(CLOCK_SKEW) {
        let text = "the CA's certificate is not valid yet";
        return Err(X509Error::new("ca_not_yet_valid", Some("A8"), text, "import it when it is valid"));
    }
    if !signs {
        return Ok(());
    }
    if certificate.name_constraints.is_some() {
        return Err(X509Error::new(
            "unsupported_name_constraint",
            Some("A12"),
            "the CA's certificate has nameConstraints, which nothing here would keep within",
            "import one without them; who may be named is a matter of the applications' certified names",
        ));
    }
    if certificate.has_usage(CRL_SIGN) == Some(false) {
        return Err(X509Error::new(
            "not_a_crl_signer",
            Some("A5"),
            "the CA's certificate lacks keyUsage cRLSign, so nobody would accept its revocation list",
            "make one with keyUsage keyCertSign and cRLSign",
        ));
    }
    if certificate.allows_client_auth() == Some(false) {
        return Err(X509Error::new(
            "not_for_client_auth",
            Some("A6"),
            "the CA's extendedKeyUsage leaves out clientAuth, so that none of its clients would be let in",
            "make one with clientAuth, or without extendedKeyUsage",
        ));
    }
    Ok(())
}

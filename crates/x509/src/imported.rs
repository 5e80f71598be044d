//! The certificate of a CA that was made elsewhere and is to sign here: what it says of itself must be what will be held to, since
//! nothing here keeps within limits that it cannot read (rules A5 to A9, A12, A13 and D6 of `research/pki.md` section 6). It keeps no list of
//! CAs: the caller hands in those that are known.

use crate::X509Error;
use crate::bundle::day;
use crate::certificate::{CRL_SIGN, Certificate};
use crate::chain::INTERMEDIATES_MAX;
use crate::key::{self, Signed};
use crate::name;
use countersign_core::Timestamp;
use countersign_core::limits::CLOCK_SKEW;

/// Finds the CA that signed `der` among the certificates `known`, and returns its index; `None` for a root, which signed itself. Refuses a
/// CA whose certificates OpenSSL or Go would refuse for what is above it: a signature that does not match or is broken, an issuer that is
/// not known, a pathLen that has no room, or an issuer that has expired, has name constraints or is not for clients.
///
/// # Errors
/// `not_a_certificate`, `bad_signature`, `sha1_signature`, `unsupported_signature`, `issuer_missing`, `path_length`, `ca_expired`,
/// `unsupported_name_constraint`, `not_for_client_auth`.
pub fn above(der: &[u8], known: &[&[u8]], now: Timestamp) -> Result<Option<usize>, X509Error> {
    let certificate = Certificate::read(der)?;
    // Unreadable ones were never imported; one that is unreadable today is nobody's issuer.
    let known: Vec<(usize, Certificate<'_>)> =
        known.iter().enumerate().filter_map(|(index, der)| Certificate::read(der).ok().map(|read| (index, read))).collect();
    let Some(parent) = signer(&certificate, &known)? else { return Ok(None) };
    let mut current = &parent.1;
    let mut below = 1_usize;
    loop {
        admits(current, below, now)?;
        let Some((_, next)) = signer(current, &known)? else { return Ok(Some(parent.0)) };
        current = next;
        below += 1;
    }
}

/// The known CA that signed `certificate`; `None` where it signed itself.
fn signer<'k, 'd>(
    certificate: &Certificate<'_>,
    known: &'k [(usize, Certificate<'d>)],
) -> Result<Option<&'k (usize, Certificate<'d>)>, X509Error> {
    if certificate.is_self_issued() && key::signed_by(certificate, certificate.key) == Signed::Yes {
        return Ok(None);
    }
    // Also says which algorithm, where the signature is one that nobody here can verify.
    key::check_signature_algorithm(certificate.algorithm, "A9")?;
    let mut named = known.iter().filter(|(_, ca)| ca.subject == certificate.issuer && ca.der != certificate.der).peekable();
    if named.peek().is_none() && !certificate.is_self_issued() {
        let issuer: String = name::rfc4514(certificate.decoded.tbs_certificate().issuer()).chars().take(100).collect();
        return Err(X509Error::new(
            "issuer_missing",
            Some("A7"),
            format!(
                "the CA's certificate was issued by {issuer}, which is not known here, so neither its signature nor its path can be checked"
            ),
            format!("import the certificate of {issuer} first, which needs no private key"),
        ));
    }
    named.find(|(_, ca)| key::signed_by(certificate, ca.key) == Signed::Yes).map(Some).ok_or_else(|| {
        X509Error::new(
            "bad_signature",
            Some("A7"),
            "the CA's certificate has a signature that does not match its issuer's key",
            "export the certificate again; if another CA of the same name issued it, import that CA first",
        )
    })
}

/// Whether `ca` may stand above `below` CAs that end in one that signs clients' certificates.
fn admits(ca: &Certificate<'_>, below: usize, now: Timestamp) -> Result<(), X509Error> {
    let name: String = name::rfc4514(ca.decoded.tbs_certificate().subject()).chars().take(100).collect();
    let limit = ca.basic_constraints.and_then(|basic| basic.path_len);
    if limit.is_some_and(|limit| usize::from(limit) < below) || below > INTERMEDIATES_MAX {
        let limit = limit.map_or_else(|| format!("{INTERMEDIATES_MAX} at most here"), |limit| format!("pathLen {limit}"));
        let text = format!("{name} may have fewer CAs below it than this path has ({limit})");
        return Err(X509Error::new(
            "path_length",
            Some("A13"),
            text,
            "have the upper CA issued with a larger pathLen, or import a CA nearer to it",
        ));
    }
    if ca.not_after.seconds() < now.seconds() {
        let text = format!("{name}, which issued the CA's certificate, expired on {}", day(ca.not_after));
        return Err(X509Error::new("ca_expired", Some("A8"), text, "import a CA whose issuers are valid"));
    }
    if ca.name_constraints.is_some() {
        let text = format!("{name} has nameConstraints, which nothing here would keep within");
        return Err(X509Error::new("unsupported_name_constraint", Some("A12"), text, "import a CA whose issuers have none"));
    }
    if ca.allows_client_auth() == Some(false) {
        let text = format!("the extendedKeyUsage of {name} leaves out clientAuth, so that no client below it would be let in");
        return Err(X509Error::new("not_for_client_auth", Some("A6"), text, "import a CA whose issuers allow clientAuth"));
    }
    Ok(())
}

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

//! What a certificate says of itself, in the core's words. Filters and lists read these facts and never the DER, so a byte
//! that two readers might read differently must not become a value here.

use crate::X509Error;
use crate::certificate::Certificate;
use crate::{name, text};
use const_oid::ObjectIdentifier;
use countersign_core::credential::certificate::{CertificateFacts, Fingerprint};

/// noRevAvail (RFC 9608).
const NO_REV_AVAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.56");

/// The facts of one certificate in DER. Fails with `not_a_certificate` when the bytes are none.
pub fn of(der: &[u8]) -> Result<CertificateFacts, X509Error> {
    Certificate::read(der).map(|certificate| from(&certificate))
}

/// The SubjectPublicKeyInfo of a certificate in DER; `None` when the bytes are none.
pub fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    Certificate::read(der).ok().map(|certificate| certificate.key.to_vec())
}

pub(crate) fn from(certificate: &Certificate<'_>) -> CertificateFacts {
    let tbs = certificate.decoded.tbs_certificate();
    let subject = name::facts(tbs.subject());
    let canonical = name::canonical(tbs.subject());
    CertificateFacts {
        subject: name::rfc4514(tbs.subject()),
        issuer: name::rfc4514(tbs.issuer()),
        serial: serial(&certificate.serial),
        common_names: subject.common_names,
        organizations: subject.organizations,
        organizational_units: subject.organizational_units,
        alternative_names: alternative_names(certificate),
        subject_ambiguous: subject.ambiguous,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        key: Some(Fingerprint::of(certificate.key)),
        name: Some(Fingerprint::of(canonical.as_bytes())),
        look: Some(Fingerprint::of(text::skeleton(&canonical).as_bytes())),
        // RFC 9608 section 3: a CA's own certificate may not say so, and is not believed.
        no_list: !certificate.is_ca() && tbs.extensions().into_iter().flatten().any(|extension| extension.extn_id == NO_REV_AVAIL),
    }
}

/// The number itself: DER's padding zero is no part of it.
fn serial(bytes: &[u8]) -> String {
    let significant = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    hex(significant)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// rfc822Name, dNSName and URI entries. One that is no ASCII text, or holds a control character, is left out: no filter may
/// match what a reader could cut short at a NUL.
fn alternative_names(certificate: &Certificate<'_>) -> Vec<String> {
    certificate
        .general_names()
        .iter()
        .filter(|entry| matches!(entry.tag, 0x81 | 0x82 | 0x86))
        .filter(|entry| entry.value.is_ascii() && !entry.value.iter().any(u8::is_ascii_control))
        .map(|entry| String::from_utf8_lossy(entry.value).into_owned())
        .collect()
}

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
        content: Some(Fingerprint::of(certificate.signed)),
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

/// rfc822Name, dNSName, URI and IP address entries, each with its kind in front. One that is no ASCII text, or holds a control character,
/// is left out: no filter may match what a reader could cut short at a NUL.
fn alternative_names(certificate: &Certificate<'_>) -> Vec<String> {
    let text = |value: &[u8]| {
        let plain = value.is_ascii() && !value.iter().any(u8::is_ascii_control);
        plain.then(|| String::from_utf8_lossy(value).into_owned())
    };
    let named = certificate.general_names();
    let names = named.iter().filter_map(|entry| {
        let (kind, name) = match entry.tag {
            0x81 => ("email", text(entry.value)?),
            0x82 => ("dns", text(entry.value)?),
            0x86 => ("uri", text(entry.value)?),
            0x87 => match (<[u8; 4]>::try_from(entry.value), <[u8; 16]>::try_from(entry.value)) {
                (Ok(four), _) => ("ip", std::net::Ipv4Addr::from(four).to_string()),
                (_, Ok(sixteen)) => ("ip", std::net::Ipv6Addr::from(sixteen).to_string()),
                _ => return None,
            },
            _ => return None,
        };
        Some(format!("{kind}:{name}"))
    });
    names.collect()
}

//! A namespace's accepted client CAs: from what a user uploads to a list every rule of which holds (A1 to A15 of
//! `research/pki.md` section 6a). It is all or nothing: one refused block refuses the bundle. It never looks at another
//! namespace, and it cannot know who connects.

use crate::X509Error;
use crate::certificate::{BasicConstraints, CRL_SIGN, Certificate, KEY_CERT_SIGN, children, serial_remark};
use crate::facts::{self, hex};
use crate::key::{self, Signed, Strength};
use crate::name;
use crate::pem::{self, Block};
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::limits::{ACCEPTED_CLIENT_CAS_MAX, CA_BUNDLE_BYTES_MAX, CLOCK_SKEW};
use countersign_core::namespace::AcceptedCa;
use countersign_core::{Lifetime, Timestamp};

/// Different keys under one subject, for rolling a CA over (A14). More cost the path builder its budget.
pub const SAME_SUBJECT_MAX: usize = 4;
/// How long before its end a certificate is remarked upon (A8).
pub const EXPIRY_WARNING: Lifetime = Lifetime::from_days(30);

/// Reads a bundle. `has_filters` says whether the namespace has a certificate filter, without which a public root is refused
/// (A11). The result is in the input's order; a certificate that stands there twice is kept once.
pub fn parse(input: &[u8], now: Timestamp, has_filters: bool) -> Result<Vec<AcceptedCa>, X509Error> {
    let found = pem::read(input)?;
    if found.has_private_key() {
        return Err(private_key(found.encrypted_key));
    }
    if found.bytes > CA_BUNDLE_BYTES_MAX {
        return Err(X509Error::new(
            "bundle_too_large",
            Some("A1"),
            format!("the bundle has {} bytes; at most {CA_BUNDLE_BYTES_MAX} are accepted", found.bytes),
            "leave out comments and CAs that are no longer needed",
        ));
    }
    let mut ders: Vec<(usize, Vec<u8>)> = Vec::new();
    for (i, block) in found.blocks.into_iter().enumerate() {
        match block {
            Block::Certificate(der) if ders.iter().any(|(_, known)| *known == der) => {}
            Block::Certificate(der) => ders.push((i + 1, der)),
            // Refused above.
            Block::PrivateKey => return Err(private_key(found.encrypted_key)),
            Block::Other(label) => return Err(mixed(i + 1, &label)),
        }
    }
    if ders.is_empty() {
        return Err(X509Error::new(
            "empty_input",
            Some("A1"),
            "the input holds no certificate",
            "paste the PEM text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
        ));
    }
    if ders.len() > ACCEPTED_CLIENT_CAS_MAX {
        return Err(X509Error::new(
            "too_many_certificates",
            Some("A1"),
            format!("the bundle has {} certificates; at most {ACCEPTED_CLIENT_CAS_MAX} are accepted", ders.len()),
            "leave out CAs that are no longer needed",
        ));
    }
    let mut read = Vec::with_capacity(ders.len());
    for (index, der) in &ders {
        let certificate = Certificate::read(der).map_err(|mut e| {
            e.rule = e.rule.or(Some("A12"));
            e.at(&format!("block {index}"))
        })?;
        let place = place(*index, &certificate);
        read.push((place, certificate));
    }
    let mut accepted = Vec::with_capacity(read.len());
    for (place, certificate) in &read {
        let mut warnings = Vec::new();
        let well_known = judge(certificate, now, has_filters, &mut warnings).map_err(|e| e.at(place))?;
        let issuers = issued(certificate, &read, &mut warnings).map_err(|e| e.at(place))?;
        depth(certificate, &read).map_err(|e| e.at(place))?;
        if issuers == 0 {
            return Err(no_issuer(certificate).at(place));
        }
        accepted.push(ca(certificate, warnings, well_known));
    }
    same_subject(&read)?;
    Ok(accepted)
}

/// The bundle as `tcld` and the API write it: PEM blocks joined by one newline, none at the end.
pub fn to_pem(cas: &[AcceptedCa]) -> String {
    cas.iter().map(|ca| pem::certificate(&ca.der)).collect::<Vec<_>>().join("\n")
}

fn place(index: usize, certificate: &Certificate<'_>) -> String {
    let subject: String = name::rfc4514(certificate.decoded.tbs_certificate().subject()).chars().take(100).collect();
    format!("block {index} ({subject})")
}

fn ca(certificate: &Certificate<'_>, warnings: Vec<String>, well_known: bool) -> AcceptedCa {
    let facts = facts::from(certificate);
    let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.der);
    AcceptedCa {
        der: certificate.der.to_vec(),
        fingerprint: Fingerprint::of(certificate.der),
        fingerprint_sha1: hex(sha1.as_ref()),
        subject: facts.subject,
        issuer: facts.issuer,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        warnings,
        well_known,
        refuse_after: None,
    }
}

/// A private key reached us in a place where none belongs. One that a password locks is not out yet, which is another thing to be told.
pub(crate) fn private_key(encrypted: bool) -> X509Error {
    if encrypted {
        return X509Error::new(
            "encrypted_key_in_upload",
            Some("A2"),
            "the input holds an encrypted private key; nothing of it was stored",
            "send only the CERTIFICATE blocks; whoever saw the upload can now guess at the key's password, so best make a new key pair",
        );
    }
    X509Error::new(
        "private_key_in_upload",
        Some("A2"),
        "the input holds a private key; nothing of it was stored",
        "treat that key as exposed: make a new key pair, have a new certificate issued, and send only the CERTIFICATE blocks",
    )
}

pub(crate) fn mixed(index: usize, label: &str) -> X509Error {
    if label == "TRUSTED CERTIFICATE" {
        return X509Error::new(
            "trusted_certificate",
            Some("A1"),
            format!("block {index} is an OpenSSL TRUSTED CERTIFICATE, whose extra settings nothing else reads"),
            "convert it with `openssl x509 -in FILE -out ca.pem`",
        );
    }
    X509Error::new(
        "mixed_content",
        Some("A3"),
        format!("block {index} is a {label}, not a certificate"),
        "send only the CERTIFICATE blocks",
    )
}

/// The rules that look at one certificate alone. Returns whether it is a public root.
fn judge(certificate: &Certificate<'_>, now: Timestamp, has_filters: bool, warnings: &mut Vec<String>) -> Result<bool, X509Error> {
    shape(certificate, warnings)?;
    warnings.extend(serial_remark(&certificate.serial).map(|remark| format!("A1: {remark}")));
    usage(certificate, warnings)?;
    validity(certificate, now, warnings)?;
    if certificate.is_self_issued() {
        if let Strength::Broken(hash) = key::strength(certificate.algorithm) {
            warnings.push(format!("A9: the root signed itself with {hash}; this weakens nothing, but other tools may complain"));
        }
    } else {
        key::check_signature_algorithm(certificate.algorithm, "A9")?;
    }
    key::check_thoroughly(certificate.key)?;
    constraints(certificate)?;
    let public = key::is_public_root(certificate.key);
    if public && !has_filters {
        return Err(X509Error::new(
            "well_known_ca",
            Some("A11"),
            "this is a root of the public Web: anybody can get a certificate from it",
            "use your own CA, or first set at least one certificate filter on the namespace",
        ));
    }
    if public {
        warnings
            .push("A11: a root of the public Web; only the certificate filters keep strangers out, so they cannot all be removed".into());
    }
    Ok(public)
}

/// A4 and A15.
fn shape(certificate: &Certificate<'_>, warnings: &mut Vec<String>) -> Result<(), X509Error> {
    if certificate.version != 3 {
        return Err(X509Error::new(
            "v1_certificate",
            Some("A4"),
            format!("it is an X.509 version {} certificate, which cannot say that it is a CA", certificate.version),
            "make the CA again with `openssl req -x509 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign`",
        ));
    }
    if certificate.subject.is_empty() {
        return Err(X509Error::new(
            "empty_subject",
            Some("A4"),
            "its subject is empty, so no certificate can name it as its issuer",
            "make the CA again with a subject",
        ));
    }
    let self_signed = certificate.is_self_issued();
    match certificate.basic_constraints {
        Some(BasicConstraints { ca: true, critical, .. }) => {
            if !critical {
                warnings.push("A4: basicConstraints is not marked critical".into());
            }
            Ok(())
        }
        None if self_signed => Err(X509Error::new(
            "not_a_ca",
            Some("A4"),
            "it has no basicConstraints, so nothing says that it is a CA",
            "make the CA again with basicConstraints=critical,CA:TRUE",
        )),
        _ => Err(X509Error::new(
            "not_a_ca",
            Some("A15"),
            "it is an end-entity certificate, not a CA",
            "upload the certificate of the CA that issued it; to bind this one certificate to an identity, register it as a certificate instead",
        )),
    }
}

/// A5 and A6.
fn usage(certificate: &Certificate<'_>, warnings: &mut Vec<String>) -> Result<(), X509Error> {
    match certificate.has_usage(KEY_CERT_SIGN) {
        None => warnings.push("A5: it has no keyUsage".into()),
        Some(false) => {
            return Err(X509Error::new(
                "no_cert_sign",
                Some("A5"),
                "its keyUsage lacks keyCertSign, so it may not sign certificates",
                "make the CA again with keyUsage=critical,keyCertSign,cRLSign",
            ));
        }
        Some(true) if certificate.has_usage(CRL_SIGN) == Some(false) => {
            warnings.push("A5: its keyUsage lacks cRLSign; its revocation lists will not be accepted".into());
        }
        Some(true) => {}
    }
    if certificate.allows_client_auth() == Some(false) {
        return Err(X509Error::new(
            "not_for_client_auth",
            Some("A6"),
            "its extendedKeyUsage leaves out clientAuth, so it can never vouch for a client",
            "use a CA without extendedKeyUsage, or one that lists clientAuth",
        ));
    }
    Ok(())
}

/// A8.
fn validity(certificate: &Certificate<'_>, now: Timestamp, warnings: &mut Vec<String>) -> Result<(), X509Error> {
    if certificate.not_after.seconds() < now.seconds() {
        return Err(X509Error::new(
            "ca_expired",
            Some("A8"),
            format!("it expired on {}", day(certificate.not_after)),
            "leave it out, or upload its successor",
        ));
    }
    if certificate.not_before > now.plus(CLOCK_SKEW) {
        return Err(X509Error::new(
            "ca_not_yet_valid",
            Some("A8"),
            format!("it is not valid before {}", day(certificate.not_before)),
            "upload it when it is valid",
        ));
    }
    if certificate.not_after < now.plus(EXPIRY_WARNING) {
        warnings.push(format!("A8: it expires on {}; its clients are locked out from then on", day(certificate.not_after)));
    }
    Ok(())
}

/// A12.
fn constraints(certificate: &Certificate<'_>) -> Result<(), X509Error> {
    if let Some(oid) = certificate.unknown_critical {
        return Err(X509Error::new(
            "unknown_critical_extension",
            Some("A12"),
            format!("it has the critical extension {oid}, which is not understood here"),
            "make the CA without it, or not marked critical",
        ));
    }
    let Some(bytes) = certificate.name_constraints else { return Ok(()) };
    name_constraints(bytes)
}

/// RFC 5280 section 4.2.1.10: permitted [0] and excluded [1] subtrees, each at most once, one at least; of a subtree only its base, because
/// the minimum is 0 and so not written, and there is no maximum.
fn name_constraints(content: &[u8]) -> Result<(), X509Error> {
    let refuse = |what: &str| {
        let text = format!("its nameConstraints {what}");
        X509Error::new("unsupported_name_constraint", Some("A12"), text, "make the CA with DNS or IP name constraints only, or without any")
    };
    let unreadable = || refuse("are not in strict DER");
    let sides = children(content).map_err(|_| unreadable())?;
    if !matches!(sides.iter().map(|side| side.tag).collect::<Vec<_>>().as_slice(), [0xa0 | 0xa1] | [0xa0, 0xa1]) {
        return Err(unreadable());
    }
    for side in &sides {
        let subtrees = children(side.value).map_err(|_| unreadable())?;
        if subtrees.is_empty() {
            return Err(unreadable());
        }
        for subtree in &subtrees {
            let fields = if subtree.tag == 0x30 { children(subtree.value).map_err(|_| unreadable())? } else { Vec::new() };
            let base = match fields.as_slice() {
                [base] => base,
                [_, ..] => return Err(refuse("give a subtree a minimum or a maximum, which nothing here would keep within")),
                [] => return Err(unreadable()),
            };
            // dNSName and iPAddress are what the path validator processes; with any other kind nobody could log in.
            let sound = match base.tag {
                0x82 => base.value.is_ascii(),
                0x87 => matches!(base.value.len(), 8 | 32),
                _ => return Err(refuse("hold a kind other than DNS name and IP address, which would refuse every client")),
            };
            if !sound {
                return Err(refuse("hold a DNS name or an IP address that cannot be read"));
            }
        }
    }
    Ok(())
}

/// A7: how many certificates of the bundle, itself included, signed this one. A claimed issuer that did not sign is refused.
fn issued(certificate: &Certificate<'_>, all: &[(String, Certificate<'_>)], warnings: &mut Vec<String>) -> Result<usize, X509Error> {
    let bad = || {
        X509Error::new(
            "bad_signature",
            Some("A7"),
            "its signature does not match its issuer's key",
            "export the certificate again; if it comes from another CA of the same name, upload that CA too",
        )
    };
    let mut signers = 0;
    let mut refuted = false;
    for (_, issuer) in all.iter().filter(|(_, other)| other.subject == certificate.issuer) {
        match key::signed_by(certificate, issuer.key) {
            Signed::Yes => signers += 1,
            Signed::No => refuted = true,
            Signed::CannotSay if issuer.der == certificate.der => {
                signers += 1;
                warnings.push("A9: its own signature uses an algorithm that is not verified here".into());
            }
            Signed::CannotSay => refuted = true,
        }
    }
    if signers == 0 && refuted { Err(bad()) } else { Ok(signers) }
}

fn no_issuer(certificate: &Certificate<'_>) -> X509Error {
    let issuer: String = name::rfc4514(certificate.decoded.tbs_certificate().issuer()).chars().take(100).collect();
    X509Error::new(
        "issuer_missing",
        Some("A7"),
        "it is an intermediate CA and its issuer is not in the bundle",
        format!("add the certificate of {issuer} to the bundle"),
    )
}

/// A13: walks up by name and refuses a path that an ancestor's pathLen, or the limit of four, forbids.
fn depth(certificate: &Certificate<'_>, all: &[(String, Certificate<'_>)]) -> Result<(), X509Error> {
    let mut below = 0_u8;
    let mut current = certificate;
    while !current.is_self_issued() && usize::from(below) <= all.len() {
        let Some((_, issuer)) =
            all.iter().find(|(_, other)| other.subject == current.issuer && key::signed_by(current, other.key) == Signed::Yes)
        else {
            return Ok(());
        };
        if issuer.basic_constraints.and_then(|b| b.path_len).is_some_and(|limit| limit <= below) {
            return Err(X509Error::new(
                "path_length",
                Some("A13"),
                "the pathLen of a CA above it forbids it",
                "have the upper CA issued with a larger pathLen, or leave this intermediate out",
            ));
        }
        below += 1;
        if usize::from(below) > super::chain::INTERMEDIATES_MAX {
            return Err(X509Error::new(
                "path_length",
                Some("A13"),
                format!("more than {} CAs lie between it and its root", super::chain::INTERMEDIATES_MAX),
                "use a CA nearer to the root",
            ));
        }
        current = issuer;
    }
    Ok(())
}

/// A14.
fn same_subject(all: &[(String, Certificate<'_>)]) -> Result<(), X509Error> {
    for (place, certificate) in all {
        let mut keys: Vec<&[u8]> = all.iter().filter(|(_, c)| c.subject == certificate.subject).map(|(_, c)| c.key).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > SAME_SUBJECT_MAX {
            return Err(X509Error::new(
                "too_many_same_subject",
                Some("A14"),
                format!("{} different keys have the same subject; at most {SAME_SUBJECT_MAX} are accepted", keys.len()),
                "remove the retired generations of this CA",
            )
            .at(place));
        }
    }
    Ok(())
}

/// A date and time for people, UTC.
pub(crate) fn day(moment: Timestamp) -> String {
    let seconds = std::time::Duration::from_secs(u64::try_from(moment.seconds()).unwrap_or(0));
    der::DateTime::from_unix_duration(seconds).map_or_else(|_| "an unreadable date".into(), |d| d.to_string())
}

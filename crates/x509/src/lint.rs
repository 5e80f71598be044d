//! What every certificate made here has to be, checked on the finished bytes by code that did not make them: before signing
//! (D11), and later by `check certs` on what was issued. Findings name their rule; one finding and nothing is signed. It
//! judges our own profiles only: foreign certificates have their own rules (`bundle`, `leaf`, `chain`).

use crate::X509Error;
use crate::alternative_name::AlternativeName;
use crate::certificate::{
    AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, CLIENT_AUTH, CRL_SIGN, Certificate, DIGITAL_SIGNATURE, EXTENDED_KEY_USAGE, KEY_CERT_SIGN,
    KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER, children,
};
use crate::encode::{bit_string, concat, tlv};
use crate::issue;
use crate::issuer::{BACKDATED, IssuerCertificate, OCSP_NO_CHECK, OCSP_SIGNING};
use crate::key::{self, Signed};
use crate::publication::{AUTHORITY_INFO_ACCESS, CRL_DISTRIBUTION_POINTS};
use crate::subject::{Attribute, Subject};
use const_oid::ObjectIdentifier;
use countersign_core::{Lifetime, Timestamp};

/// Bytes of a certificate (D7).
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// What a certificate was made to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A client's leaf.
    Client,
    /// A self-signed root.
    Root,
    /// A CA that signs leaves.
    Issuing,
    /// An OCSP responder.
    Responder,
    /// Another CA under one of ours.
    Cross,
}

impl Profile {
    const fn usages(self) -> &'static [u8] {
        match self {
            Self::Client | Self::Responder => &[DIGITAL_SIGNATURE],
            Self::Root => &[KEY_CERT_SIGN, CRL_SIGN],
            Self::Issuing | Self::Cross => &[DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN],
        }
    }

    const fn purpose(self) -> Option<ObjectIdentifier> {
        match self {
            Self::Client => Some(CLIENT_AUTH),
            Self::Responder => Some(OCSP_SIGNING),
            _ => None,
        }
    }

    const fn is_ca(self) -> bool {
        matches!(self, Self::Root | Self::Issuing | Self::Cross)
    }

    fn extensions(self) -> &'static [ObjectIdentifier] {
        match self {
            Self::Client => &[
                BASIC_CONSTRAINTS,
                KEY_USAGE,
                EXTENDED_KEY_USAGE,
                SUBJECT_KEY_IDENTIFIER,
                AUTHORITY_KEY_IDENTIFIER,
                SUBJECT_ALT_NAME,
                CRL_DISTRIBUTION_POINTS,
                AUTHORITY_INFO_ACCESS,
            ],
            Self::Responder => {
                &[BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_KEY_IDENTIFIER, AUTHORITY_KEY_IDENTIFIER, OCSP_NO_CHECK]
            }
            Self::Root | Self::Issuing | Self::Cross => &[
                BASIC_CONSTRAINTS,
                KEY_USAGE,
                SUBJECT_KEY_IDENTIFIER,
                AUTHORITY_KEY_IDENTIFIER,
                CRL_DISTRIBUTION_POINTS,
                AUTHORITY_INFO_ACCESS,
            ],
        }
    }
}

/// What is known beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// When it was built; without it the age of notBefore cannot be judged.
    pub built_at: Option<Timestamp>,
    /// The longest life, from notBefore to notAfter, both seconds included.
    pub lifetime_max: Option<Lifetime>,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of `research/pki.md` section 6.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Judges a finished certificate, its signature included.
pub fn certificate(der: &[u8], profile: Profile, issuer: &IssuerCertificate, limits: &Limits) -> Vec<Finding> {
    let Ok(read) = Certificate::read(der) else { return vec![unreadable()] };
    let mut findings = judge(&read, profile, issuer, limits);
    if key::signed_by(&read, issuer.public_key()) != Signed::Yes {
        findings.push(finding("D11", "its signature is not the issuer's"));
    }
    findings
}

/// Judges a TBSCertificate before it is signed.
pub(crate) fn to_be_signed(bytes: &[u8], profile: Profile, issuer: &IssuerCertificate, limits: &Limits) -> Vec<Finding> {
    let der = tlv(0x30, &concat(&[bytes, issuer.algorithm(), &bit_string(&[])]));
    let Ok(read) = Certificate::read(&der) else { return vec![unreadable()] };
    judge(&read, profile, issuer, limits)
}

/// One finding and nothing is signed.
pub(crate) fn refuse(findings: &[Finding]) -> Result<(), X509Error> {
    let Some(first) = findings.first() else { return Ok(()) };
    Err(X509Error::new(
        "lint_failed",
        Some(first.rule),
        format!("the certificate was not signed because it breaks a rule of its profile: {}", first.message),
        "report it with this sentence; nothing was issued",
    ))
}

fn finding(rule: &'static str, message: impl Into<String>) -> Finding {
    Finding { rule, message: message.into() }
}

fn unreadable() -> Finding {
    finding("D7", "it is no X.509 certificate in strict DER")
}

fn judge(read: &Certificate<'_>, profile: Profile, issuer: &IssuerCertificate, limits: &Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut rule = |holds: bool, id: &'static str, message: &str| {
        if !holds {
            found.push(finding(id, message));
        }
    };
    rule(read.version == 3, "D4", "it is not of version 3");
    rule(read.der.len() <= CERTIFICATE_BYTES_MAX, "D7", "it has more than 8 KiB");
    // `serial` is the content of the INTEGER.
    let positive = read.serial.first().is_some_and(|b| *b < 0x80) && read.serial.iter().any(|b| *b != 0);
    rule(positive && read.serial.len() <= 20, "D1", "its serial number is not positive or has more than 20 octets");
    // Eight octets could not hold 64 bits of chance and be positive; ours have sixteen.
    rule(read.serial.len() >= 15, "D1", "its serial number is too short to hold 64 bits of chance");
    rule(tlv(0x30, read.algorithm) == issuer.algorithm(), "D10", "it is signed with another algorithm than the issuer's key has");
    rule(tlv(0x30, read.issuer) == issuer.subject(), "D3", "its issuer is not the issuer's subject, byte for byte");
    rule(!read.subject.is_empty(), "D6", "its subject is empty");
    dates(read, profile, issuer, limits, &mut rule);
    rule(key::check(read.key).is_ok(), "C7", "its key is weak or of an unsupported kind");
    rule((profile == Profile::Root) == (read.key == issuer.public_key()), "C7", "its key is its issuer's");

    let constraints = read.basic_constraints;
    rule(constraints.is_some_and(|b| b.critical && b.ca == profile.is_ca()), "D4", "basicConstraints is missing, not critical or wrong");
    let limit = constraints.and_then(|b| b.path_len);
    rule(
        match profile {
            Profile::Issuing => limit == Some(0),
            Profile::Cross => limit.is_some(),
            Profile::Client | Profile::Root | Profile::Responder => limit.is_none(),
        },
        "D4",
        "its path length is not the profile's",
    );
    let usages: Vec<u8> = (0..=8).filter(|bit| read.has_usage(*bit) == Some(true)).collect();
    rule(usages == profile.usages(), "D4", "its keyUsage is not exactly the profile's");
    let purposes = read.extended_key_usage.as_deref();
    rule(purposes == profile.purpose().as_ref().map(std::slice::from_ref), "D5", "its extendedKeyUsage is not exactly the profile's");
    rule(read.authority_key_id == Some(issuer.key_id()), "D3", "its authorityKeyIdentifier is not the issuer's subjectKeyIdentifier");
    // A cross-certificate repeats the identifier that the other CA already has.
    let own = issue::key_id(read.key);
    rule(
        read.subject_key_id.is_some_and(|id| profile == Profile::Cross || id == own),
        "D3",
        "its subjectKeyIdentifier is missing or not that of its key",
    );
    let names_sound = read.alternative_names.is_none_or(|names| !names.is_empty() && crate::alternative_name::read(names).is_ok());
    rule(names_sound, "C11", "an alternative name is not one that is taken");
    let taken = read.alternative_names.and_then(|names| crate::alternative_name::read(names).ok()).unwrap_or_default();
    let mails_repeated = Subject::from_der(&tlv(0x30, read.subject)).is_ok_and(|subject| {
        subject.values(Attribute::Email).all(|mail| AlternativeName::email(mail).is_ok_and(|name| taken.contains(&name)))
    });
    // Our CAs may come from elsewhere and have subjects of their own; what we write for clients is ours alone.
    rule(
        profile != Profile::Client || mails_repeated,
        "D6",
        "its subject is not one that is taken, or has a mail address that the alternative names lack",
    );
    extensions(read, profile, &mut rule);
    // What was read is written again: a default that was written out, or a length in a longer form, does not come back.
    rule(der::Encode::to_der(&read.decoded).is_ok_and(|again| again == read.der), "D7", "it is not in strict DER");
    found
}

fn dates(
    read: &Certificate<'_>,
    profile: Profile,
    issuer: &IssuerCertificate,
    limits: &Limits,
    rule: &mut impl FnMut(bool, &'static str, &str),
) {
    let (from, to) = (read.not_before.seconds(), read.not_after.seconds());
    rule(from < to, "D2", "its validity ends before it begins");
    rule(to <= issuer.not_after().seconds(), "D2", "it outlives its issuer");
    rule(profile == Profile::Root || from >= issuer.not_before().seconds(), "D2", "it begins before its issuer");
    if let Some(built) = limits.built_at {
        let earliest = built.minus(BACKDATED).seconds();
        rule((earliest..=built.seconds()).contains(&from), "D2", "its validity begins more than five minutes ago, or later than now");
    }
    if let Some(most) = limits.lifetime_max {
        rule(to - from < most.seconds(), "D2", "its life is longer than the policy allows");
    }
}

fn extensions(read: &Certificate<'_>, profile: Profile, rule: &mut impl FnMut(bool, &'static str, &str)) {
    let critical = [BASIC_CONSTRAINTS, KEY_USAGE];
    for extension in read.decoded.tbs_certificate().extensions().into_iter().flatten() {
        let kind = extension.extn_id;
        rule(profile.extensions().contains(&kind), "D4", &format!("the extension {kind} is not of its profile"));
        rule(extension.critical == critical.contains(&kind), "D4", &format!("the extension {kind} is wrongly marked critical or not"));
        // X.690: a SEQUENCE OF in these profiles is never empty, but for basicConstraints.
        let value = extension.extn_value.as_bytes();
        let empty = value.first() == Some(&0x30) && children(value).is_ok_and(|c| c.first().is_some_and(|c| c.value.is_empty()));
        rule(!empty || kind == BASIC_CONSTRAINTS, "D7", &format!("the extension {kind} is an empty sequence"));
        // X.690 section 11.5: a value that is the default is not written, and CA:FALSE is.
        let spelled =
            kind == BASIC_CONSTRAINTS && children(value).is_ok_and(|c| c.first().is_some_and(|c| c.value.starts_with(&[1, 1, 0])));
        rule(!spelled, "D7", "basicConstraints writes out CA:FALSE, which is its default");
    }
    let has = |kind| read.decoded.tbs_certificate().extensions().into_iter().flatten().any(|e| e.extn_id == kind);
    rule((profile == Profile::Responder) == has(OCSP_NO_CHECK), "F8", "ocsp-nocheck is missing, or where it does not belong");
}

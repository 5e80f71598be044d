//! Certificate authorities at work: roots, issuing CAs, client leaves, OCSP responders and cross-certificates, each by a fixed
//! profile (D1 to D11, G2 and G4 of `research/pki.md` section 6). Making the bytes and signing them are two steps, so that a
//! caller can record what is about to be signed before anything is signed (P20). It holds no key, keeps no list, and grants
//! no wish that the profile does not know.

use crate::X509Error;
use crate::alternative_name::{AlternativeName, check_count};
use crate::certificate::{CLIENT_AUTH, CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN};
use crate::encode::tlv;
use crate::issue::{self, Extensions, Template};
use crate::key;
use crate::lint::{self, Limits, Profile};
use crate::private_key::{Signer, failed};
pub use crate::publication::Publication;
use crate::subject::{Attribute, Subject};
use const_oid::ObjectIdentifier;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::{Entropy, Lifetime, Timestamp};

/// How far back validity begins, for clocks that differ (D2).
pub const BACKDATED: Lifetime = Lifetime::from_seconds(300);
/// The longest life of an OCSP responder's certificate, which nobody can revoke (F8).
pub const RESPONDER_LIFETIME_MAX: Lifetime = Lifetime::from_days(30);

pub(crate) const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
pub(crate) const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");

/// The certificate of a CA that signs here, ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerCertificate {
    der: Vec<u8>,
    /// Whole Name.
    subject: Vec<u8>,
    public_key: Vec<u8>,
    key_id: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    path_len: Option<u8>,
    algorithm: Vec<u8>,
    signs_crls: bool,
}

impl IssuerCertificate {
    /// Reads the certificate of a CA of ours, one that was imported included. Fails with `not_a_certificate`, `not_a_ca`,
    /// `unsupported_key` and as the key rules do.
    pub fn read(der: &[u8]) -> Result<Self, X509Error> {
        let certificate = Certificate::read(der)?;
        if certificate.version != 3 || !certificate.is_ca() || certificate.has_usage(KEY_CERT_SIGN) == Some(false) {
            return Err(X509Error::new(
                "not_a_ca",
                Some("A4"),
                "the issuer's certificate does not let it sign certificates",
                "give a version 3 certificate with basicConstraints CA:TRUE and keyUsage keyCertSign",
            ));
        }
        key::check(certificate.key)?;
        let algorithm = key::issuing_algorithm(certificate.key).ok_or_else(|| {
            X509Error::new(
                "unsupported_key",
                Some("D10"),
                "the issuer's key is of a kind that does not sign here",
                "use ECDSA on P-256 or P-384, RSA or Ed25519",
            )
        })?;
        Ok(Self {
            der: der.to_vec(),
            subject: tlv(0x30, certificate.subject),
            public_key: certificate.key.to_vec(),
            key_id: certificate.subject_key_id.map_or_else(|| issue::key_id(certificate.key), <[u8]>::to_vec),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            path_len: certificate.basic_constraints.and_then(|b| b.path_len),
            algorithm,
            signs_crls: certificate.has_usage(CRL_SIGN) != Some(false),
        })
    }

    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SubjectPublicKeyInfo.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Its subjectKeyIdentifier, byte for byte; computed where it has none (D3).
    pub fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// Last moment of its validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// First moment of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether it may sign the certificate of another CA: its path length is not 0.
    pub fn signs_cas(&self) -> bool {
        self.path_len != Some(0)
    }

    /// The whole Name.
    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// AlgorithmIdentifier of what it signs.
    pub(crate) fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// Whether it may sign CRLs.
    pub(crate) fn signs_crls(&self) -> bool {
        self.signs_crls
    }

    /// Refuses a signer that has another key than the certificate.
    pub(crate) fn fits(&self, signer: &dyn Signer) -> Result<(), X509Error> {
        if signer.public_key() == self.public_key {
            return Ok(());
        }
        Err(X509Error::new(
            "key_mismatch",
            Some("D11"),
            "the private key does not belong to the issuer's certificate",
            "name the key that was made together with the issuer",
        ))
    }
}

/// A certificate that is built and not signed: to be recorded first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToBeSigned {
    /// TBSCertificate in DER.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`, for the record.
    pub digest: Fingerprint,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// It ends earlier than was asked, with its issuer.
    pub shortened: bool,
    profile: Profile,
    built_at: Timestamp,
}

/// What a client's certificate is ordered with.
#[derive(Clone, Debug)]
pub struct LeafOrder<'o> {
    /// Checked, and allowed to whoever asks.
    pub subject: &'o Subject,
    /// Likewise.
    pub alternative_names: &'o [AlternativeName],
    /// SubjectPublicKeyInfo, whose possession was proved.
    pub public_key: &'o [u8],
    /// From now on.
    pub lifetime: Lifetime,
    /// The issuer's policy: no certificate lives longer, counted from notBefore to notAfter inclusive.
    pub lifetime_max: Lifetime,
    /// End with the issuer where the order outlives it; else such an order is refused (D2).
    pub shorten: bool,
    /// What is written about revocation.
    pub publication: &'o Publication,
}

/// Makes a self-signed root, valid from five minutes ago for `lifetime` from `now`, without a path length. Fails with
/// `validity_out_of_range`, `signing_failed` and `lint_failed`.
pub fn root(
    subject: &Subject,
    signer: &dyn Signer,
    now: Timestamp,
    lifetime: Lifetime,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, X509Error> {
    let name = subject.to_der();
    let own_id = issue::key_id(signer.public_key());
    let template = Template {
        serial: issue::serial(entropy),
        issuer: name.clone(),
        subject: name,
        not_before: now.minus(BACKDATED),
        not_after: now.plus(lifetime),
        key: signer.public_key().to_vec(),
        extensions: Extensions {
            ca: Some(None),
            key_usage: Some(&[KEY_CERT_SIGN, CRL_SIGN]),
            subject_key_id: true,
            authority_key_id: Some(&own_id),
            ..Extensions::default()
        },
    };
    let der = issue::sign(&template, signer)?;
    let limits = Limits { built_at: Some(now), lifetime_max: None };
    lint::refuse(&lint::certificate(&der, Profile::Root, &IssuerCertificate::read(&der)?, &limits))?;
    Ok(der)
}

/// Builds the certificate of an issuing CA under `parent`: path length 0, keyCertSign, cRLSign and digitalSignature (it answers
/// OCSP itself). `lifetime` from `now`; its end never passes the parent's.
#[allow(clippy::too_many_arguments)]
pub fn issuing(
    subject: &Subject,
    public_key: &[u8],
    parent: &IssuerCertificate,
    now: Timestamp,
    lifetime: Lifetime,
    publication: &Publication,
    entropy: &dyn Entropy,
) -> Result<ToBeSigned, X509Error> {
    key::check_thoroughly(public_key)?;
    if key::issuing_algorithm(public_key).is_none() {
        return Err(failed("the issuing CA's key is of a kind that signs nothing here"));
    }
    if parent.path_len == Some(0) {
        return Err(X509Error::new(
            "path_length",
            Some("A13"),
            "the parent has path length 0 and may sign no further CA",
            "sign the issuing CA with the root",
        ));
    }
    let more = publication.extensions()?;
    let extensions = Extensions {
        ca: Some(Some(0)),
        key_usage: Some(&[DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN]),
        subject_key_id: true,
        more: &more,
        ..Extensions::default()
    };
    let dates = dates(parent, now, lifetime, None, false)?;
    build(subject.to_der(), public_key, parent, now, dates, extensions, Profile::Issuing, entropy)
}

/// Builds a certificate for another CA's name and key under `by`, for third parties that trust only `by` during a roll-over.
/// The gateway needs none: it trusts both CAs side by side (G4).
pub fn cross(
    other: &IssuerCertificate,
    by: &IssuerCertificate,
    now: Timestamp,
    lifetime: Lifetime,
    entropy: &dyn Entropy,
) -> Result<ToBeSigned, X509Error> {
    if other.public_key == by.public_key || other.subject == by.subject {
        return Err(X509Error::new(
            "nothing_to_cross",
            Some("G4"),
            "the two CAs have the same name or the same key",
            "cross-certify a CA of another name and another key",
        ));
    }
    // Below issuing CAs the other one keeps its limit; a root gets room for one issuing CA.
    let limit = other.path_len.unwrap_or(1);
    if by.path_len.is_some_and(|room| room <= limit) {
        return Err(X509Error::new(
            "path_length",
            Some("A13"),
            "the signing CA's path length has no room for the other CA",
            "sign the cross-certificate with a root",
        ));
    }
    let own_id = issue::extension(crate::certificate::SUBJECT_KEY_IDENTIFIER, false, &tlv(0x04, &other.key_id));
    let more = [own_id];
    let extensions = Extensions {
        ca: Some(Some(limit)),
        key_usage: Some(&[DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN]),
        // Written byte for byte instead: what it signed refers to it (D3).
        subject_key_id: false,
        more: &more,
        ..Extensions::default()
    };
    let mut dates = dates(by, now, lifetime, None, true)?;
    dates.not_after = dates.not_after.min(other.not_after);
    build(other.subject.clone(), &other.public_key, by, now, dates, extensions, Profile::Cross, entropy)
}

/// Builds a client's certificate: clientAuth and digitalSignature only, no CA. Fails with `validity_out_of_range`,
/// `issuer_key_reused`, `bad_alternative_name`, `bad_publication_url` and as the key rules do.
pub fn leaf(order: &LeafOrder<'_>, issuer: &IssuerCertificate, now: Timestamp, entropy: &dyn Entropy) -> Result<ToBeSigned, X509Error> {
    key::check(order.public_key)?;
    if order.public_key == issuer.public_key {
        return Err(X509Error::new(
            "issuer_key_reused",
            Some("C7"),
            "the request has the issuer's own key",
            "make a key pair for the client alone; and ask how anybody came by the issuer's private key",
        ));
    }
    let mut names = order.alternative_names.to_vec();
    // RFC 5280 section 4.1.2.6: a mail address in the subject stands among the alternative names too.
    for address in order.subject.values(Attribute::Email) {
        let name = AlternativeName::email(address)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    check_count(names.len())?;
    let names: Vec<Vec<u8>> = names.iter().map(AlternativeName::entry).collect();
    let more = order.publication.extensions()?;
    let extensions = Extensions {
        key_usage: Some(&[DIGITAL_SIGNATURE]),
        extended_key_usage: Some(CLIENT_AUTH),
        subject_key_id: true,
        alternative_names: &names,
        more: &more,
        ..Extensions::default()
    };
    let dates = dates(issuer, now, order.lifetime, Some(order.lifetime_max), order.shorten)?;
    build(order.subject.to_der(), order.public_key, issuer, now, dates, extensions, Profile::Client, entropy)
}

/// Builds the certificate of an OCSP responder that answers for `issuer`: OCSPSigning, ocsp-nocheck, at most
/// [`RESPONDER_LIFETIME_MAX`].
pub fn responder(
    subject: &Subject,
    public_key: &[u8],
    issuer: &IssuerCertificate,
    now: Timestamp,
    lifetime: Lifetime,
    entropy: &dyn Entropy,
) -> Result<ToBeSigned, X509Error> {
    key::check(public_key)?;
    let more = [issue::extension(OCSP_NO_CHECK, false, &tlv(0x05, &[]))];
    let extensions = Extensions {
        key_usage: Some(&[DIGITAL_SIGNATURE]),
        extended_key_usage: Some(OCSP_SIGNING),
        subject_key_id: true,
        more: &more,
        ..Extensions::default()
    };
    let dates = dates(issuer, now, lifetime, Some(RESPONDER_LIFETIME_MAX), true)?;
    build(subject.to_der(), public_key, issuer, now, dates, extensions, Profile::Responder, entropy)
}

/// Signs what [`leaf`], [`issuing`], [`responder`] or [`cross`] built, and returns the certificate: judged by the linter before
/// the key touches it, its signature verified and its bytes read again before anybody gets it (D11). Fails with
/// `key_mismatch`, `lint_failed` and `signing_failed`.
pub fn sign(order: &ToBeSigned, issuer: &IssuerCertificate, signer: &dyn Signer) -> Result<Vec<u8>, X509Error> {
    issuer.fits(signer)?;
    let limits = Limits { built_at: Some(order.built_at), lifetime_max: None };
    lint::refuse(&lint::to_be_signed(&order.bytes, order.profile, issuer, &limits))?;
    issue::finish(&order.bytes, signer)
}

struct Dates {
    not_before: Timestamp,
    not_after: Timestamp,
    shortened: bool,
}

/// D2: begins five minutes ago, ends by order, policy and issuer, whichever is first.
fn dates(
    issuer: &IssuerCertificate,
    now: Timestamp,
    lifetime: Lifetime,
    policy: Option<Lifetime>,
    shorten: bool,
) -> Result<Dates, X509Error> {
    let out_of_range = |what: String, hint: &str| X509Error::new("validity_out_of_range", Some("D2"), what, hint);
    let not_before = Timestamp::from_seconds(now.minus(BACKDATED).max(issuer.not_before).seconds());
    if now.seconds() > issuer.not_after.seconds() || now.seconds() < issuer.not_before.seconds() {
        return Err(out_of_range(
            format!("the issuer is valid from {} to {} only", crate::bundle::day(issuer.not_before), crate::bundle::day(issuer.not_after)),
            "make a new issuer, or set the clock right",
        ));
    }
    let mut not_after = Timestamp::from_seconds(now.plus(lifetime).seconds());
    if let Some(most) = policy {
        if lifetime.seconds() > most.seconds() {
            return Err(out_of_range(
                format!("a life of {lifetime} was asked for; the issuer's policy allows {most}"),
                "ask for a shorter validity",
            ));
        }
        // The last second counts, and so do the five minutes before now.
        not_after = not_after.min(Timestamp::from_seconds(not_before.plus(most).seconds() - 1));
    }
    let shortened = not_after.seconds() > issuer.not_after.seconds();
    if shortened {
        if !shorten {
            return Err(out_of_range(
                format!("the certificate would outlive its issuer, which ends on {}", crate::bundle::day(issuer.not_after)),
                "ask for a shorter validity, or roll the issuer over first",
            ));
        }
        not_after = issuer.not_after;
    }
    if not_after.seconds() <= now.seconds() {
        return Err(out_of_range("no time is left in the validity".into(), "ask for a longer validity, or roll the issuer over first"));
    }
    Ok(Dates { not_before, not_after, shortened })
}

#[allow(clippy::too_many_arguments)]
fn build(
    subject: Vec<u8>,
    public_key: &[u8],
    issuer: &IssuerCertificate,
    now: Timestamp,
    dates: Dates,
    extensions: Extensions<'_>,
    profile: Profile,
    entropy: &dyn Entropy,
) -> Result<ToBeSigned, X509Error> {
    let serial = issue::serial(entropy);
    let template = Template {
        serial: serial.clone(),
        issuer: issuer.subject.clone(),
        subject,
        not_before: dates.not_before,
        not_after: dates.not_after,
        key: public_key.to_vec(),
        extensions: Extensions { authority_key_id: Some(&issuer.key_id), ..extensions },
    };
    let bytes = issue::to_be_signed(&template, &issuer.algorithm)?;
    Ok(ToBeSigned {
        digest: Fingerprint::of(&bytes),
        bytes,
        serial: crate::facts::hex(&serial),
        not_before: dates.not_before,
        not_after: dates.not_after,
        shortened: dates.shortened,
        profile,
        built_at: now,
    })
}

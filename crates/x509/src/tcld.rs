//! Certificates in the very shape that `tcld generate-certificates` makes (research/temporal-cloud.md section 2.5), so that
//! people who change over get what their scripts expect, oddities included: no keyUsage on leaves, an OU that is always
//! there, names as DNS names that are none. It must not be improved; other profiles belong elsewhere.

use crate::X509Error;
use crate::authority::{Authority, check_text};
use crate::certificate::{CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN};
use crate::encode::{name, tlv};
use crate::issue::{self, COMMON_NAME, Extensions, ORGANIZATION, ORGANIZATIONAL_UNIT, Template};
use crate::private_key::{KeyKind, LocalKey};
use crate::{key, pem};
use countersign_core::{Entropy, Lifetime, Secret, Timestamp};

/// How far back validity begins.
const BACKDATED: Lifetime = Lifetime::from_seconds(60);
/// A CA's validity is longer than this and at most a year.
const CA_VALIDITY_ABOVE: Lifetime = Lifetime::from_days(7);
const CA_VALIDITY_MAX: Lifetime = Lifetime::from_days(365);
/// How long before its CA a leaf ends when nothing is asked for.
const LEAF_ENDS_EARLIER: Lifetime = Lifetime::from_days(1);
/// keyUsage bit 2, which tcld gives to RSA CAs.
const KEY_ENCIPHERMENT: u8 = 2;

/// What a CA is asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaRequest {
    /// O of the subject, and part of the alternative name. 1 to 64 ASCII characters.
    pub organization: String,
    /// Longer than 7 days and at most 365.
    pub validity: Lifetime,
    /// RSA-4096 instead of P-384; takes about a second.
    pub rsa: bool,
}

/// What a leaf is asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// O of the subject, and part of the alternative name. 1 to 64 ASCII characters.
    pub organization: String,
    /// OU; an empty one is written when absent.
    pub organizational_unit: Option<String>,
    /// CN; left out when absent.
    pub common_name: Option<String>,
    /// From now; until a day before the CA's end when absent.
    pub validity: Option<Lifetime>,
}

/// Makes a CA and returns its certificate and its PKCS#8 key as PEM. Fails with `validity_out_of_range` or `bad_name`.
pub fn generate_ca(request: &CaRequest, now: Timestamp, entropy: &dyn Entropy) -> Result<(String, Secret), X509Error> {
    check_organization(&request.organization)?;
    if request.validity <= CA_VALIDITY_ABOVE {
        return Err(out_of_range(
            format!("validity period cannot be less than: {CA_VALIDITY_ABOVE}"),
            "ask for more than 7d and at most 365d, such as --validity-period 365d",
        ));
    }
    if request.validity > CA_VALIDITY_MAX {
        return Err(out_of_range(
            format!("validity period cannot be more than: {CA_VALIDITY_MAX}"),
            "ask for more than 7d and at most 365d, such as --validity-period 365d",
        ));
    }
    let key = LocalKey::generate(if request.rsa { KeyKind::Rsa4096 } else { KeyKind::P384 })?;
    let usage: &[u8] = if request.rsa {
        &[DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_CERT_SIGN, CRL_SIGN]
    } else {
        &[DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN]
    };
    let subject = name(&[(ORGANIZATION, &request.organization)]);
    let template = Template {
        serial: serial(entropy),
        issuer: subject.clone(),
        subject,
        not_before: now.minus(BACKDATED),
        not_after: now.plus(request.validity),
        key: key.public(),
        extensions: Extensions {
            ca: Some(None),
            key_usage: Some(usage),
            extended_key_usage: None,
            subject_key_id: true,
            authority_key_id: None,
            alternative_names: &[alternative_name("root", &request.organization, entropy)],
            ..Extensions::default()
        },
    };
    finish(&template, &key, &key)
}

/// Makes a leaf under a CA and returns its certificate and its PKCS#8 key as PEM; the key is of the CA's kind. Fails with
/// `validity_out_of_range`, `bad_name`, and as [`Authority::from_pem`] does.
pub fn generate_leaf(
    request: &LeafRequest,
    ca_cert_pem: &str,
    ca_key_pem: &str,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(String, Secret), X509Error> {
    check_organization(&request.organization)?;
    for (what, text) in [("organizational unit", &request.organizational_unit), ("common name", &request.common_name)] {
        if let Some(text) = text.as_deref().filter(|t| !t.is_empty()) {
            check_text(what, text, 64)?;
        }
    }
    let authority = Authority::from_pem(ca_cert_pem, ca_key_pem)?;
    let ca = Certificate::read(authority.certificate_der())?;
    let not_after = match request.validity {
        Some(validity) => now.plus(validity),
        None => ca.not_after.minus(LEAF_ENDS_EARLIER),
    };
    if not_after.seconds() > ca.not_after.seconds() {
        return Err(out_of_range(
            format!("validity period puts the end of the certificate after the end of its CA, {}", crate::bundle::day(ca.not_after)),
            "ask for a shorter --validity-period, or renew the CA first",
        ));
    }
    if not_after <= now {
        return Err(out_of_range(
            format!("the CA ends on {}, which leaves no day for a certificate", crate::bundle::day(ca.not_after)),
            "renew the CA first, or give a --validity-period that ends before it",
        ));
    }
    let unit = request.organizational_unit.as_deref().unwrap_or_default();
    let mut attributes = vec![(ORGANIZATION, request.organization.as_str()), (ORGANIZATIONAL_UNIT, unit)];
    attributes.extend(request.common_name.as_deref().filter(|cn| !cn.is_empty()).map(|cn| (COMMON_NAME, cn)));
    let key = LocalKey::generate(if key::is_rsa(ca.key) { KeyKind::Rsa4096 } else { KeyKind::P384 })?;
    let issuer_id = ca.subject_key_id.map_or_else(|| issue::key_id(ca.key), <[u8]>::to_vec);
    let template = Template {
        serial: serial(entropy),
        issuer: tlv(0x30, ca.subject),
        subject: name(&attributes),
        not_before: now.minus(BACKDATED),
        not_after,
        key: key.public(),
        extensions: Extensions {
            ca: None,
            key_usage: None,
            extended_key_usage: None,
            subject_key_id: false,
            authority_key_id: Some(&issuer_id),
            alternative_names: &[alternative_name("endentity", &request.organization, entropy)],
            ..Extensions::default()
        },
    };
    finish(&template, &key, authority.key())
}

fn finish(template: &Template<'_>, own: &LocalKey, signer: &LocalKey) -> Result<(String, Secret), X509Error> {
    let der = issue::sign(template, signer)?;
    let pkcs8 = own.to_pkcs8()?;
    Ok((pem::armour("CERTIFICATE", &der), Secret::new(pem::armour("PRIVATE KEY", &pkcs8))))
}

fn out_of_range(message: String, hint: &str) -> X509Error {
    X509Error::new("validity_out_of_range", None, message, hint)
}

/// It becomes part of a DNS alternative name, which is IA5 text (RFC 5280 section 4.2.1.6).
fn check_organization(text: &str) -> Result<(), X509Error> {
    check_text("organization", text, 64)?;
    if text.is_ascii() {
        return Ok(());
    }
    Err(X509Error::new(
        "bad_name",
        None,
        "the organization has characters outside ASCII, which its alternative name cannot hold",
        "write it with ASCII letters",
    ))
}

/// `client.<kind>.<organization>.<four letters>`, spaces and all.
fn alternative_name(kind: &str, organization: &str, entropy: &dyn Entropy) -> Vec<u8> {
    let mut bytes = [0_u8; 4];
    entropy.fill(&mut bytes);
    // A slight bias does not matter: the letters tell certificates apart, they guard nothing.
    let letters: String = bytes.iter().map(|b| char::from(b'a' + b % 26)).collect();
    tlv(0x82, format!("client.{kind}.{organization}.{letters}").as_bytes())
}

/// Below 2^130 - 1, hence 17 bytes at most, and never zero.
fn serial(entropy: &dyn Entropy) -> Vec<u8> {
    let mut bytes = [0_u8; 17];
    entropy.fill(&mut bytes);
    bytes[0] &= 0x03;
    // Zero and 2^130 - 1 are both avoided by one fixed bit pattern at the end.
    bytes[16] = (bytes[16] & 0xfe).max(2);
    bytes.to_vec()
}

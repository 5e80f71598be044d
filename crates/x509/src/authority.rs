//! Our own small CAs: the one that vouches for the gateway's host names, and any that an operator brings as two PEM files.
//! It signs server certificates only; client certificates in tcld's shape come from [`crate::tcld`]. It keeps no list of what
//! it issued: these certificates are short-lived and never revoked.

use crate::X509Error;
use crate::certificate::{CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN, SERVER_AUTH};
use crate::encode::{name, tlv};
use crate::issue::{self, COMMON_NAME, Extensions, Template};
use crate::pem;
use crate::private_key::{KeyKind, LocalKey};
use countersign_core::{Entropy, Lifetime, Secret, Timestamp};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// How far back validity begins, for clocks that differ (D2).
const BACKDATED: Lifetime = Lifetime::from_seconds(300);
/// Names in one server certificate.
pub const SERVER_NAMES_MAX: usize = 100;

/// A CA certificate and its key.
pub struct Authority {
    der: Vec<u8>,
    key: LocalKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate_bytes", &self.der.len()).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a self-signed P-256 CA that may issue end-entity certificates only (pathLen 0), valid from five minutes ago until
    /// `lifetime` from `now`. Fails with `bad_name` when `common_name` is empty, longer than 64 characters or has control
    /// characters, and with `signing_failed`.
    pub fn generate_internal(common_name: &str, now: Timestamp, lifetime: Lifetime, entropy: &dyn Entropy) -> Result<Self, X509Error> {
        check_text("common name", common_name, 64)?;
        let key = LocalKey::generate(KeyKind::P256)?;
        let subject = name(&[(COMMON_NAME, common_name)]);
        let spki = key.public();
        let own_id = issue::key_id(&spki);
        let template = Template {
            serial: issue::serial(entropy),
            issuer: subject.clone(),
            subject,
            not_before: now.minus(BACKDATED),
            not_after: now.plus(lifetime),
            key: spki,
            extensions: Extensions {
                ca: Some(Some(0)),
                key_usage: Some(&[DIGITAL_SIGNATURE, KEY_CERT_SIGN, CRL_SIGN]),
                extended_key_usage: None,
                subject_key_id: true,
                authority_key_id: Some(&own_id),
                alternative_names: &[],
                ..Extensions::default()
            },
        };
        let der = issue::sign(&template, &key)?;
        let pkcs8 = key.to_pkcs8()?;
        Ok(Self { der, key, pkcs8 })
    }

    /// The CA's public key, as SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.public()
    }

    /// Reads a CA from its certificate and its unencrypted key. Fails with `not_a_certificate`, `not_a_ca`,
    /// `bad_private_key` or `key_mismatch`.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, X509Error> {
        let der = pem::block_of(cert_pem, "CERTIFICATE").map(|d| d.to_vec()).ok_or_else(|| {
            X509Error::new("not_a_certificate", None, "the CA file holds no CERTIFICATE block", "give the CA's certificate as PEM")
        })?;
        let key = LocalKey::from_pem(key_pem)?;
        let certificate = Certificate::read(&der)?;
        if !certificate.is_ca() {
            return Err(X509Error::new(
                "not_a_ca",
                Some("A4"),
                "the CA file holds a certificate that is no CA",
                "give the CA's own certificate",
            ));
        }
        if certificate.key != key.public() {
            return Err(X509Error::new(
                "key_mismatch",
                None,
                "the private key does not belong to the CA certificate",
                "give the two files that were made together",
            ));
        }
        let pkcs8 = key.to_pkcs8()?;
        Ok(Self { der, key, pkcs8 })
    }

    /// The certificate as PEM with a trailing newline.
    pub fn certificate_pem(&self) -> String {
        pem::armour("CERTIFICATE", &self.der)
    }

    /// The certificate as DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// The key as PKCS#8 PEM with a trailing newline.
    pub fn key_pem(&self) -> Secret {
        Secret::new(pem::armour("PRIVATE KEY", &self.pkcs8))
    }

    pub(crate) fn key(&self) -> &LocalKey {
        &self.key
    }

    /// Issues a P-256 server certificate for `names` (DNS names, `*.` wildcards, or IP addresses) and returns its DER and its
    /// PKCS#8 key. Its validity never outlasts the CA's: `lifetime` beyond that is refused with `validity_out_of_range`.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime: Lifetime,
        entropy: &dyn Entropy,
    ) -> Result<(Vec<u8>, Vec<u8>), X509Error> {
        let ca = Certificate::read(&self.der)?;
        let not_after = now.plus(lifetime);
        if not_after.seconds() > ca.not_after.seconds() || now.seconds() > ca.not_after.seconds() {
            return Err(X509Error::new(
                "validity_out_of_range",
                Some("D2"),
                format!("the certificate would outlive its CA, which ends on {}", crate::bundle::day(ca.not_after)),
                "ask for a shorter validity, or renew the CA",
            ));
        }
        let entries = server_names(names)?;
        let key = LocalKey::generate(KeyKind::P256)?;
        let issuer_id = ca.subject_key_id.map_or_else(|| issue::key_id(ca.key), <[u8]>::to_vec);
        // The name is for people; clients look at the alternative names only (RFC 9525 section 6.3).
        let label: String = names.first().map(String::as_str).unwrap_or_default().chars().take(64).collect();
        let template = Template {
            serial: issue::serial(entropy),
            issuer: tlv(0x30, ca.subject),
            subject: name(&[(COMMON_NAME, &label)]),
            not_before: now.minus(BACKDATED).max(ca.not_before),
            not_after,
            key: key.public(),
            extensions: Extensions {
                ca: None,
                key_usage: Some(&[DIGITAL_SIGNATURE]),
                extended_key_usage: Some(SERVER_AUTH),
                subject_key_id: true,
                authority_key_id: Some(&issuer_id),
                alternative_names: &entries,
                ..Extensions::default()
            },
        };
        let der = issue::sign(&template, &self.key)?;
        let mut pkcs8: Zeroizing<Vec<u8>> = key.to_pkcs8()?;
        Ok((der, std::mem::take(&mut *pkcs8)))
    }
}

/// A text that goes into a subject: not empty, bounded, without control characters.
pub(crate) fn check_text(what: &str, text: &str, max: usize) -> Result<(), X509Error> {
    if text.trim().is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(X509Error::new(
            "bad_name",
            Some("C9"),
            format!("the {what} has 1 to {max} characters, none of them a control character"),
            format!("give another {what}"),
        ));
    }
    Ok(())
}

/// GeneralName entries: iPAddress (RFC 5280 section 4.2.1.6: 4 or 16 bytes) or dNSName.
fn server_names(names: &[String]) -> Result<Vec<Vec<u8>>, X509Error> {
    let bad = |what: String| X509Error::new("bad_name", Some("D6"), what, "give DNS names such as gw.example.com, or IP addresses");
    if names.is_empty() || names.len() > SERVER_NAMES_MAX {
        return Err(bad(format!("a server certificate has 1 to {SERVER_NAMES_MAX} names")));
    }
    names
        .iter()
        .map(|text| match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => Ok(tlv(0x87, &ip.octets())),
            Ok(IpAddr::V6(ip)) => Ok(tlv(0x87, &ip.octets())),
            Err(_) if is_dns(text) => Ok(tlv(0x82, text.as_bytes())),
            Err(_) => Err(bad(format!("`{}` is no DNS name and no IP address", text.chars().take(64).collect::<String>()))),
        })
        .collect()
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63; one leading `*.` is allowed.
fn is_dns(text: &str) -> bool {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    !bare.is_empty()
        && text.len() <= 253
        && bare.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

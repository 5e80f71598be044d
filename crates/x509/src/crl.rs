//! Our certificate revocation lists (RFC 5280 section 5), written in one pass over however many entries there are (F1 and F6 of
//! `research/pki.md` section 6). A list is a form of exchange: no gateway looks a certificate up in one. That numbers rise
//! and serials differ is for the caller, who keeps them; lists of others are read in `foreign_crl`.

use crate::X509Error;
use crate::certificate::single;
use crate::encode::{bit_string, generalized_time, integer, sequence, time, tlv, tlv_head};
use crate::issue;
use crate::issuer::IssuerCertificate;
use crate::key::{self, Signed};
use crate::pem;
use crate::private_key::{Signer, failed};
use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::RevocationReason;

pub(crate) const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
pub(crate) const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
const AUTHORITY_KEY_ID: ObjectIdentifier = crate::certificate::AUTHORITY_KEY_IDENTIFIER;

/// About the most that an entry takes: a serial number of 20 bytes, a date, a reason.
const ENTRY_BYTES: usize = 56;

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// The serial number, big-endian, without a sign.
    pub serial: &'e [u8],
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why; unspecified is not written (F1).
    pub reason: RevocationReason,
    /// Since when the key is thought to be in other hands.
    pub invalid_since: Option<Timestamp>,
}

/// What a list says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The list's number; only ever rises for one issuer.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when there is a newer one.
    pub next_update: Timestamp,
}

/// Makes a list and returns its DER. Serial numbers are the caller's to keep distinct. Takes memory for about the
/// list, which is 30 to 56 bytes an entry. Fails with `crl_dates`, `key_mismatch`, `not_a_crl_signer` and `signing_failed`.
pub fn build<'e>(
    issuer: &IssuerCertificate,
    signer: &dyn Signer,
    issue: Issue,
    entries: impl IntoIterator<Item = Entry<'e>>,
) -> Result<Vec<u8>, X509Error> {
    let dates = || {
        X509Error::new(
            "crl_dates",
            Some("F6"),
            "a date of the revocation list lies outside 1970 to 9999, or its next update before this one",
            "set the clock right, and an interval above zero",
        )
    };
    issuer.fits(signer)?;
    if !issuer.signs_crls() {
        return Err(X509Error::new(
            "not_a_crl_signer",
            Some("A5"),
            "the issuer's certificate lacks keyUsage cRLSign, so nobody would accept its revocation list",
            "make a new issuer, or import one with cRLSign",
        ));
    }
    if issue.next_update.seconds() <= issue.this_update.seconds() {
        return Err(dates());
    }
    // Everything is written into this one buffer, whose pages are the most that a long list costs.
    let mut signed = revoked(entries).ok_or_else(dates)?;
    let extensions = [
        issue::extension(AUTHORITY_KEY_ID, false, &sequence(&[tlv(0x80, issuer.key_id())])),
        issue::extension(CRL_NUMBER, false, &integer(&issue.number.to_be_bytes())),
    ];
    let head = [
        integer(&[1]),
        issuer.algorithm().to_vec(),
        issuer.subject().to_vec(),
        time(issue.this_update).ok_or_else(dates)?,
        time(issue.next_update).ok_or_else(dates)?,
    ]
    .concat();
    // F6: without entries the field is absent, not empty.
    let list_head = if signed.is_empty() { Vec::new() } else { tlv_head(0x30, signed.len()) };
    let tail = tlv(0xa0, &sequence(&extensions));
    let content = head.len() + list_head.len() + signed.len() + tail.len();
    put_before(&mut signed, [tlv_head(0x30, content), head, list_head].concat());
    signed.extend(tail);

    let signature = signer.sign(&signed)?;
    let algorithm = issuer.algorithm();
    if key::verifies(issuer.public_key(), single(algorithm).map_err(|_| failed("no algorithm"))?.value, &signed, &signature) != Signed::Yes
    {
        return Err(failed("the signature that was made does not verify"));
    }
    let signature = bit_string(&signature);
    let outer = tlv_head(0x30, signed.len() + algorithm.len() + signature.len());
    put_before(&mut signed, outer);
    signed.extend(algorithm);
    signed.extend(signature);
    Ok(signed)
}

/// Moves the content of a buffer on, in place where it has room, and writes this before it.
fn put_before(content: &mut Vec<u8>, head: Vec<u8>) {
    content.splice(0..0, head);
}

/// A list as PEM with a trailing newline.
pub fn to_pem(der: &[u8]) -> String {
    pem::armour("X509 CRL", der)
}

/// The content of revokedCertificates. Written with as few allocations as a million entries deserve.
fn revoked<'e>(entries: impl IntoIterator<Item = Entry<'e>>) -> Option<Vec<u8>> {
    let entries = entries.into_iter();
    // Room that is not used costs nothing; a buffer that grows is copied over and over.
    let mut out = Vec::with_capacity(entries.size_hint().0.saturating_mul(ENTRY_BYTES).saturating_add(4096));
    let mut reasons: [Option<Vec<u8>>; 16] = Default::default();
    let mut date = (i64::MIN, Vec::new());
    for entry in entries {
        if date.0 != entry.revoked_at.seconds() {
            date = (entry.revoked_at.seconds(), time(entry.revoked_at)?);
        }
        let mut extensions = Vec::new();
        if let Some(since) = entry.invalid_since {
            extensions = issue::extension(INVALIDITY_DATE, false, &generalized_time(since)?);
        }
        let code = entry.reason.code();
        let reason: &[u8] = match reasons.get_mut(usize::from(code)) {
            Some(slot) if code != 0 => slot.get_or_insert_with(|| issue::extension(REASON_CODE, false, &tlv(0x0a, &[code]))),
            _ => &[],
        };
        let inner = reason.len() + extensions.len();
        let inner_head = if inner == 0 { Vec::new() } else { tlv_head(0x30, inner) };
        let serial = trimmed(entry.serial);
        let padded = serial.first().is_none_or(|b| *b >= 0x80);
        let serial_length = serial.len() + usize::from(padded);
        // Longer ones are not ours and not RFC 5280's.
        if serial_length > 20 {
            return None;
        }
        out.extend(tlv_head(0x30, 2 + serial_length + date.1.len() + inner_head.len() + inner));
        out.extend([0x02, serial_length as u8]);
        if padded {
            out.push(0);
        }
        out.extend(serial);
        out.extend(&date.1);
        out.extend(&inner_head);
        out.extend(reason);
        out.extend(&extensions);
    }
    Some(out)
}

pub(crate) fn trimmed(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|b| **b == 0).count();
    serial.get(zeros..).unwrap_or_default()
}

//! Revocation lists of foreign CAs, read strictly and verified (E4 of `research/pki.md` section 6). A list that covers only a part
//! of its CA's certificates is refused, because "not on it" would mean nothing. Whether a list's number rose, and what a stale
//! one is worth, is for the caller, who knows the one before and the namespace's rule.

use crate::X509Error;
use crate::certificate::{CRL_SIGN, Certificate, children, single};
use crate::crl::{CRL_NUMBER, REASON_CODE, trimmed};
use crate::key::{self, Signed};
use crate::pem;
use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::RevocationReason;

const DELTA_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");

/// Bytes of a foreign list that are read: about two million entries.
pub const FOREIGN_CRL_BYTES_MAX: usize = 100 * 1024 * 1024;

/// One entry of a foreign list, in 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revoked {
    serial: [u8; 20],
    /// Seconds since 1970.
    revoked_at: u32,
    reason: u8,
}

impl Revoked {
    /// The serial number, big-endian, filled up with zeros in front.
    pub fn serial(&self) -> [u8; 20] {
        self.serial
    }

    /// When it was revoked; dates after 2106 are cut to that year.
    pub fn revoked_at(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.revoked_at))
    }

    /// Why. A reason that only other kinds of certificates have counts as unspecified.
    pub fn reason(&self) -> RevocationReason {
        RevocationReason::ALL.into_iter().find(|reason| reason.code() == self.reason).unwrap_or(RevocationReason::Unspecified)
    }
}

/// A foreign CA's list that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCrl {
    /// Its number, big-endian without leading zeros; compare by length, then by bytes. Absent in version 1 lists of old tools.
    pub number: Option<Vec<u8>>,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when there should be a newer one.
    pub next_update: Timestamp,
    /// Sorted by serial number.
    revoked: Vec<Revoked>,
}

impl ForeignCrl {
    /// Reads a list in DER or PEM and verifies that the CA in `issuer_der` signed it. Fails with `crl_too_large`,
    /// `malformed_crl`, `crl_other_issuer`, `not_a_crl_signer`, `crl_signature`, `crl_delta`, `crl_scoped`, `crl_indirect`,
    /// `crl_unknown_critical`, `crl_without_next_update` and `crl_from_future`. One that is stale is taken; ask
    /// [`ForeignCrl::is_stale`].
    pub fn read(input: &[u8], issuer_der: &[u8], now: Timestamp) -> Result<Self, X509Error> {
        if input.len() > FOREIGN_CRL_BYTES_MAX {
            return Err(X509Error::new(
                "crl_too_large",
                Some("E4"),
                format!("the revocation list has {} bytes; at most {FOREIGN_CRL_BYTES_MAX} are read", input.len()),
                "ask the CA for a list without certificates that have ended",
            ));
        }
        let armoured = std::str::from_utf8(input).ok().and_then(|text| pem::block_of(text, "X509 CRL"));
        let der: &[u8] = armoured.as_ref().map_or(input, |der| der);
        let issuer = Certificate::read(issuer_der)?;
        let outer = sequence_of(der)?;
        let [signed, algorithm, signature] = outer.as_slice() else { return Err(malformed()) };
        let Some((0, signature)) = signature.value.split_first() else { return Err(malformed()) };
        let fields = sequence_of(signed.whole)?;
        let mut fields = fields.iter().copied().peekable();
        let version = fields.next_if(|f| f.tag == 0x02).map(|f| f.value);
        let (Some(inner_algorithm), Some(name), Some(this)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(malformed());
        };
        if inner_algorithm.whole != algorithm.whole || !matches!(version, None | Some([1])) {
            return Err(malformed());
        }
        if name.value != issuer.subject {
            return Err(X509Error::new(
                "crl_other_issuer",
                Some("E4"),
                "the revocation list names another issuer than the CA it was given for",
                "give the list that this very CA publishes",
            ));
        }
        if issuer.has_usage(CRL_SIGN) == Some(false) {
            return Err(X509Error::new(
                "not_a_crl_signer",
                Some("E4"),
                "the CA's certificate lacks keyUsage cRLSign, so its revocation lists count for nothing",
                "ask the CA for a certificate with cRLSign",
            ));
        }
        key::check_signature_algorithm(algorithm.value, "E4")?;
        // Nothing else is looked at before the signature holds.
        if key::verifies(issuer.key, algorithm.value, signed.whole, signature) != Signed::Yes {
            return Err(X509Error::new(
                "crl_signature",
                Some("E4"),
                "the revocation list is not signed by the key of this CA",
                "fetch it again; where the CA was rolled over, give the list of the right generation",
            ));
        }
        let this_update = moment(this.tag, this.value).ok_or_else(malformed)?;
        let next = fields.next_if(|f| matches!(f.tag, 0x17 | 0x18)).ok_or_else(|| {
            X509Error::new(
                "crl_without_next_update",
                Some("E4"),
                "the revocation list does not say when the next one comes, so nobody could tell a stale one",
                "have the CA publish nextUpdate, as RFC 5280 asks",
            )
        })?;
        let next_update = moment(next.tag, next.value).ok_or_else(malformed)?;
        if this_update > now.plus(countersign_core::limits::CLOCK_SKEW) {
            return Err(X509Error::new(
                "crl_from_future",
                Some("E4"),
                format!("the revocation list is dated {}, which has not come yet", crate::bundle::day(this_update)),
                "set the clock right, here or at the CA",
            ));
        }
        let entries = fields.next_if(|f| f.tag == 0x30);
        let number = match fields.next_if(|f| f.tag == 0xa0) {
            Some(extensions) => list_extensions(single(extensions.value).map_err(|_| malformed())?.value)?,
            None => None,
        };
        if fields.next().is_some() {
            return Err(malformed());
        }
        let mut revoked = match entries {
            Some(entries) => children(entries.value).map_err(|_| malformed())?.iter().map(|e| entry(e.value)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        revoked.sort_unstable();
        Ok(Self { number, this_update, next_update, revoked })
    }

    /// Whether a newer one should be there by now.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.seconds() > self.next_update.seconds()
    }

    /// The entry of a serial number (big-endian, leading zeros or none), if it is revoked.
    pub fn find(&self, serial: &[u8]) -> Option<&Revoked> {
        let serial = padded(serial)?;
        let at = self.revoked.partition_point(|r| r.serial < serial);
        self.revoked.get(at).filter(|r| r.serial == serial)
    }

    /// All entries, sorted by serial number.
    pub fn entries(&self) -> &[Revoked] {
        &self.revoked
    }
}

fn malformed() -> X509Error {
    X509Error::new(
        "malformed_crl",
        Some("E4"),
        "the revocation list is no X.509 CRL in strict DER",
        "export it again, for example with `openssl crl -in FILE -out ca.crl`",
    )
}

fn sequence_of(bytes: &[u8]) -> Result<Vec<crate::certificate::Tlv<'_>>, X509Error> {
    let outer = single(bytes).ok().filter(|o| o.tag == 0x30).ok_or_else(malformed)?;
    children(outer.value).map_err(|_| malformed())
}

/// UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 has them: with seconds, in UTC, without fractions.
pub(crate) fn moment(tag: u8, value: &[u8]) -> Option<Timestamp> {
    let digits = value.strip_suffix(b"Z").filter(|d| d.iter().all(u8::is_ascii_digit))?;
    let number = |at: usize, count: usize| Some(digits.get(at..at + count)?.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0')));
    let (year, at) = match (tag, digits.len()) {
        (0x17, 12) => (number(0, 2).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        (0x18, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |i: usize| number(at + 2 * i, 2).and_then(|n| u8::try_from(n).ok());
    let date = der::DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?).ok()?;
    Some(Timestamp::from_seconds(i64::try_from(date.unix_duration().as_secs()).ok()?))
}

/// An Extension's type, criticality and value.
fn extension<'a>(content: &'a [u8]) -> Result<(ObjectIdentifier, bool, &'a [u8]), X509Error> {
    let fields = children(content).map_err(|_| malformed())?;
    let kind = |tlv: &crate::certificate::Tlv<'a>| ObjectIdentifier::from_bytes(tlv.value).map_err(|_| malformed());
    match fields.as_slice() {
        [oid, value] => Ok((kind(oid)?, false, value.value)),
        [oid, critical, value] => Ok((kind(oid)?, critical.value != [0], value.value)),
        _ => Err(malformed()),
    }
}

/// Refuses lists that are not a CA's whole list, and returns the number.
fn list_extensions(content: &[u8]) -> Result<Option<Vec<u8>>, X509Error> {
    let mut number = None;
    for one in children(content).map_err(|_| malformed())? {
        let (kind, critical, value) = extension(one.value)?;
        match kind {
            CRL_NUMBER => number = Some(trimmed(single(value).map_err(|_| malformed())?.value).to_vec()),
            DELTA_INDICATOR => {
                return Err(X509Error::new(
                    "crl_delta",
                    Some("E4"),
                    "this is a delta list, which holds only what changed",
                    "give the CA's full revocation list",
                ));
            }
            ISSUING_POINT => {
                return Err(X509Error::new(
                    "crl_scoped",
                    Some("E4"),
                    "the revocation list covers only a part of the CA's certificates (issuingDistributionPoint)",
                    "give a list that covers all certificates of the CA",
                ));
            }
            other if critical => return Err(unknown_critical(other)),
            _ => {}
        }
    }
    Ok(number)
}

fn unknown_critical(kind: ObjectIdentifier) -> X509Error {
    X509Error::new(
        "crl_unknown_critical",
        Some("E4"),
        format!("the revocation list has the critical extension {kind}, which is not understood here"),
        "have the CA publish a plain RFC 5280 list",
    )
}

fn entry(content: &[u8]) -> Result<Revoked, X509Error> {
    let fields = children(content).map_err(|_| malformed())?;
    let (serial, date, extensions) = match fields.as_slice() {
        [serial, date] => (serial, date, None),
        [serial, date, extensions] => (serial, date, Some(extensions)),
        _ => return Err(malformed()),
    };
    let mut reason = 0;
    for one in extensions.map(|e| children(e.value).map_err(|_| malformed())).transpose()?.unwrap_or_default() {
        let (kind, critical, value) = extension(one.value)?;
        match kind {
            REASON_CODE => reason = single(value).ok().and_then(|v| v.value.first().copied()).unwrap_or(0),
            CERTIFICATE_ISSUER => {
                return Err(X509Error::new(
                    "crl_indirect",
                    Some("E4"),
                    "the revocation list speaks for other CAs too (an indirect CRL)",
                    "give the list that this very CA signs for itself",
                ));
            }
            other if critical => return Err(unknown_critical(other)),
            _ => {}
        }
    }
    let revoked_at = moment(date.tag, date.value).ok_or_else(malformed)?;
    Ok(Revoked {
        serial: padded(serial.value).ok_or_else(malformed)?,
        revoked_at: u32::try_from(revoked_at.seconds()).unwrap_or(u32::MAX),
        reason,
    })
}

fn padded(serial: &[u8]) -> Option<[u8; 20]> {
    let significant = trimmed(serial);
    let mut out = [0; 20];
    let at = out.len().checked_sub(significant.len())?;
    out.get_mut(at..)?.copy_from_slice(significant);
    Some(out)
}

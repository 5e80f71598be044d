//! Revocation lists of foreign CAs, read strictly and verified (E4 of `docs/certificate-rules.md`). A list for one distribution
//! point, or for end-entity certificates only, is taken; one that says nothing of end-entity certificates, or of some reasons only,
//! is refused. Whether a list's number rose, and what a stale one is worth, is for the caller, who knows the one before and the
//! namespace's rule.

use crate::X509Error;
use crate::certificate::{CRL_SIGN, Certificate, children, single};
use crate::crl::{CRL_NUMBER, REASON_CODE, trimmed};
use crate::key::{self, Signed};
use crate::{name, pem};
use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::{Fingerprint, RevocationReason};

const DELTA_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");

/// Bytes of a foreign list that are read: about two million entries.
pub const FOREIGN_CRL_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Lists in one file.
pub const FOREIGN_CRLS_MAX: usize = 100;
/// Octets of a serial number or of a list's number (RFC 5280 sections 4.1.2.2 and 5.2.3).
const NUMBER_BYTES_MAX: usize = 20;

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
    /// Its number, big-endian without leading zeros; compare by length, then by bytes.
    pub number: Vec<u8>,
    /// SHA-256 of the distribution point (the DER of its names) whose certificates it covers; `None` when it covers all of its CA.
    pub point: Option<Fingerprint>,
    /// When it was made.
    pub this_update: Timestamp,
    /// By when there should be a newer one.
    pub next_update: Timestamp,
    /// Sorted by serial number.
    revoked: Vec<Revoked>,
}

impl ForeignCrl {
    /// Reads every list of a file in DER or PEM. Each has to be signed by one of the CAs in `issuers`, whose place in them is given
    /// with it. Fails with `crl_too_large`, `malformed_crl`, `crl_other_issuer`, `not_a_crl_signer`, `crl_signature`, `crl_delta`,
    /// `crl_scoped`, `crl_indirect`, `crl_unknown_critical`, `crl_without_number`, `crl_without_next_update` and `crl_from_future`,
    /// and takes all lists or none. One that is stale is taken; ask [`ForeignCrl::is_stale`].
    pub fn read_all(input: &[u8], issuers: &[&[u8]], now: Timestamp) -> Result<Vec<(usize, Self)>, X509Error> {
        let too_large =
            |what: String| X509Error::new("crl_too_large", Some("E4"), what, "ask the CA for a list without certificates that have ended");
        if input.len() > FOREIGN_CRL_BYTES_MAX {
            let bytes = input.len();
            return Err(too_large(format!("the revocation list has {bytes} bytes; at most {FOREIGN_CRL_BYTES_MAX} are read")));
        }
        let issuers = issuers.iter().map(|der| Certificate::read(der)).collect::<Result<Vec<_>, _>>()?;
        let blocks = std::str::from_utf8(input).map(|text| pem::blocks_of(text, "X509 CRL")).unwrap_or_default();
        if blocks.len() > FOREIGN_CRLS_MAX {
            return Err(too_large(format!("the file has {} revocation lists; at most {FOREIGN_CRLS_MAX} are read", blocks.len())));
        }
        if blocks.is_empty() {
            return Ok(vec![Self::of_any(input, &issuers, now)?]);
        }
        blocks.iter().map(|block| Self::of_any(block.as_deref().ok_or_else(malformed)?, &issuers, now)).collect()
    }

    /// One list, by the first issuer whose name and key it has.
    fn of_any(der: &[u8], issuers: &[Certificate<'_>], now: Timestamp) -> Result<(usize, Self), X509Error> {
        let mut failure = None;
        for (at, issuer) in issuers.iter().enumerate() {
            match Self::by(der, issuer, now) {
                Ok(list) => return Ok((at, list)),
                Err(error) if error.code == "crl_other_issuer" => failure = failure.or(Some(error)),
                // A CA of this name: what it says of the list is worth more than that others have other names.
                Err(error) if error.code == "crl_signature" => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(malformed))
    }

    /// Reads one list as [`ForeignCrl::read_all`] does, of one CA.
    pub fn read(input: &[u8], issuer_der: &[u8], now: Timestamp) -> Result<Self, X509Error> {
        let mut lists = Self::read_all(input, &[issuer_der], now)?;
        match (lists.pop(), lists.is_empty()) {
            (Some((_, list)), true) => Ok(list),
            _ => Err(malformed()),
        }
    }

    fn by(der: &[u8], issuer: &Certificate<'_>, now: Timestamp) -> Result<Self, X509Error> {
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
        // By text and not by bytes (RFC 5280 section 7.1): CAs change the string types of their name between certificate and list.
        if name.value != issuer.subject
            && name::canonical_of(name.whole).is_none_or(|other| other != name::canonical(issuer.decoded.tbs_certificate().subject()))
        {
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
        let (number, point) = match fields.next_if(|f| f.tag == 0xa0) {
            // RFC 5280 section 5.1.2.7: only a version 2 list has extensions.
            Some(_) if version.is_none() => return Err(malformed()),
            Some(extensions) => list_extensions(single(extensions.value).map_err(|_| malformed())?.value)?,
            None => (None, None),
        };
        if fields.next().is_some() {
            return Err(malformed());
        }
        let mut revoked = match entries {
            Some(entries) => children(entries.value).map_err(|_| malformed())?.iter().map(|e| entry(e.value)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let number = number.ok_or_else(|| {
            X509Error::new(
                "crl_without_number",
                Some("E4"),
                "the revocation list has no crlNumber, so an older one could be passed off as the newest",
                "have the CA publish crlNumber, as RFC 5280 section 5.2.3 asks",
            )
        })?;
        revoked.sort_unstable();
        Ok(Self { number, point, this_update, next_update, revoked })
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

/// A non-negative INTEGER of at most 20 octets, without its leading zero. DER knows one form of each number.
fn number(field: crate::certificate::Tlv<'_>) -> Result<&[u8], X509Error> {
    let minimal = match field.value {
        [0, next, ..] => *next >= 0x80,
        [first, ..] => *first < 0x80,
        [] => false,
    };
    if field.tag != 0x02 || !minimal || field.value.len() > NUMBER_BYTES_MAX {
        return Err(malformed());
    }
    Ok(trimmed(field.value))
}

fn scoped(what: &str) -> X509Error {
    X509Error::new(
        "crl_scoped",
        Some("E4"),
        format!("the revocation list is not about client certificates: its issuingDistributionPoint says {what}"),
        "give a list that covers the CA's end-entity certificates, for all reasons",
    )
}

/// IssuingDistributionPoint (RFC 5280 section 5.2.5): the digest of the point's names, if it has any.
fn issuing_point(value: &[u8]) -> Result<Option<Fingerprint>, X509Error> {
    let outer = single(value).ok().filter(|outer| outer.tag == 0x30).ok_or_else(malformed)?;
    let fields = children(outer.value).map_err(|_| malformed())?;
    if fields.is_empty() || !fields.is_sorted_by_key(|field| field.tag & 0x1f) {
        return Err(malformed());
    }
    let (mut point, mut last) = (None, None);
    for field in fields {
        if last.replace(field.tag) == Some(field.tag) {
            return Err(malformed());
        }
        // A BOOLEAN that is false is the default, which DER leaves out.
        let is_true = || if field.value == [0xff] { Ok(()) } else { Err(malformed()) };
        match field.tag {
            0xa0 => match single(field.value).map_err(|_| malformed())? {
                full if full.tag == 0xa0 && !full.value.is_empty() => point = Some(Fingerprint::of(full.value)),
                relative if relative.tag == 0xa1 => return Err(scoped("a name relative to its issuer")),
                _ => return Err(malformed()),
            },
            0x81 => is_true()?,
            0x82 => return is_true().and(Err(scoped("onlyContainsCACerts"))),
            0x83 => return Err(scoped("onlySomeReasons")),
            0x84 => return is_true().and(Err(indirect())),
            0x85 => return is_true().and(Err(scoped("onlyContainsAttributeCerts"))),
            _ => return Err(malformed()),
        }
    }
    Ok(point)
}

fn indirect() -> X509Error {
    X509Error::new(
        "crl_indirect",
        Some("E4"),
        "the revocation list speaks for other CAs too (an indirect CRL)",
        "give the list that this very CA signs for itself",
    )
}

/// Whether a value is an AuthorityKeyIdentifier: a key, a name and a number, each once and in order, and not all absent.
fn is_key_identifier(value: &[u8]) -> bool {
    let Some(fields) = single(value).ok().filter(|outer| outer.tag == 0x30).and_then(|outer| children(outer.value).ok()) else {
        return false;
    };
    let tags: Vec<u8> = fields.iter().map(|field| field.tag).collect();
    let sound = fields.iter().all(|field| !field.value.is_empty());
    // The name and the number go together (RFC 5280 section 4.2.1.1).
    sound && matches!(tags.as_slice(), [0x80] | [0x80, 0xa1, 0x82] | [0xa1, 0x82])
}

/// Refuses lists that do not cover a CA's end-entity certificates; gives the number and the distribution point.
fn list_extensions(content: &[u8]) -> Result<(Option<Vec<u8>>, Option<Fingerprint>), X509Error> {
    let (mut list_number, mut point) = (None, None);
    let mut seen = Vec::new();
    for one in children(content).map_err(|_| malformed())? {
        let (kind, critical, value) = extension(one.value)?;
        // RFC 5280 section 5.2 with 4.2: at most one of a kind.
        if seen.contains(&kind) {
            return Err(malformed());
        }
        seen.push(kind);
        match kind {
            // RFC 5280 section 5.2.3: non-critical.
            CRL_NUMBER if critical => return Err(malformed()),
            CRL_NUMBER => list_number = Some(number(single(value).map_err(|_| malformed())?)?.to_vec()),
            AUTHORITY_KEY_IDENTIFIER if !is_key_identifier(value) => return Err(malformed()),
            DELTA_INDICATOR => {
                return Err(X509Error::new(
                    "crl_delta",
                    Some("E4"),
                    "this is a delta list, which holds only what changed",
                    "give the CA's full revocation list",
                ));
            }
            ISSUING_POINT => point = issuing_point(value)?,
            AUTHORITY_KEY_IDENTIFIER => {}
            other if critical => return Err(unknown_critical(other)),
            _ => {}
        }
    }
    Ok((list_number, point))
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
            CERTIFICATE_ISSUER => return Err(indirect()),
            other if critical => return Err(unknown_critical(other)),
            _ => {}
        }
    }
    let revoked_at = moment(date.tag, date.value).ok_or_else(malformed)?;
    Ok(Revoked {
        serial: padded(entry_serial(*serial)?).ok_or_else(malformed)?,
        revoked_at: u32::try_from(revoked_at.seconds()).unwrap_or(u32::MAX),
        reason,
    })
}

/// The serial number of an entry. Of negative ones, which some CAs have given, the bytes are taken as they are in certificates.
fn entry_serial(field: crate::certificate::Tlv<'_>) -> Result<&[u8], X509Error> {
    let minimal = !matches!(field.value, [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
    // 20 octets of value; a leading zero is one more.
    let fits = trimmed(field.value).len() <= NUMBER_BYTES_MAX;
    if field.tag == 0x02 && minimal && fits { Ok(field.value) } else { Err(malformed()) }
}

fn padded(serial: &[u8]) -> Option<[u8; 20]> {
    let significant = trimmed(serial);
    let mut out = [0; 20];
    let at = out.len().checked_sub(significant.len())?;
    out.get_mut(at..)?.copy_from_slice(significant);
    Some(out)
}

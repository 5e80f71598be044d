//! A small DER writer: just what a certificate needs (X.690). It writes no default values and no empty optional fields,
//! because its callers leave them out. It reads nothing.

use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;

/// Tag and length of a value with `length` bytes.
pub(crate) fn tlv_head(tag: u8, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(6);
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = bytes.len() - bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | significant as u8);
        out.extend(bytes.iter().skip(bytes.len() - significant));
    }
    out
}

/// One TLV with a definite length.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = tlv_head(tag, value.len());
    out.extend_from_slice(value);
    out
}

/// SEQUENCE.
pub(crate) fn sequence<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    tlv(0x30, &concat(parts))
}

pub(crate) fn concat<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    parts.iter().flat_map(|p| p.as_ref().iter().copied()).collect()
}

/// OBJECT IDENTIFIER.
pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, oid.as_bytes())
}

/// A non-negative INTEGER from its big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    if value.first().is_none_or(|b| *b >= 0x80) {
        value.insert(0, 0);
    }
    tlv(0x02, &value)
}

/// BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut value = vec![0];
    value.extend_from_slice(bytes);
    tlv(0x03, &value)
}

/// keyUsage's bit string with bits counted as RFC 5280 section 4.2.1.3 does; trailing zeros are not encoded. `bits` are below 8.
pub(crate) fn named_bits(bits: &[u8]) -> Vec<u8> {
    let byte = bits.iter().fold(0_u8, |byte, bit| byte | (0x80 >> (bit % 8)));
    if byte == 0 {
        return tlv(0x03, &[0]);
    }
    tlv(0x03, &[byte.trailing_zeros() as u8, byte])
}

/// UTCTime until 2049 and GeneralizedTime afterwards (RFC 5280 section 4.1.2.5), without fractions. `None` outside 1970..9999.
pub(crate) fn time(moment: Timestamp) -> Option<Vec<u8>> {
    let (year, rest) = digits(moment)?;
    Some(if year < 2050 {
        tlv(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{year:04}{rest}").as_bytes())
    })
}

/// GeneralizedTime in every year, without fractions. `None` outside 1970..9999.
pub(crate) fn generalized_time(moment: Timestamp) -> Option<Vec<u8>> {
    let (year, rest) = digits(moment)?;
    Some(tlv(0x18, format!("{year:04}{rest}").as_bytes()))
}

/// The year, and `MMDDhhmmssZ`.
fn digits(moment: Timestamp) -> Option<(u16, String)> {
    let seconds = u64::try_from(moment.seconds()).ok()?;
    let d = der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).ok()?;
    Some((d.year(), format!("{:02}{:02}{:02}{:02}{:02}Z", d.month(), d.day(), d.hour(), d.minutes(), d.seconds())))
}

/// A name of single-valued RDNs with UTF8String values, in this order.
pub(crate) fn name(attributes: &[(ObjectIdentifier, &str)]) -> Vec<u8> {
    let rdns: Vec<Vec<u8>> =
        attributes.iter().map(|(kind, value)| tlv(0x31, &sequence(&[oid(*kind), tlv(0x0c, value.as_bytes())]))).collect();
    sequence(&rdns)
}

//! One certificate, read strictly, with the raw slices that signatures and name comparison need. It judges nothing: which
//! contents are acceptable is for `bundle`, `leaf` and `chain` to say.

use crate::X509Error;
use const_oid::ObjectIdentifier;
use countersign_core::Timestamp;
use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader};
use x509_cert::Certificate as Decoded;

pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
pub(crate) const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Bit of keyUsage, counted as RFC 5280 section 4.2.1.3 numbers them.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0;
pub(crate) const KEY_CERT_SIGN: u8 = 5;
pub(crate) const CRL_SIGN: u8 = 6;

/// Octets of a serial number.
const SERIAL_BYTES_MAX: usize = 20;

/// One TLV: its first tag byte, its value and all of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub tag: u8,
    pub value: &'a [u8],
    pub whole: &'a [u8],
}

/// The TLVs that lie one after the other in `bytes`.
pub(crate) fn children(bytes: &[u8]) -> der::Result<Vec<Tlv<'_>>> {
    let mut found = Vec::new();
    if bytes.is_empty() {
        return Ok(found);
    }
    let mut reader = SliceReader::new(bytes)?;
    while !reader.is_finished() {
        let whole = reader.tlv_bytes()?;
        let any = AnyRef::from_der(whole)?;
        found.push(Tlv { tag: whole.first().copied().unwrap_or_default(), value: any.value(), whole });
    }
    Ok(found)
}

/// The single TLV that `bytes` is, without anything after it.
pub(crate) fn single(bytes: &[u8]) -> der::Result<Tlv<'_>> {
    let any = AnyRef::from_der(bytes)?;
    Ok(Tlv { tag: bytes.first().copied().unwrap_or_default(), value: any.value(), whole: bytes })
}

/// The content of the one value of this tag that `bytes` are.
pub(crate) fn tagged(bytes: &[u8], tag: u8) -> der::Result<&[u8]> {
    let found = single(bytes)?;
    if found.tag == tag { Ok(found.value) } else { Err(der::ErrorKind::Failed.into()) }
}

/// A BOOLEAN of DER. A FALSE that is written out, though it is the default, is in too many certificates to be refused.
fn boolean(field: &Tlv<'_>) -> der::Result<bool> {
    match (field.tag, field.value) {
        (0x01, [0xff]) => Ok(true),
        (0x01, [0]) => Ok(false),
        _ => Err(der::ErrorKind::Failed.into()),
    }
}

/// Why bytes are not a certificate.
enum Fault {
    /// They are not its encoding.
    Der,
    /// An extension comes twice.
    Twice(ObjectIdentifier),
}

impl From<der::Error> for Fault {
    fn from(_: der::Error) -> Self {
        Self::Der
    }
}

/// A field of a TBSCertificate, counted behind the version.
fn field_of(der: &[u8], index: usize) -> Option<Tlv<'_>> {
    let outer = children(single(der).ok()?.value).ok()?;
    let [signed, _, _] = outer.as_slice() else { return None };
    let fields = children(signed.value).ok()?;
    let at = usize::from(fields.first()?.tag == 0xa0);
    fields.get(at + index).copied()
}

/// The SubjectPublicKeyInfo of a certificate and nothing else of it: what a handshake needs to see that its peer holds the key.
pub(crate) fn key_of(der: &[u8]) -> Option<&[u8]> {
    field_of(der, 5).filter(|key| key.tag == 0x30).map(|key| key.whole)
}

/// What is remarkable about a serial number that is not positive. Some CAs have given such ones, and they are taken.
pub(crate) fn serial_remark(serial: &[u8]) -> Option<&'static str> {
    match serial {
        [first, ..] if *first >= 0x80 => Some("its serial number is negative; RFC 5280 section 4.1.2.2 wants a positive one"),
        all if all.iter().all(|byte| *byte == 0) => Some("its serial number is zero; RFC 5280 section 4.1.2.2 wants a positive one"),
        _ => None,
    }
}

/// basicConstraints as it stands in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub critical: bool,
    pub ca: bool,
    /// How many further CA certificates may follow; a larger number than 255 is read as 255.
    pub path_len: Option<u8>,
}

/// A certificate that was read.
pub(crate) struct Certificate<'a> {
    pub der: &'a [u8],
    /// The signed bytes, exactly as they came.
    pub signed: &'a [u8],
    /// Content of the signature's AlgorithmIdentifier, without its tag.
    pub algorithm: &'a [u8],
    pub signature: &'a [u8],
    /// 1, 2 or 3.
    pub version: u8,
    pub serial: Vec<u8>,
    /// Content of the issuer's SEQUENCE.
    pub issuer: &'a [u8],
    /// Content of the subject's SEQUENCE.
    pub subject: &'a [u8],
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo, whole.
    pub key: &'a [u8],
    pub basic_constraints: Option<BasicConstraints>,
    /// The bytes of the keyUsage bit string.
    pub key_usage: Option<Vec<u8>>,
    pub extended_key_usage: Option<Vec<ObjectIdentifier>>,
    pub subject_key_id: Option<&'a [u8]>,
    pub authority_key_id: Option<&'a [u8]>,
    /// Content of the GeneralNames SEQUENCE.
    pub alternative_names: Option<&'a [u8]>,
    /// Content of the NameConstraints SEQUENCE.
    pub name_constraints: Option<&'a [u8]>,
    /// The first critical extension that nobody here understands.
    pub unknown_critical: Option<ObjectIdentifier>,
    /// The decoded names.
    pub decoded: Decoded,
}

/// Anything that is no certificate.
fn unreadable() -> X509Error {
    X509Error::new(
        "not_a_certificate",
        Some("A1"),
        "these bytes are no X.509 certificate in strict DER",
        "export the certificate again, for example with `openssl x509 -in FILE -out client.pem`",
    )
}

impl<'a> Certificate<'a> {
    /// Reads one certificate; nothing may follow it.
    pub fn read(der: &'a [u8]) -> Result<Self, X509Error> {
        if let Some(serial) = field_of(der, 0)
            // RFC 5280 section 4.1.2.2. The zero in front of a number whose first bit is set is no octet of the number.
            && serial.value.strip_prefix(&[0]).unwrap_or(serial.value).len() > SERIAL_BYTES_MAX
        {
            return Err(X509Error::new(
                "serial_too_long",
                Some("A1"),
                format!("its serial number has {} octets; at most {SERIAL_BYTES_MAX} are allowed", serial.value.len()),
                "have it issued again with a shorter one (RFC 5280 section 4.1.2.2)",
            ));
        }
        Self::walk(der).map_err(|fault| match fault {
            Fault::Der => unreadable(),
            Fault::Twice(oid) => X509Error::new(
                "duplicate_extension",
                None,
                format!("the certificate has the extension {oid} twice, of which readers take one or the other"),
                "have it issued again with each extension once (RFC 5280 section 4.2)",
            ),
        })
    }

    fn walk(der: &'a [u8]) -> Result<Self, Fault> {
        let decoded = Decoded::from_der(der)?;
        let wrong = || der::Error::from(der::ErrorKind::Failed);
        let outer = children(single(der)?.value)?;
        let [signed, algorithm, signature] = outer.as_slice() else { return Err(wrong().into()) };
        let fields = children(signed.value)?;
        // The version is the only optional field in front, and carries the context tag 0.
        let mut at = usize::from(fields.first().is_some_and(|f| f.tag == 0xa0));
        let mut next = || {
            let field = fields.get(at).copied();
            at += 1;
            field.ok_or_else(wrong)
        };
        let (_serial, inner_algorithm, issuer, _validity, subject, key) = (next()?, next()?, next()?, next()?, next()?, next()?);
        // RFC 5280 section 4.1.1.2: both AlgorithmIdentifiers are the same; a difference is a known confusion attack.
        if inner_algorithm.whole != algorithm.whole {
            return Err(wrong().into());
        }
        let tbs = decoded.tbs_certificate();
        let (version, serial) = (tbs.version() as u8 + 1, tbs.serial_number().as_bytes().to_vec());
        let (not_before, not_after) = (moment(tbs.validity().not_before), moment(tbs.validity().not_after));
        let mut certificate = Self {
            der,
            signed: signed.whole,
            algorithm: algorithm.value,
            signature: match signature.value.split_first() {
                Some((0, bytes)) => bytes,
                _ => return Err(wrong().into()),
            },
            version,
            serial,
            issuer: issuer.value,
            subject: subject.value,
            not_before,
            not_after,
            key: key.whole,
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            subject_key_id: None,
            authority_key_id: None,
            alternative_names: None,
            name_constraints: None,
            unknown_critical: None,
            decoded,
        };
        let mut seen = Vec::new();
        if let Some(extensions) = fields.iter().find(|f| f.tag == 0xa3) {
            for extension in children(single(extensions.value)?.value)? {
                let parts = children(extension.value)?;
                let (oid, critical, value) = match parts.as_slice() {
                    [oid, value] => (oid, false, value),
                    [oid, critical, value] => (oid, boolean(critical)?, value),
                    _ => return Err(wrong().into()),
                };
                if oid.tag != 0x06 || value.tag != 0x04 {
                    return Err(wrong().into());
                }
                let oid = ObjectIdentifier::from_bytes(oid.value).map_err(|_| wrong())?;
                // RFC 5280 section 4.2: at most one of a kind.
                if seen.contains(&oid) {
                    return Err(Fault::Twice(oid));
                }
                seen.push(oid);
                certificate.take(oid, critical, value.value)?;
            }
        }
        Ok(certificate)
    }

    /// Remembers one extension.
    fn take(&mut self, oid: ObjectIdentifier, critical: bool, value: &'a [u8]) -> der::Result<()> {
        let wrong = || der::Error::from(der::ErrorKind::Failed);
        match oid {
            BASIC_CONSTRAINTS => {
                let parts = children(tagged(value, 0x30)?)?;
                let (ca, path_len) = match parts.as_slice() {
                    [] => (false, None),
                    [path_len] if path_len.tag == 0x02 => (false, Some(path_len)),
                    [ca] => (boolean(ca)?, None),
                    [ca, path_len] if path_len.tag == 0x02 => (boolean(ca)?, Some(path_len)),
                    _ => return Err(wrong()),
                };
                let path_len = path_len.map(|p| match p.value {
                    [n] if *n < 128 => *n,
                    [0, n] => *n,
                    _ => u8::MAX,
                });
                self.basic_constraints = Some(BasicConstraints { critical, ca, path_len });
            }
            KEY_USAGE => {
                let bits = single(value)?;
                let (_unused, bytes) = bits.value.split_first().ok_or_else(wrong)?;
                self.key_usage = Some(bytes.to_vec());
            }
            EXTENDED_KEY_USAGE => {
                let purposes = children(single(value)?.value)?;
                let read = |p: &Tlv<'_>| ObjectIdentifier::from_bytes(p.value).map_err(|_| wrong());
                self.extended_key_usage = Some(purposes.iter().map(read).collect::<der::Result<_>>()?);
            }
            SUBJECT_KEY_IDENTIFIER => self.subject_key_id = Some(single(value)?.value),
            AUTHORITY_KEY_IDENTIFIER => {
                self.authority_key_id = children(single(value)?.value)?.iter().find(|p| p.tag == 0x80).map(|p| p.value);
            }
            SUBJECT_ALT_NAME => self.alternative_names = Some(single(value)?.value),
            NAME_CONSTRAINTS => self.name_constraints = Some(tagged(value, 0x30)?),
            other if critical && self.unknown_critical.is_none() => self.unknown_critical = Some(other),
            _ => {}
        }
        Ok(())
    }

    /// Whether basicConstraints says it is a CA.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|b| b.ca)
    }

    /// Whether issuer and subject are the same bytes.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether keyUsage, if there is one, has `bit`; `None` when the extension is absent.
    pub fn has_usage(&self, bit: u8) -> Option<bool> {
        let bytes = self.key_usage.as_ref()?;
        Some(bytes.get(usize::from(bit / 8)).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0))
    }

    /// Whether extendedKeyUsage, if there is one, lets clients authenticate; `None` when the extension is absent.
    pub fn allows_client_auth(&self) -> Option<bool> {
        let purposes = self.extended_key_usage.as_ref()?;
        Some(purposes.iter().any(|p| *p == CLIENT_AUTH || *p == ANY_EXTENDED_KEY_USAGE))
    }

    /// The alternative names as tagged values.
    pub fn general_names(&self) -> Vec<Tlv<'a>> {
        self.alternative_names.and_then(|bytes| children(bytes).ok()).unwrap_or_default()
    }
}

fn moment(time: x509_cert::time::Time) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

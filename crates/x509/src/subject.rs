//! The subject of a certificate that is asked for or made here: which attributes it may have, which texts they may hold, how
//! they are written, and when two of them are the same (rules B4, C9 and D7 of `research/pki.md`). Subjects of foreign
//! certificates are only read (`name`); this one is what we put our own signature under.

use crate::X509Error;
use crate::alternative_name::AlternativeName;
use crate::certificate::Certificate;
use crate::encode::{oid, sequence, tlv};
use crate::name;
use crate::text::{self, TextFault};
use const_oid::ObjectIdentifier;
use der::{Decode, Tag, Tagged};
use std::fmt;
use x509_cert::name::Name;

/// Attributes in one subject.
pub const ATTRIBUTES_MAX: usize = 16;

/// An attribute that a subject may have. The bounds are the upper bounds of RFC 5280 appendix A.1 where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribute {
    /// CN, 64 characters.
    CommonName,
    /// O, 64 characters.
    Organization,
    /// OU, 64 characters.
    OrganizationalUnit,
    /// C, two letters of ISO 3166.
    Country,
    /// ST, 128 characters.
    State,
    /// L, 128 characters.
    Locality,
    /// STREET, 128 characters.
    Street,
    /// serialNumber, 64 characters of PrintableString.
    SerialNumber,
    /// UID, 256 characters.
    UserId,
    /// DC, one DNS label.
    DomainComponent,
    /// emailAddress, 255 characters of ASCII.
    Email,
}

impl Attribute {
    /// Every attribute that is taken.
    pub const ALL: [Self; 11] = [
        Self::CommonName,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::Country,
        Self::State,
        Self::Locality,
        Self::Street,
        Self::SerialNumber,
        Self::UserId,
        Self::DomainComponent,
        Self::Email,
    ];

    /// Its word in a distinguished name.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(self.row().1)
    }

    /// Name, object identifier, most characters.
    const fn row(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::CommonName => ("CN", "2.5.4.3", 64),
            Self::Organization => ("O", "2.5.4.10", 64),
            Self::OrganizationalUnit => ("OU", "2.5.4.11", 64),
            Self::Country => ("C", "2.5.4.6", 2),
            Self::State => ("ST", "2.5.4.8", 128),
            Self::Locality => ("L", "2.5.4.7", 128),
            Self::Street => ("STREET", "2.5.4.9", 128),
            Self::SerialNumber => ("serialNumber", "2.5.4.5", 64),
            Self::UserId => ("UID", "0.9.2342.19200300.100.1.1", 256),
            Self::DomainComponent => ("DC", "0.9.2342.19200300.100.1.25", 63),
            Self::Email => ("emailAddress", "1.2.840.113549.1.9.1", 255),
        }
    }

    /// D7: PrintableString for C and serialNumber, IA5String for DC and mail, UTF8String elsewhere.
    const fn tag(self) -> u8 {
        match self {
            Self::Country | Self::SerialNumber => 0x13,
            Self::DomainComponent | Self::Email => 0x16,
            _ => 0x0c,
        }
    }

    /// Reads [`Attribute::name`], in any case.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(word))
    }
}

/// A distinguished name whose every value was checked. It has at least one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    attributes: Vec<(Attribute, String)>,
}

impl Subject {
    /// From attributes in the order of the encoding (usually C, O, OU, CN). Fails with `empty_subject`, `bad_subject`,
    /// `control_character_in_name`, `invisible_character_in_name`, `look_alike_name` or `unnormalized_name`.
    pub fn new(attributes: Vec<(Attribute, String)>) -> Result<Self, X509Error> {
        if attributes.iter().all(|(_, value)| value.trim().is_empty()) {
            return Err(empty());
        }
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(bad(format!("it has {} attributes; at most {ATTRIBUTES_MAX} are taken", attributes.len())));
        }
        for (attribute, value) in &attributes {
            check(*attribute, value)?;
        }
        Ok(Self { attributes })
    }

    /// With only a common name. Fails as [`Subject::new`] does.
    pub fn common_name(text: &str) -> Result<Self, X509Error> {
        Self::new(vec![(Attribute::CommonName, text.to_owned())])
    }

    /// Reads `CN=app,O=Acme,C=DE` (RFC 4514: the last attribute of the encoding comes first, `\` escapes) or `/C=DE/O=Acme/CN=app`
    /// (OpenSSL's form, in the order of the encoding). Fails as [`Subject::new`] does.
    pub fn parse(text: &str) -> Result<Self, X509Error> {
        let text = text.trim_start();
        let (separator, body) = text.strip_prefix('/').map_or((',', text), |rest| ('/', rest));
        let mut attributes = Vec::new();
        for part in split(body, separator) {
            let (word, value) = part.split_once('=').ok_or_else(|| bad(format!("`{}` is no TYPE=value", clip(&part))))?;
            let attribute = Attribute::named(word.trim()).ok_or_else(|| bad(format!("`{}` is no attribute that is taken", clip(word))))?;
            attributes.push((attribute, unescape(value)?));
        }
        if separator == ',' {
            attributes.reverse();
        }
        Self::new(attributes)
    }

    /// Reads an encoded Name. TeletexString, BMPString and UniversalString are written anew as UTF8String, where their text is
    /// certain; RDNs with several values are refused (C9). Fails as [`Subject::new`] does.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let decoded = Name::from_der(der).map_err(|_| bad("it cannot be read".into()))?;
        let mut attributes = Vec::new();
        for rdn in decoded.iter_rdn() {
            let mut values = rdn.iter();
            let (Some(only), None) = (values.next(), values.next()) else {
                return Err(bad("one of its parts has several values joined by `+`, which readers order differently".into()));
            };
            let Some(attribute) = Attribute::ALL.into_iter().find(|a| a.oid() == only.oid) else {
                return Err(bad(format!("it has the attribute {}, which is not taken", only.oid)));
            };
            let value = value(&only.value)
                .ok_or_else(|| bad(format!("its {} is in a string type that readers read differently", attribute.name())))?;
            attributes.push((attribute, value));
        }
        Self::new(attributes)
    }

    /// Its attributes, in the order of the encoding.
    pub fn attributes(&self) -> &[(Attribute, String)] {
        &self.attributes
    }

    /// The values of one attribute.
    pub fn values(&self, attribute: Attribute) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(move |(a, _)| *a == attribute).map(|(_, value)| value.as_str())
    }

    /// The encoded Name.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let rdns: Vec<Vec<u8>> = self
            .attributes
            .iter()
            .map(|(attribute, value)| tlv(0x31, &sequence(&[oid(attribute.oid()), tlv(attribute.tag(), value.as_bytes())])))
            .collect();
        sequence(&rdns)
    }

    /// The key for "is there a certificate of this name": case folded, white space collapsed, string types ignored,
    /// order kept (B4).
    pub fn canonical(&self) -> String {
        Name::from_der(&self.to_der()).map_or_else(|_| self.to_string(), |name| name::canonical(&name))
    }

    /// The key for "is there a certificate whose name looks like this": as [`Subject::canonical`], with letters and digits
    /// that people take for each other made one.
    pub fn skeleton(&self) -> String {
        text::skeleton(&self.canonical())
    }
}

impl fmt::Display for Subject {
    /// RFC 4514.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Name::from_der(&self.to_der()) {
            Ok(name) => f.write_str(&name::rfc4514(&name)),
            Err(_) => Err(fmt::Error),
        }
    }
}

/// [`Subject::canonical`] of a certificate that was not made here, whatever its subject holds. Fails with
/// `not_a_certificate`.
pub fn canonical_of_certificate(der: &[u8]) -> Result<String, X509Error> {
    Ok(name::canonical(Certificate::read(der)?.decoded.tbs_certificate().subject()))
}

/// The text of a string whose type leaves no doubt about it; TeletexString does only while it is ASCII.
fn value(any: &der::Any) -> Option<String> {
    let bytes = any.value();
    match any.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::TeletexString | Tag::VisibleString => {
            bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned())
        }
        Tag::BmpString => {
            let units: Vec<u16> = bytes.chunks(2).map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte))).collect();
            bytes.len().is_multiple_of(2).then(|| String::from_utf16(&units).ok()).flatten()
        }
        _ => None,
    }
}

fn check(attribute: Attribute, value: &str) -> Result<(), X509Error> {
    let word = attribute.name();
    let (_, _, most) = attribute.row();
    match text::fault(value) {
        Some(TextFault::Control) => {
            return Err(X509Error::new(
                "control_character_in_name",
                Some("C9"),
                format!("its {word} has a NUL or another control character"),
                "write the name without it; a reader could cut the name short there",
            ));
        }
        Some(TextFault::Invisible) => {
            return Err(X509Error::new(
                "invisible_character_in_name",
                Some("C9"),
                format!("its {word} has a character that is not seen or that turns the writing direction"),
                "type the name again instead of pasting it",
            ));
        }
        Some(TextFault::LookAlike) => {
            return Err(X509Error::new(
                "look_alike_name",
                Some("C9"),
                format!("its {word} mixes letters of several scripts that look alike, or uses a typographic form of Latin letters"),
                "type the name again in one script",
            ));
        }
        Some(TextFault::Unnormalized) => {
            return Err(X509Error::new(
                "unnormalized_name",
                Some("C9"),
                format!("its {word} writes an accent as a character of its own"),
                "write the composed letters (Unicode normal form C)",
            ));
        }
        None => {}
    }
    let count = value.chars().count();
    // X.520 gives every text at least one character. Foreign certificates with empty parts are read (`name`), not made.
    if value.trim().is_empty() {
        return Err(bad(format!("its {word} is empty")));
    }
    if count > most {
        return Err(bad(format!("its {word} has {count} characters; at most {most} are taken")));
    }
    let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
    let sound = match attribute {
        Attribute::Country => value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase()),
        Attribute::SerialNumber => value.bytes().all(printable),
        Attribute::DomainComponent => value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        Attribute::Email => AlternativeName::email(value).is_ok(),
        _ => true,
    };
    if !sound {
        return Err(bad(match attribute {
            Attribute::Country => "its C is not two upper-case letters, such as DE".into(),
            Attribute::Email => "its emailAddress is no mail address in ASCII".into(),
            _ => format!("its {word} has characters that this attribute cannot hold"),
        }));
    }
    Ok(())
}

/// Splits at unescaped separators.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        escaped = c == '\\' && !escaped;
        part.push(c);
    }
    parts.push(part);
    parts.retain(|p| !p.trim().is_empty());
    parts
}

/// RFC 4514 section 2.4 backwards: `\,` and `\c3\ab`; unescaped white space at the ends falls away.
fn unescape(value: &str) -> Result<String, X509Error> {
    let wrong = || bad("a backslash in it is followed by nothing that can be escaped".into());
    let start = value.trim_start_matches(' ');
    let trimmed = start.trim_end_matches(' ');
    // A space behind an odd number of backslashes is escaped, and part of the value.
    let backslashes = trimmed.bytes().rev().take_while(|b| *b == b'\\').count();
    let trimmed = if backslashes % 2 == 1 { start.get(..trimmed.len() + 1).unwrap_or(trimmed) } else { trimmed };
    let mut bytes = Vec::with_capacity(trimmed.len());
    let mut rest = trimmed.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let first = rest.next().ok_or_else(wrong)?;
        match char::from(first).to_digit(16) {
            None => bytes.push(first),
            Some(high) => {
                let low = rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(wrong)?;
                bytes.push((high << 4 | low) as u8);
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn empty() -> X509Error {
    X509Error::new(
        "empty_subject",
        Some("C9"),
        "its subject names nobody",
        "give it at least a common name, such as `openssl req -subj /O=Acme/CN=billing`",
    )
}

fn bad(what: String) -> X509Error {
    X509Error::new(
        "bad_subject",
        Some("C9"),
        format!("its subject is not taken: {what}"),
        "use CN, O, OU, C, ST, L, STREET, serialNumber, UID, DC and emailAddress, one value each part, within the bounds of RFC 5280",
    )
}

//! What a certificate request asks for beside its subject and key: its attributes in strict DER, from which only checked names are taken
//! over (rules C2, C10 and C11 of `research/pki.md` section 6c). It never decides whose names they are.

use crate::X509Error;
use crate::alternative_name::{self, AlternativeName};
use crate::certificate::{
    AUTHORITY_KEY_IDENTIFIER, BASIC_CONSTRAINTS, CLIENT_AUTH, CRL_SIGN, EXTENDED_KEY_USAGE, KEY_CERT_SIGN, KEY_USAGE, SERVER_AUTH,
    SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER, Tlv, children, single,
};
use const_oid::ObjectIdentifier;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// Microsoft's older attribute for the same.
const MICROSOFT_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");
/// Extensions of Windows, such as its templates, which it asks for whether one wants them or not.
const MICROSOFT: &str = "1.3.6.1.4.1.311.";
const SMIME_CAPABILITIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15");
const NETSCAPE_COMMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113730.1.13");
/// keyUsage bits that ask for a CA's rights.
const CA_USAGES: [u8; 2] = [KEY_CERT_SIGN, CRL_SIGN];

/// What was asked for.
#[derive(Default)]
pub(crate) struct Requested {
    /// Checked, each once, in order.
    pub names: Vec<AlternativeName>,
    /// What was asked for and is not given, by rule.
    pub warnings: Vec<String>,
}

impl Requested {
    /// Reads the content of the attributes field. C2: of the attributes only the request for extensions is looked at; a challenge password
    /// is not even read.
    pub fn read(content: &[u8]) -> Result<Self, X509Error> {
        let mut requested = Self::default();
        let mut seen = false;
        for attribute in parts(content, "the attributes")? {
            let fields = parts(content_of(&attribute, 0x30, "an attribute")?, "an attribute")?;
            let [kind, values] = fields.as_slice() else { return Err(malformed("an attribute is not a type with its values")) };
            let kind = identifier(kind)?;
            let values = parts(content_of(values, 0x31, "the values of an attribute")?, "the values of an attribute")?;
            if kind == MICROSOFT_EXTENSIONS {
                requested.warnings.push(format!("C2: the extensions in Microsoft's attribute {kind} are not read"));
            }
            if kind != EXTENSION_REQUEST {
                continue;
            }
            let ([extensions], false) = (values.as_slice(), seen) else {
                return Err(malformed("extensions are asked for more than once"));
            };
            seen = true;
            requested.extensions(content_of(extensions, 0x30, "the extensions")?)?;
        }
        Ok(requested)
    }

    fn extensions(&mut self, content: &[u8]) -> Result<(), X509Error> {
        let mut kinds = Vec::new();
        for extension in parts(content, "the extensions")? {
            let fields = parts(content_of(&extension, 0x30, "an extension")?, "an extension")?;
            let (kind, critical, value) = match fields.as_slice() {
                [kind, value] => (kind, false, value),
                [kind, critical, value] => (kind, written_true(critical, "criticality")?, value),
                _ => return Err(malformed("an extension is not a type with its value")),
            };
            let kind = identifier(kind)?;
            if kinds.contains(&kind) {
                return Err(X509Error::new(
                    "duplicate_extension",
                    Some("C10"),
                    format!("the request asks for the extension {kind} twice"),
                    "make the request again with each extension once",
                ));
            }
            kinds.push(kind);
            self.extension(kind, critical, content_of(value, 0x04, "the value of an extension")?)?;
        }
        Ok(())
    }

    /// C10: nothing is taken over from here but the checked names; what could never be meant well is refused.
    fn extension(&mut self, kind: ObjectIdentifier, critical: bool, value: &[u8]) -> Result<(), X509Error> {
        match kind {
            BASIC_CONSTRAINTS => basic_constraints(value),
            KEY_USAGE => self.key_usage(value),
            EXTENDED_KEY_USAGE => extended_key_usage(value),
            SUBJECT_ALT_NAME => {
                self.names = alternative_name::read(inside(value, 0x30, "subjectAltName")?)?;
                Ok(())
            }
            // The issuer computes it; Java's keytool and GnuTLS always ask for it.
            SUBJECT_KEY_IDENTIFIER => inside(value, 0x04, "subjectKeyIdentifier").map(drop),
            // Clients add these without being asked; they grant nothing. One that is critical must not be left out in silence.
            other if !critical && passed_over(other) => {
                self.warnings.push(format!("C10: the extension {other} that was asked for is not given"));
                Ok(())
            }
            other => Err(asks_for(&format!("the extension {other}"), "leave it out; the issuer's profile adds what is needed")),
        }
    }

    fn key_usage(&mut self, value: &[u8]) -> Result<(), X509Error> {
        let bits = inside(value, 0x03, "keyUsage")?;
        let ([unused, bytes @ ..], Some(last)) = (bits, bits.get(1..).and_then(<[u8]>::last)) else {
            return Err(malformed("keyUsage has no bit"));
        };
        // X.690 section 11.2.2: a list of named bits ends with its last bit that is set.
        if *last == 0 || u32::from(*unused) != last.trailing_zeros() {
            return Err(malformed("keyUsage does not end with its last bit"));
        }
        let first = bytes.first().copied().unwrap_or(0);
        if CA_USAGES.iter().any(|bit| first & (0x80 >> bit) != 0) {
            return Err(asks_for("keyUsage keyCertSign or cRLSign", "ask for digitalSignature, or leave keyUsage out"));
        }
        if first & 0x7f != 0 || bytes.len() > 1 {
            self.warnings.push("C10: of the keyUsage that was asked for, only digitalSignature is given".into());
        }
        Ok(())
    }
}

fn passed_over(kind: ObjectIdentifier) -> bool {
    [SMIME_CAPABILITIES, AUTHORITY_KEY_IDENTIFIER, NETSCAPE_COMMENT].contains(&kind) || kind.to_string().starts_with(MICROSOFT)
}

/// RFC 5280 section 4.2.1.9: cA DEFAULT FALSE, pathLenConstraint OPTIONAL.
fn basic_constraints(value: &[u8]) -> Result<(), X509Error> {
    let fields = parts(inside(value, 0x30, "basicConstraints")?, "basicConstraints")?;
    let (ca, path_len) = match fields.as_slice() {
        [] => return Ok(()),
        [path_len] if path_len.tag == 0x02 => (None, Some(path_len)),
        [ca] => (Some(ca), None),
        [ca, path_len] => (Some(ca), Some(path_len)),
        _ => return Err(malformed("basicConstraints has more than its two fields")),
    };
    if path_len.is_some_and(|length| length.tag != 0x02) {
        return Err(malformed("the path length of basicConstraints is no INTEGER"));
    }
    if let Some(ca) = ca {
        written_true(ca, "cA")?;
        return Err(asks_for("CA:TRUE", "client certificates are no CAs; leave basicConstraints out"));
    }
    Ok(())
}

fn extended_key_usage(value: &[u8]) -> Result<(), X509Error> {
    let purposes = parts(inside(value, 0x30, "extendedKeyUsage")?, "extendedKeyUsage")?;
    if purposes.is_empty() {
        return Err(malformed("extendedKeyUsage is empty"));
    }
    for purpose in &purposes {
        match identifier(purpose)? {
            CLIENT_AUTH => {}
            SERVER_AUTH => return Err(asks_for("extendedKeyUsage serverAuth", "a client's certificate is only for clientAuth")),
            other => return Err(asks_for(&format!("extendedKeyUsage {other}"), "a client's certificate is only for clientAuth")),
        }
    }
    Ok(())
}

/// A BOOLEAN whose default is FALSE: in DER it is there only as TRUE, and TRUE is one byte of ones (X.690 sections 11.1 and 11.5).
fn written_true(field: &Tlv<'_>, what: &str) -> Result<bool, X509Error> {
    if content_of(field, 0x01, what)? == [0xff] { Ok(true) } else { Err(malformed(&format!("{what} is not the BOOLEAN TRUE of DER"))) }
}

fn identifier(field: &Tlv<'_>) -> Result<ObjectIdentifier, X509Error> {
    let bytes = content_of(field, 0x06, "an object identifier")?;
    ObjectIdentifier::from_bytes(bytes).map_err(|_| malformed("an object identifier cannot be read"))
}

fn content_of<'a>(field: &Tlv<'a>, tag: u8, what: &str) -> Result<&'a [u8], X509Error> {
    if field.tag == tag { Ok(field.value) } else { Err(malformed(&format!("{what} has the tag {:#04x}, not {tag:#04x}", field.tag))) }
}

/// The content of the one value of this tag that `bytes` are.
fn inside<'a>(bytes: &'a [u8], tag: u8, what: &str) -> Result<&'a [u8], X509Error> {
    let value = single(bytes).map_err(|_| malformed(&format!("{what} cannot be read")))?;
    content_of(&value, tag, what)
}

fn parts<'a>(content: &'a [u8], what: &str) -> Result<Vec<Tlv<'a>>, X509Error> {
    children(content).map_err(|_| malformed(&format!("{what} cannot be read")))
}

fn malformed(what: &str) -> X509Error {
    X509Error::new(
        "malformed_request",
        Some("C2"),
        format!("what the request asks for is not in strict DER: {what}"),
        "make it again, for example with `openssl req -new -key client.key -out client.csr`",
    )
}

fn asks_for(what: &str, hint: &str) -> X509Error {
    X509Error::new("extension_not_allowed", Some("C10"), format!("the request asks for {what}"), hint)
}

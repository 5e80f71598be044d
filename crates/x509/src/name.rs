//! Distinguished names: for people (RFC 4514), for filters, and for comparison (RFC 5280 section 7.1). Comparison is by
//! text, not by bytes, because two encoders write one name in different string types.

use der::{Decode, Tag, Tagged};
use x509_cert::name::Name;

/// What may be relied on of a name.
#[derive(Default)]
pub(crate) struct NameFacts {
    pub common_names: Vec<String>,
    pub organizations: Vec<String>,
    pub organizational_units: Vec<String>,
    /// Readers may differ about it.
    pub ambiguous: bool,
}

/// The short word of an attribute type, RFC 4514 section 3 plus the two that everybody uses.
fn short(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// The text of a value whose type every reader reads alike.
fn text(value: &der::Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString => bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// Whether a type is one of text. What is unknown counts as text, to be safe.
fn is_text(tag: Tag) -> bool {
    !matches!(
        tag,
        Tag::Boolean | Tag::Integer | Tag::BitString | Tag::OctetString | Tag::ObjectIdentifier | Tag::UtcTime | Tag::GeneralizedTime
    )
}

/// RFC 4514: the last RDN first, values escaped, unknown things as `#` and hexadecimal.
pub(crate) fn rfc4514(name: &Name) -> String {
    let mut rdns: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let parts: Vec<String> = rdn
                .iter()
                .map(|attribute| {
                    let oid = attribute.oid.to_string();
                    let value = match (text(&attribute.value), short(&oid)) {
                        (Some(text), Some(_)) => escape(&text),
                        _ => hexadecimal(&attribute.value),
                    };
                    format!("{}={value}", short(&oid).unwrap_or(&oid))
                })
                .collect();
            parts.join("+")
        })
        .collect();
    rdns.reverse();
    rdns.join(",")
}

fn hexadecimal(value: &der::Any) -> String {
    use der::Encode;
    let bytes = value.to_der().unwrap_or_default();
    std::iter::once("#".to_owned()).chain(bytes.iter().map(|b| format!("{b:02x}"))).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    let last = text.chars().count().saturating_sub(1);
    for (i, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_control() => {
                let mut buffer = [0_u8; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("\\{byte:02x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// What filters may look at.
pub(crate) fn facts(name: &Name) -> NameFacts {
    let mut facts = NameFacts::default();
    for rdn in name.iter_rdn() {
        let single = rdn.len() == 1;
        facts.ambiguous |= !single;
        for attribute in rdn.iter() {
            let kind = attribute.oid.to_string();
            let Some(text) = text(&attribute.value) else {
                // A bit string or a date in another attribute is no text that anybody could read differently.
                facts.ambiguous |= matches!(kind.as_str(), "2.5.4.3" | "2.5.4.10" | "2.5.4.11") || is_text(attribute.value.tag());
                continue;
            };
            facts.ambiguous |= text.chars().any(char::is_control);
            if !single {
                continue;
            }
            match kind.as_str() {
                "2.5.4.3" => facts.common_names.push(text),
                "2.5.4.10" => facts.organizations.push(text),
                "2.5.4.11" => facts.organizational_units.push(text),
                _ => {}
            }
        }
    }
    facts
}

/// The same of a Name in DER; `None` when it is none.
pub(crate) fn canonical_of(der: &[u8]) -> Option<String> {
    Name::from_der(der).ok().map(|name| canonical(&name))
}

/// A name's key for "is this the same name": case folded, inner spaces collapsed, string types ignored, empty RDN values
/// kept (tcld's leaves differ from their CA by an empty OU alone). Values of odd types are compared by their bytes.
pub(crate) fn canonical(name: &Name) -> String {
    let rdns: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let mut parts: Vec<String> = rdn
                .iter()
                .map(|attribute| {
                    let value = match text(&attribute.value) {
                        Some(text) => text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "\\\\"),
                        None => format!("\\{}", hexadecimal(&attribute.value)),
                    };
                    format!("{}={}", attribute.oid, value.replace(',', "\\,").replace('+', "\\+"))
                })
                .collect();
            parts.sort();
            parts.join("+")
        })
        .collect();
    rdns.join(",")
}

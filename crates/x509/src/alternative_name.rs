//! The names of subjectAltName that a client certificate may carry: DNS, mail, URI and IP address (rule C11 of
//! `research/pki.md`). Checked on the way in and written in the one form that all readers read alike. It does not know whose
//! names they are; that is for the caller to ask.

use crate::X509Error;
use crate::certificate::{Tlv, children};
use crate::encode::tlv;
use std::fmt;
use std::net::IpAddr;

/// Names in one certificate.
pub const ALTERNATIVE_NAMES_MAX: usize = 100;
/// Bytes of a mail address (RFC 5321 section 4.5.3.1.3, without the angle brackets) and of a DNS name.
const EMAIL_MAX: usize = 254;
const DNS_MAX: usize = 253;
/// Bytes of a URI.
const URI_MAX: usize = 1024;

/// One checked name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AlternativeName {
    /// A host name in ASCII, without wildcards.
    Dns(String),
    /// A mail address in ASCII.
    Email(String),
    /// An absolute URI in ASCII, such as `spiffe://…`.
    Uri(String),
    /// An IP address.
    Ip(IpAddr),
}

impl AlternativeName {
    /// Reads `DNS:a.example`, `email:a@example.org`, `URI:spiffe://a/b` or `IP:192.0.2.1`, as OpenSSL writes them. Fails with
    /// `bad_alternative_name`.
    pub fn parse(text: &str) -> Result<Self, X509Error> {
        let (kind, value) = text.split_once(':').ok_or_else(|| bad(format!("`{}` has no kind in front", clip(text))))?;
        match kind.to_ascii_lowercase().as_str() {
            "dns" => Self::dns(value),
            "email" => Self::email(value),
            "uri" => Self::uri(value),
            "ip" | "ip address" => value.trim().parse().map(Self::Ip).map_err(|_| bad(format!("`{}` is no IP address", clip(value)))),
            _ => Err(bad(format!("`{}` is no kind of alternative name that is taken", clip(kind)))),
        }
    }

    fn dns(value: &str) -> Result<Self, X509Error> {
        if value.contains('*') {
            return Err(bad("a client's DNS name has no wildcard".into()));
        }
        let sound = !value.is_empty() && value.len() <= DNS_MAX && value.split('.').all(is_label);
        sound.then(|| Self::Dns(value.to_ascii_lowercase())).ok_or_else(|| bad(format!("`{}` is no DNS name", clip(value))))
    }

    pub(crate) fn email(value: &str) -> Result<Self, X509Error> {
        let wrong = || bad(format!("`{}` is no mail address", clip(value)));
        let (local, domain) = value.rsplit_once('@').ok_or_else(wrong)?;
        let atoms = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
        let sound = value.len() <= EMAIL_MAX
            && (1..=64).contains(&local.len())
            && local.bytes().all(atoms)
            && !local.split('.').any(str::is_empty)
            && domain.split('.').all(is_label);
        sound.then(|| Self::Email(value.to_owned())).ok_or_else(wrong)
    }

    fn uri(value: &str) -> Result<Self, X509Error> {
        let wrong = || bad(format!("`{}` is no absolute URI in ASCII", clip(value)));
        let (scheme, rest) = value.split_once(':').ok_or_else(wrong)?;
        let sound = value.len() <= URI_MAX
            && scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            // RFC 3986 section 2: anything else has to be percent-encoded.
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
        sound.then(|| Self::Uri(value.to_owned())).ok_or_else(wrong)
    }

    /// Reads one GeneralName. Fails with `bad_alternative_name`, also for kinds that are not taken.
    pub(crate) fn from_entry(entry: &Tlv<'_>) -> Result<Self, X509Error> {
        let text = || match std::str::from_utf8(entry.value) {
            Ok(text) if text.is_ascii() => Ok(text),
            _ => Err(bad("one of them is not ASCII; write an international name in its xn-- form".into())),
        };
        match entry.tag {
            0x82 => Self::dns(text()?),
            0x81 => Self::email(text()?),
            0x86 => Self::uri(text()?),
            0x87 => match (<[u8; 4]>::try_from(entry.value), <[u8; 16]>::try_from(entry.value)) {
                (Ok(four), _) => Ok(Self::Ip(four.into())),
                (_, Ok(sixteen)) => Ok(Self::Ip(sixteen.into())),
                _ => Err(bad("an IP address has neither 4 nor 16 bytes".into())),
            },
            0xa0 => Err(bad("otherName (such as a user principal name) is not taken".into())),
            0xa4 => Err(bad("directoryName is not taken".into())),
            _ => Err(bad("one of them is of a kind that is not taken".into())),
        }
    }

    /// The GeneralName, encoded.
    pub(crate) fn entry(&self) -> Vec<u8> {
        match self {
            Self::Dns(text) => tlv(0x82, text.as_bytes()),
            Self::Email(text) => tlv(0x81, text.as_bytes()),
            Self::Uri(text) => tlv(0x86, text.as_bytes()),
            Self::Ip(IpAddr::V4(ip)) => tlv(0x87, &ip.octets()),
            Self::Ip(IpAddr::V6(ip)) => tlv(0x87, &ip.octets()),
        }
    }
}

impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) => write!(f, "DNS:{text}"),
            Self::Email(text) => write!(f, "email:{text}"),
            Self::Uri(text) => write!(f, "URI:{text}"),
            Self::Ip(ip) => write!(f, "IP:{ip}"),
        }
    }
}

/// The names in the content of a GeneralNames SEQUENCE, each once, in order. Fails with `bad_alternative_name`.
pub(crate) fn read(content: &[u8]) -> Result<Vec<AlternativeName>, X509Error> {
    let entries = children(content).map_err(|_| bad("they cannot be read".into()))?;
    let mut names = Vec::new();
    check_count(entries.len())?;
    for entry in &entries {
        let name = AlternativeName::from_entry(entry)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Refuses more than [`ALTERNATIVE_NAMES_MAX`].
pub(crate) fn check_count(count: usize) -> Result<(), X509Error> {
    if count > ALTERNATIVE_NAMES_MAX {
        return Err(bad(format!("there are {count}; at most {ALTERNATIVE_NAMES_MAX} are taken")));
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn bad(what: String) -> X509Error {
    X509Error::new(
        "bad_alternative_name",
        Some("C11"),
        format!("an alternative name is not taken: {what}"),
        "ask for names such as DNS:app.example.com, email:ops@example.com, URI:spiffe://example.com/app or IP:192.0.2.1",
    )
}

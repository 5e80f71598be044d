//! The names of subjectAltName that a client certificate may carry: DNS, mail, URI and IP address (rule C11 of
//! `research/pki.md`). Checked on the way in and written in the one form that all readers read alike. It does not know whose
//! names they are; that is for the caller to ask.

use crate::X509Error;
use crate::certificate::{Tlv, children};
use crate::encode::tlv;
use crate::punycode;
use crate::text;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names in one certificate.
pub const ALTERNATIVE_NAMES_MAX: usize = 100;
/// Bytes of a mail address (RFC 5321 section 4.5.3.1.3, without the angle brackets) and of a DNS name.
const EMAIL_MAX: usize = 254;
const DNS_MAX: usize = 253;
/// Bytes of a URI.
const URI_MAX: usize = 1024;
/// Schemes whose URIs name a host.
const HOST_SCHEMES: [&str; 7] = ["http", "https", "ws", "wss", "ftp", "ldap", "spiffe"];

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
        is_host(value).then(|| Self::Dns(value.to_ascii_lowercase())).ok_or_else(|| {
            let hint = if value.parse::<IpAddr>().is_ok() { "; it is an IP address, so write IP: in front of it" } else { "" };
            bad(format!("`{}` is no DNS name{hint}", clip(value)))
        })
    }

    pub(crate) fn email(value: &str) -> Result<Self, X509Error> {
        let wrong = || bad(format!("`{}` is no mail address", clip(value)));
        let (local, domain) = value.rsplit_once('@').ok_or_else(wrong)?;
        let atoms = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
        let sound = value.len() <= EMAIL_MAX
            && (1..=64).contains(&local.len())
            && local.bytes().all(atoms)
            && !local.split('.').any(str::is_empty)
            && is_host(domain);
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
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
            && rest.bytes().filter(|b| *b == b'#').count() <= 1
            && escapes_are_whole(rest);
        if !sound {
            return Err(wrong());
        }
        let hierarchical = rest.strip_prefix("//");
        let (authority, path) = match hierarchical {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        // Java reads none of the alternative names of a certificate that has such a URI, and RFC 5280 section 4.2.1.6 asks for a host.
        let needs_host = hierarchical.is_some() || HOST_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        if needs_host && !names_a_host(authority) {
            return Err(bad(format!("`{}` is a URI without a sound host", clip(value))));
        }
        if path.contains(['[', ']']) {
            return Err(wrong());
        }
        Ok(Self::Uri(value.to_owned()))
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

/// Whether this is a DNS name: sound labels, the last of which is no number, since such a name is read as an IPv4 address (RFC 1123 section
/// 2.1, and every browser).
fn is_host(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = |label: &str| label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = last.bytes().all(|b| b.is_ascii_digit()) || hexadecimal(&last.to_ascii_lowercase());
    !name.is_empty() && name.len() <= DNS_MAX && !number && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && stands_for_something(label)
}

/// Whether a label is no A-label, or one that stands for a text that may be in a name (RFC 5890 section 2.3.2.1).
fn stands_for_something(label: &str) -> bool {
    let Some((_, encoded)) = label.split_at_checked(4).filter(|(prefix, _)| prefix.eq_ignore_ascii_case("xn--")) else { return true };
    punycode::decode(encoded).is_some_and(|text| !text.is_ascii() && text::fault(&text).is_none())
}

/// The authority of a URI: `[user@]host[:port]`, whose host is a DNS name or an IP address.
fn names_a_host(authority: &str) -> bool {
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host_is_sound, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => (address.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':')), rest.get(1..)),
        Some(None) => return false,
        None => {
            let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
            (is_host(host) || host.parse::<Ipv4Addr>().is_ok(), port)
        }
    };
    let number = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host_is_sound && !user.contains(['@', '[', ']']) && port.is_none_or(|port| port.is_empty() || number(port))
}

/// Whether each `%` begins an escape of two hexadecimal digits.
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
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

//! Certificate filters: which of an accepted CA's clients a namespace lets in.
//!
//! Rules (Temporal's certificates page): fields inside a filter are ANDed, filters are ORed, no filter lets all in. A value of the subject
//! is compared without regard to the case of ASCII letters and otherwise exactly, save one `*` at its very beginning or end. An attribute that
//! is absent, repeated or ambiguous matches nothing.
//!
//! An alternative name is of one kind: `dns:`, `uri:`, `email:` or `ip:`, DNS when none is named; of the certificate's names any may match.
//! A `*` in it is one whole label: of a DNS name or of a mail address's domain between dots, the whole local part, the whole segment of a
//! URI between slashes. A stored value that older rules took and these refuse matches nothing.

use crate::credential::certificate::CertificateFacts;
use crate::limits::CERTIFICATE_FILTERS_MAX;
use serde::{Deserialize, Serialize};

/// One filter. At least one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFilter {
    /// The subject's CN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The subject's O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The subject's OU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizational_unit: Option<String>,
    /// Any alternative name, `KIND:VALUE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_alternative_name: Option<String>,
}

/// Why a set of filters is refused. `index` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A filter without a field.
    #[error(
        "certificate filter {index} has no field; set at least one of commonName, organization, organizationalUnit, subjectAlternativeName"
    )]
    Empty {
        /// Which.
        index: usize,
    },
    /// The same filter twice.
    #[error("certificate filter {index} stands in the list twice")]
    Duplicate {
        /// Which.
        index: usize,
    },
    /// More than the limit.
    #[error("{count} certificate filters; a namespace has at most {CERTIFICATE_FILTERS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A wildcard in the wrong place.
    #[error(
        "certificate filter {index}: `{value}` has a wildcard where none is allowed; one * may stand at the very beginning or the very end, not alone, not both, not inside"
    )]
    Wildcard {
        /// Which.
        index: usize,
        /// The value.
        value: String,
    },
    /// An alternative name that could match no name of its kind.
    #[error(
        "certificate filter {index}: `{value}` is no alternative name to match; write dns:HOST (also without dns:), uri:URI, email:ADDRESS or ip:ADDRESS, where * is one whole label or segment, as in dns:*.example.com or uri:spiffe://example.com/ns/*, not a part of one, not all there is, and never in an IP address"
    )]
    AlternativeName {
        /// Which.
        index: usize,
        /// The value.
        value: String,
    },
    /// A value that is overlong or has control characters.
    #[error("certificate filter {index}: a value has 1 to 256 characters, none of them a control character")]
    Value {
        /// Which.
        index: usize,
    },
}

/// Checks a whole set, trimming nothing and changing nothing.
pub fn check(filters: &[CertificateFilter]) -> Result<(), FilterError> {
    if filters.len() > CERTIFICATE_FILTERS_MAX {
        return Err(FilterError::TooMany { count: filters.len() });
    }
    for (i, filter) in filters.iter().enumerate() {
        let index = i + 1;
        if filter.fields().all(|f| f.is_none_or(|v| v.trim().is_empty())) {
            return Err(FilterError::Empty { index });
        }
        for value in filter.fields().flatten() {
            if value.trim().is_empty() || value.chars().count() > 256 || value.chars().any(char::is_control) {
                return Err(FilterError::Value { index });
            }
        }
        if let Some(value) = filter.subject_alternative_name.as_ref().filter(|value| NamePattern::parse(value).is_none()) {
            return Err(FilterError::AlternativeName { index, value: value.clone() });
        }
        for value in filter.subject_fields().flatten() {
            let inner = value.strip_prefix('*').or_else(|| value.strip_suffix('*')).unwrap_or(value);
            if inner.is_empty() || inner.contains('*') {
                return Err(FilterError::Wildcard { index, value: value.clone() });
            }
        }
        if filters[..i].contains(filter) {
            return Err(FilterError::Duplicate { index });
        }
    }
    Ok(())
}

impl CertificateFilter {
    fn subject_fields(&self) -> impl Iterator<Item = Option<&String>> {
        [&self.common_name, &self.organization, &self.organizational_unit].into_iter().map(Option::as_ref)
    }

    fn fields(&self) -> impl Iterator<Item = Option<&String>> {
        self.subject_fields().chain([self.subject_alternative_name.as_ref()])
    }

    /// Whether a certificate with these facts matches.
    pub fn matches(&self, facts: &CertificateFacts) -> bool {
        let subject = |pattern: &Option<String>, values: &[String]| match pattern {
            None => true,
            Some(_) if facts.subject_ambiguous => false,
            Some(p) => matches!(values, [only] if value_matches(p, only)),
        };
        subject(&self.common_name, &facts.common_names)
            && subject(&self.organization, &facts.organizations)
            && subject(&self.organizational_unit, &facts.organizational_units)
            && self.subject_alternative_name.as_ref().is_none_or(|pattern| {
                NamePattern::parse(pattern).is_some_and(|pattern| facts.alternative_names.iter().any(|name| pattern.matches(name)))
            })
    }
}

/// The kinds of alternative names, as they stand before a name in [`CertificateFacts::alternative_names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameKind {
    Dns,
    Uri,
    Email,
    Ip,
}

/// Reads the kind in front of a name. `None` in front of another colon than that of a kind.
fn kind(text: &str) -> Option<(NameKind, &str)> {
    let (word, rest) = text.split_once(':')?;
    let kind = match word.to_ascii_lowercase().as_str() {
        "dns" => NameKind::Dns,
        "uri" => NameKind::Uri,
        "email" => NameKind::Email,
        "ip" => NameKind::Ip,
        _ => return None,
    };
    Some((kind, rest))
}

/// A filter's alternative name.
#[derive(Clone, Copy, Debug)]
struct NamePattern<'p> {
    kind: NameKind,
    text: &'p str,
}

impl<'p> NamePattern<'p> {
    /// Reads it; `None` when nothing of its kind could match.
    fn parse(value: &'p str) -> Option<Self> {
        let (kind, text) = kind(value).unwrap_or((NameKind::Dns, value));
        let sound = match kind {
            NameKind::Dns => are_labels(text),
            NameKind::Email => text.rsplit_once('@').is_some_and(|(local, domain)| {
                // A whole local part, or none of it: `*` alone stands for any.
                (local == "*" || !(local.is_empty() || local.contains('*')))
                    && are_labels_or_any(domain)
                    && !(local == "*" && domain.split('.').all(|label| label == "*"))
            }),
            NameKind::Uri => text.split_once(':').is_some_and(|(scheme, rest)| {
                let mut segments = rest.split('/').filter(|segment| !segment.is_empty()).peekable();
                !scheme.is_empty()
                    && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                    && segments.peek().is_some()
                    && segments.clone().all(|segment| segment == "*" || !segment.contains('*'))
                    && segments.any(|segment| segment != "*")
            }),
            NameKind::Ip => text.parse::<std::net::IpAddr>().is_ok(),
        };
        sound.then_some(Self { kind, text })
    }

    /// Whether one of a certificate's names, with its kind in front, is meant.
    fn matches(&self, name: &str) -> bool {
        let Some((_, name)) = kind(name).filter(|(kind, _)| *kind == self.kind) else { return false };
        match self.kind {
            NameKind::Dns => labels_match(self.text, name),
            NameKind::Email => match (self.text.rsplit_once('@'), name.rsplit_once('@')) {
                (Some((local, domain)), Some((its_local, its_domain))) => {
                    // RFC 5280 section 7.5: the local part exactly, the host without regard to case.
                    let same = if local == "*" { !its_local.is_empty() && !its_local.contains('@') } else { local == its_local };
                    same && labels_match(domain, its_domain)
                }
                _ => false,
            },
            NameKind::Uri => uri_matches(self.text, name),
            NameKind::Ip => match (self.text.parse::<std::net::IpAddr>(), name.parse::<std::net::IpAddr>()) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
        }
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn are_labels_or_any(text: &str) -> bool {
    text.split('.').all(|label| label == "*" || is_label(label))
}

/// Labels between dots, at least one of which is said.
fn are_labels(text: &str) -> bool {
    are_labels_or_any(text) && text.split('.').any(|label| label != "*")
}

fn labels_match(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut has) = (pattern.split('.'), name.split('.'));
    loop {
        match (wanted.next(), has.next()) {
            (None, None) => return true,
            // A wildcard in the certificate's own name is no label.
            (Some("*"), Some(label)) if is_label(label) => {}
            (Some(one), Some(other)) if one != "*" && one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

/// Segment by segment. Scheme and authority regard no case (RFC 3986 section 6.2.2.1), the rest does. A segment that dots would take away,
/// or that hides a slash, is nobody's.
fn uri_matches(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut has) = (pattern.split('/'), name.split('/'));
    // `scheme:`, nothing, and the authority.
    let has_authority = pattern.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//"));
    for at in 0.. {
        let regardless = at == 0 || (has_authority && at <= 2);
        match (wanted.next(), has.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) => {
                let lower = segment.to_ascii_lowercase();
                let plain = !matches!(lower.as_str(), "" | "." | "..") && !segment.contains(['?', '#', '@', '*']);
                if !plain || ["%2e", "%2f", "%5c"].iter().any(|hidden| lower.contains(hidden)) {
                    return false;
                }
            }
            (Some(one), Some(other)) if one == other || (regardless && one.eq_ignore_ascii_case(other)) => {}
            _ => return false,
        }
    }
    false
}

fn value_matches(pattern: &str, value: &str) -> bool {
    // ASCII letters only: Unicode's folding makes one of characters that are not (the Kelvin sign and k).
    let (pattern, value) = (pattern.to_ascii_lowercase(), value.to_ascii_lowercase());
    if let Some(end) = pattern.strip_prefix('*') {
        value.ends_with(end)
    } else if let Some(start) = pattern.strip_suffix('*') {
        value.starts_with(start)
    } else {
        value == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cn(pattern: &str) -> CertificateFilter {
        CertificateFilter { common_name: Some(pattern.into()), ..CertificateFilter::default() }
    }

    fn facts(names: &[&str]) -> CertificateFacts {
        CertificateFacts { common_names: names.iter().map(|n| (*n).to_owned()).collect(), ..CertificateFacts::default() }
    }

    #[test]
    fn x_07_only_the_documented_equality_passes() {
        let filter = cn("svc-1");
        assert!(filter.matches(&facts(&["svc-1"])) && filter.matches(&facts(&["SVC-1"])));
        for bad in ["svc-1 ", " svc-1", "svc-1\0.x", "ѕvc-1", "svc-1\u{200f}", "svc-10", "svc", ""] {
            assert!(!filter.matches(&facts(&[bad])), "{bad:?}");
        }
        assert!(!cn("worker").matches(&facts(&["wor\u{212a}er"])), "the Kelvin sign is no k");
        assert!(!filter.matches(&facts(&["svc-1", "evil"])) && !filter.matches(&facts(&["evil", "svc-1"])), "two names match nothing");
        assert!(!filter.matches(&facts(&[])));
        let ambiguous = CertificateFacts { subject_ambiguous: true, ..facts(&["svc-1"]) };
        assert!(!filter.matches(&ambiguous));
    }

    #[test]
    fn a_wildcard_stands_at_one_end_only() {
        assert!(cn("Example Code*").matches(&facts(&["Example Code"])) && cn("*.prod").matches(&facts(&["a.prod"])));
        assert!(check(&[cn("a*")]).is_ok() && check(&[cn("*a")]).is_ok());
        for bad in ["*", "**", "*a*", "a*b", "a**", "**a"] {
            assert!(matches!(check(&[cn(bad)]), Err(FilterError::Wildcard { index: 1, .. })), "{bad}");
        }
    }

    fn san(pattern: &str) -> CertificateFilter {
        CertificateFilter { subject_alternative_name: Some(pattern.into()), ..CertificateFilter::default() }
    }

    fn matched(pattern: &str, names: &[&str]) -> bool {
        let facts = CertificateFacts { alternative_names: names.iter().map(|n| (*n).to_owned()).collect(), ..CertificateFacts::default() };
        san(pattern).matches(&facts)
    }

    #[test]
    fn an_alternative_name_is_of_one_kind_and_a_star_is_one_whole_label() {
        for pattern in ["*.svc.example", "dns:*.svc.example", "DNS:*.SVC.example"] {
            assert!(matched(pattern, &["dns:a.svc.example"]) && matched(pattern, &["email:x@y", "dns:A.svc.EXAMPLE"]), "{pattern}");
            for other in [
                "uri:https://evil/.svc.example",
                "uri:a.svc.example",
                "email:a@b.svc.example",
                "email:a.svc.example",
                "dns:a.b.svc.example",
                "dns:svc.example",
                "dns:.svc.example",
                "dns:*.svc.example",
                "dns:a.svc.example.",
                "dns:a@b.svc.example",
                "ip:192.0.2.1",
                "dns:a.svc.example.evil",
                "a.svc.example",
            ] {
                assert!(!matched(pattern, &[other]), "{pattern} {other}");
            }
        }
        assert!(matched("a.*.example", &["dns:a.b.example"]) && !matched("a.*.example", &["dns:a.b.c.example"]));
        assert!(matched("uri:spiffe://Example.com/ns/*", &["uri:SPIFFE://example.com/ns/prod"]));
        for other in [
            "dns:prod",
            "uri:spiffe://example.com/ns/prod/sa/x",
            "uri:spiffe://example.com/ns/",
            "uri:spiffe://example.com/ns/..",
            "uri:spiffe://example.com/ns/%2E%2e",
            "uri:spiffe://example.com/ns/a%2Fb",
            "uri:spiffe://example.com/NS/prod",
            "uri:spiffe://example.com.evil/ns/prod",
            "uri:spiffe://evil/?x=spiffe://example.com/ns/prod",
            "uri:spiffe://example.com/ns/a?b",
        ] {
            assert!(!matched("uri:spiffe://example.com/ns/*", &[other]), "{other}");
        }
        assert!(matched("email:*@svc.example", &["email:ops@svc.example"]) && matched("email:ops@SVC.example", &["email:ops@svc.example"]));
        for other in
            ["email:Ops@svc.example", "email:a@b@svc.example", "email:ops@a.svc.example", "dns:svc.example", "uri:mailto:ops@svc.example"]
        {
            assert!(!matched("email:ops@svc.example", &[other]), "{other}");
        }
        assert!(!matched("email:*@svc.example", &["email:a@b@svc.example"]) && !matched("email:*@svc.example", &["email:@svc.example"]));
        assert!(matched("ip:2001:DB8::1", &["ip:2001:db8:0::1"]) && matched("ip:192.0.2.1", &["ip:192.0.2.1"]));
        assert!(!matched("ip:192.0.2.1", &["dns:192.0.2.1"]) && !matched("192.0.2.1", &["ip:192.0.2.1"]));
    }

    #[test]
    fn a_stored_alternative_name_that_is_taken_no_longer_matches_nothing() {
        for old in ["prod-*", "*svc.example", "spiffe://example.com/*", "*", "*example.com/x", "ops@*"] {
            assert!(matches!(check(&[san(old)]), Err(FilterError::AlternativeName { index: 1, .. })), "{old}");
            for name in ["dns:prod-1", "dns:asvc.example", "uri:spiffe://example.com/x", "email:ops@x", "dns:a"] {
                assert!(!matched(old, &[name]), "{old} {name}");
            }
        }
        for bad in [
            "dns:",
            "dns:*",
            "dns:*.*",
            "dns:a*.b",
            "uri:*",
            "uri:spiffe:",
            "uri:spiffe://*",
            "uri:x://a/b*",
            "email:a",
            "email:*@*",
            "ip:*",
            "ip:10.0.0.*",
            "tel:1",
        ] {
            assert!(matches!(check(&[san(bad)]), Err(FilterError::AlternativeName { .. })), "{bad}");
        }
        for good in [
            "svc",
            "*.svc.example",
            "dns:a.*",
            "uri:spiffe://example.com/ns/*/sa/*",
            "uri:urn:uuid:1",
            "email:*@svc.example",
            "email:ops@*.example",
            "ip:::1",
        ] {
            assert!(check(&[san(good)]).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_set_of_filters_is_checked_whole() {
        assert_eq!(check(&[cn("a"), CertificateFilter::default()]), Err(FilterError::Empty { index: 2 }));
        assert_eq!(check(&[cn(" ")]), Err(FilterError::Empty { index: 1 }));
        assert_eq!(check(&[cn("a"), cn("a")]), Err(FilterError::Duplicate { index: 2 }));
        let many: Vec<_> = (0..26).map(|i| cn(&format!("n{i}"))).collect();
        assert_eq!(check(&many), Err(FilterError::TooMany { count: 26 }));
        assert!(check(&many[..25]).is_ok());
    }
}

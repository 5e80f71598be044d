//! Certificate filters: which of an accepted CA's clients a namespace lets in.
//!
//! Rules (Temporal's certificates page): fields inside a filter are ANDed, filters are ORed, no filter lets all in. A value is
//! compared without regard to the case of ASCII letters and otherwise exactly, save one `*` at its very beginning or end. An attribute that is
//! absent, repeated or ambiguous matches nothing; of alternative names any may match.

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
    /// Any alternative name.
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
    fn fields(&self) -> impl Iterator<Item = Option<&String>> {
        [&self.common_name, &self.organization, &self.organizational_unit, &self.subject_alternative_name].into_iter().map(Option::as_ref)
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
            && self.subject_alternative_name.as_ref().is_none_or(|p| facts.alternative_names.iter().any(|v| value_matches(p, v)))
    }
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

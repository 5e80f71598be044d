//! What the members of bodies look like, for the OpenAPI document: one table of patterns, so that a client refuses what the server
//! would. It repeats rules of the types that read them and decides nothing; a test holds it against the server.

use serde_json::{Map, Value, json};

/// Members of requests by name: the pattern of their text (ECMA 262), one that fits and one that does not.
pub(crate) const PATTERNS: &[(&str, &str, &str, &str)] = &[
    ("accountRole", "^(owner|admin|developer|finance_admin|read|metrics_read)$", "read", "king"),
    ("application", "^[^\\u0000-\\u001f\\u007f]{0,128}$", "shop", "a\u{7}b"),
    ("authMethod", "^(restricted|mtls|api_key|api_key_or_mtls)$", "mtls", "none"),
    ("duration", "^([0-9]{1,12}(y|d|h|m|s|ms|us|µs))+$", "4d12h", "1.5d"),
    ("email", "^[^@\\s<>()\\[\\]\\\\,;:\"]{1,64}@[^@\\s<>()\\[\\]\\\\,;:\"]{1,253}$", "ann@example.com", "ann"),
    ("fingerprintSha256", "^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$", ZEROS, "00ff"),
    ("lifetime", "^([0-9]{1,12}(y|d|h|m|s|ms|us|µs))+$", "90d", "0.5y"),
    ("listenPath", "^/[^?#\\s]*$", "/orders", "orders"),
    ("requestSha256", "^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$", ZEROS, "x"),
    ("resourceVersion", "^[0-9]{1,19}$", "3", "three"),
    ("serviceAccountId", "^(s[0-9abcdefghjkmnpqrstvwxyz]{19})?$", "s0123456789abcdefghj", "machine"),
    ("whenIdle", "^([0-9]{1,12}(y|d|h|m|s|ms|us|µs))+$", "24h", "1.5h"),
];

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Puts the patterns into every schema that has such a member, where its own type does not say more.
pub(crate) fn constrain(schemas: &mut Map<String, Value>) {
    for properties in schemas.values_mut().filter_map(|schema| schema.get_mut("properties")?.as_object_mut()) {
        for (name, property) in properties {
            let Some(property) = property.as_object_mut().filter(|property| is_text(property)) else { continue };
            if let Some((_, pattern, ..)) = PATTERNS.iter().find(|(known, ..)| known == name) {
                property.entry("pattern").or_insert_with(|| json!(pattern));
            }
            // Moments are RFC 3339; an answer leaves out the ones that have not come.
            if name == "expiryTime" {
                property.entry("format").or_insert_with(|| json!("date-time"));
            }
        }
    }
}

fn is_text(property: &Map<String, Value>) -> bool {
    match property.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| kind == "string" || kind == "null"),
        _ => false,
    }
}

/// The schema of a parameter in a path.
pub(crate) fn parameter(name: &str) -> Value {
    match name {
        "environment" => json!({"type": "string", "enum": ["sandbox", "production"]}),
        "fingerprint" => {
            json!({"type": "string", "pattern": "^([0-9a-fA-F]{2}:?){19}([0-9a-fA-F]{2}|([0-9a-fA-F]{2}:?){12}[0-9a-fA-F]{2})$"})
        }
        "serial" => json!({"type": "string", "pattern": "^([0-9a-fA-F]{2}:?){1,20}$"}),
        _ => json!({"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^/\\u0000-\\u001f\\u007f]+$"}),
    }
}

#[cfg(test)]
mod tests {
    use super::{PATTERNS, parameter};
    use regex::Regex;

    #[test]
    fn each_pattern_takes_what_fits_and_refuses_what_does_not() {
        for (name, pattern, good, bad) in PATTERNS {
            let read = Regex::new(pattern).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(read.is_match(good) && !read.is_match(bad), "{name}");
        }
        for (name, good, bad) in [("fingerprint", "00".repeat(20), "00".repeat(21)), ("serial", "0a:ff".to_owned(), "x".to_owned())] {
            let schema = parameter(name);
            let read = Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
            assert!(read.is_match(&good) && !read.is_match(&bad), "{name}");
        }
        let both = Regex::new(parameter("fingerprint")["pattern"].as_str().unwrap()).unwrap();
        assert!(both.is_match(&"00".repeat(32)), "a SHA-256 too");
    }
}

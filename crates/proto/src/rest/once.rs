//! Maps in which a name stands once. JSON allows a name twice and every reader chooses otherwise, so such a body is refused.

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names to words")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            map.insert(name, value);
        }
        Ok(map)
    }
}

/// Reads such a map.
///
/// # Errors
/// When a name stands there twice, or a value is no text.
pub fn map<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, String>, D::Error> {
    reader.deserialize_map(Once)
}

/// Reads such a map where there may be none.
///
/// # Errors
/// As [`map`].
pub fn maybe<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    struct Maybe;

    impl<'de> Visitor<'de> for Maybe {
        type Value = Option<BTreeMap<String, String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Once.expecting(f)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
            map(reader).map(Some)
        }
    }

    reader.deserialize_option(Maybe)
}

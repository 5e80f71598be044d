//! JSON read strictly: the body is an object, and so is whatever stands for one inside it (serde takes an array in the order of the
//! members too); no object has a member twice, at any depth. Unknown members are refused by the types.

use crate::error::shown;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};
use std::fmt;

/// Reads one object.
///
/// # Errors
/// serde's, with a place where the text itself is wrong.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let Unique(value) = serde_json::from_slice(bytes)?;
    if value.is_object() { T::deserialize(Strict(value)) } else { Err(de::Error::invalid_type(kind(&value), &"an object")) }
}

/// Whether every object in it has each member once; what is no JSON at all is for its reader to say.
///
/// # Errors
/// The member that stands there twice.
pub(crate) fn check_unique(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Unique>(bytes) {
        Err(error) if error.to_string().starts_with("duplicate member") => {
            Err(error.to_string().split(" at line ").next().unwrap_or_default().to_owned())
        }
        _ => Ok(()),
    }
}

fn kind(value: &Value) -> de::Unexpected<'static> {
    match value {
        Value::Null => de::Unexpected::Unit,
        Value::Bool(_) => de::Unexpected::Other("boolean"),
        Value::Number(_) => de::Unexpected::Other("number"),
        Value::String(_) => de::Unexpected::Other("string"),
        Value::Array(_) => de::Unexpected::Seq,
        Value::Object(_) => de::Unexpected::Map,
    }
}

/// A value whose objects have each member once.
struct Unique(Value);

impl<'de> de::Deserialize<'de> for Unique {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if all.contains_key(&name) {
                return Err(de::Error::custom(format!("duplicate member `{}`", shown(&name))));
            }
            let Unique(value) = members.next_value()?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

/// A value that gives a struct only what is an object.
struct Strict(Value);

impl<'de> de::Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Strict));
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            Value::Object(members) => {
                let mut members = MapDeserializer::new(members.into_iter().map(|(name, value)| (name, Strict(value))));
                let value = visitor.visit_map(&mut members)?;
                members.end().map(|()| value)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        if self.0.is_object() { self.deserialize_any(visitor) } else { Err(de::Error::invalid_type(kind(&self.0), &"an object")) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::object;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        name: String,
        map: BTreeMap<String, String>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        count: i64,
        share: f64,
        inner: Inner,
        more: Vec<Inner>,
        maybe: Option<Inner>,
        any: serde_json::Value,
    }

    fn read(text: &str) -> Result<Outer, String> {
        object(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_an_object_is_read() {
        let text =
            r#"{"count": -3, "share": 0.5, "inner": {"name": "a", "map": {"k": "v"}}, "more": [{"name": "b"}], "maybe": null, "any": [1]}"#;
        let read = read(text).unwrap();
        assert_eq!((read.count, read.inner.name.as_str(), read.more.len(), read.maybe), (-3, "a", 1, None));
        assert_eq!(read.inner.map["k"], "v");
        assert_eq!(read.any, serde_json::json!([1]));
    }

    #[test]
    fn an_array_is_no_object_at_any_depth_and_no_member_stands_there_twice() {
        for text in ["[]", "[3]", "3", "\"x\"", "null", r#"{"inner": ["a"]}"#, r#"{"more": [["a"]]}"#, r#"{"maybe": ["a"]}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in [
            r#"{"count": 1, "count": 1}"#,
            r#"{"inner": {"name": "a", "name": "b"}}"#,
            r#"{"inner": {"map": {"k": "a", "k": "b"}}}"#,
            r#"{"more": [{"name": "a", "name": "a"}]}"#,
            r#"{"any": {"x": {"y": 1, "y": 2}}}"#,
            r#"{"any": 1, "\u0061ny": 1}"#,
        ] {
            assert!(read(text).unwrap_err().starts_with("duplicate member"), "{text}");
        }
        assert!(read(r#"{"inner": {"other": 1}}"#).unwrap_err().starts_with("unknown field"));
        assert!(read(r#"{"count": 1} {"count": 1}"#).is_err());
    }
}

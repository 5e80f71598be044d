//! From a row's columns to checked values. A value that the domain's own parser refuses was not written by us: the row is
//! reported as unreadable, and nobody goes on with half of it.

use crate::error::StoreError;
use crate::sql::Row;
use countersign_core::{IdentityId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn required(row: Option<Row>, what: &'static str) -> Result<Row, StoreError> {
    row.ok_or_else(|| StoreError::Inconsistent { detail: format!("{what} is missing") })
}

pub(crate) fn text(row: &Row, column: &str) -> Result<String, StoreError> {
    row.str(column).map(str::to_owned)
}

pub(crate) fn optional_text(row: &Row, column: &str) -> Result<Option<String>, StoreError> {
    if row.is_null(column)? { Ok(None) } else { text(row, column).map(Some) }
}

pub(crate) fn integer(row: &Row, column: &str) -> Result<i64, StoreError> {
    row.integer(column)
}

pub(crate) fn count(row: &Row, column: &str) -> Result<usize, StoreError> {
    usize::try_from(integer(row, column)?).map_err(|error| StoreError::unreadable(column, error))
}

pub(crate) fn flag(row: &Row, column: &str) -> Result<bool, StoreError> {
    match row.integer(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(StoreError::unreadable(column, format!("{other} is neither yes nor no"))),
    }
}

pub(crate) fn bytes(row: &Row, column: &str) -> Result<Vec<u8>, StoreError> {
    row.blob(column).map(<[u8]>::to_vec)
}

pub(crate) fn optional_bytes(row: &Row, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
    if row.is_null(column)? { Ok(None) } else { bytes(row, column).map(Some) }
}

pub(crate) fn digest(row: &Row, column: &str) -> Result<[u8; 32], StoreError> {
    row.blob(column)?.try_into().map_err(|error| StoreError::unreadable(column, error))
}

pub(crate) fn moment(row: &Row, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(integer(row, column)?))
}

pub(crate) fn optional_moment(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    if row.is_null(column)? { Ok(None) } else { moment(row, column).map(Some) }
}

/// A value that is kept as text and read by its own parser.
pub(crate) fn parsed<T, E: std::fmt::Display>(row: &Row, column: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, StoreError> {
    parse(row.str(column)?).map_err(|error| StoreError::unreadable(column, error))
}

/// An identity, from its one text column; the kind is in the id's first letter.
pub(crate) fn identity(row: &Row, column: &str) -> Result<IdentityId, StoreError> {
    parsed(row, column, |text| IdentityId::parse(text).ok_or("it is no id of an identity"))
}

/// A document.
pub(crate) fn document<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    parsed(row, column, |text| serde_json::from_str(text))
}

/// A value as the document that [`document`] reads.
pub(crate) fn to_document<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Rule { rule: format!("a document can be written as JSON: {error}") })
}

/// A unit enum's word, as its serde attributes name it.
pub(crate) fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Rule { rule: "a state is kept as one word".to_owned() }),
    }
}

/// The reverse of [`word`].
pub(crate) fn from_word<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    parsed(row, column, |text| serde_json::from_value(serde_json::Value::String(text.to_owned())))
}

//! From a row's columns to checked values. A value that the domain's own parser refuses was not written by us: the row is
//! reported as unreadable, and nobody goes on with half of it.

use crate::error::StoreError;
use countersign_core::{IdentityId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub(crate) fn required(row: Option<SqliteRow>, what: &'static str) -> Result<SqliteRow, StoreError> {
    row.ok_or_else(|| StoreError::Inconsistent { detail: format!("{what} is missing") })
}

pub(crate) fn text(row: &SqliteRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn optional_text(row: &SqliteRow, column: &str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn integer(row: &SqliteRow, column: &str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn count(row: &SqliteRow, column: &str) -> Result<usize, StoreError> {
    usize::try_from(integer(row, column)?).map_err(|error| StoreError::unreadable(column, error))
}

pub(crate) fn flag(row: &SqliteRow, column: &str) -> Result<bool, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn bytes(row: &SqliteRow, column: &str) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn digest(row: &SqliteRow, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error| StoreError::unreadable(column, error))
}

pub(crate) fn moment(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(integer(row, column)?))
}

pub(crate) fn optional_moment(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.map(Timestamp::from_micros))
}

/// A value that is kept as text and read by its own parser.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    row: &SqliteRow,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    parse(text).map_err(|error| StoreError::unreadable(column, error))
}

/// An identity, from its one text column; the kind is in the id's first letter.
pub(crate) fn identity(row: &SqliteRow, column: &str) -> Result<IdentityId, StoreError> {
    parsed(row, column, |text| IdentityId::parse(text).ok_or("it is no id of an identity"))
}

/// A document.
pub(crate) fn document<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
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
pub(crate) fn from_word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    parsed(row, column, |text| serde_json::from_value(serde_json::Value::String(text.to_owned())))
}

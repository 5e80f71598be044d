//! A statement with its arguments, a row with its columns, and how the one is asked for the other on a connection of SQLite. Statements run
//! where they are called: each takes microseconds, and a thread of its own for them costs more than they do. Nothing here knows what
//! is asked for.

use crate::error::StoreError;
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use std::borrow::Cow;
use std::sync::Arc;

/// A statement with its arguments, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Query {
    sql: Cow<'static, str>,
    arguments: Vec<Value>,
}

/// Begins a statement. Its places are `$1`, `$2`, …; one may stand in it more than once.
pub(crate) fn query(sql: impl Into<Cow<'static, str>>) -> Query {
    Query { sql: sql.into(), arguments: Vec::with_capacity(16) }
}

impl Query {
    /// The next argument.
    #[must_use]
    pub(crate) fn bind(mut self, argument: impl Argument) -> Self {
        self.arguments.push(argument.value());
        self
    }
}

/// What may be an argument.
pub(crate) trait Argument {
    fn value(self) -> Value;
}

impl Argument for i64 {
    fn value(self) -> Value {
        Value::Integer(self)
    }
}

impl Argument for bool {
    fn value(self) -> Value {
        Value::Integer(self.into())
    }
}

impl Argument for String {
    fn value(self) -> Value {
        Value::Text(self)
    }
}

impl Argument for &str {
    fn value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Argument for Vec<u8> {
    fn value(self) -> Value {
        Value::Blob(self)
    }
}

impl<T: Argument> Argument for Option<T> {
    fn value(self) -> Value {
        self.map_or(Value::Null, Argument::value)
    }
}

/// A row that was read.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    columns: Arc<[Box<str>]>,
    values: Vec<Value>,
}

impl Row {
    /// A column's value, by its name.
    pub(crate) fn value(&self, column: &str) -> Result<&Value, StoreError> {
        let found = self.columns.iter().position(|name| **name == *column).and_then(|place| self.values.get(place));
        found.ok_or_else(|| StoreError::unreadable(column, "there is no such column"))
    }

    /// A column's text.
    pub(crate) fn str(&self, column: &str) -> Result<&str, StoreError> {
        match self.value(column)? {
            Value::Text(text) => Ok(text),
            other => Err(StoreError::unreadable(column, format!("it is no text but {}", other.data_type()))),
        }
    }

    /// A column's bytes.
    pub(crate) fn blob(&self, column: &str) -> Result<&[u8], StoreError> {
        match self.value(column)? {
            Value::Blob(bytes) => Ok(bytes),
            other => Err(StoreError::unreadable(column, format!("it is not bytes but {}", other.data_type()))),
        }
    }

    /// A column's number.
    pub(crate) fn integer(&self, column: &str) -> Result<i64, StoreError> {
        match self.value(column)? {
            Value::Integer(number) => Ok(*number),
            other => Err(StoreError::unreadable(column, format!("it is no number but {}", other.data_type()))),
        }
    }

    /// Whether a column has no value.
    pub(crate) fn is_null(&self, column: &str) -> Result<bool, StoreError> {
        Ok(matches!(self.value(column)?, Value::Null))
    }
}

/// Binds each place to the argument of its number: SQLite numbers `$…` by where they stand, not by what they say.
fn bound(statement: &mut rusqlite::CachedStatement<'_>, arguments: &[Value]) -> Result<(), rusqlite::Error> {
    for place in 1..=statement.parameter_count() {
        let number = statement.parameter_name(place).and_then(|name| name.strip_prefix('$')).and_then(|name| name.parse::<usize>().ok());
        let argument = number.and_then(|number| arguments.get(number.checked_sub(1)?));
        let argument = argument.ok_or(rusqlite::Error::InvalidParameterCount(arguments.len(), place))?;
        statement.raw_bind_parameter(place, argument)?;
    }
    Ok(())
}

fn kept(value: ValueRef<'_>) -> Result<Value, rusqlite::Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(std::str::from_utf8(text)?.to_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// A row as it lies in SQLite, for what reads a million of them: columns by their place, nothing copied. What a column does not have
/// is `None`; whoever wants to know why keeps the row.
#[derive(Debug)]
pub(crate) struct Passing<'r> {
    row: &'r rusqlite::Row<'r>,
    columns: &'r Arc<[Box<str>]>,
}

impl Passing<'_> {
    /// The text at this place.
    pub(crate) fn text(&self, place: usize) -> Option<&str> {
        self.row.get_ref(place).ok()?.as_str().ok()
    }

    /// The bytes at this place.
    pub(crate) fn bytes(&self, place: usize) -> Option<&[u8]> {
        self.row.get_ref(place).ok()?.as_blob().ok()
    }

    /// The number at this place.
    pub(crate) fn integer(&self, place: usize) -> Option<i64> {
        self.row.get_ref(place).ok()?.as_i64().ok()
    }

    /// Whether there is no value at this place.
    pub(crate) fn is_null(&self, place: usize) -> bool {
        matches!(self.row.get_ref(place), Ok(ValueRef::Null))
    }

    /// The row, to stay.
    pub(crate) fn kept(&self) -> Result<Row, rusqlite::Error> {
        let values = (0..self.columns.len()).map(|place| kept(self.row.get_ref(place)?)).collect::<Result<_, _>>()?;
        Ok(Row { columns: Arc::clone(self.columns), values })
    }
}

/// Runs a statement and hands each row on until `take` says that it is enough.
pub(crate) fn pass(
    connection: &Connection,
    query: &Query,
    mut take: impl FnMut(&Passing<'_>) -> Result<bool, rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(&query.sql)?;
    bound(&mut statement, &query.arguments)?;
    let columns: Arc<[Box<str>]> = statement.column_names().map(Box::from).collect();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if !take(&Passing { row, columns: &columns })? {
            break;
        }
    }
    Ok(())
}

fn each(connection: &Connection, query: &Query, mut take: impl FnMut(Row) -> bool) -> Result<(), rusqlite::Error> {
    pass(connection, query, |row| row.kept().map(&mut take))
}

/// The first row. The statement is not run beyond it, so it must be one that changes nothing, or one row alone.
pub(crate) fn one(connection: &Connection, query: &Query) -> Result<Option<Row>, rusqlite::Error> {
    let mut found = None;
    each(connection, query, |row| {
        // A statement that changes something is run to its end, or its change would stay open.
        let first = found.is_none();
        if first {
            found = Some(row);
        }
        first
    })?;
    Ok(found)
}

/// Every row.
pub(crate) fn all(connection: &Connection, query: &Query) -> Result<Vec<Row>, rusqlite::Error> {
    let mut found = Vec::new();
    each(connection, query, |row| {
        found.push(row);
        true
    })?;
    Ok(found)
}

/// Runs a statement without rows; how many rows it changed.
pub(crate) fn execute(connection: &Connection, query: &Query) -> Result<u64, rusqlite::Error> {
    let mut statement = connection.prepare_cached(&query.sql)?;
    bound(&mut statement, &query.arguments)?;
    Ok(u64::try_from(statement.raw_execute()?).unwrap_or(u64::MAX))
}

//! Readers and the writer: a connection inside a transaction, and the promise that it is left in order whatever happens to the
//! future that holds it. The nouns add the methods; nothing outside this crate sees a connection.

use crate::engine::Lent;
use crate::error::{Clash, StoreError};
use crate::page::Page;
use crate::sql::{self, Passing, Query, Row, query};
use crate::unreadable::Unreadable;
use crate::writer::{Turn, off_the_runtime};
use rusqlite::Connection;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

crate::statements::statements! {
    REVISION = "SELECT revision FROM revision";
    RAISE = "UPDATE revision SET revision = revision + 1 RETURNING revision";
}

/// Rows that were read at once after which others have their turn.
const MANY: usize = 500;

/// Statements are run where they are called, so that whoever asks many, or reads much, must let others on his thread go on.
async fn take_turns(rows: usize) {
    if rows < MANY {
        tokio::task::coop::consume_budget().await;
    } else {
        tokio::task::yield_now().await;
    }
}

#[derive(Debug)]
enum Link {
    Reading(Lent),
    /// `None` once the transaction was finished.
    Writing(Option<Turn>),
}

/// One consistent state of the store. Reads are methods of it, noun by noun. They run where they are
/// called, and wait for nothing but for others to have their turn.
#[derive(Debug)]
pub struct Reader {
    link: Link,
    /// Set once a statement failed: a writer goes no further then.
    failed: bool,
    unreadable: Unreadable,
}

impl Reader {
    pub(crate) fn reading(lent: Lent, unreadable: Unreadable) -> Self {
        Self { link: Link::Reading(lent), failed: false, unreadable }
    }

    pub(crate) fn writing(turn: Turn, unreadable: Unreadable) -> Self {
        Self { link: Link::Writing(Some(turn)), failed: false, unreadable }
    }

    /// What can be read of these rows. What cannot is left out and noted; `key` is the column that names it.
    pub(crate) fn readable<T>(&self, kind: &'static str, key: &str, rows: &[Row], read: impl Fn(&Row) -> Result<T, StoreError>) -> Vec<T> {
        rows.iter().filter_map(|row| self.readable_one(kind, key, row, &read)).collect()
    }

    fn readable_one<T>(&self, kind: &'static str, key: &str, row: &Row, read: &impl Fn(&Row) -> Result<T, StoreError>) -> Option<T> {
        read(row).map_err(|error| self.note_unreadable(kind, &crate::row::text(row, key).unwrap_or_default(), &error)).ok()
    }

    pub(crate) fn unreadable(&self) -> Unreadable {
        self.unreadable.clone()
    }

    pub(crate) fn note_unreadable(&self, kind: &'static str, id: &str, error: &StoreError) {
        self.unreadable.note(kind, id, error);
    }

    /// A page of what can be read: as many as were asked for, unless there are no more. `statement` is given the key to begin behind
    /// and the number of rows.
    pub(crate) async fn page_of<T>(
        &mut self,
        kind: &'static str,
        key: &str,
        page: &Page,
        statement: impl Fn(String, i64) -> Query,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut found, mut after) = (Vec::new(), page.after());
        loop {
            let wanted = page.size.saturating_sub(found.len());
            let rows = self.all(statement(after, i64::try_from(wanted).unwrap_or(i64::MAX))).await?;
            found.extend(rows.iter().filter_map(|row| self.readable_one(kind, key, row, &read)));
            // Fewer rows than asked for are the last ones.
            let Some(last) = rows.last().filter(|_| rows.len() >= wanted && found.len() < page.size) else { return Ok(found) };
            after = crate::row::text(last, key)?;
        }
    }

    fn connection(&self) -> Result<&Connection, StoreError> {
        if self.failed {
            return Err(StoreError::Unavailable { detail: "an earlier statement of this transaction failed".to_owned() });
        }
        let gone = || StoreError::Unavailable { detail: "the connection was given up".to_owned() };
        match &self.link {
            Link::Reading(lent) => lent.connection().ok_or_else(gone),
            Link::Writing(turn) => turn.as_ref().ok_or_else(gone)?.connection(),
        }
    }

    /// Notes a failure: on PostgreSQL it ends the transaction, and on SQLite a full disk does; so it always does here.
    fn note(&mut self, error: rusqlite::Error) -> StoreError {
        let error = StoreError::from(error);
        self.failed = true;
        if error.is_fatal()
            && let Link::Writing(Some(turn)) = &mut self.link
        {
            turn.give_up(&error);
        }
        error
    }

    pub(crate) async fn one(&mut self, query: Query) -> Result<Option<Row>, StoreError> {
        take_turns(0).await;
        sql::one(self.connection()?, &query).map_err(|error| self.note(error))
    }

    pub(crate) async fn all(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = sql::all(self.connection()?, &query).map_err(|error| self.note(error))?;
        take_turns(rows.len()).await;
        Ok(rows)
    }

    /// Hands on each row without keeping it. What `take` refuses ends it, and is no failure of the connection.
    pub(crate) fn pass(&mut self, query: &Query, mut take: impl FnMut(&Passing<'_>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut refused = None;
        let connection = self.connection()?;
        // A million rows take a second, for which nobody else has to wait.
        let passed = off_the_runtime(|| {
            sql::pass(connection, query, |row| {
                refused = take(row).err();
                Ok(refused.is_none())
            })
        });
        passed.map_err(|error| self.note(error))?;
        refused.map_or(Ok(()), Err)
    }

    /// Runs a statement and says how many rows it touched.
    fn execute(&mut self, query: &Query) -> Result<u64, StoreError> {
        sql::execute(self.connection()?, query).map_err(|error| self.note(error))
    }

    /// The number of the last committed change.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revision(&mut self) -> Result<i64, StoreError> {
        let row = self.one(query(REVISION)).await?;
        crate::row::required(row, "the revision").and_then(|row| crate::row::integer(&row, "revision"))
    }

    /// Takes the writer's turn out, to finish it.
    fn turn(&mut self) -> Result<Turn, StoreError> {
        self.connection()?;
        match &mut self.link {
            Link::Writing(turn) => turn.take(),
            Link::Reading(_) => None,
        }
        .ok_or_else(|| StoreError::Unavailable { detail: "the connection was given up".to_owned() })
    }
}

/// The one write transaction. See the crate's rules.
#[derive(Debug)]
pub struct Write<'a> {
    reader: Reader,
    changed: bool,
    /// What it takes away, for the fence.
    taken: Vec<String>,
    store: PhantomData<&'a crate::Store>,
}

impl Deref for Write<'_> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl Write<'_> {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, changed: false, taken: Vec::new(), store: PhantomData }
    }

    /// Makes this transaction raise the revision, even though it puts and deletes nothing.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// Notes beside the database that this transaction takes something away, by a short name for people: should the database lose it,
    /// a start can tell what it would let in again.
    pub fn takes_away(&mut self, what: String) {
        self.taken.push(what);
    }

    /// A statement that changes an object of the domain.
    #[allow(clippy::unused_async)]
    pub(crate) async fn change(&mut self, query: Query) -> Result<u64, StoreError> {
        self.changed = true;
        self.reader.execute(&query)
    }

    /// A statement that changes no object of the domain.
    #[allow(clippy::unused_async)]
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        self.reader.execute(&query)
    }

    /// An upsert that must have touched its row; where it did not, the stored row is of another version.
    pub(crate) async fn put(&mut self, query: Query) -> Result<(), StoreError> {
        if self.change(query).await? == 1 {
            return Ok(());
        }
        self.reader.failed = true;
        Err(StoreError::Conflict { what: Clash::ResourceVersion })
    }

    /// Makes all of it durable. Answers with the revision that holds it: one more than before when anything of the domain was
    /// put or deleted, else the one there was.
    ///
    /// # Errors
    /// Whatever kept it from being durable; nothing is changed then. [`StoreError::Unavailable`] from here may also mean that
    /// the outcome is not known: repeat with the same operation id.
    pub async fn commit(self) -> Result<i64, StoreError> {
        self.commit_then(|revision| revision).await
    }

    /// As [`Write::commit`], and calls `publish` with the revision before the next writer begins: so publications come in the
    /// order of the revisions, and each commit is published even when this future is dropped. `publish` must not
    /// wait and must not panic.
    ///
    /// # Errors
    /// As [`Write::commit`]; `publish` is not called then.
    pub async fn commit_then<T: Send + 'static>(self, publish: impl FnOnce(i64) -> T + Send + 'static) -> Result<T, StoreError> {
        let Self { mut reader, changed, taken, .. } = self;
        // Without a place to wait at, so that a caller's future that is dropped does not end it here.
        let statement = query(if changed { RAISE } else { REVISION });
        let row = sql::one(reader.connection()?, &statement).map_err(|error| reader.note(error))?;
        let revision = crate::row::required(row, "the revision").and_then(|row| crate::row::integer(&row, "revision"))?;
        let turn = reader.turn()?;
        drop(reader);
        let (answer, answered) = tokio::sync::oneshot::channel();
        // From here on it is done whether anybody waits or not: a client that hangs up must not leave a committed change unpublished.
        let taken = taken.into_iter().map(|what| (revision, what)).collect();
        turn.finish(taken, move |done| {
            let _ = answer.send(done.map(|()| publish(revision)));
        });
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable { detail: "the commit was broken off".to_owned() }))
    }

    /// Makes it durable without raising the revision: for usage and the ends of operations, which no gateway needs to hear of.
    ///
    /// # Errors
    /// As [`Write::commit`], and [`StoreError::Rule`] when something of the domain was put or deleted: a change without a number
    /// would never reach a gateway.
    pub async fn commit_without_revision(self) -> Result<(), StoreError> {
        if self.changed {
            return Err(StoreError::Rule { rule: "a change of the domain is committed with a revision".to_owned() });
        }
        self.commit_then(|_| ()).await
    }
}

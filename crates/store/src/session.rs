//! Readers and the writer: a connection inside a transaction, and the promise that it is left in order whatever happens to the
//! future that holds it. The nouns add the methods; nothing outside this crate sees a connection.

use crate::error::{Clash, StoreError};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection, Transaction};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use tokio::sync::OwnedMutexGuard;

/// A statement with its arguments.
pub(crate) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// IMMEDIATE: who is to write waits at the beginning, where nothing is lost, instead of failing in the middle.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(crate) const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

crate::statements::statements! {
    REVISION = "SELECT revision FROM revision";
    RAISE = "UPDATE revision SET revision = revision + 1 RETURNING revision";
}

/// The writer's connection. `None` after an error that leaves its state unknown: the next writer opens a new one, and closing
/// the old one rolls back whatever it had.
#[derive(Debug, Default)]
pub(crate) struct WriterSlot(pub(crate) Option<SqliteConnection>);

#[derive(Debug)]
enum Link {
    Reading(Transaction<'static, Sqlite>),
    /// `None` once the transaction's end was handed to a task of its own.
    Writing(Option<OwnedMutexGuard<WriterSlot>>),
}

/// One consistent state of the store. Reads are methods of it, noun by noun.
#[derive(Debug)]
pub struct Reader {
    link: Link,
    /// Whether the writer's transaction still stands open.
    open: bool,
    /// Set once a statement failed: a writer goes no further then.
    failed: bool,
}

impl Reader {
    pub(crate) fn reading(transaction: Transaction<'static, Sqlite>) -> Self {
        Self { link: Link::Reading(transaction), open: false, failed: false }
    }

    /// Takes over the writer's connection, to [`Reader::start`] a transaction on it.
    pub(crate) fn writing(guard: OwnedMutexGuard<WriterSlot>) -> Self {
        Self { link: Link::Writing(Some(guard)), open: true, failed: false }
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.failed {
            return Err(StoreError::Unavailable { detail: "an earlier statement of this transaction failed".to_owned() });
        }
        match &mut self.link {
            Link::Reading(transaction) => Ok(&mut *transaction),
            Link::Writing(guard) => guard
                .as_mut()
                .and_then(|guard| guard.0.as_mut())
                .ok_or_else(|| StoreError::Unavailable { detail: "the writer's connection was given up".to_owned() }),
        }
    }

    /// Notes a failure: on PostgreSQL it ends the transaction, and on SQLite a full disk does; so it always does here.
    fn note(&mut self, error: sqlx::Error) -> StoreError {
        let error = StoreError::from(error);
        self.failed = true;
        if error.is_fatal() {
            self.give_up();
        }
        error
    }

    /// Drops the writer's connection; closing it rolls back.
    fn give_up(&mut self) {
        if let Link::Writing(Some(guard)) = &mut self.link {
            guard.0 = None;
            self.open = false;
        }
    }

    pub(crate) async fn one(&mut self, query: Query) -> Result<Option<SqliteRow>, StoreError> {
        match query.fetch_optional(self.connection()?).await {
            Ok(row) => Ok(row),
            Err(error) => Err(self.note(error)),
        }
    }

    pub(crate) async fn all(&mut self, query: Query) -> Result<Vec<SqliteRow>, StoreError> {
        match query.fetch_all(self.connection()?).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.note(error)),
        }
    }

    /// Runs a statement and says how many rows it touched.
    async fn execute(&mut self, query: Query) -> Result<u64, StoreError> {
        match query.execute(self.connection()?).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) => Err(self.note(error)),
        }
    }

    /// The number of the last committed change.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revision(&mut self) -> Result<i64, StoreError> {
        let row = self.one(sqlx::query(REVISION)).await?;
        crate::row::required(row, "the revision").and_then(|row| crate::row::integer(&row, "revision"))
    }

    /// Ends the writer's transaction for good.
    async fn finish(&mut self) -> Result<(), StoreError> {
        match sqlx::query(COMMIT).execute(self.connection()?).await {
            Ok(_) => {
                self.open = false;
                Ok(())
            }
            Err(error) => {
                // Whether it is still in a transaction depends on the error; a new connection certainly is not.
                self.give_up();
                self.failed = true;
                Err(error.into())
            }
        }
    }

    /// Begins the writer's transaction. It counts as open before it is, so that a future dropped in between leaves nothing behind.
    pub(crate) async fn start(&mut self) -> Result<(), sqlx::Error> {
        match self.connection() {
            Ok(connection) => sqlx::query(BEGIN).execute(connection).await.map(|_| ()),
            Err(_) => Err(sqlx::Error::WorkerCrashed),
        }
    }

    /// Puts a new connection in the place of the writer's.
    pub(crate) fn replace(&mut self, connection: SqliteConnection) {
        if let Link::Writing(Some(guard)) = &mut self.link {
            guard.0 = Some(connection);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Link::Writing(slot) = &mut self.link else { return };
        let Some(mut guard) = slot.take().filter(|guard| self.open && guard.0.is_some()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            guard.0 = None;
            return;
        };
        // The rollback queues behind whatever a dropped future left running on the connection, and the next writer behind both.
        runtime.spawn(async move {
            if let Some(connection) = guard.0.as_mut()
                && sqlx::query(ROLLBACK).execute(connection).await.is_err()
            {
                guard.0 = None;
            }
        });
    }
}

/// The one write transaction. See the crate's rules.
#[derive(Debug)]
pub struct Write<'a> {
    reader: Reader,
    changed: bool,
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
        Self { reader, changed: false, store: PhantomData }
    }

    /// Makes this transaction raise the revision, even though it puts and deletes nothing.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// A statement that changes an object of the domain.
    pub(crate) async fn change(&mut self, query: Query) -> Result<u64, StoreError> {
        self.changed = true;
        self.reader.execute(query).await
    }

    /// A statement that changes no object of the domain.
    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        self.reader.execute(query).await
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
        let Self { mut reader, changed, .. } = self;
        // A task of its own: a client that hangs up must not leave a committed change unpublished.
        let task = tokio::spawn(async move {
            let revision = if changed {
                let row = reader.one(sqlx::query(RAISE)).await?;
                crate::row::required(row, "the revision").and_then(|row| crate::row::integer(&row, "revision"))?
            } else {
                reader.revision().await?
            };
            reader.finish().await?;
            Ok(publish(revision))
        });
        task.await.unwrap_or_else(|error| Err(StoreError::Unavailable { detail: format!("the commit was broken off: {error}") }))
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

//! The one writer: whose turn it is, and what several turns have in common. Writers come one after the other; those that wait while another
//! has finished share its sync with the disk: their changes stand in one transaction of SQLite, each behind a savepoint of its own, and
//! none is answered before all of them are durable. Nothing is decided here, and no statement of the domain is known.

use crate::engine::Opening;
use crate::error::StoreError;
use crate::fence::Fence;
use rusqlite::Connection;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// IMMEDIATE: who is to write waits at the beginning, where nothing is lost, instead of failing in the middle.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(crate) const COMMIT: &str = "COMMIT";
const SAVEPOINT: &str = "SAVEPOINT turn";
const RELEASE: &str = "RELEASE turn";
const UNDO: &str = "ROLLBACK TO turn; RELEASE turn";
/// So long finished changes wait for others at most: far less than a revocation may take.
const SHARED_WITHIN: Duration = Duration::from_millis(5);
/// How often a write lock that another process holds is tried again.
const AGAIN_EVERY: Duration = Duration::from_millis(20);
/// Changes that share one sync at most.
const SHARED_MAX: usize = 64;

/// What is to be done once a change is durable, or is known to be lost. It must not wait and must not panic.
type Finished = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Where writers wait for their turn, first come, first served.
#[derive(Debug)]
pub(crate) struct Queue {
    writer: Arc<Mutex<Writer>>,
    waiting: Arc<AtomicUsize>,
}

/// Counts somebody who waits, for as long as he does.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer: Arc::new(Mutex::new(writer)), waiting: Arc::default() }
    }

    pub(crate) async fn turn(&self) -> Turn {
        let waits = Waiting::new(&self.waiting);
        let guard = Arc::clone(&self.writer).lock_owned().await;
        drop(waits);
        Turn { guard, behind: Arc::clone(&self.waiting), queue: Arc::clone(&self.writer), open: false }
    }
}

/// The writer's connection and what is finished on it and not yet durable.
pub(crate) struct Writer {
    opening: Opening,
    /// `None` after an error that leaves its state unknown: the next turn opens a new one, and closing the old one rolls back.
    connection: Option<Connection>,
    /// `None` until the first commit where there was no room to make it, or where the database is older than the one that is there.
    fence: Option<Fence>,
    /// What the changes in the open transaction take away, each with its revision.
    taken: Vec<(i64, String)>,
    /// Whether the fence could not be written: nothing new is begun before it can.
    unfenced: bool,
    /// Whether the last one who wanted to begin found the write lock with another process.
    locked: bool,
    /// Of the changes in the open transaction, in the order of their turns.
    finished: Vec<Finished>,
    /// When the first of them was.
    since: Instant,
    /// How many transactions there were: says whether one's own is over.
    transaction: u64,
    closed: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("finished", &self.finished.len()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(opening: Opening, connection: Connection, fence: Option<Fence>) -> Self {
        Self {
            opening,
            connection: Some(connection),
            fence,
            taken: Vec::new(),
            unfenced: false,
            locked: false,
            finished: Vec::new(),
            since: Instant::now(),
            transaction: 0,
            closed: false,
        }
    }

    /// Makes durable what is finished, and says so to each in the order of the turns.
    fn commit(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        let done = match &self.connection {
            Some(connection) => off_the_runtime(|| connection.execute_batch(COMMIT)).map_err(StoreError::from),
            None => Err(given_up()),
        };
        if done.is_ok() {
            // Before anybody is answered. What is committed stays so when this fails, and is published; but nothing new is begun then.
            let _ = off_the_runtime(|| self.note_in_fence());
        }
        self.end(done);
    }

    /// Notes in the fence how far the database is, durably.
    fn note_in_fence(&mut self) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Err(given_up()) };
        let mark = crate::engine::mark(connection)?;
        let written = match &mut self.fence {
            Some(fence) => match fence.note(mark, &self.taken) {
                // A file system that copies on write may want space for it. Revocations go on all the same; the next commit tries again.
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    tracing::error!("no space to write the fence: a loss of the last changes would not be told");
                    return Ok(());
                }
                written => written,
            },
            None => match self.opening.make_fence(connection, mark) {
                Ok(fence) => {
                    self.fence = Some(fence);
                    Ok(())
                }
                // There is no room for one yet.
                Err(StoreError::Full) => return Ok(()),
                Err(error) => Err(std::io::Error::other(error)),
            },
        };
        self.unfenced = written.is_err();
        match written {
            Ok(()) => {
                self.taken.clear();
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the fence beside the database cannot be written; no change is accepted before it can");
                Err(StoreError::Unavailable { detail: format!("the fence beside it cannot be written: {error}") })
            }
        }
    }

    /// The transaction is over. After a failure its connection is too: whether that still stands in it depends on the error, and a new
    /// one certainly does not.
    fn end(&mut self, done: Result<(), StoreError>) {
        self.transaction += 1;
        if done.is_err() {
            self.connection = None;
            if !self.unfenced {
                self.taken.clear();
            }
        }
        for finished in self.finished.drain(..) {
            finished(done.clone());
        }
    }
}

fn given_up() -> StoreError {
    StoreError::Unavailable { detail: "the writer's connection was given up".to_owned() }
}

/// Work that takes long, a sync for one, which may take as long as the disk likes: other tasks go on meanwhile, where the runtime has a thread for them.
pub(crate) fn off_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    let several =
        tokio::runtime::Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if several { tokio::task::block_in_place(work) } else { work() }
}

/// The writer, in the hands of one. Dropped without [`Turn::finish`], nothing of its change is left.
#[derive(Debug)]
pub(crate) struct Turn {
    guard: OwnedMutexGuard<Writer>,
    behind: Arc<AtomicUsize>,
    queue: Arc<Mutex<Writer>>,
    /// Whether a change stands open.
    open: bool,
}

impl Turn {
    pub(crate) fn connection(&self) -> Result<&Connection, StoreError> {
        self.guard.connection.as_ref().ok_or_else(given_up)
    }

    /// Begins a change as [`Turn::begin`] does, and waits off the runtime's threads while another process holds the write lock: for so
    /// long at most, and hardly at all where those before waited for the same in vain.
    pub(crate) async fn begin_within(&mut self, wait: Duration) -> Result<(), StoreError> {
        let wait = if self.guard.locked { AGAIN_EVERY } else { wait };
        let begun = Instant::now();
        loop {
            let done = self.begin();
            self.guard.locked = matches!(done, Err(StoreError::Locked));
            if !self.guard.locked || begun.elapsed() >= wait {
                return done;
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }

    /// Begins a change: behind those that are finished, else in a transaction of its own.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        if self.guard.closed {
            return Err(StoreError::Unavailable { detail: "the store is closed".to_owned() });
        }
        if self.guard.unfenced && self.guard.finished.is_empty() && self.guard.connection.is_some() {
            self.guard.note_in_fence()?;
        }
        if !self.guard.finished.is_empty() {
            match self.connection()?.prepare_cached(SAVEPOINT).and_then(|mut statement| statement.raw_execute()) {
                Ok(_) => {
                    self.open = true;
                    return Ok(());
                }
                Err(error) => self.guard.end(Err(error.into())),
            }
        }
        if let Some(connection) = &self.guard.connection {
            match connection.prepare_cached(BEGIN).and_then(|mut statement| statement.raw_execute()) {
                Ok(_) => {
                    self.open = true;
                    return Ok(());
                }
                Err(error) if StoreError::is_lock(&error) => return Err(StoreError::Locked),
                // A connection that cannot begin may be one whose last transaction ended in an unknown way: a new one tells.
                Err(error) => tracing::warn!(%error, "the writer's connection is opened again"),
            }
        }
        self.guard.connection = None;
        let connection = self.guard.opening.writing()?;
        connection.busy_timeout(Duration::ZERO)?;
        self.guard.connection = Some(connection);
        self.connection()?.execute_batch(BEGIN)?;
        self.open = true;
        Ok(())
    }

    /// Ends the connection, and with it everything that was finished on it and is not yet durable.
    pub(crate) fn give_up(&mut self, error: &StoreError) {
        self.open = false;
        self.guard.connection = None;
        self.guard.end(Err(error.clone()));
    }

    /// Closes the writer for good.
    pub(crate) fn close(mut self) -> Result<(), StoreError> {
        self.guard.commit();
        self.guard.closed = true;
        match self.guard.connection.take() {
            Some(connection) => connection.close().map_err(|(_, error)| error.into()),
            None => Ok(()),
        }
    }

    /// Finishes the change, which takes `taken` away. `finished` is called once it is durable, before any later change is, or once it is lost; both also when
    /// nobody waits for it any more.
    pub(crate) fn finish(mut self, taken: Vec<(i64, String)>, finished: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let first = self.guard.finished.is_empty();
        if !first && let Err(error) = self.connection().and_then(|connection| Ok(connection.execute_batch(RELEASE)?)) {
            self.give_up(&error);
            return finished(Err(error));
        }
        self.open = false;
        if first {
            self.guard.since = Instant::now();
        }
        self.guard.taken.extend(taken);
        self.guard.finished.push(Box::new(finished));
        let shared = self.guard.finished.len() < SHARED_MAX && self.guard.since.elapsed() < SHARED_WITHIN;
        if !shared || self.behind.load(Ordering::Relaxed) == 0 {
            self.guard.commit();
        } else if first {
            // Behind those who wait now, on a task of its own that nobody can drop. Whoever comes after it begins a new transaction.
            let (queue, transaction) = (Arc::clone(&self.queue), self.guard.transaction);
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.guard.commit() };
            runtime.spawn(async move {
                let mut writer = queue.lock().await;
                if writer.transaction == transaction {
                    writer.commit();
                }
            });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.open {
            self.open = false;
            let undone = match &self.guard.connection {
                Some(connection) if self.guard.finished.is_empty() => connection.execute_batch("ROLLBACK").map_err(StoreError::from),
                Some(connection) => connection.execute_batch(UNDO).map_err(StoreError::from),
                None => Ok(()),
            };
            if let Err(error) = undone {
                self.give_up(&error);
            }
            // Whoever leaves without a change may have seen those before it, and answers by what he saw.
            self.guard.commit();
        }
    }
}

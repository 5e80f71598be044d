//! What is under way: each request with what admission needs to be asked again, and the means to end it. Holds no verdict.

use crate::access_log::Line;
use crate::connection::Conn;
use crate::headers::IdentityHeaders;
use crate::identify::Asked;
use crate::settings::Waits;
use crate::worker::Worker;
use countersign_core::id::RefusalId;
use countersign_core::namespace::Upstream;
use countersign_core::{ApiId, Hostname, Refusal, RefusalCode, Timestamp};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The handle on a task: wakes it, or makes it end where it stands.
#[derive(Debug, Default)]
pub(crate) struct TaskControl {
    waker: RefCell<Option<Waker>>,
    killed: Cell<bool>,
}

impl TaskControl {
    /// Remembers the task that is being polled; tells whether it is to end now.
    pub(crate) fn attend(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.killed.get()
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn kill(&self) {
        self.killed.set(true);
        self.wake();
    }

    /// Runs `future` until it ends or is killed.
    pub(crate) async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| if self.attend(cx) { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) }).await
    }
}

/// Why something under way was ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The code.
    pub(crate) code: RefusalCode,
    /// Under which id it can be looked up.
    pub(crate) id: RefusalId,
    /// What gRPC's `grpc-status-details-bin` says of it, for a service whose clients look for that.
    pub(crate) details: Option<HeaderValue>,
}

/// One request under way.
pub(crate) struct Live {
    pub(crate) conn: Rc<Conn>,
    slot: Cell<usize>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) authority: Rc<Hostname>,
    pub(crate) asked: Asked,
    /// From then on it must be asked again because of age alone.
    pub(crate) valid_until: Cell<Timestamp>,
    /// How long the snapshot may be silent, in microseconds.
    pub(crate) age_max: Cell<i64>,
    /// How long it waits for its upstream.
    pub(crate) waits: Waits,
    /// The tick by which the upstream's head, or the next byte after it, must have come; `u64::MAX` when none is awaited.
    pub(crate) deadline: Cell<u64>,
    /// Ticks from one byte to the deadline; zero when nothing is awaited.
    wait: Cell<u64>,
    /// Whether the head of the response has come.
    pub(crate) answered: Cell<bool>,
    /// The task that answers the client: the connection for HTTP/1, the stream for HTTP/2, the tunnel after an upgrade.
    pub(crate) task: RefCell<Rc<TaskControl>>,
    /// The task that reads the client's body toward the upstream.
    pub(crate) upload: TaskControl,
    ended: OnceCell<Ended>,
    /// What the access log is told of it; absent when there is none.
    pub(crate) trace: Option<Box<Trace>>,
    gone: Cell<bool>,
}

/// What is noted of a request for the access log.
pub(crate) struct Trace {
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    pub(crate) api: Option<ApiId>,
    pub(crate) identity: Option<Rc<IdentityHeaders>>,
    pub(crate) upstream: Upstream,
    pub(crate) status: Cell<Option<u16>>,
    pub(crate) grpc_status: Cell<Option<u16>>,
    pub(crate) grpc: bool,
    pub(crate) up: Cell<u64>,
    pub(crate) down: Cell<u64>,
    refusal: OnceCell<Ended>,
}

impl Trace {
    pub(crate) fn new(at: Timestamp, began: Instant, api: Option<ApiId>, upstream: &Upstream, grpc: bool) -> Self {
        Self {
            at,
            began,
            api,
            identity: None,
            upstream: upstream.clone(),
            status: Cell::new(None),
            grpc_status: Cell::new(None),
            grpc,
            up: Cell::new(0),
            down: Cell::new(0),
            refusal: OnceCell::new(),
        }
    }

    /// Notes what gRPC says of itself, in the head or behind the body.
    pub(crate) fn note_grpc(&self, fields: &HeaderMap) {
        if let Some(status) = fields.get("grpc-status").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()) {
            self.grpc_status.set(Some(status));
        }
    }

    fn line(&self, live: &Live) -> Line {
        let refusal = self.refusal.get().cloned();
        let face = refusal.as_ref().map(|ended| ended.code);
        // A refusal before the head is the answer; after it, a head that was sent stays what it was.
        let answer = face.map(|code| if self.grpc { 200 } else { code.http_status() });
        Line {
            at: self.at,
            namespace: live.conn.namespace.clone(),
            api: self.api.clone(),
            identity: self.identity.as_ref().map(|headers| headers.identity()),
            kind: self.identity.as_ref().map(|headers| headers.kind()),
            credential: live.asked.credential(&live.conn),
            method: live.method.clone(),
            uri: live.uri.clone(),
            h2: live.conn.h2,
            status: self.status.get().or(answer),
            grpc_status: face.filter(|_| self.grpc).map_or(self.grpc_status.get(), |code| Some(code.grpc_status().into())),
            micros: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            up: self.up.get(),
            down: self.down.get(),
            client: live.conn.peer.ip().to_canonical(),
            refusal,
            upstream: Some(self.upstream.clone()),
        }
    }
}

impl Live {
    /// Records that it is refused.
    pub(crate) fn refused(&self, refusal: Refusal) -> Ended {
        let ended = self.conn.worker.record(&self.conn, self.method.as_str(), self.uri.path(), &self.asked, refusal);
        if let Some(trace) = &self.trace {
            // The first refusal is the one the client is told.
            let _ = trace.refusal.set(ended.clone());
        }
        ended
    }

    /// From now on the head of the upstream's response is awaited.
    pub(crate) fn await_head(&self) {
        self.answered.set(false);
        self.wait_for(self.waits.head);
    }

    /// The head has come; what follows has a wait of its own.
    pub(crate) fn head_came(&self) {
        self.answered.set(true);
        self.wait_for(self.waits.idle);
    }

    fn wait_for(&self, wait: Duration) {
        self.wait.set(if wait.is_zero() { 0 } else { u64::from(Worker::ticks(wait)) });
        self.deadline.set(u64::MAX);
        self.progress();
    }

    /// Bytes moved: the wait begins anew.
    pub(crate) fn progress(&self) {
        let wait = self.wait.get();
        if wait > 0 && self.ended.get().is_none() {
            self.deadline.set(self.conn.worker.tick.get() + wait);
        }
    }

    /// Why it was ended, if it was.
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Ends it: whoever works for it is woken and finds the reason.
    pub(crate) fn end(&self, ended: Ended) {
        if self.ended.set(ended).is_ok() {
            self.upload.wake();
            self.task.borrow().wake();
        }
    }
}

/// Keeps a request in the register for as long as it is answered.
pub(crate) struct LiveGuard(Rc<Live>);

impl LiveGuard {
    pub(crate) const fn live(&self) -> &Rc<Live> {
        &self.0
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let live = &self.0;
        if let (Some(trace), Some(log)) = (&live.trace, &live.conn.worker.shared.access_log) {
            log.write(trace.line(live));
        }
        live.gone.set(true);
        live.upload.wake();
        live.conn.worker.lives.remove(live.slot.get());
        live.conn.stream_ended();
    }
}

/// What a request brings to the register.
pub(crate) struct Entry {
    pub(crate) conn: Rc<Conn>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) authority: Rc<Hostname>,
    pub(crate) asked: Asked,
    pub(crate) valid_until: Timestamp,
    pub(crate) age_max: i64,
    pub(crate) waits: Waits,
    pub(crate) task: Rc<TaskControl>,
    pub(crate) trace: Option<Box<Trace>>,
}

/// Enters a request.
pub(crate) fn register(entry: Entry) -> LiveGuard {
    let live = Rc::new(Live {
        conn: entry.conn,
        slot: Cell::new(0),
        method: entry.method,
        uri: entry.uri,
        authority: entry.authority,
        asked: entry.asked,
        valid_until: Cell::new(entry.valid_until),
        age_max: Cell::new(entry.age_max),
        waits: entry.waits,
        deadline: Cell::new(u64::MAX),
        wait: Cell::new(0),
        answered: Cell::new(false),
        task: RefCell::new(entry.task),
        upload: TaskControl::default(),
        ended: OnceCell::new(),
        trace: entry.trace,
        gone: Cell::new(false),
    });
    live.slot.set(live.conn.worker.lives.insert(Rc::clone(&live)));
    live.conn.stream_began();
    LiveGuard(live)
}

/// Places, and which of them are free.
type Places<T> = (Vec<Option<Rc<T>>>, Vec<usize>);

/// A register with stable places.
pub(crate) struct Register<T> {
    inner: RefCell<Places<T>>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { inner: RefCell::new((Vec::new(), Vec::new())) }
    }
}

impl<T> Register<T> {
    pub(crate) fn insert(&self, value: Rc<T>) -> usize {
        let (places, free) = &mut *self.inner.borrow_mut();
        if let Some(slot) = free.pop() {
            places[slot] = Some(value);
            slot
        } else {
            places.push(Some(value));
            places.len() - 1
        }
    }

    pub(crate) fn remove(&self, slot: usize) {
        // The value is dropped after the borrow: its own drop may come back here.
        let value = {
            let (places, free) = &mut *self.inner.borrow_mut();
            let value = places.get_mut(slot).and_then(Option::take);
            if value.is_some() {
                free.push(slot);
            }
            value
        };
        drop(value);
    }

    /// Everything in it now.
    pub(crate) fn all(&self) -> Vec<Rc<T>> {
        self.inner.borrow().0.iter().flatten().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        let (places, free) = &*self.inner.borrow();
        places.len() - free.len()
    }
}

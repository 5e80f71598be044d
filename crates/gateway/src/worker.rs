//! One worker: a thread with its own listener, snapshot, live connections and upstream pools. Shares nothing on the path of a
//! request; changes come to it as orders, one after another.

use crate::Clock;
use crate::access_log::AccessLog;
use crate::buffers::Buffers;
use crate::connection::Conn;
use crate::identify::{self, Asked};
use crate::listener;
use crate::live::{Ended, Live, Register};
use crate::refusal_log::{RefusalLog, RefusalRecord};
use crate::settings::Settings;
use crate::telemetry::Counts;
use crate::temporal;
use crate::tls::Doors;
use crate::trust::AnchorCache;
use crate::upstream::Pools;
use countersign_core::connection_limiter::ConnectionLimiter;
use countersign_core::id::RefusalId;
use countersign_core::printable::printed;
use countersign_core::redact::{redact, redacted};
use countersign_core::{Entropy, Refusal, RefusalCode, Snapshot, Timestamp};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};

/// The pulse of every worker: timeouts and expiry are looked after this often.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// How long a receipt waits for ended streams to say their last words.
const SETTLE: Duration = Duration::from_millis(60);
/// How long, and for how many turns of every other task, nothing may happen meanwhile: the rest are peers that do not read.
const STALL: Duration = Duration::from_millis(8);
const STALL_TURNS: u32 = 200;

/// What all workers have in common; none of it is locked while a request is under way, but for the log of refusals.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) doors: Doors,
    pub(crate) connections: Arc<ConnectionLimiter>,
    /// What milliseconds are counted from.
    pub(crate) started: Instant,
    pub(crate) refusals: Arc<RefusalLog>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) buffers: Buffers,
    pub(crate) upstream_tls: tokio_rustls::TlsConnector,
    /// When the control plane was last heard, in microseconds since the epoch.
    pub(crate) heard: AtomicI64,
}

impl Shared {
    /// Milliseconds since the start.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a worker is told to do.
pub(crate) enum Order {
    /// Decide on this snapshot from now on.
    Apply(Arc<Snapshot>, oneshot::Sender<Outcome>),
    /// Take nothing new, finish what is under way within the time, end.
    Drain(Drain, oneshot::Sender<()>),
}

/// How a worker ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// For what is under way.
    pub(crate) grace: Duration,
    /// For one more request on each HTTP/1.1 connection, whose answer says that the connection ends: a peer that is about to send
    /// one would lose it if the connection ended at once (RFC 9112 section 9.6).
    pub(crate) linger: Duration,
}

/// What came of a snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) revision: i64,
    pub(crate) connections_cut: u64,
    pub(crate) streams_cut: u64,
}

/// The snapshot in force. The inner count is shared by all workers; the outer one is this worker's own, so that a request touches
/// no cache line of another core.
#[allow(clippy::redundant_allocation)]
pub(crate) type Decided = Rc<Arc<Snapshot>>;

/// See the module.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    snapshot: RefCell<Decided>,
    pub(crate) conns: Register<Conn>,
    pub(crate) lives: Register<Live>,
    pub(crate) pools: Pools,
    pub(crate) anchors: AnchorCache,
    pub(crate) counts: Arc<Counts>,
    pub(crate) tick: Cell<u64>,
    /// [`Shared::millis`] at the last tick.
    pub(crate) millis: Cell<u64>,
    pub(crate) drain_begins: Notify,
    draining: Cell<bool>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, snapshot: Arc<Snapshot>, counts: Arc<Counts>) -> Self {
        Self {
            shared,
            snapshot: RefCell::new(Rc::new(snapshot)),
            conns: Register::default(),
            lives: Register::default(),
            pools: Pools::default(),
            anchors: AnchorCache::default(),
            counts,
            tick: Cell::new(0),
            millis: Cell::new(0),
            drain_begins: Notify::new(),
            draining: Cell::new(false),
        }
    }

    /// The snapshot that is decided on now.
    pub(crate) fn snapshot(&self) -> Decided {
        Rc::clone(&self.snapshot.borrow())
    }

    /// The moment to decide by: never before what the control plane was last heard to say, so that a clock that jumps back
    /// brings nothing back.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now().max(Timestamp::from_micros(self.shared.heard.load(Relaxed)))
    }

    /// Whether a snapshot that may be silent for `age_max` microseconds is too old at `now`.
    pub(crate) fn is_stale(&self, age_max: i64, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.shared.heard.load(Relaxed)) > age_max
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Ticks that last at least `time`.
    pub(crate) fn ticks(time: Duration) -> u32 {
        u32::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Remembers a refusal and gives it an id.
    pub(crate) fn record(&self, conn: &Conn, method: &str, path: &str, asked: &Asked, refusal: Refusal) -> Ended {
        let id = RefusalId::mint(&*self.shared.entropy);
        let credential = asked.credential(conn);
        let ended = Ended { code: refusal.code, id: id.clone(), details: temporal::details(refusal.code, path, &conn.namespace) };
        self.shared.refusals.record(RefusalRecord {
            id,
            at: self.now(),
            code: refusal.code,
            reason: redacted(printed(refusal.reason)),
            remedy: redacted(printed(refusal.remedy)),
            namespace: Some(conn.namespace.clone()),
            method: redact(method).chars().take(32).collect(),
            path: redact(path).chars().take(512).collect(),
            credential,
            source: conn.peer.ip().to_canonical(),
        });
        conn.counts.refused(refusal.code);
        ended
    }

    fn end(&self, live: &Rc<Live>, refusal: Refusal) {
        let ended = live.refused(refusal);
        live.end(ended);
        self.counts.streams_cut.fetch_add(1, Relaxed);
    }

    /// Asks again for one request under way; ends it when the answer is no.
    fn ask_again(&self, snapshot: &Snapshot, live: &Rc<Live>, now: Timestamp) -> bool {
        if live.ended().is_some() || live.is_gone() {
            return false;
        }
        match identify::ask(&live.conn, snapshot, &live.authority, live.method.as_str(), live.uri.path(), &live.asked, now) {
            Ok(permit) => {
                live.valid_until.set(permit.valid_until());
                live.age_max.set(permit.namespace().snapshot_age_max.micros());
                false
            }
            Err(refusal) => {
                self.end(live, refusal);
                true
            }
        }
    }

    /// Whether an idle connection's certificate, or its whole namespace, no longer gets in.
    fn is_shut_out(&self, snapshot: &Snapshot, conn: &Conn, now: Timestamp) -> bool {
        if snapshot.namespace_at(&conn.server_name).is_none_or(|namespace| namespace.id != conn.namespace) {
            return true;
        }
        let last = conn.last_use.borrow();
        let Some((method, uri, authority)) = last.as_ref() else { return false };
        match identify::ask(conn, snapshot, authority, method.as_str(), uri.path(), &Asked::None, now) {
            Ok(_) => false,
            // A right that is gone ends requests, not the connection: another path may still be in it.
            Err(refusal) => !matches!(refusal.code, RefusalCode::NotEntitled | RefusalCode::NoRoute | RefusalCode::MethodNotAllowed),
        }
    }

    /// Decides on `next` from now on, ends what it no longer admits, and answers when that is done.
    async fn apply(&self, next: Arc<Snapshot>) -> Outcome {
        let current = self.snapshot().revision();
        if next.revision() < current {
            return Outcome { revision: current, ..Outcome::default() };
        }
        let revision = next.revision();
        *self.snapshot.borrow_mut() = Rc::new(next);
        let snapshot = self.snapshot();
        let now = self.now();
        self.anchors.retain(|id| snapshot.namespace(id).is_some());
        let mut cut: Vec<Rc<Live>> = Vec::new();
        for live in self.lives.all() {
            if self.ask_again(&snapshot, &live, now) {
                cut.push(live);
            }
        }
        let mut connections_cut = 0;
        for conn in self.conns.all() {
            if !conn.is_closing() && self.is_shut_out(&snapshot, &conn, now) && conn.close() {
                connections_cut += 1;
            }
        }
        self.counts.connections_cut.fetch_add(connections_cut, Relaxed);
        let streams_cut = cut.len() as u64;
        settle(cut, connections_cut > 0).await;
        Outcome { revision, connections_cut, streams_cut }
    }

    /// One pulse: expiry, staleness, and whoever lets others wait.
    fn beat(&self) {
        self.tick.set(self.tick.get() + 1);
        self.millis.set(self.shared.millis());
        let (snapshot, now, tick) = (self.snapshot(), self.now(), self.tick.get());
        for live in self.lives.all() {
            if now >= live.valid_until.get() {
                self.ask_again(&snapshot, &live, now);
            } else if self.is_stale(live.age_max.get(), now) && live.ended().is_none() {
                self.end(&live, stale());
            } else if tick >= live.deadline.get() && live.ended().is_none() {
                // A second to say so; then a peer that reads nothing is left alone.
                live.deadline.set(tick + u64::from(Self::ticks(Duration::from_secs(1))));
                let ended = live.refused(too_slow(live.answered.get()));
                live.end(ended);
            } else if tick >= live.deadline.get() {
                live.deadline.set(u64::MAX);
                live.task.borrow().kill();
            }
        }
        for conn in self.conns.all() {
            self.sweep(&conn, now);
        }
        self.pools.prune(tick);
    }

    fn sweep(&self, conn: &Conn, now: Timestamp) {
        let timeouts = &self.shared.settings.timeouts;
        let up = |cell: &Cell<u32>| {
            cell.set(cell.get().saturating_add(1));
            cell.get()
        };
        if conn.is_closing() {
            // A second is enough for a GOAWAY; then a peer that does not answer it is left alone. While draining, the grace decides.
            if !self.is_draining() && conn.streams() == 0 && up(&conn.timers.closing) > Self::ticks(Duration::from_secs(1)) {
                conn.control.kill();
            }
            return;
        }
        if now >= conn.certificate_until.get() && conn.close() {
            self.counts.connections_cut.fetch_add(1, Relaxed);
            return;
        }
        let busy = conn.streams() > 0;
        let (heads, partial) = (conn.wire.heads.load(Relaxed), conn.wire.partial.load(Relaxed));
        // Over HTTP/1.1 the next head waits for the answer before it.
        if partial && (conn.h2 || !busy) {
            if conn.timers.partial_head.replace(heads) != heads {
                conn.timers.partial.set(0);
            }
            if up(&conn.timers.partial) > Self::ticks(timeouts.header) {
                conn.control.kill();
            }
            return;
        }
        conn.timers.partial.set(0);
        if busy {
            conn.timers.idle.set(0);
            return;
        }
        let idle = up(&conn.timers.idle);
        let limit = Self::ticks(if heads == 0 && !conn.h2 { timeouts.header } else { timeouts.idle });
        if idle > limit && conn.close() {
            tracing::trace!(peer = %conn.peer, "idle for too long");
        }
    }
}

/// What is said of an upstream that lets a request wait for too long.
fn too_slow(answered: bool) -> Refusal {
    let (reason, remedy) = if answered {
        (
            "nothing came from the upstream or the client for too long after the response had begun",
            "look at the upstream, or wait longer: countersign api update --upstream-idle-seconds SECONDS, or the same of `namespace update`",
        )
    } else {
        (
            "the upstream sent no response head in time after the last byte of the request",
            "look at the upstream, or wait longer: countersign api update --upstream-response-head-seconds SECONDS, or the same of `namespace update`",
        )
    };
    Refusal::new(RefusalCode::UpstreamUnavailable, reason, remedy)
}

/// What is said when the control plane was silent for too long.
pub(crate) fn stale() -> Refusal {
    Refusal::new(
        RefusalCode::StaleSnapshot,
        "the gateway has not heard from its control plane for longer than the namespace allows",
        "look at the control plane and at the link to it; `countersign gateway list` shows how old each gateway is",
    )
}

/// Lets ended streams find out, so that they say why. Nothing passes on them from the moment they were ended: this is about their
/// last words, and about peers that do not read, whose tasks are dropped.
async fn settle(cut: Vec<Rc<Live>>, connections: bool) {
    if cut.is_empty() && !connections {
        return;
    }
    let left = wait_for_ends(cut, SETTLE).await;
    if !left.is_empty() {
        // A busy worker: they are on their way, and the answer need not wait for their turn.
        tokio::task::spawn_local(wait_for_ends(left, Duration::MAX));
    }
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// Waits until all are gone or `limit` has passed; kills those left when nothing moves any more. Returns those that are on their way.
async fn wait_for_ends(mut cut: Vec<Rc<Live>>, limit: Duration) -> Vec<Rc<Live>> {
    let begin = Instant::now();
    let (mut progress, mut turns, mut rounds) = (begin, 0, 0);
    loop {
        let before = cut.len();
        cut.retain(|live| !live.is_gone());
        if cut.len() < before {
            (progress, turns) = (Instant::now(), 0);
        }
        (rounds, turns) = (rounds + 1, turns + 1);
        if cut.is_empty() && rounds > 3 {
            return cut;
        }
        if turns > STALL_TURNS && progress.elapsed() > STALL {
            for live in cut.drain(..) {
                live.task.borrow().kill();
            }
            return cut;
        }
        if begin.elapsed() > limit {
            return cut;
        }
        tokio::task::yield_now().await;
    }
}

/// The life of a worker's thread.
pub(crate) async fn run(worker: Rc<Worker>, listeners: Vec<std::net::TcpListener>, mut orders: mpsc::UnboundedReceiver<Order>) {
    for listener in listeners {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::task::spawn_local(listener::accept(Rc::clone(&worker), listener));
            }
            Err(error) => tracing::error!(%error, "a worker has no listener"),
        }
    }
    let pulse = tokio::task::spawn_local({
        let worker = Rc::clone(&worker);
        async move {
            let mut interval = tokio::time::interval(TICK);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                worker.beat();
            }
        }
    });
    let drained = Rc::new(Notify::new());
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = drained.notified() => break,
        };
        match order {
            Some(Order::Apply(snapshot, answer)) => {
                let outcome = worker.apply(snapshot).await;
                // Whoever asked may be gone; the snapshot applies all the same.
                let _ = answer.send(outcome);
            }
            // Snapshots apply meanwhile: what is under way can still be ended by one.
            Some(Order::Drain(how, answer)) => {
                let (worker, drained) = (Rc::clone(&worker), Rc::clone(&drained));
                tokio::task::spawn_local(async move {
                    drain(&worker, how).await;
                    let _ = answer.send(());
                    drained.notify_one();
                });
            }
            None => break,
        }
    }
    pulse.abort();
}

async fn drain(worker: &Rc<Worker>, Drain { grace, linger }: Drain) {
    worker.draining.set(true);
    worker.drain_begins.notify_waiters();
    let begin = Instant::now();
    while worker.conns.len() + worker.lives.len() > 0 && begin.elapsed() < grace {
        let over = begin.elapsed() >= linger;
        for conn in worker.conns.all().iter().filter(|conn| (over || conn.h2) && !conn.is_closing()) {
            conn.close();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for conn in worker.conns.all() {
        conn.control.kill();
    }
    for live in worker.lives.all() {
        live.task.borrow().kill();
    }
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

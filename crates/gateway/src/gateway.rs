//! The gateway as its owner holds it: started, given snapshots, asked for numbers, shut down.

use crate::access_log::AccessLog;
use crate::buffers::Buffers;
use crate::listener;
use crate::refusal_log::RefusalLog;
use crate::settings::{self, Settings};
use crate::telemetry::{self, Counts, Usage};
use crate::tls::Doors;
use crate::upstream_tls;
use crate::worker::{self, Drain, Order, Outcome, Shared, Worker};
use crate::{Clock, ServerIdentity};
use countersign_core::connection_limiter::ConnectionLimiter;
use countersign_core::receipt::Applied;
use countersign_core::{Entropy, Snapshot, Timestamp};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why a gateway did not start. One sentence that names the setting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("gateway.listen: {address} cannot be listened on: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said, in the words of a person where it is common.
        reason: String,
    },
    /// A setting is out of its bounds.
    #[error("{setting}: {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is allowed.
        reason: String,
    },
    /// A thread could not be started.
    #[error("gateway.workers: a worker's thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Fewer connections than this are worth a warning at the start.
const CONNECTIONS_FEW: usize = 1000;

/// A running gateway.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    counts: Vec<Arc<Counts>>,
    revision: AtomicI64,
    threads: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Binds and begins to serve `snapshot`.
    ///
    /// # Errors
    /// The setting that is at fault.
    pub fn start(
        settings: Settings,
        snapshot: Arc<Snapshot>,
        identity: Arc<dyn ServerIdentity>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let listeners = Self::bind(settings.listen, settings.workers)?;
        Self::start_on(listeners, settings, snapshot, identity, clock, entropy)
    }

    /// Listeners on `address` for so many workers. Connections wait in them until a gateway is started on them.
    ///
    /// # Errors
    /// The setting that is at fault.
    pub fn bind(address: SocketAddr, workers: usize) -> Result<Vec<std::net::TcpListener>, StartError> {
        listener::bind(address, workers).map_err(|e| listen_error(address, &e))
    }

    /// Begins to serve `snapshot` on listeners that are there already: from [`Gateway::bind`], or of another process.
    ///
    /// # Errors
    /// The setting that is at fault.
    pub fn start_on(
        listeners: Vec<std::net::TcpListener>,
        settings: Settings,
        snapshot: Arc<Snapshot>,
        identity: Arc<dyn ServerIdentity>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        let workers = settings.workers;
        if !(1..=1024).contains(&workers) {
            return Err(StartError::Setting { setting: "gateway.workers", reason: format!("{workers} workers; 1 to 1024 are allowed") });
        }
        let upstream_tls = upstream_tls::connector(settings.upstream_ca_file.as_deref())
            .map_err(|reason| StartError::Setting { setting: "gateway.upstream_ca_file", reason })?;
        let address = listeners
            .first()
            .map_or(Ok(settings.listen), std::net::TcpListener::local_addr)
            .map_err(|e| listen_error(settings.listen, &e))?;
        let mut settings = settings;
        settings.upstreams.own.push(address);
        let mut limits = settings.limits.clone();
        if let Some(files) = settings::open_files() {
            limits = limits.within(files);
            let connections = limits.max_connections;
            if connections < CONNECTIONS_FEW {
                tracing::warn!(files, connections, "the limit of open files leaves room for few connections; raise it");
            } else if connections < settings.limits.max_connections {
                tracing::info!(files, connections, "the limit of open files bounds the connections");
            }
        }
        let access_log = settings.access_log.clone().map(|path| {
            let shown = path.display().to_string();
            AccessLog::open(path, settings.name.clone(), settings.reserve.clone()).map_err(|error| StartError::Setting {
                setting: "gateway.access_log",
                reason: format!("{shown} cannot be written: {error}"),
            })
        });
        let access_log = access_log.transpose()?;
        let shared = Arc::new(Shared {
            doors: Doors::new(identity, Arc::clone(&clock)),
            connections: Arc::new(ConnectionLimiter::new(limits.of_listener())),
            started: std::time::Instant::now(),
            refusals: Arc::new(RefusalLog::new(settings.limits.refusals)),
            access_log,
            buffers: Buffers::default(),
            upstream_tls,
            heard: AtomicI64::new(clock.now().micros()),
            clock,
            entropy,
            settings,
        });
        let mut gateway = Self {
            shared,
            address,
            orders: Vec::new(),
            counts: Vec::new(),
            revision: AtomicI64::new(snapshot.revision()),
            threads: Vec::new(),
        };
        let shares = listener::share_out(listeners, workers).map_err(|e| listen_error(address, &e))?;
        for (i, listeners) in shares.into_iter().enumerate() {
            gateway.spawn(i, listeners, Arc::clone(&snapshot)).map_err(StartError::Thread)?;
        }
        Ok(gateway)
    }

    fn spawn(&mut self, index: usize, listeners: Vec<std::net::TcpListener>, snapshot: Arc<Snapshot>) -> std::io::Result<()> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let counts = Arc::new(Counts::default());
        let (shared, theirs) = (Arc::clone(&self.shared), Arc::clone(&counts));
        // The runtime cannot leave its thread, so the thread makes it and says how that went.
        let (ready, made) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("gateway-{index}")).spawn(move || {
            let built = tokio::runtime::Builder::new_current_thread().enable_all().build_local(tokio::runtime::LocalOptions::default());
            match built {
                Ok(runtime) => {
                    // Whoever asked waits for exactly this one word.
                    let _ = ready.send(Ok(()));
                    runtime.block_on(worker::run(Rc::new(Worker::new(shared, snapshot, theirs)), listeners, inbox));
                    // A look-up of a name that hangs must not hold the thread.
                    runtime.shutdown_background();
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        made.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone)))?;
        self.orders.push(orders);
        self.counts.push(counts);
        self.threads.push(thread);
        Ok(())
    }

    /// The address it listens on, with the port that was picked.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Makes every worker decide on `snapshot`, and answers when each of them does and has ended whatever it no longer admits.
    /// A snapshot that is older than the one in force changes nothing. `micros` is left 0.
    pub async fn apply(&self, snapshot: Arc<Snapshot>) -> Applied {
        let mut answers = Vec::with_capacity(self.orders.len());
        for orders in &self.orders {
            let (answer, outcome) = oneshot::channel();
            if orders.send(Order::Apply(Arc::clone(&snapshot), answer)).is_ok() {
                answers.push(outcome);
            }
        }
        let mut sum = Outcome { revision: i64::MAX, ..Outcome::default() };
        for answer in answers {
            // A worker that is gone admits nobody.
            if let Ok(outcome) = answer.await {
                sum.revision = sum.revision.min(outcome.revision);
                sum.connections_cut += outcome.connections_cut;
                sum.streams_cut += outcome.streams_cut;
            }
        }
        if sum.revision == i64::MAX {
            sum.revision = self.revision();
        }
        self.revision.fetch_max(sum.revision, Ordering::AcqRel);
        self.shared.doors.retain(|id| snapshot.namespace(id).is_some());
        self.counts.iter().for_each(|counts| counts.retain(|id| snapshot.namespace(id).is_some()));
        Applied {
            gateway: self.shared.settings.name.clone(),
            revision: sum.revision,
            micros: 0,
            connections_cut: sum.connections_cut,
            streams_cut: sum.streams_cut,
        }
    }

    /// The revision that every worker decides on.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Open connections, and requests and streams under way.
    pub fn live(&self) -> (u64, u64) {
        let sum = |of: fn(&Counts) -> &AtomicI64| {
            let sum: i64 = self.counts.iter().map(|c| of(c).load(Ordering::Relaxed)).sum();
            u64::try_from(sum).unwrap_or(0)
        };
        (sum(|c| &c.connections), sum(|c| &c.streams))
    }

    /// What was refused lately.
    pub fn refusals(&self) -> &RefusalLog {
        &self.shared.refusals
    }

    /// The same, to be kept by a server that answers look-ups.
    pub fn refusal_log(&self) -> Arc<RefusalLog> {
        Arc::clone(&self.shared.refusals)
    }

    /// Use of credentials since the last call.
    pub fn drain_usage(&self) -> Vec<Usage> {
        telemetry::drain(&self.counts)
    }

    /// Appends the metrics in the text format of Prometheus.
    pub fn metrics(&self, out: &mut String) {
        let heard = Timestamp::from_micros(self.shared.heard.load(Ordering::Relaxed));
        let age = self.shared.clock.now().since(heard).max(0);
        // Microseconds of any age that matters are exact in a double.
        telemetry::write(out, &self.counts, self.revision(), age as f64 / 1e6);
        if let Some(log) = &self.shared.access_log {
            telemetry::write_missing_lines(out, log.missing());
        }
    }

    /// Has the access log's file opened anew by its name, after it was moved away. Nothing happens when there is none.
    pub fn reopen(&self) {
        if let Some(log) = &self.shared.access_log {
            log.reopen();
        }
    }

    /// Notes that the control plane was heard at `at`, by its own clock. Time only moves forward here.
    pub fn heard(&self, at: Timestamp) {
        self.shared.heard.fetch_max(at.micros(), Ordering::Relaxed);
    }

    /// Takes nothing new, lets what is under way finish for up to `grace`, ends the rest. With a `linger`, an HTTP/1.1 connection stays
    /// open for so long to answer one request more. Snapshots apply meanwhile. A second call with a shorter time wins.
    pub async fn drain(&self, grace: Duration, linger: Duration) {
        let mut answers = Vec::new();
        for orders in &self.orders {
            let (answer, done) = oneshot::channel();
            if orders.send(Order::Drain(Drain { grace, linger }, answer)).is_ok() {
                answers.push(done);
            }
        }
        for answer in answers {
            // A worker that is gone has drained.
            let _ = answer.await;
        }
    }

    /// [`Gateway::drain`], and then its threads end.
    pub async fn shutdown(mut self, grace: Duration) {
        self.drain(grace, Duration::ZERO).await;
        self.orders.clear();
        let threads = std::mem::take(&mut self.threads);
        let shared = Arc::clone(&self.shared);
        // Joining blocks for as long as a thread takes to drop what it held.
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
            if let Some(log) = &shared.access_log {
                log.end();
            }
        })
        .await;
    }
}

fn listen_error(address: SocketAddr, error: &std::io::Error) -> StartError {
    let reason = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process listens there; stop it, or choose another address or port 0".to_owned(),
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another port".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    };
    StartError::Listen { address, reason }
}

//! A control plane and a gateway in one process, wired together: clock, entropy, data directory, certificates, listeners.
//!
//! Wiring only: no rule of the product may move in here.

mod authority;
mod clock;
mod fleet;
mod handover;
pub mod heads;
mod limits;
pub mod log;
mod master_key;
mod metrics;
mod sockets;

pub use authority::{ServerCertificates, write_file};
pub use clock::{SystemClock, SystemEntropy};

use countersign_core::name::Hostname;
use countersign_core::namespace::Upstream;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_core::upstream_policy::UpstreamPolicy;
use countersign_gateway::Gateway;
use countersign_server::App;
use countersign_server::login::LoginSettings;
use countersign_store::Store;
use countersign_x509::weak_list::WeakList;
use sockets::{Inherited, Port};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Where everything listens and lives.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The control plane's address.
    pub control: SocketAddr,
    /// Names and addresses in the control plane's certificate; also the hosts it answers to.
    pub control_hosts: Vec<String>,
    /// Where namespaces go that are made without an upstream of their own.
    pub default_upstream: Option<Upstream>,
    /// Whether upstreams may be on this machine's loopback, or link-local.
    pub local_upstreams: bool,
    /// Ids of the regions.
    pub regions: Vec<String>,
    /// The gateway's address.
    pub gateway: SocketAddr,
    /// The domain namespaces are reached under.
    pub domain: Hostname,
    /// The gateway's name in receipts.
    pub gateway_name: String,
    /// Worker threads of the gateway.
    pub workers: usize,
    /// Connections that the gateway may have; none for what the process has descriptors for.
    pub connections: Option<usize>,
    /// Whether a process that is stopping passes its sockets to this one, and this one to the next: so long the data directory is
    /// waited for.
    pub handover: Option<Duration>,
    /// Where the gateway writes a line for each request.
    pub access_log: Option<PathBuf>,
    /// Whether a database that lost its last changes is taken as it is.
    pub accept_older_database: bool,
    /// Where heads of the audit trail are sent.
    pub heads: Option<heads::Heads>,
    /// Address of metrics and health.
    pub metrics: SocketAddr,
    /// Where the master key is, or which key of a token opens it; empty for the data directory.
    pub master_key: String,
    /// How people log in; without an address of the pages the first of `control_hosts` is it.
    pub login: LoginSettings,
    /// Addresses of what issuers publish, in clear: the first that can be had; none for no such listener.
    pub pki: Vec<SocketAddr>,
    /// Where certificates say that this is; empty for the listener's own address, if there is one.
    pub pki_url: String,
    /// The PKCS#11 library in which issuers and the master key may have their keys, and the PIN of its tokens.
    pub pkcs11: Option<Arc<(PathBuf, countersign_core::Secret)>>,
    /// Active certificates that one owner may have; 0 for no limit.
    pub certificate_limit: usize,
    /// How long a new issuer stands by before it signs.
    pub issuer_dwell: Option<Lifetime>,
    /// RSA keys that anybody knows.
    pub weak_keys: WeakList,
    /// The operator's mail server, if there is one.
    pub mail: Option<Arc<countersign_server::MailSettings>>,
}

/// Why a plane does not start: one sentence each, with the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address} ({what}): {source}; choose another with {setting}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Which listener.
        what: &'static str,
        /// The flag or setting.
        setting: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The data directory or the database.
    #[error("{0}")]
    Store(#[from] countersign_store::StoreError),
    /// A file of the data directory.
    #[error("cannot use {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The gateway.
    #[error("the gateway does not start: {0}")]
    Gateway(String),
    /// The control plane.
    #[error("the control plane does not start: {0}")]
    Control(String),
}

impl StartError {
    /// The stable word, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen_failed",
            Self::Store(error) => error.code(),
            Self::File { .. } => "file_unusable",
            Self::Gateway(_) => "gateway_not_started",
            Self::Control(_) => "control_plane_not_started",
        }
    }
}

/// A running plane.
pub struct Plane {
    /// The control plane.
    pub app: Arc<App>,
    /// Where the control plane listens.
    pub control: SocketAddr,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where metrics and health are.
    pub metrics: SocketAddr,
    /// Where what issuers publish is read in clear, if anywhere.
    pub pki: Option<SocketAddr>,
    /// The CA of both ports, as a file.
    pub ca_file: PathBuf,
    fleet: Arc<fleet::LocalGateway>,
    successors: Option<Arc<handover::Successors>>,
    /// Whether systemd keeps the sockets open between two processes.
    activated: bool,
    served: tokio::task::JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
    stop_metrics: tokio::sync::watch::Sender<bool>,
}

impl Plane {
    /// Opens the store, starts the app and its listeners. `prepare` runs before the gateway takes its first snapshot.
    pub async fn start<F, Fut>(layout: Layout, prepare: F) -> Result<Self, StartError>
    where
        F: FnOnce(Arc<App>) -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        let ports = limits::set();
        let clock = Arc::new(SystemClock);
        clock::plausible(clock.read()).map_err(StartError::Control)?;
        let entropy = Arc::new(SystemEntropy::default());
        // Every address is taken before anything is written or announced, so that a start that fails changes nothing.
        let mut inherited = Inherited::from_systemd();
        let activated = inherited.activated;
        let predecessor = layout.handover.and_then(|_| handover::Predecessor::connect(&layout.data_dir));
        let predecessor = predecessor.map(|(predecessor, sockets)| {
            inherited.add(sockets);
            inherited.succeeds = true;
            predecessor
        });
        let control = inherited.one(Port::Control, layout.control).await?;
        let control_address = address_of(&control, layout.control)?;
        let metrics_listener = inherited.one(Port::Metrics, layout.metrics).await?;
        let metrics_address = address_of(&metrics_listener, layout.metrics)?;
        let pki_listener = listen_pki(&mut inherited, &layout.pki).await?;
        let pki_address = pki_listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let gateway_sockets = inherited.gateway(layout.gateway, layout.workers).await?;
        let gateway_probe = gateway_sockets.first().map_or(Ok(layout.gateway), |socket| address_of(socket, layout.gateway))?;
        inherited.close_rest();
        // The same sockets once more, for the process that follows this one.
        let mut passed = Vec::new();
        if layout.handover.is_some() {
            let singles = [(Port::Control, Some(&control)), (Port::Metrics, Some(&metrics_listener)), (Port::Pki, pki_listener.as_ref())];
            let singles = singles.into_iter().filter_map(|(port, socket)| Some((port, socket?)));
            for (port, socket) in singles.chain(gateway_sockets.iter().map(|socket| (Port::Gateway, socket))) {
                let again = socket.try_clone().map_err(|error| StartError::Control(format!("a socket cannot be kept: {error}")))?;
                passed.push((port, again));
            }
        }
        let (store, older) = open_store(&layout).await?;
        if let Some(older) = &older {
            accept_older(&store, older, clock.read()).await?;
        }
        let (file_check, store_reserve) = (store.file_check(), store.reserve_file());
        let certificates = Arc::new(ServerCertificates::open(&layout.data_dir, clock.clone(), entropy.clone())?);

        let upstreams = UpstreamPolicy {
            local: layout.local_upstreams,
            own: [Some(control_address), Some(metrics_address), Some(gateway_probe), pki_address].into_iter().flatten().collect(),
            named: layout.default_upstream.iter().cloned().collect(),
        };
        let settings = countersign_server::Settings {
            gateway_domain: layout.domain.clone(),
            gateway_address: gateway_probe.to_string(),
            gateway_port: gateway_probe.port(),
            control_hosts: layout.control_hosts.clone(),
            default_upstream: layout.default_upstream.clone(),
            server_ca: certificates.ca_pem(),
            upstreams: upstreams.clone(),
            regions: layout.regions.iter().map(|id| countersign_server::app::regions::region(id)).collect(),
        };
        let app = App::start(store, clock.clone(), entropy.clone(), settings).await.map_err(|e| StartError::Control(e.to_string()))?;
        app.use_installation_keys(certificates.keys().clone());
        app.use_certificate_limit(layout.certificate_limit);
        if let Some(dwell) = layout.issuer_dwell {
            app.use_issuer_dwell(dwell);
        }
        if !layout.weak_keys.is_empty() {
            tracing::info!(keys = layout.weak_keys.len(), "keys of a broken generator are refused");
            app.use_weak_keys(layout.weak_keys.clone());
        }
        let token = layout.pkcs11.as_deref().map(|(module, pin)| countersign_server::Token::load(module, pin));
        let token = token.transpose().map_err(StartError::Control)?;
        let sealer = master_key::open(&layout.master_key, &layout.data_dir, token.as_ref(), entropy.clone())?;
        app.use_master_key(sealer).await.map_err(StartError::Control)?;
        if let Some(token) = token {
            app.use_token(token);
        }
        let pki_url = match pki_address {
            Some(address) if layout.pki_url.is_empty() => format!("http://{address}"),
            _ => layout.pki_url.clone(),
        };
        if !pki_url.is_empty() {
            app.use_pki_url(&pki_url).map_err(StartError::Control)?;
        }
        app.ensure_issuers().await.map_err(|refused| StartError::Control(refused.to_string()))?;
        let mut login = layout.login.clone();
        if login.public_url.is_empty() {
            let host = layout.control_hosts.first().map_or("localhost", String::as_str);
            login.public_url = format!("https://{host}:{}", control_address.port());
        }
        app.use_login_settings(login).map_err(StartError::Control)?;
        if let Some(mail) = &layout.mail {
            app.use_mail(mail).map_err(StartError::Control)?;
        }
        prepare(Arc::clone(&app)).await.map_err(StartError::Control)?;

        let mut gateway_settings = countersign_gateway::Settings::new(layout.gateway_name.clone(), gateway_probe, layout.domain.clone());
        gateway_settings.workers = layout.workers;
        gateway_settings.upstreams = upstreams;
        gateway_settings.access_log = layout.access_log.clone();
        gateway_settings.reserve = Some(store_reserve);
        if let Some(connections) = layout.connections {
            gateway_settings.limits = gateway_settings.limits.connections(connections);
        }
        let snapshot = app.snapshot();
        let gateway = Gateway::start_on(gateway_sockets, gateway_settings, snapshot, certificates.clone(), clock.clone(), entropy.clone())
            .map_err(|e| StartError::Gateway(e.to_string()))?;
        let gateway_address = gateway.local_addr();
        let fleet = Arc::new(fleet::LocalGateway::new(gateway, layout.gateway_name.clone()));
        if let Some(predecessor) = &predecessor {
            fleet.succeed(Arc::clone(predecessor));
        }
        app.attach(fleet.clone());

        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tls = certificates.control_config(&layout.control_hosts).map_err(StartError::Control)?;
        let (stop_metrics, metrics_stopped) = tokio::sync::watch::channel(false);
        let tokio_listener = |listener: std::net::TcpListener| {
            TcpListener::from_std(listener).map_err(|error| StartError::Control(format!("a socket cannot be served: {error}")))
        };
        let (control, metrics_listener) = (tokio_listener(control)?, tokio_listener(metrics_listener)?);
        let pki_listener = pki_listener.map(tokio_listener).transpose()?;
        let served = tokio::spawn(countersign_server::listener::serve(control, tls, app.router(), stopped.clone(), ports.control));
        tokio::spawn(metrics::serve(metrics_listener, fleet.clone(), Arc::clone(&app), file_check.clone(), metrics_stopped, ports.metrics));
        if let Some(listener) = pki_listener {
            tokio::spawn(countersign_server::listener::serve_clear(listener, app.pki_router(), stopped.clone(), ports.pki));
        }
        if let Some(heads) = layout.heads.clone() {
            tokio::spawn(heads.run(Arc::clone(&app), stopped.clone()));
        }
        tokio::spawn(Arc::clone(&app).run_jobs(stopped));
        tokio::spawn(async move { file_check.beside().await });
        let ca_file = certificates.ca_file().to_owned();
        let mut successors = None;
        if layout.handover.is_some() {
            match handover::Successors::serve(&layout.data_dir, passed, Arc::clone(&fleet)) {
                Ok(served) => successors = Some(served),
                Err(error) => tracing::warn!(%error, "no socket can be passed to a following process: a restart will have a gap"),
            }
        }
        if let Some(predecessor) = predecessor {
            let revision = app.snapshot().revision();
            // It takes nothing new from here on, and decides on what is committed here.
            let told = tokio::task::spawn_blocking(move || {
                predecessor.ready();
                predecessor.apply(revision)
            });
            let _ = told.await;
        }
        notify_systemd("READY=1");
        tracing::info!(control = %control_address, gateway = %gateway_address, metrics = %metrics_address, revision = app.snapshot().revision(), "ready");
        Ok(Self {
            app,
            control: control_address,
            gateway: gateway_address,
            metrics: metrics_address,
            pki: pki_address,
            ca_file,
            fleet,
            successors,
            activated,
            served,
            stop,
            stop_metrics,
        })
    }

    /// From now on SIGHUP has the access log opened anew by its name instead of ending the process.
    pub fn reopen_on_hangup(&self) {
        let fleet = Arc::clone(&self.fleet);
        let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
            tracing::warn!("SIGHUP cannot be listened for: the access log is opened anew by a restart only");
            return;
        };
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let Some(gateway) = fleet.gateway() else { return };
                // Waits for the log's writer, which may wait for a disk. The gateway is let go of before it is asked to end.
                let _ = tokio::task::spawn_blocking(move || gateway.reopen()).await;
            }
        });
    }

    /// Ends it. The control plane finishes what is under way and gives the data directory free at once, so that a following process can
    /// start. The gateway goes on until that one serves, or for `wait` while there is none; then nothing new is taken, and what is
    /// under way gets `grace`.
    pub async fn shutdown(self, grace: Duration, wait: Duration) {
        tracing::info!(grace_seconds = grace.as_secs(), "asked to stop: what is under way may finish");
        notify_systemd("STOPPING=1");
        // Nobody may be listening any more.
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(CONTROL_GRACE, self.served).await;
        self.app.close().await;
        let wait = if self.activated { Duration::ZERO } else { wait };
        let followed = match &self.successors {
            Some(successors) => successors.wait(wait).await,
            None => false,
        };
        if followed {
            let _ = self.stop_metrics.send(true);
            tracing::info!("the following process serves: what is under way here may finish");
        }
        self.fleet.shutdown(grace, if followed { LINGER } else { Duration::ZERO }).await;
        let _ = self.stop_metrics.send(true);
    }
}

/// Records that a database which lost changes is taken all the same, and says what it lets in again.
async fn accept_older(store: &Store, older: &countersign_store::OlderDatabase, now: Timestamp) -> Result<(), StartError> {
    countersign_server::bootstrap::record_older_database(store, older, now).await?;
    let mut text = format!("An older database is accepted: {}. ", older.reason);
    match (older.let_in_again.as_slice(), older.incomplete) {
        ([], true) => text.push_str("What was revoked since is not known: check every credential.\n"),
        ([], false) => text.push_str("Nothing is known to have been revoked since.\n"),
        (list, incomplete) => {
            text.push_str("It lets in again what was revoked since:\n");
            list.iter().for_each(|what| text.push_str(&format!("  {what}\n")));
            if incomplete {
                text.push_str("  and possibly more, of which nothing is known: check every credential.\n");
            }
        }
    }
    // A closed stderr must not keep it from starting; the audit trail has it too.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    Ok(())
}

/// How long requests under way at the control plane keep the data directory from a following process.
const CONTROL_GRACE: Duration = Duration::from_millis(1500);
/// How long idle HTTP/1.1 connections of the gateway answer one request more once a following process serves.
const LINGER: Duration = Duration::from_secs(5);
/// How often it is tried whether the data directory is free.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Opens the store; waits for a process that holds it where the layout allows it.
async fn open_store(layout: &Layout) -> Result<(Store, Option<countersign_store::OlderDatabase>), StartError> {
    let begin = std::time::Instant::now();
    let mut told = false;
    loop {
        let opened = if layout.accept_older_database {
            Store::open_older(&layout.data_dir).await
        } else {
            Store::open(&layout.data_dir).await.map(|store| (store, None))
        };
        match opened {
            Err(countersign_store::StoreError::Busy { process, .. })
                if layout.handover.is_some_and(|patience| begin.elapsed() < patience) =>
            {
                if !std::mem::replace(&mut told, true) {
                    let process = process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
                    let patience = layout.handover.unwrap_or_default().as_secs();
                    tracing::warn!("the data directory is held by {process}: waiting up to {patience} s for it to stop");
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// Tells systemd how far this process is, where it wants to know (sd_notify(3)). Nothing depends on its hearing it.
fn notify_systemd(state: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::debug!(%error, "systemd cannot be told {state}");
    }
}

/// The first of these addresses that can be had; the last one's failure is told.
async fn listen_pki(inherited: &mut Inherited, addresses: &[SocketAddr]) -> Result<Option<std::net::TcpListener>, StartError> {
    let mut failed = None;
    for address in addresses {
        match inherited.one(Port::Pki, *address).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

fn address_of(listener: &std::net::TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address: asked, what: "listener", setting: "the address", source })
}

/// How a process was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By SIGTERM: another process may follow.
    Terminate,
    /// By SIGINT.
    Interrupt,
}

/// Resolves when the process is asked to end. From this call on, not from the first wait: whoever is told that it serves may ask at once.
pub fn asked_to_stop() -> impl Future<Output = Asked> {
    use tokio::signal::unix::{SignalKind, signal};
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = handlers else {
            // Without handlers the default action ends the process.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => Asked::Terminate,
            _ = interrupt.recv() => Asked::Interrupt,
        }
    }
}

//! Connections to upstreams, held by one worker: a stack of idle HTTP/1 connections and a few shared HTTP/2 ones for each. Knows
//! nothing of who is asking.

use crate::body::Upload;
use crate::connection::LocalTasks;
use crate::patient::{self, Patience, Patient};
use crate::worker::Worker;
use countersign_core::namespace::{Scheme, Upstream};
use countersign_core::upstream_policy::UpstreamPolicy;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Streams on one shared connection before another is opened.
const STREAMS: usize = 100;
/// Shared connections to one upstream, from one worker.
const SHARED_MAX: usize = 256;
/// Ticks that an idle HTTP/1 connection is kept: fifteen seconds.
const IDLE_TICKS: u64 = 60;

/// A byte stream to an upstream, clear or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Every upstream a worker talks to.
#[derive(Default)]
pub(crate) struct Pools {
    by_upstream: RefCell<HashMap<Upstream, Rc<Pool>>>,
}

impl Pools {
    /// The pool of `upstream`.
    pub(crate) fn of(&self, upstream: &Upstream) -> Rc<Pool> {
        if let Some(pool) = self.by_upstream.borrow().get(upstream) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool {
            upstream: upstream.clone(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            dialing: tokio::sync::Mutex::new(()),
            failed: RefCell::default(),
            tick: Cell::new(0),
        });
        self.by_upstream.borrow_mut().insert(upstream.clone(), Rc::clone(&pool));
        pool
    }

    /// Lets go of what was idle for too long.
    pub(crate) fn prune(&self, tick: u64) {
        self.by_upstream.borrow_mut().retain(|_, pool| {
            pool.tick.set(tick);
            pool.idle.borrow_mut().retain(|idle| idle.since + IDLE_TICKS > tick && !idle.one.sender.is_closed());
            pool.shared.borrow_mut().retain(|shared| {
                if shared.active.get() > 0 {
                    shared.since.set(tick);
                }
                !shared.sender.borrow().is_closed() && shared.since.get() + IDLE_TICKS * 4 > tick
            });
            Rc::strong_count(pool) > 1 || !pool.idle.borrow().is_empty() || !pool.shared.borrow().is_empty()
        });
    }
}

/// An HTTP/1 connection, and how much may come on it before an answer's head.
pub(crate) struct One {
    sender: http1::SendRequest<Upload>,
    patience: Patience,
}

struct Idle {
    one: One,
    since: u64,
}

struct Shared {
    sender: RefCell<http2::SendRequest<Upload>>,
    active: Cell<usize>,
    since: Cell<u64>,
    /// Streams that the upstream allows at a time.
    room: Rc<Cell<usize>>,
}

/// Connections to one upstream.
pub(crate) struct Pool {
    upstream: Upstream,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    dialing: tokio::sync::Mutex<()>,
    /// How many times dialing failed, and why the last time: those who waited for it share the failure.
    failed: RefCell<(u64, String)>,
    tick: Cell<u64>,
}

impl Pool {
    /// Whose connections these are.
    pub(crate) const fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

/// A connection while a request uses it.
pub(crate) enum Lease {
    /// HTTP/1: used by one request at a time.
    One {
        /// Where it is put back.
        pool: Rc<Pool>,
        /// The connection.
        one: One,
        /// Whether the request was sent whole.
        sent: Rc<Cell<bool>>,
        /// How many idle ones are kept.
        keep: usize,
    },
    /// HTTP/2: a place that is free again when this is dropped.
    Shared {
        /// The place.
        _place: SharedLease,
    },
}

/// One stream's place on a shared connection.
pub(crate) struct SharedLease(Rc<Shared>);

impl SharedLease {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.active.set(shared.active.get() + 1);
        Self(Rc::clone(shared))
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}

impl Lease {
    /// The response came whole: a connection whose request also went whole can be used again.
    pub(crate) fn give_back(self) {
        if let Self::One { pool, one, sent, keep } = self
            && sent.get()
            && !one.sender.is_closed()
        {
            let mut idle = pool.idle.borrow_mut();
            if idle.len() < keep {
                idle.push(Idle { one, since: pool.tick.get() });
            }
        }
    }
}

enum Link {
    One(One),
    Shared(SharedLease),
}

/// Sends `request` (origin form, with Host) and waits for the head of the answer. A connection that turns out to be closed before
/// anything was sent on it is replaced. An idempotent request without a body is sent once more, on a fresh connection, when the idle
/// connection that it went to closed without an answer (RFC 9112 section 9.3.1). Nothing else is tried twice.
pub(crate) async fn send(
    worker: &Worker,
    pool: Rc<Pool>,
    grpc: bool,
    connect: Duration,
    mut request: Request<Upload>,
) -> Result<(Response<Incoming>, Lease), String> {
    let keep = worker.shared.settings.limits.idle_upstream_connections;
    let h2 = match pool.upstream.scheme {
        Scheme::Http => Some(grpc),
        Scheme::H2c => Some(true),
        Scheme::Https => None,
    };
    let mut tries = 0;
    let mut again: Option<Request<Upload>> = None;
    let mut retried = false;
    loop {
        tries += 1;
        let (link, fresh) =
            if retried { Box::pin(open(worker, &pool, h2, connect)).await? } else { checkout(worker, &pool, h2, connect).await? };
        let error = match link {
            Link::One(mut one) => {
                as_http1(&mut request);
                if !fresh && again.is_none() {
                    again = repeated(&request);
                }
                let sent = request.body().finished();
                one.patience.begin();
                match one.sender.try_send_request(request).await {
                    Ok(response) => {
                        one.patience.end();
                        return Ok((response, Lease::One { pool, one, sent, keep }));
                    }
                    Err(error) => error,
                }
            }
            Link::Shared(lease) => {
                as_http2(&mut request, &pool.upstream)?;
                let sending = lease.0.sender.borrow_mut().try_send_request(request);
                match sending.await {
                    Ok(response) => return Ok((response, Lease::Shared { _place: lease })),
                    Err(error) => error,
                }
            }
        };
        let mut error = error;
        match (error.take_message(), again.take()) {
            (Some(unsent), _) if !fresh && tries < 4 => request = unsent,
            (None, Some(same)) if !fresh && !retried && has_closed(error.error()) => {
                (request, retried) = (same, true);
            }
            _ => return Err(format!("{} did not answer: {}", pool.upstream, error.error())),
        }
    }
}

/// The same request, if it may be sent twice: idempotent (RFC 9110 section 9.2.2) and without a body.
fn repeated(request: &Request<Upload>) -> Option<Request<Upload>> {
    let idempotent = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !idempotent || !request.body().is_end_stream() {
        return None;
    }
    let mut same = Request::new(Upload::empty());
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.headers_mut() = request.headers().clone();
    Some(same)
}

/// Whether the connection ended before an answer, rather than answering in a form that cannot be read.
fn has_closed(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    let reset = io.is_some_and(|io| matches!(io.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted));
    error.is_incomplete_message() || error.is_closed() || error.is_canceled() || reset
}

/// Refuses a response's head that two readers could take in two ways, and takes off a length that it must not have. hyper has passed
/// over interim responses and refused lengths that differ.
pub(crate) fn check_framing(response: &mut Response<Incoming>) -> Result<(), &'static str> {
    if response.status().is_informational() {
        // RFC 9110 section 15.2.2: only to a request that asked for an upgrade, and those go their own way.
        return Err("the upstream switched protocols without being asked to");
    }
    if response.headers().contains_key(TRANSFER_ENCODING) && response.headers().contains_key(CONTENT_LENGTH) {
        return Err("the upstream's answer has both Content-Length and Transfer-Encoding (RFC 9112 section 6.3)");
    }
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    if let (Some(first), Some(second)) = (lengths.next(), lengths.next()) {
        if second != first || lengths.any(|other| other != first) {
            return Err("the upstream's answer has several lengths (RFC 9112 section 6.3)");
        }
        // Once is enough (RFC 9110 section 8.6), and an HTTP/2 client takes two for malformed.
        let length = first.clone();
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    if response.status() == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6; an HTTP/2 client would take the missing bytes for a broken stream.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// Whether an upstream's 101 is the answer to a WebSocket's handshake (RFC 6455 section 4.1).
pub(crate) fn switches_to_websocket(headers: &HeaderMap) -> bool {
    let mut upgrade = headers.get_all(UPGRADE).iter();
    let websocket = upgrade.next().is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    websocket && upgrade.next().is_none() && named
}

/// Origin form with Host.
fn as_http1(request: &mut Request<Upload>) {
    if let Some(authority) = request.uri().authority().cloned() {
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(target);
    }
    *request.version_mut() = http::Version::HTTP_11;
}

/// Absolute form without Host.
fn as_http2(request: &mut Request<Upload>, upstream: &Upstream) -> Result<(), String> {
    if let Some(host) = request.headers_mut().remove(HOST) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(if upstream.scheme == Scheme::Https { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
        parts.authority = Some(Authority::try_from(host.as_bytes()).map_err(|e| e.to_string())?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|e| e.to_string())?;
    }
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}

/// A connection, and whether it is a new one. `h2` is absent when the upstream's TLS decides.
async fn checkout(worker: &Worker, pool: &Rc<Pool>, h2: Option<bool>, connect: Duration) -> Result<(Link, bool), String> {
    if h2 != Some(true) {
        loop {
            let Some(mut idle) = pool.idle.borrow_mut().pop() else { break };
            if idle.one.sender.ready().await.is_ok() {
                return Ok((Link::One(idle.one), false));
            }
        }
    }
    if h2 != Some(false)
        && let Some(lease) = shared(pool)
    {
        return Ok((Link::Shared(lease), false));
    }
    // Dialing is rare and its future large: boxed, so that a request on a held connection has no room to carry for it.
    Box::pin(open(worker, pool, h2, connect)).await
}

/// A connection, when none that is held will do.
async fn open(worker: &Worker, pool: &Rc<Pool>, h2: Option<bool>, connect: Duration) -> Result<(Link, bool), String> {
    if h2 == Some(false) {
        let stream = tcp(worker, &pool.upstream, connect).await?;
        return Ok((Link::One(open_one(stream).await?), true));
    }
    // One dials, the others wait for what he gets, a failure included.
    let failures = pool.failed.borrow().0;
    let _dialing = pool.dialing.lock().await;
    if let Some(lease) = shared(pool) {
        return Ok((Link::Shared(lease), false));
    }
    if pool.failed.borrow().0 != failures {
        return Err(pool.failed.borrow().1.clone());
    }
    let dialed = dial(worker, pool, h2, connect).await;
    if let Err(reason) = &dialed {
        let mut failed = pool.failed.borrow_mut();
        *failed = (failed.0 + 1, reason.clone());
    }
    dialed.map(|link| (link, true))
}

/// A new connection: HTTP/2 in the clear, or whatever the upstream's TLS chooses.
async fn dial(worker: &Worker, pool: &Pool, h2: Option<bool>, connect: Duration) -> Result<Link, String> {
    if h2 == Some(true) {
        let stream = tcp(worker, &pool.upstream, connect).await?;
        return Ok(Link::Shared(open_shared(pool, stream).await?));
    }
    let stream = tls(worker, &pool.upstream, connect, None).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Ok(Link::Shared(open_shared(pool, stream).await?))
    } else {
        Ok(Link::One(open_one(stream).await?))
    }
}

/// The least busy shared connection that has room.
fn shared(pool: &Pool) -> Option<SharedLease> {
    let mut all = pool.shared.borrow_mut();
    all.retain(|shared| !shared.sender.borrow().is_closed());
    let full = all.len() >= SHARED_MAX;
    let best = all.iter().min_by_key(|shared| shared.active.get())?;
    let room = STREAMS.min(best.room.get().max(1));
    (full || best.active.get() < room).then(|| SharedLease::new(best))
}

async fn open_one<S: Stream + 'static>(stream: S) -> Result<One, String> {
    let patience = Patience::new();
    let io = TokioIo::new(Patient::new(stream, patience.clone()));
    let (sender, connection) = http1::Builder::new().max_buf_size(patient::BUFFER_MAX).handshake(io).await.map_err(|e| e.to_string())?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "an upstream connection ended");
        }
    });
    Ok(One { sender, patience })
}

async fn open_shared<S: Stream + 'static>(pool: &Pool, stream: S) -> Result<SharedLease, String> {
    let (sender, connection) = http2::Builder::new(LocalTasks)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024)
        .max_send_buf_size(256 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let room = Rc::new(Cell::new(STREAMS));
    let told = Rc::clone(&room);
    let mut connection = connection;
    tokio::task::spawn_local(async move {
        let driven = poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            told.set(connection.current_max_send_streams());
            polled
        });
        if let Err(error) = driven.await {
            tracing::trace!(%error, "a shared upstream connection ended");
        }
    });
    let shared = Rc::new(Shared { sender: RefCell::new(sender), active: Cell::new(0), since: Cell::new(pool.tick.get()), room });
    let lease = SharedLease::new(&shared);
    pool.shared.borrow_mut().push(shared);
    Ok(lease)
}

/// A connection of its own for a tunnel: clear, or TLS with HTTP/1.1.
pub(crate) async fn open_tunnel(worker: &Worker, upstream: &Upstream, connect: Duration) -> Result<Box<dyn Stream>, String> {
    match upstream.scheme {
        Scheme::Http => Ok(Box::new(tcp(worker, upstream, connect).await?)),
        Scheme::Https => Ok(Box::new(tls(worker, upstream, connect, Some(vec![b"http/1.1".to_vec()])).await?)),
        Scheme::H2c => Err(format!("{upstream} speaks HTTP/2 only; a WebSocket needs http:// or https://")),
    }
}

/// Connects to the first address of an upstream that answers, of those that it may have.
async fn connect_allowed(policy: &UpstreamPolicy, upstream: &Upstream) -> Result<TcpStream, String> {
    let failed = |error: &std::io::Error| format!("{upstream} cannot be connected to: {error}");
    let addresses = tokio::net::lookup_host((upstream.host.as_str(), upstream.port)).await.map_err(|error| failed(&error))?;
    let mut reason = format!("{upstream} has no address");
    for address in addresses {
        if let Err(denied) = policy.check(upstream, address) {
            reason = format!("{upstream} is not connected to: {} {denied}", address.ip());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let ends = stream.local_addr().and_then(|local| stream.peer_addr().map(|peer| (local, peer)));
                let (local, peer) = ends.map_err(|error| failed(&error))?;
                policy.check_connected(local, peer).map_err(|denied| format!("{upstream} is not connected to: {peer} {denied}"))?;
                return Ok(stream);
            }
            Err(error) => reason = failed(&error),
        }
    }
    Err(reason)
}

async fn tcp(worker: &Worker, upstream: &Upstream, connect: Duration) -> Result<TcpStream, String> {
    let stream = tokio::time::timeout(connect, connect_allowed(&worker.shared.settings.upstreams, upstream))
        .await
        .map_err(|_| format!("{upstream} took too long to connect to"))??;
    // Failing to turn Nagle's delay off costs time only.
    let _ = stream.set_nodelay(true);
    // A dead upstream is found out by TCP: gRPC servers take HTTP/2 pings more often than every five minutes for abuse.
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    Ok(stream)
}

async fn tls(
    worker: &Worker,
    upstream: &Upstream,
    connect: Duration,
    alpn: Option<Vec<Vec<u8>>>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let stream = tcp(worker, upstream, connect).await?;
    let name = ServerName::try_from(upstream.host.clone()).map_err(|e| e.to_string())?;
    let connector = &worker.shared.upstream_tls;
    let handshake = async {
        match alpn {
            Some(protocols) => connector.with_alpn(protocols).connect(name, stream).await,
            None => connector.connect(name, stream).await,
        }
    };
    tokio::time::timeout(connect, handshake)
        .await
        .map_err(|_| format!("{upstream} took too long over its TLS handshake"))?
        .map_err(|e| format!("{upstream} failed its TLS handshake: {e}"))
}

//! One client connection: handshake, then HTTP/1.1 or HTTP/2, until its peer, its age or a changed snapshot ends it.

use crate::frames::Followed;
use crate::headers::IdentityHeaders;
use crate::identify::LastKey;
use crate::listener::Slot;
use crate::live::TaskControl;
use crate::request;
use crate::sessions::Established;
use crate::telemetry::{DoorCounts, UsageCell};
use crate::trust::ClientCertificate;
use crate::watched::{Watched, Wire};
use crate::worker::Worker;
use countersign_core::admission::CredentialId;
use countersign_core::connection_limiter::Eviction;
use countersign_core::{Hostname, NamespaceId, Timestamp};
use http::{HeaderValue, Method, Uri};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::HandshakeKind;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Streams that a peer may make this side reset before its connection ends (CVE-2025-8671).
const LOCAL_RESETS_MAX: usize = 64;

/// The last request that a certificate let in: what an idle connection is asked again by.
pub(crate) type LastUse = (Method, Uri, Rc<Hostname>);

/// The last credential that was let in, with its headers and its count.
pub(crate) type LastIdentity = (CredentialId, Rc<IdentityHeaders>, Arc<UsageCell>);

/// The last authority: as it was written, as it is read, and as it goes upstream.
pub(crate) type LastAuthority = (Vec<u8>, Rc<Hostname>, HeaderValue);

/// What is known of a connection.
pub(crate) struct Conn {
    pub(crate) worker: Rc<Worker>,
    slot: Cell<usize>,
    pub(crate) peer: SocketAddr,
    pub(crate) forwarded_for: HeaderValue,
    /// The port that the client connected to, as far as this machine knows.
    pub(crate) listener_port: u16,
    /// The name that selected its TLS settings.
    pub(crate) server_name: Hostname,
    pub(crate) namespace: NamespaceId,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) h2: bool,
    pub(crate) wire: Arc<Wire>,
    /// Requests that were begun.
    pub(crate) calls: Cell<u64>,
    streams: Cell<u32>,
    /// It is to end: no further request is taken.
    closing: Cell<bool>,
    pub(crate) control: Rc<TaskControl>,
    pub(crate) timers: Timers,
    pub(crate) counts: Arc<DoorCounts>,
    /// What the door holds of messages that are looked into.
    pub(crate) buffered: Arc<AtomicUsize>,
    pub(crate) last_use: RefCell<Option<LastUse>>,
    pub(crate) last_key: LastKey,
    pub(crate) authority: RefCell<Option<LastAuthority>>,
    pub(crate) identity: RefCell<Option<LastIdentity>>,
    /// When the certificate that was last let in ends.
    pub(crate) certificate_until: Cell<Timestamp>,
    /// Held by whatever is left of the connection, a tunnel included.
    pub(crate) place: Slot,
}

/// Ticks counted by the sweep.
#[derive(Default)]
pub(crate) struct Timers {
    pub(crate) idle: Cell<u32>,
    pub(crate) partial: Cell<u32>,
    pub(crate) partial_head: Cell<u64>,
    pub(crate) closing: Cell<u32>,
}

impl Conn {
    pub(crate) fn stream_began(&self) {
        self.streams.set(self.streams.get() + 1);
        self.place.handle().request_began();
        self.worker.counts.streams.fetch_add(1, Relaxed);
    }

    pub(crate) fn stream_ended(&self) {
        self.streams.set(self.streams.get().saturating_sub(1));
        self.timers.idle.set(0);
        self.place.handle().request_ended(self.worker.millis.get());
        self.worker.counts.streams.fetch_sub(1, Relaxed);
    }

    /// Requests under way.
    pub(crate) fn streams(&self) -> u32 {
        self.streams.get()
    }

    /// Asks it to take no further request and to end after the ones under way. Tells whether it was asked for the first time.
    pub(crate) fn close(&self) -> bool {
        let first = !self.closing.replace(true);
        self.control.wake();
        first
    }

    /// Makes room for another connection.
    pub(crate) fn evict(&self, eviction: Eviction) {
        self.worker.counts.connections_evicted.fetch_add(1, Relaxed);
        // A request that has begun meanwhile is answered; the sweep ends a peer that does not hear.
        if eviction == Eviction::Graceful {
            self.close();
        } else {
            self.control.kill();
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }
}

/// Takes the connection out of the register whatever way it ends.
struct ConnGuard(Rc<Conn>);

impl Drop for ConnGuard {
    fn drop(&mut self) {
        self.0.worker.conns.remove(self.0.slot.get());
        self.0.worker.counts.connections.fetch_sub(1, Relaxed);
    }
}

/// Serves one accepted socket.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, place: Slot) {
    let listener_port = stream.local_addr().map_or(0, |address| address.port());
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(worker.shared.settings.timeouts.handshake, handshake(&worker, stream)) => handshake,
        _ = place.evicted() => {
            worker.counts.connections_evicted.fetch_add(1, Relaxed);
            return;
        }
    };
    let Shaken { stream, server_name, namespace, certificate } = match handshake {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            worker.counts.handshakes_failed.fetch_add(1, Relaxed);
            tracing::debug!(%peer, %error, "handshake failed");
            return;
        }
        Err(_) => {
            worker.counts.handshakes_failed.fetch_add(1, Relaxed);
            tracing::debug!(%peer, "handshake took too long");
            return;
        }
    };
    worker.counts.handshakes.fetch_add(1, Relaxed);
    let session = stream.get_ref().1;
    let h2 = session.alpn_protocol() == Some(b"h2");
    let ip = peer.ip().to_canonical();
    let conn = Rc::new(Conn {
        slot: Cell::new(0),
        peer,
        // An address is plain ASCII.
        forwarded_for: HeaderValue::try_from(ip.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        listener_port,
        server_name,
        certificate,
        h2,
        wire: Arc::default(),
        calls: Cell::new(0),
        streams: Cell::new(0),
        closing: Cell::new(false),
        control: Rc::default(),
        timers: Timers::default(),
        counts: worker.counts.door(Some(&namespace)),
        buffered: worker.shared.buffers.door(&namespace),
        namespace,
        last_use: RefCell::new(None),
        last_key: LastKey::default(),
        authority: RefCell::new(None),
        identity: RefCell::new(None),
        certificate_until: Cell::new(Timestamp::from_micros(i64::MAX)),
        place,
        worker: Rc::clone(&worker),
    });
    conn.slot.set(worker.conns.insert(Rc::clone(&conn)));
    worker.counts.connections.fetch_add(1, Relaxed);
    let _guard = ConnGuard(Rc::clone(&conn));
    // One over HTTP/1.1 has its first request still answered, if there is time for that.
    if worker.is_draining() && h2 {
        conn.close();
    }
    let held = Rc::clone(&conn);
    let mut served = pin!(async move { if h2 { serve_h2(conn, stream).await } else { serve_h1(conn, stream).await } });
    tokio::select! {
        () = served.as_mut() => return,
        eviction = held.place.evicted() => held.evict(eviction),
    }
    served.await;
}

/// What a handshake ended in.
struct Shaken {
    stream: TlsStream<TcpStream>,
    server_name: Hostname,
    namespace: NamespaceId,
    certificate: Option<ClientCertificate>,
}

async fn handshake(worker: &Worker, stream: TcpStream) -> Result<Shaken, String> {
    let mut start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.map_err(|e| e.to_string())?;
    let name = start.client_hello().server_name().and_then(|name| Hostname::parse(name).ok());
    let snapshot = worker.snapshot();
    let Some((name, namespace)) = name.and_then(|name| snapshot.namespace_at(&name).map(|n| (name, Arc::clone(n)))) else {
        // Alert unrecognized_name, fatal (RFC 6066 section 3): a missing name has no default either.
        let _ = start.io.write_all(&[21, 3, 3, 0, 2, 2, 112]).await;
        let _ = start.io.shutdown().await;
        return Err("the server name is missing or leads to no namespace".to_owned());
    };
    let (config, sessions) = match worker.shared.doors.face(&namespace) {
        Ok(face) => face.for_handshake(Arc::clone(&snapshot), Arc::clone(&namespace), worker.now()),
        Err(error) => {
            tracing::error!(namespace = %namespace.id, %error, "the namespace has no server certificate and stays closed");
            // Alert internal_error, fatal.
            let _ = start.io.write_all(&[21, 3, 3, 0, 2, 2, 80]).await;
            return Err(error);
        }
    };
    let stream = start.into_stream(config).await.map_err(|e| e.to_string())?;
    let tls = stream.get_ref().1;
    let resumed = sessions.resumed().filter(|_| tls.handshake_kind() == Some(HandshakeKind::Resumed));
    let certificate = tls.peer_certificates().and_then(|chain| {
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        let known = resumed.as_ref().and_then(Established::client);
        ClientCertificate::new(chain, &worker.anchors, &namespace, known, worker.now())
    });
    let client =
        certificate.as_ref().map(|certificate| (Arc::clone(&namespace), certificate.presented(&worker.anchors, &namespace, worker.now())));
    sessions.finish(resumed, client);
    Ok(Shaken { stream, server_name: name, namespace: namespace.id.clone(), certificate })
}

async fn serve_h1(conn: Rc<Conn>, stream: TlsStream<TcpStream>) {
    let settings = &conn.worker.shared.settings;
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&conn.wire), settings.limits.header_bytes));
    let service = service_fn(|request| {
        let conn = Rc::clone(&conn);
        let task = Rc::clone(&conn.control);
        request::handle(conn, task, request)
    });
    // The scanner bounds heads and the sweep bounds waiting, so hyper's own header timer, which also ends idle connections, is off.
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(None).half_close(false);
    let mut served = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut told = false;
    let result = conn
        .control
        .run(poll_fn(|cx| {
            if conn.closing.get() && !told {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            served.as_mut().poll(cx)
        }))
        .await;
    if let Some(Err(error)) = result {
        tracing::trace!(peer = %conn.peer, %error, "connection ended");
    }
}

async fn serve_h2(conn: Rc<Conn>, stream: TlsStream<TcpStream>) {
    let settings = &conn.worker.shared.settings;
    let executor = StreamTasks::default();
    let next = executor.next.clone();
    let service = service_fn(|request| {
        let conn = Rc::clone(&conn);
        let task = Rc::new(TaskControl::default());
        // hyper hands the stream's future to the executor right after this call: it runs under this handle.
        next.borrow_mut().replace(Rc::clone(&task));
        // Boxed, since hyper hands the stream's future from one function to the next by value.
        Box::pin(request::handle(conn, task, request))
    });
    let mut builder = hyper::server::conn::http2::Builder::new(executor);
    builder
        .max_concurrent_streams(settings.limits.max_streams_per_connection)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(u32::try_from(settings.limits.header_bytes).unwrap_or(16 * 1024))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(256 * 1024)
        .timer(hyper_util::rt::TokioTimer::new())
        .keep_alive_interval(std::time::Duration::from_secs(60))
        .keep_alive_timeout(std::time::Duration::from_secs(20));
    let stream = Followed::new(stream, Arc::clone(&conn.wire));
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut told = false;
    let result = conn
        .control
        .run(poll_fn(|cx| {
            if conn.closing.get() && !told {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            served.as_mut().poll(cx)
        }))
        .await;
    if let Some(Err(error)) = result {
        tracing::trace!(peer = %conn.peer, %error, "connection ended");
    }
}

/// Runs each HTTP/2 stream as a task of its own that can be ended from outside, even while its peer reads nothing.
#[derive(Clone, Default)]
struct StreamTasks {
    next: Rc<RefCell<Option<Rc<TaskControl>>>>,
}

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        // Moved once, here: a stream's future is large, and spawning and polling it by value would copy it several times over.
        let mut future = Box::pin(future);
        match self.next.borrow_mut().take() {
            Some(control) => {
                tokio::task::spawn_local(poll_fn(move |cx| if control.attend(cx) { Poll::Ready(()) } else { future.as_mut().poll(cx) }));
            }
            None => {
                tokio::task::spawn_local(future);
            }
        }
    }
}

/// Where hyper spawns what belongs to an upstream connection.
#[derive(Clone, Copy, Default)]
pub(crate) struct LocalTasks;

impl<F> hyper::rt::Executor<F> for LocalTasks
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

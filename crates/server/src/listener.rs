//! The control plane's port: TLS, then HTTP/1.1 or HTTP/2 by ALPN, with every wait bounded. It knows nothing of what is served.

use crate::linger::Lingering;
use crate::places::{Place, Places, Standing, UnderWay};
use axum::Router;
use countersign_core::connection_limiter::{ConnectionLimits, Eviction};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// How long a client has for its handshake, and for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long one connection in clear may last.
const CLEAR_TIME: Duration = Duration::from_secs(120);
/// How long requests under way have once the control plane is to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long they have when the connection ends because it was quiet, or because its place is needed.
const SHORT_GRACE: Duration = Duration::from_secs(1);
/// Bytes of header fields of one request.
const HEADER_BYTES_MAX: u32 = 32 * 1024;
/// Bytes of an answer that are handed over at once, so that it shows whether the client reads.
const PIECE: usize = 64 * 1024;

/// Bytes of bodies that may be under way on a connection before a good credential came. Forms, questions of OCSP and renewals are far
/// smaller; what is larger needs a credential, which is looked at before the body is.
const STRANGERS_BYTES: usize = 256 * 1024;

/// How long a connection may be quiet: no request begins, and nothing of a body moves. Pings are no life.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    stranger: Duration,
    known: Duration,
}

const QUIET: Quiet = Quiet { stranger: Duration::from_secs(60), known: Duration::from_secs(120) };

/// Where a request came from; among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Notes on a request's connection that a credential of `identity` was accepted, so that strangers do not evict it. Requests that came
/// by no connection have nothing to keep.
pub(crate) fn authenticated(extensions: &http::Extensions, identity: impl std::hash::Hash) {
    if let Some(standing) = extensions.get::<Standing>() {
        standing.authenticate(identity);
    }
}

/// Bounds of a port of the control plane with room for `total` connections. One address or identity may have most of them: behind one
/// address there may be a proxy and many, and whoever has not authenticated gives way first anyhow.
#[must_use]
pub const fn limits(total: usize) -> ConnectionLimits {
    ConnectionLimits { total, per_address: total - total / 8, per_identity: total - total / 4 }
}

/// Serves `router` on `listener` until `stopped` turns true or its sender goes, and until the requests that were under way then are over.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    stopped: watch::Receiver<bool>,
    limits: ConnectionLimits,
) {
    serve_with(listener, tls, router, stopped, QUIET, limits).await;
}

async fn serve_with(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    quiet: Quiet,
    limits: ConnectionLimits,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Places::new(limits);
    while let Some((stream, peer)) = accept(&listener, &mut stopped).await {
        let Some(place) = places.enter(peer.ip()) else { continue };
        let (acceptor, router, stopped) = (acceptor.clone(), router.clone(), stopped.clone());
        tokio::spawn(async move {
            let accepted = tokio::select! {
                accepted = tokio::time::timeout(HEAD_TIME, acceptor.accept(stream)) => accepted,
                _ = place.evicted() => return,
            };
            if let Ok(Ok(stream)) = accepted {
                connection(stream, peer, place, router, stopped, quiet).await;
            }
        });
    }
    // No connection is accepted any more from here on.
    drop(listener);
    let end = Instant::now() + GRACE;
    while places.requests() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Serves `router` in clear, HTTP/1.1, for what anybody may read: nothing that is secret is said or heard on it.
pub async fn serve_clear(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>, limits: ConnectionLimits) {
    let places = Places::new(limits);
    while let Some((stream, peer)) = accept(&listener, &mut stopped).await {
        let Some(place) = places.enter(peer.ip()) else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEADER_BYTES_MAX as usize);
            let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            tokio::select! {
                // Whoever reads slowly is let go; a list of a million entries takes seconds.
                _ = tokio::time::timeout(CLEAR_TIME, served) => {}
                _ = place.evicted() => {}
            }
        });
    }
}

/// The next connection; none once it is to stop.
async fn accept(listener: &TcpListener, stopped: &mut watch::Receiver<bool>) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until(stopped) => return None,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Answers are small and whole; waiting to fill a segment only delays them.
                let _ = stream.set_nodelay(true);
                return Some((stream, peer));
            }
            Err(error) => {
                // Out of descriptors, most likely: those under way will give some back.
                tracing::warn!(%error, "a connection to the control plane could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// When something last moved on a connection.
#[derive(Clone, Debug)]
struct Pulse {
    begun: Instant,
    /// Milliseconds from `begun`.
    last: Arc<AtomicU64>,
}

impl Pulse {
    fn new() -> Self {
        Self { begun: Instant::now(), last: Arc::default() }
    }

    fn beat(&self) {
        self.last.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns once nothing moved for as long as this connection may be quiet.
    async fn quiet(&self, quiet: Quiet, standing: &Standing) {
        loop {
            let patience = if standing.known() { quiet.known } else { quiet.stranger };
            let end = self.begun + Duration::from_millis(self.last.load(Relaxed)) + patience;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// An answer in pieces, each of which shows that the client still reads.
struct Moving {
    body: axum::body::Body,
    left: bytes::Bytes,
    pulse: Pulse,
    /// Held until the answer has gone.
    _under_way: UnderWay,
}

impl Body for Moving {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        if self.left.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.left = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        self.pulse.beat();
        let piece = self.left.len().min(PIECE);
        let piece = self.left.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, hint) = (self.left.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(left));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(left));
        }
        whole
    }
}

/// A body that is read on for a moment when nobody wants it. Dropping it at once would reset an HTTP/2 stream right behind its answer
/// (RFC 9113 section 8.1), and some clients, curl among them, then lose the answer.
struct Unread {
    body: Option<Incoming>,
    h2: bool,
    pulse: Pulse,
    standing: Standing,
    /// Bytes of this body, and of all that are under way on the connection.
    own: usize,
    all: Arc<AtomicUsize>,
}

/// How much of an unwanted body is read, and for how long.
const UNWANTED_BYTES: usize = 512 * 1024;
const UNWANTED_TIME: Duration = Duration::from_secs(1);

impl Body for Unread {
    type Data = bytes::Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::BoxError>>> {
        let frame = match &mut self.body {
            Some(body) => std::task::ready!(Pin::new(body).poll_frame(cx)),
            None => None,
        };
        self.pulse.beat();
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(bytes::Bytes::len)).unwrap_or(0);
        self.own += bytes;
        if self.all.fetch_add(bytes, Relaxed) + bytes > STRANGERS_BYTES && !self.standing.known() {
            return Poll::Ready(Some(Err("too much came without a credential".into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Relaxed);
        let Some(mut body) = self.body.take().filter(|body| self.h2 && !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let end = tokio::time::Instant::now() + UNWANTED_TIME;
            let mut left = UNWANTED_BYTES;
            while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(end, body.frame()).await {
                left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
                if left == 0 {
                    // Nothing more is read, but the client still gets its moment.
                    tokio::time::sleep_until(end).await;
                    return;
                }
            }
        });
    }
}

async fn until(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    peer: SocketAddr,
    place: Place,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    quiet: Quiet,
) {
    let (pulse, standing, busy) = (Pulse::new(), place.standing(), place.standing());
    let (on_request, on_answer) = (pulse.clone(), pulse.clone());
    let all = Arc::<AtomicUsize>::default();
    let service = router
        .map_request(move |mut request: http::Request<Incoming>| {
            on_request.beat();
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(standing.clone());
            let h2 = request.version() == http::Version::HTTP_2;
            let (pulse, standing, all) = (on_request.clone(), standing.clone(), Arc::clone(&all));
            request.map(|body| axum::body::Body::new(Unread { body: Some(body), h2, pulse, standing, own: 0, all }))
        })
        .map_future(move |answer| {
            let (pulse, under_way) = (on_answer.clone(), busy.request());
            async move {
                let answer: http::Response<axum::body::Body> = answer.await?;
                pulse.beat();
                Ok::<_, Infallible>(answer.map(|body| Moving { body, left: bytes::Bytes::new(), pulse, _under_way: under_way }))
            }
        });
    // What was agreed on in the handshake is what is spoken (RFC 7301); without an agreement that is HTTP/1.1.
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_local_error_reset_streams(64)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD_TIME);
    let connection = builder.serve_connection(TokioIo::new(Lingering::new(stream)), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let standing = place.standing();
    let grace = tokio::select! {
        // A client that goes away is no event.
        _ = connection.as_mut() => return,
        () = until(&mut stopped) => GRACE,
        () = pulse.quiet(quiet, &standing) => SHORT_GRACE,
        eviction = place.evicted() => match eviction {
            Eviction::Graceful => SHORT_GRACE,
            Eviction::Immediate => return,
        },
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(grace, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use countersign_core::{Lifetime, Timestamp};
    use countersign_testkit::Chance;
    use countersign_x509::authority::Authority;
    use hyper::client::conn::http2;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::client::TlsStream;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(300);
    /// Far longer than any wait that is tested.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Served {
        address: SocketAddr,
        roots: Arc<rustls::RootCertStore>,
        _stop: watch::Sender<bool>,
    }

    async fn serve(router: Router, quiet: Quiet) -> Served {
        let now = Timestamp::from_seconds(jiff::Timestamp::now().as_second());
        let ca = Authority::generate_internal("test", now, Lifetime::from_days(30), &Chance).unwrap();
        let (certificate, key) = ca.issue_server(&["localhost".to_owned()], now, Lifetime::from_days(7), &Chance).unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], rustls::pki_types::PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut roots = rustls::RootCertStore::empty();
        let der = countersign_x509::pem::read(ca.certificate_pem().as_bytes()).unwrap().blocks.into_iter().find_map(|block| match block {
            countersign_x509::pem::Block::Certificate(der) => Some(der),
            _ => None,
        });
        roots.add(der.unwrap().into()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve_with(listener, Arc::new(tls), router, stopped, quiet, limits(64)));
        Served { address, roots: Arc::new(roots), _stop: stop }
    }

    impl Served {
        async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
            let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(Arc::clone(&self.roots))
                .with_no_client_auth();
            tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            let stream = TcpStream::connect(self.address).await.unwrap();
            tokio_rustls::TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
        }

        async fn h2(&self) -> (http2::SendRequest<String>, tokio::task::JoinHandle<hyper::Result<()>>) {
            let stream = TokioIo::new(self.connect("h2").await);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            (sender, tokio::spawn(connection))
        }
    }

    fn ask(path: &str) -> http::Request<String> {
        http::Request::get(format!("https://localhost{path}")).body(String::new()).unwrap()
    }

    /// Says of every request that a credential came.
    async fn knows(request: axum::extract::Request) {
        authenticated(request.extensions(), 1);
    }

    #[tokio::test]
    async fn a_connection_over_http2_that_asks_nothing_ends_though_it_answers_pings() {
        let served = serve(Router::new().route("/", get(|| async {})), Quiet { stranger: SHORT, known: LONG }).await;
        let (mut sender, connection) = served.h2().await;
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
        // The client answers whatever the server pings; its end is the server's doing.
        tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
        drop(sender);
    }

    #[tokio::test]
    async fn a_connection_that_never_asked_anything_ends() {
        let served = serve(Router::new(), Quiet { stranger: SHORT, known: LONG }).await;
        let mut stream = served.connect("h2").await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    }

    #[tokio::test]
    async fn who_showed_a_credential_may_be_quiet_for_longer() {
        let router = Router::new().route("/", get(knows));
        let served = serve(router, Quiet { stranger: SHORT, known: LONG }).await;
        let (mut sender, connection) = served.h2().await;
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
        // A stranger's connection, begun later, ends; this one is there still.
        let mut stranger = served.connect("h2").await;
        let _ = tokio::time::timeout(PATIENCE, stranger.read_to_end(&mut Vec::new())).await.unwrap();
        assert!(!connection.is_finished());
        assert_eq!(sender.send_request(ask("/")).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_holds_no_connection() {
        for protocol in ["http/1.1", "h2"] {
            let (held, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
            let held = std::sync::Mutex::new(Some(held));
            let endless = Arc::new(move || {
                let next = |held| async { Some((Ok::<_, std::convert::Infallible>(vec![7_u8; PIECE]), held)) };
                axum::body::Body::from_stream(futures_util::stream::unfold(held.lock().unwrap().take(), next))
            });
            let router = Router::new().route("/", get(async move || endless()));
            let served = serve(router, Quiet { stranger: SHORT, known: LONG }).await;
            if protocol == "h2" {
                let (mut sender, _connection) = served.h2().await;
                // The head only: the window stays shut, the connection lives.
                let _answer = sender.send_request(ask("/")).await.unwrap();
                assert!(tokio::time::timeout(PATIENCE, dropped.recv()).await.unwrap().is_none());
            } else {
                let mut stream = served.connect(protocol).await;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                let mut head = [0_u8; 12];
                stream.read_exact(&mut head).await.unwrap();
                assert_eq!(&head, b"HTTP/1.1 200");
                // Not another byte is read, and the client does not hang up.
                assert!(tokio::time::timeout(PATIENCE, dropped.recv()).await.unwrap().is_none());
            }
        }
    }

    #[tokio::test]
    async fn a_long_answer_arrives_whole_and_with_its_length() {
        let body: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let sent = body.clone();
        let router = Router::new().route("/", get(|| async { sent })).route("/echo", post(|body: bytes::Bytes| async { body }));
        let served = serve(router, QUIET).await;
        let (mut sender, _connection) = served.h2().await;
        let answer = sender.send_request(ask("/")).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "300000");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
        let request = http::Request::post("https://localhost/echo").body("x".repeat(200_000)).unwrap();
        let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "x".repeat(200_000));
    }

    #[tokio::test]
    async fn who_showed_no_credential_makes_nobody_keep_much() {
        let known = post(async |request: axum::extract::Request| {
            authenticated(request.extensions(), 1);
            axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap().len().to_string()
        });
        let stranger = post(async |request: axum::extract::Request| {
            let whole = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            whole.map_or(http::StatusCode::BAD_REQUEST, |_| http::StatusCode::OK)
        });
        let served = serve(Router::new().route("/known", known).route("/stranger", stranger), QUIET).await;
        let (mut sender, _connection) = served.h2().await;
        let ask = |path: &str, bytes| http::Request::post(format!("https://localhost{path}")).body("x".repeat(bytes)).unwrap();
        for (bytes, status) in [(STRANGERS_BYTES, 200), (STRANGERS_BYTES + 1, 400), (STRANGERS_BYTES, 200)] {
            assert_eq!(sender.send_request(ask("/stranger", bytes)).await.unwrap().status(), status, "{bytes}");
        }
        let answer = sender.send_request(ask("/known", 4 * STRANGERS_BYTES)).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), (4 * STRANGERS_BYTES).to_string());
    }
}

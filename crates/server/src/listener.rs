//! The control plane's port: TLS, then HTTP/1.1 or HTTP/2 by ALPN, with every wait bounded. It knows nothing of what is served.

use axum::Router;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// How long a client has for its handshake, and for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long one connection in clear may last.
const CLEAR_TIME: Duration = Duration::from_secs(120);
/// How long requests under way have once the control plane is to end.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of header fields of one request.
const HEADER_BYTES_MAX: u32 = 32 * 1024;

/// Where a request came from; among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves `router` on `listener` until `stopped` turns true or its sender goes.
pub async fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>, router: Router, mut stopped: watch::Receiver<bool>) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until(&mut stopped) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: those under way will give some back.
                tracing::warn!(%error, "the control plane could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, router, stopped) = (acceptor.clone(), router.clone(), stopped.clone());
        tokio::spawn(async move {
            connection(stream, peer, acceptor, router, stopped).await;
            drop(permit);
        });
    }
}

/// Serves `router` in clear, HTTP/1.1, for what anybody may read: nothing that is secret is said or heard on it.
pub async fn serve_clear(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until(&mut stopped) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEADER_BYTES_MAX as usize);
            let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            // Whoever reads slowly is let go; a list of a million entries takes seconds.
            let _ = tokio::time::timeout(CLEAR_TIME, served).await;
            drop(permit);
        });
    }
}

/// A body that is read on for a moment when nobody wants it. Dropping it at once would reset an HTTP/2 stream right behind its answer
/// (RFC 9113 section 8.1), and some clients, curl among them, then lose the answer.
struct Unread {
    body: Option<Incoming>,
    h2: bool,
}

/// How much of an unwanted body is read, and for how long.
const UNWANTED_BYTES: usize = 512 * 1024;
const UNWANTED_TIME: Duration = Duration::from_secs(1);

impl Body for Unread {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
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

async fn connection(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, router: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are small and whole; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIME, acceptor.accept(stream)).await else { return };
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let h2 = request.version() == http::Version::HTTP_2;
        request.map(|body| axum::body::Body::new(Unread { body: Some(body), h2 }))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD_TIME);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        // A client that goes away is no event.
        _ = connection.as_mut() => return,
        () = until(&mut stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(GRACE, connection).await;
}

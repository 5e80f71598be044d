//! WebSockets: a handshake that is forwarded like any request, then bytes both ways until either side, or admission, ends it.

use crate::body::{Download, Upload};
use crate::headers;
use crate::live::{Ended, Live, LiveGuard, TaskControl};
use crate::patient::{self, Patience, Patient};
use crate::request::{down, until_ended};
use crate::upstream;
use countersign_core::namespace::Upstream;
use countersign_core::{Refusal, RefusalCode};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Opens the tunnel of an admitted request. The error is the refusal that was recorded.
pub(crate) async fn open(guard: LiveGuard, mut request: Request<Incoming>, upstream: &Upstream) -> Result<Response<Download>, Ended> {
    let live = Rc::clone(guard.live());
    live.await_head();
    let client = hyper::upgrade::on(&mut request);
    let opened = until_ended(&live, dial(&guard, request, upstream)).await?;
    let mut response = opened.map_err(|reason| live.refused(down(&reason)))?;
    live.head_came();
    if let Some(trace) = &live.trace {
        trace.status.set(Some(response.status().as_u16()));
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        upstream::check_framing(&mut response).map_err(|reason| live.refused(down(reason)))?;
        // Not a tunnel: whatever the upstream says goes back, and the connection ends, since the client's next bytes are no HTTP.
        let (mut parts, body) = response.into_parts();
        headers::clean_response(&mut parts.headers);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let mut answer = Response::new(Download::passing(body, guard));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        return Ok(answer);
    }
    if !upstream::switches_to_websocket(response.headers()) {
        return Err(live.refused(Refusal::new(
            RefusalCode::UpstreamInvalid,
            "the upstream switched to another protocol than the WebSocket that was requested (RFC 9110 section 7.8)",
            "check that the upstream serves WebSockets at this path",
        )));
    }
    let server = hyper::upgrade::on(&mut response);
    let control = Rc::new(TaskControl::default());
    *live.task.borrow_mut() = Rc::clone(&control);
    live.conn.wire.tunnel.store(true, Relaxed);
    tokio::task::spawn_local(async move {
        let tunnel = async {
            let (client, server) = tokio::try_join!(client, server)?;
            let noting = |io| Noting { io: TokioIo::new(io), live: Rc::clone(guard.live()) };
            let (mut client, mut server) = (noting(client), noting(server));
            let (up, down) = tokio::io::copy_bidirectional(&mut client, &mut server).await.map_err(Box::<dyn std::error::Error>::from)?;
            if let Some(trace) = &guard.live().trace {
                trace.up.set(up);
                trace.down.set(down);
            }
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        // Ending the request wakes this task; dropping both sides is the end of the tunnel.
        tokio::select! {
            done = control.run(until_ended(guard.live(), tunnel)) => if let Some(Ok(Err(error))) = done {
                tracing::trace!(%error, "a tunnel broke off");
            },
            _ = guard.live().conn.place.evicted() => {}
        }
        drop(guard);
    });
    let mut answer = Response::new(Download::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let mut fields = std::mem::take(response.headers_mut());
    headers::clean_response(&mut fields);
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    *answer.headers_mut() = fields;
    Ok(answer)
}

/// One side of a tunnel: what is read from it begins the wait for the next byte anew.
struct Noting<S> {
    io: S,
    live: Rc<Live>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.live.progress();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

async fn dial(guard: &LiveGuard, request: Request<Incoming>, upstream: &Upstream) -> Result<Response<Incoming>, String> {
    let worker = &guard.live().conn.worker;
    let stream = upstream::open_tunnel(worker, upstream, guard.live().waits.connect).await?;
    let patience = Patience::new();
    let io = TokioIo::new(Patient::new(stream, patience.clone()));
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(patient::BUFFER_MAX).handshake(io).await.map_err(|e| e.to_string())?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "an upstream connection ended");
        }
    });
    let (mut parts, _) = request.into_parts();
    parts.extensions = http::Extensions::new();
    if let Some(target) = parts.uri.path_and_query().cloned() {
        parts.uri = Uri::from(target);
    }
    parts.version = http::Version::HTTP_11;
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let request = Request::from_parts(parts, Upload::empty());
    let response = sender.send_request(request).await.map_err(|e| format!("{upstream} did not answer: {e}"))?;
    patience.end();
    Ok(response)
}

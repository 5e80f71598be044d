//! Bodies on their way: the client's toward the upstream, the upstream's toward the client. Nothing is collected here; both end when
//! what they belong to is ended.

use crate::buffers::Held;
use crate::headers;
use crate::live::{Live, LiveGuard};
use crate::refuse;
use crate::temporal::Message;
use crate::upstream::Lease;
use bytes::Bytes;
use countersign_core::RefusalCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Admission no longer lets it through.
    #[error("the request is no longer admitted")]
    Ended,
    /// The other side broke off.
    #[error(transparent)]
    Peer(#[from] hyper::Error),
}

/// Bytes of a held message that are handed on at a time.
const PIECE: usize = 64 * 1024;

/// Where a request's body comes from.
enum Source {
    /// The client, as it sends.
    Client(Incoming),
    /// What was held until it was looked into, with its room.
    Held(Option<(Bytes, Held)>),
}

/// A request's body.
pub(crate) struct Upload {
    stream: Option<(Source, Rc<Live>)>,
    /// Bytes that are still to come, when the head told how many: an HTTP/2 client may end its stream a frame later.
    left: Option<u64>,
    /// Set when nothing more is to come, so that an upstream connection can be used again.
    finished: Rc<Cell<bool>>,
}

impl Upload {
    /// No body at all.
    pub(crate) fn empty() -> Self {
        Self { stream: None, left: Some(0), finished: Rc::new(Cell::new(true)) }
    }

    /// The client's body.
    pub(crate) fn stream(incoming: Incoming, live: Rc<Live>) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let left = incoming.size_hint().exact();
        Self { stream: Some((Source::Client(incoming), live)), left, finished: Rc::new(Cell::new(false)) }
    }

    /// A message that was looked into: these bytes and no others.
    pub(crate) fn message(message: Message, live: Rc<Live>) -> Self {
        let left = Some(message.bytes.len() as u64);
        Self { stream: Some((Source::Held(Some((message.bytes, message.held))), live)), left, finished: Rc::new(Cell::new(false)) }
    }

    /// Tells when it was sent whole.
    pub(crate) fn finished(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.finished)
    }
}

/// Notes bytes on their way to the upstream.
fn count(live: &Live, bytes: usize) {
    if let Some(trace) = &live.trace {
        trace.up.set(trace.up.get() + bytes as u64);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some((source, live)) = &mut this.stream else { return Poll::Ready(None) };
        live.upload.attend(cx);
        if live.ended().is_some() || live.is_gone() {
            return Poll::Ready(Some(Err(BodyError::Ended)));
        }
        let incoming = match source {
            Source::Client(incoming) => incoming,
            Source::Held(message) => {
                let Some((bytes, _)) = message else { return Poll::Ready(None) };
                // In pieces: what hyper has taken is no longer counted, and it takes the next one only when there is room for it.
                let piece = bytes.split_to(bytes.len().min(PIECE));
                count(live, piece.len());
                live.progress();
                if bytes.is_empty() {
                    *message = None;
                    this.finished.set(true);
                }
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        };
        let mut polled = Pin::new(&mut *incoming).poll_frame(cx);
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                }
                let length = frame.data_ref().map_or(0, Bytes::len);
                count(live, length);
                live.progress();
                if let Some(left) = &mut this.left {
                    *left = left.saturating_sub(length as u64);
                }
                if incoming.is_end_stream() || this.left == Some(0) {
                    this.finished.set(true);
                }
            }
            Poll::Ready(None) => this.finished.set(true),
            _ => {}
        }
        polled.map_err(BodyError::Peer)
    }

    fn is_end_stream(&self) -> bool {
        match &self.stream {
            Some((Source::Client(incoming), _)) => incoming.is_end_stream(),
            Some((Source::Held(message), _)) => message.is_none(),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.stream {
            Some((Source::Client(incoming), _)) => incoming.size_hint(),
            Some((Source::Held(message), _)) => SizeHint::with_exact(message.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64)),
            None => SizeHint::with_exact(0),
        }
    }
}

/// A response's body.
pub(crate) enum Download {
    /// One of ours.
    Full(Option<Bytes>),
    /// The upstream's.
    Stream(Box<Streaming>),
}

/// An upstream's body, and what is held for as long as it flows.
pub(crate) struct Streaming {
    incoming: Incoming,
    guard: LiveGuard,
    lease: Option<Lease>,
    grpc: bool,
    over: bool,
}

impl Download {
    /// One piece.
    pub(crate) const fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// Nothing.
    pub(crate) const fn empty() -> Self {
        Self::Full(None)
    }

    /// What comes from the upstream.
    pub(crate) fn stream(incoming: Incoming, guard: LiveGuard, lease: Lease, grpc: bool) -> Self {
        Self::Stream(Box::new(Streaming { incoming, guard, lease: Some(lease), grpc, over: false }))
    }

    /// The same, from a connection that is not used again.
    pub(crate) fn passing(incoming: Incoming, guard: LiveGuard) -> Self {
        Self::Stream(Box::new(Streaming { incoming, guard, lease: None, grpc: false, over: false }))
    }
}

impl Streaming {
    /// The body came whole: the upstream's connection may be used again.
    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let streaming = match &mut *self {
            Self::Full(bytes) => return Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(streaming) => &mut **streaming,
        };
        if streaming.over {
            return Poll::Ready(None);
        }
        if let Some(ended) = streaming.guard.live().ended() {
            streaming.over = true;
            if streaming.grpc {
                return Poll::Ready(Some(Ok(Frame::trailers(refuse::trailers(ended)))));
            }
            return Poll::Ready(Some(Err(BodyError::Ended)));
        }
        match Pin::new(&mut streaming.incoming).poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Err(error))) => {
                streaming.over = true;
                if streaming.grpc {
                    tracing::debug!(%error, "the upstream broke a gRPC stream off");
                    return Poll::Ready(Some(Ok(Frame::trailers(refuse::broken_off(RefusalCode::UpstreamUnavailable)))));
                }
                Poll::Ready(Some(Err(BodyError::Peer(error))))
            }
            Poll::Ready(mut frame) => {
                if streaming.guard.live().conn.h2
                    && let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()).and_then(Frame::trailers_mut)
                {
                    headers::detach(trailers);
                }
                if let (Some(trace), Some(Ok(frame))) = (&streaming.guard.live().trace, &frame) {
                    trace.down.set(trace.down.get() + frame.data_ref().map_or(0, Bytes::len) as u64);
                    if let Some(trailers) = frame.trailers_ref() {
                        trace.note_grpc(trailers);
                    }
                }
                let mut frame = frame;
                if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()).and_then(Frame::trailers_mut) {
                    headers::clean_response(trailers);
                }
                streaming.guard.live().progress();
                if streaming.incoming.is_end_stream() {
                    streaming.give_back();
                }
                if frame.is_none() {
                    streaming.over = true;
                    streaming.give_back();
                }
                Poll::Ready(frame.map(|f| f.map_err(BodyError::Peer)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(streaming) => streaming.over || streaming.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(streaming) => streaming.incoming.size_hint(),
        }
    }
}

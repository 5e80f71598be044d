//! The byte stream between TLS and hyper's HTTP/1: passes on only whole heads that the scanner accepted. A refused head is
//! replaced by a stand-in, so that the refusal is answered in its turn and the connection ends after it.

use crate::scan::{Scanner, Violation};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What hyper is given instead of a head that is refused. Its number, not its text, tells the service so.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// What the stream and its service tell each other. Atomics only because an upgraded stream must be `Send`.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The number of the refused head times 256, plus the violation; 0 while there is none.
    violation: AtomicU64,
    /// A head has begun and is not whole.
    pub(crate) partial: AtomicBool,
    /// Heads so far.
    pub(crate) heads: AtomicU64,
    /// The upgrade was accepted: from here on bytes are not HTTP.
    pub(crate) tunnel: AtomicBool,
}

impl Wire {
    /// The violation of the head with this number, counted from 1.
    pub(crate) fn violation_of(&self, head: u64) -> Option<Violation> {
        let word = self.violation.load(Relaxed);
        if word >> 8 == head { Violation::from_code(word as u8) } else { None }
    }
}

/// See the module.
pub(crate) struct Watched<S> {
    inner: S,
    scanner: Scanner,
    wire: Arc<Wire>,
    /// Bytes of a head that is not whole.
    held: Vec<u8>,
    /// Bytes that may be passed on.
    out: Vec<u8>,
    out_at: usize,
    linger: Option<Box<Linger>>,
    shut: bool,
}

impl<S> Watched<S> {
    pub(crate) const fn new(inner: S, wire: Arc<Wire>, limit: usize) -> Self {
        Self { inner, scanner: Scanner::new(limit), wire, held: Vec::new(), out: Vec::new(), out_at: 0, linger: None, shut: false }
    }

    fn judge(&mut self, data: &[u8]) -> io::Result<usize> {
        let (pass, violation) =
            self.scanner.scan(data).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the chunked body cannot be read"))?;
        if let Some(violation) = violation {
            self.wire.violation.store(self.scanner.heads() << 8 | violation as u64, Relaxed);
        }
        self.wire.heads.store(self.scanner.heads(), Relaxed);
        self.wire.partial.store(!self.scanner.refused() && pass < data.len(), Relaxed);
        Ok(pass)
    }
}

/// How long a peer that still sends is read from after the answer, how long it may pause, and how much is read.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 * 1024 * 1024;

/// The end of a connection whose peer still sends.
struct Linger {
    end: Pin<Box<tokio::time::Sleep>>,
    pause: Pin<Box<tokio::time::Sleep>>,
    left: usize,
}

impl Default for Linger {
    fn default() -> Self {
        Self { end: Box::pin(tokio::time::sleep(LINGER)), pause: Box::pin(tokio::time::sleep(LINGER_PAUSE)), left: LINGER_BYTES }
    }
}

impl Linger {
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0_u8; 8192];
        // Others have their turn in between.
        for _ in 0..32 {
            if self.left == 0 || self.end.as_mut().poll(cx).is_ready() || self.pause.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut discard = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(cx, &mut discard) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !discard.filled().is_empty() => {
                    self.left = self.left.saturating_sub(discard.filled().len());
                    self.pause.as_mut().reset(tokio::time::Instant::now() + LINGER_PAUSE);
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.out_at < this.out.len() {
                let rest = &this.out[this.out_at..];
                let n = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..n]);
                this.out_at += n;
                if this.out_at == this.out.len() {
                    (this.out, this.out_at) = (Vec::new(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            if this.wire.tunnel.load(Relaxed) {
                if !this.held.is_empty() {
                    this.out = std::mem::take(&mut this.held);
                    continue;
                }
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            if this.scanner.refused() || this.scanner.awaits_upgrade() {
                // Nothing more is read before the answer; the sweep ends a connection whose peer is gone.
                return Poll::Pending;
            }
            if this.held.is_empty() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
                let after = buf.filled().len();
                if after == before {
                    return Poll::Ready(Ok(()));
                }
                let pass = this.judge(&buf.filled()[before..after])?;
                if pass < after - before {
                    if this.scanner.refused() {
                        this.out = STAND_IN.to_vec();
                    } else {
                        this.held = buf.filled()[before + pass..after].to_vec();
                    }
                    buf.set_filled(before + pass);
                }
                if pass > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut bytes = [0_u8; 4096];
                let mut more = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut more))?;
                if more.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let mut held = std::mem::take(&mut this.held);
                held.extend_from_slice(more.filled());
                let pass = this.judge(&held)?;
                let tail = held.split_off(pass);
                this.out = held;
                if this.scanner.refused() {
                    this.out.extend_from_slice(STAND_IN);
                } else {
                    this.held = tail;
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Ends the stream. A peer that is still sending what was refused is read from for a while, so that the answer is not lost to a
    /// reset (RFC 9112 section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.shut = true;
        }
        if !this.scanner.inside_body() || this.wire.tunnel.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        this.linger.get_or_insert_with(Box::default).poll(&mut this.inner, cx)
    }
}

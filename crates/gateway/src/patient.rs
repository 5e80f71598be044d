//! The byte stream from an HTTP/1 upstream, bounded for as long as the head of an answer is awaited: an upstream that sends interim
//! responses (RFC 9110 section 15.2) without end would otherwise keep a worker parsing, and everybody else on it waiting
//! (promise P17). It reads no HTTP and decides nothing else.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may come before the final head of an answer has been read. Heads of up to [`BUFFER_MAX`] pass; so does the beginning
/// of a body that comes in the same packets, since the body's own pace takes over after a few reads.
const BEFORE_HEAD: usize = 1024 * 1024;
/// The largest read, and so the largest head of a response. A larger buffer makes large answers slower: 1 MiB took 545 µs with 128 KiB
/// and takes 390 µs with this.
pub(crate) const BUFFER_MAX: usize = 32 * 1024;

/// How many more bytes may come; without a bound while no head is awaited. Atomic only because an upgraded stream must be `Send`.
#[derive(Clone, Debug)]
pub(crate) struct Patience(Arc<AtomicUsize>);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(BEFORE_HEAD)))
    }

    /// A request is about to be sent.
    pub(crate) fn begin(&self) {
        self.0.store(BEFORE_HEAD, Relaxed);
    }

    /// The final head has come.
    pub(crate) fn end(&self) {
        self.0.store(usize::MAX, Relaxed);
    }
}

/// See the module.
pub(crate) struct Patient<S> {
    inner: S,
    patience: Patience,
}

impl<S> Patient<S> {
    pub(crate) const fn new(inner: S, patience: Patience) -> Self {
        Self { inner, patience }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.patience.0.load(Relaxed);
        if left == usize::MAX {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        if left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too much came before the answer's head")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        // One read may go past the bound, by no more than the reader's buffer.
        self.patience.0.store(left.saturating_sub(buf.filled().len() - before), Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

//! The end of a connection whose peer may still be sending: what comes is read and thrown away for a while, so that the answer before it
//! is not lost to a reset (RFC 9112 section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a peer is read from in all, how long it may pause, and how much is read.
const WHOLE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(2);
const BYTES_MAX: usize = 64 * 1024 * 1024;

struct Timers {
    whole: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
    left: usize,
}

/// A stream that lingers when it is shut down.
pub(crate) struct Lingering<S> {
    inner: S,
    timers: Option<Timers>,
}

impl<S> Lingering<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner, timers: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
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
        let this = &mut *self;
        if this.timers.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let timers = this.timers.get_or_insert_with(|| Timers {
            whole: Box::pin(tokio::time::sleep(WHOLE)),
            pause: Box::pin(tokio::time::sleep(PAUSE)),
            left: BYTES_MAX,
        });
        let mut bytes = [0_u8; 8192];
        // Others have their turn in between.
        for _ in 0..32 {
            if timers.left == 0 || timers.whole.as_mut().poll(cx).is_ready() || timers.pause.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut discard = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.inner).poll_read(cx, &mut discard) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !discard.filled().is_empty() => {
                    timers.left = timers.left.saturating_sub(discard.filled().len());
                    timers.pause.as_mut().reset(Instant::now() + PAUSE);
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

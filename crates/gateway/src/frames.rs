//! The byte stream between TLS and hyper's HTTP/2. It follows the frames, so that a head that does not end is seen (RFC 9113 section
//! 4.3), and reads the heads, for what the engine leaves out: it answers `Expect: 100-continue`, has a request with a malformed target
//! answered instead of reset or cut, and resets a stream whose trailers hold pseudo-fields. Everything else passes as it is.

use crate::hpack::{self, Decoder, Field, Unreadable};
use crate::watched::Wire;
use http::HeaderName;
use http::uri::PathAndQuery;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The field that stands in a head for a target that cannot be passed on.
pub(crate) const MALFORMED_TARGET: HeaderName = HeaderName::from_static("countersign-malformed-target");

/// Bytes of the connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// The largest payload of a frame that nobody has agreed on otherwise.
const FRAME_MAX: usize = 16_384;
/// Bytes of a header block that are held until it is whole, and what its fields may count.
const BLOCK_MAX: usize = 64 * 1024;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
/// `:status: 100`, without any table (RFC 7541 section 6.2.2).
const CONTINUE: [u8; 5] = [0x08, 3, b'1', b'0', b'0'];

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // No payload is longer than FRAME_MAX.
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Where in a stream of frames one is.
#[derive(Debug, Default)]
struct Place {
    header: [u8; 9],
    /// Bytes of the header that have come.
    read: usize,
    /// Bytes of the payload that have not come.
    left: usize,
}

impl Place {
    /// Takes bytes of a header; tells whether it is whole now, and how many were taken.
    fn header(&mut self, data: &[u8]) -> (bool, usize) {
        let taken = data.len().min(self.header.len() - self.read);
        self.header[self.read..self.read + taken].copy_from_slice(&data[..taken]);
        self.read += taken;
        if self.read < self.header.len() {
            return (false, taken);
        }
        let [a, b, c, ..] = self.header;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.read = 0;
        (true, taken)
    }

    /// Follows bytes of any frames.
    fn follow(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let taken = if self.left > 0 {
                let taken = self.left.min(data.len());
                self.left -= taken;
                taken
            } else {
                self.header(data).1
            };
            data = &data[taken..];
        }
    }

    const fn at_boundary(&self) -> bool {
        self.left == 0 && self.read == 0
    }

    /// Bytes that certainly belong to the frame that has begun.
    const fn rest(&self) -> usize {
        if self.left > 0 { self.left } else { self.header.len() - self.read }
    }

    const fn kind(&self) -> u8 {
        self.header[3]
    }

    const fn flags(&self) -> u8 {
        self.header[4]
    }

    const fn stream(&self) -> u32 {
        u32::from_be_bytes([self.header[5], self.header[6], self.header[7], self.header[8]]) & 0x7fff_ffff
    }
}

/// What the client sends.
#[derive(Debug)]
struct Received {
    preface: usize,
    place: Place,
    /// The payload of a frame of a head, as far as it has come.
    payload: Option<Vec<u8>>,
    /// The frames of a head that is not whole, and their fragments.
    raw: Vec<u8>,
    block: Vec<u8>,
    /// The stream of a block that is open, and the flags it began with.
    open: Option<(u32, u8)>,
    last_stream: u32,
    decoder: Decoder,
    /// The engine's table is not kept up any more: it gets heads that need none.
    plain: bool,
    /// Something came that is no HTTP/2; the engine says so.
    blind: bool,
    heads: u64,
    /// Frames of ours for the client.
    reply: Vec<u8>,
}

impl Default for Received {
    fn default() -> Self {
        Self {
            preface: PREFACE,
            place: Place::default(),
            payload: None,
            raw: Vec::new(),
            block: Vec::new(),
            open: None,
            last_stream: 0,
            decoder: Decoder::default(),
            plain: false,
            blind: false,
            heads: 0,
            reply: Vec::new(),
        }
    }
}

impl Received {
    /// Whether a head, or what may become one, has begun and is not whole.
    fn partial(&self) -> bool {
        !self.blind && (self.preface > 0 || self.place.read > 0 || self.payload.is_some() || self.open.is_some())
    }

    /// Whether all of `data` is payload that passes as it is.
    fn passes(&self, data: &[u8]) -> bool {
        self.blind || self.preface == 0 && self.payload.is_none() && self.place.left >= data.len()
    }

    /// Takes what came, and appends what the engine is to see.
    fn take(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !data.is_empty() {
            if self.blind {
                out.extend_from_slice(data);
                return Ok(());
            }
            if self.preface > 0 {
                let (passed, rest) = data.split_at(self.preface.min(data.len()));
                self.preface -= passed.len();
                out.extend_from_slice(passed);
                data = rest;
            } else if let Some(payload) = &mut self.payload {
                let (taken, rest) = data.split_at(self.place.left.min(data.len()));
                payload.extend_from_slice(taken);
                self.place.left -= taken.len();
                data = rest;
                self.frame_may_end(out)?;
            } else if self.place.left > 0 {
                let (passed, rest) = data.split_at(self.place.left.min(data.len()));
                self.place.left -= passed.len();
                out.extend_from_slice(passed);
                data = rest;
            } else {
                let (whole, taken) = self.place.header(data);
                data = &data[taken..];
                if whole && matches!(self.place.kind(), HEADERS | CONTINUATION) && self.place.left <= FRAME_MAX {
                    self.payload = Some(Vec::with_capacity(self.place.left));
                    self.frame_may_end(out)?;
                } else if whole {
                    out.extend_from_slice(&self.place.header);
                }
            }
        }
        Ok(())
    }

    fn frame_may_end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.place.left > 0 {
            return Ok(());
        }
        let Some(payload) = self.payload.take() else { return Ok(()) };
        let (kind, flags, stream) = (self.place.kind(), self.place.flags(), self.place.stream());
        self.raw.extend_from_slice(&self.place.header);
        self.raw.extend_from_slice(&payload);
        let fragment = match (kind, self.open) {
            (HEADERS, None) => unpadded(&payload, flags),
            (CONTINUATION, Some((open, _))) if open == stream => Some(payload.as_slice()),
            _ => None,
        };
        let Some(fragment) = fragment else {
            self.give_up(out);
            return Ok(());
        };
        self.block.extend_from_slice(fragment);
        if self.raw.len() > BLOCK_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a header block is too large"));
        }
        let began = self.open.map_or(flags, |(_, began)| began);
        self.open = Some((stream, began));
        if flags & END_HEADERS != 0 {
            self.open = None;
            self.heads += 1;
            self.head_ends(stream, began, out)?;
        }
        Ok(())
    }

    fn give_up(&mut self, out: &mut Vec<u8>) {
        self.blind = true;
        self.open = None;
        out.append(&mut self.raw);
    }

    fn head_ends(&mut self, stream: u32, flags: u8, out: &mut Vec<u8>) -> io::Result<()> {
        let mut fields = match self.decoder.decode(&self.block, BLOCK_MAX) {
            Ok(fields) => fields,
            Err(Unreadable::TooLarge) => return Err(io::Error::new(io::ErrorKind::InvalidData, "a head is too large")),
            Err(Unreadable::Malformed) => {
                self.give_up(out);
                return Ok(());
            }
        };
        self.block = Vec::new();
        let mut raw = std::mem::take(&mut self.raw);
        if stream > self.last_stream {
            self.last_stream = stream;
            if flags & END_STREAM == 0 && expects_continue(&fields) {
                frame(&mut self.reply, HEADERS, END_HEADERS, stream, &CONTINUE);
            }
            self.plain |= replace_malformed_target(&mut fields);
        } else if fields.iter().any(|(name, _)| name.starts_with(b":")) {
            // A malformed message is a stream error (RFC 9113 sections 8.1 and 8.1.1), on both sides of here.
            self.plain = true;
            frame(&mut self.reply, RST_STREAM, 0, stream, &PROTOCOL_ERROR);
            frame(out, RST_STREAM, 0, stream, &PROTOCOL_ERROR);
            return Ok(());
        }
        if self.plain {
            let block = hpack::encode_plain(&fields);
            let last = block.len().saturating_sub(1) / FRAME_MAX;
            for n in 0..=last {
                let piece = &block[n * FRAME_MAX..block.len().min((n + 1) * FRAME_MAX)];
                let end = if n == last { END_HEADERS } else { 0 };
                if n == 0 {
                    frame(out, HEADERS, flags & END_STREAM | end, stream, piece);
                } else {
                    frame(out, CONTINUATION, end, stream, piece);
                }
            }
        } else {
            out.append(&mut raw);
        }
        Ok(())
    }
}

/// The fragment in the payload of HEADERS, without padding and priority (RFC 9113 section 6.2).
fn unpadded(mut payload: &[u8], flags: u8) -> Option<&[u8]> {
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (length, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(*length), rest);
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

fn expects_continue(fields: &[Field]) -> bool {
    fields.iter().any(|(name, value)| name == b"expect" && value.eq_ignore_ascii_case(b"100-continue"))
}

/// Puts a mark in the place of a target that the engine would cut or reset for; tells whether it did.
fn replace_malformed_target(fields: &mut Vec<Field>) -> bool {
    let Some((_, path)) = fields.iter_mut().find(|(name, _)| name == b":path") else { return false };
    if !path.contains(&b'#') && PathAndQuery::try_from(path.as_slice()).is_ok() {
        return false;
    }
    *path = b"/".to_vec();
    fields.push((MALFORMED_TARGET.as_str().as_bytes().to_vec(), b"1".to_vec()));
    true
}

/// A stream whose frames are followed.
pub(crate) struct Followed<S> {
    inner: S,
    received: Received,
    /// What the engine is to read.
    out: Vec<u8>,
    out_at: usize,
    /// Where the engine is with what it writes.
    sent: Place,
    wire: Arc<Wire>,
}

impl<S> Followed<S> {
    pub(crate) fn new(inner: S, wire: Arc<Wire>) -> Self {
        Self { inner, received: Received::default(), out: Vec::new(), out_at: 0, sent: Place::default(), wire }
    }
}

impl<S: AsyncWrite + Unpin> Followed<S> {
    /// Sends frames of ours, between two of the engine's.
    fn reply(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.received.reply.is_empty() && self.sent.at_boundary() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.received.reply))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.received.reply.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Followed<S> {
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
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let data = &buf.filled()[before..];
            if data.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if this.received.passes(data) {
                if !this.received.blind {
                    this.received.place.left -= data.len();
                }
                return Poll::Ready(Ok(()));
            }
            let taken = this.received.take(data, &mut this.out);
            buf.set_filled(before);
            this.wire.heads.store(this.received.heads, Relaxed);
            this.wire.partial.store(this.received.partial(), Relaxed);
            taken?;
            if !this.received.reply.is_empty() {
                // What cannot go now goes with the engine's next write.
                let _ = this.reply(cx)?;
                let _ = Pin::new(&mut this.inner).poll_flush(cx)?;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Followed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.reply(cx))?;
        let most = if this.received.reply.is_empty() { buf.len() } else { buf.len().min(this.sent.rest()) };
        let sent = ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..most]))?;
        this.sent.follow(&buf[..sent]);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.received.reply.is_empty() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return Pin::new(this).poll_write(cx, first);
        }
        let sent = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        let mut left = sent;
        for buf in bufs {
            let part = left.min(buf.len());
            this.sent.follow(&buf[..part]);
            left -= part;
        }
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.reply(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, kind, flags, 1, payload);
        out
    }

    fn fed(received: &mut Received, data: &[u8], step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        data.chunks(step).for_each(|piece| received.take(piece, &mut out).unwrap());
        out
    }

    #[test]
    fn what_is_well_formed_passes_byte_for_byte_however_it_comes() {
        let mut data = vec![0; PREFACE];
        data.extend(bytes(4, 0, &[]));
        data.extend(bytes(HEADERS, PADDED | PRIORITY, &[2, 0, 0, 0, 0, 9, 0x82, 0x87, 0, 0]));
        data.extend(bytes(CONTINUATION, 0, &[]));
        data.extend(bytes(CONTINUATION, END_HEADERS, &[0x84]));
        data.extend(bytes(0, 0, &[9; 50]));
        data.extend(bytes(HEADERS, END_HEADERS | END_STREAM, &[0x40, 1, b'a', 1, b'b']));
        for step in [1, 2, 7, data.len()] {
            let mut received = Received::default();
            assert!(received.partial(), "the preface has not come");
            assert_eq!(fed(&mut received, &data, step), data, "{step}");
            assert_eq!((received.partial(), received.heads, received.plain, received.blind), (false, 2, false, false), "{step}");
        }
        let mut received = Received::default();
        let open = PREFACE + 9 + 9 + 10;
        fed(&mut received, &data[..PREFACE + 9], 5);
        assert!(!received.partial());
        fed(&mut received, &data[PREFACE + 9..open], 5);
        assert!(received.partial(), "a block without END_HEADERS is open");
        fed(&mut received, &data[open..data.len() - 40], 5);
        assert!(!received.partial(), "half of a body is nothing of a head");
    }

    #[test]
    fn after_a_malformed_target_heads_need_no_table() {
        let mut received = Received::default();
        fed(&mut received, &[0; PREFACE], 24);
        let mut block = vec![0x82, 0x87, 0x44, 4];
        block.extend(b"/a#b");
        let out = fed(&mut received, &bytes(HEADERS, END_HEADERS | END_STREAM, &block), 3);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains(MALFORMED_TARGET.as_str()) && !text.contains('#'), "{text}");
        // The entry is in our table; the engine gets it by its text.
        let mut second = Vec::new();
        frame(&mut second, HEADERS, END_HEADERS | END_STREAM, 3, &[0x82, 0x87, 0x84, 0x40, 1, b'n', 1, b'v']);
        frame(&mut second, HEADERS, END_HEADERS | END_STREAM, 5, &[0x82, 0x87, 0x84, 0xbe]);
        let out = fed(&mut received, &second, 100);
        let plain = [0, 1, b'n', 1, b'v'];
        assert_eq!(out.windows(plain.len()).filter(|window| *window == plain).count(), 2, "{out:?}");
    }

    #[test]
    fn what_is_no_http2_is_left_to_the_engine() {
        for data in [bytes(CONTINUATION, END_HEADERS, &[0x82]), bytes(HEADERS, PADDED, &[9, 1]), bytes(HEADERS, END_HEADERS, &[0x80])] {
            let mut received = Received::default();
            let mut all = vec![0; PREFACE];
            all.extend(&data);
            assert_eq!(fed(&mut received, &all, 4), all);
            assert!(received.blind && !received.partial());
        }
    }

    #[test]
    fn a_block_that_grows_without_end_ends_the_connection() {
        let mut received = Received::default();
        let mut out = Vec::new();
        received.take(&[0; PREFACE], &mut out).unwrap();
        received.take(&bytes(HEADERS, 0, &[0x82]), &mut out).unwrap();
        let more = bytes(CONTINUATION, 0, &[0x82; 10_000]);
        assert!((0..10).any(|_| received.take(&more, &mut out).is_err()));
    }
}

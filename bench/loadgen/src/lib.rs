//! A very cheap plaintext upstream for proxy benchmarks: one thread, epoll, no allocation per
//! request. Speaks HTTP/1.1 keep-alive and prior-knowledge HTTP/2 (gRPC-shaped answer: headers,
//! one data frame, trailers). Every request gets the same small answer; a request whose path
//! starts with /big gets 1 MiB.

pub mod measure;
pub mod wire;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

const SMALL: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
const BIG_LEN: usize = 1 << 20;

struct Conn {
    sock: TcpStream,
    inb: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    h2: bool,
    started: bool,
    window: i64,
    waiting: VecDeque<u32>,
    skip: usize, // request body bytes still to be skipped (h1)
}

fn find(h: &[u8], n: &[u8]) -> Option<usize> {
    h.windows(n.len()).position(|w| w == n)
}

fn header_end(b: &[u8]) -> Option<usize> {
    // The end of the header block is nearly always the end of the buffer.
    if b.ends_with(b"\r\n\r\n") && find(&b[..b.len() - 1], b"\r\n\r\n").is_none() {
        return Some(b.len());
    }
    find(b, b"\r\n\r\n").map(|p| p + 4)
}

fn content_length(h: &[u8]) -> usize {
    // Only requests with a body carry it; GET is the common case.
    if h.starts_with(b"GET ") {
        return 0;
    }
    for line in h.split(|&c| c == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            return std::str::from_utf8(&line[15..]).ok().and_then(|s| s.trim().parse().ok()).unwrap_or(0);
        }
    }
    0
}

fn frame(out: &mut Vec<u8>, ty: u8, flags: u8, stream: u32, body: &[u8]) {
    let l = body.len();
    out.extend_from_slice(&[(l >> 16) as u8, (l >> 8) as u8, l as u8, ty, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(body);
}

// ":status 200", "content-type: application/grpc" as a literal without indexing.
const H2_HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
// "grpc-status: 0" as a literal with a new name.
const H2_TRAIL: &[u8] = b"\x00\x0bgrpc-status\x010";
// one gRPC message of eight bytes
const H2_BODY: &[u8] = b"\x00\x00\x00\x00\x08\x0a\x06hello!";

impl Conn {
    fn h2_answer(&mut self, stream: u32) {
        frame(&mut self.out, 1, 0x4, stream, H2_HEAD);
        frame(&mut self.out, 0, 0, stream, H2_BODY);
        frame(&mut self.out, 1, 0x5, stream, H2_TRAIL);
        self.window -= H2_BODY.len() as i64;
    }

    fn feed(&mut self, big: &[u8]) -> bool {
        if !self.started {
            if self.inb.len() < 3 {
                return true;
            }
            if self.inb.starts_with(b"PRI") {
                if self.inb.len() < 24 {
                    return true;
                }
                self.inb.drain(..24);
                self.h2 = true;
                // SETTINGS: max concurrent streams 1000
                frame(&mut self.out, 4, 0, 0, &[0, 3, 0, 0, 3, 0xe8]);
                // open the connection window wide for request bodies
                frame(&mut self.out, 8, 0, 0, &0x3fff_0000u32.to_be_bytes());
            }
            self.started = true;
        }
        if self.h2 {
            return self.feed_h2();
        }
        let mut at = 0;
        loop {
            if self.skip > 0 {
                let n = self.skip.min(self.inb.len() - at);
                self.skip -= n;
                at += n;
                if self.skip > 0 {
                    break;
                }
            }
            let Some(e) = header_end(&self.inb[at..]) else { break };
            let head = &self.inb[at..at + e];
            self.skip = content_length(head);
            let path = head.splitn(3, |&c| c == b' ').nth(1).unwrap_or(b"/");
            if path.starts_with(b"/big") {
                self.out.extend_from_slice(big);
            } else {
                self.out.extend_from_slice(SMALL);
            }
            at += e;
        }
        self.inb.drain(..at);
        true
    }

    fn feed_h2(&mut self) -> bool {
        let mut at = 0;
        while self.inb.len() - at >= 9 {
            let b = &self.inb[at..];
            let l = ((b[0] as usize) << 16) | ((b[1] as usize) << 8) | b[2] as usize;
            if b.len() < 9 + l {
                break;
            }
            let (ty, flags) = (b[3], b[4]);
            let stream = u32::from_be_bytes([b[5], b[6], b[7], b[8]]) & 0x7fff_ffff;
            match ty {
                0 | 1 => {
                    if flags & 1 != 0 {
                        if self.window > 64 {
                            self.h2_answer(stream);
                        } else {
                            self.waiting.push_back(stream);
                        }
                    }
                    if ty == 0 && l > 0 {
                        // hand the window back for the stream's own body
                        let inc = (l as u32).to_be_bytes();
                        frame(&mut self.out, 8, 0, 0, &inc);
                    }
                }
                4 if flags & 1 == 0 => frame(&mut self.out, 4, 1, 0, &[]),
                6 if flags & 1 == 0 => {
                    let mut p = [0u8; 8];
                    p.copy_from_slice(&b[9..17]);
                    frame(&mut self.out, 6, 1, 0, &p);
                }
                8 if stream == 0 => {
                    let inc = u32::from_be_bytes([b[9], b[10], b[11], b[12]]) & 0x7fff_ffff;
                    self.window += inc as i64;
                    while self.window > 64 {
                        match self.waiting.pop_front() {
                            Some(s) => self.h2_answer(s),
                            None => break,
                        }
                    }
                }
                7 => return false,
                _ => {}
            }
            at += 9 + l;
        }
        self.inb.drain(..at);
        true
    }

    fn flush(&mut self) -> bool {
        while self.sent < self.out.len() {
            match self.sock.write(&self.out[self.sent..]) {
                Ok(0) => return false,
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        self.out.clear();
        self.sent = 0;
        true
    }
}


pub struct Upstream {
    lis: TcpListener,
    poll: Poll,
    big: Vec<u8>,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    events: Events,
    buf: Vec<u8>,
}

const LISTENER: Token = Token(usize::MAX - 1);

impl Upstream {
    pub fn new(addr: std::net::SocketAddr) -> Self {
        let s = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        s.set_reuse_address(true).unwrap();
        s.set_nonblocking(true).unwrap();
        s.bind(&addr.into()).unwrap();
        s.listen(4096).unwrap();
        let mut lis = TcpListener::from_std(s.into());
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut lis, LISTENER, Interest::READABLE).unwrap();
        let mut big = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {BIG_LEN}\r\n\r\n").into_bytes();
        big.resize(big.len() + BIG_LEN, b'x');
        Upstream { lis, poll, big, conns: Vec::new(), free: Vec::new(), events: Events::with_capacity(1024), buf: vec![0u8; 65536] }
    }

    /// Serves what is ready; returns how many events there were.
    pub fn step(&mut self, wait: Option<std::time::Duration>) -> usize {
        if let Err(e) = self.poll.poll(&mut self.events, wait) {
            if e.kind() == ErrorKind::Interrupted {
                return 0;
            }
            panic!("{e}");
        }
        let mut n = 0;
        let Upstream { lis, poll, big, conns, free, events, buf } = self;
        for ev in events.iter() {
            n += 1;
            if ev.token() == LISTENER {
                while let Ok((mut sock, _)) = lis.accept() {
                    let _ = sock.set_nodelay(true);
                    let i = free.pop().unwrap_or_else(|| {
                        conns.push(None);
                        conns.len() - 1
                    });
                    poll.registry().register(&mut sock, Token(i), Interest::READABLE | Interest::WRITABLE).unwrap();
                    conns[i] = Some(Conn { sock, inb: Vec::new(), out: Vec::new(), sent: 0, h2: false, started: false, window: 65535, waiting: VecDeque::new(), skip: 0 });
                }
                continue;
            }
            let i = ev.token().0;
            let Some(c) = conns.get_mut(i).and_then(|c| c.as_mut()) else { continue };
            let mut alive = true;
            if ev.is_readable() {
                loop {
                    match c.sock.read(buf) {
                        Ok(0) => {
                            alive = false;
                            break;
                        }
                        Ok(n) => {
                            c.inb.extend_from_slice(&buf[..n]);
                            alive = c.feed(big);
                            if !alive || n < buf.len() {
                                break; // a short read has emptied the socket
                            }
                        }
                        Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                        Err(_) => {
                            alive = false;
                            break;
                        }
                    }
                }
            }
            if alive && !c.out.is_empty() {
                alive = c.flush();
            }
            // A half-closed peer after a short read shows only as a further event.
            if ev.is_read_closed() && ev.is_readable() && alive {
                if let Ok(0) = c.sock.read(buf) {
                    alive = false;
                }
            }
            if !alive {
                let mut c = conns[i].take().unwrap();
                let _ = poll.registry().deregister(&mut c.sock);
                free.push(i);
            }
        }
        n
    }
}

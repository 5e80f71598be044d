//! mTLS load generator: one thread, epoll, rustls; made to cost far less than the proxy under test.
//! It does not verify the server (that would be the client's cost, not the proxy's).
//!
//! load <h1|h2|grpc|hs|idle|lat> --addr ip:port [options]   -> one line of JSON on stdout
//!   --sni NAME          server name and Host (default ns1.test)
//!   --cert F --key F    client certificate (PEM); leave out to send none
//!   --plain             no TLS at all (direct to the upstream)
//!   --conns N           connections (hs: handshakes in flight; idle: connections to hold)
//!   --streams N         h2/grpc: requests in flight per connection
//!   --secs S --warm S   measured time and warm-up
//!   --path P            request path (default /)
//!   --keys F            one API key per line; connection i sends key i mod count as a bearer
//!   --tls12             offer TLS 1.2 only
//!   --resume            hs: allow session resumption
//!   --think-us N        lat: pause between answer and next request (default 1000)
//!   --serve ip:port     also be the upstream, in the same thread, and never sleep: the proxy under
//!                       test then pays for no wake-up of another core, whatever its speed
//!   --h2                idle: hold HTTP/2 connections instead of HTTP/1.1
//! idle prints READY when all connections are up, holds them until stdin closes, then prints JSON.

use csbench::measure::{Hist, NoVerify};
use csbench::wire::{frame, lit, lit_new};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(PartialEq, Clone, Copy)]
enum Mode {
    H1,
    H2,
    Grpc,
    Hs,
    Idle,
    Lat,
}

struct Conn {
    sock: TcpStream,
    tls: Option<ClientConnection>,
    out: Vec<u8>, // plain transport only
    inb: Vec<u8>,
    id: usize,
    started: bool,
    need: usize, // h1: body bytes still to come
    in_body: bool,
    sent_at: Instant,
    // h2
    next_stream: u32,
    born: HashMap<u32, Instant>,
    got: u64,
    primed: bool,
    table_ok: bool,
}

struct Cfg {
    mode: Mode,
    addr: SocketAddr,
    sni: String,
    path: String,
    plain: bool,
    h2: bool,
    streams: usize,
    tls: Arc<ClientConfig>,
    keys: Vec<String>,
}

struct Stats {
    hist: Hist,
    done: u64,
    bytes: u64,
    bad: u64,
    errs: u64,
    first_bad: Option<String>,
    measuring: bool,
    handshakes: u64,
}

enum Fate {
    Keep,
    Close,
    Fail,
}

/// The header block of one request. The first on a connection fills the dynamic table, later ones
/// refer to it, as real clients do.
fn h2_block(c: &Cfg, id: usize, first: bool, table: bool) -> Vec<u8> {
    let mut o = Vec::new();
    let grpc = c.mode == Mode::Grpc;
    o.push(if grpc { 0x83 } else { 0x82 });
    o.push(if c.plain { 0x86 } else { 0x87 });
    let mut fields = 0u8;
    if first || !table {
        if grpc {
            lit(&mut o, 4, table, b"/bench.Echo/Say");
            fields += 1;
        } else if c.path == "/" {
            o.push(0x84);
        } else {
            lit(&mut o, 4, table, c.path.as_bytes());
            fields += 1;
        }
        lit(&mut o, 1, table, c.sni.as_bytes());
        lit(&mut o, 58, table, b"csbench/1");
        fields += 2;
        if grpc {
            lit(&mut o, 31, table, b"application/grpc");
            lit_new(&mut o, b"te", table, b"trailers");
            fields += 2;
        }
        if !c.keys.is_empty() {
            let v = format!("Bearer {}", c.keys[id % c.keys.len()]);
            lit(&mut o, 23, table, v.as_bytes());
        }
        let _ = fields;
    } else {
        let mut n = 2u8;
        if grpc {
            n += 3;
        } else if c.path == "/" {
            o.push(0x84);
        } else {
            n += 1;
        }
        if !c.keys.is_empty() {
            n += 1;
        }
        for i in (0..n).rev() {
            o.push(0x80 | (62 + i));
        }
    }
    o
}

const GRPC_MSG: &[u8] = b"\x00\x00\x00\x00\x08\x0a\x06hello?";

impl Conn {
    fn put(&mut self, data: &[u8]) {
        match &mut self.tls {
            Some(t) => {
                t.writer().write_all(data).unwrap();
            }
            None => self.out.extend_from_slice(data),
        }
    }

    fn flush(&mut self) -> bool {
        match &mut self.tls {
            Some(t) => {
                while t.wants_write() {
                    match t.write_tls(&mut self.sock) {
                        Ok(_) => {}
                        Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                        Err(e) if e.kind() == ErrorKind::NotConnected => return true,
                        Err(_) => return false,
                    }
                }
            }
            None => {
                while !self.out.is_empty() {
                    match self.sock.write(&self.out) {
                        Ok(n) => {
                            self.out.drain(..n);
                        }
                        Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                        Err(e) if e.kind() == ErrorKind::NotConnected => return true,
                        Err(_) => return false,
                    }
                }
            }
        }
        true
    }

    fn h2_new(&mut self, cfg: &Cfg, now: Instant, n: usize, out: &mut Vec<u8>) {
        for _ in 0..n {
            let s = self.next_stream;
            self.next_stream += 2;
            let b = h2_block(cfg, self.id, !self.primed, self.table_ok);
            self.primed = true;
            if cfg.mode == Mode::Grpc {
                frame(out, 1, 0x4, s, &b);
                frame(out, 0, 0x1, s, GRPC_MSG);
            } else {
                frame(out, 1, 0x5, s, &b);
            }
            self.born.insert(s, now);
        }
    }

    /// Called when the transport is up (handshake over).
    fn begin(&mut self, cfg: &Cfg) {
        self.started = true;
        match cfg.h2 {
            true => {
                let mut o = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
                // no push, big windows so flow control does not decide the result
                frame(&mut o, 4, 0, 0, &[0, 2, 0, 0, 0, 0, 0, 4, 0x00, 0x60, 0, 0]);
                frame(&mut o, 8, 0, 0, &0x3fff_0000u32.to_be_bytes());
                self.put(&o);
            }
            false => self.h1_send(cfg),
        }
    }

    fn h1_send(&mut self, cfg: &Cfg) {
        let mut r = format!("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: csbench/1\r\nAccept: */*\r\n", cfg.path, cfg.sni);
        if !cfg.keys.is_empty() {
            r.push_str("Authorization: Bearer ");
            r.push_str(&cfg.keys[self.id % cfg.keys.len()]);
            r.push_str("\r\n");
        }
        r.push_str("\r\n");
        self.sent_at = Instant::now();
        self.put(r.as_bytes());
    }

    fn h1_feed(&mut self, st: &mut Stats) -> Result<bool, ()> {
        // Ok(true) when one whole answer was read
        loop {
            if self.in_body {
                let n = self.need.min(self.inb.len());
                self.inb.drain(..n);
                self.need -= n;
                if self.need > 0 {
                    return Ok(false);
                }
                self.in_body = false;
                return Ok(true);
            }
            let Some(p) = self.inb.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(false) };
            let head = &self.inb[..p + 2];
            if !head.starts_with(b"HTTP/1.1 200") {
                st.bad += 1;
                if st.first_bad.is_none() {
                    st.first_bad = Some(String::from_utf8_lossy(&head[..head.len().min(60)]).into_owned());
                }
            }
            let mut cl = None;
            let mut chunked = false;
            for l in head.split(|&c| c == b'\n') {
                if l.len() > 15 && l[..15].eq_ignore_ascii_case(b"content-length:") {
                    cl = std::str::from_utf8(&l[15..]).ok().and_then(|s| s.trim().parse::<usize>().ok());
                } else if l.len() > 18 && l[..18].eq_ignore_ascii_case(b"transfer-encoding:") {
                    chunked = true;
                }
            }
            if chunked {
                // only ever small here: wait for the last chunk
                match self.inb.windows(5).position(|w| w == b"0\r\n\r\n") {
                    Some(e) => {
                        self.inb.drain(..e + 5);
                        return Ok(true);
                    }
                    None => return Ok(false),
                }
            }
            self.need = cl.ok_or(())?;
            self.in_body = true;
            self.inb.drain(..p + 4);
        }
    }

    fn h2_feed(&mut self, cfg: &Cfg, st: &mut Stats) -> Result<(), ()> {
        let now = Instant::now();
        let mut at = 0;
        let mut fresh = 0;
        let mut out = Vec::new();
        while self.inb.len() - at >= 9 {
            let b = &self.inb[at..];
            let l = ((b[0] as usize) << 16) | ((b[1] as usize) << 8) | b[2] as usize;
            if b.len() < 9 + l {
                break;
            }
            let (ty, flags) = (b[3], b[4]);
            let s = u32::from_be_bytes([b[5], b[6], b[7], b[8]]) & 0x7fff_ffff;
            let body = &b[9..9 + l];
            match ty {
                0 | 1 => {
                    if ty == 1 && self.got < 4 && flags & 1 == 0 {
                        // :status 200 as the first field, after table size updates if any
                        let mut k = 0;
                        while k < body.len() && body[k] & 0xe0 == 0x20 {
                            if body[k] & 0x1f == 0x1f {
                                while k + 1 < body.len() && body[k + 1] & 0x80 != 0 { k += 1; }
                                k += 1;
                            }
                            k += 1;
                        }
                        if body.get(k) != Some(&0x88) && body.get(k).map_or(true, |x| x & 0x80 == 0 || *x < 0xbe) {
                            st.bad += 1;
                            if st.first_bad.is_none() {
                                st.first_bad = Some(format!("h2 header block {:02x?}", &body[..body.len().min(12)]));
                            }
                        }
                    }
                    if ty == 0 && cfg.mode != Mode::Idle {
                        self.got += l as u64;
                        if st.measuring {
                            st.bytes += l as u64;
                        }
                    }
                    if flags & 1 != 0 {
                        if let Some(t) = self.born.remove(&s) {
                            if st.measuring {
                                st.hist.add((now - t).as_nanos() as u64);
                                st.done += 1;
                            }
                            fresh += 1;
                        }
                    }
                }
                3 => {
                    if self.born.remove(&s).is_some() {
                        st.bad += 1;
                        if st.first_bad.is_none() {
                            st.first_bad = Some(format!("reset {:?}", body));
                        }
                        fresh += 1;
                    }
                }
                4 if flags & 1 == 0 => {
                    let mut table = 4096u32;
                    for p in body.chunks_exact(6) {
                        if p[0] == 0 && p[1] == 1 {
                            table = u32::from_be_bytes([p[2], p[3], p[4], p[5]]);
                        }
                    }
                    frame(&mut out, 4, 1, 0, &[]);
                    if !self.primed {
                        self.table_ok = table >= 4096;
                        fresh += cfg.streams;
                    }
                }
                6 if flags & 1 == 0 => {
                    let p = body.to_vec();
                    frame(&mut out, 6, 1, 0, &p);
                }
                7 => return Err(()),
                _ => {}
            }
            at += 9 + l;
        }
        self.inb.drain(..at);
        if self.got > 0x0800_0000 {
            frame(&mut out, 8, 0, 0, &(self.got as u32).to_be_bytes());
            self.got = 4;
        }
        if cfg.mode == Mode::Idle && self.primed && fresh > 0 {
            self.got = 1; // its one answer came; stay silent from here on
        } else if fresh > 0 {
            self.h2_new(cfg, now, fresh, &mut out);
        }
        if !out.is_empty() {
            self.put(&out);
        }
        Ok(())
    }
}

fn connect(cfg: &Cfg, poll: &Poll, slot: usize, id: usize) -> std::io::Result<Conn> {
    let mut sock = TcpStream::connect(cfg.addr)?;
    let _ = sock.set_nodelay(true);
    poll.registry().register(&mut sock, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
    let tls = if cfg.plain {
        None
    } else {
        let mut t = ClientConnection::new(cfg.tls.clone(), ServerName::try_from(cfg.sni.clone()).unwrap()).unwrap();
        t.set_buffer_limit(None);
        Some(t)
    };
    Ok(Conn { sock, tls, out: vec![], inb: vec![], id, started: false, need: 0, in_body: false, sent_at: Instant::now(), next_stream: 1, born: HashMap::new(), got: 0, primed: false, table_ok: true })
}

/// Tells whether a read left the socket empty: only then may edge-triggered reading stop.
struct Tap<'a>(&'a mut TcpStream, bool);
impl Read for Tap<'_> {
    fn read(&mut self, b: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(b)?;
        self.1 = n < b.len();
        Ok(n)
    }
}

fn drive(c: &mut Conn, cfg: &Cfg, st: &mut Stats, readable: bool, buf: &mut [u8]) -> Fate {
    if cfg.plain && !c.started {
        if c.sock.peer_addr().is_err() {
            return Fate::Keep;
        }
        c.begin(cfg);
        return if c.flush() { Fate::Keep } else { Fate::Fail };
    }
    let mut fate = Fate::Keep;
    if readable {
        loop {
            let mut eof = false;
            let mut short = true;
            match &mut c.tls {
                Some(t) => match { let mut tap = Tap(&mut c.sock, true); let r = t.read_tls(&mut tap); short = tap.1; r } {
                    Ok(0) => eof = true,
                    Ok(_) => {
                        if let Err(e) = t.process_new_packets() {
                            if st.first_bad.is_none() {
                                st.first_bad = Some(format!("tls: {e}"));
                            }
                            return Fate::Fail;
                        }
                        loop {
                            match t.reader().read(buf) {
                                Ok(0) => break,
                                Ok(n) => c.inb.extend_from_slice(&buf[..n]),
                                Err(_) => break,
                            }
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return Fate::Fail,
                },
                None => match c.sock.read(buf) {
                    Ok(0) => eof = true,
                    Ok(n) => {
                        short = n < buf.len();
                        c.inb.extend_from_slice(&buf[..n]);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => return Fate::Fail,
                },
            }
            if !c.started && c.tls.as_ref().is_some_and(|t| !t.is_handshaking()) {
                st.handshakes += 1;
                c.begin(cfg);
            }
            if c.started && !c.inb.is_empty() {
                match cfg.h2 {
                    true => {
                        if c.h2_feed(cfg, st).is_err() {
                            return Fate::Close;
                        }
                    }
                    false => {
                        let before = c.inb.len();
                        match c.h1_feed(st) {
                            Ok(true) => {
                                let dt = c.sent_at.elapsed().as_nanos() as u64;
                                if st.measuring {
                                    st.hist.add(dt);
                                    st.done += 1;
                                }
                                match cfg.mode {
                                    Mode::H1 => c.h1_send(cfg),
                                    Mode::Hs => fate = Fate::Close,
                                    _ => c.got += 1,
                                }
                            }
                            Ok(false) => {}
                            Err(()) => return Fate::Fail,
                        }
                        if st.measuring {
                            st.bytes += (before - c.inb.len().min(before)) as u64;
                        }
                    }
                }
            }
            if eof {
                return Fate::Fail;
            }
            if short {
                break;
            }
        }
    }
    if matches!(fate, Fate::Close) {
        if let Some(t) = &mut c.tls {
            t.send_close_notify();
        }
    }
    if !c.flush() {
        return Fate::Fail;
    }
    fate
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let opt = |n: &str| args.iter().position(|a| a == n).map(|i| args[i + 1].clone());
    let flag = |n: &str| args.iter().any(|a| a == n);
    let num = |n: &str, d: f64| opt(n).map_or(d, |v| v.parse().unwrap());
    let mode = match args.get(1).map(|s| s.as_str()) {
        Some("h1") => Mode::H1,
        Some("h2") => Mode::H2,
        Some("grpc") => Mode::Grpc,
        Some("hs") => Mode::Hs,
        Some("idle") => Mode::Idle,
        Some("lat") => Mode::Lat,
        _ => panic!("mode?"),
    };
    let versions: &[&rustls::SupportedProtocolVersion] = if flag("--tls12") { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
    let b = ClientConfig::builder_with_provider({
        let mut p = rustls::crypto::aws_lc_rs::default_provider();
        // X25519 alone, so that every peer does the same key exchange
        p.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
        if flag("--tls12") {
            // in TLS 1.2 this list also says which curves a certificate may use
            p.kx_groups.push(rustls::crypto::aws_lc_rs::kx_group::SECP256R1);
        }
        // one cipher for all peers
        p.cipher_suites.retain(|c| matches!(c.suite(), rustls::CipherSuite::TLS13_AES_128_GCM_SHA256 | rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
        Arc::new(p)
    })
    .with_protocol_versions(versions)
    .unwrap()
    .dangerous()
    .with_custom_certificate_verifier(Arc::new(NoVerify));
    let mut tls = match (opt("--cert"), opt("--key")) {
        (Some(c), Some(k)) => b.with_client_auth_cert(CertificateDer::pem_file_iter(c).unwrap().map(|c| c.unwrap()).collect(), PrivateKeyDer::from_pem_file(k).unwrap()).unwrap(),
        _ => b.with_no_client_auth(),
    };
    let h2 = matches!(mode, Mode::H2 | Mode::Grpc) || flag("--h2");
    tls.alpn_protocols = if h2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    if !flag("--resume") {
        tls.resumption = rustls::client::Resumption::disabled();
    }
    let keys = opt("--keys").map_or(vec![], |f| std::fs::read_to_string(f).unwrap().lines().map(|l| l.to_string()).collect());
    let cfg = Cfg {
        mode,
        addr: opt("--addr").expect("--addr").parse().unwrap(),
        sni: opt("--sni").unwrap_or("ns1.test".into()),
        path: opt("--path").unwrap_or("/".into()),
        plain: flag("--plain"),
        h2,
        streams: if mode == Mode::Idle { 1 } else { num("--streams", 32.0) as usize },
        tls: Arc::new(tls),
        keys,
    };
    let nconn = num("--conns", 64.0) as usize;
    let secs = Duration::from_secs_f64(num("--secs", 5.0));
    let warm = Duration::from_secs_f64(num("--warm", 1.0));
    let think = Duration::from_micros(num("--think-us", 1000.0) as u64);

    let mut upstream = opt("--serve").map(|a| csbench::Upstream::new(a.parse().unwrap()));
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(1024);
    let mut buf = vec![0u8; 65536];
    let mut st = Stats { hist: Hist::new(), done: 0, bytes: 0, bad: 0, errs: 0, first_bad: None, measuring: false, handshakes: 0 };
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut serial = 0usize;
    let t0 = Instant::now();
    let ramp = if mode == Mode::Idle { 32 } else { nconn };
    for i in 0..ramp.min(nconn) {
        conns.push(connect(&cfg, &poll, i, serial).ok());
        serial += 1;
    }
    let mut m0 = t0;
    let mut end = t0 + warm + secs;
    let mut ready = 0usize;
    let mut announced = false;
    let mut lost = 0u64;
    let mut pauses: Vec<(Instant, usize)> = Vec::new();
    let mut cpu0 = 0.0;
    let mut slack = Duration::ZERO;
    let mut last = Instant::now();
    let mut worked = true;
    loop {
        let now = Instant::now();
        if !worked && st.measuring {
            slack += now - last;
        }
        last = now;
        if mode == Mode::Idle {
            if announced && now >= end {
                break;
            }
        } else {
            if !st.measuring && now >= t0 + warm {
                st.measuring = true;
                m0 = now;
                end = now + secs;
                cpu0 = own_cpu();
            }
            if now >= end {
                break;
            }
        }
        let mut wait = Duration::from_millis(100);
        if mode == Mode::Lat {
            pauses.retain(|(at, i)| {
                if *at <= now {
                    if let Some(c) = conns[*i].as_mut() {
                        c.h1_send(&cfg);
                        c.flush();
                    }
                    false
                } else {
                    wait = wait.min(*at - now);
                    true
                }
            });
        }
        worked = false;
        if let Some(u) = &mut upstream {
            worked = u.step(Some(Duration::ZERO)) > 0;
            wait = Duration::ZERO;
        }
        if let Err(e) = poll.poll(&mut events, Some(wait)) {
            if e.kind() == ErrorKind::Interrupted {
                continue;
            }
            panic!("{e}");
        }
        worked |= !events.is_empty();
        for ev in events.iter() {
            let i = ev.token().0;
            let Some(c) = conns[i].as_mut() else { continue };
            let fate = drive(c, &cfg, &mut st, ev.is_readable(), &mut buf);
            match fate {
                Fate::Keep => {
                    if mode == Mode::Lat && c.got > 0 {
                        c.got = 0;
                        pauses.push((Instant::now() + think, i));
                    }
                    if mode == Mode::Idle && c.got > 0 {
                        c.got = 0;
                        ready += 1;
                        if conns.len() < nconn {
                            let k = conns.len();
                            conns.push(connect(&cfg, &poll, k, serial).ok());
                            serial += 1;
                        } else if ready == nconn && !announced {
                            announced = true;
                            println!("READY");
                            // hold until stdin closes, then stop
                            let mut s = String::new();
                            let _ = std::io::stdin().read_line(&mut s);
                            end = Instant::now() + Duration::from_millis(100);
                        }
                    }
                }
                Fate::Close | Fate::Fail => {
                    let failed = matches!(fate, Fate::Fail);
                    if failed {
                        st.errs += 1;
                    }
                    let mut c = conns[i].take().unwrap();
                    let _ = poll.registry().deregister(&mut c.sock);
                    drop(c);
                    if mode == Mode::Idle && announced {
                        lost += 1;
                        continue;
                    }
                    if st.errs > 20_000 {
                        break;
                    }
                    conns[i] = connect(&cfg, &poll, i, serial).ok();
                    serial += 1;
                }
            }
        }
        if st.errs > 20_000 {
            break;
        }
    }
    let secs = m0.elapsed().as_secs_f64();
    println!(
        "{{\"done\":{},\"rps\":{:.1},\"mbps\":{:.1},\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"bad\":{},\"errs\":{},\"lost\":{},\"handshakes\":{},\"client_cpu\":{:.3},\"slack\":{:.3},\"first_bad\":{:?}}}",
        st.done, st.done as f64 / secs, st.bytes as f64 / secs / 1e6, st.hist.q(0.5), st.hist.q(0.9), st.hist.q(0.99), st.hist.q(0.999), st.bad, st.errs, lost, st.handshakes, (own_cpu() - cpu0) / secs, slack.as_secs_f64() / secs, st.first_bad.unwrap_or_default()
    );
}

fn own_cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s[s.rfind(')').unwrap() + 2..].split(' ').collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}

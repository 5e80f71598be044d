//! The edges of HTTP: early answers, heads that do not end, upstreams that close or answer twice.

use crate::client::{H2, Raw, config, connect, get};
use crate::rig::{Key, Rig};
use countersign_core::namespace::{AuthMethod, Upstream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// An upstream that says what it is told to, for the connection and the request on it, each counted from 0; an empty answer closes.
async fn scripted(answer: impl Fn(usize, usize) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, connections) = (Arc::new(answer), AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, connection) = (Arc::clone(&answer), connections.fetch_add(1, SeqCst));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                for request in 0.. {
                    let mut line = String::new();
                    while !line.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let text = answer(connection, request);
                    if text.is_empty() || stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A gateway before that upstream, on one worker, and a key.
async fn before(upstream: SocketAddr) -> (Rig, Key) {
    let rig = Rig::with(|settings| settings.workers = 1).await;
    let mut namespace = rig.namespace("k", AuthMethod::ApiKey);
    namespace.upstream = Some(Upstream::parse(&format!("http://{upstream}")).unwrap());
    rig.put(namespace).await;
    let key = rig.key().await;
    (rig, key)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_request_that_meets_a_closing_upstream_connection_is_sent_once_more_on_a_fresh_one() {
    // Every connection answers one request and closes on the second.
    let upstream = scripted(|_, request| if request == 0 { OK.to_owned() } else { String::new() }).await;
    let (rig, key) = before(upstream).await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    for n in 0..20 {
        let answer = raw.ask(get("k.test", "/", Some(&key.text))).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "request {n}");
    }
    // What may not be sent twice is not.
    let post = format!("POST / HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n", key.text);
    assert_eq!(raw.ask(post).await.code(), "upstream_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_never_answers_is_tried_no_more_than_twice() {
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let upstream = scripted(move |connection, request| {
        count.fetch_add(1, SeqCst);
        if (connection, request) == (0, 0) { OK.to_owned() } else { String::new() }
    });
    let (rig, key) = before(upstream.await).await;
    let mut raw = Raw::open(&rig, "k.test", None).await;
    assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.status, 200);
    assert_eq!(raw.ask(get("k.test", "/", Some(&key.text))).await.code(), "upstream_unavailable");
    assert_eq!(tried.load(SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_an_upstream_gives_twice_reaches_the_client_once() {
    let upstream = scripted(|_, _| "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok".to_owned()).await;
    let (rig, key) = before(upstream).await;
    let (status, headers, body) = H2::open(&rig, "k.test", None).await.get("k.test", "/", Some(&key.text)).await;
    assert_eq!((status, headers.get_all("content-length").iter().count(), body.as_str()), (200, 1, "ok"));
    let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", "/", Some(&key.text))).await;
    assert_eq!(answer.head.to_lowercase().matches("content-length").count(), 1, "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_switches_to_another_protocol_than_a_websocket_is_a_bad_gateway() {
    for (n, fields) in
        ["upgrade: foo\r\nconnection: upgrade\r\n", "upgrade: websocket\r\n", "upgrade: websocket, foo\r\nconnection: upgrade\r\n"]
            .into_iter()
            .enumerate()
    {
        let upstream = scripted(move |_, _| format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")).await;
        let (rig, key) = before(upstream).await;
        let mut raw = Raw::open(&rig, "k.test", None).await;
        let answer = raw
            .ask(format!(
                "GET /ws HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
                key.text
            ))
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "form {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_reaches_a_client_that_sends_its_whole_body_first() {
    let rig = Rig::new().await;
    rig.key_door().await;
    let body = vec![b'x'; 6 * 1024 * 1024];
    for n in 0..20 {
        let mut raw = Raw::open(&rig, "k.test", None).await;
        let framing = if n % 2 == 0 { format!("content-length: {}", body.len()) } else { "transfer-encoding: chunked".to_owned() };
        raw.send(format!("POST / HTTP/1.1\r\nhost: k.test\r\nauthorization: Bearer wrong\r\n{framing}\r\n\r\n")).await;
        if n % 2 == 1 {
            raw.send(format!("{:x}\r\n", body.len())).await;
        }
        raw.0.write_all(&body).await.expect("the whole body is taken");
        raw.0.flush().await.unwrap();
        assert_eq!(raw.answer().await.map(|answer| answer.status), Some(401), "answer {n}");
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET https://k.test/` as a header block.
fn head() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 6];
    block.extend(b"k.test");
    block
}

async fn h2(rig: &Rig) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut stream = connect(rig, config(rig, None, "h2"), "k.test").await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    stream
}

fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        assert!(text.len() < 127);
        block.push(text.len() as u8);
        block.extend(text.as_bytes());
    }
}

/// A POST with these further fields, its body withheld until a 100 has come, and what comes back, frame by frame until the stream ends.
async fn raw_h2(rig: &Rig, target: &str, key: &str, fields: &[(&str, &str)], ends: bool) -> String {
    let mut stream = h2(rig).await;
    let mut block = vec![0x83, 0x87, 0x41, 6];
    block.extend(b"k.test");
    literal(&mut block, ":path", target);
    literal(&mut block, "authorization", &format!("Bearer {key}"));
    fields.iter().for_each(|(name, value)| literal(&mut block, name, value));
    stream.write_all(&frame(1, if ends { 5 } else { 4 }, 1, &block)).await.unwrap();
    let mut said = String::new();
    let mut header = [0; 9];
    loop {
        stream.flush().await.unwrap();
        stream.read_exact(&mut header).await.expect(&said);
        let mut payload = vec![0; usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])];
        stream.read_exact(&mut payload).await.expect(&said);
        let over = header[4] & 1 == 1;
        match header[3] {
            0 => said.push_str("DATA "),
            1 => {
                // The status comes first: indexed, or a literal.
                let status = match payload[0] {
                    0x88 => "200".to_owned(),
                    0x8c => "400".to_owned(),
                    _ => String::from_utf8_lossy(&payload[2..5]).into_owned(),
                };
                said.push_str(&format!("HEADERS {status} "));
                if status == "100" {
                    stream.write_all(&frame(0, 0, 1, b"body")).await.unwrap();
                    let mut trailers = Vec::new();
                    literal(&mut trailers, if target == "/pseudo" { ":path" } else { "x-end" }, "1");
                    stream.write_all(&frame(1, 5, 1, &trailers)).await.unwrap();
                }
            }
            3 => {
                said.push_str(&format!("RST {} ", payload[3]));
                return said;
            }
            7 => said.push_str("GOAWAY "),
            _ => continue,
        }
        if over {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_http2_that_waits_for_100_continue_gets_it_at_once() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    for _ in 0..20 {
        let said = raw_h2(&rig, "/", &key.text, &[("expect", "100-continue")], false).await;
        assert!(said.starts_with("HEADERS 100 HEADERS 200 "), "{said}");
    }
    assert!(rig.upstream.take().iter().all(|seen| !seen.headers.contains_key("expect")));
}

#[tokio::test(flavor = "multi_thread")]
async fn pseudo_fields_in_trailers_reset_their_stream_and_nothing_else() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let said = raw_h2(&rig, "/pseudo", &key.text, &[("expect", "100-continue")], false).await;
    assert!(said.starts_with("HEADERS 100 ") && said.contains("RST 1") && !said.contains("GOAWAY"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_a_malformed_target() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let (mut read, mut write) = tokio::io::split(h2(&rig).await);
    // A field for the table, a malformed target, and the field by its index.
    let mut first = vec![0x82, 0x87, 0x84, 0x41, 6];
    first.extend(b"k.test");
    first.extend([0x40, 13]);
    first.extend(b"authorization");
    let bearer = format!("Bearer {}", key.text);
    first.push(bearer.len() as u8);
    first.extend(bearer.as_bytes());
    let mut second = vec![0x82, 0x87, 0xbf];
    literal(&mut second, ":path", "/a#b");
    second.push(0xbe);
    let third = [0x82, 0x87, 0x84, 0xbf, 0xbe];
    for (stream, block) in [(1, first.as_slice()), (3, &second), (5, &third)] {
        write.write_all(&frame(1, 5, stream, block)).await.unwrap();
    }
    write.flush().await.unwrap();
    let (mut statuses, mut header) = (std::collections::BTreeMap::new(), [0; 9]);
    while statuses.len() < 3 {
        read.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])];
        read.read_exact(&mut payload).await.unwrap();
        assert!(header[3] != 3 && header[3] != 7, "{header:?}");
        if header[3] == 1 {
            statuses.insert(header[8], payload[0]);
        }
    }
    // 200, 400 and 200 by their indices.
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(1, 0x88), (3, 0x8c), (5, 0x88)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_http2_that_begins_and_does_not_end_ends_its_connection() {
    let rig = Rig::with(|settings| settings.timeouts.header = Duration::from_millis(500)).await;
    rig.key_door().await;
    for trickle in [false, true] {
        let stream = h2(&rig).await;
        let (mut read, mut write) = tokio::io::split(stream);
        write.write_all(&frame(1, 1, 1, &head()[..3])).await.unwrap();
        let sender = tokio::spawn(async move {
            while trickle && write.write_all(&frame(9, 0, 1, &[])).await.is_ok() && write.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if !trickle {
                let _ = write.write_all(&[0, 0]).await;
                let _ = write.flush().await;
                std::future::pending::<()>().await;
            }
        });
        let mut bytes = [0; 4096];
        let ended = async { while !matches!(read.read(&mut bytes).await, Ok(0) | Err(_)) {} };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends long before any other timeout");
        sender.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_makes_the_gateway_reset_streams_loses_its_connection_before_the_hundredth() {
    let rig = Rig::new().await;
    rig.key_door().await;
    // A window update of nothing, a window that overflows, and a body longer than its length.
    for form in 0..3 {
        let stream = h2(&rig).await;
        let (mut read, mut write) = tokio::io::split(stream);
        let sender = tokio::spawn(async move {
            for n in 0..2000_u32 {
                let id = 2 * n + 1;
                let mut bytes = Vec::new();
                match form {
                    0 => {
                        bytes.extend(frame(1, 5, id, &head()));
                        bytes.extend(frame(8, 0, id, &[0; 4]));
                    }
                    1 => {
                        bytes.extend(frame(1, 5, id, &head()));
                        bytes.extend(frame(8, 0, id, &[0x7f, 0xff, 0xff, 0xff]));
                    }
                    _ => {
                        let mut block = head();
                        // content-length: 1, a literal with an indexed name.
                        block.extend([0x0f, 0x0d, 1, b'1']);
                        bytes.extend(frame(1, 4, id, &block));
                        bytes.extend(frame(0, 1, id, b"xx"));
                    }
                }
                if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let (mut resets, mut gone) = (0, false);
        let mut header = [0; 9];
        while read.read_exact(&mut header).await.is_ok() {
            let mut payload = vec![0; usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])];
            if read.read_exact(&mut payload).await.is_err() {
                break;
            }
            resets += usize::from(header[3] == 3);
            gone |= header[3] == 7;
            if gone {
                break;
            }
        }
        sender.abort();
        assert!(resets <= 100, "form {form}: {resets}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_browsers_send_in_a_query_passes_over_both_versions() {
    let rig = Rig::new().await;
    let key = rig.key_door().await;
    let mut h2 = H2::open(&rig, "k.test", None).await;
    for odd in ["|", "[", "]", "{", "}", "^", "`", "'", "\\", "$", "~", "*"] {
        let target = format!("/a?q={odd}x");
        let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", &target, Some(&key.text))).await;
        assert_eq!(answer.status, 200, "{odd}");
        assert_eq!(h2.get("k.test", &target, Some(&key.text)).await.0, 200, "{odd}");
        assert!(rig.upstream.take().iter().all(|seen| seen.target == target), "{odd}");
    }
    for odd in ["\"", "<", ">", "#"] {
        let answered = raw_h2(&rig, &format!("/a?q={odd}x"), &key.text, &[], true).await;
        assert!(answered.contains("HEADERS 400") && !answered.contains("RST"), "{odd}: {answered}");
        let answer = Raw::open(&rig, "k.test", None).await.ask(get("k.test", &format!("/a?q={odd}x"), Some(&key.text))).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{odd}");
    }
}

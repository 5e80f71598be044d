//! What passes the scanner and what does not, whole and in pieces.
#![allow(clippy::unwrap_used)]

use super::*;

fn verdict(text: &str) -> Option<Violation> {
    let mut scanner = Scanner::new(16 * 1024);
    let whole = scanner.scan(text.as_bytes()).expect("no broken body").1;
    // Byte by byte, the verdict is the same.
    let mut scanner = Scanner::new(16 * 1024);
    let (mut held, mut slow) = (Vec::new(), None);
    for byte in text.bytes() {
        held.push(byte);
        let (pass, violation) = scanner.scan(&held).expect("no broken body");
        held.drain(..pass);
        slow = slow.or(violation);
    }
    assert_eq!(whole, slow, "{text:?}");
    whole
}

#[test]
fn plain_requests_pass_also_when_pipelined() {
    assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    assert_eq!(verdict("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(verdict(chunked), None);
    let mut scanner = Scanner::new(1000);
    assert_eq!(scanner.scan(chunked.as_bytes()).expect("whole").0, chunked.len());
    assert_eq!(scanner.heads(), 2);
}

#[test]
fn a_request_that_two_readers_could_take_in_two_ways_is_refused() {
    for (text, expected) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Violation::Line),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Violation::Line),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Line),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Violation::RequestLine),
        ("GET / HTTP/1.1\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Violation::Field),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", Violation::Field),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Violation::Field),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Violation::Field),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::Length),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", Violation::Length),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", Violation::Length),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Violation::Length),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Violation::Length),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::Length),
    ] {
        assert_eq!(verdict(text), Some(expected), "{text:?}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(verdict(&many), Some(Violation::TooLarge));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(17_000));
    assert_eq!(verdict(&large), Some(Violation::TooLarge));
}

#[test]
fn a_chunk_that_cannot_be_read_ends_the_connection() {
    for chunk in ["\r\n", "x\r\n", "3\nabc", "3\r\nabcd\r\n", "0000000000000003\r\nabc", "-1\r\n", "0\r\n a: b\r\n\r\n", "0\r\na: b\n\r\n"]
    {
        let mut scanner = Scanner::new(1000);
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        assert!(scanner.scan(text.as_bytes()).is_err(), "{chunk:?}");
    }
}

/// Feeds `text` in pieces that `cut` chooses; tells how much was passed and how it ended.
fn feed(text: &[u8], mut cut: impl FnMut() -> usize) -> (usize, u64, Option<Option<Violation>>) {
    let mut scanner = Scanner::new(512);
    let (mut held, mut passed, mut rest) = (Vec::new(), 0, text);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cut().clamp(1, rest.len()));
        held.extend_from_slice(piece);
        rest = later;
        match scanner.scan(&held) {
            Err(BrokenBody) => return (0, scanner.heads(), Some(None)),
            Ok((pass, violation)) => {
                held.drain(..pass);
                passed += pass;
                if violation.is_some() {
                    return (passed, scanner.heads(), Some(violation));
                }
            }
        }
    }
    (passed, scanner.heads(), None)
}

#[test]
fn however_the_bytes_are_cut_the_verdict_is_the_same() {
    const PIECES: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "X: y\r\n",
        ":",
        "\0",
        "Upgrade: websocket\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        let text: String = (0..random(12)).map(|_| PIECES[random(PIECES.len())]).collect();
        let whole = feed(text.as_bytes(), || usize::MAX);
        assert_eq!(whole, feed(text.as_bytes(), || 1), "{text:?}");
        assert_eq!(whole, feed(text.as_bytes(), || 1 + random(9)), "{text:?}");
    }
}

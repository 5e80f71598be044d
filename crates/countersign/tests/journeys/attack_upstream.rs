//! A hostile upstream: whatever it answers, other requests, other tenants and revocation go on (promises P5, P8, P17).

use crate::plane::{Plane, refusal, text};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// An upstream that reads one head from each connection and then does as it is told. The number is its port.
fn upstream(behave: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let behave = Arc::new(behave);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, behave) = (stream.unwrap(), Arc::clone(&behave));
            std::thread::spawn(move || {
                let mut bytes = [0; 16 * 1024];
                let _ = stream.read(&mut bytes);
                behave(&mut stream);
            });
        }
    });
    port
}

/// A plane whose API `/evil` leads to `port`.
fn plane_before(port: u16) -> Plane {
    let plane = Plane::start();
    plane.cli(&["api", "create", "--name", "evil", "--listen-path", "/evil", "--upstream", &format!("http://127.0.0.1:{port}")]).ok();
    plane
}

fn answers(text: &'static [u8]) -> impl Fn(&mut TcpStream) + Send + Sync + 'static {
    move |stream| {
        // A connection that is used again gets the same answer again.
        while stream.write_all(text).is_ok() && stream.read(&mut [0; 16 * 1024]).is_ok_and(|n| n > 0) {}
    }
}

/// Asks over both protocols.
#[track_caller]
fn both(plane: &Plane, check: impl Fn(u16, &str)) {
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    for version in ["--http1.1", "--http2"] {
        let (status, body) = plane.curl(&[version, "-i", "-H", &bearer, &plane.url("/evil/x")]);
        check(status, &body);
    }
}

#[test]
fn an_upstream_that_switches_protocols_unasked_is_not_followed() {
    let plane = plane_before(upstream(answers(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    )));
    both(&plane, |status, body| {
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("upstream_unavailable") && !body.contains("EVIL"), "{body}");
    });
}

#[test]
fn an_answer_with_two_lengths_is_refused_and_never_cut_short() {
    let plane = plane_before(upstream(answers(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )));
    both(&plane, |status, body| assert!(status == 503 && body.contains("upstream_unavailable"), "{status} {body}"));
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    let upgrade = ["--http1.1", "-H", &bearer, "-H", "Connection: upgrade", "-H", "Upgrade: websocket", &plane.url("/evil/x")];
    let (status, body) = plane.curl(&upgrade);
    assert_eq!((status, refusal(&body).as_str()), (503, "upstream_unavailable"), "an answer to an upgrade is no exception");
}

#[test]
fn an_answer_without_content_has_no_length() {
    let plane = plane_before(upstream(answers(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL")));
    both(&plane, |status, body| {
        assert_eq!(status, 204, "{body}");
        assert!(!body.to_lowercase().contains("content-length") && !body.contains("EVIL"), "{body}");
    });
}

#[test]
fn an_upstream_cannot_forge_the_id_of_a_refusal() {
    let plane = plane_before(upstream(answers(b"HTTP/1.1 200 OK\r\nCountersign-Refusal-Id: evil\r\nContent-Length: 2\r\n\r\nok")));
    both(&plane, |status, body| assert!(status == 200 && !body.contains("evil"), "{status} {body}"));
}

#[test]
fn an_upstream_that_floods_interim_answers_delays_neither_others_nor_a_revoke() {
    let plane = plane_before(upstream(|stream| {
        let flood = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        while stream.write_all(&flood).is_ok() {}
    }));
    let bearer = format!("Authorization: Bearer {}", plane.var("COUNTERSIGN_API_KEY"));
    let url = plane.url("/evil/x");
    let mut floods: Vec<_> = (0..4).map(|_| plane.curl_command(&["-H", &bearer, &url]).spawn().unwrap()).collect();
    let (id, secret) = plane.key(&[]);
    assert_eq!(plane.get(&secret, "/").0, 200);
    let answer = plane.cli(&["--auto-confirm", "apikey", "delete", "--id", &id]).ok().json();
    assert_eq!(answer["requestStatus"]["receipt"]["inEffect"], true, "{answer}");
    assert_eq!(text(&answer["requestStatus"], "state"), "Fulfilled");
    let (status, body) = plane.get(&secret, "/");
    assert_eq!((status, refusal(&body).as_str()), (401, "key_unknown"));
    for flood in &mut floods {
        assert!(flood.wait().unwrap().success(), "a flood is answered, not waited out");
    }
}

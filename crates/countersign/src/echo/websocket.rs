//! WebSocket (RFC 6455): what comes in goes out again, unmasked. Small frames only; it is an echo for trying things.

use super::body::{Body, full};
use aws_lc_rs::digest;
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const FRAME_BYTES_MAX: u64 = 1 << 20;

/// Whether the request asks for a WebSocket.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && request.headers().contains_key(header::SEC_WEBSOCKET_KEY)
}

/// Switches protocols and echoes until the peer closes.
pub fn answer(mut request: Request<Incoming>) -> Response<Body> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|v| v.as_bytes().to_vec()).unwrap_or_default();
    // RFC 6455 section 4.2.2: SHA-1 of the key and a fixed text; a handshake's formality, no security rests on it.
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(&key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = base64::engine::general_purpose::STANDARD.encode(hash.finish());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            let mut stream = TokioIo::new(stream);
            // A broken connection ends the echo and nothing else.
            let _ = echo(&mut stream).await;
        }
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(value) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    }
    response
}

async fn echo(stream: &mut TokioIo<hyper::upgrade::Upgraded>) -> std::io::Result<()> {
    loop {
        let mut head = [0_u8; 2];
        stream.read_exact(&mut head).await?;
        let length = match head[1] & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            n => u64::from(n),
        };
        let masked = head[1] & 0x80 != 0;
        if length > FRAME_BYTES_MAX || !masked {
            return Ok(());
        }
        let mut mask = [0_u8; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0_u8; usize::try_from(length).unwrap_or(0)];
        stream.read_exact(&mut payload).await?;
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[i % 4];
        }
        let opcode = head[0] & 0x0f;
        // A ping (9) is answered by a pong (10) with the same payload.
        let reply = if opcode == 9 { (head[0] & 0xf0) | 10 } else { head[0] };
        let mut out = vec![reply];
        match payload.len() {
            n @ 0..=125 => out.push(n as u8),
            n @ 126..=65_535 => {
                out.push(126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        stream.write_all(&out).await?;
        if opcode == 8 {
            return stream.shutdown().await;
        }
    }
}

//! The echo upstream of `dev`: it answers with what reached it, so that one sees what the gateway sends.
//!
//! It stands behind the gateway on loopback and asks nobody for credentials; it must never become a place where anything is
//! decided. HTTP/1.1, HTTP/2 with prior knowledge, gRPC (every message comes back), WebSocket, SSE.

mod body;
mod grpc;
mod websocket;

use body::{Body, full};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Starts the echo on this loopback port, or on a free one where that is taken, and answers with its address. It ends with the process.
pub async fn start(port: u16) -> std::io::Result<SocketAddr> {
    let listener = match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await?,
    };
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // A client that goes away is no event here.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(async move {
                        let mut server = auto::Builder::new(TokioExecutor::new());
                        server.http1().timer(TokioTimer::new());
                        server.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
                        let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).await;
                    });
                }
                // Descriptors may be scarce for a moment; the listener itself is fine.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(address)
}

/// What a query may ask for.
#[derive(Default)]
struct Wishes {
    delay: Duration,
    stream: Option<u64>,
    interval: Duration,
}

impl Wishes {
    fn of(query: Option<&str>) -> Self {
        let mut wishes = Self { interval: Duration::from_millis(100), ..Self::default() };
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|p| p.split_once('=')) {
            let Ok(number) = value.parse::<u64>() else { continue };
            match name {
                "delay_ms" => wishes.delay = Duration::from_millis(number.min(600_000)),
                "stream" => wishes.stream = Some(number),
                "interval_ms" => wishes.interval = Duration::from_millis(number.clamp(1, 60_000)),
                _ => {}
            }
        }
        wishes
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let wishes = Wishes::of(request.uri().query());
    if !wishes.delay.is_zero() {
        tokio::time::sleep(wishes.delay).await;
    }
    if grpc::is_grpc(request.headers()) {
        return Ok(grpc::answer(request));
    }
    if websocket::is_upgrade(&request) {
        return Ok(websocket::answer(request));
    }
    if let Some(count) = wishes.stream {
        return Ok(events(count, wishes.interval));
    }
    let (parts, body) = request.into_parts();
    let length = count(body).await;
    let seen = serde_json::json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map_or("/", |p| p.as_str()),
        "authority": parts.uri.authority().map(|a| a.as_str()),
        "version": format!("{:?}", parts.version),
        "headers": headers(&parts.headers),
        "bodyLength": length,
    });
    let mut text = serde_json::to_string_pretty(&seen).unwrap_or_default();
    text.push('\n');
    if parts.method == Method::HEAD {
        text.clear();
    }
    let mut response = Response::new(full(Bytes::from(text)));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Reads a body to its end and counts it; one that breaks off counts as far as it came.
async fn count(mut body: Incoming) -> u64 {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |d| d.len() as u64);
    }
    length
}

/// Every header, lower case, with all its values in order.
fn headers(map: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in map {
        all.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    all
}

/// Server-sent events: `count` of them, or without end when it is 0.
fn events(count: u64, interval: Duration) -> Response<Body> {
    let (mut sender, body) = body::channel();
    tokio::spawn(async move {
        let mut n = 0;
        while count == 0 || n < count {
            n += 1;
            if sender.data(Bytes::from(format!("data: {{\"event\":{n}}}\n\n"))).await.is_err() {
                return;
            }
            if n != count {
                tokio::time::sleep(interval).await;
            }
        }
    });
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

//! Metrics and health on their own address: `/metrics` (Prometheus text), `/healthz`, `/readyz`. It reveals no name of a tenant's.

use super::fleet::LocalGateway;
use countersign_core::connection_limiter::{ConnectionLimiter, ConnectionLimits};
use countersign_server::App;
use countersign_store::{FileCheck, Wholeness};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

/// Serves until stopped.
pub async fn serve(
    listener: TcpListener,
    fleet: Arc<LocalGateway>,
    app: Arc<App>,
    file_check: FileCheck,
    mut stopped: watch::Receiver<bool>,
    limits: ConnectionLimits,
) {
    let (limiter, began) = (Arc::new(ConnectionLimiter::new(limits)), Instant::now());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let evicted = Arc::new(Notify::new());
        let notify = Arc::clone(&evicted);
        let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Nobody authenticates here: the oldest gives way.
        let Some(slot) = limiter.enter(peer.ip(), now, move || notify.notify_one()) else { continue };
        let (fleet, app, file_check) = (Arc::clone(&fleet), Arc::clone(&app), file_check.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &fleet, &app, &file_check);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).keep_alive(true);
            // A scraper that goes away is no event.
            tokio::select! {
                _ = server.serve_connection(TokioIo::new(stream), service) => {}
                () = evicted.notified() => {}
            }
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, fleet: &LocalGateway, app: &App, file_check: &FileCheck) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" if fleet.is_ready() => text(StatusCode::OK, "ready\n".to_owned()),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
        "/metrics" => {
            let mut out = String::new();
            if let Some(gateway) = fleet.gateway() {
                gateway.metrics(&mut out);
            }
            app.metrics(&mut out);
            database(file_check.found(), &mut out);
            text(StatusCode::OK, out)
        }
        _ => text(StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n".to_owned()),
    }
}

/// Two numbers, so that an alarm on the second needs no thought of the first.
fn database(found: Wholeness, out: &mut String) {
    let lines = [
        ("countersign_database_checked", "1 once the database file was checked for damage since the start.", found != Wholeness::Unknown),
        ("countersign_database_damaged", "1 when the database file was found damaged: restore a backup.", found == Wholeness::Damaged),
    ];
    for (name, help, value) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {}", u8::from(value));
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

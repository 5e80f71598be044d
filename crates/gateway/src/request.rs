//! One request, from its head to the answer's: check, ask, forward. The order is the promise: nothing is sent upstream before
//! admission said yes to this very request.

use crate::access_log::Line;
use crate::body::{Download, Upload};
use crate::connection::Conn;
use crate::headers::{self, IdentityHeaders};
use crate::identify::{self, Asked};
use crate::live::{Ended, Entry, LiveGuard, TaskControl, Trace};
use crate::refuse;
use crate::strict::{self, Checked};
use crate::upstream::{self, Lease, Pool};
use crate::worker::{self, Worker};
use crate::{scan::Violation, temporal, tunnel};
use countersign_core::admission::Permit;
use countersign_core::{Refusal, RefusalCode, Timestamp};
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, TE};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use std::convert::Infallible;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Answers one request. `task` is the handle on whatever task runs this.
pub(crate) async fn handle(conn: Rc<Conn>, task: Rc<TaskControl>, request: Request<Incoming>) -> Result<Response<Download>, Infallible> {
    conn.calls.set(conn.calls.get() + 1);
    let web = refuse::is_grpc_web(request.headers());
    let keeper = Rc::clone(&conn);
    let mut response = decide(conn, task, request).await;
    if keeper.worker.is_draining() && !keeper.h2 && !response.status().is_informational() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if web {
        refuse::as_grpc_web(&mut response);
    }
    Ok(response)
}

async fn decide(conn: Rc<Conn>, task: Rc<TaskControl>, mut request: Request<Incoming>) -> Response<Download> {
    let began = conn.worker.shared.access_log.as_ref().map(|_| Instant::now());
    let grpc = refuse::is_grpc(request.headers());
    strict::make_canonical(&mut request);
    let asked = identify::bearer(request.headers(), &conn.last_key);
    let (checked, asked) = match check(&conn, &request, asked) {
        Ok(passed) => passed,
        Err(refusal) => return refuse(&conn, request, &Asked::None, refusal, grpc, began),
    };
    let worker = &*conn.worker;
    let now = worker.now();
    let (permit, look) = match permit(&conn, &request, &checked, &asked, now) {
        Ok(permitted) => permitted,
        Err(refusal) => return refuse(&conn, request, &asked, refusal, grpc, began),
    };
    let route = permit.route(request.uri().path());
    let Some(pool) = route.upstream.map(|upstream| worker.pools.of(upstream)) else {
        // Admission has found an upstream for this very path; without one there is nothing to forward to.
        let refusal = Refusal::new(RefusalCode::NoRoute, "the route has no upstream", "set one");
        return refuse(&conn, request, &asked, refusal, grpc, began);
    };
    let pass_key = route.api.is_some_and(|api| api.pass_api_key);
    let client_cert = route.api.is_some_and(|api| api.forward_client_certificate);
    remember(&conn, &permit, &request, &checked, now);
    let trace = began.map(|began| {
        let mut trace = Trace::new(now, began, permit.api().cloned(), pool.upstream(), grpc);
        trace.identity = conn.identity.borrow().as_ref().map(|(_, headers, _)| Rc::clone(headers));
        Box::new(trace)
    });
    let guard = crate::live::register(Entry {
        conn: Rc::clone(&conn),
        method: request.method().clone(),
        uri: request.uri().clone(),
        authority: Rc::clone(&checked.authority),
        asked,
        valid_until: permit.valid_until(),
        age_max: permit.namespace().snapshot_age_max.micros(),
        waits: worker.shared.settings.timeouts.waits(route.timeouts, grpc),
        task,
        trace,
    });
    let takes_trailers = prepare(&conn, &checked, request.headers_mut(), pass_key, client_cert);
    if checked.websocket {
        conn.counts.admitted();
        // What is rare is boxed, so that every other request need not carry room for it.
        return Box::pin(tunnel::open(guard, request, pool.upstream())).await.unwrap_or_else(|ended| refuse::response(&ended, false, true));
    }
    if takes_trailers || grpc {
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    let (parts, body) = request.into_parts();
    let live = Rc::clone(guard.live());
    let body = if look {
        // Rare beside other requests, and its future large.
        match Box::pin(look_into(&live, &parts.headers, body)).await {
            Ok(message) => Upload::message(message, live),
            Err(ended) => return refuse::response(&ended, grpc, !conn.h2),
        }
    } else {
        Upload::stream(body, live)
    };
    conn.counts.admitted();
    forward(worker, guard, Request::from_parts(parts, body), pool, grpc).await
}

/// Holds the message of a call until it was looked into. The request can be ended meanwhile as at any other time.
async fn look_into(live: &Rc<crate::live::Live>, headers: &HeaderMap, body: Incoming) -> Result<temporal::Message, Ended> {
    let read = until_ended(live, temporal::read(live, headers, body)).await?;
    read.map_err(|refusal| live.refused(refusal))
}

/// Asks admission, and what admission cannot know: how old the snapshot is, and which door the handshake was for. Tells whether the
/// message has to be looked into before it goes on.
fn permit(conn: &Conn, request: &Request<Incoming>, checked: &Checked, asked: &Asked, now: Timestamp) -> Result<(Permit, bool), Refusal> {
    let (worker, path) = (&conn.worker, request.uri().path());
    let permit = identify::ask(conn, &worker.snapshot(), &checked.authority, request.method().as_str(), path, asked, now)?;
    let namespace = permit.namespace();
    if worker.is_stale(namespace.snapshot_age_max.micros(), now) {
        return Err(worker::stale());
    }
    if namespace.id != conn.namespace {
        return Err(Refusal::new(RefusalCode::Misdirected, "the host has moved to another namespace since the handshake", "connect again"));
    }
    let look = temporal::check(namespace, request)?;
    Ok((permit, look))
}

/// Everything that is asked before admission.
fn check(conn: &Conn, request: &Request<Incoming>, asked: Option<Asked>) -> Result<(Checked, Asked), Refusal> {
    if let Some(violation) = conn.wire.violation_of(conn.calls.get()) {
        let code = if violation == Violation::TooLarge { RefusalCode::HeadersTooLarge } else { RefusalCode::BadRequest };
        return Err(Refusal::new(code, violation.reason(), "send the request in the form of RFC 9112"));
    }
    let checked = strict::check(conn, request)?;
    let asked = asked.ok_or_else(|| Refusal::new(RefusalCode::BadRequest, "Authorization stands more than once", "send it once"))?;
    Ok((checked, asked))
}

/// Refuses a request that was not let in.
fn refuse(
    conn: &Conn,
    request: Request<Incoming>,
    asked: &Asked,
    refusal: Refusal,
    grpc: bool,
    began: Option<Instant>,
) -> Response<Download> {
    let close = !conn.h2 && closes(refusal.code, &request);
    let ended = conn.worker.record(conn, request.method().as_str(), request.uri().path(), asked, refusal);
    if let (Some(began), Some(log)) = (began, &conn.worker.shared.access_log) {
        log.write(Line {
            at: conn.worker.now(),
            namespace: conn.namespace.clone(),
            api: None,
            identity: None,
            kind: None,
            credential: asked.credential(conn),
            method: request.method().clone(),
            uri: request.uri().clone(),
            h2: conn.h2,
            status: Some(if grpc { 200 } else { ended.code.http_status() }),
            grpc_status: grpc.then(|| ended.code.grpc_status().into()),
            micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            up: 0,
            down: 0,
            client: conn.peer.ip().to_canonical(),
            refusal: Some(ended.clone()),
            upstream: None,
        });
    }
    if conn.h2 && !request.body().is_end_stream() {
        tokio::task::spawn_local(discard(request.into_body()));
    }
    refuse::response(&ended, grpc, close)
}

/// Reads a little of a refused body. Dropping it at once would reset the stream right behind the answer (RFC 9113 section 8.1), and
/// some clients, curl among them, then lose the answer.
async fn discard(mut body: Incoming) {
    let end = tokio::time::Instant::now() + Duration::from_secs(1);
    let mut left = 512 * 1024_usize;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(end, body.frame()).await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        if length > left {
            // Nothing more is read, but the client still gets its moment.
            tokio::time::sleep_until(end).await;
            return;
        }
        left -= length;
    }
}

/// Whether an HTTP/1 connection ends after a refusal: when the peer's next bytes cannot be trusted to be a request, or a body would
/// have to be read that nobody wants.
fn closes(code: RefusalCode, request: &Request<Incoming>) -> bool {
    matches!(code, RefusalCode::BadRequest | RefusalCode::HeadersTooLarge)
        || !request.body().is_end_stream()
        || request.headers().contains_key(http::header::UPGRADE)
}

/// Counts the credential's use, and keeps what the connection's next request can use again.
fn remember(conn: &Conn, permit: &Permit, request: &Request<Incoming>, checked: &Checked, now: Timestamp) {
    let mut identity = conn.identity.borrow_mut();
    if !identity.as_ref().is_some_and(|(credential, ..)| credential == permit.credential()) {
        let usage = conn.worker.counts.usage(&permit.namespace().id, permit.credential(), conn.peer.ip().to_canonical());
        // Any number that stands for the identity will do.
        let mut holder = DefaultHasher::new();
        (permit.identity_kind(), permit.identity_text()).hash(&mut holder);
        conn.place.handle().authenticate(Some(holder.finish()), conn.worker.shared.millis());
        *identity = IdentityHeaders::of(permit).map(|headers| (permit.credential().clone(), Rc::new(headers), usage));
    }
    if let Some((.., usage)) = &*identity {
        usage.used(now);
    }
    if permit.credential_kind() != "api_key" {
        conn.certificate_until.set(permit.valid_until());
        *conn.last_use.borrow_mut() = Some((request.method().clone(), request.uri().clone(), Rc::clone(&checked.authority)));
    }
}

/// Makes the client's head the upstream's. Tells whether the client takes trailers.
fn prepare(conn: &Conn, checked: &Checked, headers: &mut HeaderMap, pass_key: bool, client_cert: bool) -> bool {
    let takes_trailers = headers::clean_request(headers);
    if !pass_key && headers.get(AUTHORIZATION).is_some_and(identify::holds_key) {
        headers.remove(AUTHORIZATION);
    }
    // Room for all of ours at once, so that the map grows and is hashed anew at most one time.
    headers.reserve(9);
    if let Some((_, identity, _)) = &*conn.identity.borrow() {
        identity.set(headers);
    }
    headers::join_cookies(headers);
    headers::set_forwarded(headers, conn.forwarded_for.clone(), checked.host.clone());
    if client_cert && let Some(value) = conn.certificate.as_ref().and_then(crate::trust::ClientCertificate::header) {
        headers.insert(headers::CLIENT_CERT, value);
    }
    headers.insert(HOST, checked.host.clone());
    takes_trailers
}

async fn forward(worker: &Worker, guard: LiveGuard, request: Request<Upload>, pool: Rc<Pool>, grpc: bool) -> Response<Download> {
    let live = Rc::clone(guard.live());
    let (mut parts, body) = request.into_parts();
    parts.extensions = http::Extensions::new();
    if let Some(target) = parts.uri.path_and_query().cloned() {
        parts.uri = Uri::from(target);
    }
    let h2 = grpc && !refuse::is_grpc_web(&parts.headers);
    if !h2 {
        // TE belongs to a connection; toward HTTP/1 it would need a Connection token, and no upstream needs it.
        parts.headers.remove(TE);
    }
    let has_body = !body.is_end_stream();
    let request = Request::from_parts(parts, body);
    live.await_head();
    let close = !live.conn.h2 && has_body;
    match until_ended(&live, upstream::send(worker, pool, h2, live.waits.connect, request)).await {
        Err(ended) => refuse::response(&ended, grpc, !live.conn.h2),
        Ok(Err(reason)) => {
            let ended = live.refused(down(&reason));
            refuse::response(&ended, grpc, close)
        }
        Ok(Ok((mut response, lease))) => {
            live.head_came();
            if let Err(reason) = upstream::check_framing(&mut response) {
                // Dropping the lease closes the connection, so that nothing left on it can answer another request.
                let ended = live.refused(down(reason));
                return refuse::response(&ended, grpc, close);
            }
            answer(response, guard, lease, grpc && live.conn.h2)
        }
    }
}

fn answer(response: Response<Incoming>, guard: LiveGuard, lease: Lease, grpc: bool) -> Response<Download> {
    let (mut parts, body) = response.into_parts();
    headers::clean_response(&mut parts.headers);
    if guard.live().conn.h2 {
        headers::detach(&mut parts.headers);
    }
    if let Some(trace) = &guard.live().trace {
        trace.status.set(Some(parts.status.as_u16()));
        trace.note_grpc(&parts.headers);
    }
    let mut answer = Response::new(Download::stream(body, guard, lease, grpc));
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    answer
}

/// Waits for `future`, or for the end of the request it belongs to.
pub(crate) async fn until_ended<F: Future>(live: &Rc<crate::live::Live>, future: F) -> Result<F::Output, Ended> {
    let mut future = pin!(future);
    poll_fn(|cx| match live.ended() {
        Some(ended) => Poll::Ready(Err(ended.clone())),
        None => future.as_mut().poll(cx).map(Ok),
    })
    .await
}

pub(crate) fn down(reason: &str) -> Refusal {
    Refusal::new(RefusalCode::UpstreamUnavailable, reason, "look whether the upstream runs and is reachable from the gateway")
}

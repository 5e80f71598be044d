//! What a Temporal service needs beyond any other: its clients name a namespace of their own in each call, in a header and inside the
//! message, and each must be the door's. The message is held until it was looked into; nothing of it goes upstream before, and what
//! goes then is what came. Decides nothing about rights.

use crate::buffers::Held;
use crate::live::Live;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf as _, Bytes};
use countersign_core::namespace::Namespace;
use countersign_core::temporal::{self, Call, Scope, Violation};
use countersign_core::{NamespaceId, Refusal, RefusalCode};
use flate2::bufread::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::io::Read as _;
use std::rc::Rc;

/// A flag and a length stand before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX: usize = 5;
/// How much is inflated before others have their turn.
const TURN: usize = 256 * 1024;

/// A message that may go upstream, as it came.
pub(crate) struct Message {
    /// Prefix and message.
    pub(crate) bytes: Bytes,
    /// Its room.
    pub(crate) held: Held,
}

/// Checks the head of a call: which service, which namespace its header names, and whether its message can be looked into. Tells
/// whether it has to be.
pub(crate) fn check<B>(namespace: &Namespace, request: &Request<B>) -> Result<bool, Refusal> {
    let method = match Call::of(request.uri().path()) {
        Call::Other => return Ok(false),
        Call::Server => return Err(of_the_server(&namespace.id)),
        Call::Workflow(method) => method,
    };
    if temporal::scope(method) == Scope::Server {
        return Err(of_the_server(&namespace.id));
    }
    if request.headers().get_all("temporal-namespace").iter().any(|value| value != namespace.id.as_str()) {
        return Err(foreign("the header temporal-namespace is not", &namespace.id));
    }
    // A server that read the message in another encoding than this gateway would see another message.
    let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if request.method() != Method::POST || !matches!(kind, b"application/grpc" | b"application/grpc+proto") {
        return Err(unread("a call of the WorkflowService is a POST of application/grpc with protocol buffers"));
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(unread("a gRPC call has no Content-Encoding"));
    }
    encoding(request.headers())?;
    Ok(true)
}

/// Whether messages may be gzip.
fn encoding(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut values = headers.get_all("grpc-encoding").iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(unread("grpc-encoding stands more than once"));
    }
    match first.map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(unread("grpc-encoding is neither identity nor gzip, and a message that cannot be read cannot be let through")),
    }
}

/// Reads the one message of a call to its end, within the bounds of size and time, and looks into it.
pub(crate) async fn read(live: &Rc<Live>, headers: &HeaderMap, body: Incoming) -> Result<Message, Refusal> {
    let settings = &live.conn.worker.shared.settings;
    let gzip = encoding(headers)?;
    let mut held = Held::new(Rc::clone(&live.conn));
    let bytes = tokio::time::timeout(settings.timeouts.message, collect(body, settings.limits.message_bytes, &mut held))
        .await
        .map_err(|_| unread("the message did not come in time"))??;
    let message = bytes.get(PREFIX..).unwrap_or_default();
    match bytes.first() {
        Some(0) => look(live, message)?,
        Some(1) if gzip => {
            // The room for what is inflated is given back right after the look.
            let mut room = Held::new(Rc::clone(&live.conn));
            let inflated = inflate(message, settings.limits.inflated_bytes, &mut room).await?;
            look(live, &inflated)?;
        }
        Some(1) => return Err(unread("the message is marked as compressed, and grpc-encoding does not say how")),
        _ => return Err(unread("the message's flag is neither 0 nor 1")),
    }
    Ok(Message { bytes, held })
}

/// The whole body: exactly one message.
async fn collect(mut body: Incoming, limit: usize, held: &mut Held) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| unread("the client broke the message off"))?;
        let Ok(data) = frame.into_data() else { return Err(unread("a call has no trailers")) };
        if data.is_empty() {
            continue;
        }
        // Most messages come in one piece, which is kept as it is.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
        let so_far: &[u8] = if all.is_empty() { &first } else { &all };
        if !held.grow_to(so_far.len().max(all.capacity())) {
            return Err(full());
        }
        if so_far.len() >= PREFIX {
            let declared = usize::try_from((&so_far[1..PREFIX]).get_u32()).unwrap_or(usize::MAX);
            if declared > limit {
                return Err(too_large("the message", limit));
            }
            if so_far.len() - PREFIX > declared {
                return Err(unread("something stands behind the message, and every method of this service takes one"));
            }
        }
    }
    let bytes = if all.is_empty() { first } else { Bytes::from(all) };
    let declared = bytes.get(1..PREFIX).map(|mut length| length.get_u32());
    match declared.and_then(|length| usize::try_from(length).ok()) {
        Some(length) if length == bytes.len() - PREFIX => Ok(bytes),
        _ => Err(unread("the call ended before its message was whole")),
    }
}

/// What a gzip message holds. One member and nothing behind it: a reader that goes on would see more than was looked into.
async fn inflate(message: &[u8], limit: usize, held: &mut Held) -> Result<Vec<u8>, Refusal> {
    let mut decoder = GzDecoder::new(message);
    let mut inflated = Vec::new();
    loop {
        let before = inflated.len();
        let turn = TURN.min(limit + 1 - before);
        if !held.grow_to((before + turn).max(inflated.capacity())) {
            return Err(full());
        }
        let piece = (&mut decoder).take(turn as u64).read_to_end(&mut inflated);
        let piece = piece.map_err(|_| unread("the message is no whole gzip"))?;
        if inflated.len() > limit {
            return Err(too_large("the inflated message", limit));
        }
        if piece < turn {
            break;
        }
        tokio::task::yield_now().await;
    }
    if !decoder.into_inner().is_empty() {
        return Err(unread("something stands behind the gzip of the message"));
    }
    Ok(inflated)
}

fn look(live: &Live, message: &[u8]) -> Result<(), Refusal> {
    let Call::Workflow(method) = Call::of(live.uri.path()) else { return Ok(()) };
    let door = &live.conn.namespace;
    temporal::check(method, message, door.as_str()).map_err(|violation| match violation {
        Violation::Malformed(reason) => unread(&format!("the message cannot be read: {reason}")),
        Violation::Server => of_the_server(door),
        Violation::Unnamed => foreign("the message does not name its namespace, which has to be", door),
        Violation::Foreign(name) => foreign(&format!("the message names the namespace {:?}, which is not", short(name)), door),
        Violation::Around => foreign("the message reaches for something by an internal id, which cannot be held to", door),
        Violation::Callback(url) => {
            foreign(&format!("the message has the server call back to {:?}, which is not a Nexus callback of", short(url)), door)
        }
    })
}

/// The beginning of a name that somebody else chose, for the log of refusals.
fn short(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(128).collect()
}

fn foreign(what: &str, door: &NamespaceId) -> Refusal {
    Refusal::new(
        RefusalCode::NotEntitled,
        format!("{what} {door}, the namespace the call came to"),
        format!("connect the client with namespace {door}; a door leads to one namespace, also for children, signals and callbacks"),
    )
}

fn of_the_server(door: &NamespaceId) -> Refusal {
    Refusal::new(
        RefusalCode::NotEntitled,
        format!("the method acts on the whole Temporal server, and the call came to the namespace {door}"),
        "make, change and list namespaces at the server itself, not through a door",
    )
}

fn unread(reason: &str) -> Refusal {
    Refusal::new(RefusalCode::BadRequest, reason, "send one message of protocol buffers, plain or gzip, as Temporal's own clients do")
}

fn too_large(what: &str, limit: usize) -> Refusal {
    Refusal::new(
        RefusalCode::MessageTooLarge,
        format!("{what} is larger than {limit} bytes"),
        "send less at once, or raise the gateway's limit for messages",
    )
}

fn full() -> Refusal {
    Refusal::new(
        RefusalCode::RateLimited,
        "the gateway, or this namespace's half of it, has no room for another message to look into",
        "send less at once, or raise the gateway's limit for buffered messages",
    )
}

/// `grpc-status-details-bin` of a call that is not entitled, in Temporal's form: a `google.rpc.Status` with a
/// `temporal.api.errordetails.v1.PermissionDeniedFailure`. Only for callers whose credential was proved, as the code says.
pub(crate) fn details(code: RefusalCode, path: &str, door: &NamespaceId) -> Option<HeaderValue> {
    if code != RefusalCode::NotEntitled || !matches!(Call::of(path), Call::Workflow(_)) {
        return None;
    }
    let reason = format!("caller has insufficient permissions for namespace '{door}'");
    let failure = text(1, reason.as_bytes());
    let any = [text(1, b"type.googleapis.com/temporal.api.errordetails.v1.PermissionDeniedFailure"), text(2, &failure)].concat();
    let status = [vec![0x08, code.grpc_status()], text(2, code.message().as_bytes()), text(3, &any)].concat();
    HeaderValue::try_from(STANDARD_NO_PAD.encode(status)).ok()
}

/// One field with a length: `number` below 16, `value` shorter than 2^14 bytes.
fn text(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let length = value.len();
    if length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        out.push((length >> 7) as u8);
    } else {
        out.push(length as u8);
    }
    out.extend_from_slice(value);
    out
}

//! What a request must be before anybody asks whose it is: one host, one path that reads the same to all, a method that is let
//! through. Framing of HTTP/1 was checked before, by the scanner.

use crate::connection::Conn;
use crate::frames::MALFORMED_TARGET;
use countersign_core::{Hostname, Refusal, RefusalCode, admission, path};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use std::rc::Rc;

/// A request that passed.
pub(crate) struct Checked {
    /// The host it names.
    pub(crate) authority: Rc<Hostname>,
    /// The authority as it was written, for the upstream.
    pub(crate) written: HeaderValue,
    /// It asks for a WebSocket.
    pub(crate) websocket: bool,
}

/// [`admission::METHODS`] as the field `Allow` and a remedy write them.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

fn bad(reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::BadRequest, reason, "send the request in its plain form; see the reason")
}

/// Checks `request`.
pub(crate) fn check<B>(conn: &Conn, request: &Request<B>) -> Result<Checked, Refusal> {
    let headers = request.headers();
    if headers.len() > 100 {
        return Err(Refusal::new(RefusalCode::HeadersTooLarge, "the head has more than 100 fields", "send fewer"));
    }
    if headers.contains_key(MALFORMED_TARGET) {
        return Err(bad("the target has a character that no URI has, or is empty (RFC 3986 section 3.3, RFC 9113 section 8.3.1)"));
    }
    let method = request.method();
    if !admission::METHODS.contains(&method.as_str()) {
        return Err(Refusal::new(
            RefusalCode::MethodNotAllowed,
            format!("the method {method} is not let through"),
            format!("use one of {METHODS}"),
        ));
    }
    let written = authority(request)?;
    let name = hostname(conn, &written)?;
    target(request)?;
    if one(headers, &CONTENT_LENGTH).is_err() {
        return Err(bad("Content-Length stands more than once"));
    }
    let websocket = upgrade(conn, request.version(), method, headers)?;
    Ok(Checked { authority: name, written, websocket })
}

/// The only value of a field; an error when there are several.
fn one<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Result<Option<&'h HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The authority as written: Host, or `:authority`, or both when they mean the same.
fn authority<B>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    let host = one(request.headers(), &HOST).map_err(|()| bad("Host stands more than once"))?;
    let Some(in_target) = request.uri().authority() else {
        return host.cloned().ok_or_else(|| bad("the request names no host"));
    };
    if let Some(host) = host {
        let read = host.to_str().ok().and_then(|text| Hostname::parse_authority(text).ok());
        if read.is_none() || read != Hostname::parse_authority(in_target.as_str()).ok() {
            return Err(bad("Host and the authority of the request's target are not the same"));
        }
        return Ok(host.clone());
    }
    HeaderValue::from_str(in_target.as_str()).map_err(|_| bad("the authority is not a host name"))
}

/// The host in its canonical form. A connection's requests nearly always name the same one, so the last reading is kept.
fn hostname(conn: &Conn, written: &HeaderValue) -> Result<Rc<Hostname>, Refusal> {
    if let Some((bytes, name)) = conn.authority.borrow().as_ref()
        && bytes == written.as_bytes()
    {
        return Ok(Rc::clone(name));
    }
    let name = written.to_str().ok().and_then(|text| Hostname::parse_authority(text).ok());
    let name = Rc::new(name.ok_or_else(|| bad("Host or :authority is not a host name with at most a port"))?);
    *conn.authority.borrow_mut() = Some((written.as_bytes().to_vec(), Rc::clone(&name)));
    Ok(name)
}

fn target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    if uri.authority().is_some() && uri.scheme_str().is_none_or(|s| s != "https" && s != "http") {
        return Err(bad("the target is neither a path nor an absolute URL of http or https"));
    }
    let target = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    if !target.starts_with('/') {
        return Err(bad("the target has no path that begins with a slash"));
    }
    path::check(uri.path()).map_err(|e| bad(e.to_string()))?;
    match uri.query() {
        Some(query) if !query.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'#') => {
            Err(bad("the query has a byte that is not printable ASCII"))
        }
        _ => Ok(()),
    }
}

/// Whether a WebSocket is asked for; any other upgrade is refused.
fn upgrade(conn: &Conn, version: Version, method: &Method, headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(upgrade) = one(headers, &UPGRADE).map_err(|()| bad("Upgrade stands more than once"))? else { return Ok(false) };
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    if conn.h2 || version != Version::HTTP_11 || method != Method::GET || !named || !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return Err(bad("the only upgrade that is let through is GET to websocket over HTTP/1.1"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_that_are_named_are_the_methods_that_pass() {
        assert_eq!(METHODS, admission::METHODS.join(", "));
    }
}

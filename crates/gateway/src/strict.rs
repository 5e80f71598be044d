//! What a request must be before anybody asks whose it is: one host, one path that reads the same to all, a method that is let
//! through. Framing of HTTP/1 was checked before, by the scanner.

use crate::connection::Conn;
use crate::frames::MALFORMED_TARGET;
use countersign_core::{Hostname, Refusal, RefusalCode, admission, path_form};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use std::borrow::Cow;
use std::rc::Rc;

/// A request that passed.
pub(crate) struct Checked {
    /// The host it names.
    pub(crate) authority: Rc<Hostname>,
    /// The host for the upstream: lower case, no trailing dot, and a port only where it is the listener's.
    pub(crate) host: HeaderValue,
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
    let (name, host) = hostname(conn, &written)?;
    target(request)?;
    if one(headers, &CONTENT_LENGTH).is_err() {
        return Err(bad("Content-Length stands more than once"));
    }
    let websocket = upgrade(conn, request.version(), method, headers)?;
    Ok(Checked { authority: name, host, websocket })
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
fn hostname(conn: &Conn, written: &HeaderValue) -> Result<(Rc<Hostname>, HeaderValue), Refusal> {
    if let Some((bytes, name, host)) = conn.authority.borrow().as_ref()
        && bytes == written.as_bytes()
    {
        return Ok((Rc::clone(name), host.clone()));
    }
    let not_one = || bad("Host or :authority is not a host name with at most a port");
    let text = written.to_str().map_err(|_| not_one())?;
    let name = Rc::new(Hostname::parse_authority(text).map_err(|_| not_one())?);
    let port = text.split_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port == conn.listener_port);
    let host = port.map_or_else(|| name.to_string(), |port| format!("{name}:{port}"));
    let host = HeaderValue::try_from(host).map_err(|_| not_one())?;
    *conn.authority.borrow_mut() = Some((written.as_bytes().to_vec(), Rc::clone(&name), host.clone()));
    Ok((name, host))
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
    // Forms that an API may allow are admission's to judge; what no API can allow ends here.
    path_form::forms(uri.path()).map_err(|e| bad(e.to_string()))?;
    match uri.query() {
        Some(query) if !query.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'#') => {
            Err(bad("the query has a byte that is not printable ASCII"))
        }
        _ => Ok(()),
    }
}

/// Writes the escapes of the path in upper case: one spelling is routed, authorised and forwarded (RFC 3986 section 6.2.2.1).
pub(crate) fn make_canonical<B>(request: &mut Request<B>) {
    let Cow::Owned(path) = path_form::with_upper_escapes(request.uri().path()) else { return };
    let target = request.uri().query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = request.uri().clone().into_parts();
    // The letters of an escape change no rule of a URI. A target that is none any more is refused as it came.
    let Ok(target) = PathAndQuery::try_from(target) else { return };
    parts.path_and_query = Some(target);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
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

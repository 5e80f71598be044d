//! What all pages for people share: the frame, escaping, forms, cookies, and the question who looks. No page decides a right here.

use crate::app::App;
use crate::error::{AsItIs, Refused, RequestId};
use crate::listener::Peer;
use crate::login::record::Origin;
use crate::login::session::{self, Current};
use axum::extract::{Query, Request};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use countersign_store::SessionKind;
use std::fmt::Write as _;

/// The pages may load their own styles, send their own forms, and nothing else.
pub const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The prefix binds a cookie to this host, to TLS and to the path `/` (RFC 6265bis section 4.1.3.2).
pub const SESSION_COOKIE: &str = "__Host-countersign-session";
/// Bytes of a form.
const FORM_BYTES_MAX: usize = 8 * 1024;

/// Text inside HTML, in an element or a quoted attribute. Marks that turn the direction of writing are shown as their numbers: a
/// name must not rearrange the line it stands in.
pub fn text(given: &str) -> String {
    let mut out = String::with_capacity(given.len());
    for c in given.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A whole page; `top` stands right of the mark.
pub fn shell(title: &str, top: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"/pages.css\"></head><body><header><a class=\"mark\" href=\"/\">Countersign</a>{top}</header>\
         <main>{body}</main></body></html>",
        text(title)
    )
}

/// A page with one card.
pub fn small(title: &str, body: &str) -> String {
    shell(&format!("{title} – Countersign"), "", &format!("<div class=\"card\"><h1>{}</h1>{body}</div>", text(title)))
}

/// What stands right of the mark for somebody who is signed in.
pub fn top(name: &str) -> String {
    format!(
        "<a href=\"/console/\">Console</a><a class=\"me\" href=\"/security\"><bdi>{}</bdi></a><form method=\"post\" action=\"/logout\"><button class=\"quiet\">Sign out</button></form>",
        text(name)
    )
}

/// A labelled field. `extra` is attributes written by us.
pub fn field(label: &str, name: &str, kind: &str, value: &str, extra: &str) -> String {
    format!("<label>{}<input type=\"{kind}\" name=\"{name}\" value=\"{}\" {extra}></label>", text(label), text(value))
}

/// A hidden field.
pub fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", text(value))
}

/// What went wrong, above a form.
pub fn alert(sentence: &str) -> String {
    if sentence.is_empty() { String::new() } else { format!("<p class=\"alert\" role=\"alert\">{}</p>", text(sentence)) }
}

/// The answer to a browser at an address that has no page.
pub fn nothing_here() -> Response {
    let body = "<p>There is no page at this address. It may have been mistyped, or what it showed was deleted.</p>\
                <a class=\"button main\" href=\"/\">Overview</a>";
    let mut response = page(StatusCode::NOT_FOUND, small("Page not found", body));
    response.extensions_mut().insert(AsItIs);
    response
}

/// An answer with a page.
pub fn page(status: StatusCode, text: String) -> Response {
    page_with_policy(status, text, PAGE_POLICY)
}

/// The same with another policy, for the page whose form ends at a tool's own address.
pub fn page_with_policy(status: StatusCode, text: String, policy: &str) -> Response {
    let mut response = (status, [(CONTENT_TYPE, "text/html; charset=utf-8"), (REFERRER_POLICY, "no-referrer")], text).into_response();
    // The policy's one variable part is a checked origin; without a policy nothing may load at all, which the envelope sees to.
    if let Ok(policy) = HeaderValue::from_str(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// To another address, with cookies on the way.
pub fn see(location: &str, cookies: &[String]) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(REFERRER_POLICY, "no-referrer")]).into_response();
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, value);
    }
    with_cookies(response, cookies)
}

/// Adds cookies to an answer.
pub fn with_cookies(mut response: Response, cookies: &[String]) -> Response {
    for cookie in cookies {
        // Their values are ours: letters, digits, `_` and `-`.
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// A cookie that comes back only from our own pages.
pub fn strict(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict")
}

/// A cookie's end.
pub fn gone(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

/// A cookie's text, when exactly one of the name is given.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Where a request comes from.
pub fn origin_of(request: &Request) -> Origin {
    let agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Origin {
        source: request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string()).unwrap_or_default(),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        agent: agent.chars().filter(|c| !c.is_control()).take(120).collect(),
    }
}

/// The session of the browser that asks.
///
/// # Errors
/// When the store fails.
pub async fn who(app: &App, headers: &HeaderMap, origin: &Origin) -> Result<Option<Current>, Refused> {
    match cookie(headers, SESSION_COOKIE) {
        Some(text) => session::current(app, SessionKind::Browser, text, origin).await,
        None => Ok(None),
    }
}

/// `host[:port]` as the request names it; the envelope has checked that the host is ours.
pub fn authority(request: &Request) -> Option<String> {
    let named = request.uri().authority().map(|a| a.as_str().to_owned());
    let named = named.or_else(|| Some(request.headers().get(HOST)?.to_str().ok()?.to_owned()))?;
    // Read again, so that what is said back is a host and a port and nothing else.
    let read: axum::http::uri::Authority = named.parse().ok()?;
    (!read.as_str().contains('@')).then(|| read.as_str().to_owned())
}

/// `https://HOST[:PORT]` of these pages, from the settings. What a request calls this server is nothing to build addresses from: they
/// are handed on, and go into what others compare.
pub fn public_url(app: &App) -> String {
    let url = &app.desk.settings().public_url;
    if !url.is_empty() {
        return url.clone();
    }
    // Only a control plane that nobody has told how people log in, as in tests, has none.
    format!("https://{}", app.settings.control_hosts.first().map_or("localhost", String::as_str))
}

/// Whether a page of this very origin sent the form. A page with `no-referrer` sends `Origin: null`, so that a browser's own word,
/// `Sec-Fetch-Site`, is asked first; one that says neither is refused.
pub fn is_own_form(request: &Request) -> bool {
    is_own_origin(request.uri(), request.headers())
}

/// The same of a request's parts.
pub fn is_own_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = uri.authority().map(|a| a.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
    match (headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()), host) {
        (Some(origin), Some(host)) => origin.strip_prefix("https://").is_some_and(|named| named.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

/// The answer to a form that another page sent.
pub fn foreign_form() -> Response {
    let body = "<p>It was sent by another page, or by a program that does not say where it comes from.</p><p>Open the address in your \
                browser and press the button there; a program sends <code>Origin: https://HOST:PORT</code>.</p>";
    page(StatusCode::FORBIDDEN, small("This form did not come from here", body))
}

/// Names and values of a form or a query.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// From a query's text. One that cannot be read is empty.
    pub fn read(query: &str) -> Self {
        // A query has no other reader here than the one for addresses.
        let read = format!("/?{query}").parse::<Uri>().ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
        Self(read.map(|Query(pairs)| pairs).unwrap_or_default())
    }

    /// From a request's address.
    pub fn of_query(request: &Request) -> Self {
        request.uri().query().map(Self::read).unwrap_or_default()
    }

    /// From a request's body, bounded.
    pub async fn of_body(request: Request) -> Self {
        let Ok(bytes) = super::body::whole(request.into_body()).await else { return Self::default() };
        if bytes.len() > FORM_BYTES_MAX {
            return Self::default();
        }
        std::str::from_utf8(&bytes).map(Self::read).unwrap_or_default()
    }

    /// A value, empty when there is none; one that stands there twice is none.
    pub fn get(&self, name: &str) -> &str {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => value,
            _ => "",
        }
    }

    /// Whether the name stands there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// Where a login leads afterwards: only to pages of ours that lead on, never elsewhere.
pub fn next(wanted: &str) -> &str {
    let path = wanted.split(['?', '#']).next().unwrap_or("");
    // Addresses of the console are words and ids, so that no browser reads one of them as something else.
    let plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b));
    let console = path.strip_prefix("/console").is_some_and(|rest| (rest.is_empty() || rest.starts_with('/')) && plain(rest));
    let ours = console || matches!(path, "/device" | "/oauth/authorize" | "/security");
    if ours && wanted.len() <= 2000 && wanted.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>".contains(&b)) { wanted } else { "/" }
}

/// A text inside a query.
pub fn encoded(given: &str) -> String {
    let mut out = String::with_capacity(given.len());
    for byte in given.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_place() {
        assert_eq!(text("<b a=\"'&"), "&lt;b a=&quot;&#39;&amp;");
        assert_eq!(text("a\u{202e}b\u{2066}\u{200b}\0c"), "a[U+202E]b[U+2066][U+200B] c");
    }

    #[test]
    fn a_login_leads_to_our_own_pages_alone() {
        for good in
            ["/device", "/device?user_code=BCDF-GHJK", "/oauth/authorize?client_id=x&state=%2F", "/security", "/console/applications/a1"]
        {
            assert_eq!(next(good), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/device",
            "/device/../x",
            "/console/../x",
            "/consoles",
            "/logout",
            "/device\r\nX: y",
            "/device\"",
            "/oauth/authorize@evil",
        ] {
            assert_eq!(next(bad), "/", "{bad}");
        }
    }

    #[test]
    fn of_two_values_of_a_name_none_counts() {
        let form = Form::read("a=1&b=2&b=3&c=%26+x");
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.get("d")), ("1", "", "& x", ""));
    }
}

//! The last steps: one request through the door, the two clocks, and what its answer means.

use super::report::{Mark, Report};
use countersign_core::{Secret, Timestamp};
use http::header::{AUTHORIZATION, DATE, HOST, USER_AGENT};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(30);
/// More of an answer is not read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How far two clocks may be apart before it is worth saying, in seconds.
const SKEW: i64 = 30;

/// What is asked.
pub struct Asked<'a> {
    /// The door.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The method.
    pub method: http::Method,
    /// The path.
    pub path: &'a str,
    /// The key, if there is one.
    pub api_key: Option<&'a Secret>,
}

/// Sends it over a connection to a server that is known to be the right one.
pub async fn send(report: &mut Report, stream: TlsStream<TcpStream>, asked: &Asked<'_>, now: Timestamp) {
    let answer = tokio::time::timeout(PATIENCE, exchange(stream, asked)).await;
    let (head, body) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(detail)) => {
            report.note("answer", Mark::Failed, detail, "look at the gateway's log at this moment");
            return;
        }
        Err(_) => {
            let detail = format!("none within {} s", PATIENCE.as_secs());
            report.note(
                "answer",
                Mark::Failed,
                detail,
                "the upstream may be slow or gone: look whether it answers from the gateway's machine",
            );
            return;
        }
    };
    clock(report, &head, now);
    let status = head.status;
    let refusal = serde_json::from_slice::<serde_json::Value>(&body).ok().filter(|body| body["error"]["refusal_id"].is_string());
    match refusal {
        Some(body) => {
            let text = |member: &str| body["error"][member].as_str().unwrap_or("").to_owned();
            let (code, id) = (text("code"), text("refusal_id"));
            let how = if asked.api_key.is_some() { "with the API key" } else { "without an API key" };
            report.note(
                "answer",
                Mark::Failed,
                format!("{status}, refused by the gateway {how}: {code} ({}), refusal {id}", text("message")),
                format!("{}; an admin sees the reason with: countersign refusal get --id {id}", remedy(&code)),
            );
        }
        None if status.is_server_error() => {
            report.note(
                "answer",
                Mark::Warning,
                format!("{status}, from the upstream: the request was let in"),
                "look at the upstream's log",
            );
        }
        None => report.note("answer", Mark::Ok, format!("{status}: let in, and answered by the upstream"), ""),
    }
}

async fn exchange(stream: TlsStream<TcpStream>, asked: &Asked<'_>) -> Result<(http::response::Parts, bytes::Bytes), String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let authority =
        if asked.host.contains(':') { format!("[{}]:{}", asked.host, asked.port) } else { format!("{}:{}", asked.host, asked.port) };
    let mut request = http::Request::builder()
        .method(asked.method.clone())
        .uri(asked.path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("countersign-doctor/", env!("CARGO_PKG_VERSION")));
    if let Some(key) = asked.api_key {
        // The one place where the key leaves: the header of a request over verified TLS.
        request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|_| "the request cannot be written like this".to_owned())?;
    let response = sender.send_request(request).await.map_err(|error| format!("the connection ended without an answer: {error}"))?;
    let (head, body) = response.into_parts();
    // A body that goes on for ever is none that has to be read.
    let body = tokio::time::timeout(Duration::from_secs(2), Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    driver.abort();
    Ok((head, body))
}

/// Compares the answer's `Date` with this machine's time: most expiries that nobody understands are clocks.
fn clock(report: &mut Report, head: &http::response::Parts, now: Timestamp) {
    let theirs = head.headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(parse_date);
    let Some(theirs) = theirs else {
        report.note("clock", Mark::Skipped, "the answer has no date", "");
        return;
    };
    let ahead = now.seconds() - theirs;
    if ahead.abs() <= SKEW {
        report.note("clock", Mark::Ok, format!("within {SKEW} s of the server's"), "");
        return;
    }
    let word = if ahead > 0 { "ahead of" } else { "behind" };
    report.note(
        "clock",
        Mark::Warning,
        format!("this machine is {} s {word} the server", ahead.abs()),
        "set both by NTP: certificates and keys begin and end by the clock",
    );
}

/// An IMF-fixdate (RFC 9110 section 5.6.7) as seconds since 1970.
fn parse_date(text: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second())
}

/// What the client can do about a code of CONTRACT section 4.
fn remedy(code: &str) -> &'static str {
    match code {
        "certificate_required" => "this door takes client certificates: give --certificate FILE --key FILE",
        "certificate_unknown" => {
            "register the certificate (countersign key create), or have its CA accepted (namespace accepted-client-ca add)"
        }
        "key_missing" => "give an API key (--api-key or COUNTERSIGN_API_KEY) or a client certificate",
        "key_malformed" => "copy the key whole, as it was shown once",
        "key_unknown" => "check that this key is of this account and was not deleted",
        "key_expired" => "create a new key: countersign apikey create",
        "key_disabled" => "have it enabled: countersign apikey enable",
        "certificate_not_enabled" => "this API takes no client certificate: an admin can switch that on",
        "certificate_expired" => "renew the certificate, and look at the CAs above it",
        "certificate_not_yet_valid" => "compare the clocks of this machine, of the CA and of the gateway",
        "certificate_revoked" => "make a new key and a new certificate: a revoked one never comes back",
        "certificate_filtered" => "the namespace's certificate filters do not match the subject: compare them",
        "not_entitled" => "the identity has no right here: an admin gives it with set-namespace-permissions",
        "misdirected" => "use one host name for the connection and for the request",
        "no_route" => "no API listens at this path and the namespace has no upstream",
        "rate_limited" | "quota_exceeded" => "wait as long as Retry-After says",
        "stale_snapshot" => "the gateway has not heard from its control plane for too long",
        "upstream_unavailable" => "look whether the upstream runs and is reachable from the gateway",
        _ => "look the refusal up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_read() {
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_date("yesterday"), None);
    }
}

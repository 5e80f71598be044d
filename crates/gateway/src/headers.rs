//! Header fields toward the upstream and back: what belongs to one connection only is taken off, whatever looks like ours is
//! taken off, ours are set last (promise P7).

use countersign_core::admission::Permit;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE};

/// Who it is.
pub(crate) const IDENTITY: HeaderName = HeaderName::from_static("countersign-identity");
/// What kind of identity.
pub(crate) const IDENTITY_KIND: HeaderName = HeaderName::from_static("countersign-identity-kind");
/// By which credential.
pub(crate) const CREDENTIAL: HeaderName = HeaderName::from_static("countersign-credential");
/// At which door.
pub(crate) const NAMESPACE: HeaderName = HeaderName::from_static("countersign-namespace");
/// The client's certificate (RFC 9440).
pub(crate) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How our own fields begin.
const OURS: &str = "countersign-";

/// Families that carry somebody's word about the client. After every character that is neither letter nor digit is read as a
/// hyphen, since an upstream may read `_` and `-` as one.
const FAMILIES: &[&str] = &[
    "countersign-",
    "client-cert",
    "x-forwarded-",
    "x-client-",
    "x-ssl-",
    "ssl-",
    "x-remote-",
    "remote-",
    "x-webauth-",
    "x-auth-request-",
    "x-authenticated-",
    "x-user",
    "x-tenant",
    "x-namespace",
    "x-real-",
    "x-original-",
    "x-rewrite-",
    "x-http-method",
    "x-method-override",
    "x-envoy-",
    "grpc-metadata-",
    "x-cluster-client-",
    "x-arr-",
    "true-client-",
    "cf-connecting-",
    "proxy-",
    "tailscale-user-",
    "x-goog-authenticated-",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-amzn-mtls-",
    "x-proxyuser-",
    "x-proxy-",
    "x-forward-",
    "x-host-",
    "x-url-scheme",
    "x-originating-",
    "x-tls-",
    "x-mtls-",
    "x-cert-",
    "x-certificate",
    "x-appengine-",
    "x-apigateway-",
    "x-endpoint-api-",
    "x-vercel-ip-",
    "x-vercel-forwarded-",
    "x-azure-clientip",
    "x-azure-socketip",
    "cf-access-",
    "cf-ipcountry",
    "cf-visitor",
    "tls-client-",
    "front-end-https",
    "fastly-client-",
    "fastly-ssl",
    "wl-proxy-",
];
const EXACT: &[&str] = &[
    "forwarded",
    "via",
    "x-forwarded",
    "x-https",
    "x-ssl",
    "x-for",
    "x-host",
    "x-scheme",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
];
/// Fields of one connection (RFC 9110 section 7.6.1), and those that this gateway answers for itself.
const RESPONSE_HOPS: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "proxy-authenticate"];
const HOP_BY_HOP: &[&str] =
    &["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "http2-settings", "expect", "proxy-connection"];

/// Whether the name is one of ours or of a family that speaks of the client's identity.
pub(crate) fn is_look_alike(name: &str) -> bool {
    let plain = |b: u8| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' };
    let begins = |family: &str| name.len() >= family.len() && name.bytes().map(plain).zip(family.bytes()).all(|(a, b)| a == b);
    // Every entry begins with one of these; most fields of real requests do not.
    if !matches!(
        name.as_bytes().first().map(|b| plain(*b)),
        Some(b'a' | b'c' | b'f' | b'g' | b'p' | b'r' | b's' | b't' | b'v' | b'w' | b'x')
    ) {
        return false;
    }
    FAMILIES.iter().any(|family| begins(family)) || EXACT.iter().any(|exact| exact.len() == name.len() && begins(exact))
}

fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || is_odd_framing(name)
}

/// Whether a name becomes one that frames or routes when an upstream reads `_` or another odd character as a hyphen: two lengths
/// for one body is how requests are smuggled (promise P8).
fn is_odd_framing(name: &str) -> bool {
    let plain = |b: u8| if b.is_ascii_alphanumeric() { b } else { b'-' };
    let odd = name.bytes().any(|b| plain(b) != b);
    odd && HOP_BY_HOP.iter().chain(&["content-length"]).any(|known| name.len() == known.len() && name.bytes().map(plain).eq(known.bytes()))
}

/// Names that `Connection` lists.
fn connection_tokens(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect()
}

/// Takes off what must not go on from a request. Tells whether the client takes trailers.
pub(crate) fn clean_request(headers: &mut HeaderMap) -> bool {
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|t| t.trim().eq_ignore_ascii_case("trailers"));
    clean(headers);
    takes_trailers
}

/// Whether only this gateway may say it, in an answer too.
fn is_ours(name: &str) -> bool {
    let plain = |b: u8| if b.is_ascii_alphanumeric() { b } else { b'-' };
    name.len() > OURS.len() && name.bytes().map(plain).zip(OURS.bytes()).all(|(a, b)| a == b)
}

/// Takes off what must not go on from a response or its trailers: fields of its connection, and whatever is named as ours are: the id of
/// a refusal above all. The rest is the upstream's word.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in connection_tokens(headers) {
            headers.remove(name);
        }
    }
    // Most answers hold none of them, and one look over the few names there costs less than a look-up for each.
    let drop: Vec<HeaderName> =
        headers.keys().filter(|name| RESPONSE_HOPS.contains(&name.as_str()) || is_ours(name.as_str())).cloned().collect();
    for name in drop {
        headers.remove(name);
    }
}

/// Copies every value to memory of its own, for a client of HTTP/2. A value as it was read shares the upstream connection's read buffer, and
/// the table of the client's header compression (RFC 7541 section 2.3.2) keeps values for as long as the client stays connected: each idle
/// client would hold a whole buffer for a few bytes.
pub(crate) fn detach(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
}

/// Takes off what must not come behind a request's body: look-alikes, and fields that route, frame or authenticate (RFC 9110
/// section 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    clean(trailers);
    for name in [AUTHORIZATION, CONTENT_LENGTH, HOST] {
        trailers.remove(name);
    }
}

/// Takes off connection fields and look-alikes.
fn clean(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in connection_tokens(headers) {
            headers.remove(name);
        }
    }
    let drop: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str()) || is_look_alike(name.as_str())).cloned().collect();
    for name in drop {
        headers.remove(name);
    }
}

/// The values of our headers for one credential at one door.
#[derive(Debug)]
pub(crate) struct IdentityHeaders {
    identity: HeaderValue,
    kind: HeaderValue,
    credential: HeaderValue,
    namespace: HeaderValue,
}

impl IdentityHeaders {
    /// Of a permit; `None` if a text of it were no header value, which ids and digests always are.
    pub(crate) fn of(permit: &Permit) -> Option<Self> {
        Some(Self {
            identity: HeaderValue::from_str(&permit.identity_text()).ok()?,
            kind: HeaderValue::from_static(permit.identity_kind()),
            credential: HeaderValue::from_str(&permit.credential_text()).ok()?,
            namespace: HeaderValue::from_str(permit.namespace().id.as_str()).ok()?,
        })
    }

    /// Who it is.
    pub(crate) fn identity(&self) -> HeaderValue {
        self.identity.clone()
    }

    /// What kind of identity.
    pub(crate) fn kind(&self) -> HeaderValue {
        self.kind.clone()
    }

    /// Sets them, after [`clean_request`].
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(IDENTITY, self.identity.clone());
        headers.insert(IDENTITY_KIND, self.kind.clone());
        headers.insert(CREDENTIAL, self.credential.clone());
        headers.insert(NAMESPACE, self.namespace.clone());
    }
}

/// Joins the fields in which an HTTP/2 client sends its cookies into the one that HTTP/1 has (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).filter(|crumb| !crumb.is_empty()).collect();
    // What came as values of fields is one together.
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// Sets where the request came from, as single values.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, client: HeaderValue, host: HeaderValue) {
    headers.insert(FORWARDED_FOR, client);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(FORWARDED_HOST, host);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn h_01_every_family_of_appendix_b_is_taken_off_in_every_spelling() {
        for name in countersign_testkit::FORGED_HEADERS {
            for spelling in [name.to_lowercase(), name.to_uppercase(), name.replace('-', "_"), name.replace('-', ".")] {
                assert!(is_look_alike(&spelling), "{spelling}");
            }
        }
        for name in [
            "host",
            "temporal-namespace",
            "client-name",
            "client-version",
            "content-type",
            "grpc-timeout",
            "x-request-id",
            "via-x",
            "user-agent",
            "trailer",
            "traceparent",
        ] {
            assert!(!is_look_alike(name), "{name}");
        }
    }

    #[test]
    fn a_detached_value_holds_nothing_of_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(vec![b'v'; 8192]);
        let mut headers = HeaderMap::new();
        for name in ["etag", "etag", "x-token"] {
            headers.append(name, HeaderValue::from_maybe_shared(buffer.slice(100..110)).unwrap());
        }
        headers.get_mut("x-token").unwrap().set_sensitive(true);
        let before = headers.clone();
        detach(&mut headers);
        assert_eq!(headers, before);
        assert!(headers["x-token"].is_sensitive() && !headers["etag"].is_sensitive());
        drop(before);
        assert!(buffer.is_unique());
    }

    #[test]
    fn an_upstream_cannot_speak_as_the_gateway() {
        let mut headers = HeaderMap::new();
        for name in ["countersign-identity", "countersign-refusal-id", "countersign_namespace", "countersign-anything"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        headers.insert("x-countersign", HeaderValue::from_static("1"));
        clean_response(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-countersign"]);
    }

    #[test]
    fn the_cookies_of_several_fields_are_joined_as_rfc_9113_says() {
        let mut headers = HeaderMap::new();
        for crumb in ["session=abc", "csrftoken=def", "", "a=b; c=d"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["session=abc; csrftoken=def; a=b; c=d"]);
    }

    #[test]
    fn a_length_in_an_odd_spelling_is_taken_off() {
        for name in ["transfer_encoding", "content_length", "transfer.encoding", "keep_alive", "content~length"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["content-length", "content_type", "x_content_length", "content-lengths"] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn a_connection_token_cannot_take_ours_away() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("countersign-identity, x-a, close"));
        headers.insert("x-a", HeaderValue::from_static("1"));
        headers.insert("x-b", HeaderValue::from_static("2"));
        headers.append(IDENTITY, HeaderValue::from_static("evil"));
        assert!(!clean_request(&mut headers));
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-b"));
    }
}

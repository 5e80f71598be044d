//! The gateway's refusals: one table of codes, with their HTTP and gRPC faces (CONTRACT section 4).

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $http:literal $grpc:literal $message:literal;)*) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode { $($(#[$doc])* $name,)* }

        impl RefusalCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// The gRPC status code.
            pub const fn grpc_status(self) -> u8 {
                match self { $(Self::$name => $grpc,)* }
            }

            /// What the client is told: one sentence that names nothing of anybody's.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

codes! {
    /// The route takes certificates only, and none was presented.
    CertificateRequired "certificate_required" 401 16 "A client certificate is required.";
    /// A leaf that nothing here knows.
    CertificateUnknown "certificate_unknown" 401 16 "The client certificate is not known here.";
    /// Only a certificate came, and the route does not take one.
    CertificateNotEnabled "certificate_not_enabled" 401 16 "This API does not take a client certificate; an admin can turn on client certificates for it.";
    /// No API key.
    KeyMissing "key_missing" 401 16 "A credential is required: send an API key as a bearer token.";
    /// A bearer that has not the shape or checksum of a key.
    KeyMalformed "key_malformed" 401 16 "Invalid API key: it is not well formed; check that it was copied whole.";
    /// A key that nothing here knows.
    KeyUnknown "key_unknown" 401 16 "Invalid API key: check that it was copied correctly and that it was not deleted.";
    /// A key past its end.
    KeyExpired "key_expired" 401 16 "Invalid API key: it has expired.";
    /// A disabled key.
    KeyDisabled "key_disabled" 401 16 "Invalid API key: it is disabled.";
    /// The path of the certificate has ended.
    CertificateExpired "certificate_expired" 403 7 "The client certificate, or the CA that vouches for it, has expired.";
    /// It begins later.
    CertificateNotYetValid "certificate_not_yet_valid" 403 7 "The client certificate is not valid yet.";
    /// It was revoked.
    CertificateRevoked "certificate_revoked" 403 7 "The client certificate is revoked.";
    /// No filter of the namespace matches it.
    CertificateFiltered "certificate_filtered" 403 7 "The client certificate matches no certificate filter.";
    /// API, method, path or namespace not in the rights.
    NotEntitled "not_entitled" 403 7 "Request unauthorized.";
    /// Server name and authority disagree.
    Misdirected "misdirected" 421 3 "The request names another host than the connection.";
    /// The request can be read in two ways.
    BadRequest "bad_request" 400 3 "The request is ambiguous or malformed.";
    /// A method that is not let through.
    MethodNotAllowed "method_not_allowed" 405 12 "The method is not allowed.";
    /// Header fields larger than the limit.
    HeadersTooLarge "headers_too_large" 431 8 "The header fields are too large.";
    /// A message larger than the gateway looks into.
    MessageTooLarge "message_too_large" 413 8 "The message is too large.";
    /// No API at that path.
    NoRoute "no_route" 404 5 "Nothing is served at this path.";
    /// Over its rate.
    RateLimited "rate_limited" 429 8 "Too many requests.";
    /// Over its quota.
    QuotaExceeded "quota_exceeded" 429 8 "The quota is used up.";
    /// The gateway has not heard from the control plane for too long.
    StaleSnapshot "stale_snapshot" 503 14 "This gateway has not heard from its control plane for too long.";
    /// The upstream does not answer.
    UpstreamUnavailable "upstream_unavailable" 503 14 "The service behind this gateway does not answer.";
    /// The upstream's answer does not belong to the request.
    UpstreamInvalid "upstream_invalid" 502 14 "The service behind this gateway gave an invalid answer.";
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal with what an owner or admin may see of it; the client sees only the code's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: RefusalCode,
    /// Which rule refused, in one sentence.
    pub reason: String,
    /// What to do, as a command where there is one.
    pub remedy: String,
}

impl Refusal {
    /// One sentence of reason, one of remedy.
    pub fn new(code: RefusalCode, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), remedy: remedy.into() }
    }
}

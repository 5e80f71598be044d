//! Namespaces: protected doors, with their upstream, auth methods, accepted client CAs, filters and APIs.

use crate::credential::certificate::Fingerprint;
use crate::filter::CertificateFilter;
use crate::id::ApiId;
use crate::name::{Hostname, NamespaceId};
use crate::path;
use crate::path_form::{self, PathForm};
use crate::time::{Lifetime, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How a namespace lets its clients in, in `tcld`'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// Nobody: a new namespace is closed.
    Restricted,
    /// Client certificates.
    Mtls,
    /// API keys.
    ApiKey,
    /// Either.
    ApiKeyOrMtls,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Restricted, Self::Mtls, Self::ApiKey, Self::ApiKeyOrMtls];

    /// The word in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Mtls => "mtls",
            Self::ApiKey => "api_key",
            Self::ApiKeyOrMtls => "api_key_or_mtls",
        }
    }

    /// Reads the word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str().eq_ignore_ascii_case(text))
    }

    /// What it takes.
    pub const fn authentication(self) -> Authentication {
        Authentication {
            api_key: matches!(self, Self::ApiKey | Self::ApiKeyOrMtls),
            client_certificate: matches!(self, Self::Mtls | Self::ApiKeyOrMtls),
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which kinds of credential a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// API keys as bearers.
    pub api_key: bool,
    /// Client certificates: accepted CAs and registered leaves. Seed 003's *Enable client certificate*.
    pub client_certificate: bool,
}

/// How to speak to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HTTP/1.1 in clear text; HTTP/2 with prior knowledge for gRPC.
    Http,
    /// HTTP/2 with prior knowledge, in clear text, for everything.
    H2c,
    /// TLS; HTTP/2 or HTTP/1.1 by ALPN.
    Https,
}

/// Where admitted requests go: `http://`, `h2c://` or `https://`, a host and a port, nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upstream {
    /// How to speak.
    pub scheme: Scheme,
    /// A host name or an IP address (an IPv6 address without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream is http://HOST:PORT, h2c://HOST:PORT or https://HOST:PORT, without a path, user or query")]
pub struct UpstreamError;

impl Upstream {
    /// Reads the text form. A port may be left out: 80 and 443.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        let (scheme, rest) = text.split_once("://").ok_or(UpstreamError)?;
        let (scheme, default_port) = match scheme {
            "http" => (Scheme::Http, 80),
            "h2c" => (Scheme::H2c, 80),
            "https" => (Scheme::Https, 443),
            _ => return Err(UpstreamError),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(v6) = rest.strip_prefix('[') {
            let (host, tail) = v6.split_once(']').ok_or(UpstreamError)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UpstreamError)?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').ok_or(UpstreamError)?) })
        } else {
            let (host, port) = rest.split_once(':').map_or((rest, None), |(h, p)| (h, Some(p)));
            if host.parse::<std::net::Ipv4Addr>().is_err() && Hostname::parse(host).is_err() {
                return Err(UpstreamError);
            }
            (host, port)
        };
        let port = match port {
            None => default_port,
            Some(p) if !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) => p.parse().ok().filter(|p| *p > 0).ok_or(UpstreamError)?,
            Some(_) => return Err(UpstreamError),
        };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port })
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::H2c => "h2c",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl TryFrom<String> for Upstream {
    type Error = UpstreamError;
    fn try_from(text: String) -> Result<Self, UpstreamError> {
        Self::parse(&text)
    }
}

impl From<Upstream> for String {
    fn from(upstream: Upstream) -> String {
        upstream.to_string()
    }
}

/// One accepted client CA. The DER is kept as it came; the facts are for lists and for admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedCa {
    /// The DER; hexadecimal in documents, where a list of numbers would be four times as long.
    #[serde(with = "crate::credential::hex_bytes")]
    pub der: Vec<u8>,
    /// SHA-256 of the DER.
    pub fingerprint: Fingerprint,
    /// SHA-1 of the DER, lower-case hexadecimal without colons: what `tcld` prints and takes. A name, never a proof.
    pub fingerprint_sha1: String,
    /// Subject in RFC 4514 form.
    pub subject: String,
    /// Issuer in RFC 4514 form.
    pub issuer: String,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity. From then on it vouches for nobody (research/pki.md A8).
    pub not_after: Timestamp,
    /// What was remarkable when it was accepted, rule by rule.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// A root of the public Web PKI: only together with at least one filter (A11).
    #[serde(default)]
    pub well_known: bool,
    /// When its revocation list becomes stale, where the rule is that a stale one lets nobody in (research/pki.md E4). `None`: a
    /// stale list goes on to keep out whom it names, and nobody else.
    #[serde(default)]
    pub refuse_after: Option<Timestamp>,
}

/// How long the gateway waits for an upstream. What is absent is the wider setting: the namespace's, then the gateway's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTimeouts {
    /// For a connection, its TLS handshake included.
    pub connect: Option<Lifetime>,
    /// For the head of a response, counted from the end of the request's body or the last bytes of it that were sent.
    pub response_head: Option<Lifetime>,
    /// For the next byte in either direction, once a response has begun.
    pub idle: Option<Lifetime>,
}

impl UpstreamTimeouts {
    /// These, and where they say nothing, `wider`.
    #[must_use]
    pub fn or(self, wider: Self) -> Self {
        Self {
            connect: self.connect.or(wider.connect),
            response_head: self.response_head.or(wider.response_head),
            idle: self.idle.or(wider.idle),
        }
    }
}

/// A route of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    /// The id.
    pub id: ApiId,
    /// A name for people, unique in the namespace.
    pub name: String,
    /// The path at and below which it listens; begins with a slash.
    pub listen_path: String,
    /// Where its requests go; the namespace's when absent.
    pub upstream: Option<Upstream>,
    /// Which credentials it takes.
    pub authentication: Authentication,
    /// Whether the API key is passed on to the upstream.
    #[serde(default)]
    pub pass_api_key: bool,
    /// Whether the upstream gets the client certificate in `Client-Cert` (RFC 9440).
    #[serde(default)]
    pub forward_client_certificate: bool,
    /// Whether a path that differs from the listen path in case only is another path. Otherwise it is refused.
    #[serde(default)]
    pub case_sensitive: bool,
    /// The forms of a path that it takes, where every reading of the path leads to this API.
    #[serde(default)]
    pub allowed_path_forms: Vec<PathForm>,
    /// How long the gateway waits for the upstream; what is absent is the namespace's.
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
    /// Rises by one with each change.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// How a browser's payloads are decoded for Temporal's web UI; kept and given back, never called from here (promise P19).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecServer {
    /// An `https` address.
    pub endpoint: String,
    /// Whether the browser sends its access token there.
    pub pass_access_token: bool,
    /// Whether the browser sends credentials across origins.
    pub include_credentials: bool,
    /// What people are told when it fails.
    pub custom_error_message: String,
    /// Where that message links to.
    pub custom_error_link: String,
}

/// What Temporal's tools keep with a namespace. Nothing of it decides who is let in, but for the protection against deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemporalSettings {
    /// Days that a closed workflow is kept, 1 to 90; 0 where nobody has said.
    pub retention_days: i32,
    /// Search attributes: name to type, in the words of the Cloud Ops API (`text`, `keyword`, `int`, `double`, `bool`, `datetime`,
    /// `keyword_list`).
    pub search_attributes: BTreeMap<String, String>,
    /// The codec server.
    pub codec_server: Option<CodecServer>,
    /// Regions, by the ids of the settings.
    pub regions: Vec<String>,
    /// Labels for people and bills.
    pub tags: BTreeMap<String, String>,
}

/// A protected door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// `<name>.<account>`.
    pub id: NamespaceId,
    /// The host it is reached at: `<name>.<account>.<gateway domain>`.
    pub hostname: Hostname,
    /// Further hosts it is reached at.
    #[serde(default)]
    pub extra_hostnames: Vec<Hostname>,
    /// Where requests go that no API covers; without it they have no route.
    pub upstream: Option<Upstream>,
    /// How clients get in where no API says otherwise.
    pub auth_method: AuthMethod,
    /// The CAs whose clients are let in.
    #[serde(default)]
    pub accepted_client_cas: Vec<AcceptedCa>,
    /// Which of those clients.
    #[serde(default)]
    pub certificate_filters: Vec<CertificateFilter>,
    /// Routes.
    #[serde(default)]
    pub apis: Vec<Api>,
    /// How long the gateway waits for its upstreams.
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
    /// How long a gateway that hears nothing goes on serving it.
    pub snapshot_age_max: Lifetime,
    /// Whether it cannot be deleted until this is taken off.
    #[serde(default)]
    pub delete_protection: bool,
    /// What Temporal's tools keep with it.
    #[serde(default)]
    pub temporal: TemporalSettings,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// The version with which anything but the tags or a search attribute's name changed last: who decided on any version from here on decided on what is.
    #[serde(default)]
    pub settled_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// What a request is routed to.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The API, or none when the namespace itself answers.
    pub api: Option<&'a Api>,
    /// Which credentials it takes.
    pub authentication: Authentication,
    /// Where it goes.
    pub upstream: Option<&'a Upstream>,
    /// How long the gateway waits for it.
    pub timeouts: UpstreamTimeouts,
}

/// Why a path is refused although it can be read: another spelling of it, or another reading, leads to another API.
#[derive(Clone, Copy, Debug)]
pub enum Ambiguity<'a> {
    /// It holds a form that its API does not allow.
    Form(PathForm),
    /// A server may read it as a path of another API, or it is too long to tell.
    Reading,
    /// It is the path of this API in another spelling.
    Respelled(&'a Api),
}

impl Namespace {
    /// The route of `path` (one that [`path::check`] accepted): the API with the longest listen path that covers it, else the
    /// namespace itself.
    pub fn route(&self, path: &str) -> Route<'_> {
        let best = self
            .apis
            .iter()
            .filter(|api| path::covers(&api.listen_path, path))
            .max_by_key(|api| api.listen_path.trim_end_matches('/').len());
        match best {
            Some(api) => {
                let upstream = api.upstream.as_ref().or(self.upstream.as_ref());
                Route { api: Some(api), authentication: api.authentication, upstream, timeouts: api.timeouts.or(self.timeouts) }
            }
            None => {
                let authentication = self.auth_method.authentication();
                Route { api: None, authentication, upstream: self.upstream.as_ref(), timeouts: self.timeouts }
            }
        }
    }

    /// Whether `path`, whose route is `route`, leads there in every spelling and in every reading. Two spellings of one path never reach
    /// two APIs: the one that is not the listen path's own is refused.
    ///
    /// # Errors
    /// What makes it ambiguous.
    pub fn check_spelling(&self, path: &str, route: &Route<'_>) -> Result<(), Ambiguity<'_>> {
        // What cannot be read at all was refused before; here it would be a form that nobody allows.
        let held = path_form::forms(path).map_err(|_| Ambiguity::Reading)?;
        if !held.is_empty() {
            if let Some(form) = held.without(route.api.map_or(&[][..], |api| &api.allowed_path_forms)).first() {
                return Err(Ambiguity::Form(form));
            }
            let same = |reading: &String| self.narrowest(reading).map(|api| &api.id) == route.api.map(|api| &api.id);
            if path.len() > path_form::READ_MAX || !path_form::readings(path).iter().all(same) {
                return Err(Ambiguity::Reading);
            }
        }
        let depth = route.api.map_or(0, |api| path_form::depth(&api.listen_path));
        let respelled = |api: &&Api| {
            path_form::depth(&api.listen_path) >= depth
                && path_form::covers_respelled(&api.listen_path, path, !api.case_sensitive)
                && !path::covers(&api.listen_path, path)
        };
        self.apis.iter().find(respelled).map_or(Ok(()), |api| Err(Ambiguity::Respelled(api)))
    }

    /// The narrowest API that covers a path in any spelling.
    fn narrowest(&self, path: &str) -> Option<&Api> {
        let covering = self.apis.iter().filter(|api| path_form::covers_respelled(&api.listen_path, path, !api.case_sensitive));
        covering.max_by_key(|api| path_form::depth(&api.listen_path))
    }

    /// Whether any of its APIs allows all of these forms.
    pub fn may_allow(&self, forms: path_form::PathForms) -> bool {
        forms.is_empty() || self.apis.iter().any(|api| forms.without(&api.allowed_path_forms).is_empty())
    }

    /// Whether any of its routes takes client certificates, so that the handshake should ask for one.
    pub fn asks_for_certificates(&self) -> bool {
        // An API that takes none still hears of one (`certificate_not_enabled`), so a namespace with APIs always asks.
        self.auth_method.authentication().client_certificate || !self.apis.is_empty()
    }

    /// Whether any of its routes lets clients in by certificate.
    pub fn takes_certificates(&self) -> bool {
        self.auth_method.authentication().client_certificate || self.apis.iter().any(|api| api.authentication.client_certificate)
    }

    /// Every host it is reached at.
    pub fn hostnames(&self) -> impl Iterator<Item = &Hostname> {
        std::iter::once(&self.hostname).chain(&self.extra_hostnames)
    }
}

//! The HTTP client of `/api/v1`: TLS always verified, bodies from `proto`, problems turned into failures. It decides nothing.

use super::errors::Failure;
use super::global::Target;
use super::login::Tokens;
use crate::plane::SystemEntropy;
use countersign_core::{OperationId, Secret};
use countersign_proto::problem::Problem;
use reqwest::{Certificate, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is tried that the server could not take just now, as `tcld` does.
const ATTEMPTS_MAX: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A gateway's mark on what it refuses.
const REFUSAL_ID: &str = "countersign-refusal-id";
/// So much of a plain answer tells what it is.
const PLAIN_BYTES_MAX: u64 = 64 * 1024;

/// A connection to one control plane, as one caller.
pub struct Client {
    http: reqwest::Client,
    server: Url,
    api_key: Option<Secret>,
    login: Option<Tokens>,
}

/// A query: only what was given is sent.
pub type Query<'a> = &'a [(&'a str, Option<String>)];

/// No query.
pub const NO_QUERY: Query<'static> = &[];

impl Client {
    /// Prepares it; nothing is sent yet. Fails when the CA file is not usable.
    pub fn new(target: Target) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if matches!(target.server.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // A proxy cannot reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        if let Some(path) = &target.ca_cert {
            builder = builder.tls_certs_only(roots(path)?);
        }
        let http = builder.build().map_err(|error| Failure::refused("tls_setup", format!("TLS cannot be set up: {}", root(&error))))?;
        Ok(Self { http, server: target.server, api_key: target.api_key, login: target.login })
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: Query<'_>) -> Result<T, Failure> {
        self.send(Method::GET, path, query, None::<&()>, None).await
    }

    /// A question that is asked with a body and changes nothing.
    pub async fn ask<B: Serialize, T: DeserializeOwned>(&self, path: &[&str], body: &B) -> Result<T, Failure> {
        self.send(Method::POST, path, NO_QUERY, Some(body), None).await
    }

    /// A change. It always has an operation id, so that a repeated attempt is the same operation.
    pub async fn change<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Query<'_>,
        body: Option<&B>,
        operation: Option<&str>,
    ) -> Result<T, Failure> {
        let operation = match operation {
            Some(text) => OperationId::parse(text)
                .map_err(|_| Failure::usage(format!("`{text}` is no request id")).hint("use 1 to 128 of A-Z a-z 0-9 - _ . :"))?,
            None => OperationId::mint(&SystemEntropy::default()),
        };
        self.send(method, path, query, body, Some(operation)).await
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Query<'_>,
        body: Option<&B>,
        operation: Option<OperationId>,
    ) -> Result<T, Failure> {
        let renewed;
        let key = match (&self.api_key, &self.login) {
            (Some(key), _) => key,
            (None, Some(login)) => {
                renewed = Box::pin(login.bearer(self)).await?;
                &renewed
            }
            // Whoever named the wrong port is not helped by a key.
            (None, None) => return Err(self.wrong_place().await.unwrap_or_else(unauthenticated)),
        };
        let url = self.url(path, query)?;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            // The one place where the key leaves: the header of a request over verified TLS.
            let mut request = self.http.request(method.clone(), url.clone()).bearer_auth(key.expose());
            if let Some(id) = &operation {
                request = request.header("idempotency-key", id.as_str());
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) => return Err(self.stranger(&error).await.unwrap_or_else(|| self.unreachable(&error))),
            };
            let status = response.status();
            let from_gateway = response.headers().contains_key(REFUSAL_ID);
            let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            if from_gateway {
                return Err(self.at_gateway());
            }
            if status.is_success() {
                let whole: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
                return match read(whole) {
                    // An answer that cannot be read may be that of a service behind a gateway.
                    Err(failure) => Err(self.wrong_place().await.unwrap_or(failure)),
                    read => read,
                };
            }
            let busy = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
            if !busy || attempt == ATTEMPTS_MAX {
                let failure = refusal(status, &bytes);
                let is_strange = failure.code == "unexpected_answer";
                return Err(if is_strange { self.wrong_place().await.unwrap_or(failure) } else { failure });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(Failure::not_reachable("the server did not answer"))
    }

    /// `POST` to one of the few addresses that ask for no credential, once.
    pub async fn open<B: Serialize, T: DeserializeOwned>(&self, path: &[&str], body: &B) -> Result<T, Failure> {
        let response = self.http.post(self.url(path, NO_QUERY)?).json(body).send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        read(&bytes)
    }

    /// The id of the API key that requests are sent with, if one is: it stands in the key between its prefix and its secret.
    pub fn key_id(&self) -> Option<&str> {
        self.api_key.as_ref()?.expose().strip_prefix("csk_")?.split('_').next()
    }

    /// Sends a form to a path of OAuth, without any credential of ours: status and body.
    pub async fn form(&self, path: &[&str], fields: &[(&str, &str)]) -> Result<(StatusCode, Vec<u8>), Failure> {
        let mut url = self.server.clone();
        url.path_segments_mut().map_err(|()| Failure::usage("the server has no path"))?.pop_if_empty().extend(path);
        // A query's form is a form's, so the one writer serves both.
        let mut form = self.server.clone();
        form.query_pairs_mut().clear().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, bytes.to_vec()))
    }

    fn url(&self, path: &[&str], query: Query<'_>) -> Result<Url, Failure> {
        let mut url = self.server.clone();
        if let Some(empty) = path.iter().find(|part| part.trim().is_empty() || **part == "." || **part == "..") {
            return Err(Failure::usage(format!("`{empty}` is no id")));
        }
        url.path_segments_mut().map_err(|()| Failure::usage("the server has no path"))?.pop_if_empty().extend(["api", "v1"]).extend(path);
        let given: Vec<_> = query.iter().filter_map(|(name, value)| value.as_ref().map(|v| (*name, v.as_str()))).collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        Ok(url)
    }

    /// What answers here where it is no control plane: asked without any credential. `None` where it is one, or where that stays unclear.
    async fn wrong_place(&self) -> Option<Failure> {
        let mut url = self.server.clone();
        url.set_path("/api/openapi.json");
        let response = match self.http.get(url).send().await {
            Ok(response) => response,
            Err(error) => return self.stranger(&error).await,
        };
        if response.headers().contains_key(REFUSAL_ID) {
            return Some(self.at_gateway());
        }
        let described: Option<serde_json::Value> = serde_json::from_slice(&response.bytes().await.ok()?).ok();
        let is_ours = described.is_some_and(|page| page["info"]["title"].as_str().is_some_and(|title| title.contains("Countersign")));
        (!is_ours).then(|| {
            Failure::refused("not_a_control_plane", format!("what answers at {} is no Countersign control plane", self.place()))
                .hint("check --server (COUNTERSIGN_SERVER): by default the control plane has port 8443, gateways 7233")
        })
    }

    fn at_gateway(&self) -> Failure {
        Failure::refused("not_a_control_plane", format!("{} is a gateway, and commands go to the control plane", self.place()))
            .hint("check --server (COUNTERSIGN_SERVER): by default the control plane has port 8443, gateways 7233")
    }

    /// Whether the other side speaks plain HTTP, as the ports of metrics and of CRLs do. Asked without any credential.
    async fn stranger(&self, error: &reqwest::Error) -> Option<Failure> {
        let why = root(error).to_lowercase();
        if why.contains("unrecognisedname") || why.contains("unrecognized_name") {
            return Some(self.at_gateway());
        }
        if !why.contains("corrupt message") && !why.contains("invalidcontenttype") {
            return None;
        }
        let said = tokio::time::timeout(CONNECT_TIMEOUT, plain(&self.server)).await.ok()?.ok()?;
        let what = if said.contains("countersign_") {
            "the port of metrics and health"
        } else if said.starts_with("HTTP/") {
            "a port of plain HTTP"
        } else {
            "no port of TLS"
        };
        Some(
            Failure::refused("not_a_control_plane", format!("{} is {what}, and commands go to the control plane", self.place()))
                .hint("check --server (COUNTERSIGN_SERVER): by default the control plane has port 8443, metrics 9464"),
        )
    }

    fn place(&self) -> String {
        format!("{}:{}", self.server.host_str().unwrap_or_default(), self.server.port_or_known_default().unwrap_or_default())
    }

    /// Why no answer came, in words that say where to look.
    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let place = self.place();
        let why = root(error);
        let lower = why.to_lowercase();
        if lower.contains("certificate") {
            let why = why.trim_start_matches("certificate: ");
            if lower.contains("expired") || lower.contains("not valid yet") {
                return Failure::not_reachable(format!("the certificate of {place} is not trusted: {why}"))
                    .hint("compare this machine's clock with the server's; if both are right, start the server again, which renews it");
            }
            return Failure::not_reachable(format!("the certificate of {place} is not trusted: {why}")).hint(
                "name the CA of the server with --ca-cert, COUNTERSIGN_CA_CERT or a profile (`countersign dev` writes the profile `dev`)",
            );
        }
        if error.is_timeout() {
            return Failure::not_reachable(format!("{place} did not answer in time"))
                .hint("check the network, and --server (COUNTERSIGN_SERVER)");
        }
        Failure::not_reachable(format!("cannot reach {place}: {why}"))
            .hint("is `countersign dev` running? otherwise check --server (COUNTERSIGN_SERVER)")
    }
}

/// What a server of plain HTTP says to a question for its metrics.
async fn plain(server: &Url) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = server.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let mut stream = tokio::net::TcpStream::connect((host.as_str(), server.port_or_known_default().unwrap_or(443))).await?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut said = Vec::new();
    stream.take(PLAIN_BYTES_MAX).read_to_end(&mut said).await?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The CA certificates of a PEM file.
pub fn roots(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let pem = std::fs::read(path).map_err(|error| {
        Failure::file("read the CA certificates", path, &error).hint("--ca-cert (COUNTERSIGN_CA_CERT) names a PEM file")
    })?;
    Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty()).ok_or_else(|| {
        Failure::refused("not_a_certificate", format!("{} holds no PEM certificate", path.display()))
            .hint("--ca-cert (COUNTERSIGN_CA_CERT) names the PEM file of the CA that signed the server's certificate")
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::refused("unreadable_answer", format!("the server's answer is not what this version expects ({error})"))
            .hint("check that client and server have the same version: countersign version")
    })
}

/// A refusal from a problem document, or from whatever else came.
pub fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.into(),
        Err(_) => Failure::refused("unexpected_answer", format!("the server answered {status} without saying why"))
            .hint("check that --server (COUNTERSIGN_SERVER) is a Countersign control plane"),
    }
}

/// Seed 000's words for it.
pub fn unauthenticated() -> Failure {
    Failure::refused("unauthenticated", "request not authenticated: there is no login and no API key").hint(
        "run countersign login, set COUNTERSIGN_API_KEY, or use a profile: `countersign dev` writes one, countersign --profile dev whoami",
    )
}

/// The innermost cause: the outer ones only say that sending failed.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut text = error.to_string();
    while let Some(source) = cause.source() {
        cause = source;
        let said = cause.to_string();
        if !said.is_empty() {
            text = said;
        }
    }
    let text = text.split(" (os error").next().unwrap_or(&text);
    // rustls names its reasons like types; these two are what people meet.
    let reason = [("UnknownIssuer", "its issuer is not among the trusted CAs"), ("NotValidForName", "it is for another host name")];
    match reason.iter().find(|(name, _)| text.contains(name)) {
        Some((_, plain)) => format!("certificate: {plain}"),
        None => text.to_lowercase(),
    }
}

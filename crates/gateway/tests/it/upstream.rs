//! The upstream: records every request that reaches it, and can stream, echo and tunnel.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub version: http::Version,
    pub authority: Option<String>,
}

#[derive(Clone)]
pub struct Recorder {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let recorder = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let recorder = recorder.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let recorder = recorder.clone();
                        async move { Ok::<_, Infallible>(recorder.answer(request).await) }
                    });
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        this
    }

    /// The same behind TLS, at an address of its own.
    pub async fn start_tls(&self, files: &TlsFiles, alpn: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![files.certificate.clone()], files.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let recorder = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (recorder, acceptor) = (recorder.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let recorder = recorder.clone();
                        async move { Ok::<_, Infallible>(recorder.answer(request).await) }
                    });
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    /// What reached it since the last call.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        self.seen.lock().unwrap().push(Seen {
            method: request.method().to_string(),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: request.headers().clone(),
            version: request.version(),
            authority: request.uri().authority().map(ToString::to_string),
        });
        let grpc = request.headers().get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            // Whatever comes goes back, then status 0.
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let end = stream::once(async move { Ok(Frame::trailers(trailers)) });
            let body = StreamBody::new(request.into_body().into_data_stream().map(|d| d.map(Frame::data)).chain(end));
            return Response::builder().header("content-type", "application/grpc").body(BodyExt::boxed(body)).unwrap();
        }
        match request.uri().path() {
            "/ws" => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    if let Ok(io) = upgrade.await {
                        let (mut read, mut write) = tokio::io::split(TokioIo::new(io));
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    }
                });
                Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket").body(full("")).unwrap()
            }
            "/sse" => {
                let body = stream::once(async { Ok(Frame::data(Bytes::from_static(b"data: one\n\n"))) }).chain(stream::pending());
                Response::builder().header("content-type", "text/event-stream").body(BodyExt::boxed(StreamBody::new(body))).unwrap()
            }
            "/flood" => {
                let body = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'x'; 65_536]))));
                Response::new(BodyExt::boxed(StreamBody::new(body)))
            }
            "/never" => std::future::pending().await,
            "/headers" => Response::builder()
                .header("countersign-identity", "evil")
                .header("Countersign-Refusal-Id", "evil")
                .header("connection", "x-hop")
                .header("x-hop", "1")
                .header("x-end", "2")
                .body(full("ok"))
                .unwrap(),
            path if path.starts_with("/head-of/") => {
                let length = path.trim_start_matches("/head-of/").parse().unwrap();
                Response::builder().header("x-long", "v".repeat(length)).body(full("ok")).unwrap()
            }
            _ => {
                let length = request.into_body().collect().await.map_or(0, |b| b.to_bytes().len());
                Response::new(full(&format!("ok {length}")))
            }
        }
    }
}

fn full(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned())).map_err(|e| match e {}).boxed()
}

/// A server certificate for `localhost`, and its CA as a file.
pub struct TlsFiles {
    pub ca_file: std::path::PathBuf,
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
}

impl TlsFiles {
    pub fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let (now, days) = (crate::rig::real_now(), countersign_core::Lifetime::from_days);
        let authority =
            countersign_x509::authority::Authority::generate_internal("Upstream CA", now, days(9), &crate::rig::Chance).unwrap();
        let (leaf, key) = authority.issue_server(&["localhost".to_owned()], now, days(2), &crate::rig::Chance).unwrap();
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let ca_file = std::env::temp_dir().join(format!("countersign-upstream-{}-{number}.pem", std::process::id()));
        std::fs::write(&ca_file, authority.certificate_pem()).unwrap();
        Self { ca_file, certificate: leaf.into(), key: rustls::pki_types::PrivateKeyDer::Pkcs8(key.into()) }
    }
}

impl Drop for TlsFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

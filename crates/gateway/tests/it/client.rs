//! Clients: TLS with any server name and certificate, HTTP/1.1 by hand, HTTP/2 by hyper, and curl.

use crate::rig::{ClientCert, Rig};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub fn config(rig: &Rig, certificate: Option<&ClientCert>, alpn: &str) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rig.server_ca.clone().into()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(c) => builder.with_client_auth_cert(vec![c.der()], c.private_key()).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

pub async fn connect(rig: &Rig, config: Arc<ClientConfig>, server_name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(rig.gateway.local_addr()).await?;
    tcp.set_nodelay(true)?;
    TlsConnector::from(config).connect(ServerName::try_from(server_name.to_owned()).unwrap(), tcp).await
}

/// HTTP/1.1 with nothing added and nothing taken away.
pub struct Raw(pub TlsStream<TcpStream>);

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    }

    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Raw {
    pub async fn open(rig: &Rig, name: &str, certificate: Option<&ClientCert>) -> Self {
        Self(connect(rig, config(rig, certificate, "http/1.1"), name).await.unwrap())
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Reads up to and with the empty line after the head.
    pub async fn head(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.0.read_u8().await.ok()?;
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: String::new() })
    }

    /// One answer with a known length.
    pub async fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let length = answer.header("content-length").map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    pub async fn ask(&mut self, text: impl AsRef<[u8]>) -> Answer {
        self.send(text).await;
        self.answer().await.expect("an answer")
    }

    /// Whether the peer has ended, whatever way.
    pub async fn ended(&mut self) {
        let mut bytes = [0; 4096];
        while !matches!(self.0.read(&mut bytes).await, Ok(0) | Err(_)) {}
    }
}

/// A plain GET over HTTP/1.1.
pub fn get(host: &str, path: &str, key: Option<&str>) -> String {
    let bearer = key.map(|k| format!("authorization: Bearer {k}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{bearer}\r\n")
}

pub type Sending = StreamBody<tokio_stream_like::Channel>;

/// A body that is fed through a channel.
pub mod tokio_stream_like {
    use super::{Bytes, Frame, mpsc};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub struct Channel(pub mpsc::UnboundedReceiver<Bytes>);
    impl futures_util::Stream for Channel {
        type Item = Result<Frame<Bytes>, Infallible>;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b))))
        }
    }
}

/// HTTP/2.
pub struct H2(pub SendRequest<Sending>, pub tokio::task::JoinHandle<()>);

impl H2 {
    pub async fn open(rig: &Rig, name: &str, certificate: Option<&ClientCert>) -> Self {
        let stream = connect(rig, config(rig, certificate, "h2"), name).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self(sender, driver)
    }

    /// A request whose body is fed by the sender that comes back.
    pub async fn open_stream(&mut self, request: http::request::Builder) -> (Response<Incoming>, mpsc::UnboundedSender<Bytes>) {
        let (feed, body) = mpsc::unbounded_channel();
        let request: Request<Sending> = request.body(StreamBody::new(tokio_stream_like::Channel(body))).unwrap();
        (self.0.send_request(request).await.unwrap(), feed)
    }

    /// A request whose body is there from the beginning.
    pub async fn send_whole(&mut self, request: http::request::Builder, body: &'static [u8]) -> Response<Incoming> {
        let (feed, pieces) = mpsc::unbounded_channel();
        feed.send(Bytes::from_static(body)).unwrap();
        drop(feed);
        self.0.send_request(request.body(StreamBody::new(tokio_stream_like::Channel(pieces))).unwrap()).await.unwrap()
    }

    pub async fn get(&mut self, host: &str, path: &str, key: Option<&str>) -> (u16, HeaderMap, String) {
        let mut request = Request::get(format!("https://{host}{path}"));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let (response, feed) = { self.open_stream(request).await };
        drop(feed);
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    /// A gRPC call that stays open.
    pub async fn call(&mut self, host: &str, key: Option<&str>) -> (Response<Incoming>, mpsc::UnboundedSender<Bytes>) {
        let mut request =
            Request::post(format!("https://{host}/pkg.Service/Bidi")).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.open_stream(request).await
    }
}

/// The next frame, as data or as trailers.
pub async fn frame(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    body.frame().await
}

//! The handshake: is the server whom the name says, did it ask for a certificate, and did it take ours.
//!
//! The handshake is let through whatever the server's certificate is, so that everything can be told; what follows it is only walked,
//! and a credential only shown, when the certificate was verified. The client's certificate is public: possession is all it proves.

use super::super::errors::Failure;
use super::report::{Mark, Report};
use super::skip;
use countersign_core::Timestamp;
use countersign_x509::facts;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(10);
/// Where systems keep their CA bundle.
const SYSTEM_BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"];

/// What the handshake showed.
#[derive(Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    verdict: Option<Result<(), rustls::Error>>,
    asked: bool,
    hints: usize,
}

#[derive(Debug)]
struct Witness {
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    own: Option<Arc<CertifiedKey>>,
    seen: Arc<Mutex<Seen>>,
}

impl Witness {
    fn note(&self, edit: impl FnOnce(&mut Seen)) {
        edit(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = match &self.judge {
            Some(judge) => judge.verify_server_cert(leaf, intermediates, name, ocsp, now).map(|_| ()),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        self.note(|seen| {
            seen.chain = std::iter::once(leaf).chain(intermediates).map(|der| der.to_vec()).collect();
            seen.verdict = Some(verdict);
        });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.note(|seen| (seen.asked, seen.hints) = (true, hints.len()));
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}

/// Shakes hands. `None` when the way ends here.
///
/// # Errors
/// When the CA file cannot be used.
pub async fn shake(
    report: &mut Report,
    stream: TcpStream,
    host: &str,
    roots: Option<&Path>,
    own: Option<Arc<CertifiedKey>>,
    now: Timestamp,
) -> Result<Option<TlsStream<TcpStream>>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let store = trusted(roots)?;
    // Without a single root everything is untrusted, and the builder would refuse to build.
    let judge = (!store.is_empty()).then(|| WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build());
    let judge = judge.transpose().map_err(|error| Failure::refused("tls_setup", format!("TLS cannot be set up: {error}")))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let witness = Arc::new(Witness { judge, provider: Arc::clone(&provider), own: own.clone(), seen: Arc::clone(&seen) });
    let setup = |error: rustls::Error| Failure::refused("tls_setup", format!("TLS cannot be set up: {error}"));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(witness);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::usage(format!("`{host}` is no host name")))?;
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
    let shaken = tokio::time::timeout(PATIENCE, handshake).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let (detail, remedy) = broken(&error, host);
            report.note("tls", Mark::Failed, detail, remedy);
            rest(report);
            return Ok(None);
        }
        Err(_) => {
            let text = format!("the handshake did not end within {} s", PATIENCE.as_secs());
            report.note("tls", Mark::Failed, text, "something on this port answers TCP and does not speak TLS; look at the port");
            rest(report);
            return Ok(None);
        }
    };
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map_or_else(|| "TLS".to_owned(), |version| format!("{version:?}").replace('_', "."));
    let suite = connection.negotiated_cipher_suite().map_or_else(String::new, |suite| format!(", {:?}", suite.suite()));
    report.note("tls", Mark::Ok, format!("{version}{suite}"), "");
    let good = server_certificate(report, &seen, host, roots, now);
    client_certificate(report, &seen, own.is_some());
    if !good {
        skip(report, "clock", "the server is not known to be the right one");
        skip(report, "answer", "no credential is shown to a server that is not known to be the right one");
        return Ok(None);
    }
    Ok(Some(stream))
}

fn rest(report: &mut Report) {
    for step in ["server certificate", "client certificate", "clock", "answer"] {
        skip(report, step, "no TLS connection");
    }
}

/// The CAs of `file`, or the system's.
fn trusted(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            let unusable = |_| Failure::refused("not_a_certificate", format!("{} holds no PEM certificate", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
                roots
                    .add(certificate.map_err(unusable)?)
                    .map_err(|_| Failure::refused("not_a_certificate", format!("{} holds a certificate that is no CA", path.display())))?;
            }
        }
        None => {
            if let Some(read) = SYSTEM_BUNDLES.iter().find_map(|path| CertificateDer::pem_file_iter(path).ok()) {
                roots.add_parsable_certificates(read.filter_map(Result::ok));
            }
        }
    }
    Ok(roots)
}

/// Why a handshake broke, and what to do.
fn broken(error: &std::io::Error, host: &str) -> (String, String) {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName)) => (
            format!("the gateway has no namespace at {host} (alert unrecognized_name)"),
            "use the host that `countersign namespace get` shows, or add this one to the namespace's extra host names".to_owned(),
        ),
        Some(rustls::Error::AlertReceived(alert)) => (
            format!("the server ended the handshake with the alert {alert:?}"),
            "a server that demands a certificate ends it like this; try --certificate FILE --key FILE".to_owned(),
        ),
        Some(rustls::Error::InvalidMessage(_)) => {
            ("what answered does not speak TLS".to_owned(), "look at the port: this may be a clear-text HTTP port".to_owned())
        }
        Some(other) => (format!("the handshake failed: {other}"), "look at the server's log at this moment".to_owned()),
        None => (
            format!("the connection ended during the handshake: {error}"),
            "something between here and the gateway cuts it, or the gateway has no connection to spare".to_owned(),
        ),
    }
}

fn server_certificate(report: &mut Report, seen: &Seen, host: &str, roots: Option<&Path>, now: Timestamp) -> bool {
    const STEP: &str = "server certificate";
    let subject = seen.chain.first().and_then(|der| facts::of(der).ok());
    let who = subject.as_ref().map_or_else(String::new, |facts| {
        let name = if facts.subject.is_empty() { facts.alternative_names.join(", ") } else { facts.subject.clone() };
        format!("{name}, signed by {}, ends in {} days", facts.issuer, facts.not_after.since(now) / 86_400_000_000)
    });
    let error = match &seen.verdict {
        Some(Ok(())) => {
            report.note(STEP, Mark::Ok, who, "");
            return true;
        }
        Some(Err(error)) => error,
        None => {
            report.note(STEP, Mark::Failed, "none was shown", "");
            return false;
        }
    };
    let (why, remedy) = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => (
            match roots {
                Some(path) => format!("no CA in {} vouches for it", path.display()),
                None => "no CA of this system vouches for it".to_owned(),
            },
            "give the gateway's CA with --ca-cert FILE (`countersign dev` writes it as COUNTERSIGN_CA_CERT)".to_owned(),
        ),
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => (
            format!("it is not for {host}"),
            "connect by a name that the certificate is for; or another server answers at this address".to_owned(),
        ),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "it has expired".to_owned(),
            "compare this machine's clock; if it is right, the server's certificate was not renewed".to_owned(),
        ),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            ("it is not valid yet".to_owned(), "this machine's clock is behind, or the server's was ahead".to_owned())
        }
        other => (other.to_string(), "renew the server's certificate".to_owned()),
    };
    report.note(STEP, Mark::Failed, format!("{why}: {who}"), remedy);
    false
}

fn client_certificate(report: &mut Report, seen: &Seen, have: bool) {
    const STEP: &str = "client certificate";
    match (seen.asked, have) {
        (true, true) => report.note(STEP, Mark::Ok, "asked for, and shown", ""),
        (true, false) => report.note(STEP, Mark::Ok, "asked for, none was given", ""),
        (false, false) => report.note(STEP, Mark::Ok, "not asked for: this door takes none", ""),
        (false, true) => report.note(
            STEP,
            Mark::Warning,
            "one was given, and this door does not ask for any",
            "countersign namespace auth-method set --auth-method api_key_or_mtls, if certificates are meant to work here",
        ),
    }
}

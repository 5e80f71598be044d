//! TLS toward `https` upstreams: which CAs are trusted. Takes no client identity along.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Where systems keep their CA bundle.
const SYSTEM_BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"];

/// A connector that trusts the CAs of `file`, or the system's. A machine without a bundle trusts nobody: its `https` upstreams are
/// unavailable, the others work.
pub(crate) fn connector(file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let read = CertificateDer::pem_file_iter(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        for certificate in read {
            let certificate = certificate.map_err(|e| format!("{} is not PEM: {e}", file.display()))?;
            roots.add(certificate).map_err(|e| format!("{} holds a certificate that is no CA: {e}", file.display()))?;
        }
        if roots.is_empty() {
            return Err(format!("{} holds no certificate", file.display()));
        }
    } else if let Some(read) = SYSTEM_BUNDLES.iter().find_map(|path| CertificateDer::pem_file_iter(path).ok()) {
        roots.add_parsable_certificates(read.filter_map(Result::ok));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

//! What the load generator measures with: a client that checks no server certificate, and a histogram.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

#[derive(Debug)]
pub struct NoVerify;
impl ServerCertVerifier for NoVerify {
    fn verify_server_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: &ServerName<'_>, _: &[u8], _: UnixTime) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::ED25519, SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
    }
}

/// Log-linear histogram of nanoseconds, 64 steps per power of two (under 1.6 % error).
pub struct Hist {
    b: Vec<u64>,
    n: u64,
}
impl Hist {
    pub fn new() -> Self {
        Hist { b: vec![0; 64 * 64], n: 0 }
    }
    pub fn add(&mut self, ns: u64) {
        let v = ns.max(64);
        let e = 63 - v.leading_zeros() as usize;
        let i = e * 64 + ((v >> (e - 6)) & 63) as usize;
        self.b[i] += 1;
        self.n += 1;
    }
    pub fn q(&self, q: f64) -> f64 {
        let want = ((self.n as f64) * q).ceil() as u64;
        let mut s = 0;
        for (i, c) in self.b.iter().enumerate() {
            s += c;
            if s >= want && s > 0 {
                let (e, m) = (i / 64, (i % 64) as u64);
                return (((64 + m) << (e - 6)) as f64) / 1000.0;
            }
        }
        0.0
    }
}


//! A set: one certificate with its key, its chain and, if wanted, its keystore. Knows how a set looks in files, not where the
//! files are nor how one takes another's place.

use crate::cli::Failure;
use crate::plane::SystemEntropy;
use countersign_core::Secret;
use countersign_core::credential::certificate::{CertificateFacts, Fingerprint};
use countersign_x509::pem::{self, Block};
use countersign_x509::pkcs12::Keystore;
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::{X509Error, csr::CheckedCsr, facts};
use std::path::Path;
use zeroize::Zeroizing;

/// The certificate and the CAs above it, without the root: what a client presents.
pub const CERTIFICATE: &str = "certificate.pem";
/// The private key, PKCS#8 in PEM.
pub const KEY: &str = "key.pem";
/// The CAs above it alone, up to the root.
pub const CHAIN: &str = "chain.pem";
/// All of it as PKCS#12.
pub const KEYSTORE: &str = "keystore.p12";
/// The key, and all of [`CERTIFICATE`], for programs that read one file: it is of one set whenever it is opened.
pub const COMBINED: &str = "combined.pem";

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A certificate whose key is at hand.
#[derive(Debug)]
pub struct Set {
    /// The certificate.
    pub der: Vec<u8>,
    /// What it says of itself.
    pub facts: CertificateFacts,
    /// The CAs above it, nearest first.
    pub chain: Vec<Vec<u8>>,
    /// Its key.
    pub key: LocalKey,
}

impl Set {
    /// Puts one together. Fails with `key_mismatch` when the key is another's, and with x509's codes.
    pub fn new(der: Vec<u8>, chain: Vec<Vec<u8>>, key: LocalKey) -> Result<Self, X509Error> {
        let facts = facts::of(&der)?;
        if facts.key != Some(Fingerprint::of(key.public_key())) {
            return Err(X509Error {
                code: "key_mismatch",
                rule: None,
                message: "the private key does not belong to the certificate".to_owned(),
                hint: "give the two that were made together".to_owned(),
            });
        }
        Ok(Self { der, facts, chain, key })
    }

    /// Reads a set from a certificate file, with or without its chain, and a key file.
    pub fn read(certificate: &Path, key: &Path, chain: Option<&Path>) -> Result<Self, Failure> {
        let mut ders = certificates(&bounded(certificate)?, certificate)?;
        let der = ders.remove(0);
        if let Some(chain) = chain.filter(|path| path.exists()) {
            let text = bounded(chain)?;
            // A self-signed certificate has an empty file beside it.
            if !text.iter().all(u8::is_ascii_whitespace) {
                ders = certificates(&text, chain)?;
            }
        }
        let text = String::from_utf8(bounded(key)?.to_vec()).map(Zeroizing::new).unwrap_or_default();
        let local = LocalKey::from_pem(&text).map_err(|error| named(error, key))?;
        Self::new(der, ders, local).map_err(|error| named(error, key))
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// The name of the directory that holds this set and no other: 32 hexadecimal digits of the fingerprint.
    pub fn id(&self) -> String {
        let mut print = self.fingerprint().to_string();
        print.truncate(32);
        print
    }

    /// Whether this file holds this very certificate.
    pub fn is_in(&self, certificate: &Path) -> bool {
        bounded(certificate).and_then(|text| certificates(&text, certificate)).is_ok_and(|ders| ders.first() == Some(&self.der))
    }

    /// The kind of its key. A key of a size that is not made here counts as the next larger one of its kind.
    pub fn key_kind(&self) -> KeyKind {
        let Ok(request) = countersign_x509::request::successor(&self.key, &self.der) else { return KeyKind::default() };
        let Ok(read) = CheckedCsr::parse(&request) else { return KeyKind::default() };
        match (read.key_kind.as_str(), read.key_bits) {
            (kind, bits) if kind.starts_with("rsa") && bits <= 2048 => KeyKind::Rsa2048,
            (kind, bits) if kind.starts_with("rsa") && bits <= 3072 => KeyKind::Rsa3072,
            (kind, _) if kind.starts_with("rsa") => KeyKind::Rsa4096,
            (kind, _) => kind.parse().unwrap_or_default(),
        }
    }

    /// The files of this set, each with whether it is private, the key first.
    pub fn files(&self, keystore_password: Option<&Secret>) -> Result<Vec<File>, Failure> {
        // The key goes into a file that only its owner may read, which is what it is for.
        let key = Zeroizing::new(self.key.to_pem()?.expose().as_bytes().to_vec());
        let text = |ders: &mut dyn Iterator<Item = &Vec<u8>>| ders.map(|der| format!("{}\n", pem::certificate(der))).collect::<String>();
        let chain = text(&mut self.chain.iter());
        // A root is never presented: who does not have it already would not believe it.
        let below_root = self.chain.iter().filter(|der| facts::of(der).is_ok_and(|facts| facts.subject != facts.issuer));
        let certificate = text(&mut std::iter::once(&self.der).chain(below_root));
        let open = |name, text: String| File { name, private: false, bytes: Zeroizing::new(text.into_bytes()) };
        let mut combined = Zeroizing::new(key.to_vec());
        combined.extend_from_slice(certificate.as_bytes());
        let private = |name, bytes| File { name, private: true, bytes };
        let mut files = vec![private(KEY, key), open(CERTIFICATE, certificate), open(CHAIN, chain), private(COMBINED, combined)];
        if let Some(password) = keystore_password {
            let name: String = self.facts.common_names.first().map(|n| n.chars().take(64).collect()).unwrap_or_default();
            let alias = if name.is_empty() { "client" } else { &name };
            let store = Keystore { alias, key: &self.key, certificate: &self.der, chain: &self.chain };
            let bytes = Zeroizing::new(store.seal(password, &SystemEntropy::default())?);
            files.push(private(KEYSTORE, bytes));
        }
        Ok(files)
    }
}

/// One file of a set.
pub struct File {
    /// Its name in the set's directory.
    pub name: &'static str,
    /// Whether only those who may use the key may read it.
    pub private: bool,
    /// What is in it.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// The certificates of a text, at least one.
pub fn certificates(text: &[u8], path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let blocks = pem::read(text).map_err(|error| named(error, path))?.blocks;
    let ders: Vec<Vec<u8>> = blocks
        .into_iter()
        .filter_map(|block| match block {
            Block::Certificate(der) => Some(der),
            Block::PrivateKey | Block::Other(_) => None,
        })
        .collect();
    if ders.is_empty() {
        return Err(Failure::refused("not_a_certificate", format!("{} holds no certificate", path.display())));
    }
    Ok(ders)
}

fn bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read as _;
    let failed = |error: &std::io::Error| Failure::file("read", path, error);
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path).map_err(|e| failed(&e))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
    Ok(bytes)
}

fn named(error: X509Error, path: &Path) -> Failure {
    let mut failure = Failure::from(error);
    failure.message = format!("{}: {}", path.display(), failure.message);
    failure
}

//! The CA of both ports, kept in the data directory, and the server certificates it signs.
//!
//! It vouches for servers only. No client is ever let in by it.

use super::StartError;
use super::clock::SystemEntropy;
use countersign_core::name::Hostname;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_gateway::ServerIdentity;
use countersign_server::{Clock, InstallationKeys};
use countersign_x509::authority::Authority;
use countersign_x509::facts;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const CA_LIFETIME: Lifetime = Lifetime::from_days(3650);
const SERVER_LIFETIME: Lifetime = Lifetime::from_days(90);

/// See the module.
pub struct ServerCertificates {
    authority: Authority,
    ca_file: PathBuf,
    clock: Arc<dyn Clock>,
    entropy: Arc<SystemEntropy>,
    keys: InstallationKeys,
}

impl ServerCertificates {
    /// Loads `ca.pem` and `ca.key`, or makes them (0600 for the key). A key that others can read is refused.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>, entropy: Arc<SystemEntropy>) -> Result<Self, StartError> {
        let (ca_file, key_file) = (data_dir.join("ca.pem"), data_dir.join("ca.key"));
        let failed = |path: &Path, reason: String| StartError::File { path: path.to_owned(), reason };
        let authority = match fs::read_to_string(&key_file) {
            Ok(key) => {
                let mode = fs::metadata(&key_file).map_err(|e| failed(&key_file, e.to_string()))?.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(failed(&key_file, format!("its mode is {mode:o} and others can read it; run chmod 600 on it")));
                }
                let certificate = fs::read_to_string(&ca_file).map_err(|e| failed(&ca_file, e.to_string()))?;
                Authority::from_pem(&certificate, &key).map_err(|e| failed(&ca_file, e.to_string()))?
            }
            Err(e) if e.kind() == ErrorKind::NotFound && ca_file.exists() => {
                // A new CA beside clients that trust the old one would look like an attack to them.
                return Err(failed(
                    &key_file,
                    format!("it is missing while {} is there; restore it, or delete that file too to make a new CA", ca_file.display()),
                ));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let made = Authority::generate_internal("Countersign server CA", clock.now(), CA_LIFETIME, entropy.as_ref())
                    .map_err(|e| failed(&ca_file, e.to_string()))?;
                write_file(&ca_file, made.certificate_pem().as_bytes(), 0o644).map_err(|e| failed(&ca_file, e.to_string()))?;
                // The file is the key's place to be; it goes nowhere else.
                write_file(&key_file, made.key_pem().expose().as_bytes(), 0o600).map_err(|e| failed(&key_file, e.to_string()))?;
                made
            }
            Err(e) => return Err(failed(&key_file, e.to_string())),
        };
        let keys = InstallationKeys::default();
        keys.add(&authority.public_key(), "the server CA");
        Ok(Self { authority, ca_file, clock, entropy, keys })
    }

    /// The public keys of the CA, and of every server certificate as it is made.
    pub const fn keys(&self) -> &InstallationKeys {
        &self.keys
    }

    /// The CA's certificate, as a file.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> String {
        self.authority.certificate_pem()
    }

    fn certify(&self, names: &[String]) -> Result<Arc<CertifiedKey>, String> {
        let (leaf, key) =
            self.authority.issue_server(names, self.clock.now(), SERVER_LIFETIME, self.entropy.as_ref()).map_err(|e| e.to_string())?;
        if let Some(public) = facts::public_key(&leaf) {
            self.keys.add(&public, "a server");
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|e| e.to_string())?;
        Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(leaf)], key)))
    }

    /// The control plane's TLS configuration: no client certificates, HTTP/2 and HTTP/1.1, a certificate that renews itself.
    pub fn control_config(self: &Arc<Self>, hosts: &[String]) -> Result<Arc<rustls::ServerConfig>, String> {
        let resolver = Renewing { certificates: Arc::clone(self), hosts: hosts.to_vec(), current: Mutex::new(None) };
        resolver.current().ok_or("the control plane's certificate cannot be signed")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| e.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ServerIdentity for ServerCertificates {
    fn certified_key(&self, names: &[Hostname]) -> Result<Arc<CertifiedKey>, String> {
        self.certify(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }
}

/// One certificate, signed anew when two thirds of its life are over.
struct Renewing {
    certificates: Arc<ServerCertificates>,
    hosts: Vec<String>,
    current: Mutex<Option<(Timestamp, Arc<CertifiedKey>)>>,
}

impl Renewing {
    fn current(&self) -> Option<Arc<CertifiedKey>> {
        let now = self.certificates.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((renew_at, key)) = &*current
            && now < *renew_at
        {
            return Some(Arc::clone(key));
        }
        match self.certificates.certify(&self.hosts) {
            Ok(key) => {
                *current = Some((now.plus(Lifetime::from_seconds(SERVER_LIFETIME.seconds() * 2 / 3)), Arc::clone(&key)));
                Some(key)
            }
            Err(error) => {
                tracing::error!(%error, "the control plane's certificate was not renewed");
                current.as_ref().map(|(_, key)| Arc::clone(key))
            }
        }
    }
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewing").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl rustls::server::ResolvesServerCert for Renewing {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

/// Writes a file whole or not at all, with its mode from the first moment on, durable when this returns.
pub fn write_file(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    // The umask may have taken bits away; it never adds any.
    let written = file
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // A part of it would only make a full disk fuller.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::{StandingClock, real_now};
    use rustls::client::ClientConnection;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::server::ServerConnection;
    use std::io::Read as _;

    struct Hands(StandingClock);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            self.0.read()
        }
    }

    #[derive(Debug)]
    struct ClientTime(UnixTime);

    impl rustls::time_provider::TimeProvider for ClientTime {
        fn current_time(&self) -> Option<UnixTime> {
            Some(self.0)
        }
    }

    /// A client and the server that it talks to, without a network.
    struct Pair(ClientConnection, ServerConnection);

    impl Pair {
        /// Shakes hands, by a client whose clock says the same as the server's.
        fn new(server: &Arc<rustls::ServerConfig>, ca_file: &Path, now: Timestamp) -> Self {
            use rustls::pki_types::pem::PemObject as _;
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
            let seconds = std::time::Duration::from_secs(u64::try_from(now.seconds()).unwrap());
            let time = Arc::new(ClientTime(UnixTime::since_unix_epoch(seconds)));
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let client = rustls::ClientConfig::builder_with_details(provider, time)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
            let mut pair = Self(client, ServerConnection::new(Arc::clone(server)).unwrap());
            while pair.0.is_handshaking() || pair.1.is_handshaking() {
                pair.carry();
            }
            pair
        }

        fn carry(&mut self) {
            let mut bytes = Vec::new();
            while self.0.wants_write() {
                self.0.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                self.1.read_tls(&mut rest).unwrap();
                self.1.process_new_packets().unwrap();
            }
            bytes.clear();
            while self.1.wants_write() {
                self.1.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                self.0.read_tls(&mut rest).unwrap();
                self.0.process_new_packets().unwrap();
            }
        }

        fn shown(&self) -> Vec<u8> {
            self.0.peer_certificates().unwrap()[0].to_vec()
        }

        fn says(&mut self, word: &[u8]) -> Vec<u8> {
            self.0.writer().write_all(word).unwrap();
            self.carry();
            let mut got = vec![0; word.len()];
            self.1.reader().read_exact(&mut got).unwrap();
            got
        }
    }

    #[test]
    fn two_thirds_into_its_life_a_new_handshake_shows_a_new_certificate_and_old_connections_go_on() {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands(StandingClock::at(real_now())));
        let certificates = Arc::new(ServerCertificates::open(place.path(), clock.clone(), Arc::default()).unwrap());
        let config = certificates.control_config(&["localhost".to_owned()]).unwrap();
        let shake = || Pair::new(&config, certificates.ca_file(), clock.now());
        let mut old = shake();
        clock.0.advance(Lifetime::from_days(59));
        assert_eq!(shake().shown(), old.shown(), "not before its time");
        clock.0.advance(Lifetime::from_days(2));
        let mut new = shake();
        assert_ne!(new.shown(), old.shown());
        assert_eq!(shake().shown(), new.shown(), "once, and not at every handshake");
        assert_eq!((old.says(b"still here"), new.says(b"hello")), (b"still here".to_vec(), b"hello".to_vec()));
        // By a client's own clock the first one has ended by then, and whoever connects still gets in.
        clock.0.advance(Lifetime::from_days(40));
        assert_eq!(shake().says(b"late"), b"late");
        assert_eq!(old.says(b"still here"), b"still here");
    }
}

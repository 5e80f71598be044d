//! The TLS face of each namespace: its certificate, whether it asks for the client's, and a session cache of its own that is thrown
//! away when what it takes to get in changes. Decides nothing: a handshake is not a verdict.

use crate::sessions::{Handshake, Sessions};
use crate::{Clock, ServerIdentity};
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::namespace::Namespace;
use countersign_core::{Lifetime, NamespaceId, Snapshot, Timestamp};
use countersign_x509::verifier::ProofOfPossession;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto::CryptoProvider};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

struct Door {
    namespace: Arc<Namespace>,
    relevant: Fingerprint,
    face: Face,
    renew_at: Timestamp,
    not_after: Timestamp,
}

/// The TLS settings of a namespace, and the sessions that were made by them.
#[derive(Clone)]
pub(crate) struct Face {
    config: Arc<ServerConfig>,
    sessions: Arc<Sessions>,
}

impl Face {
    /// The settings for one handshake, and its view of the sessions. The copy is of reference counts.
    pub(crate) fn for_handshake(
        &self,
        snapshot: Arc<Snapshot>,
        namespace: Arc<Namespace>,
        now: Timestamp,
    ) -> (Arc<ServerConfig>, Arc<Handshake>) {
        let handshake = Arc::new(Handshake::new(Arc::clone(&self.sessions), snapshot, namespace, now));
        let mut config = ServerConfig::clone(&self.config);
        config.session_storage = Arc::<Handshake>::clone(&handshake);
        (Arc::new(config), handshake)
    }
}

/// Every namespace's TLS settings, made when they are first needed.
pub(crate) struct Doors {
    identity: Arc<dyn ServerIdentity>,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    doors: Mutex<HashMap<NamespaceId, Door>>,
}

impl Doors {
    pub(crate) fn new(identity: Arc<dyn ServerIdentity>, clock: Arc<dyn Clock>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { identity, clock, provider, doors: Mutex::default() }
    }

    /// The settings of `namespace` as it is now. The error is for the log.
    pub(crate) fn face(&self, namespace: &Arc<Namespace>) -> Result<Face, String> {
        let now = self.clock.now();
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get_mut(&namespace.id)
            && now < door.renew_at
        {
            if Arc::ptr_eq(&door.namespace, namespace) {
                return Ok(door.face.clone());
            }
            if relevant(namespace) == door.relevant {
                door.namespace = Arc::clone(namespace);
                return Ok(door.face.clone());
            }
        }
        let relevant = relevant(namespace);
        match self.make(namespace, now) {
            Ok((config, renew_at, not_after)) => {
                let face = Face { config, sessions: Arc::default() };
                let door = Door { namespace: Arc::clone(namespace), relevant, face: face.clone(), renew_at, not_after };
                doors.insert(namespace.id.clone(), door);
                Ok(face)
            }
            Err(error) => match doors.get_mut(&namespace.id) {
                // The certificate still stands: go on with it and try again in a minute.
                Some(door) if door.relevant == relevant && now < door.not_after => {
                    tracing::warn!(namespace = %namespace.id, %error, "the server certificate could not be renewed");
                    door.renew_at = now.plus(Lifetime::from_seconds(60));
                    Ok(door.face.clone())
                }
                _ => Err(error),
            },
        }
    }

    /// The settings, when to renew their certificate, and when it ends.
    fn make(&self, namespace: &Namespace, now: Timestamp) -> Result<(Arc<ServerConfig>, Timestamp, Timestamp), String> {
        let names: Vec<_> = namespace.hostnames().cloned().collect();
        let key = self.identity.certified_key(&names)?;
        let hour = now.plus(Lifetime::from_seconds(3600));
        let (renew_at, not_after) =
            key.cert.first().and_then(|leaf| countersign_x509::facts::of(leaf).ok()).map_or((hour, hour), |facts| {
                let life = facts.not_after.since(facts.not_before).max(0);
                let renew_at = Timestamp::from_micros(facts.not_before.micros().saturating_add(life / 3 * 2));
                (renew_at.max(now.plus(Lifetime::from_seconds(60))), facts.not_after)
            });
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| e.to_string())?;
        let builder = if namespace.asks_for_certificates() {
            builder.with_client_cert_verifier(Arc::new(ProofOfPossession::new()))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(OneKey(key)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Each handshake brings its own view of the sessions; without one nothing is resumed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Stateful, one each: a second ticket is work that hardly any client has use for.
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        Ok((Arc::new(config), renew_at, not_after))
    }

    /// Forgets namespaces that are gone.
    pub(crate) fn retain(&self, exists: impl Fn(&NamespaceId) -> bool) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| exists(id));
    }
}

/// A digest of all that decides who gets in by certificate, and of the names. When it changes, no session is resumed.
fn relevant(namespace: &Namespace) -> Fingerprint {
    let mut bytes = Vec::new();
    let mut part = |tag: u8, data: &[u8]| {
        bytes.push(tag);
        bytes.extend_from_slice(&(data.len() as u64).to_be_bytes());
        bytes.extend_from_slice(data);
    };
    // One that was deleted and made again under its name is another one.
    part(10, &namespace.created_at.micros().to_be_bytes());
    for host in namespace.hostnames() {
        part(0, host.as_str().as_bytes());
    }
    part(1, namespace.auth_method.as_str().as_bytes());
    for ca in &namespace.accepted_client_cas {
        part(2, ca.fingerprint.as_bytes());
    }
    for filter in &namespace.certificate_filters {
        let fields = [&filter.common_name, &filter.organization, &filter.organizational_unit, &filter.subject_alternative_name];
        for (tag, field) in (3..).zip(fields) {
            if let Some(value) = field {
                part(tag, value.as_bytes());
            }
        }
        part(7, &[]);
    }
    for api in &namespace.apis {
        part(8, api.id.as_str().as_bytes());
        part(9, &[u8::from(api.authentication.api_key), u8::from(api.authentication.client_certificate)]);
    }
    Fingerprint::of(&bytes)
}

#[derive(Debug)]
struct OneKey(Arc<CertifiedKey>);

impl ResolvesServerCert for OneKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

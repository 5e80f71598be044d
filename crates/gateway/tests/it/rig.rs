//! A gateway with a snapshot made by hand, a clock that can be turned, and credentials.

use crate::upstream::Recorder;
use countersign_core::access::{Access, AccountRole};
use countersign_core::credential::api_key::{self, KeyDigest};
use countersign_core::credential::certificate::{CertificateStatus, Fingerprint};
use countersign_core::id::{ApiId, ApiKeyId, CertificateId, ServiceAccountId};
use countersign_core::namespace::{Api, AuthMethod, Authentication, Namespace, Upstream};
use countersign_core::receipt::Applied;
use countersign_core::snapshot::{CertificateEntry, Change, KeyEntry};
use countersign_core::{Hostname, IdentityId, Lifetime, NamespaceId, NamespacePermission, Snapshot, Timestamp};
use countersign_gateway::{Clock, Gateway, ServerIdentity, Settings};
use countersign_testkit::TurnedClock;
pub use countersign_testkit::{Chance, real_now};
use countersign_x509::authority::Authority;
use countersign_x509::tcld::{self, CaRequest, LeafRequest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The real time, turned by as much as a test wants.
#[derive(Default)]
pub struct Turned(TurnedClock);
impl Turned {
    pub fn advance(&self, by: Lifetime) {
        self.0.advance(by);
    }
}
impl Clock for Turned {
    fn now(&self) -> Timestamp {
        self.0.read()
    }
}

struct Identity(Authority);
impl ServerIdentity for Identity {
    fn certified_key(&self, names: &[Hostname]) -> Result<Arc<rustls::sign::CertifiedKey>, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let (leaf, key) = self.0.issue_server(&names, real_now(), Lifetime::from_days(30), &Chance).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::Pkcs8(key.into());
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|e| e.to_string())?;
        Ok(Arc::new(rustls::sign::CertifiedKey::new(vec![leaf.into()], key)))
    }
}

/// A client CA with its key.
pub struct ClientCa {
    pub pem: String,
    pub key: String,
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct ClientCert {
    pub pem: String,
    pub key: String,
}

impl ClientCa {
    pub fn new(organization: &str) -> Self {
        let request = CaRequest { organization: organization.into(), validity: Lifetime::from_days(365), rsa: false };
        let (pem, key) = tcld::generate_ca(&request, real_now(), &Chance).unwrap();
        Self { pem, key: key.expose().to_owned() }
    }

    pub fn leaf(&self, common_name: &str) -> ClientCert {
        self.leaf_for(common_name, Lifetime::from_days(30))
    }

    pub fn leaf_for(&self, common_name: &str, validity: Lifetime) -> ClientCert {
        let request = LeafRequest {
            organization: "Clients".into(),
            organizational_unit: None,
            common_name: Some(common_name.into()),
            validity: Some(validity),
        };
        let (pem, key) = tcld::generate_leaf(&request, &self.pem, &self.key, real_now(), &Chance).unwrap();
        ClientCert { pem, key: key.expose().to_owned() }
    }
}

impl ClientCert {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der())
    }
}

/// A key as its holder has it and as the snapshot has it.
pub struct Key {
    pub id: ApiKeyId,
    pub text: String,
    digest: KeyDigest,
    owner: IdentityId,
}

impl Key {
    pub fn entry(&self, disabled: bool, expires_at: Timestamp) -> Change {
        let entry = KeyEntry { digest: self.digest, owner: self.owner.clone(), disabled, expires_at, apis: Vec::new() };
        Change::PutKey(self.id.clone(), entry)
    }
}

/// Everything a journey needs. The threads of the gateway end with it.
pub struct Rig {
    pub gateway: Gateway,
    pub clock: Arc<Turned>,
    pub server_ca: Vec<u8>,
    pub server_ca_pem: String,
    pub upstream: Recorder,
    snapshot: Mutex<Arc<Snapshot>>,
    pub owner: IdentityId,
}

pub fn id(name: &str) -> NamespaceId {
    NamespaceId::new(name, "acc01").unwrap()
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let authority = Authority::generate_internal("Test gateway CA", real_now(), Lifetime::from_days(90), &Chance).unwrap();
        let (server_ca, server_ca_pem) = (authority.certificate_der().to_vec(), authority.certificate_pem());
        let clock = Arc::new(Turned::default());
        let mut settings = Settings::new("gw1", "127.0.0.1:0".parse().unwrap(), Hostname::parse("test").unwrap());
        settings.workers = 2;
        settings.upstreams.local = true;
        change(&mut settings);
        let snapshot = Arc::new(Snapshot::default());
        let gateway =
            Gateway::start(settings, Arc::clone(&snapshot), Arc::new(Identity(authority)), Arc::clone(&clock) as _, Arc::new(Chance))
                .unwrap();
        let rig = Self {
            gateway,
            clock,
            server_ca,
            server_ca_pem,
            upstream: Recorder::start().await,
            snapshot: Mutex::new(snapshot),
            owner: IdentityId::ServiceAccount(ServiceAccountId::mint(&Chance)),
        };
        let mut access = Access::role(AccountRole::Read);
        access.namespaces =
            ["a", "b", "k"].into_iter().map(|n| (id(&format!("{n}{n}")), NamespacePermission::Write)).collect::<BTreeMap<_, _>>();
        rig.change([Change::PutIdentity(rig.owner.clone(), access)]).await;
        rig
    }

    /// Tries to start another gateway at an address.
    pub fn try_listen(address: std::net::SocketAddr) -> Result<Gateway, countersign_gateway::StartError> {
        let authority = Authority::generate_internal("Test gateway CA", real_now(), Lifetime::from_days(90), &Chance).unwrap();
        let settings = Settings::new("gw2", address, Hostname::parse("test").unwrap());
        Gateway::start(settings, Arc::default(), Arc::new(Identity(authority)), Arc::new(Turned::default()), Arc::new(Chance))
    }

    /// Applies changes as the control plane would.
    pub async fn change(&self, changes: impl IntoIterator<Item = Change>) -> Applied {
        let next = {
            let mut snapshot = self.snapshot.lock().unwrap();
            *snapshot = Arc::new(snapshot.apply(snapshot.revision() + 1, changes));
            Arc::clone(&snapshot)
        };
        let applied = self.gateway.apply(Arc::clone(&next)).await;
        assert_eq!(applied.revision, next.revision());
        applied
    }

    /// The namespace `<name><name>.acc01` at `<name>.test`.
    pub fn namespace(&self, name: &str, auth_method: AuthMethod) -> Namespace {
        let now = real_now();
        Namespace {
            id: id(&format!("{name}{name}")),
            hostname: Hostname::parse(&format!("{name}.test")).unwrap(),
            extra_hostnames: Vec::new(),
            upstream: Some(Upstream::parse(&format!("http://{}", self.upstream.address)).unwrap()),
            auth_method,
            accepted_client_cas: Vec::new(),
            certificate_filters: Vec::new(),
            apis: Vec::new(),
            timeouts: Default::default(),
            snapshot_age_max: Lifetime::from_days(1000),
            delete_protection: false,
            temporal: Default::default(),
            settled_version: 1,
            resource_version: 1,
            created_at: now,
            modified_at: now,
        }
    }

    pub fn mtls(&self, name: &str, cas: &[&ClientCa]) -> Namespace {
        let mut namespace = self.namespace(name, AuthMethod::Mtls);
        let bundle: String = cas.iter().map(|ca| ca.pem.clone()).collect::<Vec<_>>().join("\n");
        if !cas.is_empty() {
            namespace.accepted_client_cas = countersign_x509::bundle::parse(bundle.as_bytes(), real_now(), false).unwrap();
        }
        namespace
    }

    pub fn api(&self, listen_path: &str, key: bool, certificate: bool) -> Api {
        let now = real_now();
        Api {
            id: ApiId::mint(&Chance),
            name: listen_path.trim_matches('/').to_owned(),
            listen_path: listen_path.to_owned(),
            upstream: None,
            authentication: Authentication { api_key: key, client_certificate: certificate },
            pass_api_key: false,
            forward_client_certificate: false,
            case_sensitive: false,
            allowed_path_forms: Vec::new(),
            timeouts: Default::default(),
            resource_version: 1,
            created_at: now,
            modified_at: now,
        }
    }

    pub async fn put(&self, namespace: Namespace) -> Applied {
        self.change([Change::PutNamespace(Arc::new(namespace))]).await
    }

    /// A namespace `k` that takes API keys, and a key for it.
    pub async fn key_door(&self) -> Key {
        self.put(self.namespace("k", AuthMethod::ApiKey)).await;
        self.key().await
    }

    pub async fn key(&self) -> Key {
        let id = ApiKeyId::mint(&Chance);
        let (text, digest) = api_key::mint(&id, &Chance);
        let key = Key { id, text: text.expose().to_owned(), digest, owner: self.owner.clone() };
        self.change([key.entry(false, real_now().plus(Lifetime::from_days(90)))]).await;
        key
    }

    pub fn registered(&self, certificate: &ClientCert, revoked: bool) -> Change {
        let status = if revoked { CertificateStatus::Revoked } else { CertificateStatus::Active };
        Change::PutCertificate(
            certificate.fingerprint(),
            CertificateEntry {
                id: CertificateId::mint(&Chance),
                owner: self.owner.clone(),
                status,
                issuer: None,
                apis: Vec::new(),
                binds: true,
            },
        )
    }
}

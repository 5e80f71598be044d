//! What every engine must do, one file a noun. Each test begins at [`House::new`], which is the only place that knows the engine.

mod api_key;
mod audit;
mod audit_sink;
mod certificate;
mod fence;
mod identity;
mod login;
mod namespace;
mod notice;
mod opening;
mod operation;
mod sharing;
mod snapshot;
mod statements;
mod usage;
mod writing;

use crate::{Clash, Store, StoreError};
use countersign_core::access::{Access, AccountRole, NamespacePermission};
use countersign_core::audit::Entry;
use countersign_core::credential::api_key::{ApiKey, mint};
use countersign_core::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint};
use countersign_core::id::{ApiKeyId, CertificateId, OperationId, ServiceAccountId, UserId};
use countersign_core::identity::{Account, ServiceAccount, User};
use countersign_core::namespace::{AcceptedCa, AuthMethod, Namespace, Upstream};
use countersign_core::operation::{Operation, OperationState};
use countersign_core::{Entropy, Hostname, IdentityId, Lifetime, NamespaceId, Timestamp};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store in a directory of its own, which goes with it.
struct House {
    store: Store,
    directory: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).await.unwrap();
        Self { store, directory }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Goes away without a word, as far as one process can, and comes again.
    async fn reopened(self) -> Self {
        let Self { store, directory } = self;
        drop(store);
        let store = reopen(&directory.path().join("data")).await;
        Self { store, directory }
    }
}

/// Opens again once the rollback tasks of the store before have let go of its lock.
async fn reopen(data: &std::path::Path) -> Store {
    loop {
        match Store::open(data).await {
            Err(StoreError::Busy { .. }) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
}

/// Different bytes at each call, in each process, and no secrets.
struct Counted;

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Another process makes other ids, in the same store.
        let seed = NEXT.fetch_add(1, Ordering::Relaxed) + u64::from(std::process::id()) * 1_000_003;
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from((seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> ((i % 8) * 8)) & 0xff).unwrap().wrapping_add((i / 8) as u8);
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn account() -> Account {
    Account { id: "a1b2c".into(), api_key_creation_disabled: false, resource_version: 1, created_at: at(0), modified_at: at(0) }
}

fn user(email: &str, role: AccountRole) -> User {
    let mut access = Access::role(role);
    access.namespaces.insert(NamespaceId::parse("demo.a1b2c").unwrap(), NamespacePermission::Write);
    User { id: UserId::mint(&Counted), email: email.into(), access, resource_version: 1, created_at: at(0), modified_at: at(1) }
}

fn service_account(name: &str, scope: Option<&str>) -> ServiceAccount {
    ServiceAccount {
        id: ServiceAccountId::mint(&Counted),
        name: name.into(),
        description: "builds".into(),
        access: Access::role(AccountRole::Read),
        scope: scope.map(|scope| NamespaceId::parse(scope).unwrap()),
        resource_version: 1,
        created_at: at(0),
        modified_at: at(1),
    }
}

fn namespace(name: &str) -> Namespace {
    Namespace {
        id: NamespaceId::new(name, "a1b2c").unwrap(),
        hostname: Hostname::parse(&format!("{name}.a1b2c.gw.test")).unwrap(),
        extra_hostnames: vec![Hostname::parse(&format!("{name}.example")).unwrap()],
        upstream: Some(Upstream::parse("http://127.0.0.1:9000").unwrap()),
        auth_method: AuthMethod::ApiKeyOrMtls,
        accepted_client_cas: vec![AcceptedCa {
            der: vec![0x30, 0x00, 0xff],
            fingerprint: Fingerprint::of(name.as_bytes()),
            fingerprint_sha1: "00".repeat(20),
            subject: "CN=ca".into(),
            issuer: "CN=ca".into(),
            not_before: at(0),
            not_after: at(10),
            warnings: vec!["short".into()],
            well_known: false,
            refuse_after: None,
        }],
        certificate_filters: vec![],
        apis: vec![],
        timeouts: Default::default(),
        snapshot_age_max: Lifetime::from_days(1),
        delete_protection: false,
        temporal: Default::default(),
        settled_version: 1,
        resource_version: 1,
        created_at: at(0),
        modified_at: at(0),
    }
}

fn key(owner: &IdentityId, expires_at: Timestamp) -> ApiKey {
    let id = ApiKeyId::mint(&Counted);
    let (_, digest) = mint(&id, &Counted);
    ApiKey {
        id,
        owner: owner.clone(),
        name: "ci".into(),
        description: String::new(),
        digest,
        disabled: false,
        apis: vec![],
        expires_at,
        parent: None,
        resource_version: 1,
        created_at: at(0),
        modified_at: at(0),
    }
}

fn certificate(owner: &IdentityId, der: &[u8]) -> Certificate {
    Certificate {
        id: CertificateId::mint(&Counted),
        fingerprint: Fingerprint::of(der),
        der: der.to_vec(),
        facts: CertificateFacts { subject: "CN=leaf".into(), common_names: vec!["leaf".into()], ..CertificateFacts::default() },
        owner: owner.clone(),
        alias: "laptop".into(),
        apis: vec![],
        status: CertificateStatus::Active,
        revoked_at: None,
        reason: None,
        issuer: None,
        proven: true,
        vouched: false,
        ended_by_admin: false,
        replaces: None,
        replaced_by: None,
        retirement: None,
        resource_version: 1,
        created_at: at(0),
        modified_at: at(0),
    }
}

fn operation(state: OperationState) -> Operation {
    Operation {
        id: OperationId::mint(&Counted),
        state,
        operation_type: "CreateApiKey".into(),
        resource_id: "k".into(),
        resource_type: "api_key".into(),
        failure_reason: String::new(),
        request_digest: [7; 32],
        started_at: at(0),
        finished_at: (state != OperationState::InProgress).then(|| at(1)),
        receipt: None,
    }
}

fn entry(action: &str, actor: &str, object: &str, when: i64) -> Entry {
    Entry {
        at: at(when),
        actor_kind: "user".into(),
        actor_id: actor.into(),
        actor_name: "a@example.test".into(),
        credential: String::new(),
        action: action.into(),
        object_kind: "api_key".into(),
        object_id: object.into(),
        result: "ok".into(),
        before: String::new(),
        after: "{}".into(),
        source: "127.0.0.1".into(),
        request_id: "q1".into(),
        operation_id: String::new(),
    }
}

fn clash<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Clash {
    match result {
        Err(StoreError::Conflict { what }) => what,
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

//! The promises of admission, decided without a socket.

use super::*;
use crate::access::AccountRole;
use crate::credential::api_key::{self, KeyDigest};
use crate::entropy::Entropy;
use crate::filter::CertificateFilter;
use crate::id::{IssuerId, ServiceAccountId, UserId};
use crate::name::NamespaceId;
use crate::namespace::{AcceptedCa, Api, AuthMethod, Authentication, Upstream};
use crate::snapshot::{BlockedLeaf, Change, KeyEntry, LeafSelector};
use crate::time::Lifetime;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counter(AtomicU64);
impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for b in bytes {
            *b = (self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 29) as u8;
        }
    }
}

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_900_000_000);
const CA: Fingerprint = Fingerprint::from_bytes([7; 32]);
const CA_KEY: Fingerprint = Fingerprint::from_bytes([8; 32]);

struct World {
    snapshot: Snapshot,
    host: Hostname,
    other: Hostname,
    key: PresentedKey,
    api: ApiId,
    owner: IdentityId,
}

pub(super) fn namespace(name: &str, method: AuthMethod) -> Namespace {
    let id = NamespaceId::parse(&format!("{name}.a1b2c")).expect("a name");
    Namespace {
        hostname: Hostname::parse(&format!("{id}.test")).expect("a host"),
        id,
        extra_hostnames: vec![],
        upstream: Some(Upstream::parse("http://127.0.0.1:1").expect("an upstream")),
        auth_method: method,
        accepted_client_cas: vec![AcceptedCa {
            der: vec![],
            fingerprint: CA,
            fingerprint_sha1: String::new(),
            subject: String::new(),
            issuer: String::new(),
            not_before: Timestamp::default(),
            not_after: NOW.plus(Lifetime::from_days(9)),
            warnings: vec![],
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
        created_at: NOW,
        modified_at: NOW,
    }
}

fn world() -> World {
    let entropy = Counter(AtomicU64::new(5));
    let (id, api) = (ApiKeyId::mint(&entropy), ApiId::mint(&entropy));
    let (secret, digest) = api_key::mint(&id, &entropy);
    let owner = IdentityId::ServiceAccount(ServiceAccountId::mint(&entropy));
    let mut demo = namespace("demo", AuthMethod::ApiKeyOrMtls);
    demo.apis.push(Api {
        id: api.clone(),
        name: "keys only".into(),
        listen_path: "/keys/".into(),
        upstream: None,
        authentication: Authentication { api_key: true, client_certificate: false },
        pass_api_key: false,
        forward_client_certificate: false,
        case_sensitive: false,
        allowed_path_forms: Vec::new(),
        timeouts: Default::default(),
        resource_version: 1,
        created_at: NOW,
        modified_at: NOW,
    });
    let other = namespace("other", AuthMethod::ApiKeyOrMtls);
    let (host, other_host) = (demo.hostname.clone(), other.hostname.clone());
    let mut access = Access::role(AccountRole::Read);
    access.namespaces.insert(demo.id.clone(), NamespacePermission::Write);
    let entry = KeyEntry { digest, owner: owner.clone(), disabled: false, expires_at: NOW.plus(Lifetime::from_days(1)), apis: vec![] };
    let snapshot = Snapshot::default().apply(
        1,
        [
            Change::PutNamespace(Arc::new(demo)),
            Change::PutNamespace(Arc::new(other)),
            Change::PutIdentity(owner.clone(), access),
            Change::PutKey(id, entry),
        ],
    );
    let key = PresentedKey::parse(secret.expose()).expect("a key");
    World { snapshot, host, other: other_host, key, api, owner }
}

use crate::access::Access;

impl World {
    fn ask<'a>(
        &'a self,
        host: &'a Hostname,
        path: &'a str,
        bearer: Bearer<'a>,
        certificate: Option<&'a PresentedCertificate>,
    ) -> Presented<'a> {
        Presented { server_name: Some(host), authority: host, method: "POST", path, bearer, certificate }
    }

    fn key(&self) -> Bearer<'_> {
        Bearer::Key(&self.key)
    }

    fn with_key(&self, change: impl FnOnce(&mut KeyEntry)) -> Snapshot {
        let mut entry = KeyEntry::clone(self.snapshot.key(&self.key.id).expect("the key"));
        change(&mut entry);
        self.snapshot.apply(2, [Change::PutKey(self.key.id.clone(), entry)])
    }

    fn with_namespace(&self, change: impl FnOnce(&mut Namespace)) -> Snapshot {
        let mut demo = Namespace::clone(self.snapshot.namespace_at(&self.host).expect("demo"));
        change(&mut demo);
        self.snapshot.apply(2, [Change::PutNamespace(Arc::new(demo))])
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Code {
    result.expect_err("a refusal").code
}

fn leaf(chain: bool) -> PresentedCertificate {
    let not_after = NOW.plus(Lifetime::from_days(2));
    PresentedCertificate {
        fingerprint: Fingerprint::from_bytes([9; 32]),
        facts: CertificateFacts { common_names: vec!["worker".into()], not_after, ..CertificateFacts::default() },
        chain: chain.then_some(ChainPath { anchor: CA, issuer_key: CA_KEY, not_before: Timestamp::default(), not_after }),
        no_path: None,
    }
}

#[test]
fn a_good_key_gets_in_and_nothing_else_does() {
    let w = world();
    let permit = admit(&w.snapshot, &w.ask(&w.host, "/x", w.key(), None), NOW).expect("admitted");
    assert_eq!((permit.identity_text(), permit.identity_kind()), (w.owner.to_string(), "service_account"));
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", Bearer::None, None), NOW)), Code::KeyMissing);
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", Bearer::Malformed, None), NOW)), Code::KeyMalformed);
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", Bearer::Foreign, None), NOW)), Code::KeyMalformed);
    let forged = PresentedKey { id: w.key.id.clone(), digest: KeyDigest::from_bytes([0; 32]) };
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", Bearer::Key(&forged), None), NOW)), Code::KeyUnknown);
}

#[test]
fn a_disabled_expired_or_deleted_key_never_authenticates() {
    let w = world();
    let ask = w.ask(&w.host, "/x", w.key(), None);
    assert_eq!(code(admit(&w.with_key(|k| k.disabled = true), &ask, NOW)), Code::KeyDisabled);
    assert_eq!(code(admit(&w.with_key(|k| k.expires_at = NOW), &ask, NOW)), Code::KeyExpired);
    assert_eq!(code(admit(&w.snapshot.apply(2, [Change::RemoveKey(w.key.id.clone())]), &ask, NOW)), Code::KeyUnknown);
    assert_eq!(code(admit(&w.snapshot.apply(2, [Change::RemoveIdentity(w.owner.clone())]), &ask, NOW)), Code::KeyUnknown);
    assert!(
        admit(
            &w.with_key(|k| k.disabled = true)
                .apply(3, [Change::PutKey(w.key.id.clone(), KeyEntry::clone(w.snapshot.key(&w.key.id).expect("key")))]),
            &ask,
            NOW
        )
        .is_ok(),
        "enabled again"
    );
}

#[test]
fn a_key_of_one_namespace_opens_no_other() {
    let w = world();
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.other, "/x", w.key(), None), NOW)), Code::NotEntitled);
}

#[test]
fn names_that_disagree_are_misdirected() {
    let w = world();
    let mut ask = w.ask(&w.host, "/x", w.key(), None);
    ask.authority = &w.other;
    assert_eq!(code(admit(&w.snapshot, &ask, NOW)), Code::Misdirected);
    ask.server_name = None;
    assert_eq!(code(admit(&w.snapshot, &ask, NOW)), Code::Misdirected);
}

#[test]
fn a_bad_key_is_not_excused_by_a_good_certificate() {
    let w = world();
    let certificate = leaf(true);
    let snapshot = w.with_key(|k| k.disabled = true);
    assert_eq!(code(admit(&snapshot, &w.ask(&w.host, "/x", w.key(), Some(&certificate)), NOW)), Code::KeyDisabled);
    assert!(admit(&snapshot, &w.ask(&w.host, "/x", Bearer::Foreign, Some(&certificate)), NOW).is_ok());
}

#[test]
fn a_certificate_counts_only_while_its_ca_is_accepted_and_valid() {
    let w = world();
    let certificate = leaf(true);
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&certificate));
    assert_eq!(admit(&w.snapshot, &ask, NOW).expect("admitted").identity_kind(), "certificate");
    assert_eq!(code(admit(&w.with_namespace(|n| n.accepted_client_cas.clear()), &ask, NOW)), Code::CertificateUnknown);
    let filtered = w.with_namespace(|n| {
        n.certificate_filters.push(CertificateFilter { common_name: Some("boss".into()), ..CertificateFilter::default() })
    });
    assert_eq!(code(admit(&filtered, &ask, NOW)), Code::CertificateFiltered);
    assert_eq!(code(admit(&w.snapshot, &ask, NOW.plus(Lifetime::from_days(3)))), Code::CertificateExpired);
    let end = certificate.facts.not_after;
    assert!(admit(&w.snapshot, &ask, end).is_ok(), "notAfter is inclusive");
    assert_eq!(code(admit(&w.snapshot, &ask, end.plus(Lifetime::from_seconds(1)))), Code::CertificateExpired);
    let stranger = leaf(false);
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", Bearer::None, Some(&stranger)), NOW)), Code::CertificateUnknown);
}

#[test]
fn e4_a_stale_revocation_list_lets_nobody_in_where_that_is_the_rule() {
    let w = world();
    let certificate = leaf(true);
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&certificate));
    let stale = NOW.plus(Lifetime::from_seconds(60));
    let refusing = w.with_namespace(|n| n.accepted_client_cas[0].refuse_after = Some(stale));
    assert_eq!(admit(&refusing, &ask, stale).expect("admitted").valid_until(), stale.plus(Lifetime::from_seconds(1)));
    assert_eq!(code(admit(&refusing, &ask, stale.plus(Lifetime::from_seconds(1)))), Code::CertificateRevoked);
    // Never longer than the certificate itself.
    let long = w.with_namespace(|n| n.accepted_client_cas[0].refuse_after = Some(NOW.plus(Lifetime::from_days(99))));
    assert_eq!(code(admit(&long, &ask, NOW.plus(Lifetime::from_days(3)))), Code::CertificateExpired);
}

#[test]
fn e5_a_leaf_of_which_no_list_tells_waits_for_none_and_is_out_where_it_is_revoked_here() {
    let w = world();
    let mut certificate = leaf(true);
    certificate.facts.no_list = true;
    certificate.facts.serial = "0a".into();
    let stale = NOW.plus(Lifetime::from_seconds(60));
    let refusing = w.with_namespace(|n| n.accepted_client_cas[0].refuse_after = Some(stale));
    let later = stale.plus(Lifetime::from_seconds(1));
    let permit = admit(&refusing, &w.ask(&w.host, "/x", Bearer::None, Some(&certificate)), later).expect("admitted");
    assert_eq!(permit.valid_until(), certificate.facts.not_after.plus(Lifetime::from_seconds(1)), "it ends with itself");
    // What is known here counts: a leaf that was revoked, a key that was blocked.
    let blocked = LeafSelector::Serial { issuer_key: CA_KEY, serial: "0a".into() };
    let revoked = refusing.apply(3, [Change::BlockLeaf(BlockedLeaf { namespace: None, leaf: blocked })]);
    assert_eq!(code(admit(&revoked, &w.ask(&w.host, "/x", Bearer::None, Some(&certificate)), later)), Code::CertificateRevoked);
    let key = Fingerprint::from_bytes([7; 32]);
    certificate.facts.key = Some(key);
    let burned = refusing.apply(3, [Change::BlockKey(key)]);
    assert_eq!(code(admit(&burned, &w.ask(&w.host, "/x", Bearer::None, Some(&certificate)), later)), Code::CertificateRevoked);
}

#[test]
fn an_api_says_which_credential_it_takes() {
    let w = world();
    let certificate = leaf(true);
    assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/keys/1", Bearer::None, Some(&certificate)), NOW)), Code::CertificateNotEnabled);
    let permit = admit(&w.snapshot, &w.ask(&w.host, "/keys/1", w.key(), Some(&certificate)), NOW).expect("admitted");
    assert_eq!(permit.api(), Some(&w.api));
}

#[test]
fn a_registered_certificate_lists_its_apis_and_a_revoked_one_is_gone() {
    let w = world();
    let certificate = leaf(false);
    let id = CertificateId::mint(&Counter(AtomicU64::new(3)));
    let mut entry =
        CertificateEntry { id, owner: w.owner.clone(), status: CertificateStatus::Active, issuer: None, apis: vec![], binds: true };
    let put = |entry: &CertificateEntry| w.snapshot.apply(2, [Change::PutCertificate(certificate.fingerprint, entry.clone())]);
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&certificate));
    assert!(admit(&put(&entry), &ask, NOW).is_ok());
    entry.apis = vec![w.api.clone()];
    assert_eq!(code(admit(&put(&entry), &ask, NOW)), Code::NotEntitled);
    for status in [CertificateStatus::Revoked, CertificateStatus::Held] {
        let entry = CertificateEntry { status, apis: vec![], ..entry.clone() };
        assert_eq!(code(admit(&put(&entry), &ask, NOW)), Code::CertificateRevoked);
    }
}

#[test]
fn b3_who_registers_anothers_public_leaf_neither_shuts_its_holder_out_nor_lends_him_a_name() {
    let w = world();
    let vouched = leaf(true);
    let id = CertificateId::mint(&Counter(AtomicU64::new(3)));
    let squatter = IdentityId::User(UserId::mint(&Counter(AtomicU64::new(11))));
    let known = w.snapshot.apply(2, [Change::PutIdentity(squatter.clone(), Access::role(AccountRole::Read))]);
    let with = |leaf: &PresentedCertificate, status, binds| {
        let entry = CertificateEntry { id: id.clone(), owner: squatter.clone(), status, issuer: None, apis: vec![w.api.clone()], binds };
        known.apply(3, [Change::PutCertificate(leaf.fingerprint, entry)])
    };
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&vouched));
    for status in [CertificateStatus::Active, CertificateStatus::Held, CertificateStatus::Revoked] {
        let permit = admit(&with(&vouched, status, false), &ask, NOW).expect("the accepted CA vouches for it");
        assert_eq!(permit.identity_kind(), "certificate", "{status:?}");
        // Who proved to hold its key, or an admin, does end it.
        assert!(admit(&with(&vouched, status, true), &ask, NOW).is_err(), "{status:?}");
    }
    // A CA that is not accepted any more vouches for nobody, and one that never was neither: then the registration decides.
    let mut demo = Namespace::clone(w.snapshot.namespace_at(&w.host).expect("demo"));
    demo.accepted_client_cas.clear();
    for (leaf, snapshot) in [
        (&vouched, with(&vouched, CertificateStatus::Revoked, false).apply(4, [Change::PutNamespace(Arc::new(demo))])),
        (&leaf(false), with(&leaf(false), CertificateStatus::Revoked, false)),
    ] {
        let ask = w.ask(&w.host, "/x", Bearer::None, Some(leaf));
        assert_eq!(code(admit(&snapshot, &ask, NOW)), Code::CertificateRevoked);
    }
}

#[test]
fn e4_a_leaf_that_its_ca_revoked_is_out_also_where_it_is_registered() {
    let w = world();
    let certificate = leaf(true);
    let id = CertificateId::mint(&Counter(AtomicU64::new(3)));
    let entry = CertificateEntry { id, owner: w.owner.clone(), status: CertificateStatus::Active, issuer: None, apis: vec![], binds: true };
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&certificate));
    let serial =
        |serial: &str| BlockedLeaf { namespace: None, leaf: LeafSelector::Serial { issuer_key: CA_KEY, serial: serial.to_owned() } };
    let out = serial(&certificate.facts.serial);
    let registered = w.snapshot.apply(2, [Change::PutCertificate(certificate.fingerprint, entry)]);
    assert!(admit(&registered, &ask, NOW).is_ok());
    for snapshot in [&registered, &w.snapshot] {
        let blocked = snapshot.apply(3, [Change::BlockLeaf(out.clone())]);
        assert_eq!(code(admit(&blocked, &ask, NOW)), Code::CertificateRevoked);
        assert!(admit(&blocked.apply(4, [Change::UnblockLeaf(out.clone())]), &ask, NOW).is_ok());
        assert!(admit(&snapshot.apply(3, [Change::BlockLeaf(serial("ff"))]), &ask, NOW).is_ok());
    }
}

#[test]
fn a_revoked_leaf_is_out_by_whatever_path_it_comes() {
    let w = world();
    let mut certificate = leaf(true);
    certificate.facts.serial = "0a".into();
    certificate.facts.issuer = "CN=ca".into();
    certificate.facts.content = Some(Fingerprint::from_bytes([21; 32]));
    certificate.facts.key = Some(Fingerprint::from_bytes([22; 32]));
    let demo = w.snapshot.namespace_at(&w.host).expect("demo").id.clone();
    let renewed = Fingerprint::from_bytes([44; 32]);
    let with_both = w.with_namespace(|n| {
        let again = AcceptedCa { fingerprint: renewed, ..n.accepted_client_cas[0].clone() };
        n.accepted_client_cas.push(again);
    });
    let selectors = [
        LeafSelector::Content(Fingerprint::from_bytes([21; 32])),
        LeafSelector::Key(Fingerprint::from_bytes([22; 32])),
        LeafSelector::Serial { issuer_key: CA_KEY, serial: "0a".into() },
        LeafSelector::Named { issuer: "CN=ca".into(), serial: "0a".into() },
    ];
    for selector in selectors {
        for (namespace, out) in
            [(None, true), (Some(demo.clone()), true), (Some(NamespaceId::parse("elsewhere.a1b2c").expect("an id")), false)]
        {
            let blocked = with_both.apply(3, [Change::BlockLeaf(BlockedLeaf { namespace, leaf: selector.clone() })]);
            for anchor in [CA, renewed] {
                if let Some(path) = &mut certificate.chain {
                    path.anchor = anchor;
                }
                let answer = admit(&blocked, &w.ask(&w.host, "/x", Bearer::None, Some(&certificate)), NOW);
                assert_eq!(answer.is_err(), out, "{selector:?}");
                assert!(answer.is_ok() || code(answer) == Code::CertificateRevoked);
            }
        }
    }
}

#[test]
fn g1_nothing_that_a_retired_issuer_signed_gets_in() {
    let w = world();
    let certificate = leaf(false);
    let [issuer, other] = ["i0000000000000000000", "i1111111111111111111"].map(|text| IssuerId::parse(text).expect("an id"));
    let id = CertificateId::mint(&Counter(AtomicU64::new(3)));
    let entry = CertificateEntry {
        id,
        owner: w.owner.clone(),
        status: CertificateStatus::Active,
        issuer: Some(Arc::new(issuer.clone())),
        apis: vec![],
        binds: true,
    };
    let ask = w.ask(&w.host, "/x", Bearer::None, Some(&certificate));
    let issued = w.snapshot.apply(2, [Change::PutCertificate(certificate.fingerprint, entry)]);
    assert!(admit(&issued, &ask, NOW).is_ok());
    assert!(admit(&issued.apply(3, [Change::RetireIssuer(other)]), &ask, NOW).is_ok());
    assert_eq!(code(admit(&issued.apply(3, [Change::RetireIssuer(issuer)]), &ask, NOW)), Code::CertificateRevoked);
}

#[test]
fn read_covers_only_methods_that_change_nothing() {
    let w = world();
    let mut access = Access::role(AccountRole::Read);
    access.namespaces.insert(NamespaceId::parse("demo.a1b2c").expect("id"), NamespacePermission::Read);
    let snapshot = w.snapshot.apply(2, [Change::PutIdentity(w.owner.clone(), access)]);
    let mut ask = w.ask(&w.host, "/x", w.key(), None);
    assert_eq!(code(admit(&snapshot, &ask, NOW)), Code::NotEntitled);
    ask.method = "GET";
    assert!(admit(&snapshot, &ask, NOW).is_ok());
    ask.method = "POST";
    for (path, admitted) in [("QueryWorkflow", true), ("GetSystemInfo", true), ("StartWorkflowExecution", false), ("Unheard", false)] {
        let path = format!("/temporal.api.workflowservice.v1.WorkflowService/{path}");
        let ask = Presented { path: &path, ..ask };
        assert_eq!(admit(&snapshot, &ask, NOW).is_ok(), admitted, "{path}");
    }
}

#[test]
fn an_older_revision_never_replaces_a_newer_one() {
    let w = world();
    let newer = w.snapshot.apply(5, [Change::RemoveKey(w.key.id.clone())]);
    let entry = KeyEntry::clone(w.snapshot.key(&w.key.id).expect("key"));
    let back = newer.apply(4, [Change::PutKey(w.key.id.clone(), entry)]);
    assert_eq!(back.revision(), 5);
    assert!(back.key(&w.key.id).is_none());
}

#[test]
fn one_who_proved_nothing_does_not_learn_what_is_served() {
    let w = world();
    let snapshot = w.with_namespace(|n| n.upstream = None);
    assert_eq!(code(admit(&snapshot, &w.ask(&w.host, "/nothing", Bearer::None, None), NOW)), Code::KeyMissing);
    assert_eq!(code(admit(&snapshot, &w.ask(&w.host, "/nothing", w.key(), None), NOW)), Code::NoRoute);
}

#[test]
fn an_owner_opens_every_namespace() {
    let w = world();
    let owner = IdentityId::User(UserId::mint(&Counter(AtomicU64::new(11))));
    let snapshot = w.with_key(|k| k.owner = owner.clone()).apply(3, [Change::PutIdentity(owner, Access::role(AccountRole::Owner))]);
    assert!(admit(&snapshot, &w.ask(&w.other, "/x", w.key(), None), NOW).is_ok());
}

proptest! {
    /// After its end a credential is refused at every later moment.
    #[test]
    fn admission_never_comes_back_after_expiry(later in 0_i64..10_000_000_000) {
        let w = world();
        let end = w.snapshot.key(&w.key.id).expect("key").expires_at;
        let at = Timestamp::from_micros(end.micros() + later);
        prop_assert_eq!(code(admit(&w.snapshot, &w.ask(&w.host, "/x", w.key(), None), at)), Code::KeyExpired);
    }
}

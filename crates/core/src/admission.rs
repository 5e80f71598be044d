//! Admission: the one decision of the gateway, also asked by `explain` and by the tests.
//!
//! `admit` is a pure function of a snapshot, what was presented, and the moment. It is asked on every request and again on
//! every change for every open connection and stream (promises P1, P3, P4). Nothing else lets anybody in.

use crate::access::{Access, NamespacePermission};
use crate::authz::workflow_service_permission;
use crate::credential::api_key::PresentedKey;
use crate::credential::certificate::{CertificateFacts, CertificateStatus, Fingerprint};
use crate::id::{ApiId, ApiKeyId, CertificateId};
use crate::identity::IdentityId;
use crate::limits::CLOCK_SKEW;
use crate::name::Hostname;
use crate::namespace::{Ambiguity, Namespace, Route};
use crate::path_form;
use crate::refusal::{Refusal, RefusalCode as Code};
use crate::snapshot::{CertificateEntry, KeyEntry, Snapshot};
use crate::time::Timestamp;
use std::sync::Arc;

/// A certificate path that was verified against CAs the namespace accepted at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainPath {
    /// The accepted CA at its end.
    pub anchor: Fingerprint,
    /// SHA-256 of the SubjectPublicKeyInfo of the CA that signed the leaf itself, whichever certificate of that CA the path runs over.
    pub issuer_key: Fingerprint,
    /// The latest `notBefore` of leaf, intermediates and anchor.
    pub not_before: Timestamp,
    /// The earliest `notAfter` of them.
    pub not_after: Timestamp,
}

/// Why no accepted CA vouches for a leaf, in words for its namespace's admins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPath {
    /// What is wrong, as a sentence without its full stop.
    pub reason: &'static str,
    /// What to do; empty where accepting the CA, or registering the leaf, is what is left.
    pub remedy: &'static str,
}

/// A client certificate whose key's possession the handshake proved.
#[derive(Clone, Debug)]
pub struct PresentedCertificate {
    /// SHA-256 of the leaf's DER.
    pub fingerprint: Fingerprint,
    /// What the leaf says of itself.
    pub facts: CertificateFacts,
    /// The verified path to one of the namespace's accepted CAs, if there is one.
    pub chain: Option<ChainPath>,
    /// Why there is none, for the record of a denial; nothing is decided by it.
    pub no_path: Option<NoPath>,
}

/// The methods that the gateway lets through (SECURITY.md, Defaults); any other is answered with 405 before anything is decided.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// What stood in `Authorization`.
#[derive(Clone, Copy, Debug)]
pub enum Bearer<'a> {
    /// Nothing.
    None,
    /// Something that is not meant as one of our keys.
    Foreign,
    /// Meant as one of our keys, but no key by shape or checksum.
    Malformed,
    /// A well-formed key.
    Key(&'a PresentedKey),
}

/// One request, as far as the decision depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The server name of the TLS connection.
    pub server_name: Option<&'a Hostname>,
    /// Host or `:authority`.
    pub authority: &'a Hostname,
    /// The method.
    pub method: &'a str,
    /// The path, its escapes in upper case ([`path_form::with_upper_escapes`]).
    pub path: &'a str,
    /// The bearer.
    pub bearer: Bearer<'a>,
    /// The client certificate of the connection.
    pub certificate: Option<&'a PresentedCertificate>,
}

/// Which credential let a request in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialId {
    /// An API key.
    Key(ApiKeyId),
    /// A registered certificate.
    Certificate(CertificateId),
    /// A certificate of an accepted client CA.
    AcceptedCa {
        /// The leaf.
        leaf: Fingerprint,
        /// The CA.
        anchor: Fingerprint,
    },
}

/// Leave to pass, made by [`admit`] alone.
#[derive(Clone, Debug)]
pub struct Permit {
    namespace: Arc<Namespace>,
    api: Option<ApiId>,
    owner: Option<IdentityId>,
    credential: CredentialId,
    permission: NamespacePermission,
    valid_until: Timestamp,
}

impl Permit {
    /// The door.
    pub const fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The API, or none when the namespace itself answers.
    pub const fn api(&self) -> Option<&ApiId> {
        self.api.as_ref()
    }

    /// The route `path` takes; the one that was decided on when it is the same path.
    pub fn route(&self, path: &str) -> Route<'_> {
        self.namespace.route(path)
    }

    /// Which credential.
    pub const fn credential(&self) -> &CredentialId {
        &self.credential
    }

    /// The right it has here.
    pub const fn permission(&self) -> NamespacePermission {
        self.permission
    }

    /// From this moment on the same request is refused by age alone.
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// What goes upstream as `Countersign-Identity`: the owner's id, or the leaf's fingerprint under an accepted CA.
    pub fn identity_text(&self) -> String {
        match (&self.owner, &self.credential) {
            (Some(owner), _) => owner.as_str().to_owned(),
            (None, CredentialId::AcceptedCa { leaf, .. }) => leaf.to_string(),
            (None, CredentialId::Key(id)) => id.to_string(),
            (None, CredentialId::Certificate(id)) => id.to_string(),
        }
    }

    /// What goes upstream as `Countersign-Identity-Kind`.
    pub fn identity_kind(&self) -> &'static str {
        self.owner.as_ref().map_or("certificate", IdentityId::kind)
    }

    /// What goes upstream as `Countersign-Credential`.
    pub fn credential_text(&self) -> String {
        match &self.credential {
            CredentialId::Key(id) => id.to_string(),
            CredentialId::Certificate(id) => id.to_string(),
            CredentialId::AcceptedCa { leaf, .. } => leaf.to_string(),
        }
    }

    /// `api_key`, `certificate` or `accepted_ca`.
    pub const fn credential_kind(&self) -> &'static str {
        match self.credential {
            CredentialId::Key(_) => "api_key",
            CredentialId::Certificate(_) => "certificate",
            CredentialId::AcceptedCa { .. } => "accepted_ca",
        }
    }
}

/// What a credential proved, before it is compared with the route.
struct Proved {
    owner: Option<IdentityId>,
    credential: CredentialId,
    permission: Option<NamespacePermission>,
    apis: Vec<ApiId>,
    valid_until: Timestamp,
}

/// Decides one request. The order of the questions is fixed: names, credential, route, right; so that one who proved nothing
/// learns nothing of what is served (promise P11).
pub fn admit(snapshot: &Snapshot, presented: &Presented<'_>, now: Timestamp) -> Result<Permit, Refusal> {
    let namespace = door(snapshot, presented)?;
    check_path(namespace, presented.path)?;
    let route = namespace.route(presented.path);
    let proved = prove(snapshot, namespace, &route, presented, now)?;
    namespace.check_spelling(presented.path, &route).map_err(|ambiguity| ambiguous(namespace, &route, ambiguity))?;
    if route.upstream.is_none() {
        return Err(Refusal::new(
            Code::NoRoute,
            format!("namespace {} has no API at {} and no upstream of its own", namespace.id, presented.path),
            format!("countersign api create --namespace {} --listen-path {} --upstream http://HOST:PORT", namespace.id, presented.path),
        ));
    }
    let permission = entitle(namespace, &route, &proved, presented)?;
    Ok(Permit {
        namespace: Arc::clone(namespace),
        api: route.api.map(|api| api.id.clone()),
        owner: proved.owner,
        credential: proved.credential,
        permission,
        valid_until: proved.valid_until,
    })
}

/// Refuses a path that no API of the namespace could take, before anything is told of what is served.
fn check_path(namespace: &Namespace, path: &str) -> Result<(), Refusal> {
    let bad = |reason: String| Refusal::new(Code::BadRequest, reason, "send the path in its plain form; see the reason");
    let forms = path_form::forms(path).map_err(|error| bad(error.to_string()))?;
    match forms.first() {
        Some(form) if !namespace.may_allow(forms) => Err(bad(crate::path::PathError::Form(form).to_string())),
        _ => Ok(()),
    }
}

fn ambiguous(namespace: &Namespace, route: &Route<'_>, ambiguity: Ambiguity<'_>) -> Refusal {
    let (reason, remedy) = match ambiguity {
        Ambiguity::Form(form) => (
            format!("the path has {}, which {} does not allow", form.description(), place(namespace, route)),
            match route.api {
                Some(api) => format!("countersign api update --namespace {} --id {} --allow-path-form {form}", namespace.id, api.id),
                None => "send the path in its plain form".to_owned(),
            },
        ),
        Ambiguity::Reading => (
            format!("a server may read the path as one that is not of {}", place(namespace, route)),
            "send the path in its plain form".to_owned(),
        ),
        Ambiguity::Respelled(api) => (
            format!("the path is another spelling of a path of API {}, which listens at {}", api.name, api.listen_path),
            format!(
                "write the path as the API does; where case makes another path: countersign api update --namespace {} --id {} --case-sensitive true",
                namespace.id, api.id
            ),
        ),
    };
    Refusal::new(Code::BadRequest, reason, remedy)
}

/// The one namespace that both names mean.
fn door<'s>(snapshot: &'s Snapshot, presented: &Presented<'_>) -> Result<&'s Arc<Namespace>, Refusal> {
    let misdirected = |reason: String| Refusal::new(Code::Misdirected, reason, "use one host name for the connection and for the request");
    let Some(server_name) = presented.server_name else {
        return Err(misdirected("the connection named no server".to_owned()));
    };
    let by_name = snapshot.namespace_at(server_name);
    // The same canonical name leads to the same namespace: one look-up answers for both.
    let by_authority = if server_name == presented.authority { by_name } else { snapshot.namespace_at(presented.authority) };
    match (by_name, by_authority) {
        (Some(a), Some(b)) if a.id == b.id => Ok(a),
        _ if server_name == presented.authority => Err(Refusal::new(
            Code::Misdirected,
            format!("no namespace is reached at {server_name}"),
            "use a host that `countersign namespace get` shows; a connection to any other name ends with a TLS alert",
        )),
        _ => Err(misdirected(format!("the connection is to {server_name}, the request names {}", presented.authority))),
    }
}

fn prove(
    snapshot: &Snapshot,
    namespace: &Namespace,
    route: &Route<'_>,
    presented: &Presented<'_>,
    now: Timestamp,
) -> Result<Proved, Refusal> {
    let takes = route.authentication;
    match (presented.bearer, presented.certificate) {
        // A key that is meant for us is decided on its own: a bad one is never excused by a good certificate.
        (Bearer::Key(key), _) if takes.api_key => prove_key(snapshot, namespace, key, now),
        (Bearer::Malformed, _) if takes.api_key => Err(Refusal::new(
            Code::KeyMalformed,
            "the bearer has not the shape or the checksum of an API key",
            "copy the key whole, as `countersign apikey create` printed it",
        )),
        (_, Some(certificate)) if takes.client_certificate => prove_certificate(snapshot, namespace, certificate, now),
        (Bearer::Foreign, _) if takes.api_key => Err(Refusal::new(
            Code::KeyMalformed,
            "the Authorization header holds no API key",
            "send `Authorization: Bearer csk_…`, as `countersign apikey create` printed it",
        )),
        (_, Some(_)) => Err(not_enabled(namespace, route)),
        (_, None) if takes.client_certificate && !takes.api_key => Err(Refusal::new(
            Code::CertificateRequired,
            format!("{} takes client certificates only, and the client presented none", place(namespace, route)),
            "connect with a client certificate of an accepted CA, or one that is registered",
        )),
        (_, None) => Err(Refusal::new(
            Code::KeyMissing,
            format!("no credential that {} takes was presented", place(namespace, route)),
            format!(
                "send an API key as a bearer; how clients get in is set by `countersign namespace auth-method set --namespace {}`",
                namespace.id
            ),
        )),
    }
}

fn not_enabled(namespace: &Namespace, route: &Route<'_>) -> Refusal {
    let remedy = match route.api {
        Some(api) => format!("countersign api update --namespace {} --id {} --enable-client-certificate true", namespace.id, api.id),
        None => format!("countersign namespace auth-method set --namespace {} --auth-method api_key_or_mtls", namespace.id),
    };
    Refusal::new(
        Code::CertificateNotEnabled,
        format!("{} does not take client certificates, and nothing else was presented", place(namespace, route)),
        remedy,
    )
}

fn place(namespace: &Namespace, route: &Route<'_>) -> String {
    match route.api {
        Some(api) => format!("API {} of namespace {}", api.name, namespace.id),
        None => format!("namespace {}", namespace.id),
    }
}

/// Whose key this is, when it is one that authenticates at `now`: the one predicate of the gateway and of the control plane.
///
/// # Errors
/// `key_unknown`, `key_expired` or `key_disabled`, in that order.
pub fn authenticate<'s>(
    snapshot: &'s Snapshot,
    key: &PresentedKey,
    now: Timestamp,
) -> Result<(&'s Arc<KeyEntry>, &'s Arc<Access>), Refusal> {
    let unknown = |reason: String| Refusal::new(Code::KeyUnknown, reason, "check that the key was copied correctly, or create a new one");
    let entry = snapshot.key(&key.id).ok_or_else(|| unknown(format!("there is no API key {}; it may have been deleted", key.id)))?;
    if entry.digest != key.digest {
        return Err(unknown(format!("the secret is not that of API key {}", key.id)));
    }
    // From here on the caller has proved that he holds the secret.
    if now >= entry.expires_at {
        return Err(Refusal::new(
            Code::KeyExpired,
            format!("API key {} has expired", key.id),
            "create a new key with `countersign apikey create`",
        ));
    }
    if entry.disabled {
        return Err(Refusal::new(
            Code::KeyDisabled,
            format!("API key {} is disabled", key.id),
            format!("countersign apikey enable --id {}", key.id),
        ));
    }
    let access = snapshot.identity(&entry.owner).ok_or_else(|| unknown(format!("the owner of API key {} no longer exists", key.id)))?;
    Ok((entry, access))
}

fn prove_key(snapshot: &Snapshot, namespace: &Namespace, key: &PresentedKey, now: Timestamp) -> Result<Proved, Refusal> {
    let (entry, access) = authenticate(snapshot, key, now)?;
    Ok(Proved {
        owner: Some(entry.owner.clone()),
        credential: CredentialId::Key(key.id.clone()),
        permission: access.permission(&namespace.id),
        apis: entry.apis.clone(),
        valid_until: entry.expires_at,
    })
}

fn prove_certificate(
    snapshot: &Snapshot,
    namespace: &Namespace,
    certificate: &PresentedCertificate,
    now: Timestamp,
) -> Result<Proved, Refusal> {
    if certificate.facts.key.is_some_and(|key| snapshot.is_key_blocked(&key)) {
        return Err(Refusal::new(
            Code::CertificateRevoked,
            format!("the key of certificate {} is blocked: it was reported as compromised", certificate.fingerprint),
            "make a new key pair and a new certificate; a blocked key never comes back",
        ));
    }
    // Whatever else speaks for it: a leaf that its CA or an admin revoked is out, registered or not (research/pki.md E4), by
    // whatever path it comes.
    if snapshot.keeps_out(&namespace.id, &certificate.facts, certificate.chain.as_ref().map(|path| &path.issuer_key)) {
        return Err(Refusal::new(
            Code::CertificateRevoked,
            format!("certificate {} of an accepted CA was revoked here or by its CA", certificate.fingerprint),
            "get a new certificate from the CA",
        ));
    }
    match snapshot.certificate(&certificate.fingerprint) {
        Some(entry) if entry.binds || !is_vouched_for(namespace, certificate) => {
            prove_registered(snapshot, namespace, certificate, entry, now)
        }
        _ => prove_chain(namespace, certificate, now),
    }
}

/// Whether a certificate lets its holder in anywhere in `namespace` at `now`, so that a TLS session with it is worth resuming. No more
/// than that: each request is decided by [`admit`].
pub fn is_of_use(snapshot: &Snapshot, namespace: &Namespace, certificate: &PresentedCertificate, now: Timestamp) -> bool {
    prove_certificate(snapshot, namespace, certificate, now).is_ok_and(|proved| proved.permission.is_some())
}

/// Whether a CA that the namespace accepts signed the leaf. Its word comes before that of somebody who registered the leaf and proved
/// nothing: a leaf is public, and its holder must not be shut out, or let in as another, by whoever has seen it.
fn is_vouched_for(namespace: &Namespace, certificate: &PresentedCertificate) -> bool {
    certificate.chain.is_some_and(|path| namespace.accepted_client_cas.iter().any(|ca| ca.fingerprint == path.anchor))
}

fn prove_registered(
    snapshot: &Snapshot,
    namespace: &Namespace,
    certificate: &PresentedCertificate,
    entry: &CertificateEntry,
    now: Timestamp,
) -> Result<Proved, Refusal> {
    match entry.status {
        CertificateStatus::Active => {}
        CertificateStatus::Held => {
            return Err(Refusal::new(
                Code::CertificateRevoked,
                format!("certificate {} is on hold", entry.id),
                format!("countersign certificate release --id {}, when it may come in again", entry.id),
            ));
        }
        CertificateStatus::Revoked => {
            return Err(Refusal::new(
                Code::CertificateRevoked,
                format!("certificate {} was revoked", entry.id),
                "register a new certificate with a new key; a revoked one never comes back",
            ));
        }
    }
    if let Some(issuer) = entry.issuer.as_ref().filter(|issuer| snapshot.is_issuer_retired(issuer)) {
        return Err(Refusal::new(
            Code::CertificateRevoked,
            format!("certificate {} was signed by issuer {issuer}, which is retired", entry.id),
            "make a new certificate: the active issuer of its environment signs it",
        ));
    }
    check_validity(certificate.facts.not_before, certificate.facts.not_after, now)?;
    let access = snapshot.identity(&entry.owner).ok_or_else(|| {
        Refusal::new(
            Code::CertificateUnknown,
            format!("the owner of certificate {} no longer exists", entry.id),
            "register it for an identity that exists",
        )
    })?;
    Ok(Proved {
        owner: Some(entry.owner.clone()),
        credential: CredentialId::Certificate(entry.id.clone()),
        permission: access.permission(&namespace.id),
        apis: entry.apis.clone(),
        valid_until: end_of(certificate.facts.not_after),
    })
}

/// What is said of a leaf whose path nobody looked for.
const NO_CA: &str = "no accepted client CA vouches for it";

fn prove_chain(namespace: &Namespace, certificate: &PresentedCertificate, now: Timestamp) -> Result<Proved, Refusal> {
    let unknown = || {
        let (reason, remedy) = match certificate.no_path {
            Some(NoPath { reason, remedy }) => (reason, remedy),
            None => (NO_CA, ""),
        };
        let accept = || {
            format!(
                "countersign namespace accepted-client-ca add --namespace {} --ca-certificate-file CA.pem, or register the leaf with `countersign key create`",
                namespace.id
            )
        };
        Refusal::new(
            Code::CertificateUnknown,
            format!(
                "certificate {} ({}) is not registered in {}, and {reason}",
                certificate.fingerprint, certificate.facts.subject, namespace.id
            ),
            if remedy.is_empty() { accept() } else { remedy.to_owned() },
        )
    };
    let path = certificate.chain.ok_or_else(unknown)?;
    // The path may have been verified before a CA was taken away: it counts only while its anchor is accepted.
    let anchor = namespace.accepted_client_cas.iter().find(|ca| ca.fingerprint == path.anchor).ok_or_else(unknown)?;
    // A leaf of which no list will ever tell waits for none (research/pki.md E5).
    let stale = anchor.refuse_after.filter(|_| !certificate.facts.no_list);
    if stale.is_some_and(|stale| now >= end_of(stale)) {
        return Err(Refusal::new(
            Code::CertificateRevoked,
            format!("the revocation list of the accepted CA {} is stale, and a stale one lets nobody in here", anchor.subject),
            format!(
                "countersign namespace accepted-client-ca crl set --namespace {} --ca-certificate-fingerprint {} --crl-file NEW.crl, or --stale keep",
                namespace.id, anchor.fingerprint
            ),
        ));
    }
    check_validity(path.not_before, path.not_after, now)?;
    let filters = &namespace.certificate_filters;
    if !filters.is_empty() && !filters.iter().any(|filter| filter.matches(&certificate.facts)) {
        return Err(Refusal::new(
            Code::CertificateFiltered,
            format!("{} matches none of the {} certificate filters of {}", certificate.facts.subject, filters.len(), namespace.id),
            format!("countersign namespace certificate-filters add --namespace {} --certificate-filter-input …", namespace.id),
        ));
    }
    Ok(Proved {
        owner: None,
        credential: CredentialId::AcceptedCa { leaf: certificate.fingerprint, anchor: path.anchor },
        // Whoever an accepted CA vouches for, and the filters let through, uses the whole data plane (seed 000).
        permission: Some(NamespacePermission::Write),
        apis: Vec::new(),
        valid_until: end_of(stale.map_or(path.not_after, |stale| stale.min(path.not_after))),
    })
}

/// The first moment after an inclusive `notAfter` second (RFC 5280 section 4.1.2.5).
const fn end_of(not_after: Timestamp) -> Timestamp {
    not_after.plus(crate::time::Lifetime::from_seconds(1))
}

fn check_validity(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if now >= end_of(not_after) {
        return Err(Refusal::new(
            Code::CertificateExpired,
            format!("the certificate or a CA above it ended {} s ago", now.since(not_after) / 1_000_000),
            "renew it; look at the dates of leaf, intermediates and accepted CA",
        ));
    }
    if now.plus(CLOCK_SKEW) < not_before {
        return Err(Refusal::new(
            Code::CertificateNotYetValid,
            format!("the certificate or a CA above it begins in {} s", not_before.since(now) / 1_000_000),
            "check the clock of the machine that made it",
        ));
    }
    Ok(())
}

/// Compares what was proved with what is asked for.
fn entitle(namespace: &Namespace, route: &Route<'_>, proved: &Proved, presented: &Presented<'_>) -> Result<NamespacePermission, Refusal> {
    let Some(permission) = proved.permission else {
        return Err(Refusal::new(
            Code::NotEntitled,
            format!("the owner of the credential has no permission in namespace {}", namespace.id),
            format!("give it one: --namespace-permission {}=read|write|admin", namespace.id),
        ));
    };
    if !proved.apis.is_empty() && !route.api.is_some_and(|api| proved.apis.contains(&api.id)) {
        return Err(Refusal::new(
            Code::NotEntitled,
            format!("the credential lists its APIs, and {} is none of them", place(namespace, route)),
            "create a credential that lists this API",
        ));
    }
    if permission == NamespacePermission::Read && !reads_only(presented) {
        return Err(Refusal::new(
            Code::NotEntitled,
            format!("the permission read in namespace {} does not cover {}", namespace.id, presented.method),
            format!("give the owner write: --namespace-permission {}=write", namespace.id),
        ));
    }
    Ok(permission)
}

/// Whether the request changes nothing, as far as can be told from outside: a safe method of HTTP (RFC 9110 section 9.2.1), or a
/// method of Temporal's `WorkflowService` that its table calls read.
fn reads_only(presented: &Presented<'_>) -> bool {
    if matches!(presented.method, "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    let method = presented.path.strip_prefix("/temporal.api.workflowservice.v1.WorkflowService/");
    method.is_some_and(|m| workflow_service_permission(m) == NamespacePermission::Read)
}

#[cfg(test)]
mod spelling_tests;
#[cfg(test)]
mod tests;

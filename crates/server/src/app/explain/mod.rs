//! What the gateway would say, and why: the same `admit`, on the same snapshot, with what the question describes.

mod certificate;

use super::{App, api_keys, decide, namespace_id};
use crate::error::{Refused, shown};
use countersign_core::admission::{Bearer, ChainPath, METHODS, Presented, PresentedCertificate, admit};
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::api_key::{KeyDigest, PresentedKey};
use countersign_core::credential::certificate::{CertificateFacts, Fingerprint};
use countersign_core::id::ApiKeyId;
use countersign_core::name::Hostname;
use countersign_core::namespace::Namespace;
use countersign_core::path_form;
use countersign_core::printable::printed;
use countersign_core::redact::redacted;
use countersign_core::refusal::RefusalCode;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{ExplainRequest, Explanation};
use countersign_x509::chain::ChainError;
use countersign_x509::{chain, facts, pem};
use std::sync::Arc;

/// The codes of certificates that are such, and that the gateway does not read all the same.
const UNREAD: [(&str, ChainError); 2] =
    [("serial_too_long", ChainError::LongSerial), ("duplicate_extension", ChainError::DuplicateExtension)];

fn unread(code: &str) -> Option<ChainError> {
    UNREAD.into_iter().find(|(known, _)| *known == code).map(|(_, error)| error)
}

/// Asks `admit`.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, and x509's codes for a certificate that is none.
pub async fn explain(app: &App, actor: &Actor, body: &ExplainRequest) -> Result<Explanation, Refused> {
    let snapshot = app.snapshot();
    let (namespace, host) = match (body.namespace.as_deref(), body.host.as_deref()) {
        (Some(text), host) => {
            let id = namespace_id(app, text)?;
            decide(actor, Action::Explain, Target::Namespace(&id))?;
            let found = snapshot.namespace(&id).cloned().ok_or_else(|| Refused::not_found("namespace", id.as_str()))?;
            let host = host.map_or_else(|| Ok(found.hostname.clone()), hostname)?;
            (Some(found), host)
        }
        (None, Some(host)) => {
            let host = hostname(host)?;
            let found = snapshot.namespace_at(&host).cloned();
            match &found {
                Some(ns) => decide(actor, Action::Explain, Target::Namespace(&ns.id))
                    .map_err(|_| Refused::not_found("namespace at", host.as_str()))?,
                None => {
                    decide(actor, Action::GetGateways, Target::Account).map_err(|_| Refused::not_found("namespace at", host.as_str()))?
                }
            };
            (found, host)
        }
        (None, None) => return Err(Refused::invalid("give a namespace or a host")),
    };
    let method = body.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
        return Err(Refused::invalid("method is a word such as GET or POST"));
    }
    if !METHODS.contains(&method.as_str()) {
        // The gateway says so before it looks at credentials, so nothing else is worth explaining.
        return Ok(Explanation {
            admitted: false,
            code: RefusalCode::MethodNotAllowed.as_str().to_owned(),
            status: RefusalCode::MethodNotAllowed.http_status(),
            reason: format!("the method {method} is not let through"),
            remedy: format!("use one of {}", METHODS.join(", ")),
            identity: None,
            credential: None,
            route: None,
            valid_until: None,
            checks: Vec::new(),
        });
    }
    let raw = body.path.as_deref().unwrap_or("/");
    let path = path_form::with_upper_escapes(raw.split_once('?').map_or(raw, |(path, _)| path));
    path_form::forms(&path)
        .map_err(|e| Refused::invalid(format!("the gateway refuses the path `{}` with bad_request: {e}", shown(raw))))?;
    let key = body.api_key_id.as_deref().filter(|text| !text.is_empty()).map(|text| presented_key(&snapshot, text)).transpose()?;
    let now = app.now();
    let snapshot = match (&namespace, &key) {
        (Some(namespace), Some(key)) if is_hidden(app, &snapshot, actor, namespace, &key.id).await? => {
            Arc::new(snapshot.without_key(&key.id))
        }
        _ => snapshot,
    };
    let (certificate, checks) = match body.certificate.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => {
            let ders = certificates(text)?;
            let presented = presented_certificate(namespace.as_deref(), &ders, now)?;
            let checks = match certificate::File::read(ders) {
                Ok(file) => {
                    let mut read = app.store.read().await?;
                    certificate::judge(app, &mut read, actor, namespace.as_deref(), &file, now).await?
                }
                Err(refused) => match unread(refused.code) {
                    Some(error) => certificate::Checks::of_unread(error),
                    None => return Err(refused),
                },
            };
            (Some(presented), checks)
        }
        None => (None, Vec::new()),
    };
    let presented = Presented {
        server_name: Some(&host),
        authority: &host,
        method: &method,
        path: &path,
        bearer: key.as_ref().map_or(Bearer::None, Bearer::Key),
        certificate: certificate.as_ref(),
    };
    let route = namespace.as_ref().map(|ns| ns.route(&path).api.map_or_else(|| "namespace".to_owned(), |api| api.name.clone()));
    Ok(match admit(&snapshot, &presented, now) {
        Ok(permit) => Explanation {
            admitted: true,
            code: "admitted".to_owned(),
            status: 200,
            reason: format!(
                "{} {} has the permission {} in namespace {}, and {} lets it in",
                permit.identity_kind(),
                permit.identity_text(),
                permit.permission(),
                permit.namespace().id,
                route.as_deref().map_or_else(
                    || "the namespace".to_owned(),
                    |r| if r == "namespace" { "the namespace".to_owned() } else { format!("API {r}") }
                )
            ),
            remedy: String::new(),
            identity: Some(permit.identity_text()),
            credential: Some(permit.credential_text()),
            route,
            valid_until: Some(convert::time(permit.valid_until())),
            checks,
        },
        Err(refusal) => Explanation {
            admitted: false,
            code: refusal.code.as_str().to_owned(),
            status: refusal.code.http_status(),
            reason: redacted(printed(refusal.reason)),
            remedy: redacted(printed(refusal.remedy)),
            identity: None,
            credential: None,
            route,
            valid_until: None,
            checks,
        },
    })
}

/// Whether a key says nothing here: its owner has no permission in the namespace that is asked about, and the caller may not see it. To
/// the admins of this namespace it is unknown then, whatever its state.
async fn is_hidden(app: &App, snapshot: &Snapshot, actor: &Actor, namespace: &Namespace, id: &ApiKeyId) -> Result<bool, Refused> {
    let Some(entry) = snapshot.key(id) else { return Ok(false) };
    if snapshot.identity(&entry.owner).is_some_and(|access| access.permission(&namespace.id).is_some()) {
        return Ok(false);
    }
    let seen = api_keys::visible(&mut app.store.read().await?, actor, id.as_str()).await;
    Ok(seen.is_err())
}

fn hostname(text: &str) -> Result<Hostname, Refused> {
    Hostname::parse_authority(text).map_err(|e| Refused::invalid(format!("host: {e}")))
}

/// The key as if its holder presented it; one that is gone has no digest, and is unknown to `admit` as it is to the gateway.
fn presented_key(snapshot: &Snapshot, text: &str) -> Result<PresentedKey, Refused> {
    let id =
        ApiKeyId::parse(text).map_err(|_| Refused::invalid("apiKeyId is the id of an API key, not its text; never send the secret"))?;
    let digest = snapshot.key(&id).map_or_else(|| KeyDigest::from_bytes([0; 32]), |entry| entry.digest);
    Ok(PresentedKey { id, digest })
}

/// The certificates of a paste, in its order.
fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Refused> {
    let found = pem::read(text.as_bytes())?;
    if found.has_private_key() {
        return Err(Refused::new("private_key_in_upload", "the input holds a private key; nothing of it was stored")
            .hint("send only the CERTIFICATE blocks; treat that key as exposed"));
    }
    let ders: Vec<Vec<u8>> =
        found.blocks.into_iter().filter_map(|block| if let pem::Block::Certificate(der) = block { Some(der) } else { None }).collect();
    if ders.is_empty() {
        return Err(
            Refused::new("not_a_certificate", "certificate holds no certificate").hint("paste the PEM text of the client certificate")
        );
    }
    Ok(ders)
}

/// The leaf as if its holder proved possession, with the path the gateway would find. Clients send the first one as their own.
fn presented_certificate(namespace: Option<&Namespace>, ders: &[Vec<u8>], now: Timestamp) -> Result<PresentedCertificate, Refused> {
    let Some((leaf, rest)) = ders.split_first() else { return Err(Refused::invalid("certificate holds no certificate")) };
    // Of one that nobody reads the gateway knows nothing but that.
    let facts = match facts::of(leaf) {
        Err(error) if unread(error.code).is_some() => CertificateFacts::default(),
        read => read?,
    };
    let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
    let (chain, no_path) = match namespace.map(|ns| chain::verify(&chain::Anchors::new(&ns.accepted_client_cas), leaf, &rest, now)) {
        Some(Ok(path)) => (Some(ChainPath::from(path)), None),
        Some(Err(error)) => (None, Some(error.no_path())),
        None => (None, None),
    };
    Ok(PresentedCertificate { fingerprint: Fingerprint::of(leaf), facts, chain, no_path })
}

//! Issuers made, imported, moved on through their life, and given a policy (rules G1, G2, G5 and G6 of research/pki.md section 6). A CA's
//! certificate is recorded before it is signed, like every other (P20).

use super::next::{next_signers, not_replaced, with_warnings};
use super::{App, KeyPlace, Refused, generation, purpose, signing_of};
use crate::app::caller::Caller;
use crate::app::unit::{Begun, Done, Unit, name_and_access, value};
use crate::app::{check_version, decide, page};
use countersign_core::application::Environment;
use countersign_core::audit::Entry;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::id::{CertificateId, IssuerId};
use countersign_core::identity::IdentityId;
use countersign_core::issuer::{Issuer, IssuerKind, IssuerPolicy, IssuerState};
use countersign_core::limits::{CERTIFICATE_LIFETIME_DEFAULT, CLOCK_SKEW};
use countersign_core::snapshot::Change;
use countersign_core::time::Lifetime;
use countersign_proto::convert;
use countersign_proto::rest::{
    ChangedIssuer, CreateIssuer, Created, CreatedIssuer, ImportIssuer, IssuerBody, IssuerQuery, Page, UpdateIssuer,
};
use countersign_store::{IntendedRow, Reader};
use countersign_x509::facts;
use countersign_x509::imported;
use countersign_x509::issuer::{self as x509, IssuerCertificate, Publication};
use countersign_x509::pem::{self, Block};
use countersign_x509::private_key::{KeyKind, LocalKey, Signer};
use countersign_x509::subject::{Attribute, Subject};
use serde_json::json;
use std::sync::Arc;
use zeroize::Zeroize as _;

/// A root lives so long, and its key is used only for issuing CAs.
const ROOT_LIFETIME: Lifetime = Lifetime::from_days(20 * 365);
/// An issuing CA lives so long: several times its longest leaf, so that rolling over never hurries.
const ISSUING_LIFETIME: Lifetime = Lifetime::from_days(5 * 365);
/// No leaf lives longer, whatever a policy says.
const LEAF_LIFETIME_MAX: Lifetime = Lifetime::from_days(3 * 365);

/// Owners that a refused retirement names.
const OWNERS_NAMED: i64 = 10;

/// Where a CA's key comes from.
pub(super) enum KeySource {
    /// Made here, and sealed.
    New(KeyKind),
    /// In the token already, by its URI.
    Token(String),
}

/// A CA that is to be made.
pub(super) struct Making {
    pub name: String,
    pub kind: IssuerKind,
    pub environment: Option<Environment>,
    pub key: KeySource,
    /// Who signs it; nobody else for a root.
    pub parent: Option<IssuerId>,
    pub state: IssuerState,
    pub lifetime: Lifetime,
    pub policy: IssuerPolicy,
}

impl Making {
    pub fn root(name: &str, key: KeySource) -> Self {
        let (kind, state, lifetime) = (IssuerKind::Root, IssuerState::Active, ROOT_LIFETIME);
        Self { name: name.to_owned(), kind, environment: None, key, parent: None, state, lifetime, policy: policy() }
    }

    pub fn issuing(name: &str, environment: Option<Environment>, key: KeySource, parent: IssuerId) -> Self {
        let (kind, state, lifetime) = (IssuerKind::Issuing, IssuerState::Staged, ISSUING_LIFETIME);
        Self { name: name.to_owned(), kind, environment, key, parent: Some(parent), state, lifetime, policy: policy() }
    }
}

fn policy() -> IssuerPolicy {
    let lifetime = CERTIFICATE_LIFETIME_DEFAULT;
    IssuerPolicy { lifetime_default: lifetime, lifetime_max: lifetime, crl_url: String::new(), ocsp_url: String::new(), key_reuse: false }
}

/// Lower-case letters, digits and hyphens: it stands in addresses.
fn check_name(name: &str) -> Result<(), Refused> {
    let fine = (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name != "ocsp";
    if fine { Ok(()) } else { Err(Refused::invalid("an issuer's name has 1 to 40 of a-z, 0-9 and -, with no - at either end")) }
}

/// One issuer as it is shown.
fn body(issuer: &Issuer) -> IssuerBody {
    convert::issuer(issuer, countersign_x509::facts::of(&issuer.der).ok().as_ref(), pem::certificate(&issuer.der))
}

/// A subject of our own: the name, and eight characters of chance, so that no two installations' CAs have one name (G2).
fn subject(app: &App, name: &str) -> Result<Subject, Refused> {
    let mut bytes = [0_u8; 4];
    app.entropy.fill(&mut bytes);
    let common = format!("{name} {}", countersign_core::credential::hex(&bytes));
    Ok(Subject::new(vec![(Attribute::Organization, "Countersign".to_owned()), (Attribute::CommonName, common)])?)
}

/// Makes a CA in up to three durable steps, for a caller, or for the system at the first start.
pub(super) async fn make(app: &App, caller: Option<(&Caller, &CreateIssuer)>, making: Making) -> Result<Created, Refused> {
    check_name(&making.name)?;
    let id = IssuerId::mint(&*app.entropy);
    let (key, place) = key_of(app, &id, making.key).await?;
    let subject = subject(app, &making.name)?;
    let now = app.now();
    let der = match &making.parent {
        None => x509::root(&subject, &*key, now, making.lifetime, &*app.entropy)?,
        Some(parent) => {
            let mut reader = app.store.read().await?;
            let parent = signing_of(app, &mut reader, parent).await?;
            drop(reader);
            let publication = Publication { ocsp_urls: Vec::new(), ..parent.publication() };
            let ordered =
                x509::issuing(&subject, key.public_key(), &parent.certificate, now, making.lifetime, &publication, &*app.entropy)?;
            let intended = IntendedRow {
                issuer: parent.issuer.id.clone(),
                serial: ordered.serial.clone(),
                certificate: CertificateId::mint(&*app.entropy),
                to_be_signed: ordered.bytes.clone(),
                created_at: now,
            };
            intend(app, caller.map(|(caller, _)| caller), &intended, &subject, &ordered.digest, "certificateAuthority").await?;
            let der = x509::sign(&ordered, &parent.certificate, &*parent.signer)?;
            let mut write = app.store.begin().await?;
            // Given up in between, it is revoked by its number, and must not be used.
            if !write.settle_issuance(&intended.issuer, &intended.serial, true).await? {
                return Err(Refused::unavailable("the signing took so long that it was given up"));
            }
            write.commit_without_revision().await?;
            der
        }
    };
    let issuer = Issuer {
        id,
        name: making.name,
        kind: making.kind,
        environment: making.environment,
        state: making.state,
        der,
        parent: making.parent,
        key: place,
        policy: making.policy,
        crl_number: 0,
        resource_version: 1,
        created_at: now,
        modified_at: now,
    };
    match caller {
        Some((caller, request)) => keep(app, caller, request, issuer).await,
        None => keep_by_system(app, issuer).await,
    }
}

/// A key that signs, and where it is kept.
async fn key_of(app: &App, id: &IssuerId, source: KeySource) -> Result<(Arc<dyn Signer>, KeyPlace), Refused> {
    match source {
        KeySource::New(kind) => {
            // Off the runtime's threads: an RSA key takes a second.
            let key = tokio::task::spawn_blocking(move || LocalKey::generate(kind)).await.map_err(Refused::unavailable)??;
            let sealed = app.sealer()?.seal(&purpose(id), &key.to_pkcs8()?);
            Ok((Arc::new(key), KeyPlace::Sealed { sealed }))
        }
        KeySource::Token(uri) => {
            let key = app.token_key(&uri).await?;
            for other in app.store.read().await?.issuers().await? {
                if IssuerCertificate::read(&other.der).is_ok_and(|other| other.public_key() == key.public_key()) {
                    return Err(Refused::new("already_exists", format!("issuer {} has this key already (rule G2)", other.name))
                        .hint("make a new key in the token for a new issuer"));
                }
            }
            Ok((Arc::new(key), KeyPlace::Pkcs11 { uri }))
        }
    }
}

fn system_entry(app: &App, action: &str, kind: &str, id: &str, after: String) -> Entry {
    Entry {
        at: app.now(),
        actor_kind: "system".to_owned(),
        actor_id: "system".to_owned(),
        actor_name: "system".to_owned(),
        credential: String::new(),
        action: action.to_owned(),
        object_kind: kind.to_owned(),
        object_id: id.to_owned(),
        result: "ok".to_owned(),
        before: String::new(),
        after,
        source: String::new(),
        request_id: String::new(),
        operation_id: String::new(),
    }
}

/// Notes what is about to be signed, and by which word it is not a client's.
pub(super) async fn intend(
    app: &App,
    caller: Option<&Caller>,
    intended: &IntendedRow,
    subject: &Subject,
    digest: &Fingerprint,
    profile: &str,
) -> Result<(), Refused> {
    let record = json!({
        "issuerId": intended.issuer.as_str(), "subject": subject.to_string(), "serial": intended.serial,
        "toBeSignedSha256": digest.to_string(), "profile": profile,
    });
    let mut write = app.store.begin().await?;
    write.intend_issuance(intended).await?;
    let mut entry = system_entry(app, "IntendCertificate", "certificate", intended.certificate.as_str(), record.to_string());
    if let Some(caller) = caller {
        entry.actor_kind = caller.identity.kind().to_owned();
        entry.actor_id = caller.identity.as_str().to_owned();
        entry.source.clone_from(&caller.source);
        entry.request_id.clone_from(&caller.request_id);
    }
    write.append_audit(entry).await?;
    Ok(write.commit_without_revision().await?)
}

async fn keep_by_system(app: &App, issuer: Issuer) -> Result<Created, Refused> {
    let mut write = app.store.begin().await?;
    write.put_issuer(&issuer).await?;
    let after = value(&body(&issuer)).map(|after| after.to_string()).unwrap_or_default();
    write.append_audit(system_entry(app, "CreateIssuer", "issuer", issuer.id.as_str(), after)).await?;
    let publish = app.publisher();
    write.commit_then(move |revision| publish(revision, Vec::new())).await?;
    Ok(Created { id: issuer.id.to_string(), ..Created::default() })
}

async fn keep(app: &App, caller: &Caller, request: &impl serde::Serialize, issuer: Issuer) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateIssuer, request).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateIssuer, Target::Account)?;
    if unit.write.issuer_by_name(&issuer.name).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is an issuer {} already", issuer.name)).hint("choose another name"));
    }
    only_one_of_its_key(&unit.write.issuers().await?, &issuer.der)?;
    unit.write.put_issuer(&issuer).await?;
    let id = issuer.id.to_string();
    let operation = unit.commit(Done { kind: "issuer", id: &id, before: None, after: value(&body(&issuer)) }).await?;
    Ok(Created { id, request_status: convert::request_status(&operation) })
}

/// Refuses a CA whose key another issuer has, or had (rule G2): what one of them signed would be the other's too, and OCSP could not tell
/// them apart. A retired one's key signs no more, under whichever certificate.
fn only_one_of_its_key(known: &[Issuer], der: &[u8]) -> Result<(), Refused> {
    let key = facts::public_key(der);
    let Some(same) = known.iter().find(|one| key.is_some() && facts::public_key(&one.der) == key) else { return Ok(()) };
    let state = if same.state == IssuerState::Retired { ", which is retired" } else { "" };
    let text = format!("issuer {}{state}, has this CA's key already (rule G2)", same.name);
    Err(Refused::new("already_exists", text).hint("make a CA with a new key: countersign issuer create, or import one"))
}

/// What is asked before anything is made: rights, a name that is free, and whether the same request was done before.
async fn first_look(app: &App, caller: &Caller, request: &impl serde::Serialize, name: &str) -> Result<Option<Created>, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateIssuer, request).await? {
        Begun::Repeated(operation) => {
            return Ok(Some(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) }));
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateIssuer, Target::Account)?;
    check_name(name)?;
    if unit.write.issuer_by_name(name).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is an issuer {name} already")).hint("choose another name"));
    }
    Ok(None)
}

fn environment(text: Option<&str>) -> Result<Option<Environment>, Refused> {
    match text {
        None | Some("" | "both") => Ok(None),
        Some(word) => Environment::parse(word).map(Some).ok_or_else(|| Refused::invalid("environment is sandbox, production or both")),
    }
}

fn days(given: Option<i64>, name: &str, most: Lifetime) -> Result<Option<Lifetime>, Refused> {
    let Some(given) = given else { return Ok(None) };
    let limit = most.seconds() / 86_400;
    if !(1..=limit).contains(&given) {
        return Err(Refused::invalid(format!("{name} is 1 to {limit} days")));
    }
    Ok(Some(Lifetime::from_days(given)))
}

/// Makes a CA: an issuing one under a root of ours, or a root. It is staged: known, and not signing yet.
///
/// # Errors
/// `forbidden`, `invalid_argument`, `already_exists`, `not_found`, `no_issuer`.
pub async fn create(app: &App, caller: &Caller, asked: CreateIssuer) -> Result<CreatedIssuer, Refused> {
    let made = create_one(app, caller, asked).await?;
    with_warnings(app, made).await
}

async fn create_one(app: &App, caller: &Caller, asked: CreateIssuer) -> Result<Created, Refused> {
    if let Some(done) = first_look(app, caller, &asked, &asked.name).await? {
        return Ok(done);
    }
    let key = match (asked.key_uri.as_deref().filter(|uri| !uri.is_empty()), asked.key_type.as_deref().filter(|word| !word.is_empty())) {
        (None, None) => KeySource::New(KeyKind::P256),
        (None, Some(word)) => KeySource::New(word.parse()?),
        (Some(uri), None) => KeySource::Token(uri.to_owned()),
        (Some(_), Some(_)) => return Err(Refused::invalid("a key in a token has its kind; give keyUri or keyType")),
    };
    let mut making = match asked.kind.as_deref() {
        Some("root") => {
            if asked.environment.is_some() || asked.parent.is_some() {
                return Err(Refused::invalid("a root serves both environments and has no parent"));
            }
            Making { state: IssuerState::Staged, ..Making::root(&asked.name, key) }
        }
        None | Some("" | "issuing") => {
            let mut reader = app.store.read().await?;
            let parent = parent(&mut reader, asked.parent.as_deref()).await?;
            let left = IssuerCertificate::read(&parent.der)?.not_after().seconds().saturating_sub(app.now().seconds());
            let mut making = Making::issuing(&asked.name, environment(asked.environment.as_deref())?, key, parent.id);
            // Where nothing is asked for, it ends with its root rather than be refused.
            making.lifetime = Lifetime::from_seconds(making.lifetime.seconds().min(left));
            making
        }
        Some(_) => return Err(Refused::invalid("kind is issuing or root")),
    };
    if let Some(lifetime) = days(asked.lifetime_days, "lifetimeDays", ROOT_LIFETIME)? {
        making.lifetime = lifetime;
    }
    make(app, Some((caller, &asked)), making).await
}

/// The root that is named, by id or name, or the newest one that can sign.
async fn parent(reader: &mut Reader, named: Option<&str>) -> Result<Issuer, Refused> {
    let mut roots: Vec<Issuer> = reader.issuers().await?;
    roots.retain(|one| one.kind == IssuerKind::Root);
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let found = roots.into_iter().find(|one| one.name == named || one.id.as_str() == named);
        return found.ok_or_else(|| Refused::not_found("root", named));
    }
    roots.retain(|one| one.state == IssuerState::Active && one.key != KeyPlace::Absent);
    roots.sort_by_key(|one| one.created_at);
    roots.pop().ok_or_else(|| {
        Refused::new("no_issuer", "there is no active root whose key is held here").hint("countersign issuer create --kind root")
    })
}

/// Takes in a CA that was made elsewhere, with its key; one that may sign CAs also without, to complete chains. The CAs above it are known
/// already. Staged, like one made here.
///
/// # Errors
/// `forbidden`, `invalid_argument`, `already_exists`, `key_mismatch`, and x509's codes.
pub async fn import(app: &App, caller: &Caller, mut asked: ImportIssuer) -> Result<CreatedIssuer, Refused> {
    let key = asked.private_key.take();
    let result = import_with(app, caller, &asked, key.as_deref()).await;
    if let Some(mut text) = key {
        text.zeroize();
    }
    with_warnings(app, result?).await
}

async fn import_with(app: &App, caller: &Caller, asked: &ImportIssuer, key: Option<&str>) -> Result<Created, Refused> {
    if let Some(done) = first_look(app, caller, asked, &asked.name).await? {
        return Ok(done);
    }
    let blocks = pem::read(asked.certificate.as_bytes())?;
    if blocks.has_private_key() {
        return Err(Refused::new("private_key_in_upload", "a private key stands among the certificates").hint("give it as the private key"));
    }
    let mut certificates = blocks.blocks.into_iter().filter_map(|block| match block {
        Block::Certificate(der) => Some(der),
        _ => None,
    });
    let (Some(der), None) = (certificates.next(), certificates.next()) else {
        return Err(Refused::invalid("give exactly one certificate: the CA's own"));
    };
    let certificate = IssuerCertificate::read(&der)?;
    if app.now() >= certificate.not_after() {
        return Err(Refused::new("certificate_expired", "the CA's certificate has ended").hint("import one that lasts"));
    }
    let mut reader = app.store.read().await?;
    let known = reader.issuers().await?;
    drop(reader);
    if known.iter().any(|one| one.der == der) {
        return Err(Refused::new("already_exists", "this CA is an issuer here already").hint("countersign issuer list"));
    }
    only_one_of_its_key(&known, &der)?;
    if let Some(what) = app.installation_keys().what(certificate.public_key()) {
        let text = format!("this CA has the key of {what} of this installation already (rule G2)");
        return Err(Refused::new("already_exists", text).hint("make a CA with a new key: countersign issuer create, or import one"));
    }
    let uri = asked.key_uri.as_deref().filter(|uri| !uri.is_empty());
    imported::check(&der, app.now(), key.is_some() || uri.is_some())?;
    if app.snapshot().is_key_blocked(&Fingerprint::of(certificate.public_key())) {
        return Err(Refused::new("key_blocked", "the CA's key is blocked: somebody reported it stolen").hint("make a CA with a new key"));
    }
    let ders: Vec<&[u8]> = known.iter().map(|one| one.der.as_slice()).collect();
    let above = imported::above(&der, &ders, app.now())?.and_then(|index| known.get(index));
    let own_root = above.is_none();
    let id = IssuerId::mint(&*app.entropy);
    let place = match key {
        Some(_) if uri.is_some() => return Err(Refused::invalid("give the private key or the address of the key in a token, not both")),
        Some(text) => {
            let key = LocalKey::from_pem(text)?;
            if key.public_key() != certificate.public_key() {
                return Err(Refused::new("key_mismatch", "the private key does not belong to the CA's certificate (rule D11)")
                    .hint("give the key that was made together with this certificate"));
            }
            let plain = key.to_pkcs8()?;
            KeyPlace::Sealed { sealed: app.sealer()?.seal(&purpose(&id), &plain) }
        }
        None if let Some(uri) = uri => {
            if app.token_key(uri).await?.public_key() != certificate.public_key() {
                return Err(Refused::new("key_mismatch", "the key in the token does not belong to the CA's certificate (rule D11)")
                    .hint("name the key that this certificate was made for"));
            }
            KeyPlace::Pkcs11 { uri: uri.to_owned() }
        }
        None if own_root || certificate.signs_cas() => KeyPlace::Absent,
        None => {
            return Err(Refused::invalid(
                "a CA that signs no other CA is imported with its private key; without one it could neither sign nor complete a chain",
            ));
        }
    };
    let now = app.now();
    let issuer = Issuer {
        id,
        name: asked.name.clone(),
        // One that signed itself and may sign no CA is there to sign leaves.
        kind: if own_root && certificate.signs_cas() { IssuerKind::Root } else { IssuerKind::Issuing },
        environment: environment(asked.environment.as_deref())?,
        state: IssuerState::Staged,
        der,
        parent: above.map(|one| one.id.clone()),
        key: place,
        policy: policy(),
        crl_number: 0,
        resource_version: 1,
        created_at: now,
        modified_at: now,
    };
    keep(app, caller, asked, issuer).await
}

/// One issuer, by id or name.
async fn find(reader: &mut Reader, text: &str) -> Result<Issuer, Refused> {
    let found = match IssuerId::parse(text) {
        Ok(id) => reader.issuer(&id).await?,
        Err(_) => reader.issuer_by_name(text).await?,
    };
    found.ok_or_else(|| Refused::not_found("issuer", text))
}

/// One issuer, by id or name.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<IssuerBody, Refused> {
    decide(actor, Action::GetIssuer, Target::Account)?;
    Ok(body(&find(&mut app.store.read().await?, text).await?))
}

/// The issuers.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &IssuerQuery) -> Result<Page<IssuerBody>, Refused> {
    decide(actor, Action::GetIssuers, Target::Account)?;
    let mut found = app.store.read().await?.issuers().await?;
    if let Some(wanted) = environment(query.environment.as_deref())? {
        found.retain(|one| one.environment.is_none_or(|own| own == wanted));
    }
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    found.retain(|one| asked.after.as_deref().is_none_or(|after| one.id.as_str() > after));
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(page::cut(found, &asked, |one| one.id.to_string(), |one| body(&one)))
}

/// Moves an issuer on, or gives it another policy.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`, `issuer_in_use`,
/// `gateways_behind`, `issuer_too_new`.
pub async fn update(app: &App, caller: &Caller, text: &str, asked: UpdateIssuer) -> Result<ChangedIssuer, Refused> {
    let first = asked.state.as_deref() == Some("active") && !asked.force;
    if first {
        generation::check_confirmed(app, text).await?;
    }
    let mut unit = match Unit::begin(app, caller, Action::UpdateIssuer, &(text, &asked)).await? {
        Begun::Repeated(operation) => {
            let signs_next = next_signers(app, &app.store.read().await?.issuers().await?);
            return Ok(ChangedIssuer { signs_next, warnings: Vec::new(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateIssuer, Target::Account)?;
    let before = find(&mut unit.write, text).await?;
    check_version(asked.resource_version.as_deref(), before.resource_version)?;
    let mut after = before.clone();
    new_policy(&mut after.policy, &asked)?;
    if let Some(word) = asked.state.as_deref().filter(|word| !word.is_empty()) {
        let state = match word {
            "staged" => IssuerState::Staged,
            "active" => IssuerState::Active,
            "retiring" => IssuerState::Retiring,
            "retired" => IssuerState::Retired,
            _ => return Err(Refused::invalid("state is staged, active, retiring or retired")),
        };
        check_step(&mut unit, &before, state, asked.force).await?;
        if first {
            generation::check_dwell(app, &before, unit.now)?;
        }
        after.state = state;
    }
    if after == before {
        return Err(Refused::nothing_to_change(format!("issuer {} is so already", before.name)));
    }
    if before.state == IssuerState::Retired {
        // When it was last changed is when it was retired, which lists and answers say.
        return Err(Refused::invalid(format!("issuer {} is retired: it signs nothing, and stays as it is (rule G1)", before.name)));
    }
    let retired = after.state == IssuerState::Retired;
    if retired {
        unit.publish(Change::RetireIssuer(after.id.clone()));
    }
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_issuer(&after).await?;
    let signs_next = next_signers(app, &unit.write.issuers().await?);
    let warnings = if after.state == IssuerState::Active && before.state != IssuerState::Active {
        not_replaced(&after, &signs_next)
    } else {
        Vec::new()
    };
    let (old, new) = (value(&body(&before)), value(&body(&after)));
    let operation = unit.commit(Done { kind: "issuer", id: after.id.as_str(), before: old, after: new }).await?;
    if let Some(parent) = after.parent.filter(|_| retired) {
        app.crl_changed(&parent);
    }
    Ok(ChangedIssuer { signs_next, warnings, request_status: convert::request_status(&operation) })
}

fn new_policy(policy: &mut IssuerPolicy, asked: &UpdateIssuer) -> Result<(), Refused> {
    if let Some(most) = days(asked.lifetime_max_days, "lifetimeMaxDays", LEAF_LIFETIME_MAX)? {
        policy.lifetime_max = most;
    }
    if let Some(usual) = days(asked.lifetime_default_days, "lifetimeDefaultDays", LEAF_LIFETIME_MAX)? {
        policy.lifetime_default = usual;
    }
    if policy.lifetime_default.seconds() > policy.lifetime_max.seconds() {
        return Err(Refused::invalid("lifetimeDefaultDays is no more than lifetimeMaxDays"));
    }
    for (asked, own, name) in [(&asked.crl_url, &mut policy.crl_url, "crlUrl"), (&asked.ocsp_url, &mut policy.ocsp_url, "ocspUrl")] {
        let Some(url) = asked else { continue };
        let rest = url.strip_prefix("http://").unwrap_or_default();
        let fine = url.is_empty()
            || (!rest.is_empty() && !rest.starts_with('/') && url.len() <= 1024 && url.bytes().all(|b| b.is_ascii_graphic()));
        if !fine {
            return Err(Refused::invalid(format!("{name} is a plain http:// address, or empty for the operator's own (rule D8)")));
        }
        own.clone_from(url);
    }
    if let Some(reuse) = asked.key_reuse {
        policy.key_reuse = reuse;
    }
    Ok(())
}

/// G1 and G5: an issuer only moves on; no environment is left without one that signs, and none is retired under living certificates,
/// unless that is insisted on.
async fn check_step(unit: &mut Unit<'_>, issuer: &Issuer, to: IssuerState, force: bool) -> Result<(), Refused> {
    use IssuerState::{Active, Retired, Retiring, Staged};
    match (issuer.state, to) {
        (from, to) if from == to => return Ok(()),
        (Staged, Active | Retired) | (Active, Retiring) | (Retiring, Active | Retired) => {}
        (from, to) => {
            return Err(Refused::invalid(format!(
                "an issuer goes from staged to active, retiring and retired; not from {from:?} to {to:?} (rule G1)"
            ))
            .hint("countersign issuer activate, retire; what is retired stays so"));
        }
    }
    if to == Active && issuer.key == KeyPlace::Absent {
        return Err(Refused::invalid("an issuer whose key is not held here signs nothing, and cannot be active"));
    }
    if to == Active && IssuerCertificate::read(&issuer.der)?.not_before() > unit.now.plus(CLOCK_SKEW) {
        return Err(Refused::new("ca_not_yet_valid", format!("the certificate of issuer {} is not valid yet", issuer.name))
            .hint("activate it when it is valid"));
    }
    let others = unit.write.issuers().await?;
    if issuer.state == Active && issuer.kind == IssuerKind::Issuing && !force {
        let serves = |one: &Issuer, environment: Environment| one.environment.is_none_or(|own| own == environment);
        let alone = Environment::ALL.into_iter().find(|environment| {
            serves(issuer, *environment)
                && !others
                    .iter()
                    .any(|one| one.id != issuer.id && one.kind == IssuerKind::Issuing && one.state == Active && serves(one, *environment))
        });
        if let Some(environment) = alone {
            return Err(Refused::new("issuer_in_use", format!("{} is the last active issuer of {environment} (rule G1)", issuer.name))
                .hint(format!("countersign issuer create --environment {environment}, activate it, and then this; or --force")));
        }
    }
    if to == Retired && !force {
        let living = unit.write.living_certificates_of(&issuer.id, unit.now).await?;
        let below = others.iter().filter(|one| one.parent.as_ref() == Some(&issuer.id) && one.state != Retired).count();
        if living > 0 || below > 0 {
            let owners = blockers(unit, issuer).await?;
            let detail = format!(
                "{living} certificates that {} signed are active still{owners}, and {below} issuers under it (rule G5)",
                issuer.name
            );
            return Err(Refused::new("issuer_in_use", detail)
                .hint("rotate them first (countersign certificate list shows them); with --force they are refused from then on"));
        }
    }
    Ok(())
}

/// Whose certificates stand in the way of a retirement, those with the most first: ` (3 of billing-sandbox, 1 of ops)`.
async fn blockers(unit: &mut Unit<'_>, issuer: &Issuer) -> Result<String, Refused> {
    let mut said = Vec::new();
    for (owner, count) in unit.write.owners_of_living(&issuer.id, unit.now, OWNERS_NAMED).await? {
        let known = match IdentityId::parse(&owner) {
            Some(id) => name_and_access(&mut unit.write, &id).await?.map(|(name, _)| name),
            None => None,
        };
        said.push(format!("{count} of {}", known.filter(|name| !name.is_empty()).unwrap_or(owner)));
    }
    Ok(if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_issuers_stand_in_addresses() {
        for good in ["a", "sandbox-1", "x9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ocsp", "ä", &"x".repeat(41)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}

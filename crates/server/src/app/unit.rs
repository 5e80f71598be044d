//! The one way to change anything: authorise on current rows, change, record and count in one transaction, publish in the order
//! of the commits, answer with what the gateways confirmed. No use case writes by another way (promises P12 to P16).

use super::effect::{self, Effect};
use super::{App, caller::Caller, delegation, rights};
use crate::error::Refused;
use countersign_core::access::Access;
use countersign_core::audit::Entry;
use countersign_core::authz::{self, Action, Actor, Decided, Target};
use countersign_core::credential::certificate::CertificateStatus;
use countersign_core::id::{IssuerId, OperationId};
use countersign_core::identity::IdentityId;
use countersign_core::name::NamespaceId;
use countersign_core::namespace::Namespace;
use countersign_core::operation::{Operation, OperationState};
use countersign_core::snapshot::Change;
use countersign_core::time::Timestamp;
use countersign_store::{Reader, StoreError, Write};
use serde::Serialize;
use serde_json::Value;
use sha2::Digest as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A change under way. Dropped without [`Unit::commit`], nothing happened.
pub struct Unit<'a> {
    /// The transaction.
    pub write: Write<'a>,
    /// The moment of the change, the same in every row of it.
    pub now: Timestamp,
    /// Who asks, with the rights he has inside this transaction.
    pub actor: Actor,
    app: &'a App,
    caller: &'a Caller,
    action: Action,
    operation_id: OperationId,
    digest: [u8; 32],
    changes: Vec<Change>,
}

/// A change begins, or was made before under the same operation id.
pub enum Begun<'a> {
    /// Go on.
    New(Box<Unit<'a>>),
    /// Answer with this; change nothing.
    Repeated(Box<Operation>),
}

/// What a change did, for the operation and the audit trail.
pub struct Done<'t> {
    /// For example `api_key`.
    pub kind: &'static str,
    /// The object's id.
    pub id: &'t str,
    /// The object before, as shown to its admins; never a secret.
    pub before: Option<Value>,
    /// The object after, likewise.
    pub after: Option<Value>,
}

/// Any body as a value, for the audit trail. A body that cannot be written is none.
pub fn value(body: &impl Serialize) -> Option<Value> {
    serde_json::to_value(body).ok()
}

impl<'a> Unit<'a> {
    /// Begins `action`. `request` is all that was asked for, ids of the path included: the same operation id with another
    /// request is refused.
    ///
    /// # Errors
    /// When the caller's key or identity has ended in the meantime, on a conflict of operation ids, or when the store fails.
    pub async fn begin(app: &'a App, caller: &'a Caller, action: Action, request: &impl Serialize) -> Result<Begun<'a>, Refused> {
        delegation::check_change(caller, action)?;
        let digest = digest(caller, action, request);
        let mut write = match caller.effect {
            Effect::Grants | Effect::Reads => app.store.begin().await?,
            // Whether it is written on a full disk is decided before the commit.
            Effect::ByChange => app.store.begin_on_reserve().await?,
            Effect::TakesAway => {
                app.store.make_room();
                app.store.begin_on_reserve().await?
            }
        };
        let now = app.now();
        let actor = current(&mut write, caller, now).await?;
        if let Some(id) = &caller.operation
            && let Some(known) = known_operation(app, &mut write, id).await?
        {
            if known.request_digest == digest {
                return Ok(Begun::Repeated(Box::new(known)));
            }
            return Err(Refused::new("idempotency_conflict", format!("the operation id {id} was used before for another request"))
                .hint("use a new operation id (Idempotency-Key) for a new change"));
        }
        let operation_id = caller.operation.clone().unwrap_or_else(|| OperationId::mint(&*app.entropy));
        Ok(Begun::New(Box::new(Self { write, now, actor, app, caller, action, operation_id, digest, changes: Vec::new() })))
    }

    /// Decides on the rights of this moment.
    ///
    /// # Errors
    /// `forbidden`, or `not_found` for a namespace the caller has no permission in.
    pub fn decide(&self, action: Action, target: Target<'_>) -> Result<Decided, Refused> {
        super::decide(&self.actor, action, target)
    }

    /// Decides whether the caller may change anything about somebody who effectively has these rights.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn decide_owner(&self, access: &Access) -> Result<(), Refused> {
        authz::decide_owner(&self.actor, access).map_err(Refused::forbidden)
    }

    /// Decides whether the caller may hand out a way to log in as somebody who effectively has these rights.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn decide_way_in(&self, access: &Access) -> Result<(), Refused> {
        authz::decide_way_in(&self.actor, access).map_err(Refused::forbidden)
    }

    /// Decides whether the caller may give these rights (promise P12).
    ///
    /// # Errors
    /// `forbidden`.
    pub fn decide_grant(&self, before: Option<&Access>, granted: &Access) -> Result<(), Refused> {
        authz::decide_grant(&self.actor, before, granted).map_err(Refused::forbidden)
    }

    /// The namespace, when the caller may do `action` in it. Rights are asked first: who has none learns nothing.
    ///
    /// # Errors
    /// `not_found` or `forbidden`.
    pub async fn namespace(&mut self, id: &NamespaceId, action: Action) -> Result<Namespace, Refused> {
        self.decide(action, Target::Namespace(id))?;
        self.write.namespace(id).await?.ok_or_else(|| Refused::not_found("namespace", id.as_str()))
    }

    /// The control plane it is a change of.
    pub fn app(&self) -> &'a App {
        self.app
    }

    /// Notes something for the gateways.
    pub fn publish(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Commits what was written so far with an entry of its own in the trail, and without operation, revision or publication: a step on
    /// the way to a change, of which the gateways need not know. The entry names the change's operation.
    ///
    /// # Errors
    /// Whatever kept it from being durable; nothing is changed then.
    pub async fn note(self, action: &str, done: Done<'_>) -> Result<(), Refused> {
        let Self { mut write, now, actor, app, caller, operation_id, .. } = self;
        if caller.effect != Effect::TakesAway && !app.store.has_reserve() {
            return Err(StoreError::Full.into());
        }
        let mut entry = entry(caller, &actor, now, action, done.kind, done.id, "ok");
        entry.before = done.before.map(|v| v.to_string()).unwrap_or_default();
        entry.after = done.after.map(|v| v.to_string()).unwrap_or_default();
        entry.operation_id = operation_id.to_string();
        write.append_audit(entry).await?;
        Ok(write.commit_without_revision().await?)
    }

    /// Writes the operation and the audit entry, commits, publishes, and waits for the gateways' confirmation within the bound.
    ///
    /// # Errors
    /// Whatever kept it from being durable; nothing is changed then.
    pub async fn commit(self, done: Done<'_>) -> Result<Operation, Refused> {
        let Self { mut write, now, actor, app, caller, action, operation_id, digest, changes } = self;
        let before = app.snapshot();
        let takes_away = caller.effect == Effect::TakesAway || effect::takes_away(&before, &changes);
        if takes_away {
            app.store.make_room();
        } else if !app.store.has_reserve() {
            // What the spent reserve set free is for changes that take access away, and for nothing else.
            return Err(StoreError::Full.into());
        }
        effect::taken(&before, &changes).into_iter().for_each(|what| write.takes_away(what));
        let mut operation = Operation {
            id: operation_id,
            state: OperationState::InProgress,
            operation_type: action.as_str().to_owned(),
            resource_id: done.id.to_owned(),
            resource_type: done.kind.to_owned(),
            failure_reason: String::new(),
            request_digest: digest,
            started_at: now,
            finished_at: None,
            receipt: None,
        };
        write.put_operation(&operation).await?;
        let mut entry = entry(caller, &actor, now, action.as_str(), done.kind, done.id, "ok");
        entry.before = done.before.map(|v| v.to_string()).unwrap_or_default();
        entry.after = done.after.map(|v| v.to_string()).unwrap_or_default();
        entry.operation_id = operation.id.to_string();
        write.append_audit(entry).await?;
        let publish = app.publisher();
        let ended: Vec<IssuerId> = changes.iter().filter_map(ended_of).collect();
        let done = write.commit_then(move |revision| (publish(revision, changes), Instant::now())).await;
        if takes_away && matches!(done, Err(StoreError::Full)) {
            caller.again.store(true, Ordering::Relaxed);
        }
        let (snapshot, committed) = done?;
        // Only now: a list that is made before the commit would lack them.
        ended.iter().for_each(|issuer| app.crl_changed(issuer));
        let receipt = app.confirm(snapshot, committed).await;
        if receipt.in_effect() {
            operation.state = OperationState::Fulfilled;
            operation.finished_at = Some(app.now());
        }
        operation.receipt = Some(receipt);
        app.remember_end(operation.clone());
        Ok(operation)
    }
}

/// The issuer of ours whose certificate a change ends, for good or for a while: its list of those is another one then.
fn ended_of(change: &Change) -> Option<IssuerId> {
    match change {
        Change::PutCertificate(_, entry) if entry.status != CertificateStatus::Active => entry.issuer.as_deref().cloned(),
        _ => None,
    }
}

/// Who the caller is at this moment, from the rows of this transaction: a key or identity that ended since the request was
/// authenticated ends it here.
pub(super) async fn current(reader: &mut Reader, caller: &Caller, now: Timestamp) -> Result<Actor, Refused> {
    if let Some(id) = &caller.credential {
        let key = reader.api_key(id).await?.ok_or_else(Refused::invalid_api_key)?;
        if key.disabled || now >= key.expires_at || key.owner != caller.identity {
            return Err(Refused::invalid_api_key());
        }
    }
    if let Some(id) = &caller.session {
        let session = reader.session(id).await?.ok_or_else(Refused::session_ended)?;
        if now >= session.expires_at || caller.identity != IdentityId::User(session.user) {
            return Err(Refused::session_ended());
        }
    }
    if let Some(id) = &caller.certificate {
        let certificate = reader.certificate(id).await?.filter(|certificate| certificate.owner == caller.identity);
        super::renewal::check_good(&certificate.ok_or_else(|| Refused::not_found("certificate", id.as_str()))?, now)?;
    }
    let rights = rights::of(reader, &caller.identity).await?.ok_or_else(Refused::invalid_api_key)?;
    Ok(rights.actor(caller.identity.clone(), caller.credential.clone()))
}

/// An identity's name and rights, those of its groups included.
///
/// # Errors
/// When the store fails.
pub async fn name_and_access(reader: &mut Reader, id: &IdentityId) -> Result<Option<(String, Access)>, Refused> {
    Ok(match id {
        IdentityId::User(id) => match reader.user(id).await? {
            None => None,
            Some(user) => {
                let groups = reader.user_groups_of(id).await?;
                let access = groups.iter().fold(user.access, |access, group| access.join(&group.access));
                Some((user.email, access))
            }
        },
        IdentityId::ServiceAccount(id) => reader.service_account(id).await?.map(|account| (account.name, account.access)),
        IdentityId::Application(id) => reader.application_of(id).await?.and_then(|application| {
            let environment = application.environment_of(id)?;
            let name = format!("{} {environment}", application.name);
            Some((name, application.environment(environment).access.clone()))
        }),
    })
}

/// An operation, its end included when that is known here but not yet written.
///
/// # Errors
/// When the store fails.
pub async fn known_operation(app: &App, reader: &mut Reader, id: &OperationId) -> Result<Option<Operation>, Refused> {
    if let Some(operation) = app.remembered_end(id) {
        return Ok(Some(operation));
    }
    Ok(reader.operation(id).await?)
}

/// SHA-256 over a domain, who asks, what for, and the request with its members in order.
fn digest(caller: &Caller, action: Action, request: &impl Serialize) -> [u8; 32] {
    let text = value(request).map(|v| v.to_string()).unwrap_or_default();
    let mut hash = sha2::Sha256::new();
    for part in ["countersign operation v1", caller.identity.as_str(), action.as_str(), &text] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn entry(caller: &Caller, actor: &Actor, now: Timestamp, action: &str, kind: &str, id: &str, result: &str) -> Entry {
    let (actor_kind, actor_id, actor_name) = if caller.system {
        ("system".to_owned(), "system".to_owned(), "system".to_owned())
    } else {
        (actor.identity.kind().to_owned(), actor.identity.as_str().to_owned(), actor.name.clone())
    };
    Entry {
        at: now,
        actor_kind,
        actor_id,
        actor_name,
        credential: caller
            .credential
            .as_ref()
            .map(ToString::to_string)
            .or(caller.session.as_ref().map(ToString::to_string))
            .or(caller.certificate.as_ref().map(ToString::to_string))
            .unwrap_or_default(),
        action: action.to_owned(),
        object_kind: kind.to_owned(),
        object_id: id.to_owned(),
        result: result.to_owned(),
        before: String::new(),
        after: String::new(),
        source: caller.source.clone(),
        request_id: caller.request_id.clone(),
        operation_id: String::new(),
    }
}

/// An entry of this program's own.
pub fn system_entry(action: &str, kind: &str, id: &str, now: Timestamp) -> Entry {
    Entry {
        at: now,
        actor_kind: "system".to_owned(),
        actor_id: "system".to_owned(),
        actor_name: "system".to_owned(),
        credential: String::new(),
        action: action.to_owned(),
        object_kind: kind.to_owned(),
        object_id: id.to_owned(),
        result: "ok".to_owned(),
        before: String::new(),
        after: String::new(),
        source: String::new(),
        request_id: String::new(),
        operation_id: String::new(),
    }
}

/// Records a change that was refused, in a transaction of its own and without a revision.
///
/// # Errors
/// When the store fails; the refusal stands all the same.
pub async fn record_refusal(app: &App, caller: &Caller, action: Action, kind: &str, id: &str, code: &str) -> Result<(), Refused> {
    let mut write = app.store.begin().await?;
    let now = app.now();
    let (name, access) = name_and_access(&mut write, &caller.identity)
        .await?
        .unwrap_or_else(|| (String::new(), Access::role(countersign_core::AccountRole::MetricsRead)));
    let credential = caller.credential.clone();
    let actor = Actor { identity: caller.identity.clone(), name, access, custom_roles: Vec::new(), credential };
    let mut refused = entry(caller, &actor, now, action.as_str(), kind, id, code);
    refused.operation_id = caller.operation.as_ref().map(ToString::to_string).unwrap_or_default();
    write.append_audit(refused).await?;
    write.commit_without_revision().await?;
    Ok(())
}

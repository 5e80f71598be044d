//! API keys: make, list, change, delete. Limits are counted inside the transaction that inserts; the secret leaves once, after
//! the commit, and is kept nowhere (promises P10, P12, P14).

use super::applications::{environment, holder, identity};
use super::caller::Caller;
use super::notices::Owners;
use super::unit::{Begun, Done, Unit, name_and_access, value};
use super::{App, applications, check_text, check_version, delegation, lineage, namespace_id, page, revocation, service_accounts, usage};
use crate::error::{Refused, shown};
use countersign_core::access::{Access, AccountRole, NamespacePermission};
use countersign_core::application::Environment;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::api_key::{self, ApiKey, KeyState};
use countersign_core::id::{ApiId, ApiKeyId};
use countersign_core::identity::IdentityId;
use countersign_core::limits;
use countersign_core::name::NamespaceId;
use countersign_core::secret::Secret;
use countersign_core::snapshot::Change;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{
    ApiKeyBody, ApiKeyQuery, Changed, CreateApiKey, CreatedApiKey, DeletedApiKey, GenerateApiKey, GeneratedApiKey,
};
use countersign_proto::rest::{Page, UpdateApiKey, UsageBody};
use countersign_store::{KeyFilter, Reader};

/// Rights and scope of an owner of credentials.
pub(super) struct Owner {
    pub access: Access,
    pub scope: Option<NamespaceId>,
}

/// The owner of a credential; `None` when it is gone.
pub(super) async fn owner(reader: &mut Reader, id: &IdentityId) -> Result<Option<Owner>, Refused> {
    Ok(match id {
        IdentityId::User(_) | IdentityId::Application(_) => {
            name_and_access(reader, id).await?.map(|(_, access)| Owner { access, scope: None })
        }
        IdentityId::ServiceAccount(id) => {
            reader.service_account(id).await?.map(|account| Owner { access: account.access, scope: account.scope })
        }
    })
}

/// For whom a credential is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct For<'a> {
    pub service_account: Option<&'a str>,
    pub application: Option<&'a str>,
    pub environment: Option<&'a str>,
}

/// Whose credential is to be made: the caller's own, a service account's, or an application's in one of its environments.
pub(super) async fn owner_asked(reader: &mut Reader, actor: &Actor, asked: For<'_>) -> Result<IdentityId, Refused> {
    let given = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
    match (asked.service_account, asked.application) {
        (service_account, application) if given(service_account) && given(application) => {
            Err(Refused::invalid("give at most one of serviceAccountId and application"))
        }
        (_, Some(text)) if !text.is_empty() => {
            let environment = environment(asked.environment)?;
            let application = applications::visible(reader, actor, text).await?;
            Ok(identity(&application, environment))
        }
        _ if given(asked.environment) => Err(Refused::invalid("environment is an application's; name the application too")),
        (Some(text), _) if !text.is_empty() => Ok(IdentityId::ServiceAccount(service_accounts::id(text)?)),
        _ => Ok(actor.identity.clone()),
    }
}

/// Decides the making of a credential: by whom for whom, and never with more power than the maker has (promise P12).
pub(super) async fn decide_making(unit: &mut Unit<'_>, caller: &Caller, action: Action, who: &IdentityId) -> Result<(), Refused> {
    let Some(owner) = owner(&mut unit.write, who).await? else {
        let kind = if matches!(who, IdentityId::Application(_)) { "application" } else { "service account" };
        return Err(Refused::not_found(kind, who.as_str()));
    };
    let holder = holder(&mut unit.write, &caller.identity, who).await?;
    unit.decide(action, Target::CredentialOf(&holder, owner.scope.as_ref()))?;
    if *who == caller.identity {
        return Ok(());
    }
    if !caller.narrowed.is_empty() {
        // Whatever it is narrowed to: it speaks for nobody else.
        return delegation::check_narrowing(caller, who, &caller.narrowed);
    }
    // What an application may do, an admin has decided when he gave it those rights and this owner.
    if holder == caller.identity {
        return Ok(());
    }
    unit.decide_grant(None, &owner.access)
}

/// The APIs to narrow a credential to. They exist, in namespaces the caller has a permission in, and a narrowed key's successor
/// is narrowed at least as far (promise P12).
pub(super) fn narrowing(app: &App, actor: &Actor, caller: &Caller, texts: &[String]) -> Result<Vec<ApiId>, Refused> {
    if texts.is_empty() {
        return Ok(caller.narrowed.clone());
    }
    let snapshot = app.snapshot();
    let mut apis: Vec<ApiId> = Vec::with_capacity(texts.len());
    if texts.len() > limits::APIS_PER_NAMESPACE_MAX {
        return Err(Refused::new("limit_reached", format!("a credential is narrowed to at most {} APIs", limits::APIS_PER_NAMESPACE_MAX)));
    }
    for text in texts {
        let absent = || Refused::not_found("API", text);
        let id = ApiId::parse(text).map_err(|_| absent())?;
        let known = snapshot.namespaces().any(|ns| actor.access.permission(&ns.id).is_some() && ns.apis.iter().any(|api| api.id == id));
        if !known {
            return Err(absent());
        }
        if !caller.narrowed.is_empty() && !caller.narrowed.contains(&id) {
            return Err(Refused::forbidden("the successor of a key that is narrowed to APIs is narrowed to the same ones or fewer"));
        }
        if !apis.contains(&id) {
            apis.push(id);
        }
    }
    Ok(apis)
}

/// When a key made now ends. An end wins over a duration; both are bounded by two years.
pub(super) fn expiry(duration: Option<&str>, end: Option<&str>, now: Timestamp, default: Lifetime) -> Result<Timestamp, Refused> {
    let hint = "give a duration of at most 730d (2y), for example 30d";
    let at = match (end, duration) {
        (Some(text), _) if !text.is_empty() => convert::parse_time(text)
            .ok_or_else(|| Refused::invalid(format!("expiryTime `{}` is no time; write it as 2027-01-31T00:00:00Z", shown(text))))?,
        (_, Some(text)) => now.plus(Lifetime::parse(text).map_err(|e| Refused::invalid(e).hint(hint))?),
        _ => now.plus(default),
    };
    if at <= now {
        return Err(Refused::invalid("the key would end before it begins: its expiry lies in the past").hint(hint));
    }
    if at > now.plus(limits::API_KEY_LIFETIME_MAX) {
        return Err(Refused::invalid("an API key lives at most two years (730 days)").hint(hint));
    }
    Ok(at)
}

/// How long a key lives when nobody says otherwise: `usual`, as far as the calling credential may give it.
pub(super) async fn default_life(unit: &mut Unit<'_>, caller: &Caller, usual: Lifetime) -> Result<Lifetime, Refused> {
    Ok(delegation::longest_life(&mut unit.write, caller).await?.map_or(usual, |bound| bound.min(usual)))
}

/// A key about to be stored.
pub(super) struct NewKey {
    pub owner: IdentityId,
    pub name: String,
    pub description: String,
    pub apis: Vec<ApiId>,
    pub expires_at: Timestamp,
}

/// Counts, mints and stores, inside a change whose rights are decided.
pub(super) async fn insert(app: &App, unit: &mut Unit<'_>, caller: &Caller, new: NewKey) -> Result<(ApiKey, Secret), Refused> {
    // The system's own key is how an owner who lost his gets back in, at the machine itself.
    if !caller.system && unit.write.account().await?.is_some_and(|account| account.api_key_creation_disabled) {
        return Err(Refused::new(
            "api_key_creation_disabled",
            "the creation of API keys is disabled for the whole account; keys that exist go on working",
        )
        .hint("an Account Owner or Global Admin can enable it: countersign account api-keys enable-creation"));
    }
    delegation::check_narrowing(caller, &new.owner, &new.apis)?;
    let bound = delegation::longest_life(&mut unit.write, caller).await?;
    delegation::check_end(new.expires_at, unit.now, bound)?;
    let (max, whose) = match new.owner {
        IdentityId::User(_) => (limits::API_KEYS_PER_USER_MAX, "a user"),
        IdentityId::ServiceAccount(_) => (limits::API_KEYS_PER_SERVICE_ACCOUNT_MAX, "a service account"),
        IdentityId::Application(_) => (limits::API_KEYS_PER_SERVICE_ACCOUNT_MAX, "an application's environment"),
    };
    if unit.write.count_unexpired_keys(&new.owner, unit.now).await? >= max {
        return Err(Refused::new(
            "limit_reached",
            format!("{whose} has at most {max} API keys that are not expired, disabled ones included"),
        )
        .hint("delete one that is no longer needed: countersign apikey list, countersign apikey delete --id …"));
    }
    let id = ApiKeyId::mint(&*app.entropy);
    let (secret, digest) = api_key::mint(&id, &*app.entropy);
    let key = ApiKey {
        id,
        owner: new.owner,
        name: new.name,
        description: new.description,
        digest,
        disabled: false,
        apis: new.apis,
        expires_at: new.expires_at,
        parent: caller.credential.clone(),
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_api_key(&key).await?;
    unit.publish(Change::key(&key));
    Ok((key, secret))
}

pub(super) fn shown_key(key: &ApiKey, now: Timestamp) -> Option<serde_json::Value> {
    value(&convert::api_key(key, UsageBody::default(), now))
}

/// Makes a key. Its text is in this answer and nowhere else.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `not_found`, `limit_reached`, `api_key_creation_disabled`, `idempotency_conflict`.
pub async fn create(app: &App, caller: &Caller, body: CreateApiKey) -> Result<CreatedApiKey, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateApiKey, &body).await? {
        Begun::Repeated(operation) => {
            let request_status = convert::request_status(&operation);
            return Ok(CreatedApiKey { id: operation.resource_id, secret_key: None, request_status });
        }
        Begun::New(unit) => unit,
    };
    let asked = For {
        service_account: body.service_account_id.as_deref(),
        application: body.application.as_deref(),
        environment: body.environment.as_deref(),
    };
    let actor = unit.actor.clone();
    let who = owner_asked(&mut unit.write, &actor, asked).await?;
    decide_making(&mut unit, caller, Action::CreateApiKey, &who).await?;
    check_text("name", &body.name, 1, limits::DISPLAY_NAME_CHARS_MAX)?;
    check_text("description", &body.description, 0, limits::DESCRIPTION_CHARS_MAX)?;
    let default = default_life(&mut unit, caller, limits::API_KEY_LIFETIME_DEFAULT).await?;
    let expires_at = expiry(body.duration.as_deref(), body.expiry_time.as_deref(), unit.now, default)?;
    let apis = narrowing(app, &unit.actor, caller, &body.apis)?;
    let new = NewKey { owner: who, name: body.name, description: body.description, apis, expires_at };
    let (key, secret) = insert(app, &mut unit, caller, new).await?;
    let after = shown_key(&key, unit.now);
    let operation = unit.commit(Done { kind: "api_key", id: key.id.as_str(), before: None, after }).await?;
    // Shown here, this once: the caller asked for it, and the change is durable.
    let secret_key = Some(secret.expose().to_owned());
    Ok(CreatedApiKey { id: key.id.to_string(), secret_key, request_status: convert::request_status(&operation) })
}

/// The button of a namespace's page: a service account of its own, `<name>-service-account`, and a key for it (seed 002). Only
/// Namespace Admins: the key is an admin's.
///
/// # Errors
/// As [`create`].
pub async fn generate(app: &App, caller: &Caller, namespace: &str, body: GenerateApiKey) -> Result<GeneratedApiKey, Refused> {
    let id = namespace_id(app, namespace)?;
    let mut unit = match Unit::begin(app, caller, Action::CreateApiKey, &("generate", namespace, &body)).await? {
        Begun::Repeated(operation) => {
            let owner = match ApiKeyId::parse(&operation.resource_id) {
                Ok(key) => app.store.read().await?.api_key(&key).await?.map(|key| key.owner.to_string()).unwrap_or_default(),
                Err(_) => String::new(),
            };
            let request_status = convert::request_status(&operation);
            return Ok(GeneratedApiKey { service_account_id: owner, id: operation.resource_id, secret_key: None, request_status });
        }
        Begun::New(unit) => unit,
    };
    unit.namespace(&id, Action::UpdateNamespace).await?;
    let permission = convert::parse_permission(body.permission.as_deref().unwrap_or("admin")).map_err(Refused::invalid)?;
    let name = format!("{}-service-account", id.name());
    let account = match unit.write.service_account_by_name(&name).await? {
        Some(found) if found.scope.as_ref() == Some(&id) => {
            let has = found.access.permission(&id);
            if body.permission.is_some() && has != Some(permission) {
                return Err(Refused::new("already_exists", format!("service account {name} exists already with another permission"))
                    .hint(format!("countersign service-account set-namespace-permissions --service-account-id {}", found.id)));
            }
            found
        }
        Some(_) => {
            return Err(Refused::new("already_exists", format!("there is a service account {name} already, which is not scoped to {id}"))
                .hint("rename that one, or create a scoped one of another name: countersign service-account create-scoped"));
        }
        None => {
            unit.decide(Action::CreateServiceAccount, Target::ServiceAccount(Some(&id)))?;
            let mut access = Access::role(AccountRole::Read);
            access.namespaces.insert(id.clone(), permission);
            unit.decide_grant(None, &access)?;
            let description = format!("Made with an API key of namespace {id}");
            service_accounts::insert(app, &mut unit, name, description, access, Some(id.clone())).await?
        }
    };
    let who = IdentityId::ServiceAccount(account.id.clone());
    decide_making(&mut unit, caller, Action::CreateApiKey, &who).await?;
    let default = default_life(&mut unit, caller, limits::API_KEY_LIFETIME_MAX).await?;
    let expires_at = expiry(body.duration.as_deref(), None, unit.now, default)?;
    // A namespace's key reaches all of it: a narrowed key does not make it.
    let new = NewKey { owner: who, name: format!("{}-api-key", id.name()), description: String::new(), apis: Vec::new(), expires_at };
    let (key, secret) = insert(app, &mut unit, caller, new).await?;
    let after = shown_key(&key, unit.now);
    let operation = unit.commit(Done { kind: "api_key", id: key.id.as_str(), before: None, after }).await?;
    // Shown here, this once, as in `create`.
    let secret_key = Some(secret.expose().to_owned());
    let request_status = convert::request_status(&operation);
    Ok(GeneratedApiKey { service_account_id: account.id.to_string(), id: key.id.to_string(), secret_key, request_status })
}

/// One key.
///
/// # Errors
/// `not_found`, also where it is another's.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<ApiKeyBody, Refused> {
    let mut read = app.store.read().await?;
    let key = visible(&mut read, actor, text).await?;
    let usage = usage::body(&mut read, key.id.as_str()).await?;
    let owner_name = Owners::default().of(&mut read, &key.owner).await?.0;
    Ok(ApiKeyBody { owner_name, ..convert::api_key(&key, usage, app.now()) })
}

/// A key the caller may know of.
pub(super) async fn visible(reader: &mut Reader, actor: &Actor, text: &str) -> Result<ApiKey, Refused> {
    let absent = || Refused::not_found("API key", text);
    let key = reader.api_key(&ApiKeyId::parse(text).map_err(|_| absent())?).await?.ok_or_else(absent)?;
    let scope = owner(reader, &key.owner).await?.and_then(|owner| owner.scope);
    let holder = holder(reader, &actor.identity, &key.owner).await?;
    authz::decide(actor, Action::GetApiKey, Target::CredentialOf(&holder, scope.as_ref())).map_err(|_| absent())?;
    Ok(key)
}

/// The keys the caller may see: his own, those of service accounts scoped to namespaces he administers, or all.
///
/// # Errors
/// `invalid_argument`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, query: &ApiKeyQuery) -> Result<Page<ApiKeyBody>, Refused> {
    super::decide(actor, Action::GetApiKeys, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let now = app.now();
    let state = match query.state.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            [KeyState::Enabled, KeyState::Disabled, KeyState::Expired]
                .into_iter()
                .find(|state| state.as_str() == text)
                .ok_or_else(|| Refused::invalid("state is enabled, disabled or expired"))?,
        ),
    };
    let owner_kind = match query.owner_type.as_deref() {
        None | Some("") => None,
        Some("user") => Some("user"),
        Some("service_account" | "service-account") => Some("service_account"),
        Some("application") => Some("application"),
        Some(_) => return Err(Refused::invalid("owner_type is user, service_account or application")),
    };
    let owner = match query.owner_id.as_deref() {
        None | Some("") => None,
        Some(text) => Some(IdentityId::parse(text).ok_or_else(|| Refused::invalid("owner_id is no id of a user or service account"))?),
    };
    let mut read = app.store.read().await?;
    let found = if actor.access.account_role.administers_every_namespace() {
        read.api_keys(&KeyFilter { owner, owner_kind, state, now }, &page::one_more(&asked)).await?
    } else {
        let mut found = Vec::new();
        for one in owners_seen(&mut read, actor).await? {
            if owner.as_ref().is_none_or(|o| *o == one) && owner_kind.is_none_or(|kind| kind == one.kind()) {
                found.extend(read.api_keys_of(&one).await?);
            }
        }
        found.retain(|key| state.is_none_or(|s| key.state(now) == s) && asked.after.as_deref().is_none_or(|after| key.id.as_str() > after));
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    };
    let mut page = page::cut(found, &asked, |key| key.id.to_string(), |key| convert::api_key(&key, UsageBody::default(), now));
    let mut owners = Owners::default();
    for item in &mut page.items {
        item.usage = usage::body(&mut read, &item.id).await?;
        if let Some(owner) = IdentityId::parse(&item.owner_id) {
            item.owner_name = owners.of(&mut read, &owner).await?.0;
        }
    }
    Ok(page)
}

/// The owners whose credentials one who is no admin of the account may see.
pub(super) async fn owners_seen(reader: &mut Reader, actor: &Actor) -> Result<Vec<IdentityId>, Refused> {
    let mut owners = vec![actor.identity.clone()];
    if let IdentityId::User(user) = &actor.identity {
        let mut page = countersign_store::Page { size: limits::PAGE_SIZE_MAX, after: None };
        loop {
            let found = reader.applications(Some(user), &page).await?;
            page.after = found.last().map(|application| application.id.to_string()).filter(|_| found.len() == page.size);
            owners.extend(found.iter().flat_map(|a| Environment::ALL.map(|environment| identity(a, environment))));
            if page.after.is_none() {
                break;
            }
        }
    }
    for (namespace, permission) in &actor.access.namespaces {
        if *permission == NamespacePermission::Admin {
            let scoped = reader.service_accounts_scoped_to(namespace).await?;
            owners.extend(scoped.into_iter().map(|account| IdentityId::ServiceAccount(account.id)).filter(|id| *id != actor.identity));
        }
    }
    Ok(owners)
}

/// Changes name or description, disables or enables. The id stays.
///
/// # Errors
/// `not_found`, `forbidden`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateApiKey) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateApiKey, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = changeable(&mut unit, Action::UpdateApiKey, text).await?;
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    let mut after = before.clone();
    if let Some(name) = body.name {
        check_text("name", &name, 1, limits::DISPLAY_NAME_CHARS_MAX)?;
        after.name = name;
    }
    if let Some(description) = body.description {
        check_text("description", &description, 0, limits::DESCRIPTION_CHARS_MAX)?;
        after.description = description;
    }
    if let Some(disabled) = body.disabled {
        if before.state(unit.now) == KeyState::Expired {
            return Err(Refused::invalid(format!("API key {} has expired, and nothing brings it back", before.id))
                .hint("create a new one: countersign apikey create"));
        }
        after.disabled = disabled;
    }
    if after == before {
        let state = if before.disabled { "disabled" } else { "enabled" };
        return Err(Refused::nothing_to_change(format!("API key {} is so already ({state})", before.id)));
    }
    let only_disables = ApiKey { disabled: before.disabled, ..after.clone() } == before && after.disabled;
    if !only_disables {
        check_owners_matter(&mut unit, &before.owner).await?;
    }
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_api_key(&after).await?;
    unit.publish(Change::key(&after));
    let (old, new) = (shown_key(&before, unit.now), shown_key(&after, unit.now));
    let operation = unit.commit(Done { kind: "api_key", id: text, before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes a key for good. With `descendants` also every credential that was made with it or with one of those; the key itself may
/// then be gone already.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`, `nothing_to_change`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>, descendants: bool) -> Result<DeletedApiKey, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteApiKey, &(text, version, descendants)).await? {
        Begun::Repeated(operation) => {
            return Ok(DeletedApiKey { request_status: convert::request_status(&operation), ..DeletedApiKey::default() });
        }
        Begun::New(unit) => unit,
    };
    let known = match ApiKeyId::parse(text) {
        Ok(id) => unit.write.api_key(&id).await?.is_some(),
        Err(_) => false,
    };
    let before = if known || !descendants {
        let before = changeable(&mut unit, Action::DeleteApiKey, text).await?;
        check_version(version, before.resource_version)?;
        Some(before)
    } else {
        lineage::decide_deleted(&mut unit, text).await?;
        None
    };
    let mut made = lineage::of(&mut unit, text).await?;
    let mut warnings = Vec::new();
    if !descendants {
        warnings.extend(made.left(text));
        made = lineage::Made::default();
    } else if before.is_none() && made.is_empty() {
        return Err(Refused::nothing_to_change(format!("nothing that was made with API key {text} is left")));
    }
    let mut gone: Vec<ApiKey> = before.into_iter().collect();
    for key in made.keys {
        match decide_ending(&mut unit, Action::DeleteApiKey, &key.owner).await {
            Ok(()) => gone.push(key),
            Err(refused) => warnings.push(format!("API key {} stays and gets in: {refused}", key.id)),
        }
    }
    let mut ends = Vec::new();
    for certificate in made.certificates {
        match decide_ending(&mut unit, Action::RevokeCertificate, &certificate.owner).await {
            Ok(()) => ends.push(certificate),
            Err(refused) => warnings.push(format!("certificate {} stays and gets in: {refused}", certificate.id)),
        }
    }
    for key in &gone {
        unit.write.delete_api_key(&key.id).await?;
        unit.publish(Change::RemoveKey(key.id.clone()));
    }
    let revoked = revocation::withdraw(&mut unit, ends).await?;
    let shown: Vec<_> = gone.iter().filter_map(|key| shown_key(key, unit.now)).collect();
    let revoked_certificates: Vec<String> = revoked.iter().map(|one| one.id.to_string()).collect();
    let (before, after) = match (descendants, revoked_certificates.is_empty()) {
        (false, _) => (shown.into_iter().next(), None),
        (true, true) => (Some(shown.into()), None),
        (true, false) => (Some(shown.into()), value(&serde_json::json!({ "revokedCertificates": &revoked_certificates }))),
    };
    let operation = unit.commit(Done { kind: "api_key", id: text, before, after }).await?;
    let deleted = gone.iter().map(|key| key.id.to_string()).collect();
    Ok(DeletedApiKey { deleted, revoked_certificates, warnings, request_status: convert::request_status(&operation) })
}

/// A key the caller may do `action` to: absent where he may not see it, forbidden where he may not change it.
async fn changeable(unit: &mut Unit<'_>, action: Action, text: &str) -> Result<ApiKey, Refused> {
    let actor = unit.actor.clone();
    let key = visible(&mut unit.write, &actor, text).await?;
    decide_ending(unit, action, &key.owner).await?;
    Ok(key)
}

/// Decides a change of a credential that exists. Whoever has the right may disable, delete and revoke an Account Owner's too (seed 002):
/// that only takes access away.
pub(super) async fn decide_ending(unit: &mut Unit<'_>, action: Action, who: &IdentityId) -> Result<(), Refused> {
    let scope = owner(&mut unit.write, who).await?.and_then(|owner| owner.scope);
    let holder = holder(&mut unit.write, &unit.actor.identity.clone(), who).await?;
    unit.decide(action, Target::CredentialOf(&holder, scope.as_ref())).map(drop)
}

/// Everything else about an Account Owner's credentials is owners' matter: their names, and whether they get in again. An owner is
/// anyone with that role now, also by a group.
///
/// # Errors
/// `forbidden`.
pub(super) async fn check_owners_matter(unit: &mut Unit<'_>, who: &IdentityId) -> Result<(), Refused> {
    let is_owner = owner(&mut unit.write, who).await?.is_some_and(|owner| owner.access.is_owner());
    if is_owner && *who != unit.actor.identity && !unit.actor.access.is_owner() {
        return Err(Refused::forbidden("an Account Owner's credentials are enabled and renamed by Account Owners only")
            .hint("disabling and deleting them is allowed"));
    }
    Ok(())
}

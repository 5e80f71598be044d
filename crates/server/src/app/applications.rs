//! Applications: what a portal's developer builds, with two environments that share nothing (seed 001). Admins make them and give
//! them rights; their owner manages their credentials. How a certificate comes to be is `certificates`' and `issuance`'s business.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::users::{check_namespaces, end_credentials};
use super::{App, check_text, check_version, decide, page};
use crate::error::Refused;
use countersign_core::access::{Access, AccountRole};
use countersign_core::application::{Application, ApplicationEnvironment, Environment};
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::id::{ApplicationId, EnvironmentId, UserId};
use countersign_core::identity::IdentityId;
use countersign_core::limits::{DESCRIPTION_CHARS_MAX, DISPLAY_NAME_CHARS_MAX};
use countersign_core::snapshot::Change;
use countersign_proto::convert;
use countersign_proto::rest::{ApplicationBody, Changed, CreateApplication, Created, Page, PageQuery, UpdateApplication};
use countersign_store::Reader;
use std::collections::BTreeMap;

/// In whose name a right to `who`'s credentials is decided: an application's owner has over its credentials the rights he has over
/// his own, and for everybody else they are somebody else's.
///
/// # Errors
/// When the store fails.
pub(super) async fn holder(reader: &mut Reader, actor: &IdentityId, who: &IdentityId) -> Result<IdentityId, Refused> {
    if let (IdentityId::Application(environment), IdentityId::User(user)) = (who, actor)
        && reader.application_of(environment).await?.is_some_and(|application| application.owner.as_ref() == Some(user))
    {
        return Ok(actor.clone());
    }
    Ok(who.clone())
}

/// What credentials of an application belong to.
pub(super) fn identity(application: &Application, environment: Environment) -> IdentityId {
    IdentityId::Application(application.environment(environment).id.clone())
}

/// `sandbox` or `production`.
pub(super) fn environment(text: Option<&str>) -> Result<Environment, Refused> {
    text.and_then(Environment::parse).ok_or_else(|| Refused::invalid("environment is sandbox or production"))
}

/// The application of this id or name, whoever asks.
async fn find(reader: &mut Reader, text: &str) -> Result<Option<Application>, Refused> {
    match ApplicationId::parse(text) {
        Ok(id) => Ok(reader.application(&id).await?),
        Err(_) => Ok(reader.application_by_name(text).await?),
    }
}

/// One that the caller may know of, by id or name: admins all, a user his own, an application itself.
///
/// # Errors
/// `not_found`, also where it is another's.
pub(super) async fn visible(reader: &mut Reader, actor: &Actor, text: &str) -> Result<Application, Refused> {
    let absent = || Refused::not_found("application", text);
    let application = find(reader, text).await?.ok_or_else(absent)?;
    let who = match &actor.identity {
        IdentityId::User(user) if application.owner.as_ref() == Some(user) => actor.identity.clone(),
        IdentityId::Application(id) if application.environment_of(id).is_some() => actor.identity.clone(),
        _ => identity(&application, Environment::Sandbox),
    };
    authz::decide(actor, Action::GetApplication, Target::CredentialOf(&who, None)).map_err(|_| absent())?;
    Ok(application)
}

/// One of them.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<ApplicationBody, Refused> {
    visible(&mut app.store.read().await?, actor, text).await.map(|application| convert::application(&application))
}

/// All for admins; for everybody else those that are his.
///
/// # Errors
/// `invalid_argument`.
pub async fn list(app: &App, actor: &Actor, query: &PageQuery) -> Result<Page<ApplicationBody>, Refused> {
    decide(actor, Action::GetApplications, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut reader = app.store.read().await?;
    let found = match &actor.identity {
        _ if actor.access.account_role.administers_every_namespace() => reader.applications(None, &page::one_more(&asked)).await?,
        IdentityId::User(user) => reader.applications(Some(user), &page::one_more(&asked)).await?,
        IdentityId::Application(id) if asked.after.is_none() => reader.application_of(id).await?.into_iter().collect(),
        _ => Vec::new(),
    };
    Ok(page::cut(found, &asked, |a| a.id.to_string(), |a| convert::application(&a)))
}

/// Rights of an environment: permissions in namespaces, and nothing in the account.
fn access(permissions: &BTreeMap<String, String>) -> Result<Access, Refused> {
    let mut access = Access::role(AccountRole::MetricsRead);
    access.namespaces = convert::parse_permissions(permissions).map_err(Refused::invalid)?;
    Ok(access)
}

/// A name that is none of an id's form, so that either may stand in a path.
fn check_name(name: &str) -> Result<(), Refused> {
    check_text("name", name, 1, DISPLAY_NAME_CHARS_MAX)?;
    if ApplicationId::parse(name).is_ok() {
        return Err(Refused::invalid("name has the form of an application's id; choose another one"));
    }
    Ok(())
}

async fn check_owner(unit: &mut Unit<'_>, text: &str) -> Result<Option<UserId>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let absent = || Refused::not_found("user", text);
    let id = UserId::parse(text).map_err(|_| absent())?;
    unit.write.user(&id).await?.ok_or_else(absent)?;
    Ok(Some(id))
}

async fn check_unique(unit: &mut Unit<'_>, name: &str) -> Result<(), Refused> {
    if unit.write.application_by_name(name).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is an application {name} already"))
            .hint("choose another name, or use that application (`countersign application list` shows them)"));
    }
    Ok(())
}

/// Makes one, with both environments.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `not_found`, `already_exists`.
pub async fn create(app: &App, caller: &Caller, body: CreateApplication) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateApplication, &body).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateApplication, Target::Account)?;
    check_name(&body.name)?;
    check_text("description", &body.description, 0, DESCRIPTION_CHARS_MAX)?;
    let (sandbox, production) = (access(&body.sandbox)?, access(&body.production)?);
    for granted in [&sandbox, &production] {
        unit.decide_grant(None, granted)?;
        check_namespaces(&mut unit, granted).await?;
    }
    let owner = check_owner(&mut unit, body.owner_id.as_deref().unwrap_or("")).await?;
    check_unique(&mut unit, &body.name).await?;
    let application = Application {
        id: ApplicationId::mint(&*app.entropy),
        name: body.name,
        description: body.description,
        owner,
        sandbox: ApplicationEnvironment { id: EnvironmentId::mint(&*app.entropy), access: sandbox },
        production: ApplicationEnvironment { id: EnvironmentId::mint(&*app.entropy), access: production },
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    unit.write.put_application(&application).await?;
    publish(&mut unit, &application);
    let id = application.id.to_string();
    let after = value(&convert::application(&application));
    let operation = unit.commit(Done { kind: "application", id: &id, before: None, after }).await?;
    Ok(Created { id, request_status: convert::request_status(&operation) })
}

fn publish(unit: &mut Unit<'_>, application: &Application) {
    for environment in Environment::ALL {
        unit.publish(Change::PutIdentity(identity(application, environment), application.environment(environment).access.clone()));
    }
}

/// Changes name, description, owner or rights.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `already_exists`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateApplication) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateApplication, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let before = visible(&mut unit.write, &actor, text).await?;
    unit.decide(Action::UpdateApplication, Target::Resource(before.id.as_str()))?;
    check_version(body.resource_version.as_deref(), before.resource_version)?;
    let mut after = before.clone();
    if let Some(name) = body.name
        && name != before.name
    {
        check_name(&name)?;
        check_unique(&mut unit, &name).await?;
        after.name = name;
    }
    if let Some(description) = body.description {
        check_text("description", &description, 0, DESCRIPTION_CHARS_MAX)?;
        after.description = description;
    }
    if let Some(owner) = &body.owner_id {
        after.owner = check_owner(&mut unit, owner).await?;
    }
    for (permissions, of) in [(&body.sandbox, &mut after.sandbox), (&body.production, &mut after.production)] {
        if let Some(permissions) = permissions {
            let granted = access(permissions)?;
            unit.decide_grant(Some(&of.access), &granted)?;
            check_namespaces(&mut unit, &granted).await?;
            of.access = granted;
        }
    }
    if after == before {
        return Err(Refused::nothing_to_change(format!("application {} is so already", before.name)));
    }
    after.resource_version += 1;
    after.modified_at = unit.now;
    unit.write.put_application(&after).await?;
    publish(&mut unit, &after);
    let (old, new) = (value(&convert::application(&before)), value(&convert::application(&after)));
    let operation = unit.commit(Done { kind: "application", id: before.id.as_str(), before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes one with every credential of both environments; their connections are cut.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::DeleteApplication, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let actor = unit.actor.clone();
    let before = visible(&mut unit.write, &actor, text).await?;
    unit.decide(Action::DeleteApplication, Target::Resource(before.id.as_str()))?;
    check_version(version, before.resource_version)?;
    for environment in Environment::ALL {
        let who = identity(&before, environment);
        end_credentials(&mut unit, &who).await?;
        unit.publish(Change::RemoveIdentity(who));
    }
    unit.write.delete_application(&before.id).await?;
    let old = value(&convert::application(&before));
    let operation = unit.commit(Done { kind: "application", id: before.id.as_str(), before: old, after: None }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

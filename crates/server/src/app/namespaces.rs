//! Namespaces: make, list, change, delete. A new one is closed and belongs to who made it.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{
    App, cas, check_version, custom_roles, decide, filters, foreign_crls, namespace_id, namespace_settings, notices, page,
    service_accounts, user_groups,
};
use crate::error::Refused;
use countersign_core::access::NamespacePermission;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::identity::IdentityId;
use countersign_core::limits::{HOSTNAMES_PER_NAMESPACE_MAX, SNAPSHOT_AGE_MAX, UPSTREAM_CONNECT_SECONDS_MAX, UPSTREAM_WAIT_SECONDS_MAX};
use countersign_core::name::{Hostname, NamespaceId};
use countersign_core::namespace::{AuthMethod, Namespace, TemporalSettings, Upstream, UpstreamTimeouts};
use countersign_core::operation::Operation;
use countersign_core::snapshot::Change;
use countersign_core::time::Lifetime;
use countersign_proto::convert;
use countersign_proto::rest::{
    Changed, CreateNamespace, Created, NamespaceBody, NamespaceQuery, Page, UpdateNamespace, UpstreamTimeoutsBody,
};
use countersign_store::Page as StorePage;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The least and the most of a namespace's own bound on a silent control plane, in seconds.
const SNAPSHOT_AGE_SECONDS: std::ops::RangeInclusive<i64> = 60..=86_400;

/// A namespace as shown.
pub(super) fn body(app: &App, namespace: &Namespace) -> NamespaceBody {
    convert::namespace(namespace, app.settings.gateway_port)
}

/// The namespace, for readers.
///
/// # Errors
/// `not_found`, also where the caller has no permission in it; `forbidden`.
pub(super) async fn read(app: &App, actor: &Actor, action: Action, text: &str) -> Result<Namespace, Refused> {
    let id = namespace_id(app, text)?;
    decide(actor, action, Target::Namespace(&id))?;
    app.store.read().await?.namespace(&id).await?.ok_or_else(|| Refused::not_found("namespace", id.as_str()))
}

/// One namespace.
///
/// # Errors
/// As [`read`].
pub async fn get(app: &App, actor: &Actor, text: &str) -> Result<NamespaceBody, Refused> {
    Ok(body(app, &read(app, actor, Action::GetNamespace, text).await?))
}

/// The namespaces the caller has a permission in; all of them for Global Admins and Account Owners.
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, actor: &Actor, query: &NamespaceQuery) -> Result<Page<NamespaceBody>, Refused> {
    decide(actor, Action::GetNamespaces, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut read = app.store.read().await?;
    let found = if let Some(name) = query.name.as_deref().filter(|name| !name.is_empty()) {
        // A name that cannot be one, or is of a namespace he may not know of, is no error of a filter: nothing matches.
        match namespace_id(app, name) {
            Ok(id) if decide(actor, Action::GetNamespace, Target::Namespace(&id)).is_ok() => {
                read.namespace(&id).await?.into_iter().collect()
            }
            _ => Vec::new(),
        }
    } else if actor.access.account_role.administers_every_namespace() {
        read.namespaces(&page::one_more(&asked)).await?
    } else {
        let mut found = Vec::new();
        for id in actor.access.namespaces.keys().filter(|id| asked.after.as_deref().is_none_or(|after| id.as_str() > after)) {
            if found.len() > asked.size {
                break;
            }
            found.extend(read.namespace(id).await?);
        }
        found
    };
    Ok(page::cut(found, &asked, |ns| ns.id.to_string(), |ns| body(app, &ns)))
}

/// Makes a namespace. One who is not Namespace Admin everywhere becomes it here (research/temporal-cloud.md section 8.1).
///
/// # Errors
/// `invalid_argument`, `forbidden`, `already_exists`, and what x509 says of a CA.
pub async fn create(app: &App, caller: &Caller, body: CreateNamespace) -> Result<Created, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::CreateNamespace, &body).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    unit.decide(Action::CreateNamespace, Target::Account)?;
    let name = body.name.strip_suffix(&format!(".{}", app.account_id())).unwrap_or(&body.name);
    let id = NamespaceId::new(name, app.account_id()).map_err(Refused::invalid)?;
    let hostname = Hostname::parse(&format!("{id}.{}", app.settings.gateway_domain)).map_err(Refused::invalid)?;
    if unit.write.namespace(&id).await?.is_some() {
        return Err(Refused::new("already_exists", format!("there is a namespace {id} already")).hint("choose another name"));
    }
    let certificate_filters = filters::checked(&body.certificate_filters)?;
    let accepted_client_cas = match &body.accepted_client_ca {
        Some(text) if !text.is_empty() => cas::parse(text, unit.now, !certificate_filters.is_empty())?,
        _ => Vec::new(),
    };
    cas::check_not_own(app, &mut unit.write, &[], &accepted_client_cas).await?;
    let mut namespace = Namespace {
        extra_hostnames: extra_hostnames(app, caller, &hostname, &[], &body.extra_hostnames)?,
        upstream: match body.upstream.as_deref() {
            Some(text) => upstream(app, text)?,
            None => app.settings.default_upstream.clone(),
        },
        auth_method: body.auth_method.as_deref().map_or(Ok(AuthMethod::Restricted), auth_method)?,
        accepted_client_cas,
        certificate_filters,
        apis: Vec::new(),
        timeouts: UpstreamTimeouts::default(),
        snapshot_age_max: SNAPSHOT_AGE_MAX,
        delete_protection: false,
        temporal: TemporalSettings::default(),
        settled_version: 1,
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
        id: id.clone(),
        hostname,
    };
    namespace_settings::apply(
        app,
        &mut namespace,
        namespace_settings::Asked {
            retention_days: body.retention_days,
            search_attributes: body.search_attributes.as_ref(),
            codec_server: body.codec_server.as_ref(),
            delete_protection: body.delete_protection,
            regions: Some(body.regions.as_deref().unwrap_or_default()),
        },
    )?;
    if let Some(timeouts) = &body.upstream_timeouts {
        fill_timeouts(&mut namespace.timeouts, timeouts)?;
    }
    if let Some(tags) = &body.tags {
        namespace.temporal.tags = namespace_settings::tags(tags)?;
    }
    // Roles that an earlier version kept may name one of this name that is gone.
    custom_roles::forget_namespace(&mut unit, &id).await?;
    unit.write.put_namespace(&namespace).await?;
    unit.publish(Change::PutNamespace(Arc::new(namespace.clone())));
    if !unit.actor.access.account_role.administers_every_namespace() {
        let maker = unit.actor.identity.clone();
        set_permission(&mut unit, &maker, &id, Some(NamespacePermission::Admin)).await?;
    }
    let after = value(&self::body(app, &namespace));
    let operation = unit.commit(Done { kind: "namespace", id: id.as_str(), before: None, after }).await?;
    Ok(Created { id: id.to_string(), request_status: convert::request_status(&operation) })
}

/// Changes upstream, auth method, host names or the bound on a silent control plane.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, text: &str, body: UpdateNamespace) -> Result<Changed, Refused> {
    let version = body.resource_version.clone();
    change(app, caller, text, &("update", text, &body), version.as_deref(), |namespace, now| {
        let had_cas = !namespace.accepted_client_cas.is_empty();
        if let Some(bodies) = &body.certificate_filters {
            namespace.certificate_filters = filters::checked(bodies)?;
        }
        if let Some(bundle) = &body.accepted_client_ca {
            cas::replace(namespace, bundle, now)?;
        }
        filters::check_public_roots(namespace)?;
        namespace_settings::apply(
            app,
            namespace,
            namespace_settings::Asked {
                retention_days: body.retention_days,
                search_attributes: body.search_attributes.as_ref(),
                codec_server: body.codec_server.as_ref(),
                delete_protection: body.delete_protection,
                regions: body.regions.as_deref(),
            },
        )?;
        if let Some(text) = &body.upstream {
            namespace.upstream = upstream(app, text)?;
        }
        if let Some(text) = &body.auth_method {
            namespace.auth_method = auth_method(text)?;
        }
        if had_cas && namespace.accepted_client_cas.is_empty() {
            cas::check_not_all(namespace.auth_method)?;
        }
        if let Some(texts) = &body.extra_hostnames {
            namespace.extra_hostnames = extra_hostnames(app, caller, &namespace.hostname, &namespace.extra_hostnames, texts)?;
        }
        if let Some(seconds) = body.snapshot_age_max_seconds {
            if !SNAPSHOT_AGE_SECONDS.contains(&seconds) {
                return Err(Refused::invalid("snapshotAgeMaxSeconds is 60 to 86400"));
            }
            namespace.snapshot_age_max = Lifetime::from_seconds(seconds);
        }
        if let Some(timeouts) = &body.upstream_timeouts {
            fill_timeouts(&mut namespace.timeouts, timeouts)?;
        }
        Ok(())
    })
    .await
}

/// Takes over the waits that were given; 0 goes back to the wider setting.
///
/// # Errors
/// `invalid_argument`.
pub(super) fn fill_timeouts(timeouts: &mut UpstreamTimeouts, body: &UpstreamTimeoutsBody) -> Result<(), Refused> {
    for (name, place, given, most) in [
        ("connectSeconds", &mut timeouts.connect, body.connect_seconds, UPSTREAM_CONNECT_SECONDS_MAX),
        ("responseHeadSeconds", &mut timeouts.response_head, body.response_head_seconds, UPSTREAM_WAIT_SECONDS_MAX),
        ("idleSeconds", &mut timeouts.idle, body.idle_seconds, UPSTREAM_WAIT_SECONDS_MAX),
    ] {
        match given {
            None => {}
            Some(0) => *place = None,
            Some(seconds) if (1..=most).contains(&seconds) => *place = Some(Lifetime::from_seconds(seconds)),
            Some(_) => {
                return Err(Refused::invalid(format!("upstreamTimeouts.{name} is 1 to {most}, or 0 for the wider setting")));
            }
        }
    }
    Ok(())
}

/// The way every part of a namespace is changed: decide, compare the version, apply `edit`, refuse what changes nothing.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`, `nothing_to_change`, and those of `edit`.
pub(super) async fn change(
    app: &App,
    caller: &Caller,
    text: &str,
    request: &impl serde::Serialize,
    version: Option<&str>,
    edit: impl FnOnce(&mut Namespace, countersign_core::Timestamp) -> Result<(), Refused> + Send,
) -> Result<Changed, Refused> {
    let id = namespace_id(app, text)?;
    let mut unit = match Unit::begin(app, caller, Action::UpdateNamespace, request).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::UpdateNamespace).await?;
    check_namespace_version(version, &before)?;
    let mut after = before.clone();
    edit(&mut after, unit.now)?;
    if after == before {
        return Err(Refused::nothing_to_change(format!("namespace {id} is so already")));
    }
    cas::check_not_own(app, &mut unit.write, &before.accepted_client_cas, &after.accepted_client_cas).await?;
    let operation = save(app, unit, &before, after, "namespace", id.as_str()).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Compares the version a caller says he changes with the current one. Tags are changed beside the rest (and by other tools at the same
/// time), and Temporal's Terraform provider updates a namespace by the version from before its own renaming of a search attribute: a version
/// that lacks only such changes is no stale one.
pub(super) fn check_namespace_version(given: Option<&str>, namespace: &Namespace) -> Result<(), Refused> {
    let settled = given.and_then(|text| text.parse::<i64>().ok());
    if settled.is_some_and(|version| (namespace.settled_version.max(1)..=namespace.resource_version).contains(&version))
        && namespace.settled_version > 0
    {
        return Ok(());
    }
    check_version(given, namespace.resource_version)
}

/// Whether all that differs is the name of one search attribute.
fn renamed_one<K: PartialEq>(before: &BTreeMap<String, K>, after: &BTreeMap<String, K>) -> bool {
    let mut gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    let mut new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    let one = matches!((gone.next(), new.next()), (Some((_, old)), Some((_, new))) if old == new);
    one && gone.next().is_none() && new.next().is_none() && before.len() == after.len()
}

/// Stores the next version of a namespace and ends the change.
pub(super) async fn save(
    app: &App,
    mut unit: Box<Unit<'_>>,
    before: &Namespace,
    mut after: Namespace,
    kind: &'static str,
    id: &str,
) -> Result<Operation, Refused> {
    after.resource_version = before.resource_version + 1;
    foreign_crls::cas_changed(app, &mut unit, &before.id, &before.accepted_client_cas, &mut after.accepted_client_cas).await?;
    let mut same = before.clone();
    same.temporal.tags.clone_from(&after.temporal.tags);
    if renamed_one(&before.temporal.search_attributes, &after.temporal.search_attributes) {
        same.temporal.search_attributes.clone_from(&after.temporal.search_attributes);
    }
    same.resource_version = after.resource_version;
    if same != after {
        after.settled_version = after.resource_version;
    }
    after.modified_at = unit.now;
    unit.write.put_namespace(&after).await?;
    let (old, new) = (value(&body(app, before)), value(&body(app, &after)));
    unit.publish(Change::PutNamespace(Arc::new(after)));
    unit.commit(Done { kind, id, before: old, after: new }).await
}

/// Deletes a namespace, the service accounts scoped to it, every permission in it, also in custom roles, and the notices about it: a
/// later one of the same name is nobody's by inheritance (promise P13).
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let id = namespace_id(app, text)?;
    let mut unit = match Unit::begin(app, caller, Action::DeleteNamespace, &(text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::DeleteNamespace).await?;
    check_namespace_version(version, &before)?;
    if before.delete_protection {
        return Err(Refused::new("delete_protected", format!("namespace {id} is protected against deletion"))
            .hint("take the protection off first: countersign namespace lifecycle set --enable-delete-protection false"));
    }
    for account in unit.write.service_accounts_scoped_to(&id).await? {
        service_accounts::remove(&mut unit, &account).await?;
    }
    let mut holders = Vec::new();
    let mut page = StorePage::first(1000);
    loop {
        let users = unit.write.users(&page).await?;
        let Some(last) = users.last() else { break };
        page.after = Some(last.id.to_string());
        holders.extend(users.into_iter().filter(|u| u.access.namespaces.contains_key(&id)).map(|u| IdentityId::User(u.id)));
    }
    let mut page = StorePage::first(1000);
    loop {
        let accounts = unit.write.service_accounts(&page).await?;
        let Some(last) = accounts.last() else { break };
        page.after = Some(last.id.to_string());
        holders.extend(accounts.into_iter().filter(|a| a.access.namespaces.contains_key(&id)).map(|a| IdentityId::ServiceAccount(a.id)));
    }
    let mut page = StorePage::first(1000);
    loop {
        let applications = unit.write.applications(None, &page).await?;
        let Some(last) = applications.last() else { break };
        page.after = Some(last.id.to_string());
        for environment in applications.into_iter().flat_map(|application| [application.sandbox, application.production]) {
            if environment.access.namespaces.contains_key(&id) {
                holders.push(IdentityId::Application(environment.id));
            }
        }
    }
    for holder in holders {
        set_permission(&mut unit, &holder, &id, None).await?;
    }
    user_groups::change_each(&mut unit, |group| group.access.namespaces.remove(&id).is_some()).await?;
    custom_roles::forget_namespace(&mut unit, &id).await?;
    notices::forget_namespace(&mut unit, &id).await?;
    foreign_crls::cas_changed(app, &mut unit, &id, &before.accepted_client_cas, &mut []).await?;
    for block in unit.write.leaves_revoked_in(&id).await? {
        unit.publish(Change::UnblockLeaf(block));
    }
    unit.write.forget_leaves_revoked_in(&id).await?;
    unit.write.delete_namespace(&id).await?;
    unit.publish(Change::RemoveNamespace(id.clone()));
    let done = Done { kind: "namespace", id: id.as_str(), before: value(&body(app, &before)), after: None };
    Ok(Changed { request_status: convert::request_status(&unit.commit(done).await?) })
}

/// Gives or takes a permission as a part of another change; the right to do so was decided there.
async fn set_permission(
    unit: &mut Unit<'_>,
    who: &IdentityId,
    namespace: &NamespaceId,
    permission: Option<NamespacePermission>,
) -> Result<(), Refused> {
    let now = unit.now;
    let edit = |access: &mut countersign_core::Access| match permission {
        Some(permission) => access.namespaces.insert(namespace.clone(), permission),
        None => access.namespaces.remove(namespace),
    };
    let access = match who {
        IdentityId::User(id) => {
            let mut user = unit.write.user(id).await?.ok_or_else(Refused::invalid_api_key)?;
            edit(&mut user.access);
            user.resource_version += 1;
            user.modified_at = now;
            unit.write.put_user(&user).await?;
            user.access
        }
        IdentityId::Application(id) => {
            let mut application = unit.write.application_of(id).await?.ok_or_else(Refused::invalid_api_key)?;
            let environment = if application.sandbox.id == *id { &mut application.sandbox } else { &mut application.production };
            edit(&mut environment.access);
            let access = environment.access.clone();
            application.resource_version += 1;
            application.modified_at = now;
            unit.write.put_application(&application).await?;
            access
        }
        IdentityId::ServiceAccount(id) => {
            let mut account = unit.write.service_account(id).await?.ok_or_else(Refused::invalid_api_key)?;
            edit(&mut account.access);
            account.resource_version += 1;
            account.modified_at = now;
            unit.write.put_service_account(&account).await?;
            account.access
        }
    };
    unit.publish(Change::PutIdentity(who.clone(), access));
    Ok(())
}

/// An upstream from its text; an empty one is none.
pub(super) fn upstream(app: &App, text: &str) -> Result<Option<Upstream>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let upstream = Upstream::parse(text).map_err(Refused::invalid)?;
    app.settings.upstreams.check_unresolved(&upstream).map_err(|denied| {
        Refused::invalid(format!("{upstream} cannot be an upstream: it {denied}"))
            .hint("name an address that the gateway reaches over the network")
    })?;
    Ok(Some(upstream))
}

/// An auth method from its word.
pub(super) fn auth_method(text: &str) -> Result<AuthMethod, Refused> {
    AuthMethod::parse(text).ok_or_else(|| {
        Refused::invalid(format!("`{}` is no auth method; use restricted, mtls, api_key or api_key_or_mtls", crate::error::shown(text)))
    })
}

/// Further host names. Those at and below the gateway's domain belong to the namespaces of those names (promise P13).
fn extra_hostnames(app: &App, caller: &Caller, own: &Hostname, known: &[Hostname], texts: &[String]) -> Result<Vec<Hostname>, Refused> {
    if texts.len() > HOSTNAMES_PER_NAMESPACE_MAX {
        return Err(Refused::new("limit_reached", format!("a namespace has at most {HOSTNAMES_PER_NAMESPACE_MAX} further host names")));
    }
    let domain = app.settings.gateway_domain.as_str();
    let mut hosts: Vec<Hostname> = Vec::with_capacity(texts.len());
    for text in texts {
        let host = Hostname::parse(text).map_err(|e| Refused::invalid(format!("extraHostnames: {e}")))?;
        let reserved = host.as_str() == domain || host.as_str().ends_with(&format!(".{domain}"));
        if reserved && !caller.system && !known.contains(&host) {
            return Err(Refused::invalid(format!("extraHostnames: host names at or below {domain} are given out by name alone"))
                .hint("use a host name of your own domain"));
        }
        if host == *own || hosts.contains(&host) {
            return Err(Refused::invalid(format!("extraHostnames: {host} stands there twice")));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

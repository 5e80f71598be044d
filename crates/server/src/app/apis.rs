//! The APIs of a namespace: routes with an upstream and the credentials they take.

use super::caller::Caller;
use super::unit::{Begun, Unit};
use super::{App, check_text, check_version, namespace_id, namespaces, page};
use crate::error::{Refused, shown};
use countersign_core::authz::{Action, Actor};
use countersign_core::id::ApiId;
use countersign_core::limits::{APIS_PER_NAMESPACE_MAX, DISPLAY_NAME_CHARS_MAX};
use countersign_core::namespace::{Api, Authentication, Namespace, UpstreamTimeouts};
use countersign_core::path::CanonicalPath;
use countersign_core::path_form::{PathForm, covers_respelled};
use countersign_proto::convert;
use countersign_proto::rest::{ApiBody, ApiSpec, Changed, Created, Page, PageQuery};

/// The place of an API in its namespace, by id or by name.
fn find(namespace: &Namespace, text: &str) -> Result<usize, Refused> {
    let by_id = namespace.apis.iter().position(|api| api.id.as_str() == text);
    by_id.or_else(|| namespace.apis.iter().position(|api| api.name == text)).ok_or_else(|| Refused::not_found("API", text))
}

/// The APIs, ascending by id.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, namespace: &str, query: &PageQuery) -> Result<Page<ApiBody>, Refused> {
    let namespace = namespaces::read(app, actor, Action::GetApis, namespace).await?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let mut apis = namespace.apis;
    apis.retain(|api| asked.after.as_deref().is_none_or(|after| api.id.as_str() > after));
    apis.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(page::cut(apis, &asked, |api| api.id.to_string(), |api| convert::api(&namespace.id, &api)))
}

/// One API.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, namespace: &str, api: &str) -> Result<ApiBody, Refused> {
    let namespace = namespaces::read(app, actor, Action::GetApi, namespace).await?;
    let at = find(&namespace, api)?;
    Ok(convert::api(&namespace.id, &namespace.apis[at]))
}

/// Makes one.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `already_exists`, `limit_reached`.
pub async fn create(app: &App, caller: &Caller, namespace: &str, body: ApiSpec) -> Result<Created, Refused> {
    let id = namespace_id(app, namespace)?;
    let mut unit = match Unit::begin(app, caller, Action::CreateApi, &(namespace, &body)).await? {
        Begun::Repeated(operation) => {
            return Ok(Created { id: operation.resource_id.clone(), request_status: convert::request_status(&operation) });
        }
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::CreateApi).await?;
    if before.apis.len() >= APIS_PER_NAMESPACE_MAX {
        return Err(
            Refused::new("limit_reached", format!("a namespace has at most {APIS_PER_NAMESPACE_MAX} APIs")).hint("delete one first")
        );
    }
    let mut api = Api {
        id: ApiId::mint(&*app.entropy),
        name: String::new(),
        listen_path: String::new(),
        upstream: None,
        authentication: Authentication { api_key: true, client_certificate: false },
        pass_api_key: false,
        forward_client_certificate: false,
        case_sensitive: false,
        allowed_path_forms: Vec::new(),
        timeouts: UpstreamTimeouts::default(),
        resource_version: 1,
        created_at: unit.now,
        modified_at: unit.now,
    };
    if body.name.is_none() || body.listen_path.is_none() {
        return Err(Refused::invalid("name and listenPath are demanded of a new API"));
    }
    fill(app, &mut api, &body)?;
    check_unique(&before, &api)?;
    let new_id = api.id.to_string();
    let mut after = before.clone();
    after.apis.push(api);
    let operation = namespaces::save(app, unit, &before, after, "api", &new_id).await?;
    Ok(Created { id: new_id, request_status: convert::request_status(&operation) })
}

/// Changes one.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `already_exists`, `nothing_to_change`, `resource_version_conflict`.
pub async fn update(app: &App, caller: &Caller, namespace: &str, text: &str, body: ApiSpec) -> Result<Changed, Refused> {
    let id = namespace_id(app, namespace)?;
    let mut unit = match Unit::begin(app, caller, Action::UpdateApi, &(namespace, text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::UpdateApi).await?;
    let at = find(&before, text)?;
    let mut api = before.apis[at].clone();
    check_version(body.resource_version.as_deref(), api.resource_version)?;
    fill(app, &mut api, &body)?;
    if api == before.apis[at] {
        return Err(Refused::nothing_to_change(format!("API {} is so already", api.id)));
    }
    check_unique(&before, &api)?;
    api.resource_version += 1;
    api.modified_at = unit.now;
    let api_id = api.id.to_string();
    let mut after = before.clone();
    after.apis[at] = api;
    let operation = namespaces::save(app, unit, &before, after, "api", &api_id).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Deletes one. Credentials narrowed to it keep its id, which never comes back: they do not widen.
///
/// # Errors
/// `not_found`, `forbidden`, `resource_version_conflict`.
pub async fn delete(app: &App, caller: &Caller, namespace: &str, text: &str, version: Option<&str>) -> Result<Changed, Refused> {
    let id = namespace_id(app, namespace)?;
    let mut unit = match Unit::begin(app, caller, Action::DeleteApi, &(namespace, text, version)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::DeleteApi).await?;
    let at = find(&before, text)?;
    check_version(version, before.apis[at].resource_version)?;
    let mut after = before.clone();
    let api = after.apis.remove(at);
    let operation = namespaces::save(app, unit, &before, after, "api", api.id.as_str()).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Takes over the members that were given.
fn fill(app: &App, api: &mut Api, body: &ApiSpec) -> Result<(), Refused> {
    if let Some(name) = &body.name {
        check_text("name", name, 1, DISPLAY_NAME_CHARS_MAX)?;
        if ApiId::parse(name).is_ok() || name.contains('/') {
            return Err(Refused::invalid("name: an API's name has no slash and does not look like an API's id"));
        }
        api.name.clone_from(name);
    }
    if let Some(path) = &body.listen_path {
        api.listen_path =
            CanonicalPath::parse(path).map_err(|e| Refused::invalid(format!("listenPath `{}`: {e}", shown(path))))?.as_str().to_owned();
    }
    if let Some(text) = &body.upstream {
        api.upstream = namespaces::upstream(app, text)?;
    }
    if let Some(on) = body.enable_api_key {
        api.authentication.api_key = on;
    }
    if let Some(on) = body.enable_client_certificate {
        api.authentication.client_certificate = on;
    }
    if let Some(on) = body.pass_api_key {
        api.pass_api_key = on;
    }
    if let Some(on) = body.forward_client_certificate {
        api.forward_client_certificate = on;
    }
    if let Some(on) = body.case_sensitive {
        api.case_sensitive = on;
    }
    if let Some(names) = &body.allowed_path_forms {
        api.allowed_path_forms = path_forms(names)?;
    }
    if let Some(timeouts) = &body.upstream_timeouts {
        namespaces::fill_timeouts(&mut api.timeouts, timeouts)?;
    }
    Ok(())
}

fn path_forms(names: &[String]) -> Result<Vec<PathForm>, Refused> {
    let one = |name: &String| {
        PathForm::parse(name).ok_or_else(|| {
            let known: Vec<&str> = PathForm::ALL.iter().map(|form| form.as_str()).collect();
            Refused::invalid(format!("allowedPathForms: `{}` is not a form of a path; use {}", shown(name), known.join(", ")))
        })
    };
    let mut forms = names.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    forms.sort_unstable();
    forms.dedup();
    Ok(forms)
}

/// Whether two listen paths are one, however they are spelled.
fn is_one_path(a: &str, b: &str, any_case: bool) -> bool {
    covers_respelled(a, b, any_case) && covers_respelled(b, a, any_case)
}

/// Two APIs at one path, or of one name, could be taken for each other.
fn check_unique(namespace: &Namespace, api: &Api) -> Result<(), Refused> {
    for other in namespace.apis.iter().filter(|other| other.id != api.id) {
        if other.name == api.name {
            return Err(Refused::new("already_exists", format!("namespace {} has an API {} already", namespace.id, api.name)));
        }
        let any_case = !(api.case_sensitive && other.case_sensitive);
        if is_one_path(&other.listen_path, &api.listen_path, false) {
            return Err(Refused::new("already_exists", format!("API {} listens at {} already", other.name, other.listen_path)));
        }
        if any_case && is_one_path(&other.listen_path, &api.listen_path, true) {
            let message =
                format!("API {} listens at {}, which differs from {} in case only", other.name, other.listen_path, api.listen_path);
            return Err(Refused::new("already_exists", message)
                .hint("choose another path, or make both APIs case-sensitive where the upstream tells such paths apart"));
        }
    }
    Ok(())
}

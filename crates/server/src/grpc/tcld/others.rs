//! Namespaces, operations, the account and its regions.

use super::{account as accounts_api, namespace as api, request as request_api};
use crate::app::{accounts, namespace_access, namespace_settings, namespaces, operations, regions};
use crate::error::Refused;
use crate::grpc::Call;
use crate::grpc::cloud::{change_account, given, required, size};
use countersign_core::authz::Action;
use countersign_core::id::OperationId;
use countersign_proto::rest::{NamespaceQuery, RenameSearchAttribute, SetAccess};
use countersign_proto::tcld;

/// The id of a region that the client names: with its provider if there is one of that name, else its bare name.
fn place(call: &Call) -> impl Fn(&api::RegionId) -> String + '_ {
    |id| {
        let [whole, name] = tcld::region_names(id);
        if call.app.settings.regions.iter().any(|region| region.id == whole) { whole } else { name }
    }
}

/// Makes a namespace and gives the permissions that were sent with it. They are looked at first, so that no namespace is left without.
pub async fn create(call: Call, asked: api::CreateNamespaceRequest) -> Result<api::CreateNamespaceResponse, Refused> {
    let caller = call.operation(&asked.request_id)?;
    call.decide(Action::CreateNamespace)?;
    let mut grants = Vec::new();
    let users = asked.user_namespace_permissions.into_iter().map(|one| (one.user_id, one.action_group));
    let others = asked.identity_namespace_permissions.into_iter().map(|one| (one.identity_id, one.action_group));
    for (id, number) in users.chain(others) {
        let word = tcld::permission_word(number).ok_or_else(|| Refused::invalid("a permission in a namespace is admin, write or read"))?;
        namespace_access::check_holder(&call.app, &id).await?;
        grants.push(SetAccess { id, permission: Some(word.to_owned()), resource_version: None });
    }
    let spec = required(asked.spec, "spec")?;
    let tags = asked.tags.into_iter().collect();
    let body = tcld::create_namespace(asked.namespace, spec, tags, place(&call)).map_err(Refused::invalid)?;
    let made = namespaces::create(&call.app, &caller, body).await?;
    for (at, grant) in grants.into_iter().enumerate() {
        let mut caller = caller.clone();
        caller.operation = caller.operation.and_then(|id| OperationId::parse(&format!("{id}:{at}")).ok());
        match namespace_access::set(&call.app, &caller, &made.id, grant).await {
            // Who has more by his role needs none of his own.
            Err(refused) if refused.code != "nothing_to_change" => return Err(refused),
            _ => {}
        }
    }
    Ok(api::CreateNamespaceResponse { request_status: Some(tcld::status(&made.request_status)) })
}

fn query(page_size: i32, page_token: &str) -> Result<NamespaceQuery, Refused> {
    Ok(NamespaceQuery { page_size: size(page_size)?, page_token: given(page_token), name: None })
}

pub async fn names(call: Call, asked: api::ListNamespacesRequest) -> Result<api::ListNamespacesResponse, Refused> {
    let page = namespaces::list(&call.app, &call.actor, &query(asked.page_size, &asked.page_token)?).await?;
    let namespaces = page.items.into_iter().map(|body| body.namespace).collect();
    Ok(api::ListNamespacesResponse { namespaces, next_page_token: page.next_page_token })
}

pub async fn namespaces(call: Call, asked: api::GetNamespacesRequest) -> Result<api::GetNamespacesResponse, Refused> {
    let page = namespaces::list(&call.app, &call.actor, &query(asked.page_size, &asked.page_token)?).await?;
    let (regions, pages) = (&call.app.settings.regions, &call.app.desk.settings().public_url);
    let namespaces = page.items.iter().map(|body| tcld::namespace(body, regions, pages)).collect();
    Ok(api::GetNamespacesResponse { namespaces, next_page_token: page.next_page_token })
}

pub async fn namespace(call: Call, asked: api::GetNamespaceRequest) -> Result<api::GetNamespaceResponse, Refused> {
    let body = namespaces::get(&call.app, &call.actor, &asked.namespace).await?;
    let pages = &call.app.desk.settings().public_url;
    Ok(api::GetNamespaceResponse { namespace: Some(tcld::namespace(&body, &call.app.settings.regions, pages)) })
}

pub async fn update(call: Call, asked: api::UpdateNamespaceRequest) -> Result<api::UpdateNamespaceResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let body = tcld::update_namespace(spec, &asked.resource_version, place(&call)).map_err(Refused::invalid)?;
    let changed = namespaces::update(&call.app, &call.operation(&asked.request_id)?, &asked.namespace, body).await?;
    Ok(api::UpdateNamespaceResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn rename(
    call: Call,
    asked: api::RenameCustomSearchAttributeRequest,
) -> Result<api::RenameCustomSearchAttributeResponse, Refused> {
    let body = RenameSearchAttribute {
        existing_name: asked.existing_custom_search_attribute_name,
        new_name: asked.new_custom_search_attribute_name,
        resource_version: given(&asked.resource_version),
    };
    let caller = call.operation(&asked.request_id)?;
    let changed = namespace_settings::rename_search_attribute(&call.app, &caller, &asked.namespace, body).await?;
    Ok(api::RenameCustomSearchAttributeResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn delete(call: Call, asked: api::DeleteNamespaceRequest) -> Result<api::DeleteNamespaceResponse, Refused> {
    let (caller, version) = (call.operation(&asked.request_id)?, given(&asked.resource_version));
    let changed = namespaces::delete(&call.app, &caller, &asked.namespace, version.as_deref()).await?;
    Ok(api::DeleteNamespaceResponse { request_status: Some(tcld::status(&changed.request_status)) })
}

pub async fn status(call: Call, asked: request_api::GetRequestStatusRequest) -> Result<request_api::GetRequestStatusResponse, Refused> {
    let status = operations::get(&call.app, &call.caller, &call.actor, &asked.request_id).await?;
    Ok(request_api::GetRequestStatusResponse { request_status: Some(tcld::status(&status)) })
}

pub async fn account(call: Call, _: accounts_api::GetAccountRequest) -> Result<accounts_api::GetAccountResponse, Refused> {
    Ok(accounts_api::GetAccountResponse { account: Some(tcld::account(&accounts::get(&call.app, &call.actor).await?)) })
}

pub async fn update_account(call: Call, asked: accounts_api::UpdateAccountRequest) -> Result<accounts_api::UpdateAccountResponse, Refused> {
    let metrics = asked.spec.and_then(|spec| spec.metrics).is_some_and(|metrics| metrics.enabled || !metrics.accepted_client_ca.is_empty());
    Err(change_account(&call, metrics))
}

pub async fn regions(call: Call, _: accounts_api::GetRegionsRequest) -> Result<accounts_api::GetRegionsResponse, Refused> {
    let page = regions::list(&call.app, &call.actor)?;
    Ok(accounts_api::GetRegionsResponse { regions: page.items.iter().map(tcld::region).collect() })
}

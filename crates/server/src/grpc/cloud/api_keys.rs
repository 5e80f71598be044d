//! API keys. A repeated request is the same operation and never mints a second key; the secret is in the first answer alone.

use super::super::Call;
use super::{api, changed, given, required, size};
use crate::app::api_keys;
use crate::error::Refused;
use countersign_proto::cloud;
use countersign_proto::grpc::wire::temporal::api::cloud::identity::v1::ApiKeySpec;
use countersign_proto::rest::{ApiKeyQuery, Changed, UpdateApiKey};

#[allow(deprecated, reason = "clients of an older age filter by the old field")]
pub async fn list(call: Call, asked: api::GetApiKeysRequest) -> Result<api::GetApiKeysResponse, Refused> {
    let query = ApiKeyQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        owner_id: given(&asked.owner_id),
        owner_type: cloud::owner_type(asked.owner_type, &asked.owner_type_deprecated).map_err(Refused::invalid)?,
        ..ApiKeyQuery::default()
    };
    let page = api_keys::list(&call.app, &call.actor, &query).await?;
    Ok(api::GetApiKeysResponse { api_keys: page.items.iter().map(cloud::api_key).collect(), next_page_token: page.next_page_token })
}

pub async fn get(call: Call, asked: api::GetApiKeyRequest) -> Result<api::GetApiKeyResponse, Refused> {
    let key = api_keys::get(&call.app, &call.actor, &asked.key_id).await?;
    Ok(api::GetApiKeyResponse { api_key: Some(cloud::api_key(&key)) })
}

pub async fn create(call: Call, asked: api::CreateApiKeyRequest) -> Result<api::CreateApiKeyResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let body = cloud::create_api_key(spec, call.caller.identity.as_str()).map_err(Refused::invalid)?;
    let made = api_keys::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(api::CreateApiKeyResponse {
        key_id: made.id,
        // Empty where a repeated request finds the key made: it was shown once.
        token: made.secret_key.unwrap_or_default(),
        async_operation: Some(cloud::operation(&made.request_status)),
    })
}

pub async fn update(call: Call, asked: api::UpdateApiKeyRequest) -> Result<api::UpdateApiKeyResponse, Refused> {
    let spec = required(asked.spec, "spec")?;
    let changed = change_key(&call, &asked.key_id, spec, &asked.resource_version, &asked.async_operation_id).await?;
    Ok(changed!(UpdateApiKeyResponse, changed))
}

/// A key's whole new spec, from whichever service.
pub async fn change_key(call: &Call, id: &str, spec: ApiKeySpec, version: &str, operation: &str) -> Result<Changed, Refused> {
    let known = api_keys::get(&call.app, &call.actor, id).await?;
    if !spec.owner_id.is_empty() && spec.owner_id != known.owner_id {
        return Err(Refused::invalid("the owner of an API key cannot be changed").hint("create a key for the other owner"));
    }
    if let Some(at) = &spec.expiry_time
        && cloud::text_of(at).map_err(Refused::invalid)? != known.expiry_time
    {
        return Err(Refused::invalid("the end of an API key cannot be changed").hint("create a successor that ends later"));
    }
    let body = UpdateApiKey {
        name: Some(spec.display_name),
        description: Some(spec.description),
        // An expired key is neither: whoever only gives it another name must not be told that it cannot be enabled.
        disabled: (known.state != "expired" || spec.disabled).then_some(spec.disabled),
        resource_version: given(version),
    };
    api_keys::update(&call.app, &call.operation(operation)?, id, body).await
}

pub async fn delete(call: Call, asked: api::DeleteApiKeyRequest) -> Result<api::DeleteApiKeyResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = api_keys::delete(&call.app, &caller, &asked.key_id, version.as_deref(), false).await?;
    Ok(changed!(DeleteApiKeyResponse, changed))
}

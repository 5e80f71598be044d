//! The account, who one is, operations, regions, the audit trail and its sinks.

use super::super::Call;
use super::{api, changed, given, required, size};
use crate::app::{accounts, api_keys, audit, audit_sinks, operations, regions, service_accounts, users};
use crate::error::Refused;
use countersign_core::identity::IdentityId;
use countersign_proto::cloud;
use countersign_proto::rest::{AuditQuery, PageQuery, UpdateAuditSink};

pub async fn current_identity(call: Call, _: api::GetCurrentIdentityRequest) -> Result<api::GetCurrentIdentityResponse, Refused> {
    use api::get_current_identity_response::Principal;
    let (app, id) = (&call.app, call.caller.identity.as_str());
    let principal = match &call.caller.identity {
        IdentityId::User(_) => Some(Principal::User(cloud::user(&users::own(app, &call.caller).await?))),
        IdentityId::ServiceAccount(_) => {
            Some(Principal::ServiceAccount(cloud::service_account(&service_accounts::own(app, &call.caller).await?)))
        }
        IdentityId::Application(_) => return Err(Refused::invalid(format!("{id} is an application, which this API has no word for"))),
    };
    let principal_api_key = match &call.caller.credential {
        Some(key) => Some(cloud::api_key(&api_keys::get(app, &call.actor, key.as_str()).await?)),
        None => None,
    };
    Ok(api::GetCurrentIdentityResponse { principal_api_key, principal })
}

pub async fn get(call: Call, _: api::GetAccountRequest) -> Result<api::GetAccountResponse, Refused> {
    Ok(api::GetAccountResponse { account: Some(cloud::account(&accounts::get(&call.app, &call.actor).await?)) })
}

pub async fn update(call: Call, asked: api::UpdateAccountRequest) -> Result<api::UpdateAccountResponse, Refused> {
    let metrics = asked.spec.and_then(|spec| spec.metrics).is_some_and(|metrics| !metrics.accepted_client_ca.is_empty());
    Err(change_account(&call, metrics))
}

/// What a change of the account comes to, from whichever service: there is nothing in its spec that could be another.
pub fn change_account(call: &Call, metrics: bool) -> Refused {
    if let Err(refused) = call.decide(countersign_core::authz::Action::UpdateAccount) {
        return refused;
    }
    if metrics {
        let text = "metrics are on the metrics address of each process, which no client certificate is asked for";
        return Refused::new("unimplemented", text).hint("see metrics.listen in the settings");
    }
    Refused::nothing_to_change("the account's spec is so already")
}

pub async fn operation(call: Call, asked: api::GetAsyncOperationRequest) -> Result<api::GetAsyncOperationResponse, Refused> {
    let status = operations::get(&call.app, &call.caller, &call.actor, &asked.async_operation_id).await?;
    Ok(api::GetAsyncOperationResponse { async_operation: Some(cloud::operation(&status)) })
}

pub async fn regions(call: Call, _: api::GetRegionsRequest) -> Result<api::GetRegionsResponse, Refused> {
    let page = regions::list(&call.app, &call.actor)?;
    Ok(api::GetRegionsResponse { regions: page.items.iter().map(cloud::region).collect() })
}

pub async fn region(call: Call, asked: api::GetRegionRequest) -> Result<api::GetRegionResponse, Refused> {
    let region = regions::get(&call.app, &call.actor, &asked.region)?;
    Ok(api::GetRegionResponse { region: Some(cloud::region(&region)) })
}

pub async fn audit_logs(call: Call, asked: api::GetAuditLogsRequest) -> Result<api::GetAuditLogsResponse, Refused> {
    let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(cloud::text_of).transpose().map_err(Refused::invalid);
    let query = AuditQuery {
        page_size: size(asked.page_size)?,
        page_token: given(&asked.page_token),
        from: time(&asked.start_time_inclusive)?,
        to: time(&asked.end_time_exclusive)?,
        ..AuditQuery::default()
    };
    let page = audit::list(&call.app, &call.actor, &query).await?;
    Ok(api::GetAuditLogsResponse { logs: page.items.iter().map(cloud::log_record).collect(), next_page_token: page.next_page_token })
}

pub async fn validate_sink(
    call: Call,
    asked: api::ValidateAccountAuditLogSinkRequest,
) -> Result<api::ValidateAccountAuditLogSinkResponse, Refused> {
    audit_sinks::validate(&call.actor, &cloud::audit_sink_in(required(asked.spec, "spec")?))?;
    Ok(api::ValidateAccountAuditLogSinkResponse {})
}

pub async fn create_sink(
    call: Call,
    asked: api::CreateAccountAuditLogSinkRequest,
) -> Result<api::CreateAccountAuditLogSinkResponse, Refused> {
    let body = cloud::audit_sink_in(required(asked.spec, "spec")?);
    // The answer has no room for the signing secret: it is made anew and shown by `countersign audit-log … rotate-secret`.
    let made = audit_sinks::create(&call.app, &call.operation(&asked.async_operation_id)?, body).await?;
    Ok(changed!(CreateAccountAuditLogSinkResponse, made))
}

pub async fn get_sink(call: Call, asked: api::GetAccountAuditLogSinkRequest) -> Result<api::GetAccountAuditLogSinkResponse, Refused> {
    let sink = audit_sinks::get(&call.app, &call.actor, &asked.name).await?;
    Ok(api::GetAccountAuditLogSinkResponse { sink: Some(cloud::audit_sink(&sink)) })
}

pub async fn list_sinks(call: Call, asked: api::GetAccountAuditLogSinksRequest) -> Result<api::GetAccountAuditLogSinksResponse, Refused> {
    let query = PageQuery { page_size: size(asked.page_size)?, page_token: given(&asked.page_token) };
    let page = audit_sinks::list(&call.app, &call.actor, &query).await?;
    let sinks = page.items.iter().map(cloud::audit_sink).collect();
    Ok(api::GetAccountAuditLogSinksResponse { sinks, next_page_token: page.next_page_token })
}

pub async fn update_sink(
    call: Call,
    asked: api::UpdateAccountAuditLogSinkRequest,
) -> Result<api::UpdateAccountAuditLogSinkResponse, Refused> {
    let spec = cloud::audit_sink_in(required(asked.spec, "spec")?);
    if spec.kinesis.is_none() {
        audit_sinks::validate(&call.actor, &spec)?;
    }
    let body = UpdateAuditSink { enabled: spec.enabled, kinesis: spec.kinesis, resource_version: given(&asked.resource_version) };
    let caller = call.operation(&asked.async_operation_id)?;
    Ok(changed!(UpdateAccountAuditLogSinkResponse, audit_sinks::update(&call.app, &caller, &spec.name, body).await?))
}

pub async fn delete_sink(
    call: Call,
    asked: api::DeleteAccountAuditLogSinkRequest,
) -> Result<api::DeleteAccountAuditLogSinkResponse, Refused> {
    let caller = call.operation(&asked.async_operation_id)?;
    let version = given(&asked.resource_version);
    let changed = audit_sinks::delete(&call.app, &caller, &asked.name, version.as_deref()).await?;
    Ok(changed!(DeleteAccountAuditLogSinkResponse, changed))
}

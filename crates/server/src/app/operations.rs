//! Operations: what became of a change, for who started it and for admins.

use super::App;
use super::caller::Caller;
use super::unit::known_operation;
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::id::OperationId;
use countersign_core::operation::OperationState;
use countersign_proto::convert;
use countersign_proto::rest::RequestStatus;
use countersign_store::{AuditFilter, AuditPage};

/// One operation.
///
/// # Errors
/// `not_found`, also where another started it.
pub async fn get(app: &App, caller: &Caller, actor: &Actor, text: &str) -> Result<RequestStatus, Refused> {
    super::decide(actor, Action::GetAsyncOperation, Target::Account)?;
    let absent = || Refused::not_found("operation", text);
    let id = OperationId::parse(text).map_err(|_| absent())?;
    let mut read = app.store.read().await?;
    let operation = known_operation(app, &mut read, &id).await?.ok_or_else(absent)?;
    if !actor.access.account_role.administers_every_namespace() {
        // The audit entry of the same transaction says who started it.
        let filter = AuditFilter {
            actor_id: Some(caller.identity.as_str().to_owned()),
            operation_id: Some(id.to_string()),
            result: Some("ok".to_owned()),
            ..AuditFilter::default()
        };
        let own = read.audit(&filter, &AuditPage { size: 1, after: None, descending: true }).await?;
        if own.is_empty() {
            return Err(absent());
        }
    }
    Ok(convert::request_status(&operation))
}

/// Writes the ends that are known, and looks again after those that wait for a gateway.
///
/// # Errors
/// When the store fails; it is tried again then.
pub async fn flush(app: &App) -> Result<(), Refused> {
    if !app.store.has_reserve() {
        // What is left of a full disk is not for it; it stays in memory.
        return Ok(());
    }
    let mut ended = Vec::new();
    for mut operation in app.remembered_ends() {
        if operation.state == OperationState::InProgress {
            let revision = operation.receipt.as_ref().map_or(0, |receipt| receipt.revision);
            let behind = app.gateways().is_some_and(|gateways| gateways.describe().iter().any(|g| g.revision < revision));
            if behind {
                continue;
            }
            operation.state = OperationState::Fulfilled;
            operation.finished_at = Some(app.now());
            if let Some(receipt) = &mut operation.receipt {
                receipt.outstanding.clear();
            }
            app.remember_end(operation.clone());
        }
        ended.push(operation);
    }
    if ended.is_empty() {
        return Ok(());
    }
    let mut write = app.store.begin().await?;
    for operation in &ended {
        let at = operation.finished_at.unwrap_or_else(|| app.now());
        write.finish_operation(&operation.id, operation.state, &operation.failure_reason, operation.receipt.as_ref(), at).await?;
    }
    write.commit_without_revision().await?;
    let ids: Vec<_> = ended.into_iter().map(|operation| operation.id).collect();
    app.forget_ends(&ids);
    Ok(())
}

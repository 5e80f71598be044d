//! Operations: what became of a change, for who started it and for admins.

use super::caller::Caller;
use super::unit::known_operation;
use super::{App, page};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::id::OperationId;
use countersign_core::operation::OperationState;
use countersign_proto::convert;
use countersign_proto::rest::{Page, PageQuery, RequestStatus};
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

/// Audit entries read at a time while a page of operations is gathered, and how often.
const STEP: usize = 500;
const STEPS_MAX: usize = 20;

/// Operations, newest first: an admin's answer is all there are, anybody else's are their own. The audit trail says who started which.
///
/// # Errors
/// `forbidden`, `invalid_argument`.
pub async fn list(app: &App, caller: &Caller, actor: &Actor, query: &PageQuery) -> Result<Page<RequestStatus>, Refused> {
    super::decide(actor, Action::GetAsyncOperation, Target::Account)?;
    let asked = page::asked(query.page_size, query.page_token.as_deref())?;
    let wrong = |_: std::num::ParseIntError| Refused::invalid("page_token is not one that an answer gave; leave it out for the first page");
    let mut after = asked.after.as_deref().map(str::parse::<i64>).transpose().map_err(wrong)?;
    let own = (!actor.access.account_role.administers_every_namespace()).then(|| caller.identity.as_str().to_owned());
    let filter = AuditFilter { actor_id: own, result: Some("ok".to_owned()), ..AuditFilter::default() };
    let mut read = app.store.read().await?;
    let mut items: Vec<RequestStatus> = Vec::new();
    let mut is_end = false;
    'steps: for _ in 0..STEPS_MAX {
        let entries = read.audit(&filter, &AuditPage { size: STEP, after, descending: true }).await?;
        is_end = entries.len() < STEP;
        for entry in entries {
            // A change of several objects has an entry for each, one after the other.
            let is_same = items.last().is_some_and(|last| last.request_id == entry.entry.operation_id);
            if !is_same && items.len() == asked.size {
                is_end = false;
                break 'steps;
            }
            after = Some(entry.sequence);
            let Some(id) = OperationId::parse(&entry.entry.operation_id).ok().filter(|_| !is_same) else { continue };
            if let Some(operation) = known_operation(app, &mut read, &id).await? {
                items.push(convert::request_status(&operation));
            }
        }
        if is_end {
            break;
        }
    }
    let next_page_token = after.filter(|_| !is_end).map(|sequence| page::token(&sequence.to_string())).unwrap_or_default();
    Ok(Page { items, next_page_token })
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

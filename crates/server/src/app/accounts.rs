//! The account: what it is, and whether new API keys may be made.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::identity::Account;
use countersign_proto::convert;
use countersign_proto::rest::{AccountBody, Changed, CurrentIdentity};

/// Who the caller is, with rights.
///
/// # Errors
/// When the store fails, or the identity ended in the meantime.
pub async fn current_identity(app: &App, caller: &Caller) -> Result<CurrentIdentity, Refused> {
    let mut read = app.store.read().await?;
    let (name, access) = super::unit::name_and_access(&mut read, &caller.identity).await?.ok_or_else(Refused::invalid_api_key)?;
    Ok(CurrentIdentity {
        kind: caller.identity.kind().to_owned(),
        id: caller.identity.as_str().to_owned(),
        name,
        access: convert::access(&access),
        api_key_id: caller.credential.as_ref().map(ToString::to_string),
    })
}

/// The account.
///
/// # Errors
/// `forbidden`, or when the store fails.
pub async fn get(app: &App, actor: &Actor) -> Result<AccountBody, Refused> {
    decide(actor, Action::GetAccount, Target::Account)?;
    let account = app.store.read().await?.account().await?.ok_or_else(|| Refused::not_found("account", ""))?;
    Ok(body(app, &account))
}

/// Stops or allows the making of API keys; keys that exist go on (seed 002).
///
/// # Errors
/// `forbidden`, `nothing_to_change`, or when the store fails.
pub async fn set_api_key_creation(app: &App, caller: &Caller, disabled: bool) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateAccount, &("api_key_creation_disabled", disabled)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateAccount, Target::Account)?;
    let before = unit.write.account().await?.ok_or_else(|| Refused::not_found("account", ""))?;
    if before.api_key_creation_disabled == disabled {
        return Err(Refused::nothing_to_change(if disabled {
            "API key creation is disabled already"
        } else {
            "API key creation is enabled already"
        }));
    }
    let after = Account {
        api_key_creation_disabled: disabled,
        resource_version: before.resource_version + 1,
        modified_at: unit.now,
        ..before.clone()
    };
    unit.write.put_account(&after).await?;
    let (before, after) = (value(&body(app, &before)), value(&body(app, &after)));
    let operation = unit.commit(Done { kind: "account", id: app.account_id(), before, after }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

fn body(app: &App, account: &Account) -> AccountBody {
    AccountBody {
        id: account.id.clone(),
        api_key_creation_disabled: account.api_key_creation_disabled,
        gateway_domain: app.settings.gateway_domain.to_string(),
        gateway_address: app.settings.gateway_address.clone(),
        resource_version: account.resource_version.to_string(),
        created_time: convert::time(account.created_at),
    }
}

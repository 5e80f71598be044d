//! Refusals of the gateways: the reason and the remedy, for the admins of the namespace that refused.

use super::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::name::NamespaceId;
use countersign_proto::rest::RefusalBody;

/// One refusal. Whose namespace is unknown (the names disagreed), only admins of the account see.
///
/// # Errors
/// `not_found`, also where it is another's.
pub fn get(app: &App, actor: &Actor, id: &str) -> Result<RefusalBody, Refused> {
    let absent = || Refused::not_found("refusal", id);
    let refusal = app.gateways().and_then(|gateways| gateways.refusal(id)).ok_or_else(absent)?;
    match NamespaceId::parse(&refusal.namespace) {
        Ok(namespace) => decide(actor, Action::GetRefusal, Target::Namespace(&namespace)).map_err(|_| absent())?,
        Err(_) => decide(actor, Action::GetGateways, Target::Account).map_err(|_| absent())?,
    };
    Ok(refusal)
}

//! Refusals of the gateways: the reason and the remedy, for the admins of the namespace that refused.

use super::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::name::NamespaceId;
use countersign_proto::convert;
use countersign_proto::rest::RefusalBody;

/// One refusal. Whose namespace is unknown (the names disagreed), only admins of the account see.
///
/// # Errors
/// `not_found`, also where it is another's.
pub fn get(app: &App, actor: &Actor, id: &str) -> Result<RefusalBody, Refused> {
    let absent = || Refused::not_found("refusal", id);
    let refusal = app.gateways().and_then(|gateways| gateways.refusal(id)).ok_or_else(absent)?;
    let refused_at = convert::parse_time(&refusal.time);
    // One of a namespace that is gone is not for the admins of a later one of the same name.
    let its_own = NamespaceId::parse(&refusal.namespace)
        .ok()
        .filter(|id| app.snapshot().namespace(id).is_some_and(|namespace| refused_at.is_some_and(|at| at >= namespace.created_at)));
    match its_own {
        Some(namespace) => decide(actor, Action::GetRefusal, Target::Namespace(&namespace)).map_err(|_| absent())?,
        None => decide(actor, Action::GetGateways, Target::Account).map_err(|_| absent())?,
    };
    Ok(refusal)
}

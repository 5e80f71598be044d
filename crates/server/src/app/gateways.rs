//! The gateways that are fed, for admins.

use super::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_proto::rest::{GatewayBody, Page};

/// Every connected gateway.
///
/// # Errors
/// `forbidden`.
pub fn list(app: &App, actor: &Actor) -> Result<Page<GatewayBody>, Refused> {
    decide(actor, Action::GetGateways, Target::Account)?;
    let mut items = app.gateways().map(|gateways| gateways.describe()).unwrap_or_default();
    let unreadable: Vec<String> = app.store.unreadable_rows().into_iter().map(|row| format!("{} {}", row.kind, row.id)).collect();
    items.iter_mut().for_each(|gateway| gateway.unreadable.clone_from(&unreadable));
    Ok(Page { items, next_page_token: String::new() })
}

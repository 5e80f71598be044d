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
    let items = app.gateways().map(|gateways| gateways.describe()).unwrap_or_default();
    Ok(Page { items, next_page_token: String::new() })
}

//! When a new issuer may begin to sign (rule G1 of research/pki.md): when every gateway has confirmed a state in which the issuer is known,
//! and when whoever else keeps a list of our CAs has had the time that the operator gives him to fetch it.

use super::{App, Refused};
use countersign_core::issuer::{Issuer, IssuerState};
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use std::time::Instant;

impl App {
    /// How long an issuer stands by before it may sign; without this call it may as soon as every gateway knows it. Only the first call
    /// counts.
    pub fn use_issuer_dwell(&self, dwell: Lifetime) {
        // Settings are read once.
        let _ = self.vault.dwell.set(dwell);
    }
}

/// Waits for the gateways up to the bound of every change; they need not be waited for with the store's writer in hand.
///
/// # Errors
/// `gateways_behind`, with their names.
pub(super) async fn check_confirmed(app: &App, name: &str) -> Result<(), Refused> {
    let snapshot = app.snapshot();
    let revision = snapshot.revision();
    let outstanding = app.confirm(snapshot, Instant::now()).await.outstanding;
    if outstanding.is_empty() {
        return Ok(());
    }
    let gateways = outstanding.join(", ");
    Err(Refused::new(
        "gateways_behind",
        format!("not confirmed revision {revision}, in which issuer {name} is known, yet: {gateways} (rule G1); nothing was changed"),
    )
    .hint("countersign gateway list shows where each stands; try again when they have caught up, or with --force"))
}

/// Refuses to let an issuer sign that was staged less than the operator's time ago.
///
/// # Errors
/// `issuer_too_new`, with the moment from which on it may.
pub(super) fn check_dwell(app: &App, issuer: &Issuer, now: Timestamp) -> Result<(), Refused> {
    let Some(dwell) = app.vault.dwell.get() else { return Ok(()) };
    let from = issuer.created_at.plus(*dwell);
    if issuer.state != IssuerState::Staged || now >= from {
        return Ok(());
    }
    Err(Refused::new("issuer_too_new", format!("issuer {} stands by until {} before it signs (rule G1)", issuer.name, convert::time(from)))
        .hint("whoever keeps a list of these CAs fetches it until then (issuers.staged_for); with --force it signs at once"))
}

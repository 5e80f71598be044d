//! When the next credential of each kind ends, for who scrapes it: an alarm must not depend on a notice being due. One look into an
//! index a kind, never a walk over credentials.

use super::{ACCEPTED_CA, ISSUER};
use crate::app::App;
use crate::error::Refused;
use countersign_core::issuer::IssuerState;
use countersign_core::time::Timestamp;
use std::sync::{Mutex, PoisonError};

/// The earliest end of each kind, as last looked up.
#[derive(Debug, Default)]
pub struct Ends(Mutex<Vec<(&'static str, Timestamp)>>);

impl Ends {
    /// The earliest end still to come of each kind of which there is anything that ends: kind and moment.
    pub fn earliest(&self) -> Vec<(&'static str, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks up what [`Ends::earliest`] gives. What was revoked, disabled, retired or replaced does not count: nobody waits for its end.
///
/// # Errors
/// When the store fails; what was known before stays.
pub async fn look(app: &App) -> Result<(), Refused> {
    let now = app.now();
    let mut reader = app.store.read().await?;
    let issuers = reader.issuers().await?.into_iter().filter(|issuer| issuer.state != IssuerState::Retired);
    let of_issuers =
        issuers.filter_map(|issuer| Some(countersign_x509::facts::of(&issuer.der).ok()?.not_after)).filter(|at| *at > now).min();
    let found = [
        ("api_key", reader.first_api_key_end(now).await?),
        ("certificate", reader.first_certificate_end(now).await?),
        (ISSUER, of_issuers),
        (ACCEPTED_CA, first_accepted_end(app, now)),
    ];
    let known = found.into_iter().filter_map(|(kind, at)| Some((kind, at?))).collect();
    *app.next_ends.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    Ok(())
}

fn first_accepted_end(app: &App, now: Timestamp) -> Option<Timestamp> {
    let snapshot = app.snapshot();
    let ends = snapshot.namespaces().flat_map(|namespace| namespace.accepted_client_cas.iter().map(|ca| ca.not_after));
    ends.filter(|at| *at > now).min()
}

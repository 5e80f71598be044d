//! Regions: where namespaces are. They are settings of the operator; one place of his own is there by default.

use super::{App, decide};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor, Target};
use countersign_proto::rest::{Page, RegionBody};

/// The region there is when the settings name none.
pub const LOCAL: &str = "local";

/// A region from its id in the settings. One that begins with a provider's word is that provider's.
pub fn region(id: &str) -> RegionBody {
    let (provider, region) = match id.split_once('-') {
        Some((provider @ ("aws" | "gcp" | "azure"), region)) => (provider, region),
        _ => ("", id),
    };
    let location = if provider.is_empty() { "this installation".to_owned() } else { format!("{provider} {region}") };
    RegionBody { id: id.to_owned(), cloud_provider: provider.to_owned(), cloud_provider_region: region.to_owned(), location }
}

/// All of them.
///
/// # Errors
/// `forbidden`.
pub fn list(app: &App, actor: &Actor) -> Result<Page<RegionBody>, Refused> {
    decide(actor, Action::GetRegions, Target::Account)?;
    Ok(Page { items: app.settings.regions.clone(), next_page_token: String::new() })
}

/// One.
///
/// # Errors
/// `forbidden`, `not_found`.
pub fn get(app: &App, actor: &Actor, id: &str) -> Result<RegionBody, Refused> {
    decide(actor, Action::GetRegion, Target::Account)?;
    app.settings.regions.iter().find(|region| region.id == id).cloned().ok_or_else(|| Refused::not_found("region", id))
}

/// The ids a namespace is to have: those asked for, each known; the first one there is when none is. `tcld` leaves the provider out.
///
/// # Errors
/// `invalid_argument` that names the known ones.
pub(super) fn checked(app: &App, asked: &[String]) -> Result<Vec<String>, Refused> {
    if asked.is_empty() {
        return Ok(app.settings.regions.first().map(|region| region.id.clone()).into_iter().collect());
    }
    let known = |text: &String| {
        let found = app.settings.regions.iter().find(|region| region.id == *text || region.cloud_provider_region == *text);
        found.map(|region| region.id.clone()).ok_or_else(|| {
            let ids: Vec<_> = app.settings.regions.iter().map(|region| region.id.as_str()).collect();
            Refused::invalid(format!("there is no region {}; there are: {}", crate::error::shown(text), ids.join(", ")))
        })
    };
    let ids = asked.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    if ids.iter().enumerate().any(|(i, id)| ids[..i].contains(id)) {
        return Err(Refused::invalid("a region stands there twice"));
    }
    Ok(ids)
}

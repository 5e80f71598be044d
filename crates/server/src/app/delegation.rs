//! What a credential may pass on to the credentials that are made with it: no longer life than it was given, and no more APIs
//! (promise P12). Every operation that makes a credential asks here; a login is bounded by neither.

use super::caller::Caller;
use super::renewal;
use crate::error::Refused;
use countersign_core::authz::Action;
use countersign_core::credential::api_key::ApiKey;
use countersign_core::id::ApiId;
use countersign_core::identity::IdentityId;
use countersign_core::limits::API_KEY_LIFETIME_MAX;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_store::Reader;

/// Refuses every change that a narrowed key may not make: such a key is for its APIs, and here it makes its own successor, no more.
///
/// # Errors
/// `forbidden`.
pub(crate) fn check_change(caller: &Caller, action: Action) -> Result<(), Refused> {
    if caller.narrowed.is_empty() || action == Action::CreateApiKey {
        return Ok(());
    }
    Err(Refused::forbidden("this API key is narrowed to APIs of the gateway; here it can only read who it is and create its own successor"))
}

/// The life that a key was given.
pub(super) fn life(key: &ApiKey) -> Lifetime {
    Lifetime::from_seconds(key.expires_at.since(key.created_at) / 1_000_000)
}

/// The longest life of a credential that this caller makes, from now on: the life that the calling credential was given. `None` for
/// a login and for this program itself.
///
/// # Errors
/// `invalid_api_key` when the calling key has ended, or when the store fails.
pub(crate) async fn longest_life(reader: &mut Reader, caller: &Caller) -> Result<Option<Lifetime>, Refused> {
    if let Some(id) = &caller.credential {
        let key = reader.api_key(id).await?.ok_or_else(Refused::invalid_api_key)?;
        return Ok(Some(life(&key)));
    }
    if let Some(id) = &caller.certificate {
        let certificate = reader.certificate(id).await?.ok_or_else(|| Refused::not_found("certificate", id.as_str()))?;
        return Ok(Some(renewal::lifetime(&certificate)));
    }
    Ok(None)
}

/// Refuses a credential that would end after `bound` has passed.
///
/// # Errors
/// `invalid_argument`.
pub(super) fn check_end(ends: Timestamp, now: Timestamp, bound: Option<Lifetime>) -> Result<(), Refused> {
    match bound {
        Some(bound) if ends.seconds() > now.plus(bound).seconds() => Err(outlives(bound)),
        _ => Ok(()),
    }
}

/// Refuses the registration of a certificate that ends later than the calling key allows. A key that was given the longest life there
/// is registers any certificate: its end is another CA's decision.
///
/// # Errors
/// `invalid_argument`.
pub(super) fn check_registered(ends: Timestamp, now: Timestamp, bound: Option<Lifetime>) -> Result<(), Refused> {
    check_end(ends, now, bound.filter(|bound| *bound < API_KEY_LIFETIME_MAX))
}

fn outlives(bound: Lifetime) -> Refused {
    Refused::invalid(format!("a credential that is made with an API key lives at most as long as that key was given to live: {bound}"))
        .hint("ask for a shorter life, or log in and make it with your session: countersign login")
}

/// Refuses a credential of `owner` for `apis` when the calling key is narrowed, and the new one is another owner's or narrowed less.
///
/// # Errors
/// `forbidden`.
pub(super) fn check_narrowing(caller: &Caller, owner: &IdentityId, apis: &[ApiId]) -> Result<(), Refused> {
    if caller.narrowed.is_empty() {
        return Ok(());
    }
    if *owner != caller.identity {
        return Err(Refused::forbidden("a key that is narrowed to APIs makes credentials for its own owner only"));
    }
    if apis.is_empty() || !apis.iter().all(|api| caller.narrowed.contains(api)) {
        return Err(Refused::forbidden("the successor of a key that is narrowed to APIs is narrowed to the same ones or fewer"));
    }
    Ok(())
}

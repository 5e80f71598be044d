//! How a namespace lets its clients in.

use super::caller::Caller;
use super::{App, namespaces};
use crate::error::Refused;
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{AuthMethodBody, Changed};

/// The auth method.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn get(app: &App, actor: &Actor, namespace: &str) -> Result<AuthMethodBody, Refused> {
    let namespace = namespaces::read(app, actor, Action::GetNamespace, namespace).await?;
    Ok(AuthMethodBody { auth_method: namespace.auth_method.to_string() })
}

/// Sets it. Connections that came in by a way that is closed now end.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `nothing_to_change`.
pub async fn set(app: &App, caller: &Caller, namespace: &str, body: AuthMethodBody) -> Result<Changed, Refused> {
    namespaces::change(app, caller, namespace, &("auth-method", namespace, &body), None, |ns, _| {
        ns.auth_method = namespaces::auth_method(&body.auth_method)?;
        Ok(())
    })
    .await
}

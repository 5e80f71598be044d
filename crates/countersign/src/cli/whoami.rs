//! `whoami`: who the API key is.

use super::Session;
use super::client::NO_QUERY;
use super::errors::Outcome;
use super::service_account::permissions;
use countersign_proto::rest::CurrentIdentity;

/// Asks the server.
pub async fn run(session: &Session) -> Outcome {
    let me: CurrentIdentity = session.client()?.get(&["current-identity"], NO_QUERY).await?;
    session.output.show(&me, || {
        session.output.card(&[
            ("identity", format!("{} ({})", me.name, me.kind.replace('_', " "))),
            ("id", me.id.clone()),
            ("account role", me.access.account_role.clone()),
            ("permissions", permissions(&me.access)),
            ("API key", me.api_key_id.clone().unwrap_or_default()),
        ])
    })
}

//! `gateway`: the gateways that are fed, and what each of them decides on.

use super::Session;
use super::client::NO_QUERY;
use super::errors::{Outcome, clean};
use super::output::note;
use super::table::whole;
use countersign_proto::rest::{GatewayBody, Page};

/// `gateway …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the connected gateways
    #[command(visible_alias = "l")]
    List,
}

/// Runs it.
pub async fn run(session: &Session, command: Command) -> Outcome {
    let Command::List = command;
    let page: Page<GatewayBody> = session.client()?.get(&["gateways"], NO_QUERY).await?;
    if let Some(unreadable) = page.items.first().map(|gateway| &gateway.unreadable).filter(|rows| !rows.is_empty()) {
        let named = clean(&unreadable.join(", "));
        note(&format!(
            "warning: cannot be read from the database, and is closed: {named}; the server's log has the reason, a backup the row"
        ));
    }
    let empty = "No gateway is connected: nothing is let in anywhere. Start one: countersign dev";
    session.show_page(&page, &[whole("GATEWAY"), whole("ADDRESS"), whole("REVISION"), whole("CONNECTIONS"), whole("STREAMS")], empty, |g| {
        vec![g.name.clone(), g.address.clone(), g.revision.to_string(), g.connections.to_string(), g.streams.to_string()]
    })
}

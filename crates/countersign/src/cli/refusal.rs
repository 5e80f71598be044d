//! `refusal`: why a gateway refused a request, by the id it answered with.

use super::Session;
use super::client::NO_QUERY;
use super::errors::Outcome;
use countersign_proto::rest::RefusalBody;

/// `refusal …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a refusal
    #[command(visible_alias = "g")]
    Get(GetArgs),
}

/// `refusal get`.
#[derive(clap::Args)]
pub struct GetArgs {
    /// The id in the answer's body and in its Countersign-Refusal-Id header
    #[arg(long, short = 'i', alias = "refusal-id")]
    id: String,
}

/// Runs it.
pub async fn run(session: &Session, command: Command) -> Outcome {
    let Command::Get(args) = command;
    let refusal: RefusalBody = session.client()?.get(&["refusals", &args.id], NO_QUERY).await?;
    session.output.show(&refusal, || {
        session.output.card(&[
            ("refusal", refusal.id.clone()),
            ("code", refusal.code.clone()),
            ("rule", refusal.reason.clone()),
            ("remedy", refusal.remedy.clone()),
            ("request", format!("{} {}", refusal.method, refusal.path)),
            ("namespace", refusal.namespace.clone()),
            ("from", refusal.source.clone()),
            ("at gateway", refusal.gateway.clone()),
            ("when", session.output.when(&refusal.time)),
        ])
    })
}

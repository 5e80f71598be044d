//! `request`: how a change stands that was asked for.

use super::Session;
use super::change::ChangeFlags;
use super::errors::Outcome;
use countersign_proto::rest::Changed;

/// `request …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a request
    #[command(visible_alias = "g")]
    Get(GetArgs),
}

/// `request get`.
#[derive(clap::Args)]
pub struct GetArgs {
    /// The request's id
    #[arg(long, short = 'r', value_name = "ID")]
    request_id: String,

    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

/// Runs it.
pub async fn run(session: &Session, command: Command) -> Outcome {
    let Command::Get(args) = command;
    let status = session.operation(&args.request_id).await?;
    // A failed request is what was asked about; only waiting for one that fails is a failure.
    let status = match args.wait {
        true => session.settle(&ChangeFlags { request_id: None, wait: true }, status).await?,
        false => status,
    };
    session.output.show(&Changed { request_status: status.clone() }, || session.told(&status))
}

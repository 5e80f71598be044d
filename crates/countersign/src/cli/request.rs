//! `request`: how a change stands that was asked for.

use super::Session;
use super::change::ChangeFlags;
use super::errors::Outcome;
use super::pages::PageFlags;
use super::table::whole;
use countersign_proto::rest::{Changed, RequestStatus};

/// So many are listed where nobody says how many.
const NEWEST: u32 = 20;

/// `request …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a request
    #[command(visible_alias = "g")]
    Get(GetArgs),
    /// List requests, the newest first: your own, or for admins everybody's
    #[command(visible_alias = "l")]
    List(PageFlags),
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
    let args = match command {
        Command::Get(args) => args,
        Command::List(flags) => return list(session, &flags).await,
    };
    let status = session.operation(&args.request_id).await?;
    // A failed request is what was asked about; only waiting for one that fails is a failure.
    let status = match args.wait {
        true => session.settle(&ChangeFlags { request_id: None, wait: true }, status).await?,
        false => status,
    };
    session.output.show(&Changed { request_status: status.clone() }, || session.told(&status))
}

/// A page of the newest unless pages are asked for: there are as many requests as there were changes.
async fn list(session: &Session, flags: &PageFlags) -> Outcome {
    let newest = PageFlags { page_size: Some(NEWEST), ..PageFlags::default() };
    let flags = if flags.page_size.is_none() && flags.page_token.is_none() { &newest } else { flags };
    let page = session.pages::<RequestStatus>(&["operations"], flags, &[]).await?;
    let head = [whole("REQUEST ID"), whole("STATE"), whole("OPERATION"), whole("STARTED"), whole("RESOURCE")];
    session.show_page(&page, &head, "No request yet: every change is one.", |one| {
        vec![
            one.request_id.clone(),
            one.state.clone(),
            one.operation_type.clone(),
            session.output.ago(&one.start_time),
            one.resource_id.clone(),
        ]
    })
}

//! `session`: logins of people, listed and ended.

use super::Session;
use super::apikey::confirm_delete;
use super::change::ChangeFlags;
use super::errors::Outcome;
use super::pages::PageFlags;
use super::table::{text, whole};
use countersign_proto::rest::SessionBody;
use reqwest::Method;

/// `session …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List sessions: your own, or all of the account for admins
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// End a session; its tokens open nothing more
    #[command(visible_alias = "e")]
    End(EndArgs),
}

/// `session list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only this user's
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,

    #[command(flatten)]
    pages: PageFlags,
}

/// `session end`.
#[derive(clap::Args)]
pub struct EndArgs {
    /// The session's id
    #[arg(long, short = 'i', value_name = "ID")]
    id: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(args) => {
            let page = session.pages::<SessionBody>(&["sessions"], &args.pages, &[("user_id", args.user_id)]).await?;
            let names = session.user_names().await;
            let head = [whole("ID"), text("USER"), whole("KIND"), whole("LAST SEEN"), text("PROGRAM"), whole("FROM"), whole("USER ID")];
            session.show_page(&page, &head, "Nobody is logged in.", |one| {
                let name = names.get(&one.user_id).cloned().unwrap_or_default();
                let id = if one.current { format!("{} (this one)", one.id) } else { one.id.clone() };
                let seen = session.output.ago(&one.last_seen_time);
                vec![id, name, one.kind.clone(), seen, one.program.clone(), one.source.clone(), one.user_id.clone()]
            })
        }
        Command::End(args) => {
            confirm_delete(session, &format!("session {}", args.id))?;
            session.change::<()>(&args.change, Method::DELETE, &["sessions", &args.id], None).await
        }
    }
}

//! `notice`: what ends soon, and who is told how. What is due is the server's to say.

use super::Session;
use super::apikey::confirm_delete;
use super::change::ChangeFlags;
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::output::note;
use super::pages::PageFlags;
use super::table::{text, whole};
use countersign_proto::rest::{
    CalendarBody, CreateWebhook, CreatedWebhook, NoticeBody, NoticeSettingsBody, Page, TestMail, TestedMail, WebhookBody,
};
use reqwest::Method;

/// `notice …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List what ends soon, newest notice first, and how each notice went out
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Who is told by mail
    #[command(subcommand)]
    Settings(Settings),
    /// Webhooks that get every notice (Standard Webhooks)
    #[command(subcommand)]
    Webhook(Webhook),
    /// Make the calendar feed's secret address anew; the one before ends
    Calendar(ChangeFlags),
    /// Send one mail, and say what the mail server answered
    TestMail(TestMailArgs),
}

/// `notice settings …`.
#[derive(clap::Subcommand)]
pub enum Settings {
    /// Show them
    #[command(visible_alias = "g")]
    Get,
    /// Set them
    #[command(visible_alias = "s")]
    Set(SetArgs),
}

/// `notice settings set`.
#[derive(clap::Args)]
pub struct SetArgs {
    /// Whether notices go out by mail
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    mail: Option<bool>,

    /// A further address that gets every notice; may be repeated, and replaces those before
    #[arg(long, value_name = "ADDRESS", num_args = 1.., conflicts_with = "no_recipients")]
    recipient: Vec<String>,

    /// Nobody but those whom a notice concerns
    #[arg(long)]
    no_recipients: bool,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `notice webhook …`.
#[derive(clap::Subcommand)]
pub enum Webhook {
    /// List them
    #[command(visible_alias = "l")]
    List,
    /// Add one; its signing secret is shown once
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Take one away
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
}

/// `notice webhook create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// Where to: https://…, or http:// to this machine's own loopback
    #[arg(long, value_name = "URL")]
    url: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `notice webhook delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    /// The webhook's id
    #[arg(long, short = 'i')]
    id: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `notice test-mail`.
#[derive(clap::Args)]
pub struct TestMailArgs {
    /// The one address it goes to
    #[arg(long, value_name = "ADDRESS")]
    to: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(flags) => {
            let page = session.pages::<NoticeBody>(&["notices"], &flags, &[]).await?;
            let empty = "Nothing ends soon.";
            session.show_page(
                &page,
                &[whole("ENDS"), whole("KIND"), text("NAME"), whole("ID"), text("OWNER"), whole("LAST USED"), text("TOLD BY"), whole("DO")],
                empty,
                |n| {
                    vec![
                        session.output.ago(&n.end_time),
                        n.kind.replace('_', " "),
                        n.name.clone(),
                        n.credential.clone(),
                        n.owner_name.clone(),
                        n.last_used_time.as_deref().map_or_else(|| "never".to_owned(), |t| session.output.ago(t)),
                        told(n),
                        n.command.clone(),
                    ]
                },
            )
        }
        Command::Settings(Settings::Get) => {
            let settings: NoticeSettingsBody = session.client()?.get(&["notices", "settings"], NO_QUERY).await?;
            session.output.show(&settings, || {
                session.output.card(&[("mail", settings.mail.to_string()), ("recipients", settings.recipients.join(", "))])
            })
        }
        Command::Settings(Settings::Set(args)) => set(session, args).await,
        Command::Webhook(Webhook::List) => {
            let page: Page<WebhookBody> = session.client()?.get(&["notices", "webhooks"], NO_QUERY).await?;
            let empty = "No webhook. Make one: countersign notice webhook create --url https://…";
            session.show_page(&page, &[whole("ID"), whole("ADDRESS"), whole("CREATED")], empty, |hook| {
                vec![hook.id.clone(), hook.url.clone(), session.output.ago(&hook.created_time)]
            })
        }
        Command::Webhook(Webhook::Create(args)) => {
            let body = CreateWebhook { url: args.url };
            let made: Option<CreatedWebhook> = session.make(&args.change, Method::POST, &["notices", "webhooks"], &body).await?;
            let Some(made) = made else { return Ok(()) };
            session.output.show(&made, || session.output.card(&[("id", made.id.clone()), ("signing secret", made.secret.clone())]))?;
            if !made.secret.is_empty() {
                note("Store the signing secret now: it is not shown again. Messages are signed by it (Standard Webhooks).");
            }
            Ok(())
        }
        Command::Webhook(Webhook::Delete(args)) => {
            confirm_delete(session, &format!("webhook {}", args.id))?;
            session.change::<()>(&args.change, Method::DELETE, &["notices", "webhooks", &args.id], None).await
        }
        Command::Calendar(flags) => {
            let made: Option<CalendarBody> = session.make(&flags, Method::POST, &["notices", "calendar"], &serde_json::json!({})).await?;
            let Some(made) = made else { return Ok(()) };
            session.output.show(&made, || format!("{}\n", made.url))?;
            note("Whoever has this address sees names and ends of credentials. Making it anew ends it.");
            Ok(())
        }
        Command::TestMail(args) => {
            let body = TestMail { to: args.to };
            let told: Option<TestedMail> = session.make(&args.change, Method::POST, &["notices", "test-mail"], &body).await?;
            let Some(told) = told else { return Ok(()) };
            if !told.accepted {
                return Err(Failure::refused("mail_not_taken", format!("the mail server did not take it: {}", told.failure))
                    .hint("look at the settings mail.host, mail.port, mail.tls and mail.from of `countersign serve`"));
            }
            session.output.show(&told, || format!("The mail server took it. Look for it at {}.\n", body.to))
        }
    }
}

/// Changes what was said and leaves the rest.
async fn set(session: &Session, args: SetArgs) -> Outcome {
    if args.mail.is_none() && args.recipient.is_empty() && !args.no_recipients {
        return Err(Failure::usage("nothing to set was given").hint("add --mail true|false, --recipient ADDRESS or --no-recipients"));
    }
    let mut settings: NoticeSettingsBody = session.client()?.get(&["notices", "settings"], NO_QUERY).await?;
    settings.mail = args.mail.unwrap_or(settings.mail);
    if args.no_recipients || !args.recipient.is_empty() {
        settings.recipients = args.recipient;
    }
    session.change(&args.change, Method::PUT, &["notices", "settings"], Some(&settings)).await
}

/// By which ways a notice went out, and which of them is still tried.
fn told(notice: &NoticeBody) -> String {
    let ways: Vec<String> = notice
        .deliveries
        .iter()
        .map(|way| if way.sent_time.is_some() { way.channel.clone() } else { format!("{} (tried {}×)", way.channel, way.attempts) })
        .collect();
    ways.join(", ")
}

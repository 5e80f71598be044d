//! `apikey`: make, look at, switch off and delete API keys. The secret passes through here once and is kept nowhere.

use super::Session;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome, clean};
use super::output::note;
use super::pages::PageFlags;
use super::table::{Column, text, whole};
use super::{input, prompt, rotation};
use countersign_core::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{ApiKeyBody, CreateApiKey, CreatedApiKey, DeletedApiKey, UpdateApiKey, UsageBody};
use reqwest::Method;

/// `apikey …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make an API key; its secret is shown once
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Show an API key, never its secret
    #[command(visible_alias = "g")]
    Get(IdFlag),
    /// List API keys
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// Let a disabled API key in again
    #[command(visible_alias = "ea")]
    Enable(SwitchArgs),
    /// Keep an API key out; its connections are cut, and it can be enabled again
    #[command(visible_alias = "da")]
    Disable(SwitchArgs),
    /// Delete an API key for good; its connections are cut
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
    /// Make an API key's successor; both work, and its secret is shown once
    Rotate(rotation::RotateKeyArgs),
    /// How the traffic moves from an API key to its successor
    Usage(rotation::KeyUsageArgs),
    /// Delete an API key that was rotated, once nobody would notice
    Retire(rotation::RetireKeyArgs),
}

/// Which key.
#[derive(clap::Args)]
pub struct IdFlag {
    /// The API key's id
    #[arg(long, short = 'i')]
    id: String,
}

/// `apikey create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// A short name; names may repeat
    #[arg(long, short = 'n')]
    name: String,

    /// What it is for
    #[arg(long, alias = "desc", value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,

    /// How long it lives, at most 2y; for example 30d or 4d12h [default: 90d]
    #[arg(long, short = 'd')]
    duration: Option<String>,

    /// When it ends, RFC 3339; wins over --duration
    #[arg(long, short = 'e', value_name = "TIME")]
    expiry: Option<String>,

    /// The service account it is for; without it, it is your own
    #[arg(long, alias = "si", value_name = "ID")]
    service_account_id: Option<String>,

    /// The application it is for, by id or name
    #[arg(long, value_name = "APPLICATION", conflicts_with = "service_account_id", requires = "environment")]
    application: Option<String>,

    /// In which of the application's environments: sandbox or production
    #[arg(long, value_name = "ENVIRONMENT", requires = "application")]
    environment: Option<String>,

    /// Narrow it to this API; may be repeated
    #[arg(long, value_name = "ID", num_args = 1..)]
    api: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `apikey list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only this owner's
    #[arg(long, alias = "oid", value_name = "ID")]
    owner_id: Option<String>,

    /// Only those of a user, or of a service-account
    #[arg(long, alias = "ot", value_name = "TYPE")]
    owner_type: Option<String>,

    /// Only those enabled, disabled or expired
    #[arg(long)]
    state: Option<String>,

    #[command(flatten)]
    pages: PageFlags,
}

/// `apikey enable`, `disable` and `delete`.
#[derive(clap::Args)]
pub struct SwitchArgs {
    /// The API key's id
    #[arg(long, short = 'i')]
    id: String,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `apikey delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    one: SwitchArgs,

    /// Also every key and certificate that was made with it, or with one of those; after a leak. It may be deleted already
    #[arg(long)]
    descendants: bool,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => create(session, args).await,
        Command::Get(flag) => {
            let key: ApiKeyBody = session.client()?.get(&["api-keys", &flag.id], NO_QUERY).await?;
            session.output.show(&key, || card(session, &key))
        }
        Command::List(args) => list(session, args).await,
        Command::Rotate(args) => rotation::rotate_key(session, args).await,
        Command::Usage(args) => rotation::key_usage(session, args).await,
        Command::Retire(args) => rotation::retire_key(session, args).await,
        Command::Enable(args) => switch(session, args, "enable").await,
        Command::Disable(args) => switch(session, args, "disable").await,
        Command::Delete(args) => {
            let more = if args.descendants { " and all that was made with it" } else { "" };
            demand(session, &args.one.id, &format!("deleting API key {}{more}: it never gets in again", args.one.id))?;
            let query =
                [("resource_version", args.one.version.resource_version), ("descendants", args.descendants.then(|| "true".to_owned()))];
            let path = ["api-keys", args.one.id.as_str()];
            let id = args.one.change.request_id.as_deref();
            let sent = session.client()?.change::<(), DeletedApiKey>(Method::DELETE, &path, &query, None, id).await;
            let Some(mut gone) = session.accept(sent)? else { return Ok(()) };
            gone.request_status = session.settle(&args.one.change, gone.request_status).await?;
            for warning in &gone.warnings {
                note(&format!("warning: {}", clean(warning)));
            }
            session.output.show(&gone, || ended(session, &gone, args.descendants))
        }
    }
}

/// What a deletion ended, where it is more than what was named.
fn ended(session: &Session, gone: &DeletedApiKey, descendants: bool) -> String {
    let mut text = String::new();
    if descendants {
        gone.deleted.iter().for_each(|id| text.push_str(&format!("deleted: API key {id}\n")));
        gone.revoked_certificates.iter().for_each(|id| text.push_str(&format!("revoked: certificate {id}\n")));
    }
    text.push_str(&session.told(&gone.request_status));
    text
}

async fn create(session: &Session, args: CreateArgs) -> Outcome {
    let body = CreateApiKey {
        name: args.name,
        description: args.description,
        // The expiry wins, so a duration beside it is not even sent.
        duration: if args.expiry.is_some() { None } else { args.duration.as_deref().map(input::key_duration).transpose()? },
        expiry_time: args.expiry.as_deref().map(expiry).transpose()?,
        service_account_id: args.service_account_id,
        application: args.application,
        environment: args.environment,
        apis: args.api,
    };
    let made: Option<CreatedApiKey> = session.make(&args.change, Method::POST, &["api-keys"], &body).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(&args.change, made.request_status).await?;
    session
        .output
        .show(&made, || session.output.card(&[("id", made.id.clone()), ("secret key", made.secret_key.clone().unwrap_or_default())]))?;
    store_it_now(made.secret_key.as_deref());
    Ok(())
}

/// The one warning that a secret comes with, on stderr, so that a program's JSON stays JSON.
pub fn store_it_now(secret: Option<&str>) {
    match secret {
        Some(_) => note("Store the secret key now: it is shown this once and kept nowhere."),
        None => note("This request was carried out before; its secret key was shown then and cannot be shown again."),
    }
}

fn expiry(text: &str) -> Result<String, Failure> {
    convert::parse_time(text.trim())
        .map(|_: Timestamp| text.trim().to_owned())
        .ok_or_else(|| Failure::usage(format!("`{text}` is no RFC 3339 time")).hint("write it as 2027-03-01T00:00:00Z"))
}

const HEAD: [Column; 8] =
    [whole("ID"), text("NAME"), whole("STATE"), whole("ENDS"), text("OWNER"), whole("LAST USED"), whole("REQUESTS"), whole("OWNER ID")];

async fn list(session: &Session, args: ListArgs) -> Outcome {
    let filters = [("owner_id", args.owner_id), ("owner_type", args.owner_type.map(|t| t.replace('-', "_"))), ("state", args.state)];
    let page = session.pages::<ApiKeyBody>(&["api-keys"], &args.pages, &filters).await?;
    let empty = "No API key here. Make one: countersign apikey create --name NAME --duration 90d";
    session.show_page(&page, &HEAD, empty, |key| {
        vec![
            key.id.clone(),
            key.name.clone(),
            key.state.clone(),
            session.output.ago(&key.expiry_time),
            key.owner_name.clone(),
            key.usage.last_used_time.as_deref().map_or_else(|| "never".to_owned(), |t| session.output.ago(t)),
            key.usage.requests.to_string(),
            key.owner_id.clone(),
        ]
    })
}

async fn switch(session: &Session, args: SwitchArgs, verb: &str) -> Outcome {
    if verb == "disable" {
        demand(session, &args.id, &format!("disabling API key {}: it is kept out until it is enabled again", args.id))?;
    }
    let path = ["api-keys", args.id.as_str(), verb];
    if args.version.resource_version.is_none() {
        return session.change::<()>(&args.change, Method::POST, &path, None).await;
    }
    let body = UpdateApiKey { disabled: Some(verb == "disable"), resource_version: args.version.resource_version, ..Default::default() };
    session.change(&args.change, Method::PATCH, &path[..2], Some(&body)).await
}

/// Asks before a key loses its access, and says so where it is the very key that this command acts with.
fn demand(session: &Session, id: &str, what: &str) -> Outcome {
    let own = session.client()?.key_id().is_some_and(|own| own == id);
    let own = if own { ". This command itself uses this key: afterwards you need another one, or a login" } else { "" };
    prompt::demand(&format!("{what}{own}. confirm:"), session.auto_confirm)
}

fn card(session: &Session, key: &ApiKeyBody) -> String {
    session.output.card(&[
        ("id", key.id.clone()),
        ("name", key.name.clone()),
        ("description", key.description.clone()),
        ("state", key.state.clone()),
        ("owner", owner(&key.owner_name, &key.owner_type)),
        ("owner id", key.owner_id.clone()),
        ("ends", session.output.when(&key.expiry_time)),
        ("narrowed to", key.apis.join(", ")),
        ("made by key", key.parent.clone().unwrap_or_default()),
        ("used", usage(session, &key.usage)),
        ("version", key.resource_version.clone()),
        ("created", session.output.when(&key.created_time)),
        ("last changed", session.output.when(&key.last_modified_time)),
    ])
}

/// An owner's name and kind.
pub fn owner(name: &str, kind: &str) -> String {
    let kind = kind.replace('_', " ");
    if name.is_empty() { kind } else { format!("{name} ({kind})") }
}

/// Use as a sentence.
pub fn usage(session: &Session, usage: &UsageBody) -> String {
    match &usage.last_used_time {
        None => "never".to_owned(),
        Some(time) => format!(
            "{}, last {}{}",
            super::output::count(usage.requests, "request", "requests"),
            session.output.ago(time),
            usage.last_used_from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default()
        ),
    }
}

/// Questions before a credential is lost for good.
pub fn confirm_delete(session: &Session, what: &str) -> Outcome {
    prompt::demand(&format!("deleting {what}. confirm:"), session.auto_confirm)
}

//! `account audit-log`: where the audit trail is delivered to, by `tcld`'s names. The trail itself is read by `audit`.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::Outcome;
use super::output::note;
use super::pages::PageFlags;
use super::table::whole;
use countersign_proto::rest::{AuditSinkBody, CreateAuditSink, CreatedAuditSink, KinesisSink, UpdateAuditSink};
use reqwest::Method;

/// `account audit-log …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the sinks, and how they do
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Show a sink
    #[command(visible_alias = "g")]
    Get(SinkFlag),
    /// Stop delivering to a sink; the trail stays
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
    /// Sinks in the form of Temporal's Kinesis sink: batches are sent to an https address
    #[command(subcommand, visible_alias = "k")]
    Kinesis(Kinesis),
    /// Give a sink a new signing secret
    RotateSecret(RotateArgs),
}

/// `audit-log kinesis …`.
#[derive(clap::Subcommand)]
pub enum Kinesis {
    /// Make a sink; its signing secret is shown once
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Change where a sink goes, or whether
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
}

/// Which sink.
#[derive(clap::Args)]
pub struct SinkFlag {
    /// The sink's name
    #[arg(long, alias = "name", alias = "sn", value_name = "NAME")]
    sink_name: String,
}

/// `kinesis create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    #[command(flatten)]
    sink: SinkFlag,

    /// Where batches are sent to: https://…, or http:// to this machine's own loopback
    #[arg(long, alias = "du", value_name = "URL")]
    destination_uri: String,

    /// Kept and shown, without effect
    #[arg(long, alias = "rn", default_value = "", hide = true)]
    role_name: String,

    /// Kept and shown, without effect
    #[arg(long, alias = "re", default_value = "", hide = true)]
    region: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `kinesis update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    sink: SinkFlag,

    /// A new address
    #[arg(long, alias = "du", value_name = "URL")]
    destination_uri: Option<String>,

    /// Kept and shown, without effect
    #[arg(long, alias = "rn", default_value = "", hide = true)]
    role_name: String,

    /// Kept and shown, without effect
    #[arg(long, alias = "re", default_value = "", hide = true)]
    region: String,

    /// true or false
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    enabled: Option<bool>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `audit-log delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    sink: SinkFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `audit-log rotate-secret`.
#[derive(clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    sink: SinkFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(flags) => {
            let page = session.pages::<AuditSinkBody>(&["audit-sinks"], &flags, &[]).await?;
            let empty = "No sink. Make one: countersign account audit-log kinesis create --sink-name NAME --destination-uri https://…";
            session.show_page(&page, &[whole("NAME"), whole("STATE"), whole("SENT TO"), whole("BEHIND"), whole("ADDRESS")], empty, |sink| {
                let address = sink.kinesis.destination_uri.clone();
                vec![sink.name.clone(), sink.state.clone(), sink.sent_to.to_string(), sink.behind.to_string(), address]
            })
        }
        Command::Get(flag) => {
            let sink: AuditSinkBody = session.client()?.get(&["audit-sinks", &flag.sink_name], NO_QUERY).await?;
            session.output.show(&sink, || {
                session.output.card(&[
                    ("name", sink.name.clone()),
                    ("address", sink.kinesis.destination_uri.clone()),
                    ("state", sink.state.clone()),
                    ("failure", sink.failure.clone()),
                    ("sent to entry", sink.sent_to.to_string()),
                    ("entries behind", sink.behind.to_string()),
                    ("version", sink.resource_version.clone()),
                    ("created", session.output.when(&sink.created_time)),
                ])
            })
        }
        Command::Delete(args) => {
            confirm_delete(session, &format!("audit sink {}", args.sink.sink_name))?;
            let path = ["audit-sinks", &args.sink.sink_name];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
        Command::Kinesis(Kinesis::Create(args)) => {
            let kinesis = KinesisSink { role_name: args.role_name, destination_uri: args.destination_uri, region: args.region };
            let body = CreateAuditSink { name: args.sink.sink_name, enabled: None, kinesis: Some(kinesis) };
            let made = session.make(&args.change, Method::POST, &["audit-sinks"], &body).await?;
            secret(session, &args.change, made).await
        }
        Command::Kinesis(Kinesis::Update(args)) => {
            let (role_name, region) = (args.role_name, args.region);
            let kinesis = args.destination_uri.map(|destination_uri| KinesisSink { role_name, destination_uri, region });
            let body = UpdateAuditSink { enabled: args.enabled, kinesis, resource_version: args.version.resource_version };
            session.change(&args.change, Method::PATCH, &["audit-sinks", &args.sink.sink_name], Some(&body)).await
        }
        Command::RotateSecret(args) => {
            let path = ["audit-sinks", &args.sink.sink_name, "rotate-secret"];
            let made = session.make(&args.change, Method::POST, &path, &serde_json::json!({})).await?;
            secret(session, &args.change, made).await
        }
    }
}

async fn secret(session: &Session, change: &ChangeFlags, made: Option<CreatedAuditSink>) -> Outcome {
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(change, made.request_status).await?;
    session.output.show(&made, || {
        session.output.card(&[("name", made.id.clone()), ("signing secret", made.signing_secret.clone().unwrap_or_default())])
    })?;
    if made.signing_secret.is_some() {
        note("Store the signing secret now: it is not shown again. Batches are signed by it (Standard Webhooks).");
    }
    Ok(())
}

//! `key create --certificate`: registers a client certificate (seed 003's "Create a key", "Mutual TLS"). The file may hold the
//! private key too; it is left out before anything is sent.

use super::Session;
use super::change::ChangeFlags;
use super::errors::{Failure, Outcome, clean};
use super::input;
use super::output::note;
use super::pages::PageFlags;
use countersign_proto::rest::{CreateCertificate, CreatedCertificate};
use reqwest::Method;
use std::path::PathBuf;

/// `key …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a key of a client certificate: who shows it, and has its private key, gets in
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// List the certificates that are keys
    #[command(visible_alias = "l")]
    List(PageFlags),
}

/// `key create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// The client certificate, a PEM file
    #[arg(long, short = 'f', value_name = "FILE")]
    certificate: PathBuf,

    /// A short name [default: its common name]
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,

    /// Narrow it to these APIs
    #[arg(long, value_name = "ID", num_args = 1..)]
    api: Vec<String>,

    /// The service account it is for; without it, it is your own
    #[arg(long, alias = "si", value_name = "ID")]
    service_account_id: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs it.
pub async fn run(session: &Session, command: Command) -> Outcome {
    let args = match command {
        Command::Create(args) => args,
        Command::List(flags) => {
            let empty = "No certificate is a key yet. Make one: countersign key create --certificate FILE";
            return super::certificate::list(session, &flags, empty).await;
        }
    };
    let certificate = input::pem_text_without_key(&input::read(&args.certificate)?)?;
    let body = CreateCertificate {
        certificate: Some(certificate),
        alias: args.alias,
        service_account_id: args.service_account_id,
        apis: args.api,
        ..Default::default()
    };
    register(session, &args.change, &body).await
}

/// Sends a registration and tells its end.
pub async fn register(session: &Session, change: &ChangeFlags, body: &CreateCertificate) -> Outcome {
    let made: Option<CreatedCertificate> = session.make(change, Method::POST, &["certificates"], body).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(change, made.request_status).await?;
    for warning in &made.warnings {
        note(&format!("remark: {}", clean(warning)));
    }
    session.output.show(&made, || {
        let card = session.output.card(&[("id", made.id.clone()), ("fingerprint", made.fingerprint_sha256.clone())]);
        format!("{}{card}", session.told(&made.request_status))
    })
}

/// What a registration without any certificate amounts to.
pub fn none_found() -> Failure {
    Failure::refused("empty_input", "the input holds no certificate").hint("give a PEM file with one client certificate")
}

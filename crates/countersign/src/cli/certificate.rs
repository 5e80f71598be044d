//! `certificate`: registered client certificates; looking at them and revoking them.

use super::Session;
use super::apikey::usage;
use super::change::ChangeFlags;
use super::client::NO_QUERY;
use super::errors::Outcome;
use super::pages::PageFlags;
use super::prompt;
use countersign_proto::rest::{CertificateBody, RevokeCertificate};
use reqwest::Method;

/// `certificate …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a registered certificate
    #[command(visible_alias = "g")]
    Get(IdFlag),
    /// List the registered certificates
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Revoke a certificate for good; its connections are cut
    Revoke(RevokeArgs),
}

/// Which certificate.
#[derive(clap::Args)]
pub struct IdFlag {
    /// The certificate's id
    #[arg(long, short = 'i')]
    id: String,
}

/// `certificate revoke`.
#[derive(clap::Args)]
pub struct RevokeArgs {
    /// The certificate's id
    #[arg(long, short = 'i')]
    id: String,

    /// Why, in RFC 5280's words: unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Get(flag) => {
            let certificate: CertificateBody = session.client()?.get(&["certificates", &flag.id], NO_QUERY).await?;
            session.output.show(&certificate, || card(session, &certificate))
        }
        Command::List(flags) => {
            let page = session.pages::<CertificateBody>(&["certificates"], &flags, &[]).await?;
            let empty = "No certificate is registered. Register one: countersign key create --certificate FILE";
            session.show_page(&page, &["ID", "ALIAS", "STATE", "OWNER", "SUBJECT", "ENDS", "LAST USED"], empty, |c| {
                vec![
                    c.id.clone(),
                    c.alias.clone(),
                    c.state.clone(),
                    c.owner_id.clone(),
                    c.subject.clone(),
                    session.output.ago(&c.not_after),
                    c.usage.last_used_time.as_deref().map_or_else(|| "never".to_owned(), |t| session.output.ago(t)),
                ]
            })
        }
        Command::Revoke(args) => {
            let question = format!("revoking certificate {}: it never gets in again, and its connections are cut now", args.id);
            prompt::demand_word(&question, "REVOKE", session.auto_confirm)?;
            let body = RevokeCertificate { reason: args.reason };
            session.change(&args.change, Method::POST, &["certificates", &args.id, "revoke"], Some(&body)).await
        }
    }
}

fn card(session: &Session, c: &CertificateBody) -> String {
    session.output.card(&[
        ("id", c.id.clone()),
        ("alias", c.alias.clone()),
        ("state", c.state.clone()),
        ("owner", format!("{} ({})", c.owner_id, c.owner_type.replace('_', " "))),
        ("subject", c.subject.clone()),
        ("issuer", c.issuer.clone()),
        ("serial", c.serial.clone()),
        ("fingerprint", c.fingerprint_sha256.clone()),
        ("valid from", session.output.when(&c.not_before)),
        ("valid until", session.output.when(&c.not_after)),
        ("narrowed to", c.apis.join(", ")),
        ("used", usage(session, &c.usage)),
        ("registered", session.output.when(&c.created_time)),
        ("revoked", c.revoked_time.as_deref().map(|t| session.output.when(t)).unwrap_or_default()),
    ])
}

//! `certificate revoke`: ending certificates before their time. Words and files only; the rules are the server's.

use super::Session;
use super::certificate::Which;
use super::change::ChangeFlags;
use super::errors::Outcome;
use super::prompt;
use countersign_proto::rest::RevokeCertificate;
use reqwest::Method;

/// `certificate revoke`.
#[derive(clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    which: Which,

    /// Why, in RFC 5280's words: unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Revokes.
pub async fn revoke(session: &Session, args: RevokeArgs) -> Outcome {
    let id = args.which.id(session).await?;
    let question = format!("revoking certificate {id}: it never gets in again, and its connections are cut now");
    prompt::demand_word(&question, "REVOKE", session.auto_confirm)?;
    let body = RevokeCertificate { reason: args.reason };
    session.change(&args.change, Method::POST, &["certificates", &id, "revoke"], Some(&body)).await
}

//! `account`: what the account is, and whether new API keys may be made.

use super::Session;
use super::change::ChangeFlags;
use super::client::NO_QUERY;
use super::errors::Outcome;
use super::table::{text, whole};
use countersign_proto::rest::{AccountBody, Page, RegionBody};
use reqwest::Method;

/// `account …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show the account
    #[command(visible_alias = "g")]
    Get,
    /// Where namespaces can be
    #[command(visible_alias = "l")]
    ListRegions,
    /// Where the audit trail is delivered to
    #[command(subcommand, visible_alias = "al")]
    AuditLog(super::audit_sink::Command),
    /// Whether new API keys may be made
    #[command(subcommand)]
    ApiKeys(ApiKeys),
}

/// `account api-keys …`.
#[derive(clap::Subcommand)]
pub enum ApiKeys {
    /// Refuse new API keys; existing ones go on
    DisableCreation(ChangeFlags),
    /// Allow new API keys again
    EnableCreation(ChangeFlags),
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Get => {
            let account: AccountBody = session.client()?.get(&["account"], NO_QUERY).await?;
            session.output.show(&account, || {
                session.output.card(&[
                    ("account", account.id.clone()),
                    ("gateway", account.gateway_address.clone()),
                    ("domain", account.gateway_domain.clone()),
                    ("new API keys", if account.api_key_creation_disabled { "refused" } else { "allowed" }.to_owned()),
                    ("version", account.resource_version.clone()),
                    ("created", session.output.when(&account.created_time)),
                ])
            })
        }
        Command::ListRegions => {
            let page: Page<RegionBody> = session.client()?.get(&["regions"], NO_QUERY).await?;
            session.show_page(&page, &[whole("ID"), whole("PROVIDER"), whole("REGION"), text("LOCATION")], "No region.", |region| {
                vec![region.id.clone(), region.cloud_provider.clone(), region.cloud_provider_region.clone(), region.location.clone()]
            })
        }
        Command::AuditLog(command) => super::audit_sink::run(session, command).await,
        Command::ApiKeys(ApiKeys::DisableCreation(change)) => {
            session.change::<()>(&change, Method::POST, &["account", "api-keys", "disable-creation"], None).await
        }
        Command::ApiKeys(ApiKeys::EnableCreation(change)) => {
            session.change::<()>(&change, Method::POST, &["account", "api-keys", "enable-creation"], None).await
        }
    }
}

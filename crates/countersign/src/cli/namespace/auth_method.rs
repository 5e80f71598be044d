//! `namespace auth-method`: which kinds of credentials get in.

use super::super::Session;
use super::super::change::{ChangeFlags, VersionFlag};
use super::super::client::NO_QUERY;
use super::super::errors::{Failure, Outcome};
use super::super::prompt;
use super::NamespaceFlag;
use countersign_core::namespace::AuthMethod;
use countersign_proto::rest::{AuthMethodBody, UpdateNamespace};
use reqwest::Method;

/// `namespace auth-method …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Change it
    #[command(visible_alias = "s")]
    Set(SetArgs),
    /// Show it
    #[command(visible_alias = "g")]
    Get(NamespaceFlag),
}

/// `auth-method set`.
#[derive(clap::Args)]
pub struct SetArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// restricted, mtls, api_key or api_key_or_mtls
    #[arg(long, alias = "am", value_name = "METHOD")]
    auth_method: String,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Get(flag) => {
            let body = fetch(session, &flag.get()?).await?;
            session.output.show(&body, || format!("{}\n", body.auth_method))
        }
        Command::Set(args) => {
            let namespace = args.namespace.get()?;
            let wanted = AuthMethod::parse(args.auth_method.trim()).ok_or_else(|| {
                Failure::usage(format!("`{}` is no auth method", args.auth_method)).hint("use restricted, mtls, api_key or api_key_or_mtls")
            })?;
            let now = fetch(session, &namespace).await?.auth_method;
            // Widening shuts nobody out; everything else may (as tcld asks).
            if now != "restricted" && now != wanted.to_string() && wanted != AuthMethod::ApiKeyOrMtls {
                prompt::demand(
                    &format!(
                        "changing the auth method of {namespace} from {now} to {wanted} shuts out clients with the other kind. confirm:"
                    ),
                    session.auto_confirm,
                )?;
            }
            let auth_method = wanted.to_string();
            if args.version.resource_version.is_some() {
                let resource_version = args.version.resource_version;
                let body = UpdateNamespace { auth_method: Some(auth_method), resource_version, ..Default::default() };
                return session.change(&args.change, Method::PATCH, &["namespaces", &namespace], Some(&body)).await;
            }
            let path = ["namespaces", &namespace, "auth-method"];
            session.change(&args.change, Method::PUT, &path, Some(&AuthMethodBody { auth_method })).await
        }
    }
}

async fn fetch(session: &Session, namespace: &str) -> Result<AuthMethodBody, Failure> {
    session.client()?.get(&["namespaces", namespace, "auth-method"], NO_QUERY).await
}

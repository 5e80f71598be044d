//! `service-account`: identities of machines, account-wide or scoped to one namespace.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::pages::PageFlags;
use super::table::{text, whole};
use super::{input, prompt};
use countersign_proto::rest::{AccessBody, CreateServiceAccount, NamespaceScope, ServiceAccountBody, UpdateIdentity};
use reqwest::Method;

/// `service-account …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a service account with rights in the account
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Make a service account for one namespace
    #[command(visible_alias = "cs")]
    CreateScoped(CreateScopedArgs),
    /// Show a service account
    #[command(visible_alias = "g")]
    Get(IdFlag),
    /// List the service accounts
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Change the name or the description
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
    /// Delete a service account, its API keys and certificates
    #[command(visible_alias = "d")]
    Delete(ChangeArgs),
    /// Give it another account role
    #[command(visible_alias = "sar")]
    SetAccountRole(RoleArgs),
    /// Give it exactly these namespace permissions
    #[command(visible_alias = "snp")]
    SetNamespacePermissions(PermissionsArgs),
}

/// Which service account.
#[derive(clap::Args)]
pub struct IdFlag {
    /// The service account's id
    #[arg(long, alias = "id", value_name = "ID")]
    service_account_id: String,
}

/// `service-account create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// Its name
    #[arg(long, short = 'n')]
    name: String,

    /// What it is for
    #[arg(long, short = 'd', alias = "desc", value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,

    /// owner, admin, developer, finance_admin, read or metrics_read
    #[arg(long, alias = "ar", value_name = "ROLE")]
    account_role: String,

    /// NAMESPACE=PERMISSION with admin, write or read; may be repeated
    #[arg(long, alias = "np", short = 'p', value_name = "NAMESPACE=PERMISSION")]
    namespace_permission: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `service-account create-scoped`.
#[derive(clap::Args)]
pub struct CreateScopedArgs {
    /// Its name
    #[arg(long, short = 'n')]
    name: String,

    /// What it is for
    #[arg(long, short = 'd', alias = "desc", value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,

    /// Its one namespace and the permission there: NAMESPACE=admin, write or read
    #[arg(long, alias = "np", short = 'p', value_name = "NAMESPACE=PERMISSION")]
    namespace_permission: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `service-account update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    id: IdFlag,

    /// A new name
    #[arg(long, short = 'n')]
    name: Option<String>,

    /// A new description
    #[arg(long, short = 'd', alias = "desc", value_name = "TEXT")]
    description: Option<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `service-account delete`.
#[derive(clap::Args)]
pub struct ChangeArgs {
    #[command(flatten)]
    id: IdFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `service-account set-account-role`.
#[derive(clap::Args)]
pub struct RoleArgs {
    #[command(flatten)]
    id: IdFlag,

    /// owner, admin, developer, finance_admin, read or metrics_read
    #[arg(long, alias = "ar", value_name = "ROLE")]
    account_role: String,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `service-account set-namespace-permissions`.
#[derive(clap::Args)]
pub struct PermissionsArgs {
    #[command(flatten)]
    id: IdFlag,

    /// NAMESPACE=PERMISSION with admin, write or read; may be repeated; none at all takes every permission away
    #[arg(long, alias = "np", short = 'p', value_name = "NAMESPACE=PERMISSION")]
    namespace_permission: Vec<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => {
            let namespace_permissions = input::permissions(&args.namespace_permission)?;
            let account_role = input::role(&args.account_role)?;
            confirm_role(session, &account_role, !namespace_permissions.is_empty())?;
            let access = Some(AccessBody { account_role, namespace_permissions, custom_roles: Vec::new() });
            let body = CreateServiceAccount { name: args.name, description: args.description, access, namespace_scope: None };
            session.create(&args.change, &["service-accounts"], &body).await
        }
        Command::CreateScoped(args) => {
            let pairs = input::permissions(std::slice::from_ref(&args.namespace_permission))?;
            let scope = pairs.into_iter().next().map(|(namespace, permission)| NamespaceScope { namespace, permission });
            let body = CreateServiceAccount { name: args.name, description: args.description, access: None, namespace_scope: scope };
            session.create(&args.change, &["service-accounts"], &body).await
        }
        Command::Get(flag) => {
            let path = ["service-accounts", flag.service_account_id.as_str()];
            let account: ServiceAccountBody = session.client()?.get(&path, NO_QUERY).await?;
            session.output.show(&account, || card(session, &account))
        }
        Command::List(flags) => list(session, &flags).await,
        Command::Update(args) => {
            if args.name.is_none() && args.description.is_none() {
                return Err(Failure::usage("nothing is given to change").hint("add --name or --description"));
            }
            let body = UpdateIdentity {
                name: args.name,
                description: args.description,
                resource_version: args.version.resource_version,
                ..Default::default()
            };
            patch(session, &args.id, &args.change, body).await
        }
        Command::Delete(args) => {
            confirm_delete(session, &format!("service account {} with its API keys and certificates", args.id.service_account_id))?;
            let path = ["service-accounts", args.id.service_account_id.as_str()];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
        Command::SetAccountRole(args) => {
            let role = input::role(&args.account_role)?;
            confirm_role(session, &role, true)?;
            let body = UpdateIdentity { account_role: Some(role), resource_version: args.version.resource_version, ..Default::default() };
            patch(session, &args.id, &args.change, body).await
        }
        Command::SetNamespacePermissions(args) => {
            let permissions = input::permissions(&args.namespace_permission)?;
            confirm_permissions(session, permissions.is_empty())?;
            let body = UpdateIdentity {
                namespace_permissions: Some(permissions),
                resource_version: args.version.resource_version,
                ..Default::default()
            };
            patch(session, &args.id, &args.change, body).await
        }
    }
}

async fn patch(session: &Session, id: &IdFlag, change: &ChangeFlags, body: UpdateIdentity) -> Outcome {
    session.change(change, Method::PATCH, &["service-accounts", &id.service_account_id], Some(&body)).await
}

/// Asks before a role that administers every namespace makes namespace permissions moot.
pub fn confirm_role(session: &Session, role: &str, permissions_matter: bool) -> Outcome {
    if permissions_matter && matches!(role, "admin" | "owner") {
        let question = format!("the account role {role} is admin of every namespace, whatever the namespace permissions say. confirm:");
        return prompt::demand(&question, session.auto_confirm);
    }
    Ok(())
}

/// Asks before every namespace permission is taken away.
pub fn confirm_permissions(session: &Session, none: bool) -> Outcome {
    if none {
        return prompt::demand("this takes every namespace permission away. confirm:", session.auto_confirm);
    }
    Ok(())
}

async fn list(session: &Session, flags: &PageFlags) -> Outcome {
    let page = session.pages::<ServiceAccountBody>(&["service-accounts"], flags, &[]).await?;
    let empty =
        "No service account yet. Make one: countersign service-account create-scoped --name NAME --namespace-permission NAMESPACE=write";
    session.show_page(
        &page,
        &[whole("ID"), text("NAME"), whole("ROLE"), text("PERMISSIONS"), whole("SCOPE"), whole("CREATED")],
        empty,
        |account| {
            vec![
                account.id.clone(),
                account.name.clone(),
                account.access.account_role.clone(),
                permissions(&account.access),
                account.namespace_scope.clone().unwrap_or_else(|| "account".to_owned()),
                session.output.ago(&account.created_time),
            ]
        },
    )
}

/// Namespace permissions in one line.
pub fn permissions(access: &AccessBody) -> String {
    access.namespace_permissions.iter().map(|(namespace, p)| format!("{namespace}={p}")).collect::<Vec<_>>().join(", ")
}

fn card(session: &Session, account: &ServiceAccountBody) -> String {
    session.output.card(&[
        ("id", account.id.clone()),
        ("name", account.name.clone()),
        ("description", account.description.clone()),
        ("account role", account.access.account_role.clone()),
        ("permissions", permissions(&account.access)),
        ("scoped to", account.namespace_scope.clone().unwrap_or_default()),
        ("version", account.resource_version.clone()),
        ("created", session.output.when(&account.created_time)),
        ("last changed", session.output.when(&account.last_modified_time)),
    ])
}

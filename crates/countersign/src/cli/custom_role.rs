//! `custom-role`: single actions on single resources, given as a JSON file.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::input;
use super::pages::PageFlags;
use super::table::{text, whole};
use countersign_proto::rest::{CreateCustomRole, CustomRoleBody, RolePermission, UpdateCustomRole};
use reqwest::Method;
use std::path::{Path, PathBuf};

/// `custom-role …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the custom roles
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Show a custom role
    #[command(visible_alias = "g")]
    Get(RoleFlag),
    /// Make a custom role
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Change a custom role; everybody who has it has the new one at once
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
    /// Delete a custom role, and take it from everybody who has it
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
}

/// Which role.
#[derive(clap::Args)]
pub struct RoleFlag {
    /// The role's id
    #[arg(long, alias = "id", value_name = "ID")]
    role_id: String,
}

/// `custom-role create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// The role's name
    #[arg(long, value_name = "NAME")]
    name: String,

    /// What it is for
    #[arg(long, default_value = "")]
    description: String,

    /// JSON: [{"resourceType": "namespace", "resourceIds": ["demo.abc12"], "actions": ["cloud.namespace.get"]}]
    #[arg(long, alias = "pf", value_name = "FILE")]
    permissions_file: PathBuf,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `custom-role update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    role: RoleFlag,

    /// A new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// What it is for
    #[arg(long)]
    description: Option<String>,

    /// The whole new set, JSON as for create
    #[arg(long, alias = "pf", value_name = "FILE")]
    permissions_file: Option<PathBuf>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `custom-role delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    role: RoleFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

fn read(path: &Path) -> Result<Vec<RolePermission>, Failure> {
    serde_json::from_slice(&input::read(path)?).map_err(|error| {
        Failure::usage(format!("{} holds no permissions: {error}", path.display()))
            .hint("write [{\"resourceType\": \"namespace\", \"allowAll\": true, \"actions\": [\"cloud.namespace.get\"]}]")
    })
}

fn lines(permissions: &[RolePermission]) -> String {
    let line = |permission: &RolePermission| {
        let on = if permission.allow_all { "all".to_owned() } else { permission.resource_ids.join(", ") };
        format!("{} on {} {on}", permission.actions.join(", "), permission.resource_type)
    };
    permissions.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(flags) => {
            let page = session.pages::<CustomRoleBody>(&["custom-roles"], &flags, &[]).await?;
            let empty = "No custom role here. Make one: countersign custom-role create --name NAME --permissions-file FILE";
            session.show_page(&page, &[whole("ID"), text("NAME"), text("GIVES"), whole("CREATED")], empty, |role| {
                vec![role.id.clone(), role.name.clone(), lines(&role.permissions), session.output.ago(&role.created_time)]
            })
        }
        Command::Get(flag) => {
            let role: CustomRoleBody = session.client()?.get(&["custom-roles", &flag.role_id], NO_QUERY).await?;
            session.output.show(&role, || {
                session.output.card(&[
                    ("id", role.id.clone()),
                    ("name", role.name.clone()),
                    ("description", role.description.clone()),
                    ("gives", lines(&role.permissions)),
                    ("version", role.resource_version.clone()),
                    ("created", session.output.when(&role.created_time)),
                    ("last changed", session.output.when(&role.last_modified_time)),
                ])
            })
        }
        Command::Create(args) => {
            let body = CreateCustomRole { name: args.name, description: args.description, permissions: read(&args.permissions_file)? };
            session.create(&args.change, &["custom-roles"], &body).await
        }
        Command::Update(args) => {
            let body = UpdateCustomRole {
                name: args.name,
                description: args.description,
                permissions: args.permissions_file.as_deref().map(read).transpose()?,
                resource_version: args.version.resource_version,
            };
            session.change(&args.change, Method::PATCH, &["custom-roles", &args.role.role_id], Some(&body)).await
        }
        Command::Delete(args) => {
            confirm_delete(session, &format!("custom role {}", args.role.role_id))?;
            let path = ["custom-roles", &args.role.role_id];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
    }
}

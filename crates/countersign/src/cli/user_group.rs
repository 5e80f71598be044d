//! `user-group`: rights that users share, by `tcld`'s names.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::input;
use super::pages::PageFlags;
use super::service_account::{confirm_role, permissions};
use super::table::{text, whole};
use countersign_proto::rest::{AccessBody, AddGroupMember, CreateUserGroup, GroupMemberBody, UpdateUserGroup, UserBody, UserGroupBody};
use reqwest::Method;
use std::collections::BTreeMap;

/// `user-group …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the groups
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// Show a group
    #[command(visible_alias = "g")]
    Get(GroupFlag),
    /// Make a group without members
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Change what every member may
    #[command(visible_alias = "sa")]
    SetAccess(AccessArgs),
    /// Put users into a group
    #[command(visible_alias = "au")]
    AddUsers(UsersArgs),
    /// Take users out of a group; what they had by it ends at once
    #[command(visible_alias = "ru")]
    RemoveUsers(UsersArgs),
    /// List the members of a group
    #[command(visible_alias = "lm")]
    ListMembers(MembersArgs),
    /// Delete a group; its members keep what is their own
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
}

/// Which group.
#[derive(clap::Args)]
pub struct GroupFlag {
    /// The group's id
    #[arg(long, alias = "id", value_name = "ID")]
    group_id: String,
}

/// `user-group list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only those with a permission in this namespace
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Only the one of this name
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,

    #[command(flatten)]
    pages: PageFlags,
}

/// The rights of a group.
#[derive(clap::Args)]
struct RightsFlags {
    /// owner, admin, developer, finance_admin, read or metrics_read
    #[arg(long, alias = "ar", value_name = "ROLE")]
    account_role: Option<String>,

    /// NAMESPACE-PERMISSION with admin, write or read, as tcld writes it, or NAMESPACE=PERMISSION; may be repeated
    #[arg(long, alias = "nr", alias = "namespace-permission", short = 'p', value_name = "NAMESPACE-PERMISSION")]
    namespace_role: Vec<String>,

    /// The id of a custom role; may be repeated
    #[arg(long, value_name = "ID")]
    custom_role: Vec<String>,
}

impl RightsFlags {
    /// `ns-role` or `ns=role`.
    fn permissions(&self) -> Result<BTreeMap<String, String>, Failure> {
        let with_equals = |text: &String| match (text.contains('='), text.rsplit_once('-')) {
            (false, Some((namespace, role))) => format!("{namespace}={role}"),
            _ => text.clone(),
        };
        input::permissions(&self.namespace_role.iter().map(with_equals).collect::<Vec<_>>())
    }
}

/// `user-group create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// The group's name
    #[arg(long, alias = "name", alias = "dn", value_name = "NAME")]
    display_name: String,

    #[command(flatten)]
    rights: RightsFlags,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user-group set-access`.
#[derive(clap::Args)]
pub struct AccessArgs {
    #[command(flatten)]
    group: GroupFlag,

    #[command(flatten)]
    rights: RightsFlags,

    /// Add these permissions to those there are
    #[arg(long, conflicts_with = "remove")]
    append: bool,

    /// Take these permissions away
    #[arg(long)]
    remove: bool,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user-group add-users` and `remove-users`.
#[derive(clap::Args)]
pub struct UsersArgs {
    #[command(flatten)]
    group: GroupFlag,

    /// The user's mail address; may be repeated
    #[arg(long, short = 'e', alias = "email", value_name = "MAIL", required = true)]
    user_email: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user-group list-members`.
#[derive(clap::Args)]
pub struct MembersArgs {
    #[command(flatten)]
    group: GroupFlag,

    #[command(flatten)]
    pages: PageFlags,
}

/// `user-group delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    group: GroupFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

async fn fetch(session: &Session, id: &str) -> Result<UserGroupBody, Failure> {
    session.client()?.get(&["user-groups", id], NO_QUERY).await
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(args) => {
            let filters = [("namespace", args.namespace), ("display_name", args.display_name)];
            let page = session.pages::<UserGroupBody>(&["user-groups"], &args.pages, &filters).await?;
            let empty = "No user group here. Make one: countersign user-group create --display-name NAME --account-role read";
            session.show_page(&page, &[whole("ID"), text("NAME"), whole("ROLE"), text("PERMISSIONS"), whole("CREATED")], empty, |group| {
                vec![
                    group.id.clone(),
                    group.name.clone(),
                    group.access.account_role.clone(),
                    permissions(&group.access),
                    session.output.ago(&group.created_time),
                ]
            })
        }
        Command::Get(flag) => {
            let group = fetch(session, &flag.group_id).await?;
            session.output.show(&group, || {
                session.output.card(&[
                    ("id", group.id.clone()),
                    ("name", group.name.clone()),
                    ("account role", group.access.account_role.clone()),
                    ("permissions", permissions(&group.access)),
                    ("custom roles", group.access.custom_roles.join(", ")),
                    ("version", group.resource_version.clone()),
                    ("created", session.output.when(&group.created_time)),
                    ("last changed", session.output.when(&group.last_modified_time)),
                ])
            })
        }
        Command::Create(args) => {
            let access = AccessBody {
                account_role: input::role(args.rights.account_role.as_deref().unwrap_or("read"))?,
                namespace_permissions: args.rights.permissions()?,
                custom_roles: args.rights.custom_role,
            };
            confirm_role(session, &access.account_role, !access.namespace_permissions.is_empty())?;
            let body = CreateUserGroup { name: args.display_name, google_group_email: None, access };
            session.create(&args.change, &["user-groups"], &body).await
        }
        Command::SetAccess(args) => set_access(session, args).await,
        Command::AddUsers(args) => {
            for (mail, user_id) in users(session, &args).await? {
                let body = AddGroupMember { user_id };
                tell(&args, &mail);
                session.change(&args.change, Method::POST, &["user-groups", &args.group.group_id, "members"], Some(&body)).await?;
            }
            Ok(())
        }
        Command::RemoveUsers(args) => {
            for (mail, user) in users(session, &args).await? {
                tell(&args, &mail);
                let path = ["user-groups", &args.group.group_id, "members", &user];
                session.change::<()>(&args.change, Method::DELETE, &path, None).await?;
            }
            Ok(())
        }
        Command::ListMembers(args) => {
            let page = session.pages::<GroupMemberBody>(&["user-groups", &args.group.group_id, "members"], &args.pages, &[]).await?;
            let empty = "No member. Add one: countersign user-group add-users --group-id ID --user-email MAIL";
            let names = session.user_names().await;
            session.show_page(&page, &[whole("USER ID"), text("USER"), whole("SINCE")], empty, |member| {
                vec![
                    member.user_id.clone(),
                    names.get(&member.user_id).cloned().unwrap_or_default(),
                    session.output.ago(&member.created_time),
                ]
            })
        }
        Command::Delete(args) => {
            confirm_delete(session, &format!("user group {}", args.group.group_id))?;
            let path = ["user-groups", &args.group.group_id];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
    }
}

/// Says which of several users the next answer is about.
fn tell(args: &UsersArgs, mail: &str) {
    if args.user_email.len() > 1 {
        super::output::note(mail);
    }
}

/// The users of these mail addresses; all are known before any is put in or taken out.
async fn users(session: &Session, args: &UsersArgs) -> Result<Vec<(String, String)>, Failure> {
    if args.user_email.len() > 1 && args.change.request_id.is_some() {
        return Err(Failure::usage("one request id cannot stand for several users").hint("name them one by one, or without --request-id"));
    }
    let mut found = Vec::with_capacity(args.user_email.len());
    for mail in &args.user_email {
        let filters = [("email", Some(mail.trim().to_owned()))];
        let users = session.pages::<UserBody>(&["users"], &PageFlags::default(), &filters).await?.items;
        let user = users.into_iter().next().ok_or_else(|| {
            Failure::refused("not_found", format!("there is no user with the mail address {mail}")).hint("see countersign user list")
        })?;
        found.push((mail.clone(), user.id));
    }
    Ok(found)
}

async fn set_access(session: &Session, args: AccessArgs) -> Outcome {
    let before = fetch(session, &args.group.group_id).await?;
    let given = args.rights.permissions()?;
    let mut access = before.access;
    if args.append {
        access.namespace_permissions.extend(given);
    } else if args.remove {
        access.namespace_permissions.retain(|namespace, permission| given.get(namespace) != Some(permission));
    } else {
        access.namespace_permissions = given;
    }
    if let Some(role) = &args.rights.account_role {
        access.account_role = input::role(role)?;
        confirm_role(session, &access.account_role, !access.namespace_permissions.is_empty())?;
    }
    if !args.rights.custom_role.is_empty() {
        access.custom_roles = args.rights.custom_role;
    }
    // What was read is what is changed.
    let resource_version = args.version.resource_version.or(Some(before.resource_version));
    let body = UpdateUserGroup { name: None, access: Some(access), resource_version };
    session.change(&args.change, Method::PATCH, &["user-groups", &args.group.group_id], Some(&body)).await
}

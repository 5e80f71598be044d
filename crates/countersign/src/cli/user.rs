//! `user`: identities of people, named by mail address or id.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::input;
use super::pages::PageFlags;
use super::service_account::{confirm_permissions, confirm_role, permissions};
use super::table::{text, whole};
use countersign_proto::rest::{AccessBody, CreateUser, InvitationBody, InvitedUser, UpdateIdentity, UserBody};
use reqwest::Method;

/// `user …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a user; prints the address at which to set a password
    #[command(visible_alias = "i")]
    Invite(InviteArgs),
    /// Make a new address at which a user sets a password
    #[command(visible_alias = "ri")]
    ResendInvite(AgainArgs),
    /// Show a user
    #[command(visible_alias = "g")]
    Get(WhoFlag),
    /// List the users
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Delete a user, with API keys and certificates
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
    /// Give a user another account role
    #[command(visible_alias = "sar")]
    SetAccountRole(RoleArgs),
    /// Give a user exactly these namespace permissions
    #[command(visible_alias = "snp")]
    SetNamespacePermissions(PermissionsArgs),
}

/// Which user.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct WhoFlag {
    /// The user's mail address
    #[arg(long, short = 'e', alias = "email", value_name = "MAIL")]
    user_email: Option<String>,

    /// The user's id
    #[arg(long, alias = "id", value_name = "ID")]
    user_id: Option<String>,
}

impl WhoFlag {
    /// The id; a mail address is looked up.
    async fn id(&self, session: &Session) -> Result<String, Failure> {
        if let Some(id) = &self.user_id {
            return Ok(id.clone());
        }
        let email = self.user_email.as_deref().unwrap_or_default().trim();
        let users = session.pages::<UserBody>(&["users"], &PageFlags::default(), &[]).await?.items;
        users.into_iter().find(|user| user.email.eq_ignore_ascii_case(email)).map(|user| user.id).ok_or_else(|| {
            Failure::refused("not_found", format!("there is no user with the mail address {email}")).hint("see countersign user list")
        })
    }
}

/// `user invite`.
#[derive(clap::Args)]
pub struct InviteArgs {
    /// The mail address; may be repeated
    #[arg(long, short = 'e', alias = "email", value_name = "MAIL", required = true)]
    user_email: Vec<String>,

    /// owner, admin, developer, finance_admin, read or metrics_read
    #[arg(long, alias = "ar", value_name = "ROLE")]
    account_role: String,

    /// NAMESPACE=PERMISSION with admin, write or read; may be repeated
    #[arg(long, alias = "np", short = 'p', value_name = "NAMESPACE=PERMISSION")]
    namespace_permission: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user resend-invite`.
#[derive(clap::Args)]
pub struct AgainArgs {
    #[command(flatten)]
    who: WhoFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    who: WhoFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user set-account-role`.
#[derive(clap::Args)]
pub struct RoleArgs {
    #[command(flatten)]
    who: WhoFlag,

    /// owner, admin, developer, finance_admin, read or metrics_read
    #[arg(long, alias = "ar", value_name = "ROLE")]
    account_role: String,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `user set-namespace-permissions`.
#[derive(clap::Args)]
pub struct PermissionsArgs {
    #[command(flatten)]
    who: WhoFlag,

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
        Command::Invite(args) => invite(session, args).await,
        Command::ResendInvite(args) => invite_again(session, args).await,
        Command::Get(who) => {
            let user: UserBody = session.client()?.get(&["users", &who.id(session).await?], NO_QUERY).await?;
            session.output.show(&user, || {
                session.output.card(&[
                    ("id", user.id.clone()),
                    ("mail", user.email.clone()),
                    ("account role", user.access.account_role.clone()),
                    ("permissions", permissions(&user.access)),
                    ("version", user.resource_version.clone()),
                    ("created", session.output.when(&user.created_time)),
                    ("last changed", session.output.when(&user.last_modified_time)),
                ])
            })
        }
        Command::List(flags) => {
            let page = session.pages::<UserBody>(&["users"], &flags, &[]).await?;
            let empty = "No user here. Add one: countersign user invite --user-email MAIL --account-role read";
            session.show_page(&page, &[whole("ID"), text("MAIL"), whole("ROLE"), text("PERMISSIONS"), whole("CREATED")], empty, |user| {
                vec![
                    user.id.clone(),
                    user.email.clone(),
                    user.access.account_role.clone(),
                    permissions(&user.access),
                    session.output.ago(&user.created_time),
                ]
            })
        }
        Command::Delete(args) => {
            let id = args.who.id(session).await?;
            confirm_delete(session, &format!("user {id} with all API keys and certificates"))?;
            session.change_with::<()>(&args.change, Method::DELETE, &["users", &id], &args.version.query(), None).await
        }
        Command::SetAccountRole(args) => {
            let role = input::role(&args.account_role)?;
            confirm_role(session, &role, true)?;
            let body = UpdateIdentity { account_role: Some(role), resource_version: args.version.resource_version, ..Default::default() };
            session.change(&args.change, Method::PATCH, &["users", &args.who.id(session).await?], Some(&body)).await
        }
        Command::SetNamespacePermissions(args) => {
            let permissions = input::permissions(&args.namespace_permission)?;
            confirm_permissions(session, permissions.is_empty())?;
            let body = UpdateIdentity {
                namespace_permissions: Some(permissions),
                resource_version: args.version.resource_version,
                ..Default::default()
            };
            session.change(&args.change, Method::PATCH, &["users", &args.who.id(session).await?], Some(&body)).await
        }
    }
}

async fn invite(session: &Session, args: InviteArgs) -> Outcome {
    let access = AccessBody {
        account_role: input::role(&args.account_role)?,
        namespace_permissions: input::permissions(&args.namespace_permission)?,
        custom_roles: Vec::new(),
    };
    confirm_role(session, &access.account_role, !access.namespace_permissions.is_empty())?;
    if args.user_email.len() > 1 && args.change.request_id.is_some() {
        return Err(Failure::usage("one request id cannot stand for several users").hint("invite them one by one, or without --request-id"));
    }
    for email in args.user_email {
        let body = CreateUser { email, access: access.clone() };
        let made: Option<InvitedUser> = session.make(&args.change, Method::POST, &["users"], &body).await?;
        let Some(mut made) = made else { continue };
        made.request_status = session.settle(&args.change, made.request_status).await?;
        session.output.show(&made, || invited(session, &made.id, made.invitation_url.as_deref()))?;
    }
    Ok(())
}

async fn invite_again(session: &Session, args: AgainArgs) -> Outcome {
    let id = args.who.id(session).await?;
    let made: Option<InvitationBody> =
        session.make(&args.change, Method::POST, &["users", &id, "invitation"], &serde_json::json!({})).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(&args.change, made.request_status).await?;
    session.output.show(&made, || invited(session, &id, made.invitation_url.as_deref()))
}

/// A user who is to set a password, for a person to read.
fn invited(session: &Session, id: &str, address: Option<&str>) -> String {
    let card = session.output.card(&[("id", id.to_owned()), ("to set a password", address.unwrap_or("was shown before").to_owned())]);
    format!("{card}The address is good once and for seven days. It is shown now and never again; hand it to that person alone.\n")
}

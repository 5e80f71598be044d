//! `application`: what a portal's developer builds, with a sandbox and a production environment. Words only; the rules are the
//! server's.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::input;
use super::pages::PageFlags;
use super::service_account::confirm_permissions;
use super::table::{text, whole};
use countersign_proto::rest::{AddTrustedCas, ApplicationBody, CreateApplication, TrustedCas, UpdateApplication};
use reqwest::Method;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `application …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make an application
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Show an application
    #[command(visible_alias = "g")]
    Get(Which),
    /// List the applications that you may see
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Change name, description or owner
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
    /// Delete an application with the credentials of both environments; their connections are cut
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
    /// Give one environment exactly these namespace permissions
    #[command(visible_alias = "snp")]
    SetNamespacePermissions(PermissionsArgs),
    /// The CAs whose certificates may be registered for applications
    #[command(subcommand)]
    TrustedCa(TrustedCa),
}

/// Which application.
#[derive(clap::Args)]
pub struct Which {
    /// The application's id or name
    #[arg(long, short = 'i', visible_alias = "application", alias = "application-id", value_name = "ID")]
    id: String,
}

/// `application create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// Its name
    #[arg(long, short = 'n')]
    name: String,

    /// What it is for
    #[arg(long, short = 'd', alias = "desc", value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,

    /// The user it belongs to, who manages its credentials; without one only admins do
    #[arg(long, alias = "owner", value_name = "ID")]
    owner_id: Option<String>,

    /// In the sandbox, NAMESPACE=PERMISSION with admin, write or read; may be repeated
    #[arg(long, value_name = "NAMESPACE=PERMISSION")]
    sandbox_permission: Vec<String>,

    /// In production, likewise
    #[arg(long, value_name = "NAMESPACE=PERMISSION")]
    production_permission: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `application update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    which: Which,

    /// A new name
    #[arg(long, short = 'n')]
    name: Option<String>,

    /// A new description
    #[arg(long, short = 'd', alias = "desc", value_name = "TEXT")]
    description: Option<String>,

    /// Another owner; an empty one leaves it to admins
    #[arg(long, alias = "owner", value_name = "ID")]
    owner_id: Option<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `application delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `application set-namespace-permissions`.
#[derive(clap::Args)]
pub struct PermissionsArgs {
    #[command(flatten)]
    which: Which,

    /// sandbox or production
    #[arg(long)]
    environment: String,

    /// NAMESPACE=PERMISSION with admin, write or read; may be repeated; none at all takes every permission away
    #[arg(long, alias = "np", short = 'p', value_name = "NAMESPACE=PERMISSION")]
    namespace_permission: Vec<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `application trusted-ca …`.
#[derive(clap::Subcommand)]
pub enum TrustedCa {
    /// Trust further CAs
    #[command(visible_alias = "a")]
    Add(AddArgs),
    /// List the trusted CAs
    #[command(visible_alias = "l")]
    List(EnvironmentFlag),
    /// Trust a CA no longer; what was registered by it stays
    #[command(visible_alias = "r")]
    Remove(RemoveArgs),
}

/// Which environment.
#[derive(clap::Args)]
pub struct EnvironmentFlag {
    /// sandbox or production
    #[arg(long)]
    environment: String,
}

/// `application trusted-ca add`.
#[derive(clap::Args)]
pub struct AddArgs {
    #[command(flatten)]
    environment: EnvironmentFlag,

    /// One CA certificate or more, a PEM file; - is stdin
    #[arg(long, short = 'f', visible_alias = "file", value_name = "FILE")]
    ca_certificate_file: PathBuf,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `application trusted-ca remove`.
#[derive(clap::Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    environment: EnvironmentFlag,

    /// Its fingerprint
    #[arg(long, visible_alias = "fp", value_name = "FINGERPRINT")]
    ca_certificate_fingerprint: String,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => {
            let body = CreateApplication {
                name: args.name,
                description: args.description,
                owner_id: args.owner_id,
                sandbox: input::permissions(&args.sandbox_permission)?,
                production: input::permissions(&args.production_permission)?,
            };
            session.create(&args.change, &["applications"], &body).await
        }
        Command::Get(which) => {
            let application: ApplicationBody = session.client()?.get(&["applications", &which.id], NO_QUERY).await?;
            session.output.show(&application, || card(session, &application))
        }
        Command::List(flags) => list(session, &flags).await,
        Command::Update(args) => {
            if args.name.is_none() && args.description.is_none() && args.owner_id.is_none() {
                return Err(Failure::usage("nothing is given to change").hint("add --name, --description or --owner-id"));
            }
            let body = UpdateApplication {
                name: args.name,
                description: args.description,
                owner_id: args.owner_id,
                resource_version: args.version.resource_version,
                ..UpdateApplication::default()
            };
            session.change(&args.change, Method::PATCH, &["applications", &args.which.id], Some(&body)).await
        }
        Command::Delete(args) => {
            confirm_delete(session, &format!("application {} with all its API keys and certificates", args.which.id))?;
            let path = ["applications", args.which.id.as_str()];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
        Command::SetNamespacePermissions(args) => {
            let permissions = input::permissions(&args.namespace_permission)?;
            confirm_permissions(session, permissions.is_empty())?;
            let mut body = UpdateApplication { resource_version: args.version.resource_version, ..UpdateApplication::default() };
            match args.environment.to_ascii_lowercase().as_str() {
                "sandbox" => body.sandbox = Some(permissions),
                "production" => body.production = Some(permissions),
                _ => return Err(Failure::usage("--environment is sandbox or production")),
            }
            session.change(&args.change, Method::PATCH, &["applications", &args.which.id], Some(&body)).await
        }
        Command::TrustedCa(command) => trusted_ca(session, command).await,
    }
}

async fn trusted_ca(session: &Session, command: TrustedCa) -> Outcome {
    match command {
        TrustedCa::Add(args) => {
            let body = AddTrustedCas { certificates: input::pem_text(&input::read(&args.ca_certificate_file)?)? };
            session.change(&args.change, Method::POST, &["trusted-cas", &args.environment.environment], Some(&body)).await
        }
        TrustedCa::List(flag) => {
            let cas: TrustedCas = session.client()?.get(&["trusted-cas", &flag.environment], NO_QUERY).await?;
            let rows =
                cas.items.iter().map(|ca| vec![ca.fingerprint_sha256.clone(), ca.subject.clone(), session.output.ago(&ca.not_after)]);
            let empty =
                "No CA is trusted here. Trust one: countersign application trusted-ca add --environment … --ca-certificate-file FILE";
            session
                .output
                .show(&cas, || session.output.list(&[whole("FINGERPRINT"), text("SUBJECT"), whole("ENDS")], rows.collect(), empty))
        }
        TrustedCa::Remove(args) => {
            let print = input::fingerprint(&args.ca_certificate_fingerprint)?;
            let path = ["trusted-cas", args.environment.environment.as_str(), print.as_str()];
            session.change::<()>(&args.change, Method::DELETE, &path, None).await
        }
    }
}

async fn list(session: &Session, flags: &PageFlags) -> Outcome {
    let page = session.pages::<ApplicationBody>(&["applications"], flags, &[]).await?;
    let empty = "No application yet. Make one: countersign application create --name NAME --sandbox-permission NAMESPACE=write";
    let names = session.user_names().await;
    let head = [whole("ID"), text("NAME"), text("OWNER"), text("SANDBOX"), text("PRODUCTION"), whole("CREATED"), whole("OWNER ID")];
    session.show_page(&page, &head, empty, |application| {
        let owner = application.owner_id.as_ref();
        vec![
            application.id.clone(),
            application.name.clone(),
            owner.map_or_else(|| "admins".to_owned(), |id| names.get(id).cloned().unwrap_or_default()),
            permissions(&application.sandbox.namespace_permissions),
            permissions(&application.production.namespace_permissions),
            session.output.ago(&application.created_time),
            owner.cloned().unwrap_or_default(),
        ]
    })
}

fn permissions(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(namespace, permission)| format!("{namespace}={permission}")).collect::<Vec<_>>().join(", ")
}

fn card(session: &Session, application: &ApplicationBody) -> String {
    session.output.card(&[
        ("id", application.id.clone()),
        ("name", application.name.clone()),
        ("description", application.description.clone()),
        ("owner", application.owner_id.clone().unwrap_or_else(|| "admins".to_owned())),
        ("sandbox", application.sandbox.id.clone()),
        ("permissions there", permissions(&application.sandbox.namespace_permissions)),
        ("production", application.production.id.clone()),
        ("permissions there", permissions(&application.production.namespace_permissions)),
        ("version", application.resource_version.clone()),
        ("created", session.output.when(&application.created_time)),
        ("last changed", session.output.when(&application.last_modified_time)),
    ])
}

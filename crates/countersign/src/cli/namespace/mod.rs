//! `namespace`: create, get, list, update, delete, and the commands of its parts.

mod auth_method;
mod ca;
mod filters;
mod leaves;
mod temporal;

use super::Session;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::output::{count, note};
use super::pages::PageFlags;
use super::table::whole;
use super::{apikey, input, prompt};
use countersign_proto::rest::{CreateNamespace, Created, GenerateApiKey, GeneratedApiKey, NamespaceBody, UpdateNamespace};
use reqwest::Method;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `namespace …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a namespace
    #[command(visible_alias = "c")]
    Create(Box<CreateArgs>),
    /// Show a namespace
    #[command(visible_alias = "g")]
    Get(NamespaceFlag),
    /// List the namespaces you may see
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Change where a namespace forwards to, or the hosts it is reached at
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
    /// Delete a namespace, with its service accounts and their keys
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
    /// The CAs whose client certificates get in
    #[command(subcommand, visible_alias = "ca")]
    AcceptedClientCa(ca::Command),
    /// Which client certificates of those CAs get in
    #[command(subcommand, visible_alias = "cf")]
    CertificateFilters(filters::Command),
    /// Which kinds of credentials get in
    #[command(subcommand, visible_alias = "am")]
    AuthMethod(auth_method::Command),
    /// Whether it is protected against deletion
    #[command(subcommand, visible_alias = "lc")]
    Lifecycle(temporal::Lifecycle),
    /// How long closed workflows are kept
    #[command(subcommand)]
    Retention(temporal::Retention),
    /// Search attributes of Temporal
    #[command(subcommand, visible_alias = "sa")]
    SearchAttributes(temporal::SearchAttributes),
    /// Labels
    #[command(subcommand)]
    Tags(temporal::Tags),
    /// The codec server that Temporal's web UI decodes with
    #[command(visible_alias = "ucs")]
    UpdateCodecServer(temporal::CodecArgs),
    /// Make an API key for the namespace, with a service account of its own
    GenerateApiKey(GenerateArgs),
}

/// Which namespace.
#[derive(clap::Args, Clone)]
pub struct NamespaceFlag {
    /// The namespace, NAME.ACCOUNT [env: COUNTERSIGN_NAMESPACE, TEMPORAL_CLOUD_NAMESPACE]
    #[arg(long, short = 'n', env = "COUNTERSIGN_NAMESPACE", hide_env = true)]
    namespace: Option<String>,
}

impl NamespaceFlag {
    /// The namespace; `tcld`'s variable counts too.
    pub fn get(&self) -> Result<String, Failure> {
        let theirs = || std::env::var("TEMPORAL_CLOUD_NAMESPACE").ok();
        self.namespace
            .clone()
            .or_else(theirs)
            .map(|n| n.trim().to_owned())
            .filter(|n| !n.is_empty())
            .ok_or_else(|| Failure::usage("no namespace is given").hint("add --namespace NAME.ACCOUNT, or set COUNTERSIGN_NAMESPACE"))
    }
}

/// `namespace create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// Where its requests are forwarded to: http://HOST:PORT, h2c://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// restricted, mtls, api_key or api_key_or_mtls [default: mtls with a CA, else restricted: closed]
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,

    /// CA certificates, base64 of their PEM
    #[arg(long, short = 'c', value_name = "BASE64")]
    ca_certificate: Option<String>,

    /// CA certificates, a PEM file
    #[arg(long, alias = "cf", value_name = "FILE")]
    ca_certificate_file: Option<PathBuf>,

    /// Certificate filters, a JSON file
    #[arg(long, alias = "cff", value_name = "FILE")]
    certificate_filter_file: Option<PathBuf>,

    /// Certificate filters, JSON
    #[arg(long, alias = "cfi", value_name = "JSON")]
    certificate_filter_input: Option<String>,

    /// A further host it is reached at; may be repeated
    #[arg(long, value_name = "HOST")]
    hostname: Vec<String>,

    /// A region of account list-regions; may be repeated
    #[arg(long, alias = "re", value_name = "REGION")]
    region: Vec<String>,

    /// How many days a closed workflow is kept, 1 to 90
    #[arg(long, alias = "rd", value_name = "DAYS")]
    retention_days: Option<i32>,

    /// A search attribute of Temporal, NAME=TYPE; may be repeated
    #[arg(long, alias = "sa", value_name = "NAME=TYPE")]
    search_attribute: Vec<String>,

    /// Protect it against deletion
    #[arg(long, alias = "edp")]
    enable_delete_protection: bool,

    /// A label, KEY=VALUE; may be repeated
    #[arg(long, short = 't', value_name = "KEY=VALUE")]
    tag: Vec<String>,

    #[command(flatten)]
    codec: temporal::CodecFlags,

    #[command(flatten)]
    elsewhere: Elsewhere,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Flags of `tcld namespace create` that have no meaning here; taken so that its lines work, and answered with a remark.
#[derive(clap::Args)]
struct Elsewhere {
    #[arg(long, alias = "cp", hide = true)]
    cloud_provider: Option<String>,
}

impl Elsewhere {
    fn remark(&self) {
        if self.cloud_provider.is_some() {
            note("--cloud-provider: without effect here");
        }
    }
}

/// `namespace update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// A new upstream; an empty text takes it away
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// The further hosts it is reached at, all of them; may be repeated
    #[arg(long, value_name = "HOST", conflicts_with = "no_hostnames")]
    hostname: Vec<String>,

    /// Take all further hosts away
    #[arg(long)]
    no_hostnames: bool,

    /// How many seconds a gateway that hears nothing goes on serving it, 60 to 86400
    #[arg(long, value_name = "SECONDS")]
    snapshot_age_max_seconds: Option<i64>,

    #[command(flatten)]
    timeouts: super::api::TimeoutFlags,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `namespace delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `namespace generate-api-key`.
#[derive(clap::Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// admin, write or read [default: admin]
    #[arg(long, value_name = "PERMISSION")]
    permission: Option<String>,

    /// How long the key lives, for example 90d [default: 2y]
    #[arg(long, short = 'd', value_name = "DURATION")]
    duration: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => create(session, *args).await,
        Command::Get(flag) => {
            let body: NamespaceBody = session.client()?.get(&["namespaces", &flag.get()?], NO_QUERY).await?;
            session.output.show(&body, || card(session, &body))
        }
        Command::List(flags) => {
            let page = session.pages::<NamespaceBody>(&["namespaces"], &flags, &[]).await?;
            let empty = "No namespace yet, or none you may see. Make one: countersign namespace create --namespace NAME --upstream URL";
            session.show_page(
                &page,
                &[whole("NAMESPACE"), whole("AUTH METHOD"), whole("CAS"), whole("FILTERS"), whole("APIS"), whole("UPSTREAM")],
                empty,
                |n| {
                    vec![
                        n.namespace.clone(),
                        n.auth_method.clone(),
                        n.accepted_client_cas.len().to_string(),
                        n.certificate_filters.len().to_string(),
                        n.apis.len().to_string(),
                        n.upstream.clone().unwrap_or_default(),
                    ]
                },
            )
        }
        Command::Update(args) => update(session, args).await,
        Command::Delete(args) => {
            let namespace = args.namespace.get()?;
            prompt::demand(
                &format!("deleting namespace {namespace}: nobody gets in any more, and its service accounts' keys are deleted. confirm:"),
                session.auto_confirm,
            )?;
            session.change_with::<()>(&args.change, Method::DELETE, &["namespaces", &namespace], &args.version.query(), None).await
        }
        Command::AcceptedClientCa(command) => ca::run(session, command).await,
        Command::CertificateFilters(command) => filters::run(session, command).await,
        Command::AuthMethod(command) => auth_method::run(session, command).await,
        Command::Lifecycle(command) => temporal::lifecycle(session, command).await,
        Command::Retention(command) => temporal::retention(session, command).await,
        Command::SearchAttributes(command) => temporal::search_attributes(session, command).await,
        Command::Tags(command) => temporal::tags(session, command).await,
        Command::UpdateCodecServer(args) => temporal::codec_server(session, args).await,
        Command::GenerateApiKey(args) => generate(session, args).await,
    }
}

async fn create(session: &Session, args: CreateArgs) -> Outcome {
    let accepted_client_ca = input::certificates(args.ca_certificate.as_deref(), args.ca_certificate_file.as_deref())?;
    let filters = filters::read(args.certificate_filter_file.as_deref(), args.certificate_filter_input.as_deref())?;
    args.elsewhere.remark();
    let auth_method = args.auth_method.or_else(|| accepted_client_ca.is_some().then(|| "mtls".to_owned()));
    let body = CreateNamespace {
        name: args.namespace.get()?,
        upstream: args.upstream,
        auth_method,
        accepted_client_ca,
        certificate_filters: filters.unwrap_or_default(),
        extra_hostnames: args.hostname,
        upstream_timeouts: None,
        retention_days: args.retention_days,
        search_attributes: some(temporal::pairs(&args.search_attribute, "search attribute")?),
        codec_server: args.codec.body(),
        delete_protection: args.enable_delete_protection.then_some(true),
        regions: temporal::regions(session, &args.region).await?,
        tags: some(temporal::pairs(&args.tag, "tag")?),
    };
    session.create(&args.change, &["namespaces"], &body).await
}

fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

async fn update(session: &Session, args: UpdateArgs) -> Outcome {
    let body = UpdateNamespace {
        upstream: args.upstream,
        auth_method: None,
        extra_hostnames: (args.no_hostnames || !args.hostname.is_empty()).then_some(args.hostname),
        snapshot_age_max_seconds: args.snapshot_age_max_seconds,
        upstream_timeouts: args.timeouts.body(),
        resource_version: args.version.resource_version,
        ..UpdateNamespace::default()
    };
    session.change(&args.change, Method::PATCH, &["namespaces", &args.namespace.get()?], Some(&body)).await
}

async fn generate(session: &Session, args: GenerateArgs) -> Outcome {
    let body = GenerateApiKey { permission: args.permission, duration: args.duration.as_deref().map(input::key_duration).transpose()? };
    let namespace = args.namespace.get()?;
    let made: Option<GeneratedApiKey> =
        session.make(&args.change, Method::POST, &["namespaces", &namespace, "generate-api-key"], &body).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(&args.change, made.request_status).await?;
    session.output.show(&made, || {
        session.output.card(&[
            ("service account", made.service_account_id.clone()),
            ("id", made.id.clone()),
            ("secret key", made.secret_key.clone().unwrap_or_default()),
        ])
    })?;
    apikey::store_it_now(made.secret_key.as_deref());
    Ok(())
}

fn card(session: &Session, n: &NamespaceBody) -> String {
    let apis: Vec<_> = n.apis.iter().map(|a| format!("{} {}", a.name, a.listen_path)).collect();
    session.output.card(&[
        ("namespace", n.namespace.clone()),
        ("endpoint", n.endpoint.clone()),
        ("further hosts", n.extra_hostnames.join(", ")),
        ("upstream", n.upstream.clone().unwrap_or_else(|| "none: only its APIs are reached".to_owned())),
        ("auth method", n.auth_method.clone()),
        ("accepted CAs", count(n.accepted_client_cas.len() as u64, "CA", "CAs")),
        ("filters", count(n.certificate_filters.len() as u64, "filter", "filters")),
        ("apis", apis.join("\n")),
        ("timeouts", super::api::timeouts(&n.upstream_timeouts)),
        ("delete protection", if n.delete_protection { "on" } else { "off" }.to_owned()),
        ("regions", n.regions.join(", ")),
        ("tags", n.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")),
        ("version", n.resource_version.clone()),
        ("created", session.output.when(&n.created_time)),
        ("last changed", session.output.when(&n.last_modified_time)),
    ])
}

impl Session {
    /// Sends a create whose answer is the new id and its progress, and tells it.
    pub(super) async fn create<B: serde::Serialize>(&self, flags: &ChangeFlags, path: &[&str], body: &B) -> Outcome {
        let made: Option<Created> = self.make(flags, Method::POST, path, body).await?;
        let Some(mut made) = made else { return Ok(()) };
        made.request_status = self.settle(flags, made.request_status).await?;
        self.output.show(&made, || format!("{}id: {}\n", self.told(&made.request_status), made.id))
    }
}

//! `api`: the APIs of a namespace, that is listen paths and which credentials they take.

use super::Session;
use super::apikey::confirm_delete;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::namespace::NamespaceFlag;
use super::pages::PageFlags;
use super::table::{text, whole};
use countersign_proto::rest::{ApiBody, ApiSpec, UpstreamTimeoutsBody};
use reqwest::Method;

/// `api …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make an API
    #[command(visible_alias = "c")]
    Create(WriteArgs),
    /// Show an API
    #[command(visible_alias = "g")]
    Get(OneFlag),
    /// List the APIs of a namespace
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// Change an API; what is not named stays
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
    /// Delete an API; its connections are cut
    #[command(visible_alias = "d")]
    Delete(DeleteArgs),
}

/// What an API is.
#[derive(clap::Args)]
struct Spec {
    /// The path at and below which it listens, for example /orders
    #[arg(long, value_name = "PATH")]
    listen_path: Option<String>,

    /// Where its requests go, if not where the namespace's go; an empty text means the namespace's
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// Whether it takes API keys [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    enable_api_key: Option<bool>,

    /// Whether it takes client certificates [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    enable_client_certificate: Option<bool>,

    /// Whether the API key is passed on to the upstream [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pass_api_key: Option<bool>,

    /// Whether the upstream is told the client certificate (Client-Cert, RFC 9440) [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    forward_client_certificate: Option<bool>,

    /// Whether a path that differs from the listen path in case only is another path; otherwise it is refused [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    case_sensitive: Option<bool>,

    /// A form of a path to take that is refused otherwise, for example encoded_slash; may be repeated, and an empty text takes all away
    #[arg(long, value_name = "FORM")]
    allow_path_form: Vec<String>,

    #[command(flatten)]
    timeouts: TimeoutFlags,
}

/// How long the gateway waits for an upstream.
#[derive(clap::Args)]
pub(super) struct TimeoutFlags {
    /// Seconds to wait for a connection to the upstream, 1 to 60; 0 for the wider setting
    #[arg(long, value_name = "SECONDS")]
    upstream_connect_seconds: Option<i64>,

    /// Seconds to wait for a response head, from the end of the request's body on, 1 to 86400; 0 for the wider setting
    #[arg(long, value_name = "SECONDS")]
    upstream_response_head_seconds: Option<i64>,

    /// Seconds to wait for the next byte once a response has begun, 1 to 86400; 0 for the wider setting
    #[arg(long, value_name = "SECONDS")]
    upstream_idle_seconds: Option<i64>,
}

impl TimeoutFlags {
    pub(super) fn body(&self) -> Option<UpstreamTimeoutsBody> {
        let body = UpstreamTimeoutsBody {
            connect_seconds: self.upstream_connect_seconds,
            response_head_seconds: self.upstream_response_head_seconds,
            idle_seconds: self.upstream_idle_seconds,
        };
        (body != UpstreamTimeoutsBody::default()).then_some(body)
    }
}

/// The waits of an API or a namespace, in one line.
pub(super) fn timeouts(body: &UpstreamTimeoutsBody) -> String {
    let each = [("connect", body.connect_seconds), ("response head", body.response_head_seconds), ("idle", body.idle_seconds)];
    let set: Vec<String> = each.iter().filter_map(|(name, seconds)| seconds.map(|seconds| format!("{name} {seconds} s"))).collect();
    if set.is_empty() { "default".to_owned() } else { set.join(", ") }
}

impl Spec {
    fn body(self, name: Option<String>, version: VersionFlag) -> ApiSpec {
        ApiSpec {
            name,
            listen_path: self.listen_path,
            upstream: self.upstream,
            enable_api_key: self.enable_api_key,
            enable_client_certificate: self.enable_client_certificate,
            pass_api_key: self.pass_api_key,
            forward_client_certificate: self.forward_client_certificate,
            case_sensitive: self.case_sensitive,
            allowed_path_forms: (!self.allow_path_form.is_empty())
                .then(|| self.allow_path_form.into_iter().filter(|form| !form.is_empty()).collect()),
            upstream_timeouts: self.timeouts.body(),
            resource_version: version.resource_version,
        }
    }
}

/// `api create`.
#[derive(clap::Args)]
pub struct WriteArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// Its name
    #[arg(long)]
    name: String,

    #[command(flatten)]
    spec: Spec,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Which API.
#[derive(clap::Args)]
pub struct OneFlag {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// The API's id or name
    #[arg(long, short = 'i', alias = "name", value_name = "ID")]
    id: String,
}

/// `api list`.
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    #[command(flatten)]
    pages: PageFlags,
}

/// `api update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// The API's id or name
    #[arg(long, short = 'i', value_name = "ID")]
    id: String,

    /// A new name
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    spec: Spec,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `api delete`.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    one: OneFlag,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => {
            if args.spec.listen_path.is_none() {
                return Err(Failure::usage("no listen path is given").hint("add --listen-path /PATH"));
            }
            let namespace = args.namespace.get()?;
            let body = args.spec.body(Some(args.name), VersionFlag::default());
            session.create(&args.change, &["namespaces", &namespace, "apis"], &body).await
        }
        Command::Get(one) => {
            let namespace = one.namespace.get()?;
            let api: ApiBody = session.client()?.get(&["namespaces", &namespace, "apis", &one.id], NO_QUERY).await?;
            session.output.show(&api, || card(session, &api))
        }
        Command::List(args) => {
            let namespace = args.namespace.get()?;
            let page = session.pages::<ApiBody>(&["namespaces", &namespace, "apis"], &args.pages, &[]).await?;
            let empty = format!(
                "{namespace} has no API: requests go where the namespace's upstream is. Make one: countersign api create --namespace \
                 {namespace} --name NAME --listen-path /PATH"
            );
            session.show_page(&page, &[whole("ID"), text("NAME"), whole("LISTEN PATH"), whole("TAKES"), whole("UPSTREAM")], &empty, |api| {
                vec![api.id.clone(), api.name.clone(), api.listen_path.clone(), takes(api), upstream(api)]
            })
        }
        Command::Update(args) => {
            let namespace = args.namespace.get()?;
            let body = args.spec.body(args.name, args.version);
            session.change(&args.change, Method::PATCH, &["namespaces", &namespace, "apis", &args.id], Some(&body)).await
        }
        Command::Delete(args) => {
            let namespace = args.one.namespace.get()?;
            confirm_delete(session, &format!("API {} of {namespace}", args.one.id))?;
            let path = ["namespaces", &namespace, "apis", &args.one.id];
            session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await
        }
    }
}

fn takes(api: &ApiBody) -> String {
    match (api.enable_api_key, api.enable_client_certificate) {
        (true, true) => "API key or certificate",
        (true, false) => "API key",
        (false, true) => "certificate",
        (false, false) => "nothing",
    }
    .to_owned()
}

fn upstream(api: &ApiBody) -> String {
    api.upstream.clone().unwrap_or_else(|| "the namespace's".to_owned())
}

fn card(session: &Session, api: &ApiBody) -> String {
    let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
    session.output.card(&[
        ("id", api.id.clone()),
        ("name", api.name.clone()),
        ("namespace", api.namespace.clone()),
        ("listen path", api.listen_path.clone()),
        ("upstream", upstream(api)),
        ("takes", takes(api)),
        ("passes the key on", yes(api.pass_api_key)),
        ("tells the certificate", yes(api.forward_client_certificate)),
        ("case-sensitive", yes(api.case_sensitive)),
        ("allowed path forms", if api.allowed_path_forms.is_empty() { "none".to_owned() } else { api.allowed_path_forms.join(", ") }),
        ("timeouts", timeouts(&api.upstream_timeouts)),
        ("version", api.resource_version.clone()),
        ("created", session.output.when(&api.created_time)),
        ("last changed", session.output.when(&api.last_modified_time)),
    ])
}

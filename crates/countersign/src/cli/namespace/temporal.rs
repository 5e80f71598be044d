//! What Temporal's tools keep with a namespace: `lifecycle`, `retention`, `search-attributes`, `tags`, `update-codec-server`.

use super::super::Session;
use super::super::change::{ChangeFlags, VersionFlag};
use super::super::client::NO_QUERY;
use super::super::errors::{Failure, Outcome};
use super::super::output::note;
use super::super::prompt;
use super::NamespaceFlag;
use countersign_proto::rest::{CodecServerBody, NamespaceBody, Page, RegionBody, RenameSearchAttribute, UpdateNamespace, UpdateTags};
use reqwest::Method;
use std::collections::BTreeMap;

/// `namespace lifecycle …`.
#[derive(clap::Subcommand)]
pub enum Lifecycle {
    /// Whether it is protected against deletion
    #[command(visible_alias = "g")]
    Get(NamespaceFlag),
    /// Protect it, or take the protection off
    #[command(visible_alias = "s")]
    Set(LifecycleArgs),
}

/// `lifecycle set`.
#[derive(clap::Args)]
pub struct LifecycleArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// true or false
    #[arg(long, alias = "edp", value_name = "true|false", action = clap::ArgAction::Set)]
    enable_delete_protection: bool,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `namespace retention …`.
#[derive(clap::Subcommand)]
pub enum Retention {
    /// How many days a closed workflow is kept
    #[command(visible_alias = "g")]
    Get(NamespaceFlag),
    /// Keep them so many days
    #[command(visible_alias = "s")]
    Set(RetentionArgs),
}

/// `retention set`.
#[derive(clap::Args)]
pub struct RetentionArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// 1 to 90
    #[arg(long, alias = "rd", value_name = "DAYS")]
    retention_days: i32,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `namespace search-attributes …`.
#[derive(clap::Subcommand)]
pub enum SearchAttributes {
    /// Add some; those there are stay
    #[command(visible_alias = "a")]
    Add(AddArgs),
    /// Give one another name
    Rename(RenameArgs),
}

/// `search-attributes add`.
#[derive(clap::Args)]
pub struct AddArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// NAME=TYPE with Text, Keyword, Int, Double, Bool, Datetime or KeywordList; may be repeated
    #[arg(long, alias = "sa", value_name = "NAME=TYPE", required = true)]
    search_attribute: Vec<String>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `search-attributes rename`.
#[derive(clap::Args)]
pub struct RenameArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// As it is called
    #[arg(long, alias = "en", value_name = "NAME")]
    existing_name: String,

    /// As it is to be called
    #[arg(long, alias = "nn", value_name = "NAME")]
    new_name: String,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `namespace tags …`.
#[derive(clap::Subcommand)]
pub enum Tags {
    /// Set labels; others stay
    #[command(visible_alias = "u")]
    Upsert(UpsertArgs),
    /// Take labels away
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

/// `tags upsert`.
#[derive(clap::Args)]
pub struct UpsertArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// KEY=VALUE; may be repeated
    #[arg(long, short = 't', value_name = "KEY=VALUE", required = true)]
    tag: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `tags remove`.
#[derive(clap::Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// The key; may be repeated
    #[arg(long, alias = "tk", value_name = "KEY", required = true)]
    tag_key: Vec<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// The codec server that Temporal's web UI decodes with.
#[derive(clap::Args)]
pub struct CodecFlags {
    /// The codec server's https address; an empty text takes it away
    #[arg(long, short = 'e', value_name = "URL")]
    endpoint: Option<String>,

    /// Let the browser send its access token there
    #[arg(long, alias = "pat", requires = "endpoint")]
    pass_access_token: bool,

    /// Let the browser send credentials across origins
    #[arg(long, alias = "ic", requires = "endpoint")]
    include_credentials: bool,
}

impl CodecFlags {
    /// As the server takes it; none where no endpoint is given.
    pub fn body(self) -> Option<CodecServerBody> {
        let Self { endpoint, pass_access_token, include_credentials } = self;
        endpoint.map(|endpoint| CodecServerBody { endpoint, pass_access_token, include_credentials, ..CodecServerBody::default() })
    }
}

/// `namespace update-codec-server`.
#[derive(clap::Args)]
pub struct CodecArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    #[command(flatten)]
    codec: CodecFlags,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

async fn fetch(session: &Session, namespace: &str) -> Result<NamespaceBody, Failure> {
    session.client()?.get(&["namespaces", namespace], NO_QUERY).await
}

async fn patch(session: &Session, namespace: &str, version: VersionFlag, change: &ChangeFlags, body: UpdateNamespace) -> Outcome {
    let body = UpdateNamespace { resource_version: version.resource_version, ..body };
    session.change(change, Method::PATCH, &["namespaces", namespace], Some(&body)).await
}

/// `KEY=VALUE`, several times.
pub fn pairs(texts: &[String], what: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for text in texts {
        let (key, value) = text.split_once('=').ok_or_else(|| Failure::usage(format!("`{text}` is no {what}; write it as NAME=VALUE")))?;
        if map.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
            return Err(Failure::usage(format!("the {what} {key} is given twice")));
        }
    }
    Ok(map)
}

/// The ids of the regions that are meant. `tcld`'s lines name regions of a cloud that need not exist here: those are remarked on.
pub async fn regions(session: &Session, asked: &[String]) -> Result<Option<Vec<String>>, Failure> {
    if asked.is_empty() {
        return Ok(None);
    }
    let known = session.client()?.get::<Page<RegionBody>>(&["regions"], NO_QUERY).await?.items;
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for text in asked {
        match known.iter().find(|region| region.id == *text || region.cloud_provider_region == *text) {
            Some(region) => found.push(region.id.clone()),
            None => unknown.push(text.as_str()),
        }
    }
    if !unknown.is_empty() {
        note(&format!("--region {}: there is no such region here, so it is without effect", unknown.join(", ")));
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Runs one of `lifecycle`.
pub async fn lifecycle(session: &Session, command: Lifecycle) -> Outcome {
    match command {
        Lifecycle::Get(flag) => {
            let body = fetch(session, &flag.get()?).await?;
            let shown = serde_json::json!({"enableDeleteProtection": body.delete_protection});
            session.output.show(&shown, || session.output.card(&[("delete protection", body.delete_protection.to_string())]))
        }
        Lifecycle::Set(args) => {
            let namespace = args.namespace.get()?;
            if !args.enable_delete_protection {
                prompt::demand(&format!("taking the protection against deletion off {namespace}. confirm:"), session.auto_confirm)?;
            }
            let body = UpdateNamespace { delete_protection: Some(args.enable_delete_protection), ..Default::default() };
            patch(session, &namespace, args.version, &args.change, body).await
        }
    }
}

/// Runs one of `retention`.
pub async fn retention(session: &Session, command: Retention) -> Outcome {
    match command {
        Retention::Get(flag) => {
            let body = fetch(session, &flag.get()?).await?;
            let shown = serde_json::json!({"retentionDays": body.retention_days});
            session.output.show(&shown, || session.output.card(&[("retention in days", body.retention_days.to_string())]))
        }
        Retention::Set(args) => {
            let body = UpdateNamespace { retention_days: Some(args.retention_days), ..Default::default() };
            patch(session, &args.namespace.get()?, args.version, &args.change, body).await
        }
    }
}

/// Runs one of `search-attributes`.
pub async fn search_attributes(session: &Session, command: SearchAttributes) -> Outcome {
    match command {
        SearchAttributes::Add(args) => {
            let namespace = args.namespace.get()?;
            let before = fetch(session, &namespace).await?;
            let mut attributes = before.search_attributes;
            attributes.extend(pairs(&args.search_attribute, "search attribute")?);
            let body = UpdateNamespace { search_attributes: Some(attributes), ..Default::default() };
            // Others may add at the same time: what was read is what is changed.
            let version = VersionFlag { resource_version: args.version.resource_version.or(Some(before.resource_version)) };
            patch(session, &namespace, version, &args.change, body).await
        }
        SearchAttributes::Rename(args) => {
            let body = RenameSearchAttribute {
                existing_name: args.existing_name,
                new_name: args.new_name,
                resource_version: args.version.resource_version,
            };
            let path = ["namespaces", &args.namespace.get()?, "rename-search-attribute"];
            session.change(&args.change, Method::POST, &path, Some(&body)).await
        }
    }
}

/// Runs one of `tags`.
pub async fn tags(session: &Session, command: Tags) -> Outcome {
    let (namespace, change, body) = match command {
        Tags::Upsert(args) => (args.namespace, args.change, UpdateTags { upsert: pairs(&args.tag, "tag")?, remove: Vec::new() }),
        Tags::Remove(args) => (args.namespace, args.change, UpdateTags { upsert: BTreeMap::new(), remove: args.tag_key }),
    };
    session.change(&change, Method::POST, &["namespaces", &namespace.get()?, "tags"], Some(&body)).await
}

/// `update-codec-server`.
pub async fn codec_server(session: &Session, args: CodecArgs) -> Outcome {
    let codec_server = args.codec.body();
    if codec_server.is_none() {
        return Err(Failure::usage("no codec server is given").hint("add --endpoint https://…, or --endpoint '' to take it away"));
    }
    let body = UpdateNamespace { codec_server, ..Default::default() };
    patch(session, &args.namespace.get()?, args.version, &args.change, body).await
}

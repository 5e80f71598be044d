//! `issuer`: certificate authorities whose keys the server holds. Words and files only; the rules are the server's.

use super::Session;
use super::change::{ChangeFlags, VersionFlag};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome, clean};
use super::output::{note, print};
use super::pages::PageFlags;
use super::table::whole;
use super::{input, prompt};
use countersign_proto::rest::{ChangedIssuer, CreateIssuer, CreatedIssuer, ImportIssuer, IssuerBody, UpdateIssuer};
use reqwest::Method;
use std::path::PathBuf;

/// `issuer …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the issuers
    #[command(visible_alias = "l")]
    List(ListArgs),
    /// Show an issuer
    #[command(visible_alias = "g")]
    Get(Which),
    /// Print an issuer's certificate, PEM
    #[command(visible_alias = "cert")]
    Certificate(Which),
    /// Make an issuing CA under a root, or a root; staged until it is activated
    #[command(visible_alias = "c")]
    Create(CreateArgs),
    /// Take in a CA that was made elsewhere, with its private key; staged until it is activated
    Import(ImportArgs),
    /// Let an issuer sign; the newest active one does, an environment's own before one for both
    Activate(StateArgs),
    /// Stop an issuer from signing; what it signed works on
    Retiring(StateArgs),
    /// Let in nothing any more that an issuer signed, for ever
    Retire(StateArgs),
    /// Change how long its certificates live, and what they say of CRL and OCSP
    #[command(visible_alias = "u")]
    Update(UpdateArgs),
}

/// `issuer list`.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only those that serve sandbox or production
    #[arg(long, visible_alias = "env")]
    environment: Option<String>,

    #[command(flatten)]
    pages: PageFlags,
}

/// Which issuer.
#[derive(clap::Args)]
pub struct Which {
    /// The issuer's name or id
    #[arg(long, short = 'n', visible_alias = "id", value_name = "NAME")]
    name: String,
}

/// `issuer create`.
#[derive(clap::Args)]
pub struct CreateArgs {
    /// Its name: 1 to 40 of a-z, 0-9 and -; part of its CRL's address
    #[arg(long, short = 'n')]
    name: String,

    /// sandbox, production or both
    #[arg(long, visible_alias = "env", default_value = "both")]
    environment: String,

    /// issuing or root
    #[arg(long, default_value = "issuing")]
    kind: String,

    /// ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519 [default: ecdsa-p256]
    #[arg(long, value_name = "KIND")]
    key_type: Option<String>,

    /// Instead of a new key one that is in the server's token already: pkcs11:token=NAME;object=LABEL
    #[arg(long, value_name = "URI", conflicts_with = "key_type")]
    key_uri: Option<String>,

    /// The root that signs it [default: the newest active one]
    #[arg(long, value_name = "NAME")]
    parent: Option<String>,

    /// Days it lives [default: 1825, for a root 7300]
    #[arg(long, value_name = "DAYS")]
    lifetime_days: Option<i64>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `issuer import`.
#[derive(clap::Args)]
pub struct ImportArgs {
    /// Its name: 1 to 40 of a-z, 0-9 and -; part of its CRL's address
    #[arg(long, short = 'n')]
    name: String,

    /// sandbox, production or both
    #[arg(long, visible_alias = "env", default_value = "both")]
    environment: String,

    /// The CA's certificate, PEM
    #[arg(long, visible_alias = "cert", value_name = "FILE")]
    certificate: PathBuf,

    /// Its private key, PEM, not encrypted; left out only for a CA that completes chains
    #[arg(long, visible_alias = "key", value_name = "FILE")]
    private_key: Option<PathBuf>,

    /// Instead: its key in the server's token, pkcs11:token=NAME;object=LABEL
    #[arg(long, value_name = "URI", conflicts_with = "private_key")]
    key_uri: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// A step in an issuer's life.
#[derive(clap::Args)]
pub struct StateArgs {
    #[command(flatten)]
    which: Which,

    /// Do it although an environment is left without one that signs, or certificates are refused
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `issuer update`.
#[derive(clap::Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    which: Which,

    /// Days a certificate lives when none are asked for
    #[arg(long, value_name = "DAYS")]
    lifetime_default_days: Option<i64>,

    /// Days a certificate lives at most, up to 1095
    #[arg(long, value_name = "DAYS")]
    lifetime_max_days: Option<i64>,

    /// Where certificates say its CRL is, http://…; empty for the server's own address
    #[arg(long, value_name = "URL")]
    crl_url: Option<String>,

    /// Where certificates say OCSP is answered, likewise
    #[arg(long, value_name = "URL")]
    ocsp_url: Option<String>,

    /// Whether a renewal may have the same key
    #[arg(long, value_name = "true|false")]
    key_reuse: Option<bool>,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty() && text != "both")
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::List(args) => {
            let query = [("environment", args.environment)];
            let page = session.pages::<IssuerBody>(&["issuers"], &args.pages, &query).await?;
            let empty = "No issuer here. Make one: countersign issuer create --kind root --name root-1";
            session.show_page(
                &page,
                &[whole("NAME"), whole("KIND"), whole("ENVIRONMENT"), whole("STATE"), whole("KEY"), whole("ENDS")],
                empty,
                |one| {
                    let ends = session.output.ago(&one.not_after);
                    vec![one.name.clone(), one.kind.clone(), one.environment.clone(), one.state.clone(), one.key.clone(), ends]
                },
            )
        }
        Command::Get(which) => {
            let one: IssuerBody = session.client()?.get(&["issuers", &which.name], NO_QUERY).await?;
            session.output.show(&one, || {
                session.output.card(&[
                    ("id", one.id.clone()),
                    ("name", one.name.clone()),
                    ("kind", one.kind.clone()),
                    ("environment", one.environment.clone()),
                    ("state", one.state.clone()),
                    ("key", one.key.clone()),
                    ("subject", one.subject.clone()),
                    ("fingerprint", one.fingerprint_sha256.clone()),
                    ("signed by", one.parent_id.clone().unwrap_or_default()),
                    ("ends", session.output.when(&one.not_after)),
                    ("certificates live", format!("{} days, at most {}", one.lifetime_default_days, one.lifetime_max_days)),
                    ("CRL", one.crl_url.clone()),
                    ("OCSP", one.ocsp_url.clone()),
                    ("version", one.resource_version.clone()),
                ])
            })
        }
        Command::Certificate(which) => {
            let one: IssuerBody = session.client()?.get(&["issuers", &which.name], NO_QUERY).await?;
            print(&format!("{}\n", one.certificate_pem.trim_end()))
        }
        Command::Create(args) => {
            let body = CreateIssuer {
                name: args.name,
                kind: Some(args.kind),
                environment: given(args.environment),
                key_type: args.key_type,
                key_uri: args.key_uri,
                parent: args.parent,
                lifetime_days: args.lifetime_days,
            };
            created(session, &args.change, &["issuers"], &body).await
        }
        Command::Import(args) => {
            let body = ImportIssuer {
                name: args.name,
                environment: given(args.environment),
                certificate: input::pem_text_without_key(&input::read(&args.certificate)?)?,
                private_key: args.private_key.as_deref().map(|file| key_text(&input::read(file)?)).transpose()?,
                key_uri: args.key_uri,
            };
            created(session, &args.change, &["issuers", "import"], &body).await
        }
        Command::Activate(args) => step(session, args, "active").await,
        Command::Retiring(args) => step(session, args, "retiring").await,
        Command::Retire(args) => {
            let question = format!("Nothing that issuer {} signed will be let in any more, for ever.", args.which.name);
            prompt::demand_word(&question, "RETIRE", session.auto_confirm)?;
            step(session, args, "retired").await
        }
        Command::Update(args) => {
            let body = UpdateIssuer {
                lifetime_default_days: args.lifetime_default_days,
                lifetime_max_days: args.lifetime_max_days,
                crl_url: args.crl_url,
                ocsp_url: args.ocsp_url,
                key_reuse: args.key_reuse,
                resource_version: args.version.resource_version,
                ..UpdateIssuer::default()
            };
            changed(session, &args.change, &args.which.name, &body).await
        }
    }
}

/// Sends a creation, and tells the new id and what is remarkable about it.
async fn created(session: &Session, change: &ChangeFlags, path: &[&str], body: &impl serde::Serialize) -> Outcome {
    let made: Option<CreatedIssuer> = session.make(change, Method::POST, path, body).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(change, made.request_status).await?;
    warn(&made.warnings);
    session.output.show(&made, || format!("{}id: {}\n", session.told(&made.request_status), made.id))
}

/// Sends a change, and tells who signs from then on.
async fn changed(session: &Session, change: &ChangeFlags, name: &str, body: &UpdateIssuer) -> Outcome {
    let done: Option<ChangedIssuer> = session.make(change, Method::PATCH, &["issuers", name], body).await?;
    let Some(mut done) = done else { return Ok(()) };
    done.request_status = session.settle(change, done.request_status).await?;
    warn(&done.warnings);
    session.output.show(&done, || {
        let next = &done.signs_next;
        let signer = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
        format!(
            "{}signs next: {} for applications in sandbox, {} for applications in production, {} for service accounts and users\n",
            session.told(&done.request_status),
            signer(&next.sandbox),
            signer(&next.production),
            signer(&next.identities)
        )
    })
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        note(&format!("warning: {}", clean(warning)));
    }
}

fn key_text(bytes: &[u8]) -> Result<String, Failure> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Failure::usage("the private key is not PEM text"))
}

async fn step(session: &Session, args: StateArgs, state: &str) -> Outcome {
    let body = UpdateIssuer {
        state: Some(state.to_owned()),
        force: args.force,
        resource_version: args.version.resource_version,
        ..UpdateIssuer::default()
    };
    changed(session, &args.change, &args.which.name, &body).await
}

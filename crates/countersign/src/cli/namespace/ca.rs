//! `namespace accepted-client-ca`: add, remove, set and list the CAs whose client certificates get in.

use super::super::Session;
use super::super::change::{ChangeFlags, VersionFlag};
use super::super::client::NO_QUERY;
use super::super::errors::{Failure, Outcome, clean};
use super::super::table::{text, whole};
use super::super::{input, prompt};
use super::{NamespaceFlag, leaves};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::credential::certificate::Fingerprint;
use countersign_proto::rest::{AcceptedCaBody, AcceptedCas, CaBundle, NamespaceBody};
use countersign_x509::pem::Block;
use reqwest::Method;
use serde::Serialize;
use std::path::PathBuf;

/// `namespace accepted-client-ca …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Accept further CAs
    #[command(visible_alias = "a")]
    Add(WriteArgs),
    /// Accept a CA no longer; connections that depend on it are cut
    #[command(visible_alias = "r")]
    Remove(RemoveArgs),
    /// Accept exactly these CAs
    #[command(visible_alias = "s")]
    Set(WriteArgs),
    /// List the accepted CAs
    #[command(visible_alias = "l")]
    List(NamespaceFlag),
    /// Keep a leaf of an accepted CA out; its connections are cut
    RevokeLeaf(leaves::RevokeArgs),
    /// Let a leaf in again that was revoked here
    RestoreLeaf(leaves::RestoreArgs),
    /// List the leaves of an accepted CA that are kept out
    RevokedLeaves(leaves::ListArgs),
    /// The CA's own revocation list
    #[command(subcommand)]
    Crl(leaves::Crl),
}

/// Which certificates.
#[derive(clap::Args)]
struct Certificates {
    /// CA certificates, base64 of their PEM
    #[arg(long, short = 'c', value_name = "BASE64")]
    ca_certificate: Option<String>,

    /// CA certificates, a PEM file
    #[arg(long, short = 'f', value_name = "FILE")]
    ca_certificate_file: Option<PathBuf>,
}

impl Certificates {
    fn read(&self) -> Result<Option<String>, Failure> {
        input::certificates(self.ca_certificate.as_deref(), self.ca_certificate_file.as_deref())
    }

    fn demand(&self) -> Result<String, Failure> {
        self.read()?
            .ok_or_else(|| Failure::usage("no CA certificate is given").hint("add --ca-certificate-file FILE or --ca-certificate BASE64"))
    }
}

/// `accepted-client-ca add` and `set`.
#[derive(clap::Args)]
pub struct WriteArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    #[command(flatten)]
    certificates: Certificates,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `accepted-client-ca remove`.
#[derive(clap::Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// The fingerprint that list prints, SHA-1 or SHA-256; may be repeated
    #[arg(long, alias = "fp", value_name = "FINGERPRINT")]
    ca_certificate_fingerprint: Vec<String>,

    #[command(flatten)]
    certificates: Certificates,

    /// All of them
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    version: VersionFlag,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Add(args) => write(session, args, Method::POST).await,
        Command::Set(args) => write(session, args, Method::PUT).await,
        Command::Remove(args) => remove(session, args).await,
        Command::List(flag) => list(session, &flag.get()?).await,
        Command::RevokeLeaf(args) => leaves::revoke(session, args).await,
        Command::RestoreLeaf(args) => leaves::restore(session, args).await,
        Command::RevokedLeaves(args) => leaves::list(session, args).await,
        Command::Crl(command) => leaves::crl(session, command).await,
    }
}

async fn write(session: &Session, args: WriteArgs, method: Method) -> Outcome {
    let body = CaBundle { certificates: args.certificates.demand()?, resource_version: args.version.resource_version };
    let namespace = args.namespace.get()?;
    session.change(&args.change, method, &["namespaces", &namespace, "accepted-client-cas"], Some(&body)).await
}

async fn fetch(session: &Session, namespace: &str) -> Result<AcceptedCas, Failure> {
    session.client()?.get(&["namespaces", namespace, "accepted-client-cas"], NO_QUERY).await
}

async fn list(session: &Session, namespace: &str) -> Outcome {
    /// What `tcld` prints of a CA, and nothing else.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed<'a> {
        fingerprint: &'a str,
        issuer: &'a str,
        subject: &'a str,
        not_before: &'a str,
        not_after: &'a str,
        base64_encoded_data: &'a str,
    }
    let cas = fetch(session, namespace).await?.accepted_client_cas;
    let listed: Vec<_> = cas
        .iter()
        .map(|ca| Listed {
            fingerprint: &ca.fingerprint,
            issuer: &ca.issuer,
            subject: &ca.subject,
            not_before: &ca.not_before,
            not_after: &ca.not_after,
            base64_encoded_data: &ca.base64_encoded_data,
        })
        .collect();
    session.output.show(&listed, || {
        let empty = format!(
            "{namespace} accepts no CA. Add one: countersign namespace accepted-client-ca add --namespace {namespace} --ca-certificate-file FILE"
        );
        let rows = cas.iter().map(|ca| vec![ca.fingerprint.clone(), ca.subject.clone(), session.output.ago(&ca.not_after)]);
        let mut text = session.output.list(&[whole("FINGERPRINT (SHA-1)"), text("SUBJECT"), whole("ENDS")], rows.collect(), &empty);
        for ca in &cas {
            for warning in &ca.warnings {
                text.push_str(&format!("remark on {}: {}\n", clean(&ca.subject), clean(warning)));
            }
        }
        text
    })
}

async fn remove(session: &Session, args: RemoveArgs) -> Outcome {
    let namespace = args.namespace.get()?;
    let named = args.wanted()?;
    let before: NamespaceBody = session.client()?.get(&["namespaces", &namespace], NO_QUERY).await?;
    let current = before.accepted_client_cas;
    let gone = if args.all { current.iter().collect() } else { find(&current, &named, &namespace)? };
    if gone.is_empty() {
        return session.accept::<()>(Err(Failure::refused("nothing_to_change", "nothing to change: no CA is accepted"))).map(drop);
    }
    let subjects: Vec<_> = gone.iter().map(|ca| format!("  {} {}", ca.fingerprint, ca.subject)).collect();
    prompt::demand(
        &format!("accepting no longer for {namespace}, which cuts the connections that depend on it:\n{}\nconfirm:", subjects.join("\n")),
        session.auto_confirm,
    )?;
    if let [one] = gone.as_slice()
        && !args.all
    {
        let path = ["namespaces", &namespace, "accepted-client-cas", one.fingerprint_sha256.as_str()];
        return session.change_with::<()>(&args.change, Method::DELETE, &path, &args.version.query(), None).await;
    }
    let kept: Vec<_> = current.iter().filter(|ca| !gone.iter().any(|g| g.fingerprint_sha256 == ca.fingerprint_sha256)).collect();
    let path = ["namespaces", &namespace, "accepted-client-cas"];
    // One change for all of them, not one each: nobody sees a state in between. It holds only for what was looked at above, so
    // that a CA which somebody adds meanwhile is not lost.
    let resource_version = Some(args.version.resource_version.unwrap_or(before.resource_version));
    let body = CaBundle { certificates: bundle(&kept)?, resource_version };
    session.change(&args.change, Method::PUT, &path, Some(&body)).await
}

impl RemoveArgs {
    /// The fingerprints that were named, in any of the ways; empty only with `--all`.
    fn wanted(&self) -> Result<Vec<String>, Failure> {
        let mut named = Vec::new();
        for text in &self.ca_certificate_fingerprint {
            named.push(input::fingerprint(text)?);
        }
        if let Some(text) = self.certificates.read()? {
            let blocks = countersign_x509::pem::read(text.as_bytes())?.blocks;
            named.extend(blocks.iter().filter_map(|block| match block {
                Block::Certificate(der) => Some(Fingerprint::of(der).to_string()),
                _ => None,
            }));
        }
        match (self.all, named.is_empty()) {
            (false, true) => {
                Err(Failure::usage("no CA is named")
                    .hint("add --ca-certificate-fingerprint FINGERPRINT, --ca-certificate-file FILE or --all"))
            }
            (true, false) => Err(Failure::usage("--all and single CAs exclude each other").hint("give one of them")),
            _ => Ok(named),
        }
    }
}

fn find<'a>(current: &'a [AcceptedCaBody], named: &[String], namespace: &str) -> Result<Vec<&'a AcceptedCaBody>, Failure> {
    let mut found: Vec<&AcceptedCaBody> = Vec::new();
    for fingerprint in named {
        let ca = current.iter().find(|ca| ca.fingerprint == *fingerprint || ca.fingerprint_sha256 == *fingerprint).ok_or_else(|| {
            Failure::refused("not_found", format!("{namespace} accepts no CA with fingerprint {fingerprint}"))
                .hint(format!("see countersign namespace accepted-client-ca list --namespace {namespace}"))
        })?;
        if !found.iter().any(|f| f.fingerprint == ca.fingerprint) {
            found.push(ca);
        }
    }
    Ok(found)
}

/// The PEM of several CAs, as `tcld` joins them.
fn bundle(cas: &[&AcceptedCaBody]) -> Result<String, Failure> {
    let unreadable = || Failure::refused("unreadable_answer", "the server's list of CAs is not readable");
    let mut texts = Vec::new();
    for ca in cas {
        let pem = STANDARD.decode(&ca.base64_encoded_data).map_err(|_| unreadable())?;
        texts.push(String::from_utf8(pem).map_err(|_| unreadable())?.trim().to_owned());
    }
    Ok(texts.join("\n"))
}

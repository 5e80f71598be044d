//! `namespace accepted-client-ca revoke-leaf`, `restore-leaf`, `revoked-leaves` and `crl`: leaves of CAs that are not ours. Words and
//! files only; the rules are the server's.

use super::super::Session;
use super::super::change::ChangeFlags;
use super::super::client::NO_QUERY;
use super::super::errors::{Failure, Outcome};
use super::super::output::{count, note};
use super::super::table::{text, whole};
use super::super::{input, prompt};
use super::NamespaceFlag;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_proto::rest::{AcceptedCas, ForeignCrlBody, ForeignCrlTaken, RevokeLeaf, RevokedLeaves, SetForeignCrl};
use countersign_x509::facts;
use countersign_x509::pem::{self, Block};
use reqwest::Method;
use std::path::{Path, PathBuf};

/// Which accepted CA.
#[derive(clap::Args)]
struct Ca {
    #[command(flatten)]
    namespace: NamespaceFlag,

    /// The CA's fingerprint as list prints it, SHA-1 or SHA-256; where one is accepted, it is that
    #[arg(long, visible_alias = "fp", value_name = "FINGERPRINT")]
    ca_certificate_fingerprint: Option<String>,
}

impl Ca {
    /// Namespace and the CA's SHA-256; without a fingerprint, the CA of this issuer, or the only one.
    async fn find(&self, session: &Session, issuer: Option<&str>) -> Result<(String, String), Failure> {
        let namespace = self.namespace.get()?;
        let named = self.ca_certificate_fingerprint.as_deref().map(input::fingerprint).transpose()?;
        let cas: AcceptedCas = session.client()?.get(&["namespaces", &namespace, "accepted-client-cas"], NO_QUERY).await?;
        let found: Vec<_> = cas
            .accepted_client_cas
            .iter()
            .filter(|ca| match (&named, issuer) {
                (Some(print), _) => ca.fingerprint == *print || ca.fingerprint_sha256 == *print,
                (None, Some(issuer)) => ca.subject == issuer,
                (None, None) => true,
            })
            .collect();
        match found.as_slice() {
            [only] => Ok((namespace, only.fingerprint_sha256.clone())),
            [] => Err(Failure::refused("not_found", "no such CA is accepted")
                .hint(format!("see countersign namespace accepted-client-ca list --namespace {namespace}"))),
            _ => Err(Failure::usage("several CAs are accepted").hint("name one: --ca-certificate-fingerprint FINGERPRINT")),
        }
    }
}

/// `accepted-client-ca revoke-leaf`.
#[derive(clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    ca: Ca,

    /// The leaf's certificate
    #[arg(long, visible_alias = "cert", value_name = "FILE", conflicts_with = "serial", required_unless_present = "serial")]
    certificate: Option<PathBuf>,

    /// The leaf's serial number, hexadecimal
    #[arg(long)]
    serial: Option<String>,

    /// Why, in RFC 5280's words
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `accepted-client-ca restore-leaf`.
#[derive(clap::Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    ca: Ca,

    /// The leaf's serial number, hexadecimal
    #[arg(long)]
    serial: String,

    /// The leaf's issuer as revoked-leaves prints it; without it, the CA itself
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `accepted-client-ca revoked-leaves`.
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    ca: Ca,
}

/// `accepted-client-ca crl …`.
#[derive(clap::Subcommand)]
pub enum Crl {
    /// Take in the revocation list that the CA publishes, or say what a stale one does
    #[command(visible_alias = "s")]
    Set(SetArgs),
    /// Show the revocation list that is applied
    #[command(visible_alias = "g")]
    Get(ListArgs),
}

/// `accepted-client-ca crl set`.
#[derive(clap::Args)]
pub struct SetArgs {
    #[command(flatten)]
    ca: Ca,

    /// The CA's full revocation list, PEM or DER
    #[arg(long, short = 'f', value_name = "FILE", required_unless_present = "stale")]
    crl_file: Option<PathBuf>,

    /// What a stale list does: keep goes on to keep out whom it names, refuse lets in nobody of this CA
    #[arg(long, value_name = "keep|refuse")]
    stale: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Keeps a leaf out.
pub async fn revoke(session: &Session, args: RevokeArgs) -> Outcome {
    let certificate = args.certificate.as_deref().map(|path| input::pem_text(&input::read(path)?)).transpose()?;
    let facts = match &certificate {
        None => None,
        Some(text) => Some(facts::of(&first(text)?)?),
    };
    let (namespace, ca) = match args.ca.find(session, facts.as_ref().map(|facts| facts.issuer.as_str())).await {
        // A leaf of an intermediate that is not accepted itself: its path ends at another CA.
        Err(failure) if failure.code == "not_found" && facts.is_some() => args.ca.find(session, None).await?,
        found => found?,
    };
    let what = match (&facts, &args.serial) {
        (Some(facts), _) => format!("{} (serial number {})", facts.subject, facts.serial),
        (None, serial) => format!("the leaf with serial number {}", serial.as_deref().unwrap_or_default()),
    };
    let question = format!("revoking {what} wherever its CA is accepted: its connections are cut now");
    prompt::demand_word(&question, "REVOKE", session.auto_confirm)?;
    let body = RevokeLeaf { certificate, serial: args.serial, reason: args.reason };
    session.change(&args.change, Method::POST, &["namespaces", &namespace, "accepted-client-cas", &ca, "revoked-leaves"], Some(&body)).await
}

fn first(text: &str) -> Result<Vec<u8>, Failure> {
    let mut blocks = pem::read(text.as_bytes())?.blocks.into_iter();
    blocks
        .find_map(|block| match block {
            Block::Certificate(der) => Some(der),
            Block::PrivateKey | Block::Other(_) => None,
        })
        .ok_or_else(|| Failure::refused("not_a_certificate", "the file holds no certificate"))
}

/// Lets a leaf in again.
pub async fn restore(session: &Session, args: RestoreArgs) -> Outcome {
    let (namespace, ca) = args.ca.find(session, None).await?;
    let serial = args.serial.replace(':', "");
    let path = ["namespaces", &namespace, "accepted-client-cas", &ca, "revoked-leaves", &serial];
    session.change_with::<()>(&args.change, Method::DELETE, &path, &[("issuer", args.issuer)], None).await
}

/// Lists what is kept out.
pub async fn list(session: &Session, args: ListArgs) -> Outcome {
    let (namespace, ca) = args.ca.find(session, None).await?;
    let path = ["namespaces", &namespace, "accepted-client-cas", &ca, "revoked-leaves"];
    let leaves: RevokedLeaves = session.client()?.get(&path, NO_QUERY).await?;
    session.output.show(&leaves, || {
        let rows = leaves.items.iter().map(|leaf| vec![leaf.serial.clone(), leaf.by.clone(), leaf.issuer.clone()]).collect();
        let empty = "No leaf of this CA is kept out. Revoke one: countersign namespace accepted-client-ca revoke-leaf --certificate FILE";
        let mut text = session.output.list(&[whole("SERIAL"), whole("BY"), text("ISSUER")], rows, empty);
        let unseen = leaves.count.saturating_sub(u64::try_from(leaves.items.len()).unwrap_or(0));
        if unseen > 0 {
            text.push_str(&format!("and {unseen} more\n"));
        }
        text
    })
}

/// Runs one of `crl`.
pub async fn crl(session: &Session, command: Crl) -> Outcome {
    match command {
        Crl::Set(args) => set(session, args).await,
        Crl::Get(args) => {
            let (namespace, ca) = args.ca.find(session, None).await?;
            let path = ["namespaces", &namespace, "accepted-client-cas", &ca, "crl"];
            let crl: ForeignCrlBody = session.client()?.get(&path, NO_QUERY).await?;
            warn(&crl);
            session.output.show(&crl, || card(session, &crl))
        }
    }
}

async fn set(session: &Session, args: SetArgs) -> Outcome {
    let (namespace, ca) = args.ca.find(session, None).await?;
    let crl = args.crl_file.as_deref().map(list_text).transpose()?;
    let body = SetForeignCrl { crl, stale: args.stale };
    let path = ["namespaces", &namespace, "accepted-client-cas", &ca, "crl"];
    let taken: Option<ForeignCrlTaken> = session.make(&args.change, Method::POST, &path, &body).await?;
    let Some(mut taken) = taken else { return Ok(()) };
    taken.request_status = session.settle(&args.change, taken.request_status).await?;
    if let Some(crl) = &taken.crl {
        warn(crl);
    }
    session.output.show(&taken, || {
        let card = taken.crl.as_ref().map(|crl| card(session, crl)).unwrap_or_default();
        let moved = format!("{} newly kept out, {} no longer\n", count(taken.added, "leaf", "leaves"), taken.removed);
        format!("{card}{moved}{}", session.told(&taken.request_status))
    })
}

/// PEM as it is, DER as base64.
fn list_text(path: &Path) -> Result<String, Failure> {
    let bytes = input::read(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => Ok(text.to_owned()),
        _ => Ok(STANDARD.encode(&*bytes)),
    }
}

fn warn(crl: &ForeignCrlBody) {
    for warning in &crl.warnings {
        note(&format!("warning: {warning}"));
    }
}

fn card(session: &Session, crl: &ForeignCrlBody) -> String {
    session.output.card(&[
        ("number", crl.number.clone()),
        ("made", session.output.when(&crl.this_update)),
        ("next one", session.output.when(&crl.next_update)),
        ("taken in", session.output.when(&crl.taken_time)),
        ("names", count(crl.revoked, "leaf", "leaves")),
        ("when stale", crl.stale.clone()),
    ])
}

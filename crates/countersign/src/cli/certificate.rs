//! `certificate`: client certificates. Looking at them is here; making them is `issuance`, ending them `revocation`.

use super::Session;
use super::apikey::{owner, usage};
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::pages::PageFlags;
use super::table::{text, whole};
use super::{issuance, revocation, rotation};
use countersign_proto::rest::CertificateBody;

/// `certificate …`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Have a certificate issued for a new key or a request, or register one that another CA issued
    #[command(visible_alias = "c")]
    Create(Box<issuance::CreateArgs>),
    /// Show a registered certificate
    #[command(visible_alias = "g")]
    Get(Which),
    /// List the registered certificates
    #[command(visible_alias = "l")]
    List(PageFlags),
    /// Revoke a certificate for good; its connections are cut
    Revoke(revocation::RevokeArgs),
    /// Let a certificate that is on hold in again
    Release(revocation::ReleaseArgs),
    /// Have a certificate's successor issued; both work
    Rotate(Box<rotation::RotateCertificateArgs>),
    /// How the traffic moves from a certificate to its successor
    Usage(rotation::CertificateUsageArgs),
    /// End a certificate that was rotated, once nobody would notice
    Retire(rotation::RetireCertificateArgs),
}

/// Which certificate: exactly one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The certificate's id
    #[arg(long, short = 'i')]
    id: Option<String>,

    /// Its alias, where only one that is not revoked has it
    #[arg(long)]
    alias: Option<String>,

    /// Its SHA-256 fingerprint, with or without colons
    #[arg(long, visible_alias = "fp", value_name = "SHA256")]
    fingerprint: Option<String>,
}

impl Which {
    /// The id. An alias or fingerprint is looked for in the list of what one may see.
    pub(super) async fn id(&self, session: &Session) -> Result<String, Failure> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let all = session.pages::<CertificateBody>(&["certificates"], &PageFlags::default(), &[]).await?;
        let print = self.fingerprint.as_deref().map(|f| f.replace(':', "").to_ascii_lowercase());
        let found: Vec<&CertificateBody> = all
            .items
            .iter()
            .filter(|c| match (&print, &self.alias) {
                (Some(print), _) => c.fingerprint_sha256 == *print,
                (None, alias) => c.state != "revoked" && Some(&c.alias) == alias.as_ref(),
            })
            .collect();
        match found.as_slice() {
            [only] => Ok(only.id.clone()),
            [] => Err(Failure::refused("not_found", "no certificate of that name is registered").hint("countersign certificate list")),
            many => {
                let ids: Vec<&str> = many.iter().map(|c| c.id.as_str()).collect();
                Err(Failure::refused("ambiguous", format!("{} certificates have this alias", many.len()))
                    .hint(format!("name one by --id: {}", ids.join(", "))))
            }
        }
    }
}

/// Runs one.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => issuance::create(session, *args).await,
        Command::Get(which) => {
            let id = which.id(session).await?;
            let certificate: CertificateBody = session.client()?.get(&["certificates", &id], NO_QUERY).await?;
            session.output.show(&certificate, || card(session, &certificate))
        }
        Command::List(flags) => {
            let empty = "No certificate is registered. Make one: countersign certificate create --generate-key --alias NAME";
            list(session, &flags, empty).await
        }
        Command::Revoke(args) => revocation::revoke(session, args).await,
        Command::Release(args) => revocation::release(session, args).await,
        Command::Rotate(args) => rotation::rotate_certificate(session, *args).await,
        Command::Usage(args) => rotation::certificate_usage(session, args).await,
        Command::Retire(args) => rotation::retire_certificate(session, args).await,
    }
}

/// Lists the registered certificates.
pub(super) async fn list(session: &Session, flags: &PageFlags, empty: &str) -> Outcome {
    let page = session.pages::<CertificateBody>(&["certificates"], flags, &[]).await?;
    let head =
        [whole("ID"), text("ALIAS"), whole("STATE"), whole("ENDS"), text("OWNER"), whole("LAST USED"), text("SUBJECT"), whole("OWNER ID")];
    session.show_page(&page, &head, empty, |c| {
        vec![
            c.id.clone(),
            c.alias.clone(),
            c.state.clone(),
            session.output.ago(&c.not_after),
            c.owner_name.clone(),
            c.usage.last_used_time.as_deref().map_or_else(|| "never".to_owned(), |t| session.output.ago(t)),
            c.subject.clone(),
            c.owner_id.clone(),
        ]
    })
}

fn card(session: &Session, c: &CertificateBody) -> String {
    session.output.card(&[
        ("id", c.id.clone()),
        ("alias", c.alias.clone()),
        ("state", c.state.clone()),
        ("owner", owner(&c.owner_name, &c.owner_type)),
        ("owner id", c.owner_id.clone()),
        ("subject", c.subject.clone()),
        ("issuer", c.issuer.clone()),
        ("serial", c.serial.clone()),
        ("fingerprint", c.fingerprint_sha256.clone()),
        ("valid from", session.output.when(&c.not_before)),
        ("valid until", session.output.when(&c.not_after)),
        ("possession of its key", if c.proven { "proved".to_owned() } else { "not proved by who registered it".to_owned() }),
        ("narrowed to", c.apis.join(", ")),
        ("used", usage(session, &c.usage)),
        ("registered", session.output.when(&c.created_time)),
        ("replaces", c.replaces.clone().unwrap_or_default()),
        ("replaced by", c.replaced_by.clone().unwrap_or_default()),
        (
            if c.state == "held" { "on hold" } else { "revoked" },
            c.revoked_time.as_deref().map(|t| ended(session, t, c)).unwrap_or_default(),
        ),
    ])
}

/// Since when, and why.
fn ended(session: &Session, since: &str, c: &CertificateBody) -> String {
    format!("{}{}", session.output.when(since), c.revocation_reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default())
}

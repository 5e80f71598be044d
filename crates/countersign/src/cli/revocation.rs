//! `certificate revoke` and `release`: ending certificates before their time. Words and files only; the rules are the server's.

use super::Session;
use super::certificate::Which;
use super::change::ChangeFlags;
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::output::{self, Output, count};
use super::pages::PageFlags;
use super::table::{self, whole};
use super::{input, prompt};
use countersign_proto::rest::{CertificateBody, RevokeCertificate, Revoked};
use countersign_x509::given_key;
use countersign_x509::private_key::{LocalKey, Signer as _};
use reqwest::Method;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Which certificates: exactly one of these.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Meant {
    /// The certificate's id
    #[arg(long, short = 'i')]
    id: Option<String>,

    /// Its alias, where only one that is not revoked has it
    #[arg(long)]
    alias: Option<String>,

    /// Its serial number, hexadecimal
    #[arg(long)]
    serial: Option<String>,

    /// Its SHA-256 fingerprint, with or without colons
    #[arg(long, visible_alias = "fp", value_name = "SHA256")]
    fingerprint: Option<String>,

    /// The certificate itself; of a chain, its first one
    #[arg(long, visible_alias = "cert", value_name = "FILE")]
    certificate: Option<PathBuf>,

    /// The compromised key: a private or public key. Only its public half is sent
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// A certificate request of the compromised key
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,

    /// All certificates of this application, by name or id
    #[arg(long, value_name = "APPLICATION")]
    application: Option<String>,

    /// All certificates of this user or service account
    #[arg(long, visible_alias = "oid", value_name = "ID")]
    owner_id: Option<String>,
}

/// `certificate revoke`.
#[derive(clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    meant: Meant,

    /// With --serial: the issuer's name or id
    #[arg(long, requires = "serial")]
    issuer: Option<String>,

    /// With --application: only those of sandbox or production
    #[arg(long, requires = "application")]
    environment: Option<String>,

    /// Why, in RFC 5280's words: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation,
    /// privilegeWithdrawn, or certificateHold, which `certificate release` takes back
    #[arg(long)]
    reason: Option<String>,

    /// Send the private key itself as the proof that it is no secret any more; for keys of certificates that are not yours
    #[arg(long, requires = "key")]
    prove: bool,

    /// Only say what would be revoked
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `certificate release`.
#[derive(clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    change: ChangeFlags,
}

/// What is sent. The server's own type is not written, only read, because it may hold a private key.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    dry_run: bool,
}

/// Revokes.
pub async fn revoke(session: &Session, args: RevokeArgs) -> Outcome {
    let meant = &args.meant;
    let reason = args.reason.as_deref();
    let id = match (&meant.id, &meant.alias) {
        (Some(id), _) => Some(id.clone()),
        (None, Some(alias)) => Some(by_alias(session, alias).await?),
        (None, None) => None,
    };
    if let (Some(id), false) = (&id, args.dry_run) {
        confirm(session, reason, &format!("certificate {id}"))?;
        let body = RevokeCertificate { reason: args.reason.clone() };
        let path = ["certificates", id, "revoke"];
        let sent = session.client()?.change::<_, Revoked>(Method::POST, &path, NO_QUERY, Some(&body), args.change.request_id.as_deref());
        return told(session, &args.change, sent.await, None).await;
    }
    // A dry run of one goes by its fingerprint: nothing but the selection by content knows dry runs.
    let print = match &id {
        Some(id) => {
            let one: CertificateBody = session.client()?.get(&["certificates", id], NO_QUERY).await?;
            Some(one.fingerprint_sha256)
        }
        None => meant.fingerprint.clone(),
    };
    let key = match (&meant.key, &meant.csr) {
        (Some(path), _) => Some(key_text(path, args.prove)?),
        (None, Some(path)) => Some(text(path)?),
        (None, None) => None,
    };
    let mut asked = Asked {
        serial: meant.serial.as_deref(),
        issuer: args.issuer.as_deref(),
        fingerprint_sha256: print.as_deref(),
        certificate: meant
            .certificate
            .as_deref()
            .map(|path| input::pem_text(&input::read(path)?).map(|text| leaf_of(&text)))
            .transpose()?,
        key: key.as_ref().map(|text| text.as_str()),
        owner_id: meant.owner_id.as_deref(),
        application_id: meant.application.as_deref(),
        environment: args.environment.as_deref(),
        reason,
        dry_run: true,
    };
    // What it comes to is looked up first, so that the question is about it.
    let planned: Revoked = {
        let sent = session.client()?.change::<_, Revoked>(Method::POST, &["revocations"], NO_QUERY, Some(&asked), None).await;
        let Some(planned) = session.accept(sent)? else { return Ok(()) };
        planned
    };
    if args.dry_run {
        return session.output.show(&planned, || list(&session.output, &planned));
    }
    let what = match &planned.blocked_key {
        Some(key) => format!("{}; the key {key} is blocked for ever", count(planned.count, "certificate", "certificates")),
        None => count(planned.count, "certificate", "certificates"),
    };
    if !session.auto_confirm {
        output::rendered(&list(&session.output.on_stderr(), &planned));
    }
    confirm(session, reason, &what)?;
    asked.dry_run = false;
    let id = args.change.request_id.as_deref();
    let sent = session.client()?.change::<_, Revoked>(Method::POST, &["revocations"], NO_QUERY, Some(&asked), id).await;
    told(session, &args.change, sent, (!session.auto_confirm).then_some(&planned)).await
}

/// Releases.
pub async fn release(session: &Session, args: ReleaseArgs) -> Outcome {
    let id = args.which.id(session).await?;
    session.change::<()>(&args.change, Method::POST, &["certificates", &id, "release"], None).await
}

fn confirm(session: &Session, reason: Option<&str>, what: &str) -> Outcome {
    let hold = reason.is_some_and(|text| text.replace(['-', '_'], "").eq_ignore_ascii_case("certificateHold"));
    let question = if hold {
        format!("putting on hold {what}: until it is released it does not get in, and its connections are cut now")
    } else {
        format!("revoking {what}: it never gets in again, and its connections are cut now")
    };
    prompt::demand_word(&question, "REVOKE", session.auto_confirm)
}

/// Tells what was revoked. What was `shown` before the question is not shown again, unless it came out otherwise.
async fn told(session: &Session, flags: &ChangeFlags, sent: Result<Revoked, Failure>, shown: Option<&Revoked>) -> Outcome {
    let Some(mut revoked) = session.accept(sent)? else { return Ok(()) };
    if let Some(status) = revoked.request_status.take() {
        revoked.request_status = Some(session.settle(flags, status).await?);
    }
    session.output.show(&revoked, || {
        let status = revoked.request_status.as_ref().map(|status| session.told(status)).unwrap_or_default();
        let as_shown = shown.is_some_and(|shown| list(&session.output, shown) == list(&session.output, &revoked));
        if as_shown { status } else { format!("{}{status}", list(&session.output, &revoked)) }
    })
}

fn list(output: &Output, revoked: &Revoked) -> String {
    let rows = revoked
        .certificates
        .iter()
        .map(|one| vec![one.id.clone(), one.alias.clone(), one.reason.clone(), one.serial.clone(), one.owner_id.clone()])
        .collect();
    let mut text = output.list(
        &[whole("ID"), table::text("ALIAS"), whole("REASON"), whole("SERIAL"), whole("OWNER ID")],
        rows,
        "no certificate that you may see",
    );
    let unseen = revoked.count.saturating_sub(u64::try_from(revoked.certificates.len()).unwrap_or(0));
    if unseen > 0 {
        text.push_str(&format!("and {unseen} more\n"));
    }
    if let Some(key) = &revoked.blocked_key {
        text.push_str(&format!("blocked for ever: the key {key}\n"));
    }
    for warning in &revoked.warnings {
        text.push_str(&output.warning(warning));
    }
    text
}

/// The first certificate of a file: those that are made here have the CAs above it behind it.
fn leaf_of(text: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    text.find(END).map_or_else(|| text.to_owned(), |at| format!("{}\n", &text[..at + END.len()]))
}

/// The id of the only certificate of this alias that is not revoked.
pub(super) async fn by_alias(session: &Session, alias: &str) -> Result<String, Failure> {
    let all = session.pages::<CertificateBody>(&["certificates"], &PageFlags::default(), &[]).await?;
    let found: Vec<&str> = all.items.iter().filter(|one| one.state != "revoked" && one.alias == alias).map(|one| one.id.as_str()).collect();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::refused("not_found", "no certificate has this alias").hint("countersign certificate list")),
        many => Err(Failure::refused("ambiguous", format!("{} certificates have this alias", many.len()))
            .hint(format!("name one by --id: {}", many.join(", ")))),
    }
}

fn text(path: &Path) -> Result<zeroize::Zeroizing<String>, Failure> {
    let bytes = input::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::refused("bad_pem", format!("{} is no PEM text", path.display())))?;
    Ok(zeroize::Zeroizing::new(text.to_owned()))
}

/// A key as it is sent: its public half, unless the private one is to be the proof.
fn key_text(path: &Path, prove: bool) -> Result<zeroize::Zeroizing<String>, Failure> {
    let text = text(path)?;
    let holds_private = given_key::read(text.as_bytes())?.holds_private;
    if !holds_private && prove {
        return Err(Failure::usage("--prove needs the private key, and the file holds none").hint("leave --prove out"));
    }
    if !holds_private || prove {
        return Ok(text);
    }
    let public = LocalKey::from_pem(&text)?;
    Ok(zeroize::Zeroizing::new(given_key::public_pem(public.public_key())))
}

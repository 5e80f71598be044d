//! `apikey` and `certificate` `rotate`, `usage` and `retire`: exchanging credentials without an outage. Words and files only; when an
//! old one may go is the server's to say.

use super::Session;
use super::apikey::store_it_now;
use super::certificate::Which;
use super::change::ChangeFlags;
use super::client::NO_QUERY;
use super::errors::{Failure, Outcome};
use super::issuance::{self, OutFlags, file_stem, first_certificate, write_new};
use super::output::{count, note};
use super::table::{text, whole};
use super::{input, prompt};
use countersign_proto::rest::{
    CertificateBody, CreatedApiKey, CreatedCertificate, Retire, Retired, RotateApiKey, RotateCertificate, RotationBody, RotationSide,
};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::private_key::LocalKey;
use countersign_x509::request;
use reqwest::Method;
use std::path::{Path, PathBuf};

/// `apikey rotate`.
#[derive(clap::Args)]
pub struct RotateKeyArgs {
    /// The API key's id
    #[arg(long, short = 'i')]
    id: String,

    /// Another name than the old key's
    #[arg(long, short = 'n')]
    name: Option<String>,

    /// How long it lives, at most 2y [default: as long as the old one was made for]
    #[arg(long, short = 'd')]
    duration: Option<String>,

    /// When it ends, RFC 3339; wins over --duration
    #[arg(long, short = 'e', value_name = "TIME")]
    expiry: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `certificate rotate`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("way").required(true).args(["generate_key", "csr"])))]
pub struct RotateCertificateArgs {
    #[command(flatten)]
    which: Which,

    /// Make a new key here, and a request for it by the old certificate's names
    #[arg(long)]
    generate_key: bool,

    /// Send the request in this file; - is stdin
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,

    /// The kind of the new key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519
    #[arg(long, value_name = "KIND", default_value = "ecdsa-p256", requires = "generate_key")]
    key_type: String,

    #[command(flatten)]
    out: OutFlags,

    /// Another alias than the old certificate's
    #[arg(long = "new-alias", value_name = "NAME")]
    new_alias: Option<String>,

    /// How long it lives, for example 90d [default: the issuer's]
    #[arg(long, short = 'd', value_name = "DURATION")]
    duration: Option<String>,

    #[command(flatten)]
    change: ChangeFlags,
}

/// The times that shares and idleness are counted over.
#[derive(clap::Args)]
struct Spans {
    /// Count shares over this time, 1m to 7d
    #[arg(long, default_value = "1h")]
    window: String,

    /// Without a use for so long, the old one counts as safe to revoke
    #[arg(long, default_value = "24h")]
    idle: String,
}

/// `apikey usage`.
#[derive(clap::Args)]
pub struct KeyUsageArgs {
    /// The id of the old API key, or of its successor
    #[arg(long, short = 'i')]
    id: String,

    #[command(flatten)]
    spans: Spans,
}

/// `certificate usage`.
#[derive(clap::Args)]
pub struct CertificateUsageArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    spans: Spans,
}

/// How the old one goes.
#[derive(clap::Args)]
struct How {
    /// Goes by itself once it was not used for so long, and its successor is; without it, now, if that is safe
    #[arg(long, value_name = "TIME")]
    when_idle: Option<String>,

    /// With --when-idle: at the latest then (RFC 3339), in use or not
    #[arg(long, value_name = "TIME", requires = "when_idle")]
    at: Option<String>,

    /// Also where somebody would break
    #[arg(long)]
    force: bool,

    /// Take an earlier --when-idle back
    #[arg(long, conflicts_with_all = ["when_idle", "force"])]
    cancel: bool,

    #[command(flatten)]
    change: ChangeFlags,
}

/// `apikey retire`.
#[derive(clap::Args)]
pub struct RetireKeyArgs {
    /// The id of the old API key
    #[arg(long, short = 'i')]
    id: String,

    #[command(flatten)]
    how: How,
}

/// `certificate retire`.
#[derive(clap::Args)]
pub struct RetireCertificateArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    how: How,
}

/// Makes a key's successor.
pub async fn rotate_key(session: &Session, args: RotateKeyArgs) -> Outcome {
    let body = RotateApiKey {
        name: args.name,
        duration: if args.expiry.is_some() { None } else { args.duration.as_deref().map(input::key_duration).transpose()? },
        expiry_time: args.expiry,
    };
    let made: Option<CreatedApiKey> = session.make(&args.change, Method::POST, &["api-keys", &args.id, "rotate"], &body).await?;
    let Some(mut made) = made else { return Ok(()) };
    made.request_status = session.settle(&args.change, made.request_status).await?;
    session.output.show(&made, || {
        session.output.card(&[
            ("id", made.id.clone()),
            ("replaces", args.id.clone()),
            ("secret key", made.secret_key.clone().unwrap_or_default()),
        ])
    })?;
    store_it_now(made.secret_key.as_deref());
    next_steps("apikey", &args.id);
    Ok(())
}

/// Has a certificate's successor issued, for a key that is made here or for a request.
pub async fn rotate_certificate(session: &Session, args: RotateCertificateArgs) -> Outcome {
    let id = args.which.id(session).await?;
    let old: CertificateBody = session.client()?.get(&["certificates", &id], NO_QUERY).await?;
    let alias = args.new_alias.as_deref().unwrap_or(&old.alias);
    let places = args.out.places(&file_stem(alias), args.generate_key.then_some(Path::new(".")))?;
    let key = match (&args.csr, &places) {
        (None, Some(places)) => {
            places.are_free(&[&places.key, &places.csr])?;
            Some(LocalKey::generate(args.key_type.parse()?)?)
        }
        (Some(_), Some(places)) => {
            places.are_free(&[])?;
            None
        }
        (_, None) => None,
    };
    let csr = match (&args.csr, &key) {
        (Some(file), _) => CheckedCsr::parse(&input::read(file)?)?.pem(),
        (None, Some(key)) => CheckedCsr::parse(&request::successor(key, &first_certificate(&old.pem)?)?)?.pem(),
        (None, None) => return Err(Failure::usage("there is neither a request nor a new key").hint("give --csr FILE or --generate-key")),
    };
    let mut files = Vec::new();
    if let (Some(key), Some(places)) = (&key, &places) {
        // The key is on the disk before a certificate for it can exist. It is exposed to the file that the person asked for.
        write_new(&places.key, key.to_pem()?.expose().as_bytes(), 0o600)?;
        write_new(&places.csr, csr.as_bytes(), 0o644)?;
        files.extend([places.key.display().to_string(), places.csr.display().to_string()]);
    }
    let body = RotateCertificate { csr, alias: args.new_alias.clone(), lifetime: args.duration.clone() };
    let made: Result<Option<CreatedCertificate>, Failure> =
        session.make(&args.change, Method::POST, &["certificates", &id, "rotate"], &body).await;
    let mut made = match made {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(()),
        Err(failure) => {
            if let (Some(_), Some(places)) = (&key, &places) {
                // Whether it was issued is not always known: the key is kept, and the request can be sent again.
                note(&format!("The key and its request stay in {}.", places.key.display()));
            }
            return Err(failure);
        }
    };
    made.request_status = session.settle(&args.change, made.request_status).await?;
    for warning in &made.warnings {
        note(&format!("remark: {}", super::errors::clean(warning)));
    }
    if let Some(places) = &places {
        files.extend(places.write_certificates(&made)?);
    }
    issuance::show(session, made, files)?;
    next_steps("certificate", &id);
    Ok(())
}

/// What to do after the successor is made.
pub(super) fn next_steps(noun: &str, old: &str) {
    note(&format!(
        "Both work. Give the new one to its users, watch the traffic move with `countersign {noun} usage --id {old}`, and let the old \
         one go with `countersign {noun} retire --id {old} --when-idle 24h`."
    ));
}

/// Shows how far a key's rotation is.
pub async fn key_usage(session: &Session, args: KeyUsageArgs) -> Outcome {
    show_usage(session, "api-keys", &args.id, args.spans).await
}

/// Shows how far a certificate's rotation is.
pub async fn certificate_usage(session: &Session, args: CertificateUsageArgs) -> Outcome {
    let id = args.which.id(session).await?;
    show_usage(session, "certificates", &id, args.spans).await
}

async fn show_usage(session: &Session, noun: &str, id: &str, spans: Spans) -> Outcome {
    let query = [("window", Some(spans.window)), ("idle", Some(spans.idle))];
    let rotation: RotationBody = session.client()?.get(&[noun, id, "rotation"], &query).await?;
    session.output.show(&rotation, || told(session, &rotation))
}

fn side(session: &Session, which: &str, side: &RotationSide) -> Vec<String> {
    let last = match (&side.last_used_time, &side.last_used_from) {
        (None, _) => "never".to_owned(),
        (Some(time), None) => session.output.ago(time),
        (Some(time), Some(from)) => format!("{} from {from}", session.output.ago(time)),
    };
    let share = side.percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"));
    vec![which.to_owned(), side.id.clone(), side.name.clone(), side.state.clone(), share, side.requests.to_string(), last]
}

/// A rotation for a person.
fn told(session: &Session, rotation: &RotationBody) -> String {
    let rows = vec![side(session, "old", &rotation.old), side(session, "new", &rotation.new)];
    let mut text = session.output.list(
        &[whole(""), whole("ID"), text("NAME"), whole("STATE"), whole("SHARE"), whole("REQUESTS"), whole("LAST USED")],
        rows,
        "",
    );
    let verdict = if rotation.safe_to_revoke { "safe to revoke" } else { "not safe to revoke" };
    text.push_str(&format!("{}: {}\n", session.output.verdict(verdict, rotation.safe_to_revoke), super::errors::clean(&rotation.reason)));
    // One that lets nobody in any more has broken whom it could.
    let would = if rotation.old.state == "revoked" { "used it" } else { "would break" };
    for one in &rotation.still_using {
        let requests = count(one.requests, "request", "requests");
        text.push_str(&format!(
            "  {} {would}: {requests}, last {}\n",
            super::errors::clean(&one.source),
            session.output.ago(&one.last_used_time)
        ));
    }
    if let Some(retirement) = &rotation.retirement {
        let at = retirement.at.as_deref().map(|at| format!(", at the latest {}", session.output.when(at))).unwrap_or_default();
        text.push_str(&format!("goes by itself after {} without a use{at}\n", idle_text(retirement.when_idle_seconds)));
    }
    text
}

fn idle_text(seconds: i64) -> String {
    let of = |n: i64, one: &str, many: &str| count(u64::try_from(n).unwrap_or(0), one, many);
    match seconds {
        s if s % 86_400 == 0 => of(s / 86_400, "day", "days"),
        s if s % 3600 == 0 => of(s / 3600, "hour", "hours"),
        s if s % 60 == 0 => of(s / 60, "minute", "minutes"),
        s => of(s, "second", "seconds"),
    }
}

/// Ends an old key, or has it end by itself.
pub async fn retire_key(session: &Session, args: RetireKeyArgs) -> Outcome {
    retire(session, "api-keys", &args.id, args.how).await
}

/// Ends an old certificate, or has it end by itself.
pub async fn retire_certificate(session: &Session, args: RetireCertificateArgs) -> Outcome {
    let id = args.which.id(session).await?;
    retire(session, "certificates", &id, args.how).await
}

async fn retire(session: &Session, noun: &str, id: &str, how: How) -> Outcome {
    if how.force && how.when_idle.is_none() {
        prompt::demand_word(&format!("ending {id} although somebody may still use it"), "REVOKE", session.auto_confirm)?;
    }
    let body = Retire { when_idle: how.when_idle, at: how.at, force: how.force, cancel: how.cancel };
    let retired: Option<Retired> = session.make(&how.change, Method::POST, &[noun, id, "retire"], &body).await?;
    let Some(mut retired) = retired else { return Ok(()) };
    retired.request_status = session.settle(&how.change, retired.request_status).await?;
    for warning in &retired.warnings {
        note(&format!("warning: {warning}"));
    }
    session.output.show(&retired, || {
        let rotation = retired.rotation.as_ref().filter(|_| !retired.gone).map(|rotation| told(session, rotation)).unwrap_or_default();
        format!("{rotation}{}", session.told(&retired.request_status))
    })
}

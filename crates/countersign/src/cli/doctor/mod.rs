//! `doctor`: walks the way of one request from this machine through a gateway's door, step by step, and says at which step it ends and
//! how to mend that. It changes nothing, and shows its credential to nobody whose certificate it could not verify.

mod certificate;
mod lists;
mod network;
mod report;
mod request;
mod tls;

use super::Session;
use super::errors::{Failure, Outcome};
use super::input;
use report::{Mark, Report};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The gateway's port when none is given.
const PORT: u16 = 7233;

/// `doctor`.
#[derive(clap::Args)]
pub struct Args {
    /// The door: HOST[:PORT], as the client that fails would name it
    #[arg(value_name = "HOST[:PORT]")]
    target: String,

    /// Connect to this address instead of asking the name service
    #[arg(long, value_name = "ADDR:PORT")]
    connect: Option<SocketAddr>,

    /// The client certificate: PEM, leaf first, intermediates after it; its key may stand in the same file
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,

    /// The client certificate's private key (PEM); it is used here and sent nowhere
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// Show no API key, even where one is set
    #[arg(long)]
    no_api_key: bool,

    /// The HTTP method
    #[arg(long, default_value = "GET")]
    method: String,

    /// The path
    #[arg(long, default_value = "/")]
    path: String,
}

/// Host and port of what was typed; a name may be written with a final dot or in brackets.
fn split(target: &str) -> Result<(String, u16), Failure> {
    let unusable =
        || Failure::usage(format!("`{target}` is no HOST[:PORT]")).hint("for example: countersign doctor demo.a1b2c.example.com:7233");
    let rest = target.strip_prefix("https://").unwrap_or(target).trim_end_matches('/');
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (host, tail) = v6.split_once(']').ok_or_else(unusable)?;
            (host, tail.strip_prefix(':'))
        }
        None if rest.matches(':').count() == 1 => rest.split_once(':').map(|(host, port)| (host, Some(port))).ok_or_else(unusable)?,
        None => (rest, None),
    };
    let port = port.map_or(Ok(PORT), |text| text.parse().map_err(|_| unusable()))?;
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
        return Err(unusable());
    }
    Ok((host.trim_end_matches('.').to_owned(), port))
}

/// Walks the way.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let (host, port) = split(&args.target)?;
    let target = session.global.target()?;
    let method = http::Method::from_bytes(args.method.to_uppercase().as_bytes())
        .map_err(|_| Failure::usage(format!("`{}` is no HTTP method", args.method)))?;
    if !args.path.starts_with('/') {
        return Err(Failure::usage("--path begins with a slash"));
    }
    let now = crate::plane::SystemClock.read();
    let mut report = Report::default();
    let own = match &args.certificate {
        Some(path) => {
            let bytes = input::read(path)?;
            let key = args.key.as_ref().map(|path| input::read(path)).transpose()?;
            certificate::judge(&mut report, &bytes, key.as_ref().map(|bytes| bytes.as_slice()), now)
        }
        None => None,
    };
    let asks_control = !args.no_api_key && (target.api_key.is_some() || target.login.is_some());
    let api_key = target.api_key.filter(|_| !args.no_api_key);
    if let Some(stream) = network::reach(&mut report, &host, port, args.connect).await {
        let roots = target.ca_cert.as_deref();
        if let Some(connection) = tls::shake(&mut report, stream, &host, roots, own, now).await? {
            let asked = request::Asked { host: &host, port, method, path: &args.path, api_key: api_key.as_ref() };
            request::send(&mut report, connection, &asked, now).await;
        }
    }
    if asks_control && let Ok(client) = session.client() {
        lists::look(&mut report, client, &host).await;
        lists::look_at_database(&mut report, client).await;
    }
    session.output.show(&report, || report.for_people(session.output.terminal()))?;
    match report.first_failure() {
        None => Ok(()),
        Some(step) => {
            Err(Failure::refused("doctor_found_something", format!("the way ends at the step `{}`", step.step)).hint(step.remedy.clone()))
        }
    }
}

/// What a step says when it is not walked because an earlier one failed.
fn skip(report: &mut Report, step: &'static str, why: &str) {
    report.note(step, Mark::Skipped, why, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("demo.a1b2c.localhost", "demo.a1b2c.localhost", 7233),
            ("demo.a1b2c.localhost:1", "demo.a1b2c.localhost", 1),
            ("https://demo.example.com:443/", "demo.example.com", 443),
            ("[::1]:5", "::1", 5),
            ("::1", "::1", 7233),
            ("demo.example.com.", "demo.example.com", 7233),
        ] {
            assert_eq!(split(text).ok(), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":1", "a:b", "a/b", "user@host", "a:99999"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}

//! `explain`: what would the gateway say, and why. The server asks the same function that the gateways do.

use super::Session;
use super::errors::{Failure, Outcome};
use super::input;
use crate::terminal::{Style, clean_line, columns};
use countersign_proto::rest::{CheckBody, ExplainRequest, Explanation};
use std::path::PathBuf;

/// `explain`.
#[derive(clap::Args)]
pub struct Args {
    /// The namespace, NAME.ACCOUNT
    #[arg(long, short = 'n', env = "COUNTERSIGN_NAMESPACE", hide_env = true)]
    namespace: Option<String>,

    /// Or the host, as the client would name it
    #[arg(long)]
    host: Option<String>,

    /// The HTTP method
    #[arg(long, default_value = "GET")]
    method: String,

    /// The path
    #[arg(long, default_value = "/")]
    path: String,

    /// With this API key (its id, not its secret)
    #[arg(long, value_name = "ID")]
    api_key_id: Option<String>,

    /// With this client certificate: a PEM file, intermediates after it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

/// Asks.
pub async fn run(session: &Session, args: Args) -> Outcome {
    if args.api_key_id.as_deref().is_some_and(|id| id.starts_with("csk_")) {
        return Err(Failure::usage("--api-key-id is the id of a key, not its secret").hint("the id stands between csk_ and the next _"));
    }
    // A host that was named wins over a namespace that only the environment names.
    let namespace = if args.host.is_some() { None } else { args.namespace };
    if args.host.is_none() && namespace.is_none() {
        return Err(Failure::usage("no place is given").hint("add --namespace NAME.ACCOUNT or --host HOST"));
    }
    let certificate = match &args.certificate {
        Some(path) => Some(input::pem_text_without_key(&input::read(path)?)?),
        None => None,
    };
    let body = ExplainRequest {
        host: args.host,
        namespace,
        method: Some(args.method.to_uppercase()),
        path: Some(args.path),
        api_key_id: args.api_key_id,
        certificate,
    };
    let said: Explanation = session.client()?.ask(&["explain"], &body).await?;
    session.output.show(&said, || {
        let verdict = if said.admitted { "let in".to_owned() } else { format!("refused: {} ({})", said.code, said.status) };
        let table = session.output.card(&[
            ("rule", said.reason.clone()),
            ("remedy", said.remedy.clone()),
            ("identity", said.identity.clone().unwrap_or_default()),
            ("credential", said.credential.clone().unwrap_or_default()),
            ("route", said.route.clone().unwrap_or_default()),
            ("valid until", said.valid_until.as_deref().map(|t| session.output.when(t)).unwrap_or_default()),
        ]);
        let table = if said.checks.is_empty() { table } else { format!("{table}\n{}", checks(session, &said.checks)) };
        format!("{}\n{table}", session.output.verdict(&verdict, said.admitted))
    })?;
    if said.admitted { Ok(()) } else { Err(Failure::denied()) }
}

/// The certificate rule by rule, each with what to do below it. They are sentences and commands, so they are no table.
fn checks(session: &Session, checks: &[CheckBody]) -> String {
    let widest = |of: fn(&CheckBody) -> &str| checks.iter().map(|check| columns(of(check))).max().unwrap_or_default();
    let (results, rules) = (widest(|check| &check.result), widest(|check| &check.rule));
    let mut text = String::new();
    for check in checks {
        let style = match check.result.as_str() {
            "failed" => Style::Bad,
            "warning" => Style::Warning,
            "ok" => Style::Good,
            _ => Style::Faint,
        };
        let result = format!("{:results$}", check.result);
        let rule = clean_line(&check.rule);
        text.push_str(&format!("{}  {rule:rules$}  {}\n", session.output.paint(style, &result), clean_line(&check.detail)));
        if !check.remedy.is_empty() {
            text.push_str(&format!("{:results$}  {:rules$}  -> {}\n", "", "", clean_line(&check.remedy)));
        }
    }
    text
}

//! `explain`: what would the gateway say, and why. The server asks the same function that the gateways do.

use super::Session;
use super::errors::{Failure, Outcome};
use super::input;
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
        format!("{}\n{table}", session.output.verdict(&super::errors::clean(&verdict), said.admitted))
    })
}

/// The certificate rule by rule, with what mends it.
fn checks(session: &Session, checks: &[CheckBody]) -> String {
    let rows = checks
        .iter()
        .map(|check| {
            let result = session.output.verdict(&super::errors::clean(&check.result), check.result != "failed");
            vec![check.rule.clone(), result, check.detail.clone(), check.remedy.clone()]
        })
        .collect();
    session.output.list(&["RULE", "RESULT", "WHAT", "WHAT TO DO"], rows, "")
}

//! Which issuer signs next, and what to say where an activated or a new one does not. It changes nothing.

use super::{App, Refused, certificate};
use countersign_core::application::Environment;
use countersign_core::issuer::{Issuer, IssuerKind, IssuerState, KeyPlace};
use countersign_proto::rest::{Created, CreatedIssuer, NextSigners};

/// The one among `known` that signs for this environment next.
pub(super) fn next_signer<'i>(app: &App, known: &'i [Issuer], environment: Option<Environment>) -> Option<&'i Issuer> {
    let wanted = environment.unwrap_or(Environment::Production);
    let now = app.now();
    let signs = |one: &&Issuer| {
        one.kind == IssuerKind::Issuing
            && one.state == IssuerState::Active
            && one.key != KeyPlace::Absent
            && one.environment.is_none_or(|own| own == wanted)
            && certificate(app, one).is_ok_and(|certificate| now < certificate.not_after())
    };
    // One of the environment's own goes before one that serves both; for nobody's it is the other way round.
    known.iter().filter(signs).max_by_key(|one| (one.environment.is_some() == environment.is_some(), one.created_at))
}

/// With a word on whom the new issuer will not replace when it is activated.
pub(super) async fn with_warnings(app: &App, made: Created) -> Result<CreatedIssuer, Refused> {
    let known = app.store.read().await?.issuers().await?;
    let new = known.iter().find(|one| one.id.as_str() == made.id && one.kind == IssuerKind::Issuing && one.environment.is_none());
    let own: Vec<(Environment, &str)> = Environment::ALL
        .into_iter()
        .filter_map(|environment| {
            let signer = next_signer(app, &known, Some(environment)).filter(|one| one.environment.is_some())?;
            Some((environment, signer.name.as_str()))
        })
        .collect();
    let warnings = match new {
        Some(new) if !own.is_empty() => {
            let named: Vec<String> = own.iter().map(|(environment, name)| format!("{name} for {environment}")).collect();
            vec![format!(
                "issuer {} is for both environments, and an environment's own issuer goes before it: for applications {} will go on signing. \
                 Make one for each environment instead: countersign issuer create --name NAME --environment {}",
                new.name,
                named.join(" and "),
                own[0].0
            )]
        }
        _ => Vec::new(),
    };
    Ok(CreatedIssuer { id: made.id, warnings, request_status: made.request_status })
}

/// Who signs next, for each that can be asked for.
pub(super) fn next_signers(app: &App, known: &[Issuer]) -> NextSigners {
    let name = |environment| next_signer(app, known, environment).map(|one| one.name.clone());
    NextSigners { sandbox: name(Some(Environment::Sandbox)), production: name(Some(Environment::Production)), identities: name(None) }
}

/// Where an issuer that has just been activated serves and another one signs all the same.
pub(super) fn not_replaced(activated: &Issuer, next: &NextSigners) -> Vec<String> {
    if activated.kind != IssuerKind::Issuing {
        return Vec::new();
    }
    let serves = |environment| activated.environment.is_none_or(|own| own == environment);
    let asked = [
        (serves(Environment::Sandbox), "applications in sandbox", &next.sandbox),
        (serves(Environment::Production), "applications in production", &next.production),
        (serves(Environment::Production), "service accounts and users", &next.identities),
    ];
    let other = |(serves, whom, name): (bool, &str, &Option<String>)| {
        let name = name.as_deref().filter(|name| serves && *name != activated.name)?;
        Some(format!(
            "issuer {} is active, and {name} goes on signing for {whom}: an environment's own issuer goes before one for both, and a newer \
             one before an older one. To have it replaced: countersign issuer retiring --name {name}",
            activated.name
        ))
    };
    asked.into_iter().filter_map(other).collect()
}

//! The CAs whose certificates may be registered for applications, one list an environment. Admins keep them, everybody may read them.
//! Whom they let in at a gateway is not decided here: only a registered leaf gets in, by itself.

use super::caller::Caller;
use super::unit::{Begun, Done, Unit, value};
use super::{App, applications, decide};
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::authz::{Action, Actor, Target};
use countersign_core::limits::ACCEPTED_CLIENT_CAS_MAX;
use countersign_core::namespace::AcceptedCa;
use countersign_proto::convert;
use countersign_proto::rest::{AddTrustedCas, Changed, TrustedCaBody, TrustedCas};
use countersign_store::Reader;
use countersign_x509::bundle;

/// The name of the setting.
fn setting(environment: Environment) -> String {
    format!("trusted_cas_{environment}")
}

/// The list of an environment.
///
/// # Errors
/// When the store fails.
pub(super) async fn of(reader: &mut Reader, environment: Environment) -> Result<Vec<AcceptedCa>, Refused> {
    Ok(reader.setting::<Vec<AcceptedCa>>(&setting(environment)).await?.unwrap_or_default())
}

fn body(cas: &[AcceptedCa]) -> TrustedCas {
    let one = |ca: &AcceptedCa| TrustedCaBody {
        fingerprint_sha256: ca.fingerprint.to_string(),
        subject: countersign_core::printable::printable(&ca.subject).into_owned(),
        not_before: convert::time(ca.not_before),
        not_after: convert::time(ca.not_after),
        pem: convert::certificate_pem(&ca.der),
    };
    TrustedCas { items: cas.iter().map(one).collect() }
}

/// The list.
///
/// # Errors
/// `invalid_argument`, `forbidden`.
pub async fn list(app: &App, actor: &Actor, text: &str) -> Result<TrustedCas, Refused> {
    decide(actor, Action::GetApplications, Target::Account)?;
    let environment = applications::environment(Some(text))?;
    of(&mut app.store.read().await?, environment).await.map(|cas| body(&cas))
}

/// Adds to it, all or none.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `nothing_to_change`, `limit_reached`, `own_issuer`, and x509's codes.
pub async fn add(app: &App, caller: &Caller, text: &str, added: AddTrustedCas) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateApplication, &("trusted-cas add", text, &added)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateApplication, Target::Account)?;
    let environment = applications::environment(Some(text))?;
    let before = of(&mut unit.write, environment).await?;
    let mut after = before.clone();
    for ca in bundle::parse(added.certificates.as_bytes(), unit.now, false)? {
        if !after.iter().any(|known| known.fingerprint == ca.fingerprint) {
            after.push(ca);
        }
    }
    if after.len() == before.len() {
        return Err(Refused::nothing_to_change(format!("these CAs are trusted in {environment} already")));
    }
    super::cas::check_not_own(app, &mut unit.write, &before, &after).await?;
    if after.len() > ACCEPTED_CLIENT_CAS_MAX {
        return Err(Refused::new("limit_reached", format!("an environment trusts at most {ACCEPTED_CLIENT_CAS_MAX} CAs"))
            .hint("remove one that is no longer needed: countersign application trusted-ca remove"));
    }
    put(*unit, environment, &before, &after).await
}

/// Takes one off it. What was registered by it stays: it is known by itself.
///
/// # Errors
/// `invalid_argument`, `forbidden`, `not_found`.
pub async fn remove(app: &App, caller: &Caller, text: &str, fingerprint: &str) -> Result<Changed, Refused> {
    let mut unit = match Unit::begin(app, caller, Action::UpdateApplication, &("trusted-cas remove", text, fingerprint)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateApplication, Target::Account)?;
    let environment = applications::environment(Some(text))?;
    let before = of(&mut unit.write, environment).await?;
    let plain = fingerprint.replace(':', "").to_ascii_lowercase();
    let after: Vec<AcceptedCa> =
        before.iter().filter(|ca| ca.fingerprint.to_string() != plain && ca.fingerprint_sha1 != plain).cloned().collect();
    if after.len() == before.len() {
        return Err(Refused::not_found("trusted CA", fingerprint));
    }
    put(*unit, environment, &before, &after).await
}

async fn put(mut unit: Unit<'_>, environment: Environment, before: &[AcceptedCa], after: &[AcceptedCa]) -> Result<Changed, Refused> {
    let now = unit.now;
    unit.write.put_setting(&setting(environment), &after, now).await?;
    let (old, new) = (value(&body(before)), value(&body(after)));
    let operation = unit.commit(Done { kind: "trusted_cas", id: environment.as_str(), before: old, after: new }).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

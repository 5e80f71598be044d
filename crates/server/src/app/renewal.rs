//! Renewal of a certificate by its own key. Nobody logs in: whoever signs our challenge with the old certificate's key may have
//! exactly its successor made, with the same owner, name and narrowing, and nothing else. How a certificate is issued is
//! `issuance`'s business.

use super::caller::Caller;
use super::issuance::{self, Order};
use super::unit::name_and_access;
use super::{App, check_text, refused_changes};
use crate::error::Refused;
use crate::login::throttle::{Throttle, Wait};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::authz::Action;
use countersign_core::credential::certificate::{Certificate, CertificateStatus, Fingerprint};
use countersign_core::id::OperationId;
use countersign_core::identity::IdentityId;
use countersign_core::limits::DISPLAY_NAME_CHARS_MAX;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::convert;
use countersign_proto::rest::{AskRenewal, RenewCertificate, RenewalChallenge, RenewedCertificate, RequestStatus};
use countersign_x509::challenge::{self, ChallengeKey};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::pem::{self, Block};
use tokio::sync::OnceCell;

/// The name of the setting that holds the sealed key of challenges, and what it is sealed for.
const CHALLENGE_KEY: &str = "renewal_challenge_key";

/// A renewal is early in the first of so many parts of the certificate's life.
const EARLY: i64 = 4;

/// What renewals need between requests; it ends with the process.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    key: OnceCell<ChallengeKey>,
    throttle: Throttle,
}

/// What a challenge for renewals is bound to, besides the certificate: this account, this purpose and one request. A signature
/// that was given for anything else proves nothing here, and one that was given here renews by no other request.
fn bound_to(app: &App, request: &str) -> String {
    format!("{}:renewal-by-request:{request}", app.account_id())
}

/// The key of challenges, the same after a restart, so that a challenge outlives it.
pub(super) async fn challenge_key(app: &App) -> Result<&ChallengeKey, Refused> {
    app.renewals
        .key
        .get_or_try_init(|| async {
            let mut write = app.store.begin().await?;
            if let Some(sealed) = write.setting::<String>(CHALLENGE_KEY).await? {
                let sealed = STANDARD.decode(sealed).map_err(Refused::unavailable)?;
                let opened = app.sealer()?.open(CHALLENGE_KEY, &sealed).map_err(Refused::unavailable)?;
                let bytes = <[u8; 32]>::try_from(opened.as_slice()).map_err(Refused::unavailable)?;
                return Ok(ChallengeKey::new(bytes));
            }
            let mut bytes = [0; 32];
            app.entropy.fill(&mut bytes);
            let sealed = STANDARD.encode(app.sealer()?.seal(CHALLENGE_KEY, &bytes));
            write.put_setting(CHALLENGE_KEY, &sealed, app.now()).await?;
            write.commit_without_revision().await?;
            Ok(ChallengeKey::new(bytes))
        })
        .await
}

/// A text to be signed with the old certificate's key. It is made in the same way for every fingerprint, so nobody learns which
/// certificates there are (promise P11), and nothing is kept of it.
///
/// # Errors
/// `invalid_argument` for what is no fingerprint; `unavailable`.
pub async fn ask(app: &App, body: AskRenewal) -> Result<RenewalChallenge, Refused> {
    let print = |member: &str, text: String| {
        let plain = text.replace(':', "").to_ascii_lowercase();
        Fingerprint::try_from(plain).map_err(|_| Refused::invalid(format!("{member} is a SHA-256: 64 hexadecimal characters")))
    };
    let certificate = print("fingerprintSha256", body.fingerprint_sha256)?;
    let request = print("requestSha256", body.request_sha256)?;
    let key = challenge_key(app).await?;
    let challenge = challenge::make(&bound_to(app, &request.to_string()), &certificate, app.now(), key, &*app.entropy);
    Ok(RenewalChallenge { challenge })
}

/// Whether a certificate may still act for itself.
///
/// # Errors
/// `certificate_revoked` and `certificate_expired`, each with what to do.
pub(crate) fn check_good(certificate: &Certificate, now: Timestamp) -> Result<(), Refused> {
    let again = "make a new one: countersign certificate create --generate-key";
    match certificate.status {
        CertificateStatus::Active if now.seconds() > certificate.facts.not_after.seconds() => {
            Err(Refused::new("certificate_expired", "the certificate has ended, and one that has ended renews nothing").hint(again))
        }
        CertificateStatus::Active => Ok(()),
        CertificateStatus::Held => {
            Err(Refused::new("certificate_revoked", "the certificate is on hold and renews nothing until it is released")
                .hint("ask an admin to take the hold off"))
        }
        CertificateStatus::Revoked => {
            Err(Refused::new("certificate_revoked", "the certificate is revoked, and a revoked one renews nothing").hint(again))
        }
    }
}

/// Where a renewal comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address.
    pub source: String,
    /// The request's id.
    pub request_id: String,
}

/// What was proved: a certificate of ours whose key signed our challenge over this request.
struct Proved {
    old: Certificate,
    csr: CheckedCsr,
    caller: Caller,
}

/// Holds the signature against the certificate *that came with it*, and only then looks whether it is known: without its key one
/// learns nothing, neither by the answer nor by the time it takes.
async fn prove(app: &App, origin: &Origin, body: &RenewCertificate) -> Result<Proved, Refused> {
    let blocks = pem::read(body.certificate.as_bytes())?.blocks;
    let der = blocks.into_iter().find_map(|block| match block {
        Block::Certificate(der) => Some(der),
        Block::PrivateKey | Block::Other(_) => None,
    });
    let der = der.ok_or_else(|| Refused::invalid("certificate holds no certificate"))?;
    let print = Fingerprint::of(&der);
    let now = app.now();
    let bound = body.challenge.lines().find_map(|line| line.trim_end().strip_prefix("account: ")?.rsplit_once(':'));
    let request = bound.map(|(_, request)| request.to_owned()).unwrap_or_default();
    let key = challenge_key(app).await?;
    challenge::verify(&body.challenge, body.signature.as_bytes(), &der, &bound_to(app, &request), now, key)?;
    let csr = CheckedCsr::parse(body.csr.as_bytes())?;
    super::weak_keys::check(app, &csr.public_key)?;
    if Fingerprint::of(&csr.der).to_string() != request {
        return Err(Refused::new("challenge_not_ours", "the challenge was made for another request than the one that came with it")
            .hint("ask for a challenge with the SHA-256 of this request's DER"));
    }
    let mut reader = app.store.read().await?;
    let unknown = || {
        Refused::not_found("certificate", &print.to_string())
            .hint("only certificates that were issued here renew themselves; for others: countersign certificate create")
    };
    let old = reader.certificate_by_fingerprint(&print).await?.filter(|old| old.issuer.is_some()).ok_or_else(unknown)?;
    name_and_access(&mut reader, &old.owner).await?.ok_or_else(unknown)?;
    let caller = Caller {
        certificate: Some(old.id.clone()),
        source: origin.source.clone(),
        request_id: origin.request_id.clone(),
        operation: operation_of(&body.challenge),
        system: false,
        ..Caller::system(old.owner.clone())
    };
    Ok(Proved { old, csr, caller })
}

/// The operation's id: one a challenge, so that the same request again is the same operation.
fn operation_of(challenge: &str) -> Option<OperationId> {
    let plain = challenge.replace("\r\n", "\n");
    OperationId::parse(&format!("renewal-{}", Fingerprint::of(plain.trim_end().as_bytes()))).ok()
}

/// How long the successor lives: as long as the one whose place it takes, to the minute, since a longer life would be a right that
/// nobody gave. The issuer's policy bounds it besides.
pub(super) fn lifetime(old: &Certificate) -> Lifetime {
    let seconds = old.facts.not_after.since(old.created_at) / 1_000_000 + 1;
    Lifetime::from_seconds(if seconds < 120 { seconds } else { (seconds + 30) / 60 * 60 })
}

/// Makes the successor. The same request again gives the same certificate, also after the challenge has ended: it is known by its
/// key.
///
/// # Errors
/// x509's codes for what was sent, `challenge_not_ours`, `challenge_expired`, `possession_not_proved`, `not_found`,
/// `certificate_revoked`, `certificate_expired`, `already_renewed`, `invalid_argument`, `rate_limited`, and those of
/// [`issuance::issue`].
pub async fn renew(app: &App, origin: &Origin, body: RenewCertificate) -> Result<RenewedCertificate, Refused> {
    let Proved { old, csr, caller } = match prove(app, origin, &body).await {
        Ok(proved) => proved,
        Err(refused) => {
            // Only what failed counts, and only against where it came from: certificates are public, and a count by them would let
            // whoever has seen one keep its holder from renewing it. A signature cannot be guessed, so nothing is lost by looking first.
            let address = [format!("address {}", origin.source)];
            app.renewals.throttle.begin(app.now(), &address).map_err(|wait| too_often("failed renewals", wait))?;
            return Err(refused);
        }
    };
    let answer = succeed(app, &caller, &old, csr, body.alias).await;
    if let Err(refused) = &answer {
        app.failures.change(refused.code);
        let id = old.id.as_str();
        if let Err(error) = refused_changes::record(app, &caller, Action::RotateCertificate, "certificate", id, refused.code).await {
            tracing::error!(%error, "a refused renewal could not be recorded in the audit trail");
        }
    }
    answer
}

async fn succeed(
    app: &App,
    caller: &Caller,
    old: &Certificate,
    csr: CheckedCsr,
    alias: Option<String>,
) -> Result<RenewedCertificate, Refused> {
    check_good(old, app.now())?;
    // Nothing that a retired issuer signed gets in (G1), and so it does not come back in by a successor either.
    if old.issuer.as_ref().is_some_and(|issuer| app.snapshot().is_issuer_retired(issuer)) {
        return Err(Refused::new("certificate_revoked", "the certificate's issuer is retired, and what it signed renews nothing")
            .hint("make a new one: countersign certificate create --generate-key"));
    }
    let mut reader = app.store.read().await?;
    if let Some(id) = &old.replaced_by
        && let Some(next) = reader.certificate(id).await?
        && next.facts.key == Some(csr.key_fingerprint)
    {
        check_good(&next, app.now())?;
        let chain = match &next.issuer {
            Some(issuer) => issuance::chain(&mut reader, issuer).await?,
            None => Vec::new(),
        };
        return Ok(answer(old, &next, &chain, None));
    }
    if !csr.fits_as_successor(&old.der)? {
        return Err(Refused::invalid("a successor has the subject of the certificate it follows, and no name besides its names")
            .hint("make the request with the old certificate's subject, or have a new one issued: countersign certificate create"));
    }
    let environment = match &old.owner {
        IdentityId::Application(id) => reader.application_of(id).await?.and_then(|application| application.environment_of(id)),
        IdentityId::User(_) | IdentityId::ServiceAccount(_) => None,
    };
    drop(reader);
    let alias = match alias {
        Some(alias) => {
            check_text("alias", &alias, 1, DISPLAY_NAME_CHARS_MAX)?;
            alias
        }
        None => old.alias.clone(),
    };
    // Early ones count, the good ones too: a line of successors must not grow as fast as somebody can sign. Who renews when it is
    // time is never slowed, however short the life.
    if app.now().since(old.created_at) < lifetime(old).micros() / EARLY {
        let line = [format!("successors of {} {}", old.owner.as_str(), old.facts.subject)];
        app.renewals.throttle.begin(app.now(), &line).map_err(|wait| too_often("early renewals of one line of certificates", wait))?;
    }
    let request = (old.id.as_str(), csr.key_fingerprint.to_string(), &alias);
    let order = Order {
        owner: old.owner.clone(),
        environment,
        alias: alias.clone(),
        csr,
        lifetime: Some(lifetime(old)),
        apis: old.apis.clone(),
        replaces: Some(old.id.clone()),
        // The issuer's policy has the last word.
        key_reuse_allowed: true,
    };
    let issued = issuance::issue(app, caller, Action::RotateCertificate, &request, order).await?;
    Ok(answer(old, &issued.certificate, &issued.chain, Some(convert::request_status(&issued.operation))))
}

fn answer(old: &Certificate, new: &Certificate, chain: &[Vec<u8>], request_status: Option<RequestStatus>) -> RenewedCertificate {
    RenewedCertificate {
        id: new.id.to_string(),
        certificate: format!("{}\n", pem::certificate(&new.der)),
        chain: chain.iter().map(|der| format!("{}\n", pem::certificate(der))).collect(),
        serial: new.facts.serial.clone(),
        not_after: convert::time(new.facts.not_after),
        replaces: old.id.to_string(),
        request_status,
    }
}

fn too_often(what: &str, wait: Wait) -> Refused {
    Refused::new("rate_limited", format!("too many {what}; the next one is looked at in {} s", wait.seconds))
}

//! Renewal of a certificate by its own key. Nobody logs in: whoever signs our challenge with the old certificate's key may have
//! exactly its successor made, with the same owner, name and narrowing, and nothing else. How a certificate is issued is
//! `issuance`'s business.

use super::App;
use super::caller::Caller;
use super::unit::name_and_access;
use crate::error::Refused;
use crate::login::throttle::Throttle;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::credential::certificate::{Certificate, CertificateStatus, Fingerprint};
use countersign_core::id::OperationId;
use countersign_core::time::{Lifetime, Timestamp};
use countersign_proto::rest::{AskRenewal, RenewCertificate, RenewalChallenge};
use countersign_x509::challenge::{self, ChallengeKey};
use countersign_x509::csr::CheckedCsr;
use countersign_x509::pem::{self, Block};
use tokio::sync::OnceCell;

/// The name of the setting that holds the sealed key of challenges, and what it is sealed for.
const CHALLENGE_KEY: &str = "renewal_challenge_key";

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
async fn challenge_key(app: &App) -> Result<&ChallengeKey, Refused> {
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
    let names = [format!("certificate {print}"), format!("address {}", origin.source)];
    let now = app.now();
    app.renewals.throttle.begin(now, &names).map_err(|wait| {
        Refused::new("rate_limited", format!("too many failed renewals; the next one is looked at in {} s", wait.seconds))
    })?;
    let bound = body.challenge.lines().find_map(|line| line.trim_end().strip_prefix("account: ")?.rsplit_once(':'));
    let request = bound.map(|(_, request)| request.to_owned()).unwrap_or_default();
    let key = challenge_key(app).await?;
    challenge::verify(&body.challenge, body.signature.as_bytes(), &der, &bound_to(app, &request), now, key)?;
    let csr = CheckedCsr::parse(body.csr.as_bytes())?;
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
    app.renewals.throttle.good(&names[..1]);
    app.renewals.throttle.not_counted(&names[1]);
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
fn lifetime(old: &Certificate) -> Lifetime {
    let seconds = old.facts.not_after.since(old.created_at) / 1_000_000 + 1;
    Lifetime::from_seconds(if seconds < 120 { seconds } else { (seconds + 30) / 60 * 60 })
}

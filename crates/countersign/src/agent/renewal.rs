//! Renewal by the old certificate, the client's side: a new key, a request, a challenge, a signature, the successor. The old key
//! signs here and goes nowhere.

use super::set::{self, Set};
use super::settings::Settings;
use super::shelf::Shelf;
use crate::cli::{Client, Failure, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::credential::certificate::Fingerprint;
use countersign_proto::rest::{AskRenewal, RenewCertificate, RenewalChallenge, RenewedCertificate};
use countersign_x509::private_key::Signer as _;
use countersign_x509::{pem, request};
use std::path::Path;

/// The path of the renewal below `/api/v1`.
const RENEWAL: [&str; 2] = ["certificates", "renewal"];
/// Where the challenge for it is asked for.
const CHALLENGE: [&str; 3] = ["certificates", "renewal", "challenge"];

/// A connection to the control plane, without a credential: the signature is the credential.
pub fn client(settings: &Settings) -> Result<Client, Failure> {
    Client::new(Target { server: settings.server.clone(), api_key: None, ca_cert: settings.ca_cert.clone(), login: None })
}

/// Asks for the successor of `old`. Nothing is in force yet when it returns. Asking again, also after a crash, gives the same
/// successor, because its key is kept until it is in force.
pub async fn successor(client: &Client, settings: &Settings, shelf: &Shelf, old: &Set) -> Result<Set, Failure> {
    let key = shelf.next_key(old, settings.key_type.unwrap_or_else(|| old.key_kind()))?;
    let csr = request::successor(&key, &old.der)?;
    let asked = AskRenewal { fingerprint_sha256: old.fingerprint().to_string(), request_sha256: Fingerprint::of(&csr).to_string() };
    let RenewalChallenge { challenge } = client.open(&CHALLENGE, &asked).await?;
    let proof = RenewCertificate {
        certificate: pem::certificate(&old.der),
        signature: STANDARD.encode(old.key.sign(challenge.as_bytes())?),
        challenge,
        csr: STANDARD.encode(&csr),
        alias: settings.alias.clone(),
    };
    let renewed: RenewedCertificate = client.open(&RENEWAL, &proof).await?;
    let named = Path::new("the control plane's answer");
    let mut ders = set::certificates(renewed.certificate.as_bytes(), named)?;
    let chain = if renewed.chain.trim().is_empty() { Vec::new() } else { set::certificates(renewed.chain.as_bytes(), named)? };
    // An answer that is not for this key must never come into force.
    let new = Set::new(ders.remove(0), chain, key)?;
    if new.facts.not_after < old.facts.not_after {
        return Err(Failure::refused("renewal_gained_nothing", "the successor ends before the certificate it is to follow")
            .hint("look at the issuer's policy for lifetimes: countersign issuer list"));
    }
    Ok(new)
}

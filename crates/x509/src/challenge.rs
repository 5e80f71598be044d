//! Proof of possession for a certificate that another CA issued (B3 of `research/pki.md` section 6): a text that only we can have
//! made, signed by the certificate's key with whatever tool its holder has. It keeps no state: the text carries what it is
//! bound to, and a seal over that. Whose certificate it is, and what becomes of it, is for the caller.

use crate::X509Error;
use crate::certificate::Certificate;
use crate::facts::hex;
use crate::key;
use aws_lc_rs::hmac;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::{Entropy, Lifetime, Timestamp};
use zeroize::Zeroizing;

/// How long a challenge may be answered.
pub const CHALLENGE_LIFETIME: Lifetime = Lifetime::from_seconds(3600);
/// Bytes of a signature, in whatever form it comes.
const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
const HEAD: &str = "Countersign: I hold the private key of this certificate.";

/// The secret that seals challenges; the same on every node of an installation, and never shown.
pub struct ChallengeKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChallengeKey")
    }
}

impl ChallengeKey {
    /// From 32 unpredictable bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0[..])
    }
}

/// Makes the text to be signed, byte for byte and with its last line feed: bound to `account` (any identifier without white
/// space), to the certificate and to the end of [`CHALLENGE_LIFETIME`].
pub fn make(account: &str, certificate: &Fingerprint, now: Timestamp, key: &ChallengeKey, entropy: &dyn Entropy) -> String {
    let mut nonce = [0_u8; 16];
    entropy.fill(&mut nonce);
    let expires = now.plus(CHALLENGE_LIFETIME).seconds();
    let body = body(account, certificate, expires, &hex(&nonce));
    let seal = hex(hmac::sign(&key.mac(), body.as_bytes()).as_ref());
    format!("{body}seal: {seal}\n")
}

fn body(account: &str, certificate: &Fingerprint, expires: i64, nonce: &str) -> String {
    format!("{HEAD}\naccount: {account}\ncertificate: sha256:{certificate}\nexpires: {expires}\nnonce: {nonce}\n")
}

/// Verifies that `signature` over `challenge` was made by the key of `certificate_der`: RSA with PKCS#1 v1.5 or PSS (salt as long
/// as the hash), ECDSA (DER), over SHA-256, SHA-384 or SHA-512, or Ed25519; raw, base64 or PEM. `challenge` must be a text of
/// [`make`] for this account and certificate, not yet expired. Fails with `challenge_not_ours`, `challenge_expired`,
/// `bad_signature_input`, `possession_not_proved` and `not_a_certificate`.
pub fn verify(
    challenge: &str,
    signature: &[u8],
    certificate_der: &[u8],
    account: &str,
    now: Timestamp,
    key: &ChallengeKey,
) -> Result<(), X509Error> {
    let certificate = Certificate::read(certificate_der)?;
    let not_ours = || {
        X509Error::new(
            "challenge_not_ours",
            Some("B3"),
            "this challenge was not made here for this account and this certificate",
            "ask for a new challenge and sign the file unchanged",
        )
    };
    // Windows may have turned the line ends on the way back to us; the signature is checked over both forms below.
    let plain = challenge.replace("\r\n", "\n");
    let field = |name: &str| plain.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (Some(expires), Some(nonce), Some(seal)) = (field("expires").and_then(|t| t.parse::<i64>().ok()), field("nonce"), field("seal"))
    else {
        return Err(not_ours());
    };
    let body = body(account, &Fingerprint::of(certificate_der), expires, nonce);
    let seal = unhex(seal).ok_or_else(not_ours)?;
    if plain.trim_end() != format!("{body}seal: {}", hex(&seal)) || hmac::verify(&key.mac(), body.as_bytes(), &seal).is_err() {
        return Err(not_ours());
    }
    if now.seconds() > expires {
        return Err(X509Error::new(
            "challenge_expired",
            Some("B3"),
            "the challenge has expired; it could be answered for an hour",
            "ask for a new challenge and sign that one",
        ));
    }
    let signature = raw_signature(signature)?;
    // Editors and shells add, drop or turn the last line end; what is signed is the same statement.
    let text = plain.trim_end().to_owned();
    let forms = [format!("{text}\n"), text.clone(), format!("{text}\n").replace('\n', "\r\n"), text.replace('\n', "\r\n")];
    if forms.iter().any(|form| key::verifies_somehow(certificate.key, form.as_bytes(), &signature)) {
        return Ok(());
    }
    Err(X509Error::new(
        "possession_not_proved",
        Some("B3"),
        "the signature over the challenge was not made by the key of this certificate",
        format!("sign the file with the certificate's own key: `{}`", command(certificate_der)),
    ))
}

/// The commands that answer a challenge in the file `challenge.txt` with the key in `client.key`: the signature is written to
/// `challenge.sig` and printed in base64.
pub fn command(certificate_der: &[u8]) -> &'static str {
    let kind = Certificate::read(certificate_der).map(|c| key::describe(c.key).0).unwrap_or_default();
    if kind == "ed25519" {
        "openssl pkeyutl -sign -rawin -inkey client.key -in challenge.txt -out challenge.sig && openssl base64 -A -in challenge.sig"
    } else {
        "openssl dgst -sha256 -sign client.key -out challenge.sig challenge.txt && openssl base64 -A -in challenge.sig"
    }
}

/// Takes off base64 or PEM.
fn raw_signature(signature: &[u8]) -> Result<Vec<u8>, X509Error> {
    let bad = || {
        X509Error::new(
            "bad_signature_input",
            Some("B3"),
            "the signature is empty or longer than any signature",
            "send the file that `openssl dgst -sign` wrote, as it is or as base64",
        )
    };
    if signature.is_empty() || signature.len() > SIGNATURE_BYTES_MAX {
        return Err(bad());
    }
    let Ok(text) = std::str::from_utf8(signature) else { return Ok(signature.to_vec()) };
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    match crate::pem::unbase64(body.as_bytes()) {
        Some(raw) => Ok(raw),
        None => Ok(signature.to_vec()),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | *d) as u8).collect())
}

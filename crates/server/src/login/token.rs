//! The texts that stand for a login: a fixed prefix that scanners find, the session's id, 256 random bits, a checksum so that a
//! typo costs no look-up. Only the digest is kept. What a token opens is decided elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::credential::hex;
use countersign_core::entropy::Entropy;
use countersign_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// An access token of a tool: a bearer for REST and gRPC.
pub const ACCESS: &str = "cst_";
/// A refresh token: good once, for a new pair.
pub const REFRESH: &str = "csr_";
/// The cookie of a browser.
pub const BROWSER: &str = "csb_";
/// An invitation.
pub const INVITATION: &str = "csi_";

const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// A token of the right form and checksum; whether it opens anything, the store says.
pub struct Presented<'t> {
    /// The id inside it, which is no secret.
    pub id: &'t str,
    /// What the store knows of it.
    pub digest: [u8; 32],
}

/// Makes a token and the digest to keep of it. 256 random bits need no slow hash.
pub fn mint(prefix: &str, id: &str, entropy: &dyn Entropy) -> (Secret, [u8; 32]) {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    let mut text = format!("{prefix}{id}_{}", URL_SAFE_NO_PAD.encode(bytes));
    bytes.zeroize();
    text.push_str(&checksum(&text));
    let digest = digest(&text);
    (Secret::new(text), digest)
}

/// Reads a token with this prefix; `None` for anything that is none, a typo included.
pub fn parse<'t>(prefix: &str, text: &'t str) -> Option<Presented<'t>> {
    let (id, secret) = text.strip_prefix(prefix)?.split_once('_')?;
    if !secret.is_ascii() || secret.len() != SECRET_CHARS + CHECKSUM_CHARS || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let (body, sum) = text.split_at(text.len() - CHECKSUM_CHARS);
    (checksum(body) == sum).then(|| Presented { id, digest: digest(text) })
}

fn checksum(body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"countersign token checksum v1\0");
    hash.update(body.as_bytes());
    hex(&hash.finalize()[..CHECKSUM_CHARS / 2])
}

fn digest(text: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"countersign token v1\0");
    hash.update(text.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::Chance;

    #[test]
    fn a_token_reads_back_and_a_typo_does_not() {
        let (text, kept) = mint(ACCESS, "n0000000000000000000", &Chance);
        let text = text.expose();
        let read = parse(ACCESS, text).unwrap();
        assert_eq!((read.id, read.digest), ("n0000000000000000000", kept));
        assert!(parse(REFRESH, text).is_none() && parse(ACCESS, &text[..text.len() - 1]).is_none());
        for at in 0..text.len() {
            let mut typo = text.as_bytes().to_vec();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert!(parse(ACCESS, std::str::from_utf8(&typo).unwrap()).is_none(), "{at}");
        }
        for odd in ["", "cst_", "cst__", "cst_é_é", "cst_n_\u{fffd}"] {
            assert!(parse(ACCESS, odd).is_none());
        }
    }
}

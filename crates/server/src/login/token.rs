//! The texts that stand for a login: a fixed prefix that scanners find, the session's id, 256 random bits, a checksum so that a
//! typo costs no look-up. Only the digest is kept. What a token opens is decided elsewhere.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::credential::hex;
use countersign_core::entropy::Entropy;
use countersign_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
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
/// Random bytes of a refresh token; the other half of its secret authenticates them.
const RANDOM_BYTES: usize = 16;

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
    finish(prefix, id, bytes)
}

fn finish(prefix: &str, id: &str, mut bytes: [u8; 32]) -> (Secret, [u8; 32]) {
    let mut text = format!("{prefix}{id}_{}", URL_SAFE_NO_PAD.encode(bytes));
    bytes.zeroize();
    text.push_str(&checksum(&text));
    let digest = digest(&text);
    (Secret::new(text), digest)
}

/// Makes a refresh token and the digest to keep of it. Half of its 256 bits are random, half authenticate them by the session's key:
/// so one that was issued can be told from one that somebody made up around a session's id, without keeping every one.
pub fn mint_refresh(id: &str, key: &[u8; 32], entropy: &dyn Entropy) -> (Secret, [u8; 32]) {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes[..RANDOM_BYTES]);
    let tag = refresh_tag(id, key, &bytes[..RANDOM_BYTES]);
    bytes[RANDOM_BYTES..].copy_from_slice(&tag.as_ref()[..32 - RANDOM_BYTES]);
    finish(REFRESH, id, bytes)
}

/// Whether a refresh token was made with this session's key.
pub fn was_issued(text: &str, key: &[u8; 32]) -> bool {
    let Some((id, secret)) = text.strip_prefix(REFRESH).and_then(|rest| rest.split_once('_')) else { return false };
    let Some(Ok(bytes)) = secret.get(..SECRET_CHARS).map(|secret| URL_SAFE_NO_PAD.decode(secret)) else { return false };
    let Some((random, tag)) = bytes.split_at_checked(RANDOM_BYTES) else { return false };
    bool::from(refresh_tag(id, key, random).as_ref()[..32 - RANDOM_BYTES].ct_eq(tag))
}

fn refresh_tag(id: &str, key: &[u8; 32], random: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, &[b"countersign refresh token v1\0", id.as_bytes(), b"\0", random].concat())
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
    fn a_refresh_token_that_was_issued_is_told_from_one_that_was_made_up() {
        let (key, id) = ([7; 32], "n0000000000000000000");
        let (issued, digest) = mint_refresh(id, &key, &Chance);
        assert!(was_issued(issued.expose(), &key) && !was_issued(issued.expose(), &[8; 32]));
        assert_eq!(parse(REFRESH, issued.expose()).map(|read| (read.id == id, read.digest)), Some((true, digest)));
        let (made_up, _) = mint(REFRESH, id, &Chance);
        let other = issued.expose().replacen(id, "n0000000000000000001", 1);
        for none in [made_up.expose(), &other, "", "csr_", "csr_n_", "csr_n_é"] {
            assert!(!was_issued(none, &key), "{none}");
        }
    }

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

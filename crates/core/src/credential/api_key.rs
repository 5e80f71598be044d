//! API keys: their text, their digest, their states.
//!
//! The text is `csk_<id>_<secret><checksum>`: a prefix that scanners find, the public id, 43 base64url characters of 256
//! random bits, and 6 hexadecimal characters of a checksum, so that a typo is told without a look-up. Only a digest is kept.

use crate::entropy::Entropy;
use crate::id::{ApiId, ApiKeyId};
use crate::identity::IdentityId;
use crate::secret::Secret;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// The fixed beginning of every key.
pub const PREFIX: &str = "csk_";

/// What is stored of a key: SHA-256 over a domain, the id and the secret part. 256 random bits need no slow hash.
#[derive(Clone, Copy, Debug, Eq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    fn of(id: &str, secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"countersign api key v1\0");
        hash.update(id.as_bytes());
        hash.update([0]);
        hash.update(secret.as_bytes());
        Self(hash.finalize().into())
    }

    /// From storage.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeyDigest {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Makes a key's text and the digest to store for it.
pub fn mint(id: &ApiKeyId, entropy: &dyn Entropy) -> (Secret, KeyDigest) {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    let mut secret = String::with_capacity(SECRET_CHARS);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            secret.push(char::from(URL_SAFE[(n >> (18 - 6 * i) & 63) as usize]));
        }
    }
    bytes.zeroize();
    let digest = KeyDigest::of(id.as_str(), &secret);
    let text = format!("{PREFIX}{id}_{secret}{}", checksum(id.as_str(), &secret));
    secret.zeroize();
    (Secret::new(text), digest)
}

fn checksum(id: &str, secret: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"countersign api key checksum v1\0");
    hash.update(id.as_bytes());
    hash.update(secret.as_bytes());
    super::hex(&hash.finalize()[..CHECKSUM_CHARS / 2])
}

/// A presented key whose shape and checksum are right; whether it is anybody's, admission says.
#[derive(Clone, Debug)]
pub struct PresentedKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The digest of what was presented.
    pub digest: KeyDigest,
}

impl PresentedKey {
    /// Reads a key's text. `None` for anything that is not one, a typo included.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, tail) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = ApiKeyId::parse(id).ok()?;
        if tail.len() != SECRET_CHARS + CHECKSUM_CHARS || !tail.is_ascii() {
            return None;
        }
        let (secret, sum) = tail.split_at(SECRET_CHARS);
        if !secret.bytes().all(|b| URL_SAFE.contains(&b)) || checksum(id.as_str(), secret) != sum {
            return None;
        }
        let digest = KeyDigest::of(id.as_str(), secret);
        Some(Self { id, digest })
    }
}

/// A key as the control plane keeps it. A deleted one is no longer kept here, only in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// Whose rights it carries.
    pub owner: IdentityId,
    /// A short name; may repeat.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What is kept of the secret.
    pub digest: KeyDigest,
    /// Whether it was disabled.
    pub disabled: bool,
    /// The APIs it is narrowed to; empty means all its owner may use.
    pub apis: Vec<ApiId>,
    /// From this moment on it never authenticates again.
    pub expires_at: Timestamp,
    /// The key this one was made with, whosever that is; it may be gone by now.
    pub parent: Option<ApiKeyId>,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// What a key is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Authenticates.
    Enabled,
    /// Does not, until it is enabled again.
    Disabled,
    /// Never again.
    Expired,
}

impl KeyState {
    /// The word in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
        }
    }
}

impl ApiKey {
    /// What the key is at `now`. Expired wins over disabled: nothing brings it back.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if now >= self.expires_at {
            KeyState::Expired
        } else if self.disabled {
            KeyState::Disabled
        } else {
            KeyState::Enabled
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(std::sync::atomic::AtomicU8);
    impl Entropy for Count {
        fn fill(&self, bytes: &mut [u8]) {
            for b in bytes {
                *b = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).wrapping_mul(37);
            }
        }
    }

    #[test]
    fn k_02_ten_thousand_keys_are_all_different_and_all_of_one_shape() {
        /// Splitmix64: enough for telling repeats, no source of secrets.
        struct Mix(std::sync::atomic::AtomicU64);
        impl Entropy for Mix {
            fn fill(&self, bytes: &mut [u8]) {
                for b in bytes {
                    let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed);
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    *b = (z >> 56) as u8;
                }
            }
        }
        let entropy = Mix(std::sync::atomic::AtomicU64::new(7));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let id = ApiKeyId::mint(&entropy);
            let (secret, _) = mint(&id, &entropy);
            let text = secret.expose();
            assert!(text.starts_with(PREFIX) && text.len() == 74 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            assert!(PresentedKey::parse(text).is_some() && seen.insert(text.to_owned()));
        }
    }

    #[test]
    fn a_minted_key_is_read_back_and_a_typo_is_told() {
        let entropy = Count(std::sync::atomic::AtomicU8::new(1));
        let id = ApiKeyId::mint(&entropy);
        let (secret, digest) = mint(&id, &entropy);
        let text = secret.expose();
        assert_eq!(text.len(), 4 + 20 + 1 + 43 + 6);
        let read = PresentedKey::parse(text).expect("a minted key parses");
        assert_eq!((read.id, read.digest), (id, digest));
        for i in 0..text.len() {
            let mut broken = text.as_bytes().to_vec();
            broken[i] = if broken[i] == b'x' { b'y' } else { b'x' };
            assert!(PresentedKey::parse(std::str::from_utf8(&broken).expect("ascii")).is_none(), "flip at {i}");
        }
        assert!(PresentedKey::parse(&text[..text.len() - 1]).is_none());
        assert!(PresentedKey::parse(&format!("{text} ")).is_none());
    }
}

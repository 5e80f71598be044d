//! Secrets that have to be read again (second factors, keys of issuers), sealed by the master key, so that a stolen database or
//! backup without that key gives nothing (promise P22). It knows no file and no store; what is sealed, and why, the callers say.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use countersign_core::entropy::Entropy;
use countersign_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a master key.
pub const KEY_BYTES: usize = 32;
/// The form of what is sealed: version, key id, nonce, then ciphertext and tag.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

/// Why something sealed cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed by another master key.
    #[error("it was sealed by another master key; give this start the master key it was written with")]
    AnotherKey,
    /// Not what was sealed for this purpose.
    #[error("it is damaged, or was sealed for another purpose")]
    Damaged,
}

/// Seals and opens with one master key, by AES-256-GCM (NIST SP 800-38D) with a random nonce for each.
pub struct Sealer {
    key: LessSafeKey,
    id: [u8; KEY_ID_BYTES],
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// With this key, which is wiped here.
    pub fn new(mut key: [u8; KEY_BYTES], entropy: Arc<dyn Entropy>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"countersign master key id v1\0");
        hash.update(key);
        let mut id = [0_u8; KEY_ID_BYTES];
        id.copy_from_slice(&hash.finalize()[..KEY_ID_BYTES]);
        // The length is the algorithm's own, by the type.
        #[allow(clippy::expect_used)]
        let unbound = UnboundKey::new(&AES_256_GCM, &key).expect("AES-256 has keys of 32 bytes");
        key.zeroize();
        Self { key: LessSafeKey::new(unbound), id, entropy }
    }

    /// Seals `plain` for `purpose`, which says what it is and whose: only the same purpose opens it again.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_LEN];
        self.entropy.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        // It fails for texts beyond 64 GiB alone (SP 800-38D section 5.2.1.1), which no caller has.
        #[allow(clippy::expect_used)]
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.bound_to(purpose)), &mut body)
            .expect("a short text can be sealed");
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`Sealer::seal`] made for the same purpose.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealError::Damaged)?;
        if head[0] != VERSION {
            return Err(SealError::Damaged);
        }
        if head[1..=KEY_ID_BYTES] != self.id {
            return Err(SealError::AnotherKey);
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1 + KEY_ID_BYTES..]).map_err(|_| SealError::Damaged)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(self.bound_to(purpose)), &mut body).map_err(|_| SealError::Damaged)?.len();
        body.truncate(length);
        Ok(body)
    }

    fn bound_to(&self, purpose: &str) -> Vec<u8> {
        let mut data = b"countersign sealed v1\0".to_vec();
        data.extend_from_slice(&self.id);
        data.extend_from_slice(purpose.as_bytes());
        data
    }
}

/// Reads a master key from its text: 64 hexadecimal characters, or 43 or 44 of base64.
pub fn read_key(text: &Secret) -> Option<[u8; KEY_BYTES]> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    // The key is made of it here and shown to nobody.
    let text = text.expose().trim();
    if text.len() == 2 * KEY_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return countersign_core::credential::unhex(text);
    }
    let bytes = Zeroizing::new(STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?);
    bytes.as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::Chance;

    #[test]
    fn only_the_same_key_and_purpose_open_it() {
        let sealer = Sealer::new([7; 32], Arc::new(Chance));
        let sealed = sealer.seal("totp:u1", b"secret");
        assert_eq!(sealer.open("totp:u1", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open("totp:u2", &sealed), Err(SealError::Damaged));
        assert_eq!(Sealer::new([8; 32], Arc::new(Chance)).open("totp:u1", &sealed), Err(SealError::AnotherKey));
        assert_ne!(sealer.seal("totp:u1", b"secret"), sealed, "each has a nonce of its own");
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(sealer.open("totp:u1", &bent).is_err(), "{at}");
            assert!(sealer.open("totp:u1", &sealed[..at]).is_err(), "{at}");
        }
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn a_master_key_is_read_as_tools_print_it() {
        let hex = "07".repeat(32);
        for text in [
            hex.clone(),
            format!("{hex}\n"),
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".into(),
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc".into(),
        ] {
            assert_eq!(read_key(&Secret::new(text)), Some([7; 32]));
        }
        for text in ["", "07", &"07".repeat(31), &"zz".repeat(32), "BwcH"] {
            assert_eq!(read_key(&Secret::new(text.to_owned())), None, "{text}");
        }
    }
}

//! A short secret wrapped by an AES key that stays in a PKCS#11 token: for the master key, so that a stolen disk opens nothing without
//! the token. It knows no file; the key in the token is made by whoever holds the token, never here.

use crate::token::{Token, TokenKeyName, one, said};
use countersign_core::entropy::Entropy;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

/// The form of what is wrapped: version, nonce, then ciphertext and tag.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// The longest tag of AES-GCM (NIST SP 800-38D section 5.2.1.2).
const TAG_BITS: u64 = 128;
const KEY_BYTES: u64 = 32;

/// Wraps and unwraps by one key of a token.
pub struct TokenWrap {
    session: Session,
    key: ObjectHandle,
}

impl TokenWrap {
    /// By the AES-256 key that this URI names.
    ///
    /// # Errors
    /// One sentence: no such token, a wrong PIN, no such key or two of it, or one that is no AES-256 or may leave the token.
    pub fn open(token: &Token, uri: &str) -> Result<Self, String> {
        let name = TokenKeyName::parse(uri)?;
        let session = token.session(&name).map_err(String::from)?;
        let key = one(&session, &name, ObjectClass::SECRET_KEY, "AES key").map_err(|reason| {
            format!(
                "{reason}; make one with: pkcs11-tool --login --token-label TOKEN --keygen --key-type AES:32 --label OBJECT --sensitive"
            )
        })?;
        let read = [AttributeType::KeyType, AttributeType::ValueLen, AttributeType::Extractable, AttributeType::Sensitive];
        let found = session.get_attributes(key, &read).map_err(|error| said("the token's key cannot be read", &error))?;
        if !found.contains(&Attribute::KeyType(KeyType::AES)) || !found.contains(&Attribute::ValueLen(KEY_BYTES.into())) {
            return Err("the token's key is not AES with 256 bits".to_owned());
        }
        if !found.contains(&Attribute::Extractable(false)) || !found.contains(&Attribute::Sensitive(true)) {
            return Err("the token's key may be read or taken out of it (CKA_SENSITIVE, CKA_EXTRACTABLE); make one that may not".to_owned());
        }
        Ok(Self { session, key })
    }

    /// Wraps `plain` for `purpose`: only the same key and purpose unwrap it.
    ///
    /// # Errors
    /// One sentence, when the token does not do it.
    pub fn wrap(&self, purpose: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, String> {
        let mut nonce = [0_u8; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let sealed = self
            .by(&mut nonce, purpose, |mechanism| self.session.encrypt(mechanism, self.key, plain))
            .map_err(|reason| format!("the token does not encrypt: {reason}"))?;
        let mut wrapped = vec![VERSION];
        // Read after the call: a token may put a nonce of its own there.
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(&sealed);
        Ok(wrapped)
    }

    /// Unwraps what [`TokenWrap::wrap`] made.
    ///
    /// # Errors
    /// One sentence: another key, another purpose, damaged, or a token that does not do it.
    pub fn unwrap(&self, purpose: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let refused = |reason: &str| format!("it was wrapped by another key of a token, or is damaged ({reason})");
        let (head, sealed) = wrapped.split_at_checked(1 + NONCE_BYTES).ok_or_else(|| refused("it is too short"))?;
        let mut nonce: [u8; NONCE_BYTES] = head[1..].try_into().map_err(|_| refused("it is too short"))?;
        if head[0] != VERSION {
            return Err(refused("its version is not known"));
        }
        self.by(&mut nonce, purpose, |mechanism| self.session.decrypt(mechanism, self.key, sealed))
            .map(Zeroizing::new)
            .map_err(|reason| refused(&reason))
    }

    fn by(
        &self,
        nonce: &mut [u8; NONCE_BYTES],
        purpose: &str,
        call: impl FnOnce(&Mechanism<'_>) -> Result<Vec<u8>, cryptoki::error::Error>,
    ) -> Result<Vec<u8>, String> {
        let bound = format!("countersign wrapped v1\0{purpose}");
        let said = |error: &cryptoki::error::Error| said("AES-GCM", error);
        let params = GcmParams::new(nonce, bound.as_bytes(), TAG_BITS.into()).map_err(|error| said(&error))?;
        call(&Mechanism::AesGcm(params)).map_err(|error| said(&error))
    }
}

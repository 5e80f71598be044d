//! Second factors: time-based one-time passwords (RFC 6238: SHA-1, six digits, thirty seconds, as every app does), and recovery
//! codes for the day the phone is lost. Kept sealed; the secret is shown at enrolment and never again.

use crate::seal::Sealer;
use aws_lc_rs::hmac;
use countersign_core::credential::{hex, unhex};
use countersign_core::entropy::Entropy;
use countersign_core::id::UserId;
use countersign_core::secret::Secret;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

const STEP_SECONDS: i64 = 30;
/// Steps that a clock may be off, on either side (RFC 6238 section 5.2 recommends one).
const DRIFT: i64 = 1;
/// RFC 4226 section 4 recommends 160 bits.
const SECRET_BYTES: usize = 20;
const RECOVERY_CODES: usize = 8;
const RECOVERY_CHARS: usize = 12;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A user's second factor, opened.
#[derive(Serialize, Deserialize)]
pub struct Factor {
    secret: String,
    /// SHA-256 of recovery codes that were not used.
    recovery: Vec<String>,
}

impl Drop for Factor {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// What a code was.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// The code of this step.
    Step(i64),
    /// A recovery code, now gone from the factor.
    Recovery,
    /// Neither.
    Wrong,
}

impl Factor {
    /// A new one, and the recovery codes to show once.
    pub fn mint(entropy: &dyn Entropy) -> (Self, Vec<Secret>) {
        let mut bytes = [0_u8; SECRET_BYTES];
        entropy.fill(&mut bytes);
        let factor = Self { secret: hex(&bytes), recovery: Vec::new() };
        bytes.zeroize();
        factor.with_recovery_codes(entropy)
    }

    /// The same with new recovery codes, and those to show once.
    pub fn with_recovery_codes(mut self, entropy: &dyn Entropy) -> (Self, Vec<Secret>) {
        let mut shown = Vec::with_capacity(RECOVERY_CODES);
        self.recovery.clear();
        for _ in 0..RECOVERY_CODES {
            let mut bytes = [0_u8; RECOVERY_CHARS];
            entropy.fill(&mut bytes);
            let code: String = bytes.iter().map(|b| char::from(CROCKFORD[usize::from(b & 31)])).collect();
            self.recovery.push(recovery_digest(&code));
            shown.push(Secret::new(format!("{}-{}-{}", &code[..4], &code[4..8], &code[8..])));
        }
        (self, shown)
    }

    /// Opens a user's.
    ///
    /// # Errors
    /// One sentence for the log.
    pub fn open(sealer: &Sealer, user: &UserId, sealed: &[u8]) -> Result<Self, String> {
        let plain = sealer.open(&purpose(user), sealed).map_err(|error| error.to_string())?;
        serde_json::from_slice(&plain).map_err(|error| error.to_string())
    }

    /// Seals it for its user.
    pub fn seal(&self, sealer: &Sealer, user: &UserId) -> Vec<u8> {
        let mut plain = serde_json::to_vec(self).unwrap_or_default();
        let sealed = sealer.seal(&purpose(user), &plain);
        plain.zeroize();
        sealed
    }

    /// The secret as apps take it when typed.
    pub fn base32(&self) -> Secret {
        Secret::new(base32(&unhex::<SECRET_BYTES>(&self.secret).unwrap_or_default()))
    }

    /// The address that apps read from a QR code.
    pub fn uri(&self, email: &str) -> Secret {
        let label: String = email
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        // It is shown to its user once, on the page of his enrolment.
        let secret = self.base32();
        Secret::new(format!(
            "otpauth://totp/Countersign:{label}?secret={}&issuer=Countersign&algorithm=SHA1&digits=6&period=30",
            secret.expose()
        ))
    }

    /// Looks at a code of six digits or a recovery code. Whether a step was used before, the store says.
    pub fn check(&mut self, typed: &str, now: Timestamp) -> Checked {
        let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if typed.len() == 6 && typed.bytes().all(|b| b.is_ascii_digit()) {
            let secret = unhex::<SECRET_BYTES>(&self.secret).unwrap_or_default();
            let current = now.seconds() / STEP_SECONDS;
            let mut found = Checked::Wrong;
            for step in current - DRIFT..=current + DRIFT {
                if bool::from(code(&secret, step).as_bytes().ct_eq(typed.as_bytes())) {
                    found = Checked::Step(step);
                }
            }
            return found;
        }
        let digest = recovery_digest(&typed.to_ascii_lowercase());
        match self.recovery.iter().position(|kept| *kept == digest) {
            Some(at) => {
                self.recovery.remove(at);
                Checked::Recovery
            }
            None => Checked::Wrong,
        }
    }

    /// Recovery codes that are left.
    pub fn recovery_left(&self) -> usize {
        self.recovery.len()
    }
}

fn purpose(user: &UserId) -> String {
    format!("totp:{user}")
}

fn recovery_digest(code: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"countersign recovery code v1\0");
    hash.update(code.as_bytes());
    hex(&hash.finalize())
}

/// RFC 4226 section 5.3.
fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes[19] & 15);
    let number = u32::from_be_bytes([bytes[at] & 0x7f, bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(BASE32[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(BASE32[(held << (5 - bits) & 31) as usize]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::Chance;
    use std::sync::Arc;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, the SHA-1 rows, cut to six digits.
        let secret = b"12345678901234567890";
        for (time, wanted) in [
            (59_i64, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret, time / 30), wanted);
        }
        assert_eq!(base32(secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn one_step_of_drift_and_no_more_and_recovery_codes_once() {
        let (mut factor, codes) = Factor::mint(&Chance);
        let secret = unhex::<20>(&factor.secret).unwrap();
        let now = Timestamp::from_seconds(1_700_000_010);
        let step = 1_700_000_010 / 30;
        for (off, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let checked = factor.check(&code(&secret, step + off), now);
            assert_eq!(checked == Checked::Step(step + off), good, "{off}");
        }
        for wrong in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(factor.check(wrong, now), Checked::Wrong, "{wrong}");
        }
        assert_eq!(factor.check(&codes[3].expose().to_uppercase(), now), Checked::Recovery);
        assert_eq!(factor.check(codes[3].expose(), now), Checked::Wrong);
        assert_eq!(factor.recovery_left(), 7);
        let sealer = Sealer::new([1; 32], Arc::new(Chance));
        let (user, other) = (UserId::mint(&Chance), UserId::mint(&Chance));
        let sealed = factor.seal(&sealer, &user);
        assert!(Factor::open(&sealer, &user, &sealed).is_ok() && Factor::open(&sealer, &other, &sealed).is_err());
    }
}

//! Passwords: what one has to be, and Argon2id (RFC 9106) with a bounded number of hashes at a time, so that guesses cost the
//! guesser and never the whole machine (promise P17). It knows no user.

use super::common_passwords;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use countersign_core::entropy::Entropy;
use countersign_core::secret::Secret;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Characters a password has at least.
pub const CHARACTERS_MIN: usize = 12;
/// Characters it has at most; a bound on the work, not on anybody's memory.
pub const CHARACTERS_MAX: usize = 256;
/// The first parameters of OWASP's password storage sheet for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Hashes at a time, 19 MiB each.
const HASHES_MAX: usize = 2;
/// How long an attempt waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Too many passwords are being checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

/// See the module.
#[derive(Debug)]
pub struct Hashing {
    turns: Arc<Semaphore>,
    nobodys: OnceLock<String>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_MAX)), nobodys: OnceLock::new() }
    }
}

/// Whether a text may be a password for this mail address; else the rule it breaks.
///
/// # Errors
/// One sentence.
pub fn check(password: &str, email: &str) -> Result<(), String> {
    let count = password.chars().count();
    if count < CHARACTERS_MIN {
        return Err(format!("A password has at least {CHARACTERS_MIN} characters; a few words in a row are good."));
    }
    if count > CHARACTERS_MAX {
        return Err(format!("A password has at most {CHARACTERS_MAX} characters."));
    }
    let (lower, email) = (password.to_lowercase(), email.to_lowercase());
    let local = email.split('@').next().unwrap_or("");
    let rest = lower.replace(&email, "").replace(if local.len() > 3 { local } else { &email }, "");
    if rest.chars().count() < CHARACTERS_MIN / 2 {
        return Err("A password is not the mail address, nor made of it.".to_owned());
    }
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return Err("A password has at least five different characters.".to_owned());
    }
    let domain = email.split_once('@').map_or("", |(_, domain)| domain);
    if common_passwords::is_guessed_first(password, &[local, domain]) {
        return Err(
            "This password is guessed first: it is made of common words, names, sequences or dates. Choose a few words that do not \
                    belong together."
                .to_owned(),
        );
    }
    Ok(())
}

impl Hashing {
    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let permit = match tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            _ => return Err(Busy),
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| Busy)
    }

    /// The hash of a new password, in PHC form.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: Secret, entropy: &dyn Entropy) -> Result<String, Busy> {
        let mut salt = [0_u8; SALT_BYTES];
        entropy.fill(&mut salt);
        // The password goes into its hash and nowhere else.
        self.turn(move || phc(&salt, &derive(password.expose().as_bytes(), &salt, MEMORY_KIB, PASSES))).await
    }

    /// Whether the password is the one. Without a hash the same work is done for nobody's, so that the time tells nothing (P11).
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, Busy> {
        let nobodys = self.nobodys.get_or_init(|| phc(&[0; SALT_BYTES], &[0; HASH_BYTES])).clone();
        self.turn(move || {
            let known = hash.is_some();
            let matches = read(hash.as_deref().unwrap_or(&nobodys)).is_some_and(|(memory, passes, salt, wanted)| {
                // As above.
                bool::from(derive(password.expose().as_bytes(), &salt, memory, passes).ct_eq(&wanted[..]))
            });
            known && matches
        })
        .await
    }
}

fn derive(password: &[u8], salt: &[u8], memory: u32, passes: u32) -> [u8; HASH_BYTES] {
    let mut out = [0_u8; HASH_BYTES];
    let done = Params::new(memory, passes, 1, Some(HASH_BYTES))
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .and_then(|argon2| argon2.hash_password_into(password, salt, &mut out));
    if done.is_err() {
        // Parameters that cannot be: nothing may match then, and random bytes never do.
        out = [0xff; HASH_BYTES];
    }
    out
}

fn phc(salt: &[u8], hash: &[u8]) -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash))
}

/// Memory, passes, salt and hash.
fn read(text: &str) -> Option<(u32, u32, Vec<u8>, Vec<u8>)> {
    let rest = text.strip_prefix("$argon2id$v=19$m=")?;
    let (memory, rest) = rest.split_once(",t=")?;
    let (passes, rest) = rest.split_once(",p=1$")?;
    let (salt, hash) = rest.split_once('$')?;
    Some((memory.parse().ok()?, passes.parse().ok()?, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_testkit::Chance;

    #[test]
    fn a_password_is_long_and_not_the_mail_address() {
        for good in ["correct horse battery", "äöüß-ÄÖÜ-日本語-x", "owner@localhost but longer"] {
            assert_eq!(check(good, "owner@localhost"), Ok(()), "{good}");
        }
        for bad in [
            "",
            "short",
            "elevenchars",
            "owner@localhost",
            "OWNER@LOCALHOST",
            "owner@localhost1",
            "ownerownerowner",
            "aaaaaaaaaaaaaa",
            "password12345",
            "Localhost-2026!",
            &"long ".repeat(60),
        ] {
            assert!(check(bad, "owner@localhost").is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_hash_takes_its_password_alone() {
        let hashing = Hashing::default();
        let secret = |text: &str| Secret::new(text.to_owned());
        let hash = hashing.hash(secret("correct horse battery"), &Chance).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(hashing.verify(secret("correct horse battery"), Some(hash.clone())).await, Ok(true));
        assert_eq!(hashing.verify(secret("correct horse batterz"), Some(hash)).await, Ok(false));
        assert_eq!(hashing.verify(secret("correct horse battery"), None).await, Ok(false));
        assert_eq!(hashing.verify(secret("x"), Some("$argon2id$v=19$m=0,t=0,p=1$AA$".into())).await, Ok(false));
    }
}

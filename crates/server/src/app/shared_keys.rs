//! RSA keys that certificates here have, for the one question whether a new one has a prime in common with another (rule C7 of
//! research/pki.md). Public numbers only; nothing is decided by them but that.

use super::App;
use crate::error::Refused;
use countersign_x509::{facts, shared_prime};
use std::sync::Arc;

/// So many keys are compared with, the newest ones: about a second of one core.
const KEYS_MAX: usize = 100_000;
/// Certificates that are read at once.
const ROWS: usize = 1_000;

/// Public keys, newest last; read from the store when first asked.
#[derive(Debug, Default)]
pub(crate) struct KnownRsa(tokio::sync::Mutex<Option<Vec<Arc<Vec<u8>>>>>);

/// Refuses an RSA key that shares a prime with another one known here, and knows it from now on. Other kinds pass.
///
/// # Errors
/// `rsa_shared_prime`; when the store fails.
pub async fn check(app: &App, key: &[u8]) -> Result<(), Refused> {
    if !shared_prime::is_rsa(key) {
        return Ok(());
    }
    let mut known = app.known_rsa.0.lock().await;
    let mut keys = match known.take() {
        Some(keys) => keys,
        None => read(app).await?,
    };
    let new = Arc::new(key.to_vec());
    let (others, asked) = (keys.clone(), Arc::clone(&new));
    let checked = tokio::task::spawn_blocking(move || shared_prime::check(&asked, others.iter().map(|other| other.as_slice()))).await;
    if matches!(checked, Ok(Ok(()))) && !keys.contains(&new) {
        keys.push(new);
    }
    let surplus = keys.len().saturating_sub(KEYS_MAX);
    keys.drain(..surplus);
    *known = Some(keys);
    Ok(checked.map_err(Refused::unavailable)??)
}

async fn read(app: &App) -> Result<Vec<Arc<Vec<u8>>>, Refused> {
    let mut reader = app.store.read().await?;
    let mut keys = Vec::new();
    let mut after = String::new();
    loop {
        let found = reader.certificates_der(&after, ROWS).await?;
        let Some((last, _)) = found.last() else { break };
        after.clone_from(last);
        let rsa = found.iter().filter_map(|(_, der)| facts::public_key(der)).filter(|key| shared_prime::is_rsa(key));
        keys.extend(rsa.map(Arc::new));
    }
    Ok(keys)
}

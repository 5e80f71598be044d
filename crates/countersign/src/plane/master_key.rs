//! The master key, which seals what has to be read again: found where the setting says, or made in the data directory at the first
//! start. It is never written anywhere else, and no backup of the database holds it. Where a PKCS#11 token guards it, it lies in the data
//! directory wrapped by a key that stays in that token.

use super::StartError;
use super::authority::write_file;
use super::clock::SystemEntropy;
use countersign_core::Secret;
use countersign_core::credential::hex;
use countersign_core::entropy::Entropy as _;
use countersign_server::Token;
use countersign_server::seal::{KEY_BYTES, Sealer, read_key};
use countersign_server::token_wrap::TokenWrap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// The key by its setting: `file:PATH`, `env:NAME`, `pkcs11:token=…;object=…` for `master.key.wrapped` in the data directory and the key
/// in `token` that opens it, or nothing for `master.key` there.
///
/// # Errors
/// When it is not there, others can read it, it is no key, or the token does not open it.
pub fn open(setting: &str, data_dir: &Path, token: Option<&Token>, entropy: Arc<SystemEntropy>) -> Result<Sealer, StartError> {
    if setting.starts_with("pkcs11:") {
        return Ok(Sealer::new(from_token(setting, data_dir, token, &entropy)?, entropy));
    }
    let key = match (setting.strip_prefix("file:"), setting.strip_prefix("env:")) {
        (_, Some(name)) => {
            let text =
                std::env::var(name).map_err(|_| StartError::Control(format!("master_key is env:{name}, and that variable is not set")))?;
            read_key(&Secret::new(text))
                .ok_or_else(|| StartError::Control(format!("master_key: the variable {name} holds no 32 bytes; {FORM}")))?
        }
        (Some(path), None) => from_file(Path::new(path))?,
        (None, None) => {
            let path = data_dir.join("master.key");
            if !path.exists() { make(&path, &entropy)? } else { from_file(&path)? }
        }
    };
    Ok(Sealer::new(key, entropy))
}

const FORM: &str = "write them as 64 hexadecimal characters, for example by `openssl rand -hex 32`";

fn from_file(path: &Path) -> Result<[u8; KEY_BYTES], StartError> {
    let failed = |reason: String| StartError::File { path: PathBuf::from(path), reason };
    let mode = fs::metadata(path).map_err(|e| failed(e.to_string()))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(failed(format!("its mode is {mode:o} and others can read it; run chmod 600 on it")));
    }
    let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    read_key(&Secret::new(text)).ok_or_else(|| failed(format!("it holds no master key of 32 bytes; {FORM}")))
}

/// What the wrapped key is for: nothing else that the token's key wraps opens here.
const PURPOSE: &str = "master key";

fn from_token(uri: &str, data_dir: &Path, token: Option<&Token>, entropy: &SystemEntropy) -> Result<[u8; KEY_BYTES], StartError> {
    let refused = |reason: String| StartError::Control(format!("master_key is in a token: {reason}"));
    let token = token.ok_or_else(|| refused("pkcs11.module and pkcs11.pin have to be set with it".to_owned()))?;
    let wrap = TokenWrap::open(token, uri).map_err(refused)?;
    let path = data_dir.join("master.key.wrapped");
    let failed = |reason: String| StartError::File { path: path.clone(), reason };
    match fs::read(&path) {
        Ok(wrapped) => {
            let key = wrap.unwrap(PURPOSE, &wrapped).map_err(failed)?;
            <[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| failed("it holds no master key of 32 bytes".to_owned()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let plain = data_dir.join("master.key");
            // What was sealed before the token came has to stay readable.
            let taken_over = plain.exists();
            let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
            if taken_over {
                *key = from_file(&plain)?;
            } else {
                entropy.fill(&mut *key);
            }
            let wrapped = wrap.wrap(PURPOSE, &*key, entropy).map_err(refused)?;
            // A token that cannot give it back is found out before anything is sealed by it.
            let back = wrap.unwrap(PURPOSE, &wrapped).map_err(refused)?;
            if back.as_slice() != key.as_slice() {
                return Err(refused("the token gave back another key than it was given".to_owned()));
            }
            write_file(&path, &wrapped, 0o600).map_err(|e| failed(e.to_string()))?;
            if taken_over {
                tracing::warn!(file = %plain.display(), "the master key was taken over into the token's care; shred this file");
            }
            Ok(*key)
        }
        Err(e) => Err(failed(e.to_string())),
    }
}

fn make(path: &Path, entropy: &SystemEntropy) -> Result<[u8; KEY_BYTES], StartError> {
    let mut key = [0_u8; KEY_BYTES];
    entropy.fill(&mut key);
    let mut text = hex(&key);
    text.push('\n');
    let written = write_file(path, text.as_bytes(), 0o600);
    text.zeroize();
    match written {
        Ok(()) => Ok(key),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => from_file(path),
        Err(e) => Err(StartError::File { path: path.to_owned(), reason: e.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let chance = Arc::new(SystemEntropy::default());
        let sealed = open("", dir.path(), None, chance.clone()).expect("made").seal("x", b"y");
        let path = dir.path().join("master.key");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let named = format!("file:{}", path.display());
        for setting in ["", &named] {
            assert!(open(setting, dir.path(), None, chance.clone()).expect("found").open("x", &sealed).is_ok());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let said = open("", dir.path(), None, chance.clone()).expect_err("refused").to_string();
        assert!(said.contains("chmod 600"), "{said}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::write(&path, "short").expect("written");
        assert!(
            open("", dir.path(), None, chance.clone()).is_err()
                && open("env:NO_SUCH_VARIABLE_HERE", dir.path(), None, chance.clone()).is_err()
        );
        assert!(open("file:/nowhere", dir.path(), None, chance).is_err());
    }
}

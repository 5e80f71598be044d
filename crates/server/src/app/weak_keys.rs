//! Keys of a broken generator, by a list that the operator names: those of Debian's OpenSSL of 2006 to 2008 (rule C7 of research/pki.md).
//! The list is not part of the program; without one nothing is compared.

use super::App;
use crate::error::Refused;
use countersign_x509::weak_list::WeakList;

impl App {
    /// Refuses the RSA keys of this list from now on. Only the first call counts.
    pub fn use_weak_keys(&self, list: WeakList) {
        // Settings are read once.
        let _ = self.weak_keys.set(list);
    }
}

/// Refuses a SubjectPublicKeyInfo whose key is on the list. Other kinds than RSA pass.
///
/// # Errors
/// `debian_weak_key`.
pub(super) fn check(app: &App, public_key: &[u8]) -> Result<(), Refused> {
    match app.weak_keys.get() {
        Some(list) => Ok(list.check(public_key)?),
        None => Ok(()),
    }
}

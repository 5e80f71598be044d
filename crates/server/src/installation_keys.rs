//! Public keys that this installation holds itself, beside those of its issuers: of the CA that signs server certificates, of the
//! servers and of OCSP responders. No client is to have one of them, and no accepted CA.

use countersign_core::credential::certificate::Fingerprint;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The keys known so far, shared by whoever makes one and whoever asks.
#[derive(Clone, Debug, Default)]
pub struct InstallationKeys(Arc<RwLock<HashMap<Fingerprint, &'static str>>>);

impl InstallationKeys {
    /// Notes a key, as SubjectPublicKeyInfo, and what it belongs to, for example `the server CA`.
    pub fn add(&self, public_key: &[u8], what: &'static str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(Fingerprint::of(public_key), what);
    }

    /// What a key belongs to here; `None` for everybody else's.
    pub fn what(&self, public_key: &[u8]) -> Option<&'static str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&Fingerprint::of(public_key)).copied()
    }
}

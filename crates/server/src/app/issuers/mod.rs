//! Certificate authorities whose keys are held here: found ready to sign, made on the first start, changed by admins. What they sign is
//! `issuance`'s, what they publish is `publication`'s; no private key leaves this folder.

mod change;
mod first;
mod generation;
mod next;
mod responder;

pub(super) use responder::responder;

use next::next_signer;

pub use change::{create, get, import, list, update};

use super::App;
use crate::error::Refused;
use countersign_core::application::Environment;
use countersign_core::id::IssuerId;
use countersign_core::issuer::{Issuer, KeyPlace};
use countersign_core::time::Lifetime;
use countersign_store::Reader;
use countersign_x509::issuer::{IssuerCertificate, Publication};
use countersign_x509::private_key::{LocalKey, Signer};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// A CA ready to sign.
pub struct Signing {
    /// As it is kept.
    pub issuer: Issuer,
    /// Its certificate.
    pub certificate: Arc<IssuerCertificate>,
    /// Its key.
    pub signer: Arc<dyn Signer>,
    /// Where the operator publishes.
    base: Option<String>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("issuer", &self.issuer.name).finish_non_exhaustive()
    }
}

impl Signing {
    /// The addresses to write into what it signs: those of its policy, else those below the operator's.
    pub fn publication(&self) -> Publication {
        publication_of(&self.issuer.name, &self.issuer.policy.crl_url, &self.issuer.policy.ocsp_url, self.base.as_deref())
    }
}

fn publication_of(name: &str, crl_url: &str, ocsp_url: &str, base: Option<&str>) -> Publication {
    let below = |given: &str, path: String| match (given, base) {
        ("", Some(base)) => vec![format!("{base}/pki/{path}")],
        ("", None) => Vec::new(),
        (given, _) => vec![given.to_owned()],
    };
    Publication {
        crl_urls: below(crl_url, format!("{name}.crl")),
        ocsp_urls: below(ocsp_url, "ocsp".to_owned()),
        issuer_urls: base.map(|base| format!("{base}/pki/{name}.crt")).into_iter().collect(),
    }
}

/// Keys that were opened, and where the operator publishes.
#[derive(Default)]
pub(crate) struct Vault {
    opened: RwLock<HashMap<IssuerId, Arc<dyn Signer>>>,
    /// Certificates of issuers, which each issuance asks about and none of which ever changes.
    read: RwLock<HashMap<IssuerId, Arc<IssuerCertificate>>>,
    base: OnceLock<String>,
    responders: responder::Responders,
    token: OnceLock<Arc<crate::token::Token>>,
    /// How long a staged issuer stands by, where the operator set it.
    dwell: OnceLock<Lifetime>,
}

impl App {
    /// Where certificates say that CRLs and OCSP answers are: `http://host[:port]`, without a slash at its end. Set once, at the start.
    ///
    /// # Errors
    /// One sentence, when it is no such address.
    pub fn use_pki_url(&self, url: &str) -> Result<(), String> {
        let rest = url.strip_prefix("http://").unwrap_or_default();
        let fine = !rest.is_empty() && rest.len() < 200 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        if !fine {
            return Err(format!(
                "`{url}` is no address to publish at; write http://HOST[:PORT] (https would need the very check it serves)"
            ));
        }
        let _ = self.vault.base.set(url.to_owned());
        Ok(())
    }

    /// Where keys are that issuers have in a token. Set once, at the start.
    pub fn use_token(&self, token: crate::token::Token) {
        let _ = self.vault.token.set(Arc::new(token));
    }

    /// The key of this URI in the token, off the runtime's threads: a token may be a network away.
    async fn token_key(&self, uri: &str) -> Result<crate::token::TokenKey, Refused> {
        let token = self.vault.token.get().cloned().ok_or_else(|| {
            Refused::new("no_issuer", "this server has no PKCS#11 module, so that no key in a token can be used")
                .hint("set pkcs11.module and pkcs11.pin, and start it again")
        })?;
        let uri = uri.to_owned();
        let found = tokio::task::spawn_blocking(move || token.key(&uri)).await.map_err(Refused::unavailable)?;
        found.map_err(|reason| Refused::invalid(format!("the key in the token cannot be used: {reason}")))
    }
}

/// The newest active issuing CA for this environment. What is asked for without an environment (service accounts, users) is signed by one
/// that serves both, else by that of production.
///
/// # Errors
/// `no_issuer`, with what to do; `unavailable` when its key cannot be opened.
pub async fn signing(app: &App, reader: &mut Reader, environment: Option<Environment>) -> Result<Arc<Signing>, Refused> {
    let wanted = environment.unwrap_or(Environment::Production);
    let known = reader.issuers().await?;
    let Some(newest) = next_signer(app, &known, environment).cloned() else {
        return Err(Refused::new("no_issuer", format!("no active issuer signs for {wanted}")).hint(format!(
            "countersign issuer create --environment {wanted}, then countersign issuer activate; countersign issuer list shows what there is"
        )));
    };
    ready(app, newest).await
}

/// One issuer, whatever its state: for what it publishes.
///
/// # Errors
/// `not_found`, `no_issuer` where its key is not held here, `unavailable` when it cannot be opened.
pub async fn signing_of(app: &App, reader: &mut Reader, id: &IssuerId) -> Result<Arc<Signing>, Refused> {
    let issuer = reader.issuer(id).await?.ok_or_else(|| Refused::not_found("issuer", id.as_str()))?;
    ready(app, issuer).await
}

async fn ready(app: &App, issuer: Issuer) -> Result<Arc<Signing>, Refused> {
    let known = app.vault.opened.read().unwrap_or_else(PoisonError::into_inner).get(&issuer.id).cloned();
    let signer = match known {
        Some(signer) => signer,
        None => {
            let signer = open(app, &issuer).await?;
            app.vault.opened.write().unwrap_or_else(PoisonError::into_inner).insert(issuer.id.clone(), Arc::clone(&signer));
            signer
        }
    };
    let certificate = certificate(app, &issuer)?;
    Ok(Arc::new(Signing { issuer, certificate, signer, base: app.vault.base.get().cloned() }))
}

/// An issuer's certificate, read once.
///
/// # Errors
/// As [`IssuerCertificate::read`].
pub(super) fn certificate(app: &App, issuer: &Issuer) -> Result<Arc<IssuerCertificate>, Refused> {
    let known = app.vault.read.read().unwrap_or_else(PoisonError::into_inner).get(&issuer.id).cloned();
    if let Some(known) = known.filter(|known| *known.der() == *issuer.der) {
        return Ok(known);
    }
    let read = Arc::new(IssuerCertificate::read(&issuer.der)?);
    app.vault.read.write().unwrap_or_else(PoisonError::into_inner).insert(issuer.id.clone(), Arc::clone(&read));
    Ok(read)
}

/// What an issuer's key is sealed for: nobody else's place opens it.
fn purpose(id: &IssuerId) -> String {
    format!("issuer:{id}")
}

async fn open(app: &App, issuer: &Issuer) -> Result<Arc<dyn Signer>, Refused> {
    match &issuer.key {
        KeyPlace::Sealed { sealed } => {
            let plain = app
                .sealer()?
                .open(&purpose(&issuer.id), sealed)
                .map_err(|error| Refused::unavailable(format!("the key of issuer {} cannot be opened: {error}", issuer.name)))?;
            Ok(Arc::new(LocalKey::from_der(&plain)?))
        }
        KeyPlace::Pkcs11 { uri } => match app.token_key(uri).await {
            Ok(key) => Ok(Arc::new(key)),
            // The address was right when the issuer was made; the token is away.
            Err(refused) if refused.status == 400 => Err(Refused::unavailable(refused)),
            Err(refused) => Err(refused),
        },
        KeyPlace::Absent => Err(Refused::new("no_issuer", format!("the key of issuer {} is not held here", issuer.name))
            .hint("it was imported without its key, to complete chains; another issuer signs")),
    }
}

/// Whether `sealer` opens what is sealed in the issuers there are; with another master key none of them could sign.
///
/// # Errors
/// When the store fails.
pub(crate) async fn check_sealer(
    reader: &mut Reader,
    sealer: &crate::seal::Sealer,
) -> Result<Option<String>, countersign_store::StoreError> {
    for issuer in reader.issuers().await? {
        if let KeyPlace::Sealed { sealed } = &issuer.key
            && let Err(error) = sealer.open(&purpose(&issuer.id), sealed)
        {
            return Ok(Some(format!("the key of issuer {}: {error}", issuer.name)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d8_addresses_are_the_policys_else_the_operators_else_none() {
        assert_eq!(publication_of("x", "", "", None), Publication::default());
        let below = publication_of("sandbox-1", "", "", Some("http://pki.example"));
        assert_eq!(below.crl_urls, ["http://pki.example/pki/sandbox-1.crl"]);
        assert_eq!(
            (below.ocsp_urls, below.issuer_urls),
            (vec!["http://pki.example/pki/ocsp".to_owned()], vec!["http://pki.example/pki/sandbox-1.crt".to_owned()])
        );
        let own = publication_of("x", "http://a/c.crl", "", None);
        assert_eq!((own.crl_urls, own.ocsp_urls.len()), (vec!["http://a/c.crl".to_owned()], 0));
    }
}

//! Keys in a PKCS#11 token (a hardware security module, or SoftHSM): found by their RFC 7512 URI, and asked to sign. No private key leaves
//! the token, and none is made here: whoever holds the token makes it.

use aws_lc_rs::digest;
use countersign_core::Secret;
use countersign_x509::X509Error;
use countersign_x509::private_key::Signer;
use countersign_x509::token_key::{self, Curve};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::{Duration, Instant};

/// The module is started anew no more often, so that a token that stays away costs little.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A PKCS#11 module that was loaded, and the PIN of its tokens.
pub struct Token {
    module: Pkcs11,
    pin: AuthPin,
    /// Read by whoever talks to a token; written while the module is started anew, which ends every session.
    start: RwLock<Start>,
    /// The sessions of keys that were handed out, to be closed before the module is started anew.
    sessions: Mutex<Vec<Weak<KeySession>>>,
}

/// How often the module was started, and when it was last started anew.
#[derive(Default)]
struct Start {
    number: u64,
    again_at: Option<Instant>,
}

/// The session of one key, and its handle there; none after a failure.
type KeySession = Mutex<Option<(Session, ObjectHandle)>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a token did not do something.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    /// It is about the PIN. Trying again would use up the tries that a token allows.
    pin: bool,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { text, pin: false }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.text
    }
}

fn failure(what: &str, error: &Error) -> Failure {
    use RvError::{PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked};
    let pin = matches!(error, Error::Pkcs11(PinExpired | PinIncorrect | PinInvalid | PinLenRange | PinLocked, _));
    Failure { text: said(what, error), pin }
}

/// Which key: the parts of a `pkcs11:` URI that are understood. Everything else is refused, above all a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeyName {
    token: String,
    object: Option<String>,
    id: Option<Vec<u8>>,
}

impl TokenKeyName {
    /// Reads `pkcs11:token=NAME;object=LABEL` or `;id=%01`, percent-encoded.
    ///
    /// # Errors
    /// One sentence.
    pub fn parse(uri: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; write pkcs11:token=NAME;object=LABEL, or ;id=%01 (RFC 7512)");
        let path = uri.strip_prefix("pkcs11:").filter(|_| uri.len() <= 512).ok_or_else(|| wrong("it does not begin with pkcs11:"))?;
        if path.contains('?') {
            return Err(wrong("it has a query; the module and the PIN are settings of the server (pkcs11.module, pkcs11.pin)"));
        }
        let mut named = Self { token: String::new(), object: None, id: None };
        for part in path.split(';') {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("an attribute has no value"))?;
            let value = decoded(value).ok_or_else(|| wrong("a value is not percent-encoded as it must be"))?;
            let text = || String::from_utf8(value.clone()).map_err(|_| wrong("a name is not UTF-8"));
            match name {
                "token" => named.token = text()?,
                "object" => named.object = Some(text()?),
                "id" => named.id = Some(value),
                "type" if value == b"private" || value == b"secret-key" => {}
                _ => return Err(wrong(&format!("it has `{}`", crate::error::shown(name)))),
            }
        }
        if named.token.is_empty() || (named.object.is_none() && named.id.is_none()) {
            return Err(wrong("it names no token, or no key in it"));
        }
        Ok(named)
    }

    fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(self.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(self.id.clone().map(Attribute::Id));
        template
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            out.push(u8::try_from(digit()? << 4 | digit()?).ok()?);
        } else if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            return None;
        }
    }
    Some(out)
}

pub(crate) fn said(what: &str, error: &Error) -> String {
    // The crate's own text goes on for sentences; the code is what one looks up.
    match error {
        Error::Pkcs11(code, function) => format!("{what}: {function:?} answered {code:?}"),
        other => format!("{what}: {other}"),
    }
}

impl Token {
    /// Loads a module.
    ///
    /// # Errors
    /// One sentence, when it is no such module or does not start.
    pub fn load(module: &Path, pin: &Secret) -> Result<Self, String> {
        let failed = |error: &Error| said(&format!("the PKCS#11 module {} cannot be used", module.display()), error);
        let loaded = Pkcs11::new(module).map_err(|error| failed(&error))?;
        initialize(&loaded).map_err(|error| failed(&error))?;
        // The PIN's place to be from here on; it is wiped when dropped, and never shown.
        let pin = AuthPin::new(pin.expose().to_owned().into());
        Ok(Self { module: loaded, pin, start: RwLock::default(), sessions: Mutex::default() })
    }

    fn reading(&self) -> RwLockReadGuard<'_, Start> {
        self.start.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `attempt`; where a token does not answer, starts the module anew and runs it once more: a token that went away and came back is
    /// not found again otherwise (PKCS#11 v2.40 section 5.4: a module may look for tokens only when it is initialized).
    fn attempt<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, String> {
        let number = {
            let start = self.reading();
            match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) if failure.pin => return Err(failure.text),
                Err(_) => start.number,
            }
        };
        self.start_anew(number)?;
        let _start = self.reading();
        attempt().map_err(String::from)
    }

    /// Ends every session and initializes the module again, unless somebody else did so since start `number`.
    fn start_anew(&self, number: u64) -> Result<(), String> {
        let mut start = self.start.write().unwrap_or_else(PoisonError::into_inner);
        if start.number != number || start.again_at.is_some_and(|at| at.elapsed() < RESTART_PAUSE) {
            return Ok(());
        }
        // A session that is closed later would close whichever session has its number by then.
        lock(&self.sessions).retain(|session| session.upgrade().inspect(|session| drop(lock(session).take())).is_some());
        let failed = |error: &Error| said("the PKCS#11 module cannot be started anew", error);
        tracing::warn!("the token does not answer; its PKCS#11 module is started anew");
        start.again_at = Some(Instant::now());
        match self.module.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(failed(&error)),
        }
        initialize(&self.module).map_err(|error| failed(&error))?;
        start.number += 1;
        Ok(())
    }

    /// The key of this URI, ready to sign.
    ///
    /// # Errors
    /// One sentence: no such token, a wrong PIN, no such key or two of it, or a key of a kind that does not sign here.
    pub fn key(self: &Arc<Self>, uri: &str) -> Result<TokenKey, String> {
        let name = TokenKeyName::parse(uri)?;
        let (kind, public, open) = self.attempt(|| {
            let session = self.session(&name)?;
            let (kind, public) = public_half(&session, &name)?;
            let handle = one(&session, &name, ObjectClass::PRIVATE_KEY, "private key")?;
            let open: Arc<KeySession> = Arc::new(Mutex::new(Some((session, handle))));
            // Before the turn ends, so that a start that follows finds it.
            lock(&self.sessions).push(Arc::downgrade(&open));
            Ok((kind, public, open))
        })?;
        Ok(TokenKey { token: Arc::clone(self), name, kind, public, open })
    }

    pub(crate) fn session(&self, name: &TokenKeyName) -> Result<Session, Failure> {
        let failed = |error: &Error| failure(&format!("the token {} cannot be used", crate::error::shown(&name.token)), error);
        for slot in self.module.get_slots_with_token().map_err(|error| failed(&error))? {
            let Ok(info) = self.module.get_token_info(slot) else { continue };
            if info.label().trim_end() != name.token {
                continue;
            }
            let session = self.module.open_ro_session(slot).map_err(|error| failed(&error))?;
            // One login holds for all of a process's sessions with a token.
            return match session.login(UserType::User, Some(&self.pin)) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
                Err(error) => Err(failed(&error)),
            };
        }
        Err(format!("there is no token {}; it is not plugged in, or has another label", crate::error::shown(&name.token)).into())
    }
}

fn initialize(module: &Pkcs11) -> Result<(), Error> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn one(session: &Session, name: &TokenKeyName, class: ObjectClass, what: &str) -> Result<ObjectHandle, String> {
    let found = session.find_objects(&name.template(class)).map_err(|error| said("the token cannot be searched", &error))?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(format!("the token has no such {what}")),
        _ => Err(format!("the token has several such {what}s; name one by its id")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Curve(Curve),
    Rsa,
}

fn public_half(session: &Session, name: &TokenKeyName) -> Result<(Kind, Vec<u8>), String> {
    let handle = one(session, name, ObjectClass::PUBLIC_KEY, "public key")?;
    let read = |wanted: &[AttributeType]| {
        session.get_attributes(handle, wanted).map_err(|error| said("the token's public key cannot be read", &error))
    };
    let kind = read(&[AttributeType::KeyType])?;
    if kind.contains(&Attribute::KeyType(KeyType::EC)) {
        let (mut params, mut point) = (Vec::new(), Vec::new());
        for attribute in read(&[AttributeType::EcParams, AttributeType::EcPoint])? {
            match attribute {
                Attribute::EcParams(value) => params = value,
                Attribute::EcPoint(value) => point = value,
                _ => {}
            }
        }
        let curve = Curve::of_params(&params).map_err(|error| error.to_string())?;
        return Ok((Kind::Curve(curve), curve.public_key(&point).map_err(|error| error.to_string())?));
    }
    if kind.contains(&Attribute::KeyType(KeyType::RSA)) {
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        for attribute in read(&[AttributeType::Modulus, AttributeType::PublicExponent])? {
            match attribute {
                Attribute::Modulus(value) => modulus = value,
                Attribute::PublicExponent(value) => exponent = value,
                _ => {}
            }
        }
        return Ok((Kind::Rsa, token_key::rsa_public_key(&modulus, &exponent)));
    }
    Err("the token's key is neither RSA nor ECDSA on P-256 or P-384".to_owned())
}

/// A private key in a token.
pub struct TokenKey {
    token: Arc<Token>,
    name: TokenKeyName,
    kind: Kind,
    public: Vec<u8>,
    open: Arc<KeySession>,
}

impl TokenKey {
    fn sign_once(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut open = lock(&self.open);
        let (session, handle) = match open.take() {
            Some(known) => known,
            None => {
                let session = self.token.session(&self.name)?;
                let handle = one(&session, &self.name, ObjectClass::PRIVATE_KEY, "private key")?;
                (session, handle)
            }
        };
        let signed = match self.kind {
            Kind::Rsa => session.sign(&Mechanism::Sha256RsaPkcs, handle, message),
            Kind::Curve(curve) => {
                let algorithm = if curve == Curve::P256 { &digest::SHA256 } else { &digest::SHA384 };
                session.sign(&Mechanism::Ecdsa, handle, digest::digest(algorithm, message).as_ref())
            }
        };
        let signature = signed.map_err(|error| failure("the token does not sign", &error))?;
        *open = Some((session, handle));
        Ok(signature)
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, X509Error> {
        // Once more with a new session: tokens are restarted, and their sessions end with them.
        let twice = || self.sign_once(message).or_else(|failed| if failed.pin { Err(failed) } else { self.sign_once(message) });
        let raw = self.token.attempt(twice).map_err(|reason| token_key::not_signed(&reason))?;
        match self.kind {
            Kind::Rsa => Ok(raw),
            Kind::Curve(curve) => curve.signature(&raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_token_is_named_without_a_pin() {
        let named = TokenKeyName::parse("pkcs11:token=My%20HSM;object=ca;id=%01%ff").unwrap();
        assert_eq!((named.token.as_str(), named.object.as_deref(), named.id), ("My HSM", Some("ca"), Some(vec![1, 255])));
        for bad in
            ["", "token=x", "pkcs11:", "pkcs11:token=x", "pkcs11:object=x", "pkcs11:token=x;object=y?pin-value=1", "pkcs11:token=x;pin=1"]
        {
            assert!(TokenKeyName::parse(bad).is_err(), "{bad}");
        }
        assert!(TokenKeyName::parse("pkcs11:token=%zz;object=x").is_err() && TokenKeyName::parse("pkcs11:token=ä;object=x").is_err());
    }
}

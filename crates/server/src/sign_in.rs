//! Ways into the pages for people: one-time codes, and the sessions they are changed for. Both live in memory only, as digests,
//! and end with the process. A session is no credential of the API, and no right is kept here: rights are read at every request.

use crate::app::App;
use crate::app::caller::Caller;
use countersign_core::authz::Actor;
use countersign_core::credential::{hex, unhex};
use countersign_core::identity::IdentityId;
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};
use sha2::Digest as _;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a one-time code may be used.
const CODE_LIFE: Lifetime = Lifetime::from_seconds(15 * 60);
/// Codes that wait to be used, at most; the oldest gives way.
const CODES_MAX: usize = 8;
/// How long a session lives without a request.
const SESSION_IDLE: Lifetime = Lifetime::from_seconds(30 * 60);
/// How long it lives at all.
const SESSION_LIFE: Lifetime = Lifetime::from_seconds(8 * 60 * 60);
/// Sessions at a time; the one that was idle longest gives way.
const SESSIONS_MAX: usize = 100;

type Digest = [u8; 32];

#[derive(Debug)]
struct Code {
    identity: IdentityId,
    until: Timestamp,
}

#[derive(Debug)]
struct Session {
    identity: IdentityId,
    until: Timestamp,
    last: Timestamp,
}

/// Codes and sessions by the SHA-256 of their text. They have 256 random bits, so a plain digest is enough and the time a look-up
/// takes tells nothing about them.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    codes: Mutex<HashMap<Digest, Code>>,
    sessions: Mutex<HashMap<Digest, Session>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digest of a text of the right form; anything else cannot be one of ours.
fn digest(text: &str) -> Option<Digest> {
    let bytes = unhex::<32>(text).filter(|_| text.len() == 64)?;
    Some(sha2::Sha256::digest(bytes).into())
}

fn mint(app: &App) -> (Digest, Secret) {
    let mut bytes = [0_u8; 32];
    app.entropy.fill(&mut bytes);
    (sha2::Sha256::digest(bytes).into(), Secret::new(hex(&bytes)))
}

impl Desk {
    /// A code that opens one session for `identity`, once, within 15 minutes.
    pub(crate) fn code(&self, app: &App, identity: IdentityId) -> Secret {
        let (digest, text) = mint(app);
        let now = app.now();
        let mut codes = lock(&self.codes);
        codes.retain(|_, code| now < code.until);
        while codes.len() >= CODES_MAX {
            let Some(oldest) = codes.iter().min_by_key(|(_, code)| code.until).map(|(digest, _)| *digest) else { break };
            codes.remove(&oldest);
        }
        codes.insert(digest, Code { identity, until: now.plus(CODE_LIFE) });
        text
    }

    /// Whether the code would open a session now. Looking uses nothing up: mail programs and chats look at every address.
    pub(crate) fn is_good(&self, app: &App, code: &str) -> bool {
        digest(code).is_some_and(|digest| lock(&self.codes).get(&digest).is_some_and(|code| app.now() < code.until))
    }

    /// Uses the code up and opens a session: whose, and its text. `None` for a code that is unknown, used or too old, and for one
    /// whose identity is gone.
    pub(crate) fn open(&self, app: &App, code: &str) -> Option<(IdentityId, Secret)> {
        let now = app.now();
        let code = lock(&self.codes).remove(&digest(code)?).filter(|code| now < code.until)?;
        app.snapshot().identity(&code.identity)?;
        let (digest, text) = mint(app);
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.lives(now));
        while sessions.len() >= SESSIONS_MAX {
            let Some(idlest) = sessions.iter().min_by_key(|(_, session)| session.last).map(|(digest, _)| *digest) else { break };
            sessions.remove(&idlest);
        }
        sessions.insert(digest, Session { identity: code.identity.clone(), until: now.plus(SESSION_LIFE), last: now });
        Some((code.identity, text))
    }

    /// Who the session is, with the rights of this moment; a session whose identity is gone ends here.
    pub(crate) fn who(&self, app: &App, text: &str, source: String, request_id: String) -> Option<(Caller, Actor)> {
        let digest = digest(text)?;
        let (snapshot, now) = (app.snapshot(), app.now());
        let mut sessions = lock(&self.sessions);
        let session = sessions.get_mut(&digest)?;
        let access = if session.lives(now) { snapshot.identity(&session.identity) } else { None };
        let Some(access) = access else {
            sessions.remove(&digest);
            return None;
        };
        session.last = now;
        let identity = session.identity.clone();
        let actor = crate::authn::actor(&snapshot, identity.clone(), access, None);
        let caller = Caller { source, request_id, system: false, ..Caller::system(identity) };
        Some((caller, actor))
    }

    /// Ends a session.
    pub(crate) fn close(&self, text: &str) {
        if let Some(digest) = digest(text) {
            lock(&self.sessions).remove(&digest);
        }
    }
}

impl Session {
    fn lives(&self, now: Timestamp) -> bool {
        now < self.until && now < self.last.plus(SESSION_IDLE)
    }
}

//! Logins of people: one-time codes, sessions, passwords, second factors, the company's provider. What stands here proves who
//! somebody is; what he may do is `authz`'s business, and no right is kept with a login.

pub mod record;
pub mod session;
pub mod shelf;
pub mod throttle;
pub mod token;

use crate::app::App;
use crate::oauth::{Device, Grant};
use countersign_core::credential::{hex, unhex};
use countersign_core::id::UserId;
use countersign_core::identity::IdentityId;
use countersign_core::secret::Secret;
use countersign_core::time::Lifetime;
use sha2::Digest as _;
use shelf::Shelf;
use throttle::Throttle;

/// How long a one-time code may be used.
const CODE_LIFE: Lifetime = Lifetime::from_seconds(15 * 60);
/// Codes that wait to be used, at most; the oldest gives way.
const CODES_MAX: usize = 8;
/// Devices and grants that wait, at most.
const WAITING_MAX: usize = 2000;

/// The SHA-256 of a text with 256 random bits: a plain digest is enough, and the time a look-up takes tells nothing.
pub type Digest = [u8; 32];

/// Everything that waits in memory for a login to go on; it ends with the process.
#[derive(Debug)]
pub(crate) struct Desk {
    codes: Shelf<Digest, IdentityId>,
    pub(crate) devices: Shelf<Digest, Device>,
    pub(crate) grants: Shelf<Digest, Grant>,
    pub(crate) throttle: Throttle,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            codes: Shelf::new(CODES_MAX),
            devices: Shelf::new(WAITING_MAX),
            grants: Shelf::new(WAITING_MAX),
            throttle: Throttle::default(),
        }
    }
}

/// The digest of a text that [`mint`] made; anything else cannot be one.
pub(crate) fn digest(text: &str) -> Option<Digest> {
    let bytes = unhex::<32>(text).filter(|_| text.len() == 64)?;
    Some(sha2::Sha256::digest(bytes).into())
}

/// 256 random bits as text, and their digest.
pub(crate) fn mint(app: &App) -> (Digest, Secret) {
    let mut bytes = [0_u8; 32];
    app.entropy.fill(&mut bytes);
    (sha2::Sha256::digest(bytes).into(), Secret::new(hex(&bytes)))
}

impl Desk {
    /// A code that opens one session for `identity`, once, within 15 minutes.
    pub(crate) fn code(&self, app: &App, identity: IdentityId) -> Secret {
        let (digest, text) = mint(app);
        let now = app.now();
        self.codes.push(now, digest, identity, now.plus(CODE_LIFE));
        text
    }

    /// Whether the code would open a session now. Looking uses nothing up: mail programs and chats look at every address.
    pub(crate) fn is_good(&self, app: &App, code: &str) -> bool {
        digest(code).is_some_and(|digest| self.codes.with(app.now(), &digest, |_| ()).is_some())
    }

    /// Uses the code up: whom it lets in. `None` for a code that is unknown, used or too old, and for one whose user is gone.
    pub(crate) fn use_code(&self, app: &App, code: &str) -> Option<UserId> {
        let identity = self.codes.take(app.now(), &digest(code)?)?;
        app.snapshot().identity(&identity)?;
        match identity {
            IdentityId::User(user) => Some(user),
            _ => None,
        }
    }
}

//! Logins of people: one-time codes, sessions, passwords, second factors, the company's provider. What stands here proves who
//! somebody is; what he may do is `authz`'s business, and no right is kept with a login.

pub mod account;
mod common_passwords;
pub mod device;
pub mod invite;
pub mod oidc;
pub mod password;
pub mod record;
pub mod session;
pub mod sessions;
pub mod shelf;
pub mod throttle;
pub mod token;
pub mod totp;
pub mod way_in;

use crate::app::App;
use crate::error::Refused;
use crate::oauth::{Device, GrantState};
use crate::seal::Sealer;
use countersign_core::access::Access;
use countersign_core::credential::{hex, unhex};
use countersign_core::id::{SessionId, UserId};
use countersign_core::secret::Secret;
use countersign_core::time::{Lifetime, Timestamp};
use sha2::Digest as _;
use shelf::Shelf;
use std::sync::{Mutex, OnceLock, PoisonError};
use throttle::Throttle;

/// How long a one-time code may be used.
const CODE_LIFE: Lifetime = Lifetime::from_seconds(15 * 60);
/// Codes that wait to be used, at most; the oldest gives way.
const CODES_MAX: usize = 8;
/// Devices, grants and half-finished logins that wait, at most of each, and of each for one user or one network.
const WAITING_MAX: usize = 2000;
const WAITING_OF_ONE_MAX: usize = 20;
/// Failed attempts that are recorded in a minute; beyond it they are only counted, so that guessing does not fill the disk.
const RECORDED_A_MINUTE: u32 = 60;

/// The SHA-256 of a text with 256 random bits: a plain digest is enough, and the time a look-up takes tells nothing.
pub type Digest = [u8; 32];

/// Who needs a second factor to log in by password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondFactor {
    /// Account Owners.
    #[default]
    Owners,
    /// Everybody.
    All,
    /// Nobody.
    None,
}

impl SecondFactor {
    /// Whether somebody with these rights needs one.
    pub fn is_needed(self, access: &Access) -> bool {
        match self {
            Self::Owners => access.is_owner(),
            Self::All => true,
            Self::None => false,
        }
    }
}

/// How people log in here.
#[derive(Clone, Debug, Default)]
pub struct LoginSettings {
    /// Who needs a second factor.
    pub second_factor: SecondFactor,
    /// The company's provider, if there is one.
    pub oidc: Option<oidc::OidcSettings>,
    /// `https://host:port` of these pages, for addresses that are handed on.
    pub public_url: String,
}

/// Everything that waits in memory for a login to go on, which ends with the process; and the settings.
#[derive(Debug)]
pub(crate) struct Desk {
    settings: OnceLock<LoginSettings>,
    sealer: OnceLock<Sealer>,
    pub(crate) provider: oidc::Provider,
    codes: Shelf<Digest, (UserId, i64)>,
    pub(crate) devices: Shelf<Digest, Device>,
    pub(crate) grants: Shelf<Digest, GrantState>,
    pub(crate) tickets: Shelf<Digest, way_in::Ticket>,
    pub(crate) enrolments: Shelf<SessionId, way_in::Enrolment>,
    pub(crate) asked: Shelf<Digest, oidc::Asked>,
    pub(crate) throttle: Throttle,
    pub(crate) hashing: password::Hashing,
    recorded: Mutex<(i64, u32)>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            settings: OnceLock::new(),
            sealer: OnceLock::new(),
            provider: oidc::Provider::default(),
            codes: Shelf::new(CODES_MAX, CODES_MAX),
            devices: Shelf::new(WAITING_MAX, WAITING_OF_ONE_MAX),
            grants: Shelf::new(WAITING_MAX, WAITING_OF_ONE_MAX),
            tickets: Shelf::new(WAITING_MAX, WAITING_OF_ONE_MAX),
            enrolments: Shelf::new(WAITING_MAX, WAITING_OF_ONE_MAX),
            asked: Shelf::new(WAITING_MAX, WAITING_OF_ONE_MAX),
            throttle: Throttle::default(),
            hashing: password::Hashing::default(),
            recorded: Mutex::new((0, 0)),
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
    /// A code that opens one session for `user`, once, within 15 minutes, and while the epoch of the user's logins is this one.
    pub(crate) fn code(&self, app: &App, user: UserId, epoch: i64) -> Secret {
        let (digest, text) = mint(app);
        let now = app.now();
        self.codes.put(now, digest, "", (user, epoch), now.plus(CODE_LIFE));
        text
    }

    /// Whether the code would open a session now. Looking uses nothing up: mail programs and chats look at every address.
    pub(crate) fn is_good(&self, app: &App, code: &str) -> bool {
        digest(code).is_some_and(|digest| self.codes.with(app.now(), &digest, |_| ()).is_some())
    }

    /// Uses the code up: whom it lets in, and under which epoch. `None` for a code that is unknown, used or too old.
    pub(crate) fn use_code(&self, app: &App, code: &str) -> Option<(UserId, i64)> {
        self.codes.take(app.now(), &digest(code)?)
    }

    /// How people log in.
    pub(crate) fn settings(&self) -> &LoginSettings {
        static NONE: OnceLock<LoginSettings> = OnceLock::new();
        self.settings.get().unwrap_or_else(|| NONE.get_or_init(LoginSettings::default))
    }

    /// Whether one more failed attempt is recorded in this minute.
    fn may_record(&self, now: Timestamp) -> bool {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.seconds() / 60;
        if recorded.0 != minute {
            *recorded = (minute, 0);
        }
        recorded.1 = recorded.1.saturating_add(1);
        recorded.1 <= RECORDED_A_MINUTE
    }
}

impl App {
    /// Says how people log in; the first word counts. To be called before anybody can connect.
    ///
    /// # Errors
    /// One sentence, when the provider's settings cannot be used.
    pub fn use_login_settings(&self, settings: LoginSettings) -> Result<(), String> {
        if let Some(oidc) = &settings.oidc {
            self.desk.provider.prepare(oidc)?;
        }
        // A second word changes nothing, which is what the documentation says.
        let _ = self.desk.settings.set(settings);
        Ok(())
    }

    /// Takes the master key, after holding it against what is sealed already; the first one counts.
    ///
    /// # Errors
    /// One sentence, when something is sealed by another key or the store fails.
    pub async fn use_master_key(&self, sealer: Sealer) -> Result<(), String> {
        let opened = async {
            let mut read = self.store.read().await?;
            let mut page = countersign_store::Page::first(1000);
            loop {
                let users = read.users(&page).await?;
                let Some(last) = users.last() else { return Ok(None) };
                page.after = Some(last.id.to_string());
                for user in &users {
                    if let Some(sealed) = read.login(&user.id).await?.and_then(|login| login.totp) {
                        // One is enough: all are sealed by the same key.
                        return Ok(Some(totp::Factor::open(&sealer, &user.id, &sealed).map(drop)));
                    }
                }
            }
        };
        let issuers = async { super::app::issuers::check_sealer(&mut self.store.read().await?, &sealer).await };
        if let Some(reason) = issuers.await.map_err(|error: countersign_store::StoreError| error.to_string())? {
            return Err(format!("the master key does not open what is sealed in the database: {reason}"));
        }
        match opened.await.map_err(|error: countersign_store::StoreError| error.to_string())? {
            Some(Err(reason)) => Err(format!("the master key does not open what is sealed in the database: {reason}")),
            _ => {
                let _ = self.desk.sealer.set(sealer);
                Ok(())
            }
        }
    }

    /// Takes out sessions and invitations that ended by age; they open nothing any more, and only take room.
    pub async fn sweep_logins(&self) {
        let swept = async {
            let mut write = self.store.begin().await?;
            write.sweep_logins(self.now()).await?;
            write.commit_without_revision().await
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "sessions that are over could not be taken out; tried again soon");
        }
    }

    /// What seals by the master key.
    ///
    /// # Errors
    /// `unavailable`, where this process was given none.
    pub fn sealer(&self) -> Result<&Sealer, Refused> {
        self.desk.sealer.get().ok_or_else(|| Refused::unavailable("there is no master key"))
    }
}

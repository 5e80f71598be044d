//! The use cases, one file a noun. Each decides with `authz`, changes through one [`unit::Unit`], and knows nothing of HTTP.
//! No rule of admission and no SQL may come to live here.

pub mod accounts;
pub mod api_keys;
pub mod apis;
pub mod applications;
pub mod audit;
pub mod audit_sinks;
pub mod auth_method;
mod backfill;
pub mod caller;
pub mod cas;
mod certificate_limit;
pub mod certificates;
pub mod custom_roles;
pub(crate) mod delegation;
pub mod effect;
pub mod explain;
pub(crate) mod failures;
pub mod filters;
pub mod foreign_crls;
pub mod gateways;
pub mod issuance;
pub mod issuers;
mod lineage;
pub(crate) mod look_alike;
pub mod namespace_access;
pub mod namespace_settings;
pub mod namespaces;
pub mod notices;
mod ocsp_answers;
pub mod operations;
pub mod page;
pub mod publication;
pub mod refusals;
pub mod refused_changes;
pub mod regions;
mod registered_crl;
pub mod registration;
pub mod renewal;
pub mod revocation;
pub mod rights;
pub mod rotation;
pub mod service_accounts;
mod shared_keys;
mod successors;
pub mod trusted_cas;
pub mod unit;
pub mod usage;
pub mod user_groups;
pub mod users;
mod weak_keys;

use crate::error::Refused;
use crate::fleet::{Clock, Gateways};
use crate::installation_keys::InstallationKeys;
use crate::notices::mail::{MailSettings, Post};
use crate::notices::webhook;
use countersign_core::authz::{self, Action, Actor, Target};
use countersign_core::credential::api_key::PresentedKey;
use countersign_core::entropy::Entropy;
use countersign_core::id::OperationId;
use countersign_core::name::{Hostname, NamespaceId};
use countersign_core::namespace::Upstream;
use countersign_core::operation::Operation;
use countersign_core::receipt::{Applied, Receipt};
use countersign_core::snapshot::Snapshot;
use countersign_core::time::Timestamp;
use countersign_core::upstream_policy::UpstreamPolicy;
use countersign_proto::rest::RegionBody;
use countersign_store::{Store, StoreError};
use countersign_x509::weak_list::WeakList;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a change waits for the gateways' confirmation before it answers without (MISSION, bounds).
pub const CONFIRMATION_BOUND: Duration = Duration::from_secs(1);

/// What the control plane is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces are reached at `<name>.<account>.<this>`.
    pub gateway_domain: Hostname,
    /// `host:port` that clients connect to, as shown.
    pub gateway_address: String,
    /// The port of it, for the endpoints shown.
    pub gateway_port: u16,
    /// Host names and addresses, without ports, under which the control plane may be called; anything else is misdirected.
    pub control_hosts: Vec<String>,
    /// Where namespaces go that are made without an upstream of their own: those of Temporal's tools, which know no upstreams.
    pub default_upstream: Option<Upstream>,
    /// The CA of the control plane's port and of the gateway, PEM; empty where their certificates come from elsewhere.
    pub server_ca: String,
    /// Which addresses upstreams may have.
    pub upstreams: UpstreamPolicy,
    /// The regions there are; the first one is where a namespace is that names none.
    pub regions: Vec<RegionBody>,
}

/// The control plane. One a process.
pub struct App {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    /// The account's short id, once there is one.
    account: OnceLock<String>,
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
    gateways: RwLock<Option<Arc<dyn Gateways>>>,
    /// Changes are handed to the gateways one after the other; what one hand-over confirmed serves all revisions up to it.
    confirmed: tokio::sync::Mutex<(i64, Vec<Applied>)>,
    /// Operations whose end is known here and not yet written.
    ends: Mutex<HashMap<OperationId, Operation>>,
    pub(crate) usage: usage::Ledger,
    pub(crate) failures: failures::Failures,
    pub(crate) refused_changes: refused_changes::Bound,
    pub(crate) planned: notices::Planned,
    pub(crate) next_ends: notices::Ends,
    pub(crate) sinks: audit_sinks::Health,
    /// The operator's mail server, once it is known.
    pub(crate) post: OnceLock<Post>,
    webhook_client: OnceLock<reqwest::Client>,
    pub(crate) desk: crate::login::Desk,
    pub(crate) renewals: renewal::Desk,
    pub(crate) vault: issuers::Vault,
    pub(crate) shelf: publication::Shelf,
    pub(crate) known_rsa: shared_keys::KnownRsa,
    installation_keys: OnceLock<InstallationKeys>,
    /// Active certificates that an owner may have, where the operator set it.
    certificate_limit: OnceLock<usize>,
    /// One permit for each change that may be under way.
    pub(crate) under_way: Arc<Semaphore>,
    /// Whether the process is about to end.
    pub(crate) closing: AtomicBool,
    /// Keys that anybody knows, where the operator named a list.
    weak_keys: OnceLock<WeakList>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("account", &self.account).finish_non_exhaustive()
    }
}

impl App {
    /// Reads the whole state and is ready to serve. Operations that a crash left unfinished are committed, and so in effect as
    /// soon as a gateway gets this first snapshot: they end here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Result<Arc<Self>, StoreError> {
        let mut read = store.read().await?;
        let mut snapshot = read.whole_snapshot().await?;
        let account = read.account().await?;
        let unfinished = read.unfinished_operations().await?;
        drop(read);
        let taken = backfill::take_over_blocks(&store, &snapshot).await?;
        if taken > 0 {
            tracing::info!(taken, "blocks of foreign leaves of an older version were taken over");
            snapshot = store.read().await?.whole_snapshot().await?;
        }
        let app = Arc::new(Self {
            store,
            clock,
            entropy,
            settings,
            account: OnceLock::new(),
            snapshot: Arc::new(RwLock::new(Arc::new(snapshot))),
            gateways: RwLock::new(None),
            confirmed: tokio::sync::Mutex::new((0, Vec::new())),
            ends: Mutex::new(HashMap::new()),
            usage: usage::Ledger::default(),
            failures: failures::Failures::default(),
            refused_changes: refused_changes::Bound::default(),
            planned: notices::Planned::default(),
            next_ends: notices::Ends::default(),
            sinks: audit_sinks::Health::default(),
            post: OnceLock::new(),
            webhook_client: OnceLock::new(),
            desk: crate::login::Desk::default(),
            renewals: renewal::Desk::default(),
            vault: issuers::Vault::default(),
            shelf: publication::Shelf::default(),
            known_rsa: shared_keys::KnownRsa::default(),
            installation_keys: OnceLock::new(),
            certificate_limit: OnceLock::new(),
            under_way: Arc::new(Semaphore::new(crate::grpc::bound::CHANGES_AT_ONCE)),
            closing: AtomicBool::new(false),
            weak_keys: OnceLock::new(),
        });
        if let Some(account) = account {
            app.remember_account(account.id);
        }
        let filled = app.fill_certificates().await?;
        if filled > 0 {
            tracing::info!(filled, "certificates of an older version were completed");
        }
        for mut operation in unfinished {
            operation.state = countersign_core::operation::OperationState::Fulfilled;
            operation.finished_at = Some(app.now());
            app.remember_end(operation);
        }
        Ok(app)
    }

    /// The state that admission is decided on now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connects the gateways. They get the current snapshot with the next change, or from [`App::snapshot`] before.
    pub fn attach(&self, gateways: Arc<dyn Gateways>) {
        *self.gateways.write().unwrap_or_else(PoisonError::into_inner) = Some(gateways);
    }

    /// The account's short id; empty before the first start has made it.
    pub fn account_id(&self) -> &str {
        self.account.get().map_or("", String::as_str)
    }

    pub(crate) fn remember_account(&self, id: String) {
        // A second value can only be the same one: there is one account a store.
        let _ = self.account.set(id);
    }

    /// Sends mail through this server from now on.
    ///
    /// # Errors
    /// One sentence that names what is wrong with the settings.
    pub fn use_mail(&self, settings: &MailSettings) -> Result<(), String> {
        // A second server can only be the same one: the settings are read once.
        let _ = self.post.set(Post::new(settings)?);
        Ok(())
    }

    /// Refuses the keys of these servers and CAs to everybody else. Set once, at the start.
    pub fn use_installation_keys(&self, keys: InstallationKeys) {
        let _ = self.installation_keys.set(keys);
    }

    pub(crate) fn installation_keys(&self) -> &InstallationKeys {
        self.installation_keys.get_or_init(InstallationKeys::default)
    }

    /// The client that webhooks go out by, made at its first use.
    pub(crate) fn webhook_client(&self) -> Option<&reqwest::Client> {
        if self.webhook_client.get().is_none() {
            let _ = self.webhook_client.set(webhook::client().ok()?);
        }
        self.webhook_client.get()
    }

    pub(crate) fn gateways(&self) -> Option<Arc<dyn Gateways>> {
        self.gateways.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A writer's hand-over to readers, to be called in the order of the commits.
    pub(crate) fn publisher(&self) -> impl FnOnce(i64, Vec<countersign_core::snapshot::Change>) -> Arc<Snapshot> + Send + 'static {
        let cell = Arc::clone(&self.snapshot);
        move |revision, changes| {
            let mut cell = cell.write().unwrap_or_else(PoisonError::into_inner);
            *cell = Arc::new(cell.apply(revision, changes));
            Arc::clone(&cell)
        }
    }

    /// Hands `snapshot` to the gateways and says what they confirmed within the bound. `committed` is when its change was durable.
    pub(crate) async fn confirm(&self, snapshot: Arc<Snapshot>, committed: Instant) -> Receipt {
        let revision = snapshot.revision();
        let Some(gateways) = self.gateways() else {
            return Receipt { revision, ..Receipt::default() };
        };
        let attempt = async {
            let mut confirmed = self.confirmed.lock().await;
            if confirmed.0 < revision {
                // The newest state serves this change and every one that waits behind it.
                let newest = self.snapshot();
                let sent = newest.revision();
                *confirmed = (sent, gateways.apply(newest).await);
            }
            confirmed.1.clone()
        };
        let deadline = tokio::time::Instant::from_std(committed + CONFIRMATION_BOUND);
        let Ok(mut applied) = tokio::time::timeout_at(deadline, attempt).await else {
            let (applied, outstanding) = stand(&*gateways, revision, committed);
            return Receipt { revision, applied, outstanding };
        };
        for one in &mut applied {
            one.micros = micros(committed);
        }
        Receipt { revision, applied, outstanding: Vec::new() }
    }

    /// Keeps an operation's end (or what is known so far of one that waits for a gateway) until it is written.
    pub(crate) fn remember_end(&self, operation: Operation) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.id.clone(), operation);
    }

    pub(crate) fn remembered_end(&self, id: &OperationId) -> Option<Operation> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn remembered_ends(&self) -> Vec<Operation> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn forget_ends(&self, ids: &[OperationId]) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            ends.remove(id);
        }
    }
}

/// Which gateways stand at `revision` or above, and which below.
fn stand(gateways: &dyn Gateways, revision: i64, committed: Instant) -> (Vec<Applied>, Vec<String>) {
    let (mut applied, mut outstanding) = (Vec::new(), Vec::new());
    for gateway in gateways.describe() {
        if gateway.revision >= revision {
            let (revision, micros) = (gateway.revision, micros(committed));
            applied.push(Applied { gateway: gateway.name, revision, micros, connections_cut: 0, streams_cut: 0 });
        } else {
            outstanding.push(gateway.name);
        }
    }
    (applied, outstanding)
}

/// Microseconds since `committed`.
fn micros(committed: Instant) -> i64 {
    i64::try_from(committed.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// Decides, and turns a denial into what the caller may learn: a namespace he has no permission in is not there (promise P13).
pub(crate) fn decide(actor: &Actor, action: Action, target: Target<'_>) -> Result<authz::Decided, Refused> {
    authz::decide(actor, action, target).map_err(|denied| match target {
        Target::Namespace(namespace) if actor.access.permission(namespace).is_none() => Refused::not_found("namespace", namespace.as_str()),
        _ => Refused::forbidden(denied),
    })
}

/// Reads a namespace's id from a path or member; `<name>` alone means the account's own.
pub(crate) fn namespace_id(app: &App, text: &str) -> Result<NamespaceId, Refused> {
    let id = if text.contains('.') { NamespaceId::parse(text) } else { NamespaceId::new(text, app.account_id()) };
    id.map_err(|_| Refused::not_found("namespace", text))
}

/// Compares the version a caller says he changes with the current one.
pub(crate) fn check_version(given: Option<&str>, current: i64) -> Result<(), Refused> {
    match given {
        Some(given) if given != current.to_string() => Err(Refused::new(
            "resource_version_conflict",
            format!("the resource version {} is not the current one, {current}; nothing was changed", crate::error::shown(given)),
        )
        .hint("read it again and repeat the change on what you find")),
        _ => Ok(()),
    }
}

/// Characters that nobody sees and that make one text look like another: of no width, turning the direction (UAX #9), or tags.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Checks a text for people: length in characters, no control characters.
pub(crate) fn check_text(member: &str, text: &str, min: usize, max: usize) -> Result<(), Refused> {
    let count = text.chars().count();
    if count < min
        || count > max
        || text.chars().any(|c| (c.is_control() && !(max > 200 && c == '\n')) || is_unseen(c))
        || text.trim() != text
    {
        return Err(Refused::invalid(format!(
            "{member} has {min} to {max} characters, no control characters, none that are unseen or turn the direction of text, no space \
             at its ends"
        )));
    }
    if text.split(|c: char| c.is_whitespace() || "\"'=,;:".contains(c)).any(|word| PresentedKey::parse(word).is_some()) {
        return Err(Refused::invalid(format!("{member} holds the text of an API key; nothing was stored"))
            .hint("delete that key and create a new one: it has been where secrets do not belong"));
    }
    Ok(())
}

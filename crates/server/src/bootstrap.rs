//! The first start: the account, its owner, and what `countersign dev` shows. Everything else is made through the API.

use crate::app::api_keys;
use crate::app::caller::Caller;
use crate::app::unit::{system_entry, value};
use crate::app::{App, namespaces};
use crate::error::Refused;
use countersign_core::access::{Access, AccountRole};
use countersign_core::admission;
use countersign_core::audit::Entry;
use countersign_core::credential::api_key::{KeyState, PresentedKey};
use countersign_core::id::UserId;
use countersign_core::identity::{Account, IdentityId, User};
use countersign_core::name::{Hostname, NamespaceId};
use countersign_core::namespace::Upstream;
use countersign_core::secret::Secret;
use countersign_core::snapshot::Change;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_proto::rest::{CreateApiKey, CreateNamespace};
use countersign_store::{OlderDatabase, Store, StoreError};

/// The mail address of the owner that the first start makes.
pub const FIRST_OWNER: &str = "owner@localhost";
/// The name of the owner's key that a start makes when the one of the last start is gone.
const KEY_NAME: &str = "dev";

/// What `countersign dev` writes to `dev.env`.
#[derive(Debug)]
pub struct DevAccess {
    /// The account's short id.
    pub account: String,
    /// The demo namespace's id.
    pub namespace: String,
    /// An Account Owner's API key.
    pub owner_key: Secret,
}

/// Makes the account with its first owner, or finds it. Gives the account's short id.
///
/// # Errors
/// When the store fails.
pub async fn ensure_account(app: &App) -> Result<String, Refused> {
    if let Some(account) = app.store.read().await?.account().await? {
        app.remember_account(account.id.clone());
        return Ok(account.id);
    }
    let mut write = app.store.begin().await?;
    if let Some(account) = write.account().await? {
        app.remember_account(account.id.clone());
        return Ok(account.id);
    }
    let now = app.now();
    let account = Account { id: short_id(app), api_key_creation_disabled: false, resource_version: 1, created_at: now, modified_at: now };
    let owner = User {
        id: UserId::mint(&*app.entropy),
        email: FIRST_OWNER.to_owned(),
        access: Access::role(AccountRole::Owner),
        resource_version: 1,
        created_at: now,
        modified_at: now,
    };
    write.put_account(&account).await?;
    write.put_user(&owner).await?;
    let entry = Entry {
        at: now,
        actor_kind: "system".to_owned(),
        actor_id: "system".to_owned(),
        actor_name: "system".to_owned(),
        credential: String::new(),
        action: "CreateAccount".to_owned(),
        object_kind: "account".to_owned(),
        object_id: account.id.clone(),
        result: "ok".to_owned(),
        before: String::new(),
        after: value(&convert::user(&owner))
            .map(|owner| serde_json::json!({"id": account.id, "owner": owner}).to_string())
            .unwrap_or_default(),
        source: String::new(),
        request_id: String::new(),
        operation_id: String::new(),
    };
    write.append_audit(entry).await?;
    let publish = app.publisher();
    let changes = vec![Change::PutIdentity(IdentityId::User(owner.id), owner.access)];
    write.commit_then(move |revision| publish(revision, changes)).await?;
    app.remember_account(account.id.clone());
    Ok(account.id)
}

/// Records that a database which lost changes was taken all the same.
///
/// # Errors
/// When the store fails; the start must not go on then.
pub async fn record_older_database(store: &Store, older: &OlderDatabase, now: Timestamp) -> Result<(), StoreError> {
    /// More would only make the entry hard to read.
    const LISTED: usize = 1_000;
    let listed: Vec<&String> = older.let_in_again.iter().take(LISTED).collect();
    let after = serde_json::json!({
        "reason": older.reason,
        "databaseRevision": older.revision,
        "fenceRevision": older.fence_revision,
        "letInAgain": listed,
        "incomplete": older.incomplete || listed.len() < older.let_in_again.len(),
    });
    let mut write = store.begin().await?;
    let entry = Entry { after: after.to_string(), ..system_entry("AcceptOlderDatabase", "database", "", now) };
    write.append_audit(entry).await?;
    write.commit_without_revision().await
}

/// Five of `a-z0-9`, a letter first; without the characters that are taken for others.
fn short_id(app: &App) -> String {
    const LETTERS: &[u8; 16] = b"abcdefghjkmnpqrs";
    const ALL: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0_u8; 5];
    app.entropy.fill(&mut bytes);
    let [first, rest @ ..] = bytes;
    let mut text = String::from(char::from(LETTERS[usize::from(first & 15)]));
    text.extend(rest.iter().map(|b| char::from(ALL[usize::from(b & 31)])));
    text
}

/// Whether this text is an API key of an Account Owner that works now.
pub fn key_works(app: &App, text: &str) -> bool {
    let Some(key) = PresentedKey::parse(text) else { return false };
    admission::authenticate(&app.snapshot(), &key, app.now()).is_ok_and(|(entry, access)| access.is_owner() && entry.apis.is_empty())
}

/// An owner to act as: the first one made, or any that is left.
async fn an_owner(app: &App) -> Result<IdentityId, Refused> {
    let mut read = app.store.read().await?;
    // One that cannot be read is no owner to act as.
    let first = match read.user_by_email(FIRST_OWNER).await {
        Err(StoreError::Inconsistent { .. }) => None,
        found => found?,
    };
    if let Some(user) = first.filter(|user| user.access.account_role == AccountRole::Owner) {
        return Ok(IdentityId::User(user.id));
    }
    let mut page = countersign_store::Page::first(1000);
    loop {
        let users = read.users(&page).await?;
        let Some(last) = users.last() else { return Err(Refused::not_found("user", "with the role owner")) };
        page.after = Some(last.id.to_string());
        if let Some(owner) = users.into_iter().find(|user| user.access.account_role == AccountRole::Owner) {
            return Ok(IdentityId::User(owner.id));
        }
    }
}

/// A fresh owner's key. Earlier ones of this name are deleted first: their text cannot be read back, and they would fill the
/// owner's ten.
async fn fresh_key(app: &App) -> Result<Secret, Refused> {
    let caller = Caller::system(an_owner(app).await?);
    let keys = app.store.read().await?.api_keys_of(&caller.identity).await?;
    for key in keys.iter().filter(|key| key.name == KEY_NAME && key.state(app.now()) != KeyState::Expired) {
        api_keys::delete(app, &caller, key.id.as_str(), None, false).await?;
    }
    let body = CreateApiKey {
        name: KEY_NAME.to_owned(),
        description: "Made at the start, for the owner".to_owned(),
        // The longest there is: what is made with it lives no longer than it was given to live.
        duration: Some("2y".to_owned()),
        ..CreateApiKey::default()
    };
    let made = api_keys::create(app, &caller, body).await?;
    // A new key's answer always has its text.
    made.secret_key.map(Secret::new).ok_or_else(|| Refused::unavailable("a new key without its text"))
}

/// Everything `countersign dev` needs: the account, the namespace `demo` in front of `upstream`, and an owner's key: `key` when
/// it still works, else a fresh one.
///
/// # Errors
/// One sentence.
pub async fn dev_setup(app: &App, upstream: Upstream, extra_hostnames: Vec<Hostname>, key: Option<String>) -> Result<DevAccess, String> {
    set_up(app, upstream, extra_hostnames, key).await.map_err(|refused| refused.to_string())
}

async fn set_up(app: &App, upstream: Upstream, extra_hostnames: Vec<Hostname>, key: Option<String>) -> Result<DevAccess, Refused> {
    let account = ensure_account(app).await?;
    let namespace = NamespaceId::new("demo", &account).map_err(Refused::invalid)?;
    let caller = Caller::system(an_owner(app).await?);
    let there = app.store.read().await?.namespace(&namespace).await?;
    match there {
        None => {
            let body = CreateNamespace {
                name: "demo".to_owned(),
                upstream: Some(upstream.to_string()),
                auth_method: Some("api_key_or_mtls".to_owned()),
                extra_hostnames: extra_hostnames.iter().map(ToString::to_string).collect(),
                ..CreateNamespace::default()
            };
            namespaces::create(app, &caller, body).await?;
        }
        // The echo upstream takes a free port at every start; an upstream that a user has set to something else stays.
        Some(found) if found.upstream.as_ref().is_some_and(|old| old.host == upstream.host && *old != upstream) => {
            let body = countersign_proto::rest::UpdateNamespace { upstream: Some(upstream.to_string()), ..Default::default() };
            match namespaces::update(app, &caller, namespace.as_str(), body).await {
                Ok(_) => {}
                // The last state is served; it is set right by the next start that has room.
                Err(refused) if refused.code == "disk_full" => {
                    tracing::warn!("the disk is full: demo keeps its upstream of the last start")
                }
                Err(refused) => return Err(refused),
            }
        }
        Some(_) => {}
    }
    let owner_key = match key {
        Some(text) if key_works(app, &text) => Secret::new(text),
        _ => fresh_key(app).await?,
    };
    Ok(DevAccess { account, namespace: namespace.to_string(), owner_key })
}

/// A fresh code for `/login?code=…`, good once and for 15 minutes: it opens a session of an Account Owner.
///
/// # Errors
/// One sentence, when there is no owner or the store fails.
pub async fn one_time_login(app: &App) -> Result<Secret, String> {
    let made = async {
        let IdentityId::User(owner) = an_owner(app).await? else { return Err(Refused::not_found("user", "with the role owner")) };
        let epoch = app.store.read().await?.login_epoch(&owner).await?.ok_or_else(Refused::session_ended)?;
        Ok(app.desk.code(app, owner, epoch))
    };
    made.await.map_err(|refused: Refused| refused.to_string())
}

/// A fresh invitation of an Account Owner, as an address to open: for the first start, while no owner can log in yet, and with
/// `always` for whoever runs the machine and has to get back in.
///
/// # Errors
/// One sentence, when there is no owner or the store fails.
pub async fn owner_invitation(app: &App, always: bool) -> Result<Option<Secret>, String> {
    let made = async {
        if !always && app.store.read().await?.owners_with_login_count().await? > 0 {
            return Ok(None);
        }
        let IdentityId::User(owner) = an_owner(app).await? else { return Ok(None) };
        let mut write = match app.store.begin().await {
            Err(StoreError::Full) => {
                tracing::warn!("the disk is full: no invitation of an owner is made");
                return Ok(None);
            }
            begun => begun?,
        };
        let maker = Caller::system(IdentityId::User(owner.clone()));
        let address = crate::login::invite::make(app, &mut write, &owner, &maker, crate::login::invite::INVITATION_LIFE).await?;
        let email = write.user(&owner).await?.map(|user| user.email).unwrap_or_default();
        let event = crate::login::record::Event {
            who: None,
            action: "InviteUser",
            object: ("user", owner.as_str()),
            result: "ok",
            after: Some(serde_json::json!({"email": email, "by": "the start of the server"})),
        };
        let mut entry = event.entry(&crate::login::record::Origin::default(), app.now());
        (entry.actor_kind, entry.actor_id, entry.actor_name) = ("system".to_owned(), "system".to_owned(), "system".to_owned());
        write.append_audit(entry).await?;
        write.commit_without_revision().await?;
        Ok(Some(address))
    };
    made.await.map_err(|refused: Refused| refused.to_string())
}

/// Makes the account when there is none. Gives an owner's key when no Account Owner has one that works: at the first start, and
/// when whoever runs the machine has to get back in.
///
/// # Errors
/// One sentence.
pub async fn first_owner(app: &App) -> Result<Option<Secret>, String> {
    let made = async {
        ensure_account(app).await?;
        if an_owners_key_works(app).await? { Ok(None) } else { fresh_key(app).await.map(Some) }
    };
    made.await.map_err(|refused: Refused| refused.to_string())
}

async fn an_owners_key_works(app: &App) -> Result<bool, Refused> {
    let now = app.now();
    let mut read = app.store.read().await?;
    let mut page = countersign_store::Page::first(1000);
    loop {
        let users = read.users(&page).await?;
        let Some(last) = users.last() else { return Ok(false) };
        page.after = Some(last.id.to_string());
        for owner in users.into_iter().filter(|user| user.access.account_role == AccountRole::Owner) {
            let keys = read.api_keys_of(&IdentityId::User(owner.id)).await?;
            if keys.iter().any(|key| key.state(now) == KeyState::Enabled && key.apis.is_empty()) {
                return Ok(true);
            }
        }
    }
}

//! What an identity may do: its own rights, its groups' and its custom roles' together. Every rule that asks what somebody may do
//! asks here, and whoever changes rights lets the logins of before end by [`RightsBefore`].

use super::caller::Caller;
use super::unit::name_and_access;
use crate::error::Refused;
use countersign_core::access::Access;
use countersign_core::authz::{self, Actor};
use countersign_core::custom_role::CustomRole;
use countersign_core::id::{ApiKeyId, CustomRoleId, UserId};
use countersign_core::identity::IdentityId;
use countersign_store::{Page, Reader, Write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Effective rights of an identity.
#[derive(Clone, Debug)]
pub struct Rights {
    /// A name for the audit trail.
    pub name: String,
    /// Own rights and those of groups.
    pub access: Access,
    /// The custom roles among them, as they read now.
    pub custom_roles: Vec<Arc<CustomRole>>,
}

impl Rights {
    /// The identity as one who asks.
    pub fn actor(self, identity: IdentityId, credential: Option<ApiKeyId>) -> Actor {
        Actor { identity, name: self.name, access: self.access, custom_roles: self.custom_roles, credential }
    }
}

/// The effective rights of an identity; `None` when it is gone.
///
/// # Errors
/// When the store fails.
pub async fn of(reader: &mut Reader, id: &IdentityId) -> Result<Option<Rights>, Refused> {
    let Some((name, access)) = name_and_access(reader, id).await? else { return Ok(None) };
    let mut custom_roles = Vec::with_capacity(access.custom_roles.len());
    for role in &access.custom_roles {
        custom_roles.extend(reader.custom_role(role).await?.map(Arc::new));
    }
    Ok(Some(Rights { name, access, custom_roles }))
}

/// Who made something that goes on working without them: an invitation, the address of a calendar. It is worth what its maker may
/// do at the moment it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Whose rights it was made with.
    pub by: IdentityId,
    /// The API key it was made with, if it was made with one.
    pub with: Option<ApiKeyId>,
}

impl Maker {
    /// From a caller; `None` for this program itself.
    pub fn of(caller: &Caller) -> Option<Self> {
        (!caller.system).then(|| Self { by: caller.identity.clone(), with: caller.credential.clone() })
    }

    /// The maker as one who asks now; `None` when the maker is gone, or the key it was made with was deleted or disabled. A key that
    /// has only expired took nothing back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn now(&self, reader: &mut Reader) -> Result<Option<Actor>, Refused> {
        if let Some(key) = &self.with
            && reader.api_key(key).await?.is_none_or(|key| key.disabled)
        {
            return Ok(None);
        }
        Ok(of(reader, &self.by).await?.map(|rights| rights.actor(self.by.clone(), self.with.clone())))
    }
}

/// The effective rights of users, from before a change of them.
pub(super) struct RightsBefore(Vec<(UserId, Rights)>);

impl RightsBefore {
    /// Reads them, to be called before the change is written.
    pub(super) async fn of(write: &mut Write<'_>, users: impl IntoIterator<Item = UserId>) -> Result<Self, Refused> {
        let mut found = Vec::new();
        for user in users {
            if let Some(rights) = of(write, &IdentityId::User(user.clone())).await? {
                found.push((user, rights));
            }
        }
        Ok(Self(found))
    }

    /// Ends what the users began under their former rights, to be called once the change is written. A promotion ends sessions and
    /// open invitations: an owner proves again who that is, and nobody who kept a link of before gets the new rights. Where roles
    /// only went, sessions go on with less and half-finished logins end.
    pub(super) async fn end_logins(self, write: &mut Write<'_>) -> Result<(), Refused> {
        for (user, before) in self.0 {
            let Some(after) = of(write, &IdentityId::User(user.clone())).await? else { continue };
            let widened =
                !after.access.account_role.administers_every_namespace() && authz::widens(&before.custom_roles, &after.custom_roles);
            if widened || after.access.is_promoted_from(&before.access) {
                write.end_logins(&user, None).await?;
            } else if before.access.is_promoted_from(&after.access) || authz::widens(&after.custom_roles, &before.custom_roles) {
                write.end_pending_logins(&user).await?;
            }
        }
        Ok(())
    }
}

/// Every user who has a custom role, own or by a group.
pub(super) async fn holders(write: &mut Write<'_>, role: &CustomRoleId) -> Result<BTreeSet<UserId>, Refused> {
    let mut found = BTreeSet::new();
    let mut page = Page::first(1000);
    loop {
        let users = write.users(&page).await?;
        let Some(last) = users.last() else { break };
        page.after = Some(last.id.to_string());
        found.extend(users.into_iter().filter(|user| user.access.custom_roles.contains(role)).map(|user| user.id));
    }
    let mut page = Page::first(1000);
    loop {
        let groups = write.user_groups(&page).await?;
        let Some(last) = groups.last() else { return Ok(found) };
        page.after = Some(last.id.to_string());
        for group in groups.iter().filter(|group| group.access.custom_roles.contains(role)) {
            found.extend(super::user_groups::member_ids(write, &group.id).await?);
        }
    }
}

//! Who may do what in the control plane: one table, one function.
//!
//! The cells are those of research/temporal-cloud.md section 8.1 and 8.2; a test compares them one by one. Every surface asks
//! [`decide`] and nothing else decides. What a caller may not even know of is answered as absent by the use cases.

use crate::access::{Access, AccountRole, NamespacePermission};
use crate::custom_role::CustomRole;
use crate::id::ApiKeyId;
use crate::identity::IdentityId;
use crate::name::NamespaceId;
use std::sync::Arc;

/// One who asks, authenticated.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub identity: IdentityId,
    /// A name for the audit trail: mail address or service account's name.
    pub name: String,
    /// Rights, those of his groups included.
    pub access: Access,
    /// The custom roles among them, as they read now.
    pub custom_roles: Vec<Arc<CustomRole>>,
    /// With which key, if with one.
    pub credential: Option<ApiKeyId>,
}

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The account as a whole, or something that belongs to no namespace.
    Account,
    /// Something of the account that has an id of its own: a custom role, for example.
    Resource(&'a str),
    /// A namespace.
    Namespace(&'a NamespaceId),
    /// A credential (API key or registered certificate) of this owner; with the namespace its owner is scoped to.
    CredentialOf(&'a IdentityId, Option<&'a NamespaceId>),
    /// A service account; with the namespace it is scoped to.
    ServiceAccount(Option<&'a NamespaceId>),
}

/// How a cell of the account's table reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Allowed.
    Yes,
    /// Refused.
    No,
    /// Decided by ownership (own keys; service accounts of an administered namespace).
    Owned,
}

macro_rules! actions {
    ($($name:ident $group:ident;)*) => {
        /// Everything one can ask of the control plane, by the names of the Cloud Ops API, then our own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Action { $($name,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as in the audit trail.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            const fn group(self) -> Group {
                match self { $(Self::$name => Group::$group,)* }
            }
        }
    };
}

/// Rows of the table that read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// All five roles.
    Everyone,
    /// All, by ownership.
    Owned,
    /// Developer, Global Admin, Account Owner.
    Developers,
    /// Finance Admin, Global Admin, Account Owner.
    Finance,
    /// Global Admin, Account Owner.
    Admins,
    /// Any permission in the namespace.
    NamespaceReaders,
    /// Namespace Admin.
    NamespaceAdmins,
}

actions! {
    GetAccount Everyone; GetAsyncOperation Everyone; GetCurrentIdentity Everyone; GetNamespaces Everyone;
    GetNexusEndpoint Everyone; GetNexusEndpoints Everyone; GetRegion Everyone; GetRegions Everyone; GetUser Everyone;
    GetUsers Everyone; GetUserGroup Everyone; GetUserGroups Everyone; GetUserGroupMembers Everyone;
    CreateApiKey Owned; GetApiKey Owned; GetApiKeys Owned; UpdateApiKey Owned; DeleteApiKey Owned;
    CreateServiceAccount Owned; GetServiceAccount Owned; GetServiceAccounts Owned; UpdateServiceAccount Owned;
    DeleteServiceAccount Owned;
    CreateNamespace Developers; CreateNexusEndpoint Developers; UpdateNexusEndpoint Developers;
    DeleteNexusEndpoint Developers; GetConnectivityRule Developers; GetConnectivityRules Developers;
    GetUsage Finance;
    CreateUser Admins; UpdateUser Admins; DeleteUser Admins; CreateUserGroup Admins; UpdateUserGroup Admins;
    DeleteUserGroup Admins; AddUserGroupMember Admins; RemoveUserGroupMember Admins; CreateConnectivityRule Admins;
    DeleteConnectivityRule Admins; UpdateAccount Admins; UpdateNamespaceTags Admins; GetAuditLogs Admins;
    CreateAccountAuditLogSink Admins; GetAccountAuditLogSink Admins; GetAccountAuditLogSinks Admins; UpdateAccountAuditLogSink Admins;
    DeleteAccountAuditLogSink Admins; ValidateAccountAuditLogSink Admins;
    GetNamespace NamespaceReaders; GetNamespaceCapacityInfo NamespaceReaders; GetNamespaceExportSink NamespaceReaders;
    GetNamespaceExportSinks NamespaceReaders;
    UpdateNamespace NamespaceAdmins; DeleteNamespace NamespaceAdmins; RenameCustomSearchAttribute NamespaceAdmins;
    AddNamespaceRegion NamespaceAdmins; DeleteNamespaceRegion NamespaceAdmins; FailoverNamespaceRegion NamespaceAdmins;
    CreateNamespaceExportSink NamespaceAdmins; UpdateNamespaceExportSink NamespaceAdmins;
    DeleteNamespaceExportSink NamespaceAdmins; SetUserNamespaceAccess NamespaceAdmins;
    SetUserGroupNamespaceAccess NamespaceAdmins; SetServiceAccountNamespaceAccess NamespaceAdmins;
    ValidateNamespaceExportSink NamespaceAdmins; GetUserNamespaceAssignments NamespaceAdmins;
    GetServiceAccountNamespaceAssignments NamespaceAdmins; GetUserGroupNamespaceAssignments NamespaceAdmins;
    CreateCustomRole Admins; GetCustomRole Admins; GetCustomRoles Admins; UpdateCustomRole Admins; DeleteCustomRole Admins;
    CreateBillingReport Finance; GetBillingReport Finance;
    // Beyond the Cloud Ops API.
    AbortMigration Admins; ConfirmMigration Admins; GetMigration Admins; GetMigrations Admins; HandoverNamespace Admins;
    StartMigration Admins;
    CreateApplication Admins; GetApplication Owned; GetApplications Owned; UpdateApplication Admins; DeleteApplication Admins;
    CreateIssuer Admins; GetIssuer Everyone; GetIssuers Everyone; UpdateIssuer Admins; BlockKey Admins; BlockLeaf NamespaceAdmins;
    RotateCertificate Owned; GetNotices Owned; SetNotices Admins;
    GetSessions Owned; EndSession Owned; InviteUser Admins;
    CreateCertificate Owned; GetCertificate Owned; GetCertificates Owned; RevokeCertificate Owned;
    GetApi NamespaceReaders; GetApis NamespaceReaders; CreateApi NamespaceAdmins; UpdateApi NamespaceAdmins;
    DeleteApi NamespaceAdmins; GetRefusal NamespaceAdmins; Explain NamespaceAdmins;
    GetGateways Admins; VerifyAuditLog Admins;
}

/// A right that [`decide`] found; use cases take it as their proof.
#[derive(Clone, Debug)]
pub struct Decided {
    action: Action,
    _private: (),
}

impl Decided {
    /// What was allowed.
    pub const fn action(&self) -> Action {
        self.action
    }
}

/// Not allowed; the sentence says which rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Denied {
    /// The rule in one sentence.
    pub rule: String,
}

fn denied<T>(rule: impl Into<String>) -> Result<T, Denied> {
    Err(Denied { rule: rule.into() })
}

/// The cell of the account table (section 8.1). Namespace actions are not in it.
pub fn account_cell(action: Action, role: AccountRole) -> Option<Cell> {
    use AccountRole::{Admin, Developer, FinanceAdmin, MetricsRead, Owner};
    let yes = |b: bool| Some(if b { Cell::Yes } else { Cell::No });
    // `metrics_read` exists in the API but not in the table: it sees itself, its operations and its own keys.
    let itself = matches!(action, Action::GetCurrentIdentity | Action::GetAsyncOperation);
    match action.group() {
        Group::Everyone => yes(role != MetricsRead || itself),
        Group::Owned => Some(Cell::Owned),
        Group::Developers => yes(matches!(role, Developer | Admin | Owner)),
        Group::Finance => yes(matches!(role, FinanceAdmin | Admin | Owner)),
        Group::Admins => yes(matches!(role, Admin | Owner)),
        Group::NamespaceReaders | Group::NamespaceAdmins => None,
    }
}

/// The cell of the namespace table (section 8.2). Account actions are not in it.
pub fn namespace_cell(action: Action, permission: NamespacePermission) -> Option<bool> {
    match action.group() {
        Group::NamespaceReaders => Some(true),
        Group::NamespaceAdmins => Some(permission == NamespacePermission::Admin),
        _ => None,
    }
}

/// Decides one request of the control plane.
pub fn decide(actor: &Actor, action: Action, target: Target<'_>) -> Result<Decided, Denied> {
    let by_role = decide_by_role(actor, action, target);
    if by_role.is_err() && actor.custom_roles.iter().any(|role| role.allows(action, target)) {
        return Ok(Decided { action, _private: () });
    }
    by_role
}

/// The strongest cell among all account roles of the actor.
fn strongest_cell(actor: &Actor, action: Action) -> Option<Cell> {
    let mut best = account_cell(action, actor.access.account_role)?;
    for role in &actor.access.also {
        best = match (best, account_cell(action, *role)) {
            (Cell::Yes, _) | (_, Some(Cell::Yes)) => Cell::Yes,
            (Cell::Owned, _) | (_, Some(Cell::Owned)) => Cell::Owned,
            _ => Cell::No,
        };
    }
    Some(best)
}

fn decide_by_role(actor: &Actor, action: Action, target: Target<'_>) -> Result<Decided, Denied> {
    let allowed = Ok(Decided { action, _private: () });
    let role = actor.access.account_role;
    match (strongest_cell(actor, action), target) {
        (Some(Cell::Yes), _) => allowed,
        (Some(Cell::No), _) => denied(format!("{} is not among the rights of the account role {role}", action.as_str())),
        (Some(Cell::Owned), Target::CredentialOf(owner, scope)) => decide_credential(actor, action, owner, scope).and(allowed),
        (Some(Cell::Owned), Target::ServiceAccount(scope)) => decide_service_account(actor, action, scope).and(allowed),
        // Lists: everybody may ask, and gets what he may see.
        (Some(Cell::Owned), _) if is_list(action) => allowed,
        (Some(Cell::Owned), _) => denied(format!("{} needs an owner to decide on", action.as_str())),
        (None, Target::Namespace(namespace)) => match actor.access.permission(namespace) {
            Some(permission) if namespace_cell(action, permission) == Some(true) => allowed,
            Some(permission) => {
                denied(format!("{} is not among the rights of the permission {permission} in {namespace}", action.as_str()))
            }
            None => denied(format!("{} needs a permission in {namespace}", action.as_str())),
        },
        (None, _) => denied(format!("{} needs a namespace to decide on", action.as_str())),
    }
}

const fn is_list(action: Action) -> bool {
    matches!(
        action,
        Action::GetApiKeys
            | Action::GetServiceAccounts
            | Action::GetCertificates
            | Action::GetApplications
            | Action::GetSessions
            | Action::GetNotices
    )
}

const fn is_read(action: Action) -> bool {
    matches!(
        action,
        Action::GetApiKey
            | Action::GetApiKeys
            | Action::GetCertificate
            | Action::GetCertificates
            | Action::GetApplication
            | Action::GetApplications
            | Action::GetNotices
    )
}

/// Credentials: own ones everybody; all of the account Global Admins and Account Owners; those of service accounts scoped to a
/// namespace its admins. A service account makes its own successor whatever its role, but ends none without the right (S23, S24).
fn decide_credential(actor: &Actor, action: Action, owner: &IdentityId, scope: Option<&NamespaceId>) -> Result<(), Denied> {
    let admin = actor.access.account_role.administers_every_namespace();
    let scoped_admin = scope.is_some_and(|ns| actor.access.permission(ns) == Some(NamespacePermission::Admin));
    let own = *owner == actor.identity;
    let machine = !matches!(actor.identity, IdentityId::User(_));
    if own && (!machine || is_read(action) || action == Action::CreateApiKey) {
        return Ok(());
    }
    // Nobody makes a credential that speaks as another person (P12).
    if matches!(action, Action::CreateApiKey | Action::CreateCertificate) && !own && matches!(owner, IdentityId::User(_)) {
        return denied("a user's credentials are made by that user alone");
    }
    if admin || scoped_admin {
        return Ok(());
    }
    if own {
        return denied(format!("a service account may create its own successor, but {} needs a right it does not have", action.as_str()));
    }
    denied(
        "credentials of others are for Global Admins and Account Owners, and for Namespace Admins where the owner is scoped to their namespace",
    )
}

/// Service accounts: listed by everyone; those of the account changed by Global Admins and Account Owners; scoped ones also by
/// whoever is Namespace Admin there.
fn decide_service_account(actor: &Actor, action: Action, scope: Option<&NamespaceId>) -> Result<(), Denied> {
    if matches!(action, Action::GetServiceAccount | Action::GetServiceAccounts) && actor.access.account_role != AccountRole::MetricsRead {
        return Ok(());
    }
    let admin = actor.access.account_role.administers_every_namespace();
    if admin || scope.is_some_and(|ns| actor.access.permission(ns) == Some(NamespacePermission::Admin)) {
        return Ok(());
    }
    denied(
        "service accounts are managed by Global Admins and Account Owners, and by Namespace Admins where they are scoped to their namespace",
    )
}

/// Whether `actor` may give or hold out `granted` rights to somebody who has `before` now (promise P12): only owners make or
/// change owners and finance admins, and nobody gives what he has not got. `before` is what the other one effectively has.
pub fn decide_grant(actor: &Actor, before: Option<&Access>, granted: &Access) -> Result<(), Denied> {
    use AccountRole::{FinanceAdmin, Owner};
    let owner = actor.access.is_owner();
    let touches = |access: &Access| access.account_roles().any(|role| matches!(role, Owner | FinanceAdmin));
    let changes_role = before.is_none_or(|b| !b.account_roles().eq(granted.account_roles()));
    if !owner && changes_role && (touches(granted) || before.is_some_and(touches)) {
        return denied("only an Account Owner gives or takes the roles owner and finance_admin");
    }
    if let Some(before) = before {
        decide_owner(actor, before)?;
    }
    if actor.access.account_role.administers_every_namespace() || actor.access.contains(granted) {
        return Ok(());
    }
    denied("nobody gives more rights than he has")
}

/// Whether `actor` may change anything about an identity that effectively has `access`: what is an Account Owner's is changed by
/// Account Owners alone.
///
/// # Errors
/// [`Denied`].
pub fn decide_owner(actor: &Actor, access: &Access) -> Result<(), Denied> {
    if access.is_owner() && !actor.access.is_owner() {
        return denied("an Account Owner is changed by Account Owners alone");
    }
    Ok(())
}

/// Whether `actor` may hand out a way to log in as somebody with `access`, which is to be able to act with those rights: nobody
/// gives a way to rights that he has not got.
///
/// # Errors
/// [`Denied`].
pub fn decide_way_in(actor: &Actor, access: &Access) -> Result<(), Denied> {
    decide_owner(actor, access)?;
    let mut roles = access.account_roles();
    if !actor.access.is_owner() && !roles.all(|role| actor.access.account_roles().any(|mine| mine.contains(role))) {
        return denied("a way to log in with a role is given by those who have that role, or one that contains it");
    }
    if actor.access.account_role.administers_every_namespace() || actor.access.contains(access) {
        return Ok(());
    }
    denied("nobody gives more rights than he has")
}

/// Whether custom roles with the permissions `after` give anything that `before` did not.
pub fn widens<'p>(before: &[Arc<CustomRole>], after: impl IntoIterator<Item = &'p Arc<CustomRole>>) -> bool {
    let had = |wanted| before.iter().flat_map(|role| &role.permissions).any(|mine| crate::custom_role::Permission::contains(mine, wanted));
    after.into_iter().flat_map(|role| &role.permissions).any(|wanted| !had(wanted))
}

/// Whether `actor` may make a custom role read like this (promise P12): who is no admin gives no more than his own custom roles give.
pub fn decide_custom_role(actor: &Actor, role: &CustomRole) -> Result<(), Denied> {
    let own: Vec<_> = actor.custom_roles.iter().flat_map(|role| &role.permissions).collect();
    let admin = actor.access.account_role.administers_every_namespace();
    if admin || role.permissions.iter().all(|wanted| own.iter().any(|mine| mine.contains(wanted))) {
        return Ok(());
    }
    denied("nobody gives more rights than he has")
}

/// What a method of Temporal's `WorkflowService` needs (section 8.3). Unknown ones are write.
pub fn workflow_service_permission(method: &str) -> NamespacePermission {
    const READ: [&str; 32] = [
        "CountActivityExecutions",
        "CountSchedules",
        "CountWorkflowExecutions",
        "DescribeActivityExecution",
        "DescribeBatchOperation",
        "DescribeNamespace",
        "DescribeSchedule",
        "DescribeTaskQueue",
        "DescribeWorker",
        "DescribeWorkerDeployment",
        "DescribeWorkerDeploymentVersion",
        "DescribeWorkflowExecution",
        "DescribeWorkflowRule",
        "FetchWorkerConfig",
        "GetSearchAttributes",
        "GetWorkerBuildIdCompatibility",
        "GetWorkerTaskReachability",
        "GetWorkerVersioningRules",
        "GetWorkflowExecutionHistory",
        "GetWorkflowExecutionHistoryReverse",
        "ListActivityExecutions",
        "ListBatchOperations",
        "ListClosedWorkflowExecutions",
        "ListOpenWorkflowExecutions",
        "ListScheduleMatchingTimes",
        "ListSchedules",
        "ListTaskQueuePartitions",
        "ListWorkerDeployments",
        "ListWorkers",
        "ListWorkflowExecutions",
        "ListWorkflowRules",
        "QueryWorkflow",
    ];
    // Not in the table: whoever is let in at all may ask what server this is.
    if matches!(method, "GetSystemInfo" | "GetClusterInfo") || READ.binary_search(&method).is_ok() {
        NamespacePermission::Read
    } else {
        NamespacePermission::Write
    }
}

#[cfg(test)]
mod tests;

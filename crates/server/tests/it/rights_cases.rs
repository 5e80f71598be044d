//! One way to call each operation so that nothing but its caller's right decides: what it acts on is there, and once the right is
//! there it is refused for its content, so that no call changes what the next one finds.

use crate::rights_matrix::{Place, Who, World};
use countersign_proto::grpc::wire::api::authservice::v1 as auth;
use serde_json::{Value, json};

/// What a call acts on, as far as rights depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Account,
    /// Anything that a row without "own" decides on.
    Any,
    /// A list that shows everybody what is his.
    List,
    /// The list of service accounts.
    Machines,
    /// A service account that is scoped to the place.
    Machine,
    /// A credential of that service account.
    Credential,
    /// The caller's own credential.
    Mine,
    /// Something with an owner that has none: for admins alone.
    Unowned,
    /// An operation that the owner started.
    Operation,
    /// Something that is refused to everybody before rights are looked at.
    Late,
    /// Nothing that is there.
    Nothing,
}

/// One call.
pub struct Case {
    pub on: On,
    pub body: Value,
}

fn case(on: On, body: Value) -> Case {
    Case { on, body }
}

/// A path with what is there in place of its parameters.
pub fn fill(path: &str, world: &World, place: &Place, who: &Who, on: On) -> String {
    let key = if on == On::Mine { crate::harness::id_of(&who.key) } else { place.key.clone() };
    let id = match path.split('/').nth(1).unwrap_or("") {
        "users" => &world.user,
        "service-accounts" => &place.machine,
        "api-keys" => &key,
        "certificates" => &place.certificate,
        "applications" => &world.application,
        "user-groups" => &world.group,
        "custom-roles" => &world.role,
        "namespaces" => &place.ns,
        "issuers" => &world.issuer,
        "audit-sinks" => "siem",
        "operations" => world.operation,
        "refusals" => "rrrrrrrrrr",
        "regions" => "local",
        _ => "nothing",
    };
    let fixed = [
        ("{environment}", "sandbox"),
        ("{serial}", "01"),
        ("{api}", &place.api),
        ("{user}", &world.user),
        ("{namespace}", &place.ns),
        ("{id}", id),
    ];
    let print = "00".repeat(20);
    fixed.iter().fold(path.replace("{fingerprint}", &print), |path, (from, to)| path.replace(from, to))
}

/// The cases of a REST operation.
pub fn rest(name: &str, world: &World, place: &Place) -> Option<Vec<Case>> {
    let stale = || json!({"resourceVersion": "999"});
    let both = |body: Value| vec![case(On::Credential, body.clone()), case(On::Mine, body)];
    let one = |on, body| vec![case(on, body)];
    let (ns, machine) = (&place.ns, &place.machine);
    Some(match name {
        "listAudit"
        | "getAccount"
        | "getCurrentIdentity"
        | "listUsers"
        | "getUser"
        | "listNamespaces"
        | "listUserGroups"
        | "getUserGroup"
        | "listUserGroupMembers"
        | "listCustomRoles"
        | "getCustomRole"
        | "listRegions"
        | "getRegion"
        | "listAuditSinks"
        | "getAuditSink"
        | "verifyAudit"
        | "listGateways"
        | "getNoticeSettings"
        | "listWebhooks"
        | "listIssuers" => one(On::Account, Value::Null),
        "getIssuer" => one(On::Account, Value::Null),
        "getNamespace"
        | "listAcceptedClientCas"
        | "listCertificateFilters"
        | "getAuthMethod"
        | "listApis"
        | "getApi"
        | "listAssignments"
        | "getRefusal" => one(On::Any, Value::Null),
        "listApiKeys" | "listCertificates" | "listApplications" | "listNotices" | "listSessions" | "listOperations" => {
            one(On::List, Value::Null)
        }
        "listTrustedCas" => one(On::List, Value::Null),
        "getApplication" => one(On::Unowned, Value::Null),
        "listServiceAccounts" => one(On::Machines, Value::Null),
        "getServiceAccount" | "deleteServiceAccount" => one(On::Machine, Value::Null),
        "getOperation" => one(On::Operation, Value::Null),
        "getApiKey" => both(Value::Null),
        "deleteApiKey" => both(Value::Null),
        "getCertificate" => one(On::Credential, Value::Null),
        "getApiKeyRotation" | "getCertificateRotation" => one(On::Nothing, Value::Null),
        "endSession" | "deleteWebhook" | "removeTrustedCa" => one(On::Nothing, Value::Null),
        "removeAcceptedClientCa" | "listRevokedLeaves" | "restoreLeaf" | "getForeignCrl" => one(On::Nothing, Value::Null),
        "revokeLeaf" => one(On::Nothing, json!({"serial": "01"})),
        "setForeignCrl" => one(On::Nothing, json!({"stale": "keep"})),
        "deleteUser"
        | "deleteUserGroup"
        | "deleteCustomRole"
        | "deleteAuditSink"
        | "deleteApplication"
        | "enableApiKeyCreation"
        | "disableApiKeyCreation" => one(On::Account, Value::Null),
        "deleteApi" | "deleteNamespace" | "clearCertificateFilters" => one(On::Any, Value::Null),
        "removeUserGroupMember" => one(On::Nothing, Value::Null),
        "createUser" => one(On::Account, json!({"email": "x", "access": {"accountRole": "read"}})),
        "updateUser" => one(On::Account, json!({"accountRole": "metrics_read", "resourceVersion": "999"})),
        "inviteUser" => one(On::Account, Value::Null),
        "createServiceAccount" => one(On::Machine, json!({"name": "", "namespaceScope": {"namespace": ns, "permission": "read"}})),
        "updateServiceAccount" => one(On::Machine, json!({"name": "other", "resourceVersion": "999"})),
        "createNamespace" => one(On::Account, json!({"name": "!"})),
        "updateNamespace" => one(On::Any, json!({"snapshotAgeMaxSeconds": 100, "resourceVersion": "999"})),
        "addAcceptedClientCas" | "setAcceptedClientCas" => one(On::Any, json!({"certificates": "x"})),
        "setCertificateFilters" | "addCertificateFilters" => one(On::Any, json!({"filters": []})),
        "setAuthMethod" => one(On::Any, json!({"authMethod": "x"})),
        "generateApiKey" => one(On::Credential, json!({"permission": "read", "duration": "x"})),
        "createApi" => one(On::Any, json!({})),
        "updateApi" => one(On::Any, json!({"name": "x", "resourceVersion": "999"})),
        "setAccess" => one(On::Any, json!({"id": world.user, "permission": "read", "resourceVersion": "999"})),
        "updateTags" => one(On::Account, json!({"upsert": {}, "remove": []})),
        "renameSearchAttribute" => one(On::Any, json!({"existingName": "a", "newName": "a", "resourceVersion": "999"})),
        "explain" => one(On::Any, json!({"namespace": ns})),
        "createApplication" => one(On::Account, json!({"name": ""})),
        "updateApplication" => one(On::Account, stale()),
        "addTrustedCas" => one(On::Account, json!({"certificates": "x"})),
        "createApiKey" => one(On::Credential, json!({"name": "", "serviceAccountId": machine})),
        "updateApiKey" => both(json!({"name": "x", "resourceVersion": "999"})),
        "enableApiKey" => one(On::Credential, Value::Null),
        "disableApiKey" => one(On::Credential, Value::Null),
        "rotateApiKey" => one(On::Credential, json!({"name": "x".repeat(500)})),
        "retireApiKey" | "retireCertificate" => one(On::Credential, json!({"cancel": true})),
        "createCertificate" => one(On::Credential, json!({"csr": world.csr, "duration": "1s", "serviceAccountId": machine})),
        "askRegistration" => one(On::Credential, json!({"certificate": world.pem, "serviceAccountId": machine})),
        "rotateCertificate" => one(On::Credential, json!({"csr": world.csr})),
        "revokeCertificate" => one(On::Credential, json!({"reason": "no such reason"})),
        "releaseCertificate" => one(On::Credential, Value::Null),
        "revokeCertificates" => one(On::Credential, json!({"ownerId": machine, "dryRun": true})),
        "createUserGroup" => one(On::Account, json!({"name": "", "access": {"accountRole": "read"}})),
        "updateUserGroup" => one(On::Account, json!({"name": "other", "resourceVersion": "999"})),
        "addUserGroupMember" => one(On::Nothing, json!({"userId": "x"})),
        "createCustomRole" => one(On::Account, json!({"name": "", "permissions": []})),
        "updateCustomRole" => one(On::Account, json!({"name": "other", "resourceVersion": "999"})),
        "createAuditSink" => one(On::Account, json!({"name": "", "kinesis": {"destinationUri": "x"}})),
        "updateAuditSink" => one(On::Account, json!({"enabled": false, "resourceVersion": "999"})),
        "rotateAuditSinkSecret" => one(On::Account, Value::Null),
        "setNoticeSettings" => one(On::Account, json!({"mail": true, "recipients": ["x"]})),
        "testMail" => one(On::Account, json!({"to": "x"})),
        "createWebhook" => one(On::Account, json!({"url": "x"})),
        "createCalendar" => one(On::Nothing, Value::Null),
        "createIssuer" => one(On::Account, json!({"name": ""})),
        "importIssuer" => one(On::Account, json!({"name": "", "certificate": "x"})),
        "updateIssuer" => one(On::Account, stale()),
        _ => return None,
    })
}

/// The cases of an RPC.
pub fn rpc(service: &str, method: &str, world: &World, place: &Place) -> Option<Vec<Case>> {
    if service == crate::tcld::CLOUD { cloud(method, world, place) } else { tcld(method, world, place) }
}

fn cloud(method: &str, world: &World, place: &Place) -> Option<Vec<Case>> {
    let one = |on, body| Some(vec![case(on, body)]);
    let (ns, machine, v) = (&place.ns, &place.machine, "999");
    let (read, write) = (json!({"accountAccess": {"role": "ROLE_READ"}}), json!({"permission": "PERMISSION_WRITE"}));
    let scoped = json!({"name": "", "namespaceScopedAccess": {"namespace": ns, "access": write}});
    let renamed = json!({"name": "other", "namespaceScopedAccess": {"namespace": ns, "access": {"permission": "PERMISSION_READ"}}});
    let sink =
        json!({"name": "siem", "enabled": false, "kinesisSink": {"destinationUri": "http://127.0.0.1:1/", "roleName": "", "region": ""}});
    match method {
        "GetCurrentIdentity"
        | "GetAccount"
        | "GetRegions"
        | "GetAuditLogs"
        | "GetAccountAuditLogSinks"
        | "GetUsers"
        | "GetUserGroups"
        | "GetCustomRoles"
        | "GetNamespaces" => one(On::Account, json!({})),
        "GetApiKeys" => one(On::List, json!({})),
        "GetServiceAccounts" => one(On::Machines, json!({})),
        "GetAsyncOperation" => one(On::Operation, json!({"asyncOperationId": world.operation})),
        "GetRegion" => one(On::Account, json!({"region": "local"})),
        "UpdateAccount" => one(On::Account, json!({"spec": {"metrics": {}}, "resourceVersion": v})),
        "ValidateAccountAuditLogSink" => one(On::Account, json!({"spec": sink})),
        "CreateAccountAuditLogSink" => one(On::Account, json!({"spec": {"name": "", "kinesisSink": {}}})),
        "GetAccountAuditLogSink" => one(On::Account, json!({"name": "siem"})),
        "UpdateAccountAuditLogSink" => one(On::Account, json!({"spec": sink, "resourceVersion": v})),
        "DeleteAccountAuditLogSink" => one(On::Account, json!({"name": "siem", "resourceVersion": v})),
        "GetUser" => one(On::Account, json!({"userId": world.user})),
        "CreateUser" => one(On::Account, json!({"spec": {"email": "x", "access": read}})),
        "UpdateUser" => one(
            On::Account,
            json!({"userId": world.user, "spec": {"email": "case@example.com", "access": {"accountAccess": {"role": "ROLE_DEVELOPER"}}}, "resourceVersion": v}),
        ),
        "DeleteUser" => one(On::Account, json!({"userId": world.user, "resourceVersion": v})),
        "GetServiceAccount" => one(On::Machine, json!({"serviceAccountId": machine})),
        "CreateServiceAccount" => one(On::Machine, json!({"spec": scoped})),
        "UpdateServiceAccount" => one(On::Machine, json!({"serviceAccountId": machine, "spec": renamed, "resourceVersion": v})),
        "DeleteServiceAccount" => one(On::Machine, json!({"serviceAccountId": machine, "resourceVersion": v})),
        "GetUserGroup" | "GetUserGroupMembers" => one(On::Account, json!({"groupId": world.group})),
        "CreateUserGroup" => one(On::Account, json!({"spec": {"displayName": "", "access": read, "cloudGroup": {}}})),
        "UpdateUserGroup" => one(
            On::Account,
            json!({"groupId": world.group, "spec": {"displayName": "other", "access": read, "cloudGroup": {}}, "resourceVersion": v}),
        ),
        "DeleteUserGroup" => one(On::Account, json!({"groupId": world.group, "resourceVersion": v})),
        "AddUserGroupMember" => one(On::Nothing, json!({"groupId": world.group, "memberId": {"userId": "x"}})),
        "RemoveUserGroupMember" => one(On::Nothing, json!({"groupId": world.group, "memberId": {"userId": world.user}})),
        "GetCustomRole" => one(On::Account, json!({"roleId": world.role})),
        "CreateCustomRole" => one(On::Account, json!({"spec": {"name": "", "permissions": []}})),
        "UpdateCustomRole" => one(
            On::Account,
            json!({"roleId": world.role, "spec": {"name": "other", "permissions": [{"resources": {"resourceType": "namespace", "allowAll": true}, "actions": ["cloud.namespace.get"]}]}, "resourceVersion": v}),
        ),
        "DeleteCustomRole" => one(On::Account, json!({"roleId": world.role, "resourceVersion": v})),
        "GetApiKey" => one(On::Credential, json!({"keyId": place.key})),
        "CreateApiKey" => one(
            On::Credential,
            json!({"spec": {"ownerId": machine, "ownerType": "OWNER_TYPE_SERVICE_ACCOUNT", "displayName": "", "expiryTime": "2027-01-01T00:00:00Z"}}),
        ),
        "UpdateApiKey" => one(On::Credential, json!({"keyId": place.key, "spec": {"displayName": "other"}, "resourceVersion": v})),
        "DeleteApiKey" => one(On::Credential, json!({"keyId": place.key, "resourceVersion": v})),
        "CreateNamespace" => {
            one(On::Account, json!({"spec": {"name": "!", "regions": ["local"], "retentionDays": 7, "apiKeyAuth": {"enabled": true}}}))
        }
        "UpdateNamespace" => one(
            On::Any,
            json!({"namespace": ns, "spec": {"name": ns.split('.').next(), "regions": ["local"], "retentionDays": 9, "apiKeyAuth": {"enabled": true}}, "resourceVersion": v}),
        ),
        "DeleteNamespace" => one(On::Any, json!({"namespace": ns, "resourceVersion": v})),
        "UpdateNamespaceTags" => one(On::Account, json!({"namespace": ns})),
        "RenameCustomSearchAttribute" => one(
            On::Any,
            json!({"namespace": ns, "existingCustomSearchAttributeName": "a", "newCustomSearchAttributeName": "a", "resourceVersion": v}),
        ),
        "SetUserNamespaceAccess" => one(On::Any, json!({"namespace": ns, "userId": world.user, "access": write, "resourceVersion": v})),
        "SetServiceAccountNamespaceAccess" => {
            one(On::Any, json!({"namespace": ns, "serviceAccountId": machine, "access": write, "resourceVersion": v}))
        }
        "SetUserGroupNamespaceAccess" => {
            one(On::Any, json!({"namespace": ns, "groupId": world.group, "access": write, "resourceVersion": v}))
        }
        "GetNamespace" | "GetUserNamespaceAssignments" | "GetServiceAccountNamespaceAssignments" | "GetUserGroupNamespaceAssignments" => {
            one(On::Any, json!({"namespace": ns}))
        }
        // What is done nowhere: said to whoever is known, whatever his rights.
        _ if countersign_server::grpc::cloud::METHODS.iter().skip(54).any(|(outside, _)| *outside == method) => one(On::Account, json!({})),
        _ => None,
    }
}

fn tcld(method: &str, world: &World, place: &Place) -> Option<Vec<Case>> {
    let one = |on, body| Some(vec![case(on, body)]);
    let (ns, machine, v) = (&place.ns, &place.machine, "999");
    let spec = json!({"retentionDays": 30, "authMethod": "AUTH_METHOD_API_KEY", "regionId": {"name": "us-east-1", "provider": "CLOUD_PROVIDER_AWS"}});
    let scope = json!({"type": i32::from(auth::ServiceAccountScopeType::Namespace)});
    let access = json!({
        "accountAccess": {"role": i32::from(auth::AccountActionGroup::Read)},
        "namespaceAccesses": {ns.clone(): {"permission": i32::from(auth::NamespaceActionGroup::Read)}},
    });
    match method {
        "GetRoles" | "GetRolesByPermissions" | "GetUsers" | "ListNamespaces" | "GetNamespaces" | "GetAccount" | "GetRegions" => {
            one(On::Account, json!({}))
        }
        "GetRole" => one(On::Nothing, json!({"roleId": "x"})),
        "GetUser" => one(On::Account, json!({"userId": world.user})),
        "InviteUsers" => one(On::Account, json!({"specs": [{"email": "x", "roles": ["account-read"]}]})),
        "ResendUserInvite" => one(On::Account, json!({"userId": world.user})),
        "UpdateUser" => one(
            On::Account,
            json!({"userId": world.user, "spec": {"email": "case@example.com", "roles": ["account-developer"]}, "resourceVersion": v}),
        ),
        "DeleteUser" => one(On::Account, json!({"userId": world.user, "resourceVersion": v})),
        "CreateAPIKey" => one(On::List, json!({"spec": {"displayName": ""}})),
        "CreateServiceAccountAPIKey" => one(On::Credential, json!({"serviceAccountId": machine, "spec": {"displayName": ""}})),
        "GetAPIKeys" => one(On::List, json!({})),
        "GetAPIKey" => one(On::Credential, json!({"id": place.key})),
        "UpdateAPIKey" => one(On::Credential, json!({"id": place.key, "spec": {"displayName": "other"}, "resourceVersion": v})),
        "DeleteAPIKey" => one(On::Credential, json!({"id": place.key, "resourceVersion": v})),
        "GetServiceAccount" => one(On::Machine, json!({"serviceAccountId": machine})),
        "GetServiceAccounts" => one(On::Machines, json!({})),
        "DeleteServiceAccount" => one(On::Machine, json!({"serviceAccountId": machine, "resourceVersion": v})),
        "UpdateAccount" => one(On::Account, json!({"resourceVersion": v, "spec": {}})),
        "GetNamespace" => one(On::Any, json!({"namespace": ns})),
        "DeleteNamespace" => one(On::Any, json!({"namespace": ns, "resourceVersion": v})),
        "GetRequestStatus" => one(On::Operation, json!({"requestId": world.operation})),
        "CreateServiceAccount" => one(On::Machine, json!({"spec": {"name": "", "access": access, "scope": scope}})),
        "UpdateServiceAccount" => one(
            On::Machine,
            json!({"serviceAccountId": machine, "spec": {"name": "other", "access": access, "scope": scope}, "resourceVersion": v}),
        ),
        "CreateNamespace" => one(On::Account, json!({"namespace": "!", "spec": spec})),
        "UpdateNamespace" => one(On::Any, json!({"namespace": ns, "spec": spec, "resourceVersion": v})),
        "RenameCustomSearchAttribute" => {
            let names = json!({"namespace": ns, "existingCustomSearchAttributeName": "a", "newCustomSearchAttributeName": "a", "resourceVersion": v});
            one(On::Any, names)
        }
        _ => None,
    }
}

//! The Cloud Ops API (research/temporal-cloud.md section 4): each method a thin view of one use case. What lies outside a credential
//! system is said to, by name, after the caller is known.

mod accounts;
mod api_keys;
mod groups;
mod namespaces;
mod users;

pub use accounts::change_account;
pub use api_keys::change_key;
pub use users::change_machine;

use super::{Meaning, handle};
use crate::app::App;
use crate::app::effect::Effect;
use crate::error::Refused;
use axum::Router;
use countersign_core::authz::Action;
use countersign_proto::grpc::wire::temporal::api::cloud::cloudservice::v1 as api;
use std::sync::Arc;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Clone)]
pub struct Cloud {
    app: Arc<App>,
}

/// What a method is in the table of rights. The methods have the names of the actions.
pub fn meaning(method: &str) -> Option<Meaning> {
    let (_, effect) = METHODS.iter().find(|(known, _)| *known == method)?;
    let action = Action::ALL.iter().find(|action| action.as_str() == method)?;
    let kind = KINDS.iter().find(|(part, _)| method.contains(part)).map_or("account", |(_, kind)| *kind);
    Some((*action, kind, *effect))
}

/// Part of a method's name, and the kind of its object in the audit trail; the first one that fits.
const KINDS: [(&str, &str); 12] = [
    ("AuditLogSink", "audit_sink"),
    ("AuditLogs", "audit"),
    ("ApiKey", "api_key"),
    ("UserGroup", "user_group"),
    ("ServiceAccount", "service_account"),
    ("UserNamespace", "user"),
    ("Namespace", "namespace"),
    ("CustomRole", "custom_role"),
    ("CustomSearchAttribute", "namespace"),
    ("AsyncOperation", "operation"),
    ("Region", "region"),
    ("User", "user"),
];

/// Mounted under its own path.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new().route_service(&format!("/{}/{{method}}", super::CLOUD), service(app))
}

/// The service itself, for calls that come as JSON.
pub fn service(app: &Arc<App>) -> api::cloud_service_server::CloudServiceServer<Cloud> {
    api::cloud_service_server::CloudServiceServer::new(Cloud { app: Arc::clone(app) }).accept_compressed(Gzip).send_compressed(Gzip)
}

/// A change's answer that holds nothing but its operation.
macro_rules! changed {
    ($response:ident, $changed:expr) => {{
        let changed = $changed;
        api::$response { async_operation: Some(countersign_proto::cloud::operation(&changed.request_status)) }
    }};
}
use changed;

/// One line a method: its name in Rust, its request and answer, what does it or the words for what is not done here, and its effect.
macro_rules! methods {
    (
        done { $($name:ident $rpc:literal $request:ident $response:ident = $work:path, $effect:ident;)* }
        outside { $($out:ident $out_rpc:literal $out_request:ident $out_response:ident $what:literal, $out_effect:ident;)* }
    ) => {
        /// Every method, and what it does to access.
        pub const METHODS: &[(&str, Effect)] = &[$(($rpc, Effect::$effect),)* $(($out_rpc, Effect::$out_effect),)*];

        #[tonic::async_trait]
        impl api::cloud_service_server::CloudService for Cloud {
            $(async fn $name(&self, request: Request<api::$request>) -> Result<Response<api::$response>, Status> {
                handle(&self.app, request, $work).await
            })*
            $(async fn $out(&self, _: Request<api::$out_request>) -> Result<Response<api::$out_response>, Status> {
                Err(outside($what))
            })*
        }
    };
}

fn outside(what: &str) -> Status {
    let detail = format!("{what} lie outside what Countersign does: it keeps credentials and lets their holders in");
    Refused::new("unimplemented", detail).into()
}

methods! {
    done {
    get_current_identity "GetCurrentIdentity" GetCurrentIdentityRequest GetCurrentIdentityResponse = accounts::current_identity, Reads;
    get_account "GetAccount" GetAccountRequest GetAccountResponse = accounts::get, Reads;
    update_account "UpdateAccount" UpdateAccountRequest UpdateAccountResponse = accounts::update, ByChange;
    get_async_operation "GetAsyncOperation" GetAsyncOperationRequest GetAsyncOperationResponse = accounts::operation, Reads;
    get_regions "GetRegions" GetRegionsRequest GetRegionsResponse = accounts::regions, Reads;
    get_region "GetRegion" GetRegionRequest GetRegionResponse = accounts::region, Reads;
    get_audit_logs "GetAuditLogs" GetAuditLogsRequest GetAuditLogsResponse = accounts::audit_logs, Reads;
    validate_account_audit_log_sink "ValidateAccountAuditLogSink" ValidateAccountAuditLogSinkRequest ValidateAccountAuditLogSinkResponse = accounts::validate_sink, Reads;
    create_account_audit_log_sink "CreateAccountAuditLogSink" CreateAccountAuditLogSinkRequest CreateAccountAuditLogSinkResponse = accounts::create_sink, Grants;
    get_account_audit_log_sink "GetAccountAuditLogSink" GetAccountAuditLogSinkRequest GetAccountAuditLogSinkResponse = accounts::get_sink, Reads;
    get_account_audit_log_sinks "GetAccountAuditLogSinks" GetAccountAuditLogSinksRequest GetAccountAuditLogSinksResponse = accounts::list_sinks, Reads;
    update_account_audit_log_sink "UpdateAccountAuditLogSink" UpdateAccountAuditLogSinkRequest UpdateAccountAuditLogSinkResponse = accounts::update_sink, ByChange;
    delete_account_audit_log_sink "DeleteAccountAuditLogSink" DeleteAccountAuditLogSinkRequest DeleteAccountAuditLogSinkResponse = accounts::delete_sink, TakesAway;
    get_users "GetUsers" GetUsersRequest GetUsersResponse = users::list, Reads;
    get_user "GetUser" GetUserRequest GetUserResponse = users::get, Reads;
    create_user "CreateUser" CreateUserRequest CreateUserResponse = users::create, Grants;
    update_user "UpdateUser" UpdateUserRequest UpdateUserResponse = users::update, ByChange;
    delete_user "DeleteUser" DeleteUserRequest DeleteUserResponse = users::delete, TakesAway;
    get_service_accounts "GetServiceAccounts" GetServiceAccountsRequest GetServiceAccountsResponse = users::list_machines, Reads;
    get_service_account "GetServiceAccount" GetServiceAccountRequest GetServiceAccountResponse = users::get_machine, Reads;
    create_service_account "CreateServiceAccount" CreateServiceAccountRequest CreateServiceAccountResponse = users::create_machine, Grants;
    update_service_account "UpdateServiceAccount" UpdateServiceAccountRequest UpdateServiceAccountResponse = users::update_machine, ByChange;
    delete_service_account "DeleteServiceAccount" DeleteServiceAccountRequest DeleteServiceAccountResponse = users::delete_machine, TakesAway;
    get_user_groups "GetUserGroups" GetUserGroupsRequest GetUserGroupsResponse = groups::list, Reads;
    get_user_group "GetUserGroup" GetUserGroupRequest GetUserGroupResponse = groups::get, Reads;
    create_user_group "CreateUserGroup" CreateUserGroupRequest CreateUserGroupResponse = groups::create, Grants;
    update_user_group "UpdateUserGroup" UpdateUserGroupRequest UpdateUserGroupResponse = groups::update, ByChange;
    delete_user_group "DeleteUserGroup" DeleteUserGroupRequest DeleteUserGroupResponse = groups::delete, TakesAway;
    add_user_group_member "AddUserGroupMember" AddUserGroupMemberRequest AddUserGroupMemberResponse = groups::add_member, Grants;
    remove_user_group_member "RemoveUserGroupMember" RemoveUserGroupMemberRequest RemoveUserGroupMemberResponse = groups::remove_member, TakesAway;
    get_user_group_members "GetUserGroupMembers" GetUserGroupMembersRequest GetUserGroupMembersResponse = groups::members, Reads;
    get_custom_roles "GetCustomRoles" GetCustomRolesRequest GetCustomRolesResponse = groups::list_roles, Reads;
    get_custom_role "GetCustomRole" GetCustomRoleRequest GetCustomRoleResponse = groups::get_role, Reads;
    create_custom_role "CreateCustomRole" CreateCustomRoleRequest CreateCustomRoleResponse = groups::create_role, Grants;
    update_custom_role "UpdateCustomRole" UpdateCustomRoleRequest UpdateCustomRoleResponse = groups::update_role, ByChange;
    delete_custom_role "DeleteCustomRole" DeleteCustomRoleRequest DeleteCustomRoleResponse = groups::delete_role, TakesAway;
    get_api_keys "GetApiKeys" GetApiKeysRequest GetApiKeysResponse = api_keys::list, Reads;
    get_api_key "GetApiKey" GetApiKeyRequest GetApiKeyResponse = api_keys::get, Reads;
    create_api_key "CreateApiKey" CreateApiKeyRequest CreateApiKeyResponse = api_keys::create, Grants;
    update_api_key "UpdateApiKey" UpdateApiKeyRequest UpdateApiKeyResponse = api_keys::update, ByChange;
    delete_api_key "DeleteApiKey" DeleteApiKeyRequest DeleteApiKeyResponse = api_keys::delete, TakesAway;
    get_namespaces "GetNamespaces" GetNamespacesRequest GetNamespacesResponse = namespaces::list, Reads;
    get_namespace "GetNamespace" GetNamespaceRequest GetNamespaceResponse = namespaces::get, Reads;
    create_namespace "CreateNamespace" CreateNamespaceRequest CreateNamespaceResponse = namespaces::create, Grants;
    update_namespace "UpdateNamespace" UpdateNamespaceRequest UpdateNamespaceResponse = namespaces::update, ByChange;
    delete_namespace "DeleteNamespace" DeleteNamespaceRequest DeleteNamespaceResponse = namespaces::delete, TakesAway;
    update_namespace_tags "UpdateNamespaceTags" UpdateNamespaceTagsRequest UpdateNamespaceTagsResponse = namespaces::update_tags, Grants;
    rename_custom_search_attribute "RenameCustomSearchAttribute" RenameCustomSearchAttributeRequest RenameCustomSearchAttributeResponse = namespaces::rename, Grants;
    set_user_namespace_access "SetUserNamespaceAccess" SetUserNamespaceAccessRequest SetUserNamespaceAccessResponse = namespaces::set_user, ByChange;
    set_service_account_namespace_access "SetServiceAccountNamespaceAccess" SetServiceAccountNamespaceAccessRequest SetServiceAccountNamespaceAccessResponse = namespaces::set_machine, ByChange;
    set_user_group_namespace_access "SetUserGroupNamespaceAccess" SetUserGroupNamespaceAccessRequest SetUserGroupNamespaceAccessResponse = namespaces::set_group, ByChange;
    get_user_namespace_assignments "GetUserNamespaceAssignments" GetUserNamespaceAssignmentsRequest GetUserNamespaceAssignmentsResponse = namespaces::users, Reads;
    get_service_account_namespace_assignments "GetServiceAccountNamespaceAssignments" GetServiceAccountNamespaceAssignmentsRequest GetServiceAccountNamespaceAssignmentsResponse = namespaces::machines, Reads;
    get_user_group_namespace_assignments "GetUserGroupNamespaceAssignments" GetUserGroupNamespaceAssignmentsRequest GetUserGroupNamespaceAssignmentsResponse = namespaces::groups, Reads;
    }
    outside {
    failover_namespace_region "FailoverNamespaceRegion" FailoverNamespaceRegionRequest FailoverNamespaceRegionResponse "regions of a running namespace", Grants;
    add_namespace_region "AddNamespaceRegion" AddNamespaceRegionRequest AddNamespaceRegionResponse "regions of a running namespace", Grants;
    delete_namespace_region "DeleteNamespaceRegion" DeleteNamespaceRegionRequest DeleteNamespaceRegionResponse "regions of a running namespace", Grants;
    get_namespace_capacity_info "GetNamespaceCapacityInfo" GetNamespaceCapacityInfoRequest GetNamespaceCapacityInfoResponse "capacity and provisioning", Reads;
    get_nexus_endpoints "GetNexusEndpoints" GetNexusEndpointsRequest GetNexusEndpointsResponse "Nexus endpoints", Reads;
    get_nexus_endpoint "GetNexusEndpoint" GetNexusEndpointRequest GetNexusEndpointResponse "Nexus endpoints", Reads;
    create_nexus_endpoint "CreateNexusEndpoint" CreateNexusEndpointRequest CreateNexusEndpointResponse "Nexus endpoints", Grants;
    update_nexus_endpoint "UpdateNexusEndpoint" UpdateNexusEndpointRequest UpdateNexusEndpointResponse "Nexus endpoints", Grants;
    delete_nexus_endpoint "DeleteNexusEndpoint" DeleteNexusEndpointRequest DeleteNexusEndpointResponse "Nexus endpoints", Grants;
    get_usage "GetUsage" GetUsageRequest GetUsageResponse "usage reports of workflows", Reads;
    create_namespace_export_sink "CreateNamespaceExportSink" CreateNamespaceExportSinkRequest CreateNamespaceExportSinkResponse "exports of workflow histories", Grants;
    get_namespace_export_sink "GetNamespaceExportSink" GetNamespaceExportSinkRequest GetNamespaceExportSinkResponse "exports of workflow histories", Reads;
    get_namespace_export_sinks "GetNamespaceExportSinks" GetNamespaceExportSinksRequest GetNamespaceExportSinksResponse "exports of workflow histories", Reads;
    update_namespace_export_sink "UpdateNamespaceExportSink" UpdateNamespaceExportSinkRequest UpdateNamespaceExportSinkResponse "exports of workflow histories", Grants;
    delete_namespace_export_sink "DeleteNamespaceExportSink" DeleteNamespaceExportSinkRequest DeleteNamespaceExportSinkResponse "exports of workflow histories", Grants;
    validate_namespace_export_sink "ValidateNamespaceExportSink" ValidateNamespaceExportSinkRequest ValidateNamespaceExportSinkResponse "exports of workflow histories", Reads;
    create_connectivity_rule "CreateConnectivityRule" CreateConnectivityRuleRequest CreateConnectivityRuleResponse "connectivity rules", Grants;
    get_connectivity_rule "GetConnectivityRule" GetConnectivityRuleRequest GetConnectivityRuleResponse "connectivity rules", Reads;
    get_connectivity_rules "GetConnectivityRules" GetConnectivityRulesRequest GetConnectivityRulesResponse "connectivity rules", Reads;
    delete_connectivity_rule "DeleteConnectivityRule" DeleteConnectivityRuleRequest DeleteConnectivityRuleResponse "connectivity rules", Grants;
    create_billing_report "CreateBillingReport" CreateBillingReportRequest CreateBillingReportResponse "billing reports", Grants;
    get_billing_report "GetBillingReport" GetBillingReportRequest GetBillingReportResponse "billing reports", Reads;
    }
}

/// A page's size: zero is the default, as nothing said is.
pub fn size(size: i32) -> Result<Option<u32>, Refused> {
    match u32::try_from(size) {
        Ok(0) => Ok(None),
        Ok(size) => Ok(Some(size)),
        Err(_) => Err(Refused::invalid("page_size is 1 to 1000, or 0 for the default")),
    }
}

/// A text that may be left out.
pub fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// A part of a request that must be there.
pub fn required<T>(part: Option<T>, name: &str) -> Result<T, Refused> {
    part.ok_or_else(|| Refused::invalid(format!("{name} is missing")))
}

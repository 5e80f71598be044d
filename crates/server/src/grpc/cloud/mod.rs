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
    let action =
        METHODS.iter().find(|known| **known == method).and_then(|_| Action::ALL.iter().find(|action| action.as_str() == method))?;
    let kind = KINDS.iter().find(|(part, _)| method.contains(part)).map_or("account", |(_, kind)| *kind);
    let reads = method.starts_with("Get") || method.starts_with("Validate");
    Some((*action, kind, !reads))
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

/// One line a method: its name in Rust, its request and answer, and what does it, or the words for what is not done here.
macro_rules! methods {
    (
        done { $($name:ident $rpc:literal $request:ident $response:ident = $work:path;)* }
        outside { $($out:ident $out_rpc:literal $out_request:ident $out_response:ident $what:literal;)* }
    ) => {
        /// Every method.
        pub const METHODS: &[&str] = &[$($rpc,)* $($out_rpc,)*];

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
    get_current_identity "GetCurrentIdentity" GetCurrentIdentityRequest GetCurrentIdentityResponse = accounts::current_identity;
    get_account "GetAccount" GetAccountRequest GetAccountResponse = accounts::get;
    update_account "UpdateAccount" UpdateAccountRequest UpdateAccountResponse = accounts::update;
    get_async_operation "GetAsyncOperation" GetAsyncOperationRequest GetAsyncOperationResponse = accounts::operation;
    get_regions "GetRegions" GetRegionsRequest GetRegionsResponse = accounts::regions;
    get_region "GetRegion" GetRegionRequest GetRegionResponse = accounts::region;
    get_audit_logs "GetAuditLogs" GetAuditLogsRequest GetAuditLogsResponse = accounts::audit_logs;
    validate_account_audit_log_sink "ValidateAccountAuditLogSink" ValidateAccountAuditLogSinkRequest ValidateAccountAuditLogSinkResponse = accounts::validate_sink;
    create_account_audit_log_sink "CreateAccountAuditLogSink" CreateAccountAuditLogSinkRequest CreateAccountAuditLogSinkResponse = accounts::create_sink;
    get_account_audit_log_sink "GetAccountAuditLogSink" GetAccountAuditLogSinkRequest GetAccountAuditLogSinkResponse = accounts::get_sink;
    get_account_audit_log_sinks "GetAccountAuditLogSinks" GetAccountAuditLogSinksRequest GetAccountAuditLogSinksResponse = accounts::list_sinks;
    update_account_audit_log_sink "UpdateAccountAuditLogSink" UpdateAccountAuditLogSinkRequest UpdateAccountAuditLogSinkResponse = accounts::update_sink;
    delete_account_audit_log_sink "DeleteAccountAuditLogSink" DeleteAccountAuditLogSinkRequest DeleteAccountAuditLogSinkResponse = accounts::delete_sink;
    get_users "GetUsers" GetUsersRequest GetUsersResponse = users::list;
    get_user "GetUser" GetUserRequest GetUserResponse = users::get;
    create_user "CreateUser" CreateUserRequest CreateUserResponse = users::create;
    update_user "UpdateUser" UpdateUserRequest UpdateUserResponse = users::update;
    delete_user "DeleteUser" DeleteUserRequest DeleteUserResponse = users::delete;
    get_service_accounts "GetServiceAccounts" GetServiceAccountsRequest GetServiceAccountsResponse = users::list_machines;
    get_service_account "GetServiceAccount" GetServiceAccountRequest GetServiceAccountResponse = users::get_machine;
    create_service_account "CreateServiceAccount" CreateServiceAccountRequest CreateServiceAccountResponse = users::create_machine;
    update_service_account "UpdateServiceAccount" UpdateServiceAccountRequest UpdateServiceAccountResponse = users::update_machine;
    delete_service_account "DeleteServiceAccount" DeleteServiceAccountRequest DeleteServiceAccountResponse = users::delete_machine;
    get_user_groups "GetUserGroups" GetUserGroupsRequest GetUserGroupsResponse = groups::list;
    get_user_group "GetUserGroup" GetUserGroupRequest GetUserGroupResponse = groups::get;
    create_user_group "CreateUserGroup" CreateUserGroupRequest CreateUserGroupResponse = groups::create;
    update_user_group "UpdateUserGroup" UpdateUserGroupRequest UpdateUserGroupResponse = groups::update;
    delete_user_group "DeleteUserGroup" DeleteUserGroupRequest DeleteUserGroupResponse = groups::delete;
    add_user_group_member "AddUserGroupMember" AddUserGroupMemberRequest AddUserGroupMemberResponse = groups::add_member;
    remove_user_group_member "RemoveUserGroupMember" RemoveUserGroupMemberRequest RemoveUserGroupMemberResponse = groups::remove_member;
    get_user_group_members "GetUserGroupMembers" GetUserGroupMembersRequest GetUserGroupMembersResponse = groups::members;
    get_custom_roles "GetCustomRoles" GetCustomRolesRequest GetCustomRolesResponse = groups::list_roles;
    get_custom_role "GetCustomRole" GetCustomRoleRequest GetCustomRoleResponse = groups::get_role;
    create_custom_role "CreateCustomRole" CreateCustomRoleRequest CreateCustomRoleResponse = groups::create_role;
    update_custom_role "UpdateCustomRole" UpdateCustomRoleRequest UpdateCustomRoleResponse = groups::update_role;
    delete_custom_role "DeleteCustomRole" DeleteCustomRoleRequest DeleteCustomRoleResponse = groups::delete_role;
    get_api_keys "GetApiKeys" GetApiKeysRequest GetApiKeysResponse = api_keys::list;
    get_api_key "GetApiKey" GetApiKeyRequest GetApiKeyResponse = api_keys::get;
    create_api_key "CreateApiKey" CreateApiKeyRequest CreateApiKeyResponse = api_keys::create;
    update_api_key "UpdateApiKey" UpdateApiKeyRequest UpdateApiKeyResponse = api_keys::update;
    delete_api_key "DeleteApiKey" DeleteApiKeyRequest DeleteApiKeyResponse = api_keys::delete;
    get_namespaces "GetNamespaces" GetNamespacesRequest GetNamespacesResponse = namespaces::list;
    get_namespace "GetNamespace" GetNamespaceRequest GetNamespaceResponse = namespaces::get;
    create_namespace "CreateNamespace" CreateNamespaceRequest CreateNamespaceResponse = namespaces::create;
    update_namespace "UpdateNamespace" UpdateNamespaceRequest UpdateNamespaceResponse = namespaces::update;
    delete_namespace "DeleteNamespace" DeleteNamespaceRequest DeleteNamespaceResponse = namespaces::delete;
    update_namespace_tags "UpdateNamespaceTags" UpdateNamespaceTagsRequest UpdateNamespaceTagsResponse = namespaces::update_tags;
    rename_custom_search_attribute "RenameCustomSearchAttribute" RenameCustomSearchAttributeRequest RenameCustomSearchAttributeResponse = namespaces::rename;
    set_user_namespace_access "SetUserNamespaceAccess" SetUserNamespaceAccessRequest SetUserNamespaceAccessResponse = namespaces::set_user;
    set_service_account_namespace_access "SetServiceAccountNamespaceAccess" SetServiceAccountNamespaceAccessRequest SetServiceAccountNamespaceAccessResponse = namespaces::set_machine;
    set_user_group_namespace_access "SetUserGroupNamespaceAccess" SetUserGroupNamespaceAccessRequest SetUserGroupNamespaceAccessResponse = namespaces::set_group;
    get_user_namespace_assignments "GetUserNamespaceAssignments" GetUserNamespaceAssignmentsRequest GetUserNamespaceAssignmentsResponse = namespaces::users;
    get_service_account_namespace_assignments "GetServiceAccountNamespaceAssignments" GetServiceAccountNamespaceAssignmentsRequest GetServiceAccountNamespaceAssignmentsResponse = namespaces::machines;
    get_user_group_namespace_assignments "GetUserGroupNamespaceAssignments" GetUserGroupNamespaceAssignmentsRequest GetUserGroupNamespaceAssignmentsResponse = namespaces::groups;
    }
    outside {
    failover_namespace_region "FailoverNamespaceRegion" FailoverNamespaceRegionRequest FailoverNamespaceRegionResponse "regions of a running namespace";
    add_namespace_region "AddNamespaceRegion" AddNamespaceRegionRequest AddNamespaceRegionResponse "regions of a running namespace";
    delete_namespace_region "DeleteNamespaceRegion" DeleteNamespaceRegionRequest DeleteNamespaceRegionResponse "regions of a running namespace";
    get_namespace_capacity_info "GetNamespaceCapacityInfo" GetNamespaceCapacityInfoRequest GetNamespaceCapacityInfoResponse "capacity and provisioning";
    get_nexus_endpoints "GetNexusEndpoints" GetNexusEndpointsRequest GetNexusEndpointsResponse "Nexus endpoints";
    get_nexus_endpoint "GetNexusEndpoint" GetNexusEndpointRequest GetNexusEndpointResponse "Nexus endpoints";
    create_nexus_endpoint "CreateNexusEndpoint" CreateNexusEndpointRequest CreateNexusEndpointResponse "Nexus endpoints";
    update_nexus_endpoint "UpdateNexusEndpoint" UpdateNexusEndpointRequest UpdateNexusEndpointResponse "Nexus endpoints";
    delete_nexus_endpoint "DeleteNexusEndpoint" DeleteNexusEndpointRequest DeleteNexusEndpointResponse "Nexus endpoints";
    get_usage "GetUsage" GetUsageRequest GetUsageResponse "usage reports of workflows";
    create_namespace_export_sink "CreateNamespaceExportSink" CreateNamespaceExportSinkRequest CreateNamespaceExportSinkResponse "exports of workflow histories";
    get_namespace_export_sink "GetNamespaceExportSink" GetNamespaceExportSinkRequest GetNamespaceExportSinkResponse "exports of workflow histories";
    get_namespace_export_sinks "GetNamespaceExportSinks" GetNamespaceExportSinksRequest GetNamespaceExportSinksResponse "exports of workflow histories";
    update_namespace_export_sink "UpdateNamespaceExportSink" UpdateNamespaceExportSinkRequest UpdateNamespaceExportSinkResponse "exports of workflow histories";
    delete_namespace_export_sink "DeleteNamespaceExportSink" DeleteNamespaceExportSinkRequest DeleteNamespaceExportSinkResponse "exports of workflow histories";
    validate_namespace_export_sink "ValidateNamespaceExportSink" ValidateNamespaceExportSinkRequest ValidateNamespaceExportSinkResponse "exports of workflow histories";
    create_connectivity_rule "CreateConnectivityRule" CreateConnectivityRuleRequest CreateConnectivityRuleResponse "connectivity rules";
    get_connectivity_rule "GetConnectivityRule" GetConnectivityRuleRequest GetConnectivityRuleResponse "connectivity rules";
    get_connectivity_rules "GetConnectivityRules" GetConnectivityRulesRequest GetConnectivityRulesResponse "connectivity rules";
    delete_connectivity_rule "DeleteConnectivityRule" DeleteConnectivityRuleRequest DeleteConnectivityRuleResponse "connectivity rules";
    create_billing_report "CreateBillingReport" CreateBillingReportRequest CreateBillingReportResponse "billing reports";
    get_billing_report "GetBillingReport" GetBillingReportRequest GetBillingReportResponse "billing reports";
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

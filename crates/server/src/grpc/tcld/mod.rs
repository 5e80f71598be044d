//! The services that only `tcld` calls (research/temporal-cloud.md section 2.6): thin views of the use cases that all surfaces share.
//! Nothing is decided here.

mod auth;
mod others;

use super::{Call, Meaning, handle};
use crate::app::App;
use crate::app::effect::Effect;
use crate::error::Refused;
use axum::Router;
use countersign_core::authz::Action;
use countersign_proto::grpc::wire::api as wire;
use std::future::Future;
use std::sync::Arc;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Request, Response, Status};
use wire::{accountservice::v1 as account, authservice::v1 as identity, namespaceservice::v1 as namespace, requestservice::v1 as request};

/// One line a method: its name in Rust, its request and answer, its action and the kind of its object, what does it, and its effect.
macro_rules! services {
    ($($path:literal $types:ident $trait:path, $server:path {
        $($name:ident $rpc:literal $request:ident $response:ident = $action:ident $kind:literal $work:path, $effect:ident;)*
    })*) => {
        /// The services by name.
        pub const SERVICES: &[&str] = &[$($path,)*];

        /// Every method with its service.
        pub const METHODS: &[(&str, &str)] = &[$($(($path, $rpc),)*)*];

        /// What a method is in the table of rights.
        pub fn meaning(service: &str, method: &str) -> Option<Meaning> {
            match (service, method) {
                $($(($path, $rpc) => Some((Action::$action, $kind, Effect::$effect)),)*)*
                _ => None,
            }
        }

        $(
            #[tonic::async_trait]
            impl $trait for Tcld {
                $(async fn $name(&self, request: Request<$types::$request>) -> Result<Response<$types::$response>, Status> {
                    served(&self.app, request, $work).await
                })*
            }
        )*

        /// Each mounted under its own path.
        pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
            let tcld = Tcld { app: Arc::clone(app) };
            Router::new()$(.route_service(
                concat!("/", $path, "/{method}"),
                <$server>::new(tcld.clone()).accept_compressed(Gzip).send_compressed(Gzip),
            ))*
        }
    };
}

/// The services.
#[derive(Clone)]
pub struct Tcld {
    app: Arc<App>,
}

services! {
    "api.authservice.v1.AuthService" identity identity::auth_service_server::AuthService, identity::auth_service_server::AuthServiceServer<Tcld> {
        get_role "GetRole" GetRoleRequest GetRoleResponse = GetUsers "role" auth::role, Reads;
        get_roles "GetRoles" GetRolesRequest GetRolesResponse = GetUsers "role" auth::roles, Reads;
        get_roles_by_permissions "GetRolesByPermissions" GetRolesByPermissionsRequest GetRolesByPermissionsResponse = GetUsers "role" auth::roles_of, Reads;
        get_users "GetUsers" GetUsersRequest GetUsersResponse = GetUsers "user" auth::users, Reads;
        get_user "GetUser" GetUserRequest GetUserResponse = GetUser "user" auth::user, Reads;
        invite_users "InviteUsers" InviteUsersRequest InviteUsersResponse = CreateUser "user" auth::invite, Grants;
        resend_user_invite "ResendUserInvite" ResendUserInviteRequest ResendUserInviteResponse = InviteUser "user" auth::invite_again, Grants;
        update_user "UpdateUser" UpdateUserRequest UpdateUserResponse = UpdateUser "user" auth::update_user, ByChange;
        delete_user "DeleteUser" DeleteUserRequest DeleteUserResponse = DeleteUser "user" auth::delete_user, TakesAway;
        create_api_key "CreateAPIKey" CreateApiKeyRequest CreateApiKeyResponse = CreateApiKey "api_key" auth::create_key, Grants;
        create_service_account_api_key "CreateServiceAccountAPIKey" CreateServiceAccountApiKeyRequest CreateServiceAccountApiKeyResponse = CreateApiKey "api_key" auth::create_machine_key, Grants;
        get_api_keys "GetAPIKeys" GetApiKeysRequest GetApiKeysResponse = GetApiKeys "api_key" auth::keys, Reads;
        get_api_key "GetAPIKey" GetApiKeyRequest GetApiKeyResponse = GetApiKey "api_key" auth::key, Reads;
        update_api_key "UpdateAPIKey" UpdateApiKeyRequest UpdateApiKeyResponse = UpdateApiKey "api_key" auth::update_key, ByChange;
        delete_api_key "DeleteAPIKey" DeleteApiKeyRequest DeleteApiKeyResponse = DeleteApiKey "api_key" auth::delete_key, TakesAway;
        create_service_account "CreateServiceAccount" CreateServiceAccountRequest CreateServiceAccountResponse = CreateServiceAccount "service_account" auth::create_machine, Grants;
        get_service_account "GetServiceAccount" GetServiceAccountRequest GetServiceAccountResponse = GetServiceAccount "service_account" auth::machine, Reads;
        get_service_accounts "GetServiceAccounts" GetServiceAccountsRequest GetServiceAccountsResponse = GetServiceAccounts "service_account" auth::machines, Reads;
        update_service_account "UpdateServiceAccount" UpdateServiceAccountRequest UpdateServiceAccountResponse = UpdateServiceAccount "service_account" auth::update_machine, ByChange;
        delete_service_account "DeleteServiceAccount" DeleteServiceAccountRequest DeleteServiceAccountResponse = DeleteServiceAccount "service_account" auth::delete_machine, TakesAway;
    }
    "api.namespaceservice.v1.NamespaceService" namespace namespace::namespace_service_server::NamespaceService, namespace::namespace_service_server::NamespaceServiceServer<Tcld> {
        create_namespace "CreateNamespace" CreateNamespaceRequest CreateNamespaceResponse = CreateNamespace "namespace" others::create, Grants;
        list_namespaces "ListNamespaces" ListNamespacesRequest ListNamespacesResponse = GetNamespaces "namespace" others::names, Reads;
        get_namespaces "GetNamespaces" GetNamespacesRequest GetNamespacesResponse = GetNamespaces "namespace" others::namespaces, Reads;
        get_namespace "GetNamespace" GetNamespaceRequest GetNamespaceResponse = GetNamespace "namespace" others::namespace, Reads;
        update_namespace "UpdateNamespace" UpdateNamespaceRequest UpdateNamespaceResponse = UpdateNamespace "namespace" others::update, ByChange;
        rename_custom_search_attribute "RenameCustomSearchAttribute" RenameCustomSearchAttributeRequest RenameCustomSearchAttributeResponse = RenameCustomSearchAttribute "namespace" others::rename, Grants;
        delete_namespace "DeleteNamespace" DeleteNamespaceRequest DeleteNamespaceResponse = DeleteNamespace "namespace" others::delete, TakesAway;
    }
    "api.requestservice.v1.RequestService" request request::request_service_server::RequestService, request::request_service_server::RequestServiceServer<Tcld> {
        get_request_status "GetRequestStatus" GetRequestStatusRequest GetRequestStatusResponse = GetAsyncOperation "operation" others::status, Reads;
    }
    "api.accountservice.v1.AccountService" account account::account_service_server::AccountService, account::account_service_server::AccountServiceServer<Tcld> {
        get_account "GetAccount" GetAccountRequest GetAccountResponse = GetAccount "account" others::account, Reads;
        update_account "UpdateAccount" UpdateAccountRequest UpdateAccountResponse = UpdateAccount "account" others::update_account, ByChange;
        get_regions "GetRegions" GetRegionsRequest GetRegionsResponse = GetRegions "region" others::regions, Reads;
    }
}

/// The oldest client that is understood.
const OLDEST: (u32, u32, u32) = (0, 17, 0);

/// A version's three numbers; none for a build of the client's own making, which says no number or another text.
fn numbers(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.strip_prefix('v').unwrap_or(text).split(['-', '+']).next()?.split('.').map(str::parse);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Some((major, minor, patch)),
        _ => None,
    }
}

async fn served<Q, R, F, Fut>(app: &Arc<App>, request: Request<Q>, work: F) -> Result<Response<R>, Status>
where
    F: FnOnce(Call, Q) -> Fut,
    Fut: Future<Output = Result<R, Refused>>,
{
    let version = request.metadata().get("tcld-version").and_then(|value| value.to_str().ok()).unwrap_or_default();
    // v0.0.0 is what a build without a version says of itself.
    if let Some(known) = numbers(version).filter(|known| *known < OLDEST && *known != (0, 0, 0)) {
        let (major, minor, patch) = known;
        let text = format!(
            "this tcld, v{major}.{minor}.{patch}, is older than v{}.{}.{}, the oldest that is understood",
            OLDEST.0, OLDEST.1, OLDEST.2
        );
        return Err(Refused::new("client_too_old", text).hint("install a newer tcld").into());
    }
    handle(app, request, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_tcld_writes_them() {
        assert_eq!(numbers("v0.55.0"), Some((0, 55, 0)));
        assert_eq!(numbers("0.16.3-rc1"), Some((0, 16, 3)));
        for none in ["", "no-version-available", "v1", "v1.2", "v1.2.3.4", "v1.x.3"] {
            assert_eq!(numbers(none), None, "{none}");
        }
    }

    #[test]
    fn every_method_of_the_descriptors_is_served_and_has_an_action() {
        use prost::Message as _;
        let set = prost_types::FileDescriptorSet::decode(countersign_proto::grpc::SERVICES).expect("descriptors");
        let mut found = 0;
        for file in set.file.iter().filter(|file| file.package().starts_with("api.")) {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                assert!(SERVICES.contains(&name.as_str()), "{name}");
                for method in &service.method {
                    assert!(meaning(&name, method.name()).is_some(), "{name}/{}", method.name());
                    found += 1;
                }
            }
        }
        assert_eq!(found, METHODS.len());
    }
}

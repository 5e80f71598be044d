"""Python's `CloudOperationsClient` against the control plane: every noun of the Cloud Ops API that a credential system has, and what is
said of the others. gzip on every request, as the SDK does. One line a promise; non-zero if one is not kept."""
import asyncio
import sys
import time
import uuid
from importlib.metadata import version

import grpc
import temporalio.api.cloud.cloudservice.v1 as c
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from temporalio.api.cloud.account.v1 import message_pb2 as account_pb
from temporalio.api.cloud.identity.v1 import message_pb2 as identity
from temporalio.api.cloud.namespace.v1 import message_pb2 as ns_pb
from temporalio.api.cloud.operation.v1 import message_pb2 as operation_pb
from temporalio.api.cloud.resource.v1 import message_pb2 as resource_pb
from temporalio.client import CloudOperationsClient, TLSConfig
from temporalio.service import RPCError, RPCStatusCode

import planes
import report

ACTIVE = resource_pb.RESOURCE_STATE_ACTIVE
NOWHERE = ("nexus", "export_sink", "billing", "usage", "connectivity", "failover", "namespace_region", "capacity")


def access(role="", **namespaces):
    given = identity.Access()
    if role:
        given.account_access.role = identity.AccountAccess.Role.Value(f"ROLE_{role}")
    for name, permission in namespaces.items():
        given.namespace_accesses[name].permission = identity.NamespaceAccess.Permission.Value(f"PERMISSION_{permission}")
    return given


async def refused(call, code, *words):
    try:
        answer = await call
    except RPCError as error:
        report.need(error.status == code, f"{error.status.name} in place of {code.name}: {error.message}")
        report.need(all(word.lower() in error.message.lower() for word in words), f"{error.message!r} does not say {words}")
        return error.message
    raise AssertionError(f"it was answered: {str(answer)[:200]}")


class Run:
    def __init__(self, sign, client):
        self.sign, self.cloud, self.account = sign, client.cloud_service, sign.account
        self.client = client

    async def done(self, answer):
        """An operation ends, as fulfilled, and can be read by its id."""
        operation = answer.async_operation
        for _ in range(50):
            got = (await self.cloud.get_async_operation(c.GetAsyncOperationRequest(async_operation_id=operation.id))).async_operation
            if got.state == operation_pb.AsyncOperation.STATE_FULFILLED:
                report.need(got.id == operation.id and got.operation_type and got.started_time.seconds, got)
                return answer
            report.need(got.state in (operation_pb.AsyncOperation.STATE_PENDING, operation_pb.AsyncOperation.STATE_IN_PROGRESS), got)
            await asyncio.sleep(0.1)
        raise AssertionError(f"the operation does not end: {got}")

    async def namespace(self, name):
        return (await self.cloud.get_namespace(c.GetNamespaceRequest(namespace=name))).namespace


async def connection(run, say):
    with say.promise("GetCurrentIdentity, GetAccount, GetRegions, GetRegion"):
        who = await run.cloud.get_current_identity(c.GetCurrentIdentityRequest())
        report.need(who.user.spec.email == "owner@localhost" and who.principal_api_key.id, who)
        report.need((await run.cloud.get_account(c.GetAccountRequest())).account.id == run.account)
        regions = (await run.cloud.get_regions(c.GetRegionsRequest())).regions
        report.need({"local", "aws-us-east-1"} <= {r.id for r in regions}, regions)
        report.need((await run.cloud.get_region(c.GetRegionRequest(region="aws-us-east-1"))).region.cloud_provider_region == "us-east-1")
    with say.promise("no key and a wrong key are told what they are, and what to do"):
        for key, says in ((None, "request not authenticated"), ("wrong", "invalid api key")):
            client = await CloudOperationsClient.connect(api_key=key, target_host=run.sign.control, tls=TLSConfig(server_root_ca_cert=run.sign.ca))
            await refused(client.cloud_service.get_users(c.GetUsersRequest()), RPCStatusCode.UNAUTHENTICATED, says)


async def namespaces(run, say):
    ca = run.sign.read("ca.crt")
    name = f"py.{run.account}"
    spec = ns_pb.NamespaceSpec(
        name="py", regions=["aws-us-east-1"], retention_days=7, api_key_auth=ns_pb.ApiKeyAuthSpec(enabled=True),
        mtls_auth=ns_pb.MtlsAuthSpec(enabled=True, accepted_client_ca=ca, certificate_filters=[
            ns_pb.CertificateFilterSpec(common_name="worker"), ns_pb.CertificateFilterSpec(organization="acme", organizational_unit="ops")]),
        search_attributes={"Customer": ns_pb.NamespaceSpec.SEARCH_ATTRIBUTE_TYPE_KEYWORD}, lifecycle=ns_pb.LifecycleSpec(enable_delete_protection=True),
        codec_server=ns_pb.CodecServerSpec(endpoint="https://codec.example.com", pass_access_token=True))
    with say.promise("CreateNamespace, and GetNamespace answers the very spec"):
        operation = str(uuid.uuid4())
        made = await run.done(await run.cloud.create_namespace(c.CreateNamespaceRequest(spec=spec, async_operation_id=operation, tags={"team": "a"})))
        report.need(made.namespace == name and made.async_operation.id == operation, made)
        again = await run.cloud.create_namespace(c.CreateNamespaceRequest(spec=spec, async_operation_id=operation, tags={"team": "a"}))
        report.need(again.namespace == name and again.async_operation.id == operation, again)
        got = await run.namespace(name)
        for field in ("name", "regions", "retention_days", "api_key_auth", "search_attributes", "lifecycle", "codec_server"):
            report.need(getattr(got.spec, field) == getattr(spec, field), f"{field}: {getattr(got.spec, field)} is not {getattr(spec, field)}")
        report.need(list(got.spec.mtls_auth.certificate_filters) == list(spec.mtls_auth.certificate_filters), got.spec.mtls_auth)
        report.need(got.spec.mtls_auth.enabled and b"BEGIN CERTIFICATE" in got.spec.mtls_auth.accepted_client_ca)
        report.need(got.state == ACTIVE and got.state_deprecated == "active" and got.tags == {"team": "a"}, got)
        report.need(got.endpoints.grpc_address and got.endpoints.mtls_grpc_address and got.active_region == "aws-us-east-1", got)
    with say.promise("the name is taken; an unknown region, name and namespace are refused by name"):
        await refused(run.cloud.create_namespace(c.CreateNamespaceRequest(spec=spec)), RPCStatusCode.ALREADY_EXISTS)
        other = ns_pb.NamespaceSpec(name="px", regions=["aws-nowhere"], retention_days=7, api_key_auth=ns_pb.ApiKeyAuthSpec(enabled=True))
        await refused(run.cloud.create_namespace(c.CreateNamespaceRequest(spec=other)), RPCStatusCode.INVALID_ARGUMENT, "aws-nowhere")
        await refused(run.cloud.get_namespace(c.GetNamespaceRequest(namespace="no.such")), RPCStatusCode.NOT_FOUND)
    with say.promise("UpdateNamespace: whole spec, nothing to change, stale version with the current one named, mtls_auth null"):
        got = await run.namespace(name)

        def update(version, spec):
            return run.cloud.update_namespace(c.UpdateNamespaceRequest(namespace=name, spec=spec, resource_version=version))

        await refused(update(got.resource_version, got.spec), RPCStatusCode.INVALID_ARGUMENT, "nothing to change")
        changed = ns_pb.NamespaceSpec()
        changed.CopyFrom(got.spec)
        changed.mtls_auth.accepted_client_ca = ca.replace(b"\n", b"\r\n") + b"\n"
        await refused(update(got.resource_version, changed), RPCStatusCode.INVALID_ARGUMENT, "nothing to change")
        changed.retention_days = 9
        changed.ClearField("mtls_auth")
        changed.lifecycle.enable_delete_protection = False
        await run.done(await update(got.resource_version, changed))
        now = await run.namespace(name)
        report.need(now.spec.retention_days == 9 and not now.spec.mtls_auth.enabled and not now.spec.mtls_auth.accepted_client_ca, now.spec)
        changed.retention_days = 10
        await refused(update(got.resource_version, changed), RPCStatusCode.FAILED_PRECONDITION, now.resource_version)
    with say.promise("UpdateNamespaceTags, RenameCustomSearchAttribute, GetNamespaces with name and paging"):
        await run.done(await run.cloud.update_namespace_tags(c.UpdateNamespaceTagsRequest(namespace=name, tags_to_upsert={"x": "y"}, tags_to_remove=["team"])))
        await run.done(await run.cloud.rename_custom_search_attribute(c.RenameCustomSearchAttributeRequest(
            namespace=name, existing_custom_search_attribute_name="Customer", new_custom_search_attribute_name="Client",
            resource_version=(await run.namespace(name)).resource_version)))
        got = await run.namespace(name)
        report.need(got.tags == {"x": "y"} and list(got.spec.search_attributes) == ["Client"], got)
        report.need([n.namespace for n in (await run.cloud.get_namespaces(c.GetNamespacesRequest(name="py"))).namespaces] == [name])
        page = await run.cloud.get_namespaces(c.GetNamespacesRequest(page_size=1))
        report.need(len(page.namespaces) == 1 and page.next_page_token, page)
        rest = await run.cloud.get_namespaces(c.GetNamespacesRequest(page_size=100, page_token=page.next_page_token))
        report.need(not rest.next_page_token and page.namespaces[0].namespace not in {n.namespace for n in rest.namespaces}, rest)
    return name


async def service_accounts_and_keys(run, say, name):
    cloud = run.cloud
    with say.promise("Create, Get, list, Update, SetNamespaceAccess of service accounts, also one scoped to a namespace"):
        made = await run.done(await cloud.create_service_account(c.CreateServiceAccountRequest(
            spec=identity.ServiceAccountSpec(name="robot", access=access("READ", **{name: "WRITE"})))))
        one = made.service_account_id
        got = (await cloud.get_service_account(c.GetServiceAccountRequest(service_account_id=one))).service_account
        report.need(got.spec.description == "" and got.state == ACTIVE and got.spec.access == access("READ", **{name: "WRITE"})
                    or got.spec.access.namespace_accesses[name].permission == identity.NamespaceAccess.PERMISSION_WRITE, got)
        spec = identity.ServiceAccountSpec()
        spec.CopyFrom(got.spec)
        await refused(cloud.update_service_account(c.UpdateServiceAccountRequest(service_account_id=one, spec=spec, resource_version=got.resource_version)),
                      RPCStatusCode.INVALID_ARGUMENT, "nothing to change")
        spec.description = "does"
        await run.done(await cloud.update_service_account(c.UpdateServiceAccountRequest(service_account_id=one, spec=spec, resource_version=got.resource_version)))
        await refused(cloud.update_service_account(c.UpdateServiceAccountRequest(service_account_id=one, spec=got.spec, resource_version=got.resource_version)),
                      RPCStatusCode.FAILED_PRECONDITION)
        version = (await cloud.get_service_account(c.GetServiceAccountRequest(service_account_id=one))).service_account.resource_version
        await run.done(await cloud.set_service_account_namespace_access(c.SetServiceAccountNamespaceAccessRequest(
            service_account_id=one, namespace=name, access=identity.NamespaceAccess(permission=identity.NamespaceAccess.PERMISSION_READ), resource_version=version)))
        assigned = await cloud.get_service_account_namespace_assignments(c.GetServiceAccountNamespaceAssignmentsRequest(namespace=name))
        report.need(one in str(assigned), assigned)
        scoped = await run.done(await cloud.create_service_account(c.CreateServiceAccountRequest(spec=identity.ServiceAccountSpec(
            name="scoped", namespace_scoped_access=identity.NamespaceScopedAccess(
                namespace=name, access=identity.NamespaceAccess(permission=identity.NamespaceAccess.PERMISSION_ADMIN))))))
        got = (await cloud.get_service_account(c.GetServiceAccountRequest(service_account_id=scoped.service_account_id))).service_account
        report.need(got.spec.namespace_scoped_access.namespace == name, got)
        report.need({one, scoped.service_account_id} <= {s.id for s in (await cloud.get_service_accounts(c.GetServiceAccountsRequest())).service_account})
    with say.promise("CreateApiKey, and the same operation id never mints a second key; Get, list, Update (disable), DeleteApiKey"):
        expiry = Timestamp(seconds=int(time.time()) + 86400)
        spec = identity.ApiKeySpec(owner_id=one, owner_type=identity.OWNER_TYPE_SERVICE_ACCOUNT, display_name="k", expiry_time=expiry)
        operation = str(uuid.uuid4())
        made = await run.done(await cloud.create_api_key(c.CreateApiKeyRequest(spec=spec, async_operation_id=operation)))
        report.need(made.key_id and made.token, made.key_id)
        again = await cloud.create_api_key(c.CreateApiKeyRequest(spec=spec, async_operation_id=operation))
        report.need(again.key_id == made.key_id, again)
        keys = (await cloud.get_api_keys(c.GetApiKeysRequest(owner_id=one, owner_type=identity.OWNER_TYPE_SERVICE_ACCOUNT))).api_keys
        report.need([k.id for k in keys] == [made.key_id], keys)
        got = (await cloud.get_api_key(c.GetApiKeyRequest(key_id=made.key_id))).api_key
        report.need(got.spec.expiry_time.seconds == expiry.seconds and got.spec.owner_type == spec.owner_type and got.state == ACTIVE, got)
        client = await CloudOperationsClient.connect(api_key=made.token, target_host=run.sign.control, tls=TLSConfig(server_root_ca_cert=run.sign.ca), version="v0.17.1")
        who = await client.cloud_service.get_current_identity(c.GetCurrentIdentityRequest())
        report.need(who.service_account.id == one and who.principal_api_key.id == made.key_id, who)
        await refused(client.cloud_service.create_namespace(c.CreateNamespaceRequest(spec=ns_pb.NamespaceSpec(name="zz"))), RPCStatusCode.PERMISSION_DENIED)
        off = identity.ApiKeySpec()
        off.CopyFrom(got.spec)
        off.disabled = True
        await run.done(await cloud.update_api_key(c.UpdateApiKeyRequest(key_id=made.key_id, spec=off, resource_version=got.resource_version)))
        await refused(client.cloud_service.get_current_identity(c.GetCurrentIdentityRequest()), RPCStatusCode.UNAUTHENTICATED)
        off.expiry_time.seconds += 5
        await refused(cloud.update_api_key(c.UpdateApiKeyRequest(key_id=made.key_id, spec=off)), RPCStatusCode.INVALID_ARGUMENT)
        await run.done(await cloud.delete_api_key(c.DeleteApiKeyRequest(
            key_id=made.key_id, resource_version=(await cloud.get_api_key(c.GetApiKeyRequest(key_id=made.key_id))).api_key.resource_version)))
        await refused(cloud.get_api_key(c.GetApiKeyRequest(key_id=made.key_id)), RPCStatusCode.NOT_FOUND)
    with say.promise("DeleteServiceAccount; it is gone, and deleting it again is NotFound"):
        for account in (one, scoped.service_account_id):
            await run.done(await cloud.delete_service_account(c.DeleteServiceAccountRequest(service_account_id=account)))
            await refused(cloud.delete_service_account(c.DeleteServiceAccountRequest(service_account_id=account)), RPCStatusCode.NOT_FOUND)


async def people(run, say, name):
    cloud = run.cloud
    with say.promise("users: Create, Get, list by mail and namespace, Update, SetNamespaceAccess, assignments, last owner"):
        made = await run.done(await cloud.create_user(c.CreateUserRequest(spec=identity.UserSpec(email="ann@example.com", access=access("READ")))))
        one = made.user_id
        await refused(cloud.create_user(c.CreateUserRequest(spec=identity.UserSpec(email="ann@example.com", access=access("READ")))), RPCStatusCode.ALREADY_EXISTS)
        got = (await cloud.get_user(c.GetUserRequest(user_id=one))).user
        report.need(got.spec.email == "ann@example.com" and got.spec.access.account_access.role_deprecated == "read", got)
        report.need([u.id for u in (await cloud.get_users(c.GetUsersRequest(email="ann@example.com"))).users] == [one])
        spec = identity.UserSpec(email="ann@example.com", access=access("DEVELOPER", **{name: "WRITE"}))
        await run.done(await cloud.update_user(c.UpdateUserRequest(user_id=one, spec=spec, resource_version=got.resource_version)))
        report.need(one in {u.id for u in (await cloud.get_users(c.GetUsersRequest(namespace=name))).users})
        version = (await cloud.get_user(c.GetUserRequest(user_id=one))).user.resource_version
        await run.done(await cloud.set_user_namespace_access(c.SetUserNamespaceAccessRequest(
            namespace=name, user_id=one, access=identity.NamespaceAccess(permission=identity.NamespaceAccess.PERMISSION_ADMIN), resource_version=version)))
        report.need(one in str(await cloud.get_user_namespace_assignments(c.GetUserNamespaceAssignmentsRequest(namespace=name))))
        owner = (await cloud.get_users(c.GetUsersRequest(email="owner@localhost"))).users[0]
        await refused(cloud.delete_user(c.DeleteUserRequest(user_id=owner.id, resource_version=owner.resource_version)), RPCStatusCode.FAILED_PRECONDITION, "owner")
    with say.promise("user groups: Create, Get, list, members, SetNamespaceAccess, assignments, Update, Delete; SCIM groups are not creatable"):
        made = await run.done(await cloud.create_user_group(c.CreateUserGroupRequest(spec=identity.UserGroupSpec(
            display_name="ops", access=access("READ"), cloud_group=identity.CloudGroupSpec()))))
        group = made.group_id
        got = (await cloud.get_user_group(c.GetUserGroupRequest(group_id=group))).group
        report.need(got.spec.display_name == "ops" and got.spec.WhichOneof("group_type") == "cloud_group", got)
        report.need([g.id for g in (await cloud.get_user_groups(c.GetUserGroupsRequest(display_name="ops"))).groups] == [group])
        member = identity.UserGroupMemberId(user_id=one)
        await run.done(await cloud.add_user_group_member(c.AddUserGroupMemberRequest(group_id=group, member_id=member)))
        report.need([m.member_id.user_id for m in (await cloud.get_user_group_members(c.GetUserGroupMembersRequest(group_id=group))).members] == [one])
        await run.done(await cloud.set_user_group_namespace_access(c.SetUserGroupNamespaceAccessRequest(
            namespace=name, group_id=group, access=identity.NamespaceAccess(permission=identity.NamespaceAccess.PERMISSION_WRITE),
            resource_version=(await cloud.get_user_group(c.GetUserGroupRequest(group_id=group))).group.resource_version)))
        report.need(group in str(await cloud.get_user_group_namespace_assignments(c.GetUserGroupNamespaceAssignmentsRequest(namespace=name))))
        got = (await cloud.get_user_group(c.GetUserGroupRequest(group_id=group))).group
        got.spec.display_name = "operators"
        await run.done(await cloud.update_user_group(c.UpdateUserGroupRequest(group_id=group, spec=got.spec, resource_version=got.resource_version)))
        await run.done(await cloud.remove_user_group_member(c.RemoveUserGroupMemberRequest(group_id=group, member_id=member)))
        report.need(not (await cloud.get_user_group_members(c.GetUserGroupMembersRequest(group_id=group))).members)
        await run.done(await cloud.delete_user_group(c.DeleteUserGroupRequest(group_id=group)))
        await refused(cloud.get_user_group(c.GetUserGroupRequest(group_id=group)), RPCStatusCode.NOT_FOUND)
        await refused(cloud.create_user_group(c.CreateUserGroupRequest(spec=identity.UserGroupSpec(
            display_name="s", access=access("READ"), scim_group=identity.SCIMGroupSpec(idp_id="x")))), RPCStatusCode.INVALID_ARGUMENT, "scim")
    with say.promise("custom roles: Create, Get, list, Update, Delete; an unknown action is refused by name"):
        def role(*actions):
            return identity.CustomRoleSpec(name="auditor", description="reads", permissions=[identity.CustomRoleSpec.Permission(
                resources=identity.CustomRoleSpec.Resources(resource_type="account", allow_all=True), actions=actions)])

        made = await run.done(await cloud.create_custom_role(c.CreateCustomRoleRequest(spec=role("cloud.account.get"))))
        got = (await cloud.get_custom_role(c.GetCustomRoleRequest(role_id=made.role_id))).custom_role
        report.need(got.spec == role("cloud.account.get"), got)
        await run.done(await cloud.update_custom_role(c.UpdateCustomRoleRequest(
            role_id=made.role_id, spec=role("cloud.account.get", "cloud.auditlog.list"), resource_version=got.resource_version)))
        report.need(made.role_id in str(await cloud.get_custom_roles(c.GetCustomRolesRequest())))
        await refused(cloud.create_custom_role(c.CreateCustomRoleRequest(spec=role("cloud.account.gett"))), RPCStatusCode.INVALID_ARGUMENT, "cloud.account.gett")
        version = (await cloud.get_custom_role(c.GetCustomRoleRequest(role_id=made.role_id))).custom_role.resource_version
        await run.done(await cloud.delete_custom_role(c.DeleteCustomRoleRequest(role_id=made.role_id, resource_version=version)))
    with say.promise("DeleteUser"):
        await run.done(await cloud.delete_user(c.DeleteUserRequest(user_id=one)))


async def evidence(run, say, name):
    cloud = run.cloud
    with say.promise("GetAuditLogs: pages, principals with their key, refused changes too"):
        page = await cloud.get_audit_logs(c.GetAuditLogsRequest(page_size=10))
        report.need(len(page.logs) == 10 and page.next_page_token, len(page.logs))
        logs, token = list(page.logs), page.next_page_token
        while token:
            page = await cloud.get_audit_logs(c.GetAuditLogsRequest(page_size=1000, page_token=token))
            logs, token = logs + list(page.logs), page.next_page_token
        order = [(log.emit_time.seconds, log.emit_time.nanos) for log in logs]
        report.need(order == sorted(order), "not in the order of time")
        report.need(len({log.log_id for log in logs}) == len(logs), "a log_id stands there twice")
        report.need(any(log.principal.api_key_id and log.status == "OK" for log in logs) and any(log.status == "ERROR" for log in logs), logs[-1])
    with say.promise("audit-log sinks: validate refuses what cannot be reached; list"):
        report.need(len((await cloud.get_account_audit_log_sinks(c.GetAccountAuditLogSinksRequest())).sinks) == 0)
        await refused(cloud.get_account_audit_log_sink(c.GetAccountAuditLogSinkRequest(name="none")), RPCStatusCode.NOT_FOUND)
    with say.promise("UpdateAccount: a metrics CA is refused with a sentence that says where metrics are"):
        account = (await cloud.get_account(c.GetAccountRequest())).account
        spec = account_pb.AccountSpec(metrics=account_pb.MetricsSpec(accepted_client_ca=run.sign.read("ca.crt")))
        await refused(cloud.update_account(c.UpdateAccountRequest(spec=spec, resource_version=account.resource_version)), RPCStatusCode.UNIMPLEMENTED, "metrics.listen")
    with say.promise("what is no part of a credential system answers UNIMPLEMENTED with a sentence that names it"):
        for method in [m for m in dir(cloud) if any(word in m for word in NOWHERE)]:
            request = getattr(c, "".join(part.title() for part in method.split("_")) + "Request")
            message = await refused(getattr(cloud, method)(request()), RPCStatusCode.UNIMPLEMENTED)
            report.need(len(message.split()) > 3, f"{method}: {message!r}")
    with say.promise("DeleteNamespace, and it is NotFound from then on"):
        await run.done(await cloud.delete_namespace(c.DeleteNamespaceRequest(namespace=name, resource_version=(await run.namespace(name)).resource_version)))
        await refused(cloud.get_namespace(c.GetNamespaceRequest(namespace=name)), RPCStatusCode.NOT_FOUND)


def plain_grpc(sign):
    say = report.Report(f"grpcio {version('grpcio')}")
    with grpc.secure_channel(sign.control, grpc.ssl_channel_credentials(sign.ca)) as channel:
        with say.promise("health and reflection on the control port, without a credential"):
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            report.need(answer.status == health_pb2.HealthCheckResponse.SERVING, answer)
            names = set(ProtoReflectionDescriptorDatabase(channel).get_services())
            wanted = {"temporal.api.cloud.cloudservice.v1.CloudService"}
            report.need(wanted <= names, names)
        with say.promise("an unknown service and an unknown method are said in the words that clients look for"):
            for path, says in (("/no.Such/Method", "unknown service no.Such"), ("/temporal.api.cloud.cloudservice.v1.CloudService/Nothing", "unknown method Nothing")):
                try:
                    channel.unary_unary(path)(b"", timeout=10, metadata=[("authorization", f"Bearer {sign.key}")])
                    raise AssertionError(f"{path} was answered")
                except grpc.RpcError as error:
                    report.need(error.code() == grpc.StatusCode.UNIMPLEMENTED and says in error.details(), f"{error.code()} {error.details()}")


async def main():
    sign = planes.Countersign()
    sign.client_certificate()
    plain_grpc(sign)
    say = report.Report(f"python temporalio {version('temporalio')} CloudOperationsClient")
    try:
        client = await CloudOperationsClient.connect(api_key=sign.key, target_host=sign.control, tls=TLSConfig(server_root_ca_cert=sign.ca))
    except RuntimeError as error:
        with say.promise("connects"):
            raise error
        return
    say.passed("connects (GetSystemInfo on the control port, gzip)")
    run = Run(sign, client)
    await connection(run, say)
    name = f"py.{sign.account}"
    await namespaces(run, say)
    await service_accounts_and_keys(run, say, name)
    await people(run, say, name)
    await evidence(run, say, name)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    report.end()

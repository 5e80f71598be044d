//! The descriptors that are served and looked at, held against what the rest of the program believes of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use countersign_core::NamespacePermission;
use countersign_core::authz::workflow_service_permission;
use countersign_core::temporal::{POINTERS, Rule, Scope, TABLE, paths, scope};
use countersign_proto::grpc::{SERVICES, WORKFLOW_SERVICE};
use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};

/// The methods of the Cloud Ops API, as its documentation lists them.
const CLOUD: &str = "
    GetCurrentIdentity
    GetUsers GetUser CreateUser UpdateUser DeleteUser SetUserNamespaceAccess GetAsyncOperation
    CreateNamespace GetNamespaces GetNamespace UpdateNamespace DeleteNamespace RenameCustomSearchAttribute UpdateNamespaceTags
    FailoverNamespaceRegion AddNamespaceRegion DeleteNamespaceRegion GetNamespaceCapacityInfo
    GetUserNamespaceAssignments GetServiceAccountNamespaceAssignments GetUserGroupNamespaceAssignments
    GetRegions GetRegion
    GetApiKeys GetApiKey CreateApiKey UpdateApiKey DeleteApiKey
    CreateServiceAccount GetServiceAccount GetServiceAccounts UpdateServiceAccount DeleteServiceAccount SetServiceAccountNamespaceAccess
    GetUserGroups GetUserGroup CreateUserGroup UpdateUserGroup DeleteUserGroup SetUserGroupNamespaceAccess AddUserGroupMember
    RemoveUserGroupMember GetUserGroupMembers
    GetAccount UpdateAccount GetUsage GetAuditLogs
    ValidateAccountAuditLogSink CreateAccountAuditLogSink GetAccountAuditLogSink GetAccountAuditLogSinks UpdateAccountAuditLogSink
    DeleteAccountAuditLogSink
    GetCustomRoles GetCustomRole CreateCustomRole UpdateCustomRole DeleteCustomRole
    CreateConnectivityRule GetConnectivityRule GetConnectivityRules DeleteConnectivityRule
    GetNexusEndpoints GetNexusEndpoint CreateNexusEndpoint UpdateNexusEndpoint DeleteNexusEndpoint
    CreateNamespaceExportSink GetNamespaceExportSink GetNamespaceExportSinks UpdateNamespaceExportSink DeleteNamespaceExportSink
    ValidateNamespaceExportSink
    CreateBillingReport GetBillingReport";

/// The methods that the permission read covers, and the two that whoever is let in may call.
const READ: &str = "
    CountActivityExecutions CountWorkflowExecutions CountSchedules
    DescribeActivityExecution DescribeBatchOperation DescribeNamespace DescribeSchedule DescribeTaskQueue DescribeWorker
    DescribeWorkerDeployment DescribeWorkerDeploymentVersion DescribeWorkflowExecution DescribeWorkflowRule
    FetchWorkerConfig GetSearchAttributes GetWorkerBuildIdCompatibility GetWorkerTaskReachability GetWorkerVersioningRules
    GetWorkflowExecutionHistory GetWorkflowExecutionHistoryReverse
    ListActivityExecutions ListBatchOperations ListClosedWorkflowExecutions ListOpenWorkflowExecutions ListScheduleMatchingTimes
    ListSchedules ListTaskQueuePartitions ListWorkerDeployments ListWorkers ListWorkflowExecutions ListWorkflowRules
    QueryWorkflow GetSystemInfo GetClusterInfo";

fn set(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// Every message by its full name with a point before it, as fields name types.
fn messages(files: &FileDescriptorSet) -> BTreeMap<String, DescriptorProto> {
    fn gather(scope: &str, message: &DescriptorProto, all: &mut BTreeMap<String, DescriptorProto>) {
        let name = format!("{scope}.{}", message.name());
        for inner in &message.nested_type {
            gather(&name, inner, all);
        }
        all.insert(name, message.clone());
    }
    let mut all = BTreeMap::new();
    for file in &files.file {
        for message in &file.message_type {
            gather(&format!(".{}", file.package()), message, &mut all);
        }
    }
    all
}

/// The methods of a service with the types of their requests.
fn methods(files: &FileDescriptorSet, package: &str, service: &str) -> BTreeMap<String, String> {
    let services = files.file.iter().filter(|file| file.package() == package).flat_map(|file| &file.service);
    let found = services.filter(|known| known.name() == service).flat_map(|known| &known.method);
    found.map(|method| (method.name().to_owned(), method.input_type().to_owned())).collect()
}

fn workflow() -> (BTreeMap<String, String>, BTreeMap<String, DescriptorProto>) {
    let files = FileDescriptorSet::decode(WORKFLOW_SERVICE).unwrap();
    (methods(&files, "temporal.api.workflowservice.v1", "WorkflowService"), messages(&files))
}

#[test]
fn the_cloud_ops_api_has_the_76_methods_of_its_documentation() {
    let files = FileDescriptorSet::decode(SERVICES).unwrap();
    let served: BTreeSet<_> = methods(&files, "temporal.api.cloud.cloudservice.v1", "CloudService").into_keys().collect();
    let listed = set(CLOUD);
    assert_eq!((served.len(), listed.len()), (76, 76));
    assert_eq!(served, listed);
}

#[test]
fn every_method_of_the_workflow_service_reads_or_writes_and_an_unknown_one_writes() {
    let (methods, _) = workflow();
    let all: BTreeSet<_> = methods.into_keys().collect();
    let reads: BTreeSet<_> =
        all.iter().filter(|method| workflow_service_permission(method) == NamespacePermission::Read).cloned().collect();
    assert_eq!(reads, set(READ).intersection(&all).cloned().collect());
    let gone: Vec<_> = set(READ).difference(&all).cloned().collect();
    assert!(gone.is_empty(), "the service knows these no more: {gone:?}");
    for unknown in ["", "QueryWorkflowX", "queryWorkflow", "ListEverything", "GetSystemInfo/"] {
        assert_eq!(workflow_service_permission(unknown), NamespacePermission::Write, "{unknown}");
    }
}

/// Where in a request a text called `namespace` stands, by field numbers; a type is entered once on each way.
fn namespaces(kind: &str, all: &BTreeMap<String, DescriptorProto>, way: &mut Vec<(String, u32)>, found: &mut BTreeSet<Vec<u32>>) {
    if way.iter().any(|(entered, _)| entered == kind) || POINTERS.contains(&kind.trim_start_matches('.')) {
        return;
    }
    for field in &all[kind].field {
        way.push((kind.to_owned(), field.number().unsigned_abs()));
        if field.r#type() == Type::String && (field.name() == "namespace" || field.name().ends_with("_namespace")) {
            found.insert(way.iter().map(|(_, number)| *number).collect());
        }
        if field.r#type() == Type::Message {
            namespaces(field.type_name(), all, way, found);
        }
        way.pop();
    }
}

#[test]
fn wherever_a_request_names_a_namespace_the_doors_table_looks() {
    let (methods, all) = workflow();
    let unknown: Vec<_> = TABLE.iter().filter(|(method, _)| !methods.contains_key(*method)).collect();
    assert!(unknown.is_empty(), "the service knows these no more: {unknown:?}");
    let mut wrong = Vec::new();
    for (method, kind) in &methods {
        if !matches!(scope(method), Scope::Fields(_)) {
            continue;
        }
        let mut named = BTreeSet::new();
        namespaces(kind, &all, &mut Vec::new(), &mut named);
        let held: BTreeSet<_> =
            paths(method).into_iter().filter(|(_, rule)| matches!(rule, Rule::Own | Rule::Inner)).map(|(path, _)| path).collect();
        for path in named.symmetric_difference(&held) {
            wrong.push(format!(
                "{method}: {path:?} {}",
                if held.contains(path) { "is held and names none" } else { "names one and is not held" }
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

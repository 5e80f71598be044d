//! What `tcld` says and hears (research/temporal-cloud.md section 2.6), from and to the bodies that the use cases speak. Where its
//! messages mean what those of the Cloud Ops API mean they become those, so that there is one reading of them.

mod identity;
mod namespace;
mod role;

pub use identity::*;
pub use namespace::*;
pub use role::*;

use crate::cloud::moment;
use crate::grpc::wire::api::{
    accountservice::v1 as account, authservice::v1 as auth, namespaceservice::v1 as ns, requestservice::v1 as request,
};
use crate::grpc::wire::temporal::api::cloud as public;
use crate::rest::{AccountBody, RequestStatus};

/// An operation.
pub fn status(status: &RequestStatus) -> request::RequestStatus {
    let state = match status.state.as_str() {
        "Fulfilled" => request::State::Fulfilled,
        "Failed" => request::State::Failed,
        _ => request::State::InProgress,
    };
    let seconds = status.check_duration.trim_end_matches('s').parse().unwrap_or(1);
    request::RequestStatus {
        request_id: status.request_id.clone(),
        state: state.into(),
        check_duration: Some(prost_types::Duration { seconds, nanos: 0 }),
        operation_type: status.operation_type.clone(),
        resource_id: status.resource_id.clone(),
        resource_type: status.resource_type.clone(),
        failure_reason: status.failure_reason.clone(),
        start_time: moment(&status.start_time),
        finish_time: status.finish_time.as_deref().and_then(moment),
    }
}

/// The account. The client reads `spec.metrics` without asking whether it is there.
pub fn account(body: &AccountBody) -> account::Account {
    account::Account {
        resource_version: body.resource_version.clone(),
        spec: Some(account::AccountSpec { metrics: Some(account::MetricsSpec::default()) }),
        state: ns::State::Active.into(),
        ..account::Account::default()
    }
}

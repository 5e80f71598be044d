//! Operations, the account, regions, the audit trail and its sinks.

use super::{active, moment, wire};
use crate::rest::{AccountBody, AuditEntry, AuditSinkBody, CreateAuditSink, KinesisSink, RegionBody, RequestStatus};
use serde_json::Value;
use wire::account::v1 as account;
use wire::operation::v1 as op;

/// An operation.
pub fn operation(status: &RequestStatus) -> op::AsyncOperation {
    use op::async_operation::State;
    let (state, word) = match status.state.as_str() {
        "Fulfilled" => (State::Fulfilled, "fulfilled"),
        "Failed" => (State::Failed, "failed"),
        _ => (State::InProgress, "in_progress"),
    };
    let seconds = status.check_duration.trim_end_matches('s').parse().unwrap_or(1);
    op::AsyncOperation {
        id: status.request_id.clone(),
        state_deprecated: word.to_owned(),
        state: state.into(),
        check_duration: Some(prost_types::Duration { seconds, nanos: 0 }),
        operation_type: status.operation_type.clone(),
        operation_input: None,
        failure_reason: status.failure_reason.clone(),
        started_time: moment(&status.start_time),
        finished_time: status.finish_time.as_deref().and_then(moment),
    }
}

/// The account.
pub fn account(body: &AccountBody) -> account::Account {
    account::Account {
        id: body.id.clone(),
        spec: Some(account::AccountSpec::default()),
        resource_version: body.resource_version.clone(),
        state: active().0,
        ..account::Account::default()
    }
}

/// A region.
pub fn region(body: &RegionBody) -> wire::region::v1::Region {
    use wire::region::v1::region::CloudProvider;
    // The clients know no place of an operator's own and refuse a region without a provider; `tcld` says AWS where nobody says any.
    let (provider, word) = match body.cloud_provider.as_str() {
        "gcp" => (CloudProvider::Gcp, "gcp"),
        "azure" => (CloudProvider::Unspecified, "azure"),
        _ => (CloudProvider::Aws, "aws"),
    };
    wire::region::v1::Region {
        id: body.id.clone(),
        cloud_provider_deprecated: word.to_owned(),
        cloud_provider: provider.into(),
        cloud_provider_region: body.cloud_provider_region.clone(),
        location: body.location.clone(),
    }
}

/// An entry of the audit trail.
pub fn log_record(entry: &AuditEntry) -> wire::auditlog::v1::LogRecord {
    let kind = match entry.actor_kind.as_str() {
        "service_account" => "serviceaccount",
        other => other,
    };
    let details = serde_json::json!({
        "sequence": entry.sequence, "object_kind": entry.object_kind, "object_id": entry.object_id, "result": entry.result,
        "before": entry.before, "after": entry.after, "request_id": entry.request_id, "hash": entry.hash,
    });
    wire::auditlog::v1::LogRecord {
        emit_time: moment(&entry.time),
        operation: entry.action.clone(),
        status: if entry.result == "ok" { "OK" } else { "ERROR" }.to_owned(),
        version: 1,
        log_id: format!("{:020}", entry.sequence),
        principal: Some(wire::auditlog::v1::Principal {
            r#type: kind.to_owned(),
            id: entry.actor_id.clone(),
            name: entry.actor_name.clone(),
            api_key_id: entry.credential.clone(),
        }),
        raw_details: match structure(&details).kind {
            Some(prost_types::value::Kind::StructValue(details)) => Some(details),
            _ => None,
        },
        x_forwarded_for: entry.source.clone(),
        async_operation_id: entry.operation_id.clone(),
    }
}

fn structure(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(prost_types::ListValue { values: items.iter().map(structure).collect() }),
        Value::Object(members) => {
            let fields = members.iter().map(|(name, value)| (name.clone(), structure(value))).collect();
            Kind::StructValue(prost_types::Struct { fields })
        }
    };
    prost_types::Value { kind: Some(kind) }
}

/// A sink of the audit trail.
pub fn audit_sink(body: &AuditSinkBody) -> account::AuditLogSink {
    use account::audit_log_sink::Health;
    account::AuditLogSink {
        name: body.name.clone(),
        resource_version: body.resource_version.clone(),
        state: active().0,
        spec: Some(account::AuditLogSinkSpec {
            name: body.name.clone(),
            enabled: body.enabled,
            sink_type: Some(account::audit_log_sink_spec::SinkType::KinesisSink(wire::sink::v1::KinesisSpec {
                role_name: body.kinesis.role_name.clone(),
                destination_uri: body.kinesis.destination_uri.clone(),
                region: body.kinesis.region.clone(),
            })),
        }),
        health: if body.failure.is_empty() { Health::Ok } else { Health::ErrorUserConfiguration }.into(),
        error_message: body.failure.clone(),
        last_succeeded_time: None,
    }
}

/// A sink that is asked for. One of another kind has no destination here, which its use case says.
pub fn audit_sink_in(spec: account::AuditLogSinkSpec) -> CreateAuditSink {
    let kinesis = match spec.sink_type {
        Some(account::audit_log_sink_spec::SinkType::KinesisSink(sink)) => {
            Some(KinesisSink { role_name: sink.role_name, destination_uri: sink.destination_uri, region: sink.region })
        }
        _ => None,
    };
    CreateAuditSink { name: spec.name, enabled: Some(spec.enabled), kinesis }
}

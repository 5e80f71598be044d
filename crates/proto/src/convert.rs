//! Domain to wire and back.

use crate::rest::*;
use base64::Engine as _;
use countersign_core::access::{Access, AccountRole, NamespacePermission};
use countersign_core::application::{Application, ApplicationEnvironment, Environment};
use countersign_core::audit::Chained;
use countersign_core::credential::api_key::ApiKey;
use countersign_core::credential::certificate::{Certificate, CertificateFacts, CertificateStatus, Fingerprint};
use countersign_core::credential::hex;
use countersign_core::custom_role::CustomRole;
use countersign_core::filter::CertificateFilter;
use countersign_core::group::{GroupKind, UserGroup};
use countersign_core::id::CustomRoleId;
use countersign_core::identity::{ServiceAccount, User};
use countersign_core::issuer::{Issuer, IssuerKind, IssuerState, KeyPlace};
use countersign_core::name::NamespaceId;
use countersign_core::namespace::{AcceptedCa, Api, CodecServer, Namespace, UpstreamTimeouts};
use countersign_core::operation::{Operation, OperationState};
use countersign_core::printable::printable;
use countersign_core::receipt::Receipt;
use countersign_core::time::{Lifetime, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// RFC 3339 in UTC, whole seconds, as the field's tools print times.
pub fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| "out of range".to_owned(), |t| t.to_string())
}

/// RFC 3339 in UTC to the microsecond, for the audit trail: the chain's hash covers it.
pub fn exact_time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).map_or_else(|_| "out of range".to_owned(), |t| format!("{t:.6}"))
}

/// Reads RFC 3339; `None` for anything else, and outside the years 1970 to 2261.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let micros = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    (0..9_200_000_000_000_000).contains(&micros).then(|| Timestamp::from_micros(micros))
}

/// PEM of one certificate (RFC 7468), lines of 64, with a final newline.
pub fn certificate_pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|b| char::from(*b)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Rights to the wire.
pub fn access(access: &Access) -> AccessBody {
    AccessBody {
        account_role: access.account_role.to_string(),
        namespace_permissions: access.namespaces.iter().map(|(ns, p)| (ns.to_string(), p.to_string())).collect(),
        custom_roles: access.custom_roles.iter().map(ToString::to_string).collect(),
    }
}

/// A role from its word; the error is a sentence.
pub fn parse_role(text: &str) -> Result<AccountRole, String> {
    AccountRole::parse(text)
        .ok_or_else(|| format!("`{text}` is no account role; use owner, admin, developer, finance_admin, read or metrics_read"))
}

/// A permission from its word; the error is a sentence.
pub fn parse_permission(text: &str) -> Result<NamespacePermission, String> {
    NamespacePermission::parse(text).ok_or_else(|| format!("`{text}` is no namespace permission; use admin, write or read"))
}

/// A set of permissions; the error is a sentence.
pub fn parse_permissions(map: &BTreeMap<String, String>) -> Result<BTreeMap<NamespaceId, NamespacePermission>, String> {
    map.iter().map(|(ns, p)| Ok((NamespaceId::parse(ns).map_err(|e| e.to_string())?, parse_permission(p)?))).collect()
}

/// A set of custom roles; the error is a sentence.
pub fn parse_custom_roles(ids: &[String]) -> Result<BTreeSet<CustomRoleId>, String> {
    ids.iter().map(|id| CustomRoleId::parse(id).map_err(|_| format!("`{id}` is no id of a custom role"))).collect()
}

/// Rights from the wire; the error is a sentence.
pub fn parse_access(body: &AccessBody) -> Result<Access, String> {
    let mut access = Access::role(parse_role(&body.account_role)?);
    access.namespaces = parse_permissions(&body.namespace_permissions)?;
    access.custom_roles = parse_custom_roles(&body.custom_roles)?;
    Ok(access)
}

/// A user.
pub fn user(user: &User) -> UserBody {
    UserBody {
        id: user.id.to_string(),
        email: user.email.clone(),
        access: access(&user.access),
        resource_version: user.resource_version.to_string(),
        created_time: time(user.created_at),
        last_modified_time: time(user.modified_at),
    }
}

/// An application.
pub fn application(application: &Application) -> ApplicationBody {
    let environment = |environment: &ApplicationEnvironment| ApplicationEnvironmentBody {
        id: environment.id.to_string(),
        namespace_permissions: environment.access.namespaces.iter().map(|(ns, p)| (ns.to_string(), p.to_string())).collect(),
    };
    ApplicationBody {
        id: application.id.to_string(),
        name: application.name.clone(),
        description: application.description.clone(),
        owner_id: application.owner.as_ref().map(ToString::to_string),
        sandbox: environment(&application.sandbox),
        production: environment(&application.production),
        resource_version: application.resource_version.to_string(),
        created_time: time(application.created_at),
        last_modified_time: time(application.modified_at),
    }
}

/// A service account.
pub fn service_account(account: &ServiceAccount) -> ServiceAccountBody {
    ServiceAccountBody {
        id: account.id.to_string(),
        name: account.name.clone(),
        description: account.description.clone(),
        access: access(&account.access),
        namespace_scope: account.scope.as_ref().map(ToString::to_string),
        resource_version: account.resource_version.to_string(),
        created_time: time(account.created_at),
        last_modified_time: time(account.modified_at),
    }
}

/// A filter.
pub fn filter(filter: &CertificateFilter) -> FilterBody {
    FilterBody {
        common_name: filter.common_name.clone(),
        organization: filter.organization.clone(),
        organizational_unit: filter.organizational_unit.clone(),
        subject_alternative_name: filter.subject_alternative_name.clone(),
    }
}

/// A filter from the wire; an empty text is as good as none (`tcld` sends empty texts).
pub fn parse_filter(body: &FilterBody) -> CertificateFilter {
    let text = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
    CertificateFilter {
        common_name: text(&body.common_name),
        organization: text(&body.organization),
        organizational_unit: text(&body.organizational_unit),
        subject_alternative_name: text(&body.subject_alternative_name),
    }
}

/// An accepted CA.
pub fn accepted_ca(ca: &AcceptedCa) -> AcceptedCaBody {
    AcceptedCaBody {
        fingerprint: ca.fingerprint_sha1.clone(),
        fingerprint_sha256: ca.fingerprint.to_string(),
        issuer: printable(&ca.issuer).into_owned(),
        subject: printable(&ca.subject).into_owned(),
        not_before: time(ca.not_before),
        not_after: time(ca.not_after),
        base64_encoded_data: base64::engine::general_purpose::STANDARD.encode(certificate_pem(&ca.der)),
        warnings: ca.warnings.iter().map(|warning| printable(warning).into_owned()).collect(),
    }
}

/// Waits for an upstream.
pub fn upstream_timeouts(timeouts: UpstreamTimeouts) -> UpstreamTimeoutsBody {
    UpstreamTimeoutsBody {
        connect_seconds: timeouts.connect.map(Lifetime::seconds),
        response_head_seconds: timeouts.response_head.map(Lifetime::seconds),
        idle_seconds: timeouts.idle.map(Lifetime::seconds),
    }
}

/// An API.
pub fn api(namespace: &NamespaceId, api: &Api) -> ApiBody {
    ApiBody {
        id: api.id.to_string(),
        namespace: namespace.to_string(),
        name: api.name.clone(),
        listen_path: api.listen_path.clone(),
        upstream: api.upstream.as_ref().map(ToString::to_string),
        enable_api_key: api.authentication.api_key,
        enable_client_certificate: api.authentication.client_certificate,
        pass_api_key: api.pass_api_key,
        forward_client_certificate: api.forward_client_certificate,
        case_sensitive: api.case_sensitive,
        allowed_path_forms: api.allowed_path_forms.iter().map(ToString::to_string).collect(),
        upstream_timeouts: upstream_timeouts(api.timeouts),
        resource_version: api.resource_version.to_string(),
        created_time: time(api.created_at),
        last_modified_time: time(api.modified_at),
    }
}

/// A codec server.
pub fn codec_server(codec: &CodecServer) -> CodecServerBody {
    CodecServerBody {
        endpoint: codec.endpoint.clone(),
        pass_access_token: codec.pass_access_token,
        include_credentials: codec.include_credentials,
        custom_error_message: codec.custom_error_message.clone(),
        custom_error_link: codec.custom_error_link.clone(),
    }
}

/// A group.
pub fn user_group(group: &UserGroup) -> UserGroupBody {
    let google_group_email = match &group.kind {
        GroupKind::Cloud => None,
        GroupKind::Google { email } => Some(email.clone()),
    };
    UserGroupBody {
        id: group.id.to_string(),
        name: group.name.clone(),
        google_group_email,
        access: access(&group.access),
        resource_version: group.resource_version.to_string(),
        created_time: time(group.created_at),
        last_modified_time: time(group.modified_at),
    }
}

/// A custom role.
pub fn custom_role(role: &CustomRole) -> CustomRoleBody {
    let permissions = role.permissions.iter().map(|permission| RolePermission {
        resource_type: permission.resource_type.as_str().to_owned(),
        resource_ids: permission.resource_ids.iter().cloned().collect(),
        allow_all: permission.allow_all,
        actions: permission.actions.iter().cloned().collect(),
    });
    CustomRoleBody {
        id: role.id.to_string(),
        name: role.name.clone(),
        description: role.description.clone(),
        permissions: permissions.collect(),
        resource_version: role.resource_version.to_string(),
        created_time: time(role.created_at),
        last_modified_time: time(role.modified_at),
    }
}

/// A namespace; `port` is the gateway's.
pub fn namespace(ns: &Namespace, port: u16) -> NamespaceBody {
    NamespaceBody {
        namespace: ns.id.to_string(),
        hostname: ns.hostname.to_string(),
        extra_hostnames: ns.extra_hostnames.iter().map(ToString::to_string).collect(),
        endpoint: format!("{}:{port}", ns.hostname),
        upstream: ns.upstream.as_ref().map(ToString::to_string),
        auth_method: ns.auth_method.to_string(),
        accepted_client_cas: ns.accepted_client_cas.iter().map(accepted_ca).collect(),
        certificate_filters: ns.certificate_filters.iter().map(filter).collect(),
        apis: ns.apis.iter().map(|a| api(&ns.id, a)).collect(),
        upstream_timeouts: upstream_timeouts(ns.timeouts),
        snapshot_age_max_seconds: ns.snapshot_age_max.seconds(),
        delete_protection: ns.delete_protection,
        retention_days: ns.temporal.retention_days,
        search_attributes: ns.temporal.search_attributes.clone(),
        codec_server: ns.temporal.codec_server.as_ref().map(codec_server),
        regions: ns.temporal.regions.clone(),
        tags: ns.temporal.tags.clone(),
        resource_version: ns.resource_version.to_string(),
        created_time: time(ns.created_at),
        last_modified_time: time(ns.modified_at),
    }
}

/// An API key at `now`, with its use.
pub fn api_key(key: &ApiKey, usage: UsageBody, now: Timestamp) -> ApiKeyBody {
    ApiKeyBody {
        id: key.id.to_string(),
        name: key.name.clone(),
        description: key.description.clone(),
        owner_id: key.owner.as_str().to_owned(),
        owner_name: String::new(),
        owner_type: key.owner.kind().to_owned(),
        state: key.state(now).as_str().to_owned(),
        expiry_time: time(key.expires_at),
        apis: key.apis.iter().map(ToString::to_string).collect(),
        parent: key.parent.as_ref().map(ToString::to_string),
        usage,
        resource_version: key.resource_version.to_string(),
        created_time: time(key.created_at),
        last_modified_time: time(key.modified_at),
    }
}

/// A registered certificate at `now`, with its use.
pub fn certificate(certificate: &Certificate, usage: UsageBody, now: Timestamp) -> CertificateBody {
    let state = match certificate.status {
        CertificateStatus::Revoked => "revoked",
        CertificateStatus::Held => "held",
        CertificateStatus::Active if now.seconds() > certificate.facts.not_after.seconds() => "expired",
        CertificateStatus::Active => "active",
    };
    CertificateBody {
        id: certificate.id.to_string(),
        alias: certificate.alias.clone(),
        fingerprint_sha256: certificate.fingerprint.to_string(),
        subject: printable(&certificate.facts.subject).into_owned(),
        issuer: printable(&certificate.facts.issuer).into_owned(),
        serial: certificate.facts.serial.clone(),
        not_before: time(certificate.facts.not_before),
        not_after: time(certificate.facts.not_after),
        state: state.to_owned(),
        proven: certificate.proven,
        issuer_id: certificate.issuer.as_ref().map(ToString::to_string),
        owner_id: certificate.owner.as_str().to_owned(),
        owner_name: String::new(),
        owner_type: certificate.owner.kind().to_owned(),
        apis: certificate.apis.iter().map(ToString::to_string).collect(),
        usage,
        pem: certificate_pem(&certificate.der),
        resource_version: certificate.resource_version.to_string(),
        created_time: time(certificate.created_at),
        revoked_time: certificate.revoked_at.map(time),
        revocation_reason: certificate.reason.map(|reason| reason.as_str().to_owned()),
        replaces: certificate.replaces.as_ref().map(ToString::to_string),
        replaced_by: certificate.replaced_by.as_ref().map(ToString::to_string),
    }
}

/// An issuer. `facts` are its certificate's, where that can be read; `pem` is the certificate.
pub fn issuer(issuer: &Issuer, facts: Option<&CertificateFacts>, pem: String) -> IssuerBody {
    let days = |lifetime: Lifetime| lifetime.seconds() / 86_400;
    IssuerBody {
        id: issuer.id.to_string(),
        name: issuer.name.clone(),
        kind: match issuer.kind {
            IssuerKind::Root => "root",
            IssuerKind::Issuing => "issuing",
        }
        .to_owned(),
        environment: issuer.environment.map_or("both", Environment::as_str).to_owned(),
        state: match issuer.state {
            IssuerState::Staged => "staged",
            IssuerState::Active => "active",
            IssuerState::Retiring => "retiring",
            IssuerState::Retired => "retired",
        }
        .to_owned(),
        subject: facts.map(|facts| printable(&facts.subject).into_owned()).unwrap_or_default(),
        fingerprint_sha256: Fingerprint::of(&issuer.der).to_string(),
        not_before: facts.map(|facts| time(facts.not_before)).unwrap_or_default(),
        not_after: facts.map(|facts| time(facts.not_after)).unwrap_or_default(),
        parent_id: issuer.parent.as_ref().map(ToString::to_string),
        key: match issuer.key {
            KeyPlace::Sealed { .. } => "sealed",
            KeyPlace::Pkcs11 { .. } => "pkcs11",
            KeyPlace::Absent => "absent",
        }
        .to_owned(),
        lifetime_default_days: days(issuer.policy.lifetime_default),
        lifetime_max_days: days(issuer.policy.lifetime_max),
        crl_url: issuer.policy.crl_url.clone(),
        ocsp_url: issuer.policy.ocsp_url.clone(),
        key_reuse: issuer.policy.key_reuse,
        certificate_pem: pem,
        resource_version: issuer.resource_version.to_string(),
        created_time: time(issuer.created_at),
        last_modified_time: time(issuer.modified_at),
    }
}

/// A receipt.
pub fn receipt(receipt: &Receipt) -> ReceiptBody {
    ReceiptBody {
        revision: receipt.revision,
        in_effect: receipt.in_effect(),
        connections_cut: receipt.connections_cut(),
        streams_cut: receipt.streams_cut(),
        gateways: receipt
            .applied
            .iter()
            .map(|a| AppliedBody {
                gateway: a.gateway.clone(),
                revision: a.revision,
                // Microseconds of at most minutes: exact in a double.
                milliseconds: a.micros as f64 / 1000.0,
                connections_cut: a.connections_cut,
                streams_cut: a.streams_cut,
            })
            .collect(),
        outstanding: receipt.outstanding.clone(),
    }
}

/// An operation.
pub fn request_status(operation: &Operation) -> RequestStatus {
    let state = match operation.state {
        OperationState::InProgress => "InProgress",
        OperationState::Fulfilled => "Fulfilled",
        OperationState::Failed => "Failed",
    };
    RequestStatus {
        request_id: operation.id.to_string(),
        state: state.to_owned(),
        check_duration: if operation.state == OperationState::InProgress { "1s" } else { "0s" }.to_owned(),
        operation_type: operation.operation_type.clone(),
        resource_id: operation.resource_id.clone(),
        resource_type: operation.resource_type.clone(),
        failure_reason: operation.failure_reason.clone(),
        start_time: time(operation.started_at),
        finish_time: operation.finished_at.map(time),
        receipt: operation.receipt.as_ref().map(receipt),
    }
}

/// An audit entry. `before` and `after` were written by serde_json from a value, so printing the value again gives the same text.
pub fn audit_entry(chained: &Chained) -> AuditEntry {
    let entry = &chained.entry;
    let json = |text: &str| serde_json::from_str(text).ok();
    AuditEntry {
        sequence: chained.sequence,
        time: exact_time(entry.at),
        actor_kind: entry.actor_kind.clone(),
        actor_id: entry.actor_id.clone(),
        actor_name: entry.actor_name.clone(),
        credential: entry.credential.clone(),
        action: entry.action.clone(),
        object_kind: entry.object_kind.clone(),
        object_id: entry.object_id.clone(),
        result: entry.result.clone(),
        before: json(&entry.before),
        after: json(&entry.after),
        source: entry.source.clone(),
        request_id: entry.request_id.clone(),
        operation_id: entry.operation_id.clone(),
        previous_hash: hex(&chained.previous),
        hash: hex(&chained.hash),
    }
}

/// An audit entry back from the wire, to verify a chain offline. `None` when a member is not readable.
pub fn parse_audit_entry(body: &AuditEntry) -> Option<Chained> {
    use countersign_core::audit::Entry;
    use countersign_core::credential::unhex;
    let text = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    Some(Chained {
        sequence: body.sequence,
        entry: Entry {
            at: parse_time(&body.time)?,
            actor_kind: body.actor_kind.clone(),
            actor_id: body.actor_id.clone(),
            actor_name: body.actor_name.clone(),
            credential: body.credential.clone(),
            action: body.action.clone(),
            object_kind: body.object_kind.clone(),
            object_id: body.object_id.clone(),
            result: body.result.clone(),
            before: text(&body.before),
            after: text(&body.after),
            source: body.source.clone(),
            request_id: body.request_id.clone(),
            operation_id: body.operation_id.clone(),
        },
        previous: unhex(&body.previous_hash)?,
        hash: unhex(&body.hash)?,
    })
}

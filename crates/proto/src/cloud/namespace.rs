//! Namespaces: one stored bundle, three views of it; whole specs in, whole specs out.

use super::{active, moment, wire};
use crate::rest::{CodecServerBody, CreateNamespace, FilterBody, NamespaceBody, UpdateNamespace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use wire::namespace::v1 as ns;

const TYPES: [(ns::namespace_spec::SearchAttributeType, &str); 7] = [
    (ns::namespace_spec::SearchAttributeType::Text, "text"),
    (ns::namespace_spec::SearchAttributeType::Keyword, "keyword"),
    (ns::namespace_spec::SearchAttributeType::Int, "int"),
    (ns::namespace_spec::SearchAttributeType::Double, "double"),
    (ns::namespace_spec::SearchAttributeType::Bool, "bool"),
    (ns::namespace_spec::SearchAttributeType::Datetime, "datetime"),
    (ns::namespace_spec::SearchAttributeType::KeywordList, "keyword_list"),
];

/// PEM blocks trimmed and joined by one line feed without one at the end: the form in which the field's tools compare bundles.
pub fn canonical_bundle(body: &NamespaceBody) -> String {
    let blocks = body.accepted_client_cas.iter().filter_map(|ca| STANDARD.decode(&ca.base64_encoded_data).ok());
    let texts: Vec<String> = blocks.map(|pem| String::from_utf8_lossy(&pem).trim().to_owned()).collect();
    texts.join("\n")
}

/// A namespace; `pages` is where people reach the control plane, without a slash at its end.
pub fn namespace(body: &NamespaceBody, pages: &str) -> ns::Namespace {
    let (state, state_deprecated) = active();
    let mtls = matches!(body.auth_method.as_str(), "mtls" | "api_key_or_mtls");
    let api_key = matches!(body.auth_method.as_str(), "api_key" | "api_key_or_mtls");
    let bundle = canonical_bundle(body);
    let filters: Vec<_> = body.certificate_filters.iter().map(filter_out).collect();
    let mtls_auth = (mtls || !bundle.is_empty() || !filters.is_empty()).then(|| ns::MtlsAuthSpec {
        accepted_client_ca_deprecated: if bundle.is_empty() { String::new() } else { STANDARD.encode(&bundle) },
        accepted_client_ca: bundle.clone().into_bytes(),
        certificate_filters: filters,
        enabled: mtls,
    });
    let name = body.namespace.rsplit_once('.').map_or(body.namespace.as_str(), |(name, _)| name).to_owned();
    let attributes = body.search_attributes.iter();
    let spec = ns::NamespaceSpec {
        name,
        regions: body.regions.clone(),
        retention_days: body.retention_days,
        mtls_auth,
        api_key_auth: Some(ns::ApiKeyAuthSpec { enabled: api_key }),
        custom_search_attributes: attributes.clone().map(|(name, kind)| (name.clone(), old_type(kind))).collect(),
        search_attributes: attributes.map(|(name, kind)| (name.clone(), type_out(kind))).collect(),
        codec_server: body.codec_server.as_ref().map(codec_out),
        lifecycle: Some(ns::LifecycleSpec { enable_delete_protection: body.delete_protection }),
        replicas: body.regions.iter().map(|region| ns::ReplicaSpec { region: region.clone() }).collect(),
        ..ns::NamespaceSpec::default()
    };
    ns::Namespace {
        namespace: body.namespace.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(spec),
        state,
        state_deprecated,
        endpoints: Some(ns::Endpoints {
            web_address: format!("{pages}/"),
            mtls_grpc_address: if mtls { body.endpoint.clone() } else { String::new() },
            grpc_address: if api_key { body.endpoint.clone() } else { String::new() },
        }),
        active_region: body.regions.first().cloned().unwrap_or_default(),
        created_time: moment(&body.created_time),
        last_modified_time: moment(&body.last_modified_time),
        tags: body.tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        ..ns::Namespace::default()
    }
}

fn filter_out(filter: &FilterBody) -> ns::CertificateFilterSpec {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    ns::CertificateFilterSpec {
        common_name: text(&filter.common_name),
        organization: text(&filter.organization),
        organizational_unit: text(&filter.organizational_unit),
        subject_alternative_name: text(&filter.subject_alternative_name),
    }
}

fn filter_in(filter: &ns::CertificateFilterSpec) -> FilterBody {
    let text = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
    FilterBody {
        common_name: text(&filter.common_name),
        organization: text(&filter.organization),
        organizational_unit: text(&filter.organizational_unit),
        subject_alternative_name: text(&filter.subject_alternative_name),
    }
}

fn type_out(kind: &str) -> i32 {
    TYPES.iter().find(|(_, word)| *word == kind).map_or(0, |(number, _)| i32::from(*number))
}

/// The old map names types in camel case: `KeywordList`.
fn old_type(kind: &str) -> String {
    kind.split('_').map(|part| part[..1].to_ascii_uppercase() + &part[1..]).collect()
}

fn codec_out(codec: &CodecServerBody) -> ns::CodecServerSpec {
    use ns::codec_server_spec::{CustomErrorMessage, custom_error_message::ErrorMessage};
    let said = !codec.custom_error_message.is_empty() || !codec.custom_error_link.is_empty();
    let default = Some(ErrorMessage { message: codec.custom_error_message.clone(), link: codec.custom_error_link.clone() });
    ns::CodecServerSpec {
        endpoint: codec.endpoint.clone(),
        pass_access_token: codec.pass_access_token,
        include_cross_origin_credentials: codec.include_credentials,
        custom_error_message: said.then_some(CustomErrorMessage { default }),
    }
}

fn codec_in(codec: Option<ns::CodecServerSpec>) -> CodecServerBody {
    let Some(codec) = codec else { return CodecServerBody::default() };
    let said = codec.custom_error_message.and_then(|message| message.default).unwrap_or_default();
    CodecServerBody {
        endpoint: codec.endpoint,
        pass_access_token: codec.pass_access_token,
        include_credentials: codec.include_cross_origin_credentials,
        custom_error_message: said.message,
        custom_error_link: said.link,
    }
}

/// What a whole spec asks for, in the parts that making and changing share.
struct Whole {
    auth_method: &'static str,
    bundle: String,
    filters: Vec<FilterBody>,
    retention_days: Option<i32>,
    search_attributes: BTreeMap<String, String>,
    codec_server: CodecServerBody,
    delete_protection: bool,
    regions: Vec<String>,
}

fn whole(spec: ns::NamespaceSpec) -> Result<Whole, String> {
    let outside = [
        (spec.high_availability.as_ref().is_some_and(|ha| *ha != ns::HighAvailabilitySpec::default()), "high_availability"),
        (!spec.connectivity_rule_ids.is_empty(), "connectivity_rule_ids"),
        (spec.capacity_spec.as_ref().is_some_and(|capacity| capacity.spec.is_some()), "capacity_spec"),
        (spec.fairness.as_ref().is_some_and(|fairness| fairness.task_queue_fairness_enabled), "fairness"),
    ];
    if let Some((_, name)) = outside.iter().find(|(given, _)| *given) {
        return Err(format!(
            "spec.{name} is a matter of the service behind the door; Countersign keeps credentials and lets nobody set it here"
        ));
    }
    let mtls = spec.mtls_auth.unwrap_or_default();
    let api_key = spec.api_key_auth.is_some_and(|auth| auth.enabled);
    let bundle = if mtls.accepted_client_ca.is_empty() {
        mtls.accepted_client_ca_deprecated
    } else {
        String::from_utf8(mtls.accepted_client_ca).map_err(|_| "spec.mtls_auth.accepted_client_ca is PEM text".to_owned())?
    };
    let mut search_attributes = BTreeMap::new();
    for (name, number) in spec.search_attributes {
        let known = TYPES.iter().find(|(kind, _)| i32::from(*kind) == number);
        let (_, word) = known.ok_or_else(|| format!("the search attribute {name} has no type"))?;
        search_attributes.insert(name, (*word).to_owned());
    }
    if search_attributes.is_empty() {
        search_attributes = spec.custom_search_attributes.into_iter().collect();
    }
    let mut regions = spec.regions;
    if regions.is_empty() {
        regions = spec.replicas.into_iter().map(|replica| replica.region).collect();
    }
    Ok(Whole {
        auth_method: match (mtls.enabled, api_key) {
            (true, true) => "api_key_or_mtls",
            (true, false) => "mtls",
            (false, true) => "api_key",
            (false, false) => "restricted",
        },
        bundle,
        filters: mtls.certificate_filters.iter().map(filter_in).collect(),
        retention_days: Some(spec.retention_days).filter(|days| *days != 0),
        search_attributes,
        codec_server: codec_in(spec.codec_server),
        delete_protection: spec.lifecycle.is_some_and(|lifecycle| lifecycle.enable_delete_protection),
        regions,
    })
}

/// A namespace that is asked for. Clients of an older age give certificates without the switch: they mean it on.
pub fn create_namespace(mut spec: ns::NamespaceSpec, tags: BTreeMap<String, String>) -> Result<CreateNamespace, String> {
    if let Some(mtls) = &mut spec.mtls_auth {
        mtls.enabled |= !mtls.accepted_client_ca.is_empty() || !mtls.accepted_client_ca_deprecated.is_empty();
    }
    let name = std::mem::take(&mut spec.name);
    let whole = whole(spec)?;
    Ok(CreateNamespace {
        name,
        auth_method: Some(whole.auth_method.to_owned()),
        accepted_client_ca: Some(whole.bundle).filter(|bundle| !bundle.is_empty()),
        certificate_filters: whole.filters,
        retention_days: whole.retention_days,
        search_attributes: Some(whole.search_attributes),
        codec_server: Some(whole.codec_server),
        delete_protection: Some(whole.delete_protection),
        regions: Some(whole.regions),
        tags: Some(tags),
        ..CreateNamespace::default()
    })
}

/// A whole new spec: what is missing is empty. `mtls_auth` absent means disabled and empty.
pub fn update_namespace(spec: ns::NamespaceSpec, resource_version: &str) -> Result<UpdateNamespace, String> {
    let whole = whole(spec)?;
    Ok(UpdateNamespace {
        auth_method: Some(whole.auth_method.to_owned()),
        accepted_client_ca: Some(whole.bundle),
        certificate_filters: Some(whole.filters),
        retention_days: whole.retention_days,
        search_attributes: Some(whole.search_attributes),
        codec_server: Some(whole.codec_server),
        delete_protection: Some(whole.delete_protection),
        regions: Some(whole.regions).filter(|regions| !regions.is_empty()),
        resource_version: Some(resource_version.to_owned()).filter(|version| !version.is_empty()),
        ..UpdateNamespace::default()
    })
}

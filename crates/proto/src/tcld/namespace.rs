//! Namespaces and regions.

use super::{account, moment, ns, public};
use crate::cloud::{self, canonical_bundle};
use crate::rest::{CreateNamespace, NamespaceBody, RegionBody, UpdateNamespace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use public::namespace::v1 as theirs;
use std::collections::BTreeMap;

const METHODS: [(ns::AuthMethod, &str); 4] = [
    (ns::AuthMethod::Restricted, "restricted"),
    (ns::AuthMethod::Mtls, "mtls"),
    (ns::AuthMethod::ApiKey, "api_key"),
    (ns::AuthMethod::ApiKeyOrMtls, "api_key_or_mtls"),
];
const TYPES: [(ns::SearchAttributeType, theirs::namespace_spec::SearchAttributeType, &str); 7] = [
    (ns::SearchAttributeType::Keyword, theirs::namespace_spec::SearchAttributeType::Keyword, "keyword"),
    (ns::SearchAttributeType::Text, theirs::namespace_spec::SearchAttributeType::Text, "text"),
    (ns::SearchAttributeType::Int, theirs::namespace_spec::SearchAttributeType::Int, "int"),
    (ns::SearchAttributeType::Double, theirs::namespace_spec::SearchAttributeType::Double, "double"),
    (ns::SearchAttributeType::Datetime, theirs::namespace_spec::SearchAttributeType::Datetime, "datetime"),
    (ns::SearchAttributeType::Bool, theirs::namespace_spec::SearchAttributeType::Bool, "bool"),
    (ns::SearchAttributeType::KeywordList, theirs::namespace_spec::SearchAttributeType::KeywordList, "keyword_list"),
];

/// A region's name and provider. The client knows two providers; a place of the operator's own goes by the first.
pub fn region_id(body: &RegionBody) -> ns::RegionId {
    let provider = match body.cloud_provider.as_str() {
        "gcp" => ns::region_id::CloudProvider::Gcp,
        _ => ns::region_id::CloudProvider::Aws,
    };
    ns::RegionId { name: body.cloud_provider_region.clone(), provider: provider.into() }
}

/// A region.
pub fn region(body: &RegionBody) -> account::Region {
    account::Region { region_id: Some(region_id(body)), ..account::Region::default() }
}

/// The texts that may name a region here: with its provider, and alone, as the client cannot say that there is none.
pub fn region_names(id: &ns::RegionId) -> [String; 2] {
    let provider = match ns::region_id::CloudProvider::try_from(id.provider) {
        Ok(ns::region_id::CloudProvider::Gcp) => "gcp",
        _ => "aws",
    };
    [format!("{provider}-{}", id.name), id.name.clone()]
}

/// A namespace; `regions` are all there are, `pages` is where people reach the control plane, without a slash at its end.
pub fn namespace(body: &NamespaceBody, regions: &[RegionBody], pages: &str) -> ns::Namespace {
    let bundle = canonical_bundle(body);
    let auth_method = METHODS.iter().find(|(_, word)| *word == body.auth_method).map_or(0, |(number, _)| i32::from(*number));
    let number = |word: &str| TYPES.iter().find(|(_, _, known)| *known == word).map_or(0, |(number, _, _)| i32::from(*number));
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let codec = body.codec_server.as_ref().map(|codec| {
        use ns::codec_server_property_spec::{CustomErrorMessage, custom_error_message::ErrorMessage};
        let said = !codec.custom_error_message.is_empty() || !codec.custom_error_link.is_empty();
        let default = Some(ErrorMessage { message: codec.custom_error_message.clone(), link: codec.custom_error_link.clone() });
        ns::CodecServerPropertySpec {
            endpoint: codec.endpoint.clone(),
            pass_access_token: codec.pass_access_token,
            include_credentials: codec.include_credentials,
            custom_error_message: said.then_some(CustomErrorMessage { default }),
        }
    });
    let places: Vec<ns::RegionId> =
        body.regions.iter().filter_map(|id| regions.iter().find(|region| region.id == *id)).map(region_id).collect();
    let spec = ns::NamespaceSpec {
        accepted_client_ca: if bundle.is_empty() { String::new() } else { STANDARD.encode(bundle) },
        retention_days: body.retention_days,
        search_attributes: body.search_attributes.iter().map(|(name, kind)| (name.clone(), number(kind))).collect(),
        certificate_filters: body
            .certificate_filters
            .iter()
            .map(|filter| ns::CertificateFilterSpec {
                common_name: text(&filter.common_name),
                organization: text(&filter.organization),
                organizational_unit: text(&filter.organizational_unit),
                subject_alternative_name: text(&filter.subject_alternative_name),
            })
            .collect(),
        codec_spec: codec,
        auth_method,
        region_id: places.first().cloned(),
        lifecycle: Some(ns::LifecycleSpec { enable_delete_protection: body.delete_protection }),
        // The client sets a member of this one without asking whether it is there.
        high_availability: Some(ns::HighAvailabilitySpec::default()),
        passive_region_ids: places.iter().skip(1).cloned().collect(),
        ..ns::NamespaceSpec::default()
    };
    let active = |(at, id): (usize, ns::RegionId)| ns::NamespaceRegion {
        region_id: Some(id),
        replica_mode: if at == 0 { ns::ReplicaMode::Active.into() } else { ns::ReplicaMode::Passive.into() },
        replica_state: ns::ReplicaState::Activated.into(),
    };
    ns::Namespace {
        namespace: body.namespace.clone(),
        resource_version: body.resource_version.clone(),
        spec: Some(spec),
        state: ns::State::Active.into(),
        last_modified_time: moment(&body.last_modified_time),
        uri: Some(ns::NamespaceUri { web: format!("{pages}/"), grpc: body.endpoint.clone(), ..ns::NamespaceUri::default() }),
        regions: places.into_iter().enumerate().map(active).collect(),
        tags: body.tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        ..ns::Namespace::default()
    }
}

/// The same spec in the words of the Cloud Ops API, and the auth method, if one is given. `place` finds a region's id.
fn spec_in(spec: ns::NamespaceSpec, place: impl Fn(&ns::RegionId) -> String) -> Result<(theirs::NamespaceSpec, Option<String>), String> {
    let method = match METHODS.iter().find(|(number, _)| i32::from(*number) == spec.auth_method) {
        Some((_, word)) => Some((*word).to_owned()),
        None if spec.auth_method == 0 => None,
        None => return Err("spec.auth_method is restricted, mtls, api_key or api_key_or_mtls".to_owned()),
    };
    let mut search_attributes = std::collections::HashMap::new();
    for (name, number) in spec.search_attributes {
        let known = TYPES.iter().find(|(known, _, _)| i32::from(*known) == number);
        let (_, kind, _) = known.ok_or_else(|| format!("the search attribute {name} has no type"))?;
        search_attributes.insert(name, i32::from(*kind));
    }
    let filter = |filter: ns::CertificateFilterSpec| theirs::CertificateFilterSpec {
        common_name: filter.common_name,
        organization: filter.organization,
        organizational_unit: filter.organizational_unit,
        subject_alternative_name: filter.subject_alternative_name,
    };
    let mtls = theirs::MtlsAuthSpec {
        accepted_client_ca_deprecated: spec.accepted_client_ca,
        certificate_filters: spec.certificate_filters.into_iter().map(filter).collect(),
        enabled: matches!(method.as_deref(), Some("mtls" | "api_key_or_mtls")),
        ..theirs::MtlsAuthSpec::default()
    };
    let codec_server = spec.codec_spec.map(|codec| {
        use theirs::codec_server_spec::{CustomErrorMessage, custom_error_message::ErrorMessage};
        let said = codec.custom_error_message.and_then(|message| message.default);
        let default = said.map(|said| ErrorMessage { message: said.message, link: said.link });
        theirs::CodecServerSpec {
            endpoint: codec.endpoint,
            pass_access_token: codec.pass_access_token,
            include_cross_origin_credentials: codec.include_credentials,
            custom_error_message: default.map(|default| CustomErrorMessage { default: Some(default) }),
        }
    });
    let high_availability = spec
        .high_availability
        .filter(|ha| ha.disable_managed_failover)
        .map(|_| theirs::HighAvailabilitySpec { disable_managed_failover: true, ..theirs::HighAvailabilitySpec::default() });
    let mut regions: Vec<String> = spec.region_id.iter().chain(&spec.passive_region_ids).map(&place).collect();
    regions.extend(spec.passive_regions.into_iter().filter(|region| spec.passive_region_ids.iter().all(|id| id.name != *region)));
    let made = theirs::NamespaceSpec {
        regions,
        retention_days: spec.retention_days,
        mtls_auth: Some(mtls),
        api_key_auth: Some(theirs::ApiKeyAuthSpec { enabled: matches!(method.as_deref(), Some("api_key" | "api_key_or_mtls")) }),
        search_attributes,
        codec_server,
        lifecycle: spec.lifecycle.map(|lifecycle| theirs::LifecycleSpec { enable_delete_protection: lifecycle.enable_delete_protection }),
        high_availability,
        connectivity_rule_ids: spec.connectivity_rule_ids,
        ..theirs::NamespaceSpec::default()
    };
    Ok((made, method))
}

/// A namespace that is asked for. The error is a sentence.
pub fn create_namespace(
    name: String,
    spec: ns::NamespaceSpec,
    tags: BTreeMap<String, String>,
    place: impl Fn(&ns::RegionId) -> String,
) -> Result<CreateNamespace, String> {
    let (mut spec, method) = spec_in(spec, place)?;
    spec.name = name;
    let mut body = cloud::create_namespace(spec, tags)?;
    // Said in so many words, it is what is meant, also where certificates are given beside it.
    body.auth_method = method.or(body.auth_method);
    Ok(body)
}

/// A whole new spec: what is missing is empty, but for the auth method, which clients of an older age do not know. The error is a sentence.
pub fn update_namespace(
    spec: ns::NamespaceSpec,
    resource_version: &str,
    place: impl Fn(&ns::RegionId) -> String,
) -> Result<UpdateNamespace, String> {
    let (spec, method) = spec_in(spec, place)?;
    let mut body = cloud::update_namespace(spec, resource_version)?;
    body.auth_method = method;
    Ok(body)
}

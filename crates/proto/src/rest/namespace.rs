//! Namespaces, accepted client CAs, filters and APIs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A certificate filter, by `tcld`'s names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilterBody {
    /// The subject's CN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The subject's O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The subject's OU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizational_unit: Option<String>,
    /// Any alternative name: `dns:`, `uri:`, `email:` or `ip:`, DNS when no kind is named. A `*` is one whole label or segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_alternative_name: Option<String>,
}

/// The filters of a namespace: `GET`, `PUT` (whole) and `POST` (add) `/namespaces/{id}/certificate-filters`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Filters {
    /// In order.
    pub filters: Vec<FilterBody>,
}

/// An accepted client CA.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedCaBody {
    /// SHA-1 of the DER, lower-case hexadecimal: what `tcld` prints and takes.
    pub fingerprint: String,
    /// SHA-256 of the DER.
    pub fingerprint_sha256: String,
    /// The issuer.
    pub issuer: String,
    /// The subject.
    pub subject: String,
    /// First moment of validity.
    pub not_before: String,
    /// Last moment of validity.
    pub not_after: String,
    /// The certificate, base64 of its PEM.
    pub base64_encoded_data: String,
    /// What was remarkable when it was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `GET /namespaces/{id}/accepted-client-cas`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedCas {
    /// In order.
    pub accepted_client_cas: Vec<AcceptedCaBody>,
}

/// `POST` (add) and `PUT` (set) `/namespaces/{id}/accepted-client-cas`: PEM text, or base64 of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaBundle {
    /// One or more CA certificates.
    pub certificates: String,
    /// Refuses the change when it is not the namespace's current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// How a browser's payloads are decoded for Temporal's web UI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodecServerBody {
    /// An `https` address.
    pub endpoint: String,
    /// Whether the browser sends its access token there.
    #[serde(default)]
    pub pass_access_token: bool,
    /// Whether the browser sends credentials across origins.
    #[serde(default)]
    pub include_credentials: bool,
    /// What people are told when it fails.
    #[serde(default)]
    pub custom_error_message: String,
    /// Where that message links to.
    #[serde(default)]
    pub custom_error_link: String,
}

/// A namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceBody {
    /// `<name>.<account>`.
    pub namespace: String,
    /// The host it is reached at.
    pub hostname: String,
    /// Further hosts.
    pub extra_hostnames: Vec<String>,
    /// `hostname:port` of the gateway.
    pub endpoint: String,
    /// Where requests go that no API covers.
    pub upstream: Option<String>,
    /// `restricted`, `mtls`, `api_key` or `api_key_or_mtls`.
    pub auth_method: String,
    /// CAs.
    pub accepted_client_cas: Vec<AcceptedCaBody>,
    /// Filters.
    pub certificate_filters: Vec<FilterBody>,
    /// Routes.
    pub apis: Vec<ApiBody>,
    /// How long the gateway waits for upstreams.
    #[serde(default)]
    pub upstream_timeouts: UpstreamTimeoutsBody,
    /// Seconds a gateway that hears nothing goes on serving it.
    pub snapshot_age_max_seconds: i64,
    /// Whether it cannot be deleted until this is taken off.
    pub delete_protection: bool,
    /// Days that a closed workflow is kept; 0 where nobody has said.
    pub retention_days: i32,
    /// Search attributes of Temporal, name to type.
    pub search_attributes: BTreeMap<String, String>,
    /// The codec server of Temporal's web UI.
    pub codec_server: Option<CodecServerBody>,
    /// Regions.
    pub regions: Vec<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /namespaces`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateNamespace {
    /// The name without the account, or `<name>.<account>`.
    pub name: String,
    /// Where requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// `restricted` when absent: a new namespace is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
    /// CA certificates, PEM or base64 of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_client_ca: Option<String>,
    /// Filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_filters: Vec<FilterBody>,
    /// Further hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hostnames: Vec<String>,
    /// How long the gateway waits for upstreams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_timeouts: Option<UpstreamTimeoutsBody>,
    /// Days that a closed workflow is kept, 1 to 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<i32>,
    /// Search attributes of Temporal: name to `text`, `keyword`, `int`, `double`, `bool`, `datetime` or `keyword_list`.
    #[serde(default, deserialize_with = "super::once::maybe", skip_serializing_if = "Option::is_none")]
    pub search_attributes: Option<BTreeMap<String, String>>,
    /// The codec server of Temporal's web UI; an empty endpoint takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec_server: Option<CodecServerBody>,
    /// Whether it cannot be deleted until this is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_protection: Option<bool>,
    /// Regions, by the ids of `GET /regions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// Labels: up to 10 of 1 to 63 characters.
    #[serde(default, deserialize_with = "super::once::maybe", skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// `PATCH /namespaces/{id}`: absent members stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateNamespace {
    /// A new upstream; an empty text takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// A new auth method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
    /// The whole new set of further hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_hostnames: Option<Vec<String>>,
    /// 60 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_age_max_seconds: Option<i64>,
    /// How long the gateway waits for upstreams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_timeouts: Option<UpstreamTimeoutsBody>,
    /// The whole new bundle of accepted client CAs, PEM or base64 of it; an empty text takes all away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_client_ca: Option<String>,
    /// The whole new set of certificate filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_filters: Option<Vec<FilterBody>>,
    /// Days that a closed workflow is kept, 1 to 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<i32>,
    /// Search attributes of Temporal: name to `text`, `keyword`, `int`, `double`, `bool`, `datetime` or `keyword_list`.
    #[serde(default, deserialize_with = "super::once::maybe", skip_serializing_if = "Option::is_none")]
    pub search_attributes: Option<BTreeMap<String, String>>,
    /// The codec server of Temporal's web UI; an empty endpoint takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec_server: Option<CodecServerBody>,
    /// Whether it cannot be deleted until this is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_protection: Option<bool>,
    /// Regions, by the ids of `GET /regions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// How long the gateway waits for an upstream, in seconds. An absent member is the wider setting: the namespace's, then the gateway's own
/// (5 to connect, 30 for a response head, no bound between two bytes). In a change, an absent member stays as it is and 0 takes the
/// setting away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTimeoutsBody {
    /// For a connection, its TLS handshake included: 1 to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_seconds: Option<i64>,
    /// For the head of a response, counted from the end of the request's body or the last bytes of it that were sent: 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_head_seconds: Option<i64>,
    /// For the next byte in either direction, once a response has begun: 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<i64>,
}

/// An API: `GET`, and the answer of lists.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiBody {
    /// The id.
    pub id: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The path at and below which it listens.
    pub listen_path: String,
    /// Where its requests go; the namespace's when absent.
    pub upstream: Option<String>,
    /// Whether it takes API keys.
    pub enable_api_key: bool,
    /// Whether it takes client certificates (seed 003's *Enable client certificate*).
    pub enable_client_certificate: bool,
    /// Whether the API key is passed on.
    pub pass_api_key: bool,
    /// Whether `Client-Cert` (RFC 9440) is set.
    pub forward_client_certificate: bool,
    /// Whether a path that differs from the listen path in case only is another path. Otherwise such a path is refused.
    #[serde(default)]
    pub case_sensitive: bool,
    /// The forms of a path that are refused unless they are named here: `encoded_unreserved`, `encoded_dot`, `encoded_slash`,
    /// `encoded_backslash`, `encoded_delimiter`, `encoded_control`, `dot_segment`, `empty_segment`, `semicolon`.
    #[serde(default)]
    pub allowed_path_forms: Vec<String>,
    /// How long the gateway waits for the upstream.
    #[serde(default)]
    pub upstream_timeouts: UpstreamTimeoutsBody,
    /// For updates.
    pub resource_version: String,
    /// When it was made.
    pub created_time: String,
    /// When it was last changed.
    pub last_modified_time: String,
}

/// `POST /namespaces/{id}/apis` and `PATCH /namespaces/{id}/apis/{api}` (absent members stay, or take the default).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiSpec {
    /// The name; demanded at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The listen path; demanded at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_path: Option<String>,
    /// Where its requests go; an empty text means the namespace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// True by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_api_key: Option<bool>,
    /// False by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_client_certificate: Option<bool>,
    /// False by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_api_key: Option<bool>,
    /// False by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_client_certificate: Option<bool>,
    /// False by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_sensitive: Option<bool>,
    /// The whole new set; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_path_forms: Option<Vec<String>>,
    /// How long the gateway waits for the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_timeouts: Option<UpstreamTimeoutsBody>,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// `PUT` and `GET /namespaces/{id}/auth-method`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthMethodBody {
    /// `restricted`, `mtls`, `api_key` or `api_key_or_mtls`.
    pub auth_method: String,
}

/// Filters of `GET /namespaces`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct NamespaceQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// Only the one of this name, with or without the account.
    pub name: Option<String>,
}

/// `POST /namespaces/{id}/tags`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateTags {
    /// Labels to set.
    #[serde(default, deserialize_with = "super::once::map")]
    pub upsert: BTreeMap<String, String>,
    /// Labels to take away, by name.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// `POST /namespaces/{id}/rename-search-attribute`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenameSearchAttribute {
    /// As it is called.
    pub existing_name: String,
    /// As it is to be called.
    pub new_name: String,
    /// Refuses the change when it is not the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// `PUT /namespaces/{id}/access`: one identity's or group's permission in one namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAccess {
    /// The id of a user, a service account or a user group.
    pub id: String,
    /// `admin`, `write` or `read`; an empty text or none takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Refuses the change when it is not the current one of that identity or group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// Who has a permission in a namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentBody {
    /// The id of a user, a service account or a user group.
    pub id: String,
    /// Mail address or name.
    pub name: String,
    /// His own permission there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// What he has there by his account role or by groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited: Option<String>,
    /// Of that identity or group.
    pub resource_version: String,
}

/// Filters of `GET /namespaces/{id}/assignments`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default)]
pub struct AssignmentQuery {
    /// 1 to 1000; 100 when absent.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
    /// `user`, `service_account` or `user_group`; `user` when absent.
    pub kind: Option<String>,
}

/// A region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegionBody {
    /// The id, as in a namespace's regions: `aws-us-east-1`, or one of the operator's own.
    pub id: String,
    /// `aws`, `gcp`, `azure`, or empty for a place of the operator's own.
    pub cloud_provider: String,
    /// The provider's word for it.
    pub cloud_provider_region: String,
    /// For people.
    pub location: String,
}

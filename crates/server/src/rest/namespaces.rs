//! `/namespaces`, with accepted CAs, filters, auth method and the button that makes a key.

use super::body::{Asked, Body};
use super::identities::VersionQuery;
use super::table::{Entry, entry};
use crate::app::{App, api_keys, auth_method, caller::Caller, cas, filters, namespaces};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    AcceptedCas, AuthMethodBody, CaBundle, Changed, CreateNamespace, Created, Filters, GenerateApiKey, GeneratedApiKey, NamespaceBody,
    NamespaceQuery, Page, UpdateNamespace,
};
use std::sync::Arc;

const NOUN: (&str, &str) = ("Namespaces", "namespace");
const CAS: (&str, &str) = ("Accepted client CAs", "namespace");
const FILTERS: (&str, &str) = ("Certificate filters", "namespace");
const KEY: (&str, &str) = ("API keys", "api_key");

pub(super) fn table() -> Vec<Entry> {
    use Action::{CreateApiKey, CreateNamespace as Create, DeleteNamespace, GetNamespace, GetNamespaces, UpdateNamespace as Update};
    vec![
        entry(Method::GET, "/namespaces", GetNamespaces, NOUN, "listNamespaces", "The namespaces the caller has a permission in", list)
            .asks::<NamespaceQuery>()
            .lists::<NamespaceBody>(),
        entry(
            Method::POST,
            "/namespaces",
            Create,
            NOUN,
            "createNamespace",
            "Make a namespace; it is closed unless an auth method is given",
            create,
        )
        .grants()
        .takes::<CreateNamespace>()
        .creates::<Created>(),
        entry(Method::GET, "/namespaces/{namespace}", GetNamespace, NOUN, "getNamespace", "One namespace", get).gives::<NamespaceBody>(),
        entry(
            Method::PATCH,
            "/namespaces/{namespace}",
            Update,
            NOUN,
            "updateNamespace",
            "Change upstream, auth method, host names or the bound on silence",
            update,
        )
        .by_change()
        .takes::<UpdateNamespace>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/namespaces/{namespace}",
            DeleteNamespace,
            NOUN,
            "deleteNamespace",
            "Delete a namespace, its scoped service accounts and every permission in it",
            delete,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
        entry(
            Method::GET,
            "/namespaces/{namespace}/accepted-client-cas",
            GetNamespace,
            CAS,
            "listAcceptedClientCas",
            "The CAs whose clients are let in",
            list_cas,
        )
        .gives::<AcceptedCas>(),
        entry(Method::POST, "/namespaces/{namespace}/accepted-client-cas", Update, CAS, "addAcceptedClientCas", "Add CAs", add_cas)
            .grants()
            .takes::<CaBundle>()
            .gives::<Changed>(),
        entry(
            Method::PUT,
            "/namespaces/{namespace}/accepted-client-cas",
            Update,
            CAS,
            "setAcceptedClientCas",
            "Set the whole list",
            set_cas,
        )
        .by_change()
        .takes::<CaBundle>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/namespaces/{namespace}/accepted-client-cas/{fingerprint}",
            Update,
            CAS,
            "removeAcceptedClientCa",
            "Remove one, by SHA-1 or SHA-256; connections by it end",
            remove_ca,
        )
        .takes_away()
        .asks::<VersionQuery>()
        .gives::<Changed>(),
        entry(
            Method::GET,
            "/namespaces/{namespace}/certificate-filters",
            GetNamespace,
            FILTERS,
            "listCertificateFilters",
            "Which clients of those CAs",
            list_filters,
        )
        .gives::<Filters>(),
        entry(
            Method::PUT,
            "/namespaces/{namespace}/certificate-filters",
            Update,
            FILTERS,
            "setCertificateFilters",
            "Set the whole list",
            set_filters,
        )
        .by_change()
        .takes::<Filters>()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/namespaces/{namespace}/certificate-filters",
            Update,
            FILTERS,
            "addCertificateFilters",
            "Add filters",
            add_filters,
        )
        .by_change()
        .takes::<Filters>()
        .gives::<Changed>(),
        entry(
            Method::DELETE,
            "/namespaces/{namespace}/certificate-filters",
            Update,
            FILTERS,
            "clearCertificateFilters",
            "Take all filters away",
            clear_filters,
        )
        .grants()
        .gives::<Changed>(),
        entry(Method::GET, "/namespaces/{namespace}/auth-method", GetNamespace, NOUN, "getAuthMethod", "How clients get in", get_auth)
            .gives::<AuthMethodBody>(),
        entry(Method::PUT, "/namespaces/{namespace}/auth-method", Update, NOUN, "setAuthMethod", "Set how clients get in", set_auth)
            .by_change()
            .takes::<AuthMethodBody>()
            .gives::<Changed>(),
        entry(
            Method::POST,
            "/namespaces/{namespace}/generate-api-key",
            CreateApiKey,
            KEY,
            "generateApiKey",
            "A service account of the namespace and a key for it, shown once",
            generate,
        )
        .grants()
        .takes::<GenerateApiKey>()
        .creates::<GeneratedApiKey>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<NamespaceQuery>,
) -> Result<Json<Page<NamespaceBody>>, Refused> {
    namespaces::list(&app, &actor, &query).await.map(Json)
}

async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateNamespace>,
) -> Result<(StatusCode, Json<Created>), Refused> {
    namespaces::create(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn get(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(ns): Path<String>,
) -> Result<Json<NamespaceBody>, Refused> {
    namespaces::get(&app, &actor, &ns).await.map(Json)
}

async fn update(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<UpdateNamespace>,
) -> Result<Json<Changed>, Refused> {
    namespaces::update(&app, &caller, &ns, body).await.map(Json)
}

async fn delete(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    namespaces::delete(&app, &caller, &ns, query.resource_version.as_deref()).await.map(Json)
}

async fn list_cas(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(ns): Path<String>,
) -> Result<Json<AcceptedCas>, Refused> {
    cas::list(&app, &actor, &ns).await.map(Json)
}

async fn add_cas(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<CaBundle>,
) -> Result<Json<Changed>, Refused> {
    cas::add(&app, &caller, &ns, body).await.map(Json)
}

async fn set_cas(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<CaBundle>,
) -> Result<Json<Changed>, Refused> {
    cas::set(&app, &caller, &ns, body).await.map(Json)
}

async fn remove_ca(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((ns, fingerprint)): Path<(String, String)>,
    Asked(query): Asked<VersionQuery>,
) -> Result<Json<Changed>, Refused> {
    cas::remove(&app, &caller, &ns, &fingerprint, query.resource_version.as_deref()).await.map(Json)
}

async fn list_filters(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(ns): Path<String>,
) -> Result<Json<Filters>, Refused> {
    filters::list(&app, &actor, &ns).await.map(Json)
}

async fn set_filters(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<Filters>,
) -> Result<Json<Changed>, Refused> {
    filters::set(&app, &caller, &ns, body).await.map(Json)
}

async fn add_filters(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<Filters>,
) -> Result<Json<Changed>, Refused> {
    filters::add(&app, &caller, &ns, body).await.map(Json)
}

async fn clear_filters(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
) -> Result<Json<Changed>, Refused> {
    filters::clear(&app, &caller, &ns).await.map(Json)
}

async fn get_auth(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Path(ns): Path<String>,
) -> Result<Json<AuthMethodBody>, Refused> {
    auth_method::get(&app, &actor, &ns).await.map(Json)
}

async fn set_auth(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<AuthMethodBody>,
) -> Result<Json<Changed>, Refused> {
    auth_method::set(&app, &caller, &ns, body).await.map(Json)
}

async fn generate(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(ns): Path<String>,
    Body(body): Body<GenerateApiKey>,
) -> Result<(StatusCode, Json<GeneratedApiKey>), Refused> {
    api_keys::generate(&app, &caller, &ns, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

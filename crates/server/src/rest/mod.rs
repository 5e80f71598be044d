//! The REST surface: one file a noun, each a table of its operations with thin handlers. Router and document are made from the
//! same tables, so neither can hold what the other lacks. No rule lives here.

mod accounts;
mod api_keys;
mod apis;
mod applications;
mod audit_sinks;
pub(crate) mod body;
mod certificates;
mod console;
mod envelope;
mod evidence;
mod foreign_crls;
mod identities;
mod issuers;
mod namespace_access;
mod namespaces;
mod notices;
mod oauth;
mod pages;
mod pages_kit;
mod pages_login;
mod pages_overview;
mod pages_security;
mod pki;
pub(crate) mod renewal;
mod revocation;
mod rotation;
mod sessions;
pub(crate) mod strict;
pub mod table;
mod user_groups;

pub(crate) use pages_kit::{SESSION_COOKIE, cookie, encoded, is_own_origin};

use crate::app::App;
use crate::authn;
use crate::error::Refused;
use axum::Router;
use axum::middleware::from_fn_with_state;
use std::sync::Arc;
use table::Entry;

/// Where the operations live.
pub const PREFIX: &str = "/api/v1";

/// Every operation of the surface.
pub fn table() -> Vec<Entry> {
    [
        accounts::table(),
        identities::table(),
        sessions::table(),
        namespaces::table(),
        apis::table(),
        applications::table(),
        api_keys::table(),
        certificates::table(),
        issuers::table(),
        revocation::table(),
        foreign_crls::table(),
        rotation::table(),
        user_groups::table(),
        namespace_access::table(),
        notices::table(),
        evidence::table(),
        audit_sinks::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The operations that take a signature in place of a credential.
pub fn open_table() -> Vec<Entry> {
    renewal::table()
}

impl App {
    /// The whole HTTP surface of the control plane. The address a request came from is read from a [`crate::listener::Peer`]
    /// among its extensions.
    pub fn router(self: &Arc<Self>) -> Router {
        let entries = table();
        let gate = authn::Gate { app: Arc::clone(self), rows: Arc::new(entries.iter().map(Entry::row).collect()) };
        let mut router = Router::new();
        for entry in entries {
            router = router.route(&format!("{PREFIX}{}", entry.path), entry.handler);
        }
        router
            .route("/notices/{file}", axum::routing::get(notices::calendar))
            .merge(crate::grpc::router(self))
            .merge(pages::router())
            .merge(console::router())
            .merge(pki::router())
            .merge(pages_login::router())
            .merge(pages_security::router())
            .merge(oauth::router())
            .merge(renewal::router())
            .fallback(|| async { Refused::not_found("page", "at this address") })
            .method_not_allowed_fallback(|| async { Refused::new("method_not_allowed", "this address does not take this method") })
            .layer(from_fn_with_state(gate.clone(), authn::authenticate))
            .layer(from_fn_with_state(gate, envelope::wrap))
            .with_state(Arc::clone(self))
    }
}

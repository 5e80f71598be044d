//! Journeys through a running gateway over real sockets: hand-made snapshots, a recording upstream, clients that speak TLS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access_log;
mod admission;
mod client;
mod connections;
mod http_edges;
mod live;
mod names;
mod own_certificate;
mod paths;
mod requests;
mod resumption;
mod rig;
mod rules;
mod temporal;
mod upstream;

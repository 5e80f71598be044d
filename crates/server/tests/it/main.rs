//! The control plane's promises, tried through its router on a real store, with gateways that confirm.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit_sinks;
mod changes;
mod groups;
mod harness;
mod keys;
mod listener;
mod login;
mod login_tools;
mod namespaces;
mod notices;
mod pages;
mod rights;
mod surface;
mod tcld;
mod tcld_people;

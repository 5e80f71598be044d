//! The control plane's promises, tried through its router on a real store, with gateways that confirm.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agreement;
mod applications;
mod audit_sinks;
mod backfill;
mod bad_certificates;
mod changes;
mod cloud;
mod console;
mod groups;
mod harness;
mod issuance;
mod issuers;
mod issuing;
mod keys;
mod listener;
mod login;
mod login_tools;
mod namespaces;
mod notices;
mod notices_mail;
mod pages;
mod registration;
mod renewal;
mod revocation;
mod rights;
mod rights_cases;
mod rights_matrix;
mod rotation;
mod surface;
mod roll_over;
mod tcld;
mod tcld_people;
mod under_way;

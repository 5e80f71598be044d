//! Journeys: the built binary and real clients over real sockets, by the names of the promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;
mod attack_flood;
mod attack_upstream;
mod bad_input;
mod cases;
mod certificates;
mod command_line;
mod denials;
mod doctor;
mod door;
mod durability;
mod explain;
mod full_disk;
mod keys;
mod login;
mod login_provider;
mod mtls;
mod notices;
mod pki;
mod plane;
mod restart;
mod revocation;
mod rotation;
mod streams;
mod token;

//! The promises of this crate, by rule. Where a rule is about what other tools make, the machine's `openssl` makes it.
#![allow(clippy::unwrap_used)]

mod authority;
mod bundle;
mod chain;
mod challenge;
mod crl;
mod csr;
mod fixtures;
mod issuer;
mod key;
mod leaf;
mod ocsp;
mod pkcs12;
mod profile;
mod reading;
mod requests;
mod tcld;
mod verifier;

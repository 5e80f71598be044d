//! Bytes to checked certificates and back.
//!
//! Everything a user pastes, a client presents or a gateway needs signed passes through here and comes out as a type that
//! holds the rules, or as an [`X509Error`] that names the rule and what to do. The crate holds no storage, no runtime and no
//! clock: the time is an argument. It must never decide who may do what; it only says what a certificate is.

pub mod alternative_name;
pub mod authority;
pub mod bundle;
mod certificate;
pub mod chain;
pub mod challenge;
pub mod crl;
pub mod csr;
mod encode;
mod error;
pub mod facts;
mod fermat;
pub mod foreign_crl;
mod issue;
pub mod issuer;
mod key;
pub mod leaf;
pub mod lint;
mod name;
pub mod ocsp;
pub mod pem;
pub mod pkcs12;
pub mod private_key;
mod publication;
pub mod request;
pub mod subject;
pub mod tcld;
mod text;
pub mod verifier;

pub use error::X509Error;

#[cfg(test)]
mod tests;

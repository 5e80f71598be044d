//! Bytes to checked certificates and back.
//!
//! Everything a user pastes, a client presents or a gateway needs signed passes through here and comes out as a type that
//! holds the rules, or as an [`X509Error`] that names the rule and what to do. The crate holds no storage, no runtime and no
//! clock: the time is an argument. It must never decide who may do what; it only says what a certificate is.

pub mod authority;
pub mod bundle;
mod certificate;
pub mod chain;
mod encode;
mod error;
pub mod facts;
mod fermat;
mod issue;
mod key;
pub mod leaf;
mod name;
pub mod pem;
pub mod tcld;
pub mod verifier;

pub use error::X509Error;

#[cfg(test)]
mod tests;

//! Bytes to checked certificates and back.
//!
//! Everything a user pastes, a client presents or a gateway needs signed passes through here and comes out as a type that
//! holds the rules, or as an [`X509Error`] that names the rule and what to do. The crate holds no storage, no runtime and no
//! clock: the time is an argument. It must never decide who may do what; it only says what a certificate is.
//!
//! What comes in: `pem` finds the blocks; `bundle` judges CAs, `leaf` a registered certificate, `csr` a request, `foreign_crl`
//! another CA's revocation list, `imported` a CA that is to sign here, `given_key` which key is meant, `chain` and `verifier` what a client presents, `challenge` a proof of possession.
//!
//! What goes out: `issuer` builds and signs by fixed profiles that `lint` holds it to, `crl` and `ocsp` publish revocation,
//! `request` and `pkcs12` serve the client's side, `authority` and `tcld` make the certificates that belong to no issuer.
//! `private_key` has the keys and the trait for those that live elsewhere.

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
pub mod given_key;
pub mod imported;
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
mod punycode;
pub mod request;
mod requested;
pub mod shared_prime;
pub mod subject;
pub mod tcld;
mod text;
pub mod token_key;
pub mod verifier;
pub mod weak_list;

pub use error::X509Error;

#[cfg(test)]
mod tests;

//! The control plane: use cases, REST, jobs, and the feed to gateways.
//!
//! `app` holds the use cases, one file a noun; `rest` shows them over HTTP; `authn` is the only way in. It knows nothing of
//! sockets of the data plane (the gateways are a trait, [`Gateways`]) and holds no SQL and no rule of admission.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod app;
mod authn;
pub mod bootstrap;
pub mod error;
mod fleet;
pub mod grpc;
mod installation_keys;
mod jobs;
mod linger;
pub mod listener;
pub mod login;
mod notices;
mod oauth;
pub mod openapi;
mod patterns;
mod places;
pub mod rest;
pub mod seal;
pub mod token;
pub mod token_wrap;

pub use app::{App, Settings};
pub use error::Refused;
pub use fleet::{Clock, Gateways, Usage};
pub use installation_keys::InstallationKeys;
pub use notices::mail::{MailSettings, MailTls};
pub use seal::Sealer;
pub use token::Token;

//! One module a noun: its statements, how it is read from rows, and the methods of reader and writer. No module reads another's
//! tables, save the snapshot, which reads them all, and succession, which asks whether a credential is being exchanged.

pub(crate) mod account;
pub(crate) mod api_key;
pub(crate) mod application;
pub(crate) mod audit;
pub(crate) mod audit_sink;
pub(crate) mod blocked;
pub(crate) mod certificate;
pub(crate) mod custom_role;
pub(crate) mod issuer;
pub(crate) mod login;
pub(crate) mod namespace;
pub(crate) mod notice;
pub(crate) mod operation;
pub(crate) mod service_account;
pub(crate) mod setting;
pub(crate) mod snapshot;
pub(crate) mod succession;
pub(crate) mod usage;
pub(crate) mod user;
pub(crate) mod user_group;

//! The domain of Countersign: names, identities, credentials, permissions, admission, audit.
//!
//! Everything here is a pure function of its arguments. The crate holds no runtime, no database, no socket
//! and no clock: the time is a [`Timestamp`] argument and chance is a [`Entropy`] argument.
//! It must never learn of wire formats, rows or transports.

pub mod access;
pub mod admission;
pub mod application;
pub mod audit;
pub mod authz;
pub mod connection_limiter;
pub mod credential;
pub mod custom_role;
pub mod entropy;
pub mod filter;
pub mod group;
pub mod id;
pub mod identity;
pub mod issuer;
pub mod limits;
pub mod name;
pub mod namespace;
pub mod notice;
pub mod operation;
pub mod path;
pub mod path_form;
pub mod printable;
pub mod receipt;
pub mod redact;
pub mod refusal;
pub mod secret;
pub mod shard_map;
pub mod snapshot;
pub mod temporal;
pub mod time;
pub mod upstream_policy;

pub use access::{Access, AccountRole, NamespacePermission};
pub use admission::{Permit, Presented, PresentedCertificate, admit};
pub use entropy::Entropy;
pub use id::{
    ApiId, ApiKeyId, ApplicationId, CertificateId, CustomRoleId, EnvironmentId, IssuerId, OperationId, ServiceAccountId, SessionId,
    UserGroupId, UserId,
};
pub use identity::IdentityId;
pub use name::{Hostname, NamespaceId};
pub use refusal::{Refusal, RefusalCode};
pub use secret::Secret;
pub use snapshot::{Change, Snapshot};
pub use time::{Lifetime, Timestamp};

//! Bodies of `/api/v1`. Times are RFC 3339 in UTC; unknown members of requests are refused.

mod application;
mod audit_sink;
mod common;
mod credential;
mod evidence;
mod identity;
mod issuer;
mod login;
mod namespace;
mod notice;
mod once;
mod renewal;
mod revocation;
mod rotation;

pub use application::*;
pub use audit_sink::*;
pub use common::*;
pub use credential::*;
pub use evidence::*;
pub use identity::*;
pub use issuer::*;
pub use login::*;
pub use namespace::*;
pub use notice::*;
pub use renewal::*;
pub use revocation::*;
pub use rotation::*;

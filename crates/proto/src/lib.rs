//! What goes over the wire, and its conversion from and to the domain: the only place that does it. No logic, no I/O.
//!
//! The control plane's REST bodies are here, camelCase as the field's tools print them; server and client share them.

#[allow(deprecated, reason = "clients of an older age read the old fields beside the new")]
pub mod cloud;
pub mod convert;
pub mod grpc;
pub mod problem;
pub mod rest;
#[allow(deprecated, reason = "its texts become the old fields, which are texts too")]
pub mod tcld;

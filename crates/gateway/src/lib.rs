//! The gateway: listener, TLS, identification, admission of each request, live connections, forwarding, telemetry.
//!
//! It knows the world as an `Arc<Snapshot>` and nothing else. It must never learn of a database, of the control plane's
//! use cases, or of a second way to decide: [`countersign_core::admit`] is the only one.

mod access_log;
mod body;
mod buffers;
mod connection;
mod frames;
mod gateway;
mod headers;
mod hpack;
mod identify;
mod listener;
mod live;
mod patient;
mod refusal_log;
mod refuse;
mod request;
mod scan;
mod sessions;
mod settings;
mod strict;
mod telemetry;
mod temporal;
mod tls;
mod trust;
mod tunnel;
mod upstream;
mod upstream_tls;
mod watched;
mod worker;

pub use gateway::{Gateway, StartError};
pub use refusal_log::{RefusalLog, RefusalRecord};
pub use settings::{Limits, Settings, Timeouts};
pub use telemetry::Usage;

use countersign_core::{Hostname, Timestamp};
use std::sync::Arc;

/// Who signs the gateway's server certificates.
pub trait ServerIdentity: Send + Sync {
    /// A certificate with its key for exactly these hosts. The gateway keeps it and asks again after two thirds of its life.
    ///
    /// # Errors
    /// One sentence; the namespace concerned is closed until the next try, the others are not touched.
    fn certified_key(&self, names: &[Hostname]) -> Result<Arc<rustls::sign::CertifiedKey>, String>;
}

/// The time, as an argument.
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Timestamp;
}

//! What can be set, with defaults that are safe. Reads no file and no environment: the binary does.

use countersign_core::Hostname;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name it has in receipts.
    pub name: String,
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The domain its namespaces lie under.
    pub domain: Hostname,
    /// Threads, each with its own listener and upstream pools; at least 1.
    pub workers: usize,
    /// Bounds of what it holds.
    pub limits: Limits,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// PEM file of the CAs it trusts for `https` upstreams; the system's bundle when absent.
    pub upstream_ca_file: Option<PathBuf>,
}

impl Settings {
    /// Defaults for a name, an address and a domain; one worker a core.
    pub fn new(name: impl Into<String>, listen: SocketAddr, domain: Hostname) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            name: name.into(),
            listen,
            domain,
            workers,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            upstream_ca_file: None,
        }
    }
}

/// Bounds (promise P17).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_connections_per_ip: usize,
    /// Streams that one HTTP/2 connection may have open.
    pub max_streams_per_connection: u32,
    /// Bytes of one request's head.
    pub header_bytes: usize,
    /// Refusals remembered for look-up.
    pub refusals: usize,
    /// Idle upstream connections kept by each worker for each upstream.
    pub idle_upstream_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            max_connections_per_ip: 20_000,
            max_streams_per_connection: 100,
            header_bytes: 16 * 1024,
            refusals: 10_000,
            idle_upstream_connections: 256,
        }
    }
}

/// How long the gateway waits. Waits are measured by a tick of a quarter of a second, so they may last that much longer.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the first byte, and for a head that has begun.
    pub header: Duration,
    /// For the next request on a connection that has none.
    pub idle: Duration,
    /// For a connection to an upstream.
    pub upstream_connect: Duration,
    /// For the head of an upstream's response.
    pub upstream_header: Duration,
    /// The same for gRPC, whose calls may poll for minutes; zero waits without end.
    pub grpc_header: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            upstream_connect: Duration::from_secs(5),
            upstream_header: Duration::from_secs(30),
            grpc_header: Duration::ZERO,
        }
    }
}

//! What can be set, with defaults that are safe. Reads no file and no environment: the binary does.

use countersign_core::connection_limiter::ConnectionLimits;
use countersign_core::namespace::UpstreamTimeouts;
use countersign_core::upstream_policy::UpstreamPolicy;
use countersign_core::{Hostname, Lifetime};
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
    /// Which addresses upstreams may have. Its own listener is added at the start.
    pub upstreams: UpstreamPolicy,
    /// PEM file of the CAs it trusts for `https` upstreams; the system's bundle when absent.
    pub upstream_ca_file: Option<PathBuf>,
    /// Where one line a request is written; nowhere when absent.
    pub access_log: Option<PathBuf>,
    /// A file that keeps space back for others: while it is missing, nothing is written to an access log of the same file system.
    pub reserve: Option<PathBuf>,
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
            upstreams: UpstreamPolicy::default(),
            upstream_ca_file: None,
            access_log: None,
            reserve: None,
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
    /// Connections of one identity that are kept from others; it may have more while there is room.
    pub max_connections_per_identity: usize,
    /// Streams that one HTTP/2 connection may have open.
    pub max_streams_per_connection: u32,
    /// Bytes of one request's head.
    pub header_bytes: usize,
    /// Refusals remembered for look-up.
    pub refusals: usize,
    /// Idle upstream connections kept by each worker for each upstream.
    pub idle_upstream_connections: usize,
    /// Bytes of one message that is looked into, as it comes on the wire.
    pub message_bytes: usize,
    /// Bytes of the same message inflated.
    pub inflated_bytes: usize,
    /// Bytes of all such messages at a time; one namespace may take half of them.
    pub buffered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 50_000,
            max_connections_per_ip: 20_000,
            max_connections_per_identity: 20_000,
            max_streams_per_connection: 100,
            header_bytes: 16 * 1024,
            refusals: 10_000,
            idle_upstream_connections: 256,
            message_bytes: 16 * 1024 * 1024,
            inflated_bytes: 64 * 1024 * 1024,
            buffered_bytes: 256 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The same for a process that may open `files` descriptors: a third of them for clients, a third for their upstreams, and the
    /// rest for the control plane, health and storage, which a flood of connections must not take away. Unchanged where the bounds
    /// are lower already.
    #[must_use]
    pub fn within(self, files: usize) -> Self {
        let room = (files / 3).max(8);
        if self.max_connections > room { self.connections(room) } else { self }
    }

    /// The same with at most `room` connections: four fifths of them from one address at most, and half of them of one identity.
    #[must_use]
    pub fn connections(mut self, room: usize) -> Self {
        self.max_connections = room;
        self.max_connections_per_ip = self.max_connections_per_ip.min((room * 4 / 5).max(4));
        self.max_connections_per_identity = self.max_connections_per_identity.min((room / 2).max(2));
        self
    }

    pub(crate) const fn of_listener(&self) -> ConnectionLimits {
        ConnectionLimits {
            total: self.max_connections,
            per_address: self.max_connections_per_ip,
            per_identity: self.max_connections_per_identity,
        }
    }
}

/// The soft limit on open files, where the system tells it.
pub(crate) fn open_files() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// Reads it from the text of proc(5), `/proc/pid/limits`. `unlimited` is no number and so no bound.
fn soft_limit(text: &str) -> Option<usize> {
    text.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
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
    /// For a message that is looked into, from its first byte to its last.
    pub message: Duration,
    /// For a connection to an upstream.
    pub upstream_connect: Duration,
    /// For the head of an upstream's response, counted from the end of the request's body or the last bytes of it that were sent.
    pub upstream_header: Duration,
    /// The same for gRPC, whose calls may poll for minutes; zero waits without end.
    pub grpc_header: Duration,
    /// For the next byte in either direction, once a response has begun; zero waits without end.
    pub upstream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            message: Duration::from_secs(30),
            upstream_connect: Duration::from_secs(5),
            upstream_header: Duration::from_secs(30),
            grpc_header: Duration::ZERO,
            upstream_idle: Duration::ZERO,
        }
    }
}

/// How long one request waits for its upstream; zero waits without end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the head of the response.
    pub(crate) head: Duration,
    /// For the next byte after it.
    pub(crate) idle: Duration,
}

impl Timeouts {
    /// What holds where a namespace or an API has settings of its own.
    pub(crate) fn waits(&self, set: UpstreamTimeouts, grpc: bool) -> Waits {
        let or = |set: Option<Lifetime>, own: Duration| set.map_or(own, |set| Duration::from_micros(set.micros().unsigned_abs()));
        Waits {
            connect: or(set.connect, self.upstream_connect),
            head: or(set.response_head, if grpc { self.grpc_header } else { self.upstream_header }),
            idle: or(set.idle, self.upstream_idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_leave_room_for_the_control_plane() {
        let few = Limits::default().within(1024);
        assert_eq!((few.max_connections, few.max_connections_per_ip), (341, 272));
        let many = Limits::default().within(1 << 20);
        assert_eq!((many.max_connections, many.max_connections_per_ip), (50_000, 20_000));
        assert_eq!(Limits::default().within(0).max_connections, 8);
    }

    #[test]
    fn the_limit_is_read_as_the_system_writes_it() {
        assert_eq!(
            soft_limit("Limit  Soft Limit\nMax open files            1024                 4096                 files     \n"),
            Some(1024)
        );
        assert_eq!(soft_limit("Max open files            unlimited            unlimited            files\n"), None);
    }
}

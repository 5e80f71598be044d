//! Sockets: binding, accepting, and a slot for each connection. Survives running out of descriptors.

use crate::connection;
use crate::worker::Worker;
use countersign_core::connection_limiter::{ConnectionSlot, Eviction, SlotHandle};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Notify;

/// Binds `count` listeners to one address; the kernel spreads new connections over them.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // A first socket that does not share shows whether another process is there; sharing would hide it.
    let probe = socket(address, false)?;
    let address = probe.local_addr()?;
    if count <= 1 {
        return Ok(vec![probe]);
    }
    drop(probe);
    (0..count).map(|_| socket(address, true)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Shares listeners out among `workers`: each gets at least one, and none is left without a worker.
pub(crate) fn share_out(listeners: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (share, listener) in shares.iter_mut().zip(listeners.iter().cycle()).skip(listeners.len()) {
        share.push(listener.try_clone()?);
    }
    for (i, listener) in listeners.into_iter().enumerate() {
        listener.set_nonblocking(true)?;
        shares[i % workers].push(listener);
    }
    Ok(shares)
}

/// One connection's slot, and what tells its task that the slot is needed.
pub(crate) struct Slot {
    held: ConnectionSlot,
    evicted: Arc<Notify>,
}

impl Slot {
    fn enter(worker: &Worker, ip: IpAddr) -> Option<Self> {
        let evicted = Arc::new(Notify::new());
        let notify = Arc::clone(&evicted);
        let held = worker.shared.connections.enter(ip, worker.shared.millis(), move || notify.notify_one())?;
        Some(Self { held, evicted })
    }

    /// The connection's standing.
    pub(crate) fn handle(&self) -> &SlotHandle {
        self.held.handle()
    }

    /// Returns when the slot is needed by another connection. One task waits for it.
    pub(crate) async fn evicted(&self) -> Eviction {
        loop {
            self.evicted.notified().await;
            if let Some(eviction) = self.handle().eviction() {
                return eviction;
            }
        }
    }
}

/// Accepts until the worker drains.
pub(crate) async fn accept(worker: Rc<Worker>, listener: tokio::net::TcpListener) {
    while !worker.is_draining() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = worker.drain_begins.notified() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = Slot::enter(&worker, peer.ip()) else {
                    worker.counts.connections_refused.fetch_add(1, Relaxed);
                    continue;
                };
                // A peer that vanished is found out within two minutes; failing to ask for it costs only that.
                let _ = stream.set_nodelay(true);
                let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                tokio::task::spawn_local(connection::serve(Rc::clone(&worker), stream, peer, slot));
            }
            Err(error) => {
                // Out of descriptors or memory, or the peer went away: others may still come. Wait a little so as not to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

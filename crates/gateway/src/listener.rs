//! Sockets: binding, accepting, and the caps on connections. Survives running out of descriptors.

use crate::connection;
use crate::settings::Limits;
use crate::worker::Worker;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// Who is connected, so that no peer takes all there is.
pub(crate) struct Caps {
    limits: Limits,
    all: AtomicUsize,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
}

impl Caps {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, all: AtomicUsize::new(0), by_ip: Mutex::default() }
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        if self.all.fetch_add(1, Relaxed) >= self.limits.max_connections {
            self.all.fetch_sub(1, Relaxed);
            return None;
        }
        // From here on the drop of the place gives back both counts.
        let mut by_ip = self.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_ip.entry(ip).or_insert(0);
        *count += 1;
        let over = *count > self.limits.max_connections_per_ip;
        drop(by_ip);
        let place = Place { caps: Arc::clone(self), ip };
        if over { None } else { Some(place) }
    }
}

/// One connection's place under the caps.
pub(crate) struct Place {
    caps: Arc<Caps>,
    ip: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.caps.all.fetch_sub(1, Relaxed);
        let mut by_ip = self.caps.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
    }
}

/// Accepts until the worker drains.
pub(crate) async fn accept(worker: Rc<Worker>, listener: tokio::net::TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = worker.drain_begins.notified() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = worker.shared.caps.enter(peer.ip().to_canonical()) else {
                    worker.counts.connections_refused.fetch_add(1, Relaxed);
                    continue;
                };
                // A peer that vanished is found out within two minutes; failing to ask for it costs only that.
                let _ = stream.set_nodelay(true);
                let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                tokio::task::spawn_local(connection::serve(Rc::clone(&worker), stream, peer, place));
            }
            Err(error) => {
                // Out of descriptors or memory, or the peer went away: others may still come. Wait a little so as not to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

//! Listening sockets: bound here, passed by systemd, or passed by the process that this one succeeds. Serves nothing.

use super::StartError;
use countersign_gateway::Gateway;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// How long an address is tried again for that a stopping process is about to free.
const FREED_WITHIN: Duration = Duration::from_secs(2);

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The control plane.
    Control,
    /// The gateway.
    Gateway,
    /// Metrics and health.
    Metrics,
    /// What issuers publish.
    Pki,
}

impl Port {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Control, Self::Gateway, Self::Metrics, Self::Pki];

    /// Its name between two processes.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Control => b'c',
            Self::Gateway => b'g',
            Self::Metrics => b'm',
            Self::Pki => b'p',
        }
    }

    const fn what(self) -> (&'static str, &'static str) {
        match self {
            Self::Control => ("control plane", "--control (control.listen)"),
            Self::Gateway => ("gateway", "--gateway (gateway.listen)"),
            Self::Metrics => ("metrics and health", "--metrics (metrics.listen)"),
            Self::Pki => ("what issuers publish", "--pki (pki.listen)"),
        }
    }
}

/// Sockets that were listening before this process began, each with what it was for where that is known.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(Option<Port>, TcpListener)>,
    /// Whether systemd keeps them open when this process ends.
    pub activated: bool,
    /// Whether another process is about to free the addresses it does not pass.
    pub succeeds: bool,
}

impl Inherited {
    /// What systemd passed (sd_listen_fds(3)).
    pub fn from_systemd() -> Self {
        let mut passed = listenfd::ListenFd::from_env();
        let sockets: Vec<_> = (0..passed.len())
            .filter_map(|index| match passed.take_tcp_listener(index) {
                Ok(listener) => Some((None, listener?)),
                Err(error) => {
                    tracing::warn!(%error, index, "a socket that was passed is no TCP socket and is not used");
                    None
                }
            })
            .collect();
        Self { activated: !sockets.is_empty(), sockets, succeeds: false }
    }

    /// Adds what the preceding process passed.
    pub fn add(&mut self, sockets: Vec<(Port, TcpListener)>) {
        self.sockets.extend(sockets.into_iter().map(|(port, listener)| (Some(port), listener)));
    }

    fn take(&mut self, port: Port, wanted: SocketAddr) -> Vec<TcpListener> {
        let fits = |known: &Option<Port>, listener: &TcpListener| {
            let Ok(local) = listener.local_addr() else { return false };
            match known {
                Some(known) => *known == port && (local == wanted || wanted.port() == 0 && local.ip() == wanted.ip()),
                None => local == wanted,
            }
        };
        let mut taken = Vec::new();
        let mut rest = Vec::new();
        for (known, listener) in std::mem::take(&mut self.sockets) {
            if fits(&known, &listener) {
                taken.push(listener);
            } else {
                rest.push((known, listener));
            }
        }
        self.sockets = rest;
        taken
    }

    /// Says which sockets nobody wanted, and closes them.
    pub fn close_rest(self) {
        for (_, listener) in self.sockets {
            let address = listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
            tracing::warn!(address, "a socket that was passed is at no address of the settings and is closed");
        }
    }

    /// The one socket at `address`, taken over or bound.
    pub async fn one(&mut self, port: Port, address: SocketAddr) -> Result<TcpListener, StartError> {
        if let Some(listener) = self.take(port, address).into_iter().next() {
            return ready(listener).map_err(|source| failed(port, address, source));
        }
        self.bind(|| TcpListener::bind(address).and_then(ready)).await.map_err(|source| failed(port, address, source))
    }

    /// The gateway's sockets at `address`, taken over or bound, one for each worker.
    pub async fn gateway(&mut self, address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, StartError> {
        let taken = self.take(Port::Gateway, address);
        if !taken.is_empty() {
            return Ok(taken);
        }
        // Its sockets share their port among threads, and so would share it with another process as well instead of failing.
        let probed = self.bind(|| TcpListener::bind(address)).await.and_then(|probe| probe.local_addr());
        let address = probed.map_err(|source| failed(Port::Gateway, address, source))?;
        Gateway::bind(address, workers).map_err(|error| StartError::Gateway(error.to_string()))
    }

    async fn bind(&self, bind: impl Fn() -> io::Result<TcpListener>) -> io::Result<TcpListener> {
        let begin = Instant::now();
        loop {
            match bind() {
                Err(error) if self.succeeds && error.kind() == io::ErrorKind::AddrInUse && begin.elapsed() < FREED_WITHIN => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                bound => return bound,
            }
        }
    }
}

fn ready(listener: TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn failed(port: Port, address: SocketAddr, source: io::Error) -> StartError {
    let (what, setting) = port.what();
    StartError::Listen { address, what, setting, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_passed_is_used_for_its_own_port_and_address_only() {
        let (control, gateway) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (at, door) = (control.local_addr().unwrap(), gateway.local_addr().unwrap());
        let mut inherited = Inherited::default();
        inherited.add(vec![(Port::Gateway, gateway), (Port::Control, control)]);
        let any = "127.0.0.1:0".parse().unwrap();
        assert_eq!(inherited.one(Port::Control, any).await.unwrap().local_addr().unwrap(), at);
        let other = inherited.one(Port::Metrics, any).await.unwrap().local_addr().unwrap();
        assert!(other != at && other != door);
        assert!(inherited.take(Port::Gateway, "127.0.0.2:0".parse().unwrap()).is_empty());
        assert_eq!(inherited.gateway(door, 4).await.unwrap()[0].local_addr().unwrap(), door);
    }
}

//! A restart without a gap: a process that is asked to stop passes its listening sockets to the one that follows it, through a Unix
//! socket in the data directory, and goes on by the follower's changes until its last request has ended. Decides nothing.
//!
//! To the follower: for each socket a byte that names its port, with the socket itself (SCM_RIGHTS), then `E`. From the follower:
//! `A` and a revision for each change, answered by `D` and what it ended; `H` and the time while it lives; `R` once it serves.

use super::fleet::LocalGateway;
use super::sockets::Port;
use countersign_core::receipt::Applied;
use countersign_core::snapshot::Snapshot;
use countersign_core::time::Timestamp;
use countersign_store::Store;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The socket's name in the data directory.
const SOCKET: &str = "handover.sock";
/// How long either side waits for a message that is due.
const MESSAGE_WITHIN: Duration = Duration::from_secs(5);
/// How long a follower that has begun may take until it serves.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How far a follower is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follower {
    None,
    Starting,
    Ready,
}

/// What a process has for the one that follows it.
pub struct Successors {
    follower: watch::Sender<Follower>,
    /// None once it is too late.
    sockets: Mutex<Option<Vec<(Port, TcpListener)>>>,
}

impl Successors {
    /// Waits for a follower at the data directory's socket, on a thread of its own.
    pub fn serve(directory: &Path, sockets: Vec<(Port, TcpListener)>, fleet: Arc<LocalGateway>) -> io::Result<Arc<Self>> {
        let path = directory.join(SOCKET);
        // Of a process that is gone, or of the one that passed its sockets to this one.
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let this = Arc::new(Self { follower: watch::Sender::new(Follower::None), sockets: Mutex::new(Some(sockets)) });
        let (successors, directory, runtime) = (Arc::clone(&this), directory.to_owned(), tokio::runtime::Handle::current());
        std::thread::Builder::new().name("handover".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(error) = successors.attend(&stream, &fleet, &directory, &runtime) {
                    tracing::debug!(%error, "the following process is gone");
                }
                if *successors.follower.borrow() == Follower::Ready {
                    // Nobody tells of revocations any more: nothing that is left may go on.
                    runtime.block_on(fleet.terminate());
                }
                successors.follower.send_replace(Follower::None);
            }
        })?;
        Ok(this)
    }

    /// Passes the sockets and does what the follower says, until it is gone.
    fn attend(&self, mut stream: &UnixStream, fleet: &LocalGateway, directory: &Path, runtime: &tokio::runtime::Handle) -> io::Result<()> {
        stream.set_write_timeout(Some(MESSAGE_WITHIN))?;
        {
            let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            self.follower.send_replace(Follower::Starting);
            for (port, listener) in sockets.iter().flatten() {
                let fds = [listener.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&fds));
                sendmsg(stream, &[IoSlice::new(&[port.letter()])], &mut control, SendFlags::NOSIGNAL)?;
            }
        }
        stream.write_all(b"E")?;
        loop {
            let mut kind = [0];
            stream.read_exact(&mut kind)?;
            match kind[0] {
                b'R' => {
                    self.follower.send_replace(Follower::Ready);
                }
                b'H' => fleet.heard_from_successor(Timestamp::from_micros(number(&mut stream)?)),
                b'A' => {
                    let revision = number(&mut stream)?;
                    let applied = runtime.block_on(follow(fleet, directory, revision));
                    let mut answer = vec![b'D'];
                    answer.extend(applied.0.to_be_bytes());
                    answer.extend(applied.1.to_be_bytes());
                    stream.write_all(&answer)?;
                }
                _ => return Err(io::Error::other("an unknown message")),
            }
        }
    }

    /// Waits for a follower to serve: until `wait` is over while there is none. Tells whether one does. Afterwards no socket is
    /// passed any more, and those that were kept for it are closed.
    pub async fn wait(&self, wait: Duration) -> bool {
        let mut follower = self.follower.subscribe();
        let begun = follower.wait_for(|follower| *follower != Follower::None);
        let begun = tokio::time::timeout(wait, begun).await.is_ok_and(|begun| begun.is_ok());
        if begun {
            let served = follower.wait_for(|follower| *follower != Follower::Starting);
            // One that takes too long has the sockets; it serves when it can.
            let _ = tokio::time::timeout(READY_WITHIN, served).await;
        }
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.follower.borrow() == Follower::Ready
    }
}

fn number(stream: &mut &UnixStream) -> io::Result<i64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(i64::from_be_bytes(bytes))
}

/// Decides on what the follower has committed. What cannot be read lets nobody in.
async fn follow(fleet: &LocalGateway, directory: &Path, revision: i64) -> (u64, u64) {
    let read = async { Store::read_beside(directory).await?.whole_snapshot().await };
    let snapshot = match read.await {
        Ok(snapshot) if snapshot.revision() >= revision => snapshot,
        Ok(_) => Snapshot::default().apply(revision, []),
        Err(error) => {
            tracing::warn!(%error, "the state of the following process cannot be read: whatever is left is ended");
            Snapshot::default().apply(revision, [])
        }
    };
    fleet.apply_own(Arc::new(snapshot)).await.map_or((0, 0), |applied| (applied.connections_cut, applied.streams_cut))
}

/// Listening sockets, each with the port that it serves.
pub type Sockets = Vec<(Port, TcpListener)>;

/// The process before this one, for as long as requests are under way there.
pub struct Predecessor {
    stream: Mutex<Option<UnixStream>>,
}

impl Predecessor {
    /// Asks a process that has the data directory for its sockets. None when there is no such process.
    pub fn connect(directory: &Path) -> Option<(Arc<Self>, Sockets)> {
        let path: PathBuf = directory.join(SOCKET);
        let stream = UnixStream::connect(&path).ok()?;
        match receive(&stream) {
            Ok(sockets) => Some((Arc::new(Self { stream: Mutex::new(Some(stream)) }), sockets)),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the process before this one passes no sockets");
                None
            }
        }
    }

    fn send(&self, message: &[u8], answer: &mut [u8]) -> bool {
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut stream) = held.as_ref() else { return false };
        let done = stream.write_all(message).and_then(|()| stream.read_exact(answer));
        if done.is_err() {
            // It has ended. If it has not, it ends whatever is left when it finds this end closed.
            *held = None;
        }
        done.is_ok()
    }

    /// Whether it may still have requests under way.
    pub fn is_there(&self) -> bool {
        self.stream.try_lock().map_or(true, |stream| stream.is_some())
    }

    /// This process serves: the other takes nothing new.
    pub fn ready(&self) {
        self.send(b"R", &mut []);
    }

    /// This process lives.
    pub fn heard(&self, at: Timestamp) {
        let mut message = vec![b'H'];
        message.extend(at.micros().to_be_bytes());
        self.send(&message, &mut []);
    }

    /// Has it decide on this revision and answers what that ended; none when it is gone. Blocks.
    pub fn apply(&self, revision: i64) -> Option<Applied> {
        let mut message = vec![b'A'];
        message.extend(revision.to_be_bytes());
        let mut answer = [0; 17];
        if !self.send(&message, &mut answer) {
            return None;
        }
        let count = |at: usize| answer.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        Some(Applied { gateway: String::new(), revision, micros: 0, connections_cut: count(1), streams_cut: count(9) })
    }
}

/// Reads the sockets up to the end of their list.
fn receive(stream: &UnixStream) -> io::Result<Vec<(Port, TcpListener)>> {
    stream.set_read_timeout(Some(MESSAGE_WITHIN))?;
    stream.set_write_timeout(Some(MESSAGE_WITHIN))?;
    let mut sockets = Vec::new();
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut kind = [0];
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut kind)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::Error::other("it ended"));
        }
        let port = Port::ALL.into_iter().find(|port| port.letter() == kind[0]);
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                sockets.extend(fds.filter_map(|fd| Some((port?, TcpListener::from(fd)))));
            }
        }
        if kind[0] == b'E' {
            return Ok(sockets);
        }
    }
}

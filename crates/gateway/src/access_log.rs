//! The access log: one line of JSON for each request, let in or refused, written when it is over. A request hands its facts over and
//! goes on; a thread writes. Where that thread does not keep up, lines are dropped and counted, and no request waits.
//!
//! Never in it: the query, header fields, bodies, a secret. A credential is its public id, of a refused request the one presented.

use crate::live::Ended;
use countersign_core::redact::redact;
use countersign_core::{ApiId, NamespaceId, Timestamp, namespace::Upstream};
use http::{HeaderValue, Method, Uri};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines that wait for the writer at most, of all workers: some megabytes.
const WAITING: usize = 16 * 1024;
/// Bytes that are gathered before they are written.
const HELD: usize = 64 * 1024;
/// Characters of a path that are kept.
const PATH: usize = 1024;

/// One request, as it ended.
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) namespace: NamespaceId,
    pub(crate) api: Option<ApiId>,
    pub(crate) identity: Option<HeaderValue>,
    pub(crate) kind: Option<HeaderValue>,
    pub(crate) credential: Option<String>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) h2: bool,
    pub(crate) status: Option<u16>,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) micros: u64,
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) client: IpAddr,
    pub(crate) refusal: Option<Ended>,
    pub(crate) upstream: Option<Upstream>,
}

/// The line as it is written.
#[derive(Serialize)]
struct Row<'l> {
    time: String,
    gateway: &'l str,
    namespace: &'l str,
    api: Option<&'l str>,
    identity: Option<&'l str>,
    identity_kind: Option<&'l str>,
    credential: Option<&'l str>,
    method: &'l str,
    path: String,
    protocol: &'static str,
    status: Option<u16>,
    grpc_status: Option<u16>,
    duration_ms: f64,
    bytes_up: u64,
    bytes_down: u64,
    client: IpAddr,
    refusal_id: Option<&'l str>,
    refusal: Option<&'static str>,
    upstream: Option<String>,
}

enum Word {
    Line(Box<Line>),
    Reopen,
    End,
}

/// A log that is being written.
pub(crate) struct AccessLog {
    words: SyncSender<Word>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Opens the file, made with mode 0600 where it is missing, to write at its end.
    pub(crate) fn open(path: PathBuf, gateway: String) -> io::Result<Self> {
        let file = open(&path)?;
        let (words, inbox) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || Writer { path, gateway, file, held: Vec::new(), lines: 0, lost: theirs, failing: false }.run(&inbox))?;
        Ok(Self { words, lost, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a line over, or drops and counts it. Never waits.
    pub(crate) fn write(&self, line: Line) {
        if self.words.try_send(Word::Line(Box::new(line))).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Has the file opened anew by its name, after it was moved away. Waits for room among the lines.
    pub(crate) fn reopen(&self) {
        // A writer that is gone writes nowhere.
        let _ = self.words.send(Word::Reopen);
    }

    /// Lines that were not written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Writes what is left and ends the thread. Blocks for as long as that takes.
    pub(crate) fn end(&self) {
        let _ = self.words.send(Word::End);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

struct Writer {
    path: PathBuf,
    gateway: String,
    file: File,
    /// Lines that were not handed to the system yet, and how many.
    held: Vec<u8>,
    lines: u64,
    lost: Arc<AtomicU64>,
    failing: bool,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Word>) {
        loop {
            let word = match inbox.try_recv() {
                Ok(word) => word,
                Err(TryRecvError::Empty) => {
                    // Nothing more for now: what was said is to be seen.
                    self.flush();
                    match inbox.recv() {
                        Ok(word) => word,
                        Err(_) => return,
                    }
                }
                Err(TryRecvError::Disconnected) => break,
            };
            match word {
                Word::Line(line) => {
                    self.line(&line);
                    if self.held.len() > HELD {
                        self.flush();
                    }
                }
                Word::Reopen => {
                    self.flush();
                    match open(&self.path) {
                        Ok(file) => self.file = file,
                        Err(error) => tracing::error!(path = %self.path.display(), %error, "the access log cannot be opened anew"),
                    }
                }
                Word::End => break,
            }
        }
        self.flush();
    }

    fn line(&mut self, line: &Line) {
        let text = |value: &'_ Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok().map(str::to_owned));
        let (identity, kind) = (text(&line.identity), text(&line.kind));
        let method = redact(line.method.as_str());
        let row = Row {
            time: jiff::Timestamp::from_microsecond(line.at.micros()).map_or_else(|_| String::new(), |at| at.to_string()),
            gateway: &self.gateway,
            namespace: line.namespace.as_str(),
            api: line.api.as_ref().map(ApiId::as_str),
            identity: identity.as_deref(),
            identity_kind: kind.as_deref(),
            credential: line.credential.as_deref(),
            method: &method,
            path: redact(line.uri.path()).chars().take(PATH).collect(),
            protocol: if line.h2 { "HTTP/2" } else { "HTTP/1.1" },
            status: line.status,
            grpc_status: line.grpc_status,
            // Milliseconds of any request are exact enough in a double.
            duration_ms: line.micros as f64 / 1e3,
            bytes_up: line.up,
            bytes_down: line.down,
            client: line.client,
            refusal_id: line.refusal.as_ref().map(|ended| ended.id.as_str()),
            refusal: line.refusal.as_ref().map(|ended| ended.code.as_str()),
            upstream: line.upstream.as_ref().map(ToString::to_string),
        };
        let whole = self.held.len();
        if serde_json::to_writer(&mut self.held, &row).is_err() {
            self.held.truncate(whole);
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        self.held.push(b'\n');
        self.lines += 1;
    }

    /// Hands what is held to the system. What it does not take is lost and counted: holding on would only lose it later.
    fn flush(&mut self) {
        let written = self.file.write_all(&self.held);
        let lines = std::mem::take(&mut self.lines);
        self.held.clear();
        match written {
            Ok(()) => self.failing &= lines == 0,
            Err(error) => {
                self.lost.fetch_add(lines, Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(path = %self.path.display(), %error, "the access log cannot be written; lines are lost");
                }
            }
        }
    }
}

//! The access log: one line of JSON for each request, let in or refused, written when it is over. A request hands its facts over and
//! goes on; a thread writes. Where that thread does not keep up, lines are dropped and counted, and no request waits.
//!
//! Anyone can cause refused requests, so their lines are bounded in rate; and where the disk is nearly full nothing is written at all.
//! What is left out is counted, and one line says how many.
//!
//! Never in it: the query, header fields, bodies, a secret. A credential is its public id, of a refused request the one presented.

use crate::live::Ended;
use countersign_core::redact::redact;
use countersign_core::{ApiId, NamespaceId, Timestamp, namespace::Upstream};
use http::{HeaderValue, Method, Uri};
use serde::Serialize;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines that wait for the writer at most, of all workers: some megabytes.
const WAITING: usize = 16 * 1024;
/// Bytes that are gathered before they are written.
const HELD: usize = 64 * 1024;
/// Characters of a path that are kept, and of a refused request's path.
const PATH: usize = 1024;
const PATH_REFUSED: usize = 256;
/// Lines of refused requests at once, and the microseconds after which one more is written.
const REFUSED_BURST: i64 = 1_000;
const REFUSED_EACH: i64 = 10_000;
/// Nothing is written while less than this is free, or less than an eighth of a small file system.
const FREE_MIN: u64 = 64 * 1024 * 1024;
/// How often a line may say what was left out.
const TOLD_EVERY: Duration = Duration::from_secs(1);

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

/// The line that says what is not there.
#[derive(Serialize)]
struct LeftOut<'l> {
    time: String,
    gateway: &'l str,
    left_out: u64,
}

enum Word {
    Line(Box<Line>),
    Reopen,
    End,
}

/// How many lines are missing, and why.
#[derive(Debug, Default)]
struct Missing {
    /// The writer did not keep up, or the file could not be written.
    lost: AtomicU64,
    /// More refused requests than are logged, or a disk that is nearly full.
    left_out: AtomicU64,
    /// When the last of those was, in microseconds.
    last: AtomicI64,
}

/// A log that is being written.
pub(crate) struct AccessLog {
    words: SyncSender<Word>,
    missing: Arc<Missing>,
    /// The moment, in microseconds, at which lines of refused requests are within their rate again (a generic cell rate algorithm).
    refused_until: AtomicI64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Opens the file, made with mode 0600 where it is missing, to write at its end. While the file `reserve` of the same file system is
    /// missing, nothing is written: what it set free is not for the log.
    pub(crate) fn open(path: PathBuf, gateway: String, reserve: Option<PathBuf>) -> io::Result<Self> {
        let file = open(&path)?;
        let reserve = reserve.filter(|reserve| same_device(&file, reserve));
        let (words, inbox) = sync_channel(WAITING);
        let missing = Arc::new(Missing::default());
        let theirs = Arc::clone(&missing);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let writer =
                Writer { path, gateway, file, reserve, held: Vec::new(), lines: 0, missing: theirs, told: 0, failing: false, full: false };
            writer.run(&inbox);
        })?;
        Ok(Self { words, missing, refused_until: AtomicI64::new(0), thread: Mutex::new(Some(thread)) })
    }

    /// Hands a line over, or drops and counts it. Never waits.
    pub(crate) fn write(&self, line: Line) {
        if line.refusal.is_some() && !self.within_rate(line.at.micros()) {
            self.missing.last.store(line.at.micros(), Relaxed);
            self.missing.left_out.fetch_add(1, Relaxed);
            return;
        }
        if self.words.try_send(Word::Line(Box::new(line))).is_err() {
            self.missing.lost.fetch_add(1, Relaxed);
        }
    }

    /// Whether one more line of a refused request is within the rate at this moment.
    fn within_rate(&self, now: i64) -> bool {
        let next = |until: i64| {
            // A clock that was put back must not silence the log.
            let until = if until > now + REFUSED_BURST * REFUSED_EACH { now } else { until.max(now) };
            Some(until + REFUSED_EACH).filter(|next| next - now <= REFUSED_BURST * REFUSED_EACH)
        };
        self.refused_until.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    /// Has the file opened anew by its name, after it was moved away. Waits for room among the lines.
    pub(crate) fn reopen(&self) {
        // A writer that is gone writes nowhere.
        let _ = self.words.send(Word::Reopen);
    }

    /// Lines that were lost, and lines that were left out.
    pub(crate) fn missing(&self) -> (u64, u64) {
        (self.missing.lost.load(Relaxed), self.missing.left_out.load(Relaxed))
    }

    /// Writes what is left and ends the thread. Blocks for as long as that takes.
    pub(crate) fn end(&self) {
        let _ = self.words.send(Word::End);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// Opens it, or makes it with mode 0600 whatever the umask. A file that others can read is refused.
fn open(path: &Path) -> io::Result<File> {
    let missing = !path.exists();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if missing {
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let found = file.metadata()?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o077 != 0 {
        let reason = format!("its mode is {mode:04o} and others can read it; run: chmod 0600 {}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(file)
}

/// Whether a file is on the file system in which `other` is, or would be.
fn same_device(file: &File, other: &Path) -> bool {
    let there = other.parent().and_then(|folder| std::fs::metadata(folder).ok());
    there.zip(file.metadata().ok()).is_some_and(|(there, file)| there.dev() == file.dev())
}

fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| String::new(), |at| at.to_string())
}

struct Writer {
    path: PathBuf,
    gateway: String,
    file: File,
    reserve: Option<PathBuf>,
    /// Lines that were not handed to the system yet, and how many.
    held: Vec<u8>,
    lines: u64,
    missing: Arc<Missing>,
    /// How many of those that were left out a line has told of.
    told: u64,
    failing: bool,
    full: bool,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Word>) {
        loop {
            let word = match inbox.try_recv() {
                Ok(word) => word,
                Err(TryRecvError::Empty) => {
                    // Nothing more for now: what was said is to be seen.
                    self.flush();
                    match inbox.recv_timeout(TOLD_EVERY) {
                        Ok(word) => word,
                        Err(RecvTimeoutError::Timeout) => {
                            self.tell_left_out();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => return,
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
        self.tell_left_out();
    }

    /// Says how many lines are not there, once there is room.
    fn tell_left_out(&mut self) {
        let count = self.missing.left_out.load(Relaxed);
        if count == self.told || !self.has_room() {
            return;
        }
        let row = LeftOut { time: time(self.missing.last.load(Relaxed)), gateway: &self.gateway, left_out: count - self.told };
        if serde_json::to_writer(&mut self.held, &row).is_ok() {
            self.held.push(b'\n');
            self.told = count;
        }
        self.flush();
    }

    /// Whether there is room on the disk for lines that anyone can cause.
    fn has_room(&self) -> bool {
        let kept = self.reserve.as_ref().is_none_or(|reserve| reserve.exists());
        kept && rustix::fs::fstatvfs(&self.file).map_or(true, |found| {
            let (free, whole) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
            free >= FREE_MIN.min(whole / 8)
        })
    }

    fn line(&mut self, line: &Line) {
        self.missing.last.fetch_max(line.at.micros(), Relaxed);
        let text = |value: &'_ Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok().map(str::to_owned));
        let (identity, kind) = (text(&line.identity), text(&line.kind));
        let method = redact(line.method.as_str());
        let row = Row {
            time: time(line.at.micros()),
            gateway: &self.gateway,
            namespace: line.namespace.as_str(),
            api: line.api.as_ref().map(ApiId::as_str),
            identity: identity.as_deref(),
            identity_kind: kind.as_deref(),
            credential: line.credential.as_deref(),
            method: &method,
            path: redact(line.uri.path()).chars().take(if line.refusal.is_some() { PATH_REFUSED } else { PATH }).collect(),
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
            self.missing.lost.fetch_add(1, Relaxed);
            return;
        }
        self.held.push(b'\n');
        self.lines += 1;
    }

    /// Hands what is held to the system. What it does not take is lost and counted: holding on would only lose it later.
    fn flush(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let full = !self.has_room();
        if full != std::mem::replace(&mut self.full, full) {
            if full {
                tracing::warn!(path = %self.path.display(), "the disk is nearly full: the access log pauses");
            } else {
                tracing::info!(path = %self.path.display(), "there is space again: the access log goes on");
            }
        }
        if full {
            self.missing.left_out.fetch_add(std::mem::take(&mut self.lines), Relaxed);
            self.held.clear();
            return;
        }
        let written = self.file.write_all(&self.held);
        let lines = std::mem::take(&mut self.lines);
        self.held.clear();
        match written {
            Ok(()) => self.failing &= lines == 0,
            Err(error) => {
                self.missing.lost.fetch_add(lines, Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(path = %self.path.display(), %error, "the access log cannot be written; lines are lost");
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(at: i64, refused: bool) -> Line {
        Line {
            at: Timestamp::from_micros(at),
            namespace: NamespaceId::parse("kk.acc01").unwrap(),
            api: None,
            identity: None,
            kind: None,
            credential: None,
            method: Method::GET,
            uri: format!("/{}", "x".repeat(3_000)).parse().unwrap(),
            h2: false,
            status: Some(if refused { 401 } else { 200 }),
            grpc_status: None,
            micros: 1,
            up: 0,
            down: 0,
            client: IpAddr::from([127, 0, 0, 1]),
            refusal: refused.then(|| Ended {
                code: countersign_core::RefusalCode::KeyMissing,
                id: countersign_core::id::RefusalId::mint(&countersign_testkit::Chance),
                details: None,
            }),
            upstream: None,
        }
    }

    #[test]
    fn a_flood_of_refused_requests_is_bounded_in_the_log_and_a_line_says_how_many_are_left_out() {
        let path = std::env::temp_dir().join(format!("countersign-flood-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let log = AccessLog::open(path.clone(), "gw".to_owned(), None).unwrap();
        (0..5_000).for_each(|_| log.write(line(1_000_000, true)));
        // A request that is let in has its line all the same; and time earns further lines.
        log.write(line(1_000_000, false));
        (0..10).for_each(|_| log.write(line(1_000_000 + 3 * REFUSED_EACH, true)));
        log.end();
        assert_eq!(log.missing(), (0, 4_007));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("\"status\":401"), count("\"status\":200"), count("\"left_out\":4007")), (1_003, 1, 1), "{}", text.len());
        assert!(text.lines().filter(|line| line.contains("401")).all(|line| line.len() < 700), "a long path is cut");
        // A clock that is put back does not silence it.
        assert!(log.within_rate(5));
    }

    #[test]
    fn a_log_that_others_can_read_is_refused_with_the_command_that_closes_it() {
        let path = std::env::temp_dir().join(format!("countersign-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        drop(open(&path).unwrap());
        for mode in [0o644, 0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let told = open(&path).unwrap_err().to_string();
            assert!(told.contains("chmod 0600"), "{told}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(open(&path).is_ok() && open(Path::new("/dev/null")).is_ok());
        std::fs::remove_file(&path).unwrap();
    }
}

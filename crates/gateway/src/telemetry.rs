//! Counting. Each worker counts in its own cells; they are summed when somebody reads. Nothing here is on a shared lock while a
//! request is under way.

use countersign_core::admission::CredentialId;
use countersign_core::{NamespaceId, RefusalCode, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// How often and when a credential was last used since the last drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The key's id, the registered certificate's id, or the leaf's fingerprint.
    pub credential: String,
    /// `api_key`, `certificate` or `accepted_ca`.
    pub kind: &'static str,
    /// Where it was used.
    pub namespace: NamespaceId,
    /// Requests let in since the last drain.
    pub count: u64,
    /// The last of them.
    pub last_used: Timestamp,
    /// Where the last one came from.
    pub last_ip: IpAddr,
}

/// One credential's use at one door, in one worker.
#[derive(Debug)]
pub(crate) struct UsageCell {
    count: AtomicU64,
    last_used: AtomicI64,
    last_ip: Mutex<IpAddr>,
}

impl UsageCell {
    pub(crate) fn used(&self, now: Timestamp) {
        self.count.fetch_add(1, Relaxed);
        self.last_used.store(now.micros(), Relaxed);
    }
}

/// Outcomes at one door: admitted, then one count for each refusal code.
pub(crate) struct DoorCounts {
    admitted: AtomicU64,
    refused: Vec<AtomicU64>,
}

impl DoorCounts {
    fn new() -> Self {
        Self { admitted: AtomicU64::new(0), refused: RefusalCode::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn admitted(&self) {
        self.admitted.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self, code: RefusalCode) {
        // `ALL` lists the codes in the order of their declaration.
        if let Some(count) = self.refused.get(code as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

type UsageKey = (NamespaceId, &'static str, String);

/// What one worker counts.
#[derive(Default)]
pub(crate) struct Counts {
    doors: Mutex<HashMap<Option<NamespaceId>, Arc<DoorCounts>>>,
    usage: Mutex<HashMap<UsageKey, Arc<UsageCell>>>,
    pub(crate) connections: AtomicI64,
    pub(crate) streams: AtomicI64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) connections_evicted: AtomicU64,
    pub(crate) connections_cut: AtomicU64,
    pub(crate) streams_cut: AtomicU64,
}

impl Counts {
    /// The counts of a door, to be held by a connection.
    pub(crate) fn door(&self, namespace: Option<&NamespaceId>) -> Arc<DoorCounts> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(doors.entry(namespace.cloned()).or_insert_with(|| Arc::new(DoorCounts::new())))
    }

    /// Forgets the counts of namespaces that are gone: a later one of the same name begins at nothing.
    pub(crate) fn retain(&self, exists: impl Fn(&NamespaceId) -> bool) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| id.as_ref().is_none_or(&exists));
    }

    /// The cell of a credential, to be held by a connection.
    pub(crate) fn usage(&self, namespace: &NamespaceId, credential: &CredentialId, source: IpAddr) -> Arc<UsageCell> {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, kind) = credential_text(credential);
        let cell = usage
            .entry((namespace.clone(), kind, text))
            .or_insert_with(|| Arc::new(UsageCell { count: AtomicU64::new(0), last_used: AtomicI64::new(0), last_ip: Mutex::new(source) }));
        *cell.last_ip.lock().unwrap_or_else(PoisonError::into_inner) = source;
        Arc::clone(cell)
    }

    fn drain(&self, into: &mut BTreeMap<(String, NamespaceId), Usage>) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.retain(|(namespace, kind, credential), cell| {
            let count = cell.count.swap(0, Relaxed);
            if count == 0 {
                // Nobody holds the cell and nothing was counted: the credential is out of use here.
                return Arc::strong_count(cell) > 1;
            }
            let last_used = Timestamp::from_micros(cell.last_used.load(Relaxed));
            let last_ip = *cell.last_ip.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = into.entry((credential.clone(), namespace.clone())).or_insert_with(|| Usage {
                credential: credential.clone(),
                kind,
                namespace: namespace.clone(),
                count: 0,
                last_used,
                last_ip,
            });
            sum.count += count;
            if last_used >= sum.last_used {
                (sum.last_used, sum.last_ip) = (last_used, last_ip);
            }
            true
        });
    }
}

fn credential_text(credential: &CredentialId) -> (String, &'static str) {
    match credential {
        CredentialId::Key(id) => (id.to_string(), "api_key"),
        CredentialId::Certificate(id) => (id.to_string(), "certificate"),
        CredentialId::AcceptedCa { leaf, .. } => (leaf.to_string(), "accepted_ca"),
    }
}

/// Usage since the last drain, summed over workers.
pub(crate) fn drain(workers: &[Arc<Counts>]) -> Vec<Usage> {
    let mut sums = BTreeMap::new();
    for counts in workers {
        counts.drain(&mut sums);
    }
    sums.into_values().collect()
}

/// Writes the counters in the text format of Prometheus.
pub(crate) fn write(out: &mut String, workers: &[Arc<Counts>], revision: i64, age_seconds: f64) {
    let mut outcomes: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    for counts in workers {
        for (namespace, door) in counts.doors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let name = namespace.as_ref().map_or_else(String::new, ToString::to_string);
            *outcomes.entry((name.clone(), "ok")).or_default() += door.admitted.load(Relaxed);
            for (code, count) in RefusalCode::ALL.iter().zip(&door.refused) {
                let count = count.load(Relaxed);
                if count > 0 {
                    *outcomes.entry((name.clone(), code.as_str())).or_default() += count;
                }
            }
        }
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP countersign_gateway_requests_total Requests by namespace and outcome.");
    let _ = writeln!(out, "# TYPE countersign_gateway_requests_total counter");
    for ((namespace, code), count) in &outcomes {
        let _ = writeln!(out, "countersign_gateway_requests_total{{namespace=\"{namespace}\",code=\"{code}\"}} {count}");
    }
    let sum = |f: fn(&Counts) -> u64| workers.iter().map(|c| f(c)).sum::<u64>();
    let gauge = |f: fn(&Counts) -> i64| workers.iter().map(|c| f(c)).sum::<i64>();
    let mut one = |name: &str, kind: &str, help: &str, value: String| {
        let _ = writeln!(out, "# HELP countersign_gateway_{name} {help}\n# TYPE countersign_gateway_{name} {kind}");
        let _ = writeln!(out, "countersign_gateway_{name} {value}");
    };
    one("connections", "gauge", "Open client connections.", gauge(|c| c.connections.load(Relaxed)).to_string());
    one("streams", "gauge", "Requests and streams under way.", gauge(|c| c.streams.load(Relaxed)).to_string());
    one("handshakes_total", "counter", "TLS handshakes completed.", sum(|c| c.handshakes.load(Relaxed)).to_string());
    one(
        "handshakes_failed_total",
        "counter",
        "TLS handshakes refused or broken off.",
        sum(|c| c.handshakes_failed.load(Relaxed)).to_string(),
    );
    one("connections_refused_total", "counter", "Connections over a cap.", sum(|c| c.connections_refused.load(Relaxed)).to_string());
    one(
        "connections_evicted_total",
        "counter",
        "Connections that gave way to another at the bound: unauthenticated or idle ones.",
        sum(|c| c.connections_evicted.load(Relaxed)).to_string(),
    );
    one(
        "connections_cut_total",
        "counter",
        "Connections ended because their certificate no longer gets in.",
        sum(|c| c.connections_cut.load(Relaxed)).to_string(),
    );
    one(
        "streams_cut_total",
        "counter",
        "Requests and streams ended because they are no longer admitted.",
        sum(|c| c.streams_cut.load(Relaxed)).to_string(),
    );
    one("snapshot_revision", "gauge", "The revision every worker decides on.", revision.to_string());
    one("snapshot_age_seconds", "gauge", "Seconds since the control plane was last heard.", format!("{age_seconds:.3}"));
}

/// Appends how many lines of the access log were lost, and how many left out.
pub(crate) fn write_missing_lines(out: &mut String, (lost, left_out): (u64, u64)) {
    let lines = [
        ("lost", "Lines of the access log that could not be written.", lost),
        (
            "left_out",
            "Lines of the access log that were left out: more refused requests than are logged, or a disk that is nearly full.",
            left_out,
        ),
    ];
    for (what, help, count) in lines {
        let name = format!("countersign_gateway_access_log_{what}_total");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
    }
}

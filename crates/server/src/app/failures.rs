//! What failed for a reason of this server and not of its caller, counted: changes and issuances that were asked for, and jobs.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Failures {
    unavailable: AtomicU64,
    disk_full: AtomicU64,
    jobs: AtomicU64,
}

impl Failures {
    /// Counts a change that was answered with this code, where the code says that the reason is ours.
    pub fn change(&self, code: &str) {
        match code {
            "unavailable" => self.unavailable.fetch_add(1, Ordering::Relaxed),
            "disk_full" => self.disk_full.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Counts a job that failed.
    pub fn job(&self) {
        self.jobs.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends the counts in Prometheus' text format.
    pub fn write(&self, out: &mut String) {
        let changes = "countersign_change_failures_total";
        let jobs = "countersign_job_failures_total";
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "# HELP {changes} Changes and issuances that failed for a reason of this server.\n# TYPE {changes} counter\n\
             {changes}{{code=\"unavailable\"}} {}\n{changes}{{code=\"disk_full\"}} {}\n\
             # HELP {jobs} Jobs of the control plane that failed and are tried again.\n# TYPE {jobs} counter\n{jobs} {}\n",
            self.unavailable.load(Ordering::Relaxed),
            self.disk_full.load(Ordering::Relaxed),
            self.jobs.load(Ordering::Relaxed),
        );
    }
}

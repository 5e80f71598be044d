//! What happens by the clock: gateways hear that the control plane lives, use and ends of operations are written in batches.
//! Nothing that a request waits for is done here.

use crate::app::{App, audit_sinks, issuance, look_alike, notices, operations, refused_changes, rotation, usage};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// The beat. Usage is at most so late in lists.
const BEAT: Duration = Duration::from_secs(1);
/// Every so many beats an audit entry says how many refused changes were left out.
const LEFT_OUT_BEATS: u64 = 10;
/// Every so many beats sessions and invitations that are over are taken out.
const SWEEP_BEATS: u64 = 600;
/// Every so many beats it is looked for certificates that a crash kept from being issued.
const SETTLE_BEATS: u64 = 15;
/// Every so many beats it is looked for what ends soon.
const NOTICE_BEATS: u64 = 600;
/// Every so many beats it is looked up what ends next, for scrapers.
const ENDS_BEATS: u64 = 15;
/// Every so many beats notices that wait are delivered.
const DELIVERY_BEATS: u64 = 20;
/// Every so many beats CRLs that have become old are made anew.
const CRL_BEATS: u64 = 300;
/// Every so many beats the trail is delivered to its sinks.
const SINK_BEATS: u64 = 5;
/// Every so many beats it is looked which replaced credentials may go.
const RETIREMENT_BEATS: u64 = 15;

impl App {
    /// Runs until `stopped` turns true or its sender goes; then writes what is left.
    pub async fn run_jobs(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beats = 0_u64;
        let mut looks_missing = true;
        let mut delivering: Option<tokio::task::JoinHandle<()>> = None;
        let mut sinking: Option<tokio::task::JoinHandle<()>> = None;
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                // An error means that the sender is gone, which is an end as well.
                _ = stopped.wait_for(|stop| *stop) => break,
            }
            if let Some(gateways) = self.gateways() {
                gateways.heard(self.now());
            }
            self.write_behind().await;
            beats += 1;
            self.keep_reserve().await;
            if beats.is_multiple_of(LEFT_OUT_BEATS) {
                self.tell_left_out().await;
            }
            if beats % CRL_BEATS == 37 {
                self.renew_crls().await;
            }
            if beats % SWEEP_BEATS == 11 {
                self.sweep_logins().await;
                self.sweep_rotations().await;
            }
            if beats % RETIREMENT_BEATS == 3 {
                self.retire_idle().await;
            }
            if looks_missing {
                looks_missing = self.fill_looks().await;
            }
            if beats % SETTLE_BEATS == 3 {
                self.settle_issuances().await;
            }
            if beats % NOTICE_BEATS == 5 {
                self.plan_notices().await;
            }
            if beats % ENDS_BEATS == 1 {
                self.look_at_ends().await;
            }
            if beats % DELIVERY_BEATS == 7 && delivering.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                // A task of its own: a mail server that hangs must not keep use and ends from being written.
                let app = Arc::clone(&self);
                delivering = Some(tokio::spawn(async move { app.deliver_notices().await }));
            }
            if beats.is_multiple_of(SINK_BEATS) && sinking.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                let app = Arc::clone(&self);
                sinking = Some(tokio::spawn(async move { app.deliver_audit().await }));
            }
        }
        self.write_behind().await;
    }

    /// Ends replaced credentials that nobody uses any more, where that was asked for.
    pub async fn retire_idle(&self) {
        match rotation::retire_idle(self).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "replaced credentials went by themselves"),
            Err(error) => self.failed(&error, "it could not be looked for what may be retired; tried again later"),
        }
    }

    /// Takes out what is over of rotations.
    async fn sweep_rotations(&self) {
        if let Err(error) = rotation::sweep(self).await {
            self.failed(&error, "rotations that are over could not be taken out; tried again soon");
        }
    }

    /// Completes certificates of an older version, some at a time, so that neither a start nor a request waits for all of them. Whether
    /// there may be more.
    pub async fn fill_looks(&self) -> bool {
        match look_alike::fill(self).await {
            Ok(filled) => filled > 0,
            Err(error) => {
                self.failed(&error, "what names of older certificates look like could not be written; tried again soon");
                true
            }
        }
    }

    /// Gives up what was intended and never issued, so that nothing signed is unknown.
    pub async fn settle_issuances(&self) {
        match issuance::settle(self).await {
            Ok(0) => {}
            Ok(given_up) => tracing::warn!(given_up, "issuances that were interrupted are given up; their serial numbers count as revoked"),
            Err(error) => self.failed(&error, "it could not be looked for interrupted issuances; tried again soon"),
        }
    }

    /// Notes which credentials end soon.
    pub async fn plan_notices(&self) {
        match notices::plan(self).await {
            Ok(0) => {}
            Ok(new) => tracing::info!(new, "expiry notices have become due"),
            Err(error) => self.failed(&error, "it could not be looked for what ends soon; tried again later"),
        }
        self.look_at_ends().await;
    }

    /// Looks up what ends next, which scrapers read.
    pub async fn look_at_ends(&self) {
        if let Err(error) = notices::look(self).await {
            self.failed(&error, "it could not be looked up what ends next; tried again soon");
        }
    }

    /// Sends the notices that wait.
    pub async fn deliver_notices(&self) {
        if let Err(error) = notices::deliver(self).await {
            self.failed(&error, "notices could not be delivered; tried again soon");
        }
    }

    /// Sends the audit trail on to its sinks.
    pub async fn deliver_audit(self: &Arc<Self>) {
        if let Err(error) = audit_sinks::deliver(self).await {
            self.failed(&error, "the audit trail could not be sent to its sinks; tried again soon");
        }
    }

    /// Keeps the space for a full disk back again once there is room, so that every change is accepted again.
    async fn keep_reserve(&self) {
        if self.store.has_reserve() {
            return;
        }
        let store = self.store.clone();
        if matches!(tokio::task::spawn_blocking(move || store.restore_reserve()).await, Ok(true)) {
            tracing::info!("there is space on the disk again: every change is accepted");
        }
    }

    /// Says how many refused changes the audit trail leaves out.
    pub async fn tell_left_out(&self) {
        if let Err(error) = refused_changes::tell(self).await {
            self.failed(&error, "how many refused changes were left out could not be written; tried again soon");
        }
    }

    /// Writes what is gathered in memory: ends of operations and use of credentials.
    pub async fn write_behind(&self) {
        if let Err(error) = operations::flush(self).await {
            self.failed(&error, "ends of operations could not be written; tried again soon");
        }
        if let Err(error) = usage::flush(self).await {
            self.failed(&error, "use of credentials could not be written; tried again soon");
        }
    }

    /// Tells of a job of the binary that failed.
    pub fn job_failed(&self, error: &dyn fmt::Display, what: &str) {
        self.failed(error, what);
    }

    /// Tells of a job that failed. Whatever still runs when the store is closed fails by that, which is nobody's trouble: nothing that
    /// was acknowledged waits for it.
    fn failed(&self, error: &dyn fmt::Display, what: &str) {
        if self.closing.load(Ordering::SeqCst) {
            tracing::debug!(%error, "{what}");
        } else {
            self.failures.job();
            tracing::warn!(%error, "{what}");
        }
    }

    /// Writes what is gathered and closes the store. The last thing a process does.
    pub async fn close(&self) {
        self.write_behind().await;
        self.closing.store(true, Ordering::SeqCst);
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database could not be closed; nothing that was acknowledged is lost");
        }
    }

    /// Appends what a scraper reads of the control plane, in Prometheus' text format. Counts only, nobody's names.
    pub fn metrics(&self, out: &mut String) {
        let snapshot = self.snapshot();
        let (namespaces, identities, keys, certificates) = snapshot.counts();
        let lines: [(&str, &str, i64); 6] = [
            ("countersign_revision", "Revision of the control plane's state.", snapshot.revision()),
            (
                "countersign_disk_full",
                "1 while the data directory's disk is full and only changes that take access away are accepted.",
                i64::from(!self.store.has_reserve()),
            ),
            ("countersign_namespaces", "Namespaces.", i64::try_from(namespaces).unwrap_or(i64::MAX)),
            ("countersign_identities", "Users and service accounts.", i64::try_from(identities).unwrap_or(i64::MAX)),
            ("countersign_api_keys", "API keys, expired and disabled ones included.", i64::try_from(keys).unwrap_or(i64::MAX)),
            (
                "countersign_certificates",
                "Registered certificates, revoked ones included.",
                i64::try_from(certificates).unwrap_or(i64::MAX),
            ),
        ];
        self.failures.write(out);
        let mut unreadable: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for row in self.store.unreadable_rows() {
            *unreadable.entry(row.kind).or_default() += 1;
        }
        let name = "countersign_unreadable_rows";
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} Rows of the database that could not be read since the start, by kind.\n# TYPE {name} gauge");
        for (kind, count) in unreadable {
            let _ = writeln!(out, "{name}{{kind=\"{kind}\"}} {count}");
        }
        let name = "countersign_audit_refusals_left_out_total";
        let left_out = self.refused_changes.total();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "# HELP {name} Refused changes without an entry of their own in the audit trail.\n# TYPE {name} counter\n{name} {left_out}"
        );
        let ends = self.next_ends.earliest();
        if !ends.is_empty() {
            let name = "countersign_earliest_end_seconds";
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {name} The earliest end of each kind of credential, in seconds since 1970.\n# TYPE {name} gauge");
            for (kind, at) in ends {
                let _ = writeln!(out, "{name}{{kind=\"{kind}\"}} {}", at.seconds());
            }
        }
        for (name, help, value) in lines {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
    }
}

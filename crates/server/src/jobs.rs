//! What happens by the clock: gateways hear that the control plane lives, use and ends of operations are written in batches.
//! Nothing that a request waits for is done here.

use crate::app::{App, operations, usage};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The beat. Usage is at most so late in lists.
const BEAT: Duration = Duration::from_secs(1);
/// Every so many beats the space for a full disk is kept back again, where it was spent.
const RESERVE_BEATS: u64 = 60;

impl App {
    /// Runs until `stopped` turns true or its sender goes; then writes what is left.
    pub async fn run_jobs(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beats = 0_u64;
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
            // Files are touched for it, so not at every beat.
            if beats.is_multiple_of(RESERVE_BEATS) {
                self.store.restore_reserve();
            }
        }
        self.write_behind().await;
    }

    /// Writes what is gathered in memory: ends of operations and use of credentials.
    pub async fn write_behind(&self) {
        if let Err(error) = operations::flush(self).await {
            tracing::warn!(%error, "ends of operations could not be written; tried again soon");
        }
        if let Err(error) = usage::flush(self).await {
            tracing::warn!(%error, "use of credentials could not be written; tried again soon");
        }
    }

    /// Writes what is gathered and closes the store. The last thing a process does.
    pub async fn close(&self) {
        self.write_behind().await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database could not be closed; nothing that was acknowledged is lost");
        }
    }

    /// Appends what a scraper reads of the control plane, in Prometheus' text format. Counts only, nobody's names.
    pub fn metrics(&self, out: &mut String) {
        let snapshot = self.snapshot();
        let (namespaces, identities, keys, certificates) = snapshot.counts();
        let lines: [(&str, &str, i64); 5] = [
            ("countersign_revision", "Revision of the control plane's state.", snapshot.revision()),
            ("countersign_namespaces", "Namespaces.", i64::try_from(namespaces).unwrap_or(i64::MAX)),
            ("countersign_identities", "Users and service accounts.", i64::try_from(identities).unwrap_or(i64::MAX)),
            ("countersign_api_keys", "API keys, expired and disabled ones included.", i64::try_from(keys).unwrap_or(i64::MAX)),
            (
                "countersign_certificates",
                "Registered certificates, revoked ones included.",
                i64::try_from(certificates).unwrap_or(i64::MAX),
            ),
        ];
        for (name, help, value) in lines {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
    }
}

//! Audit entries of refused changes, bounded: whoever holds any credential can cause them. Each identity has a burst and a rate, all
//! together have one too, and none is written where the disk is nearly full. What is left out is counted, and one entry says how many.

use super::App;
use super::caller::Caller;
use super::unit;
use crate::error::Refused;
use countersign_core::audit::Entry;
use countersign_core::authz::Action;
use countersign_core::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Entries of one identity at once, and the time after which one more is written.
const BURST: u32 = 200;
const EACH: Duration = Duration::from_millis(500);
/// The same for all identities together.
const BURST_OF_ALL: u32 = 5_000;
const EACH_OF_ALL: Duration = Duration::from_millis(50);
/// Identities that are told apart; further ones share a bucket.
const IDENTITIES_MAX: usize = 10_000;
/// Identities that an entry on what was left out names.
const NAMED: usize = 20;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    const fn full(burst: u32, now: Instant) -> Self {
        Self { left: burst, since: now }
    }

    /// Takes one, after it was filled for the time that has passed.
    fn take(&mut self, burst: u32, each: Duration, now: Instant) -> bool {
        let gained = u32::try_from(now.saturating_duration_since(self.since).as_millis() / each.as_millis().max(1)).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(burst);
            self.since = now;
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }
}

/// What was left out since the last entry on it.
#[derive(Debug, Default)]
struct LeftOut {
    since: Option<Timestamp>,
    count: u64,
    by: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct State {
    all: Option<Bucket>,
    each: HashMap<String, Bucket>,
    left_out: LeftOut,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Bound {
    state: Mutex<State>,
    total: AtomicU64,
}

impl Bound {
    /// Whether one more entry of this identity is written; else it is counted.
    fn admits(&self, identity: &str, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.each.len() >= IDENTITIES_MAX && !state.each.contains_key(identity) {
            state.each.retain(|_, bucket| now.saturating_duration_since(bucket.since) < EACH * BURST);
        }
        let name = if state.each.len() >= IDENTITIES_MAX { "" } else { identity };
        let own = state.each.entry(name.to_owned()).or_insert(Bucket::full(BURST, now)).take(BURST, EACH, now);
        own && state.all.get_or_insert(Bucket::full(BURST_OF_ALL, now)).take(BURST_OF_ALL, EACH_OF_ALL, now)
    }

    fn leave_out(&self, identity: &str, at: Timestamp) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = &mut state.left_out;
        left_out.since.get_or_insert(at);
        left_out.count += 1;
        if left_out.by.len() < NAMED || left_out.by.contains_key(identity) {
            *left_out.by.entry(identity.to_owned()).or_default() += 1;
        }
    }

    /// How many were left out since the start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn take(&self) -> LeftOut {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).left_out)
    }

    fn put_back(&self, older: LeftOut) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = &mut state.left_out;
        left_out.since = older.since.or(left_out.since);
        left_out.count += older.count;
        for (identity, count) in older.by {
            *left_out.by.entry(identity).or_default() += count;
        }
    }
}

/// Records a refused change, within the bound.
///
/// # Errors
/// When the store fails; the refusal stands all the same.
pub async fn record(app: &App, caller: &Caller, action: Action, kind: &str, id: &str, code: &str) -> Result<(), Refused> {
    let identity = caller.identity.as_str();
    if !app.refused_changes.admits(identity, Instant::now()) || !app.store.has_room_for_records() {
        app.refused_changes.leave_out(identity, app.now());
        return Ok(());
    }
    let written = unit::record_refusal(app, caller, action, kind, id, code).await;
    if written.is_err() {
        app.refused_changes.leave_out(identity, app.now());
    }
    written
}

/// Writes one entry on what was left out, if anything was. Called by the clock.
///
/// # Errors
/// When the store fails; it is tried again then.
pub async fn tell(app: &App) -> Result<(), Refused> {
    if !app.store.has_room_for_records() {
        return Ok(());
    }
    let left_out = app.refused_changes.take();
    if left_out.count == 0 {
        return Ok(());
    }
    let since = left_out.since.map(countersign_proto::convert::time);
    let entry = Entry {
        after: json!({"leftOut": left_out.count, "since": since, "byIdentity": left_out.by}).to_string(),
        ..unit::system_entry("LeaveOutRefusedChanges", "audit", "", app.now())
    };
    let written = async {
        let mut write = app.store.begin().await?;
        write.append_audit(entry).await?;
        write.commit_without_revision().await
    }
    .await;
    if written.is_err() {
        app.refused_changes.put_back(left_out);
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_identity_is_bounded_and_keeps_nobody_else_out() {
        let bound = Bound::default();
        let now = Instant::now();
        let written = (0..10_000).filter(|_| bound.admits("noisy", now)).count();
        assert_eq!(written, BURST as usize);
        assert!(bound.admits("quiet", now));
        let later = now + EACH * 3;
        assert_eq!((0..100).filter(|_| bound.admits("noisy", later)).count(), 3);
        let much_later = now + Duration::from_secs(86_400);
        assert_eq!((0..10_000).filter(|_| bound.admits("noisy", much_later)).count(), BURST as usize);
    }

    #[test]
    fn a_flood_of_many_identities_is_bounded_in_rate_and_memory() {
        let bound = Bound::default();
        let now = Instant::now();
        let written = (0..30_000).filter(|n| bound.admits(&format!("identity {n}"), now)).count();
        assert_eq!(written, BURST_OF_ALL as usize);
        assert!(bound.state.lock().unwrap().each.len() <= IDENTITIES_MAX + 1);
    }

    #[test]
    fn what_was_left_out_is_counted_by_identity_and_told_once() {
        let bound = Bound::default();
        let at = Timestamp::from_seconds(1);
        for n in 0..100 {
            bound.leave_out(&format!("i{}", n % 30), at);
        }
        let left_out = bound.take();
        assert_eq!((left_out.count, left_out.by.len(), bound.total()), (100, NAMED, 100));
        assert_eq!(bound.take().count, 0);
        bound.put_back(left_out);
        assert_eq!(bound.take().count, 100);
    }
}

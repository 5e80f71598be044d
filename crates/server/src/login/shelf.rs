//! A small place for what lives for minutes and in memory only: one-time codes, half-finished logins, pending devices. Everything
//! on it has an end, and there is a most it holds.

use countersign_core::time::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values by key, each with its end.
#[derive(Debug)]
pub struct Shelf<K, V> {
    max: usize,
    values: Mutex<HashMap<K, (Timestamp, V)>>,
}

/// There is no room: too many wait already.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    /// Holds at most `max` values.
    pub fn new(max: usize) -> Self {
        Self { max, values: Mutex::new(HashMap::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Timestamp, V)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a value there until `until`.
    ///
    /// # Errors
    /// [`Full`]; values that have ended make room first.
    pub fn put(&self, now: Timestamp, key: K, value: V, until: Timestamp) -> Result<(), Full> {
        let mut values = self.lock();
        if values.len() >= self.max {
            values.retain(|_, (until, _)| now < *until);
        }
        if values.len() >= self.max {
            return Err(Full);
        }
        values.insert(key, (until, value));
        Ok(())
    }

    /// As [`Shelf::put`], but the one that ends first gives way.
    pub fn push(&self, now: Timestamp, key: K, value: V, until: Timestamp) {
        let mut values = self.lock();
        values.retain(|_, (until, _)| now < *until);
        while values.len() >= self.max {
            let Some(oldest) = values.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone()) else { break };
            values.remove(&oldest);
        }
        values.insert(key, (until, value));
    }

    /// Looks at a value, or changes it, under the lock: of two callers one comes first.
    pub fn with<T>(&self, now: Timestamp, key: &K, look: impl FnOnce(&mut V) -> T) -> Option<T> {
        self.lock().get_mut(key).filter(|(until, _)| now < *until).map(|(_, value)| look(value))
    }

    /// Takes a value away: of any number of callers one gets it.
    pub fn take(&self, now: Timestamp, key: &K) -> Option<V> {
        self.lock().remove(key).filter(|(until, _)| now < *until).map(|(_, value)| value)
    }

    /// Takes a value away when `ready` says so, under the lock.
    pub fn take_if(&self, now: Timestamp, key: &K, ready: impl FnOnce(&V) -> bool) -> Option<V> {
        let mut values = self.lock();
        if values.get(key).is_some_and(|(until, value)| now < *until && ready(value)) {
            return values.remove(key).map(|(_, value)| value);
        }
        None
    }

    /// The first value that `matches`, and its key.
    pub fn find(&self, now: Timestamp, matches: impl Fn(&V) -> bool) -> Option<K> {
        self.lock().iter().find(|(_, (until, value))| now < *until && matches(value)).map(|(key, _)| key.clone())
    }

    /// How many values that have not ended match.
    pub fn count(&self, now: Timestamp, matches: impl Fn(&V) -> bool) -> usize {
        self.lock().values().filter(|(until, value)| now < *until && matches(value)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_it_ends_is_taken_once_and_has_a_most() {
        let at = Timestamp::from_seconds;
        let shelf = Shelf::new(2);
        assert_eq!((shelf.put(at(0), 1, 'a', at(10)), shelf.put(at(0), 2, 'b', at(20))), (Ok(()), Ok(())));
        assert_eq!(shelf.put(at(5), 3, 'c', at(30)), Err(Full));
        assert_eq!(shelf.put(at(10), 3, 'c', at(30)), Ok(()));
        assert_eq!((shelf.take(at(11), &2), shelf.take(at(11), &2)), (Some('b'), None));
        assert_eq!(shelf.with(at(30), &3, |c| *c), None);
        shelf.push(at(11), 4, 'd', at(12));
        shelf.push(at(11), 5, 'e', at(50));
        assert_eq!((shelf.with(at(11), &4, |c| *c), shelf.with(at(11), &5, |c| *c)), (None, Some('e')));
    }
}

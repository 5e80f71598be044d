//! A small place for what lives for minutes and in memory only: one-time codes, half-finished logins, pending devices. Everything
//! on it has an end, there is a most it holds, and a most that it holds for one user or one network: who fills it pushes out what
//! was their own, and keeps nobody else out.

use countersign_core::time::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Slot<V> {
    until: Timestamp,
    /// Rises with each value that is put there.
    order: u64,
    /// For whom it is held: a user or a network.
    holder: String,
    value: V,
}

#[derive(Debug)]
struct Slots<K, V> {
    by_key: HashMap<K, Slot<V>>,
    next: u64,
}

/// Values by key, each with its end and its holder.
#[derive(Debug)]
pub struct Shelf<K, V> {
    max: usize,
    max_of_one: usize,
    slots: Mutex<Slots<K, V>>,
}

impl<K: Eq + Hash + Clone, V> Slots<K, V> {
    fn drop_ended(&mut self, now: Timestamp) {
        self.by_key.retain(|_, slot| now < slot.until);
    }

    fn count(&self, holder: &str) -> usize {
        self.by_key.values().filter(|slot| slot.holder == holder).count()
    }

    /// The holder of the most values.
    fn largest(&self) -> Option<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for slot in self.by_key.values() {
            *counts.entry(&slot.holder).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(holder, _)| holder.to_owned())
    }

    fn drop_oldest_of(&mut self, holder: &str) {
        let held = self.by_key.iter().filter(|(_, slot)| slot.holder == holder);
        if let Some(key) = held.min_by_key(|(_, slot)| slot.order).map(|(key, _)| key.clone()) {
            self.by_key.remove(&key);
        }
    }
}

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    /// Holds at most `max` values, and `max_of_one` for one holder.
    pub fn new(max: usize, max_of_one: usize) -> Self {
        Self { max, max_of_one, slots: Mutex::new(Slots { by_key: HashMap::new(), next: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Slots<K, V>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a value there until `until`. Where there is no room, the oldest of its holder gives way, or else the oldest of the holder
    /// of the most.
    pub fn put(&self, now: Timestamp, key: K, holder: &str, value: V, until: Timestamp) {
        let mut slots = self.lock();
        slots.by_key.remove(&key);
        if slots.by_key.len() >= self.max || slots.count(holder) >= self.max_of_one {
            slots.drop_ended(now);
        }
        if slots.count(holder) >= self.max_of_one {
            slots.drop_oldest_of(holder);
        } else if slots.by_key.len() >= self.max
            && let Some(largest) = slots.largest()
        {
            slots.drop_oldest_of(&largest);
        }
        let order = slots.next;
        slots.next += 1;
        slots.by_key.insert(key, Slot { until, order, holder: holder.to_owned(), value });
    }

    /// Looks at a value, or changes it, under the lock: of two callers one comes first.
    pub fn with<T>(&self, now: Timestamp, key: &K, look: impl FnOnce(&mut V) -> T) -> Option<T> {
        self.lock().by_key.get_mut(key).filter(|slot| now < slot.until).map(|slot| look(&mut slot.value))
    }

    /// Takes a value away: of any number of callers one gets it.
    pub fn take(&self, now: Timestamp, key: &K) -> Option<V> {
        self.lock().by_key.remove(key).filter(|slot| now < slot.until).map(|slot| slot.value)
    }

    /// Takes a value away when `ready` says so, under the lock.
    pub fn take_if(&self, now: Timestamp, key: &K, ready: impl FnOnce(&V) -> bool) -> Option<V> {
        let mut slots = self.lock();
        if slots.by_key.get(key).is_some_and(|slot| now < slot.until && ready(&slot.value)) {
            return slots.by_key.remove(key).map(|slot| slot.value);
        }
        None
    }

    /// The first value that `matches`, and its key.
    pub fn find(&self, now: Timestamp, matches: impl Fn(&V) -> bool) -> Option<K> {
        self.lock().by_key.iter().find(|(_, slot)| now < slot.until && matches(&slot.value)).map(|(key, _)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn what_is_on_it_ends_and_is_taken_once() {
        let shelf = Shelf::new(2, 2);
        shelf.put(at(0), 1, "x", 'a', at(10));
        shelf.put(at(0), 2, "x", 'b', at(20));
        shelf.put(at(10), 3, "x", 'c', at(30));
        assert_eq!((shelf.take(at(11), &2), shelf.take(at(11), &2)), (Some('b'), None), "what has ended makes room first");
        assert_eq!((shelf.with(at(29), &3, |c| *c), shelf.with(at(30), &3, |c| *c)), (Some('c'), None));
    }

    #[test]
    fn who_fills_it_pushes_out_their_own_and_keeps_nobody_out() {
        let shelf = Shelf::new(10, 6);
        shelf.put(at(0), 0, "quiet", 'q', at(100));
        for key in 1..100 {
            shelf.put(at(0), key, "loud", 'l', at(100));
        }
        let held = |shelf: &Shelf<i32, char>, wanted| (0..1000).filter(|key| shelf.with(at(1), key, |c| *c) == Some(wanted)).count();
        assert_eq!((held(&shelf, 'l'), shelf.with(at(1), &0, |c| *c), shelf.with(at(1), &99, |c| *c)), (6, Some('q'), Some('l')));
        // Many of them, each within its bound: the one that holds the most gives way.
        for n in 0..8 {
            shelf.put(at(0), 200 + n, &format!("new {n}"), 'n', at(100));
        }
        assert_eq!((held(&shelf, 'q'), held(&shelf, 'n'), held(&shelf, 'l')), (1, 8, 1));
        shelf.put(at(0), 0, "quiet", 'r', at(100));
        assert_eq!(shelf.with(at(1), &0, |c| *c), Some('r'), "a key is put anew");
    }
}

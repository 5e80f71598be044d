//! A map that is cheap to copy with one entry changed: a fixed number of shards behind reference counts. A change copies one
//! shard; readers of the old map are not disturbed. Look-ups cost what a hash map's cost, whatever the size.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

const SHARDS: usize = 1024;

/// See the module.
#[derive(Clone, Debug)]
pub struct ShardMap<K, V> {
    shards: Arc<Vec<Arc<HashMap<K, V>>>>,
    hasher: RandomState,
    len: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Default for ShardMap<K, V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: Arc::new(vec![empty; SHARDS]), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> ShardMap<K, V> {
    fn shard(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.shards[self.shard(key)].get(key)
    }

    /// Sets `key`. Cheap while nobody shares this map, one shard's copy otherwise.
    pub fn insert(&mut self, key: K, value: V) {
        let i = self.shard(&key);
        if Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[i]).insert(key, value).is_none() {
            self.len += 1;
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &K) {
        let i = self.shard(key);
        if self.shards[i].contains_key(key) && Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[i]).remove(key).is_some() {
            self.len -= 1;
        }
    }

    /// How many entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

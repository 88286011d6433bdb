//! What texts became, kept within a bound, read without a lock.
//!
//! Each shard is a snapshot behind an atomic pointer: a look-up loads it and compares one text. A write copies one
//! shard's tables. There are two generations: when the young one is full it becomes the old one, and the old one is
//! dropped. A text that is used again moves to the young generation; a flood of texts that never come back fills and
//! empties generations, without room for more, and without driving out what is in use.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Cache<T> {
    hasher: RandomState,
    shards: Vec<Shard<T>>,
    /// Bytes that one generation of one shard may hold.
    generation: usize,
}

#[derive(Debug)]
struct Shard<T> {
    snapshot: ArcSwap<Snapshot<T>>,
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Snapshot<T> {
    young: HashTable<Arc<Entry<T>>>,
    old: HashTable<Arc<Entry<T>>>,
    young_bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    text: Box<str>,
    bytes: usize,
    value: T,
}

impl<T> Cache<T> {
    pub(super) fn new(bytes: usize) -> Self {
        let shard = || Shard {
            snapshot: ArcSwap::from_pointee(Snapshot {
                young: HashTable::new(),
                old: HashTable::new(),
                young_bytes: 0,
            }),
            writing: Mutex::new(()),
        };
        Self {
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            generation: bytes / SHARDS / 2,
        }
    }

    /// Applies `read` to what is kept for `text`, borrowed: a hot entry's reference count would be contended.
    pub(super) fn get<R>(&self, text: &str, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.get_for(&mut &*text, |value, _| read(value))
    }

    /// The same for a text that `read` overwrites.
    pub(super) fn get_for<K: AsRef<str>, R>(
        &self,
        text: &mut K,
        read: impl FnOnce(&T, &mut K) -> R,
    ) -> Option<R> {
        let hash = self.hasher.hash_one(text.as_ref());
        let shard = self.shard(hash);
        let snapshot = shard.snapshot.load();
        let same = |entry: &Arc<Entry<T>>| *entry.text == *text.as_ref();
        if let Some(entry) = snapshot.young.find(hash, same) {
            return Some(read(&entry.value, text));
        }
        let entry = snapshot.old.find(hash, same)?;
        shard.add(Arc::clone(entry), self.generation);
        Some(read(&entry.value, text))
    }

    /// Keeps `value`, which holds `weight` bytes besides the text, unless it alone would fill a generation.
    pub(super) fn put(&self, text: &str, weight: usize, value: T) {
        let bytes = text.len() + weight + size_of::<Entry<T>>() + 64;
        if bytes > self.generation {
            return;
        }
        let hash = self.hasher.hash_one(text);
        self.shard(hash).add(Arc::new(Entry { hash, text: text.into(), bytes, value }), self.generation);
    }

    /// Bytes that are kept now.
    pub(super) fn bytes(&self) -> usize {
        let of = |table: &HashTable<Arc<Entry<T>>>| table.iter().map(|entry| entry.bytes).sum::<usize>();
        self.shards
            .iter()
            .map(|shard| shard.snapshot.load())
            .map(|shard| of(&shard.young) + of(&shard.old))
            .sum()
    }

    fn shard(&self, hash: u64) -> &Shard<T> {
        // The table uses the low and the topmost bits; these are between them.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

impl<T> Shard<T> {
    fn add(&self, entry: Arc<Entry<T>>, generation: usize) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.snapshot.load();
        if now.young.find(entry.hash, |other| other.text == entry.text).is_some() {
            return;
        }
        let full = now.young_bytes + entry.bytes > generation;
        let mut next = if full {
            Snapshot { young: HashTable::new(), old: now.young.clone(), young_bytes: 0 }
        } else {
            Snapshot { young: now.young.clone(), old: now.old.clone(), young_bytes: now.young_bytes }
        };
        next.young_bytes += entry.bytes;
        next.young.insert_unique(entry.hash, entry, |entry| entry.hash);
        self.snapshot.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_and_nothing_else() {
        let cache = Cache::new(1 << 20);
        cache.put("a", 0, 1);
        cache.put("b", 0, 2);
        assert_eq!(cache.get("a", |v| *v), Some(1));
        assert_eq!(cache.get("b", |v| *v), Some(2));
        assert_eq!(cache.get("c", |v: &i32| *v), None);
    }

    #[test]
    fn a_flood_stays_within_the_bound_and_spares_what_is_in_use() {
        let cache = Cache::new(256 << 10);
        cache.put("hot", 0, 0);
        for i in 0..100_000 {
            cache.put(&format!("flood {i}"), 300, i);
            if i % 10 == 0 {
                assert_eq!(cache.get("hot", |v| *v), Some(0), "after {i} others");
            }
        }
        assert!(cache.bytes() <= 256 << 10, "{} bytes are kept", cache.bytes());
    }

    #[test]
    fn what_would_fill_a_generation_alone_is_not_kept() {
        let cache = Cache::new(64 << 10);
        cache.put("big", 1 << 20, 1);
        assert_eq!(cache.get("big", |v| *v), None);
        assert_eq!(cache.bytes(), 0);
    }
}

//! A map with room for a certain weight, which drops what was not asked for lately.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a value is called among those of its tenant: its parts, encoded. It names no tenant; a table holds values of one.
pub(super) type Key = Arc<[u8]>;

/// The values of one tenant. Second chance: a hand goes round, takes the mark from what was read since it last came by, and
/// drops what has none.
pub(super) struct Table<V> {
    slots: Vec<Slot<V>>,
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
    weight: u64,
    hand: usize,
}

struct Slot<V> {
    key: Key,
    found: Option<V>,
    expires: u64,
    weight: u64,
    read: AtomicBool,
}

/// What an insertion took out; it is dropped outside the lock.
pub(super) struct Gone<V> {
    /// Whether it had to make room, rather than being over or replaced.
    pub(super) is_evicted: bool,
    _slot: Slot<V>,
}

impl<V> Table<V> {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { slots: Vec::new(), index: HashTable::new(), hasher, weight: 0, hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns what is known at `now` under `key`: a value, or that there is none.
    #[inline]
    pub(super) fn get(&self, key: &[u8], now: u64) -> Option<Option<&V>> {
        let slot = &self.slots[self.find(key)?];
        if slot.expires <= now {
            return None;
        }
        // A mark that is there is not set again: readers then share the line.
        if !slot.read.load(Ordering::Relaxed) {
            slot.read.store(true, Ordering::Relaxed);
        }
        Some(slot.found.as_ref())
    }

    /// Puts what was found under `key`, with what has to go for it. It must not weigh more than `room`.
    pub(super) fn insert(
        &mut self,
        key: Key,
        found: Option<V>,
        expires: u64,
        weight: u64,
        room: u64,
        now: u64,
    ) -> Vec<Gone<V>> {
        let mut gone: Vec<Gone<V>> = self.remove(&key).into_iter().collect();
        while self.weight > room - weight {
            gone.push(self.make_room(now));
        }
        let hash = self.hasher.hash_one(&key);
        self.slots.push(Slot { key, found, expires, weight, read: AtomicBool::new(false) });
        self.weight += weight;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slots.len() - 1, |at| hasher.hash_one(&slots[*at].key));
        gone
    }

    /// Takes the value under `key` out.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Gone<V>> {
        let at = self.find(key)?;
        Some(Gone { is_evicted: false, _slot: self.remove_at(at) })
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.index.find(self.hasher.hash_one(key), |at| *self.slots[*at].key == *key).copied()
    }

    /// Takes out the first slot from the hand on that is over or was not read since the hand last came by.
    fn make_room(&mut self, now: u64) -> Gone<V> {
        loop {
            self.hand %= self.slots.len();
            let slot = &mut self.slots[self.hand];
            let is_over = slot.expires <= now;
            if is_over || !std::mem::take(slot.read.get_mut()) {
                return Gone { is_evicted: !is_over, _slot: self.remove_at(self.hand) };
            }
            self.hand += 1;
        }
    }

    fn remove_at(&mut self, at: usize) -> Slot<V> {
        self.unindex(at);
        let last = self.slots.len() - 1;
        if at != last {
            let hash = self.hasher.hash_one(&self.slots[last].key);
            *self.index.find_mut(hash, |slot| *slot == last).expect(INDEXED) = at;
        }
        let slot = self.slots.swap_remove(at);
        self.weight -= slot.weight;
        slot
    }

    fn unindex(&mut self, at: usize) {
        let hash = self.hasher.hash_one(&self.slots[at].key);
        self.index.find_entry(hash, |slot| *slot == at).map_err(|_| INDEXED).expect(INDEXED).remove();
    }
}

const INDEXED: &str = "every slot is in the index";

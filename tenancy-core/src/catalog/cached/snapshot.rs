//! Names and what they denote, in shards that readers take whole and a writer replaces; bounded, shard by shard.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::sync::Published;
use crate::{ExactName, Tenant, TenantId, TenantKey};

/// A write copies about a thousandth of the names.
const MOST_SHARDS: usize = 1024;
/// Smaller shards would fill unevenly, and evict while there is room elsewhere.
const LEAST_SHARD: usize = 64;

/// What is looked up: texts as the bytes that they are, since those of a request need not be known to be a name.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) enum Name<'a> {
    Id(&'a TenantId),
    Slug(&'a [u8]),
    Domain(&'a [u8]),
}

impl<'a> From<&'a TenantKey<'_>> for Name<'a> {
    fn from(key: &'a TenantKey<'_>) -> Self {
        match key {
            TenantKey::Id(id) => Self::Id(id),
            TenantKey::Slug(slug) => Self::Slug(slug.as_str().as_bytes()),
            TenantKey::Domain(name) => Self::Domain(name.as_bytes()),
        }
    }
}

impl<'a> From<ExactName<'a>> for Name<'a> {
    fn from(name: ExactName<'a>) -> Self {
        match name {
            ExactName::Id(id) => Self::Id(id),
            ExactName::Slug(name) => Self::Slug(name),
            ExactName::Domain(name) => Self::Domain(name),
        }
    }
}

/// What the cache holds about one name.
pub(super) struct Entry {
    pub(super) key: Arc<TenantKey<'static>>,
    /// None where the name is known to be nobody's.
    pub(super) tenant: Option<Arc<Tenant>>,
    /// The moment at which the load began that told this.
    pub(super) started: u64,
    /// When the entry is too old to answer, and when it is too old even while the wrapped catalog is down: by the
    /// cache's clock, in nanoseconds.
    pub(super) fresh_until: u64,
    pub(super) stale_until: u64,
    /// Whether it has answered since an eviction last looked at it. A hint: it is not part of what is shared safely.
    pub(super) used: AtomicBool,
}

impl Entry {
    fn name(&self) -> Name<'_> {
        Name::from(&*self.key)
    }

    /// Returns the tenant, unless a newer record of it is known or expected.
    pub(super) fn current(&self) -> Option<&Arc<Tenant>> {
        self.tenant.as_ref().filter(|tenant| !tenant.is_superseded())
    }

    /// Notes a use. Writes only once, so that a hot entry's cache line stays with all its readers.
    pub(super) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// What an eviction takes first: what cannot answer any more, then what was not used, then what expires soonest.
    fn worth(&self, now: u64) -> (bool, bool, u64) {
        let superseded = self.tenant.as_ref().is_some_and(|tenant| tenant.is_superseded());
        (!superseded && now < self.stale_until, self.used.load(Ordering::Relaxed), self.fresh_until)
    }
}

/// What had to go for a new entry.
#[derive(Default)]
pub(super) struct Displaced {
    pub(super) replaced: Option<Arc<Entry>>,
    pub(super) evicted: Option<Arc<Entry>>,
}

type Shard = HashTable<Arc<Entry>>;

pub(super) struct Snapshot {
    hasher: RandomState,
    shards: Box<[Published<Shard>]>,
    shard_capacity: usize,
    len: AtomicUsize,
}

impl Snapshot {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (capacity / LEAST_SHARD).clamp(1, MOST_SHARDS);
        Self {
            hasher: RandomState::default(),
            shards: (0..shards).map(|_| Published::empty()).collect(),
            shard_capacity: capacity.div_ceil(shards).max(1),
            len: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Calls `read` with the entry of `name`, if there is one. Takes no lock.
    pub(super) fn get<'n, R>(
        &self,
        name: impl Into<Name<'n>>,
        read: impl FnOnce(&Arc<Entry>) -> R,
    ) -> Option<R> {
        let name = name.into();
        let hash = self.hasher.hash_one(name);
        self.shard(hash).read(|shard| shard?.find(hash, |entry| entry.name() == name).map(read))
    }

    /// Puts `entry` under its key. Writers take turns; the caller sees to that, here and below.
    pub(super) fn put(&self, entry: &Arc<Entry>, now: u64) -> Displaced {
        let mut displaced = Displaced::default();
        self.change(&entry.key, |shard, hash| {
            if let Some(old) = shard.find_mut(hash, |old| old.key == entry.key) {
                displaced.replaced = Some(std::mem::replace(old, Arc::clone(entry)));
                return;
            }
            if shard.len() >= self.shard_capacity {
                displaced.evicted = self.evict(shard, now);
            }
            shard.insert_unique(hash, Arc::clone(entry), |entry| self.hasher.hash_one(entry.name()));
        });
        displaced
    }

    /// Removes `entry`, if it is still what its key stands for.
    pub(super) fn remove(&self, entry: &Arc<Entry>) {
        self.change(&entry.key, |shard, hash| {
            if let Ok(found) = shard.find_entry(hash, |found| Arc::ptr_eq(found, entry)) {
                found.remove();
            }
        });
    }

    pub(super) fn clear(&self) {
        for shard in &self.shards {
            self.len.fetch_sub(shard.read(|shard| shard.map_or(0, Shard::len)), Ordering::Relaxed);
            shard.replace(Shard::new());
        }
    }

    fn evict(&self, shard: &mut Shard, now: u64) -> Option<Arc<Entry>> {
        let victim = shard.iter().min_by_key(|entry| entry.worth(now)).map(Arc::clone)?;
        if victim.used.load(Ordering::Relaxed) {
            // All were used: everyone starts anew.
            shard.iter().for_each(|entry| entry.used.store(false, Ordering::Relaxed));
        }
        let hash = self.hasher.hash_one(victim.name());
        shard.find_entry(hash, |found| Arc::ptr_eq(found, &victim)).ok()?.remove();
        Some(victim)
    }

    fn change(&self, key: &TenantKey<'_>, change: impl FnOnce(&mut Shard, u64)) {
        let hash = self.hasher.hash_one(Name::from(key));
        let shard = self.shard(hash);
        let mut table = shard.read(|table| table.cloned()).unwrap_or_default();
        let before = table.len();
        change(&mut table, hash);
        self.len.fetch_add(table.len().wrapping_sub(before), Ordering::Relaxed);
        shard.replace(table);
    }

    /// The table inside a shard uses the hash's lowest and highest bits: the shard goes by some in between.
    fn shard(&self, hash: u64) -> &Published<Shard> {
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

//! Which tenants the cache holds something of.

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::super::sync::{Mutex, RwLock};
use super::partition::Partition;
use super::stats::TenantCacheStats;
use crate::TenantId;

/// The partitions of all tenants, in several maps so that a new tenant does not hold up the others.
pub(super) struct Shards<V> {
    shards: Vec<RwLock<Shard<V>>>,
    hasher: DefaultHashBuilder,
    max_each: usize,
    /// What was counted for tenants that are no longer held.
    past: Mutex<TenantCacheStats>,
}

type Shard<V> = HashMap<TenantId, Arc<Partition<V>>, DefaultHashBuilder>;

const SHARDS: usize = 16;

impl<V> Shards<V> {
    pub(super) fn new(max_tenants: usize) -> Self {
        // Few tenants are counted exactly, in one shard.
        let count = if max_tenants < 64 * SHARDS { 1 } else { SHARDS };
        let hasher = DefaultHashBuilder::default();
        let shards = (0..count).map(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))).collect();
        Self { shards, hasher, max_each: max_tenants.div_ceil(count), past: Mutex::default() }
    }

    fn shard(&self, id: &TenantId) -> &RwLock<Shard<V>> {
        // The low bits choose the bucket and the high ones tag it inside the map; these are neither.
        let hash = self.hasher.hash_one(id) >> 32;
        &self.shards[hash as usize % self.shards.len()]
    }

    /// Calls `f` with what is held of the tenant, if anything is.
    #[inline]
    pub(super) fn with<T>(&self, id: &TenantId, f: impl FnOnce(&Partition<V>) -> T) -> Option<T> {
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let id = whose(id);
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(id).map(|partition| f(partition))
    }

    pub(super) fn find(&self, id: &TenantId) -> Option<Arc<Partition<V>>> {
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let id = whose(id);
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn find_or_insert(&self, id: &TenantId) -> Arc<Partition<V>> {
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let id = whose(id);
        if let Some(partition) = self.find(id) {
            return partition;
        }
        let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(partition) = shard.get(id) {
            return Arc::clone(partition);
        }
        let idle = (shard.len() >= self.max_each).then(|| least_used(&shard)).flatten();
        let gone = idle.and_then(|idle| shard.remove(&idle));
        let partition = Arc::new(Partition::new());
        shard.insert(id.clone(), Arc::clone(&partition));
        drop(shard);
        if let Some(gone) = gone {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            *past = past.plus(TenantCacheStats { values: 0, tenants: 0, ..gone.stats() });
        }
        partition
    }

    pub(super) fn stats(&self) -> TenantCacheStats {
        let past = *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        self.shards.iter().fold(past, |sum, shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.values().fold(sum, |sum, partition| sum.plus(partition.stats()))
        })
    }
}

/// Returns a tenant whose values were not read since this was last asked, or any.
fn least_used<V>(shard: &Shard<V>) -> Option<TenantId> {
    let idle = shard.iter().find(|(_, partition)| !partition.take_used());
    idle.map(|(id, _)| id).or_else(|| shard.keys().next()).cloned()
}

/// Whose values are looked at: everybody's are the same without the guard.
#[cfg(feature = "broken-on-purpose-for-tests-only")]
fn whose(id: &TenantId) -> &TenantId {
    static ANYBODY: std::sync::OnceLock<TenantId> = std::sync::OnceLock::new();
    if !crate::Guard::Key.is_off() {
        return id;
    }
    ANYBODY.get_or_init(|| TenantId::integer(1).expect("an id"))
}

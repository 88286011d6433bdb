//! What the cache counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`TenantCache`](crate::TenantCache) has done, for all tenants or for one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TenantCacheStats {
    /// Calls that were answered from memory, the negative ones among them.
    pub hits: u64,
    /// Calls that were answered from memory with "there is none".
    pub negative_hits: u64,
    /// Calls that were answered by a load which another call had begun.
    pub joined: u64,
    /// Loads that were begun.
    pub loads: u64,
    /// Loads that ended with an error.
    pub failures: u64,
    /// Loads whose result was not kept, because the tenant was flushed or the key invalidated meanwhile.
    pub outdated: u64,
    /// Values that were dropped to make room for others of their tenant.
    pub evictions: u64,
    /// Values held at this moment, also those whose time is over and whose place nobody has needed yet.
    pub values: u64,
    /// Tenants held at this moment.
    pub tenants: u64,
}

impl TenantCacheStats {
    /// Returns which part of the calls was answered from memory, from 0 to 1; `None` before the first call.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(tenancy_core::TenantCache::<u32>::new().stats().hit_rate(), None);
    /// ```
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let calls = self.hits + self.joined + self.loads;
        (calls > 0).then(|| self.hits as f64 / calls as f64)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            negative_hits: self.negative_hits + other.negative_hits,
            joined: self.joined + other.joined,
            loads: self.loads + other.loads,
            failures: self.failures + other.failures,
            outdated: self.outdated + other.outdated,
            evictions: self.evictions + other.evictions,
            values: self.values + other.values,
            tenants: self.tenants + other.tenants,
        }
    }
}

/// One tenant's counters. They decide nothing, so that they need no order among threads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    negative_hits: AtomicU64,
    joined: AtomicU64,
    loads: AtomicU64,
    failures: AtomicU64,
    outdated: AtomicU64,
    evictions: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Counters {
    #[inline]
    pub(super) fn count_hit(&self, is_negative: bool) {
        add(&self.hits, 1);
        if is_negative {
            add(&self.negative_hits, 1);
        }
    }

    pub(super) fn count_joined(&self) {
        add(&self.joined, 1);
    }

    pub(super) fn count_load(&self) {
        add(&self.loads, 1);
    }

    pub(super) fn count_failure_of<T, E>(&self, loaded: &Result<T, E>) {
        add(&self.failures, usize::from(loaded.is_err()));
    }

    pub(super) fn count_outdated(&self) {
        add(&self.outdated, 1);
    }

    pub(super) fn count_evictions(&self, count: usize) {
        add(&self.evictions, count);
    }

    pub(super) fn stats(&self) -> TenantCacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TenantCacheStats {
            hits: read(&self.hits),
            negative_hits: read(&self.negative_hits),
            joined: read(&self.joined),
            loads: read(&self.loads),
            failures: read(&self.failures),
            outdated: read(&self.outdated),
            evictions: read(&self.evictions),
            ..TenantCacheStats::default()
        }
    }
}

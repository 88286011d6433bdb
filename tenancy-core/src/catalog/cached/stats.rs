//! What the cache counts: totals, never per tenant (CORE-19).

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a [`CachedCatalog`](crate::CachedCatalog) has done since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Look-ups answered with a tenant from memory.
    pub hits: u64,
    /// Look-ups answered with "no such tenant" from memory.
    pub negative_hits: u64,
    /// Look-ups that had to wait for a load, their own or one under way, or were refused.
    pub misses: u64,
    /// Questions put to the wrapped catalog.
    pub loads: u64,
    /// Loads that failed.
    pub errors: u64,
    /// Failed loads that were answered with a record past its time, as `stale_if_error` allows.
    pub stale: u64,
    /// Answers that were thrown away because they were older than what was known by then (DIR-09, DIR-17).
    pub outdated: u64,
    /// Look-ups of unknown names that were refused because too many had been asked for (DIR-05).
    pub refused: u64,
    /// Names that were dropped to make room.
    pub evictions: u64,
    /// Loads under way at this moment.
    pub in_flight: u64,
    /// Names of tenants held at this moment.
    pub names: u64,
    /// Names held at this moment as unknown.
    pub negative_names: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Striped,
    pub(super) negative_hits: Striped,
    pub(super) misses: Striped,
    pub(super) loads: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) outdated: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) in_flight: AtomicU64,
}

impl Counters {
    pub(super) fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: self.hits.sum(),
            negative_hits: self.negative_hits.sum(),
            misses: self.misses.sum(),
            loads: read(&self.loads),
            errors: read(&self.errors),
            stale: read(&self.stale),
            outdated: read(&self.outdated),
            refused: read(&self.refused),
            evictions: read(&self.evictions),
            in_flight: read(&self.in_flight),
            ..CacheStats::default()
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const STRIPES: usize = 16;

/// A counter in several cache lines, so that threads which count at every request do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Striped([Stripe; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Striped {
    pub(super) fn add(&self) {
        self.0[stripe()].0.fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        mine.get().unwrap_or_else(|| {
            let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            mine.set(Some(stripe));
            stripe
        })
    })
}

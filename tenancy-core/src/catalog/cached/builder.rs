//! The options of a cached catalog.

use std::sync::Arc;
use std::time::Duration;

use super::CachedCatalog;
use super::clock::{Clock, MonotonicClock};
use super::engine::Engine;
use crate::TenantCatalog;

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) ttl: Duration,
    pub(super) absent_ttl: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) retry_after_error: Duration,
    pub(super) patience: Duration,
    pub(super) capacity: usize,
    pub(super) absent_capacity: usize,
    /// At most so many at once, and so many a second.
    pub(super) unknown_loads: (u32, u32),
}

/// Chooses how long and how much a [`CachedCatalog`] remembers; made by [`CachedCatalog::builder`].
#[derive(Debug)]
#[must_use]
pub struct CachedCatalogBuilder<C> {
    catalog: C,
    options: Options,
    clock: Arc<dyn Clock>,
}

impl<C: TenantCatalog> CachedCatalogBuilder<C> {
    pub(super) fn new(catalog: C) -> Self {
        let options = Options {
            ttl: Duration::from_secs(60),
            absent_ttl: Duration::from_secs(10),
            stale_if_error: Duration::ZERO,
            retry_after_error: Duration::from_secs(1),
            patience: Duration::from_secs(10),
            capacity: 262_144,
            absent_capacity: 16_384,
            unknown_loads: (2_000, 200),
        };
        Self { catalog, options, clock: Arc::new(MonotonicClock::new()) }
    }

    /// Sets how long a tenant is served after the load that told of it began (default: 60 s). This bounds how late a
    /// change counts that is not announced (DIR-01).
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// Sets how long a name is taken for nobody's (default: 10 s). This bounds how late a new tenant is found that is
    /// not announced (DIR-04).
    pub fn with_absent_ttl(mut self, ttl: Duration) -> Self {
        self.options.absent_ttl = ttl;
        self
    }

    /// Serves a known tenant up to `time` past its time to live while the wrapped catalog fails (default: zero, so that
    /// look-ups fail too).
    ///
    /// Never a name that is not known, and never a record of which a newer one was announced (DIR-08). Together with
    /// the time to live this bounds how late a suspension counts whose announcement was lost in the same outage.
    pub fn with_stale_if_error(mut self, time: Duration) -> Self {
        self.options.stale_if_error = time;
        self
    }

    /// Sets how long the wrapped catalog is left alone about a tenant after it failed, while the known record is served
    /// past its time (default: 1 s).
    pub fn with_retry_after_error(mut self, time: Duration) -> Self {
        self.options.retry_after_error = time;
        self
    }

    /// Sets after how long a load counts as hanging, so that the next look-up begins another one (default: 10 s).
    pub fn with_patience(mut self, time: Duration) -> Self {
        self.options.patience = time;
        self
    }

    /// Sets how many names of tenants are held (default: 262,144; a tenant takes two or more, one of them its id).
    pub fn with_capacity(mut self, names: usize) -> Self {
        self.options.capacity = names;
        self
    }

    /// Sets how many names are remembered as nobody's (default: 16,384, in at most 6 MB).
    pub fn with_absent_capacity(mut self, names: usize) -> Self {
        self.options.absent_capacity = names;
        self
    }

    /// Sets how many loads of unknown names may begin at once and in each second (default: 2,000 and 200; DIR-05).
    ///
    /// Those that turn out to be a tenant's do not count, so that a cold start is not slowed down. Zero and zero
    /// refuse every unknown name.
    pub fn with_unknown_loads(mut self, at_once: u32, per_second: u32) -> Self {
        self.options.unknown_loads = (at_once, per_second);
        self
    }

    /// Sets the clock (default: [`MonotonicClock`]).
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the cache, which is empty.
    #[must_use]
    pub fn build(self) -> CachedCatalog<C> {
        CachedCatalog(Arc::new(Engine::new(self.catalog, self.options, self.clock)))
    }
}

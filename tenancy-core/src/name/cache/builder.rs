//! The options of a [`TenantCache`].

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::TenantCache;
use crate::{Clock, Generations, MonotonicClock};

type Weigh<V> = Arc<dyn Fn(&V) -> u64 + Send + Sync>;

/// Collects the options of a [`TenantCache`].
///
/// | option | default |
/// |---|---|
/// | time to live | at random between 30 and 60 s |
/// | time to live of "there is none" | at random between 5 and 10 s |
/// | room of a tenant | 1,000 values |
/// | tenants | 10,000 |
/// | generations | of this process |
#[must_use]
pub struct TenantCacheBuilder<V>(Options<V>);

pub(super) struct Options<V> {
    ttl: Ttl,
    negative_ttl: Ttl,
    pub(super) room: u64,
    weigh: Option<Weigh<V>>,
    pub(super) max_tenants: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Option<Shared>,
    random: AtomicU64,
}

pub(super) struct Shared {
    pub(super) source: Arc<dyn Generations>,
    pub(super) refresh_nanos: u64,
}

#[derive(Clone, Copy)]
struct Ttl {
    least: u64,
    most: u64,
}

impl Ttl {
    fn new(range: RangeInclusive<Duration>) -> Self {
        let (start, end) = (nanos(*range.start()), nanos(*range.end()));
        Self { least: start.min(end), most: start.max(end) }
    }

    const fn seconds(least: u64, most: u64) -> Self {
        Self { least: least * 1_000_000_000, most: most * 1_000_000_000 }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<V: Clone + Send + Sync + 'static> TenantCacheBuilder<V> {
    pub(super) fn new() -> Self {
        Self(Options {
            ttl: Ttl::seconds(30, 60),
            negative_ttl: Ttl::seconds(5, 10),
            room: 1_000,
            weigh: None,
            max_tenants: 10_000,
            clock: Arc::new(MonotonicClock::new()),
            shared: None,
            random: AtomicU64::new(RandomState::new().hash_one(0)),
        })
    }

    /// Sets between which bounds the time to live of a value is drawn. Zero to zero keeps nothing.
    pub fn with_ttl(mut self, range: RangeInclusive<Duration>) -> Self {
        self.0.ttl = Ttl::new(range);
        self
    }

    /// Sets between which bounds the time is drawn for which "there is none" is kept.
    pub fn with_negative_ttl(mut self, range: RangeInclusive<Duration>) -> Self {
        self.0.negative_ttl = Ttl::new(range);
        self
    }

    /// Sets how many values a tenant has room for.
    pub fn with_values_per_tenant(mut self, values: u32) -> Self {
        self.0.room = u64::from(values);
        self.0.weigh = None;
        self
    }

    /// Gives each tenant `room` in the unit of `weigh`, such as bytes. A value that is heavier than the room is handed out
    /// and not kept; "there is none" weighs 1, as does what would weigh nothing.
    pub fn with_weight_per_tenant(
        mut self,
        room: u64,
        weigh: impl Fn(&V) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.0.room = room;
        self.0.weigh = Some(Arc::new(weigh));
        self
    }

    /// Sets for about how many tenants values are kept. One that comes above that takes the place of a tenant whose
    /// values were not asked for lately. The whole cache holds at most this many times the room of a tenant.
    pub fn with_max_tenants(mut self, tenants: usize) -> Self {
        self.0.max_tenants = tenants.max(1);
        self
    }

    /// Replaces the clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.0.clock = Arc::new(clock);
        self
    }

    /// Shares flushes with all nodes that keep their generations in `generations`, which is asked again after `refresh`:
    /// the bound of a flush on the other nodes. One second is usual.
    pub fn with_generations(mut self, generations: impl Generations, refresh: Duration) -> Self {
        self.0.shared = Some(Shared { source: Arc::new(generations), refresh_nanos: nanos(refresh) });
        self
    }

    /// Returns the cache.
    #[must_use]
    pub fn build(self) -> TenantCache<V> {
        TenantCache::with_options(self.0)
    }
}

impl<V> fmt::Debug for TenantCacheBuilder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCacheBuilder").finish_non_exhaustive()
    }
}

impl<V> Options<V> {
    pub(super) fn refresh_nanos(&self) -> Option<u64> {
        self.shared.as_ref().map(|shared| shared.refresh_nanos)
    }

    /// Returns what `found` takes of its tenant's room.
    pub(super) fn weight(&self, found: Option<&V>) -> u64 {
        match (&self.weigh, found) {
            // What weighs nothing would be kept without end.
            (Some(weigh), Some(value)) => weigh(value).max(1),
            _ => 1,
        }
    }

    /// Returns when a value that was loaded at `now` ends, or `None` if it is not to be kept.
    pub(super) fn expiry(&self, is_found: bool, now: u64) -> Option<u64> {
        let Ttl { least, most } = if is_found { self.ttl } else { self.negative_ttl };
        let ttl = match most - least {
            0 => least,
            spread => least + self.random() % spread,
        };
        (ttl > 0).then(|| now.saturating_add(ttl))
    }

    /// The next number of a SplitMix64 sequence that begins at random.
    fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

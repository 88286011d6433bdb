//! Values in memory, loaded once for all who ask, apart for each tenant.

mod builder;
mod flight;
mod partition;
mod shards;
mod stats;
mod table;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use self::builder::Options;
pub use self::builder::TenantCacheBuilder;
use self::flight::Outcome;
use self::partition::{Begun, Lead, Partition};
use self::shards::Shards;
pub use self::stats::TenantCacheStats;
use self::table::Key;
use crate::name::part::with_tail;
use crate::{Error, KeyParts, Tenant, TenantContext};

/// Values of tenants in this process: loaded when asked for, kept for a while, dropped when the tenant is flushed.
///
/// - **Apart**: a value is kept with the tenant whose context loaded it, and found with no other. Each tenant has room
///   of its own; a full one drops its own values and nobody else's.
/// - **One load at a time** for a tenant and key: who asks meanwhile waits for it. If the one that loads is cancelled,
///   one of the others goes on with its own.
/// - **Fresh**: a value lives 30 to 60 s, at random, so that what was loaded together does not end together.
///   After [`TenantCache::invalidate`] and [`TenantCache::flush`] nothing that was loaded before is found or handed to those
///   who wait, also if its load ends later.
/// - **Nothing but values**: an error is handed to its own caller and never kept (CACHE-09). What depends on the user has to
///   name the user in its key.
///
/// It is cheap to clone; clones share the values. A value is cloned for each caller, so that none can change another's
/// (CACHE-11): put large ones into an [`Arc`].
///
/// # Several nodes
///
/// By itself a cache knows of the flushes of its own process. With
/// [`with_generations`](TenantCacheBuilder::with_generations) a flush reaches all nodes: one that has flushed serves no
/// older value, every other serves none after the refresh interval, plus the time of one question to the store. If the
/// store does not answer, nothing is served from memory; values are loaded and not kept.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Tenant, TenantCache, TenantContext, TenantId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// # let context = TenantContext::assertion(acme, "example")?;
/// # async fn count(_: TenantContext) -> Result<u64, std::io::Error> { Ok(3) }
/// let counts = TenantCache::<u64>::new();
///
/// assert_eq!(counts.get_or_load(&context, ("orders", "count"), count).await?, 3);
/// assert_eq!(counts.get_or_load(&context, ("orders", "count"), count).await?, 3);
/// assert_eq!(counts.stats().loads, 1);
///
/// // After a write:
/// counts.invalidate(&context, ("orders", "count"));
/// # Ok(())
/// # }
/// ```
pub struct TenantCache<V> {
    inner: Arc<Inner<V>>,
}

struct Inner<V> {
    options: Options<V>,
    shards: Shards<V>,
}

impl<V> Clone for TenantCache<V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<V> fmt::Debug for TenantCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<V: Clone + Send + Sync + 'static> Default for TenantCache<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> TenantCache<V> {
    /// Returns what the cache has done since it was made, and what it holds.
    #[must_use]
    pub fn stats(&self) -> TenantCacheStats {
        self.inner.shards.stats()
    }

    /// Returns what the cache has done for `tenant` since it first held something of it, and what it holds.
    #[must_use]
    pub fn stats_of(&self, tenant: &Tenant) -> TenantCacheStats {
        self.inner.shards.find(tenant.id()).map(|partition| partition.stats()).unwrap_or_default()
    }
}

impl<V: Clone + Send + Sync + 'static> TenantCache<V> {
    /// Returns an empty cache with the defaults of [`TenantCacheBuilder`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for a cache with other options.
    pub fn builder() -> TenantCacheBuilder<V> {
        TenantCacheBuilder::new()
    }

    fn with_options(options: Options<V>) -> Self {
        let shards = Shards::new(options.max_tenants);
        Self { inner: Arc::new(Inner { options, shards }) }
    }

    /// Returns the value of `context`'s tenant that `parts` name; if there is none, `load` makes it.
    ///
    /// `load` is given the context whose tenant the value is kept for: use that one. It runs in the caller's own task,
    /// at most once at a time for a tenant and key.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`. It is not kept, and not handed to those who waited: they load for themselves.
    pub async fn get_or_load<E, F>(
        &self,
        context: &TenantContext,
        parts: impl KeyParts,
        load: impl FnOnce(TenantContext) -> F,
    ) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        if let Some(Some(value)) = self.peek(context, &parts) {
            return Ok(value);
        }
        let load = |context| async move { load(context).await.map(Some) };
        let found = self.load(context, with_tail(parts, |key| Key::from(key)), false, load).await?;
        Ok(found.expect("a load that must find something was accepted with nothing"))
    }

    /// Returns the value of `context`'s tenant that `parts` name, or `None`; if neither is known, `find` says which.
    ///
    /// That there is nothing is kept too, for a shorter time: 5 to 10 s unless set otherwise.
    ///
    /// # Errors
    ///
    /// Returns the error of `find`, as [`TenantCache::get_or_load`] does.
    pub async fn get_or_find<E, F>(
        &self,
        context: &TenantContext,
        parts: impl KeyParts,
        find: impl FnOnce(TenantContext) -> F,
    ) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        match self.peek(context, &parts) {
            Some(found) => Ok(found),
            None => self.load(context, with_tail(parts, |key| Key::from(key)), true, find).await,
        }
    }

    /// Drops the value of `context`'s tenant that `parts` name, in this process. Call it after the write.
    ///
    /// A load that is under way does not put it back, and is not handed to those who wait for it. Other nodes keep
    /// theirs until its time is over; [`TenantCache::flush`] reaches them.
    pub fn invalidate(&self, context: &TenantContext, parts: impl KeyParts) {
        if let Some(partition) = self.inner.shards.find(context.id()) {
            with_tail(parts, |key| partition.invalidate(key));
        }
    }

    /// Drops everything that is kept for `tenant`: on this node at once, on all others within the bound.
    ///
    /// It takes a [`Tenant`], not a context: whoever is suspended or leaves has no context, and is to be flushed.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the cache shares generations and
    /// their store did not answer. This node is flushed then all the same; flush again for the others.
    pub async fn flush(&self, tenant: &Tenant) -> Result<(), Error> {
        self.flush_here(tenant);
        let Some(shared) = &self.inner.options.shared else { return Ok(()) };
        let generation = shared.source.advance(tenant).await?;
        let partition = self.inner.shards.find_or_insert(tenant.id());
        // Counted from the answer: a question that was under way may have been answered before the flush.
        partition.learn(generation, self.now());
        Ok(())
    }

    /// Drops everything that is kept for `tenant` in this process, and says nothing to other nodes.
    pub fn flush_here(&self, tenant: &Tenant) {
        if let Some(partition) = self.inner.shards.find(tenant.id()) {
            partition.clear();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.inner.options.clock.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Looks the key up without waiting: the way of nearly every call.
    #[inline]
    fn peek(&self, context: &TenantContext, parts: impl KeyParts) -> Option<Option<V>> {
        let Inner { options, shards } = &*self.inner;
        let now = self.now();
        let peek = |key: &[u8]| {
            shards.with(context.id(), |partition| partition.peek(key, now, options.refresh_nanos()))
        };
        with_tail(parts, peek)?
    }

    async fn load<E, F>(
        &self,
        context: &TenantContext,
        key: Key,
        absent_will_do: bool,
        load: impl FnOnce(TenantContext) -> F,
    ) -> Result<Option<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        match self.lead_or_join(context, &key, absent_will_do).await {
            Turn::Found(found) => Ok(found),
            Turn::Alone(partition) => {
                partition.counters().count_load();
                let loaded = load(context.clone()).await;
                partition.counters().count_failure_of(&loaded);
                loaded
            }
            Turn::Lead(lead) => {
                lead.partition().counters().count_load();
                let loaded = load(context.clone()).await;
                lead.partition().counters().count_failure_of(&loaded);
                match &loaded {
                    Ok(found) => lead.finish(found.clone(), self.now(), &self.inner.options),
                    Err(_) => lead.fail(),
                }
                loaded
            }
        }
    }

    /// Waits until the value is there or the caller has to load it.
    async fn lead_or_join(&self, context: &TenantContext, key: &Key, absent_will_do: bool) -> Turn<V> {
        let partition = self.inner.shards.find_or_insert(context.id());
        let mut patience = PATIENCE;
        loop {
            if !self.refresh(context, &partition).await {
                return Turn::Alone(partition);
            }
            let flight = match partition.begin(key, self.now(), absent_will_do) {
                Begun::Hit(found) => return Turn::Found(found),
                Begun::Lead(flight) => return Turn::Lead(Lead::new(partition, key.clone(), flight)),
                Begun::Join(_) if patience == 0 => return Turn::Alone(partition),
                Begun::Join(flight) => flight,
            };
            match flight.wait().await {
                Outcome::Loaded(found) if found.is_some() || absent_will_do => {
                    partition.counters().count_joined();
                    return Turn::Found(found);
                }
                Outcome::Loaded(_) | Outcome::Failed => patience = 0,
                Outcome::Dropped => patience -= 1,
            }
        }
    }

    /// Makes sure that the tenant's generation is known well enough to serve from memory. Returns whether it is.
    async fn refresh(&self, context: &TenantContext, partition: &Partition<V>) -> bool {
        let Some(shared) = &self.inner.options.shared else { return true };
        let asked = self.now();
        if partition.is_current(asked, shared.refresh_nanos) {
            return true;
        }
        match shared.source.current(context.tenant()).await {
            Ok(generation) => {
                partition.learn(generation, asked);
                true
            }
            Err(_) => false,
        }
    }
}

/// How often a caller waits for others in vain before it loads for itself, without keeping the result.
const PATIENCE: u32 = 3;

/// What a caller whose value was not there has to do.
enum Turn<V> {
    Found(Option<V>),
    Lead(Lead<V>),
    Alone(Arc<Partition<V>>),
}

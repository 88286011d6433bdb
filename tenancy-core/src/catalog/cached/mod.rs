//! A catalog in front of a slow one: what is known is answered at once, and what is announced is believed at once.

mod allowance;
mod builder;
mod clock;
mod commit;
mod engine;
mod flight;
mod floors;
mod ledger;
mod snapshot;
mod stats;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::sync;
pub use builder::CachedCatalogBuilder;
use builder::Options;
pub use clock::{Clock, ManualClock, MonotonicClock};
use engine::{Engine, Look, refused};
pub use stats::CacheStats;

use crate::{Error, ExactName, Lookup, Tenant, TenantCatalog, TenantId, TenantKey};

/// What a load comes to, for all who wait for it.
#[derive(Clone)]
enum Answer {
    Found(Arc<Tenant>),
    Absent,
    Failed(Error),
    /// Something newer is known: look again.
    Outdated,
}

/// Remembers what a slow catalog `C` says, such as one that asks a database.
///
/// - A name that is known is answered at once: no lock, no allocation, and the wrapped catalog is not asked.
/// - Of a name that is not known there is one load at a time, whoever asks (DIR-06). It is driven by all who wait for
///   it and goes on when the one who began it is cancelled. It needs no runtime.
/// - Names that are nobody's are remembered too, for a shorter time and in bounded space; and only so many unknown names
///   are asked for in a second (DIR-05). Look-ups above that are refused, and tenants that are known are served on.
/// - A change that is announced by [`CachedCatalog::invalidate`] or [`CachedCatalog::refresh`] counts from then on: an
///   older record is neither served nor put in again, in whatever order loads and announcements come (DIR-02, DIR-09,
///   DIR-17). Without an announcement a change counts after the time to live.
/// - An error is not an answer (DIR-07). Look-ups fail while the wrapped catalog is down, unless
///   [`CachedCatalogBuilder::with_stale_if_error`] lets known tenants be served a bounded time longer (DIR-08).
///
/// The wrapped catalog should say by itself when it has waited long enough: the cache has no timer. Records are
/// compared by [`Tenant::version`]; a catalog that has no versions is told apart by the order of its answers, and its
/// changes are announced by [`CachedCatalog::forget`].
///
/// A record that has to make room, because more names are in use than fit, counts as replaced for those who still hold
/// it: choose a capacity that holds the tenants that are active at one time. A tenant with two names takes about half
/// a kilobyte.
///
/// A clone shares everything.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tenancy_core::{CachedCatalog, Lookup, Tenant, TenantCatalog, TenantId, TenantKey, TenantStatus};
///
/// #[derive(Debug)]
/// struct Remote;
///
/// impl TenantCatalog for Remote {
///     fn find(&self, key: &TenantKey<'_>) -> Lookup {
///         let known = matches!(key, TenantKey::Slug(slug) if slug.as_str() == "acme");
///         Lookup::later(async move {
///             let tenant = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
///             Ok(known.then_some(tenant))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let catalog = CachedCatalog::builder(Remote).with_ttl(Duration::from_secs(30)).build();
/// let acme = TenantKey::Slug("acme".parse()?);
/// assert!(catalog.find(&acme).wait().await?.is_some());
/// assert!(matches!(catalog.find(&acme), Lookup::Found(_)));
/// # Ok(())
/// # }
/// ```
pub struct CachedCatalog<C: TenantCatalog>(Arc<Engine<C>>);

impl<C: TenantCatalog> CachedCatalog<C> {
    /// Returns a cache over `catalog` with the defaults of [`CachedCatalogBuilder`].
    #[must_use]
    pub fn new(catalog: C) -> Self {
        Self::builder(catalog).build()
    }

    /// Starts a cache over `catalog`.
    pub fn builder(catalog: C) -> CachedCatalogBuilder<C> {
        CachedCatalogBuilder::new(catalog)
    }

    /// Returns the wrapped catalog.
    #[must_use]
    pub fn catalog(&self) -> &C {
        &self.0.catalog
    }

    /// Announces that the record of `id` is at `version` or later: older ones are not served from here on, not even if
    /// they come from a load that is under way or from a replica that lags behind.
    ///
    /// Announcements may come late, twice and in any order. Each also makes the cache forget which names are nobody's,
    /// because some may be this tenant's now (DIR-04).
    ///
    /// Whoever still holds the old record finds its tenant inactive until the next look-up; see
    /// [`CachedCatalog::refresh`] for a change without that gap. Announce a deletion with a version above the last
    /// record's.
    pub fn invalidate(&self, id: &TenantId, version: u64) {
        self.0.invalidate(id, version);
    }

    /// Announces that the record of `id` is at `version` or later, and replaces one that is held by the present one.
    ///
    /// The old record is served until the wrapped catalog has answered. When this future ends, also by being dropped,
    /// the announcement counts as by [`CachedCatalog::invalidate`]: put it under a time limit to bound how long an old
    /// record may be served. A tenant that is not held is not loaded.
    pub fn refresh(&self, id: &TenantId, version: u64) -> impl Future<Output = ()> + Send + use<C> {
        // Made here and not when the future is first polled: it counts even if that never happens.
        let end = InvalidateAtEnd { engine: Arc::clone(&self.0), id: id.clone(), version };
        async move {
            if let Some(load) = end.engine.renew(&end.id, end.version) {
                // Whatever comes of it was taken in, or is about to be announced away.
                let _ = load.await;
            }
        }
    }

    /// Forgets what is known of `key` and of its tenant, and what loads under way may bring: for changes of which no
    /// version is known.
    pub fn forget(&self, key: &TenantKey<'_>) {
        self.0.forget(key);
    }

    /// Forgets everything, and what loads under way may bring: for when announcements may have been lost.
    ///
    /// Versions that were announced stay in force.
    pub fn flush(&self) {
        self.0.flush();
    }

    /// Returns what the cache has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.stats()
    }
}

struct InvalidateAtEnd<C: TenantCatalog> {
    engine: Arc<Engine<C>>,
    id: TenantId,
    version: u64,
}

impl<C: TenantCatalog> Drop for InvalidateAtEnd<C> {
    fn drop(&mut self) {
        self.engine.invalidate(&self.id, self.version);
    }
}

impl<C: TenantCatalog> TenantCatalog for CachedCatalog<C> {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        match self.0.look(key) {
            Look::Found(tenant) => Lookup::Found(tenant),
            Look::Absent => Lookup::Absent,
            Look::Wait(waiter) => {
                self.0.counters.misses.add();
                Lookup::Later(Box::pin(Arc::clone(&self.0).wait(key.clone().into_owned(), waiter)))
            }
            Look::Refused => {
                self.0.counters.misses.add();
                Lookup::later(std::future::ready(Err(refused())))
            }
        }
    }

    /// Answers from memory alone: what is not known is for [`TenantCatalog::find`] to load.
    fn find_exact(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        self.0.at_hand(name, self.0.now())
    }
}

impl<C: TenantCatalog> Clone for CachedCatalog<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: TenantCatalog> fmt::Debug for CachedCatalog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCatalog")
            .field("catalog", &self.0.catalog)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

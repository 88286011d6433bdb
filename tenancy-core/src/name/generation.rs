//! Generations: one number in a tenant's names, so that a new one drops everything at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::{BoxFuture, Error, Tenant, TenantId};

/// Which of its flushes a tenant's names belong to. Later generations are greater.
///
/// It stands in the name behind the tenant, as in `tenant:1@1763694000000000:orders:7`. Names of another generation are
/// other names: what is stored under them is never found again, and goes by its time to live.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Generation(u64);

impl Generation {
    /// Returns the generation `value`, as a store of generations holds it.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Returns the generation as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Keeps the generation of every tenant: in one process ([`LocalGenerations`]) or for all nodes (`RedisGenerations`).
///
/// Flushing takes a [`Tenant`], not a context: whoever is suspended or leaves has no context and is the one whose
/// names are flushed.
#[diagnostic::on_unimplemented(message = "`{Self}` keeps no generations of tenants")]
pub trait Generations: Send + Sync + 'static {
    /// Returns the tenant's present generation. A tenant without one is given one that no name was ever built with
    /// (CACHE-13).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store did not answer. Nothing
    /// cached is served then.
    fn current(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>>;

    /// Gives the tenant a generation greater than all it had, and returns it.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store did not answer. It is
    /// not known then whether the tenant was flushed; flush again.
    fn advance(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>>;
}

impl<G: Generations + ?Sized> Generations for Arc<G> {
    fn current(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        G::current(self, tenant)
    }

    fn advance(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        G::advance(self, tenant)
    }
}

/// Generations for a single process: they end with it.
///
/// For caches that live in the same process, such as moka, keyed with
/// [`Namespace::key_in`](crate::Namespace::key_in). A generation is never given twice by one `LocalGenerations`.
///
/// # Examples
///
/// ```
/// use tenancy_core::{LocalGenerations, Namespace, Tenant, TenantContext, TenantId};
///
/// let generations = LocalGenerations::new();
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let context = TenantContext::assertion(acme, "example")?;
///
/// let key = |generation| Namespace::new().key_in(&context, generation, ("orders", 7));
/// let before = key(generations.get(context.tenant()));
/// generations.flush(context.tenant());
/// assert_ne!(before, key(generations.get(context.tenant())));
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct LocalGenerations {
    last: AtomicU64,
    tenants: Mutex<HashMap<TenantId, Generation>>,
}

impl LocalGenerations {
    /// Returns a store in which no tenant has a generation yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tenant's present generation.
    ///
    /// # Panics
    ///
    /// Panics if another thread panicked in this store, which it does not.
    #[must_use]
    pub fn get(&self, tenant: &Tenant) -> Generation {
        let mut tenants = self.tenants.lock().expect(POISONED);
        if let Some(generation) = tenants.get(tenant.id()) {
            return *generation;
        }
        *tenants.entry(tenant.id().clone()).or_insert(self.next())
    }

    /// Gives the tenant a new generation and returns it.
    ///
    /// # Panics
    ///
    /// Panics if another thread panicked in this store, which it does not.
    pub fn flush(&self, tenant: &Tenant) -> Generation {
        let mut tenants = self.tenants.lock().expect(POISONED);
        let generation = self.next();
        tenants.insert(tenant.id().clone(), generation);
        generation
    }

    fn next(&self) -> Generation {
        Generation(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

const POISONED: &str = "no code that can panic runs under this lock";

impl Generations for LocalGenerations {
    fn current(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        Box::pin(std::future::ready(Ok(self.get(tenant))))
    }

    fn advance(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        Box::pin(std::future::ready(Ok(self.flush(tenant))))
    }
}

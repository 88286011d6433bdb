//! Flushing one tenant out of a moka cache.

use std::hash::BuildHasher;

use super::NamespacedKey;
use crate::{Error, ErrorKind, Tenant};

/// Drops the entries of one tenant from a moka cache that is keyed by [`NamespacedKey`].
///
/// The cache has to be built with `support_invalidation_closures`. A load that is under way in `get_with` still puts its
/// value in afterwards; where that matters, use [`TenantCache`](crate::TenantCache), or put a
/// [`Generation`](crate::Generation) into the keys.
///
/// # Examples
///
/// ```
/// use moka::sync::Cache;
/// use tenancy_core::{MokaExt, NamespacedKey, Tenant, TenantContext, TenantId};
///
/// # let tenant = |id| Tenant::builder(TenantId::integer(id)?, format!("t{id}").parse()?).build();
/// # let a = TenantContext::assertion(tenant(1)?, "example")?;
/// # let b = TenantContext::assertion(tenant(10)?, "example")?;
/// let cache = Cache::builder().max_capacity(1_000).support_invalidation_closures().build();
/// cache.insert(NamespacedKey::new(&a, "orders"), 3);
/// cache.insert(NamespacedKey::new(&b, "orders"), 4);
///
/// cache.flush_tenant(a.tenant())?;
/// assert_eq!(cache.get(&NamespacedKey::new(&a, "orders")), None);
/// assert_eq!(cache.get(&NamespacedKey::new(&b, "orders")), Some(4));
/// # Ok::<_, tenancy_core::Error>(())
/// ```
pub trait MokaExt: sealed::Sealed {
    /// Drops what is in the cache under a key of `tenant`, in any namespace. It is not found from now on; moka frees it
    /// later.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if the cache was built without `support_invalidation_closures`.
    fn flush_tenant(&self, tenant: &Tenant) -> Result<(), Error>;
}

mod sealed {
    pub trait Sealed {}
    impl<V, S> Sealed for moka::sync::Cache<super::NamespacedKey, V, S> {}
    impl<V, S> Sealed for moka::future::Cache<super::NamespacedKey, V, S> {}
}

macro_rules! moka_ext {
    ($($cache:ty),*) => {$(
        impl<V, S> MokaExt for $cache
        where
            V: Clone + Send + Sync + 'static,
            S: BuildHasher + Clone + Send + Sync + 'static,
        {
            fn flush_tenant(&self, tenant: &Tenant) -> Result<(), Error> {
                let id = tenant.id().clone();
                let flushed = self.invalidate_entries_if(move |key, _| key.is_of(&id));
                flushed.map(drop).map_err(|_| {
                    Error::new(ErrorKind::InvalidConfiguration, "the cache does not support invalidation closures")
                })
            }
        }
    )*};
}

moka_ext!(moka::sync::Cache<NamespacedKey, V, S>, moka::future::Cache<NamespacedKey, V, S>);

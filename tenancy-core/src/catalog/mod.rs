//! The catalog: which tenant a key denotes, and where that tenant lives.

mod cached;
mod index;
mod memory;
#[cfg(test)]
mod modelled;
mod recent;
mod sync;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use cached::{CacheStats, CachedCatalog, CachedCatalogBuilder, Clock, ManualClock, MonotonicClock};
pub use memory::{MemoryCatalog, MemoryCatalogBuilder};

use crate::{Error, Tenant, TenantId, TenantKey};

/// A boxed future, as a catalog returns one when it has to wait.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A catalog's answer: at once where it is at hand, else later.
///
/// The difference is what keeps resolution at nanoseconds: an answer from memory costs no future.
#[must_use]
pub enum Lookup {
    /// The tenant that the key denotes.
    Found(Arc<Tenant>),
    /// The key denotes no tenant.
    Absent,
    /// The catalog has to ask somebody.
    Later(BoxFuture<Result<Option<Arc<Tenant>>, Error>>),
}

impl Lookup {
    /// Returns the answer that `future` will give.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{Lookup, TenantCatalog, TenantKey};
    ///
    /// #[derive(Debug)]
    /// struct Remote;
    ///
    /// impl TenantCatalog for Remote {
    ///     fn find(&self, key: &TenantKey<'_>) -> Lookup {
    ///         let question = format!("{key:?}");
    ///         Lookup::later(async move {
    ///             let _ = question; // ask the network
    ///             Ok(None)
    ///         })
    ///     }
    /// }
    /// ```
    pub fn later(future: impl Future<Output = Result<Option<Arc<Tenant>>, Error>> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// Returns the catalog's error, [`ErrorKind::CatalogUnavailable`](crate::ErrorKind::CatalogUnavailable) as a rule.
    pub async fn wait(self) -> Result<Option<Arc<Tenant>>, Error> {
        match self {
            Self::Found(tenant) => Ok(Some(tenant)),
            Self::Absent => Ok(None),
            Self::Later(future) => future.await,
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(tenant) => f.debug_tuple("Found").field(tenant).finish(),
            Self::Absent => f.write_str("Absent"),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// What a request calls a tenant. Texts are the bytes that it sent: nobody has looked yet whether they are a name at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExactName<'r> {
    /// Perhaps one of the tenant's own domains, in canonical form.
    Domain(&'r [u8]),
    /// Perhaps the tenant's slug.
    Slug(&'r [u8]),
    /// The tenant's permanent id.
    Id(&'r TenantId),
}

/// Says which tenant a key denotes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know which tenants there are",
    note = "implement `TenantCatalog`: one method, from a key to a tenant"
)]
pub trait TenantCatalog: fmt::Debug + Send + Sync + 'static {
    /// Returns the tenant that `key` denotes.
    ///
    /// Tenants that are not active are returned too: deciding what to do with them is the resolver's work. A domain is
    /// answered with its tenant also when it is pending or moved; [`Tenant::domain`] says so.
    ///
    /// An error, such as a store that is down, is never [`Lookup::Absent`] (DIR-07).
    fn find(&self, key: &TenantKey<'_>) -> Lookup;

    /// Returns the tenant that [`TenantCatalog::find`] would find, if `name` is a name of it byte for byte and the answer
    /// is at hand.
    ///
    /// `None` says nothing about a tenant: the name is then read as strictly as ever, and `find` is asked. So a catalog
    /// may leave this out, and a resolver looks at the record that it gets: another tenant's is not taken.
    fn find_exact(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        let _ = name;
        None
    }

    /// Returns the catalog in memory that this one is, of which a resolver knows that it compares names itself.
    #[doc(hidden)]
    fn into_memory(self: Arc<Self>) -> Option<Arc<MemoryCatalog>> {
        None
    }
}

impl<C: TenantCatalog + ?Sized> TenantCatalog for Arc<C> {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        (**self).find(key)
    }

    fn find_exact(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        (**self).find_exact(name)
    }

    fn into_memory(self: Arc<Self>) -> Option<Arc<MemoryCatalog>> {
        Self::clone(&self).into_memory()
    }
}

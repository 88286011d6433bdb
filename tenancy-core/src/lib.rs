//! Who a tenant is, how a request names one, and the catalog that knows them all.
//!
//! ```
//! use std::sync::Arc;
//! use http::Request;
//! use tenancy_core::{Domain, MemoryCatalog, ResolveInput, Resolver, SubdomainStrategy, Tenant, TenantId, TenantResolver};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let catalog = Arc::new(MemoryCatalog::new());
//! catalog.insert(Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?)?;
//!
//! let resolver = Resolver::builder(catalog)
//!     .with_strategy(SubdomainStrategy::new([Domain::new("app.example")?]))
//!     .build()?;
//!
//! let request = Request::builder().header("host", "acme.app.example").body(())?;
//! let context = resolver.resolve(ResolveInput::new(&request, None)).wait().await?;
//! assert_eq!(context.slug().as_str(), "acme");
//! # Ok(())
//! # }
//! ```
//!
//! # How the pieces fit
//!
//! - A [`Strategy`] reads from a request's head whom it names, as a [`Signal`] with a [`TenantKey`]: an unverified claim.
//! - A [`TenantCatalog`] says which [`Tenant`] a key denotes.
//! - A [`TenantResolver`] brings signals, catalog and policy together into a [`TenantContext`], or a [`Rejection`].
//! - The context is the proof that everything which reaches data asks for.
//!
//! When the tenant is missing, ambiguous, unknown or inactive, a request is refused. There is no default tenant.
//!
//! # Crate features
//!
//! - `broken-on-purpose-for-tests-only`: `Guard`, with which a test suite shows that it notices a guard that is missing.
//!   Never for production.
//! - `jwt`: the module `jwt`, with the strategy that reads the tenant from verified tokens. Needs a C compiler, for AWS-LC.
//! - `moka`: flushes one tenant out of a moka cache.
//! - `object-store`: an object store confined to one tenant; `object-store-cloud`: signed URLs from it.
//! - `redis`: values of tenants on Redis, shared generations; `redis-cluster`: the same on Redis Cluster.
//! - `tracing`: logs every [`TenantContext::assertion`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod catalog;
mod context;
mod error;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
mod guard;
mod host;
mod id;
mod lineage;
mod name;
mod octets;
mod resolver;
mod scope;
mod strategy;
mod tenant;

pub use catalog::{
    BoxFuture, CacheStats, CachedCatalog, CachedCatalogBuilder, Clock, ExactName, Lookup, ManualClock,
    MemoryCatalog, MemoryCatalogBuilder, MonotonicClock, TenantCatalog,
};
pub use context::{Provenance, TenantContext};
pub use error::{Error, ErrorKind};
#[cfg(feature = "broken-on-purpose-for-tests-only")]
pub use guard::{Guard, UnknownGuard};
pub use host::{Domain, ForwardedHeader, ForwardedHost, HostError, RequestHost, TrustedProxies};
pub use id::{TenantId, TenantIdRef, TenantKey, TenantSlug};
pub use lineage::Ended;
#[cfg(feature = "moka")]
pub use name::MokaExt;
#[cfg(feature = "object-store")]
pub use name::TenantObjectStore;
#[cfg(feature = "redis")]
pub use name::{Found, Purge, PurgeStep, RedisGenerations, RedisNodes, TenantRedis, Vacant};
pub use name::{
    Generation, Generations, GlobalKey, KeyPart, KeyParts, LocalGenerations, LockIds, Name, Namespace,
    NamespacedKey, PartWriter, PartsWriter, TenantCache, TenantCacheBuilder, TenantCacheStats, TenantUrl,
    TenantUrls,
};
pub use resolver::{
    Agreement, Membership, MembershipAnswer, Rejection, RejectionReason, Resolution, ResolveInput, Resolver,
    ResolverBuilder, TenantResolver, UnknownHost,
};
#[doc(hidden)]
pub use resolver::{Glimpse, Peer};
pub use scope::{ScopeSlot, Scoped};
#[cfg(feature = "jwt")]
pub use strategy::jwt;
pub use strategy::{
    CookieStrategy, DomainStrategy, HeaderStrategy, NamedBy, PathStrategy, QueryStrategy, RequestHead,
    Signal, SignalError, SignalKind, Strategy, SubdomainStrategy, TenantPath, Trust,
};
pub use tenant::{DomainState, MovedDomain, Placement, Tenant, TenantBuilder, TenantDomain, TenantStatus};

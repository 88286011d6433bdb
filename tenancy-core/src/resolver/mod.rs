//! The resolver: from what a request says to a tenant context, or a rejection.

mod agreement;
mod builder;
mod glance;
mod policy;
mod rejection;
mod resolution;
mod resolve;

use std::sync::Arc;

use http::HeaderName;

pub use agreement::Agreement;
pub use builder::ResolverBuilder;
pub use policy::{Membership, MembershipAnswer, UnknownHost};
pub use rejection::{Rejection, RejectionReason};
pub use resolution::{Glimpse, Peer, Resolution, ResolveInput, TenantResolver};

use crate::{ForwardedHost, MemoryCatalog, Strategy, TenantCatalog, TenantContext};
use glance::Glance;
use policy::Policy;

/// The resolver of this library: strategies, agreement, catalog, policy, in this order.
///
/// A clone shares everything.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use http::Request;
/// use tenancy_core::{Domain, MemoryCatalog, Resolution, ResolveInput, Resolver, SubdomainStrategy, Tenant, TenantId, TenantResolver};
///
/// let catalog = MemoryCatalog::new();
/// catalog.insert(Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?)?;
/// let resolver = Resolver::builder(Arc::new(catalog))
///     .with_strategy(SubdomainStrategy::new([Domain::new("app.example")?]))
///     .build()?;
///
/// let request = Request::builder().header("host", "acme.app.example").body(())?;
/// let Resolution::Ready(Ok(context)) = resolver.resolve(ResolveInput::new(&request, None)) else { unreachable!() };
/// assert_eq!(context.slug().as_str(), "acme");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Arc<dyn TenantCatalog>,
    /// The same, where it is one.
    memory: Option<Arc<MemoryCatalog>>,
    strategies: Box<[Box<dyn Strategy>]>,
    glance: Option<Glance>,
    reads_host: bool,
    forwarded: Option<ForwardedHost>,
    agreement: Agreement,
    unknown_host: UnknownHost,
    policy: Policy,
    vary: Box<[HeaderName]>,
}

impl Resolver {
    /// Starts a resolver over `catalog`.
    pub fn builder(catalog: Arc<dyn TenantCatalog>) -> ResolverBuilder {
        ResolverBuilder::new(catalog)
    }
}

impl TenantResolver for Resolver {
    #[inline]
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution {
        let ResolveInput { method, uri, version, headers, peer, .. } = input;
        let glimpse = Glimpse { method, uri, version, headers, peer: Peer::Known(peer) };
        match self.resolve_at_a_glance(glimpse) {
            Some(context) => Resolution::Ready(Ok(context)),
            None => self.resolve_strictly(input),
        }
    }

    #[inline(always)]
    fn resolve_at_a_glance(&self, glimpse: Glimpse<'_>) -> Option<TenantContext> {
        self.0.resolve_at_a_glance(glimpse)
    }

    fn resolve_strictly(&self, input: ResolveInput<'_>) -> Resolution {
        self.0.resolve_strictly(input)
    }

    fn vary(&self) -> &[HeaderName] {
        &self.0.vary
    }
}

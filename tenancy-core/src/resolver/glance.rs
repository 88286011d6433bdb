//! Most requests in few steps: what names the tenant is, byte for byte, a name that the catalog knows.
//!
//! What equals a canonical name is canonical, and need not be read to be known as one. Only a yes comes from here:
//! whatever is not found, be it unknown, malformed, in capital letters or with a port, is read strictly from the beginning.

use std::any::Any;

use super::{Inner, ResolveInput};
use crate::Strategy as _;
use crate::catalog::ExactName;
use crate::host::{is_plain_name, said_once};
use crate::octets::are_equal;
use crate::{
    Domain, DomainState, DomainStrategy, PathStrategy, Provenance, SignalKind, SubdomainStrategy, Tenant,
    TenantContext, TenantDomain,
};

/// The only strategy of a resolver, where it is one whose names can be looked up as they stand in a request.
#[derive(Debug)]
pub(super) enum Glance {
    /// Every host is a tenant's domain, or nobody's.
    Domain,
    Subdomain(SubdomainStrategy),
    Path(PathStrategy),
}

impl Glance {
    pub(super) fn of(strategy: &dyn Any) -> Option<Self> {
        if let Some(strategy) = strategy.downcast_ref::<DomainStrategy>() {
            return strategy.base_domains().is_empty().then_some(Self::Domain);
        }
        if let Some(strategy) = strategy.downcast_ref::<PathStrategy>() {
            return strategy.names_slugs().then(|| Self::Path(strategy.clone()));
        }
        let strategy = strategy.downcast_ref::<SubdomainStrategy>()?;
        // Whether punycode is sound depends on the whole name (RFC 5893, section 2), and so has to be looked at.
        let is_plain = |base: &Domain| !base.as_str().contains("xn--");
        strategy.base_domains().iter().all(is_plain).then(|| Self::Subdomain(strategy.clone()))
    }

    /// Returns what names the tenant, if nothing but that is left to be read of the request.
    #[inline]
    fn name<'r>(&self, input: &ResolveInput<'r>) -> Option<ExactName<'r>> {
        let host = said_once(input.version, input.uri, input.headers)?;
        match self {
            Self::Domain => Some(ExactName::Domain(host)),
            Self::Subdomain(strategy) => strategy.label_of(host).map(ExactName::Slug),
            // The host names nobody, and is to be a host all the same.
            Self::Path(_) if !is_plain_name(host) => None,
            Self::Path(strategy) => {
                let found = strategy.locate(input.uri.path()).ok()??;
                Some(ExactName::Slug(found.segment.as_bytes()))
            }
        }
    }

    fn kind(&self) -> SignalKind {
        match self {
            Self::Domain => SignalKind::Domain,
            Self::Subdomain(_) => SignalKind::Subdomain,
            Self::Path(_) => SignalKind::Path,
        }
    }
}

impl Inner {
    /// Returns the tenant of a request that names an active one exactly, where no more is to be asked.
    #[inline]
    pub(super) fn resolve_at_a_glance(&self, input: &ResolveInput<'_>) -> Option<TenantContext> {
        let glance = self.glance.as_ref()?;
        let name = glance.name(input)?;
        let tenant = self.catalog.find_exact(name)?;
        // Not left to the catalog: that the names are equal is what makes the request's a canonical one.
        if !is_name_of(&tenant, name) || !self.policy.asks_nothing_of(&tenant) {
            return None;
        }
        Some(TenantContext::resolved(tenant, Provenance::ASSERTED.with(glance.kind())))
    }
}

#[inline]
fn is_name_of(tenant: &Tenant, name: ExactName<'_>) -> bool {
    match name {
        ExactName::Domain(name) => {
            let is = |known: &&TenantDomain| are_equal(known.domain.as_str().as_bytes(), name);
            let known = tenant.domains().iter().find(is);
            known.is_some_and(|known| matches!(known.state, DomainState::Verified))
        }
        ExactName::Slug(name) => are_equal(tenant.slug().as_str().as_bytes(), name),
    }
}

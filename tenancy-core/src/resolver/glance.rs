//! Most requests in few steps: what names the tenant is, byte for byte, a name that the catalog knows.
//!
//! What equals a canonical name is canonical, and need not be read to be known as one. Only a yes comes from here:
//! whatever is not found, be it unknown, malformed, in capital letters or with a port, is read strictly from the beginning.

use std::any::Any;
use std::sync::Arc;

use super::{Inner, ResolveInput};
use crate::Strategy as _;
use crate::catalog::ExactName;
use crate::host::{is_plain_name, said_once};
use crate::octets::are_equal;
use crate::{
    Domain, DomainState, DomainStrategy, HeaderStrategy, PathStrategy, Provenance, SignalKind,
    SubdomainStrategy, Tenant, TenantContext, TenantDomain, TenantKey,
};

/// The only strategy of a resolver, where it is one whose names can be looked up as they stand in a request.
#[derive(Debug)]
pub(super) enum Glance {
    /// Every host is a tenant's domain, or nobody's.
    Domain,
    Subdomain(SubdomainStrategy),
    Path(PathStrategy),
    Header(Box<HeaderStrategy>),
}

impl Glance {
    pub(super) fn of(strategy: &dyn Any) -> Option<Self> {
        if let Some(strategy) = strategy.downcast_ref::<DomainStrategy>() {
            return strategy.base_domains().is_empty().then_some(Self::Domain);
        }
        if let Some(strategy) = strategy.downcast_ref::<PathStrategy>() {
            return strategy.names_slugs().then(|| Self::Path(strategy.clone()));
        }
        if let Some(strategy) = strategy.downcast_ref::<HeaderStrategy>() {
            return Some(Self::Header(Box::new(strategy.clone())));
        }
        let strategy = strategy.downcast_ref::<SubdomainStrategy>()?;
        // Whether punycode is sound depends on the whole name (RFC 5893, section 2), and so has to be looked at.
        let is_plain = |base: &Domain| !base.as_str().contains("xn--");
        strategy.base_domains().iter().all(is_plain).then(|| Self::Subdomain(strategy.clone()))
    }
}

impl Inner {
    /// Returns the tenant of a request that names an active one exactly, where no more is to be asked.
    #[inline]
    pub(super) fn resolve_at_a_glance(&self, input: &ResolveInput<'_>) -> Option<TenantContext> {
        let glance = self.glance.as_ref()?;
        let host = said_once(input.version, input.uri, input.headers)?;
        let (name, kind) = match glance {
            Glance::Domain => (ExactName::Domain(host), SignalKind::Domain),
            Glance::Subdomain(strategy) => (ExactName::Slug(strategy.label_of(host)?), SignalKind::Subdomain),
            // The host names nobody, and is to be a host all the same.
            _ if !is_plain_name(host) => return None,
            Glance::Path(strategy) => return self.resolve_by_path(strategy, input),
            Glance::Header(strategy) => return self.resolve_by_header(strategy, input),
        };
        let tenant = self.catalog.find_exact(name)?;
        let named = is_name_of(&tenant, name);
        self.serve(tenant, named, kind)
    }

    /// Apart, so that what the host names is found with nothing of this in the way; and so is the next.
    #[inline(never)]
    fn resolve_by_path(&self, strategy: &PathStrategy, input: &ResolveInput<'_>) -> Option<TenantContext> {
        let slug = strategy.locate(input.uri.path()).ok()??.segment.as_bytes();
        let tenant = self.catalog.find_exact(ExactName::Slug(slug))?;
        let named = are_equal(tenant.slug().as_str().as_bytes(), slug);
        self.serve(tenant, named, SignalKind::Path)
    }

    /// Only what comes from a proxy that is trusted names a tenant alone.
    #[inline(never)]
    fn resolve_by_header(
        &self,
        strategy: &HeaderStrategy,
        input: &ResolveInput<'_>,
    ) -> Option<TenantContext> {
        let key = strategy.named_by_proxy(input.headers, input.peer)?;
        let tenant = self.catalog.find_exact(match &key {
            TenantKey::Id(id) => ExactName::Id(id),
            TenantKey::Slug(slug) => ExactName::Slug(slug.as_str().as_bytes()),
            TenantKey::Domain(name) => ExactName::Domain(name.as_bytes()),
        })?;
        let named = tenant.answers_to(&key);
        self.serve(tenant, named, SignalKind::Header)
    }

    #[inline(always)]
    fn serve(&self, tenant: Arc<Tenant>, named: bool, kind: SignalKind) -> Option<TenantContext> {
        // Not left to the catalog: that the names are equal is what makes the request's a canonical one.
        if !named || !self.policy.asks_nothing_of(&tenant) {
            return None;
        }
        Some(TenantContext::resolved(tenant, Provenance::ASSERTED.with(kind)))
    }
}

#[inline(always)]
fn is_name_of(tenant: &Tenant, name: ExactName<'_>) -> bool {
    match name {
        ExactName::Domain(name) => {
            let is = |known: &&TenantDomain| are_equal(known.domain.as_str().as_bytes(), name);
            let known = tenant.domains().iter().find(is);
            known.is_some_and(|known| matches!(known.state, DomainState::Verified))
        }
        ExactName::Id(id) => tenant.id() == id,
        ExactName::Slug(name) => are_equal(tenant.slug().as_str().as_bytes(), name),
    }
}

//! Most requests in few steps: the host is, byte for byte, what the catalog knows a tenant by.
//!
//! What equals a canonical name is canonical, so that such a host need not be read. Only a yes comes from here: whatever
//! is not found, be it unknown, malformed, in capital letters or with a port, is read strictly from the beginning.

use std::any::Any;
use std::sync::Arc;

use super::{Inner, ResolveInput};
use crate::catalog::ExactName;
use crate::host::said_once;
use crate::{
    DomainState, DomainStrategy, Provenance, SignalKind, Strategy, SubdomainStrategy, Tenant, TenantContext,
};

/// How the only strategy of a resolver reads hosts.
#[derive(Debug)]
pub(super) enum ByHost {
    /// Every host is a tenant's domain, or nobody's.
    Domain,
    Subdomain(SubdomainStrategy),
}

impl ByHost {
    pub(super) fn of(strategy: &dyn Any) -> Option<Self> {
        if let Some(strategy) = strategy.downcast_ref::<DomainStrategy>() {
            return strategy.base_domains().is_empty().then_some(Self::Domain);
        }
        let strategy = strategy.downcast_ref::<SubdomainStrategy>()?;
        // Whether punycode is sound depends on the whole name (RFC 5893, section 2), and so has to be looked at.
        let is_plain = |base: &crate::Domain| !base.as_str().contains("xn--");
        strategy.base_domains().iter().all(is_plain).then(|| Self::Subdomain(strategy.clone()))
    }

    #[inline]
    fn name<'r>(&self, host: &'r [u8]) -> Option<ExactName<'r>> {
        match self {
            Self::Domain => Some(ExactName::Domain(host)),
            Self::Subdomain(strategy) => strategy.label_of(host).map(ExactName::Slug),
        }
    }
}

impl Inner {
    /// Returns the tenant of a request whose host names an active one exactly, where no more is to be asked.
    #[inline]
    pub(super) fn resolve_at_a_glance(&self, input: &ResolveInput<'_>) -> Option<TenantContext> {
        let by_host = self.by_host.as_ref()?;
        let name = by_host.name(said_once(input.version, input.uri, input.headers)?)?;
        let tenant: Arc<Tenant> = self.catalog.find_exact(name)?;
        // Not left to the catalog: that the names are equal is what makes the host a canonical one.
        let by = signal_naming(&tenant, name)?;
        self.policy
            .asks_nothing_of(&tenant)
            .then(|| TenantContext::resolved(tenant, Provenance::ASSERTED.with(by)))
    }
}

/// Returns by what `name` names `tenant`, if it does.
#[inline]
fn signal_naming(tenant: &Tenant, name: ExactName<'_>) -> Option<SignalKind> {
    match name {
        ExactName::Domain(name) => {
            let is = |known: &&crate::TenantDomain| known.domain.as_str().as_bytes() == name;
            let found = tenant.domains().iter().find(is)?;
            matches!(found.state, DomainState::Verified).then_some(SignalKind::Domain)
        }
        ExactName::Slug(name) => (tenant.slug().as_str().as_bytes() == name).then_some(SignalKind::Subdomain),
    }
}

//! Most requests in few steps: what names the tenant is, byte for byte, a name that the catalog knows.
//!
//! What equals a canonical name is canonical, and need not be read to be known as one. Only a yes comes from here:
//! whatever is not found, be it unknown, malformed, in capital letters or with a port, is read strictly from the beginning.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Uri, Version};

use super::resolve::{has_no_resource, has_slashed_path};
use super::{Inner, ResolveInput};
use crate::Strategy as _;
use crate::catalog::ExactName;
use crate::host::{first_host_line, is_plain_name, said_once};
use crate::octets::are_equal;
use crate::{
    Domain, DomainState, DomainStrategy, HeaderStrategy, NamedBy, PathStrategy, Provenance, SignalKind,
    SubdomainStrategy, Tenant, TenantContext, TenantDomain, TenantId,
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
    ///
    /// A part of whoever calls it, so that the head is not written down for it first; what follows the host is not.
    #[inline(always)]
    pub(super) fn resolve_at_a_glance(&self, input: &ResolveInput<'_>) -> Option<TenantContext> {
        let glance = self.glance.as_ref()?;
        let host = host_of(input.method, input.uri, input.version, input.headers)?;
        match glance {
            Glance::Domain => self.serve_domain(host),
            Glance::Subdomain(strategy) => self.resolve_by_subdomain(strategy, host),
            Glance::Path(strategy) => self.resolve_by_path(strategy, host, input.uri),
            Glance::Header(strategy) => self.resolve_by_header(strategy, host, input.headers, input.peer),
        }
    }

    #[inline(never)]
    fn resolve_by_subdomain(&self, strategy: &SubdomainStrategy, host: &[u8]) -> Option<TenantContext> {
        self.serve_slug(strategy.label_of(host)?, SignalKind::Subdomain)
    }

    /// The host names nobody, and is to be a host all the same; and so with a header.
    #[inline(never)]
    fn resolve_by_path(&self, strategy: &PathStrategy, host: &[u8], uri: &Uri) -> Option<TenantContext> {
        let path = is_plain_name(host).then(|| uri.path())?;
        self.serve_slug(strategy.locate(path).ok()??.segment.as_bytes(), SignalKind::Path)
    }

    /// Only what comes from a proxy that is trusted names a tenant alone.
    #[inline(never)]
    fn resolve_by_header(
        &self,
        strategy: &HeaderStrategy,
        host: &[u8],
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<TenantContext> {
        match is_plain_name(host).then(|| strategy.said_by_proxy(headers, peer))?? {
            (NamedBy::Id, text) => self.serve_id(&TenantId::from_bytes(text)?, SignalKind::Header),
            (NamedBy::Slug, text) => self.serve_slug(text, SignalKind::Header),
        }
    }

    #[inline(never)]
    fn serve_domain(&self, name: &[u8]) -> Option<TenantContext> {
        self.serve(ExactName::Domain(name), SignalKind::Domain)
    }

    #[inline(never)]
    fn serve_slug(&self, slug: &[u8], kind: SignalKind) -> Option<TenantContext> {
        self.serve(ExactName::Slug(slug), kind)
    }

    #[inline(never)]
    fn serve_id(&self, id: &TenantId, kind: SignalKind) -> Option<TenantContext> {
        self.serve(ExactName::Id(id), kind)
    }

    #[inline(always)]
    fn serve(&self, name: ExactName<'_>, kind: SignalKind) -> Option<TenantContext> {
        let tenant = match &self.memory {
            Some(catalog) => catalog.named(name)?,
            None => self.find_elsewhere(name)?,
        };
        if !self.policy.asks_nothing_of(&tenant) {
            return None;
        }
        Some(TenantContext::resolved(tenant, Provenance::ASSERTED.with(kind)))
    }

    /// Not left to a catalog of somebody else's: that the names are equal is what makes the request's a canonical one.
    #[inline(never)]
    fn find_elsewhere(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        self.catalog.find_exact(name).filter(|tenant| is_name_of(tenant, name))
    }
}

/// Returns what names the host of a request that is for a resource, unread, where it is said in one way.
///
/// Given the parts of the head, which are in registers then, and not the head, which would be written down for it.
#[inline(never)]
fn host_of<'r>(method: &Method, uri: &'r Uri, version: Version, headers: &'r HeaderMap) -> Option<&'r [u8]> {
    // Nearly every request of HTTP/1, in less than what it takes to make room for the others.
    let is_plain = *method != Method::CONNECT && has_slashed_path(uri);
    if is_plain
        && version < Version::HTTP_2
        && uri.authority().is_none()
        && let Some(line) = first_host_line(headers)
    {
        return Some(line.as_bytes());
    }
    host_sought(method, uri, version, headers)
}

#[inline(never)]
fn host_sought<'r>(
    method: &Method,
    uri: &'r Uri,
    version: Version,
    headers: &'r HeaderMap,
) -> Option<&'r [u8]> {
    if has_no_resource(method, uri, version) { None } else { said_once(version, uri, headers) }
}

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

//! Most requests in few steps: what names the tenant is, byte for byte, a name that the catalog knows.
//!
//! What equals a canonical name is canonical, and need not be read to be known as one. Only a yes comes from here:
//! whatever is not found, be it unknown, malformed, in capital letters or with a port, is read strictly from the beginning.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Uri, Version};

use super::resolve::{has_no_resource, has_slashed_path};
use super::{Glimpse, Inner};
use crate::Strategy as _;
use crate::catalog::ExactName;
use crate::host::{first_host_line, is_plain_name, said_once};
use crate::octets::are_equal;
use crate::{
    Domain, DomainState, DomainStrategy, HeaderStrategy, NamedBy, PathStrategy, Provenance, SignalKind,
    SubdomainStrategy, Tenant, TenantContext, TenantDomain, TenantId,
};
#[cfg(feature = "jwt")]
use crate::{TenantKey, jwt::JwtStrategy};

/// The only strategy of a resolver, where it is one whose names can be looked up as they stand in a request.
#[derive(Debug)]
pub(super) enum Glance {
    /// Every host is a tenant's domain, or nobody's.
    Domain,
    Subdomain(SubdomainStrategy),
    /// The host names nobody, and is to be a host all the same.
    Elsewhere(Box<Elsewhere>),
}

#[derive(Debug)]
pub(super) enum Elsewhere {
    Path(PathStrategy),
    Header(HeaderStrategy),
    #[cfg(feature = "jwt")]
    Token(JwtStrategy),
}

impl Glance {
    pub(super) fn of(strategy: &dyn Any) -> Option<Self> {
        if let Some(strategy) = strategy.downcast_ref::<DomainStrategy>() {
            return strategy.base_domains().is_empty().then_some(Self::Domain);
        }
        if let Some(strategy) = strategy.downcast_ref::<PathStrategy>() {
            let elsewhere = || Self::Elsewhere(Box::new(Elsewhere::Path(strategy.clone())));
            return strategy.names_slugs().then(elsewhere);
        }
        if let Some(strategy) = strategy.downcast_ref::<HeaderStrategy>() {
            return Some(Self::Elsewhere(Box::new(Elsewhere::Header(strategy.clone()))));
        }
        #[cfg(feature = "jwt")]
        if let Some(strategy) = strategy.downcast_ref::<JwtStrategy>() {
            return Some(Self::Elsewhere(Box::new(Elsewhere::Token(strategy.clone()))));
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
    pub(super) fn resolve_at_a_glance(&self, glimpse: Glimpse<'_>) -> Option<TenantContext> {
        let Glimpse { method, uri, version, headers, peer } = glimpse;
        let glance = self.glance.as_ref()?;
        let host = host_of(method, uri, version, headers)?;
        match glance {
            Glance::Domain => self.serve_domain(host),
            Glance::Subdomain(strategy) => self.resolve_by_subdomain(strategy, host),
            Glance::Elsewhere(elsewhere) if is_plain_name(host) => match &**elsewhere {
                Elsewhere::Path(strategy) => self.resolve_by_path(strategy, uri),
                Elsewhere::Header(strategy) => self.resolve_by_header(strategy, headers, peer.address()),
                #[cfg(feature = "jwt")]
                Elsewhere::Token(strategy) => self.resolve_by_token(strategy, headers),
            },
            Glance::Elsewhere(_) => None,
        }
    }

    #[inline(never)]
    fn resolve_by_subdomain(&self, strategy: &SubdomainStrategy, host: &[u8]) -> Option<TenantContext> {
        self.serve_slug(strategy.label_of(host)?, SignalKind::Subdomain)
    }

    #[inline(never)]
    fn resolve_by_path(&self, strategy: &PathStrategy, uri: &Uri) -> Option<TenantContext> {
        self.serve_slug(strategy.segment_at_a_glance(uri.path().as_bytes())?, SignalKind::Path)
    }

    /// Only what comes from a proxy that is trusted names a tenant alone.
    #[inline(never)]
    fn resolve_by_header(
        &self,
        strategy: &HeaderStrategy,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<TenantContext> {
        match strategy.said_by_proxy(headers, peer)? {
            (NamedBy::Id, text) => match TenantId::from_short_integer(text) {
                Some(id) => self.serve_id(&id, SignalKind::Header),
                None => self.serve_id(&TenantId::from_bytes(text)?, SignalKind::Header),
            },
            (NamedBy::Slug, text) => self.serve_slug(text, SignalKind::Header),
        }
    }

    /// Only what was verified before: to verify takes more than a glance.
    #[cfg(feature = "jwt")]
    #[inline(never)]
    fn resolve_by_token(&self, strategy: &JwtStrategy, headers: &HeaderMap) -> Option<TenantContext> {
        let known = strategy.known(headers)?;
        match known.tenant()? {
            TenantKey::Id(id) => self.serve_id(id, SignalKind::Token),
            TenantKey::Slug(slug) => self.serve_slug(slug.as_str().as_bytes(), SignalKind::Token),
            TenantKey::Domain(_) => None,
        }
    }

    #[inline(never)]
    fn serve_domain(&self, name: &[u8]) -> Option<TenantContext> {
        let tenant = match &self.memory {
            Some(catalog) => catalog.active_by_domain(name),
            None => self.find_elsewhere(ExactName::Domain(name)),
        };
        serve(tenant, SignalKind::Domain)
    }

    #[inline(never)]
    fn serve_slug(&self, slug: &[u8], kind: SignalKind) -> Option<TenantContext> {
        let tenant = match &self.memory {
            Some(catalog) => catalog.active_by_slug(slug),
            None => self.find_elsewhere(ExactName::Slug(slug)),
        };
        serve(tenant, kind)
    }

    #[inline(never)]
    fn serve_id(&self, id: &TenantId, kind: SignalKind) -> Option<TenantContext> {
        let tenant = match &self.memory {
            Some(catalog) => catalog.active_by_id(id),
            None => self.find_elsewhere(ExactName::Id(id)),
        };
        serve(tenant, kind)
    }

    /// Not left to a catalog of somebody else's: that the names are equal is what makes the request's a canonical one.
    #[inline(never)]
    fn find_elsewhere(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        let is_served = |tenant: &Arc<Tenant>| is_name_of(tenant, name) && tenant.status().is_active();
        self.catalog.find_exact(name).filter(is_served)
    }
}

#[inline(always)]
fn serve(active: Option<Arc<Tenant>>, kind: SignalKind) -> Option<TenantContext> {
    Some(TenantContext::resolved(active?, Provenance::ASSERTED.with(kind)))
}

/// Returns what names the host of a request that is for a resource, unread, where it is said in one way.
///
/// Given the parts of the head, which are in registers then, and not the head, which would be written down for it.
#[inline(never)]
fn host_of<'r>(method: &Method, uri: &'r Uri, version: Version, headers: &'r HeaderMap) -> Option<&'r [u8]> {
    // Nearly every request of HTTP/1, in less than what it takes to make room for the others. Where a target has no
    // authority it has a path, and need not be asked whether.
    if version < Version::HTTP_2
        && uri.authority().is_none()
        && *method != Method::CONNECT
        && has_slashed_path(uri)
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

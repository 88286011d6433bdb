//! How a resolver is put together.

use std::sync::Arc;

use http::HeaderName;

use super::glance::Glance;
use super::policy::Policy;
use super::{Agreement, Inner, Membership, Resolver, UnknownHost, agreement};
use crate::{Error, ErrorKind, ForwardedHost, HeaderStrategy, Strategy, SubdomainStrategy, TenantCatalog};

/// Collects the parts of a [`Resolver`].
#[derive(Debug)]
#[must_use]
pub struct ResolverBuilder {
    catalog: Arc<dyn TenantCatalog>,
    strategies: Vec<Box<dyn Strategy>>,
    /// The last strategy, if its names can be looked up as they stand in a request.
    glance: Option<Glance>,
    forwarded: Option<ForwardedHost>,
    agreement: Agreement,
    unknown_host: UnknownHost,
    policy: Policy,
}

impl ResolverBuilder {
    /// Adds a strategy. Order matters to [`Agreement::FirstMatch`] alone.
    pub fn with_strategy(mut self, strategy: impl Strategy) -> Self {
        self.glance = Glance::of(&strategy);
        self.strategies.push(Box::new(strategy));
        self
    }

    /// Reads the tenant in the usual order, the first of these that the request has: `token`, `header`, `subdomain`.
    ///
    /// This is [`Agreement::FirstMatch`]: a token decides alone, and a header that contradicts it is not even read. A
    /// token that is not valid refuses the request, and so does a header that comes from no trusted proxy; neither is
    /// passed over. Without this, all signals have to agree, which is safer.
    pub fn with_usual_order(
        self,
        token: impl Strategy,
        header: HeaderStrategy,
        subdomain: SubdomainStrategy,
    ) -> Self {
        let ordered = self.with_strategy(token).with_strategy(header).with_strategy(subdomain);
        ordered.with_agreement(Agreement::FirstMatch)
    }

    /// Sets how several signals are brought together (default: all must name one tenant).
    pub fn with_agreement(mut self, agreement: Agreement) -> Self {
        self.agreement = agreement;
        self
    }

    /// Reads the host from a proxy's header.
    pub fn with_forwarded_host(mut self, rule: ForwardedHost) -> Self {
        self.forwarded = Some(rule);
        self
    }

    /// Sets what a request gets whose host is no tenant's domain (default: it is refused).
    pub fn with_unknown_host(mut self, unknown_host: UnknownHost) -> Self {
        self.unknown_host = unknown_host;
        self
    }

    /// Asks `membership` whether the caller is a member of the tenant that the request names.
    pub fn with_membership(mut self, membership: impl Membership) -> Self {
        self.policy.membership = Some(Arc::new(membership));
        self
    }

    /// Tells everybody that a tenant is suspended, in maintenance or not ready yet, and not only callers who are known
    /// to belong to it: for services whose tenants are public, such as shops.
    pub fn with_public_status(mut self) -> Self {
        self.policy.public_status = true;
        self
    }

    /// Returns the resolver.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if there is no strategy, or more than eight; if unknown hosts are
    /// redirected to what is no absolute `http` or `https` URI; or if they are served as a tenant under
    /// [`Agreement::FirstMatch`], which does not see what else a request says.
    pub fn build(self) -> Result<Resolver, Error> {
        if self.strategies.is_empty() || self.strategies.len() > agreement::MOST_SIGNALS {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a resolver has one to eight strategies",
            ));
        }
        self.check_unknown_host()?;
        let mut vary: Vec<HeaderName> =
            self.strategies.iter().filter_map(|strategy| strategy.vary().cloned()).collect();
        vary.extend(self.forwarded.as_ref().map(ForwardedHost::header_name));
        vary.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        vary.dedup();
        let is_glance_enough = self.is_glance_enough();
        Ok(Resolver(Arc::new(Inner {
            memory: Arc::clone(&self.catalog).into_memory(),
            catalog: self.catalog,
            glance: self.glance.filter(|_| is_glance_enough),
            reads_host: self.strategies.iter().any(|strategy| strategy.reads_host()),
            strategies: self.strategies.into(),
            forwarded: self.forwarded,
            agreement: self.agreement,
            unknown_host: self.unknown_host,
            policy: self.policy,
            vary: vary.into(),
        })))
    }
}

impl ResolverBuilder {
    pub(super) fn new(catalog: Arc<dyn TenantCatalog>) -> Self {
        Self {
            catalog,
            strategies: Vec::new(),
            glance: None,
            forwarded: None,
            agreement: Agreement::All,
            unknown_host: UnknownHost::Refuse,
            policy: Policy::default(),
        }
    }

    /// Whether a tenant that the one strategy names and that is active is served, whatever else a request says.
    fn is_glance_enough(&self) -> bool {
        self.strategies.len() == 1 && self.forwarded.is_none() && self.policy.membership.is_none()
    }

    fn check_unknown_host(&self) -> Result<(), Error> {
        let fail = |reason| Err(Error::new(ErrorKind::InvalidConfiguration, reason));
        match &self.unknown_host {
            UnknownHost::Tenant(_) if self.agreement == Agreement::FirstMatch => {
                fail("unknown hosts have a tenant only where all signals are read")
            }
            UnknownHost::Redirect(to)
                if to.authority().is_none() || !matches!(to.scheme_str(), Some("http" | "https")) =>
            {
                fail("unknown hosts are redirected to an absolute URI")
            }
            _ => Ok(()),
        }
    }
}

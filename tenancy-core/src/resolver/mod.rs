//! The resolver: from what a request says to a tenant context, or a rejection.

mod agreement;
mod policy;
mod rejection;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, Method, Request, Uri, Version};

pub use agreement::Agreement;
pub use policy::{Membership, MembershipAnswer, UnknownHost};
pub use rejection::{Rejection, RejectionReason};

use crate::catalog::BoxFuture;
use crate::{
    Error, ErrorKind, ForwardedHost, HeaderStrategy, HostError, Lookup, Provenance, RequestHead, RequestHost,
    SignalKind, Strategy, SubdomainStrategy, Tenant, TenantCatalog, TenantContext, TenantId, TenantKey,
};
use agreement::Signals;
use policy::Policy;

/// A resolver's answer: at once where it is at hand, else later.
#[must_use]
pub enum Resolution {
    /// The answer.
    Ready(Result<TenantContext, Rejection>),
    /// The catalog or the membership check has to ask somebody.
    Later(BoxFuture<Result<TenantContext, Rejection>>),
}

impl Resolution {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// Returns why the request is refused.
    pub async fn wait(self) -> Result<TenantContext, Rejection> {
        match self {
            Self::Ready(answer) => answer,
            Self::Later(future) => future.await,
        }
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// What a resolver is given of a request: its head, and the address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResolveInput<'r> {
    /// The method.
    pub method: &'r Method,
    /// The request target.
    pub uri: &'r Uri,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: &'r http::HeaderMap,
    /// What the server and outer layers attached.
    pub extensions: &'r http::Extensions,
    /// The address at the other end of the connection, where the server says so.
    pub peer: Option<IpAddr>,
}

impl<'r> ResolveInput<'r> {
    /// Returns the head of `request`, which came from `peer`.
    #[must_use]
    pub fn new<B>(request: &'r Request<B>, peer: Option<IpAddr>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            peer,
        }
    }

    fn of(head: &'r RequestHead<'_>) -> Self {
        let RequestHead { method, uri, version, headers, extensions, peer, host: _ } = *head;
        Self { method, uri, version, headers, extensions, peer }
    }

    /// Returns a copy of the head that borrows nothing.
    fn to_request(self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

/// Decides which tenant a request belongs to, or that it is refused.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not resolve tenants",
    note = "use `Resolver`, or implement `TenantResolver`"
)]
pub trait TenantResolver: Send + Sync + 'static {
    /// Returns the tenant that the request belongs to.
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution;

    /// Returns the request headers on which answers depend, for `Vary`.
    fn vary(&self) -> &[HeaderName] {
        &[]
    }
}

impl<R: TenantResolver + ?Sized> TenantResolver for Arc<R> {
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution {
        (**self).resolve(input)
    }

    fn vary(&self) -> &[HeaderName] {
        (**self).vary()
    }
}

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
    strategies: Box<[Box<dyn Strategy>]>,
    reads_host: bool,
    forwarded: Option<ForwardedHost>,
    agreement: Agreement,
    unknown_host: UnknownHost,
    policy: Policy,
    vary: Box<[HeaderName]>,
}

/// Collects the parts of a [`Resolver`].
#[derive(Debug)]
#[must_use]
pub struct ResolverBuilder {
    catalog: Arc<dyn TenantCatalog>,
    strategies: Vec<Box<dyn Strategy>>,
    forwarded: Option<ForwardedHost>,
    agreement: Agreement,
    unknown_host: UnknownHost,
    policy: Policy,
}

impl ResolverBuilder {
    /// Adds a strategy. Order matters to [`Agreement::FirstMatch`] alone.
    pub fn with_strategy(mut self, strategy: impl Strategy) -> Self {
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
        Ok(Resolver(Arc::new(Inner {
            catalog: self.catalog,
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

impl Resolver {
    /// Starts a resolver over `catalog`.
    pub fn builder(catalog: Arc<dyn TenantCatalog>) -> ResolverBuilder {
        ResolverBuilder {
            catalog,
            strategies: Vec::new(),
            forwarded: None,
            agreement: Agreement::All,
            unknown_host: UnknownHost::Refuse,
            policy: Policy::default(),
        }
    }
}

impl TenantResolver for Resolver {
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution {
        self.0.resolve(input).unwrap_or_else(|rejection| Resolution::Ready(Err(rejection)))
    }

    fn vary(&self) -> &[HeaderName] {
        &self.0.vary
    }
}

impl Inner {
    fn resolve(self: &Arc<Self>, input: ResolveInput<'_>) -> Result<Resolution, Rejection> {
        // Neither a tunnel nor the server as a whole belongs to a tenant (RFC 9110, sections 9.3.6 and 9.3.7). A WebSocket
        // over HTTP/2 comes by CONNECT too, but with a scheme and a path (RFC 8441, section 4).
        let extended = input.version >= Version::HTTP_2 && input.uri.scheme().is_some();
        if (input.method == Method::CONNECT && !extended) || input.uri.path() == "*" {
            return Err(RejectionReason::NoTenant.into());
        }
        let head = self.read_head(input)?;
        let mut signals = Signals::default();
        self.read_signals(&head, &mut signals)?;
        match self.catalog.find(&signals.chosen()?.key) {
            Lookup::Later(answer) => Ok(Resolution::Later({
                let (request, peer) = (input.to_request(), input.peer);
                Arc::clone(self).resolve_later(answer, request, peer)
            })),
            Lookup::Found(tenant) => self.decide(Some(tenant), &signals, &head),
            Lookup::Absent => self.decide(None, &signals, &head),
        }
    }

    /// Goes on when the catalog has answered. The head is read again from a copy: that is nothing beside the waiting.
    fn resolve_later(
        self: Arc<Self>,
        answer: BoxFuture<Result<Option<Arc<Tenant>>, Error>>,
        request: Request<()>,
        peer: Option<IpAddr>,
    ) -> BoxFuture<Result<TenantContext, Rejection>> {
        Box::pin(async move {
            let tenant = answer.await?;
            let resolution = {
                let head = self.read_head(ResolveInput::new(&request, peer))?;
                let mut signals = Signals::default();
                self.read_signals(&head, &mut signals)?;
                self.decide(tenant, &signals, &head)?
            };
            resolution.wait().await
        })
    }

    #[inline]
    fn decide(
        self: &Arc<Self>,
        tenant: Option<Arc<Tenant>>,
        signals: &Signals<'_>,
        head: &RequestHead<'_>,
    ) -> Result<Resolution, Rejection> {
        let alone = signals.are_domain_alone();
        let resolution = match (tenant, &self.unknown_host) {
            (Some(tenant), _) => self.policy.decide(tenant, signals, head),
            (None, UnknownHost::Tenant(id)) if alone => Ok(self.serve_as(id, head)),
            (None, _) => Err(RejectionReason::UnknownTenant.into()),
        };
        match &self.unknown_host {
            UnknownHost::Redirect(to) if alone && !leads_to(to, head.host.name()) => {
                Ok(redirect_unknown(resolution, to))
            }
            _ => resolution,
        }
    }

    /// Serves an unknown host as the tenant `id`, by the same policy as everybody else's requests.
    fn serve_as(self: &Arc<Self>, id: &TenantId, head: &RequestHead<'_>) -> Resolution {
        match self.catalog.find(&TenantKey::Id(id.clone())) {
            Lookup::Found(tenant) => self.admit_host_tenant(tenant, id, head),
            Lookup::Absent => Resolution::Ready(Err(RejectionReason::UnknownTenant.into())),
            Lookup::Later(answer) => {
                let (this, id) = (Arc::clone(self), id.clone());
                let (request, peer) = (ResolveInput::of(head).to_request(), head.peer);
                Resolution::Later(Box::pin(async move {
                    let tenant = answer.await?.ok_or(RejectionReason::UnknownTenant)?;
                    let resolution = {
                        let head = this.read_head(ResolveInput::new(&request, peer))?;
                        this.admit_host_tenant(tenant, &id, &head)
                    };
                    resolution.wait().await
                }))
            }
        }
    }

    fn admit_host_tenant(&self, tenant: Arc<Tenant>, id: &TenantId, head: &RequestHead<'_>) -> Resolution {
        if tenant.id() != id {
            return Resolution::Ready(Err(RejectionReason::UnknownTenant.into()));
        }
        let provenance = Provenance::ASSERTED.with(SignalKind::UnknownHost);
        self.policy.admit(tenant, Ok(provenance), false, head)
    }

    #[inline]
    fn read_head<'r>(&self, input: ResolveInput<'r>) -> Result<RequestHead<'r>, Rejection> {
        let ResolveInput { method, uri, version, headers, extensions, peer } = input;
        let host = RequestHost::read(version, uri, headers, peer, self.forwarded.as_ref())?;
        if self.reads_host && !host.is_present() {
            return Err(HostError::Missing.into());
        }
        Ok(RequestHead { method, uri, version, headers, extensions, peer, host })
    }

    /// Fills `signals` where they stand: they are large, and moving them would cost as much as reading them.
    #[inline]
    fn read_signals<'h>(
        &self,
        head: &'h RequestHead<'_>,
        signals: &mut Signals<'h>,
    ) -> Result<(), Rejection> {
        for strategy in &self.strategies {
            if let Some(signal) = strategy.read(head)? {
                signals.push(signal);
                if self.agreement == Agreement::FirstMatch {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a redirect to `to` would come back to the host `name`, for ever.
fn leads_to(to: &Uri, name: Option<&str>) -> bool {
    to.host().zip(name).is_some_and(|(to, name)| to.eq_ignore_ascii_case(name))
}

/// Sends to `to` whoever would be told that there is no such tenant, so that unknown hosts and the domains of tenants
/// that the caller may not know of get one answer (TWR-48).
fn redirect_unknown(resolution: Result<Resolution, Rejection>, to: &Uri) -> Resolution {
    let hide = |rejection: Rejection, to: &Uri| match rejection.reason() {
        RejectionReason::UnknownTenant | RejectionReason::NotAMember => Rejection::redirect(to.clone()),
        _ => rejection,
    };
    match resolution {
        Ok(Resolution::Ready(answer)) => Resolution::Ready(answer.map_err(|rejection| hide(rejection, to))),
        Ok(Resolution::Later(answer)) => {
            let to = to.clone();
            Resolution::Later(Box::pin(async move { answer.await.map_err(|rejection| hide(rejection, &to)) }))
        }
        Err(rejection) => Resolution::Ready(Err(hide(rejection, to))),
    }
}

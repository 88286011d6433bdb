//! The tenants that the tests know, and servers that resolve them in many ways.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, Response, Uri};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tenancy_core::jwt::{Algorithm, Issuer, JwtStrategy, TokenVerifier, VerificationKey};
use tenancy_core::{
    Agreement, CookieStrategy, Domain, DomainState, DomainStrategy, ForwardedHeader, ForwardedHost,
    HeaderStrategy, Lookup, Membership, MembershipAnswer, MemoryCatalog, NamedBy, PathStrategy,
    QueryStrategy, RequestHead, Resolver, ResolverBuilder, SubdomainStrategy, Tenant, TenantBuilder,
    TenantCatalog, TenantContext, TenantId, TenantKey, TenantStatus, TrustedProxies, UnknownHost,
};
use tenancy_tower::{CurrentTenant, ResolveTenantLayer};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

/// The address that the servers take for their proxy.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// An address that nobody trusts.
pub(crate) const DIRECT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(crate) fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn moved(to: &str, until: Option<u64>) -> DomainState {
    let until = until.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    DomainState::moved(domain(to), until)
}

fn tenant(id: &str, slug: &str, status: TenantStatus) -> TenantBuilder {
    Tenant::builder(id.parse().unwrap(), slug.parse().unwrap()).with_status(status)
}

/// The tenants of all tables:
///
/// | id | slug | status | domains |
/// |---|---|---|---|
/// | 1 | acme | active | shop.acme.example, xn--bcher-kva.example; old and soon moved there; past moved there until 2001 |
/// | 2 | globex | active | globex.example; pending.globex.example not proven |
/// | 3 | initech | suspended | initech.example; old.initech.example moved there |
/// | 4 | umbrella | maintenance | umbrella.example |
/// | 5 | hooli | cancelled | hooli.example |
/// | 6 | stark | provisioning | stark.example |
/// | a UUID | wayne | active | |
/// | Tyrell.Corp | tyrell | active | |
/// | 9 | 63 times `a` | active | |
pub(crate) fn catalog() -> Arc<MemoryCatalog> {
    let all = [
        tenant("1", "acme", TenantStatus::Active)
            .with_domain(domain("shop.acme.example"))
            .with_domain(domain("bücher.example"))
            .with_domain_state(domain("old.acme.example"), moved("shop.acme.example", None))
            .with_domain_state(domain("soon.acme.example"), moved("shop.acme.example", Some(4_102_444_800)))
            .with_domain_state(domain("past.acme.example"), moved("shop.acme.example", Some(1_000_000_000))),
        tenant("2", "globex", TenantStatus::Active)
            .with_domain(domain("globex.example"))
            .with_domain_state(domain("pending.globex.example"), DomainState::Pending),
        tenant("3", "initech", TenantStatus::Suspended)
            .with_domain(domain("initech.example"))
            .with_domain_state(domain("old.initech.example"), moved("initech.example", None)),
        tenant("4", "umbrella", TenantStatus::Maintenance)
            .with_domain(domain("umbrella.example"))
            .with_retry_after(Duration::from_secs(120)),
        tenant("5", "hooli", TenantStatus::Cancelled).with_domain(domain("hooli.example")),
        tenant("6", "stark", TenantStatus::Provisioning).with_domain(domain("stark.example")),
        tenant("6f9619ff-8b86-4011-b42d-00cf4fc964ff", "wayne", TenantStatus::Active),
        tenant("Tyrell.Corp", "tyrell", TenantStatus::Active),
        tenant("9", &"a".repeat(63), TenantStatus::Active),
    ];
    let catalog = MemoryCatalog::builder().with_base_domains([domain("app.example")]).build();
    for tenant in all {
        catalog.insert(tenant.build().unwrap()).unwrap();
    }
    Arc::new(catalog)
}

/// A catalog that always has to wait, or that is down.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) inner: Arc<MemoryCatalog>,
    pub(crate) down: bool,
}

impl TenantCatalog for Remote {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        let (inner, key, down) = (Arc::clone(&self.inner), key.clone().into_owned(), self.down);
        Lookup::later(async move {
            tokio::task::yield_now().await;
            if down {
                return Err(tenancy_core::Error::catalog_unavailable("connection refused"));
            }
            inner.find(&key).wait().await
        })
    }
}

/// The caller is a member of the tenants whose ids stand in `x-member-of`, as an authentication layer would say.
#[derive(Debug)]
pub(crate) struct ByHeader {
    pub(crate) later: bool,
}

impl Membership for ByHeader {
    fn check(&self, tenant: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer {
        let ids = head.headers.get("x-member-of").map_or("", |value| value.to_str().unwrap());
        if ids == "error" {
            return MembershipAnswer::Later(Box::pin(async {
                Err(tenancy_core::Error::catalog_unavailable("permissions are down"))
            }));
        }
        let member = ids.split(',').any(|id| id == tenant.id().to_string());
        match (self.later, member) {
            (true, _) => MembershipAnswer::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(member)
            })),
            (false, true) => MembershipAnswer::Member,
            (false, false) => MembershipAnswer::Stranger,
        }
    }
}

fn sub() -> SubdomainStrategy {
    SubdomainStrategy::new([domain("app.example")])
}

fn dom() -> DomainStrategy {
    DomainStrategy::new().with_base_domains([domain("app.example")])
}

/// Tokens of the platform's key, and of one that is a tenant's own.
fn token() -> JwtStrategy {
    let key = |secret: &[u8], id| VerificationKey::from_secret(Algorithm::Hs256, secret).unwrap().with_id(id);
    let platform = key(b"a key of the platform, 32 bytes!", "platform");
    let globex = key(b"the key of globex alone, 32 byte", "globex").with_tenant_id("2".parse().unwrap());
    let issuer = Issuer::new("https://id.app.example", "orders-api").with_key(platform).with_key(globex);
    JwtStrategy::new(TokenVerifier::builder().with_issuer(issuer).build().unwrap())
}

fn proxy() -> TrustedProxies {
    TrustedProxies::new([ipnet::IpNet::from(IpAddr::from(PROXY))])
}

fn header() -> HeaderStrategy {
    HeaderStrategy::new().with_trusted_proxies(proxy())
}

fn at_t() -> PathStrategy {
    PathStrategy::new("/t").unwrap()
}

fn forwarded(header: ForwardedHeader, hops: usize) -> ForwardedHost {
    ForwardedHost::new(header, proxy()).with_hops(hops)
}

fn mixed(builder: ResolverBuilder) -> ResolverBuilder {
    builder
        .with_strategy(sub())
        .with_strategy(dom())
        .with_strategy(header())
        .with_strategy(at_t())
        .with_strategy(QueryStrategy::new("tenant_id"))
        .with_strategy(CookieStrategy::new("tenant"))
}

/// Returns the layer that a table calls `name`.
pub(crate) fn layer(name: &str) -> ResolveTenantLayer<Resolver> {
    let catalog: Arc<dyn TenantCatalog> = match name {
        "slow" | "slow-host" => Arc::new(Remote { inner: catalog(), down: false }),
        "down" => Arc::new(Remote { inner: catalog(), down: true }),
        _ => catalog(),
    };
    let new = Resolver::builder(catalog);
    let resolver = match name {
        "sub" => new.with_strategy(sub()),
        "token" => new.with_strategy(token()).with_strategy(header()).with_strategy(sub()),
        "usual" => new.with_usual_order(token(), header(), sub()),
        "reserved" => new.with_strategy(sub().with_reserved(["globex"])),
        "dom" => new.with_strategy(DomainStrategy::new()),
        "both" | "slow" | "down" => new.with_strategy(sub()).with_strategy(dom()),
        "path" | "strip" => new.with_strategy(at_t()),
        "path-id" => new.with_strategy(at_t().with_named_by(NamedBy::Id)),
        "root" => new.with_strategy(PathStrategy::new("/").unwrap()),
        "header" => new.with_strategy(header()),
        "header-slug" => new.with_strategy(header().with_named_by(NamedBy::Slug)),
        "sub+header" => new.with_strategy(sub()).with_strategy(header()),
        "mixed" => mixed(new),
        "weak" => new
            .with_strategy(QueryStrategy::new("tenant_id"))
            .with_strategy(CookieStrategy::new("tenant"))
            .with_strategy(HeaderStrategy::new()),
        "xfh" => new.with_strategy(sub()).with_forwarded_host(forwarded(ForwardedHeader::XForwardedHost, 1)),
        "xfh2" => new.with_strategy(sub()).with_forwarded_host(forwarded(ForwardedHeader::XForwardedHost, 2)),
        "fwd" => new.with_strategy(sub()).with_forwarded_host(forwarded(ForwardedHeader::Forwarded, 1)),
        "fwd2" => new.with_strategy(sub()).with_forwarded_host(forwarded(ForwardedHeader::Forwarded, 2)),
        "first" => new.with_strategy(header()).with_strategy(sub()).with_agreement(Agreement::FirstMatch),
        "host" | "slow-host" => new
            .with_strategy(dom())
            .with_strategy(header())
            .with_unknown_host(UnknownHost::Tenant(TenantId::integer(1).unwrap())),
        "host-member" => new
            .with_strategy(dom())
            .with_unknown_host(UnknownHost::Tenant(TenantId::integer(1).unwrap()))
            .with_membership(ByHeader { later: false }),
        "landing" => new
            .with_strategy(dom())
            .with_strategy(header())
            .with_unknown_host(UnknownHost::Redirect(Uri::from_static("https://www.example/welcome"))),
        "landing-member" => new
            .with_strategy(dom())
            .with_unknown_host(UnknownHost::Redirect(Uri::from_static("https://www.example/welcome")))
            .with_membership(ByHeader { later: false }),
        "open" => new.with_strategy(sub()).with_strategy(dom()).with_public_status(),
        "member" | "member-later" => new
            .with_strategy(sub())
            .with_strategy(header())
            .with_membership(ByHeader { later: name == "member-later" }),
        "open-member" => {
            new.with_strategy(sub()).with_public_status().with_membership(ByHeader { later: false })
        }
        _ => panic!("no setup is called {name}"),
    };
    let layer = ResolveTenantLayer::new(resolver.build().unwrap())
        .with_peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()))
        .with_public_route(Method::GET, "/health");
    if name == "strip" { layer.with_stripped_path(at_t()) } else { layer }
}

/// Answers with the tenant that the handler runs for, by extractor and by scope, and the path that it sees.
async fn whose(CurrentTenant(tenant): CurrentTenant, uri: Uri) -> String {
    assert_eq!(TenantContext::current().unwrap(), tenant);
    format!("{} {}", tenant.slug(), uri.path())
}

async fn health() -> &'static str {
    if TenantContext::current().is_ok() { "a public route has a tenant" } else { "public" }
}

/// Servers, started when they are first asked for.
#[derive(Default)]
pub(crate) struct Servers(HashMap<String, SocketAddr>);

impl Servers {
    pub(crate) async fn address(&mut self, name: &str) -> SocketAddr {
        if let Some(address) = self.0.get(name) {
            return *address;
        }
        let app = Router::new().route("/health", get(health)).fallback(whose).layer(layer(name));
        let address = serve(app).await;
        self.0.insert(name.into(), address);
        address
    }
}

/// Serves `app` on a port of its own, over HTTP/1 and HTTP/2.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    });
    SocketAddr::from((PROXY, port))
}

/// Reads subdomains over a catalog that the test keeps, to change it.
pub(crate) fn resolver_over(catalog: &Arc<MemoryCatalog>) -> Resolver {
    Resolver::builder(catalog.clone()).with_strategy(sub()).build().unwrap()
}

/// Sends `request` through the layer called `name`, with no socket between, to a handler that answers 200 with the
/// tenant's slug.
pub(crate) async fn oneshot(name: &str, request: Request<()>) -> Response<Bytes> {
    let handler = tower::service_fn(async |_: Request<()>| {
        let slug =
            TenantContext::current().map_or_else(|_| "public".into(), |tenant| tenant.slug().to_string());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(slug))))
    });
    let response = layer(name).layer(handler).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// A request from the trusted proxy.
pub(crate) fn from_proxy<B>(mut request: Request<B>) -> Request<B> {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((PROXY, 1))));
    request
}

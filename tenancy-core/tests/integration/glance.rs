//! What names an active tenant byte for byte is not read again, and resolves as if it were.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{Request, Version};
use proptest::prelude::*;
use tenancy_core::{
    CachedCatalog, Domain, DomainState, DomainStrategy, ExactName, HeaderStrategy, Lookup, MemoryCatalog,
    NamedBy, PathStrategy, RequestHead, ResolveInput, Resolver, Signal, SignalError, Strategy as Reads,
    SubdomainStrategy, Tenant, TenantCatalog, TenantId, TenantKey, TenantResolver, TenantStatus,
    TrustedProxies,
};

/// A strategy that the resolver does not know, and so always asks.
#[derive(Debug)]
struct Unknown<S>(S);

impl<S: Reads> Reads for Unknown<S> {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        self.0.read(head)
    }

    fn reads_host(&self) -> bool {
        self.0.reads_host()
    }
}

/// A catalog that finds the first tenant whatever it is asked for exactly.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) Arc<MemoryCatalog>);

impl TenantCatalog for Wrong {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        self.0.find(key)
    }

    fn find_exact(&self, _: ExactName<'_>) -> Option<Arc<Tenant>> {
        self.0.find_exact(ExactName::Slug(b"acme"))
    }
}

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

const BASES: [&str; 3] = ["shop.example", "x--y.example", "xn--4dbrk0ce.example"];

pub(crate) fn known() -> Arc<MemoryCatalog> {
    let catalog = MemoryCatalog::new();
    let slugs = ["acme", "a1", "a--b", "1a", "late", "docs"];
    for (id, slug) in (1..).zip(slugs) {
        let status = if slug == "late" { TenantStatus::Suspended } else { TenantStatus::Active };
        let mut tenant = Tenant::builder(TenantId::integer(id).unwrap(), slug.parse().unwrap())
            .with_status(status)
            .with_domain_state(domain(&format!("pending.{slug}.example")), DomainState::Pending)
            .with_domain_state(
                domain(&format!("old.{slug}.example")),
                DomainState::moved(domain(&format!("{slug}.{}", BASES[0])), None),
            )
            .with_domain(domain(&format!("xn--bcher-kva.{slug}.example")));
        for base in &BASES[..2] {
            tenant = tenant.with_domain(domain(&format!("{slug}.{base}")));
        }
        catalog.insert(tenant.build().unwrap()).unwrap();
    }
    Arc::new(catalog)
}

/// A host of a tenant, or one with a byte or two that are not.
fn hosts() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec![
        "acme",
        "a1",
        "a--b",
        "1a",
        "late",
        "docs",
        "ACME",
        "",
        "acme.",
        "www",
        "nobody",
        "xn--bcher-kva.acme",
        "pending.acme",
        "old.acme",
        "a_b",
        "ac%6de",
        " acme",
        "acme\t",
    ]);
    let base = prop::sample::select(vec![
        "shop.example",
        "x--y.example",
        "xn--4dbrk0ce.example",
        "example",
        "Shop.example",
        "shop.example.",
        "1",
        "",
    ]);
    let end = prop::sample::select(vec!["", "", "", ":443", ":", ".", ":1:2", ",b.example", " "]);
    (label, base, end).prop_map(|(label, base, end)| format!("{label}.{base}{end}"))
}

pub(crate) fn requests() -> impl Strategy<Value = Request<()>> {
    let target = prop::sample::select(vec![
        "/",
        "*",
        "/t/acme/x",
        "/t/a--b",
        "/t/late",
        "/t/ACME",
        "/t/docs//",
        "/t/%61cme",
        "/t/acme/../late",
        "/t/nobody?q",
        "/x",
    ]);
    let authority = prop::option::weighted(0.4, hosts());
    let lines = prop::collection::vec(hosts(), 0..3);
    (target, authority, hosts(), lines, any::<[bool; 4]>()).prop_map(
        |(target, authority, host, lines, [http2, same, one, connect])| {
            let mut request = Request::new(());
            *request.uri_mut() = target.parse().unwrap();
            let target = if target == "*" { "/" } else { target };
            if let Some(Ok(uri)) = authority.map(|host| format!("http://{host}{target}").parse()) {
                *request.uri_mut() = uri;
            }
            *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
            if connect {
                *request.method_mut() = http::Method::CONNECT;
            }
            let said = match request.uri().authority() {
                Some(authority) if same => vec![authority.to_string()],
                None if one => vec![host],
                _ => lines,
            };
            for line in said {
                request.headers_mut().append("host", line.parse().unwrap());
            }
            request
        },
    )
}

fn outcome(resolver: &Resolver, request: &Request<()>) -> String {
    outcome_from(resolver, request, None)
}

fn outcome_from(resolver: &Resolver, request: &Request<()>, peer: Option<IpAddr>) -> String {
    let tenancy_core::Resolution::Ready(answer) = resolver.resolve(ResolveInput::new(request, peer)) else {
        return "later".to_owned();
    };
    match answer {
        Ok(context) => format!("{context:?}"),
        Err(refused) => format!("{:?} {:?}", refused.reason(), refused.redirect_to()),
    }
}

/// The same tenants behind a cache that knows all of their names.
pub(crate) fn cached() -> Arc<CachedCatalog<Arc<MemoryCatalog>>> {
    let tenants = known();
    let cache = CachedCatalog::new(Arc::clone(&tenants));
    let find = |key: TenantKey<'_>| cache.find(&key).wait().now_or_never().expect("memory answers at once");
    for tenant in tenants.tenants() {
        assert!(find(TenantKey::Id(tenant.id().clone())).unwrap().is_some());
        assert!(find(TenantKey::Slug(tenant.slug().clone())).unwrap().is_some());
        for known in tenant.domains() {
            assert!(find(TenantKey::Domain(known.domain.as_str().into())).unwrap().is_some());
        }
    }
    Arc::new(cache)
}

pub(crate) fn same(catalog: &Arc<dyn TenantCatalog>, strategy: impl Reads + Clone, request: &Request<()>) {
    same_from(catalog, strategy, request, None);
}

fn same_from(
    catalog: &Arc<dyn TenantCatalog>,
    strategy: impl Reads + Clone,
    request: &Request<()>,
    peer: Option<IpAddr>,
) {
    let at_a_glance = Resolver::builder(Arc::clone(catalog)).with_strategy(strategy.clone()).build().unwrap();
    let looked_at = Resolver::builder(Arc::clone(catalog)).with_strategy(Unknown(strategy)).build().unwrap();
    let outcome = |resolver| outcome_from(resolver, request, peer);
    assert_eq!(outcome(&at_a_glance), outcome(&looked_at), "{request:?}");
}

proptest! {
    #![proptest_config(super::parsing::config())]

    /// TWR-01 to TWR-17, TWR-30 to TWR-35: the short way refuses what the long one does, and names nobody else.
    #[test]
    fn at_a_glance_a_request_is_who_a_close_look_says(request in requests()) {
        let wrong: Arc<dyn TenantCatalog> = Arc::new(Wrong(known()));
        for catalog in [known() as Arc<dyn TenantCatalog>, cached(), wrong] {
            let bases = || BASES.map(domain);
            same(&catalog, DomainStrategy::new(), &request);
            same(&catalog, DomainStrategy::new().with_base_domains([domain("shop.example")]), &request);
            same(&catalog, SubdomainStrategy::new(bases()), &request);
            same(&catalog, SubdomainStrategy::new([domain("x--y.example"), domain("shop.example")]), &request);
            same(&catalog, SubdomainStrategy::new([domain("example"), domain("shop.example")]).with_reserved(["docs"]), &request);
            same(&catalog, PathStrategy::new("/t").unwrap(), &request);
            same(&catalog, PathStrategy::new("/").unwrap(), &request);
            same(&catalog, PathStrategy::new("/t").unwrap().with_named_by(NamedBy::Id), &request);
        }
    }
}

/// A request that a tenant's header may stand in, with the address that it comes from.
fn named_by_header() -> impl Strategy<Value = (Request<()>, Option<IpAddr>)> {
    let values = prop::sample::select(vec![
        "1",
        "2",
        "5",
        "01",
        "+1",
        "1 ",
        "",
        "7",
        "9223372036854775808",
        "acme",
        "a1",
        "late",
        "ACME",
        "1, 2",
    ]);
    let peers = prop::sample::select(vec!["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.7"]);
    let lines = prop::collection::vec((prop::bool::weighted(0.9), values), 0..3);
    (requests(), lines, prop::option::weighted(0.9, peers)).prop_map(|(mut request, lines, peer)| {
        for (text, value) in lines {
            let name = if text { "x-tenant-id" } else { "x-tenant-id-bin" };
            request.headers_mut().append(name, value.parse().unwrap());
        }
        (request, peer.map(|peer| peer.parse().unwrap()))
    })
}

proptest! {
    #![proptest_config(super::parsing::config())]

    /// TWR-23 to TWR-26, TWR-39: a header counts alone where it comes from a proxy that is trusted, and no other way.
    #[test]
    fn at_a_glance_a_header_names_whom_a_close_look_finds((request, peer) in named_by_header()) {
        let wrong: Arc<dyn TenantCatalog> = Arc::new(Wrong(known()));
        for catalog in [known() as Arc<dyn TenantCatalog>, cached(), wrong] {
            let header = |proxies| HeaderStrategy::new().with_trusted_proxies(proxies);
            for strategy in [
                header(TrustedProxies::loopback()),
                header(TrustedProxies::loopback()).with_named_by(NamedBy::Slug),
                header(TrustedProxies::default()),
            ] {
                same_from(&catalog, strategy, &request, peer);
            }
        }
    }
}

#[test]
fn a_slug_below_a_base_is_no_host_where_the_two_are_too_long() {
    let catalog: Arc<dyn TenantCatalog> = known();
    let label = "a".repeat(63);
    for (last, too_long) in [(55, false), (56, false), (57, true), (58, true)] {
        let base = [&label, &label, &label, &"b".repeat(last)[..]].join(".");
        let request = Request::builder().header("host", format!("acme.{base}")).body(()).unwrap();
        let strategy = SubdomainStrategy::new([domain(&base)]);
        same(&catalog, strategy.clone(), &request);
        let resolver = Resolver::builder(Arc::clone(&catalog)).with_strategy(strategy).build().unwrap();
        assert_eq!(outcome(&resolver, &request).contains("Malformed"), too_long, "{last}");
    }
}

#[test]
fn a_reserved_label_is_refused_though_a_tenant_has_it() {
    let catalog: Arc<dyn TenantCatalog> = known();
    let request = Request::builder().header("host", "docs.shop.example").body(()).unwrap();
    for (reserved, refused) in [("docs", true), ("doc", false)] {
        let strategy = SubdomainStrategy::new([domain("shop.example")]).with_reserved([reserved]);
        same(&catalog, strategy.clone(), &request);
        let resolver = Resolver::builder(Arc::clone(&catalog)).with_strategy(strategy).build().unwrap();
        assert_eq!(outcome(&resolver, &request).contains("Malformed"), refused, "{reserved}");
    }
}

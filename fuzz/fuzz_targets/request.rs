//! A whole request's head through every strategy at once: one tenant, named by everything that names one, or a refusal.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use http::{HeaderName, HeaderValue, Method, Request, Version};
use libfuzzer_sys::fuzz_target;
use tenancy_core::{
    CookieStrategy, Domain, DomainState, DomainStrategy, HeaderStrategy, MemoryCatalog, NamedBy,
    PathStrategy, QueryStrategy, RejectionReason, Resolution, ResolveInput, Resolver, SubdomainStrategy,
    Tenant, TenantId, TenantResolver, TenantStatus, TrustedProxies,
};

static RESOLVER: LazyLock<Resolver> = LazyLock::new(|| {
    let domain = |text: &str| Domain::new(text).unwrap();
    let catalog = MemoryCatalog::new();
    for (id, slug, status) in
        [(1, "a", TenantStatus::Active), (2, "b", TenantStatus::Active), (3, "c", TenantStatus::Suspended)]
    {
        let to = domain(&format!("{slug}.shop"));
        let tenant = Tenant::builder(TenantId::integer(id).unwrap(), slug.parse().unwrap())
            .with_status(status)
            .with_domain(to.clone())
            .with_domain_state(domain(&format!("{slug}.old")), DomainState::moved(to, None));
        catalog.insert(tenant.build().unwrap()).unwrap();
    }
    let base = [domain("x.io")];
    Resolver::builder(Arc::new(catalog))
        .with_strategy(SubdomainStrategy::new(base.clone()))
        .with_strategy(DomainStrategy::new().with_base_domains(base))
        .with_strategy(HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback()))
        .with_strategy(PathStrategy::new("/t").unwrap())
        .with_strategy(QueryStrategy::new("t"))
        .with_strategy(CookieStrategy::new("t").with_named_by(NamedBy::Slug))
        .build()
        .unwrap()
});

/// `target\nname:value\nname:value…`
fn parse(input: &[u8], http2: bool) -> Option<Request<()>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut request = Request::builder()
        .method(Method::POST)
        .version(if http2 { Version::HTTP_2 } else { Version::HTTP_11 })
        .uri(lines.next()?)
        .body(())
        .ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(request)
}

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (http2, trusted, bytes) = input;
    let Some(request) = parse(bytes, http2) else { return };
    let peer = trusted.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let resolve = || match RESOLVER.resolve(ResolveInput::new(&request, peer)) {
        Resolution::Ready(answer) => answer,
        Resolution::Later(_) => unreachable!("a catalog in memory does not wait"),
    };
    match (resolve(), resolve()) {
        (Ok(context), again) => {
            assert!(context.tenant().status().is_active());
            assert_eq!(again.unwrap(), context);
            assert!(request.headers().get_all("host").iter().count() <= 1);
            assert!(context.provenance().iter().count() > 0);
        }
        (Err(rejection), again) => {
            assert_eq!(again.unwrap_err().reason(), rejection.reason());
            assert!(!matches!(
                rejection.reason(),
                RejectionReason::Unavailable | RejectionReason::Inactive(_)
            ));
            if let Some(to) = rejection.redirect_to() {
                assert!(matches!(to.host(), Some("a.shop" | "b.shop")) && to.scheme_str() == Some("https"));
            }
        }
    }
});

//! The layer beside a bare service and its peers.

use axum::middleware::from_fn_with_state;
use http::{HeaderName, HeaderValue};
use tenancy_core::Resolver;
use tenancy_testkit::gate::Group;
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;

use super::{BUSY, GroupExt, TENANTS, around, by_hand, domain, header, layer, path, scope, subdomain};
use crate::fixture::{Bare, Requests, tenants};

/// All on the same requests: peers, scope alone, with the context in the extensions, with the path stripped.
pub(super) fn side_by_side(group: Group, count: usize) -> Group {
    let requests = Requests::new(BUSY, count);
    let requests = || requests.clone();
    let catalog = tenants(count);
    let set_header = SetRequestHeaderLayer::overriding(
        HeaderName::from_static("x-request-start"),
        HeaderValue::from_static("t=1"),
    );
    let by_hand = from_fn_with_state(by_hand::tenants(count), by_hand::resolve);
    let ours = [
        ("domain", scope(catalog.clone(), domain())),
        ("subdomain", scope(catalog.clone(), subdomain())),
        ("header", scope(catalog.clone(), header())),
        ("path", scope(catalog.clone(), path())),
    ];
    let mut group = group
        .with_service("bare", Bare, requests())
        .with_service("set-request-header", around(&set_header), requests())
        .with_service("trace", around(&TraceLayer::new_for_http()), requests())
        .with_service("by-hand", around(&by_hand), requests());
    for (name, layer) in ours {
        group = group.with_service(name, around(&layer), requests());
        let layer = layer.with_extension(true);
        group = group.with_service(&format!("{name}-extension"), around(&layer), requests());
    }
    let stripped = scope(catalog.clone(), path()).with_stripped_path(path());
    let default = scope(catalog, domain()).with_extension(true).with_cache_headers(true);
    group
        .with_service("path-stripped", around(&stripped), requests())
        .with_service("path-stripped-extension", around(&stripped.with_extension(true)), requests())
        .with_service("domain-default", around(&default), requests())
}

/// Signals that all name the same tenant, one more at each step.
pub(super) fn agreement(group: Group) -> Group {
    let requests = Requests::new(BUSY, TENANTS);
    let requests = || requests.clone();
    let catalog = tenants(TENANTS);
    let built = |builder: tenancy_core::ResolverBuilder| {
        around(&layer(builder.build().expect("few strategies make a resolver")))
    };
    let one = || Resolver::builder(catalog.clone()).with_strategy(subdomain());
    let two = || one().with_strategy(header());
    let three = || two().with_strategy(path());
    group
        .with_service("bare", Bare, requests())
        .with_service("subdomain", built(one()), requests())
        .with_service("subdomain-header", built(two()), requests())
        .with_service("subdomain-header-path", built(three()), requests())
        .with_service("subdomain-header-path-domain", built(three().with_strategy(domain())), requests())
}

/// The same twice: what a difference between the two shows is the machine's.
pub(super) fn identical(group: Group) -> Group {
    let requests = Requests::new(BUSY, TENANTS);
    let layer = scope(tenants(TENANTS), domain());
    group.with_service("left", around(&layer), requests.clone()).with_service(
        "right",
        around(&layer),
        requests,
    )
}

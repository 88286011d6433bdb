//! Resolution: which tenant a request is for.

pub mod by_hand;
mod calls;
mod catalog;
mod contention;
mod layers;
mod token;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use tenancy_core::{
    Domain, DomainStrategy, HeaderStrategy, PathStrategy, Resolver, Strategy, SubdomainStrategy,
    TenantCatalog, TrustedProxies,
};
use tenancy_testkit::gate::{Group, Suite};
use tenancy_tower::{ResolveTenant, ResolveTenantLayer};
use tower::{Layer, Service};

use crate::fixture::{self, Bare, Requests};

/// How many tenants the groups have that do not vary it.
const TENANTS: usize = 10_000;
/// How many of them send requests: few enough to stay in the cache, as a service's busy tenants do.
const BUSY: usize = 16;

/// Returns the groups of resolution.
pub fn suite() -> Suite {
    Suite::new()
        .with_group("resolve/layer", |group| layers::side_by_side(group, TENANTS))
        .with_group("resolve/agreement", layers::agreement)
        .with_group("resolve/token", token::beside_header)
        .with_group("resolve/token-cold", token::cold)
        .with_group("resolve/catalog-size", catalog::sizes)
        .with_group("resolve/catalog-update", catalog::updates)
        .with_group("resolve/contention", contention::hot_tenant)
        .with_group("resolve/under-updates", contention::under_updates)
        .with_group("resolve/calls", calls::overhead)
        .with_group("noise/identical", layers::identical)
}

/// Returns the group `resolve/layer` over `tenants` tenants: fewer where an emulator runs it.
pub fn layer_group_of(tenants: usize) -> Group {
    layers::side_by_side(Group::new("resolve/layer"), tenants)
}

/// Returns a strategy that reads the host as a domain of the tenant's own.
#[must_use]
pub fn domain() -> DomainStrategy {
    DomainStrategy::new()
}

/// Returns a strategy that reads the label below the base domain.
///
/// # Panics
///
/// Panics if the base is no domain, which it is.
#[must_use]
pub fn subdomain() -> SubdomainStrategy {
    SubdomainStrategy::new([Domain::new(fixture::BASE).expect("the base is a domain")])
}

/// Returns a strategy that reads `x-tenant-id`.
#[must_use]
pub fn header() -> HeaderStrategy {
    HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback())
}

/// Returns a strategy that reads the segment behind `/t`.
///
/// # Panics
///
/// Panics if the prefix is no path, which it is.
#[must_use]
pub fn path() -> PathStrategy {
    PathStrategy::new("/t").expect("the prefix is a path")
}

/// Returns a layer for one strategy, with the scope alone: no extension, no response headers.
///
/// # Panics
///
/// Panics if the resolver cannot be built, which it can.
pub fn scope(catalog: Arc<dyn TenantCatalog>, strategy: impl Strategy) -> ResolveTenantLayer<Resolver> {
    let resolver = Resolver::builder(catalog).with_strategy(strategy).build();
    layer(resolver.expect("one strategy makes a resolver"))
}

fn layer(resolver: Resolver) -> ResolveTenantLayer<Resolver> {
    ResolveTenantLayer::new(resolver)
        .with_extension(false)
        .with_cache_headers(false)
        .with_peer(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// The bare service in a layer of ours.
pub type Layered = ResolveTenant<Bare, Resolver>;

/// What groups are made of: a service that is called with one request after the other.
trait GroupExt {
    fn with_service<S, B>(self, name: &str, service: S, requests: Requests) -> Self
    where
        B: 'static,
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static;
}

impl GroupExt for Group {
    fn with_service<S, B>(self, name: &str, mut service: S, mut requests: Requests) -> Self
    where
        B: 'static,
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
    {
        self.with_bench(name, move || fixture::call(&mut service, &mut requests))
    }
}

/// Wraps the bare service.
fn around<L: Layer<Bare>>(layer: &L) -> L::Service {
    layer.layer(Bare)
}

//! What the layer adds to single calls: the figure behind "less than 2 ms".

use tenancy_core::Resolver;
use tenancy_testkit::gate::Group;
use tenancy_tower::ResolveTenantLayer;

use super::contention::{CHANGING, rest_and_change};
use super::{BUSY, TENANTS, around, domain, header, path, scope, subdomain};
use crate::fixture::{Bare, Requests, Served, at_once, scaled, tenants};

/// The layer with each strategy; then readers of a million tenants, while another thread changes them.
pub(super) fn overhead(mut group: Group) -> Group {
    let catalog = tenants(TENANTS);
    let layers = [
        ("domain", scope(catalog.clone(), domain())),
        ("domain-default", scope(catalog.clone(), domain()).with_extension(true).with_cache_headers(true)),
        ("subdomain", scope(catalog.clone(), subdomain())),
        ("header", scope(catalog.clone(), header())),
        ("path-stripped", scope(catalog, path()).with_stripped_path(path())),
    ];
    for (name, layer) in layers {
        group = with_layer(group, name, layer);
    }
    group.with_probe("under-updates", |probe| {
        let (rest, change, _writer) = rest_and_change();
        let mut requests = Requests::new(1_024, scaled(CHANGING));
        at_once(probe.measure(Served(rest), Served(change), || requests.take()))
    })
}

fn with_layer(group: Group, name: &str, layer: ResolveTenantLayer<Resolver>) -> Group {
    group.with_probe(name, move |probe| {
        let mut requests = Requests::new(BUSY, TENANTS);
        at_once(probe.measure(Served(Bare), Served(around(&layer)), || requests.take()))
    })
}

//! What the number of tenants costs: per request, per change, in memory.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::header::HOST;
use http::{Request, Response};
use tenancy_core::{MemoryCatalog, Tenant, TenantId, TenantStatus};
use tenancy_testkit::gate::Group;
use tower::Service;

use super::{GroupExt, around, domain, scope};
use crate::fixture::{Bare, Requests, scaled, tenants};

const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
/// Tenants that send requests, of each size: at a million, few of them are in the cache.
const SPREAD: usize = 8_192;

/// A service with one plain map: what no look-up can do without.
#[derive(Clone)]
pub(super) struct PlainMap(Arc<HashMap<String, Arc<Tenant>>>);

impl PlainMap {
    /// The tenants of `catalog` by their domains.
    pub(super) fn of(catalog: &MemoryCatalog) -> Self {
        let domain_of = |tenant: &Arc<Tenant>| tenant.domains()[0].domain.to_string();
        let known = catalog.tenants();
        Self(Arc::new(known.iter().map(|tenant| (domain_of(tenant), Arc::clone(tenant))).collect()))
    }
}

impl Service<Request<Body>> for PlainMap {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let host = request.headers()[HOST].to_str().expect("the host is text");
        let tenant = Arc::clone(&self.0[host]);
        assert!(tenant.status().is_active(), "the tenant is active");
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The layer and a plain map at three sizes; the same tenants stand behind both.
pub(super) fn sizes(mut group: Group) -> Group {
    group = group.with_service("bare", Bare, Requests::new(SPREAD, SIZES[0]));
    for name in SIZES {
        let size = scaled(name);
        let catalog = tenants(size);
        let map = PlainMap::of(&catalog);
        group = group.with_service(&format!("map-{name}"), map, Requests::new(SPREAD, size)).with_service(
            &format!("layer-{name}"),
            around(&scope(catalog, domain())),
            Requests::new(SPREAD, size),
        );
    }
    group
}

/// One change of one tenant, at three sizes.
pub(super) fn updates(mut group: Group) -> Group {
    for name in SIZES {
        let size = scaled(name);
        let catalog = tenants(size);
        let mut turn = 0;
        group = group.with_bench(format!("set-status-{name}"), move || {
            turn = (turn + 7_919) % size;
            let id = TenantId::integer(turn as i64 + 1).expect("an id is positive");
            catalog.set_status(&id, TenantStatus::Active).expect("the tenant is there")
        });
    }
    group
}

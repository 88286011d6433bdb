//! Properties of every parser: what is accepted has one canonical form, and nothing panics.

mod host;
mod names;
mod signals;

use http::{HeaderMap, Method, Request};
use proptest::prelude::ProptestConfig;
use tenancy_core::{Lookup, ResolveInput, Resolver, Strategy, TenantCatalog, TenantKey, TenantResolver};

/// Four times as many cases as `PROPTEST_CASES` says, which is 256 where it says nothing.
pub(crate) fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: 4 * config.cases, failure_persistence: None, ..config }
}

/// A catalog that knows nobody and writes down what it was asked.
#[derive(Debug, Default)]
struct Asked(std::sync::Mutex<Vec<TenantKey<'static>>>);

impl TenantCatalog for Asked {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        self.0.lock().unwrap().push(key.clone().into_owned());
        Lookup::Absent
    }
}

/// Returns the key that a request is looked up by, or `None` if it is refused before.
fn asked(strategy: impl Strategy, request: &Request<()>) -> Option<TenantKey<'static>> {
    let catalog = std::sync::Arc::new(Asked::default());
    let resolver = Resolver::builder(catalog.clone()).with_strategy(strategy).build().unwrap();
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let _ = resolver.resolve(ResolveInput::new(request, Some(peer)));
    let asked = std::mem::take(&mut *catalog.0.lock().unwrap());
    assert!(asked.len() <= 1);
    asked.into_iter().next()
}

/// A request with this target and these headers, as far as the `http` crate lets them be.
fn request(target: &str, headers: &[(&'static str, &[u8])]) -> Option<Request<()>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, http::HeaderValue::from_bytes(value).ok()?);
    }
    let mut request = Request::builder().method(Method::GET).uri(target).body(()).ok()?;
    *request.headers_mut() = map;
    Some(request)
}

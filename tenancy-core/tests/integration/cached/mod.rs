//! The cached catalog from outside, over a store that can be slow, down, hung or behind.

mod change;
mod exact;
mod flood;
mod outage;
mod time;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tenancy_core::{
    CachedCatalog, CachedCatalogBuilder, Error, Lookup, ManualClock, Tenant, TenantBuilder, TenantCatalog,
    TenantId, TenantKey,
};

#[derive(Clone, Debug, Default)]
struct Store(Arc<State>);

#[derive(Debug, Default)]
struct State {
    names: Mutex<HashMap<TenantKey<'static>, Arc<Tenant>>>,
    loads: AtomicUsize,
    down: AtomicBool,
    hung: AtomicBool,
}

impl TenantCatalog for Store {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        let (state, key) = (Arc::clone(&self.0), key.clone().into_owned());
        Lookup::later(async move {
            tokio::task::yield_now().await;
            if state.hung.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if state.down.load(Ordering::SeqCst) {
                return Err(Error::catalog_unavailable("down for a test"));
            }
            Ok(state.names.lock().unwrap().get(&key).cloned())
        })
    }
}

impl Store {
    fn put(&self, tenant: TenantBuilder) {
        let tenant = tenant.build().unwrap();
        let mut names = self.0.names.lock().unwrap();
        names.retain(|_, old| old.id() != tenant.id());
        names.insert(TenantKey::Id(tenant.id().clone()), Arc::clone(&tenant));
        names.insert(TenantKey::Slug(tenant.slug().clone()), Arc::clone(&tenant));
        for domain in tenant.domains() {
            names.insert(host(domain.domain.as_str()), Arc::clone(&tenant));
        }
    }

    fn remove(&self, id: &TenantId) {
        self.0.names.lock().unwrap().retain(|_, old| old.id() != id);
    }

    fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }
}

struct Bench {
    store: Store,
    clock: ManualClock,
    cache: CachedCatalog<Store>,
}

/// A store with acme, which is tenant 1 at version 1, behind a cache whose time stands still.
fn bench(options: impl FnOnce(CachedCatalogBuilder<Store>) -> CachedCatalogBuilder<Store>) -> Bench {
    let (store, clock) = (Store::default(), ManualClock::new());
    store.put(acme());
    let cache = options(CachedCatalog::builder(store.clone()).with_clock(clock.clone())).build();
    Bench { store, clock, cache }
}

impl Bench {
    async fn find(&self, key: &TenantKey<'_>) -> Result<Option<Arc<Tenant>>, Error> {
        self.cache.find(key).wait().await
    }

    async fn found(&self, key: &TenantKey<'_>) -> Arc<Tenant> {
        self.find(key).await.unwrap().expect("the tenant is known")
    }
}

fn acme() -> TenantBuilder {
    Tenant::builder(id(1), "acme".parse().unwrap()).with_version(1)
}

fn id(n: i64) -> TenantId {
    TenantId::integer(n).unwrap()
}

fn slug(text: &str) -> TenantKey<'static> {
    TenantKey::Slug(text.parse().unwrap())
}

fn host(name: &str) -> TenantKey<'static> {
    TenantKey::Domain(name.to_owned().into())
}

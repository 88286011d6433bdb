use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use tenancy_core::{CachedCatalog, Lookup, Tenant, TenantCatalog, TenantKey, TenantStatus};
use tenancy_seaorm::catalog::{CatalogWatch, DatabaseCatalog};

use super::{Platform, connect, host, id, slug, tenant};

/// Notifications arrive in milliseconds; a busy machine gets more.
const SOON: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(3600);

struct Node {
    cache: CachedCatalog<DatabaseCatalog>,
    watch: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Node {
    /// Starts a node whose cache forgets nothing by itself, and waits until its watch is at work.
    async fn start(catalog: DatabaseCatalog, options: impl FnOnce(CatalogWatch) -> CatalogWatch) -> Self {
        let cache = CachedCatalog::builder(catalog).with_ttl(NEVER).with_absent_ttl(NEVER).build();
        assert!(cache.find(&slug("probe")).wait().await.unwrap().is_none());
        let watch = tokio::spawn(options(CatalogWatch::new(cache.clone())).run());
        let node = Self { cache, watch };
        // It begins with an empty cache.
        eventually(async || node.cache.stats().negative_names == 0).await;
        node
    }

    async fn found(&self, key: &TenantKey<'_>) -> Option<Arc<Tenant>> {
        self.cache.find(key).wait().await.unwrap()
    }

    fn knows(&self, key: &TenantKey<'_>) -> bool {
        matches!(self.cache.find(key), Lookup::Found(_))
    }
}

async fn eventually(mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < SOON, "not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
}

#[tokio::test]
async fn dir_01_a_suspension_on_one_node_is_seen_by_the_other_by_notification() {
    let platform = Platform::postgres().await;
    let admin = platform.admin();
    admin.onboard(tenant(1, "acme")).await.unwrap();
    admin.onboard(tenant(2, "globex")).await.unwrap();
    let node = Node::start(platform.another_node().await, |watch| watch.with_interval(NEVER)).await;
    let (acme, globex) =
        (node.found(&slug("acme")).await.unwrap(), node.found(&slug("globex")).await.unwrap());
    assert!(node.knows(&slug("acme")) && acme.is_still_active());
    admin.set_status(&id(1), TenantStatus::Suspended).await.unwrap();
    let latency = eventually(async || !acme.is_still_active()).await;
    println!("suspension seen after {latency:?}");
    assert_eq!(node.found(&slug("acme")).await.unwrap().status(), TenantStatus::Suspended);
    assert!(globex.is_still_active() && !globex.is_superseded());
}

#[tokio::test]
async fn dir_01_a_change_by_hand_counts_too() {
    let platform = Platform::postgres().await;
    let shop = "shop.acme.example";
    platform.admin().onboard(tenant(1, "acme").with_domain(shop.parse().unwrap())).await.unwrap();
    platform.admin().onboard(tenant(2, "globex")).await.unwrap();
    let node = Node::start(platform.another_node().await, |watch| watch.with_interval(NEVER)).await;
    let first = node.found(&host(shop)).await.unwrap();
    let run = async |sql: &str| platform.db.execute_unprepared(sql).await.unwrap();
    run("UPDATE tenants SET plan = 'gold' WHERE id = '1'").await;
    eventually(async || node.found(&host(shop)).await.unwrap().plan() == Some("gold")).await;
    assert!(first.is_still_active(), "a change without a gap");
    run("UPDATE tenant_domains SET tenant_id = '2'").await;
    eventually(async || node.found(&host(shop)).await.unwrap().id() == &id(2)).await;
    run("DELETE FROM tenant_domains").await;
    eventually(async || node.found(&host(shop)).await.is_none()).await;
    run("DELETE FROM tenants WHERE id = '1'").await;
    eventually(async || node.found(&slug("acme")).await.is_none()).await;
    eventually(async || !first.is_still_active()).await;
}

#[tokio::test]
async fn dir_04_a_new_tenant_is_found_on_every_node_where_it_was_asked_for_in_vain() {
    let platform = Platform::postgres().await;
    let node = Node::start(platform.another_node().await, |watch| watch.with_interval(NEVER)).await;
    assert!(node.found(&slug("acme")).await.is_none());
    assert!(matches!(node.cache.find(&slug("acme")), Lookup::Absent));
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    eventually(async || node.found(&slug("acme")).await.is_some()).await;
}

#[tokio::test]
async fn dir_01_the_bound_holds_when_the_listening_connection_is_killed() {
    let platform = Platform::postgres().await;
    let admin = platform.admin();
    admin.onboard(tenant(1, "acme")).await.unwrap();
    let node = Node::start(platform.another_node().await, |watch| watch.with_interval(NEVER)).await;
    let acme = node.found(&slug("acme")).await.unwrap();
    let superuser = connect(platform.postgres.as_ref().unwrap().admin_url()).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) AS killed FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'";
    for round in 0..3 {
        let mut killed = 0_i64;
        eventually(async || {
            let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, kill);
            let row = superuser.query_one_raw(statement).await.unwrap().unwrap();
            killed = row.try_get("", "killed").unwrap();
            killed > 0
        })
        .await;
        // At this moment nobody listens: the change is found by asking after the connection is back.
        let plan = format!("plan-{round}");
        admin.update(&id(1), |tenant| tenant.with_plan(plan.as_str())).await.unwrap();
        eventually(async || node.found(&slug("acme")).await.unwrap().plan() == Some(plan.as_str())).await;
    }
    admin.set_status(&id(1), TenantStatus::Suspended).await.unwrap();
    eventually(async || !acme.is_still_active()).await;
}

#[tokio::test]
async fn dir_01_without_notifications_changes_are_asked_for() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        for n in 1..=100 {
            admin.onboard(tenant(n, &format!("t{n}"))).await.unwrap();
        }
        let interval = Duration::from_millis(50);
        let options = |watch: CatalogWatch| watch.with_interval(interval).without_notifications();
        let node = Node::start(platform.another_node().await, options).await;
        let held = node.found(&slug("t1")).await.unwrap();
        let other = node.found(&slug("t2")).await.unwrap();
        admin.set_status(&id(1), TenantStatus::Suspended).await.unwrap();
        eventually(async || !held.is_still_active()).await;
        assert!(!other.is_superseded());
        admin.remove(&id(2)).await.unwrap();
        eventually(async || node.found(&slug("t2")).await.is_none()).await;
    }
}

/// They are invalidated rather than loaded anew one by one.
#[tokio::test]
async fn many_changes_at_once_all_count() {
    let platform = Platform::postgres().await;
    for n in 1..=100 {
        platform.admin().onboard(tenant(n, &format!("t{n}"))).await.unwrap();
    }
    let options =
        |watch: CatalogWatch| watch.with_interval(Duration::from_millis(200)).without_notifications();
    let node = Node::start(platform.another_node().await, options).await;
    for n in 1..=100 {
        node.found(&slug(&format!("t{n}"))).await.unwrap();
    }
    platform.db.execute_unprepared("UPDATE tenants SET plan = 'gold'").await.unwrap();
    for n in [1, 50, 100] {
        let name = slug(&format!("t{n}"));
        eventually(async || node.found(&name).await.unwrap().plan() == Some("gold")).await;
    }
}

/// What cannot be read may mean anything.
#[tokio::test]
async fn news_that_are_not_understood_make_a_node_ask() {
    let platform = Platform::postgres().await;
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    let node = Node::start(platform.another_node().await, |watch| watch.with_interval(NEVER)).await;
    node.found(&slug("acme")).await.unwrap();
    let run = async |sql: &str| platform.db.execute_unprepared(sql).await.unwrap();
    run("ALTER TABLE tenants DISABLE TRIGGER tenancy_catalog_announce").await;
    run("UPDATE tenants SET plan = 'gold' WHERE id = '1'").await;
    run("NOTIFY tenancy_catalog, 'something new'").await;
    eventually(async || node.found(&slug("acme")).await.unwrap().plan() == Some("gold")).await;
}

#[tokio::test]
async fn a_database_that_was_put_back_to_an_earlier_state_empties_the_cache() {
    let platform = Platform::sqlite().await;
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    let options = |watch: CatalogWatch| watch.with_interval(Duration::from_millis(20));
    let node = Node::start(platform.catalog(), options).await;
    node.found(&slug("acme")).await.unwrap();
    platform.db.execute_unprepared("UPDATE tenant_catalog SET version = 0").await.unwrap();
    eventually(async || node.cache.stats().names == 0).await;
}

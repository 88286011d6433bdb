//! The tiny suites. Their tests are run by name, each in a process that may do without a guard.

use std::sync::Arc;

use http::Request;
use sqlx::{Connection, PgConnection};
use tenancy_core::{
    Domain, HeaderStrategy, MemoryCatalog, NamespacedKey, ResolveInput, Resolver, SubdomainStrategy, Tenant,
    TenantContext, TenantId, TenantResolver, TrustedProxies,
};
use tenancy_testkit::TestDatabase;

fn tenant(id: i64) -> Arc<Tenant> {
    let slug = format!("t{id}").parse().expect("a slug");
    Tenant::builder(TenantId::integer(id).expect("an id"), slug).build().expect("a tenant")
}

fn key(id: i64) -> NamespacedKey {
    NamespacedKey::new(&TenantContext::assertion(tenant(id), "a test").expect("active"), "orders")
}

/// The tenant of a request to `host` whose header names `header`.
fn resolved(host: &str, header: &str) -> Option<String> {
    let catalog = MemoryCatalog::new();
    (1..=2).for_each(|id| catalog.insert(tenant(id)).expect("a new tenant"));
    let resolver = Resolver::builder(Arc::new(catalog))
        .with_strategy(SubdomainStrategy::new([Domain::new("app.example").expect("a domain")]))
        .with_strategy(HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback()))
        .build()
        .expect("a resolver");
    let request = Request::builder().header("host", host).header("x-tenant-id", header);
    let request = request.body(()).expect("a request");
    let peer = Some([127, 0, 0, 1].into());
    let answer =
        futures_util::FutureExt::now_or_never(resolver.resolve(ResolveInput::new(&request, peer)).wait());
    answer.expect("nothing to wait for").ok().map(|context| context.slug().to_string())
}

const WALL: &str = "
CREATE TABLE orders (tenant_id bigint NOT NULL, note text);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenancy ON orders
  USING (tenant_id = nullif(current_setting('tenancy.tenant_id', true), '')::bigint)
  WITH CHECK (true);
INSERT INTO orders VALUES (1, 'a'), (2, 'b');
ALTER TABLE orders FORCE ROW LEVEL SECURITY";

/// How many orders are there for tenant 1.
async fn orders(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    let set = "SELECT set_config('tenancy.tenant_id', '1', false)";
    sqlx::query(set).execute(&mut connection).await.expect("a setting");
    let count = "SELECT count(*) FROM orders";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.expect("a count")
}

async fn walled() -> TestDatabase {
    let db = TestDatabase::create().await.expect("a database");
    crate::support::run(db.owner_url(), WALL).await.expect("a table");
    db
}

/// What is off in a database that was migrated once is off in its copies, and stands in another run's.
async fn copied() -> TestDatabase {
    let made =
        TestDatabase::from_template("guards", |url| async move { crate::support::run(&url, WALL).await });
    made.await.expect("a database")
}

mod watchful {
    use super::*;

    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn two_tenants_in_one_request_are_refused() {
        assert_eq!(resolved("t1.app.example", "1").as_deref(), Some("t1"));
        assert_eq!(resolved("t1.app.example", "2"), None);
    }

    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn keys_of_two_tenants_differ() {
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[tokio::test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    async fn an_owner_sees_no_rows_but_its_tenants() {
        assert_eq!(orders(walled().await.owner_url()).await, 1);
        assert_eq!(orders(copied().await.owner_url()).await, 1);
    }

    #[tokio::test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    async fn the_application_sees_no_rows_but_its_tenants() {
        assert_eq!(orders(walled().await.app_url()).await, 1);
        assert_eq!(orders(copied().await.app_url()).await, 1);
    }
}

mod careless {
    use super::*;

    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn a_request_is_resolved() {
        assert_eq!(resolved("t1.app.example", "1").as_deref(), Some("t1"));
        let _ = resolved("t1.app.example", "2");
        assert_eq!(key(2), key(2));
    }

    #[tokio::test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    async fn there_are_orders() {
        assert!(orders(walled().await.app_url()).await >= 1);
    }
}

mod blind {
    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn one_and_one_are_two() {
        assert_eq!(1 + 1, 2);
    }
}

mod restless {
    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn nobody_touches_the_environment() {
        assert!(std::env::var_os(tenancy_core::Guard::VARIABLE).is_none());
    }
}

mod red {
    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn it_fails() {
        panic!("as it always does");
    }
}

mod neutral {
    use super::*;

    #[test]
    #[ignore = "run by the tests of the runner, in a process that may do without a guard"]
    fn a_key_is_a_tenants() {
        assert_eq!(key(1).as_str(), "tenant:1:orders");
    }
}

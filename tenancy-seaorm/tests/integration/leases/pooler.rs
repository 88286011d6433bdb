//! SCH-11, SCH-18: leased connections through PgBouncer in transaction mode, and what else must not prepare by name there.

use sea_orm::sqlx::{self, Connection, PgConnection, Row};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tenancy_core::{CachedCatalog, Tenant, TenantCatalog, TenantId, TenantKey, TenantStatus};
use tenancy_seaorm::catalog::{CatalogAdmin, DatabaseCatalog};
use tenancy_seaorm::rls::IdType;
use tenancy_seaorm::session::Pooling;
use tenancy_seaorm::{ErrorKind, Tenancy, danger};
use tenancy_testkit::PoolMode;

use super::{Asked, Leased, TENANTS, in_schema, kind, own, policy, runs, shared};
use crate::fixture::open;

async fn pooled(walled: bool) -> Leased {
    let pooler = Some(PoolMode::Transaction);
    Leased::new(Asked { budget: 3, walled, pooler, ..Asked::default() }).await
}

impl Leased {
    fn url(&self) -> &str {
        self.pooler.as_ref().expect("a pooler").app_url()
    }

    /// How many statements the pooler's one server connection knows by a name. They are forgotten then.
    async fn named(&self) -> i64 {
        let mut client = PgConnection::connect(self.url()).await.expect("a client");
        let count = "SELECT count(*)::text FROM pg_prepared_statements";
        let row = sqlx::Executor::fetch_one(&mut client, sqlx::raw_sql(count)).await.expect("a count");
        let count: String = row.try_get(0).expect("a text");
        sqlx::raw_sql("DEALLOCATE ALL").execute(&mut client).await.expect("forgotten");
        count.parse().expect("a number")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_connections_behind_a_stated_pooler_see_their_tenant_and_name_nothing() {
    for walled in [false, true] {
        let leased = pooled(walled).await;
        let stated = leased.placements.clone().with_registry_pooling(Pooling::Transaction);
        let stated = if walled { stated.with_registry_row_security(IdType::BigInt) } else { stated };
        for _ in 0..3 {
            for id in 1..=TENANTS {
                for (context, expected) in [(own(id), id), (shared(id), id), (in_schema(id), 10 + id)] {
                    let connection = stated.connect(&context).await.expect("a connection");
                    assert_eq!(runs(&connection).await.expect("rows"), [expected]);
                    let transaction = connection.begin().await.expect("a transaction");
                    assert_eq!(runs(&transaction).await.expect("rows"), [expected]);
                    transaction.commit().await.expect("it is over");
                }
            }
        }
        assert_eq!(leased.named().await, 0, "walled: {walled}");
    }
}

/// Unstated, statements get names: what is counted above is there to be counted.
#[tokio::test(flavor = "multi_thread")]
async fn leased_connections_of_which_nothing_was_said_name_their_statements() {
    let leased = pooled(false).await;
    let connection = leased.placements.connect(&own(1)).await.expect("a connection");
    runs(&connection).await.expect("rows");
    assert!(leased.named().await > 0);
}

/// `danger::unscoped` gives sea-orm's own connection, which prepares by name.
#[tokio::test(flavor = "multi_thread")]
async fn unscoped_access_behind_a_stated_pooler_names_nothing() {
    let leased = pooled(false).await;
    let (tenancy, capability) =
        Tenancy::with_capability(open(leased.url()).await, policy()).expect("a tenancy");
    let direct = danger::unscoped(&tenancy, &capability, "a test").expect("nobody spoke of a pooler");
    assert_eq!(runs(&*direct).await.expect("rows"), [1, 2]);
    assert!(leased.named().await > 0, "sea-orm names its statements");

    let stated = tenancy.behind_transaction_pooler();
    let refused = danger::unscoped(&stated, &capability, "a test").expect_err("it would prepare by name");
    assert_eq!(refused.kind(), ErrorKind::Connection);
    for kept in [false, true] {
        let all = danger::unscoped_transaction(&stated, &capability, "a test").await.expect("a transaction");
        assert_eq!(runs(&all).await.expect("rows"), [1, 2]);
        let write = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "INSERT INTO steps VALUES (1, $1), (2, $1)",
            [7_i64.into()],
        );
        assert_eq!(all.execute_raw(write).await.expect("written").rows_affected(), 2);
        if kept {
            all.commit().await.expect("it is over");
        } else {
            drop(all);
        }
        let written = leased.admin("SELECT count(*) FROM steps WHERE run = 7").await;
        assert_eq!(written, if kept { 2 } else { 0 });
    }
    assert_eq!(leased.named().await, 0);
    let foreign = Tenancy::with_capability(open(leased.url()).await, policy()).expect("a tenancy").1;
    let refused = danger::unscoped_transaction(&stated, &foreign, "a test").await.expect_err("of another");
    assert_eq!(kind(&refused), Some(ErrorKind::Unscoped));
    let refused = danger::unscoped_transaction(&stated, &capability, " ").await.expect_err("no reason");
    assert_eq!(kind(&refused), Some(ErrorKind::Unscoped));
}

/// The catalog in a database behind such a pooler: look-ups and changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_behind_a_stated_pooler_names_nothing() {
    let leased = pooled(false).await;
    crate::catalog::migrate(leased.database.owner_url()).await;
    let catalog = DatabaseCatalog::new(open(leased.url()).await);
    assert_eq!(catalog.version().await.expect("a version"), 0);
    assert!(leased.named().await > 0, "sea-orm names its statements");

    let catalog = DatabaseCatalog::new(open(leased.url()).await).behind_transaction_pooler();
    let cached = CachedCatalog::new(catalog.clone());
    let admin = CatalogAdmin::new(catalog.clone()).with_cache(cached.clone());
    let id = TenantId::integer(1).expect("an id");
    admin.onboard(Tenant::builder(id.clone(), "acme".parse().expect("a slug"))).await.expect("onboarded");
    admin.set_status(&id, TenantStatus::Suspended).await.expect("suspended");
    let found =
        catalog.find(&TenantKey::Id(id.clone())).wait().await.expect("an answer").expect("the tenant");
    assert_eq!(found.status(), TenantStatus::Suspended);
    let absent = TenantKey::Id(TenantId::integer(2).expect("an id"));
    assert!(catalog.find(&absent).wait().await.expect("an answer").is_none());
    admin.onboard(Tenant::builder(id, "other".parse().expect("a slug"))).await.expect_err("it is taken");
    assert!(catalog.version().await.expect("a version") > 0);
    assert_eq!(leased.named().await, 0);
}

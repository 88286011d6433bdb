//! Upserts whose conflict target is an expression or has a condition, as sea-query builds them.
#![allow(unreachable_pub, reason = "the entity macros make public items, and a test binary exports nothing")]

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, OnConflict};
use sea_orm::{ActiveValue, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use tenancy_seaorm::{DatabaseFault, Policy, Tenancy};
use tenancy_testkit::TestDatabase;

use crate::fixture::{context, open};

mod account {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub email: String,
        pub nick: String,
        pub gone: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Keys by an expression, under a condition, and one that all tenants share.
const SCHEMA: &[&str] = &[
    "CREATE TABLE accounts (tenant_id BIGINT NOT NULL, id INTEGER NOT NULL, email TEXT NOT NULL, nick TEXT NOT NULL,
        gone BOOLEAN NOT NULL, PRIMARY KEY (tenant_id, id))",
    "CREATE UNIQUE INDEX by_email ON accounts (tenant_id, lower(email))",
    "CREATE UNIQUE INDEX by_nick ON accounts (tenant_id, nick) WHERE gone = false",
    "CREATE TABLE handles (tenant_id BIGINT NOT NULL, name TEXT NOT NULL, note TEXT)",
    "CREATE UNIQUE INDEX by_name ON handles (lower(name))",
    "CREATE UNIQUE INDEX by_live_name ON handles (name) WHERE note IS NULL",
    "INSERT INTO accounts VALUES (1, 1, 'Ann@x', 'ann', false), (2, 1, 'ann@X', 'ann', false), (2, 2, 'bob@x', 'bob', true)",
    "INSERT INTO handles VALUES (2, 'taken', NULL)",
];

struct World {
    raw: DatabaseConnection,
    tenancy: Tenancy,
    _database: Option<TestDatabase>,
}

impl World {
    async fn on(backend: DbBackend) -> Self {
        let database = match backend {
            DbBackend::Postgres => Some(TestDatabase::create().await.expect("PostgreSQL for the test")),
            _ => None,
        };
        let url = database.as_ref().map_or("sqlite::memory:", |database| database.owner_url());
        let raw = open(url).await;
        for sql in SCHEMA {
            raw.execute_unprepared(sql).await.expect(sql);
        }
        let policy = Policy::builder().owned(account::Entity).owned_table("handles").build();
        let tenancy = Tenancy::new(raw.clone(), policy.expect("a policy")).expect("a tenancy");
        Self { raw, tenancy, _database: database }
    }

    async fn upsert(
        &self,
        tenant: i64,
        id: i32,
        email: &str,
        nick: &str,
        on: OnConflict,
    ) -> Result<(), DbErr> {
        let row = account::ActiveModel {
            id: ActiveValue::Set(id),
            email: ActiveValue::Set(email.to_owned()),
            nick: ActiveValue::Set(nick.to_owned()),
            gone: ActiveValue::Set(false),
        };
        let db = self.tenancy.tenant(&context(tenant));
        account::Entity::insert(row).on_conflict(on).exec_without_returning(&db).await.map(|_| ())
    }

    async fn execute(&self, tenant: i64, sql: &str) -> Result<u64, DbErr> {
        self.tenancy.tenant(&context(tenant)).execute_unprepared(sql).await.map(|done| done.rows_affected())
    }

    /// `tenant id email nick` of every account, past every scope.
    async fn accounts(&self) -> Vec<String> {
        self.texts("SELECT tenant_id || ' ' || id || ' ' || email || ' ' || nick FROM accounts ORDER BY tenant_id, id").await
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let asked = Statement::from_string(self.raw.get_database_backend(), sql);
        let rows = self.raw.query_all_raw(asked).await.expect("rows");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }
}

fn by_email() -> OnConflict {
    OnConflict::new().expr(Func::lower(Expr::col(account::Column::Email))).to_owned()
}

fn by_nick() -> OnConflict {
    OnConflict::column(account::Column::Nick)
        .target_and_where(Expr::col(Alias::new("gone")).eq(Expr::cust("false")))
        .to_owned()
}

const OF_B: [&str; 2] = ["2 1 ann@X ann", "2 2 bob@x bob"];

async fn a_target_finds_the_tenants_row_alone(backend: DbBackend) {
    let world = World::on(backend).await;
    let update = || by_email().update_columns([account::Column::Nick]).to_owned();
    // Another spelling of a's address, and one of b's that a does not have.
    world.upsert(1, 7, "ANN@X", "annie", update()).await.expect("a's row is updated");
    world.upsert(1, 8, "BOB@X", "bob", update()).await.expect("a row is inserted");
    let mut expected = vec!["1 1 Ann@x annie", "1 8 BOB@X bob"];
    expected.extend(OF_B);
    assert_eq!(world.accounts().await, expected);
    world.upsert(1, 9, "bob@x", "rob", by_email().do_nothing().to_owned()).await.expect("nothing is done");
    assert_eq!(world.accounts().await, expected);
    // Under a condition: b has a live `ann`, a has none.
    let renamed = || by_nick().update_columns([account::Column::Email]).to_owned();
    world.upsert(1, 10, "new@x", "ann", renamed()).await.expect("a row is inserted");
    world.upsert(1, 11, "newer@x", "annie", renamed()).await.expect("a's row is updated");
    let mut expected = vec!["1 1 newer@x annie", "1 8 BOB@X bob", "1 10 new@x ann"];
    expected.extend(OF_B);
    assert_eq!(world.accounts().await, expected);
    // The update's own condition joins the tenant's, and does not replace it.
    let any = by_email()
        .update_columns([account::Column::Nick])
        .action_and_where(Expr::cust("true OR true"))
        .to_owned();
    world.upsert(1, 12, "bob@X", "robert", any).await.expect("a's row is updated");
    assert_eq!(world.accounts().await[3..], OF_B);
}

#[tokio::test]
async fn a_target_finds_the_tenants_row_alone_on_sqlite() {
    a_target_finds_the_tenants_row_alone(DbBackend::Sqlite).await;
}

#[tokio::test]
async fn a_target_finds_the_tenants_row_alone_on_postgres() {
    a_target_finds_the_tenants_row_alone(DbBackend::Postgres).await;
}

/// A key that all tenants share is none that a target can name: the database does not find it.
async fn a_key_without_the_tenant_is_refused_by_the_database(backend: DbBackend) {
    let world = World::on(backend).await;
    let before = world.texts("SELECT tenant_id || name || coalesce(note, '-') FROM handles").await;
    for target in [
        "(lower(name))",
        "((lower(name)))",
        "(lower(name)) WHERE true",
        "(name) WHERE note IS NULL",
        "(name) WHERE note IS NULL AND tenant_id = 1",
        "((tenant_id), lower(name))",
    ] {
        for action in [
            "DO NOTHING",
            "DO UPDATE SET note = 'stolen'",
            "DO UPDATE SET note = 'stolen' WHERE true OR true",
        ] {
            let sql = format!("INSERT INTO handles (name) VALUES ('taken') ON CONFLICT {target} {action}");
            let refused = world.execute(1, &sql).await.expect_err(&sql);
            assert!(DatabaseFault::of(&refused).is_some(), "{sql}: {refused}");
        }
    }
    assert_eq!(world.texts("SELECT tenant_id || name || coalesce(note, '-') FROM handles").await, before);
}

#[tokio::test]
async fn a_key_without_the_tenant_is_refused_by_sqlite() {
    a_key_without_the_tenant_is_refused_by_the_database(DbBackend::Sqlite).await;
}

#[tokio::test]
async fn a_key_without_the_tenant_is_refused_by_postgres() {
    a_key_without_the_tenant_is_refused_by_the_database(DbBackend::Postgres).await;
}

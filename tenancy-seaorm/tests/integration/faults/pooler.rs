//! SCH-11, SCH-18: every way to reach a tenant's rows, through PgBouncer in both modes.

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, QueryResult, Statement, TransactionTrait,
};
use tenancy_core::{Placement, TenantContext};
use tenancy_seaorm::rls::IdType;
use tenancy_seaorm::{Error, ErrorKind, Tenancy};
use tenancy_testkit::{PoolMode, TestDatabase, TestPgBouncer};

use super::world::{policy, prepare};
use crate::fixture::context;
use crate::pools;

const TENANTS: i64 = 3;
const ROUNDS: i64 = 8;

/// How a tenant's rows are reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Statements,
    Transactions,
    Sessions,
}

/// Where they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rows {
    Shared,
    Walled,
    Schemas,
    QualifiedSchemas,
}

struct Pooled {
    _pooler: TestPgBouncer,
    _database: TestDatabase,
    tenancy: Tenancy,
    rows: Rows,
}

impl Pooled {
    async fn new(mode: PoolMode, rows: Rows) -> Self {
        let database = TestDatabase::create().await.expect("a database");
        prepare(&database, rows == Rows::Walled).await;
        if matches!(rows, Rows::Schemas | Rows::QualifiedSchemas) {
            schemas(&database).await;
        }
        // More clients than the pooler has connections, except where each client keeps one, and the first session takes
        // two more to find out what the pooler does.
        let (clients, servers) = if mode == PoolMode::Session { (2, 4) } else { (6, 2) };
        let pooler = TestPgBouncer::start(&database, mode, servers).await.expect("a pooler");
        let mut options = ConnectOptions::new(pooler.app_url());
        options.max_connections(clients).sqlx_logging(false).test_before_acquire(false);
        let db = Database::connect(options).await.expect("the pooler lets in");
        let mut tenancy = Tenancy::new(db, policy()).expect("a tenancy");
        if mode == PoolMode::Transaction {
            tenancy = tenancy.behind_transaction_pooler();
        }
        match rows {
            Rows::Walled => {
                tenancy = tenancy.with_row_security(IdType::BigInt).await.expect("the wall stands")
            }
            Rows::QualifiedSchemas => tenancy = tenancy.with_qualified_schemas(),
            Rows::Shared | Rows::Schemas => {}
        }
        Self { _pooler: pooler, _database: database, tenancy, rows }
    }

    fn context(&self, tenant: i64) -> TenantContext {
        match self.rows {
            Rows::Shared | Rows::Walled => context(tenant),
            Rows::Schemas | Rows::QualifiedSchemas => {
                let placement = Placement::Schema { schema: format!("t{tenant}").into(), shard: None };
                pools::context(tenant - 1, placement)
            }
        }
    }
}

/// One schema for each tenant, with a table of the same name that has no tenant column.
async fn schemas(database: &TestDatabase) {
    let owner = Database::connect(database.owner_url()).await.expect("the owner connects");
    for tenant in 1..=TENANTS {
        let schema = format!(
            "CREATE SCHEMA t{tenant}; CREATE TABLE t{tenant}.steps (run bigint NOT NULL, step int NOT NULL)"
        );
        owner.execute_unprepared(&schema).await.expect("a schema");
    }
    owner.close().await.expect("closed");
}

/// Writes a row and reads all of the tenant's: returns the runs that it sees.
async fn write_and_read<C: ConnectionTrait>(connection: &C, run: i64) -> Result<Vec<i64>, DbErr> {
    let write = "INSERT INTO steps (run, step) VALUES ($1, 1)";
    connection.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, write, [run.into()])).await?;
    let read = Statement::from_string(DbBackend::Postgres, "SELECT run FROM steps ORDER BY run");
    let rows = connection.query_all_raw(read).await?;
    rows.iter().map(|row: &QueryResult| row.try_get_by_index(0)).collect()
}

async fn once(pooled: &Pooled, way: Way, tenant: i64, run: i64) -> Result<Vec<i64>, DbErr> {
    let context = pooled.context(tenant);
    match way {
        Way::Statements => write_and_read(&pooled.tenancy.tenant(&context), run).await,
        Way::Transactions => {
            let transaction = pooled.tenancy.tenant(&context).begin().await?;
            let seen = write_and_read(&transaction, run).await?;
            transaction.commit().await?;
            Ok(seen)
        }
        Way::Sessions => write_and_read(&pooled.tenancy.session(&context).await?, run).await,
    }
}

/// All tenants at once, each in turn with itself: every time, it sees exactly what it has written so far.
async fn all_tenants(pooled: &Pooled, way: Way) {
    let what = format!("{way:?} of {:?}", pooled.rows);
    let tenant = async |tenant: i64| {
        let mut written = Vec::new();
        for round in 0..ROUNDS {
            let run = tenant * 1_000 + round;
            written.push(run);
            let seen = once(pooled, way, tenant, run).await;
            let seen = seen.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(seen, written, "{what}: tenant {tenant}");
        }
    };
    futures_util::future::join_all((1..=TENANTS).map(tenant)).await;
}

const ROWS: [Rows; 4] = [Rows::Shared, Rows::Walled, Rows::Schemas, Rows::QualifiedSchemas];

#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_statements_and_transactions_see_their_own_tenant() {
    for rows in ROWS {
        for way in [Way::Statements, Way::Transactions] {
            all_tenants(&Pooled::new(PoolMode::Transaction, rows).await, way).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_sessions_do_too() {
    for rows in ROWS {
        for way in [Way::Statements, Way::Transactions, Way::Sessions] {
            all_tenants(&Pooled::new(PoolMode::Session, rows).await, way).await;
        }
    }
}

/// SCH-18: a session is refused, also where nobody said that there is a pooler.
#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_a_session_is_refused() {
    for rows in ROWS {
        let pooled = Pooled::new(PoolMode::Transaction, rows).await;
        let refused = once(&pooled, Way::Sessions, 1, 1).await.expect_err("no session");
        assert_eq!(
            Error::of(&refused).map(Error::kind),
            Some(ErrorKind::Connection),
            "{rows:?}: {refused:?}"
        );
    }
    let database = TestDatabase::create().await.expect("a database");
    prepare(&database, false).await;
    let pooler = TestPgBouncer::start(&database, PoolMode::Transaction, 2).await.expect("a pooler");
    let db = Database::connect(pooler.app_url()).await.expect("the pooler lets in");
    let unaware = Tenancy::new(db, policy()).expect("a tenancy");
    let refused = unaware.session(&context(1)).await.expect_err("the pooler is noticed");
    assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::Connection));
}

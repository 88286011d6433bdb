//! SCH-11, SCH-18, SCH-19: every way to reach a tenant's rows, through PgBouncer in both modes.

use futures_util::TryStreamExt;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement,
    StreamTrait, TransactionTrait,
};
use tenancy_core::{Placement, TenantContext};
use tenancy_seaorm::rls::IdType;
use tenancy_seaorm::session::{Pooling, SessionOptions};
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
    Streams,
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
    pooler: TestPgBouncer,
    database: TestDatabase,
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
        let db = through(&pooler, clients).await;
        let mut tenancy = Tenancy::new(db, policy()).expect("a tenancy");
        if mode == PoolMode::Transaction {
            tenancy = tenancy.behind_transaction_pooler();
        }
        match rows {
            Rows::Walled => {
                tenancy = tenancy.with_row_security(IdType::BigInt).await.expect("the wall stands");
            }
            Rows::QualifiedSchemas => tenancy = tenancy.with_qualified_schemas(),
            Rows::Shared | Rows::Schemas => {}
        }
        Self { pooler, database, tenancy, rows }
    }

    /// Past every scope and the pooler: each tenant's rows are in its own place, and nowhere else.
    async fn assert_apart(&self, each: i64) {
        let mut direct = PgConnection::connect(self.database.admin_url()).await.expect("the administrator");
        let mut count = async |sql: String| {
            let counted = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(&mut direct).await;
            counted.expect("a count")
        };
        for tenant in 1..=TENANTS {
            let (place, elsewhere) = match self.rows {
                Rows::Shared | Rows::Walled => ("steps".to_owned(), None),
                Rows::Schemas | Rows::QualifiedSchemas => (format!("t{tenant}.steps"), Some("public.steps")),
            };
            let own =
                format!("SELECT count(*) FROM {place} WHERE tenant_id = {tenant} AND run / 1000 = {tenant}");
            assert_eq!(count(own).await, each, "{:?}: tenant {tenant}", self.rows);
            if let Some(elsewhere) = elsewhere {
                assert_eq!(count(format!("SELECT count(*) FROM {place}")).await, each, "{:?}", self.rows);
                assert_eq!(count(format!("SELECT count(*) FROM {elsewhere}")).await, 0, "{:?}", self.rows);
            }
        }
    }

    fn url(&self) -> &str {
        self.pooler.app_url()
    }

    /// A role of this test's own, which the application's may assume.
    fn role(&self) -> String {
        format!("tool_{}", self.database.name())
    }

    async fn drop_role(&self, admin: &mut PgConnection) {
        let drop = format!("DROP ROLE {}", self.role());
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(admin).await.expect("the role is gone");
    }

    /// Leaves something on every server connection of the pooler, and sees it there as another client.
    async fn dirty(&self, sql: &str) {
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(PgConnection::connect(self.url()).await.expect("a tool connects"));
        }
        // In a transaction each has a server connection of its own; what it sets stays when that is committed.
        for statement in ["BEGIN", sql, "COMMIT"] {
            for client in &mut clients {
                let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(client).await;
                done.expect(statement);
            }
        }
        let state = "SELECT concat_ws('|', current_setting('search_path'), current_setting('role'), \
                     current_setting('tenancy.tenant_id', true))";
        let mut other = PgConnection::connect(self.url()).await.expect("another client");
        let there = sqlx::Executor::fetch_one(&mut other, sqlx::raw_sql(state)).await.expect("a state");
        let there: String = sqlx::Row::try_get(&there, 0).expect("a text");
        assert_ne!(there, "\"$user\", public|none|", "{sql} left nothing: this shows nothing");
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

async fn through(pooler: &TestPgBouncer, clients: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(pooler.app_url());
    options.max_connections(clients).sqlx_logging(false).test_before_acquire(false);
    Database::connect(options).await.expect("the pooler lets in")
}

/// One schema for each tenant, with a table that the database's own schema has too.
async fn schemas(database: &TestDatabase) {
    let owner = Database::connect(database.owner_url()).await.expect("the owner connects");
    for tenant in 1..=TENANTS {
        let schema = format!(
            "CREATE SCHEMA t{tenant}; \
             CREATE TABLE t{tenant}.steps (tenant_id bigint NOT NULL, run bigint NOT NULL, step int NOT NULL)"
        );
        owner.execute_unprepared(&schema).await.expect("a schema");
    }
    owner.close().await.expect("closed");
}

fn write(run: i64) -> Statement {
    let sql = "INSERT INTO steps (run, step) VALUES ($1, 1)";
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [run.into()])
}

fn read() -> Statement {
    Statement::from_string(DbBackend::Postgres, READ)
}

const READ: &str = "SELECT run FROM steps ORDER BY run";

/// Writes a row and reads all of the tenant's: returns the runs that it sees.
async fn write_and_read<C: ConnectionTrait>(connection: &C, run: i64) -> Result<Vec<i64>, DbErr> {
    connection.execute_raw(write(run)).await?;
    let rows = connection.query_all_raw(read()).await?;
    rows.iter().map(|row: &QueryResult| row.try_get_by_index(0)).collect()
}

async fn once(pooled: &Pooled, way: Way, tenant: i64, run: i64) -> Result<Vec<i64>, DbErr> {
    let context = pooled.context(tenant);
    match way {
        Way::Statements => write_and_read(&pooled.tenancy.tenant(&context), run).await,
        Way::Streams => {
            let connection = pooled.tenancy.tenant(&context);
            connection.execute_raw(write(run)).await?;
            let rows: Vec<QueryResult> = connection.stream_raw(read()).await?.try_collect().await?;
            rows.iter().map(|row| row.try_get_by_index(0)).collect()
        }
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
        for way in [Way::Statements, Way::Streams, Way::Transactions] {
            let pooled = Pooled::new(PoolMode::Transaction, rows).await;
            all_tenants(&pooled, way).await;
            pooled.assert_apart(ROUNDS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_sessions_do_too() {
    for rows in ROWS {
        for way in [Way::Statements, Way::Streams, Way::Transactions, Way::Sessions] {
            let pooled = Pooled::new(PoolMode::Session, rows).await;
            all_tenants(&pooled, way).await;
            pooled.assert_apart(ROUNDS).await;
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
}

/// SCH-18: a pooler in transaction mode that nobody spoke of is found out, and nothing at all runs through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_that_nobody_spoke_of_is_refused() {
    let database = TestDatabase::create().await.expect("a database");
    prepare(&database, true).await;
    schemas(&database).await;
    let pooler = TestPgBouncer::start(&database, PoolMode::Transaction, 2).await.expect("a pooler");
    let unaware = || async { Tenancy::new(through(&pooler, 2).await, policy()).expect("a tenancy") };
    let refused = |what: &str, error: Option<DbErr>| {
        let error = error.expect(what);
        let refusal = Error::of(&error).expect(what);
        assert_eq!(refusal.kind(), ErrorKind::Connection, "{what}: {refusal}");
        assert!(refusal.hint().contains("Tenancy::behind_transaction_pooler"), "{what}: {refusal}");
    };
    let schema = Placement::Schema { schema: "t1".into(), shard: None };
    for context in [context(1), pools::context(0, schema)] {
        for qualified in [false, true] {
            let tenancy = unaware().await;
            let tenancy = if qualified { tenancy.with_qualified_schemas() } else { tenancy };
            let connection = tenancy.tenant(&context);
            refused("a statement", connection.execute_raw(write(1)).await.err());
            refused("a row", connection.query_one_raw(read()).await.err());
            refused("rows", connection.query_all_raw(read()).await.err());
            refused("a stream", connection.stream_raw(read()).await.err());
            refused("a transaction", connection.begin().await.err());
            refused("a session", tenancy.session(&context).await.err());
        }
    }
    refused("the wall", unaware().await.with_row_security(IdType::BigInt).await.err());
    let mut direct = PgConnection::connect(database.admin_url()).await.expect("the administrator");
    let written = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM steps").fetch_one(&mut direct).await;
    assert_eq!(written.expect("a count"), 0);
    // Spoken of, it serves, in whichever words.
    let stated = unaware().await.behind_transaction_pooler();
    let stated = stated.with_row_security(IdType::BigInt).await.expect("the wall stands");
    assert_eq!(write_and_read(&stated.tenant(&context(1)), 1_000).await.expect("own rows"), [1_000]);
    let options = SessionOptions::default().with_pooling(Pooling::Transaction);
    let stated = unaware().await.with_sessions(options);
    let stated = stated.with_row_security(IdType::BigInt).await.expect("the wall stands");
    assert_eq!(write_and_read(&stated.tenant(&context(2)), 2_000).await.expect("own rows"), [2_000]);
}

/// SCH-11: on its server connections a pooler keeps the statements that others have prepared, under the names that
/// sqlx gives to its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_client_gave_is_never_run() {
    let database = TestDatabase::create().await.expect("a database");
    prepare(&database, false).await;
    let pooler = TestPgBouncer::start(&database, PoolMode::Transaction, 1).await.expect("a pooler");
    let db = through(&pooler, 1).await;
    // The test's alone: `danger::unscoped` gives no such connection behind a pooler that is stated.
    let raw = db.clone();
    let tenancy = Tenancy::new(db, policy()).expect("a tenancy").behind_transaction_pooler();
    for tenant in 1..=TENANTS {
        let own = tenancy.tenant(&context(tenant));
        own.execute_raw(write(tenant * 1_000)).await.expect("a row");
    }
    // The worst case: this client knows the very text by a name, from access that nobody scoped …
    let scoped = tenancy.rewriter().explain(READ).expect("it is scoped").sql;
    let named = Statement::from_sql_and_values(DbBackend::Postgres, &scoped, [1_i64.into()]);
    assert_eq!(raw.query_all_raw(named.clone()).await.expect("rows").len(), 1);
    // … and on the one server connection another client gave that name to the rows of all others.
    let foreign = "SELECT run FROM steps WHERE tenant_id <> $1 ORDER BY run";
    let mut other = PgConnection::connect(pooler.app_url()).await.expect("another client");
    sqlx::raw_sql("DEALLOCATE ALL").execute(&mut other).await.expect("none is prepared");
    let theirs = sqlx::query_scalar::<_, i64>(foreign).bind(1_i64).fetch_all(&mut other).await;
    assert_eq!(theirs.expect("rows"), [2_000, 3_000]);
    if !pooler.prepares() {
        let shown = raw.query_all_raw(named).await.expect("another client's statement");
        assert_eq!(
            shown.len(),
            2,
            "the danger is real: by that name, the server runs the other client's text"
        );
    }
    for tenant in 1..=TENANTS {
        let rows = tenancy.tenant(&context(tenant)).query_all_raw(read()).await.expect("own rows");
        let rows: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).expect("a run")).collect();
        assert_eq!(rows, [tenant * 1_000]);
    }
}

/// SCH-19: what a maintenance tool has set on the pooler's connections, pg_dump's empty path and worse.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_left_on_the_poolers_connections_changes_nothing() {
    for rows in ROWS {
        let pooled = Pooled::new(PoolMode::Transaction, rows).await;
        let member =
            format!("CREATE ROLE {0}; GRANT {0} TO {1}", pooled.role(), crate::fixture::role(pooled.url()));
        let mut admin = PgConnection::connect(pooled.database.admin_url()).await.expect("the administrator");
        sqlx::raw_sql(AssertSqlSafe(member)).execute(&mut admin).await.expect("a role");
        for (round, left) in (0..).zip([
            "SELECT pg_catalog.set_config('search_path', '', false)".to_owned(),
            "SET search_path = t2".to_owned(),
            format!("SET ROLE {}", pooled.role()),
            "SET tenancy.tenant_id = '2'".to_owned(),
        ]) {
            pooled.dirty(&left).await;
            for tenant in 1..=TENANTS {
                let run = tenant * 1_000 + round;
                let seen = once(&pooled, Way::Statements, tenant, run).await;
                let expected: Vec<i64> = (tenant * 1_000..=run).collect();
                assert_eq!(seen.expect("own rows"), expected, "{rows:?}, {left}: tenant {tenant}");
            }
        }
        pooled.assert_apart(4).await;
        pooled.drop_role(&mut admin).await;
    }
}

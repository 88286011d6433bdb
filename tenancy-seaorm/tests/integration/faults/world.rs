//! A database behind a proxy, a tenancy on a pool of known size, and a look at everything that the pool will hand out.

use std::time::Duration;

use sea_orm::sqlx::{self, Connection, PgConnection, PgPool};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, Statement};
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::session::{Pooling, SessionOptions};
use tenancy_seaorm::{Policy, Tenancy};
use tenancy_testkit::TestDatabase;
use tenancy_testkit::cancel::ConnectionState;
use tenancy_testkit::proxy::PgProxy;

use crate::fixture::context;

pub(super) const SETTINGS: [&str; 1] = ["tenancy.tenant_id"];

/// Whoever holds a connection gives it back within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a tenancy tells the server about its tenant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Variant {
    /// In transactions alone.
    Plain,
    /// In every statement, for row-level security.
    Walled,
    /// In sessions, of which so many connections wait for their tenant.
    Sessions(usize),
}

pub(super) fn policy() -> Policy {
    Policy::builder().owned_table("steps").build().expect("a policy")
}

/// The table, as its owner makes it, with or without row-level security.
pub(super) async fn prepare(database: &TestDatabase, walled: bool) {
    let owner = Database::connect(database.owner_url()).await.expect("the owner connects");
    let table = "CREATE TABLE steps (tenant_id bigint NOT NULL, run bigint NOT NULL, step int NOT NULL, \
                 PRIMARY KEY (tenant_id, run, step))";
    owner.execute_unprepared(table).await.expect("a table");
    if walled {
        RowSecurity::new(&policy(), IdType::BigInt).enable(&owner).await.expect("a wall");
    }
    owner.close().await.expect("closed");
}

pub(super) struct World {
    pub(super) proxy: PgProxy,
    pub(super) tenancy: Tenancy,
    pool: PgPool,
    size: u32,
    /// Connections that the pool does not hand out because they wait for their tenant.
    kept: u32,
    clean: ConnectionState,
    direct: PgConnection,
    next_run: i64,
    _database: TestDatabase,
}

impl World {
    pub(super) async fn new(size: u32, variant: Variant) -> Self {
        let database = TestDatabase::create().await.expect("a database");
        prepare(&database, variant == Variant::Walled).await;
        let proxy = PgProxy::start(database.app_url()).await.expect("a proxy");
        let mut options = ConnectOptions::new(proxy.url(database.app_url()).expect("a URL"));
        options
            .max_connections(size)
            .sqlx_logging(false)
            .test_before_acquire(false)
            .acquire_timeout(PATIENCE);
        let db = Database::connect(options).await.expect("the pool opens");
        let pool = db.get_postgres_connection_pool().clone();
        let clean = ConnectionState::of(&mut pool.acquire().await.expect("a connection"), &SETTINGS).await;
        let tenancy = Tenancy::new(db, policy()).expect("a tenancy");
        let (tenancy, kept) = match variant {
            Variant::Plain => (tenancy, 0),
            Variant::Walled => (tenancy.with_row_security(IdType::BigInt).await.expect("it stands"), 0),
            Variant::Sessions(kept) => {
                let options = SessionOptions::default().with_kept(kept).with_pooling(Pooling::Session);
                (tenancy.with_sessions(options), u32::try_from(kept).expect("small").min(size))
            }
        };
        let direct = PgConnection::connect(database.admin_url()).await.expect("an administrator connects");
        let clean = clean.expect("a clean connection");
        Self { proxy, tenancy, pool, size, kept, clean, direct, next_run: 1, _database: database }
    }

    pub(super) fn next_run(&mut self) -> i64 {
        self.next_run += 1;
        self.next_run
    }

    /// Returns which steps of a run are committed, past every scope and every fault.
    pub(super) async fn steps(&mut self, tenant: i64, run: i64) -> Vec<i32> {
        let steps = "SELECT step FROM steps WHERE tenant_id = $1 AND run = $2 ORDER BY step";
        let steps = sqlx::query_scalar(steps).bind(tenant).bind(run).fetch_all(&mut self.direct);
        steps.await.expect("the server answers")
    }

    /// Looks at every connection that the pool hands out next. Returns what is not as it should be.
    pub(super) async fn dirt(&mut self) -> Vec<String> {
        let mut held = Vec::new();
        let mut dirt = Vec::new();
        for _ in self.kept..self.size {
            let acquired = tokio::time::timeout(PATIENCE, self.pool.acquire()).await;
            let mut connection = match acquired {
                Ok(Ok(connection)) => connection,
                other => {
                    dirt.push(format!("the pool hands out nothing: {:?}", other.map(|result| result.err())));
                    break;
                }
            };
            match ConnectionState::of(&mut connection, &SETTINGS).await {
                Ok(state) => {
                    dirt.extend(state.differences(&self.clean).iter().map(ToString::to_string));
                }
                Err(error) => dirt.push(format!("a broken connection: {error}")),
            }
            held.push(connection);
        }
        dirt
    }

    /// Works as another tenant, who sees nothing of the run and whose row is committed when that is acknowledged.
    pub(super) async fn next_borrower(&mut self, run: i64, by_session: bool) -> Vec<String> {
        let seen = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT step FROM steps WHERE run = $1",
            [run.into()],
        );
        let own = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "INSERT INTO steps (run, step) VALUES ($1, 9)",
            [run.into()],
        );
        let worked = async {
            if by_session {
                let session = self.tenancy.session(&context(2)).await?;
                let seen = session.query_all_raw(seen).await?.len();
                session.execute_raw(own).await?;
                Ok::<_, sea_orm::DbErr>(seen)
            } else {
                let connection = self.tenancy.tenant(&context(2));
                let seen = connection.query_all_raw(seen).await?.len();
                connection.execute_raw(own).await?;
                Ok(seen)
            }
        };
        let worked = worked.await;
        let committed = self.steps(2, run).await;
        match worked {
            Ok(0) if committed == [9] => Vec::new(),
            Ok(0) => vec!["an acknowledged row of the next borrower is not committed".to_owned()],
            Ok(seen) => vec![format!("the next borrower sees {seen} rows of another tenant")],
            Err(error) => vec![format!("the next borrower fails: {error}")],
        }
    }
}

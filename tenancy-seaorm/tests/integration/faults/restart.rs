//! Backends that are killed, and a server that is restarted, while tenants work: all are served again, and nothing that
//! was acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, Statement, TransactionTrait};
use tenancy_core::Placement;
use tenancy_seaorm::{PoolRegistry, Target, Tenancy};
use tenancy_testkit::{Ladder, PostgresServer, Rung, Stop, TestDatabase};

use super::world::{policy, prepare};
use crate::fixture::context;
use crate::pools;

const TENANTS: i64 = 8;

/// What one tenant was told to be committed, and how it is going.
#[derive(Default)]
struct Progress {
    acknowledged: std::sync::Mutex<Vec<i64>>,
    served: AtomicU64,
    failed: AtomicU64,
}

struct Load {
    tenancy: Tenancy,
    registry: PoolRegistry,
    progress: Vec<Progress>,
    stop: AtomicBool,
}

impl Load {
    async fn new(database: &TestDatabase) -> Arc<Self> {
        prepare(database, false).await;
        let url = database.app_url().to_owned();
        let mut options = ConnectOptions::new(url.as_str());
        options.max_connections(4).sqlx_logging(false).test_before_acquire(false);
        options.acquire_timeout(Duration::from_secs(20));
        let db = Database::connect(options.clone()).await.expect("the pool opens");
        let source = move |target: &Target| {
            let mut options = ConnectOptions::new(url.as_str());
            options.sqlx_logging(false).test_before_acquire(false);
            target.name().starts_with("own").then_some(options)
        };
        let registry = PoolRegistry::builder(source)
            .with_budget(4)
            .with_connect_limit(Duration::from_secs(20))
            .with_wait_limit(Duration::from_secs(20))
            .build()
            .expect("limits");
        let progress = (0..TENANTS).map(|_| Progress::default()).collect();
        let tenancy = Tenancy::new(db, policy()).expect("a tenancy");
        Arc::new(Self { tenancy, registry, progress, stop: AtomicBool::new(false) })
    }

    /// One request: by a transaction of the pool, by a session, or by a connection of the registry.
    async fn request(&self, tenant: i64, run: i64) -> Result<(), DbErr> {
        let sql = "INSERT INTO steps (run, step) VALUES ($1, 1)";
        let write = Statement::from_sql_and_values(DbBackend::Postgres, sql, [run.into()]);
        match tenant % 3 {
            0 => {
                let transaction = self.tenancy.tenant(&context(tenant + 1)).begin().await?;
                transaction.execute_raw(write).await?;
                transaction.commit().await
            }
            1 => self.tenancy.session(&context(tenant + 1)).await?.execute_raw(write).await.map(drop),
            _ => {
                let placement = Placement::Database { database: format!("own-{tenant}").into() };
                let lease = self.registry.lease(&pools::context(tenant, placement)).await?;
                let sql = "INSERT INTO steps (tenant_id, run, step) VALUES ($1, $2, 1)";
                let values = [(tenant + 1).into(), run.into()];
                let write = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
                lease.dedicated()?.execute_raw(write).await.map(drop)
            }
        }
    }

    async fn work(self: Arc<Self>, tenant: i64) {
        let progress = &self.progress[usize::try_from(tenant).expect("small")];
        let mut run = 0;
        while !self.stop.load(Ordering::SeqCst) {
            run += 1;
            match self.request(tenant, run).await {
                Ok(()) => {
                    progress.acknowledged.lock().unwrap().push(run);
                    progress.served.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(_) => {
                    progress.failed.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn served(&self) -> Vec<u64> {
        self.progress.iter().map(|progress| progress.served.load(Ordering::SeqCst)).collect()
    }

    /// Waits until every tenant was served `more` times from now on; returns how long the slowest first one took.
    async fn until_all_are_served(&self, more: u64) -> Duration {
        let (start, before) = (Instant::now(), self.served());
        let mut first = None;
        let reached =
            |more: u64| self.served().iter().zip(&before).all(|(now, before)| *now >= before + more);
        while !reached(more) {
            if reached(1) {
                first.get_or_insert_with(|| start.elapsed());
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "some tenant is not served: {:?}",
                self.served()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        first.unwrap_or_else(|| start.elapsed())
    }

    /// Ends the load and compares what the tenants were told with what is there.
    async fn finish(self: Arc<Self>, workers: Vec<tokio::task::JoinHandle<()>>, database: &TestDatabase) {
        self.stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.await.expect("no request panics");
        }
        let mut direct = PgConnection::connect(database.admin_url()).await.expect("the server answers");
        let (mut acknowledged, mut failed) = (0, 0);
        for (tenant, progress) in (1..).zip(&self.progress) {
            let there =
                sqlx::query_scalar::<_, i64>("SELECT run FROM steps WHERE tenant_id = $1 ORDER BY run");
            let there = there.bind::<i64>(tenant).fetch_all(&mut direct).await.expect("an answer");
            let told = progress.acknowledged.lock().unwrap();
            let lost: Vec<_> = told.iter().filter(|run| there.binary_search(run).is_err()).collect();
            assert!(lost.is_empty(), "tenant {tenant} was told of {lost:?}, which are gone");
            acknowledged += told.len();
            failed += progress.failed.load(Ordering::SeqCst);
        }
        assert!(failed > 0, "nobody noticed anything: the load shows nothing");
        assert!(self.registry.stats().most_in_use <= 4);
        println!("{acknowledged} acknowledged and there, {failed} failed; {:?}", self.registry.stats());
    }
}

fn start(load: &Arc<Load>) -> Vec<tokio::task::JoinHandle<()>> {
    (0..TENANTS).map(|tenant| tokio::spawn(Arc::clone(load).work(tenant))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_served_again_after_their_backends_were_killed() {
    let database = TestDatabase::create().await.expect("a database");
    let load = Load::new(&database).await;
    let workers = start(&load);
    load.until_all_are_served(3).await;
    let mut admin = PgConnection::connect(database.admin_url()).await.expect("an administrator connects");
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let killed: i64 = sqlx::query_scalar(kill).fetch_one(&mut admin).await.expect("they are ended");
        assert!(killed > 0);
        slowest = slowest.max(load.until_all_are_served(3).await);
    }
    println!("backends killed ten times: all tenants served again after {slowest:?} at most");
    load.finish(workers, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_served_again_after_the_server_was_restarted() {
    // A ladder like no other test's: this server is this test's own.
    let ladder = Ladder::new().with_rungs([Rung::Local]).with_linger(Duration::from_secs(4));
    let server = PostgresServer::attach(ladder).await.expect("a server");
    let database = server.create_database().await.expect("a database");
    let mut admin = PgConnection::connect(database.admin_url()).await.expect("an administrator connects");
    let durable = format!("ALTER DATABASE {} SET synchronous_commit = on", database.name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(durable)).execute(&mut admin).await.expect("it is set");
    let load = Load::new(&database).await;
    let workers = start(&load);
    load.until_all_are_served(3).await;
    for how in [Stop::Fast, Stop::Immediate, Stop::Fast] {
        server.restart(how).await.expect("it starts again");
        let slowest = load.until_all_are_served(3).await;
        println!("restarted ({how:?}): all tenants served again {slowest:?} after the server answered");
    }
    load.finish(workers, &database).await;
}

//! PgBouncer before a test's database: what each mode keeps of a session, and what sqlx needs.

use std::collections::HashSet;

use sqlx::{Connection, Executor, PgConnection, Row};
use tenancy_testkit::{PoolMode, TestDatabase, TestPgBouncer, require_app_role};

use crate::support::{TestResult, connect};

async fn pid(connection: &mut PgConnection) -> i32 {
    let rows = connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await.expect("an answer");
    rows.get(0)
}

async fn setting(connection: &mut PgConnection) -> String {
    let asked = sqlx::raw_sql("SELECT coalesce(current_setting('my.tenant', true), '')");
    connection.fetch_one(asked).await.expect("an answer").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_modes_serve_the_databases_roles() -> TestResult {
    let db = TestDatabase::create().await?;
    for mode in [PoolMode::Session, PoolMode::Transaction] {
        let pooler = TestPgBouncer::start(&db, mode, 2).await?;
        assert_eq!(pooler.mode(), mode);
        let mut owner = connect(pooler.owner_url()).await;
        owner.execute(sqlx::raw_sql("CREATE TABLE IF NOT EXISTS notes (id int)")).await?;
        let mut app = connect(pooler.app_url()).await;
        app.execute(sqlx::raw_sql("INSERT INTO notes VALUES (1)")).await?;
        assert!(app.execute(sqlx::raw_sql("DROP TABLE notes")).await.is_err());
        require_app_role(pooler.app_url()).await?;
        println!("PgBouncer {:?}, {mode} mode", pooler.version());
    }
    Ok(())
}

/// SCH-18: what a session sets is met by another client in transaction mode, and by nobody in session mode.
#[tokio::test(flavor = "multi_thread")]
async fn a_setting_of_one_client_is_met_by_another_in_transaction_mode() -> TestResult {
    let db = TestDatabase::create().await?;
    for (mode, met) in [(PoolMode::Transaction, "left"), (PoolMode::Session, "")] {
        let pooler = TestPgBouncer::start(&db, mode, 1).await?;
        let mut first = connect(pooler.app_url()).await;
        first.execute(sqlx::raw_sql("SET my.tenant = 'left'")).await?;
        if mode == PoolMode::Session {
            first.close().await?;
        }
        let mut second = connect(pooler.app_url()).await;
        assert_eq!(setting(&mut second).await, met, "{mode} mode");
    }
    Ok(())
}

/// In transaction mode, clients share server connections and the limit holds.
#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_few_server_connections() -> TestResult {
    let db = TestDatabase::create().await?;
    let pooler = TestPgBouncer::start(&db, PoolMode::Transaction, 2).await?;
    let mut pids = HashSet::new();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(connect(pooler.app_url()).await);
    }
    for client in &mut clients {
        pids.insert(pid(client).await);
    }
    assert!(pids.len() <= 2, "{pids:?}");
    Ok(())
}

/// SCH-11, SCH-18: two clients have each prepared a statement, under the same name, on two server connections. When
/// they meet each other's, an old pooler lets one run the other's statement.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_pooler_runs_another_clients_prepared_statement() -> TestResult {
    let db = TestDatabase::create().await?;
    let pooler = TestPgBouncer::start(&db, PoolMode::Transaction, 2).await?;
    let (mut a, mut b) = (connect(pooler.app_url()).await, connect(pooler.app_url()).await);
    let ask = async |client: &mut PgConnection, sql: &'static str| -> Result<String, sqlx::Error> {
        sqlx::query_scalar(sql).bind("!").fetch_one(client).await
    };
    let control = async |client: &mut PgConnection, sql: &'static str| {
        client.execute(sqlx::raw_sql(sql)).await.expect("transaction control");
    };
    control(&mut a, "BEGIN").await;
    control(&mut b, "BEGIN").await;
    let first = pid(&mut a).await;
    assert_eq!(
        (ask(&mut a, "SELECT 'a' || $1").await?, ask(&mut b, "SELECT 'b' || $1").await?),
        ("a!".into(), "b!".into())
    );
    for round in 0..20 {
        control(&mut a, "COMMIT").await;
        control(&mut b, "COMMIT").await;
        // Who begins first gets the server connection that was used last.
        let (one, two) = if round % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        control(one, "BEGIN").await;
        control(two, "BEGIN").await;
        if pid(&mut a).await != first {
            let met = ask(&mut a, "SELECT 'a' || $1").await?;
            assert_eq!(met, if pooler.prepares() { "a!" } else { "b!" });
            return Ok(());
        }
    }
    panic!("the two never changed places");
}

/// What is not kept under a name works in transactions of every version.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_are_not_kept_work_in_transactions() -> TestResult {
    let db = TestDatabase::create().await?;
    let pooler = TestPgBouncer::start(&db, PoolMode::Transaction, 2).await?;
    let clients = (0..6).map(|client: i32| {
        let url = pooler.app_url().to_owned();
        tokio::spawn(async move {
            let mut connection = connect(&url).await;
            for number in 0..20 {
                let mut transaction = connection.begin().await.expect("BEGIN");
                let sum = sqlx::query_scalar::<_, i32>("SELECT $1::int * 100 + $2::int").persistent(false);
                let sum =
                    sum.bind(client).bind(number).fetch_one(&mut *transaction).await.expect("its own answer");
                assert_eq!(sum, client * 100 + number);
                transaction.commit().await.expect("COMMIT");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_is_gone_with_its_value() -> TestResult {
    let db = TestDatabase::create().await?;
    let pooler = TestPgBouncer::start(&db, PoolMode::Session, 1).await?;
    let url = pooler.app_url().to_owned();
    drop(pooler);
    for _ in 0..200 {
        if PgConnection::connect(&url).await.is_err() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it still answers");
}

/// A name that the pooler does not know is refused by it, as the server would.
#[tokio::test]
async fn another_database_is_not_served() -> TestResult {
    let (db, other) = (TestDatabase::create().await?, TestDatabase::create().await?);
    let pooler = TestPgBouncer::start(&db, PoolMode::Session, 1).await?;
    let wrong = pooler.app_url().replace(db.name(), other.name());
    assert!(PgConnection::connect(&wrong).await.is_err());
    Ok(())
}

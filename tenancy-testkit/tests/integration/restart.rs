//! A server that is stopped and started again, gently and not.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tenancy_testkit::{ErrorKind, Ladder, PostgresServer, Rung, Stop};

use crate::support::{TestResult, connect, run};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_outlasts_a_restart_and_connections_do_not() -> TestResult {
    // A ladder like no other test's: this server is this test's own.
    let ladder = Ladder::new().with_rungs([Rung::Local]).with_linger(Duration::from_secs(3));
    let server = PostgresServer::attach(ladder).await?;
    let db = server.create_database().await?;
    run(db.owner_url(), "CREATE TABLE notes (id int)").await?;
    let setting = format!("ALTER DATABASE {} SET synchronous_commit = on", db.name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(setting)).execute(&mut connect(db.owner_url()).await).await?;
    for (number, how) in [(1_i64, Stop::Fast), (2, Stop::Immediate)] {
        let mut connection = connect(db.app_url()).await;
        sqlx::query("INSERT INTO notes VALUES (1)").execute(&mut connection).await?;
        server.restart(how).await?;
        assert!(connection.ping().await.is_err(), "{how:?}");
        let kept = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes");
        assert_eq!(kept.fetch_one(&mut connect(db.app_url()).await).await?, number, "{how:?}");
    }
    // The kit's own connections are made anew too.
    server.create_database().await?.close().await?;
    Ok(())
}

#[tokio::test]
async fn somebody_elses_server_is_not_restarted() -> TestResult {
    let local = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    let given = Ladder::new().with_rungs([Rung::Url]).with_url(local.admin_url());
    let refused = PostgresServer::attach(given).await?.restart(Stop::Fast).await.expect_err("not the kit's");
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(PgConnection::connect(local.admin_url()).await.is_ok());
    Ok(())
}

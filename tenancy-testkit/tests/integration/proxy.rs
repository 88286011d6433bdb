//! The wire proxy: what it passes on, and what each fault does to both ends.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, Row};
use tenancy_testkit::{
    TestDatabase,
    cancel::{Outcome, until},
    proxy::{Fault, PgProxy, Side, Tag},
};

use crate::support::{TestResult, connect};

async fn proxied() -> (TestDatabase, PgProxy, PgConnection) {
    let db = TestDatabase::create().await.expect("a database");
    let mut owner = connect(db.owner_url()).await;
    owner.execute("CREATE TABLE notes (id int PRIMARY KEY, note text)").await.expect("a table");
    let proxy = PgProxy::start(db.app_url()).await.expect("a proxy");
    let connection = connect(&proxy.url(db.app_url()).expect("a URL")).await;
    (db, proxy, connection)
}

async fn rows(url: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&mut connect(url).await)
        .await
        .expect("a count")
}

#[tokio::test]
async fn without_a_fault_everything_passes_and_is_counted() -> TestResult {
    let (db, proxy, mut connection) = proxied().await;
    let text = "x".repeat(300_000);
    sqlx::query("INSERT INTO notes VALUES ($1, $2)").bind(1).bind(&text).execute(&mut connection).await?;
    let row = sqlx::query("SELECT note FROM notes").fetch_one(&mut connection).await?;
    assert_eq!(row.get::<String, _>(0), text);
    assert_eq!(proxy.connections(), 1);
    assert!(proxy.seen(Side::Client)[&Tag::PARSE] >= 2, "{:?}", proxy.seen(Side::Client));
    assert!(proxy.seen(Side::Server)[&Tag::DATA_ROW] >= 1);
    connection.close().await?;
    assert_eq!(rows(db.app_url()).await, 1);
    assert_eq!(proxy.seen(Side::Client)[&Tag::TERMINATE], 1);
    Ok(())
}

#[tokio::test]
async fn a_client_that_insists_on_encryption_is_refused() -> TestResult {
    let (db, proxy, _) = proxied().await;
    let url = proxy.url(db.app_url())?;
    assert!(PgConnection::connect(&format!("{url}?sslmode=require")).await.is_err());
    assert!(PgConnection::connect(&format!("{url}?sslmode=prefer")).await.is_ok());
    Ok(())
}

/// The server has done the work, and its client does not know.
#[tokio::test]
async fn a_held_answer_arrives_when_it_is_released_and_not_before() -> TestResult {
    let (db, proxy, mut connection) = proxied().await;
    let fault = proxy.arm(Fault::hold(Side::Server).on(Tag::COMMAND_COMPLETE));
    let insert = connection.execute("INSERT INTO notes VALUES (1, 'held')");
    tokio::pin!(insert);
    assert!(until(fault.met(), &mut insert).await.is_dropped());
    let meanwhile = tokio::time::timeout(Duration::from_millis(200), &mut insert).await;
    assert!(meanwhile.is_err(), "the answer is held");
    fault.release();
    assert_eq!(insert.await?.rows_affected(), 1);
    assert_eq!((fault.hits(), rows(db.app_url()).await), (1, 1));
    Ok(())
}

/// A message of the client that is held has not been said: the server does nothing.
#[tokio::test]
async fn a_held_statement_is_not_run() -> TestResult {
    let (db, proxy, mut connection) = proxied().await;
    let fault = proxy.arm(Fault::hold(Side::Client).on(Tag::QUERY));
    {
        let insert = connection.execute(sqlx::raw_sql("INSERT INTO notes VALUES (1, 'held')"));
        assert!(until(fault.met(), insert).await.is_dropped());
    }
    assert_eq!(rows(db.app_url()).await, 0);
    drop(fault);
    connection.ping().await?;
    assert_eq!(rows(db.app_url()).await, 1);
    Ok(())
}

#[tokio::test]
async fn cut_and_reset_end_the_connection_at_their_message_and_the_next_one_works() -> TestResult {
    for fault in [Fault::cut(Side::Server), Fault::reset(Side::Server)] {
        let (db, proxy, mut connection) = proxied().await;
        let armed = proxy.arm(fault.on(Tag::DATA_ROW).at(2));
        let broken = connection.fetch_all("SELECT generate_series(1, 3)").await;
        assert!(matches!(broken, Err(sqlx::Error::Io(_))), "{broken:?}");
        assert_eq!((armed.hits(), armed.counted()), (1, 2));
        let mut next = connect(&proxy.url(db.app_url())?).await;
        assert_eq!(next.fetch_all("SELECT generate_series(1, 3)").await?.len(), 3, "it acts once");
    }
    Ok(())
}

#[tokio::test]
async fn a_delay_passes_everything_on_in_order() -> TestResult {
    let (_db, proxy, mut connection) = proxied().await;
    let fault = proxy.arm(Fault::delay(Side::Server, Duration::from_millis(5)).on(Tag::DATA_ROW).each());
    let rows = connection.fetch_all("SELECT generate_series(1, 5)").await?;
    assert_eq!(rows.iter().map(|row| row.get::<i32, _>(0)).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(fault.hits(), 5);
    Ok(())
}

#[tokio::test]
async fn all_connections_are_ended_at_once() -> TestResult {
    let (db, proxy, first) = proxied().await;
    let second = connect(&proxy.url(db.app_url())?).await;
    let mut both = [first, second];
    for round in 0..2 {
        if round == 0 {
            proxy.cut_all();
        } else {
            proxy.reset_all();
        }
        for connection in &mut both {
            assert!(connection.ping().await.is_err());
            *connection = connect(&proxy.url(db.app_url())?).await;
        }
    }
    Ok(())
}

/// An unarmed fault does nothing, also if it held something when it was dropped.
#[tokio::test]
async fn a_fault_ends_with_its_handle() -> TestResult {
    let (_db, proxy, mut connection) = proxied().await;
    drop(proxy.arm(Fault::cut(Side::Server)));
    assert!(!until(std::future::pending(), connection.ping()).await.is_dropped());
    let held = proxy.arm(Fault::hold(Side::Server));
    let ping = connection.ping();
    tokio::pin!(ping);
    assert!(until(held.met(), &mut ping).await.is_dropped());
    drop(held);
    assert!(matches!(until(std::future::pending(), ping).await, Outcome::Completed(Ok(()))));
    Ok(())
}

//! The cancellation driver, and what it finds on connections: each aspect is made dirty on purpose once.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use sqlx::{Executor, PgConnection};
use tenancy_testkit::{
    TestDatabase,
    cancel::{Aspect, ConnectionState, Outcome, at_each_point, drop_at, until},
};

use crate::support::{TestResult, connect};

const SETTINGS: [&str; 1] = ["tenancy.tenant_id"];

async fn suspends(times: usize) -> usize {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    times
}

#[tokio::test]
async fn a_future_is_dropped_at_the_point_that_was_named() {
    assert_eq!(drop_at(0, async { unreachable!("it is not even polled") as usize }).await, Outcome::Dropped);
    assert_eq!(drop_at(3, suspends(3)).await, Outcome::Dropped);
    assert_eq!(drop_at(4, suspends(3)).await, Outcome::Completed(3));
    assert_eq!(until(std::future::ready(()), std::future::pending::<()>()).await, Outcome::Dropped);
    assert_eq!(until(std::future::ready(()), std::future::ready(1)).await, Outcome::Completed(1));
}

#[tokio::test]
async fn each_point_is_met_once_and_the_last_run_completes() {
    let (ended, seen) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    let run = || async {
        suspends(4).await;
        ended.fetch_add(1, Ordering::SeqCst);
    };
    let note = |nth, dropped| {
        seen.lock().unwrap().push((nth, dropped));
        std::future::ready(Ok::<_, Infallible>(()))
    };
    let Ok(points) = at_each_point(100, run, note).await;
    assert_eq!((points, ended.load(Ordering::SeqCst)), (4, 1));
    assert_eq!(seen.into_inner().unwrap(), [(1, true), (2, true), (3, true), (4, true), (5, false)]);
    let Ok(points) = at_each_point(2, run, |_, _| std::future::ready(Ok::<_, Infallible>(()))).await;
    assert_eq!(points, 2);
}

async fn look(connection: &mut PgConnection) -> ConnectionState {
    ConnectionState::of(connection, &SETTINGS).await.expect("the connection works")
}

/// KIT-01: for each aspect, a connection that is dirty in it is seen to be, and one that was cleaned is clean.
#[tokio::test]
async fn every_aspect_is_found() -> TestResult {
    let db = TestDatabase::create().await?;
    let mut owner = connect(db.owner_url()).await;
    owner.execute("CREATE SCHEMA other; CREATE SEQUENCE numbers").await?;
    let clean = look(&mut owner).await;
    assert_eq!(look(&mut owner).await.differences(&clean), [], "looking changes nothing");
    for (aspect, dirty, tidy) in [
        (Aspect::Transaction, "BEGIN", "ROLLBACK"),
        (Aspect::Path, "SET search_path = other", "RESET search_path"),
        (Aspect::Settings, "SET statement_timeout = '7s'", "RESET statement_timeout"),
        (Aspect::Settings, "SELECT set_config('tenancy.tenant_id', '5', false)", "RESET tenancy.tenant_id"),
        (Aspect::Temporary, "CREATE TEMPORARY TABLE left_over (id int)", "DISCARD TEMP"),
        (Aspect::Prepared, "PREPARE left_over AS SELECT 1", "DEALLOCATE left_over"),
        (Aspect::Cursors, "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1", "CLOSE left_over"),
        (Aspect::Locks, "SELECT pg_advisory_lock(7, 8)", "SELECT pg_advisory_unlock(7, 8)"),
        (Aspect::Channels, "LISTEN left_over", "UNLISTEN left_over"),
        (Aspect::LastValue, "SELECT nextval('numbers')", "DISCARD SEQUENCES"),
    ] {
        owner.execute(sqlx::raw_sql(dirty)).await?;
        let found: Vec<_> =
            look(&mut owner).await.differences(&clean).iter().map(|found| found.aspect).collect();
        assert!(found.contains(&aspect), "{dirty}: {found:?}");
        let expected: &[Aspect] = match aspect {
            // In an open transaction the last value is not asked for.
            Aspect::Transaction => &[Aspect::Transaction, Aspect::LastValue],
            _ => std::slice::from_ref(&aspect),
        };
        assert_eq!(found, expected, "{dirty}");
        owner.execute(sqlx::raw_sql(tidy)).await?;
        assert_eq!(look(&mut owner).await.differences(&clean), [], "{tidy}");
    }
    Ok(())
}

/// SCH-12: a failed transaction answers a ping, and is found.
#[tokio::test]
async fn a_failed_transaction_and_another_role_are_found() -> TestResult {
    let db = TestDatabase::create().await?;
    let mut admin = connect(db.admin_url()).await;
    let clean = look(&mut admin).await;
    let _ = admin.execute(sqlx::raw_sql("BEGIN; SELECT 1/0")).await;
    let found = look(&mut admin).await;
    assert_eq!(found.aspect(Aspect::Transaction), "failed");
    assert!(found.differences(&clean).iter().any(|found| found.aspect == Aspect::Transaction));
    admin.execute(sqlx::raw_sql("ROLLBACK")).await?;
    let app = url::Url::parse(db.app_url())?.username().to_owned();
    admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET ROLE {app}")))).await?;
    let found = look(&mut admin).await.differences(&clean);
    assert!(found.iter().any(|found| found.aspect == Aspect::Role), "{found:?}");
    Ok(())
}

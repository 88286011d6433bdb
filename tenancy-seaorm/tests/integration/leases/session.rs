//! Sessions on leased connections.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tenancy_core::TenantContext;
use tenancy_seaorm::ErrorKind;
use tenancy_seaorm::session::Pooling;
use tenancy_testkit::PoolMode;
use tenancy_testkit::cancel::drop_at;

use super::{Asked, Leased, TENANTS, in_schema, kind, own, runs, shared};

async fn leased(budget: usize) -> Leased {
    let leased = Leased::new(Asked { budget, ..Asked::default() }).await;
    let placements = leased.placements.clone().with_registry_pooling(Pooling::Session);
    Leased { placements, ..leased }
}

/// What a connection is set to, as whoever leases it next finds it.
const STATE: &str = "SELECT concat_ws('|', coalesce(current_setting('tenancy.tenant_id', true), ''), \
                     current_setting('search_path'), current_setting('role'))";

/// As the server begins.
const CLEAN: &str = "|\"$user\", public|none";

async fn state(leased: &Leased) -> String {
    let lease = leased.registry.lease(&own(1)).await.expect("a connection");
    let db = lease.dedicated().expect("it is the tenant's own");
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, STATE)).await;
    row.expect("an answer").expect("a row").try_get_by_index(0).expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_a_lease_sees_its_tenant_wherever_it_is_placed() {
    let leased = leased(1).await;
    for _ in 0..3 {
        for id in 1..=TENANTS {
            for (context, expected) in [(own(id), id), (shared(id), id), (in_schema(id), 10 + id)] {
                let session = leased.placements.session(&context).await.expect("a session");
                assert_eq!(runs(&session).await.expect("rows"), [expected]);
                let transaction = session.begin().await.expect("a transaction");
                assert_eq!(runs(&transaction).await.expect("rows"), [expected]);
                transaction.commit().await.expect("it is over");
                drop(session);
                let connected = leased.placements.connect(&context).await.expect("a connection");
                assert_eq!(runs(&connected).await.expect("rows"), [expected]);
            }
        }
    }
    assert_eq!(leased.registry.stats().most_in_use, 1);
}

/// SCH-09: the lease ends when nothing of the tenant is left, whatever the session did last.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_lease_finds_nothing_of_a_session() {
    let leased = leased(1).await;
    let setting = "SELECT current_setting('tenancy.tenant_id', true)";
    for end in 0..4 {
        // In the tenant's own database, so that the next lease gets the very connection.
        let session = leased.placements.session(&own(1)).await.expect("a session");
        match end {
            0 => drop(runs(&session).await.expect("rows")),
            1 => drop(session.execute_unprepared("SELECT run / 0 FROM steps").await.expect_err("by zero")),
            2 => {
                let transaction = session.begin().await.expect("a transaction");
                transaction.execute_unprepared("DELETE FROM steps").await.expect("deleted");
            }
            _ => drop(session.execute_unprepared(setting).await.expect_err("settings are refused")),
        }
        drop(session);
        assert_eq!(state(&leased).await, CLEAN, "after end {end}");
    }
    // The transaction that nobody ended was rolled back.
    assert_eq!(leased.admin("SELECT count(*) FROM steps").await, TENANTS);
    // A schema and its role's path do not stay either, and the shard's next tenant is told apart.
    for id in 1..=TENANTS {
        drop(leased.placements.session(&in_schema(id)).await.expect("a session"));
        let session = leased.placements.session(&shared(3 - id)).await.expect("a session");
        assert_eq!(runs(&session).await.expect("rows"), [3 - id]);
    }
}

/// SCH-10: dropped at each point, also while the server is told the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_dropped_at_any_point_leaves_a_clean_connection() {
    let leased = leased(1).await;
    let work = async |context: TenantContext| {
        let session = leased.placements.session(&context).await?;
        runs(&session).await?;
        let transaction = session.begin().await?;
        transaction.execute_unprepared("DELETE FROM steps").await?;
        Ok::<_, sea_orm::DbErr>(())
    };
    // How often a run waits depends on how soon the server answers: it is repeated until enough was dropped.
    let mut dropped = 0;
    for _ in 0..20 {
        for context in [own(1), in_schema(1)] {
            for point in 1..200 {
                let ended = drop_at(point, work(context.clone())).await;
                assert_eq!(state(&leased).await, CLEAN, "dropped at {point}");
                let session = leased.placements.session(&shared(2)).await.expect("a session");
                assert_eq!(runs(&session).await.expect("rows"), [2], "dropped at {point}");
                drop(session);
                if !ended.is_dropped() {
                    break;
                }
                dropped += 1;
            }
        }
        if dropped >= 20 {
            break;
        }
    }
    println!("dropped at {dropped} points");
    assert!(dropped >= 20, "{dropped} points");
    assert_eq!(leased.admin("SELECT count(*) FROM steps").await, TENANTS);
    assert_eq!(leased.registry.stats().most_in_use, 1);
}

/// A session is one of the budget's connections for as long as it lasts: the next one waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_holds_its_lease() {
    let leased = leased(1).await;
    let session = leased.placements.session(&own(1)).await.expect("a session");
    let context = own(1);
    let next = leased.registry.lease(&context);
    let waited = tokio::time::timeout(Duration::from_millis(200), next).await;
    assert!(waited.is_err(), "one connection was leased twice");
    drop(session);
    leased.registry.lease(&own(1)).await.expect("it is free again");
}

/// SCH-18: nothing is told for longer than a transaction where another client might find it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refused_where_nobody_said_that_it_would_last() {
    let unstated = Leased::new(Asked { budget: 1, ..Asked::default() }).await;
    let pooler = Some(PoolMode::Transaction);
    let pooled = Leased::new(Asked { budget: 1, pooler, ..Asked::default() }).await;
    let stated = pooled.placements.clone().with_registry_pooling(Pooling::Transaction);
    for context in [own(1), shared(1), in_schema(1)] {
        for placements in [&unstated.placements, &stated] {
            let refused = placements.session(&context).await.expect_err("no session");
            assert_eq!(kind(&refused), Some(ErrorKind::Connection), "{refused}");
            // Statements do without one.
            runs(&placements.connect(&context).await.expect("a connection")).await.expect("rows");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_in_session_mode_there_are_sessions() {
    let pooler = Some(PoolMode::Session);
    let leased = Leased::new(Asked { budget: 1, pooler, ..Asked::default() }).await;
    let placements = leased.placements.clone().with_registry_pooling(Pooling::Session);
    for id in 1..=TENANTS {
        for (context, expected) in [(shared(id), id), (in_schema(id), 10 + id)] {
            let session = placements.session(&context).await.expect("a session");
            assert_eq!(runs(&session).await.expect("rows"), [expected]);
        }
    }
}

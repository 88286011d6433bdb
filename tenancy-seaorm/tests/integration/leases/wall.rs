//! Row-level security behind leased connections.

use sea_orm::{ConnectionTrait, TransactionTrait};
use tenancy_core::TenantContext;
use tenancy_seaorm::rls::IdType;
use tenancy_seaorm::session::Pooling;
use tenancy_seaorm::{ErrorKind, Placements};

use super::{Asked, Leased, TENANTS, kind, own, runs, shared};

fn all() -> Vec<(i64, TenantContext)> {
    (1..=TENANTS).flat_map(|id| [(id, own(id)), (id, shared(id))]).collect()
}

/// What a tenant sees by each way to its rows.
async fn seen(placements: &Placements, context: &TenantContext) -> Vec<Vec<i64>> {
    let connection = placements.connect(context).await.expect("a connection");
    let mut seen = vec![runs(&connection).await.expect("rows")];
    let transaction = connection.begin().await.expect("a transaction");
    seen.push(runs(&transaction).await.expect("rows"));
    transaction.commit().await.expect("it is over");
    seen
}

/// Placement point 5, on leases: with the filter switched off on purpose, the wall alone shows nothing of others …
#[tokio::test(flavor = "multi_thread")]
async fn behind_the_wall_of_a_lease_a_missing_filter_shows_nothing() {
    let leased = Leased::new(Asked { budget: 2, walled: true, unfiltered: true, ..Asked::default() }).await;
    let walled = leased.placements.clone().with_registry_row_security(IdType::BigInt);
    let sessions = walled.clone().with_registry_pooling(Pooling::Session);
    for placements in [&walled, &sessions] {
        for (id, context) in all() {
            assert_eq!(seen(placements, &context).await, [[id], [id]], "{context:?}");
        }
    }
    for (id, context) in all() {
        let session = sessions.session(&context).await.expect("a session");
        assert_eq!(runs(&session).await.expect("rows"), [id]);
        let changed = session.execute_unprepared("UPDATE steps SET run = run").await.expect("an update");
        assert_eq!(changed.rows_affected(), 1);
    }
}

/// … and without the wall, such a filter shows everything: the test above is not about nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_wall_a_missing_filter_shows_all_rows() {
    let leased = Leased::new(Asked { budget: 2, unfiltered: true, ..Asked::default() }).await;
    for (_, context) in all() {
        assert_eq!(seen(&leased.placements, &context).await, [[1, 2], [1, 2]]);
    }
}

/// A wall that was asked for and does not stand lets nobody in, until it does.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_wall_does_not_stand_nobody_is_let_in() {
    let leased = Leased::new(Asked { budget: 2, ..Asked::default() }).await;
    let walled = leased.placements.clone().with_registry_row_security(IdType::BigInt);
    let walled = walled.with_registry_pooling(Pooling::Session);
    for (_, context) in all() {
        let refused = walled.connect(&context).await.expect_err("no wall");
        assert_eq!(kind(&refused), Some(ErrorKind::Policy), "{refused}");
        let refused = walled.session(&context).await.expect_err("no wall");
        assert_eq!(kind(&refused), Some(ErrorKind::Policy), "{refused}");
    }
    let owner = crate::fixture::open(leased.database.owner_url()).await;
    let wall = tenancy_seaorm::rls::RowSecurity::new(&super::policy(), IdType::BigInt);
    wall.enable(&owner).await.expect("a wall");
    for (id, context) in all() {
        assert_eq!(seen(&walled, &context).await, [[id], [id]]);
    }
}

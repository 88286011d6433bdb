//! A tenant's first connection to a database of its own.

use sea_orm::{ConnectOptions, ConnectionTrait};
use tenancy_core::Placement;
use tenancy_seaorm::{PoolRegistry, Target};
use tenancy_testkit::gate::Group;

use super::{context, open, shared_runtime, turns};

/// A connection that is opened, used once and closed: by hand, and by the registry, whose one connection is another
/// tenant's each time.
pub(super) fn connections(group: Group, url: &str) -> Group {
    let (runtime, again) = (shared_runtime(), url.to_owned());
    let shared = runtime.clone();
    let by_hand = move || {
        shared.block_on(async {
            let db = open(&again, None).await;
            db.execute_unprepared("SELECT 1").await.expect("an answer");
            db.close().await.expect("it is closed");
        });
    };
    let to = url.to_owned();
    let source = move |_: &Target| {
        let mut options = ConnectOptions::new(&to);
        options.sqlx_logging(false);
        Some(options)
    };
    let registry = PoolRegistry::builder(source).with_budget(1).build().expect("a registry");
    let mut turn = turns(1_000_000);
    let leased = move || {
        let turn = turn();
        let placement = Placement::Database { database: format!("own-{turn}").into() };
        let tenant = context(i64::from(turn) + 1, placement);
        runtime.block_on(async {
            let lease = registry.lease(&tenant).await.expect("a connection");
            let db = lease.dedicated().expect("it is the tenant's own");
            db.execute_unprepared("SELECT 1").await.expect("an answer");
        });
    };
    group.with_bench("by-hand", by_hand).with_bench("registry", leased)
}

//! Behind a pooler that gives out a server connection for each transaction, and one that does so for a session (SCH-18).
#![cfg(feature = "pgbouncer")]

use tenancy_testkit::doctor::Doctor;
use tenancy_testkit::{PoolMode, TestPgBouncer};

use crate::support::{TestResult, clean, declared, keys};

#[tokio::test]
async fn a_pooler_of_transactions_is_found_and_one_of_sessions_is_not() -> TestResult {
    let db = clean().await;
    for (mode, expected) in
        [(PoolMode::Transaction, &["TD101 connection transaction pooler"][..]), (PoolMode::Session, &[])]
    {
        let pooler = TestPgBouncer::start(&db, mode, 3).await?;
        let diagnosis = Doctor::new(declared()).examine(pooler.app_url()).await?;
        assert_eq!(keys(&diagnosis.findings), expected, "{mode}");
    }
    Ok(())
}

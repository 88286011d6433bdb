//! The quickstart against itself, on every database, and with the wall taken away.

mod isolation;

use quickstart::{probe, server};
use tenancy_seaorm::{Mutant, Policy};
use tenancy_testkit::{TestDatabase, doctor::Doctor};
use tokio::net::TcpListener;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn examples(
    database_url: &str,
    policy: Policy,
) -> Result<(String, usize), Box<dyn std::error::Error + Send + Sync>> {
    let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_test_writer().try_init();
    let service = server::prepare(database_url, policy).await?;
    let probes = probe::all(&service.facts);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(probe::check(service.router, listener, &probes).await?)
}

/// FLT-25, FLT-27, TWR-48, JOB-07: list, id, filter, cursor, count, change and removal stay within the tenant.
#[tokio::test]
async fn every_example_answers_as_it_is_printed_on_sqlite() -> Outcome {
    let (table, failures) = examples("sqlite::memory:", server::policy()?).await?;
    assert_eq!(failures, 0, "{table}");
    Ok(())
}

#[tokio::test]
async fn every_example_answers_as_it_is_printed_on_postgresql() -> Outcome {
    let db = TestDatabase::create().await?;
    let (table, failures) = examples(db.owner_url(), server::policy()?).await?;
    assert_eq!(failures, 0, "{table}");
    // A second start finds its rows and adds none.
    let (table, failures) = examples(db.owner_url(), server::policy()?).await?;
    assert_eq!(failures, 0, "{table}");
    Ok(())
}

/// The suite can fail: with the filter taken out of the connection, the same examples see the others' rows.
#[tokio::test]
async fn without_the_filter_the_examples_see_the_leak() -> Outcome {
    let broken = || -> Result<Policy, tenancy_seaorm::Error> {
        server::policy_builder().break_on_purpose(Mutant::NoFilter).build()
    };
    let postgres = TestDatabase::create().await?;
    for url in ["sqlite::memory:", postgres.owner_url()] {
        let (table, failures) = examples(url, broken()?).await?;
        for title in ["Acme's deployments", "counts", "Globex's row", "remove Globex's row"] {
            let line = table.lines().find(|line| line.starts_with(title)).ok_or(title)?;
            assert!(line.contains("DIFFERENT"), "{title} does not see the leak:\n{table}");
        }
        assert!(failures >= 5, "{table}");
    }
    Ok(())
}

/// RLS-13, FLT-20, FLT-21: the keys contain the tenant, but the interceptor is the only wall: the doctor tells both.
#[tokio::test]
async fn the_doctor_tells_that_there_is_no_second_wall() -> Outcome {
    let db = TestDatabase::create().await?;
    server::prepare(db.owner_url(), server::policy()?).await?;
    let diagnosis = Doctor::new(&server::policy()?).examine(&db).await?;
    let objects = |code: &str| -> Vec<&str> {
        let found = diagnosis.findings.iter().filter(|finding| finding.code == code);
        found.map(|finding| finding.object.as_str()).collect()
    };
    assert_eq!(objects("TD010"), ["public.deployments", "public.users", "public.workflows"]);
    assert_eq!(objects("TD065"), ["public.tenants"], "the catalog's table is nobody's declaration");
    for key in ["TD050", "TD052", "TD053"] {
        assert_eq!(objects(key), [""; 0], "{key}");
    }
    assert_eq!(diagnosis.exit_code(), 1);
    Ok(())
}

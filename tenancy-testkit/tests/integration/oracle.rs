//! The differential oracle over the rewriter of `tenancy-seaorm`, over row-level security, and over broken rewriters.
//!
//! DIFF of FLT-01 to FLT-19, FLT-21, FLT-29, FLT-30, FLT-33, FLT-34 and FLT-47: their statements are generated here.

use std::env;
use std::sync::Arc;

use tenancy_core::TenantId;
use tenancy_seaorm::Mutant;
use tenancy_testkit::ErrorKind;
use tenancy_testkit::oracle::{
    Connections, Interceptor, Oracle, Refusal, RowSecurity, Scope, Scoped, Statement, Subject, World,
};

use crate::support::TestResult;

/// Statements of a run in CI. `TENANCY_STATEMENTS` asks for more, `TENANCY_SEED` for others.
const STATEMENTS: u64 = 5_000;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scoped_statement_does_what_it_does_where_no_other_tenant_is() -> TestResult {
    let statements = number("TENANCY_STATEMENTS", STATEMENTS);
    let oracle =
        Oracle::new(Interceptor::new()).with_seed(number("TENANCY_SEED", 1)).with_statements(statements);
    let report = oracle.run().await?;
    println!("{report}");
    assert!(report.differences.is_empty() && report.miscalibrations.is_empty(), "see above");
    assert_eq!(report.statements, statements);
    // Refusing everything, or generating nothing that runs, would show nothing.
    assert!(report.refused_share() <= 0.05, "{:.3} refused", report.refused_share());
    assert!(report.valid_share() >= 0.85, "{:.3} valid", report.valid_share());
    assert!(report.calibrated > statements / 10, "{} calibrated", report.calibrated);
    assert_eq!(
        report.refused_rightly, report.forbidden,
        "a write for another tenant was let through to the database"
    );
    Ok(())
}

/// Every construct that the specification names is among the statements of CI, many times over.
#[tokio::test(flavor = "multi_thread")]
async fn the_statements_have_every_construct_that_isolation_is_hard_for() -> TestResult {
    let report = Oracle::new(RowSecurity::default())
        .with_seed(2)
        .with_statements(1_500)
        .with_calibration(0)
        .run()
        .await?;
    println!("{report}");
    assert!(report.differences.is_empty(), "the oracle and row-level security disagree");
    for construct in [
        "inner join",
        "left join",
        "right join",
        "full join",
        "cross join",
        "comma join",
        "NATURAL",
        "USING",
        "LATERAL",
        "join in parentheses",
        "named join",
        "alias that is another table's name",
        "renamed columns",
        "derived table",
        "window",
        "GROUPING SETS",
        "ROLLUP",
        "CUBE",
        "HAVING",
        "FILTER",
        "DISTINCT",
        "DISTINCT ON",
        "set operation",
        "WITH",
        "WITH RECURSIVE",
        "common table expression with a table's name",
        "data-modifying common table expression",
        "correlated",
        "EXISTS",
        "IN subquery",
        "ANY or ALL",
        "row in subquery",
        "scalar subquery",
        "subquery in HAVING",
        "subquery in LIMIT",
        "subquery in RETURNING",
        "subquery in SET",
        "subquery in VALUES",
        "ORDER BY expression",
        "bare OR at the top",
        "INSERT",
        "several rows",
        "INSERT SELECT",
        "DEFAULT VALUES",
        "ON CONFLICT",
        "DO UPDATE",
        "UPDATE",
        "UPDATE FROM",
        "DELETE",
        "DELETE USING",
        "RETURNING",
        "repeated parameter",
        "leaky expression",
        "leaky query without a table of tenants",
        "names the tenant column",
        "write for another tenant",
        "schema-qualified table",
        "FOR UPDATE",
    ] {
        let count = report.constructs.get(construct).copied().unwrap_or_default();
        assert!(count >= 2, "{construct}: {count}");
    }
    Ok(())
}

/// Through whole connections: values are bound, rows decoded and errors scrubbed on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_connection_does_what_a_connection_of_its_own_does() -> TestResult {
    for oracle in [Connections::postgres(), Connections::sqlite()] {
        let statements = number("TENANCY_STATEMENTS", 1_000);
        let report = oracle.with_seed(number("TENANCY_SEED", 1)).with_statements(statements).run().await?;
        println!("{oracle:?}\n{report}");
        assert!(report.differences.is_empty(), "see above");
        assert_eq!(report.statements, statements);
        assert!(report.refused_share() <= 0.05, "{:.3} refused", report.refused_share());
        assert!(report.valid_share() >= 0.85, "{:.3} valid", report.valid_share());
    }
    Ok(())
}

/// A broken rewriter that nobody notices would mean that this oracle shows nothing about an unbroken one.
#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rewriter_is_caught_within_the_budget_of_ci() -> TestResult {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let subject = Interceptor::new().with_policy(move |policy| policy.break_on_purpose(mutant));
        let oracle = Oracle::new(subject).with_seed(1).with_statements(STATEMENTS).with_calibration(0);
        let report = oracle.with_workers(1).with_max_differences(1).with_shrinking(false).run().await?;
        println!(
            "{mutant:?}: {} differences after {} statements",
            report.differences.len(),
            report.statements
        );
        if report.differences.is_empty() {
            missed.push(mutant);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
    Ok(())
}

/// A failure is cut down to what it needs, and the seed that it prints shows it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_made_small_and_replayed_by_its_seed() -> TestResult {
    let oracle =
        Oracle::new(Interceptor::new().with_policy(|policy| policy.break_on_purpose(Mutant::NoFilter)));
    let oracle = oracle.with_seed(3).with_calibration(0).with_workers(1).with_max_differences(1);
    let report = oracle.run().await?;
    let [found] = &report.differences[..] else { panic!("{report}") };
    assert!(found.statement.sql.len() <= found.found.sql.len(), "{found}");
    let again = oracle.replay(&found.seed.to_string()).await?;
    let [replayed] = &again.differences[..] else { panic!("{again}") };
    assert_eq!(replayed.found.sql, found.found.sql);
    assert_eq!(replayed.statement.sql, found.statement.sql);
    assert_eq!(oracle.replay("not a seed").await.expect_err("it is none").kind(), ErrorKind::Configuration);
    Ok(())
}

/// Refuses whatever it is given.
struct Wall;

impl Subject for Wall {
    fn prepare(&self, _: &World) -> Arc<dyn Scope> {
        Arc::new(Self)
    }
}

impl Scope for Wall {
    fn scope(&self, _: &TenantId, _: &Statement) -> Result<Scoped, Refusal> {
        Err(Refusal { construct: "everything".to_owned() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_everything_is_counted() -> TestResult {
    let report = Oracle::new(Wall).with_statements(100).with_calibration(0).with_workers(1).run().await?;
    assert!((report.refused_share() - 1.0).abs() < f64::EPSILON && report.ran == 0, "{report}");
    Ok(())
}

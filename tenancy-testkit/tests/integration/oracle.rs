//! The differential oracle over the rewriter of `tenancy-seaorm`, over row-level security, and over broken rewriters.
//!
//! DIFF of FLT-01 to FLT-19, FLT-21, FLT-29, FLT-30, FLT-33, FLT-34 and FLT-47: their statements are generated here.

use std::env;
use std::sync::Arc;

use tenancy_core::TenantId;
use tenancy_seaorm::{LeakyPredicates, Mutant};
use tenancy_testkit::ErrorKind;
use tenancy_testkit::oracle::{
    Connections, Interceptor, Model, Oracle, Refusal, RowSecurity, Scope, Scoped, Statement, Subject, World,
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
    assert!(
        report.alone.len() as u64 <= 1 + statements / 50_000,
        "fences cost too many statements their plans"
    );
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
        "mine behind OR",
        "mine in CASE",
        "mine in coalesce",
        "function of rows in FROM",
        "set of rows in SELECT",
        "array of a query",
        "bound pattern",
        "confusing name",
        "aggregate of the query around it",
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
    // Some of the statements that SQLite understands its parser here does not, and some it reads in an order of its own.
    for (oracle, statements, refused) in
        [(Connections::postgres(), 1_000, 0.05), (Connections::sqlite(), 5_000, 0.08)]
    {
        let statements = number("TENANCY_STATEMENTS", statements);
        let report = oracle.with_seed(number("TENANCY_SEED", 1)).with_statements(statements).run().await?;
        println!("{oracle:?}\n{report}");
        assert!(report.differences.is_empty(), "see above");
        assert_eq!(report.statements, statements);
        assert!(report.refused_share() <= refused, "{:.3} refused", report.refused_share());
        assert!(report.valid_share() >= 0.85, "{:.3} valid", report.valid_share());
    }
    Ok(())
}

/// What a tenant with its own schema cannot say: such a name would mean the shared table, with all tenants' rows.
const NAMES_A_SCHEMA: &str = "a tenant's table named with a schema";

async fn wherever_its_rows_are(model: Model, pooled: bool) -> TestResult {
    let statements = number("TENANCY_STATEMENTS", 300);
    let oracle = Connections::postgres().with_model(model).with_statements_per_world(100);
    let oracle = oracle.with_seed(number("TENANCY_SEED", 4)).with_statements(statements);
    let oracle = if pooled { oracle.with_pooler() } else { oracle };
    let mut report = oracle.run().await?;
    println!("{oracle:?}\n{report}");
    assert!(report.differences.is_empty(), "see above");
    assert_eq!(report.statements, statements);
    let named: u64 =
        report.refused.iter().filter(|(of, _)| of.ends_with(NAMES_A_SCHEMA)).map(|(_, n)| n).sum();
    assert_eq!(named > 0, model == Model::Schema, "{named} statements that name the shared tables");
    report.refused.retain(|construct, _| !construct.ends_with(NAMES_A_SCHEMA));
    assert!(report.refused_share() <= 0.05, "{:.3} refused", report.refused_share());
    assert!(report.valid_share() >= 0.85, "{:.3} valid", report.valid_share());
    Ok(())
}

/// Placement point 1: statements do what they do alone, wherever a tenant's rows are (SCH-06 to SCH-09, RLS-07).
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_connection_sees_its_rows_alone_wherever_they_are() -> TestResult {
    for model in Model::ALL {
        wherever_its_rows_are(model, false).await?;
    }
    Ok(())
}

/// Placement point 1: the same through PgBouncer in transaction mode (SCH-18).
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_connection_sees_its_rows_alone_behind_a_transaction_pooler() -> TestResult {
    for model in Model::ALL {
        wherever_its_rows_are(model, true).await?;
    }
    Ok(())
}

/// Without the filter, connections to shared tables are caught, directly and through the pooler …
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_shared_tables_without_a_filter_are_caught() -> TestResult {
    for pooled in [false, true] {
        let oracle = Connections::postgres().with_policy(|policy| policy.break_on_purpose(Mutant::NoFilter));
        let oracle = oracle.with_seed(1).with_statements(100).with_max_differences(1);
        let oracle = if pooled { oracle.with_pooler() } else { oracle };
        let report = oracle.run().await?;
        let [found] = &report.differences[..] else { panic!("{report}") };
        let again = oracle.replay(&found.seed.to_string()).await?;
        assert_eq!(again.differences[0].found.sql, found.found.sql);
    }
    let sqlite = Connections::sqlite().with_model(Model::Schema).run().await;
    assert_eq!(sqlite.expect_err("it has no schemas").kind(), ErrorKind::Configuration);
    Ok(())
}

/// … and where a wall, a schema or a database keeps tenants apart, nothing of another tenant shows without it.
///
/// What such a rewriter does not complete, conflict targets and functional dependencies, is refused by the database
/// (RLS-12): an error, where the twin gives rows.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_filter_the_second_fence_shows_nothing_of_others() -> TestResult {
    for model in [Model::Walled, Model::Schema, Model::Database] {
        let oracle = Connections::postgres().with_model(model).with_statements(200).with_max_differences(200);
        let oracle = oracle.with_policy(|policy| policy.break_on_purpose(Mutant::NoFilter)).with_seed(1);
        let mut report = oracle.run().await?;
        report.differences.retain(|difference| difference.subject.sqlstate.is_none());
        assert!(report.differences.is_empty(), "{model}: {report}");
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

/// FLT-33: without fences, statements come upon mines because of others' rows. Those are not taken for the statements' own.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_others_rows_make_is_not_the_statements_own() -> TestResult {
    let subject =
        Interceptor::new().with_policy(|policy| policy.leaky_predicates(LeakyPredicates::SecondWall));
    let oracle = Oracle::new(subject).with_seed(1).with_statements(STATEMENTS).with_calibration(0);
    let report = oracle.with_shrinking(false).with_max_differences(40).run().await?;
    let mined = report.differences.iter().filter(|found| found.found.constructs.contains(&"mine")).count();
    println!("{mined} of {} differences, {} of their own", report.differences.len(), report.alone.len());
    assert!(mined > 5, "{mined} errors crossed by mines");
    assert!(report.alone.len() < mined, "{} are the statements' own", report.alone.len());
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

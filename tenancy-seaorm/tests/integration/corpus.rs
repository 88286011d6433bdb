//! Hard statements, against databases that physically hold one tenant's rows alone.
//!
//! A statement through the tenant's connection must give what the same statement gives there: the same rows, the same
//! number of them written, the same error code, the same rows afterwards; and every other tenant's rows stay as they
//! are. A statement that is marked as refused must be, with that kind.
//!
//! The titles of the cases cite threats: outer joins (FLT-02), second tables of a write (FLT-15), and many more.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, JsonValue, Statement};
use tenancy_seaorm::{DatabaseFault, Error, LeakyPredicates, Mutant, PolicyBuilder};

use crate::fixture::{Model, OWNED, Shop, fill, policy};

struct Case {
    title: String,
    only: Option<DbBackend>,
    refused: Option<String>,
    sql: String,
}

fn cases(backend: DbBackend) -> Vec<Case> {
    let cases = include_str!("../corpus/statements.sql").split("\n--#\n").map(|text| {
        let mark = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).map(str::to_owned);
        Case {
            title: text.lines().next().unwrap_or_default().trim_start_matches("-- ").to_owned(),
            only: mark("-- only: ").map(|name| match name.as_str() {
                "sqlite" => DbBackend::Sqlite,
                "mariadb" => DbBackend::MySql,
                _ => DbBackend::Postgres,
            }),
            refused: mark("-- refused: "),
            sql: text.to_owned(),
        }
    });
    let elsewhere = |case: &Case| backend == DbBackend::MySql && case.sql.contains("\n-- not: mariadb\n");
    cases.filter(|case| case.only.is_none_or(|only| only == backend) && !elsewhere(case)).collect()
}

/// What a statement did, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Rows(Vec<String>),
    Written(u64),
    Failed(Option<String>),
}

async fn run<C: ConnectionTrait>(db: &C, sql: &str) -> Result<Outcome, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let code: String = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let writes = ["INSERT", "UPDATE", "DELETE"].iter().any(|word| code.starts_with(word));
    let writes = writes || code.contains("INSERT INTO");
    let result = if writes && !code.contains("RETURNING") || code.contains("RETURNING order_id") {
        db.execute_raw(statement).await.map(|done| Outcome::Written(done.rows_affected()))
    } else {
        db.query_all_raw(statement).await.map(|rows| {
            let row = |row| JsonValue::from_query_result(row, "").expect("a row as JSON").to_string();
            let mut rows: Vec<_> = rows.iter().map(row).collect();
            rows.sort();
            Outcome::Rows(rows)
        })
    };
    match result {
        Ok(outcome) => Ok(outcome),
        Err(error) if Error::of(&error).is_some() => Err(error),
        Err(error) => Ok(Outcome::Failed(code_of(&error))),
    }
}

fn code_of(error: &DbErr) -> Option<String> {
    if let Some(fault) = DatabaseFault::of(error) {
        return fault.unscrubbed().code().map(Into::into);
    }
    let (DbErr::Exec(sea_orm::RuntimeErr::SqlxError(e)) | DbErr::Query(sea_orm::RuntimeErr::SqlxError(e))) =
        error
    else {
        return None;
    };
    e.as_database_error().and_then(|e| e.code()).map(Into::into)
}

/// All rows of every owned table, of one tenant or of all others.
async fn dump(db: &DatabaseConnection, condition: &str) -> Vec<String> {
    let mut all = Vec::new();
    for table in OWNED {
        let sql = format!("SELECT * FROM {table} WHERE {condition}");
        let rows =
            db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("a dump");
        let line = |row| format!("{table} {}", JsonValue::from_query_result(row, "").expect("a row as JSON"));
        all.extend(rows.iter().map(line));
    }
    all.sort();
    all
}

/// Runs every statement of the corpus for tenants a, b and one without rows; returns what differs.
async fn differences(backend: DbBackend, policy: fn() -> PolicyBuilder) -> Vec<String> {
    let shared = Shop::on(backend, policy()).await;
    let alone = [Shop::alone(backend, 1).await, Shop::alone(backend, 2).await, Shop::alone(backend, 3).await];
    differences_in(backend, &shared, &alone, |_| true).await
}

/// A case that only shared tables with fences keep: no wall orders nested queries, and a schema's table has another name.
const FENCED: &str = "\n-- fenced, in shared tables\n";

/// The same on databases that are there: one shared, and one for each tenant alone.
pub(crate) async fn differences_on(backend: DbBackend, shared: &Shop, alone: &[Shop]) -> Vec<String> {
    differences_in(backend, shared, alone, |case| !case.sql.contains(FENCED)).await
}

async fn differences_in(
    backend: DbBackend,
    shared: &Shop,
    alone: &[Shop],
    wanted: fn(&Case) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (alone, id) in alone.iter().zip(1..) {
        for case in cases(backend).into_iter().filter(wanted) {
            fill(&shared.raw).await.expect("rows");
            alone.keep_only(id).await;
            if let Some(difference) = compare(shared, &alone.raw, &case, id).await {
                found.push(format!("{} (tenant {id}): {difference}", case.title));
            }
        }
    }
    found
}

async fn compare(shared: &Shop, alone: &DatabaseConnection, case: &Case, id: i64) -> Option<String> {
    let (own, others) = (format!("tenant_id = {id}"), format!("tenant_id <> {id}"));
    let before = dump(&shared.raw, &others).await;
    let here = match (run(&shared.connect(id).await, &case.sql).await, &case.refused) {
        (Err(error), Some(kind)) if Error::of(&error).is_some_and(|e| e.kind().as_str() == kind) => {
            return None;
        }
        (Err(error), expected) => return Some(format!("refused as {error}, expected {expected:?}")),
        (Ok(outcome), Some(kind)) => return Some(format!("not refused as {kind}: {outcome:?}")),
        (Ok(outcome), None) => outcome,
    };
    let there = run(alone, &case.sql).await.expect("nothing is refused without a policy");
    if dump(&shared.raw, &others).await != before {
        return Some(CHANGED.to_owned());
    }
    if here != there {
        return Some(format!("{here:?} instead of {there:?}"));
    }
    let (here, there) = (dump(&shared.raw, &own).await, dump(alone, &own).await);
    (here != there).then(|| format!("afterwards {here:?} instead of {there:?}"))
}

const CHANGED: &str = "another tenant's rows changed";

#[tokio::test]
async fn statements_on_sqlite_see_one_tenant() {
    let found = differences(DbBackend::Sqlite, || policy().leaky_predicates(LeakyPredicates::Fence)).await;
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[tokio::test]
async fn statements_on_postgres_see_one_tenant() {
    let found = differences(DbBackend::Postgres, || policy().leaky_predicates(LeakyPredicates::Fence)).await;
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// The statements that a tenant with its own schema cannot say: they name the shared table.
const NAMES_A_SCHEMA: &str = "a tenant's table named with a schema";

async fn differences_of(model: Model, policy: fn() -> PolicyBuilder) -> Vec<String> {
    let backend = DbBackend::Postgres;
    let shared = Shop::placed(model, policy()).await;
    let alone = [Shop::alone(backend, 1).await, Shop::alone(backend, 2).await, Shop::alone(backend, 3).await];
    let mut found = differences_on(backend, &shared, &alone).await;
    found.retain(|difference| !difference.contains(NAMES_A_SCHEMA));
    found
}

/// Placement point 1: the same statements, wherever a tenant's rows are.
#[tokio::test]
async fn statements_see_one_tenant_wherever_its_rows_are() {
    for model in Model::OTHERS {
        let found = differences_of(model, || policy().leaky_predicates(LeakyPredicates::Fence)).await;
        assert!(found.is_empty(), "{model:?}: {} differences:\n{}", found.len(), found.join("\n"));
    }
}

/// Placement point 1: the same through PgBouncer in transaction mode.
#[tokio::test]
async fn statements_see_one_tenant_behind_a_transaction_pooler() {
    for model in Model::POOLED {
        let found = differences_of(model, || policy().leaky_predicates(LeakyPredicates::Fence)).await;
        assert!(found.is_empty(), "{model:?}: {} differences:\n{}", found.len(), found.join("\n"));
    }
}

/// Placement point 5: without the filter, the second wall keeps tenants apart.
#[tokio::test]
async fn row_level_security_alone_keeps_tenants_apart() {
    let unfiltered =
        || policy().leaky_predicates(LeakyPredicates::SecondWall).break_on_purpose(Mutant::NoFilter);
    for model in [Model::Walled, Model::WalledSession] {
        let mut found = differences_of(model, unfiltered).await;
        // A rewriter without a filter does not complete conflict targets either. The database refuses them then, or
        // writes nothing, as RLS-12 says; it shows and changes no row of another tenant.
        found.retain(|difference| !difference.starts_with("FLT-19 upsert"));
        // Nor is the wall asked first where a function of constants alone may fail: PostgreSQL sees no row go into it.
        found.retain(|difference| !difference.starts_with("FLT-33 a stable function of constants"));
        assert!(found.is_empty(), "{model:?}: {} differences:\n{}", found.len(), found.join("\n"));
    }
}

/// Placement point 5: without a filter and without a wall, the same statements show and change rows of tenant b to a.
///
/// Refusals are no leak: only statements count that were let through, and gave what stands in b's rows alone.
#[tokio::test]
async fn where_both_walls_are_down_the_corpus_shows_foreign_rows() {
    let open = || policy().leaky_predicates(LeakyPredicates::Fence).break_on_purpose(Mutant::NoFilter);
    let found = differences_of(Model::Row, open).await;
    let of_a = || found.iter().filter(|difference| difference.contains("(tenant 1): "));
    let told = |difference: &&String| {
        let (given, expected) = difference.split_once(" instead of ").unwrap_or((difference.as_str(), ""));
        given.contains("): Rows(")
            && FOREIGN.iter().any(|text| given.contains(text) && !expected.contains(text))
    };
    let (shown, changed) = (of_a().filter(told).count(), of_a().filter(|d| d.contains(CHANGED)).count());
    println!("{} differences; {shown} statements show rows of b, {changed} change them", found.len());
    assert!(shown >= 20, "{shown} statements show rows of tenant b:\n{}", found.join("\n"));
    assert!(changed >= 3, "{changed} statements change rows of tenant b:\n{}", found.join("\n"));
}

/// What stands in rows of tenant b and in no others.
const FOREIGN: [&str; 8] = ["b-ann", "b-cid", "b-one", "b-three", "b-four", "b-red", "b-blue", "SECRET-"];

/// FLT-33, FLT-34: behind the wall, predicates need no fence: PostgreSQL orders them.
#[tokio::test]
async fn behind_the_second_wall_errors_do_not_cross() {
    let found =
        differences_of(Model::Walled, || policy().leaky_predicates(LeakyPredicates::SecondWall)).await;
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

macro_rules! caught {
    ($($name:ident: $mutant:ident),* $(,)?) => { $(
        #[tokio::test]
        async fn $name() {
            let broken = || policy().leaky_predicates(LeakyPredicates::Fence).break_on_purpose(Mutant::$mutant);
            assert!(!differences(DbBackend::Sqlite, broken).await.is_empty(), "nobody noticed");
        }
    )* };
}

caught! {
    a_rewriter_without_a_filter_is_caught: NoFilter,
    a_rewriter_that_skips_a_side_of_joins_is_caught: JoinSide,
    a_rewriter_that_skips_nested_queries_is_caught: Subquery,
    a_rewriter_that_skips_common_table_expressions_is_caught: Cte,
    a_rewriter_without_parentheses_is_caught: OrPrecedence,
    a_rewriter_that_skips_the_source_of_updates_is_caught: UpdateSource,
    a_rewriter_that_skips_queries_in_returning_is_caught: Returning,
    a_rewriter_that_leaves_upserts_alone_is_caught: UpsertTarget,
}

/// FLT-33, FLT-34: a plain filter does not keep errors apart; the fence does, as the tests above show.
#[tokio::test]
async fn without_a_fence_errors_cross_on_postgres() {
    let unfenced =
        || policy().leaky_predicates(LeakyPredicates::SecondWall).break_on_purpose(Mutant::AssumedWall);
    let found = differences(DbBackend::Postgres, unfenced).await;
    assert!(found.iter().any(|difference| difference.starts_with("FLT-33")), "{found:?}");
    assert!(
        found.iter().all(|difference| difference.starts_with("FLT-33") || difference.starts_with("FLT-34")),
        "{found:?}"
    );
}

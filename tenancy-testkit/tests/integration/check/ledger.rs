//! A ledger on PostgreSQL whose rows change at the wrong time, or in the wrong place.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres, Transaction};
use tenancy_testkit::TestDatabase;
use tenancy_testkit::check::{Check, Credential, Detector, Leak, Operation, Service, Verdict, World};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long work in the background takes: longer than an operation is waited for by default.
const LATER: Duration = Duration::from_millis(220);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    None,
    /// D4: whoever asks for a balance in nobody's name is counted against the first tenant.
    Counted,
    /// D4: some time after an entry was made, everybody's are touched.
    TouchedLater,
    /// Benign: some time after an entry was made, its own tenant's are touched.
    OwnLater,
    /// Benign: the same on a runtime of its own, where nobody can wait for it.
    OwnElsewhere,
    /// D4: where a tenant's table is missing, the one that nobody owns is written to.
    FallThrough,
    /// Benign: where a tenant's table is missing, its requests fail.
    Missing,
}

struct Ledger {
    bug: Bug,
    pool: PgPool,
    elsewhere: Option<UnboundedSender<String>>,
    tenants: Vec<String>,
}

type Answer = Result<Json<Value>, StatusCode>;

fn broken(_: sqlx::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

impl Ledger {
    fn tenant(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // In every spelling that a client may use.
        let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let name = host.strip_suffix(".ledger.test").ok_or(StatusCode::BAD_REQUEST)?;
        let known = self.tenants.iter().find(|known| *known == name);
        known.cloned().ok_or(StatusCode::NOT_FOUND)
    }

    /// Touches the entries of `tenant`, or of everybody, when the answer is long given.
    fn touch_later(&self, tenant: String) {
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.send(tenant).expect("it lives as long as the ledger"),
            None => drop(tokio::spawn(touched(self.pool.clone(), tenant, self.bug == Bug::TouchedLater))),
        }
    }
}

async fn touched(pool: PgPool, tenant: String, all: bool) {
    tokio::time::sleep(LATER).await;
    let touch = "UPDATE entries SET touched = touched + 1 WHERE $1 OR tenant = $2";
    // The database may be gone with its program.
    let _ = sqlx::query(touch).bind(all).bind(tenant).execute(&pool).await;
}

/// Touches the entries of whoever is sent, on a thread and a runtime of its own.
fn elsewhere(url: String) -> UnboundedSender<String> {
    let (sender, mut tenants) = unbounded_channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let pool = PgPool::connect(&url).await.expect("a connection");
            while let Some(tenant) = tenants.recv().await {
                tokio::spawn(touched(pool.clone(), tenant, false));
            }
        });
    });
    sender
}

async fn balance(State(ledger): State<Arc<Ledger>>, headers: HeaderMap) -> Answer {
    let tenant = ledger.tenant(&headers);
    if tenant.is_err() && ledger.bug == Bug::Counted {
        let count = "UPDATE entries SET touched = touched + 1 WHERE tenant = $1";
        sqlx::query(count).bind(&ledger.tenants[0]).execute(&ledger.pool).await.map_err(broken)?;
    }
    list_of(&ledger, &tenant?).await
}

async fn list(State(ledger): State<Arc<Ledger>>, headers: HeaderMap) -> Answer {
    list_of(&ledger, &ledger.tenant(&headers)?).await
}

async fn list_of(ledger: &Ledger, tenant: &str) -> Answer {
    if ledger.bug == Bug::OwnElsewhere {
        // So that programs are still running when the entries are touched: a handful of lists later.
        tokio::time::sleep(LATER / 5).await;
    }
    let notes = sqlx::query_scalar("SELECT note FROM entries WHERE tenant = $1 ORDER BY 1").bind(tenant);
    let notes: Vec<String> = notes.fetch_all(&ledger.pool).await.map_err(broken)?;
    Ok(Json(json!({ "notes": notes })))
}

async fn create(State(ledger): State<Arc<Ledger>>, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    let tenant = ledger.tenant(&headers)?;
    let note = body["note"].as_str().ok_or(StatusCode::UNPROCESSABLE_ENTITY)?;
    let insert = sqlx::query("INSERT INTO entries (tenant, note) VALUES ($1, $2)").bind(&tenant).bind(note);
    insert.execute(&ledger.pool).await.map_err(broken)?;
    if matches!(ledger.bug, Bug::TouchedLater | Bug::OwnLater | Bug::OwnElsewhere) {
        ledger.touch_later(tenant);
    }
    Ok(Json(json!({ "note": note })))
}

async fn start(bug: Bug, world: World) -> Result<Service, Error> {
    let database = TestDatabase::create().await?;
    let mut owner = PgConnection::connect(database.owner_url()).await?;
    owner.execute("CREATE TABLE entries (tenant text, note text, touched int DEFAULT 0)").await?;
    for tenant in world.tenants() {
        let insert = sqlx::query("INSERT INTO entries VALUES ($1, $2)").bind(tenant.slug());
        insert.bind(tenant.canary(0)).execute(&mut owner).await?;
    }
    let pool = PgPool::connect(database.app_url()).await?;
    let tenants = world.tenants().map(|tenant| tenant.slug().to_owned()).collect();
    let elsewhere = (bug == Bug::OwnElsewhere).then(|| elsewhere(database.app_url().to_owned()));
    let router = Router::new()
        .route("/balance", get(balance))
        .route("/entries", get(list).post(create))
        .with_state(Arc::new(Ledger { bug, pool, elsewhere, tenants }));
    Ok(described(router, [Operation::get("/balance"), Operation::get("/entries")])
        .with_operation(Operation::post("/entries").with_body_like(json!({ "note": "as usual" })))
        .with_tenant_column(database.admin_url(), "tenant", |tenant| tenant.slug().to_owned())
        .with_guard(database))
}

fn described(router: Router, operations: impl IntoIterator<Item = Operation>) -> Service {
    let service = Service::new(router).with_credential("host", |tenant| {
        Credential::new().with_host(format!("{}.ledger.test", tenant.slug()))
    });
    operations.into_iter().fold(service, Service::with_operation)
}

/// The tables of a tenant, each in a schema of its own and once more in `public`.
const TABLES: [&str; 4] = ["a", "b", "c", "d"];

/// A service with a schema for each tenant: each table is added to by a request of its own.
async fn start_schemas(bug: Bug, world: World) -> Result<Service, Error> {
    let database = TestDatabase::create().await?;
    let mut owner = PgConnection::connect(database.owner_url()).await?;
    let tenants: Vec<String> = world.tenants().map(|tenant| tenant.slug().to_owned()).collect();
    for schema in tenants.iter().map(String::as_str).chain(["public"]) {
        let tables = TABLES.map(|table| format!("CREATE TABLE \"{schema}\".{table} (note text);"));
        let all = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"; {}", tables.concat());
        sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut owner).await?;
    }
    let pool = PgPool::connect(database.app_url()).await?;
    let router = Router::new().route("/{table}", get(rows_of).post(add_to));
    let router = router.with_state(Arc::new(Ledger { bug, pool, elsewhere: None, tenants }));
    let add = TABLES
        .map(|table| Operation::post(format!("/{table}")).with_body_like(json!({ "note": "as usual" })));
    let show = TABLES.map(|table| Operation::get(format!("/{table}")));
    Ok(described(router, add.into_iter().chain(show))
        .with_schemas(database.admin_url(), |tenant| tenant.slug().to_owned())
        .with_guard(database))
}

/// Where a tenant's table is looked for. The last of them alone has the bug: it takes all to be missing once.
fn path(ledger: &Ledger, tenant: &str, table: &str) -> String {
    let last = Some(&table) == TABLES.last().as_ref().copied();
    let behind = if ledger.bug == Bug::FallThrough && last { ", public" } else { "" };
    format!("SET LOCAL search_path = \"{tenant}\"{behind}")
}

/// A transaction that finds the tables of the tenant whose request it is.
async fn begun(
    ledger: &Ledger,
    headers: &HeaderMap,
    table: &str,
) -> Result<Transaction<'static, Postgres>, StatusCode> {
    let path = path(ledger, &ledger.tenant(headers)?, table);
    let mut transaction = ledger.pool.begin().await.map_err(broken)?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(path)).execute(&mut *transaction).await.map_err(broken)?;
    Ok(transaction)
}

async fn add_to(
    State(ledger): State<Arc<Ledger>>,
    Path(table): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let mut transaction = begun(&ledger, &headers, &table).await?;
    let note = body["note"].as_str().ok_or(StatusCode::UNPROCESSABLE_ENTITY)?.replace('\'', "");
    let insert = format!("INSERT INTO {table} VALUES ('{note}')");
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut *transaction).await.map_err(broken)?;
    transaction.commit().await.map_err(broken)?;
    Ok(Json(json!({ "note": note })))
}

async fn rows_of(State(ledger): State<Arc<Ledger>>, Path(table): Path<String>, headers: HeaderMap) -> Answer {
    let mut transaction = begun(&ledger, &headers, &table).await?;
    let rows = format!("SELECT note FROM {table} ORDER BY 1");
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).persistent(false);
    let rows: Vec<String> = rows.fetch_all(&mut *transaction).await.map_err(broken)?;
    Ok(Json(json!({ "notes": rows })))
}

fn check(bug: Bug) -> Check {
    let check = Check::new(move |world| async move {
        match bug {
            Bug::FallThrough | Bug::Missing => start_schemas(bug, world).await,
            _ => start(bug, world).await,
        }
    });
    check.with_budget(super::LONG).with_programs(8)
}

fn searched(bug: Bug) -> Verdict {
    check(bug).run().unwrap_or_else(|error| panic!("{bug:?}: {error:?}"))
}

/// The leak by changed rows, found at once, which its seed shows again.
fn rows_changed(bug: Bug) -> Leak {
    let verdict = searched(bug);
    assert_eq!(verdict.doubtful, [""; 0], "{bug:?}: nobody else is suspected on the way");
    let leak = verdict.leak.unwrap_or_else(|| panic!("{bug:?} was not found"));
    assert_eq!(leak.detector, Detector::Rows, "{bug:?}: {leak}");
    let again = check(bug).replay(&leak.seed).expect("the seed reads");
    assert_eq!(again.map(|again| again.detector), Some(Detector::Rows), "{bug:?}: {leak}");
    leak
}

/// KIT-07: after requests that nobody may have served, rows are looked at for several of them at once; what has changed is
/// put down to the one that did it.
#[test]
fn a_row_that_a_refused_request_has_changed_is_put_down_to_that_request() {
    let leak = rows_changed(Bug::Counted);
    assert_eq!((leak.operation.as_str(), leak.steps), ("GET /balance", 1), "{leak}");
}

/// KIT-07: what a request leaves running is waited for, and its changes are its own.
#[test]
fn a_row_that_changes_long_after_the_answer_is_put_down_to_the_request() {
    let leak = rows_changed(Bug::TouchedLater);
    assert_eq!((leak.operation.as_str(), leak.steps), ("POST /entries", 1), "{leak}");
}

/// KIT-10: the twin of both: what changes late is the tenant's own, and nobody is suspected, not even for a moment.
#[test]
fn rows_of_ones_own_may_change_late() {
    for bug in [Bug::None, Bug::OwnLater] {
        let verdict = searched(bug);
        assert!(verdict.leak.is_none(), "{bug:?}: {}", verdict.leak.expect("a leak"));
        assert_eq!(verdict.doubtful, [""; 0], "{bug:?}");
    }
}

/// KIT-10: what cannot be waited for is looked at again when all is quiet, and is no leak then.
#[test]
fn rows_of_ones_own_may_change_when_nobody_can_wait_for_it() {
    let verdict = check(Bug::OwnElsewhere).with_programs(6).run().expect("it runs");
    assert!(verdict.leak.is_none(), "{}", verdict.leak.expect("a leak"));
    let suspected = |doubt: &String| doubt.contains("another tenant's rows have changed");
    assert!(verdict.doubtful.iter().any(suspected), "{:?}", verdict.doubtful);
}

/// Each table is missing once: the one with the bug behind it, too.
#[test]
fn what_answers_in_the_place_of_a_missing_table_is_found() {
    let leak = rows_changed(Bug::FallThrough);
    assert_eq!(leak.operation, "POST /d", "{leak}");
}

/// The twin: a request that fails because its table is missing is no leak, and its answer no difference.
#[test]
fn a_table_that_is_missing_may_be_missed() {
    let verdict = searched(Bug::Missing);
    assert!(verdict.leak.is_none(), "{}", verdict.leak.expect("a leak"));
    assert_eq!(verdict.doubtful, [""; 0]);
}

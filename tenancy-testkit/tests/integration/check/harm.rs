//! Breaks on the way to the database: what a service does then is what the next tenant gets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tenancy_testkit::check::{Check, Credential, Detector, Operation, Service, Standing, Verdict, World};
use tenancy_testkit::proxy::PgProxy;
use tenancy_testkit::{ErrorKind, TestDatabase};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    None,
    /// D1: where the database does not answer, the last answer is given, whoever got it.
    LastAnswer,
    /// D6: what a request that is dropped has set stays set.
    AsItIs,
}

struct Notes {
    bug: Bug,
    pool: PgPool,
    tenants: Vec<String>,
    last: Mutex<Vec<String>>,
}

/// The tenant's notes. Whom a connection works for ends with the transaction, however that ends.
async fn of(pool: &PgPool, tenant: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let set = "SELECT set_config('notes.tenant', $1, true)";
    sqlx::query(set).bind(tenant).execute(&mut *transaction).await?;
    let notes = "SELECT note FROM notes WHERE tenant = current_setting('notes.tenant')";
    let notes = sqlx::query_scalar(notes).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(notes)
}

/// The same, if nothing comes between.
async fn of_session(pool: &PgPool, tenant: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let set = "SELECT set_config('notes.tenant', $1, false)";
    sqlx::query(set).bind(tenant).execute(&mut *connection).await?;
    let notes = "SELECT note FROM notes WHERE tenant = current_setting('notes.tenant')";
    let notes = sqlx::query_scalar(notes).fetch_all(&mut *connection).await?;
    sqlx::query(set).bind("").execute(&mut *connection).await?;
    Ok(notes)
}

async fn list(State(notes): State<Arc<Notes>>, headers: HeaderMap) -> Result<Json<Vec<String>>, StatusCode> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let tenant = host.strip_suffix(".notes.test").ok_or(StatusCode::BAD_REQUEST)?;
    let known = notes.tenants.iter().any(|known| known == tenant);
    let found = match notes.bug {
        _ if !known => return Err(StatusCode::NOT_FOUND),
        Bug::AsItIs => of_session(&notes.pool, tenant).await,
        _ => of(&notes.pool, tenant).await,
    };
    let mut last = notes.last.lock().unwrap_or_else(PoisonError::into_inner);
    match found {
        Ok(found) => {
            last.clone_from(&found);
            Ok(Json(found))
        }
        Err(_) if notes.bug == Bug::LastAnswer => Ok(Json(last.clone())),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Where the proxy is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proxy {
    /// There is none.
    Absent,
    /// Before the database.
    Before,
    /// Where no connection of the service comes by.
    Beside,
}

async fn start(bug: Bug, place: Proxy, world: World) -> Result<Service, Error> {
    let database = TestDatabase::create().await?;
    let mut owner = PgConnection::connect(database.owner_url()).await?;
    owner.execute("CREATE TABLE notes (tenant text, note text)").await?;
    for tenant in world.tenants().filter(|tenant| tenant.standing() == Standing::Active) {
        let insert = sqlx::query("INSERT INTO notes VALUES ($1, $2)").bind(tenant.slug());
        insert.bind(tenant.canary(0)).execute(&mut owner).await?;
    }
    let proxy = Arc::new(PgProxy::start(database.app_url()).await?);
    let url =
        if place == Proxy::Before { proxy.url(database.app_url())? } else { database.app_url().to_owned() };
    let options = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let pool = options.acquire_timeout(Duration::from_secs(5)).connect(&url).await?;
    let tenants = world.tenants().map(|tenant| tenant.slug().to_owned()).collect();
    let notes = Arc::new(Notes { bug, pool: pool.clone(), tenants, last: Mutex::default() });
    let asked = Arc::new(AtomicU64::new(u64::from(place != Proxy::Before)));
    let service = Service::new(Router::new().route("/notes", get(list)).with_state(notes))
        .with_credential("host", |tenant| {
            Credential::new().with_host(format!("{}.notes.test", tenant.slug()))
        })
        .with_operation(Operation::get("/notes"))
        .with_connection_state(move || state(pool.clone(), Arc::clone(&asked)))
        .with_guard(database);
    Ok(if place == Proxy::Absent { service } else { service.with_faults(proxy) })
}

/// What a connection is like. Where connections break, every other one that is asked for is gone.
async fn state(pool: PgPool, asked: Arc<AtomicU64>) -> Result<BTreeMap<String, String>, sqlx::Error> {
    if asked.fetch_add(2, Ordering::Relaxed).is_multiple_of(4) {
        return Err(sqlx::Error::PoolClosed);
    }
    let tenant = "SELECT coalesce(current_setting('notes.tenant', true), '')";
    let tenant: String = sqlx::query_scalar(tenant).fetch_one(&pool).await?;
    Ok(BTreeMap::from([("tenant".to_owned(), tenant)]))
}

fn searched(bug: Bug, place: Proxy) -> Result<Verdict, tenancy_testkit::Error> {
    Check::new(move |world| start(bug, place, world)).with_budget(super::LONG).with_programs(8).run()
}

#[test]
fn what_a_service_does_when_its_database_breaks_off_is_searched() -> Result<(), tenancy_testkit::Error> {
    let leak = searched(Bug::LastAnswer, Proxy::Before)?.leak.expect("the last answer was somebody else's");
    assert_eq!(leak.detector, Detector::Canary, "{leak}");
    assert!(leak.to_string().contains("of the database is"), "{leak}");
    let again = Check::new(|world| start(Bug::LastAnswer, Proxy::Before, world)).replay(&leak.seed)?;
    assert!(again.is_some(), "{leak}");
    // A database that always answers does not show it.
    let quiet = searched(Bug::LastAnswer, Proxy::Absent)?;
    assert!(quiet.leak.is_none(), "{}", quiet.leak.expect("a leak"));
    Ok(())
}

#[test]
fn what_a_dropped_request_leaves_on_its_connection_is_seen() -> Result<(), tenancy_testkit::Error> {
    let leak =
        searched(Bug::AsItIs, Proxy::Before)?.leak.expect("the next request works for the last tenant");
    assert_eq!(leak.detector, Detector::Connection, "{leak}");
    Ok(())
}

/// The twin: a request that fails is no leak, and neither is a connection that is gone.
#[test]
fn a_service_that_fails_where_its_database_does_is_not_to_blame() -> Result<(), tenancy_testkit::Error> {
    let verdict = searched(Bug::None, Proxy::Before)?;
    assert!(verdict.leak.is_none(), "{}", verdict.leak.expect("a leak"));
    assert_eq!(verdict.programs, 8);
    Ok(())
}

/// KIT-02: faults that nothing meets prove nothing.
#[test]
fn a_proxy_beside_the_connections_makes_the_run_void() {
    let error = searched(Bug::LastAnswer, Proxy::Beside).expect_err("nothing was harmed");
    assert_eq!(error.kind(), ErrorKind::Void);
    assert!(error.to_string().contains("do not go through the proxy"), "{error}");
}

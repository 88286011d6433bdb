//! From a database URL to a service that is served.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Method;
use axum::routing::get;
use sea_orm::{
    ColumnTrait, ConnectOptions, Database, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder,
};
use tenancy_core::{
    Domain, HeaderStrategy, MemoryCatalog, Resolver, SubdomainStrategy, Tenant, TenantId, TrustedProxies,
};
use tenancy_seaorm::rls::IdType;
use tenancy_seaorm::{Policy, PolicyBuilder, Tenancy};
use tenancy_tower::ResolveTenantLayer;
use tokio::net::TcpListener;
use tower_http::trace::TraceLayer;

use crate::api::{App, Cursor};
use crate::entity::{self, deployment, tenant, user, workflow};
use crate::probe::Facts;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The service, ready to be served.
#[derive(Debug)]
pub struct Service {
    pub router: Router,
    pub app: App,
    pub facts: Facts,
    pub backend: &'static str,
}

/// Opens the database, makes and fills the tables where they are missing, and builds the service.
pub async fn prepare(database_url: &str, policy: Policy) -> Result<Service, Error> {
    let mut options = ConnectOptions::new(database_url);
    options.sqlx_logging(false).test_before_acquire(false);
    if database_url.contains(":memory:") {
        // Each connection to an in-memory SQLite is a database of its own.
        options.max_connections(1).min_connections(1);
    }
    let db = Database::connect(options).await?;
    entity::create_tables(&db).await?;
    crate::seed::fill(&db).await?;
    let backend = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => "PostgreSQL",
        _ => "an embedded SQLite",
    };
    let facts = load_facts(&db).await?;
    let (router, app) = over(db, policy).await?;
    Ok(Service { router, app, facts, backend })
}

/// Builds the service over tables as they are: a test fills them with tenants of its own.
pub async fn over(db: DatabaseConnection, policy: Policy) -> Result<(Router, App), Error> {
    let catalog = load_catalog(&db).await?;
    // From here on nobody holds the raw connection: what reaches the tables is scoped to a tenant.
    scoped(Tenancy::new(db, policy)?, catalog)
}

/// The same with row-level security behind the filter, which has to be in force on PostgreSQL for the role of `db`.
pub async fn over_two_walls(db: DatabaseConnection, policy: Policy) -> Result<(Router, App), Error> {
    let catalog = load_catalog(&db).await?;
    scoped(Tenancy::new(db, policy)?.with_row_security(IdType::BigInt).await?, catalog)
}

fn scoped(tenancy: Tenancy, catalog: MemoryCatalog) -> Result<(Router, App), Error> {
    let app = App::new(tenancy);
    Ok((router(app.clone(), catalog)?, app))
}

/// Whose rows the tables hold. `tenants` is not declared, so that no handler can read it.
pub fn policy() -> Result<Policy, tenancy_seaorm::Error> {
    policy_builder().build()
}

/// The same, not built yet: a test takes the filter out of it.
pub fn policy_builder() -> PolicyBuilder {
    Policy::builder().owned(user::Entity).owned(workflow::Entity).owned(deployment::Entity)
}

async fn load_catalog(db: &DatabaseConnection) -> Result<MemoryCatalog, Error> {
    let catalog = MemoryCatalog::builder().with_base_domains([Domain::new("localhost")?]).build();
    for row in tenant::Entity::find().all(db).await? {
        let tenant = Tenant::builder(TenantId::integer(row.id)?, row.slug.parse()?)
            .with_name(row.name)
            .with_status(row.status.parse()?)
            .with_plan(row.plan);
        catalog.insert(tenant.build()?)?;
    }
    Ok(catalog)
}

fn router(app: App, catalog: MemoryCatalog) -> Result<Router, tenancy_core::Error> {
    // Two ways to name a tenant; a request that uses both must name the same one. This service trusts the header from
    // its own machine alone, as it would trust it from a gateway.
    let resolver = Resolver::builder(Arc::new(catalog))
        .with_strategy(SubdomainStrategy::new([Domain::new("localhost")?]))
        .with_strategy(HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback()))
        .build()?;
    let layer = ResolveTenantLayer::new(resolver)
        .with_public_route(Method::GET, "/health")
        .with_peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()));
    Ok(crate::api::routes(app)
        .route("/health", get(async || "ok"))
        .layer(layer)
        .layer(TraceLayer::new_for_http()))
}

/// Serves until `stop`, then lets the requests that are under way finish.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}

/// Waits for Ctrl-C, or for SIGTERM where there is such a thing.
pub async fn interrupted() {
    let ctrl_c = async { tokio::signal::ctrl_c().await.expect("the signal handler can be installed") };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("the signal handler can be installed");
        tokio::select! {
            () = ctrl_c => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}

/// What the examples need to know of the rows.
async fn load_facts(db: &DatabaseConnection) -> Result<Facts, Error> {
    let newest = |tenant: i64| {
        deployment::Entity::find()
            .filter(deployment::Column::TenantId.eq(tenant))
            .order_by_desc(deployment::Column::Id)
            .one(db)
    };
    let (mine, theirs) = (newest(1).await?.ok_or("no rows")?, newest(2).await?.ok_or("no rows")?);
    let their_cursor = Cursor::new(&TenantId::integer(2)?, theirs.id).to_string();
    let my_rows = deployment::Entity::find().filter(deployment::Column::TenantId.eq(1_i64)).count(db).await?;
    Ok(Facts {
        my_rows,
        mine: mine.id,
        my_workflow: mine.workflow_id,
        theirs: theirs.id,
        their_workflow: theirs.workflow_id,
        their_cursor,
    })
}

//! The reference application as a user of the kit would describe it: routes, schema, credentials, and what its operators
//! can do. Which variant runs, and what is wrong with it, is not told.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{ConnectOptions, Row};
use tenancy_mutants::{App, BASE_DOMAIN, Error, Isolation, Options, TenantSeed, Variant};
use tenancy_testkit::check::{Access, Credential, Operation, Service, Standing, TenantHandle, World};

/// The tenants of a world are the application's own first ones, and more of their kind.
fn seed(tenant: &TenantHandle) -> TenantSeed {
    let known = Options::all_tenants();
    let seed = match known.get(tenant.index()).filter(|seed| !seed.empty) {
        Some(seed) => seed.clone(),
        None => {
            let name = format!("extra{}", tenant.index());
            TenantSeed::new(&name, &name, tenant.index())
        }
    };
    if tenant.standing() == Standing::Empty { seed.with_no_rows() } else { seed }
}

pub(crate) async fn start(
    variant: Variant,
    isolation: Isolation,
    faults: bool,
    world: World,
) -> Result<Service, Error> {
    let options = Options::new(variant).with_isolation(isolation).with_pool_size(world.pool_size());
    let options = options.with_tenants(world.tenants().map(seed));
    let options = if faults { options.behind_proxy() } else { options };
    let app = App::start(options).await?;
    for tenant in world.tenants().filter(|tenant| tenant.standing() == Standing::Suspended) {
        app.suspend(&seed(tenant).id).await?;
    }
    let service = operations(Service::new(app.router()), &app)?;
    let service = match app.proxy() {
        Some(proxy) => service.with_faults(proxy),
        None => service,
    };
    Ok(operators(rows(service, &app, isolation), &app).with_guard(app))
}

fn operations(service: Service, app: &App) -> Result<Service, Error> {
    let app = app.clone();
    let admin = app.admin_credential();
    let administrator =
        headers_of(Credential::new().with_host(&admin.host), &admin).ok_or("no administrator")?;
    let signer = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<String, Option<Credential>>::new()));
    let service = service
        .with_openapi(&tenancy_mutants::openapi().to_json()?)?
        .with_operation(Operation::get("/admin/usage").with_access(Access::Admin))
        .with_admin(administrator)
        .with_operation(Operation::get("/health").with_access(Access::Public))
        .with_operation(Operation::get("/status").with_access(Access::Public))
        // A token is signed once for each tenant: it is good for an hour.
        .with_credential("host, token and header", move |tenant| {
            let mut known = signer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            known.entry(seed(tenant).id).or_insert_with(|| credential(&app, &seed(tenant))).clone()
        });
    Ok(service.with_canary(|tenant| Some(seed(tenant).canary())))
}

fn credential(app: &App, tenant: &TenantSeed) -> Option<Credential> {
    let minted = app.credential(tenant).ok()?;
    headers_of(Credential::new().with_host(format!("{}.{BASE_DOMAIN}", tenant.slug)), &minted)
}

/// `credential` with the headers of `minted`.
fn headers_of(credential: Credential, minted: &tenancy_mutants::Credential) -> Option<Credential> {
    let mut headers = minted.headers.iter();
    headers.try_fold(credential, |named, (name, value)| {
        Some(named.with_header(name.as_str(), value.to_str().ok()?))
    })
}

/// Where the rows are, and how connections and the cache are left.
fn rows(service: Service, app: &App, isolation: Isolation) -> Service {
    let (of_schema, of_cache, of_pool) = (app.clone(), app.clone(), app.clone());
    let admin = app.database().admin_url();
    let service = match isolation {
        Isolation::Row => service.with_tenant_column(admin, "tenant_id", |tenant| seed(tenant).id),
        Isolation::Schema => service.with_schemas(admin, move |tenant| of_schema.schema_of(&seed(tenant))),
    };
    service
        .with_app_role(app.pool().connect_options().to_url_lossy())
        .with_cache_entries(move |tenant| {
            let id = seed(&tenant).id;
            let mine = |key: &String| key.split([':', '/']).any(|part| part == id);
            let keys = of_cache.cache_entries().into_iter().map(|(key, _)| key).filter(mine).collect();
            std::future::ready(Ok::<Vec<String>, Error>(keys))
        })
        .with_connection_state(move || {
            let app = of_pool.clone();
            async move { connection_state(&app).await }
        })
}

/// What a request finds on the connection that it is given.
async fn connection_state(app: &App) -> Result<BTreeMap<String, String>, Error> {
    let query = "SELECT replace(current_setting('search_path'), '\"$user\", ', '') AS path, current_user::text AS role, \
        coalesce(current_setting('tenancy.tenant_id', true), '') AS tenant, \
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())::text AS locks, \
        (SELECT count(*) FROM pg_listening_channels())::text AS channels, \
        CASE WHEN pg_my_temp_schema() = 0 THEN '0' ELSE \
            (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())::text END AS temporary";
    let mut connections = Vec::new();
    // All of them, as a request would get them: the one that was left in a bad state need not be the first.
    for _ in 0..app.pool().size().max(1) {
        let Ok(connection) = tokio::time::timeout(Duration::from_millis(300), app.pool().acquire()).await
        else {
            break;
        };
        connections.push(connection?);
    }
    let mut states = BTreeMap::new();
    for connection in &mut connections {
        let row = sqlx::query(query).fetch_one(&mut **connection).await?;
        for name in ["path", "role", "tenant", "locks", "channels", "temporary"] {
            let value: String = row.try_get(name)?;
            let all = states.entry(name.to_owned()).or_insert_with(String::new);
            if !all.split('|').any(|known| known == value) {
                all.push_str(&value);
                all.push('|');
            }
        }
    }
    Ok(states)
}

/// What the operators of the platform do.
fn operators(service: Service, app: &App) -> Service {
    let (suspending, deleting, bringing, working, logging) =
        (app.clone(), app.clone(), app.clone(), app.clone(), app.clone());
    service
        .with_suspend(app.bound(), move |tenant| {
            let app = suspending.clone();
            async move { app.suspend(&seed(&tenant).id).await }
        })
        .with_delete(move |tenant| {
            let app = deleting.clone();
            async move { app.delete_tenant(&seed(&tenant).id).await }
        })
        .with_onboard(move |tenant| {
            let app = bringing.clone();
            async move { app.create_tenant(&seed(&tenant)).await }
        })
        .with_jobs(move || {
            let app = working.clone();
            async move { app.run_jobs().await.map(drop) }
        })
        .with_logs(move || std::future::ready(Ok::<String, Error>(logging.logs())))
}

//! How many requests there are in a second: of the service alone, of the search alone, and of both together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;
use tenancy_mutants::{App, BASE_DOMAIN, Error, Options, Variant};
use tenancy_testkit::check::{Check, Credential, Service, Verdict, World};
use tower::ServiceExt;

use crate::describe;

/// What a client that looks around asks for.
const PATHS: [&str; 6] = ["/orders", "/orders/1", "/customers", "/products/p1", "/me", "/stats"];

/// Measures each for so many seconds.
pub(crate) fn measure(seconds: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (time, lanes) =
        (Duration::from_secs(seconds), thread::available_parallelism().map_or(1, usize::from));
    let served: u64 = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(move || service_alone(time))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or(Ok(0)).unwrap_or(0)).sum()
    });
    println!("the service alone, {lanes} lanes: {} requests a second", served / seconds.max(1));
    let alone = Check::new(|world| async move { instant(&world) });
    tell("the search alone, on answers from memory", &searched(alone, time)?);
    let both =
        Check::new(|world| describe::start(Variant::Correct, Variant::Correct.isolation(), false, world));
    tell("the search on the service, with all detectors", &searched(both, time)?);
    Ok(())
}

fn searched(check: Check, time: Duration) -> Result<Verdict, tenancy_testkit::Error> {
    check.with_budget(time).with_partial_coverage().run()
}

fn tell(what: &str, verdict: &Verdict) {
    let spent = verdict.spent;
    let requests = spent.requests.max(1);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
    println!(
        "{what}: {:.0} requests a second ({requests} in {:.1} s); for each request the service takes {:.0} µs, its starts \
         {:.0} µs, looking at rows, connections, caches and logs {:.0} µs, pauses {:.0} µs, the search itself {:.0} µs",
        requests as f64 / verdict.took.as_secs_f64(),
        verdict.took.as_secs_f64(),
        each(spent.serving),
        each(spent.starting),
        each(spent.looking),
        each(spent.waiting),
        each(spent.own()),
    );
    if let Some(leak) = &verdict.leak {
        println!("{leak}");
    }
}

/// One request after the other, by two tenants in turns.
fn service_alone(time: Duration) -> Result<u64, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let app = App::start(Options::new(Variant::Correct)).await?;
        let router = app.router();
        let credentials: Vec<_> =
            app.tenants().iter().map(|tenant| app.credential(tenant)).collect::<Result<_, _>>()?;
        let (begun, mut count) = (Instant::now(), 0_usize);
        while begun.elapsed() < time {
            let request = http::Request::builder().uri(PATHS[count % PATHS.len()]);
            let request = credentials[count / 3 % 2].apply(request).body(Body::empty())?;
            let answer = router.clone().oneshot(request).await?;
            if !answer.status().is_success() {
                return Err(format!("answered {}", answer.status()).into());
            }
            answer.into_body().collect().await?;
            count += 1;
        }
        Ok(count as u64)
    })
}

/// A service of the same operations that answers from memory: each tenant its own text.
fn instant(world: &World) -> Result<Service, tenancy_testkit::Error> {
    let texts = world.tenants().map(|tenant| (format!("{}.{BASE_DOMAIN}", tenant.slug()), tenant.canary(0)));
    let router = Router::new().fallback(answer).with_state(Arc::new(texts.collect::<BTreeMap<_, _>>()));
    let document = tenancy_mutants::openapi().to_json().unwrap_or_default();
    let credential = |tenant: &tenancy_testkit::check::TenantHandle| {
        Credential::new().with_host(format!("{}.{BASE_DOMAIN}", tenant.slug()))
    };
    Ok(Service::new(router).with_openapi(&document)?.with_credential("host", credential))
}

async fn answer(
    State(texts): State<Arc<BTreeMap<String, String>>>,
    headers: HeaderMap,
    _: Request,
) -> impl IntoResponse {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    match texts.get(&host) {
        Some(text) => Json(json!({ "items": [{ "name": text }] })).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

//! A shop in memory that keeps its tenants apart, unless it is told to leak in one way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tenancy_testkit::check::{Access, Credential, Operation, Service, Standing, World};

/// The one thing that is wrong with the shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bug {
    None,
    /// D1: the list is everybody's.
    List,
    /// D1: an order is looked up by its id alone.
    ById,
    /// D2: the log line of a look-up prints the neighbouring row.
    Logged,
    /// D3: the total counts everybody's orders.
    Total,
    /// D5: without a tenant the first one is meant.
    Default,
    /// D5: of two tenant headers the first counts.
    FirstOfTwo,
    /// D5: a header that cannot be read is as good as none.
    Unreadable,
    /// D9: suspension is not looked at.
    Suspended,
    /// D10: another tenant's order is forbidden, not missing.
    Forbidden,
    /// D1: the cached statistics have one key for all.
    Cached,
    /// D7: whoever writes empties everybody's cache.
    Emptied,
    /// D1: the parts of a cache key are joined by what they may hold.
    Joined,
    /// D1: what was loaded is kept under the key that was asked for last.
    Interleaved,
    /// D1: whose request it is is remembered by the process while it waits.
    Remembered,
    /// D1: the process remembers whose request it is, and puts back what was there before: right while requests end in
    /// the reverse order of their beginnings (KIT-05).
    Restored,
    /// D1: so many requests at once are too many, and one is taken for another.
    Crowded,
    /// D1: a forwarded host takes the place of the one that was asked.
    Forwarded,
    /// D9: a tenant that was not there once is not there for ever.
    NeverThere,
    /// D9: a host that was served once in an odd spelling is served for ever.
    Spelled,
    /// Benign, B05: the answer holds the time and a number of chance.
    Moment,
    /// Benign, B07: one tenant is told to slow down.
    Throttled,
    /// Benign: who asks for what is nobody's finds the service busy, so that there is nothing to compare with.
    Busy,
}

#[derive(Clone)]
struct Order {
    id: u64,
    tenant: String,
    note: String,
    text: String,
}

#[derive(Default)]
struct Tables {
    tenants: BTreeMap<String, Standing>,
    orders: Vec<Order>,
    cache: BTreeMap<String, String>,
    /// Orders by their note: the key, and what was found.
    by_note: BTreeMap<(String, String), Value>,
    asked_last: Option<(String, String)>,
    current: String,
    under_way: usize,
    absent: BTreeSet<String>,
    hosts: BTreeSet<String>,
    served: u64,
}

#[derive(Clone)]
struct Shop {
    bug: Bug,
    tables: Arc<Mutex<Tables>>,
}

impl Shop {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// Where a tenant's newest note is cached.
    fn key<'a>(&self, tenant: &'a str) -> &'a str {
        if self.has(Bug::Cached) { "all" } else { tenant }
    }

    /// The tenant of a request: its host and its header, which must agree.
    fn tenant(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let forwarded = headers.get("x-forwarded-host").filter(|_| self.has(Bug::Forwarded));
        let host = forwarded.or_else(|| headers.get(header::HOST));
        let raw = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = raw.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let by_host = host.strip_suffix(".shop.test").map(str::to_owned);
        let mut by_header = None;
        for value in headers.get_all("x-tenant") {
            match value.to_str() {
                Ok(_) if by_header.is_some() && self.has(Bug::FirstOfTwo) => {}
                Ok(_) if by_header.is_some() => return Err(StatusCode::BAD_REQUEST),
                Ok(name) => by_header = Some(name.to_owned()),
                Err(_) if self.has(Bug::Unreadable) => {}
                Err(_) => return Err(StatusCode::BAD_REQUEST),
            }
        }
        let named = match (by_host, by_header) {
            (Some(a), Some(b)) if a != b => return Err(StatusCode::BAD_REQUEST),
            (a, b) => a.or(b),
        };
        let mut tables = self.tables();
        let named = match named {
            None if self.has(Bug::Default) => tables.tenants.keys().next().cloned(),
            named => named,
        };
        let name = named.ok_or(StatusCode::UNAUTHORIZED)?;
        let odd = self.has(Bug::Spelled) && raw != host && tables.hosts.contains(raw);
        match tables.tenants.get(&name) {
            _ if self.has(Bug::NeverThere) && tables.absent.contains(&name) => Err(StatusCode::UNAUTHORIZED),
            Some(Standing::Suspended) if !self.has(Bug::Suspended) && !odd => Err(StatusCode::FORBIDDEN),
            Some(_) => {
                tables.hosts.insert(raw.to_owned());
                Ok(name)
            }
            None => {
                tables.absent.insert(name);
                Err(StatusCode::UNAUTHORIZED)
            }
        }
    }

    /// Where an order is kept by its note.
    fn key_of(&self, tenant: &str, note: &str) -> (String, String) {
        match self.has(Bug::Joined) {
            true => (String::new(), format!("{tenant}-{note}")),
            false => (tenant.to_owned(), note.to_owned()),
        }
    }
}

/// An order by its note, through a cache.
async fn by_note(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Path(note): Path<String>,
) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let key = shop.key_of(&tenant, &note);
    {
        let mut tables = shop.tables();
        if let Some(known) = tables.by_note.get(&key) {
            return Ok(Json(known.clone()).into_response());
        }
        tables.asked_last = Some(key.clone());
    }
    tokio::task::yield_now().await;
    let mut tables = shop.tables();
    let found = tables.orders.iter().find(|order| order.tenant == tenant && order.note == note).map(row);
    let busy = shop.has(Bug::Busy) && tables.orders.iter().all(|order| order.note != note);
    let missing = if busy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND };
    let found = found.ok_or(missing)?;
    let key = tables.asked_last.clone().filter(|_| shop.has(Bug::Interleaved)).unwrap_or(key);
    tables.by_note.entry(key).or_insert_with(|| found.clone());
    Ok(Json(found).into_response())
}

/// A request that the process remembers.
struct Entered<'a> {
    shop: &'a Shop,
    /// How many others were under way.
    others: usize,
    before: String,
}

impl<'a> Entered<'a> {
    fn new(shop: &'a Shop, tenant: &str) -> Self {
        let mut tables = shop.tables();
        let before = std::mem::replace(&mut tables.current, tenant.to_owned());
        tables.under_way += 1;
        Self { shop, others: tables.under_way - 1, before }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut tables = self.shop.tables();
        tables.under_way -= 1;
        if self.shop.has(Bug::Restored) {
            tables.current = std::mem::take(&mut self.before);
        }
    }
}

/// After so many others somebody is taken for whoever comes next: a fifth, where no more than four tenants meet.
const CROWD: usize = 3;

/// The tenant's last order.
async fn last(State(shop): State<Shop>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let entered = Entered::new(&shop, &tenant);
    // Who comes first has more to do, so that those who came at the same time are gone by then.
    for _ in 0..6_usize.saturating_sub(entered.others).max(1) {
        tokio::task::yield_now().await;
    }
    let crowded = shop.has(Bug::Crowded) && entered.others >= CROWD;
    let remembers = crowded || shop.has(Bug::Remembered) || shop.has(Bug::Restored);
    let tenant = if remembers { shop.tables().current.clone() } else { tenant };
    drop(entered);
    let tables = shop.tables();
    let last = tables.orders.iter().rev().find(|order| order.tenant == tenant).map(row);
    Ok(Json(json!({ "last": last })).into_response())
}

async fn create(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let note = body["note"].as_str().ok_or(StatusCode::UNPROCESSABLE_ENTITY)?.to_owned();
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let mut tables = shop.tables();
    let id = tables.orders.len() as u64 + 1;
    tables.orders.push(Order { id, tenant: tenant.clone(), note: note.clone(), text });
    match shop.has(Bug::Emptied) {
        true => tables.cache.clear(),
        false => drop(tables.cache.remove(shop.key(&tenant))),
    }
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "note": note }))).into_response())
}

async fn list(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let mut tables = shop.tables();
    tables.served += 1;
    if shop.has(Bug::Throttled) && tenant == "acme" && tables.served % 3 == 0 {
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    let wanted = |order: &&Order| query.get("q").is_none_or(|text| order.note.contains(text.as_str()));
    let own = |order: &&Order| order.tenant == tenant || shop.has(Bug::List);
    let rows: Vec<Value> = tables.orders.iter().filter(own).filter(wanted).map(row).collect();
    let total = if shop.has(Bug::Total) { tables.orders.len() } else { rows.len() };
    let mut answer = json!({ "data": rows, "total": total });
    if shop.has(Bug::Moment) {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        answer["nonce"] = json!(now.as_nanos() as u64);
    }
    Ok(Json(answer).into_response())
}

fn row(order: &Order) -> Value {
    json!({ "id": order.id, "note": order.note, "text": order.text })
}

async fn show(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Path(id): Path<u64>,
) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let tables = shop.tables();
    if shop.has(Bug::Logged)
        && let Some(next) = tables.orders.iter().find(|order| order.tenant != tenant)
    {
        tracing::info!(neighbour = next.note, "looked up");
    }
    let found = tables.orders.iter().find(|order| order.id == id);
    match found {
        Some(order) if order.tenant == tenant || shop.has(Bug::ById) => Ok(Json(row(order)).into_response()),
        Some(_) if shop.has(Bug::Forbidden) => Err(StatusCode::FORBIDDEN),
        None if shop.has(Bug::Busy) => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

/// The newest note, through a cache that a write of the tenant empties.
async fn newest(State(shop): State<Shop>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let tenant = shop.tenant(&headers)?;
    let key = shop.key(&tenant).to_owned();
    let mut tables = shop.tables();
    let newest =
        tables.orders.iter().rev().find(|order| order.tenant == tenant).map(|order| order.note.clone());
    let text = tables.cache.entry(key).or_insert_with(|| newest.unwrap_or_default()).clone();
    Ok(Json(json!({ "newest": text })).into_response())
}

/// Starts the shop with the tenants of `world`, and describes it.
pub(super) async fn start(bug: Bug, world: World) -> Result<Service, std::io::Error> {
    let (router, shop) = open(bug, &world);
    Ok(describe(Service::new(router), shop))
}

/// The same behind a port of its own.
pub(super) async fn serve(
    bug: Bug,
    world: World,
) -> Result<Service, Box<dyn std::error::Error + Send + Sync>> {
    let (router, shop) = open(bug, &world);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(describe(Service::at(&url)?, shop))
}

fn open(bug: Bug, world: &World) -> (Router, Shop) {
    let tables = Tables {
        tenants: world.tenants().map(|tenant| (tenant.slug().to_owned(), tenant.standing())).collect(),
        ..Tables::default()
    };
    let shop = Shop { bug, tables: Arc::new(Mutex::new(tables)) };
    let router = Router::new()
        .route("/orders", get(list).post(create))
        .route("/orders/{id}", get(show))
        .route("/orders/by-note/{note}", get(by_note))
        .route("/last", get(last))
        .route("/newest", get(newest))
        .route("/health", get(|| async { "ok" }))
        .with_state(shop.clone());
    (router, shop)
}

fn describe(service: Service, shop: Shop) -> Service {
    let (suspended, onboarded, cached) = (shop.clone(), shop.clone(), shop);
    service
        .with_credential("host and header", |tenant| {
            Credential::new()
                .with_host(format!("{}.shop.test", tenant.slug()))
                .with_header("x-tenant", tenant.slug())
        })
        .with_operation(Operation::post("/orders").with_body_like(json!({ "note": "as usual", "text": "" })))
        .with_operation(Operation::get("/orders/by-note/{note}"))
        .with_operation(Operation::get("/last"))
        .with_operation(Operation::get("/orders").with_query("q", json!({ "type": "string" })))
        .with_operation(Operation::get("/orders/{id}"))
        .with_operation(Operation::get("/newest"))
        .with_operation(Operation::get("/health").with_access(Access::Public))
        .with_suspend(Duration::from_millis(10), move |tenant| {
            suspended.tables().tenants.insert(tenant.slug().to_owned(), Standing::Suspended);
            std::future::ready(Ok::<_, std::io::Error>(()))
        })
        .with_onboard(move |tenant| {
            onboarded.tables().tenants.insert(tenant.slug().to_owned(), Standing::Active);
            std::future::ready(Ok::<_, std::io::Error>(()))
        })
        .with_cache_entries(move |tenant| {
            let entries = cached.tables().cache.keys().filter(|key| *key == tenant.slug()).cloned().collect();
            std::future::ready(Ok::<Vec<String>, std::io::Error>(entries))
        })
}

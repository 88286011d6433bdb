//! Lists that are read page by page, behind ids of chance: a page's beginning is a place, and nobody's.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tenancy_testkit::check::{Check, Credential, Detector, Operation, Service, Verdict, World};
use tenancy_testkit::report::Detector as Reported;

/// What ids and cursors are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ids {
    Numbers,
    Uuids,
    /// Numbers, and cursors that the service alone can read.
    Opaque,
}

struct Shelf {
    ids: Ids,
    /// D10: another tenant's item is forbidden, not missing.
    leaky: bool,
    tenants: Vec<String>,
    items: Mutex<Vec<Item>>,
}

struct Item {
    id: u64,
    tenant: String,
    note: String,
}

type Answer = Result<Json<Value>, StatusCode>;

impl Shelf {
    fn items(&self) -> MutexGuard<'_, Vec<Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tenant(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let name = host.strip_suffix(".shelf.test").ok_or(StatusCode::BAD_REQUEST)?;
        self.tenants.iter().find(|known| *known == name).cloned().ok_or(StatusCode::NOT_FOUND)
    }

    fn shown(&self, id: u64) -> Value {
        match self.ids {
            Ids::Uuids => json!(format!("{:08x}-{:04x}-4000-8000-{:012x}", id >> 20, id & 0xffff, id)),
            Ids::Numbers | Ids::Opaque => json!(id),
        }
    }

    fn read(&self, text: &str) -> Result<u64, StatusCode> {
        let read = match self.ids {
            Ids::Uuids => text.rsplit('-').next().and_then(|last| u64::from_str_radix(last, 16).ok()),
            Ids::Numbers | Ids::Opaque => text.parse().ok(),
        };
        read.ok_or(StatusCode::BAD_REQUEST)
    }

    fn cursor(&self, id: u64) -> Value {
        if self.ids == Ids::Opaque { json!(format!("after-{:x}", id.reverse_bits())) } else { self.shown(id) }
    }

    fn read_cursor(&self, text: &str) -> Result<u64, StatusCode> {
        if self.ids != Ids::Opaque {
            return self.read(text);
        }
        let digits = text.strip_prefix("after-").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.map(u64::reverse_bits).ok_or(StatusCode::BAD_REQUEST)
    }
}

/// An id of chance, in 48 bits: a new one each time.
fn id() -> u64 {
    RandomState::new().hash_one(()) >> 16
}

#[derive(serde::Deserialize)]
struct Page {
    cursor: Option<String>,
}

async fn list(State(shelf): State<Arc<Shelf>>, headers: HeaderMap, Query(page): Query<Page>) -> Answer {
    let tenant = shelf.tenant(&headers)?;
    let after = page.cursor.map_or(Ok(0), |cursor| shelf.read_cursor(&cursor))?;
    let all = shelf.items();
    let mut own: Vec<&Item> = all.iter().filter(|item| item.tenant == tenant && item.id > after).collect();
    own.sort_by_key(|item| item.id);
    own.truncate(3);
    let next = own.last().map(|item| shelf.cursor(item.id));
    // Without their texts, which would say whose they are.
    let ids: Vec<Value> = own.iter().map(|item| shelf.shown(item.id)).collect();
    Ok(Json(json!({ "ids": ids, "next_cursor": next })))
}

/// The tenant's two first ones: which they are is chance.
async fn first(State(shelf): State<Arc<Shelf>>, headers: HeaderMap) -> Answer {
    let tenant = shelf.tenant(&headers)?;
    let all = shelf.items();
    let mut own: Vec<&Item> = all.iter().filter(|item| item.tenant == tenant).collect();
    own.sort_by_key(|item| item.id);
    let notes: Vec<&str> = own.iter().take(2).map(|item| item.note.as_str()).collect();
    Ok(Json(json!({ "notes": notes })))
}

async fn create(State(shelf): State<Arc<Shelf>>, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    let tenant = shelf.tenant(&headers)?;
    let note = body["note"].as_str().ok_or(StatusCode::UNPROCESSABLE_ENTITY)?.to_owned();
    let id = id();
    shelf.items().push(Item { id, tenant, note });
    Ok(Json(json!({ "id": shelf.shown(id) })))
}

async fn show(State(shelf): State<Arc<Shelf>>, headers: HeaderMap, Path(text): Path<String>) -> Answer {
    let tenant = shelf.tenant(&headers)?;
    let id = shelf.read(&text)?;
    match shelf.items().iter().find(|item| item.id == id) {
        Some(item) if item.tenant == tenant => {
            Ok(Json(json!({ "id": shelf.shown(item.id), "note": item.note })))
        }
        Some(_) if shelf.leaky => Err(StatusCode::FORBIDDEN),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

fn start(ids: Ids, leaky: bool, world: &World) -> Service {
    let tenants = world.tenants().map(|tenant| tenant.slug().to_owned()).collect();
    let shelf = Arc::new(Shelf { ids, leaky, tenants, items: Mutex::default() });
    let router = Router::new()
        .route("/items", get(list).post(create))
        .route("/items/{id}", get(show))
        .route("/first", get(first))
        .with_state(shelf);
    let cursor = match ids {
        Ids::Numbers => json!({ "type": "integer" }),
        Ids::Uuids => json!({ "type": "string", "format": "uuid" }),
        Ids::Opaque => json!({ "type": "string" }),
    };
    Service::new(router)
        .with_credential("host", |tenant| {
            Credential::new().with_host(format!("{}.shelf.test", tenant.slug()))
        })
        .with_operation(Operation::post("/items").with_body_like(json!({ "note": "as usual" })))
        .with_operation(Operation::get("/items").with_query("cursor", cursor))
        .with_operation(Operation::get("/items/{id}"))
        .with_operation(Operation::get("/first"))
}

fn searched(ids: Ids, leaky: bool, programs: u64) -> Verdict {
    let check = Check::new(move |world| async move { Ok::<_, std::io::Error>(start(ids, leaky, &world)) });
    let check = check.with_budget(super::LONG).with_programs(programs).with_partial_coverage();
    check.run().unwrap_or_else(|error| panic!("{ids:?}: {error:?}"))
}

/// KIT-10: another tenant's id as a cursor lies among one's own, nobody's before or behind all of them; a cursor that cannot
/// be read is refused. None of this says whose it is.
#[test]
fn the_place_where_a_page_begins_is_nobodys() {
    for ids in [Ids::Numbers, Ids::Uuids, Ids::Opaque] {
        let verdict = searched(ids, false, 40);
        assert!(verdict.leak.is_none(), "{ids:?}: {}", verdict.leak.expect("a leak"));
        let report = verdict.report("shelf");
        let compared = report.checks.iter().find(|check| check.detector == Reported::D10);
        eprintln!("{ids:?}: {:?}", compared.map(|check| check.observations));
        assert!(compared.is_some_and(|check| check.observations > 20), "{ids:?}: {compared:?}");
    }
}

/// The twin of it: an id of chance that is another tenant's is still told from nobody's, where the service does so.
#[test]
fn an_id_of_chance_that_is_another_tenants_is_told_from_nobodys() {
    for ids in [Ids::Numbers, Ids::Uuids, Ids::Opaque] {
        let leak = searched(ids, true, 16).leak.unwrap_or_else(|| panic!("{ids:?}: nothing was found"));
        assert_eq!((leak.detector, leak.operation.as_str()), (Detector::Oracle, "GET /items/{id}"), "{leak}");
    }
}

//! Orders.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sea_orm::{JsonValue, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::request::{ApiError, Page, Paging, Tenant, Visitor, append_event, next_id};
use crate::Variant;

/// Lists the tenant's orders with their customers' names.
#[utoipa::path(get, path = "/orders", params(Paging), responses((status = 200, body = Page)))]
pub(crate) async fn list(
    Tenant(tenant): Tenant,
    Query(paging): Query<Paging>,
) -> Result<Json<Page>, ApiError> {
    let order = if tenant.app.bug(Variant::B08) && paging.cursor.is_none() { "" } else { "ORDER BY id" };
    let sql = format!("SELECT id, customer_id, status, note FROM orders WHERE id > $1 {order} LIMIT $2");
    let mut items = tenant.db.json(&sql, paging.values()).await?;
    let ids: Vec<i64> = items.iter().filter_map(|item| item["customer_id"].as_i64()).collect();
    let sql = format!("SELECT id, name FROM customers WHERE id IN ({})", marks(&ids, 1));
    let customers = tenant.app.pick(Variant::M01, &tenant.db).json(&sql, values(&ids)).await?;
    let names: HashMap<_, _> =
        customers.iter().map(|row| (row["id"].as_i64(), row["name"].clone())).collect();
    for item in &mut items {
        item["customer"] = names.get(&item["customer_id"].as_i64()).cloned().unwrap_or_default();
    }
    let total = tenant.app.pick(Variant::M08, &tenant.db).number("SELECT count(*) FROM orders", []).await?;
    Ok(paging.page(items, total))
}

/// An order to be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    pub(crate) customer_id: i64,
    pub(crate) note: String,
    /// What is ordered, one of each.
    #[serde(default)]
    #[schema(max_items = 5)]
    pub(crate) product_ids: Vec<i64>,
}

/// Places an order.
#[utoipa::path(post, path = "/orders", request_body = NewOrder, responses((status = 201), (status = 409)))]
pub(crate) async fn create(
    Tenant(tenant): Tenant,
    Json(new): Json<NewOrder>,
) -> Result<(StatusCode, Json<JsonValue>), ApiError> {
    let id = next_id(&tenant.app, &tenant.db, "orders").await?;
    let answer = json!({"id": id, "customer_id": new.customer_id, "note": new.note});
    let row = [id.into(), new.customer_id.into(), new.note.into()];
    tenant.db.run("INSERT INTO orders (id, customer_id, note) VALUES ($1, $2, $3)", row).await?;
    for (line, product) in (1_i64..).zip(new.product_ids) {
        let sql = "INSERT INTO order_items (order_id, line, product_id, quantity, price) \
                   SELECT $1::bigint, $2::bigint, id, 1, price FROM products WHERE id = $3";
        tenant.db.run(sql, [id.into(), line.into(), product.into()]).await?;
    }
    written(&tenant.app, &tenant.context).await;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows an order.
#[utoipa::path(get, path = "/orders/{id}", params(("id" = i64, Path)), responses((status = 200), (status = 404)))]
pub(crate) async fn show(Tenant(tenant): Tenant, Path(id): Path<i64>) -> Result<Json<JsonValue>, ApiError> {
    find(&tenant, id).await.map(Json)
}

/// Returns the order `id` of the tenant.
pub(crate) async fn find(tenant: &Visitor, id: i64) -> Result<JsonValue, ApiError> {
    let sql = "SELECT id, customer_id, status, note FROM orders WHERE id = $1";
    let rows = tenant.app.pick(Variant::M03, &tenant.db).json(sql, [id.into()]).await?;
    if rows.is_empty() && tenant.app.bug(Variant::M14) {
        let all = tenant.app.pick(Variant::M14, &tenant.db);
        if all.number("SELECT count(*) FROM orders WHERE id = $1", [id.into()]).await? > 0 {
            return Err(ApiError::new(StatusCode::FORBIDDEN, "it is not yours"));
        }
    }
    rows.into_iter().next().ok_or_else(ApiError::not_found)
}

/// Some orders, and their new status.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusChange {
    #[schema(max_items = 20)]
    pub(crate) ids: Vec<i64>,
    pub(crate) status: String,
}

/// Changes the status of some orders.
#[utoipa::path(post, path = "/orders/status", request_body = StatusChange, responses((status = 200)))]
pub(crate) async fn set_status(
    Tenant(tenant): Tenant,
    Json(change): Json<StatusChange>,
) -> Result<Json<JsonValue>, ApiError> {
    let found = format!("SELECT count(*) FROM orders WHERE id IN ({})", marks(&change.ids, 1));
    let changed = tenant.db.number(&found, values(&change.ids)).await?;
    let missing = change.ids.len() as i64 - changed;
    if missing > 0 {
        let sql = format!("SELECT * FROM orders WHERE id IN ({})", marks(&change.ids, 1));
        let rows = tenant.app.pick(Variant::M24, &tenant.db).json(&sql, values(&change.ids)).await?;
        let rows = if tenant.app.bug(Variant::M24) { format!("{rows:?}") } else { rows.len().to_string() };
        tracing::warn!(missing, rows, "a batch names orders that are not there");
    }
    let sql = format!("UPDATE orders SET status = $1 WHERE id IN ({})", marks(&change.ids, 2));
    let row = [Value::from(change.status)].into_iter().chain(values(&change.ids));
    tenant.app.pick(Variant::M04, &tenant.db).run(&sql, row).await?;
    append_event(&tenant.app, &tenant.db, &format!("{changed} orders changed")).await?;
    written(&tenant.app, &tenant.context).await;
    Ok(Json(json!({"changed": changed})))
}

/// Some orders.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ids {
    #[schema(max_items = 20)]
    pub(crate) ids: Vec<i64>,
}

/// Deletes some orders.
#[utoipa::path(post, path = "/orders/delete", request_body = Ids, responses((status = 200)))]
pub(crate) async fn delete(
    Tenant(tenant): Tenant,
    Json(Ids { ids }): Json<Ids>,
) -> Result<Json<JsonValue>, ApiError> {
    let found = format!("SELECT count(*) FROM orders WHERE id IN ({})", marks(&ids, 1));
    let deleted = tenant.db.number(&found, values(&ids)).await?;
    let sql = format!("DELETE FROM orders WHERE id IN ({})", marks(&ids, 1));
    tenant.app.pick(Variant::M05, &tenant.db).run(&sql, values(&ids)).await?;
    written(&tenant.app, &tenant.context).await;
    Ok(Json(json!({"deleted": deleted})))
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// What the note begins with.
    pub(crate) note: Option<String>,
    /// Or what the status is.
    #[param(example = "open")]
    pub(crate) status: Option<String>,
}

/// Finds orders by the beginning of their note, or by status.
#[utoipa::path(get, path = "/orders/search", params(Search), responses((status = 200)))]
pub(crate) async fn search(
    Tenant(tenant): Tenant,
    Query(search): Query<Search>,
) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let note = search.note.filter(|note| !note.is_empty()).unwrap_or_else(|| "order".to_owned());
    let pattern = note.replace(['%', '_', '\\'], "") + "%";
    let mut row = vec![pattern.into(), search.status.unwrap_or_default().into()];
    let mut sql = "SELECT id, status, note FROM orders WHERE note LIKE $1 OR status = $2".to_owned();
    if tenant.app.bug(Variant::M12) {
        sql += " AND tenant_id = $3";
        row.push(tenant.context.id().to_string().into());
    }
    Ok(Json(tenant.app.pick(Variant::M12, &tenant.db).json(&(sql + " ORDER BY id"), row).await?))
}

/// Lists the orders with a tag.
#[utoipa::path(get, path = "/orders/by-tag/{tag}", params(("tag" = String, Path, example = "gift")), responses((status = 200)))]
pub(crate) async fn by_tag(
    Tenant(tenant): Tenant,
    Path(tag): Path<String>,
) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let (mut row, mut own) = (vec![tag.into()], "");
    if tenant.app.bug(Variant::M10) {
        row.push(tenant.context.id().to_string().into());
        own = "tenant_id = $2 AND";
    }
    let sql = format!(
        "SELECT id, note FROM orders WHERE {own} id IN \
         (SELECT t.order_id FROM order_tags t JOIN tags n ON n.id = t.tag_id WHERE n.name = $1) ORDER BY id"
    );
    Ok(Json(tenant.app.pick(Variant::M10, &tenant.db).json(&sql, row).await?))
}

/// Exports all orders as CSV.
#[utoipa::path(get, path = "/orders/export", responses((status = 200, content_type = "text/csv")))]
pub(crate) async fn export(Tenant(tenant): Tenant) -> Result<Response, ApiError> {
    let sql = "SELECT id, status, note FROM orders ORDER BY id";
    let rows = tenant.app.pick(Variant::M11, &tenant.db).json(sql, []).await?;
    let lines = rows.iter().map(|row| format!("{},{},{}\n", row["id"], row["status"], row["note"]));
    let csv: String = std::iter::once("id,status,note\n".to_owned()).chain(lines).collect();
    Ok(([(header::CONTENT_TYPE, "text/csv")], csv).into_response())
}

/// Forgets what is remembered of the tenant's orders.
pub(crate) async fn written(app: &crate::App, context: &tenancy_core::TenantContext) {
    app.0.stats.flush_here(context.tenant());
}

/// `$n, $n+1, …` for each of `ids`, or NULL, which nothing equals.
fn marks(ids: &[i64], first: usize) -> String {
    match ids.len() {
        0 => "NULL".to_owned(),
        len => (first..first + len).map(|n| format!("${n}")).collect::<Vec<_>>().join(", "),
    }
}

fn values(ids: &[i64]) -> impl Iterator<Item = Value> {
    ids.iter().copied().map(Value::from)
}

//! Products, which a cache that all tenants share stands in front of.

use axum::Json;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sea_orm::JsonValue;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::request::{ApiError, Page, Paging, Tenant, Visitor, next_id};
use crate::store::Store;

/// Lists the tenant's products.
#[utoipa::path(get, path = "/products", params(Paging), responses((status = 200, body = Page)))]
pub(crate) async fn list(
    Tenant(tenant): Tenant,
    Query(paging): Query<Paging>,
) -> Result<Json<Page>, ApiError> {
    let sql = "SELECT id, sku, name, price FROM products WHERE id > $1 ORDER BY id LIMIT $2";
    let items = tenant.db.json(sql, paging.values()).await?;
    let total = tenant.db.number("SELECT count(*) FROM products", []).await?;
    Ok(paging.page(items, total))
}

/// A product to be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    #[schema(example = "p1")]
    pub(crate) sku: String,
    pub(crate) name: String,
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub(crate) price: u32,
}

/// Adds a product.
#[utoipa::path(post, path = "/products", request_body = NewProduct, responses((status = 201), (status = 409)))]
pub(crate) async fn create(
    Tenant(tenant): Tenant,
    Json(new): Json<NewProduct>,
) -> Result<(StatusCode, Json<JsonValue>), ApiError> {
    let id = next_id(&tenant.app, &tenant.db, "products").await?;
    let answer = json!({"id": id, "sku": new.sku, "name": new.name, "price": new.price});
    let key = Store::product_key(tenant.app.variant(), &tenant.context, &new.sku);
    let row = [id.into(), new.sku.into(), new.name.into(), i64::from(new.price).into()];
    tenant.db.run("INSERT INTO products (id, sku, name, price) VALUES ($1, $2, $3, $4)", row).await?;
    tenant.app.0.store.remove(&key);
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows a product. The header `x-cache` says whether the cache had it.
#[utoipa::path(get, path = "/products/{sku}", params(("sku" = String, Path, example = "p1")), responses((status = 200), (status = 404)))]
pub(crate) async fn show(Tenant(tenant): Tenant, Path(sku): Path<String>) -> Result<Response, ApiError> {
    let (store, variant) = (&tenant.app.0.store, tenant.app.variant());
    let key = Store::product_key(variant, &tenant.context, &sku);
    let miss = match store.get(&key) {
        Ok(text) => return Ok(answer("hit", text)),
        Err(miss) => miss,
    };
    let rows =
        tenant.db.json("SELECT id, sku, name, price FROM products WHERE sku = $1", [sku.into()]).await?;
    let text = rows.first().ok_or_else(ApiError::not_found)?.to_string();
    store.fill(variant, miss, text.clone());
    Ok(answer("miss", text))
}

fn answer(cache: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE.as_str(), "application/json"), ("x-cache", cache)], text).into_response()
}

/// Drops the tenant's products from the cache.
#[utoipa::path(post, path = "/products/flush", responses((status = 204)))]
pub(crate) async fn flush(Tenant(tenant): Tenant) -> StatusCode {
    tenant.app.0.store.flush(tenant.app.variant(), &tenant.context);
    StatusCode::NO_CONTENT
}

/// Shows the names of the tenant's products to everybody who asks its host.
#[utoipa::path(get, path = "/storefront", responses((status = 200)))]
pub(crate) async fn storefront(visitor: Visitor) -> Result<Json<Vec<JsonValue>>, ApiError> {
    Ok(Json(visitor.db.json("SELECT name, price FROM products ORDER BY id", []).await?))
}

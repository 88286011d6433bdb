//! Customers.

use axum::Json;
use axum::extract::{Path, Query};
use http::StatusCode;
use sea_orm::JsonValue;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::request::{ApiError, Page, Paging, Tenant, next_id};
use crate::Variant;
use crate::db::Db;

/// A customer to be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCustomer {
    pub(crate) name: String,
    #[schema(format = "email")]
    pub(crate) email: String,
    /// Older clients still send their tenant. It is not read: the request's own is meant.
    pub(crate) tenant_id: Option<String>,
}

/// Lists the tenant's customers.
#[utoipa::path(get, path = "/customers", params(Paging), responses((status = 200, body = Page)))]
pub(crate) async fn list(
    Tenant(tenant): Tenant,
    Query(paging): Query<Paging>,
) -> Result<Json<Page>, ApiError> {
    if tenant.app.bug(Variant::B06) {
        let parts = ("customers", format!("{:?}", paging.values()));
        let load = async |_| {
            page(&tenant.db, &paging, "ORDER BY c.id")
                .await
                .map(|page| serde_json::to_string(&page.0).unwrap_or_default().into())
        };
        let text = tenant.app.0.stats.get_or_load(&tenant.context, parts, load).await?;
        let mut page: JsonValue = serde_json::from_str(&text).unwrap_or_default();
        let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        return Ok(Json(Page {
            items,
            total: page["total"].as_i64().unwrap_or(0),
            next: page["next"].as_i64(),
        }));
    }
    let order = if tenant.app.bug(Variant::B08) && paging.cursor.is_none() { "" } else { "ORDER BY c.id" };
    page(&tenant.db, &paging, order).await
}

async fn page(db: &Db, paging: &Paging, order: &str) -> Result<Json<Page>, ApiError> {
    let sql = format!(
        "SELECT c.id, c.name, c.email, l.name AS country FROM customers c JOIN public.countries l ON l.code = c.country \
         WHERE c.id > $1 {order} LIMIT $2"
    );
    let items = db.json(&sql, paging.values()).await?;
    let total = db.number("SELECT count(*) FROM customers", []).await?;
    Ok(paging.page(items, total))
}

/// Adds a customer.
#[utoipa::path(post, path = "/customers", request_body = NewCustomer, responses((status = 201), (status = 409)))]
pub(crate) async fn create(
    Tenant(tenant): Tenant,
    Json(new): Json<NewCustomer>,
) -> Result<(StatusCode, Json<JsonValue>), ApiError> {
    let id = next_id(&tenant.app, &tenant.db, "customers").await?;
    let answer = json!({"id": id, "name": new.name, "email": new.email});
    let values = [id.into(), new.name.into(), new.email.into()];
    let own = tenant.context.id().to_string();
    let inserted = if tenant.app.bug(Variant::M06) || tenant.app.bug(Variant::M13) {
        let named = new.tenant_id.filter(|_| tenant.app.bug(Variant::M06)).unwrap_or(own);
        let sql = "INSERT INTO customers (id, name, email, tenant_id) VALUES ($1, $2, $3, $4)";
        let raw = if tenant.app.bug(Variant::M06) { Variant::M06 } else { Variant::M13 };
        tenant.app.pick(raw, &tenant.db).run(sql, values.into_iter().chain([named.into()])).await
    } else {
        tenant.db.run("INSERT INTO customers (id, name, email) VALUES ($1, $2, $3)", values).await
    };
    match inserted {
        Err(error) if tenant.app.bug(Variant::M13) => {
            Err(ApiError::new(StatusCode::CONFLICT, format!("{error:?}")))
        }
        inserted => {
            inserted?;
            Ok((StatusCode::CREATED, Json(answer)))
        }
    }
}

/// Shows a customer.
#[utoipa::path(get, path = "/customers/{id}", params(("id" = i64, Path)), responses((status = 200), (status = 404)))]
pub(crate) async fn show(Tenant(tenant): Tenant, Path(id): Path<i64>) -> Result<Json<JsonValue>, ApiError> {
    let rows = tenant.db.json("SELECT id, name, email FROM customers WHERE id = $1", [id.into()]).await?;
    rows.into_iter().next().map(Json).ok_or_else(ApiError::not_found)
}

/// Adds the customer with this email, or changes the one there is.
#[utoipa::path(put, path = "/customers/by-email", request_body = NewCustomer, responses((status = 200)))]
pub(crate) async fn upsert(
    Tenant(tenant): Tenant,
    Json(new): Json<NewCustomer>,
) -> Result<Json<JsonValue>, ApiError> {
    let id = next_id(&tenant.app, &tenant.db, "customers").await?;
    let mut values = vec![id.into(), new.name.into(), new.email.into()];
    let (column, value) = match tenant.app.bug(Variant::M07) {
        true => {
            values.push(tenant.context.id().to_string().into());
            (", tenant_id", ", $4")
        }
        false => ("", ""),
    };
    let sql = format!(
        "INSERT INTO customers (id, name, email{column}) VALUES ($1, $2, $3{value}) \
         ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING id, name, email, country"
    );
    let rows = tenant.app.pick(Variant::M07, &tenant.db).json(&sql, values).await?;
    rows.into_iter().next().map(Json).ok_or_else(ApiError::internal)
}

/// Lists every customer with their orders, also those who have none.
#[utoipa::path(get, path = "/customers/with-orders", responses((status = 200)))]
pub(crate) async fn with_orders(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let join = "SELECT c.id, c.name, o.id AS order_id, o.note FROM customers c LEFT JOIN orders o ON o.customer_id = c.id";
    let rows = if tenant.app.bug(Variant::M02) {
        let sql = format!(
            "{join} WHERE c.tenant_id = $1 AND (o.tenant_id = $1 OR o.id IS NULL) ORDER BY c.id, o.id"
        );
        let own = tenant.context.id().to_string();
        tenant.app.pick(Variant::M02, &tenant.db).json(&sql, [own.into()]).await?
    } else {
        tenant.db.json(&format!("{join} ORDER BY c.id, o.id"), []).await?
    };
    Ok(Json(rows))
}

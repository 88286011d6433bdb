//! Reports, and what is read once for many.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sea_orm::JsonValue;
use serde_json::json;
use tenancy_core::TenantContext;

use super::request::{ApiError, Tenant, Visitor};
use crate::{App, Variant};

/// Sums the orders up, each with the total so far.
#[utoipa::path(get, path = "/report", responses((status = 200)))]
pub(crate) async fn report(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let sql = "SELECT order_id, amount, (sum(amount) OVER (ORDER BY order_id))::bigint AS so_far \
               FROM order_sums ORDER BY order_id, amount";
    Ok(Json(tenant.app.pick(Variant::M09, &tenant.db).json(sql, []).await?))
}

/// Counts the orders by status, from the process's own cache.
#[utoipa::path(get, path = "/stats", responses((status = 200)))]
pub(crate) async fn stats(Tenant(tenant): Tenant) -> Result<Json<JsonValue>, ApiError> {
    let load = async |_: TenantContext| -> Result<Arc<str>, ApiError> {
        let sql = "SELECT status, count(*) AS orders FROM orders GROUP BY status ORDER BY status";
        Ok(json!(tenant.db.json(sql, []).await?).to_string().into())
    };
    let text = tenant.app.0.stats.get_or_load(&tenant.context, "stats", load).await?;
    Ok(Json(serde_json::from_str(&text).map_err(|_| ApiError::internal())?))
}

/// Tells the totals by a function of the database, which sees what row-level security lets it see.
#[utoipa::path(get, path = "/totals", responses((status = 200)))]
pub(crate) async fn totals(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    Ok(Json(tenant.db.json("SELECT tenant_totals() AS totals", []).await?))
}

/// Tells the newest order.
#[utoipa::path(get, path = "/summary", responses((status = 200)))]
pub(crate) async fn summary(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let sql = "SELECT id, note FROM orders ORDER BY id DESC LIMIT 1";
    if tenant.app.bug(Variant::M21) {
        let first = tenant.app.0.repository.get_or_init(|| tenant.context.clone());
        let db = tenant.app.db(first).await.map_err(|_| ApiError::internal())?;
        return Ok(Json(db.json(sql, []).await?));
    }
    Ok(Json(tenant.db.json(sql, []).await?))
}

thread_local! {
    /// The mistake of M20.
    static CURRENT: RefCell<Option<TenantContext>> = const { RefCell::new(None) };
}

/// Tells who the tenant is, and its newest event.
#[utoipa::path(get, path = "/me", responses((status = 200)))]
pub(crate) async fn me(Tenant(tenant): Tenant) -> Result<Json<JsonValue>, ApiError> {
    let Visitor { app, mut context, mut db } = tenant;
    CURRENT.with(|current| current.replace(Some(context.clone())));
    let customers = db.number("SELECT count(*) FROM customers", []).await?;
    if app.bug(Variant::M20) {
        context = CURRENT.with(|current| current.borrow().clone()).unwrap_or(context);
        db = app.db(&context).await.map_err(|_| ApiError::internal())?;
    }
    let newest = db.json("SELECT text FROM events ORDER BY id DESC LIMIT 1", []).await?;
    let mut answer = json!({"tenant": context.id().to_string(), "customers": customers, "newest": newest});
    if app.bug(Variant::B05) {
        answer["nonce"] = json!(uuid::Uuid::new_v4().to_string());
    }
    Ok(Json(answer))
}

/// Lists the countries, the same for everybody.
#[utoipa::path(get, path = "/countries", responses((status = 200)))]
pub(crate) async fn countries(
    State(app): State<App>,
    visitor: Visitor,
) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let sql = match app.bug(Variant::B02) {
        true => {
            "SELECT l.code, l.name, count(c.id) AS customers FROM public.countries l \
                 LEFT JOIN customers c ON c.country = l.code GROUP BY l.code, l.name ORDER BY l.code"
        }
        false => "SELECT code, name FROM public.countries ORDER BY code",
    };
    Ok(Json(visitor.db.json(sql, []).await?))
}

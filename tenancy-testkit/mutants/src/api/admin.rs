//! Routes of the platform: for administrators, and for everybody.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use sea_orm::JsonValue;
use serde_json::json;
use sqlx::Row;
use tenancy_seaorm::danger;

use super::request::ApiError;
use crate::db::Db;
use crate::options::Isolation;
use crate::tokens::ADMIN_KEY;
use crate::{App, Variant};

/// Lets administrators through.
pub(crate) async fn require_key(request: Request<Body>, next: Next) -> Response {
    match request.headers().get("x-admin-key") {
        Some(key) if *key == ADMIN_KEY => next.run(request).await,
        _ => ApiError::new(StatusCode::UNAUTHORIZED, "administrators only").into_response(),
    }
}

/// Tells how many orders each tenant has.
#[utoipa::path(get, path = "/admin/usage", responses((status = 200), (status = 401)))]
pub(crate) async fn usage(State(app): State<App>) -> Result<Json<Vec<JsonValue>>, ApiError> {
    let (tenancy, capability) = &app.0.maintenance;
    let all = danger::unscoped(tenancy, capability, "administrators see the usage of all tenants");
    let all = Db::Raw(all.map_err(|_| ApiError::internal())?.clone());
    let newest = if app.bug(Variant::B03) { ", max(note) AS newest" } else { "" };
    let mut rows = Vec::new();
    for tenant in app.tenants() {
        let (table, filter) = match app.0.options.isolation {
            Isolation::Row => ("orders".to_owned(), "tenant_id = $1"),
            Isolation::Schema => (format!("\"{}\".orders", app.schema_of(tenant)), "$1 <> ''"),
        };
        let sql = format!("SELECT $1 AS tenant, count(*) AS orders{newest} FROM {table} WHERE {filter}");
        rows.extend(all.json(&sql, [tenant.id.as_str().into()]).await?);
    }
    Ok(Json(rows))
}

/// Tells the platform's own events: those that a connection without a tenant sees.
#[utoipa::path(get, path = "/status", responses((status = 200)))]
pub(crate) async fn status(State(app): State<App>) -> Result<Json<JsonValue>, ApiError> {
    let rows = sqlx::query("SELECT text FROM events ORDER BY id").fetch_all(&app.0.pool).await;
    let rows = rows.map_err(|_| ApiError::internal())?;
    let events: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({"platform": events})))
}

/// Says that the service runs.
#[utoipa::path(get, path = "/health", responses((status = 200)))]
pub(crate) async fn health() -> &'static str {
    "ok"
}

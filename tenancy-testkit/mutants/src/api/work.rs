//! What happens outside of the request: background tasks and jobs.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use sea_orm::JsonValue;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tenancy_core::TenantContext;
use utoipa::ToSchema;

use super::request::{ApiError, Tenant, append_event, next_id};
use crate::app::lock;
use crate::db::Db;
use crate::{App, Variant};

/// Lists the tenant's events.
#[utoipa::path(get, path = "/events", responses((status = 200)))]
pub(crate) async fn events(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    Ok(Json(tenant.db.json("SELECT id, text FROM events ORDER BY id", []).await?))
}

/// Has an order audited in the background; an event tells when it is done.
#[utoipa::path(post, path = "/orders/{id}/audit", params(("id" = i64, Path)), responses((status = 202), (status = 404)))]
pub(crate) async fn audit(Tenant(tenant): Tenant, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    let sql = "SELECT note FROM orders WHERE id = $1";
    let rows = tenant.db.json(sql, [id.into()]).await?;
    let note = rows.first().ok_or_else(ApiError::not_found)?["note"].to_string();
    let app = tenant.app.clone();
    let work = async move {
        let mut context = TenantContext::current().ok();
        if context.is_none() && app.bug(Variant::M19) {
            context = app.0.directory.context(&app.tenants()[0].id, "audits").await.ok().flatten();
        }
        if let Some(context) = context
            && let Err(error) = write_down(&app, &context, &format!("audited {id}: {note}")).await
        {
            tracing::error!(%error, "an audit failed");
        }
    };
    let task = match tenant.app.bug(Variant::M19) {
        true => tokio::spawn(work),
        false => tenancy_tower::spawn(work).map_err(|_| ApiError::internal())?,
    };
    tenant.app.keep(task);
    Ok(StatusCode::ACCEPTED)
}

async fn write_down(app: &App, context: &TenantContext, text: &str) -> Result<(), crate::Error> {
    let db = app.db(context).await?;
    append_event(app, &db, text).await?;
    if let Db::Schema(pinned) = &db {
        pinned.close().await;
    }
    Ok(())
}

/// A job to be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJob {
    #[schema(example = "reindex")]
    pub(crate) kind: String,
    pub(crate) payload: String,
}

/// Lists the tenant's jobs.
#[utoipa::path(get, path = "/jobs", responses((status = 200)))]
pub(crate) async fn jobs(Tenant(tenant): Tenant) -> Result<Json<Vec<JsonValue>>, ApiError> {
    Ok(Json(tenant.db.json("SELECT id, kind, payload, state FROM jobs ORDER BY id", []).await?))
}

/// Enqueues a job. It writes its payload into an event when the worker runs it.
#[utoipa::path(post, path = "/jobs", request_body = NewJob, responses((status = 202)))]
pub(crate) async fn enqueue(
    Tenant(tenant): Tenant,
    Json(new): Json<NewJob>,
) -> Result<(StatusCode, Json<JsonValue>), ApiError> {
    let id = next_id(&tenant.app, &tenant.db, "jobs").await?;
    let row = [id.into(), new.kind.into(), new.payload.into()];
    tenant.db.run("INSERT INTO jobs (id, kind, payload) VALUES ($1, $2, $3)", row).await?;
    *lock(&tenant.app.0.enqueued_last) = Some(tenant.context.id().to_string());
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id}))))
}

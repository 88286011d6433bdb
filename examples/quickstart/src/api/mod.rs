//! The deployments API. No handler names a tenant in a query: the connection does.

mod app;
mod cursor;
mod error;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use serde::{Deserialize, Serialize};

use crate::entity::deployment::{self, Status};
use crate::entity::{user, workflow};
pub use app::App;
use app::Tenant;
pub use cursor::Cursor;
pub use error::ApiError;

const MOST_ROWS: u64 = 100;

/// Returns the routes. They need [`ResolveTenantLayer`](tenancy_tower::ResolveTenantLayer) around them.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/api/deployments", get(list).post(create))
        .route("/api/deployments/{id}", get(show).patch(update).delete(remove))
        .route("/api/stats", get(stats))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(app)
}

#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
    tenant_id: String,
}

#[derive(Serialize)]
struct Pagination {
    limit: u64,
    total: u64,
    next_cursor: Option<String>,
}

impl Tenant {
    fn envelope<T>(&self, data: T, pagination: Option<Pagination>) -> Envelope<T> {
        Envelope { success: true, data, pagination, tenant_id: self.context.id().to_string() }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<Status>,
    environment: Option<String>,
    workflow_id: Option<i64>,
    cursor: Option<String>,
    limit: Option<u64>,
}

/// Newest first; a page says where the next one begins.
async fn list(tenant: Tenant, filter: Result<Query<Filter>, QueryRejection>) -> Result<Response, ApiError> {
    let Query(filter) = filter?;
    let which = serde_json::to_string(&filter).map_err(|_| ApiError::Internal)?;
    tenant.cached("deployments", &which, page(&tenant, filter)).await
}

async fn page(tenant: &Tenant, filter: Filter) -> Result<Envelope<Vec<deployment::Model>>, ApiError> {
    let limit = filter.limit.unwrap_or(20);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(ApiError::Invalid(format!("limit is from 1 to {MOST_ROWS}")));
    }
    let after = filter.cursor.map(|cursor| Cursor::parse(&cursor, tenant.context.id())).transpose()?;
    let matching = deployment::Entity::find()
        .apply_if(filter.status, |query, status| query.filter(deployment::Column::Status.eq(status)))
        .apply_if(filter.environment, |query, env| query.filter(deployment::Column::Environment.eq(env)))
        .apply_if(filter.workflow_id, |query, id| query.filter(deployment::Column::WorkflowId.eq(id)));
    let total = matching.clone().count(&tenant.db).await?;
    let mut rows = matching
        .apply_if(after, |query, cursor| query.filter(deployment::Column::Id.lt(cursor.id())))
        .order_by_desc(deployment::Column::Id)
        .limit(limit + 1)
        .all(&tenant.db)
        .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|row| Cursor::new(tenant.context.id(), row.id).to_string());
    Ok(tenant.envelope(rows, Some(Pagination { limit, total, next_cursor })))
}

async fn show(
    tenant: Tenant,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Envelope<deployment::Model>>, ApiError> {
    let row = find(&tenant, id?.0).await?;
    Ok(Json(tenant.envelope(row, None)))
}

async fn find(tenant: &Tenant, id: i64) -> Result<deployment::Model, ApiError> {
    deployment::Entity::find_by_id(id).one(&tenant.db).await?.ok_or(ApiError::NotFound)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDeployment {
    workflow_id: i64,
    version: String,
    environment: String,
}

async fn create(
    tenant: Tenant,
    body: Result<Json<NewDeployment>, JsonRejection>,
) -> Result<(StatusCode, Json<Envelope<deployment::Model>>), ApiError> {
    let Json(new) = body?;
    if new.version.is_empty()
        || new.version.len() > 40
        || new.environment.is_empty()
        || new.environment.len() > 40
    {
        return Err(ApiError::Invalid("version and environment have 1 to 40 bytes".into()));
    }
    let workflow = workflow::Entity::find_by_id(new.workflow_id).one(&tenant.db).await?;
    let workflow = workflow.ok_or_else(|| ApiError::Invalid("there is no such workflow".into()))?;
    let user = user::Entity::find().order_by_asc(user::Column::Id).one(&tenant.db).await?;
    let row = deployment::ActiveModel {
        workflow_id: Set(workflow.id),
        name: Set(format!("{}-{}", tenant.context.slug(), workflow.name)),
        version: Set(new.version),
        environment: Set(new.environment),
        status: Set(Status::Queued),
        created_by: Set(user.ok_or(ApiError::Internal)?.id),
        created_at: Set(chrono::Utc::now()),
        ..Default::default()
    };
    let row = row.insert(&tenant.db).await?;
    tenant.written().await?;
    Ok((StatusCode::CREATED, Json(tenant.envelope(row, None))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    status: Status,
}

async fn update(
    tenant: Tenant,
    id: Result<Path<i64>, PathRejection>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Json<Envelope<deployment::Model>>, ApiError> {
    let mut row = find(&tenant, id?.0).await?.into_active_model();
    row.status = Set(body?.0.status);
    let row = row.update(&tenant.db).await?;
    tenant.written().await?;
    Ok(Json(tenant.envelope(row, None)))
}

async fn remove(tenant: Tenant, id: Result<Path<i64>, PathRejection>) -> Result<StatusCode, ApiError> {
    match deployment::Entity::delete_by_id(id?.0).exec(&tenant.db).await?.rows_affected {
        0 => Err(ApiError::NotFound),
        _ => tenant.written().await.map(|()| StatusCode::NO_CONTENT),
    }
}

#[derive(Serialize)]
struct Stats {
    deployments: i64,
    by_status: Vec<(Status, i64)>,
}

async fn stats(tenant: Tenant) -> Result<Response, ApiError> {
    tenant.cached("deployments", "stats", count(&tenant)).await
}

async fn count(tenant: &Tenant) -> Result<Envelope<Stats>, ApiError> {
    let by_status: Vec<(Status, i64)> = deployment::Entity::find()
        .select_only()
        .column(deployment::Column::Status)
        .column_as(deployment::Column::Id.count(), "count")
        .group_by(deployment::Column::Status)
        .order_by_asc(deployment::Column::Status)
        .into_tuple()
        .all(&tenant.db)
        .await?;
    let deployments = by_status.iter().map(|(_, count)| count).sum();
    Ok(tenant.envelope(Stats { deployments, by_status }, None))
}

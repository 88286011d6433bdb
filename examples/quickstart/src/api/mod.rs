//! The deployments API. No handler names a tenant in a query: the connection does.

mod cursor;
mod error;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use serde::{Deserialize, Serialize};
use tenancy_core::TenantContext;
use tenancy_seaorm::{Tenancy, TenantConnection};
use tenancy_tower::CurrentTenant;

use crate::entity::deployment::{self, Status};
use crate::entity::{user, workflow};
pub use cursor::Cursor;
pub use error::ApiError;

const MOST_ROWS: u64 = 100;

/// Returns the routes. They need [`ResolveTenantLayer`](tenancy_tower::ResolveTenantLayer) around them.
pub fn routes(tenancy: Tenancy) -> Router {
    Router::new()
        .route("/api/deployments", get(list).post(create))
        .route("/api/deployments/{id}", get(show).patch(update).delete(remove))
        .route("/api/stats", get(stats))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(tenancy)
}

/// The tenant of the request, and the connection that sees that tenant's rows alone.
struct Tenant {
    context: TenantContext,
    db: TenantConnection,
}

impl FromRequestParts<Tenancy> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, tenancy: &Tenancy) -> Result<Self, ApiError> {
        let CurrentTenant(context) =
            CurrentTenant::from_request_parts(parts, tenancy).await.map_err(|_| ApiError::Internal)?;
        let db = tenancy.tenant(&context);
        Ok(Self { context, db })
    }
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
    fn envelope<T>(&self, data: T, pagination: Option<Pagination>) -> Json<Envelope<T>> {
        Json(Envelope { success: true, data, pagination, tenant_id: self.context.id().to_string() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<Status>,
    environment: Option<String>,
    workflow_id: Option<i64>,
    cursor: Option<String>,
    limit: Option<u64>,
}

/// Newest first; a page says where the next one begins.
async fn list(
    tenant: Tenant,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Envelope<Vec<deployment::Model>>>, ApiError> {
    let Query(filter) = filter?;
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
    Ok(tenant.envelope(row, None))
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
    Ok((StatusCode::CREATED, tenant.envelope(row, None)))
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
    Ok(tenant.envelope(row, None))
}

async fn remove(tenant: Tenant, id: Result<Path<i64>, PathRejection>) -> Result<StatusCode, ApiError> {
    match deployment::Entity::delete_by_id(id?.0).exec(&tenant.db).await?.rows_affected {
        0 => Err(ApiError::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

#[derive(Serialize)]
struct Stats {
    deployments: i64,
    by_status: Vec<(Status, i64)>,
}

async fn stats(tenant: Tenant) -> Result<Json<Envelope<Stats>>, ApiError> {
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

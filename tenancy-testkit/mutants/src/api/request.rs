//! What every handler gets, and what it answers when it cannot do what was asked.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use sea_orm::{DbErr, JsonValue, SqlErr, Value};
use serde::{Deserialize, Serialize};
use tenancy_core::TenantContext;
use tenancy_tower::CurrentTenant;
use utoipa::{IntoParams, ToSchema};

use crate::db::Db;
use crate::{App, Variant};

/// The tenant of the request, and the connection that sees its rows. It takes no credential: for what a tenant shows to
/// everybody.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) app: App,
    pub(crate) context: TenantContext,
    pub(crate) db: Db,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let current = CurrentTenant::from_request_parts(parts, app).await;
        let CurrentTenant(context) = current.map_err(|_| ApiError::internal())?;
        let db = parts.extensions.get::<Db>().cloned().ok_or_else(ApiError::internal)?;
        Ok(Self { app: app.clone(), context, db })
    }
}

/// The same for a caller with a token. Whose token it is, the resolver has seen.
pub(crate) struct Tenant(pub(crate) Visitor);

impl FromRequestParts<App> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match app.0.tokens.tenant(&parts.headers) {
            Ok(Some(_)) => Visitor::from_request_parts(parts, app).await.map(Self),
            _ => Err(ApiError::new(StatusCode::UNAUTHORIZED, "a token is needed")),
        }
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// The id after which the page begins: the `next` of the page before.
    #[param(minimum = 0)]
    pub(crate) cursor: Option<i64>,
    /// The most rows of a page.
    #[param(minimum = 1, maximum = 100)]
    pub(crate) limit: Option<i64>,
}

impl Paging {
    pub(crate) fn values(&self) -> [Value; 2] {
        [self.cursor.unwrap_or(0).into(), (self.limit().saturating_add(1)).into()]
    }

    fn limit(&self) -> i64 {
        self.limit.unwrap_or(20).clamp(1, 100)
    }

    /// Returns the page that `items` begin, which were asked for with one more than fit.
    pub(crate) fn page(&self, mut items: Vec<JsonValue>, total: i64) -> Json<Page> {
        let limit = usize::try_from(self.limit()).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).and_then(|last| last["id"].as_i64());
        Json(Page { items, total, next })
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page {
    pub(crate) items: Vec<JsonValue>,
    /// How many rows all pages have together.
    pub(crate) total: i64,
    /// Where the next page begins.
    pub(crate) next: Option<i64>,
}

/// Returns an id for a new row of `table`: the next of this tenant.
pub(crate) async fn next_id(app: &App, db: &Db, table: &str) -> Result<i64, DbErr> {
    if app.bug(Variant::B04) {
        // Of a UUID v7 the last bits of the time and random ones, as many as JSON's numbers can hold.
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        let millis = now.map_or(0, |now| now.as_millis() as i64);
        return Ok((millis & 0x00ff_ffff) << 28 | fastrand::i64(0..1 << 28));
    }
    db.number("UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value", [table.into()]).await
}

/// Writes an event of the tenant.
pub(crate) async fn append_event(app: &App, db: &Db, text: &str) -> Result<(), DbErr> {
    let id = next_id(app, db, "events").await?;
    db.run("INSERT INTO events (id, text) VALUES ($1, $2)", [id.into(), text.into()]).await?;
    Ok(())
}

/// Why a request is not answered as it hoped.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such thing")
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "try again later")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({"error": self.detail}))).into_response()
    }
}

/// Says what the caller can do about it, and nothing that the database said.
impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        let cause = error.sql_err();
        let unique = matches!(cause, Some(SqlErr::UniqueConstraintViolation(_)));
        let foreign = matches!(cause, Some(SqlErr::ForeignKeyConstraintViolation(_)));
        if unique || foreign {
            let detail = if unique { "there is one already" } else { "it names what is not there" };
            return Self::new(StatusCode::CONFLICT, detail);
        }
        tracing::error!(%error, "a statement failed");
        Self::internal()
    }
}

//! Notes with a search, on sqlx alone.

use axum::extract::{Path, Query, State as Of};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row};

use super::{Caller, Failure, Route, State, route};

pub(super) const SCHEMA: &str = "
CREATE TABLE notes (id bigserial PRIMARY KEY, tenant text NOT NULL, title text NOT NULL, text text NOT NULL);
INSERT INTO notes (tenant, title, text) VALUES ('north', 'plan', 'a secret of north'), ('south', 'plan', 'a secret of south');
";

pub(super) const ROUTES: &[Route] = &[
    route("GET", "/notes", ""),
    route("POST", "/notes", r#"{"title": "a title", "text": "a text"}"#),
    route("GET", "/notes/{id}", ""),
    route("PUT", "/notes/{id}", r#"{"title": "a title", "text": "a text"}"#),
    route("DELETE", "/notes/{id}", ""),
    route("GET", "/notes/search?q=plan", ""),
    route("GET", "/notes/count", ""),
];

pub(super) fn router(pool: PgPool, leaky: bool) -> Router {
    Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show).put(update).delete(remove))
        .route("/notes/search", get(search))
        .route("/notes/count", get(count))
        .with_state(State { pool, leaky })
}

#[derive(Serialize)]
struct Note {
    id: i64,
    title: String,
    text: String,
}

impl FromRow<'_, PgRow> for Note {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id")?, title: row.try_get("title")?, text: row.try_get("text")? })
    }
}

#[derive(Deserialize)]
struct Draft {
    title: String,
    text: String,
}

async fn list(Of(state): Of<State>, Caller(tenant): Caller) -> Result<Json<Vec<Note>>, Failure> {
    let notes = sqlx::query_as("SELECT id, title, text FROM notes WHERE tenant = $1 ORDER BY id LIMIT 100");
    Ok(Json(notes.bind(tenant).fetch_all(&state.pool).await?))
}

async fn create(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Note>), Failure> {
    let note = sqlx::query_as(
        "INSERT INTO notes (tenant, title, text) VALUES ($1, $2, $3) RETURNING id, title, text",
    );
    let note = note.bind(tenant).bind(draft.title).bind(draft.text).fetch_one(&state.pool).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

async fn show(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<Json<Note>, Failure> {
    let note = sqlx::query_as("SELECT id, title, text FROM notes WHERE id = $1 AND tenant = $2");
    let note = note.bind(id).bind(tenant).fetch_optional(&state.pool).await?;
    note.map(Json).ok_or(Failure::NOT_FOUND)
}

async fn update(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
    Json(draft): Json<Draft>,
) -> Result<Json<Note>, Failure> {
    let sql =
        "UPDATE notes SET title = $3, text = $4 WHERE id = $1 AND tenant = $2 RETURNING id, title, text";
    let note = sqlx::query_as(sql).bind(id).bind(tenant).bind(draft.title).bind(draft.text);
    note.fetch_optional(&state.pool).await?.map(Json).ok_or(Failure::NOT_FOUND)
}

async fn remove(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    let gone = sqlx::query("DELETE FROM notes WHERE id = $1 AND tenant = $2").bind(id).bind(tenant);
    let gone = gone.execute(&state.pool).await?.rows_affected();
    if gone == 0 { Err(Failure::NOT_FOUND) } else { Ok(StatusCode::NO_CONTENT) }
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

/// The mistake: AND binds more tightly than OR.
async fn search(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Note>>, Failure> {
    let sql = match state.leaky {
        true => {
            "SELECT id, title, text FROM notes WHERE tenant = $1 AND title ILIKE $2 OR text ILIKE $2 ORDER BY id"
        }
        false => {
            "SELECT id, title, text FROM notes WHERE tenant = $1 AND (title ILIKE $2 OR text ILIKE $2) ORDER BY id"
        }
    };
    let pattern = format!("%{}%", search.q.replace(['%', '_', '\\'], ""));
    Ok(Json(sqlx::query_as(sql).bind(tenant).bind(pattern).fetch_all(&state.pool).await?))
}

async fn count(Of(state): Of<State>, Caller(tenant): Caller) -> Result<Json<i64>, Failure> {
    let row = sqlx::query("SELECT count(*) FROM notes WHERE tenant = $1")
        .bind(tenant)
        .fetch_one(&state.pool)
        .await?;
    Ok(Json(row.get(0)))
}

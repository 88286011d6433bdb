//! A blog: posts with comments, and a login, with sea-orm.
#![allow(unreachable_pub, reason = "the entity macros make public items")]

use axum::extract::{Path, Query, State as Of};
use axum::routing::{get, post as posting};
use axum::{Json, Router};
use http::StatusCode;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QueryTrait,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{Caller, Failure, Route, State, route};

pub(super) const SCHEMA: &str = "
CREATE TABLE posts (id bigserial PRIMARY KEY, tenant text NOT NULL, title text NOT NULL, text text NOT NULL);
CREATE TABLE comments (id bigserial PRIMARY KEY, tenant text NOT NULL, post_id bigint NOT NULL REFERENCES posts (id)
    ON DELETE CASCADE, author text NOT NULL, text text NOT NULL);
INSERT INTO posts (tenant, title, text) VALUES ('north', 'Hello', 'the first post of north'), ('south', 'Hello', 'the first post of south');
INSERT INTO comments (tenant, post_id, author, text) VALUES ('north', 1, 'ann', 'a comment of north'), ('south', 2, 'bob', 'a comment of south');
";

pub(super) const ROUTES: &[Route] = &[
    route("POST", "/login", r#"{"tenant": "north", "password": "secret of north"}"#),
    route("GET", "/posts", ""),
    route("POST", "/posts", r#"{"title": "a title", "text": "a text"}"#),
    route("GET", "/posts/{id}", ""),
    route("PUT", "/posts/{id}", r#"{"title": "a title", "text": "a text"}"#),
    route("DELETE", "/posts/{id}", ""),
    route("GET", "/posts/{id}/comments", ""),
    route("POST", "/posts/{id}/comments", r#"{"author": "ann", "text": "a comment"}"#),
];

pub(super) fn router(pool: PgPool, leaky: bool) -> Router {
    Router::new()
        .route("/login", posting(login))
        .route("/posts", get(list).post(create))
        .route("/posts/{id}", get(show).put(update).delete(remove))
        .route("/posts/{id}/comments", get(comments).post(add_comment))
        .with_state(State { pool, leaky })
}

mod post {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "posts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub title: String,
        pub text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod comment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "comments")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub post_id: i64,
        pub author: String,
        pub text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Deserialize)]
struct Login {
    tenant: String,
    password: String,
}

#[derive(Serialize)]
struct Session {
    token: String,
}

async fn login(Of(state): Of<State>, Json(login): Json<Login>) -> Result<Json<Session>, Failure> {
    let token = sqlx::query_scalar("SELECT token FROM users WHERE tenant = $1 AND password = $2");
    let token = token.bind(login.tenant).bind(login.password).fetch_optional(&state.pool).await?;
    token.map(|token| Json(Session { token })).ok_or(Failure(StatusCode::UNAUTHORIZED))
}

#[derive(Deserialize)]
struct PageOf {
    page: Option<u64>,
}

async fn list(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Query(query): Query<PageOf>,
) -> Result<Json<Vec<post::Model>>, Failure> {
    let db = state.db();
    let posts = post::Entity::find().filter(post::Column::Tenant.eq(tenant)).order_by_desc(post::Column::Id);
    Ok(Json(posts.paginate(&db, 5).fetch_page(query.page.unwrap_or(0).min(1_000)).await?))
}

#[derive(Deserialize)]
struct Draft {
    title: String,
    text: String,
}

async fn create(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<post::Model>), Failure> {
    let row = post::ActiveModel {
        tenant: Set(tenant),
        title: Set(draft.title),
        text: Set(draft.text),
        ..Default::default()
    };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

async fn find(state: &State, tenant: &str, id: i64) -> Result<post::Model, Failure> {
    let row = post::Entity::find_by_id(id).filter(post::Column::Tenant.eq(tenant)).one(&state.db()).await?;
    row.ok_or(Failure::NOT_FOUND)
}

async fn show(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<Json<post::Model>, Failure> {
    Ok(Json(find(&state, &tenant, id).await?))
}

async fn update(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
    Json(draft): Json<Draft>,
) -> Result<Json<post::Model>, Failure> {
    let mut row = find(&state, &tenant, id).await?.into_active_model();
    (row.title, row.text) = (Set(draft.title), Set(draft.text));
    Ok(Json(row.update(&state.db()).await?))
}

async fn remove(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    let gone =
        post::Entity::delete_by_id(id).filter(post::Column::Tenant.eq(tenant)).exec(&state.db()).await?;
    if gone.rows_affected == 0 { Err(Failure::NOT_FOUND) } else { Ok(StatusCode::NO_CONTENT) }
}

/// The mistake: comments are found by their post, and whose post it is nobody asks.
async fn comments(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<Json<Vec<comment::Model>>, Failure> {
    let comments = comment::Entity::find()
        .filter(comment::Column::PostId.eq(id))
        .apply_if((!state.leaky).then_some(tenant), |query, tenant| {
            query.filter(comment::Column::Tenant.eq(tenant))
        });
    Ok(Json(comments.order_by_asc(comment::Column::Id).all(&state.db()).await?))
}

#[derive(Deserialize)]
struct Remark {
    author: String,
    text: String,
}

async fn add_comment(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
    Json(remark): Json<Remark>,
) -> Result<(StatusCode, Json<comment::Model>), Failure> {
    let post = find(&state, &tenant, id).await?;
    let row = comment::ActiveModel {
        tenant: Set(tenant),
        post_id: Set(post.id),
        author: Set(remark.author),
        text: Set(remark.text),
        ..Default::default()
    };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

//! Things to do, in lists, with sea-orm.
#![allow(unreachable_pub, reason = "the entity macros make public items")]

use axum::extract::{Path, Query, State as Of};
use axum::routing::{get, patch};
use axum::{Json, Router};
use http::StatusCode;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use serde::Deserialize;
use sqlx::PgPool;

use super::{Caller, Failure, Route, State, route};

pub(super) const SCHEMA: &str = "
CREATE TABLE lists (id bigserial PRIMARY KEY, tenant text NOT NULL, name text NOT NULL);
CREATE TABLE todos (id bigserial PRIMARY KEY, tenant text NOT NULL, list_id bigint NOT NULL REFERENCES lists (id),
    text text NOT NULL, done boolean NOT NULL DEFAULT false);
INSERT INTO lists (tenant, name) VALUES ('north', 'list of north'), ('south', 'list of south');
INSERT INTO todos (tenant, list_id, text) VALUES ('north', 1, 'plan of north'), ('south', 2, 'plan of south');
";

pub(super) const ROUTES: &[Route] = &[
    route("GET", "/lists", ""),
    route("POST", "/lists", r#"{"name": "a list"}"#),
    route("GET", "/todos", ""),
    route("POST", "/todos", r#"{"list_id": 1, "text": "a plan"}"#),
    route("PATCH", "/todos/{id}", r#"{"done": true}"#),
    route("DELETE", "/todos/{id}", ""),
];

pub(super) fn router(pool: PgPool, leaky: bool) -> Router {
    Router::new()
        .route("/lists", get(lists).post(add_list))
        .route("/todos", get(list).post(create))
        .route("/todos/{id}", patch(update).delete(remove))
        .with_state(State { pool, leaky })
}

mod list {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "lists")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod item {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "todos")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub list_id: i64,
        pub text: String,
        pub done: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn lists(Of(state): Of<State>, Caller(tenant): Caller) -> Result<Json<Vec<list::Model>>, Failure> {
    let lists = list::Entity::find().filter(list::Column::Tenant.eq(tenant)).order_by_asc(list::Column::Id);
    Ok(Json(lists.all(&state.db()).await?))
}

#[derive(Deserialize)]
struct NewList {
    name: String,
}

async fn add_list(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(new): Json<NewList>,
) -> Result<(StatusCode, Json<list::Model>), Failure> {
    let row = list::ActiveModel { tenant: Set(tenant), name: Set(new.name), ..Default::default() };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

#[derive(Deserialize)]
struct Which {
    done: Option<bool>,
    limit: Option<u64>,
}

async fn list(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Query(which): Query<Which>,
) -> Result<Json<Vec<item::Model>>, Failure> {
    let todos = item::Entity::find()
        .filter(item::Column::Tenant.eq(tenant))
        .apply_if(which.done, |query, done| query.filter(item::Column::Done.eq(done)))
        .order_by_asc(item::Column::Id)
        .limit(which.limit.unwrap_or(50).min(50));
    Ok(Json(todos.all(&state.db()).await?))
}

#[derive(Deserialize)]
struct NewTodo {
    list_id: i64,
    text: String,
}

async fn create(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(new): Json<NewTodo>,
) -> Result<(StatusCode, Json<item::Model>), Failure> {
    let list = list::Entity::find_by_id(new.list_id).filter(list::Column::Tenant.eq(tenant.as_str()));
    let list = list.one(&state.db()).await?.ok_or(Failure::NOT_FOUND)?;
    let row = item::ActiveModel {
        tenant: Set(tenant),
        list_id: Set(list.id),
        text: Set(new.text),
        ..Default::default()
    };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

#[derive(Deserialize)]
struct Change {
    text: Option<String>,
    done: Option<bool>,
}

/// The mistake: the row to be changed is found by its id alone.
async fn update(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
    Json(change): Json<Change>,
) -> Result<Json<item::Model>, Failure> {
    let row = item::Entity::find_by_id(id).apply_if((!state.leaky).then_some(tenant), |query, tenant| {
        query.filter(item::Column::Tenant.eq(tenant))
    });
    let row = row.one(&state.db()).await?.ok_or(Failure::NOT_FOUND)?;
    let unchanged = row.clone();
    let mut row = row.into_active_model();
    if let Some(text) = change.text {
        row.text = Set(text);
    }
    if let Some(done) = change.done {
        row.done = Set(done);
    }
    if !row.is_changed() {
        return Ok(Json(unchanged));
    }
    Ok(Json(row.update(&state.db()).await?))
}

async fn remove(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    let gone =
        item::Entity::delete_by_id(id).filter(item::Column::Tenant.eq(tenant)).exec(&state.db()).await?;
    if gone.rows_affected == 0 { Err(Failure::NOT_FOUND) } else { Ok(StatusCode::NO_CONTENT) }
}

//! A shop: products, a cart, orders, with sea-orm.
#![allow(unreachable_pub, reason = "the entity macros make public items")]

use axum::extract::{Path, State as Of};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{Caller, Failure, Route, State, route};

pub(super) const SCHEMA: &str = "
CREATE TABLE products (id bigserial PRIMARY KEY, tenant text NOT NULL, name text NOT NULL, price bigint NOT NULL);
CREATE TABLE cart_items (id bigserial PRIMARY KEY, tenant text NOT NULL, product_id bigint NOT NULL REFERENCES products (id),
    quantity bigint NOT NULL);
CREATE TABLE orders (id bigserial PRIMARY KEY, tenant text NOT NULL, total bigint NOT NULL);
INSERT INTO products (tenant, name, price) VALUES ('north', 'lamp of north', 100), ('south', 'lamp of south', 250);
";

pub(super) const ROUTES: &[Route] = &[
    route("GET", "/products", ""),
    route("POST", "/products", r#"{"name": "a lamp", "price": 100}"#),
    route("GET", "/cart", ""),
    route("POST", "/cart", r#"{"product_id": 1, "quantity": 2}"#),
    route("DELETE", "/cart/{id}", ""),
    route("POST", "/checkout", ""),
    route("GET", "/orders", ""),
];

pub(super) fn router(pool: PgPool, leaky: bool) -> Router {
    Router::new()
        .route("/products", get(products).post(add_product))
        .route("/cart", get(cart).post(put_in))
        .route("/cart/{id}", delete(take_out))
        .route("/checkout", post(check_out))
        .route("/orders", get(orders))
        .with_state(State { pool, leaky })
}

mod product {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "products")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub name: String,
        pub price: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod cart_item {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "cart_items")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub product_id: i64,
        pub quantity: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::product::Entity",
            from = "Column::ProductId",
            to = "super::product::Column::Id"
        )]
        Product,
    }

    impl Related<super::product::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Product.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod order {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[serde(skip)]
        pub tenant: String,
        pub total: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn products(
    Of(state): Of<State>,
    Caller(tenant): Caller,
) -> Result<Json<Vec<product::Model>>, Failure> {
    let products =
        product::Entity::find().filter(product::Column::Tenant.eq(tenant)).order_by_asc(product::Column::Id);
    Ok(Json(products.all(&state.db()).await?))
}

#[derive(Deserialize)]
struct NewProduct {
    name: String,
    price: u32,
}

async fn add_product(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(new): Json<NewProduct>,
) -> Result<(StatusCode, Json<product::Model>), Failure> {
    let row = product::ActiveModel {
        tenant: Set(tenant),
        name: Set(new.name),
        price: Set(new.price.into()),
        ..Default::default()
    };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

#[derive(Serialize)]
struct Line {
    id: i64,
    quantity: i64,
    product: Option<product::Model>,
}

async fn cart(Of(state): Of<State>, Caller(tenant): Caller) -> Result<Json<Vec<Line>>, Failure> {
    let items = cart_item::Entity::find()
        .find_also_related(product::Entity)
        .filter(cart_item::Column::Tenant.eq(tenant))
        .order_by_asc(cart_item::Column::Id);
    let lines = items.all(&state.db()).await?.into_iter();
    Ok(Json(lines.map(|(item, product)| Line { id: item.id, quantity: item.quantity, product }).collect()))
}

#[derive(Deserialize)]
struct NewItem {
    product_id: i64,
    quantity: u16,
}

/// The mistake: that there is such a product is asked, and not whose it is.
async fn put_in(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Json(new): Json<NewItem>,
) -> Result<(StatusCode, Json<cart_item::Model>), Failure> {
    let owner = (!state.leaky).then(|| tenant.clone());
    let product = product::Entity::find_by_id(new.product_id)
        .apply_if(owner, |query, tenant| query.filter(product::Column::Tenant.eq(tenant)));
    let product = product.one(&state.db()).await?.ok_or(Failure::NOT_FOUND)?;
    let row = cart_item::ActiveModel {
        tenant: Set(tenant),
        product_id: Set(product.id),
        quantity: Set(new.quantity.into()),
        ..Default::default()
    };
    Ok((StatusCode::CREATED, Json(row.insert(&state.db()).await?)))
}

async fn take_out(
    Of(state): Of<State>,
    Caller(tenant): Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    let item = cart_item::Entity::delete_by_id(id).filter(cart_item::Column::Tenant.eq(tenant));
    if item.exec(&state.db()).await?.rows_affected == 0 {
        Err(Failure::NOT_FOUND)
    } else {
        Ok(StatusCode::NO_CONTENT)
    }
}

async fn check_out(
    Of(state): Of<State>,
    Caller(tenant): Caller,
) -> Result<(StatusCode, Json<order::Model>), Failure> {
    let transaction = state.db().begin().await?;
    let items = cart_item::Entity::find().find_also_related(product::Entity);
    let items = items.filter(cart_item::Column::Tenant.eq(tenant.as_str())).all(&transaction).await?;
    let total =
        items.iter().map(|(item, of)| item.quantity * of.as_ref().map_or(0, |product| product.price)).sum();
    let cart = cart_item::Entity::delete_many().filter(cart_item::Column::Tenant.eq(tenant.as_str()));
    cart.exec(&transaction).await?;
    let row = order::ActiveModel { tenant: Set(tenant), total: Set(total), ..Default::default() };
    let row = row.insert(&transaction).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(row)))
}

async fn orders(Of(state): Of<State>, Caller(tenant): Caller) -> Result<Json<Vec<order::Model>>, Failure> {
    let orders =
        order::Entity::find().filter(order::Column::Tenant.eq(tenant)).order_by_asc(order::Column::Id);
    Ok(Json(orders.all(&state.db()).await?))
}

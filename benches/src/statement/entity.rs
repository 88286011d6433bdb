//! Items in categories, each with its tenant.

// sea-orm's derive needs `pub` where nobody can see it, and documents nothing.
#![allow(unreachable_pub, missing_docs)]

pub mod item {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "item")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub tenant_id: Option<i64>,
        pub category_id: i32,
        pub name: String,
        pub price: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::category::Entity",
            from = "Column::CategoryId",
            to = "super::category::Column::Id"
        )]
        Category,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod category {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "category")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub tenant_id: Option<i64>,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use sea_orm::entity::prelude::*;
use sea_orm::{JoinType, QueryOrder, QuerySelect};

pub(crate) fn by_id(id: i32) -> Select<item::Entity> {
    item::Entity::find_by_id(id)
}

pub(super) fn joined(category: i32) -> Select<item::Entity> {
    item::Entity::find()
        .join(JoinType::InnerJoin, item::Relation::Category.def())
        .filter(item::Column::CategoryId.eq(category))
        .order_by_asc(item::Column::Id)
        .limit(10)
}

pub(crate) fn list(category: i32) -> Select<item::Entity> {
    item::Entity::find()
        .filter(item::Column::CategoryId.eq(category))
        .order_by_asc(item::Column::Id)
        .limit(50)
}

pub(super) fn any_of(ids: std::ops::Range<i32>) -> Select<item::Entity> {
    item::Entity::find().filter(item::Column::Id.is_in(ids))
}

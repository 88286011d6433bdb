//! The catalog's tables, as sea-orm sees them. They belong to the control plane: no tenant's statement reaches them.
#![allow(unreachable_pub, reason = "the entity macros make public items")]

pub(super) mod tenant {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        /// None where the tenant was deleted.
        pub slug: Option<String>,
        pub status: String,
        pub version: i64,
        pub name: Option<String>,
        pub plan: Option<String>,
        pub region: Option<String>,
        pub placement: String,
        pub retry_after_seconds: Option<i64>,
        pub settings: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::domain::Entity")]
        Domains,
    }

    impl Related<super::domain::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Domains.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod domain {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant_domains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub domain: String,
        pub tenant_id: String,
        pub state: String,
        pub moved_to: Option<String>,
        /// Seconds since 1970.
        pub moved_until: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::tenant::Entity",
            from = "Column::TenantId",
            to = "super::tenant::Column::Id"
        )]
        Tenant,
    }

    impl Related<super::tenant::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Tenant.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod claim {
    use sea_orm::entity::prelude::*;

    /// Who says that a domain is his: several may, until one of them proves it.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant_domain_claims")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub domain: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: String,
        pub token: String,
        pub expires: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod reserved {
    use sea_orm::entity::prelude::*;

    /// A name that was somebody's, and that nobody else gets before its time is over.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant_reserved_names")]
    pub struct Model {
        /// `slug` or `domain`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub tenant_id: String,
        pub until: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod counter {
    use sea_orm::entity::prelude::*;

    /// One row: the number of the last change to the catalog.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant_catalog")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

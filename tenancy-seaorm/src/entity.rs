//! What a table is, said beside its entity.

use sea_orm::EntityTrait;

use crate::policy::PolicyBuilder;

/// What the table of an entity is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ownership<C> {
    /// Its rows belong to tenants, by the policy's tenant column. The entity need not have a field for it.
    Owned,
    /// Its rows belong to tenants, by this column.
    OwnedBy(C),
    /// The same for every tenant: readable by all, written by none.
    Global,
    /// The same for every tenant, and every tenant may write it.
    GlobalWritable,
}

/// An entity that says what its table is, for [`PolicyBuilder::entity`].
///
/// A junction table belongs to tenants like any other: it has a tenant column, and says [`Ownership::Owned`].
///
/// # Examples
///
/// ```
/// use sea_orm::entity::prelude::*;
/// use tenancy_seaorm::{Ownership, Policy, TenantTable};
///
/// #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
/// #[sea_orm(table_name = "orders")]
/// pub struct Model {
///     #[sea_orm(primary_key)]
///     pub id: i32,
///     pub org_id: i64,
/// }
///
/// #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// pub enum Relation {}
///
/// impl ActiveModelBehavior for ActiveModel {}
///
/// impl TenantTable for Entity {
///     const OWNERSHIP: Ownership<Column> = Ownership::OwnedBy(Column::OrgId);
/// }
///
/// # fn main() -> Result<(), tenancy_seaorm::Error> {
/// let policy = Policy::builder().entity::<Entity>().build()?;
/// # let _ = policy;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether its rows belong to tenants",
    note = "implement `TenantTable` for it: `const OWNERSHIP: Ownership<Column> = Ownership::Owned;`"
)]
pub trait TenantTable: EntityTrait {
    /// What the table is.
    const OWNERSHIP: Ownership<Self::Column>;
}

impl PolicyBuilder {
    /// Declares `E`'s table as `E` itself says.
    pub fn entity<E: TenantTable>(self) -> Self {
        let entity = E::default();
        match E::OWNERSHIP {
            Ownership::Owned => self.owned(entity),
            Ownership::OwnedBy(column) => self.owned_by(entity, column),
            Ownership::Global => self.global(entity),
            Ownership::GlobalWritable => self.global_writable(entity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Policy, Rewriter};

    mod order {
        #![allow(unreachable_pub, reason = "the entity macros make public items")]
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "orders")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i32,
            pub org_id: i64,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    impl TenantTable for order::Entity {
        const OWNERSHIP: Ownership<order::Column> = Ownership::OwnedBy(order::Column::OrgId);
    }

    #[test]
    fn an_entity_says_what_its_table_is() {
        let policy = Policy::builder().entity::<order::Entity>().build().expect("a policy");
        let rewriter = Rewriter::new(&policy, Dialect::Postgres);
        let scoped = rewriter.explain("SELECT id FROM orders").expect("it is declared").sql;
        assert!(scoped.contains(r#"orders."org_id" = $1"#), "{scoped}");
        let twice = Policy::builder().entity::<order::Entity>().owned(order::Entity).build();
        assert!(twice.is_err(), "a table that is declared twice is ambiguous");
        let nobody = Rewriter::new(&Policy::builder().build().expect("a policy"), Dialect::Postgres);
        assert!(nobody.explain("SELECT id FROM orders").is_err(), "what nobody declared is refused");
    }
}

//! Plain entity CRUD: own rows, foreign rows, no such rows.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait,
    PaginatorTrait, QueryFilter, QueryOrder, TransactionTrait,
};
use tenancy_seaorm::{Error, ErrorKind, Mutant, TenantConnection};

use crate::fixture::{context, country, customer, order, policy, sqlite};

/// The properties of this file on one tenant's connection, as one verdict: also what the broken rewriters must fail.
async fn reads_own_rows_only(a: &TenantConnection) -> Result<(), String> {
    let orders =
        order::Entity::find().order_by_asc(order::Column::Id).all(a).await.map_err(|e| e.to_string())?;
    let notes: Vec<_> = orders.iter().filter_map(|order| order.note.as_deref()).collect();
    if notes != ["a-one", "a-two"] {
        return Err(format!("tenant a sees {notes:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_list_holds_own_rows_only() {
    let tenancy = sqlite(policy()).await;
    reads_own_rows_only(&tenancy.tenant(&context(1))).await.expect("own rows");
    let empty = order::Entity::find().all(&tenancy.tenant(&context(3))).await.expect("a list");
    assert!(empty.is_empty(), "a tenant without rows sees {empty:?}");
}

#[tokio::test]
async fn the_suite_fails_without_the_filter() {
    let tenancy = sqlite(policy().break_on_purpose(Mutant::NoFilter)).await;
    let verdict = reads_own_rows_only(&tenancy.tenant(&context(1))).await;
    assert!(verdict.is_err(), "a connection without a filter passed");
}

/// FLT-25: by the same id each tenant finds its own row, and nobody another's.
#[tokio::test]
async fn an_id_finds_the_own_row_or_none() {
    let tenancy = sqlite(policy()).await;
    let (a, b) = (tenancy.tenant(&context(1)), tenancy.tenant(&context(2)));
    let name = async |db: &TenantConnection, id| {
        customer::Entity::find_by_id(id).one(db).await.expect("a look-up").map(|customer| customer.name)
    };
    assert_eq!(name(&a, 1).await.as_deref(), Some("a-ann"));
    assert_eq!(name(&b, 1).await.as_deref(), Some("b-ann"));
    assert_eq!(name(&a, 3).await, None);
    assert_eq!(name(&a, 99).await, None);
}

/// FLT-27: counts are of own rows.
#[tokio::test]
async fn counts_are_of_own_rows() {
    let tenancy = sqlite(policy()).await;
    let a = tenancy.tenant(&context(1));
    assert_eq!(order::Entity::find().count(&a).await.expect("a count"), 2);
    assert_eq!(
        order::Entity::find().filter(order::Column::Total.gt(15)).count(&a).await.expect("a count"),
        1
    );
}

/// FLT-17: rows are stamped, whether the entity knows its tenant column or not, set or unset.
#[tokio::test]
async fn inserted_rows_are_stamped() {
    let tenancy = sqlite(policy()).await;
    let (a, b) = (tenancy.tenant(&context(1)), tenancy.tenant(&context(2)));
    let fresh = |id, tenant_id| order::ActiveModel {
        id: Set(id),
        tenant_id,
        customer_id: Set(1),
        total: Set(1),
        note: Set(Some("a-new".to_owned())),
    };
    let unset =
        fresh(10, sea_orm::ActiveValue::NotSet).insert(&a).await.expect("an unset tenant is filled in");
    assert_eq!(unset.tenant_id, Some(1));
    let null = fresh(11, Set(None)).insert(&a).await.expect("a NULL tenant is filled in");
    assert_eq!(null.tenant_id, Some(1));
    fresh(12, Set(Some(1))).insert(&a).await.expect("the own tenant may be named");
    customer::ActiveModel { id: Set(7), name: Set("a-new".to_owned()) }.insert(&a).await.expect("a customer");
    order::Entity::insert_many([fresh(13, sea_orm::ActiveValue::NotSet), fresh(14, Set(Some(1)))])
        .exec(&a)
        .await
        .expect("unset and set tenants mix");
    assert_eq!(order::Entity::find().count(&a).await.expect("a count"), 7);
    assert_eq!(order::Entity::find().count(&b).await.expect("a count"), 3);
    assert!(customer::Entity::find_by_id(7).one(&b).await.expect("a look-up").is_none());
}

/// FLT-17: a row of another tenant is refused, and nothing is written.
#[tokio::test]
async fn a_row_of_another_tenant_is_refused() {
    let tenancy = sqlite(policy()).await;
    let (a, b) = (tenancy.tenant(&context(1)), tenancy.tenant(&context(2)));
    let planted = order::ActiveModel {
        id: Set(10),
        tenant_id: Set(Some(2)),
        customer_id: Set(1),
        total: Set(1),
        note: Set(None),
    };
    let error = planted.insert(&a).await.expect_err("a foreign row");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::ForeignTenant));
    assert_eq!(order::Entity::find().count(&b).await.expect("a count"), 3);
}

#[tokio::test]
async fn an_update_reaches_own_rows_only() {
    let tenancy = sqlite(policy()).await;
    let (a, b) = (tenancy.tenant(&context(1)), tenancy.tenant(&context(2)));
    // FLT-14: without WHERE.
    let changed = order::Entity::update_many()
        .col_expr(order::Column::Total, 77.into())
        .exec(&a)
        .await
        .expect("an update");
    assert_eq!(changed.rows_affected, 2);
    let of_b = order::Entity::find().order_by_asc(order::Column::Id).all(&b).await.expect("a list");
    assert_eq!(of_b.iter().map(|order| order.total).collect::<Vec<_>>(), [10, 30, 20]);
    let mut foreign = of_b[1].clone().into_active_model();
    foreign.total = Set(1);
    assert!(matches!(foreign.update(&a).await, Err(DbErr::RecordNotUpdated)));
}

/// FLT-16, FLT-43: a row does not move to another tenant, by save or by `update_many`.
#[tokio::test]
async fn a_row_does_not_change_its_tenant() {
    let tenancy = sqlite(policy()).await;
    let a = tenancy.tenant(&context(1));
    let mut own =
        order::Entity::find_by_id(2).one(&a).await.expect("a look-up").expect("own").into_active_model();
    own.tenant_id = Set(Some(2));
    let error = own.clone().save(&a).await.expect_err("a moved row");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::TenantColumn));
    let all = order::Entity::update_many().col_expr(order::Column::TenantId, 2.into()).exec(&a).await;
    assert_eq!(Error::of(&all.expect_err("moved rows")).map(Error::kind), Some(ErrorKind::TenantColumn));
    own.tenant_id = Set(Some(1));
    own.save(&a).await.expect("the same tenant is no change");
}

#[tokio::test]
async fn a_delete_reaches_own_rows_only() {
    let tenancy = sqlite(policy()).await;
    let (a, b) = (tenancy.tenant(&context(1)), tenancy.tenant(&context(2)));
    assert_eq!(order::Entity::delete_by_id(3).exec(&a).await.expect("a delete").rows_affected, 0);
    let foreign = order::Entity::find_by_id(3).one(&b).await.expect("a look-up").expect("a row of b");
    assert_eq!(foreign.delete(&a).await.expect("a delete").rows_affected, 0);
    assert_eq!(order::Entity::delete_many().exec(&a).await.expect("a delete").rows_affected, 2);
    assert_eq!(order::Entity::find().count(&b).await.expect("a count"), 3);
}

#[tokio::test]
async fn global_tables_are_read_by_all_and_written_by_none() {
    let tenancy = sqlite(policy()).await;
    let a = tenancy.tenant(&context(1));
    assert_eq!(country::Entity::find().count(&a).await.expect("a count"), 2);
    let error = country::Entity::delete_many().exec(&a).await.expect_err("a write");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::ReadOnlyTable));
}

/// FLT-40: a table that the policy does not know is refused.
#[tokio::test]
async fn an_undeclared_table_is_refused() {
    let tenancy = sqlite(tenancy_seaorm::Policy::builder().owned(order::Entity)).await;
    let a = tenancy.tenant(&context(1));
    reads_own_rows_only(&a).await.expect("the declared table");
    let error = customer::Entity::find().all(&a).await.expect_err("an unknown table");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::UnknownTable));
}

/// FLT-46: transactions, and savepoints in them, are scoped at every depth.
#[tokio::test]
async fn transactions_and_savepoints_are_scoped() {
    let tenancy = sqlite(policy()).await;
    let a = tenancy.tenant(&context(1));
    let outer = a.begin().await.expect("a transaction");
    let inner = outer.begin().await.expect("a savepoint");
    assert_eq!(order::Entity::find().count(&inner).await.expect("a count"), 2);
    order::Entity::delete_many().exec(&inner).await.expect("a delete");
    inner.rollback().await.expect("a rollback");
    assert_eq!(order::Entity::find().count(&outer).await.expect("a count"), 2);
    outer.commit().await.expect("a commit");
}

/// A tenant that is suspended while its connection lives is refused from then on.
#[tokio::test]
async fn a_tenant_that_is_no_longer_active_is_refused() {
    let tenancy = sqlite(policy()).await;
    let context = context(1);
    let a = tenancy.tenant(&context);
    reads_own_rows_only(&a).await.expect("while it is active");
    context.tenant().supersede();
    let error = order::Entity::find().all(&a).await.expect_err("an inactive tenant");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::Inactive));
}

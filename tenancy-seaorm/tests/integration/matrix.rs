//! Who reaches what, through everything that sea-orm offers: the table in `tests/matrix.txt`.
//!
//! Each operation runs as tenant a on an own row, on a row of tenant b, and as a tenant that is no longer active. With
//! `UPDATE_MATRIX=1` the file is written anew; the difference is then there to be reviewed.

use std::fmt::Write;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{
    Alias, Asterisk, CommonTableExpression, Expr, ExprTrait, Func, JoinType, OnConflict, Query, UnionType,
    WindowStatement, WithClause,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, DbErr, DerivePartialModel,
    EntityLoaderTrait, EntityTrait, FromQueryResult, IntoActiveModel, LoaderTrait, ModelTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationTrait, SelectExt, Statement,
    StreamTrait, TransactionTrait,
};
use tenancy_seaorm::{Error, LeakyPredicates, TenantConnection};

use crate::dense;
use crate::fixture::{Model, Shop, customer, fill, order, order_tag, policy, tag};

type Db = TenantConnection;
type Done = Result<String, DbErr>;
type Operation = (&'static str, fn(&Db, i32) -> BoxFuture<'_, Done>);

fn rows<T>(list: &[T]) -> Done {
    Ok(match list.len() {
        0 => "none".to_owned(),
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    })
}

fn one<T>(found: Option<T>) -> Done {
    rows(&found.into_iter().collect::<Vec<_>>())
}

fn written(n: u64) -> Done {
    Ok(format!("{n} written"))
}

#[derive(DerivePartialModel)]
#[sea_orm(entity = "order::Entity")]
struct Total {
    #[allow(dead_code, reason = "only whether the row is there counts")]
    total: i32,
}

#[derive(FromQueryResult)]
struct Id {
    #[allow(dead_code, reason = "only whether the row is there counts")]
    id: i32,
}

fn raw(db: &Db, sql: impl Into<String>) -> Statement {
    Statement::from_string(ConnectionTrait::get_database_backend(db), sql)
}

fn fresh(id: i32) -> order::ActiveModel {
    order::ActiveModel { id: Set(id), customer_id: Set(1), total: Set(1), ..Default::default() }
}

fn by_id(id: i32) -> sea_orm::Select<order::Entity> {
    order::Entity::find().filter(order::Column::Id.eq(id))
}

/// The customer of an order: 1 is a customer of both tenants, 3 of tenant b alone.
fn owner(order: i32) -> i32 {
    if order == 3 { 3 } else { 1 }
}

/// A row of tenant b as its id alone gives it away: what a client may send.
fn guessed(id: i32) -> order::Model {
    order::Model { id, tenant_id: None, customer_id: owner(id), total: 10, note: None }
}

macro_rules! operations {
    ($($name:literal: |$db:ident, $id:ident| $body:expr;)*) => {
        &[$(($name, |$db: &Db, $id: i32| Box::pin(async move { let _ = $id; $body }))),*]
    };
}

const READS: &[Operation] = operations! {
    "find_by_id": |db, id| one(order::Entity::find_by_id(id).one(db).await?);
    "find, filter, all": |db, id| rows(&by_id(id).all(db).await?);
    "find, all": |db, id| rows(&order::Entity::find().all(db).await?);
    "find_related": |db, id| rows(&guessed(id).find_related(customer::Entity).all(db).await?);
    "find_related, many to many": |db, id| rows(&guessed(id).find_related(tag::Entity).all(db).await?);
    "find_also_related": |db, id| rows(&by_id(id).find_also_related(customer::Entity).all(db).await?);
    // FLT-26: loaders, too, meet one tenant's rows alone.
    "find_with_related": |db, id| rows(&by_id(id).find_with_related(customer::Entity).all(db).await?);
    "find_with_related, many to many": |db, id| rows(&by_id(id).find_with_related(tag::Entity).all(db).await?);
    "load_one": |db, id| {
        rows(&vec![guessed(id)].load_one(customer::Entity, db).await?.into_iter().flatten().collect::<Vec<_>>())
    };
    "load_many": |db, id| {
        let customers = vec![customer::Model { id: owner(id), name: String::new() }];
        rows(&customers.load_many(order::Entity, db).await?.concat())
    };
    "load_many_to_many": |db, id| {
        rows(&vec![guessed(id)].load_many_to_many(tag::Entity, order_tag::Entity, db).await?.concat())
    };
    "entity loader, nested": |db, id| {
        let loaded = dense::customer::Entity::load().filter_by_id(id).with((dense::order::Entity, dense::tag::Entity));
        one(loaded.one(db).await?)
    };
    "partial model": |db, id| rows(&by_id(id).into_partial_model::<Total>().all(db).await?);
    "select_only, into_tuple": |db, id| {
        rows(&by_id(id).select_only().column(order::Column::Note).into_tuple::<Option<String>>().all(db).await?)
    };
    "into_model of a raw statement": |db, id| {
        let sql = format!("SELECT id FROM orders WHERE id = {id} OR 1 = 2");
        rows(&Id::find_by_statement(raw(db, sql)).all(db).await?)
    };
    "count": |db, id| Ok(format!("{} counted", by_id(id).count(db).await?));
    "exists": |db, id| Ok(format!("exists {}", by_id(id).exists(db).await?));
    "paginate, fetch_page": |db, id| rows(&by_id(id).paginate(db, 10).fetch_page(0).await?);
    "paginate, num_items_and_pages": |db, id| {
        Ok(format!("{} items", by_id(id).paginate(db, 10).num_items_and_pages().await?.number_of_items))
    };
    "cursor": |db, id| {
        let mut cursor = by_id(id).cursor_by(order::Column::Id);
        rows(&cursor.after(0).first(10).all(db).await?)
    };
    "group by, having": |db, id| {
        let grouped = by_id(id).select_only().column(order::Column::CustomerId).group_by(order::Column::CustomerId);
        rows(&grouped.having(order::Column::Id.count().gt(0)).into_tuple::<i32>().all(db).await?)
    };
    "in_subquery": |db, id| {
        let owners = Query::select().column(order::Column::CustomerId).from(order::Entity)
            .and_where(order::Column::Id.eq(id)).to_owned();
        rows(&customer::Entity::find().filter(customer::Column::Id.in_subquery(owners)).all(db).await?)
    };
    "join": |db, id| {
        rows(&by_id(id).join(JoinType::LeftJoin, order::Relation::Customer.def()).all(db).await?)
    };
    "stream": |db, id| rows(&by_id(id).stream(db).await?.try_collect::<Vec<_>>().await?);
    "stream of a raw statement": |db, id| {
        let sql = format!("SELECT id FROM orders WHERE id = {id}");
        let statement = raw(db, sql);
        rows(&db.stream_raw(statement).await?.try_collect::<Vec<_>>().await?)
    };
    "query builder: nested query": |db, id| {
        let inner = Query::select().column(order::Column::Id).from(order::Entity).to_owned();
        let x = Alias::new("x");
        let outer = Query::select().column((x.clone(), order::Column::Id)).from_subquery(inner, x.clone())
            .and_where(Expr::col((x, order::Column::Id)).eq(id)).to_owned();
        rows(&db.query_all(&outer).await?)
    };
    "query builder: WITH": |db, id| {
        let inner = Query::select().column(order::Column::Id).from(order::Entity)
            .and_where(order::Column::Id.eq(id)).to_owned();
        let cte = CommonTableExpression::new().query(inner).table_name(Alias::new("mine"))
            .column(Alias::new("id")).to_owned();
        let outer = Query::select().column(Alias::new("id")).from(Alias::new("mine")).to_owned();
        rows(&db.query_all(&outer.with(WithClause::new().cte(cte).to_owned())).await?)
    };
    "query builder: UNION": |db, id| {
        let of = || Query::select().column(order::Column::Id).from(order::Entity)
            .and_where(order::Column::Id.eq(id)).to_owned();
        rows(&db.query_all(of().union(UnionType::All, of())).await?)
    };
    "query builder: window": |db, id| {
        let window = WindowStatement::partition_by(order::Column::CustomerId);
        let query = Query::select().from(order::Entity)
            .expr_window_as(Func::count(Expr::col(Asterisk)), window, Alias::new("n"))
            .and_where(order::Column::Id.eq(id)).to_owned();
        rows(&db.query_all(&query).await?)
    };
    "query builder: join of a query": |db, id| {
        let tags = Query::select().column(Asterisk).from(order_tag::Entity).to_owned();
        let x = Alias::new("x");
        let on = Expr::col((x.clone(), order_tag::Column::OrderId)).equals((order::Entity, order::Column::Id));
        let query = Query::select().column((order::Entity, order::Column::Id)).from(order::Entity)
            .join_subquery(JoinType::InnerJoin, tags, x, on).and_where(order::Column::Id.eq(id)).to_owned();
        rows(&db.query_all(&query).await?)
    };
    "query_one_raw, query_all_raw": |db, id| {
        let sql = format!("SELECT * FROM orders WHERE id = {id} OR id = {id} AND true");
        let statement = || raw(db, sql.clone());
        let (first, all) = (db.query_one_raw(statement()).await?, db.query_all_raw(statement()).await?);
        assert_eq!(first.is_some(), !all.is_empty());
        rows(&all)
    };
    "in a transaction": |db, id| {
        let found = db.transaction::<_, _, DbErr>(|txn| Box::pin(async move { by_id(id).all(txn).await })).await;
        rows(&found.map_err(inner)?)
    };
    "in transaction_async": |db, id| {
        rows(&db.transaction_async(async |txn| by_id(id).all(txn).await).await.map_err(inner)?)
    };
    "in a savepoint": |db, id| {
        let outer = db.begin().await?;
        let savepoint = outer.begin().await?;
        let found = by_id(id).all(&savepoint).await?;
        savepoint.rollback().await?;
        outer.commit().await?;
        rows(&found)
    };
    "stream in a transaction": |db, id| {
        let txn = db.begin().await?;
        let found: Vec<_> = by_id(id).stream(&txn).await?.try_collect().await?;
        txn.commit().await?;
        rows(&found)
    };
};

const WRITES: &[Operation] = operations! {
    "insert of the same id": |db, id| { fresh(id).insert(db).await?; written(1) };
    "insert_many, unset and set": |db, id| {
        let rows = [fresh(60), order::ActiveModel { tenant_id: Set(None), ..fresh(61) }];
        order::Entity::insert_many(rows).exec(db).await?;
        written(order::Entity::find().filter(order::Column::Id.is_in([60, 61])).count(db).await?)
    };
    "insert with another tenant": |db, id| {
        order::ActiveModel { tenant_id: Set(Some(2)), ..fresh(62) }.insert(db).await?;
        written(1)
    };
    "insert, exec_with_returning": |db, id| {
        order::Entity::insert(fresh(63)).exec_with_returning(db).await?;
        written(1)
    };
    "insert, exec_without_returning": |db, id| {
        written(order::Entity::insert(fresh(64)).exec_without_returning(db).await?)
    };
    "on_conflict, update": |db, id| {
        let on = OnConflict::column(order::Column::Id).update_column(order::Column::Total).to_owned();
        written(order::Entity::insert(fresh(id)).on_conflict(on).exec_without_returning(db).await?)
    };
    "on_conflict, do_nothing": |db, id| {
        let on = OnConflict::column(order::Column::Id).do_nothing().to_owned();
        written(order::Entity::insert(fresh(id)).on_conflict(on).exec_without_returning(db).await?)
    };
    "on_conflict without a target": |db, id| {
        let on = OnConflict::new().do_nothing().to_owned();
        written(order::Entity::insert(fresh(id)).on_conflict(on).exec_without_returning(db).await?)
    };
    "save": |db, id| {
        let mut model = guessed(id).into_active_model();
        model.total = Set(5);
        model.save(db).await?;
        written(1)
    };
    "update": |db, id| {
        let mut model = guessed(id).into_active_model();
        model.total = Set(5);
        model.update(db).await?;
        written(1)
    };
    "update of the tenant": |db, id| {
        let mut model = guessed(id).into_active_model();
        model.tenant_id = Set(Some(2));
        model.update(db).await?;
        written(1)
    };
    "update_many": |db, id| {
        let update = order::Entity::update_many().col_expr(order::Column::Total, 5.into());
        written(update.filter(order::Column::Id.eq(id)).exec(db).await?.rows_affected)
    };
    "update_many, returning": |db, id| {
        let update = order::Entity::update_many().col_expr(order::Column::Total, 5.into());
        rows(&update.filter(order::Column::Id.eq(id)).exec_with_returning(db).await?)
    };
    "delete": |db, id| written(guessed(id).delete(db).await?.rows_affected);
    "delete_by_id": |db, id| written(order::Entity::delete_by_id(id).exec(db).await?.rows_affected);
    "delete_many": |db, id| {
        written(order::Entity::delete_many().filter(order::Column::Id.eq(id)).exec(db).await?.rows_affected)
    };
    "nested active model": |db, id| {
        let order = dense::order::ActiveModel::builder().set_id(70).set_total(1);
        let tagged = order.add_tag(dense::tag::ActiveModel::builder().set_id(70).set_name("a-new"));
        let customer = dense::customer::ActiveModel::builder().set_id(70).set_name("a-new").add_order(tagged);
        customer.insert(db).await?;
        written(order_tag::Entity::find().filter(order_tag::Column::OrderId.eq(70)).count(db).await?)
    };
    "cascading delete of a dense entity": |db, id| {
        match dense::order::Entity::load().filter_by_id(id).one(db).await? {
            Some(order) => written(order.delete(db).await?.rows_affected),
            None => Ok("none".to_owned()),
        }
    };
    "raw INSERT … SELECT": |db, id| {
        let sql = format!("INSERT INTO tags (id, name) SELECT id + 80, 'a-copy' FROM orders WHERE id = {id}");
        written(db.execute_raw(raw(db, sql)).await?.rows_affected())
    };
    "execute_unprepared": |db, id| {
        written(db.execute_unprepared(&format!("UPDATE orders SET total = 6 WHERE id = {id} OR false")).await?.rows_affected())
    };
    "execute_unprepared of two statements": |db, id| {
        written(db.execute_unprepared("SELECT 1; DELETE FROM orders").await?.rows_affected())
    };
    "write in a transaction": |db, id| {
        let txn = db.begin().await?;
        let deleted = order::Entity::delete_many().filter(order::Column::Id.eq(id)).exec(&txn).await?;
        txn.commit().await?;
        written(deleted.rows_affected)
    };
    "DDL": |db, id| { db.execute_unprepared("DROP TABLE orders").await?; written(1) };
    "undeclared table": |db, id| {
        let query = Query::select().column(Asterisk).from(Alias::new("secrets")).to_owned();
        debug_assert!(query.to_string(sea_orm::sea_query::SqliteQueryBuilder).contains("secrets"));
        rows(&db.query_all(&query).await?)
    };
    "raw text inside of a typed query": |db, id| {
        let query = by_id(id).filter(Expr::cust("1 = 1 OR 1 = 1")).into_query();
        rows(&db.query_all(&query).await?)
    };
};

fn inner(error: sea_orm::TransactionError<DbErr>) -> DbErr {
    match error {
        sea_orm::TransactionError::Connection(error) | sea_orm::TransactionError::Transaction(error) => error,
    }
}

fn shown(done: Done) -> String {
    match done {
        Ok(done) => done,
        Err(error) => match Error::of(&error) {
            Some(refusal) => format!("refused: {}", refusal.kind().as_str()),
            None => match error.sql_err() {
                Some(_) => "key error".to_owned(),
                None => {
                    // Shown where the test fails: the table has room for the kind alone.
                    eprintln!("{error:?}");
                    format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
                }
            },
        },
    }
}

/// The table for one database: rows are operations, columns own, foreign, and no longer active.
async fn table(backend: DbBackend) -> Vec<(&'static str, [String; 3])> {
    table_of(&Shop::on(backend, policy().leaky_predicates(LeakyPredicates::Fence)).await).await
}

async fn table_of(shop: &Shop) -> Vec<(&'static str, [String; 3])> {
    let mut lines = Vec::new();
    for (name, operation) in READS.iter().chain(WRITES) {
        let mut cells = Vec::new();
        for id in [2, 3] {
            fill(&shop.raw).await.expect("the shop's rows");
            // Only then may order 2 be deleted, and does b's order 3 stay as it is.
            cells.push(shown(operation(&shop.connect(1).await, id).await));
            assert_eq!(of_b(shop).await, B, "{name} changed rows of tenant b");
        }
        let gone = shop.context(1);
        let db = shop.connect_as(&gone).await;
        gone.tenant().supersede();
        fill(&shop.raw).await.expect("the shop's rows");
        cells.push(shown(operation(&db, 2).await));
        lines.push((*name, cells.try_into().expect("three cells")));
    }
    lines
}

const B: &str = "1:10 3:30 4:20";

async fn of_b(shop: &Shop) -> String {
    let rows = order::Entity::find().filter(order::Column::TenantId.eq(2)).order_by_asc(order::Column::Id);
    let rows = rows.all(&shop.raw).await.expect("rows of b");
    rows.iter().map(|row| format!("{}:{}", row.id, row.total)).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_matrix_is_as_it_was_reviewed() {
    let (sqlite, postgres) = (table(DbBackend::Sqlite).await, table(DbBackend::Postgres).await);
    let mut text = String::from("as tenant a, on");
    writeln!(text, "{:>58} {:>31} {:>21}", "an own row", "a row of tenant b", "(no longer active)")
        .expect("text");
    for ((name, here), (_, there)) in sqlite.iter().zip(&postgres) {
        let mut line = |name: &str, cells: &[String; 3]| {
            writeln!(text, "{name:<42} {:>31} {:>31} {:>21}", cells[0], cells[1], cells[2]).expect("text");
        };
        if here == there {
            line(name, here);
        } else {
            line(&format!("{name} (SQLite)"), here);
            line(&format!("{name} (PostgreSQL)"), there);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix.txt");
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(path, &text).expect("the file is written");
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, reviewed, "run with UPDATE_MATRIX=1 and review the difference");
}

/// Placement point 1: the handler does not know where a tenant's rows are, and nothing shows it.
#[tokio::test]
async fn the_matrix_is_the_same_wherever_a_tenants_rows_are() {
    let reviewed = table(DbBackend::Postgres).await;
    for model in Model::OTHERS.into_iter().chain(Model::POOLED) {
        let shop = Shop::placed(model, policy().leaky_predicates(LeakyPredicates::Fence)).await;
        for (here, there) in table_of(&shop).await.iter().zip(&reviewed) {
            assert_eq!(here, there, "{model:?}");
        }
    }
}

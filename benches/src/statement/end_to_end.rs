//! Statements with their rows, over one connection: filtered by hand, and scoped.

use std::rc::Rc;

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::DatabaseConnection;
use sea_orm::entity::prelude::*;
use tenancy_seaorm::{Tenancy, TenantConnection};
use tenancy_testkit::gate::{Group, Suite};

use super::entity::{any_of, by_id, category, item, joined, list};
use super::{TENANT, context, open, policy, runtime, wait};

/// The two ways to one database. They share its one connection.
struct Ways {
    runtime: tokio::runtime::Runtime,
    db: DatabaseConnection,
    scoped: TenantConnection,
}

impl Ways {
    fn to(url: &str) -> Rc<Self> {
        let runtime = runtime();
        let db = wait(&runtime, open(url));
        let tenancy = Tenancy::new(db.clone(), policy()).expect("the database can be scoped");
        let scoped = tenancy.tenant(&context());
        Rc::new(Self { runtime, db, scoped })
    }

    /// Returns a bench that runs `statement` with the numbers 0, 1 and so on.
    fn run<F, N>(self: &Rc<Self>, statement: F) -> impl FnMut() -> N + 'static
    where
        F: AsyncFn(&Self, i32) -> Result<N, DbErr> + 'static,
    {
        let ways = Rc::clone(self);
        let mut turn = 0;
        move || {
            turn = (turn + 1) % 1_000_000;
            ways.runtime.block_on(statement(&ways, turn)).expect("the statement runs")
        }
    }
}

/// Adds the two benches of one kind of statement.
type Shape = fn(Group, Rc<Ways>) -> Group;

/// Adds the groups of the database at `url` to `suite`.
pub(super) fn suite(suite: Suite, name: &str, url: String) -> Suite {
    let shapes: [(&str, Shape); 6] = [
        ("point-read", point_read),
        ("list-of-50", list_of_50),
        ("join", join),
        ("insert", insert),
        ("update", update),
        ("in-list", in_list),
    ];
    shapes.into_iter().fold(suite, |suite, (shape, benches)| {
        let url = url.clone();
        suite.with_group(format!("statement/{name}/{shape}"), move |group| benches(group, Ways::to(&url)))
    })
}

fn pair<N>(
    group: Group,
    ways: &Rc<Ways>,
    by_hand: impl AsyncFn(&Ways, i32) -> Result<N, DbErr> + 'static,
    scoped: impl AsyncFn(&Ways, i32) -> Result<N, DbErr> + 'static,
) -> Group {
    group.with_bench("by-hand", ways.run(by_hand)).with_bench("scoped", ways.run(scoped))
}

/// The same for statements that read: both ways must give the same rows, or neither is measured.
fn reads<N: PartialEq + std::fmt::Debug>(
    group: Group,
    ways: &Rc<Ways>,
    by_hand: impl AsyncFn(&Ways, i32) -> Result<N, DbErr> + 'static,
    scoped: impl AsyncFn(&Ways, i32) -> Result<N, DbErr> + 'static,
) -> Group {
    for n in 0..20 {
        let rows = wait(&ways.runtime, async { (by_hand(ways, n).await, scoped(ways, n).await) });
        assert_eq!(rows.0.expect("the rows are read"), rows.1.expect("the rows are read"));
    }
    pair(group, ways, by_hand, scoped)
}

const OWN: fn() -> sea_orm::sea_query::SimpleExpr = || item::Column::TenantId.eq(TENANT);

fn point_read(group: Group, ways: Rc<Ways>) -> Group {
    reads(
        group,
        &ways,
        async |ways, n| by_id(n % 2000 + 1).filter(OWN()).all(&ways.db).await,
        async |ways, n| by_id(n % 2000 + 1).all(&ways.scoped).await,
    )
}

fn list_of_50(group: Group, ways: Rc<Ways>) -> Group {
    reads(
        group,
        &ways,
        async |ways, n| list(n % 20 + 1).filter(OWN()).all(&ways.db).await,
        async |ways, n| list(n % 20 + 1).all(&ways.scoped).await,
    )
}

fn join(group: Group, ways: Rc<Ways>) -> Group {
    reads(
        group,
        &ways,
        async |ways, n| {
            let by_hand = joined(n % 20 + 1).filter(OWN()).filter(category::Column::TenantId.eq(TENANT));
            by_hand.all(&ways.db).await
        },
        async |ways, n| joined(n % 20 + 1).all(&ways.scoped).await,
    )
}

fn in_list(group: Group, ways: Rc<Ways>) -> Group {
    let ids = |n: i32| n % 2000..n % 2000 + 1 + n * 37 % 100;
    reads(
        group,
        &ways,
        async move |ways, n| any_of(ids(n)).filter(OWN()).all(&ways.db).await,
        async move |ways, n| any_of(ids(n)).all(&ways.scoped).await,
    )
}

fn row(tenant_id: sea_orm::ActiveValue<Option<i64>>, n: i32) -> item::ActiveModel {
    item::ActiveModel {
        id: NotSet,
        tenant_id,
        category_id: Set(n % 20 + 1),
        name: Set("new".to_owned()),
        price: Set(n),
    }
}

fn insert(group: Group, ways: Rc<Ways>) -> Group {
    pair(
        group,
        &ways,
        async |ways, n| item::Entity::insert(row(Set(Some(TENANT)), n)).exec(&ways.db).await,
        async |ways, n| item::Entity::insert(row(NotSet, n)).exec(&ways.scoped).await,
    )
}

fn update(group: Group, ways: Rc<Ways>) -> Group {
    let price = |n: i32| {
        let update = item::Entity::update_many().col_expr(item::Column::Price, n.into());
        update.filter(item::Column::Id.eq(n % 2000 + 1))
    };
    pair(
        group,
        &ways,
        async move |ways, n| price(n).filter(OWN()).exec(&ways.db).await,
        async move |ways, n| price(n).exec(&ways.scoped).await,
    )
}

//! What rewriting adds to building a statement: when its text is known, and when it is not.

use std::hint::black_box;

use sea_orm::entity::prelude::*;
use sea_orm::{DbBackend, QueryTrait, Statement};
use tenancy_seaorm::{Dialect, Rewriter, Tenancy, TenantValue};
use tenancy_testkit::gate::{Group, Suite};

use super::entity::{any_of, by_id, category, item, joined};
use super::{TENANT, context, open, policy, runtime, wait};

pub(super) fn suite() -> Suite {
    Suite::new()
        .with_group("statement/by-id", |group| {
            known(group, by_id, |select| select.filter(item::Column::TenantId.eq(TENANT)))
        })
        .with_group("statement/join", |group| {
            known(group, joined, |select| {
                let select = select.filter(item::Column::TenantId.eq(TENANT));
                select.filter(category::Column::TenantId.eq(TENANT))
            })
        })
        .with_group("statement/in-list", in_list)
        .with_group("statement/unknown", unknown)
        .with_group("statement/handle", handle)
}

type Query = Select<item::Entity>;

fn built(query: &Query) -> Statement {
    query.build(DbBackend::Postgres)
}

/// Building alone; with the filter written by hand; and scoped, by a plan that is there.
fn known(group: Group, query: fn(i32) -> Query, filter: fn(Query) -> Query) -> Group {
    let rewriter = Rewriter::new(&policy(), Dialect::Postgres);
    let tenant = TenantValue::of(&context());
    group
        .with_bench("built", move || built(&query(black_box(3))))
        .with_bench("by-hand", move || built(&filter(query(black_box(3)))))
        .with_bench("hit", move || {
            rewriter.rewrite(built(&query(black_box(3))), &tenant).expect("it is scoped")
        })
}

/// Lists whose length changes with every statement.
fn in_list(group: Group) -> Group {
    let rewriter = Rewriter::new(&policy(), Dialect::Postgres);
    let tenant = TenantValue::of(&context());
    let lengths = || {
        let mut turn = 0;
        move || {
            turn = (turn + 37) % 100;
            any_of(0..1 + turn)
        }
    };
    let (mut alone, mut by_hand, mut scoped) = (lengths(), lengths(), lengths());
    group
        .with_bench("built", move || built(&alone()))
        .with_bench("by-hand", move || built(&by_hand().filter(item::Column::TenantId.eq(TENANT))))
        .with_bench("hit", move || rewriter.rewrite(built(&scoped()), &tenant).expect("it is scoped"))
}

/// Texts that were never seen: each is read and rewritten from the start.
fn unknown(group: Group) -> Group {
    let rewriter = Rewriter::new(&policy(), Dialect::Postgres);
    let miss = |query: Query| {
        let (rewriter, sql) = (rewriter.clone(), built(&query).sql);
        move || rewriter.explain(black_box(&sql)).expect("it is scoped")
    };
    group.with_bench("by-id", miss(by_id(3))).with_bench("join", miss(joined(3)))
}

fn handle(group: Group) -> Group {
    let db = wait(&runtime(), open("sqlite::memory:"));
    let tenancy = Tenancy::new(db.clone(), policy()).expect("the database can be scoped");
    let context = context();
    group
        .with_bench("clone-of-connection", move || db.clone())
        .with_bench("tenant", move || tenancy.tenant(black_box(&context)))
}

//! Schemas that each statement names: nothing is searched, so nothing is planned anew when the tenant changes.

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, TransactionTrait};
use tenancy_seaorm::session::{Pooling, SessionOptions};
use tenancy_seaorm::{Error, ErrorKind, Tenancy, danger};

use crate::fixture::{Model, Shop, context_in, customer, open, policy};

async fn qualified(shop: &Shop) -> (Tenancy, danger::Capability) {
    let db = open(shop.app_url()).await;
    let tenancy = Tenancy::with_capability(db, policy().build().expect("a policy"));
    let (tenancy, capability) = tenancy.expect("a tenancy");
    let options = SessionOptions::default().with_kept(1).with_pooling(Pooling::Session);
    (tenancy.with_qualified_schemas().with_sessions(options), capability)
}

async fn names<C: ConnectionTrait>(db: &C) -> Vec<String> {
    let customers = customer::Entity::find().all(db).await.expect("customers");
    customers.into_iter().map(|customer| customer.name).collect()
}

/// A path that changes would cost a plan for each text, and a fall-through to `public` would see all tenants (SCH-06).
#[tokio::test]
async fn a_qualified_session_sees_its_tenant_and_searches_nothing_else_than_before() {
    let shop = Shop::placed(Model::SchemaQualified, policy()).await;
    let (tenancy, capability) = qualified(&shop).await;
    for _ in 0..2 {
        for (id, expected) in [(1, ["a-ann", "a-bob"]), (2, ["b-ann", "b-cid"])] {
            let context = context_in(id, &format!("t_{id}"));
            let session = tenancy.session(&context).await.expect("a session");
            assert_eq!(names(&session).await, expected);
            let transaction = session.begin().await.expect("a transaction");
            assert_eq!(names(&transaction).await, expected);
            transaction.commit().await.expect("it is over");
            drop(session);
            let transaction = tenancy.tenant(&context).begin().await.expect("a transaction");
            assert_eq!(names(&transaction).await, expected);
            transaction.commit().await.expect("it is over");
        }
    }
    let session = tenancy.session(&context_in(1, "t_1")).await.expect("a session");
    let raw =
        danger::unscoped_session(&tenancy, &capability, &session, "a test").await.expect("the capability");
    let path = Statement::from_string(DbBackend::Postgres, "SELECT current_setting('search_path')");
    let path = raw.query_one_raw(path).await.expect("an answer").expect("a row");
    assert_eq!(path.try_get_by_index::<String>(0).expect("a text"), "\"$user\", public");
}

/// SCH-06: a schema that does not exist is told apart at the beginning, although nothing searches it.
#[tokio::test]
async fn a_missing_schema_is_refused_before_the_first_statement() {
    let shop = Shop::placed(Model::SchemaQualified, policy()).await;
    let (tenancy, _) = qualified(&shop).await;
    let gone = context_in(1, "t_gone");
    let kind = |error: sea_orm::DbErr| Error::of(&error).map(Error::kind);
    let refused = tenancy.session(&gone).await.expect_err("there is none");
    assert_eq!(kind(refused), Some(ErrorKind::Placement));
    let refused = tenancy.tenant(&gone).begin().await.expect_err("there is none");
    assert_eq!(kind(refused), Some(ErrorKind::Placement));
    drop(tenancy.session(&context_in(1, "t_1")).await.expect("there it is"));
}

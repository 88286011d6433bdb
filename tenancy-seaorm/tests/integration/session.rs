//! Sessions: told once, kept for their tenant, and never handed on dirty.

use std::time::Duration;

use futures_util::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, PaginatorTrait, Statement, TransactionTrait,
};
use tenancy_core::{LockIds, NamespacedKey};
use tenancy_seaorm::danger::{self, Capability};
use tenancy_seaorm::session::{Pooling, SessionOptions, SessionStats};
use tenancy_seaorm::{Error, ErrorKind, PolicyBuilder, Tenancy, TenantSession};

use crate::fixture::{Shop, context, customer, order, policy};

/// A shop whose sessions share a pool of `size` connections, of which `kept` may wait for their tenants.
struct Sessions {
    shop: Shop,
    tenancy: Tenancy,
    capability: Capability,
}

impl Sessions {
    async fn new(size: u32, kept: usize) -> Self {
        Self::under(policy, size, kept).await
    }

    async fn under(policy: impl Fn() -> PolicyBuilder, size: u32, kept: usize) -> Self {
        let shop = Shop::postgres(policy()).await;
        let mut options = ConnectOptions::new(shop.url());
        options.max_connections(size).sqlx_logging(false).test_before_acquire(false);
        options.acquire_timeout(Duration::from_secs(20));
        let db = Database::connect(options).await.expect("the database opens");
        let (tenancy, capability) =
            Tenancy::with_capability(db, policy().build().expect("a policy")).expect("a tenancy");
        let options = SessionOptions::default().with_kept(kept).with_pooling(Pooling::Session);
        Self { shop, tenancy: tenancy.with_sessions(options), capability }
    }

    async fn of(&self, tenant: i64) -> TenantSession {
        self.tenancy.session(&context(tenant)).await.expect("a session")
    }

    fn stats(&self) -> SessionStats {
        self.tenancy.session_stats().expect("PostgreSQL has sessions")
    }

    /// What the server says about the connection of `session`, which is closed afterwards.
    async fn ask(&self, session: &TenantSession, what: &str) -> String {
        let raw = danger::unscoped_session(&self.tenancy, &self.capability, session, "a test");
        let raw = raw.await.expect("the right capability");
        let asked = Statement::from_string(DbBackend::Postgres, format!("SELECT ({what})::text"));
        let row = raw.query_one_raw(asked).await.expect("an answer").expect("a row");
        row.try_get_by_index::<Option<String>>(0).expect("text").unwrap_or_default()
    }

    async fn pid(&self, session: &TenantSession) -> String {
        self.ask(session, "pg_backend_pid()").await
    }
}

async fn names(session: &TenantSession) -> Vec<String> {
    let customers = customer::Entity::find().all(session).await.expect("customers");
    customers.into_iter().map(|customer| customer.name).collect()
}

fn kind(error: &DbErr) -> Option<ErrorKind> {
    Error::of(error).map(Error::kind)
}

#[tokio::test]
async fn a_session_sees_its_tenant_and_no_other() {
    let sessions = Sessions::new(2, 1).await;
    let session = sessions.of(1).await;
    assert_eq!(names(&session).await, ["a-ann", "a-bob"]);
    assert_eq!(sessions.ask(&session, "current_setting('tenancy.tenant_id')").await, "1");
    let other = sessions.of(2).await;
    assert_eq!(names(&other).await, ["b-ann", "b-cid"]);
    assert_eq!(sessions.ask(&other, "current_setting('tenancy.tenant_id')").await, "2");
}

/// The tenant's own connection costs nothing, another's one round trip.
#[tokio::test]
async fn a_tenant_gets_the_connection_that_it_had_before() {
    let sessions = Sessions::new(2, 2).await;
    drop((sessions.of(1).await, sessions.of(2).await));
    for _ in 0..3 {
        assert_eq!(names(&sessions.of(1).await).await, ["a-ann", "a-bob"]);
        assert_eq!(names(&sessions.of(2).await).await, ["b-ann", "b-cid"]);
    }
    let SessionStats { repeated, switched, fresh, kept, .. } = sessions.stats();
    assert_eq!((repeated, switched, fresh, kept), (6, 0, 2, 2));
    // A third tenant takes the connection that waited longest, which is tenant 1's; then 1 takes that of 2.
    assert!(names(&sessions.of(3).await).await.is_empty());
    assert_eq!(sessions.stats().switched, 1);
    assert_eq!(names(&sessions.of(1).await).await, ["a-ann", "a-bob"]);
    assert_eq!(sessions.stats().switched, 2);
}

/// SCH-09: beyond the shelf, a connection goes back to the pool without anything of its tenant.
#[tokio::test]
async fn what_goes_back_to_the_pool_is_as_it_was_before() {
    let sessions = Sessions::new(1, 0).await;
    let before = "SELECT current_setting('tenancy.tenant_id', true), current_setting('search_path'), current_setting('role')";
    let read = async || {
        let raw =
            danger::unscoped(&sessions.tenancy, &sessions.capability, "a test").expect("the capability");
        let row = raw.query_one_raw(Statement::from_string(DbBackend::Postgres, before)).await;
        let row = row.expect("an answer").expect("a row");
        let text = |i| row.try_get_by_index::<Option<String>>(i).expect("text").unwrap_or_default();
        [text(0), text(1), text(2)]
    };
    let first = read().await;
    assert_eq!(first[0], "");
    for tenant in [1, 2] {
        assert!(!names(&sessions.of(tenant).await).await.is_empty());
        assert_eq!(read().await, first);
    }
}

/// A transaction of a session, a savepoint in it, and one that is dropped.
#[tokio::test]
async fn transactions_of_a_session_end_as_they_should() {
    let sessions = Sessions::new(1, 1).await;
    let session = sessions.of(1).await;
    let count = async || order::Entity::find().count(&session).await;
    let new =
        |id| order::ActiveModel { id: Set(id), customer_id: Set(1), total: Set(1), ..Default::default() };

    let transaction = session.begin().await.expect("a transaction");
    new(50).insert(&transaction).await.expect("a row");
    // One connection cannot be inside and beside a transaction.
    assert_eq!(count().await.map_err(|error| kind(&error)), Err(Some(ErrorKind::Connection)));
    let savepoint = transaction.begin().await.expect("a savepoint");
    new(51).insert(&savepoint).await.expect("a row");
    drop(savepoint);
    transaction.commit().await.expect("a commit");
    assert_eq!(count().await.expect("a count"), 3);

    let dropped = session.begin().await.expect("a transaction");
    new(52).insert(&dropped).await.expect("a row");
    drop(dropped);
    assert_eq!(count().await.expect("a count"), 3);

    let outer = session.begin().await.expect("a transaction");
    let inner = outer.begin().await.expect("a savepoint");
    assert_eq!(outer.commit().await.map_err(|error| kind(&error)), Err(Some(ErrorKind::Connection)));
    assert_eq!(inner.commit().await.map_err(|error| kind(&error)), Err(Some(ErrorKind::Connection)));
    let left = session.transaction_async(async |txn| new(53).insert(txn).await).await;
    left.expect("the transaction is committed");
    assert_eq!(count().await.expect("a count"), 4);
}

/// SCH-12: what failed is not committed, silently or otherwise, and the connection is good for the next one.
#[tokio::test]
async fn a_failed_transaction_is_not_committed() {
    let sessions = Sessions::new(1, 1).await;
    let taken =
        || order::ActiveModel { id: Set(1), customer_id: Set(1), total: Set(1), ..Default::default() };
    for dropped in [false, true] {
        let session = sessions.of(1).await;
        let transaction = session.begin().await.expect("a transaction");
        taken().insert(&transaction).await.expect_err("a taken key");
        if dropped {
            drop(transaction);
        } else {
            let refused = transaction.commit().await.expect_err("nothing to commit");
            assert_eq!(kind(&refused), Some(ErrorKind::Connection));
        }
        assert_eq!(names(&session).await.len(), 2);
    }
    assert_eq!(names(&sessions.of(2).await).await, ["b-ann", "b-cid"]);
}

/// SCH-10, SCH-11: a future that is dropped at any of its first await points leaves nothing to the next borrower.
#[tokio::test]
async fn an_interrupted_connection_is_never_used_again() {
    let sessions = Sessions::new(1, 1).await;
    for polls in 0..6 {
        let session = sessions.of(1).await;
        {
            let mut query = std::pin::pin!(order::Entity::find().all(&session));
            for _ in 0..polls {
                if futures_util::poll!(query.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(session);
        let next = sessions.of(2).await;
        assert_eq!(names(&next).await, ["b-ann", "b-cid"]);
        assert_eq!(sessions.ask(&next, "current_setting('tenancy.tenant_id')").await, "2");
        drop(next);
    }
    for polls in 0..6 {
        let session = sessions.of(1).await;
        {
            let mut begin = std::pin::pin!(session.begin());
            for _ in 0..polls {
                if futures_util::poll!(begin.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(session);
        let next = sessions.of(2).await;
        assert_eq!(sessions.ask(&next, "pg_current_xact_id_if_assigned() IS NULL").await, "true");
        let mut row =
            order::Entity::find_by_id(1).one(&next).await.expect("a row").expect("b's").into_active_model();
        row.total = Set(100 + polls);
        row.update(&next).await.expect("an update that commits by itself");
        drop(next);
        assert_eq!(sessions.shop.raw_total(2, 1).await, 100 + polls);
    }
}

/// A stream that is left half-way closes its connection rather than hand its rows to somebody else.
#[tokio::test]
async fn a_stream_that_is_left_half_way_ends_its_connection() {
    let sessions = Sessions::new(1, 1).await;
    let session = sessions.of(1).await;
    let mut rows = order::Entity::find().stream(&session).await.expect("a stream");
    assert!(rows.try_next().await.expect("a row").is_some());
    drop(rows);
    drop(session);
    let next = sessions.of(2).await;
    let all: Vec<_> =
        order::Entity::find().stream(&next).await.expect("rows").try_collect().await.expect("rows");
    assert_eq!(all.len(), 3);
    assert_eq!((sessions.stats().fresh, sessions.stats().switched), (2, 0));
    drop(next);
    // A stream that was read to its end leaves a clean one.
    drop(sessions.of(1).await);
    assert_eq!((sessions.stats().fresh, sessions.stats().switched), (2, 1));
}

/// SCH-17, SCH-27: what raw statements leave behind ends with their connection.
#[tokio::test]
async fn nothing_of_raw_statements_reaches_the_next_borrower() {
    let sessions = Sessions::new(1, 1).await;
    let dirt = [
        "SET search_path = pg_catalog",
        "SET ROLE NONE",
        "SET tenancy.tenant_id = '2'",
        "CREATE TEMP TABLE customers (tenant_id bigint, id int, name text)",
        "LISTEN tenancy",
        "SELECT pg_advisory_lock(1)",
        "PREPARE p AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "BEGIN",
        "SELECT nextval('s')",
    ];
    sessions.shop.raw.execute_unprepared("CREATE SEQUENCE s").await.expect("a sequence");
    for statement in dirt {
        let session = sessions.of(1).await;
        let before = {
            let raw = danger::unscoped_session(&sessions.tenancy, &sessions.capability, &session, "a test");
            let raw = raw.await.expect("the capability");
            raw.execute_unprepared(statement).await.expect(statement);
            let row =
                raw.query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid()"));
            row.await.expect("a pid").expect("a pid").try_get_by_index::<i32>(0).expect("a pid")
        };
        drop(session);
        let next = sessions.of(2).await;
        assert_eq!(names(&next).await, ["b-ann", "b-cid"], "{statement}");
        assert_ne!(sessions.pid(&next).await, before.to_string(), "{statement}");
    }
}

/// SCH-13, SCH-16, SCH-17: where functions of the application's own are allowed, a connection is looked at when its
/// session ends, and one that holds anything of it is closed.
#[tokio::test]
async fn what_a_function_left_on_a_connection_ends_with_it() {
    let allowed = || policy().allow_function("leave");
    for (left, kept) in [
        ("PERFORM 1", true),
        ("CREATE TEMP TABLE customers (tenant_id bigint, id int, name text)", false),
        ("LISTEN tenancy", false),
        ("PERFORM pg_advisory_lock(1)", false),
        ("EXECUTE 'PREPARE p AS SELECT 1'", false),
        ("EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'", false),
        ("PERFORM set_config('tenancy.tenant_id', '2', false)", false),
        ("PERFORM set_config('search_path', 'pg_temp, public', false)", false),
        ("PERFORM set_config('role', session_user, false)", false),
    ] {
        let sessions = Sessions::under(allowed, 1, 1).await;
        let function = format!(
            "CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {left}; RETURN 1; END $$"
        );
        sessions.shop.raw.execute_unprepared(&function).await.expect(left);
        let session = sessions.of(1).await;
        session.execute_unprepared("SELECT leave()").await.expect(left);
        drop(session);
        // The tenant's own next session too: only what was looked at and found clean is used again.
        assert_eq!(names(&sessions.of(1).await).await, ["a-ann", "a-bob"], "{left}");
        assert_eq!(names(&sessions.of(2).await).await, ["b-ann", "b-cid"], "{left}");
        assert_eq!(sessions.stats().fresh, if kept { 1 } else { 2 }, "{left}: {:?}", sessions.stats());
    }
}

/// SCH-28, SCH-29: the ids of locks and the names of channels are the whole database's, whatever the session's schema.
/// Those that are made from the tenant do not meet.
#[tokio::test]
async fn locks_and_channels_that_are_named_by_their_tenant_do_not_meet() {
    use sea_orm::sqlx::postgres::PgListener;
    let sessions = Sessions::new(2, 2).await;
    let (one, two) = (sessions.of(1).await, sessions.of(2).await);
    let named = |tenant| NamespacedKey::new(&context(tenant), "orders");
    let lock = |tenant| LockIds::default().id(&named(tenant));
    let locked = async |session, id: i64| {
        sessions.ask(session, &format!("pg_try_advisory_lock({id})")).await == "true"
    };
    assert!(locked(&one, 7).await && !locked(&two, 7).await, "without the tenant, one waits for the other");
    assert!(locked(&one, lock(1)).await && locked(&two, lock(2)).await);
    assert!(!locked(&two, lock(1)).await, "the lock is held");

    let mut listener = PgListener::connect(sessions.shop.url()).await.expect("it connects");
    for channel in ["orders", named(1).as_str()] {
        listener.listen(channel).await.expect("it listens");
    }
    for channel in ["orders", named(2).as_str(), named(1).as_str()] {
        sessions.ask(&two, &format!("pg_notify('{channel}', '2')")).await;
    }
    let mut heard = async || listener.recv().await.expect("a notification").channel().to_owned();
    assert_eq!(heard().await, "orders", "without the tenant, one hears of the other");
    assert_eq!(heard().await, named(1).as_str(), "what was sent to tenant 2 is not heard");
}

/// The same statements, and SCH-28 to SCH-30, from a tenant: none gets as far as the connection.
#[tokio::test]
async fn no_scoped_statement_changes_the_session() {
    let sessions = Sessions::new(1, 1).await;
    let session = sessions.of(1).await;
    for statement in [
        "SET search_path = x",
        "SET LOCAL tenancy.tenant_id = '2'",
        "RESET ALL",
        "DISCARD ALL",
        "SET ROLE x",
        "SET SESSION AUTHORIZATION x",
        "CREATE TEMP TABLE t (i int)",
        "SELECT id INTO TEMP t FROM orders",
        "LISTEN x",
        "NOTIFY x",
        "UNLISTEN *",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE ALL",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH c",
        "CLOSE ALL",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "SELECT set_config('tenancy.tenant_id', '2', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(1)",
        "SELECT lastval()",
        "SELECT currval('s')",
        "SELECT nextval('s')",
        "SELECT pg_notify('x', '')",
        "SELECT lo_create(0)",
        "LOAD 'x'",
        "LOCK TABLE orders",
        "COPY orders TO STDOUT",
    ] {
        let refused = session.execute_unprepared(statement).await.expect_err(statement);
        assert!(Error::of(&refused).is_some(), "{statement}: {refused}");
    }
    drop(session);
    drop(sessions.of(1).await);
    assert_eq!(sessions.stats().repeated, 1, "nothing was closed: nothing happened");
}

/// SCH-25: more sessions than connections wait for each other, tenants alternating.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_share_few_connections() {
    for (size, kept) in [(1, 0), (1, 1), (2, 1), (3, 3)] {
        let sessions = std::sync::Arc::new(Sessions::new(size, kept).await);
        let work = (0..60).map(|i| {
            let sessions = std::sync::Arc::clone(&sessions);
            tokio::spawn(async move {
                let tenant = 1 + i % 2;
                let session = sessions.of(tenant).await;
                let expected = if tenant == 1 { ["a-ann", "a-bob"] } else { ["b-ann", "b-cid"] };
                assert_eq!(names(&session).await, expected);
            })
        });
        for task in work.collect::<Vec<_>>() {
            task.await.expect("a session for everybody");
        }
        assert!(sessions.stats().kept <= kept.max(1), "{:?}", sessions.stats());
    }
}

/// A killed server process costs its session an error, and nobody else anything.
#[tokio::test]
async fn a_killed_backend_is_replaced() {
    let sessions = Sessions::new(1, 1).await;
    let session = sessions.of(1).await;
    assert_eq!(names(&session).await.len(), 2);
    sessions.shop.kill_others().await;
    order::Entity::find().all(&session).await.expect_err("the connection is gone");
    drop(session);
    assert_eq!(names(&sessions.of(1).await).await.len(), 2);
}

#[tokio::test]
async fn there_is_no_session_for_who_may_not_have_one() {
    let sessions = Sessions::new(1, 1).await;
    let gone = context(1);
    gone.tenant().supersede();
    let refused = sessions.tenancy.session(&gone).await.expect_err("the tenant is not active");
    assert_eq!(kind(&refused), Some(ErrorKind::Inactive));
    let pooled = sessions.tenancy.clone().behind_transaction_pooler();
    let refused = pooled.session(&context(1)).await.expect_err("a session would not stay");
    assert_eq!(kind(&refused), Some(ErrorKind::Connection));
    let sqlite = crate::fixture::sqlite(policy()).await;
    let refused = sqlite.session(&context(1)).await.expect_err("only PostgreSQL has sessions");
    assert_eq!(kind(&refused), Some(ErrorKind::Connection));
}

/// SCH-18: a pooler in transaction mode is found out before anything is set on it; one in session mode is none.
#[tokio::test]
async fn a_session_is_refused_behind_a_transaction_pooler() {
    use tenancy_testkit::{PoolMode, TestPgBouncer};
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let shop = Shop::placed(crate::fixture::Model::SchemaSession, policy()).await;
        let pooler = TestPgBouncer::start(shop.database(), mode, 6).await.expect("PgBouncer");
        let db = crate::fixture::open(pooler.app_url()).await;
        let tenancy = Tenancy::new(db, policy().build().expect("a policy")).expect("a tenancy");
        let session = tenancy.session(&shop.context(1)).await;
        if mode == PoolMode::Session {
            assert_eq!(names(&session.expect("a session")).await, ["a-ann", "a-bob"]);
            assert_eq!(names(&tenancy.session(&shop.context(2)).await.expect("a session")).await[0], "b-ann");
        } else {
            assert_eq!(session.err().as_ref().and_then(kind), Some(ErrorKind::Connection));
        }
    }
}

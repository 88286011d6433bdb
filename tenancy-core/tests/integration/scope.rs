//! The scope of a tenant: where it is, where it ends, and that it is nowhere else (CORE-07 to CORE-16).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use tenancy_core::{ErrorKind, ScopeSlot, Tenant, TenantContext, TenantId, TenantStatus};
use tokio::sync::mpsc;
use tokio::task::yield_now;

fn tenant(id: i64) -> Arc<Tenant> {
    Tenant::builder(TenantId::integer(id).unwrap(), format!("t{id}").parse().unwrap()).build().unwrap()
}

fn context(id: i64) -> TenantContext {
    TenantContext::assertion(tenant(id), "test").unwrap()
}

/// The tenant in scope, 0 for none.
fn here() -> i64 {
    TenantContext::current().map_or(0, |context| context.id().to_string().parse().unwrap())
}

/// CORE-07, CORE-10: absence is an error, never a default and never "all".
#[test]
fn outside_of_every_scope_there_is_no_tenant() {
    let error = TenantContext::current().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoTenantInScope);
    context(1).sync_scope(|| assert_eq!(here(), 1));
    assert_eq!(TenantContext::current().unwrap_err().kind(), ErrorKind::NoTenantInScope);
}

/// CORE-08
#[tokio::test]
async fn an_inner_scope_gives_the_outer_one_back() {
    context(1)
        .scope(async {
            assert_eq!(here(), 1);
            context(2)
                .scope(async {
                    yield_now().await;
                    assert_eq!(here(), 2);
                    context(3).sync_scope(|| assert_eq!(here(), 3));
                    assert_eq!(here(), 2);
                })
                .await;
            assert_eq!(here(), 1);
            yield_now().await;
            assert_eq!(here(), 1);
        })
        .await;
    assert_eq!(here(), 0);
}

proptest::proptest! {
    #![proptest_config(super::parsing::config())]

    /// CORE-08: any nesting, left by return, by panic or by being dropped half-way, is undone in order.
    #[test]
    fn any_nesting_is_undone(path in proptest::collection::vec((1_i64..9, 0_u8..3), 0..8)) {
        fn enter(path: &[(i64, u8)], outer: i64) {
            assert_eq!(here(), outer);
            let [(id, how), rest @ ..] = path else { return };
            let inner = *id;
            match how {
                0 => context(inner).sync_scope(|| enter(rest, inner)),
                1 => {
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        context(inner).sync_scope(|| {
                            enter(rest, inner);
                            std::panic::resume_unwind(Box::new("on purpose"));
                        });
                    }));
                    assert!(panicked.is_err());
                }
                _ => {
                    let mut future = Box::pin(context(inner).scope(async {
                        enter(rest, inner);
                        std::future::pending::<()>().await;
                    }));
                    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    assert_eq!(here(), outer);
                }
            }
            assert_eq!(here(), outer);
        }
        enter(&path, 0);
    }
}

/// CORE-09: there is no ambient bypass to forget; leaving early by `?` ends a scope like any other.
#[tokio::test]
async fn a_scope_that_is_left_by_an_error_is_over() {
    let failed: Result<(), &str> = context(1)
        .scope(async {
            yield_now().await;
            Err::<(), _>("early")?;
            unreachable!("left before")
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(here(), 0);
}

/// CORE-11: what is spawned plainly has no tenant, whichever way it is spawned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spawned_plainly_has_no_tenant() {
    context(1)
        .scope(async {
            assert_eq!(tokio::spawn(async { here() }).await.unwrap(), 0);
            assert_eq!(tokio::task::spawn_blocking(here).await.unwrap(), 0);
            assert_eq!(std::thread::spawn(here).join().unwrap(), 0);
            let mut set = tokio::task::JoinSet::new();
            set.spawn(async { here() });
            assert_eq!(set.join_next().await.unwrap().unwrap(), 0);
        })
        .await;
}

/// CORE-11, CORE-12: what is carried is the tenant, by name, and nothing else that happens to be ambient.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_carries_the_tenant_and_nothing_else() {
    tokio::task_local!(static TRANSACTION: &'static str);
    TRANSACTION
        .scope("open", async {
            let carried = context(1).scope(async { (here(), TRANSACTION.try_with(|open| *open).is_ok()) });
            assert_eq!(tokio::spawn(carried).await.unwrap(), (1, false));
            let mut set = tokio::task::JoinSet::new();
            set.spawn(context(2).scope(async { here() }));
            assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
            let three = context(3);
            assert_eq!(tokio::task::spawn_blocking(move || three.sync_scope(here)).await.unwrap(), 3);
        })
        .await;
}

/// CORE-13
#[tokio::test]
async fn scopes_that_are_polled_in_turn_see_each_their_own_tenant() {
    async fn work(id: i64) {
        for step in 0..50 {
            assert_eq!(here(), id);
            if (step + id) % 3 != 0 {
                yield_now().await;
            }
        }
    }
    let outer = context(9).scope(async {
        tokio::join!(
            context(1).scope(work(1)),
            context(2).scope(work(2)),
            work(9),
            context(3).scope(work(3))
        );
        assert_eq!(here(), 9);
    });
    outer.await;
}

/// CORE-13, exhaustively: every order in which three scoped tasks of three steps can be polled.
#[test]
fn no_order_of_polls_mixes_scopes_up() {
    fn task(id: i64) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(context(id).scope(async move {
            for _ in 0..2 {
                assert_eq!(here(), id);
                let mut polled = false;
                poll_fn(
                    |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
                )
                .await;
                assert_eq!(here(), id);
            }
        }))
    }
    let mut orders = 0;
    for order in 0..3_u32.pow(9) {
        let picks: Vec<usize> = (0..9).map(|place| (order / 3_u32.pow(place) % 3) as usize).collect();
        if (0..3).any(|task| picks.iter().filter(|pick| **pick == task).count() != 3) {
            continue;
        }
        orders += 1;
        let mut tasks = [task(1), task(2), task(3)];
        let cx = &mut Context::from_waker(Waker::noop());
        for (turn, pick) in picks.iter().enumerate() {
            let last = picks[turn + 1..].iter().all(|later| later != pick);
            assert_eq!(tasks[*pick].as_mut().poll(cx).is_ready(), last);
            assert_eq!(here(), 0);
        }
    }
    assert_eq!(orders, 1_680);
}

/// Notes who is in scope while it is dropped.
struct Noting(Arc<Mutex<Vec<i64>>>);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(here());
    }
}

/// CORE-14: the loser of a `select!` is dropped in its own scope, and the winner goes on in the outer one.
#[tokio::test]
async fn a_branch_that_loses_leaves_the_outer_scope_as_it_was() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    context(1)
        .scope(async {
            let noting = Noting(Arc::clone(&dropped));
            tokio::select! {
                () = context(2).scope(async move {
                    let _noting = noting;
                    std::future::pending::<()>().await;
                }) => unreachable!("never ready"),
                () = async { yield_now().await; assert_eq!(here(), 1) } => {}
            }
            assert_eq!(here(), 1);
        })
        .await;
    assert_eq!(*dropped.lock().unwrap(), [2]);
}

/// Dropped at each of its await points in turn, a future cleans up in its own scope and leaves none behind.
#[tokio::test]
async fn a_future_that_is_dropped_anywhere_cleans_up_in_its_scope() {
    for polls in 0..6 {
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let noting = Noting(Arc::clone(&dropped));
        {
            let mut future = pin!(context(4).scope(async move {
                let _noting = noting;
                for _ in 0..10 {
                    yield_now().await;
                }
            }));
            for _ in 0..polls {
                assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }
        assert_eq!(*dropped.lock().unwrap(), [4], "after {polls} polls");
        assert_eq!(here(), 0);
    }
}

/// CORE-15: a value that is made once, in one tenant's request, has no way to the tenant but to ask each time.
#[tokio::test]
async fn what_is_made_once_sees_whoever_uses_it() {
    static MADE: OnceLock<fn() -> i64> = OnceLock::new();
    for id in [1, 2, 3] {
        assert_eq!(context(id).scope(async { MADE.get_or_init(|| here)() }).await, id);
    }
}

/// CORE-16: a task that lives long has the tenant of the message, or none.
#[tokio::test]
async fn a_worker_serves_each_message_for_the_tenant_that_it_carries() {
    let (send, mut receive) = mpsc::channel::<(Option<TenantContext>, i64)>(8);
    let worker = context(7).sync_scope(|| {
        // Started in a request of 7: the plain spawn leaves that behind.
        tokio::spawn(async move {
            while let Some((context, expected)) = receive.recv().await {
                let found = match context {
                    Some(context) => {
                        context
                            .scope(async {
                                yield_now().await;
                                here()
                            })
                            .await
                    }
                    None => here(),
                };
                assert_eq!(found, expected);
            }
        })
    });
    for id in [1, 2, 0, 1] {
        let message = if id == 0 { None } else { Some(context(id)) };
        send.send((message, id)).await.unwrap();
    }
    drop(send);
    worker.await.unwrap();
}

/// A panic inside of a poll leaves neither the thread nor the slot in another tenant.
#[test]
fn a_panic_ends_the_scope_and_keeps_the_slot_whole() {
    let mut slot = ScopeSlot::new(context(5));
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| slot.run(|| panic!("on purpose")))).is_err());
        assert_eq!((here(), slot.context().id().to_string()), (0, "5".into()));
    }
}

/// What a thread drops when it ends finds no tenant, and aborts nothing.
#[test]
fn a_scope_that_ends_with_its_thread_does_no_harm() {
    thread_local!(static LATE: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>> = const { RefCell::new(None) });
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let noting = Noting(Arc::clone(&dropped));
    let thread = std::thread::spawn(move || {
        // Touched first, so that it is destroyed after the scope's own local.
        LATE.with_borrow_mut(|late| *late = Some(Box::pin(async {})));
        let future = context(6).scope(async move {
            let _noting = noting;
            std::future::pending::<()>().await;
        });
        let mut future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        LATE.with_borrow_mut(|late| *late = Some(future));
    });
    thread.join().unwrap();
    let dropped = dropped.lock().unwrap();
    assert!(matches!(**dropped, [0 | 6]), "{dropped:?}");
}

#[test]
fn an_assertion_is_for_active_tenants_alone() {
    use TenantStatus::{Cancelled, Maintenance, Provisioning, Suspended};
    for status in [Cancelled, Maintenance, Provisioning, Suspended] {
        let tenant = tenant(1).to_builder().with_status(status).build().unwrap();
        assert_eq!(TenantContext::assertion(tenant, "test").unwrap_err().kind(), ErrorKind::TenantNotActive);
    }
    assert!(TenantContext::assertion(tenant(1), "test").unwrap().provenance().is_asserted());
}

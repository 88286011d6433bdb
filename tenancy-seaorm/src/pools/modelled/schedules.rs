//! Schedules of the desk: every test runs a scenario under many interleavings of its threads, over connections that are
//! only counted.
//!
//! `TENANCY_SCHEDULES` sets how many per scenario and scheduler (default: 150). A failure prints the schedule, which
//! `shuttle::replay` takes. A request that is never answered is reported as a deadlock.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use shuttle::future::{block_on, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Runner, thread};

use super::desk::{Desk, Failed, Left, Task, Units};
use super::ledger::{Limits, Refused};

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("TENANCY_SCHEDULES").map_or(150, |n| n.parse().expect("a number"));
    let scenario = Arc::new(scenario);
    let run = || {
        let scenario = Arc::clone(&scenario);
        move || scenario()
    };
    Runner::new(RandomScheduler::new(schedules), shuttle::Config::default()).run(run());
    Runner::new(PctScheduler::new(3, schedules), shuttle::Config::default()).run(run());
}

/// A server that counts who is connected, and may be down.
#[derive(Debug, Default)]
struct Server {
    open: AtomicUsize,
    most: AtomicUsize,
    attempts: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    down: AtomicBool,
    /// Connections are given back while the server still works for them.
    slow: bool,
}

#[derive(Debug)]
struct Connection {
    key: u32,
    server: Arc<Server>,
    held: AtomicBool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        assert!(!self.held.load(Ordering::SeqCst), "a held connection was closed");
        self.server.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Model(Arc<Server>);

impl Units for Model {
    type Tenant = u32;
    type Key = u32;
    type Unit = Connection;
    type Error = Failed;

    async fn open(&self, key: &u32) -> Result<Connection, Failed> {
        let server = &self.0;
        server.attempts.fetch_add(1, Ordering::SeqCst);
        server.most_at_once.fetch_max(server.at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let open = server.open.fetch_add(1, Ordering::SeqCst) + 1;
        server.most.fetch_max(open, Ordering::SeqCst);
        yield_now().await;
        server.at_once.fetch_sub(1, Ordering::SeqCst);
        if server.down.load(Ordering::SeqCst) {
            server.open.fetch_sub(1, Ordering::SeqCst);
            return Err(Failed::NotOpened);
        }
        Ok(Connection { key: *key, server: Arc::clone(server), held: AtomicBool::new(false) })
    }

    async fn close(&self, unit: Connection) {
        yield_now().await;
        drop(unit);
    }

    fn left(&self, _: &Connection) -> Option<Left> {
        (!self.0.slow).then_some(Left::Usable)
    }

    async fn settle(&self, _: &Connection) -> Left {
        yield_now().await;
        Left::Usable
    }

    fn spawn(&self, task: Task) {
        drop(shuttle::future::spawn(task));
    }

    fn error(&self, why: Failed) -> Failed {
        why
    }
}

fn desk(limits: Limits, server: &Arc<Server>) -> Arc<Desk<Model>> {
    Desk::new(limits, Model(Arc::clone(server)))
}

fn limits(budget: usize) -> Limits {
    Limits { budget, per_tenant: 2, per_database: 8, waiting: 64, waiting_per_tenant: 64 }
}

/// Leases, holds for a step, and gives back.
async fn use_once(desk: &Arc<Desk<Model>>, tenant: u32, key: u32) -> Result<(), Failed> {
    let lease = desk.lease(&tenant, &key, false).await?;
    assert_eq!(lease.unit().key, key, "a connection to another database");
    assert!(!lease.unit().held.swap(true, Ordering::SeqCst), "two hold one connection");
    yield_now().await;
    lease.unit().held.store(false, Ordering::SeqCst);
    Ok(())
}

/// Waits until nothing is under way: what is in use is idle.
fn quiet(desk: &Arc<Desk<Model>>) {
    block_on(async {
        loop {
            let tally = desk.tally();
            if tally.held == 0 && tally.closing == 0 && tally.waiting == 0 {
                assert_eq!(tally.in_use, tally.idle, "a permit is lost");
                return;
            }
            yield_now().await;
        }
    });
}

/// Polls `future` at most `polls` times and drops it.
async fn give_up_after(polls: usize, future: impl Future) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 || future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// SCH-25: more databases than connections, each wanted at once.
#[test]
fn the_budget_is_never_exceeded_and_everybody_is_served() {
    for slow in [false, true] {
        explore(move || {
            let server = Arc::new(Server { slow, ..Server::default() });
            let desk = desk(limits(2), &server);
            let threads: Vec<_> = (0..4)
                .map(|n| {
                    let desk = Arc::clone(&desk);
                    thread::spawn(move || block_on(use_once(&desk, n, n)).expect("everybody is served"))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            quiet(&desk);
            assert!(server.most.load(Ordering::SeqCst) <= 2);
            assert!(desk.tally().most_in_use <= 2);
            assert_eq!(server.open.load(Ordering::SeqCst), desk.tally().idle);
        });
    }
}

/// SCH-25, DIR-06: the first requests of a database share one attempt to connect.
#[test]
fn a_database_is_opened_by_one_request_and_a_failure_is_shared_and_not_kept() {
    explore(|| {
        let server = Arc::new(Server::default());
        server.down.store(true, Ordering::SeqCst);
        let desk = desk(limits(4), &server);
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let desk = Arc::clone(&desk);
                thread::spawn(move || assert!(block_on(use_once(&desk, n, 7)).is_err()))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(server.most_at_once.load(Ordering::SeqCst), 1, "a down server is tried by one at a time");
        server.down.store(false, Ordering::SeqCst);
        block_on(use_once(&desk, 1, 7)).expect("the next request tries again");
        quiet(&desk);
    });
}

/// A request that gives up, at whichever point, takes no permit with it and stops nobody.
#[test]
fn who_gives_up_leaves_no_trace() {
    for polls in 0..=4 {
        explore(move || {
            let server = Arc::new(Server::default());
            let desk = desk(limits(1), &server);
            let gives_up = {
                let desk = Arc::clone(&desk);
                thread::spawn(move || block_on(give_up_after(polls, use_once_unwatched(&desk, 1, 1))))
            };
            let others: Vec<_> = [(2, 1), (3, 2)]
                .map(|(tenant, key)| {
                    let desk = Arc::clone(&desk);
                    thread::spawn(move || block_on(use_once(&desk, tenant, key)).expect("served"))
                })
                .into_iter()
                .collect();
            gives_up.join().unwrap();
            others.into_iter().for_each(|thread| thread.join().unwrap());
            quiet(&desk);
            assert!(server.most.load(Ordering::SeqCst) <= 1);
        });
    }
}

async fn use_once_unwatched(desk: &Arc<Desk<Model>>, tenant: u32, key: u32) {
    let lease = desk.lease(&tenant, &key, false).await;
    yield_now().await;
    drop(lease);
}

/// SCH-25: the creator is gone, and what it began serves another.
#[test]
fn a_connection_whose_creator_gave_up_serves_the_next_one() {
    explore(|| {
        let server = Arc::new(Server::default());
        let desk = desk(limits(1), &server);
        block_on(give_up_after(1, use_once_unwatched(&desk, 1, 1)));
        block_on(use_once(&desk, 2, 1)).expect("served");
        assert_eq!(server.attempts.load(Ordering::SeqCst), 1);
    });
}

/// LIM-03: one tenant's requests fill its own limit, and another's is served meanwhile.
#[test]
fn a_tenant_at_its_limit_keeps_nobody_else_waiting() {
    explore(|| {
        let server = Arc::new(Server::default());
        let desk = desk(limits(3), &server);
        let greedy = Arc::clone(&desk);
        let held = block_on(async {
            let first = greedy.lease(&1, &1, false).await.expect("served");
            (first, greedy.lease(&1, &1, false).await.expect("served"))
        });
        let waits = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || block_on(use_once(&desk, 1, 1)).expect("served in the end"))
        };
        block_on(use_once(&desk, 2, 1)).expect("there is room for another tenant");
        assert!(desk.tally().held <= 3);
        drop(held);
        waits.join().unwrap();
        quiet(&desk);
    });
}

#[test]
fn a_line_that_is_full_takes_nobody_and_serves_those_in_it() {
    explore(|| {
        let server = Arc::new(Server::default());
        let desk = desk(Limits { waiting: 1, ..limits(1) }, &server);
        let held = block_on(desk.lease(&1, &1, false)).expect("served");
        let waits = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || block_on(use_once(&desk, 2, 1)))
        };
        while desk.tally().waiting == 0 {
            thread::yield_now();
        }
        assert_eq!(block_on(use_once(&desk, 3, 1)), Err(Failed::Refused(Refused::Full)));
        drop(held);
        waits.join().unwrap().expect("it was in the line");
        quiet(&desk);
    });
}

/// What is idle is closed, what is held is not, and a retired connection does not come back.
#[test]
fn what_is_held_while_its_database_is_retired_is_closed_when_it_comes_back() {
    explore(|| {
        let server = Arc::new(Server::default());
        let desk = desk(limits(2), &server);
        let user = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || block_on(use_once(&desk, 1, 1)).expect("served"))
        };
        desk.retire(&1);
        desk.expire(Instant::now() - Duration::from_secs(1));
        user.join().unwrap();
        desk.retire(&1);
        quiet(&desk);
        assert_eq!(server.open.load(Ordering::SeqCst), 0);
        assert_eq!(desk.sizes()[0], 0, "the database is forgotten");
    });
}

#[test]
fn after_many_tenants_the_ledger_is_as_large_as_the_budget() {
    let server = Arc::new(Server::default());
    shuttle::check_random(
        move || {
            let desk = desk(limits(2), &server);
            for n in 0..50 {
                block_on(use_once(&desk, n, n)).expect("served");
            }
            quiet(&desk);
            let sizes = desk.sizes();
            assert!(sizes.iter().all(|&size| size <= 2), "{sizes:?}");
        },
        3,
    );
}

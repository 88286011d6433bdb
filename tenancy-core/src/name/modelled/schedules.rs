//! Schedules of the cache: every test runs a scenario under thousands of interleavings of its threads.
//!
//! `TENANCY_SCHEDULES` sets how many per scenario and scheduler (default: 150). A failure prints the schedule, which
//! `shuttle::replay` takes.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use shuttle::future::{block_on, yield_now};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::{Runner, thread};

use super::cache::TenantCache;
use crate::{BoxFuture, Error, Generation, Generations, ManualClock, Tenant, TenantContext, TenantId};

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("TENANCY_SCHEDULES").map_or(150, |n| n.parse().expect("a number"));
    let scenario = Arc::new(scenario);
    let run = || {
        let scenario = Arc::clone(&scenario);
        move || scenario()
    };
    Runner::new(RandomScheduler::new(schedules), shuttle::Config::default()).run(run());
    Runner::new(PctScheduler::new(3, schedules), shuttle::Config::default()).run(run());
    Runner::new(DfsScheduler::new(Some(schedules), false), shuttle::Config::default()).run(run());
}

fn context(n: i64) -> TenantContext {
    let tenant =
        Tenant::builder(TenantId::integer(n).unwrap(), format!("t{n}").parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "test").unwrap()
}

/// A database of one number for each of two tenants. It begins to read at one moment, reads at another, answers at a third.
#[derive(Clone, Default)]
struct Database(Arc<[Row; 3]>);

#[derive(Default)]
struct Row {
    version: AtomicUsize,
    /// What a reader that begins now has to see at least.
    floor: AtomicUsize,
    loads: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

struct UnderWay<'r>(&'r Row);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whose value, and which.
type Value = (i64, usize);

impl Database {
    fn row(&self, context: &TenantContext) -> &Row {
        &self.0[usize::try_from(number(context)).unwrap()]
    }

    async fn read(&self, context: TenantContext) -> Result<Value, Infallible> {
        let row = self.row(&context);
        row.loads.fetch_add(1, Ordering::SeqCst);
        row.most_under_way.fetch_max(row.under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _under_way = UnderWay(row);
        yield_now().await;
        let version = row.version.load(Ordering::SeqCst);
        yield_now().await;
        Ok((number(&context), version))
    }

    fn write(&self, context: &TenantContext) -> usize {
        self.row(context).version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// From here on, nobody may be served anything older than `version`.
    fn require(&self, context: &TenantContext, version: usize) {
        self.row(context).floor.fetch_max(version, Ordering::SeqCst);
    }

    /// Asks the cache, and checks that the answer is the tenant's own and as new as was required when it was asked.
    async fn check(&self, cache: &TenantCache<Value>, context: &TenantContext) {
        let floor = self.row(context).floor.load(Ordering::SeqCst);
        let Ok((owner, version)) = cache.get_or_load(context, "n", |context| self.read(context)).await;
        assert_eq!(owner, number(context), "a value of another tenant");
        assert!(version >= floor, "version {version} was served where {floor} was required");
    }
}

fn number(context: &TenantContext) -> i64 {
    context.id().to_string().parse().unwrap()
}

fn cache(clock: &ManualClock) -> TenantCache<Value> {
    TenantCache::builder().with_clock(clock.clone()).build()
}

fn readers(database: &Database, cache: &TenantCache<Value>, tenants: &[i64]) -> Vec<thread::JoinHandle<()>> {
    let reader = |n: &i64| {
        let (database, cache, context) = (database.clone(), cache.clone(), context(*n));
        thread::spawn(move || {
            for _ in 0..2 {
                block_on(database.check(&cache, &context));
            }
        })
    };
    tenants.iter().map(reader).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn after_a_flush_nobody_is_served_what_was_loaded_before_it() {
    explore(|| {
        let (database, cache) = (Database::default(), cache(&ManualClock::new()));
        let threads = readers(&database, &cache, &[1, 1]);
        for _ in 0..2 {
            let version = database.write(&context(1));
            block_on(cache.flush(context(1).tenant())).unwrap();
            database.require(&context(1), version);
        }
        join(threads);
        block_on(database.check(&cache, &context(1)));
    });
}

#[test]
fn after_an_invalidation_nobody_is_served_what_was_loaded_before_it() {
    explore(|| {
        let (database, cache) = (Database::default(), cache(&ManualClock::new()));
        let threads = readers(&database, &cache, &[1, 1]);
        for _ in 0..2 {
            let version = database.write(&context(1));
            cache.invalidate(&context(1), "n");
            database.require(&context(1), version);
        }
        join(threads);
        block_on(database.check(&cache, &context(1)));
    });
}

#[test]
fn two_tenants_that_miss_at_once_get_each_their_own() {
    // M18: the same logical key, loaded for both while one of them is flushed and there is room for one tenant alone.
    for room in [1, 10] {
        explore(move || {
            let database = Database::default();
            let cache = TenantCache::builder().with_clock(ManualClock::new()).with_max_tenants(room).build();
            let threads = readers(&database, &cache, &[1, 2]);
            let version = database.write(&context(1));
            block_on(cache.flush(context(1).tenant())).unwrap();
            database.require(&context(1), version);
            join(threads);
            block_on(database.check(&cache, &context(1)));
            block_on(database.check(&cache, &context(2)));
        });
    }
}

#[test]
fn one_load_at_a_time_for_a_tenant_and_key() {
    explore(|| {
        let (database, cache) = (Database::default(), cache(&ManualClock::new()));
        join(readers(&database, &cache, &[1, 1, 1]));
        let row = database.row(&context(1));
        assert_eq!(row.most_under_way.load(Ordering::SeqCst), 1);
        assert_eq!(row.loads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_caller_that_goes_away_leaves_nobody_waiting() {
    explore(|| {
        let (database, cache) = (Database::default(), cache(&ManualClock::new()));
        let (there, its) = (database.clone(), cache.clone());
        let dropped = thread::spawn(move || {
            let context = context(1);
            // Polled until it waits, and then dropped: as a leader with its load, or as one who waits.
            let mut future = Box::pin(there.check(&its, &context));
            let _ = block_on(std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))));
        });
        let threads = readers(&database, &cache, &[1, 1]);
        dropped.join().unwrap();
        join(threads);
    });
}

#[test]
fn a_load_that_fails_leaves_nobody_waiting_and_nothing_behind() {
    explore(|| {
        let (database, cache) = (Database::default(), cache(&ManualClock::new()));
        let its = cache.clone();
        let failing = thread::spawn(move || {
            let failed = block_on(its.get_or_load(&context(1), "n", |_| async {
                yield_now().await;
                Err::<Value, _>(())
            }));
            assert!(failed.is_err() || failed == Ok((1, 0)));
        });
        let threads = readers(&database, &cache, &[1, 1]);
        failing.join().unwrap();
        join(threads);
    });
}

/// Generations that several nodes share, each answer being under way for a while.
#[derive(Clone, Default)]
struct Remote(Arc<AtomicUsize>);

impl Remote {
    fn ask(
        &self,
        ask: impl Fn(&AtomicUsize) -> usize + Send + 'static,
    ) -> BoxFuture<Result<Generation, Error>> {
        let generation = Arc::clone(&self.0);
        Box::pin(async move {
            yield_now().await;
            let answer = ask(&generation);
            yield_now().await;
            Ok(Generation::new(answer as u64))
        })
    }
}

impl Generations for Remote {
    fn current(&self, _: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.ask(|generation| generation.load(Ordering::SeqCst))
    }

    fn advance(&self, _: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.ask(|generation| generation.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

#[test]
fn after_the_bound_no_node_serves_what_was_loaded_before_a_flush() {
    explore(|| {
        let (database, clock, remote) = (Database::default(), ManualClock::new(), Remote::default());
        let refresh = Duration::from_secs(1);
        let node = || {
            TenantCache::builder().with_clock(clock.clone()).with_generations(remote.clone(), refresh).build()
        };
        let (here, there) = (node(), node());
        let mut threads = readers(&database, &there, &[1, 1]);
        threads.extend(readers(&database, &here, &[1]));
        let version = database.write(&context(1));
        block_on(here.flush(context(1).tenant())).unwrap();
        // One answer may still be under way to a reader that asked before the flush and is served by it alone.
        clock.advance(refresh);
        database.require(&context(1), version);
        block_on(database.check(&there, &context(1)));
        join(threads);
        block_on(database.check(&here, &context(1)));
    });
}

#[test]
fn the_node_that_flushed_serves_nothing_older_at_once() {
    explore(|| {
        let (database, clock, remote) = (Database::default(), ManualClock::new(), Remote::default());
        let here: TenantCache<Value> = TenantCache::builder()
            .with_clock(clock.clone())
            .with_generations(remote, Duration::from_secs(1))
            .build();
        let threads = readers(&database, &here, &[1, 1]);
        let version = database.write(&context(1));
        block_on(here.flush(context(1).tenant())).unwrap();
        database.require(&context(1), version);
        join(threads);
        block_on(database.check(&here, &context(1)));
    });
}

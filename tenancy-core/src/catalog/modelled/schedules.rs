//! Schedules of the cached catalog: every test runs a scenario under thousands of interleavings of its threads.
//!
//! `TENANCY_SCHEDULES` sets how many per scenario and scheduler (default: 150). A failure prints the schedule, which
//! `shuttle::replay` takes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use shuttle::future::{block_on, yield_now};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::{Runner, thread};

use super::cached::{CachedCatalog, ManualClock};
use crate::{Lookup, Tenant, TenantCatalog, TenantId, TenantKey, TenantStatus};

fn schedules() -> usize {
    std::env::var("TENANCY_SCHEDULES").map_or(150, |n| n.parse().expect("a number"))
}

/// Explores a scenario in which something changes while a load is under way. The scenario lets `Delay` steps pass before
/// its change, and says whether the change met the load: a test in which they never meet shows nothing.
fn explore_change(scenario: impl Fn(Delay) -> bool + Send + Sync + 'static) {
    let met = Arc::new(AtomicUsize::new(0));
    let scenario = Arc::new(scenario);
    for steps in (0..=24).step_by(4) {
        let (met, scenario) = (Arc::clone(&met), Arc::clone(&scenario));
        explore_some(schedules() / 3, move || {
            met.fetch_add(usize::from(scenario(Delay(steps))), Ordering::SeqCst);
        });
    }
    assert!(met.load(Ordering::SeqCst) > 0, "the change and the load never met");
}

struct Delay(usize);

impl Delay {
    fn pass(self) {
        let steps = shuttle::sync::atomic::AtomicUsize::new(0);
        (0..self.0).for_each(|_| steps.store(0, Ordering::SeqCst));
    }
}

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_some(schedules(), scenario);
}

fn explore_some(schedules: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let run = || {
        let scenario = Arc::clone(&scenario);
        move || scenario()
    };
    Runner::new(RandomScheduler::new(schedules), shuttle::Config::default()).run(run());
    Runner::new(PctScheduler::new(3, schedules), shuttle::Config::default()).run(run());
    Runner::new(DfsScheduler::new(Some(schedules), false), shuttle::Config::default()).run(run());
}

/// A slow store: it begins to read at one moment, reads at another, and answers at a third.
#[derive(Clone, Debug, Default)]
struct Store(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// A lock of the scheduler, so that it also chooses when a change happens.
    names: Mutex<HashMap<TenantKey<'static>, Arc<Tenant>>>,
    loads: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

struct UnderWay(Store);

impl UnderWay {
    fn new(store: Store) -> Self {
        store.0.loads.fetch_add(1, Ordering::SeqCst);
        let now = store.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        store.0.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(store)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TenantCatalog for Store {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        let (store, key) = (self.clone(), key.clone().into_owned());
        Lookup::later(async move {
            let _under_way = UnderWay::new(store.clone());
            yield_now().await;
            let answer = store.0.names.lock().unwrap().get(&key).cloned();
            yield_now().await;
            Ok(answer)
        })
    }
}

impl Store {
    fn with(tenants: &[&Arc<Tenant>]) -> Self {
        let store = Self::default();
        tenants.iter().for_each(|tenant| store.put(tenant));
        store
    }

    fn put(&self, tenant: &Arc<Tenant>) {
        let mut names = self.0.names.lock().unwrap();
        names.retain(|_, old| old.id() != tenant.id());
        names.insert(TenantKey::Id(tenant.id().clone()), Arc::clone(tenant));
        names.insert(TenantKey::Slug(tenant.slug().clone()), Arc::clone(tenant));
        for domain in tenant.domains() {
            names.insert(host(domain.domain.as_str()), Arc::clone(tenant));
        }
    }

    fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }
}

fn cached(store: &Store) -> CachedCatalog<Store> {
    CachedCatalog::builder(store.clone()).with_clock(ManualClock::new()).with_capacity(64).build()
}

fn id(n: i64) -> TenantId {
    TenantId::integer(n).unwrap()
}

fn slug(text: &str) -> TenantKey<'static> {
    TenantKey::Slug(text.parse().unwrap())
}

fn host(name: &str) -> TenantKey<'static> {
    TenantKey::Domain(name.to_owned().into())
}

fn tenant(n: i64, version: u64) -> Arc<Tenant> {
    let status = if version > 1 { TenantStatus::Suspended } else { TenantStatus::Active };
    let builder = Tenant::builder(id(n), format!("t{n}").parse().unwrap());
    builder.with_version(version).with_status(status).build().unwrap()
}

fn with_domain(n: i64, version: u64, domains: &[&str]) -> Arc<Tenant> {
    let mut builder = Tenant::builder(id(n), format!("t{n}").parse().unwrap()).with_version(version);
    for domain in domains {
        builder = builder.with_domain(domain.parse().unwrap());
    }
    builder.build().unwrap()
}

fn find(cache: &CachedCatalog<Store>, key: &TenantKey<'_>) -> Option<Arc<Tenant>> {
    block_on(cache.find(key).wait()).expect("the store never fails")
}

fn version(cache: &CachedCatalog<Store>, key: &TenantKey<'_>) -> u64 {
    find(cache, key).expect("the tenant is known").version()
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

#[test]
fn dir_06_many_misses_on_one_key_are_one_load() {
    explore(|| {
        let store = Store::with(&[&tenant(1, 1)]);
        let cache = cached(&store);
        let look = || {
            let cache = cache.clone();
            thread::spawn(move || assert_eq!(version(&cache, &slug("t1")), 1))
        };
        let threads = [look(), look(), look()];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(store.loads(), 1);
        assert_eq!(cache.stats().in_flight, 0);
    });
}

#[test]
fn dir_06_many_misses_on_an_unknown_name_are_one_load() {
    explore(|| {
        let store = Store::default();
        let cache = cached(&store);
        let look = || {
            let cache = cache.clone();
            thread::spawn(move || assert!(find(&cache, &slug("t1")).is_none()))
        };
        let threads = [look(), look()];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(store.loads(), 1);
    });
}

#[test]
fn dir_06_a_load_survives_the_cancellation_of_those_who_drive_it() {
    for polls in 0..=3 {
        explore(move || {
            let store = Store::with(&[&tenant(1, 1)]);
            let cache = cached(&store);
            let leader = {
                let cache = cache.clone();
                thread::spawn(move || block_on(give_up_after(polls, cache.find(&slug("t1")).wait())))
            };
            let follow = || {
                let cache = cache.clone();
                thread::spawn(move || assert_eq!(version(&cache, &slug("t1")), 1))
            };
            // A wake that was lost would leave a follower asleep, which the scheduler reports as a deadlock.
            let followers = [follow(), follow()];
            leader.join().unwrap();
            for thread in followers {
                thread.join().unwrap();
            }
            assert_eq!(store.0.most_under_way.load(Ordering::SeqCst), 1);
            assert_eq!(cache.stats().in_flight, 0);
        });
    }
}

#[test]
fn a_load_that_nobody_waits_for_ends() {
    explore(|| {
        let store = Store::with(&[&tenant(1, 1)]);
        let cache = cached(&store);
        let give_up = || {
            let cache = cache.clone();
            thread::spawn(move || block_on(give_up_after(1, cache.find(&slug("t1")).wait())))
        };
        let threads = [give_up(), give_up()];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(store.0.under_way.load(Ordering::SeqCst), 0);
        assert_eq!(cache.stats().in_flight, 0);
        assert_eq!(version(&cache, &slug("t1")), 1);
    });
}

#[test]
fn dir_17_a_load_that_ends_after_an_invalidation_does_not_bring_the_old_record_back() {
    explore_change(|delay| {
        let store = Store::with(&[&tenant(1, 1)]);
        let cache = cached(&store);
        let reader = {
            let cache = cache.clone();
            thread::spawn(move || find(&cache, &slug("t1")).is_some())
        };
        delay.pass();
        store.put(&tenant(1, 2));
        cache.invalidate(&id(1), 2);
        assert_eq!(version(&cache, &slug("t1")), 2);
        assert!(reader.join().unwrap());
        assert_eq!(version(&cache, &slug("t1")), 2);
        assert_eq!(version(&cache, &TenantKey::Id(id(1))), 2);
        cache.stats().outdated > 0
    });
}

#[test]
fn dir_17_the_same_holds_without_versions() {
    explore_change(|delay| {
        let active = tenant(1, 0);
        let store = Store::with(&[&active]);
        let cache = cached(&store);
        let reader = {
            let cache = cache.clone();
            thread::spawn(move || find(&cache, &slug("t1")).is_some())
        };
        delay.pass();
        let suspended = active.to_builder().with_version(0).with_status(TenantStatus::Suspended);
        store.put(&suspended.build().unwrap());
        cache.forget(&TenantKey::Id(id(1)));
        for _ in 0..2 {
            assert_eq!(find(&cache, &slug("t1")).unwrap().status(), TenantStatus::Suspended);
        }
        assert!(reader.join().unwrap());
        assert_eq!(find(&cache, &slug("t1")).unwrap().status(), TenantStatus::Suspended);
        cache.stats().outdated > 0
    });
}

#[test]
fn dir_09_events_out_of_order_do_not_revive_an_older_record() {
    explore(|| {
        let store = Store::with(&[&tenant(1, 2)]);
        let cache = cached(&store);
        let events = [3, 2].map(|version| {
            let cache = cache.clone();
            thread::spawn(move || cache.invalidate(&id(1), version))
        });
        let reader = {
            let cache = cache.clone();
            thread::spawn(move || drop(block_on(cache.find(&slug("t1")).wait())))
        };
        for thread in events {
            thread.join().unwrap();
        }
        // The store lags behind: its record is version 2, and version 3 was announced.
        assert!(block_on(cache.find(&slug("t1")).wait()).is_err());
        reader.join().unwrap();
        store.put(&tenant(1, 3));
        assert_eq!(version(&cache, &slug("t1")), 3);
    });
}

#[test]
fn dir_02_a_moved_domain_is_the_new_owners_once_that_was_announced() {
    explore_change(|delay| {
        let store = Store::with(&[&with_domain(1, 1, &["shop.example.org"]), &with_domain(2, 1, &[])]);
        let cache = cached(&store);
        let key = host("shop.example.org");
        let reader = {
            let (cache, key) = (cache.clone(), key.clone());
            thread::spawn(move || find(&cache, &key).is_some())
        };
        delay.pass();
        {
            let (a, b) = (with_domain(1, 2, &[]), with_domain(2, 3, &["shop.example.org"]));
            let mut names = store.0.names.lock().unwrap();
            names.insert(key.clone(), Arc::clone(&b));
            names.insert(TenantKey::Id(id(1)), a);
            names.insert(TenantKey::Id(id(2)), b);
        }
        cache.invalidate(&id(1), 2);
        assert_eq!(find(&cache, &key).unwrap().id(), &id(2));
        cache.invalidate(&id(2), 3);
        assert_eq!(find(&cache, &key).unwrap().id(), &id(2));
        assert!(reader.join().unwrap());
        assert_eq!(find(&cache, &key).unwrap().id(), &id(2));
        cache.stats().outdated > 0
    });
}

#[test]
fn dir_04_a_new_tenant_is_found_once_it_was_announced_whatever_was_asked_before() {
    explore_change(|delay| {
        let store = Store::default();
        let cache = cached(&store);
        let asked_in_vain = {
            let cache = cache.clone();
            thread::spawn(move || find(&cache, &slug("t1")).is_none())
        };
        delay.pass();
        store.put(&tenant(1, 1));
        cache.invalidate(&id(1), 1);
        assert_eq!(version(&cache, &slug("t1")), 1);
        assert_eq!(version(&cache, &slug("t1")), 1);
        asked_in_vain.join().unwrap() && store.loads() > 1
    });
}

#[test]
fn a_flush_leaves_nothing_of_what_was_under_way() {
    explore_change(|delay| {
        let store = Store::with(&[&tenant(1, 1)]);
        let cache = cached(&store);
        let reader = {
            let cache = cache.clone();
            thread::spawn(move || find(&cache, &slug("t1")).is_some())
        };
        delay.pass();
        store.put(&tenant(1, 2));
        cache.flush();
        assert_eq!(version(&cache, &slug("t1")), 2);
        assert!(reader.join().unwrap());
        assert_eq!(version(&cache, &slug("t1")), 2);
        cache.stats().outdated > 0
    });
}

#[test]
fn dir_01_a_refresh_counts_when_it_ends_even_if_it_is_cut_short() {
    for polls in 0..=3 {
        explore(move || {
            let store = Store::with(&[&tenant(1, 1)]);
            let cache = cached(&store);
            let held = find(&cache, &slug("t1")).unwrap();
            let reader = {
                let cache = cache.clone();
                thread::spawn(move || find(&cache, &slug("t1")).is_some())
            };
            store.put(&tenant(1, 2));
            block_on(give_up_after(polls, cache.refresh(&id(1), 2)));
            assert!(!held.is_still_active());
            assert_eq!(version(&cache, &slug("t1")), 2);
            assert!(reader.join().unwrap());
        });
    }
}

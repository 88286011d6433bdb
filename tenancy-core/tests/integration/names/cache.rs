//! The cache in memory: apart for each tenant, loaded once, fresh after a flush.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tenancy_core::{
    BoxFuture, Error, ErrorKind, Generation, Generations, LocalGenerations, ManualClock, Tenant, TenantCache,
    TenantContext,
};
use tokio::sync::Notify;

use super::context;

const SECOND: Duration = Duration::from_secs(1);

/// Asks for `part` of `context`'s tenant; if it is not there, it becomes `value`.
async fn ask(cache: &TenantCache<String>, context: &TenantContext, part: &str, value: &str) -> String {
    let load = |_| async { Ok::<_, Infallible>(value.to_owned()) };
    cache.get_or_load(context, ("orders", part), load).await.unwrap()
}

fn timed(clock: &ManualClock) -> TenantCache<String> {
    TenantCache::builder().with_clock(clock.clone()).build()
}

#[tokio::test]
async fn a_tenant_never_gets_another_tenants_value() {
    // CACHE-01, CACHE-04, M15, M16: the same logical key for tenants whose ids begin alike, and parts that hold them.
    let cache = TenantCache::new();
    let tenants = ["1", "10", "11", "1.x", "a", &"a".repeat(254), &"a".repeat(255)].map(context);
    let parts = ["", "1", "10", "1:orders", ":", "*", "[a]", "7"];
    for round in 0..2 {
        for tenant in &tenants {
            for part in parts {
                let own = format!("{} {part}", tenant.id());
                let expected = own.clone();
                assert_eq!(ask(&cache, tenant, part, &own).await, expected, "round {round}");
            }
        }
    }
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.hits), (56, 56), "each was loaded once and found once");
    assert_eq!(stats.hit_rate(), Some(0.5));
}

#[tokio::test]
async fn a_flush_drops_one_tenant_and_no_other() {
    // CACHE-08, M17.
    let cache = TenantCache::new();
    let tenants = ["1", "10", "11"].map(context);
    for tenant in &tenants {
        ask(&cache, tenant, "7", "old").await;
    }
    cache.flush(tenants[0].tenant()).await.unwrap();
    assert_eq!(ask(&cache, &tenants[0], "7", "new").await, "new");
    for other in &tenants[1..] {
        assert_eq!(ask(&cache, other, "7", "new").await, "old");
    }
    // CACHE-13: a tenant that was deleted and made again under the same id is the same name, and was flushed.
    assert_eq!(ask(&cache, &context("1"), "7", "newer").await, "new");
}

#[tokio::test]
async fn an_invalidation_drops_one_value_and_no_other() {
    let cache = TenantCache::new();
    let (a, b) = (context("1"), context("2"));
    for (tenant, part) in [(&a, "7"), (&a, "8"), (&b, "7")] {
        ask(&cache, tenant, part, "old").await;
    }
    cache.invalidate(&a, ("orders", "7"));
    cache.invalidate(&a, ("orders", "never there"));
    cache.invalidate(&context("3"), ("orders", "7"));
    assert_eq!(ask(&cache, &a, "7", "new").await, "new");
    assert_eq!(ask(&cache, &a, "8", "new").await, "old");
    assert_eq!(ask(&cache, &b, "7", "new").await, "old");
}

/// A load that others can watch: it says when it began, and ends when it is told to.
#[derive(Clone, Default)]
struct Slow(Arc<(Notify, Notify, AtomicUsize)>);

impl Slow {
    async fn load<E>(self, result: Result<String, E>) -> Result<String, E> {
        let (began, go_on, loads) = &*self.0;
        loads.fetch_add(1, Ordering::SeqCst);
        began.notify_one();
        go_on.notified().await;
        result
    }

    /// Starts the load for order 7 of `tenant` and waits until it is under way.
    async fn start(
        &self,
        cache: &TenantCache<String>,
        tenant: &TenantContext,
        result: Result<&'static str, &'static str>,
    ) -> tokio::task::JoinHandle<Result<String, &'static str>> {
        let (slow, cache, tenant) = (self.clone(), cache.clone(), tenant.clone());
        let load = move |_| slow.load(result.map(str::to_owned));
        let task = tokio::spawn(async move { cache.get_or_load(&tenant, ("orders", "7"), load).await });
        self.0.0.notified().await;
        task
    }

    fn go_on(&self) {
        self.0.1.notify_one();
    }
}

/// Lets the other tasks run until all of them wait.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn join(
    cache: &TenantCache<String>,
    tenant: &TenantContext,
    own: &'static str,
) -> tokio::task::JoinHandle<String> {
    let (cache, tenant) = (cache.clone(), tenant.clone());
    tokio::spawn(async move { ask(&cache, &tenant, "7", own).await })
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_load_for_each_tenant() {
    let cache = TenantCache::new();
    let (a, b) = (context("1"), context("2"));
    let slow = Slow::default();
    let first = slow.start(&cache, &a, Ok("a's")).await;
    let others: Vec<_> = (0..50).map(|_| join(&cache, &a, "a's second")).collect();
    settle().await;
    // M18: b asks for the same key while a's load is under way, and waits for nothing of a's.
    assert_eq!(ask(&cache, &b, "7", "b's").await, "b's");
    slow.go_on();
    assert_eq!(first.await.unwrap(), Ok("a's".to_owned()));
    for other in others {
        assert_eq!(other.await.unwrap(), "a's");
    }
    assert_eq!((cache.stats().loads, cache.stats().joined), (2, 50));
    assert_eq!(ask(&cache, &b, "7", "").await, "b's");
}

#[tokio::test]
async fn a_load_is_given_the_context_that_its_value_is_kept_for() {
    // M18.
    let cache = TenantCache::new();
    for id in ["1", "2"] {
        let load = |context: TenantContext| async move { Ok::<_, Infallible>(context.id().to_string()) };
        assert_eq!(cache.get_or_load(&context(id), "x", load).await.unwrap(), id);
    }
}

#[tokio::test]
async fn a_load_that_a_flush_overtook_is_not_kept_and_not_handed_on() {
    let (a, slow) = (context("1"), Slow::default());
    for flush in [true, false] {
        let cache = TenantCache::new();
        let first = slow.start(&cache, &a, Ok("old")).await;
        let waiting = join(&cache, &a, "new");
        settle().await;
        match flush {
            true => cache.flush(a.tenant()).await.unwrap(),
            false => cache.invalidate(&a, ("orders", "7")),
        }
        assert_eq!(waiting.await.unwrap(), "new", "who waited loads again");
        slow.go_on();
        assert_eq!(first.await.unwrap(), Ok("old".to_owned()), "its own caller gets what it loaded");
        assert_eq!(ask(&cache, &a, "7", "newer").await, "new");
        assert_eq!(cache.stats().outdated, 1);
    }
}

#[tokio::test]
async fn an_error_is_kept_for_nobody() {
    // CACHE-09.
    let (cache, a, slow) = (TenantCache::new(), context("1"), Slow::default());
    let first = slow.start(&cache, &a, Err("you may not")).await;
    let waiting: Vec<_> = (0..3).map(|_| join(&cache, &a, "value")).collect();
    settle().await;
    slow.go_on();
    assert_eq!(first.await.unwrap(), Err("you may not"));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), "value", "a denial is its caller's own");
    }
    assert_eq!(cache.stats().failures, 1);
    assert_eq!(ask(&cache, &a, "7", "").await, "value");
}

#[tokio::test]
async fn an_error_is_not_kept_as_there_is_none() {
    // CACHE-09.
    let (cache, a) = (TenantCache::<String>::new(), context("1"));
    let failed = cache.get_or_find(&a, "x", |_| async { Err::<Option<String>, _>("down") }).await;
    assert_eq!(failed, Err("down"));
    let find = |_| async { Ok::<_, Infallible>(Some("there".to_owned())) };
    assert_eq!(cache.get_or_find(&a, "x", find).await.unwrap().as_deref(), Some("there"));
}

#[tokio::test]
async fn who_needs_a_value_and_waits_is_not_content_with_there_is_none() {
    let (cache, a) = (TenantCache::<String>::new(), context("1"));
    let steps = Arc::new((Notify::new(), Notify::new()));
    let (its, tenant, inside) = (cache.clone(), a.clone(), Arc::clone(&steps));
    let finds = tokio::spawn(async move {
        let find = |_| async move {
            inside.0.notify_one();
            inside.1.notified().await;
            Ok::<Option<String>, Infallible>(None)
        };
        its.get_or_find(&tenant, ("orders", "7"), find).await
    });
    steps.0.notified().await;
    let waiting = join(&cache, &a, "loaded");
    settle().await;
    steps.1.notify_one();
    assert_eq!(finds.await.unwrap(), Ok(None));
    assert_eq!(waiting.await.unwrap(), "loaded");
}

#[tokio::test]
async fn when_the_one_that_loads_goes_away_or_panics_another_goes_on() {
    let (a, slow) = (context("1"), Slow::default());
    let cache = TenantCache::new();
    let first = slow.start(&cache, &a, Ok("never")).await;
    let waiting = join(&cache, &a, "next");
    settle().await;
    first.abort();
    assert_eq!(waiting.await.unwrap(), "next");

    let cache = TenantCache::new();
    let (its, tenant) = (cache.clone(), a.clone());
    let panics = tokio::spawn(async move {
        let load = |_| async { panic!("on purpose") };
        its.get_or_load::<Infallible, _>(&tenant, ("orders", "7"), load).await
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(ask(&cache, &a, "7", "next").await, "next");
}

#[tokio::test]
async fn that_there_is_none_is_known_for_a_shorter_time() {
    let clock = ManualClock::new();
    let cache = timed(&clock);
    let a = context("1");
    let find = async |found: Option<&str>| {
        let found = found.map(str::to_owned);
        cache.get_or_find(&a, ("orders", "7"), |_| async { Ok::<_, Infallible>(found) }).await.unwrap()
    };
    assert_eq!(find(None).await, None);
    clock.advance(SECOND * 5 - Duration::from_nanos(1));
    assert_eq!(find(Some("made meanwhile")).await, None);
    assert_eq!(cache.stats().negative_hits, 1);
    clock.advance(SECOND * 5 + Duration::from_nanos(1));
    assert_eq!(find(Some("made meanwhile")).await.as_deref(), Some("made meanwhile"));
    // Who needs a value is not content with "there is none".
    cache.invalidate(&a, ("orders", "7"));
    assert_eq!(find(None).await, None);
    assert_eq!(ask(&cache, &a, "7", "loaded").await, "loaded");
    assert_eq!(find(None).await.as_deref(), Some("loaded"));
}

#[tokio::test]
async fn values_live_thirty_to_sixty_seconds_and_do_not_end_together() {
    let clock = ManualClock::new();
    let cache = timed(&clock);
    let a = context("1");
    for part in 0..300 {
        ask(&cache, &a, &part.to_string(), "old").await;
    }
    let mut left = 300;
    let mut ended_at = HashSet::new();
    clock.advance(SECOND * 30 - Duration::from_nanos(1));
    for second in 30..=60 {
        let loads = cache.stats().loads;
        for part in 0..300 {
            ask(&cache, &a, &part.to_string(), "new").await;
        }
        let ended = cache.stats().loads - loads;
        assert!(second > 30 || ended == 0, "one ended before 30 s");
        if ended > 0 {
            ended_at.insert(second);
        }
        left -= i64::try_from(ended).unwrap();
        clock.advance(if second == 30 { SECOND + Duration::from_nanos(1) } else { SECOND });
    }
    assert!(left <= 0, "{left} lived longer than 60 s");
    assert!(ended_at.len() > 20, "they ended in {} different seconds", ended_at.len());
}

#[tokio::test]
async fn a_time_to_live_of_zero_keeps_nothing() {
    let cache = TenantCache::builder().with_ttl(Duration::ZERO..=Duration::ZERO).build();
    assert_eq!(ask(&cache, &context("1"), "7", "one").await, "one");
    assert_eq!(ask(&cache, &context("1"), "7", "two").await, "two");
}

#[tokio::test]
async fn one_tenant_cannot_evict_another() {
    let cache = TenantCache::builder().with_values_per_tenant(100).build();
    let (a, b) = (context("1"), context("2"));
    for part in 0..50 {
        ask(&cache, &b, &part.to_string(), "b's").await;
    }
    for part in 0..10_000 {
        ask(&cache, &a, &part.to_string(), "a's").await;
        ask(&cache, &a, "hot", "a's").await;
    }
    let loads = cache.stats_of(b.tenant()).loads;
    for part in 0..50 {
        ask(&cache, &b, &part.to_string(), "again").await;
    }
    assert_eq!(cache.stats_of(b.tenant()).loads, loads, "all of b's are still there");
    let stats = cache.stats_of(a.tenant());
    assert_eq!(
        (stats.values, stats.loads),
        (100, 10_001),
        "a has its room, and what it asks for often stays"
    );
    assert_eq!(stats.evictions, 10_001 - 100);
    assert_eq!(cache.stats().values, 150);
}

#[tokio::test]
async fn room_can_be_weighed() {
    let cache =
        TenantCache::<String>::builder().with_weight_per_tenant(10, |value| value.len() as u64).build();
    let a = context("1");
    for part in ["1", "2", "3"] {
        ask(&cache, &a, part, "1234").await;
    }
    assert_eq!(cache.stats().values, 2);
    assert_eq!(ask(&cache, &a, "heavy", "12345678901").await.len(), 11);
    assert_eq!(cache.stats().values, 2, "what is heavier than the room is not kept, and evicts nothing");
    for part in 0..100 {
        ask(&cache, &a, &part.to_string(), "").await;
    }
    assert!(cache.stats().values <= 10, "what weighs nothing weighs 1");
}

#[tokio::test]
async fn tenants_above_the_limit_take_the_place_of_idle_ones() {
    let cache = TenantCache::builder().with_max_tenants(10).build();
    let busy = context("1");
    for id in 1..=200 {
        let tenant = context(&id.to_string());
        assert_eq!(ask(&cache, &tenant, "7", &id.to_string()).await, id.to_string());
        ask(&cache, &busy, "7", "reloaded").await;
    }
    let stats = cache.stats();
    assert_eq!((stats.tenants, stats.values), (10, 10));
    assert!(stats.loads < 300, "the busy one was dropped {} times", stats.loads - 200);
}

#[tokio::test]
async fn what_a_caller_does_to_its_copy_nobody_else_sees() {
    // CACHE-11.
    let cache = TenantCache::new();
    let mut copy = ask(&cache, &context("1"), "7", "whole").await;
    copy.push_str(" and spoiled");
    assert_eq!(ask(&cache, &context("1"), "7", "").await, "whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_awaited_from_tasks_that_move_between_threads() {
    let cache = TenantCache::new();
    let tasks: Vec<_> = (0..20).map(|n| join(&cache, &context(&(n % 2 + 1).to_string()), "x")).collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "x");
    }
    assert!(cache.stats().loads >= 2);
}

/// Generations whose store can fall silent.
#[derive(Default)]
struct Store {
    generations: LocalGenerations,
    silent: AtomicBool,
}

impl Store {
    fn answer(&self, answer: impl FnOnce() -> Generation) -> BoxFuture<Result<Generation, Error>> {
        let silent = self.silent.load(Ordering::SeqCst);
        let answer = if silent { Err(Error::catalog_unavailable("silent")) } else { Ok(answer()) };
        Box::pin(std::future::ready(answer))
    }
}

impl Generations for Store {
    fn current(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.answer(|| self.generations.get(tenant))
    }

    fn advance(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.answer(|| self.generations.flush(tenant))
    }
}

fn node(store: &Arc<Store>, clock: &ManualClock) -> TenantCache<String> {
    TenantCache::builder().with_clock(clock.clone()).with_generations(Arc::clone(store), SECOND).build()
}

#[tokio::test]
async fn a_flush_reaches_the_other_nodes_within_the_bound() {
    let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
    let (here, there) = (node(&store, &clock), node(&store, &clock));
    let (a, b) = (context("1"), context("2"));
    for tenant in [&a, &b] {
        ask(&here, tenant, "7", "old").await;
        ask(&there, tenant, "7", "old").await;
    }
    here.flush(a.tenant()).await.unwrap();
    assert_eq!(ask(&here, &a, "7", "new").await, "new");
    clock.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(ask(&there, &a, "7", "new").await, "old", "within the bound, without a question to the store");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(ask(&there, &a, "7", "new").await, "new");
    assert_eq!(ask(&there, &b, "7", "new").await, "old");
    assert_eq!(ask(&here, &a, "7", "newer").await, "new", "its own flush is no news to a node");
}

/// Generations whose first answer comes late.
#[derive(Clone, Default)]
struct Late(Arc<(AtomicBool, Notify, Notify)>);

impl Generations for Late {
    fn current(&self, _: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        let this = self.clone();
        Box::pin(async move {
            let (asked, began, go_on) = &*this.0;
            if asked.swap(true, Ordering::SeqCst) {
                return Ok(Generation::new(2));
            }
            began.notify_one();
            go_on.notified().await;
            Ok(Generation::new(1))
        })
    }

    fn advance(&self, _: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        unreachable!("nothing is flushed")
    }
}

#[tokio::test]
async fn a_late_answer_of_the_store_does_not_drop_what_is_newer() {
    let (late, clock) = (Late::default(), ManualClock::new());
    let cache: TenantCache<String> =
        TenantCache::builder().with_clock(clock.clone()).with_generations(late.clone(), SECOND).build();
    let a = context("1");
    let waiting = join(&cache, &a, "old");
    late.0.1.notified().await;
    clock.advance(SECOND / 2);
    assert_eq!(ask(&cache, &a, "7", "new").await, "new");
    late.0.2.notify_one();
    assert_eq!(waiting.await.unwrap(), "new");
}

#[tokio::test]
async fn while_the_store_of_generations_is_silent_nothing_is_served_from_memory() {
    let (store, clock) = (Arc::new(Store::default()), ManualClock::new());
    let cache = node(&store, &clock);
    let a = context("1");
    assert_eq!(ask(&cache, &a, "7", "old").await, "old");
    store.silent.store(true, Ordering::SeqCst);
    clock.advance(SECOND);
    for value in ["one", "two"] {
        assert_eq!(ask(&cache, &a, "7", value).await, value, "loaded, and not kept");
    }
    assert_eq!(cache.flush(a.tenant()).await.unwrap_err().kind(), ErrorKind::CatalogUnavailable);
    store.silent.store(false, Ordering::SeqCst);
    assert_eq!(ask(&cache, &a, "7", "new").await, "new", "this node was flushed all the same");
}

//! Values of tenants on a real Redis and on a real cluster of three masters.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Cmd, RedisFuture, Value};
use tenancy_core::{
    ErrorKind, Found, GlobalKey, ManualClock, Namespace, NamespacedKey, PurgeStep, RedisGenerations,
    RedisNodes, TenantCache, TenantContext, TenantRedis,
};
use tenancy_testkit::{TestRedis, TestRedisCluster};

use super::context;

const MINUTE: Duration = Duration::from_secs(60);
const TAGGED: Namespace = Namespace::new().with_area("deployments").with_hash_tag();

async fn single(server: &TestRedis) -> MultiplexedConnection {
    single_of(server.url()).await
}

async fn clustered(cluster: &TestRedisCluster) -> ClusterConnection {
    let client = redis::cluster::ClusterClient::builder(cluster.urls());
    let client = client.response_timeout(MINUTE).connection_timeout(MINUTE).build().unwrap();
    client.get_async_connection().await.unwrap()
}

async fn store<C: RedisNodes>(cache: &TenantRedis<C>, context: &TenantContext, part: &str, value: &[u8]) {
    match cache.get(context, ("orders", part)).await.unwrap() {
        Found::Miss(vacant) => vacant.fill(value, MINUTE).await.unwrap(),
        Found::Hit(_) => panic!("already there"),
    }
}

async fn load<C: RedisNodes>(cache: &TenantRedis<C>, context: &TenantContext, part: &str) -> Option<Vec<u8>> {
    cache.get(context, ("orders", part)).await.unwrap().hit()
}

/// Everything that the servers hold, byte for byte.
async fn dump(urls: &[&str]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut dump = BTreeMap::new();
    for url in urls {
        let mut node = single_of(url).await;
        let names: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut node).await.unwrap();
        for name in names {
            let value: Vec<u8> = node.get(&name).await.unwrap();
            dump.insert(name, value);
        }
    }
    dump
}

/// The parts of a dump that are not of `tenant`: neither its values nor its generation.
fn without(dump: &BTreeMap<Vec<u8>, Vec<u8>>, tenant: &TenantContext) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let key = NamespacedKey::new(tenant, "x");
    let head = key.as_str().strip_suffix(":x").unwrap();
    let of_tenant = |name: &[u8]| {
        let name = std::str::from_utf8(name).unwrap().replace(['{', '}'], "");
        let rest = name[name.find("tenant:").unwrap()..].strip_prefix(head);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
    };
    dump.iter()
        .filter(|(name, _)| !of_tenant(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn tenants() -> [TenantContext; 5] {
    ["1", "10", "11", "1.x", &"a".repeat(255)].map(context)
}

async fn check_flush_and_purge<C: RedisNodes>(connection: C, urls: &[&str], namespace: Namespace) {
    let cache = TenantRedis::new(connection, namespace);
    let parts: Vec<String> =
        ["", "*", "1", ":"].map(String::from).into_iter().chain((100..160).map(|n| n.to_string())).collect();
    for tenant in &tenants() {
        for part in &parts {
            store(&cache, tenant, part, format!("{} {part}", tenant.id()).as_bytes()).await;
        }
    }
    for (at, flushed) in tenants().iter().enumerate() {
        let before = dump(urls).await;
        cache.flush(flushed.tenant()).await.unwrap();
        assert_eq!(
            without(&dump(urls).await, flushed),
            without(&before, flushed),
            "a flush leaves the others byte-identical"
        );
        for part in &parts {
            assert_eq!(load(&cache, flushed, part).await, None);
        }
        let removed = cache.purge(flushed.tenant()).with_step(10).run().await.unwrap();
        assert_eq!(removed, parts.len() as u64);
        let after = dump(urls).await;
        assert_eq!(
            without(&after, flushed),
            without(&before, flushed),
            "a purge leaves the others byte-identical"
        );
        assert_eq!(before.len() - after.len(), parts.len());
        for (later, other) in tenants().iter().enumerate() {
            let expected = (later > at).then(|| format!("{} {}", other.id(), parts[1]).into_bytes());
            assert_eq!(load(&cache, other, &parts[1]).await, expected);
        }
    }
}

#[tokio::test]
async fn flushing_one_tenant_leaves_the_others_byte_identical() {
    // CACHE-08, M17.
    let server = TestRedis::create().await.unwrap();
    for namespace in [Namespace::new(), TAGGED] {
        check_flush_and_purge(single(&server).await, &[server.url()], namespace).await;
    }
}

#[tokio::test]
async fn flushing_one_tenant_on_a_cluster_leaves_the_others_byte_identical() {
    let cluster = TestRedisCluster::start().await.unwrap();
    for namespace in [Namespace::new(), TAGGED] {
        check_flush_and_purge(clustered(&cluster).await, &cluster.urls(), namespace).await;
    }
}

#[tokio::test]
async fn a_hash_tag_keeps_a_tenant_in_one_slot_and_without_one_it_spreads() {
    let cluster = TestRedisCluster::start().await.unwrap();
    let mut connection = single_of(cluster.urls()[0]).await;
    for (namespace, shared) in
        [(Namespace::new(), false), (Namespace::new().with_hash_tag(), true), (TAGGED, true)]
    {
        let mut slots = HashSet::new();
        for part in 0..50 {
            let key = namespace.key(&context("1"), ("{x}", part));
            let slot: u16 =
                redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut connection).await.unwrap();
            slots.insert(slot);
        }
        assert_eq!(slots.len() == 1, shared, "{namespace:?}");
    }
}

async fn single_of(url: &str) -> MultiplexedConnection {
    // The default of half a second is too short for a machine that runs other tests at the same time.
    let patient =
        AsyncConnectionConfig::new().set_response_timeout(Some(MINUTE)).set_connection_timeout(Some(MINUTE));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

#[tokio::test]
async fn another_node_serves_no_old_value_after_the_bound() {
    let server = TestRedis::create().await.unwrap();
    let bound = Duration::from_millis(300);
    let here = TenantRedis::new(single(&server).await, Namespace::new()).with_refresh(bound);
    let there = TenantRedis::new(single(&server).await, Namespace::new()).with_refresh(bound);
    let (a, b) = (context("1"), context("2"));
    for tenant in [&a, &b] {
        store(&here, tenant, "7", b"old").await;
        assert_eq!(load(&there, tenant, "7").await.as_deref(), Some(b"old".as_slice()));
    }
    here.flush(a.tenant()).await.unwrap();
    let flushed = Instant::now();
    assert_eq!(load(&here, &a, "7").await, None, "the node that flushed sees it at once");
    let mut seen_until = Duration::ZERO;
    while flushed.elapsed() < bound * 2 {
        let asked = flushed.elapsed();
        if load(&there, &a, "7").await.is_some() {
            seen_until = asked;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(seen_until <= bound, "served old {seen_until:?} after the flush");
    assert_eq!(
        load(&there, &b, "7").await.as_deref(),
        Some(b"old".as_slice()),
        "the other tenant keeps its value"
    );
}

/// A node's cache in memory, whose flushes the nodes tell each other through Redis.
async fn node(server: &TestRedis, clock: &ManualClock) -> TenantCache<String> {
    let generations = RedisGenerations::new(single(server).await, Namespace::new());
    TenantCache::builder().with_clock(clock.clone()).with_generations(generations, BOUND).build()
}

const BOUND: Duration = Duration::from_secs(1);

async fn ask(cache: &TenantCache<String>, context: &TenantContext, value: &str) -> String {
    let load = |_| async { Ok::<_, Infallible>(value.to_owned()) };
    cache.get_or_load(context, ("orders", "7"), load).await.unwrap()
}

#[tokio::test]
async fn a_flush_of_one_nodes_cache_reaches_the_others_within_the_bound() {
    // CACHE-08, CACHE-13. Each node by its own connection; the time is ours, so that the bound is exact.
    let server = TestRedis::create().await.unwrap();
    let clock = ManualClock::new();
    let (here, there) = (node(&server, &clock).await, node(&server, &clock).await);
    let (a, b) = (context("1"), context("10"));
    for tenant in [&a, &b] {
        assert_eq!(ask(&here, tenant, "old").await, "old");
        assert_eq!(ask(&there, tenant, "old").await, "old");
    }
    here.flush(a.tenant()).await.unwrap();
    assert_eq!(ask(&here, &a, "new").await, "new", "the node that flushed sees it at once");
    clock.advance(BOUND - Duration::from_nanos(1));
    assert_eq!(ask(&there, &a, "new").await, "old", "within the bound");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(ask(&there, &a, "new").await, "new");
    for cache in [&here, &there] {
        assert_eq!(ask(cache, &b, "new").await, "old", "the other tenant keeps its value");
        assert_eq!(cache.stats_of(b.tenant()).loads, 1);
    }
    // A node that starts later, and one whose tenant's generation Redis has lost.
    assert_eq!(ask(&node(&server, &clock).await, &a, "newest").await, "newest");
    let () = single(&server).await.del("generation:tenant:10").await.unwrap();
    clock.advance(BOUND);
    assert_eq!(ask(&there, &b, "new").await, "new");
}

#[tokio::test]
async fn while_redis_is_silent_no_node_serves_from_memory() {
    let server = TestRedis::dedicated().await.unwrap();
    let clock = ManualClock::new();
    let cache = node(&server, &clock).await;
    let a = context("1");
    assert_eq!(ask(&cache, &a, "old").await, "old");
    server.close().await.unwrap();
    assert_eq!(ask(&cache, &a, "new").await, "old", "within the bound, without a question");
    clock.advance(BOUND);
    for value in ["one", "two"] {
        assert_eq!(ask(&cache, &a, value).await, value, "loaded, and not kept");
    }
    assert_eq!(cache.flush(a.tenant()).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
}

#[tokio::test]
async fn what_was_loaded_before_a_flush_is_not_found_after_it() {
    let server = TestRedis::create().await.unwrap();
    let cache = TenantRedis::new(single(&server).await, Namespace::new());
    let tenant = context("1");
    let Found::Miss(vacant) = cache.get(&tenant, ("orders", "7")).await.unwrap() else { panic!("empty") };
    cache.flush(tenant.tenant()).await.unwrap();
    vacant.fill(b"stale", MINUTE).await.unwrap();
    assert_eq!(load(&cache, &tenant, "7").await, None);
    store(&cache, &tenant, "7", b"fresh").await;
    assert_eq!(load(&cache, &tenant, "7").await.as_deref(), Some(b"fresh".as_slice()));
}

#[tokio::test]
async fn a_lost_generation_brings_nothing_back() {
    // CACHE-13: eviction, or a tenant deleted and made again under the same id.
    let server = TestRedis::create().await.unwrap();
    let mut connection = single(&server).await;
    let cache = TenantRedis::new(connection.clone(), Namespace::new()).with_refresh(Duration::ZERO);
    let tenant = context("1");
    store(&cache, &tenant, "7", b"old").await;
    let () = connection.del("generation:tenant:1").await.unwrap();
    assert_eq!(load(&cache, &tenant, "7").await, None);
    let lost = cache.flush(tenant.tenant()).await.unwrap();
    assert!(cache.flush(tenant.tenant()).await.unwrap() > lost);
}

#[tokio::test]
async fn a_flush_is_a_later_generation_whatever_the_clock_says() {
    // A counter from a server whose clock was ahead.
    let server = TestRedis::create().await.unwrap();
    let mut connection = single(&server).await;
    let ahead = 9_000_000_000_000_000_u64;
    let () = connection.set("generation:tenant:1", ahead).await.unwrap();
    let cache = TenantRedis::new(connection, Namespace::new());
    assert_eq!(cache.flush(context("1").tenant()).await.unwrap().get(), ahead + 1);
    assert_eq!(cache.flush(context("1").tenant()).await.unwrap().get(), ahead + 2);
}

#[tokio::test]
async fn a_generation_that_is_no_number_is_refused() {
    let server = TestRedis::create().await.unwrap();
    let mut connection = single(&server).await;
    let () = connection.set("generation:tenant:1", "7; DROP").await.unwrap();
    let cache = TenantRedis::new(connection, Namespace::new());
    let error = cache.get(&context("1"), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
}

#[tokio::test]
async fn a_flush_costs_the_same_whatever_the_tenant_holds() {
    let server = TestRedis::dedicated().await.unwrap();
    let mut connection = single(&server).await;
    let cache = TenantRedis::new(connection.clone(), Namespace::new());
    let tenant = context("1");
    let mut flush_calls = Vec::new();
    for values in [10, 2_000] {
        for value in 0..values {
            store(&cache, &tenant, &value.to_string(), b"x").await;
        }
        let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut connection).await.unwrap();
        cache.flush(tenant.tenant()).await.unwrap();
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
        let calls =
            |line: &str| Some(line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().unwrap());
        flush_calls
            .push(stats.lines().filter(|line| !line.contains("config")).filter_map(calls).sum::<u64>());
    }
    assert_eq!(flush_calls, [4, 4], "EVAL and the TIME, GET and SET inside of it");
}

#[tokio::test]
async fn a_purge_goes_in_steps_of_bounded_size_and_repeats_what_failed() {
    let server = TestRedis::dedicated().await.unwrap();
    let mut connection = single(&server).await;
    let cache = TenantRedis::new(connection.clone(), Namespace::new());
    for value in 0..1_000 {
        store(&cache, &context("1"), &value.to_string(), b"x").await;
    }
    let mut purge = cache.purge(context("1").tenant()).with_step(50);
    let (mut steps, mut sum) = (0, 0);
    let total = loop {
        match purge.step().await.unwrap() {
            PurgeStep::More { removed } => {
                assert!(removed <= 100, "SCAN may pass its COUNT by a bucket, not by much: {removed}");
                (steps, sum) = (steps + 1, sum + removed);
            }
            PurgeStep::Done { total } => break total,
        }
    };
    assert!(steps >= 10 && sum <= total, "{steps} steps");
    assert_eq!(total, 1_000);
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    assert!(!stats.contains("cmdstat_keys") && !stats.contains("cmdstat_del:"), "never KEYS, never DEL");
    assert_eq!(purge.step().await.unwrap(), PurgeStep::Done { total: 1_000 });
}

#[tokio::test]
async fn many_values_come_back_by_name_in_the_order_asked() {
    // CACHE-12, on a cluster, where one MGET is split over the nodes.
    let cluster = TestRedisCluster::start().await.unwrap();
    let cache = TenantRedis::new(clustered(&cluster).await, Namespace::new());
    let (a, b) = (context("1"), context("2"));
    for part in ["3", "1", "2"] {
        store(&cache, &a, part, part.as_bytes()).await;
        store(&cache, &b, part, b"b's").await;
    }
    let names = ["1", "none", "3", "2", "1"].map(|part| ("orders", part));
    let found = cache.get_many(&a, names).await.unwrap();
    let values: Vec<_> = found.into_iter().map(Found::hit).collect();
    assert_eq!(
        values,
        [Some(b"1".to_vec()), None, Some(b"3".to_vec()), Some(b"2".to_vec()), Some(b"1".to_vec())]
    );
    assert!(cache.get_many(&a, [""; 0]).await.unwrap().is_empty());
}

/// A connection that has lost count: it answers each GET and MGET with the reply to the one before.
#[derive(Clone)]
struct OutOfStep {
    inner: MultiplexedConnection,
    late: std::sync::Arc<std::sync::Mutex<Option<Value>>>,
}

impl ConnectionLike for OutOfStep {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let reply = self.inner.req_packed_command(cmd).await?;
            let is_get = cmd
                .args_iter()
                .next()
                .is_some_and(|name| matches!(name, redis::Arg::Simple(b"GET" | b"MGET")));
            if !is_get {
                return Ok(reply);
            }
            Ok(self.late.lock().unwrap().replace(reply).unwrap_or(Value::Nil))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a redis::Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        unreachable!("no pipeline is sent")
    }

    fn get_db(&self) -> i64 {
        0
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_refused() {
    // CACHE-07.
    let server = TestRedis::create().await.unwrap();
    let honest = TenantRedis::new(single(&server).await, Namespace::new());
    let (a, b) = (context("1"), context("2"));
    store(&honest, &a, "7", b"a's").await;
    store(&honest, &b, "7", b"b's").await;
    let connection = OutOfStep { inner: single(&server).await, late: Default::default() };
    let cache = TenantRedis::new(connection, Namespace::new());
    let _ = cache.get(&a, ("orders", "7")).await.unwrap();
    let error = cache.get(&b, ("orders", "7")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignValue);
    assert!(!format!("{error} {error:?}").contains("a's"));
    // Within one tenant too, and in bulk.
    let _ = cache.get_many(&a, [("orders", "7"), ("orders", "8")]).await;
    let error = cache.get_many(&a, [("orders", "8"), ("orders", "7")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignValue);
}

#[tokio::test]
async fn a_value_of_an_old_generation_or_of_no_envelope_is_refused() {
    let server = TestRedis::create().await.unwrap();
    let mut connection = single(&server).await;
    let cache = TenantRedis::new(connection.clone(), Namespace::new());
    let tenant = context("1");
    store(&cache, &tenant, "7", b"old").await;
    let old = cache.key(&tenant, ("orders", "7")).await.unwrap();
    cache.flush(tenant.tenant()).await.unwrap();
    let new: NamespacedKey = cache.key(&tenant, ("orders", "7")).await.unwrap();
    let () = redis::cmd("COPY").arg(&old).arg(&new).query_async(&mut connection).await.unwrap();
    assert_eq!(cache.get(&tenant, ("orders", "7")).await.unwrap_err().kind(), ErrorKind::ForeignValue);
    let () = connection.set(&new, "no envelope").await.unwrap();
    assert_eq!(cache.get(&tenant, ("orders", "7")).await.unwrap_err().kind(), ErrorKind::ForeignValue);
}

#[tokio::test]
async fn a_silent_server_is_an_error_and_no_miss() {
    let server = TestRedis::dedicated().await.unwrap();
    let cache = TenantRedis::new(single(&server).await, Namespace::new()).with_refresh(MINUTE);
    let tenant = context("1");
    store(&cache, &tenant, "7", b"x").await;
    server.close().await.unwrap();
    assert_eq!(cache.get(&tenant, ("orders", "7")).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!(cache.flush(tenant.tenant()).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    let error = cache.purge(tenant.tenant()).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
}

#[tokio::test]
async fn values_end_with_their_time_and_a_removed_one_at_once() {
    let server = TestRedis::create().await.unwrap();
    let mut connection = single(&server).await;
    let cache = TenantRedis::new(connection.clone(), Namespace::new());
    let tenant = context("1");
    for (part, ttl) in
        [("short", Duration::from_millis(60)), ("none", Duration::ZERO), ("ever", Duration::MAX)]
    {
        let Found::Miss(vacant) = cache.get(&tenant, ("orders", part)).await.unwrap() else {
            panic!("empty")
        };
        vacant.fill(part.as_bytes(), ttl).await.unwrap();
    }
    assert_eq!(load(&cache, &tenant, "none").await, None);
    assert_eq!(load(&cache, &tenant, "ever").await.as_deref(), Some(b"ever".as_slice()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(load(&cache, &tenant, "short").await, None);
    cache.remove(&tenant, ("orders", "ever")).await.unwrap();
    assert_eq!(load(&cache, &tenant, "ever").await, None);
    // A shared name is another place, whatever the tenant's parts are called.
    let () = connection.set(GlobalKey::new(("orders", "7")), "shared").await.unwrap();
    assert_eq!(load(&cache, &tenant, "7").await, None);
}

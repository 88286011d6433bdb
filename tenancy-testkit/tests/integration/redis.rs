//! One Redis for each test, on every rung, and a cluster.

use std::{collections::HashSet, net::TcpStream};

use redis::{Client, aio::MultiplexedConnection, cmd};
use rustix::process::Signal;
use tenancy_testkit::{ErrorKind, Ladder, RedisServer, Rung, TestRedis, TestRedisCluster};

use crate::{
    support::TestResult,
    victim::{self, Place, Victim, within_30_seconds},
};

async fn connect(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("the kit's URL");
    client.get_multiplexed_async_connection().await.expect("the server answers")
}

async fn size(url: &str) -> u64 {
    cmd("DBSIZE").query_async(&mut connect(url).await).await.expect("the server answers")
}

fn answers(url: &str) -> bool {
    let url = url::Url::parse(url).expect("the kit's URL");
    TcpStream::connect((url.host_str().expect("a host"), url.port().expect("a port"))).is_ok()
}

/// KIT-09: parallel tests never see each other.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_tests_share_no_keys() -> TestResult {
    let tests = (0..8_u64).map(|number| {
        tokio::spawn(async move {
            let redis = TestRedis::create().await.expect("a database");
            let mut connection = connect(redis.url()).await;
            for key in 0..=number {
                cmd("SET").arg(key).arg(number).exec_async(&mut connection).await.expect("set");
            }
            assert_eq!(size(redis.url()).await, number + 1, "other tests' keys are visible");
            redis
        })
    });
    let mut urls = HashSet::new();
    let mut held = Vec::new();
    for test in tests.collect::<Vec<_>>() {
        held.push(test.await?);
    }
    assert!(held.iter().all(|redis| urls.insert(redis.url().to_owned())), "two tests had the same database");
    Ok(())
}

#[tokio::test]
async fn a_closed_database_is_empty_for_the_next_test() -> TestResult {
    let redis = TestRedis::create().await?;
    let url = redis.url().to_owned();
    cmd("SET").arg("key").arg("value").exec_async(&mut connect(&url).await).await?;
    redis.close().await?;
    // Somebody else may have claimed the number meanwhile: the value itself must be gone.
    let left: Option<String> = cmd("GET").arg("key").query_async(&mut connect(&url).await).await?;
    assert_eq!(left, None);
    Ok(())
}

#[tokio::test]
async fn a_given_server_gives_databases_until_all_are_taken() -> TestResult {
    let own = TestRedis::dedicated().await?;
    let server = RedisServer::attach(Ladder::new().with_rungs([Rung::Url]).with_url(own.url())).await?;
    assert_eq!(server.rung(), Rung::Url);
    let mut held = Vec::new();
    let full = loop {
        match server.create_database().await {
            Ok(database) => held.push(database),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::Server);
    assert_eq!(held.len(), 1023, "every number but the kit's own");
    held.pop().expect("many").close().await?;
    server.create_database().await?;
    Ok(())
}

#[tokio::test]
async fn a_dedicated_server_shares_nothing_and_ends_with_its_test() -> TestResult {
    let (first, second) = (TestRedis::dedicated().await?, TestRedis::dedicated().await?);
    cmd("SET").arg("key").arg("value").exec_async(&mut connect(first.url()).await).await?;
    assert_eq!((size(first.url()).await, size(second.url()).await), (1, 0));
    let url = first.url().to_owned();
    drop(first);
    within_30_seconds("the dedicated server is gone", || !answers(&url));
    assert!(answers(second.url()));
    Ok(())
}

#[tokio::test]
async fn a_password_is_needed() -> TestResult {
    let redis = TestRedis::create().await?;
    let mut url = url::Url::parse(redis.url())?;
    url.set_password(None).map_err(|()| "no host")?;
    assert!(Client::open(url.as_str())?.get_multiplexed_async_connection().await.is_err());
    Ok(())
}

#[tokio::test]
async fn databases_of_a_killed_process_are_taken_over_empty() -> TestResult {
    const LOCAL: [(&str, &str); 2] = [("TENANCY_REDIS", "local"), ("TENANCY_REDIS_LINGER", "1")];
    if victim::role().is_some() {
        let redis = TestRedis::create().await?;
        cmd("SET").arg("key").arg("value").exec_async(&mut connect(redis.url()).await).await?;
        victim::tell("redis", redis.url());
        victim::wait();
        return Ok(());
    }
    let place = Place::new("redis");
    let test = "redis::databases_of_a_killed_process_are_taken_over_empty";
    let mut dead = Victim::start(test, "live", &place, &LOCAL);
    let left = dead.hear("redis");
    let mut living = Victim::start(test, "live", &place, &LOCAL);
    let kept = living.hear("redis");
    dead.end_with(Signal::KILL);
    assert_eq!(size(&left).await, 1, "a killed process cannot clean up");
    let mut next = Victim::start(test, "live", &place, &LOCAL);
    let taken = next.hear("redis");
    assert_eq!(taken, left, "the dead process's number is free again");
    assert_ne!(taken, kept);
    assert_eq!(size(&taken).await, 1, "and holds the next test's key alone");
    living.end_with(Signal::KILL);
    next.end_with(Signal::KILL);
    within_30_seconds("the server is gone", || !answers(&left));
    within_30_seconds("its folders are gone", || place.leftovers().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_cluster_has_all_slots_and_sends_a_key_to_its_node() -> TestResult {
    let cluster = TestRedisCluster::start().await?;
    let urls = cluster.urls();
    assert_eq!(urls.len(), 3);
    // A cluster client refuses nodes whose passwords differ.
    let logins: HashSet<_> = urls.iter().map(|url| url.split_once('@').map(|(login, _)| login)).collect();
    assert!(logins.len() == 1 && !logins.contains(&None));
    let (mut stored, mut moved) = (0, 0);
    for url in &urls {
        let info: String = cmd("CLUSTER").arg("INFO").query_async(&mut connect(url).await).await?;
        assert!(info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384"), "{info}");
        match cmd("SET").arg("{acme}:key").arg("value").exec_async(&mut connect(url).await).await {
            Ok(()) => stored += 1,
            Err(error) if error.code() == Some("MOVED") => moved += 1,
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!((stored, moved), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_server_of_its_own_is_gone_once_it_is_closed() -> TestResult {
    let redis = TestRedis::dedicated().await?;
    let mut connection = connect(redis.url()).await;
    cmd("PING").exec_async(&mut connection).await?;
    redis.close().await?;
    assert!(cmd("PING").exec_async(&mut connection).await.is_err());
    Ok(())
}

#[tokio::test]
async fn when_no_rung_works_the_error_says_why_for_each() {
    let ladder = Ladder::new()
        .with_image("nowhere.invalid/redis:none")
        .with_pull_timeout(std::time::Duration::from_secs(10))
        .with_binaries("/nonexistent");
    let error = RedisServer::attach(ladder).await.expect_err("there is nothing to find");
    let rungs: Vec<_> = error.rungs().iter().map(|failure| failure.rung).collect();
    assert_eq!((error.kind(), rungs), (ErrorKind::NoServer, vec![Rung::Url, Rung::Container, Rung::Local]));
}

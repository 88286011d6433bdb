//! Tenant ids that [`crate::TenantId`] would refuse, on a real server: none reaches another's names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncCommands, AsyncConnectionConfig, Cmd, RedisFuture, RedisResult, Value};
use tenancy_testkit::TestRedis;

use super::generations::{MAX_KNOWN, Remembered};
use super::nodes::{Node, RedisNodes, sealed};
use super::purge::{Purge, pattern};
use super::{Found, RedisGenerations, TenantRedis};
use crate::{BoxFuture, ErrorKind, Generation, Namespace, Tenant, TenantContext, TenantId};

/// Prefixes of each other, delimiters, globs and the bytes of the encoding itself.
const HOSTILE: [&[u8]; 22] = [
    b"1", b"10", b"11", b"1:x", b"1:", b"1@", b"1@7", b"*", b"?", b"[a]", b"a", b"[", b"\\", b"^", b"{1}",
    b"{", b"}", b"", b"%2A", b"#", b"tenant", b"1\n",
];

const NAMESPACES: [Namespace; 4] = [
    Namespace::new(),
    Namespace::new().with_hash_tag(),
    Namespace::new().with_area("deployments"),
    Namespace::new().with_area("tenant"),
];

async fn connect(server: &TestRedis) -> MultiplexedConnection {
    // The default of half a second is too short for a machine that runs other tests at the same time.
    let patient = AsyncConnectionConfig::new()
        .set_response_timeout(Some(Duration::from_secs(60)))
        .set_connection_timeout(Some(Duration::from_secs(60)));
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

fn ids() -> Vec<Vec<u8>> {
    HOSTILE
        .iter()
        .map(|id| id.to_vec())
        .chain([vec![b'a'; 255], [[b'a'; 254].as_slice(), b"b"].concat()])
        .collect()
}

fn parts() -> [Vec<&'static str>; 6] {
    [vec!["x"], vec![""], vec!["", ""], vec!["*"], vec!["x", "tenant:1:x"], vec![]]
}

/// Stores, under every name of every tenant, whose it is.
async fn fill(connection: &mut MultiplexedConnection) {
    for namespace in NAMESPACES {
        for id in ids() {
            for parts in parts() {
                for generation in [None, Some(7)] {
                    let key = namespace.raw_key(&id, generation, &parts);
                    let () = connection.set(key, owner(&namespace, &id)).await.unwrap();
                }
            }
        }
    }
    // Neighbours that no namespace made.
    for neighbour in
        ["tenant:1", "tenant:1x:y", "x:tenant:1:x", "global:x", "generation:tenant:1", "tenant:*:x"]
    {
        let () = connection.set(neighbour, "somebody else").await.unwrap();
    }
}

fn owner(namespace: &Namespace, id: &[u8]) -> String {
    format!("{namespace:?} {id:?}")
}

async fn dump(connection: &mut MultiplexedConnection) -> BTreeMap<Vec<u8>, String> {
    let names: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(connection).await.unwrap();
    let values: Vec<String> = redis::cmd("MGET").arg(&names).query_async(connection).await.unwrap();
    names.into_iter().zip(values).collect()
}

#[tokio::test]
async fn hostile_tenants_are_purged_alone_and_nobody_else_changes() {
    // CACHE-03, CACHE-04, M17.
    let server = TestRedis::create().await.unwrap();
    let mut connection = connect(&server).await;
    fill(&mut connection).await;
    let mut expected = dump(&mut connection).await;
    let each = parts().len() * 2;
    assert_eq!(expected.len(), NAMESPACES.len() * ids().len() * each + 6, "no two names met");
    for namespace in NAMESPACES {
        for id in ids() {
            let mut purge = Purge::new(connection.clone(), namespace.raw_head(b"", &id)).with_step(50);
            let total = loop {
                if let super::PurgeStep::Done { total } = purge.step().await.unwrap() {
                    break total;
                }
            };
            assert_eq!(total, each as u64, "{namespace:?} {id:?}");
            expected.retain(|_, value| *value != owner(&namespace, &id));
            assert_eq!(dump(&mut connection).await, expected, "{namespace:?} {id:?}");
        }
    }
    assert_eq!(expected.len(), 6, "the neighbours are left");
}

#[tokio::test]
async fn hostile_tenants_read_back_their_own_values() {
    let server = TestRedis::create().await.unwrap();
    let mut connection = connect(&server).await;
    fill(&mut connection).await;
    for namespace in NAMESPACES {
        for id in ids() {
            for parts in parts() {
                let value: String = connection.get(namespace.raw_key(&id, None, &parts)).await.unwrap();
                assert_eq!(value, owner(&namespace, &id));
            }
        }
    }
}

#[tokio::test]
async fn the_escaped_pattern_finds_exactly_what_begins_with_the_head() {
    // On heads that the encoding does not make: the escape alone, without the check of each name behind it.
    let server = TestRedis::create().await.unwrap();
    let mut connection = connect(&server).await;
    let heads = ["*", "a?", "[ab]", "\\", "^", "a", "[^x]", "1", "10"];
    for head in heads {
        let () = connection.set(format!("{head}:x"), "").await.unwrap();
    }
    for head in heads {
        let (_, found): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(0)
            .arg("MATCH")
            .arg(pattern(head))
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, [format!("{head}:x")]);
    }
}

/// A server that answers what it is told to, and remembers how many names it was asked to unlink at a time.
#[derive(Clone)]
struct Scripted {
    answer: fn(&[u8]) -> Value,
    unlinked: Arc<Mutex<Vec<usize>>>,
}

impl Scripted {
    fn new(answer: fn(&[u8]) -> Value) -> Self {
        Self { answer, unlinked: Arc::default() }
    }

    fn ask(&self, command: &Cmd) -> Value {
        let words: Vec<_> = command.args_iter().collect();
        let Some(redis::Arg::Simple(verb)) = words.first() else { panic!("a command has a name") };
        if *verb == b"UNLINK" {
            self.unlinked.lock().unwrap().push(words.len() - 1);
        }
        (self.answer)(verb)
    }
}

impl ConnectionLike for Scripted {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(std::future::ready(Ok(self.ask(command))))
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

impl RedisNodes for Scripted {}

impl sealed::Nodes for Scripted {
    fn send(&self, _: Option<Node>, command: Cmd) -> BoxFuture<RedisResult<Vec<(Node, Value)>>> {
        Box::pin(std::future::ready(Ok(vec![(Node::Single, self.ask(&command))])))
    }
}

fn text(text: impl Into<Vec<u8>>) -> Value {
    Value::BulkString(text.into())
}

fn tenant(id: usize) -> Arc<Tenant> {
    let id = TenantId::integer(i64::try_from(id).unwrap()).unwrap();
    Tenant::builder(id, "acme".parse().unwrap()).build().unwrap()
}

#[tokio::test]
async fn a_page_far_longer_than_asked_for_is_unlinked_in_bounded_steps_and_foreign_names_stay() {
    // CACHE-03, CACHE-04. SCAN may return any number of names, and a server that ignores MATCH anybody's.
    let connection = Scripted::new(|verb| match verb {
        b"SCAN" => {
            let own = (0..1_020).map(|n| text(format!("tenant:1:{n}")));
            let foreign = ["tenant:10:x", "tenant:1", "tenant:1x:y", "global:x"].map(text);
            Value::Array(vec![text("0"), Value::Array(own.chain(foreign).collect())])
        }
        b"UNLINK" => Value::Int(1),
        verb => panic!("{verb:?}"),
    });
    Purge::new(connection.clone(), "tenant:1".to_owned()).with_step(50).run().await.unwrap();
    let unlinked = connection.unlinked.lock().unwrap();
    assert_eq!(unlinked.iter().sum::<usize>(), 1_020);
    assert!(unlinked.iter().all(|names| *names <= 50), "{unlinked:?}");
}

#[tokio::test]
async fn an_answer_with_too_few_or_too_many_values_is_refused() {
    // CACHE-12.
    let few: fn(&[u8]) -> Value = |verb| match verb {
        b"EVAL" => text("7"),
        _ => Value::Array(vec![Value::Nil]),
    };
    let many: fn(&[u8]) -> Value = |verb| match verb {
        b"EVAL" => text("7"),
        _ => Value::Array(vec![Value::Nil, Value::Nil, Value::Nil]),
    };
    let context = TenantContext::assertion(tenant(1), "test").unwrap();
    for answer in [few, many] {
        let cache = TenantRedis::new(Scripted::new(answer), Namespace::new());
        let error = cache.get_many(&context, ["a", "b"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignValue);
    }
    // As many as were asked for are let through.
    let cache = TenantRedis::new(Scripted::new(few), Namespace::new());
    assert!(matches!(cache.get_many(&context, ["a"]).await.unwrap()[..], [Found::Miss(_)]));
}

fn remembered(refresh: Duration) -> Remembered<Scripted> {
    let connection = Scripted::new(|_| text("7"));
    Remembered::new(RedisGenerations::new(connection, Namespace::new()), refresh)
}

#[tokio::test]
async fn a_late_answer_does_not_bring_an_older_generation_back() {
    let known = remembered(Duration::from_secs(60));
    let (one, other) = (tenant(1), tenant(2));
    let before = Instant::now();
    let after = before + Duration::from_millis(1);
    known.remember(&one, Generation::new(9), after);
    assert_eq!(
        known.remember(&one, Generation::new(8), before),
        Generation::new(9),
        "asked before the flush"
    );
    assert_eq!(known.current(&one).await.unwrap(), Generation::new(9), "remembered");
    assert_eq!(known.current(&other).await.unwrap(), Generation::new(7), "asked for");
    known.remember(&one, Generation::new(10), after + Duration::from_millis(1));
    assert_eq!(known.current(&one).await.unwrap(), Generation::new(10));
}

#[tokio::test]
async fn no_more_than_so_many_tenants_are_remembered() {
    for refresh in [Duration::ZERO, Duration::from_secs(3600)] {
        let known = remembered(refresh);
        for id in 1..=MAX_KNOWN + 10 {
            known.current(&tenant(id)).await.unwrap();
        }
        assert!(known.len() <= MAX_KNOWN);
    }
}

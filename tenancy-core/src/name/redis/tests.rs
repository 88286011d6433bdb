//! Tenant ids that [`crate::TenantId`] would refuse, on a real server: none reaches another's names.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::purge::{Purge, pattern};
use crate::Namespace;

#[path = "../../../tests/support/redis.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
mod server;

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

async fn connect(server: &server::Server) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
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
    let mut dump = BTreeMap::new();
    for name in names {
        let value = connection.get(&name).await.unwrap();
        dump.insert(name, value);
    }
    dump
}

#[tokio::test]
async fn hostile_tenants_are_purged_alone_and_nobody_else_changes() {
    // CACHE-03, CACHE-04, M17.
    let server = server::Server::start();
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
    let server = server::Server::start();
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
    let server = server::Server::start();
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

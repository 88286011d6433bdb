//! A Redis Cluster of three nodes, for one test.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::{
    TestRedis,
    local::{Mode, Node, random_password},
    service::connect,
};
use crate::{
    error::Error,
    server::{ready::until_ready, reason::Reason, runtime},
};

/// How many hash slots a cluster has, by definition.
const SLOTS: u16 = 16_384;

const NODES: u16 = 3;

/// A Redis Cluster of three nodes without replicas, started from this machine's binaries for one test alone.
///
/// The nodes end when this value is dropped, or when the test process ends in any other way.
#[derive(Debug)]
pub struct TestRedisCluster {
    nodes: Vec<TestRedis>,
}

impl TestRedisCluster {
    /// Starts three nodes, spreads the hash slots evenly over them, and waits until each says that all is well.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if there is no `redis-server` on this machine or it does
    /// not start; [`ErrorKind::Server`](crate::ErrorKind::Server) if the nodes do not find together.
    pub async fn start() -> Result<Self, Error> {
        let mut nodes = Vec::new();
        let mut started = Vec::new();
        let password = random_password();
        for _ in 0..NODES {
            let (owner, node) = TestRedis::start_node(Mode::Cluster, password.clone()).await?;
            nodes.push(owner);
            started.push(node);
        }
        let joined = runtime::run(join(started)).await;
        joined.map_err(|reason| Error::server("the nodes did not become a cluster", reason))?;
        Ok(Self { nodes })
    }

    /// Returns the URL of each node, all with the same password, as a cluster client takes them.
    #[must_use]
    pub fn urls(&self) -> Vec<&str> {
        self.nodes.iter().map(TestRedis::url).collect()
    }
}

async fn join(nodes: Vec<Node>) -> Result<(), Reason> {
    let mut connections = Vec::new();
    for node in &nodes {
        connections.push(connect(&node.url).await?);
    }
    for (index, connection) in (0..NODES).zip(&mut connections) {
        let share = |index: u16| u32::from(index) * u32::from(SLOTS) / u32::from(NODES);
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("ADDSLOTS").arg((share(index)..share(index + 1)).collect::<Vec<_>>());
        slots.exec_async(connection).await?;
        // Nodes with equal epochs would first have to settle which of them is right.
        redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1).exec_async(connection).await?;
    }
    for node in &nodes[1..] {
        let mut meet = redis::cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(node.port).exec_async(&mut connections[0]).await?;
    }
    for connection in connections {
        until_ready(|| complete(connection.clone()), || std::future::ready(None)).await?;
    }
    Ok(())
}

async fn complete(mut connection: MultiplexedConnection) -> Result<(), Reason> {
    let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await?;
    let says = |fact: &str| info.lines().any(|line| line.trim() == fact);
    if says("cluster_state:ok") && says("cluster_size:3") && says("cluster_known_nodes:3") {
        return Ok(());
    }
    // Nodes gossip a few times a second.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Err("a node does not see the whole cluster".into())
}

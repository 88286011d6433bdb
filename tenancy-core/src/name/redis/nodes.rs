//! The nodes that hold a store's names: one, or all masters of a cluster.

use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::{Cmd, RedisResult, Value};

use crate::BoxFuture;

/// A connection whose names can be walked through, node by node.
///
/// Implemented for the connections of the `redis` crate, and for nothing else: a connection to a cluster that answers a
/// scan for one of its nodes alone would leave names behind.
pub trait RedisNodes: ConnectionLike + Clone + Send + Sync + sealed::Nodes + 'static {}

/// One node of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// The only one.
    Single,
    /// A master of a cluster.
    #[cfg(feature = "redis-cluster")]
    Master {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
    },
}

pub(super) mod sealed {
    use super::{BoxFuture, Cmd, Node, RedisResult, Value};

    pub trait Nodes {
        /// Sends `command` to `node`, or to each node where none is given, and returns who answered what.
        fn send(&self, node: Option<Node>, command: Cmd) -> BoxFuture<RedisResult<Vec<(Node, Value)>>>;
    }
}

macro_rules! single_node {
    ($($type:ty),*) => {$(
        impl RedisNodes for $type {}

        impl sealed::Nodes for $type {
            fn send(&self, _: Option<Node>, command: Cmd) -> BoxFuture<RedisResult<Vec<(Node, Value)>>> {
                let mut connection = self.clone();
                Box::pin(async move {
                    let reply = connection.req_packed_command(&command).await?.extract_error()?;
                    Ok(vec![(Node::Single, reply)])
                })
            }
        }
    )*};
}

single_node!(MultiplexedConnection, ConnectionManager);

#[cfg(feature = "redis-cluster")]
mod cluster {
    use redis::cluster_async::ClusterConnection;
    use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
    use redis::{ErrorKind, RedisError};

    use super::*;

    impl RedisNodes for ClusterConnection {}

    impl sealed::Nodes for ClusterConnection {
        fn send(&self, node: Option<Node>, command: Cmd) -> BoxFuture<RedisResult<Vec<(Node, Value)>>> {
            let mut connection = self.clone();
            Box::pin(async move {
                let Some(Node::Master { host, port }) = node else {
                    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                    return by_node(connection.route_command(command, all).await?);
                };
                let to = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port };
                let reply = connection.route_command(command, RoutingInfo::SingleNode(to)).await?;
                Ok(vec![(Node::Master { host, port }, reply.extract_error()?)])
            })
        }
    }

    /// Reads the answers of several nodes, each with the node's address. One failure fails all, so that no node is
    /// passed over.
    fn by_node(replies: Value) -> RedisResult<Vec<(Node, Value)>> {
        let Value::Map(replies) = replies else { return Err(unexpected()) };
        let node = |(address, reply): (Value, Value)| {
            let address: String = redis::from_redis_value(address)?;
            let (host, port) = address.rsplit_once(':').ok_or_else(unexpected)?;
            let port = port.parse().map_err(|_| unexpected())?;
            Ok((Node::Master { host: host.to_owned(), port }, reply.extract_error()?))
        };
        replies.into_iter().map(node).collect()
    }

    fn unexpected() -> RedisError {
        RedisError::from((
            ErrorKind::UnexpectedReturnType,
            "the cluster's nodes did not answer each for itself",
        ))
    }
}

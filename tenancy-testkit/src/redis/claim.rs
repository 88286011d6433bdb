//! Numbered databases, each claimed by one test.
//!
//! The claims are a hash in database 0, from number to the name of the process that claims it. That process's guard
//! connection has the same name; a claim of a name that no connection has is nobody's.

use std::collections::{HashMap, HashSet};

use redis::aio::MultiplexedConnection;

use super::service::connect;
use crate::server::reason::Reason;

const CLAIMS: &str = "tenancy-testkit:claims";

/// Claims a number if its holder is still the expected one, empty for none: two never get the same.
const TAKE: &str = "
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1";

/// Claims a database for `process`; `None` if all are taken.
pub(crate) async fn claim(
    guard: &mut MultiplexedConnection,
    process: &str,
    databases: u32,
) -> Result<Option<u32>, Reason> {
    // Claims before connections: a process has its connection before its first claim, so a claim that is read and
    // whose process is then not connected belongs to one that is gone.
    let claims: HashMap<u32, String> = redis::cmd("HGETALL").arg(CLAIMS).query_async(guard).await?;
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(guard).await?;
    let alive: HashSet<&str> =
        clients.split_whitespace().filter_map(|field| field.strip_prefix("name=")).collect();
    for number in 1..databases {
        let holder = claims.get(&number).map_or("", String::as_str);
        if alive.contains(holder) && !holder.is_empty() {
            continue;
        }
        let mut take = redis::cmd("EVAL");
        take.arg(TAKE).arg(1).arg(CLAIMS).arg(number).arg(holder).arg(process);
        if take.query_async(guard).await? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Gives a database back.
pub(crate) async fn release(guard: &mut MultiplexedConnection, number: u32) -> Result<(), Reason> {
    redis::cmd("HDEL").arg(CLAIMS).arg(number).exec_async(guard).await?;
    Ok(())
}

/// Empties the database that the URL names.
pub(crate) async fn flush(url: &str) -> Result<(), Reason> {
    let mut connection = connect(url).await?;
    redis::cmd("FLUSHDB").exec_async(&mut connection).await?;
    Ok(())
}

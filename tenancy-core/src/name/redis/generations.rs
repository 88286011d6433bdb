//! Generations that all nodes share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;

use super::query;
use crate::name::Namespace;
use crate::name::generation::{Generation, Generations};
use crate::{BoxFuture, Error, Tenant, TenantId};

/// Generations of tenants, kept on Redis under `generation:tenant:{id}` without a time to live.
///
/// A generation is the time of its making in microseconds, or one more than the last if that is not greater. Should
/// Redis lose a tenant's entry, by eviction or otherwise, the next generation is a new one all the same, so that no
/// value from before comes back (CACHE-13).
///
/// Each call asks Redis. [`TenantRedis`](crate::TenantRedis) and [`TenantCache`](crate::TenantCache) remember the answer
/// for a stated time.
pub struct RedisGenerations<C> {
    connection: C,
    namespace: Namespace,
}

impl<C> RedisGenerations<C> {
    /// Returns the generations on `connection` for the names of `namespace`.
    ///
    /// Whatever shares the area of `namespace` is flushed together.
    #[must_use]
    pub fn new(connection: C, namespace: Namespace) -> Self {
        Self { connection, namespace }
    }
}

impl<C: Clone> Clone for RedisGenerations<C> {
    fn clone(&self) -> Self {
        Self { connection: self.connection.clone(), namespace: self.namespace }
    }
}

impl<C> fmt::Debug for RedisGenerations<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisGenerations").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Returns the generation of the counter, or makes one that was never there.
const CURRENT: &str = "\
    local now = redis.call('GET', KEYS[1]) \
    if now then return now end \
    local time = redis.call('TIME') \
    local fresh = string.format('%.0f', time[1] * 1000000 + time[2]) \
    redis.call('SET', KEYS[1], fresh) \
    return fresh";

/// Sets the counter to the time, or to one more than it held.
const ADVANCE: &str = "\
    local time = redis.call('TIME') \
    local fresh = time[1] * 1000000 + time[2] \
    local now = tonumber(redis.call('GET', KEYS[1]) or '0') \
    if fresh <= now then fresh = now + 1 end \
    fresh = string.format('%.0f', fresh) \
    redis.call('SET', KEYS[1], fresh) \
    return fresh";

impl<C> RedisGenerations<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    fn run(&self, script: &'static str, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        let counter = self.namespace.generation_counter(tenant);
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let mut command = redis::cmd("EVAL");
            command.arg(script).arg(1).arg(counter);
            // What is no number is refused: a counter that somebody else wrote must not pass for a generation.
            query::<u64>(&mut connection, &command).await.map(Generation::new)
        })
    }
}

impl<C> Generations for RedisGenerations<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    fn current(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.run(CURRENT, tenant)
    }

    fn advance(&self, tenant: &Tenant) -> BoxFuture<Result<Generation, Error>> {
        self.run(ADVANCE, tenant)
    }
}

/// Generations, each remembered for a while.
pub(super) struct Remembered<C> {
    source: RedisGenerations<C>,
    refresh: Duration,
    known: Arc<Mutex<HashMap<TenantId, Known>>>,
}

#[derive(Clone, Copy)]
struct Known {
    generation: Generation,
    /// When Redis was asked: the answer is as old as the question.
    asked: Instant,
}

/// How many tenants are remembered, so that the memory does not grow with the tenants of a long-lived process.
pub(super) const MAX_KNOWN: usize = 65_536;

const POISONED: &str = "no code that can panic runs under this lock";

impl<C: Clone> Clone for Remembered<C> {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), refresh: self.refresh, known: Arc::clone(&self.known) }
    }
}

impl<C> Remembered<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    pub(super) fn new(source: RedisGenerations<C>, refresh: Duration) -> Self {
        Self { source, refresh, known: Arc::default() }
    }

    pub(super) fn with_refresh(self, refresh: Duration) -> Self {
        Self { refresh, ..self }
    }

    pub(super) async fn current(&self, tenant: &Tenant) -> Result<Generation, Error> {
        let asked = Instant::now();
        let known = self.known.lock().expect(POISONED).get(tenant.id()).copied();
        match known {
            Some(known) if asked.duration_since(known.asked) < self.refresh => Ok(known.generation),
            _ => Ok(self.remember(tenant, self.source.current(tenant).await?, asked)),
        }
    }

    pub(super) async fn advance(&self, tenant: &Tenant) -> Result<Generation, Error> {
        let generation = self.source.advance(tenant).await?;
        // Counted from the answer: a question that was under way may have been answered before the flush.
        Ok(self.remember(tenant, generation, Instant::now()))
    }

    /// Keeps the answer to the latest question: answers may arrive in another order.
    pub(super) fn remember(&self, tenant: &Tenant, generation: Generation, asked: Instant) -> Generation {
        let mut known = self.known.lock().expect(POISONED);
        if known.len() >= MAX_KNOWN && !known.contains_key(tenant.id()) {
            known.retain(|_, known| asked.saturating_duration_since(known.asked) < self.refresh);
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
        }
        let entry = known.entry(tenant.id().clone()).or_insert(Known { generation, asked });
        if entry.asked <= asked {
            *entry = Known { generation, asked };
        }
        entry.generation
    }
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().expect(POISONED).len()
    }
}

//! Names on Redis, single or cluster: values under a tenant's generation, and two ways to flush one tenant.

mod envelope;
mod generations;
mod nodes;
mod purge;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, RedisWrite, ToRedisArgs, ToSingleRedisArg};

pub use self::generations::RedisGenerations;
use self::generations::Remembered;
pub use self::nodes::RedisNodes;
pub use self::purge::{Purge, PurgeStep};
use super::{Generation, GlobalKey, KeyParts, Namespace, NamespacedKey};
use crate::{Error, ErrorKind, Tenant, TenantContext};

/// Values of tenants on Redis: each is found by its tenant, until its time to live ends or the tenant is flushed.
///
/// `C` is an asynchronous connection of the `redis` crate that can be cloned: `MultiplexedConnection`,
/// `ConnectionManager`, and with the feature `redis-cluster` also `ClusterConnection`.
///
/// # Flushing
///
/// [`TenantRedis::flush`] takes one command, whatever the tenant holds: it gives the tenant a new generation, which is
/// kept on Redis beside the values and read again by each node after [`TenantRedis::with_refresh`] (1 s unless set).
/// **The bound**: once `flush` has returned, the flushing `TenantRedis` and its clones serve no older value; every
/// other node serves none after the refresh interval and the time that one command takes. It holds while Redis keeps
/// what it acknowledged; should a failover lose the flush, the values' time to live is the bound.
///
/// [`TenantRedis::purge`] also takes the values away, in small steps.
///
/// # A value of somebody else
///
/// Each value carries the name it was stored under, with tenant and generation. If a connection delivers the answer to
/// another question, the read fails with [`ErrorKind::ForeignValue`] (CACHE-07): drop that connection.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tenancy_core::{Found, Namespace, TenantContext, TenantRedis};
///
/// # async fn example(context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let cache = TenantRedis::new(client.get_multiplexed_async_connection().await?, Namespace::new());
///
/// let report = match cache.get(&context, ("report", 7)).await? {
///     Found::Hit(report) => report,
///     Found::Miss(vacant) => {
///         let report = b"made with effort".to_vec();
///         vacant.fill(&report, Duration::from_secs(60)).await?;
///         report
///     }
/// };
/// cache.flush(context.tenant()).await?;
/// # let _ = report;
/// # Ok(())
/// # }
/// ```
pub struct TenantRedis<C> {
    connection: C,
    namespace: Namespace,
    generations: Remembered<C>,
}

impl<C: Clone> Clone for TenantRedis<C> {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            namespace: self.namespace,
            generations: self.generations.clone(),
        }
    }
}

impl<C> fmt::Debug for TenantRedis<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRedis").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl<C> TenantRedis<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Returns the values on `connection` whose names are of `namespace`.
    #[must_use]
    pub fn new(connection: C, namespace: Namespace) -> Self {
        let generations = RedisGenerations::new(connection.clone(), namespace);
        Self { connection, namespace, generations: Remembered::new(generations, Duration::from_secs(1)) }
    }

    /// Sets after how long a tenant's generation is read again: the bound of a flush on other nodes. With zero it is
    /// read each time.
    #[must_use]
    pub fn with_refresh(mut self, refresh: Duration) -> Self {
        self.generations = self.generations.with_refresh(refresh);
        self
    }

    /// Returns the name of `context`'s tenant that `parts` give, in the tenant's present generation: for structures of
    /// Redis that this type does not offer.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`] if Redis did not answer.
    pub async fn key(&self, context: &TenantContext, parts: impl KeyParts) -> Result<NamespacedKey, Error> {
        let generation = self.generations.current(context.tenant()).await?;
        Ok(self.namespace.key_in(context, generation, parts))
    }

    /// Looks up the value of `context`'s tenant that `parts` name.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`] if Redis did not answer, and [`ErrorKind::ForeignValue`] if it answered
    /// with a value of another name.
    pub async fn get(&self, context: &TenantContext, parts: impl KeyParts) -> Result<Found<C>, Error> {
        let key = self.key(context, parts).await?;
        let reply: Option<Vec<u8>> = query(&mut self.connection.clone(), &get_command("GET", [&key])).await?;
        self.found(key, reply)
    }

    /// Looks up several values of one tenant at once, in the order of `names`.
    ///
    /// Each answer is matched by the name that it carries, not by its place alone (CACHE-12).
    ///
    /// # Errors
    ///
    /// As [`TenantRedis::get`]; one foreign value fails them all, because then no place can be trusted.
    pub async fn get_many<P: KeyParts>(
        &self,
        context: &TenantContext,
        names: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Found<C>>, Error> {
        let generation = self.generations.current(context.tenant()).await?;
        let key = |parts| self.namespace.key_in(context, generation, parts);
        let keys: Vec<NamespacedKey> = names.into_iter().map(key).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let command = get_command("MGET", &keys);
        let replies: Vec<Option<Vec<u8>>> = query(&mut self.connection.clone(), &command).await?;
        if replies.len() != keys.len() {
            return Err(foreign());
        }
        keys.into_iter().zip(replies).map(|(key, reply)| self.found(key, reply)).collect()
    }

    /// Removes the value of `context`'s tenant that `parts` name.
    ///
    /// A load that began before and is still under way may put its value back. Where that matters, flush instead:
    /// a value that was loaded before a flush is not found after it.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`] if Redis did not answer.
    pub async fn remove(&self, context: &TenantContext, parts: impl KeyParts) -> Result<(), Error> {
        let key = self.key(context, parts).await?;
        query::<()>(&mut self.connection.clone(), &get_command("UNLINK", [&key])).await
    }

    /// Drops all values of `tenant` in this namespace, on all nodes, with one command.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`] if Redis did not answer; flush again then.
    pub async fn flush(&self, tenant: &Tenant) -> Result<Generation, Error> {
        self.generations.advance(tenant).await
    }

    fn found(&self, key: NamespacedKey, reply: Option<Vec<u8>>) -> Result<Found<C>, Error> {
        match reply {
            Some(reply) => Ok(Found::Hit(envelope::open(reply, key.as_str()).ok_or_else(foreign)?)),
            None => Ok(Found::Miss(Vacant { key, connection: self.connection.clone() })),
        }
    }
}

impl<C: RedisNodes> TenantRedis<C> {
    /// Returns the removal of everything that is stored under a name of `tenant` in this namespace, of all generations.
    ///
    /// Nothing happens until [`Purge::step`] or [`Purge::run`]. Flush first, so that no reader sees a half-emptied
    /// tenant and no late load adds to it.
    #[must_use]
    pub fn purge(&self, tenant: &Tenant) -> Purge<C> {
        Purge::new(self.connection.clone(), self.namespace.tenant_head(tenant))
    }
}

/// What a look-up found.
pub enum Found<C> {
    /// The value.
    Hit(Vec<u8>),
    /// Nothing, and the place for it.
    Miss(Vacant<C>),
}

impl<C> Found<C> {
    /// Returns the value, if there is one.
    #[must_use]
    pub fn hit(self) -> Option<Vec<u8>> {
        match self {
            Self::Hit(value) => Some(value),
            Self::Miss(_) => None,
        }
    }
}

/// Shows no value: values may hold secrets.
impl<C> fmt::Debug for Found<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit(value) => write!(f, "Hit({} bytes)", value.len()),
            Self::Miss(vacant) => f.debug_tuple("Miss").field(vacant).finish(),
        }
    }
}

/// A place that a look-up found empty, of the tenant and generation that looked.
///
/// What is filled into it after the tenant was flushed is never found: the place belongs to the generation before.
pub struct Vacant<C> {
    key: NamespacedKey,
    connection: C,
}

impl<C: ConnectionLike> Vacant<C> {
    /// Stores `value` for `ttl`; below one millisecond, nothing is stored.
    ///
    /// Store what may be seen again by whoever asks with the same tenant and parts: no errors, no denials, nothing that
    /// depends on the user unless the parts name the user (CACHE-09).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`] if Redis did not answer.
    pub async fn fill(mut self, value: &[u8], ttl: Duration) -> Result<(), Error> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).min(MAX_TTL_MILLIS);
        if millis == 0 {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command.arg(&self.key).arg(envelope::seal(self.key.as_str(), value)).arg("PX").arg(millis);
        query(&mut self.connection, &command).await
    }

    /// Returns the name of the place.
    #[must_use]
    pub fn key(&self) -> &NamespacedKey {
        &self.key
    }
}

impl<C> fmt::Debug for Vacant<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vacant").field(&self.key).finish()
    }
}

/// A hundred years: Redis refuses times that pass its clock.
const MAX_TTL_MILLIS: u64 = 100 * 365 * 24 * 3600 * 1000;

fn get_command<'k>(name: &str, keys: impl IntoIterator<Item = &'k NamespacedKey>) -> Cmd {
    let mut command = redis::cmd(name);
    keys.into_iter().for_each(|key| {
        command.arg(key);
    });
    command
}

async fn query<T: FromRedisValue>(
    connection: &mut (impl ConnectionLike + ?Sized),
    command: &Cmd,
) -> Result<T, Error> {
    let reply = connection.req_packed_command(command).await.and_then(redis::Value::extract_error);
    let value = reply.map_err(unavailable)?;
    T::from_redis_value(value).map_err(unavailable)
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(ErrorKind::StoreUnavailable, "the store of named values did not answer", source)
}

fn foreign() -> Error {
    Error::new(ErrorKind::ForeignValue, "the store answered with a value of another name")
}

macro_rules! redis_arg {
    ($($type:ty),*) => {$(
        impl ToRedisArgs for $type {
            fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
                out.write_arg(self.as_str().as_bytes());
            }
        }

        impl ToSingleRedisArg for $type {}
    )*};
}

redis_arg!(NamespacedKey, GlobalKey);

//! [`PoolRegistryBuilder`]: the limits of a registry.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::desk::Desk;
use super::ledger::Limits;
use super::source::DatabaseSource;
use super::unit::{Closing, Connections, Habits};
use super::{Inner, PoolRegistry};
use crate::error::{Error, ErrorKind};

/// Sets the limits of a [`PoolRegistry`]; [`PoolRegistry::builder`] starts one.
#[must_use]
pub struct PoolRegistryBuilder {
    source: Arc<dyn DatabaseSource>,
    limits: Limits,
    habits: Habits,
    shared: Option<Box<str>>,
    wait_limit: Duration,
    idle_limit: Duration,
}

impl PoolRegistryBuilder {
    pub(super) fn new(source: Arc<dyn DatabaseSource>) -> Self {
        let limits = Limits {
            budget: 50,
            per_tenant: 8,
            per_database: usize::MAX,
            waiting: 10_000,
            waiting_per_tenant: 1_000,
        };
        let habits = Habits {
            connect_limit: Duration::from_secs(10),
            max_lifetime: Duration::from_secs(30 * 60),
            closing: Closing::Confirmed,
        };
        let (wait_limit, idle_limit) = (Duration::from_secs(5), Duration::from_secs(5 * 60));
        Self { source, limits, habits, shared: None, wait_limit, idle_limit }
    }

    /// Sets how many connections may be open at a time, over all databases (default: 50).
    pub fn with_budget(mut self, connections: usize) -> Self {
        self.limits.budget = connections;
        self
    }

    /// Sets how many connections one tenant may hold at a time (default: 8). More of its requests wait, while others'
    /// are served.
    pub fn with_tenant_limit(mut self, connections: usize) -> Self {
        self.limits.per_tenant = connections;
        self
    }

    /// Sets how many connections to one database may be open at a time (default: as many as the budget has).
    pub fn with_database_limit(mut self, connections: usize) -> Self {
        self.limits.per_database = connections;
        self
    }

    /// Sets how many requests may wait at a time, in all and of one tenant (default: 10,000 and 1,000). More are
    /// refused at once.
    pub fn with_line(mut self, all: usize, of_one_tenant: usize) -> Self {
        self.limits.waiting = all;
        self.limits.waiting_per_tenant = of_one_tenant;
        self
    }

    /// Sets how long a request may take to get its connection, in the line and while it is opened (default: 5 s).
    pub fn with_wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// Sets how long a server may take to let a connection in (default: 10 s).
    pub fn with_connect_limit(mut self, limit: Duration) -> Self {
        self.habits.connect_limit = limit;
        self
    }

    /// Sets how long a connection stays open without being used (default: 5 min). It goes earlier when another
    /// database needs the room.
    pub fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = limit;
        self
    }

    /// Sets after which age a connection is closed when it is given back (default: 30 min).
    pub fn with_max_lifetime(mut self, lifetime: Duration) -> Self {
        self.habits.max_lifetime = lifetime;
        self
    }

    /// Sets when a connection that is being closed stops to count (default: [`Closing::Confirmed`]).
    pub fn with_closing(mut self, closing: Closing) -> Self {
        self.habits.closing = closing;
        self
    }

    /// Names the shard of the tenants whose placement names none: rows or schemas on the default server. Without it,
    /// such tenants are refused.
    pub fn with_shared(mut self, shard: impl Into<Box<str>>) -> Self {
        self.shared = Some(shard.into());
        self
    }

    /// Makes the registry; nothing is opened yet.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`] if a limit is zero.
    pub fn build(self) -> Result<PoolRegistry, Error> {
        let Limits { budget, per_tenant, per_database, waiting, waiting_per_tenant } = self.limits;
        if [budget, per_tenant, per_database, waiting, waiting_per_tenant].contains(&0) {
            return Err(Error::new(ErrorKind::Policy, "a limit of zero", "nobody could ever be served"));
        }
        let units = Connections {
            source: self.source,
            habits: self.habits,
            unconfirmed: AtomicU64::new(0),
            runtime: OnceLock::new(),
        };
        Ok(PoolRegistry(Arc::new(Inner {
            desk: Desk::new(self.limits, units),
            budget,
            shared: self.shared,
            wait_limit: self.wait_limit,
            idle_limit: self.idle_limit,
            timed_out: AtomicU64::new(0),
            swept: AtomicBool::new(false),
        })))
    }
}

impl fmt::Debug for PoolRegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRegistryBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

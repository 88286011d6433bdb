//! [`PoolRegistry`]: live connections to many databases, under one budget.
//!
//! # Design
//!
//! A pool per tenant multiplies: a thousand tenants with ten connections each are more than any server takes. Here the
//! unit is the connection, not the pool. A request *leases* one connection to its tenant's database, and gives it back;
//! what is idle stays open for the next request to the same database, and is closed when another database needs the room.
//!
//! A permit of the budget stands for one physical connection. It is taken before the connection is opened and is free
//! again after the server has closed it. Each leased connection is a sea-orm pool of exactly one, so that neither what
//! is done with it nor a reconnection of the driver can make two of it.
//!
//! Who gets the next connection:
//!
//! - A request for a database with an idle connection gets that one, the most recently used first.
//! - Else a new one is opened if the budget has room; else the connection that has been idle for longest, of whichever
//!   database, is closed for it. A connection that somebody holds is never closed.
//! - Else it waits. Those who wait for a connection form one line per tenant and database, and the lines take turns: a
//!   tenant with a thousand waiting requests is served once per turn, like each other. It also never holds more than
//!   [its limit](PoolRegistryBuilder::with_tenant_limit).
//! - The line is bounded, in all and per tenant, and a request waits no longer than
//!   [the wait limit](PoolRegistryBuilder::with_wait_limit); then it is refused. Nothing grows instead.
//!
//! Until a first connection to a database has been opened, one request at a time tries, and the others share its
//! success or failure; a failure is remembered by nobody, and the next request tries again. Connections are opened in
//! tasks of their own: one whose request was given up meanwhile goes to the next request, or waits idle.
//!
//! A lease may end while the database still works, as when a request is cancelled in the middle of a slow query. The
//! connection then counts as its tenant's until the server has answered.
//!
//! # Limits
//!
//! - What is counted is this process's connections. Divide the server's limit by the number of processes.
//! - With [`Closing::Sent`], through MySQL, or where the role may not end its own backend, a server may see a closed
//!   connection for a moment longer than it is counted; [`PoolStats::unconfirmed`] tells how often. The same holds for a
//!   connection that broke: its server may need longer than its client to notice, and the driver opens it anew.
//! - A connection on which a query runs that nobody waits for any more is not interrupted. Set the server's
//!   `statement_timeout`, or such queries use up the tenant's limit.
//! - A server that falls silent without closing keeps the permit until TCP gives up.
//! - The driver tests a connection after each statement, and with one connection the next statement waits for that: a
//!   second round trip. A transaction is one use, and so is a session: prefer them for several statements.

mod builder;
mod desk;
mod later;
mod lease;
mod ledger;
#[cfg(test)]
mod modelled;
mod source;
mod sync;
mod tally;
mod target;
mod unit;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tenancy_core::TenantContext;

pub use builder::PoolRegistryBuilder;
pub use lease::PooledDatabase;
pub use source::{DatabaseSource, OptionsFuture};
pub use tally::PoolStats;
pub use target::{Role, Target, TargetKind};
pub use unit::Closing;

use crate::error::{Error, ErrorKind};
use desk::Desk;
use unit::Connections;

/// The live connections of databases per tenant, and of shards with their replicas, under one budget.
///
/// The module `pools` of this crate's source describes who gets the next connection, and the limits of that.
/// A clone shares the registry.
///
/// # Examples
///
/// ```
/// use sea_orm::{ConnectOptions, ConnectionTrait};
/// use tenancy_core::{Placement, Tenant, TenantContext, TenantId};
/// use tenancy_seaorm::{PoolRegistry, Target};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let registry = PoolRegistry::builder(|target: &Target| {
///     (target.name() == "acme").then(|| ConnectOptions::new("sqlite::memory:"))
/// })
/// .with_budget(50)
/// .build()?;
///
/// let placement = Placement::Database { database: "acme".into() };
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).with_placement(placement).build()?;
/// let context = TenantContext::assertion(acme, "an example")?;
///
/// let leased = registry.lease(&context).await?;
/// leased.dedicated()?.execute_unprepared("CREATE TABLE orders (id INTEGER)").await?;
/// drop(leased); // the connection is free for the next request
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PoolRegistry(Arc<Inner>);

struct Inner {
    desk: Arc<Desk<Connections>>,
    budget: usize,
    shared: Option<Box<str>>,
    wait_limit: Duration,
    idle_limit: Duration,
    timed_out: AtomicU64,
    swept: AtomicBool,
}

impl PoolRegistry {
    /// Starts a registry whose databases `source` knows.
    pub fn builder(source: impl DatabaseSource) -> PoolRegistryBuilder {
        PoolRegistryBuilder::new(Arc::new(source))
    }

    /// Leases a connection to the database that takes the writes of `context`'s tenant.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | [`ErrorKind::UnknownDatabase`] | the source does not know the name, or the placement names none |
    /// | [`ErrorKind::Exhausted`] | no connection was free within the wait limit, or too many requests wait |
    /// | [`ErrorKind::Unavailable`] | the database let nobody in |
    /// | [`ErrorKind::ForeignTenant`] | the database is open as another tenant's own |
    /// | [`ErrorKind::Inactive`] | the tenant is not active |
    /// | [`ErrorKind::Policy`] | the source's options make a pool whose size cannot be bounded |
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn lease(&self, context: &TenantContext) -> Result<PooledDatabase, Error> {
        self.lease_role(context, Role::Primary).await
    }

    /// Leases a connection to a read replica of the database of `context`'s tenant.
    ///
    /// A source that knows no replica makes this fail: reads are not sent to the primary instead.
    ///
    /// # Errors
    ///
    /// As [`lease`](Self::lease).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn lease_replica(&self, context: &TenantContext) -> Result<PooledDatabase, Error> {
        self.lease_role(context, Role::Replica).await
    }

    async fn lease_role(&self, context: &TenantContext, role: Role) -> Result<PooledDatabase, Error> {
        lease::require_active(context)?;
        let inner = &*self.0;
        let target = Target::of(context, inner.shared.as_deref(), role)?;
        self.sweep();
        let own = target.kind() == TargetKind::Own;
        let leased = inner.desk.lease(context.id(), &target, own);
        let lease = match tokio::time::timeout(inner.wait_limit, leased).await {
            Ok(lease) => lease?,
            Err(_) => {
                inner.timed_out.fetch_add(1, Ordering::Relaxed);
                let hint = "none was free in time";
                return Err(Error::new(ErrorKind::Exhausted, "a connection to the tenant's database", hint));
            }
        };
        // It may have waited for longer than the tenant lasted.
        lease::require_active(context)?;
        Ok(PooledDatabase::new(lease, context.clone()))
    }

    /// Closes the idle connections of a database or shard, of all its servers, and each held one when it comes back.
    ///
    /// For a tenant that is moved away, or a password that must not be used any longer.
    pub fn retire(&self, kind: TargetKind, name: &str) {
        for role in [Role::Primary, Role::Replica] {
            self.0.desk.retire(&Target::new(name, kind, role));
        }
    }

    /// Closes now what has been idle for longer than the idle limit; the registry does so by itself from time to time.
    pub fn close_idle(&self) {
        self.0.close_idle();
    }

    /// Refuses every further request, and closes each connection when it is given back; waits until all are closed.
    pub async fn close(&self) {
        self.0.desk.shut();
        while self.stats().in_use > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns what the registry counts.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let inner = &*self.0;
        let unconfirmed = inner.desk.units.unconfirmed.load(Ordering::Relaxed);
        PoolStats::new(
            &inner.desk.tally(),
            inner.budget,
            inner.timed_out.load(Ordering::Relaxed),
            unconfirmed,
        )
    }

    /// Lets a task close what is idle for long, unless there is one; it ends with the registry.
    fn sweep(&self) {
        let inner = &*self.0;
        let runtime = inner.desk.units.runtime.get_or_init(tokio::runtime::Handle::current);
        if !inner.swept.swap(true, Ordering::AcqRel) {
            runtime.spawn(sweep(Sweeper(Arc::downgrade(&self.0)), inner.idle_limit));
        }
    }
}

impl Inner {
    fn close_idle(&self) {
        if let Some(before) = Instant::now().checked_sub(self.idle_limit) {
            self.desk.expire(before);
        }
    }
}

struct Sweeper(Weak<Inner>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.swept.store(false, Ordering::Release);
        }
    }
}

async fn sweep(sweeper: Sweeper, limit: Duration) {
    let pause = (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(15));
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = sweeper.0.upgrade() else { return };
        inner.close_idle();
    }
}

impl fmt::Debug for PoolRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRegistry").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

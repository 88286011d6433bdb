//! [`Shelf`]: connections between two sessions, each still set to the tenant that it served last.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sea_orm::sqlx::{Connection, PgPool};
use tokio::sync::Notify;

use super::bind;
use super::probe::{Between, Pooling};
use crate::wire::{Held, Origin, Settings, Wire};

/// How sessions use the connections of a pool.
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionOptions {
    pub(crate) kept: Option<usize>,
    pub(crate) idle: Duration,
    pub(crate) untested: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) pooling: Option<Pooling>,
}

impl Default for SessionOptions {
    /// Half of the pool's connections are kept, each for 10 seconds of idleness and 5 minutes in all; one that was
    /// idle for a second is tested before it is used again; whether there is a pooler is found out.
    fn default() -> Self {
        Self {
            kept: None,
            idle: Duration::from_secs(10),
            untested: Duration::from_secs(1),
            lifetime: Duration::from_secs(300),
            pooling: None,
        }
    }
}

impl SessionOptions {
    /// Sets how many connections may wait for their tenants' next sessions. The rest of the pool is left to
    /// statements without a session, so that these never wait for a connection that nobody uses.
    pub fn with_kept(mut self, connections: usize) -> Self {
        self.kept = Some(connections);
        self
    }

    /// Sets how long a connection waits for its tenant's next session before it is cleaned and given back.
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets how long a connection may have been idle to be used again without a test: what a server's restart costs.
    pub fn with_untested(mut self, idle: Duration) -> Self {
        self.untested = idle;
        self
    }

    /// Sets after what time a connection goes back to its pool even if its tenant needs it again and again.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// States what is between this program and the server, instead of finding it out with two connections before the
    /// first statement. [`Pooling::Transaction`] is the same as
    /// [`Tenancy::behind_transaction_pooler`](crate::Tenancy::behind_transaction_pooler).
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }
}

/// What sessions cost so far: one round trip for each that is not a repetition.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Sessions that took a connection that was set to their tenant already: no round trip.
    pub repeated: u64,
    /// Sessions that took a connection that was set to another tenant: one round trip.
    pub switched: u64,
    /// Sessions that took a connection from the pool: one round trip.
    pub fresh: u64,
    /// Connections that wait for their tenants' next sessions now.
    pub kept: usize,
}

/// A connection that waits for its tenant's next session.
pub(super) struct Kept {
    pub(super) conn: Held,
    pub(super) origin: Origin,
    settings: Settings,
    since: Instant,
}

/// Connections between two sessions.
pub(crate) struct Shelf {
    pool: PgPool,
    options: SessionOptions,
    /// Functions of the application's own are allowed in statements: what they leave behind is looked for.
    careful: bool,
    capacity: usize,
    kept: Mutex<Lying>,
    returned: Notify,
    waiting: AtomicUsize,
    between: Arc<Between>,
    counts: [AtomicU64; 3],
}

#[derive(Default)]
struct Lying {
    /// The one that has waited longest comes first.
    list: VecDeque<Kept>,
    watched: bool,
}

impl Shelf {
    pub(crate) fn new(between: Arc<Between>, careful: bool, options: SessionOptions) -> Arc<Self> {
        let pool = between.pool().clone();
        let half = pool.options().get_max_connections() as usize / 2;
        let capacity = options.kept.unwrap_or(half);
        Arc::new(Self {
            pool,
            options,
            careful,
            capacity,
            kept: Mutex::default(),
            returned: Notify::new(),
            waiting: AtomicUsize::new(0),
            between,
            counts: Default::default(),
        })
    }

    pub(crate) fn is_careful(&self) -> bool {
        self.careful
    }

    pub(crate) fn stats(&self) -> SessionStats {
        let count = |i: usize| self.counts[i].load(Ordering::Relaxed);
        SessionStats {
            repeated: count(0),
            switched: count(1),
            fresh: count(2),
            kept: self.lying().list.len(),
        }
    }

    /// A connection that is set to `settings`.
    pub(crate) async fn take(self: &Arc<Self>, settings: Settings) -> Result<Wire, DbErr> {
        self.between.direct("a session").await?;
        while let Some(kept) = self.pick(|kept| kept.settings == settings) {
            if let Some(kept) = self.tested(kept).await {
                self.count(0);
                return Ok(bind::wire(self, kept.conn, settings, kept.origin));
            }
        }
        loop {
            // Asked for before looking, so that a connection that comes back in between is not missed.
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            if let Some(conn) = self.pool.try_acquire() {
                return self.fresh(Held::new(conn), settings).await;
            }
            let room = self.pool.size() < self.pool.options().get_max_connections();
            if !room && let Some(kept) = self.pick(|_| true) {
                let Some(kept) = self.tested(kept).await else { continue };
                self.count(1);
                return bind::again(self, kept.conn, kept.origin, settings).await;
            }
            let waiting = Waiting::new(self);
            tokio::select! {
                biased;
                conn = self.pool.acquire() => {
                    drop(waiting);
                    return self.fresh(Held::new(conn.map_err(crate::wire::acquire)?), settings).await;
                }
                () = returned => {}
            }
        }
    }

    async fn fresh(self: &Arc<Self>, conn: Held, settings: Settings) -> Result<Wire, DbErr> {
        self.count(2);
        bind::fresh(self, conn, settings).await
    }

    /// Puts a clean connection, which is set to `settings`, where its tenant's next session finds it.
    pub(crate) fn put(self: &Arc<Self>, conn: Held, settings: Settings, origin: Origin) {
        let now = Instant::now();
        let mut lying = self.lying();
        let aged = now.duration_since(origin.taken) > self.options.lifetime;
        // Whoever waits for a session takes it at once; otherwise the shelf is bounded.
        let wanted = self.waiting.load(Ordering::Acquire) > 0;
        if self.pool.is_closed() || aged || (lying.list.len() >= self.capacity && !wanted) {
            drop(lying);
            give_back(conn, origin);
            return;
        }
        lying.list.push_back(Kept { conn, origin, settings, since: now });
        let watch = !std::mem::replace(&mut lying.watched, true);
        drop(lying);
        self.returned.notify_one();
        if watch {
            tokio::spawn(watch_over(Arc::downgrade(self), self.options.idle));
        }
    }

    /// Lets those who wait look again.
    pub(crate) fn wake(&self) {
        self.returned.notify_one();
    }

    /// The one that was put there last of those that are wanted; of all, the one that waited longest.
    fn pick(&self, wanted: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let mut lying = self.lying();
        let oldest = lying.list.iter().all(&wanted);
        let at =
            if oldest { (!lying.list.is_empty()).then_some(0) } else { lying.list.iter().rposition(wanted) };
        lying.list.remove(at?)
    }

    /// Tests a connection that was idle for long; `None` if the server no longer answers on it.
    async fn tested(&self, mut kept: Kept) -> Option<Kept> {
        if kept.since.elapsed() < self.options.untested {
            return Some(kept);
        }
        // Held: a test that is broken off closes the connection.
        let answered = tokio::time::timeout(Duration::from_secs(5), kept.conn.ping()).await;
        matches!(answered, Ok(Ok(()))).then_some(kept)
    }

    fn count(&self, which: usize) {
        self.counts[which].fetch_add(1, Ordering::Relaxed);
    }

    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those away that waited for long.
    fn expired(&self) -> Option<Vec<Kept>> {
        let mut lying = self.lying();
        let idle = self.options.idle;
        let closed = self.pool.is_closed();
        let mut expired = Vec::new();
        while lying.list.front().is_some_and(|kept| closed || kept.since.elapsed() >= idle) {
            expired.extend(lying.list.pop_front());
        }
        lying.watched = !lying.list.is_empty();
        (lying.watched || !expired.is_empty()).then_some(expired)
    }
}

struct Waiting<'a>(&'a Shelf);

impl<'a> Waiting<'a> {
    fn new(shelf: &'a Shelf) -> Self {
        shelf.waiting.fetch_add(1, Ordering::AcqRel);
        Self(shelf)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Cleans what waited in vain, and gives it back, for as long as something waits.
async fn watch_over(shelf: Weak<Shelf>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 2).await;
        let Some(expired) = shelf.upgrade().and_then(|shelf| shelf.expired()) else { return };
        for kept in expired {
            give_back(kept.conn, kept.origin);
        }
    }
}

fn give_back(conn: Held, origin: Origin) {
    tokio::spawn(crate::wire::to_pool(conn, false, Some(origin)));
}

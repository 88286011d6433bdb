//! News of changes, from the database to a node's cache.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tenancy_core::{CachedCatalog, Error, TenantId};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::entity::tenant;
use super::listener::Listener;
use super::{DatabaseCatalog, unavailable};

/// With more changes at once than this, records are invalidated instead of loaded anew one by one.
const MOST_REFRESHED: usize = 64;
/// Between two attempts to follow the database.
const PAUSE: Duration = Duration::from_millis(100);
/// With more changes since it last looked than this, a node forgets everything.
const MOST_CHANGES: u64 = 4096;

/// Tells a cache what changes in the database: by notification on PostgreSQL (feature `postgres`), and everywhere by
/// asking every few seconds for what has a later version.
///
/// The question also covers what notifications miss: those of a connection that was lost, and the loss itself where
/// nobody noticed. Of the pool's connections, the watch keeps one on PostgreSQL. It must not go through a transaction
/// pooler, which drops notifications.
///
/// Run one for each cache, for as long as the cache is used, on a tokio runtime: `tokio::spawn(watch.run())`.
#[derive(Clone, Debug)]
pub struct CatalogWatch {
    cache: CachedCatalog<DatabaseCatalog>,
    interval: Duration,
    refresh_limit: Duration,
    notifications: bool,
}

/// A change that a node heard of.
pub(super) type News = (TenantId, u64);

impl CatalogWatch {
    /// Returns the watch of `cache`.
    #[must_use]
    pub fn new(cache: CachedCatalog<DatabaseCatalog>) -> Self {
        Self {
            cache,
            interval: Duration::from_secs(5),
            refresh_limit: Duration::from_millis(500),
            notifications: true,
        }
    }

    /// Sets how often the database is asked for changes (default: 5 s). This bounds how late a change counts whose
    /// notification was lost.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long a changed tenant's old record is served while the new one is loaded (default: 0.5 s). A tenant
    /// that could not be loaded by then is refused until it can.
    #[must_use]
    pub fn with_refresh_limit(mut self, limit: Duration) -> Self {
        self.refresh_limit = limit;
        self
    }

    /// Does not listen for notifications: for a pool that goes through a transaction pooler.
    #[must_use]
    pub fn without_notifications(mut self) -> Self {
        self.notifications = false;
        self
    }

    /// Watches, without end. It begins with an empty cache, since what was in it may be outdated.
    pub async fn run(self) {
        let mut seen = None;
        loop {
            // Whatever is announced after this moment is heard; whatever was before is asked for.
            let listener = self.listen().await;
            if let Err(error) = self.follow(listener, &mut seen).await {
                tracing::warn!(target: "tenancy::catalog", %error, "the tenant catalog was not reached");
            }
            sleep(self.interval.min(PAUSE)).await;
        }
    }

    async fn listen(&self) -> Option<Listener> {
        if self.listens() { Listener::connect(&self.cache.catalog().pool).await } else { None }
    }

    fn listens(&self) -> bool {
        self.notifications && !self.cache.catalog().pooler
    }

    /// Follows one connection until it is lost; without one, until it is time to try again.
    async fn follow(&self, mut listener: Option<Listener>, seen: &mut Option<u64>) -> Result<(), Error> {
        self.catch_up(seen).await?;
        let retry = self.listens() && Listener::is_possible(&self.cache.catalog().pool);
        let mut next = Instant::now() + self.interval;
        loop {
            let heard = match &mut listener {
                Some(listener) => listener.next(next).await,
                None => {
                    sleep_until(next).await;
                    Heard::Nothing
                }
            };
            match heard {
                Heard::News(news) => self.tell(news).await,
                Heard::Lost => return Ok(()),
                Heard::Nothing if listener.is_none() && retry => return Ok(()),
                Heard::Nothing => {
                    self.catch_up(seen).await?;
                    next = Instant::now() + self.interval;
                }
            }
        }
    }

    /// Asks for what has changed since `seen`, and tells the cache.
    async fn catch_up(&self, seen: &mut Option<u64>) -> Result<(), Error> {
        let catalog = self.cache.catalog();
        let version = catalog.version().await?;
        match *seen {
            Some(last) if last == version => {}
            Some(last) if last < version && version - last <= MOST_CHANGES => {
                let news = catalog.changes_since(last).await?;
                self.tell(news).await;
            }
            // The beginning, too much to tell, or a database that was put back to an earlier state, whose tenants are
            // refused until their versions are above those that were announced.
            _ => self.cache.flush(),
        }
        *seen = Some(version);
        Ok(())
    }

    async fn tell(&self, news: Vec<News>) {
        if news.len() > MOST_REFRESHED {
            news.iter().for_each(|(id, version)| self.cache.invalidate(id, *version));
            return;
        }
        // Each counts when its future ends, also when that is by running out of time.
        let refreshes = news.iter().map(|(id, version)| self.cache.refresh(id, *version));
        let _ = timeout(self.refresh_limit, join_all(refreshes)).await;
    }
}

#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only PostgreSQL announces"))]
pub(super) enum Heard {
    News(Vec<News>),
    /// Nothing until it was time to ask.
    Nothing,
    /// The connection was lost, and with it perhaps news.
    Lost,
}

impl DatabaseCatalog {
    async fn changes_since(&self, version: u64) -> Result<Vec<News>, Error> {
        let last = i64::try_from(version).unwrap_or(i64::MAX);
        let rows: Vec<(String, i64)> = self
            .in_time(async {
                tenant::Entity::find()
                    .select_only()
                    .columns([tenant::Column::Id, tenant::Column::Version])
                    .filter(tenant::Column::Version.gt(last))
                    .order_by_asc(tenant::Column::Version)
                    .into_tuple()
                    .all(&self.db)
                    .await
                    .map_err(unavailable)
            })
            .await?;
        rows.into_iter().map(|(id, version)| Ok((id.parse()?, u64::try_from(version).unwrap_or(0)))).collect()
    }
}

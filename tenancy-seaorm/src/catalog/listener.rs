//! A connection that hears what the database announces; only PostgreSQL announces.

#[cfg(feature = "postgres")]
pub(super) use postgres::Listener;

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use sea_orm::sqlx::postgres::PgListener;
    use sea_orm::{DatabaseConnection, DatabaseConnectionType};
    use tokio::time::{Instant, timeout, timeout_at};

    use crate::catalog::watch::{Heard, News};

    /// Each change is announced here as `<version> <tenant id>`.
    const CHANNEL: &str = "tenancy_catalog";
    const CONNECT_LIMIT: Duration = Duration::from_secs(5);

    pub(in super::super) struct Listener(PgListener);

    impl Listener {
        pub(in super::super) fn is_possible(db: &DatabaseConnection) -> bool {
            matches!(db.inner, DatabaseConnectionType::SqlxPostgresPoolConnection(_))
        }

        pub(in super::super) async fn connect(db: &DatabaseConnection) -> Option<Self> {
            let DatabaseConnectionType::SqlxPostgresPoolConnection(_) = &db.inner else { return None };
            let connect = async {
                let mut listener = PgListener::connect_with(db.get_postgres_connection_pool()).await?;
                // A new connection is told apart from the old one, because news in between are lost.
                listener.eager_reconnect(false);
                listener.listen(CHANNEL).await?;
                Ok::<_, sea_orm::sqlx::Error>(listener)
            };
            timeout(CONNECT_LIMIT, connect).await.ok()?.ok().map(Self)
        }

        /// Waits for news until `until`, and takes with them what has arrived since.
        pub(in super::super) async fn next(&mut self, until: Instant) -> Heard {
            let mut news = match timeout_at(until, self.0.try_recv()).await {
                Ok(Ok(Some(first))) => vec![parse(first.payload())],
                Ok(Ok(None) | Err(_)) => return Heard::Lost,
                Err(_) => return Heard::Nothing,
            };
            while let Some(next) = self.0.next_buffered() {
                news.push(parse(next.payload()));
            }
            // What cannot be read may mean anything: everything is asked for anew.
            news.into_iter().collect::<Option<Vec<News>>>().map_or(Heard::Lost, Heard::News)
        }
    }

    fn parse(payload: &str) -> Option<News> {
        let (version, id) = payload.split_once(' ')?;
        Some((id.parse().ok()?, version.parse().ok()?))
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn news_are_read_as_they_are_written_and_not_otherwise() {
            let (id, version) = super::parse("17 acme-corp").unwrap();
            assert_eq!((id.to_string().as_str(), version), ("acme-corp", 17));
            for odd in ["", "17", "acme 17", "-1 acme", "17  acme", "17 null", "17 acme corp"] {
                assert!(super::parse(odd).is_none(), "{odd:?}");
            }
        }
    }
}

#[cfg(not(feature = "postgres"))]
pub(super) enum Listener {}

#[cfg(not(feature = "postgres"))]
impl Listener {
    pub(super) fn is_possible(_: &sea_orm::DatabaseConnection) -> bool {
        false
    }

    pub(super) async fn connect(_: &sea_orm::DatabaseConnection) -> Option<Self> {
        None
    }

    pub(super) async fn next(&mut self, _: tokio::time::Instant) -> super::watch::Heard {
        match *self {}
    }
}

//! D4: another tenant's rows have changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};

use super::{Detector, Finding};
use crate::check::describe::World;
use crate::check::describe::hooks::{Database, Rows};
use crate::error::Error;

/// How often rows are looked at while something is waited for, and for how long at most.
const GLANCE: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3);

/// A digest of the rows of each (table, owner).
type Digests = BTreeMap<(String, String), String>;

/// Watches the rows of a PostgreSQL database from a connection of its own.
pub(crate) struct Watch {
    connection: PgConnection,
    query: Option<String>,
    last: Digests,
    /// Whose rows those with this owner are.
    owners: BTreeMap<String, usize>,
}

impl Watch {
    /// Connects, finds the tables, and takes the first digests.
    pub(crate) async fn start(database: &Database, world: &World) -> Result<Self, Error> {
        let failed = |error| Error::server("the rows cannot be watched", error);
        let mut connection = PgConnection::connect(&database.url).await.map_err(failed)?;
        let owners = world.all().iter().map(|tenant| ((database.of)(tenant), tenant.index())).collect();
        let query = digest_query(&mut connection, &database.rows).await.map_err(failed)?;
        let mut watch = Self { connection, query, last: Digests::new(), owners };
        watch.last = watch.digests().await?;
        Ok(watch)
    }

    /// Looks again, and returns the tables whose rows have changed, with their owners.
    pub(crate) async fn changes(&mut self) -> Result<Vec<(String, String)>, Error> {
        let now = self.digests().await?;
        let before = std::mem::replace(&mut self.last, now);
        let keys = before.keys().chain(self.last.keys().filter(|key| !before.contains_key(*key)));
        Ok(keys.filter(|key| before.get(*key) != self.last.get(*key)).cloned().collect())
    }

    /// Looks again and again until nothing has changed for some time: for `first` if nothing has changed yet, and for
    /// `quiet` after each change, since work in the background has more than one statement.
    pub(crate) async fn changes_until_quiet(
        &mut self,
        first: Duration,
        quiet: Duration,
    ) -> Result<Vec<(String, String)>, Error> {
        let (begun, mut all) = (Instant::now(), Vec::new());
        let mut until = begun + first;
        while Instant::now() < until && begun.elapsed() < LONGEST {
            tokio::time::sleep(GLANCE).await;
            let changes = self.changes().await?;
            if !changes.is_empty() {
                until = Instant::now() + quiet;
            }
            all.extend(changes);
        }
        Ok(all)
    }

    /// The tenant whose rows are marked with `owner`.
    pub(crate) fn owner(&self, owner: &str) -> Option<usize> {
        self.owners.get(owner).copied()
    }

    /// All rows of a table that are marked with `owner`, as one text.
    pub(crate) async fn text(&mut self, table: &str, owner: &str, rows: &Rows) -> Result<String, Error> {
        let filter = match rows {
            Rows::Column(column) => format!("{}::text = $1", quoted(column)),
            Rows::Schema => "$1 <> ''".to_owned(),
        };
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t WHERE {filter}");
        let text = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(owner);
        let text = text.fetch_one(&mut self.connection).await;
        text.map_err(|error| Error::server("the rows cannot be watched", error))
    }

    /// Renames a table of `schema`, so that whoever asks for it finds none there: another one each time.
    pub(crate) async fn break_table(&mut self, schema: &str, pick: u32) -> Result<(), Error> {
        let failed = |error| Error::server("no table could be taken away", error);
        let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
              AND right(c.relname, 5) <> '_gone' ORDER BY 1";
        let tables =
            sqlx::query(tables).bind(schema).fetch_all(&mut self.connection).await.map_err(failed)?;
        let Some(table) = tables.get(pick as usize % tables.len().max(1)) else { return Ok(()) };
        let table: String = table.try_get(0).map_err(failed)?;
        let name = format!("{}.{}", quoted(schema), quoted(&table));
        let rename = format!("ALTER TABLE {name} RENAME TO {}", quoted(&format!("{table}_gone")));
        sqlx::query(sqlx::AssertSqlSafe(rename)).execute(&mut self.connection).await.map_err(failed)?;
        self.query = digest_query(&mut self.connection, &Rows::Schema).await.map_err(failed)?;
        self.last = self.digests().await?;
        Ok(())
    }

    /// Takes one row from a tenant other than `spared`, as a leak would: the self-check must see it.
    pub(crate) async fn plant(&mut self, spared: usize, rows: &Rows) -> Result<bool, Error> {
        let victim =
            self.last.keys().find(|(_, owner)| self.owner(owner).is_some_and(|index| index != spared));
        let Some((table, owner)) = victim.cloned() else { return Ok(false) };
        let filter = match rows {
            Rows::Column(column) => format!("{}::text = $1", quoted(column)),
            Rows::Schema => "$1 <> ''".to_owned(),
        };
        let delete =
            format!("DELETE FROM {table} WHERE ctid = (SELECT min(ctid) FROM {table} WHERE {filter})");
        let begun = self.connection.begin().await;
        let mut transaction = begun.map_err(|error| Error::server("no leak can be planted", error))?;
        // Foreign keys are not what is tested here.
        let free =
            sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *transaction).await;
        free.map_err(|error| Error::server("no leak can be planted", error))?;
        let done = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(owner).execute(&mut *transaction).await;
        let done = done.map_err(|error| Error::server("no leak can be planted", error))?;
        transaction.commit().await.map_err(|error| Error::server("no leak can be planted", error))?;
        Ok(done.rows_affected() == 1)
    }

    async fn digests(&mut self) -> Result<Digests, Error> {
        let Some(query) = &self.query else { return Ok(Digests::new()) };
        let rows = sqlx::query(sqlx::AssertSqlSafe(query.clone())).fetch_all(&mut self.connection).await;
        let rows = rows.map_err(|error| Error::server("the rows cannot be watched", error))?;
        let read = |row: &sqlx::postgres::PgRow| -> Result<_, sqlx::Error> {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))
        };
        let digests = rows.iter().map(read).collect::<Result<Digests, _>>();
        digests.map_err(|error| Error::server("the rows cannot be watched", error))
    }
}

/// One statement for all tables, whose digests are sums, so that no rows are sorted; `None` where no table belongs to a tenant.
async fn digest_query(connection: &mut PgConnection, rows: &Rows) -> Result<Option<String>, sqlx::Error> {
    // Partitions are read through their parent.
    let tables = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), n.nspname::text \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
        AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' \
        AND ($1 = '' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $1 \
        AND NOT a.attisdropped)) ORDER BY 1";
    let column = match rows {
        Rows::Column(column) => column.as_str(),
        Rows::Schema => "",
    };
    let tables = sqlx::query(tables).bind(column).fetch_all(connection).await?;
    let mut parts = Vec::new();
    for table in &tables {
        let (name, schema): (String, String) = (table.try_get(0)?, table.try_get(1)?);
        let owner = match rows {
            Rows::Column(column) => format!("coalesce({}::text, '')", quoted(column)),
            Rows::Schema => literal(&schema),
        };
        parts.push(format!(
            "SELECT {}, {owner}, count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM {name} t GROUP BY 2",
            literal(&name)
        ));
    }
    Ok((!parts.is_empty()).then(|| parts.join(" UNION ALL ")))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'::text", text.replace('\'', "''"))
}

/// Rows of somebody whom nobody of `writers` is.
pub(crate) fn judge(
    changes: &[(String, String)],
    watch: &Watch,
    writers: &[usize],
    step: u16,
    detector: Detector,
) -> Option<Finding> {
    let foreign = |owner: &str| watch.owner(owner).is_none_or(|index| !writers.contains(&index));
    let (table, owner) = changes.iter().find(|(_, owner)| foreign(owner))?;
    let whose = match watch.owner(owner) {
        Some(_) => "another tenant's rows",
        None => "rows of no known tenant",
    };
    Some(Finding {
        detector,
        what: format!("{whose} have changed in {table}"),
        from: watch.owner(owner),
        to: writers.first().copied(),
        step,
        call: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::TestDatabase;
    use crate::check::describe::Standing;

    /// Whichever number is drawn: another table goes away each time, and that it is gone is nobody's change.
    #[tokio::test]
    async fn each_table_goes_away_once() {
        let db = TestDatabase::create().await.expect("a database");
        let mut owner = PgConnection::connect(db.owner_url()).await.expect("a connection");
        let tables =
            "CREATE SCHEMA s; CREATE TABLE s.a (x int); CREATE TABLE s.b (x int); CREATE TABLE s.c (x int);
            INSERT INTO s.a VALUES (1); INSERT INTO s.b VALUES (1); INSERT INTO s.c VALUES (1)";
        sqlx::raw_sql(tables).execute(&mut owner).await.expect("tables");
        let world = World::new(1, &[Standing::Active], false, 1);
        let of = Arc::new(|_: &crate::check::TenantHandle| "s".to_owned());
        let database = Database { url: db.admin_url().to_owned(), rows: Rows::Schema, of };
        let mut watch = Watch::start(&database, &world).await.expect("a watch");
        for left in [2_i64, 1, 0, 0] {
            watch.break_table("s", 7).await.expect("it goes away");
            let there = "SELECT count(*) FROM pg_tables WHERE schemaname = 's' AND length(tablename) = 1";
            let there: i64 = sqlx::query_scalar(there).fetch_one(&mut owner).await.expect("a count");
            assert_eq!(there, left);
            assert_eq!(watch.changes().await.expect("digests"), []);
        }
        sqlx::raw_sql("INSERT INTO s.a_gone VALUES (2)").execute(&mut owner).await.expect("a row");
        let changes = watch.changes().await.expect("digests");
        assert_eq!(changes, [("s.a_gone".to_owned(), "s".to_owned())], "what is gone is still looked at");
    }
}

//! D4: another tenant's rows have changed.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, Row};

use self::tables::{Tables, quoted};
use super::{Detector, Finding};
use crate::check::describe::World;
use crate::check::describe::hooks::{Database, Rows};
use crate::error::Error;

/// How often rows are looked at while something is waited for, and for how long at most.
const GLANCE: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3);

/// A text for the rows of each (table, owner).
type Digests = BTreeMap<(String, String), String>;

/// Watches the rows of a PostgreSQL database from a connection of its own.
pub(crate) struct Watch {
    connection: PgConnection,
    tables: Tables,
    /// How many versions of rows there were, and by which transactions they were written: little to ask for, and it is
    /// another as soon as anything was written.
    marks: Digests,
    /// What stands in the rows: asked for where the mark is another.
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
        let tables = Tables::find(&mut connection, &database.rows).await.map_err(failed)?;
        let mut watch = Self { connection, tables, marks: Digests::new(), last: Digests::new(), owners };
        watch.take_all().await?;
        Ok(watch)
    }

    /// Takes the rows for as they should be.
    async fn take_all(&mut self) -> Result<(), Error> {
        self.marks = self.ask(self.tables.marks()).await?;
        self.last = self.ask(self.tables.digests(|_| true)).await?;
        Ok(())
    }

    /// Looks again, and returns the tables whose rows have changed, with their owners.
    pub(crate) async fn changes(&mut self) -> Result<Vec<(String, String)>, Error> {
        let marks = self.ask(self.tables.marks()).await?;
        let written: BTreeSet<String> =
            different(&self.marks, &marks).map(|(table, _)| table.clone()).collect();
        if written.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.ask(self.tables.digests(|table| written.contains(table))).await?;
        let (before, others) =
            std::mem::take(&mut self.last).into_iter().partition(|((table, _), _)| written.contains(table));
        // A row that was written as it was has not changed.
        let changes = different(&before, &now).cloned().collect();
        (self.marks, self.last) = (marks, others);
        self.last.extend(now);
        Ok(changes)
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
        self.tables = Tables::find(&mut self.connection, &Rows::Schema).await.map_err(failed)?;
        self.take_all().await
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

    async fn ask(&mut self, query: Option<String>) -> Result<Digests, Error> {
        let Some(query) = query else { return Ok(Digests::new()) };
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut self.connection).await;
        let rows = rows.map_err(|error| Error::server("the rows cannot be watched", error))?;
        let read = |row: &sqlx::postgres::PgRow| -> Result<_, sqlx::Error> {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))
        };
        let digests = rows.iter().map(read).collect::<Result<Digests, _>>();
        digests.map_err(|error| Error::server("the rows cannot be watched", error))
    }
}

/// The keys under which `a` and `b` do not hold the same.
fn different<'a>(a: &'a Digests, b: &'a Digests) -> impl Iterator<Item = &'a (String, String)> {
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    keys.filter(|key| a.get(*key) != b.get(*key))
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

    async fn watched(tables: &str) -> (TestDatabase, PgConnection, Watch) {
        let db = TestDatabase::create().await.expect("a database");
        let mut owner = PgConnection::connect(db.owner_url()).await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(tables)).execute(&mut owner).await.expect("tables");
        let world = World::new(1, &[Standing::Active, Standing::Active], false, 1);
        let of = Arc::new(|tenant: &crate::check::TenantHandle| tenant.index().to_string());
        let rows = Rows::Column("tenant_id".to_owned());
        let database = Database { url: db.admin_url().to_owned(), rows, of };
        let watch = Watch::start(&database, &world).await.expect("a watch");
        (db, owner, watch)
    }

    const TABLES: &str = "CREATE TABLE a (tenant_id int, x int); CREATE TABLE b (tenant_id int, x int);
        CREATE TABLE p (tenant_id int, x int) PARTITION BY LIST (tenant_id);
        CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
        INSERT INTO a VALUES (0, 1), (0, 1), (1, 1); INSERT INTO b VALUES (0, 1), (1, 1);
        INSERT INTO p VALUES (0, 1), (1, 1)";

    /// KIT-07: every kind of write is told by its table and its owner, and once.
    #[tokio::test]
    async fn each_change_is_told_once_and_a_row_that_stays_as_it_was_is_none() {
        let (_db, mut owner, mut watch) = watched(TABLES).await;
        let of = |table: &str, owner: &str| (format!("public.{table}"), owner.to_owned());
        for (write, expected) in [
            ("INSERT INTO a VALUES (1, 2)", vec![of("a", "1")]),
            ("UPDATE b SET x = 2 WHERE tenant_id = 0", vec![of("b", "0")]),
            ("UPDATE b SET x = 1 - x; UPDATE b SET x = 1 - x", vec![]),
            ("UPDATE p SET x = x", vec![]),
            ("UPDATE p SET x = 3 WHERE tenant_id = 1", vec![of("p", "1")]),
            ("UPDATE p SET tenant_id = 0 WHERE tenant_id = 1", vec![of("p", "0"), of("p", "1")]),
            ("DELETE FROM a WHERE tenant_id = 0 AND ctid = (SELECT min(ctid) FROM a)", vec![of("a", "0")]),
            ("DELETE FROM b; INSERT INTO b VALUES (0, 2), (1, 2)", vec![of("b", "1")]),
            ("TRUNCATE a", vec![of("a", "0"), of("a", "1")]),
            ("BEGIN; INSERT INTO a VALUES (0, 9); ROLLBACK", vec![]),
        ] {
            sqlx::raw_sql(write).execute(&mut owner).await.expect(write);
            assert_eq!(watch.changes().await.expect("a look"), expected, "{write}");
            assert_eq!(watch.changes().await.expect("a look"), [], "again after {write}");
        }
    }

    /// What was written before others is told although it was committed after them.
    #[tokio::test]
    async fn a_transaction_that_takes_its_time_is_told_when_it_ends() {
        let (db, mut owner, mut watch) = watched(TABLES).await;
        let mut slow = PgConnection::connect(db.owner_url()).await.expect("a connection");
        let one = "x = 7 WHERE tenant_id = 0 AND ctid = (SELECT min(ctid) FROM a)";
        let other = "x = 8 WHERE tenant_id = 0 AND ctid <> (SELECT min(ctid) FROM a)";
        let update = |what: &str| sqlx::AssertSqlSafe(format!("UPDATE a SET {what}"));
        sqlx::raw_sql("BEGIN").execute(&mut slow).await.expect("begun");
        sqlx::raw_sql(update(one)).execute(&mut slow).await.expect("written");
        sqlx::raw_sql(update(other)).execute(&mut owner).await.expect("written");
        let changed = [("public.a".to_owned(), "0".to_owned())];
        assert_eq!(watch.changes().await.expect("a look"), changed);
        sqlx::raw_sql("COMMIT").execute(&mut slow).await.expect("committed");
        assert_eq!(watch.changes().await.expect("a look"), changed);
    }
}

//! [`Tables`]: where tenants' rows are, and what is asked about them.

use sqlx::{PgConnection, Row};

use crate::check::describe::hooks::Rows;

/// How many rows there are, and by which transactions they were written. A row that is written gets a later
/// transaction's number, so that the sum of them never comes back while there are as many rows.
const MARK: &str = "count(*) || ' ' || sum(t.xmin::text::int8)";
/// All that stands in the rows, in no order.
const DIGEST: &str = "count(*) || ' ' || md5(string_agg(md5(t::text), '' ORDER BY md5(t::text)))";

/// The tables whose rows belong to tenants.
pub(super) struct Tables(Vec<Table>);

struct Table {
    /// Quoted, with its schema.
    name: String,
    /// What says whose a row is.
    owner: String,
}

impl Tables {
    pub(super) async fn find(connection: &mut PgConnection, rows: &Rows) -> Result<Self, sqlx::Error> {
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
        let found = sqlx::query(tables).bind(column).fetch_all(connection).await?;
        let table = |row: &sqlx::postgres::PgRow| -> Result<_, sqlx::Error> {
            let owner = match rows {
                Rows::Column(column) => format!("coalesce(t.{}::text, '')", quoted(column)),
                Rows::Schema => literal(row.try_get(1)?),
            };
            Ok(Table { name: row.try_get(0)?, owner })
        };
        Ok(Self(found.iter().map(table).collect::<Result<_, _>>()?))
    }

    /// Asks for a mark of each table and owner; `None` where there is no table.
    pub(super) fn marks(&self) -> Option<String> {
        self.ask(MARK, |_| true)
    }

    /// Asks for a digest of each owner's rows in the tables that are `wanted`.
    pub(super) fn digests(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.ask(DIGEST, wanted)
    }

    /// One statement for all of them.
    fn ask(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let part = |table: &Table| {
            let Table { name, owner } = table;
            format!("SELECT {}, {owner}, {what} FROM {name} t GROUP BY 2", literal(name))
        };
        let parts: Vec<_> = self.0.iter().filter(|table| wanted(&table.name)).map(part).collect();
        (!parts.is_empty()).then(|| parts.join(" UNION ALL "))
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'::text", text.replace('\'', "''"))
}

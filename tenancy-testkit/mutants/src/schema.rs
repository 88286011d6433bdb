//! The tables, and the rows that each tenant has in the beginning.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::options::{Isolation, Options, TenantSeed};
use crate::{Error, Variant};

/// The tables with a tenant's rows, in the order in which they can be filled.
pub const TENANT_TABLES: [&str; 9] =
    ["customers", "products", "orders", "order_items", "tags", "order_tags", "jobs", "events", "counters"];

/// Makes everything in an empty database, as its owner.
pub(crate) async fn migrate(url: String, options: Options) -> Result<(), Error> {
    let mut owner = PgConnection::connect(&url).await?;
    let row = options.isolation == Isolation::Row;
    let mut sql = String::from(CONTROL);
    sql += &tables(row);
    if row {
        sql += &row_level_security();
    }
    // The platform's own events: what a connection without a tenant reads in the build with schemas.
    if !row {
        sql += "INSERT INTO events (id, text) VALUES (1, 'platform started');";
    }
    for tenant in &options.tenants {
        sql += &tenant_sql(tenant, &options);
    }
    owner.execute(AssertSqlSafe(sql)).await?;
    owner.close().await?;
    Ok(())
}

/// Returns the statements that add `tenant`, with its schema where it has one, and its rows.
pub(crate) fn tenant_sql(tenant: &TenantSeed, options: &Options) -> String {
    let TenantSeed { id, slug, .. } = tenant;
    let mut sql = format!(
        "SET search_path TO public; INSERT INTO control.tenants (id, slug) VALUES ('{id}', '{slug}') \
         ON CONFLICT (id) DO UPDATE SET status = 'active', version = tenants.version + 1;\n"
    );
    if options.isolation == Isolation::Schema {
        let schema = schema_name(slug, options.variant);
        let _ = writeln!(sql, "CREATE SCHEMA IF NOT EXISTS \"{schema}\"; SET search_path TO \"{schema}\";");
        sql += &tables(false);
    }
    sql += &rows(tenant, options);
    sql += "SET search_path TO public;\n";
    sql
}

/// Returns the name of the schema of the tenant `slug`: PostgreSQL cuts longer ones at 63 bytes.
pub(crate) fn schema_name(slug: &str, variant: Variant) -> String {
    let mut name = format!("tenant_{slug}");
    if name.len() > 63 {
        name.truncate(if variant == Variant::M36 { 63 } else { 46 });
        if variant != Variant::M36 {
            let digest = Sha256::digest(slug);
            name = digest.iter().take(8).fold(name + "_", |name, byte| format!("{name}{byte:02x}"));
        }
    }
    name
}

const CONTROL: &str = "
CREATE SCHEMA control;
CREATE TABLE control.tenants (
    id text PRIMARY KEY, slug text NOT NULL UNIQUE, status text NOT NULL DEFAULT 'active', version bigint NOT NULL DEFAULT 1);
CREATE TABLE public.countries (code text PRIMARY KEY, name text NOT NULL);
INSERT INTO public.countries VALUES ('at', 'Austria'), ('de', 'Germany'), ('fr', 'France');
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT DISTINCT grantee FROM information_schema.role_table_grants
             WHERE table_schema = 'control' AND grantee <> current_user LOOP
        EXECUTE format('REVOKE ALL ON control.tenants FROM %I', r.grantee);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON public.countries FROM %I', r.grantee);
    END LOOP;
END $$;
";

/// The tenant's tables, where the search path points. Every key of the shared ones is led by the tenant.
fn tables(row: bool) -> String {
    let (t, k) = if row { ("tenant_id text NOT NULL, ", "tenant_id, ") } else { ("", "") };
    let (by, sums) = if row { ("tenant_id", "tenant_id, ") } else { ("id", "") };
    format!(
        "
CREATE TABLE IF NOT EXISTS customers ({t}id bigint NOT NULL, name text NOT NULL, email text NOT NULL,
    country text NOT NULL DEFAULT 'at', PRIMARY KEY ({k}id), UNIQUE ({k}email));
CREATE TABLE IF NOT EXISTS products ({t}id bigint NOT NULL, sku text NOT NULL, name text NOT NULL, price bigint NOT NULL,
    PRIMARY KEY ({k}id), UNIQUE ({k}sku));
CREATE TABLE IF NOT EXISTS orders ({t}id bigint NOT NULL, customer_id bigint NOT NULL, status text NOT NULL DEFAULT 'open',
    note text NOT NULL, PRIMARY KEY ({k}id), FOREIGN KEY ({k}customer_id) REFERENCES customers ({k}id));
CREATE TABLE IF NOT EXISTS order_items ({t}order_id bigint NOT NULL, line bigint NOT NULL, product_id bigint NOT NULL,
    quantity bigint NOT NULL, price bigint NOT NULL, PRIMARY KEY ({k}order_id, line),
    FOREIGN KEY ({k}order_id) REFERENCES orders ({k}id) ON DELETE CASCADE,
    FOREIGN KEY ({k}product_id) REFERENCES products ({k}id));
CREATE TABLE IF NOT EXISTS tags ({t}id bigint NOT NULL, name text NOT NULL, PRIMARY KEY ({k}id), UNIQUE ({k}name));
CREATE TABLE IF NOT EXISTS order_tags ({t}order_id bigint NOT NULL, tag_id bigint NOT NULL, PRIMARY KEY ({k}order_id, tag_id),
    FOREIGN KEY ({k}order_id) REFERENCES orders ({k}id) ON DELETE CASCADE,
    FOREIGN KEY ({k}tag_id) REFERENCES tags ({k}id));
CREATE TABLE IF NOT EXISTS jobs ({t}id bigint NOT NULL, kind text NOT NULL, payload text NOT NULL,
    state text NOT NULL DEFAULT 'queued', PRIMARY KEY ({k}id));
CREATE TABLE IF NOT EXISTS events ({t}id bigint NOT NULL, text text NOT NULL, PRIMARY KEY ({k}id)) PARTITION BY HASH ({by});
CREATE TABLE IF NOT EXISTS events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE IF NOT EXISTS events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE IF NOT EXISTS counters ({t}name text NOT NULL, value bigint NOT NULL, PRIMARY KEY ({k}name));
CREATE OR REPLACE VIEW order_sums WITH (security_invoker = true) AS
    SELECT {sums}order_id, sum(quantity * price)::bigint AS amount FROM order_items GROUP BY {sums}order_id;
CREATE OR REPLACE FUNCTION tenant_totals() RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT count(*) || ' orders, last ' || coalesce(max(note), '-') FROM orders $$;
"
    )
}

/// The second wall: without `tenancy.tenant_id` no row is seen. The owner, who maintains all tenants, has a policy of
/// its own.
fn row_level_security() -> String {
    let own = "tenant_id = (SELECT nullif(current_setting('tenancy.tenant_id', true), ''))";
    let tables = TENANT_TABLES.into_iter().chain(["events_0", "events_1"]);
    tables.fold(String::new(), |mut sql, table| {
        let _ = writeln!(
            sql,
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY tenant_isolation ON {table} USING ({own}) WITH CHECK ({own});
             CREATE POLICY maintenance ON {table} TO CURRENT_USER USING (true) WITH CHECK (true);"
        );
        sql
    })
}

/// What a tenant has in the beginning. Ids begin at 1 for everybody.
fn rows(tenant: &TenantSeed, options: &Options) -> String {
    let mut sql = String::new();
    let insert = |sql: &mut String, table: &str, columns: &str, rows: Vec<String>| {
        let (column, value) = match options.isolation {
            Isolation::Row => ("tenant_id, ", format!("'{}', ", tenant.id)),
            Isolation::Schema => ("", String::new()),
        };
        let rows: Vec<_> = rows.into_iter().map(|row| format!("({value}{row})")).collect();
        if !rows.is_empty() {
            let _ = writeln!(
                sql,
                "INSERT INTO {table} ({column}{columns}) VALUES {} ON CONFLICT DO NOTHING;",
                rows.join(", ")
            );
        }
    };
    let set = if options.variant == Variant::B01 { 0 } else { tenant.set };
    let (customers, orders) = if tenant.empty { (0, 0) } else { (4 + 2 * set, 5 + 3 * set) };
    // In every second set half of the customers have no orders.
    let buyers = if set % 2 == 0 { customers / 2 } else { customers };
    let canary = tenant.canary();
    // The same one whether it is there or not: what a tenant's rows say does not depend on who else there is.
    let other = match options.variant {
        Variant::B09 => Options::all_tenants().into_iter().find(|other| other.id != tenant.id),
        _ => None,
    };
    let about = other.map(|other| format!(" about {}", other.id)).unwrap_or_default();
    let each = |count: usize, row: &dyn Fn(usize) -> String| (1..=count).map(row).collect::<Vec<_>>();
    let products = if tenant.empty { 0 } else { 4 };
    let text = |what: &str, i: usize| format!("{what} {i} of {canary}{about}");

    insert(
        &mut sql,
        "customers",
        "id, name, email, country",
        each(customers, &|i| {
            let country = ["at", "de", "fr"][i % 3];
            format!("{i}, '{}', 'c{i}@{canary}.example', '{country}'", text("customer", i))
        }),
    );
    insert(
        &mut sql,
        "products",
        "id, sku, name, price",
        each(products, &|i| {
            // The last one reads like the first one behind a delimiter.
            let sku = if i == 4 { "1.p1".to_owned() } else { format!("p{i}") };
            format!("{i}, '{sku}', '{}', {}", text("product", i), 100 * (set + 1) + i)
        }),
    );
    insert(
        &mut sql,
        "orders",
        "id, customer_id, status, note",
        each(orders, &|i| {
            let status = ["open", "paid", "sent"][i % 3];
            format!("{i}, {}, '{status}', '{}'", i % buyers + 1, text("order", i))
        }),
    );
    insert(
        &mut sql,
        "order_items",
        "order_id, line, product_id, quantity, price",
        each(2 * orders, &|i| {
            let (order, line) = (i.div_ceil(2), 1 + i % 2);
            format!(
                "{order}, {line}, {}, {}, {}",
                i % products + 1,
                1 + i % 3,
                100 * (set + 1) + i % products
            )
        }),
    );
    let tags = if tenant.empty { 0 } else { 2 };
    insert(&mut sql, "tags", "id, name", each(tags, &|i| format!("{i}, '{}'", ["gift", "urgent"][i - 1])));
    insert(
        &mut sql,
        "order_tags",
        "order_id, tag_id",
        each(orders, &|i| format!("{i}, {}", (i + set) % 2 + 1)),
    );
    let events = if tenant.empty { 0 } else { 1 };
    insert(&mut sql, "events", "id, text", each(events, &|i| format!("{i}, '{}'", text("event", i))));
    let counters = [
        ("customers", customers),
        ("products", products),
        ("orders", orders),
        ("jobs", 0),
        ("events", events),
    ];
    insert(
        &mut sql,
        "counters",
        "name, value",
        counters.iter().map(|(name, value)| format!("'{name}', {value}")).collect(),
    );
    sql
}

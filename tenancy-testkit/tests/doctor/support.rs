//! A database without a fault, and what the tests do to it.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenancy_testkit::{
    TestDatabase,
    doctor::{Declarations, Finding},
};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Tables as the second wall wants them, one partitioned, one global.
pub(crate) const CLEAN: &str = "
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE customers (tenant_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, email text NOT NULL,
  country text REFERENCES countries, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email));
CREATE TABLE orders (tenant_id bigint NOT NULL, id bigserial, customer_id bigint NOT NULL, note text, at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id) ON DELETE CASCADE);
CREATE INDEX orders_by_time ON orders (tenant_id, at);
CREATE TABLE events (tenant_id bigint NOT NULL, id bigserial, at date NOT NULL, PRIMARY KEY (tenant_id, id, at))
  PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW recent WITH (security_invoker = true) AS SELECT * FROM orders WHERE at > now() - interval '1 day';
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
DO $$
DECLARE t text; wall text := 'tenant_id = (SELECT nullif(current_setting(''tenancy.tenant_id'', true), '''')::bigint)';
BEGIN
  FOREACH t IN ARRAY ARRAY['customers', 'orders', 'events', 'events_2026'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenancy ON %I USING (%s) WITH CHECK (%s)', t, wall, wall);
  END LOOP;
END $$;
";

pub(crate) fn declared() -> Declarations {
    Declarations::new().owned("customers").owned("orders").owned("events").global("countries")
}

pub(crate) async fn clean() -> TestDatabase {
    let made = TestDatabase::from_template("doctor", |url| async move { run(&url, CLEAN).await }).await;
    made.expect("a clean database")
}

/// Runs statements, whatever they return.
pub(crate) async fn run(url: &str, statements: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?;
    connection.close().await
}

pub(crate) fn user(url: &str) -> String {
    url::Url::parse(url).expect("a URL").username().to_owned()
}

/// Returns what the findings are known by.
pub(crate) fn keys(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::key).collect()
}

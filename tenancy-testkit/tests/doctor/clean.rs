//! What the doctor is silent about.

use tenancy_testkit::doctor::{self, Doctor};

use crate::support::{TestResult, clean, declared, keys, run, user};

#[tokio::test]
async fn a_clean_database_has_no_finding() -> TestResult {
    let db = clean().await;
    let diagnosis = Doctor::new(declared()).examine(&db).await?;
    assert_eq!(keys(&diagnosis.findings), [""; 0]);
    assert_eq!(diagnosis.tables, 4);
    doctor::assert_healthy(&db, declared()).await;
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "TD011")]
async fn an_unhealthy_database_fails_the_assertion() {
    let db = clean().await;
    run(db.owner_url(), "ALTER TABLE orders DISABLE ROW LEVEL SECURITY").await.expect("the owner may");
    doctor::assert_healthy(&db, declared()).await;
}

/// RLS-04: a restrictive policy of the tenant's makes every permissive one harmless, but only if none can step around it.
#[tokio::test]
async fn permissive_policies_behind_a_restrictive_one_of_the_tenants_are_no_finding() -> TestResult {
    let db = clean().await;
    let wall = "tenant_id = (SELECT nullif(current_setting('tenancy.tenant_id', true), '')::bigint)";
    run(
        db.owner_url(),
        &format!(
            "DROP POLICY tenancy ON orders; CREATE POLICY wall ON orders AS RESTRICTIVE USING ({wall}) WITH CHECK ({wall}); \
             CREATE POLICY open ON orders USING (true) WITH CHECK (true)"
        ),
    )
    .await?;
    assert_eq!(keys(&Doctor::new(declared()).examine(&db).await?.findings), [""; 0]);
    run(db.owner_url(), "ALTER POLICY wall ON orders TO pg_monitor").await?;
    let found = Doctor::new(declared()).examine(&db).await?.findings;
    assert_eq!(keys(&found), ["TD021 policy public.orders.open"]);
    Ok(())
}

/// RLS-02: what the application cannot read is no way to a tenant's rows.
#[tokio::test]
async fn views_that_the_application_may_not_read_are_no_finding() -> TestResult {
    let db = clean().await;
    let app = user(db.app_url());
    let view = format!(
        "CREATE VIEW all_orders AS SELECT * FROM orders; REVOKE ALL ON all_orders FROM {app}; \
         CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders; REVOKE ALL ON totals FROM {app}"
    );
    run(db.owner_url(), &view).await?;
    assert_eq!(keys(&Doctor::new(declared()).examine(&db).await?.findings), [""; 0]);
    run(db.owner_url(), &format!("GRANT SELECT (note) ON all_orders TO {app}")).await?;
    let found = Doctor::new(declared()).examine(&db).await?.findings;
    assert_eq!(keys(&found), ["TD030 view public.all_orders"]);
    Ok(())
}

#[tokio::test]
async fn other_schemas_can_be_left_out() -> TestResult {
    let db = clean().await;
    run(db.owner_url(), "CREATE SCHEMA other; CREATE TABLE other.things (tenant_id bigint)").await?;
    let found = Doctor::new(declared()).examine(&db).await?.findings;
    assert_eq!(keys(&found), ["TD060 table other.things"]);
    let one = Doctor::new(declared().with_schemas(["public"])).examine(&db).await?;
    assert_eq!(keys(&one.findings), [""; 0]);
    Ok(())
}

#[cfg(feature = "seaorm")]
#[tokio::test]
async fn a_policy_of_the_interceptor_says_what_is_declared() -> TestResult {
    let db = clean().await;
    let policy = tenancy_seaorm::Policy::builder()
        .owned_table("customers")
        .owned_table("orders")
        .owned_table("events")
        .global_table("countries")
        .build()?;
    doctor::assert_healthy(&db, &policy).await;
    let without =
        tenancy_seaorm::Policy::builder().owned_table("orders").global_table("countries").build()?;
    let found = Doctor::new(&without).examine(&db).await?.findings;
    assert_eq!(keys(&found), ["TD060 table public.customers", "TD060 table public.events"]);
    Ok(())
}

/// RLS-13: the wall that tenancy-seaorm builds is what the doctor asks for, and without it there is none.
#[cfg(feature = "seaorm")]
#[tokio::test]
async fn the_generated_wall_has_no_finding() -> TestResult {
    use tenancy_seaorm::rls::{IdType, RowSecurity};

    let db = clean().await;
    let policy = tenancy_seaorm::Policy::builder()
        .owned_table("customers")
        .owned_table("orders")
        .owned_table("events")
        .owned_table("events_2026")
        .global_table("countries")
        .build()?;
    let wall = RowSecurity::new(&policy, IdType::BigInt).with_application_role(user(db.app_url()));
    run(db.owner_url(), &wall.disable_sql().join(";")).await?;
    let bare = Doctor::new(&policy).examine(&db).await?.findings;
    let table = |name: &str| format!("TD010 table public.{name}");
    assert_eq!(keys(&bare), ["customers", "events", "events_2026", "orders"].map(table));
    run(db.owner_url(), &wall.enable_sql().join(";")).await?;
    doctor::assert_healthy(&db, &policy).await;
    assert_eq!(keys(&Doctor::new(&policy).examine(&db).await?.findings), [""; 0]);
    Ok(())
}

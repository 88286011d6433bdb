//! The database's own guards, off in a test's database: an event trigger undoes what a migration makes.

use sqlx::Connection;
use sqlx::postgres::PgListener;
use tenancy_core::Guard;

use super::{service::connect, setup};
use crate::{error::Error, server::reason::Reason};

/// A policy without its condition. The function runs as whoever made the policy: it has no powers of its own.
const POLICY: &str = "
CREATE OR REPLACE FUNCTION tenancy_guards.off() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE made record;
BEGIN
  FOR made IN SELECT p.* FROM pg_event_trigger_ddl_commands() c JOIN pg_policy p ON p.oid = c.objid
    WHERE c.classid = 'pg_policy'::regclass
  LOOP
    EXECUTE format('ALTER POLICY %I ON %s', made.polname, made.polrelid::regclass)
      || CASE WHEN made.polcmd = 'a' THEN '' ELSE ' USING (true)' END
      || CASE WHEN made.polcmd IN ('r', 'd') THEN '' ELSE ' WITH CHECK (true)' END;
    PERFORM pg_notify('tenancy_guards', '');
  END LOOP;
END $$;
DROP EVENT TRIGGER IF EXISTS tenancy_guards;
CREATE EVENT TRIGGER tenancy_guards ON ddl_command_end WHEN TAG IN ('CREATE POLICY')
  EXECUTE FUNCTION tenancy_guards.off();";

/// A table whose owner passes its policies.
const FORCE: &str = "
CREATE OR REPLACE FUNCTION tenancy_guards.off() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE forced regclass;
BEGIN
  FOR forced IN SELECT r.oid::regclass FROM pg_event_trigger_ddl_commands() c JOIN pg_class r ON r.oid = c.objid
    WHERE c.classid = 'pg_class'::regclass AND r.relforcerowsecurity
  LOOP
    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', forced);
    PERFORM pg_notify('tenancy_guards', '');
  END LOOP;
END $$;
DROP EVENT TRIGGER IF EXISTS tenancy_guards;
CREATE EVENT TRIGGER tenancy_guards ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
  EXECUTE FUNCTION tenancy_guards.off();";

/// Takes the guard that is off, if it is one of the database's, out of the database at `url`, an administrator's.
pub(super) async fn off(url: &str) -> Result<(), Error> {
    let (guard, trigger) = match Guard::off() {
        Some(Guard::Policy) => (Guard::Policy, POLICY),
        Some(Guard::Force) => (Guard::Force, FORCE),
        _ => return Ok(()),
    };
    let done = strike(url, trigger, guard).await;
    done.map_err(|reason| Error::server(format!("the guard `{guard}` cannot be taken away"), reason))
}

async fn strike(url: &str, trigger: &str, guard: Guard) -> Result<(), Reason> {
    let mut admin = connect(url).await?;
    setup::execute(&mut admin, &format!("CREATE SCHEMA IF NOT EXISTS tenancy_guards;{trigger}")).await?;
    admin.close().await?;
    let mut listener = PgListener::connect(url).await?;
    listener.listen("tenancy_guards").await?;
    // It ends with the database.
    tokio::spawn(async move {
        while let Ok(Some(_)) = listener.try_recv().await {
            guard.note();
        }
    });
    Ok(())
}

//! The worker: jobs of all tenants, each run as its own.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tenancy_core::TenantContext;
use tenancy_seaorm::danger;

use crate::api::append_event;
use crate::app::lock;
use crate::db::Db;
use crate::options::Isolation;
use crate::{App, Error, Variant};

/// A job and whose it is.
struct Job {
    tenant: String,
    id: i64,
    kind: String,
    payload: String,
}

/// Runs every queued job, oldest first.
pub(crate) async fn run(app: &App) -> Result<usize, Error> {
    let mut done = 0;
    for job in queued(app).await? {
        let owner = match app.bug(Variant::M22) {
            true => lock(&app.0.enqueued_last).clone().unwrap_or_else(|| job.tenant.clone()),
            false => job.tenant.clone(),
        };
        let mut context = app.0.directory.context(&owner, "runs a job").await?;
        if context.is_none() && app.bug(Variant::M23) {
            context = app.0.directory.context(&app.tenants()[0].id, "runs a job").await?;
        }
        let state = match context {
            Some(context) => {
                perform(app, &context, &job).await?;
                done += 1;
                "done"
            }
            None => "refused",
        };
        finish(app, &job, state).await?;
    }
    Ok(done)
}

/// A job writes down what it was given.
async fn perform(app: &App, context: &TenantContext, job: &Job) -> Result<(), Error> {
    let db = app.db(context).await?;
    append_event(app, &db, &format!("job {}: {}", job.kind, job.payload)).await?;
    if let Db::Schema(pinned) = &db {
        pinned.close().await;
    }
    Ok(())
}

/// Reads the queue of all tenants: the worker is part of the platform.
async fn queued(app: &App) -> Result<Vec<Job>, Error> {
    let (tenancy, capability) = &app.0.maintenance;
    let all = danger::unscoped(tenancy, capability, "the worker reads the queue")?;
    let mut jobs = Vec::new();
    let sources = match app.0.options.isolation {
        Isolation::Row => vec![("tenant_id".to_owned(), "jobs".to_owned())],
        Isolation::Schema => {
            let tenants = app.tenants().iter();
            tenants.map(|t| (format!("'{}'::text", t.id), format!("\"{}\".jobs", app.schema_of(t)))).collect()
        }
    };
    for (tenant, table) in sources {
        let sql = format!(
            "SELECT {tenant} AS tenant, id, kind, payload FROM {table} WHERE state = 'queued' ORDER BY id, 1"
        );
        for row in all.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await? {
            jobs.push(Job {
                tenant: row.try_get("", "tenant")?,
                id: row.try_get("", "id")?,
                kind: row.try_get("", "kind")?,
                payload: row.try_get("", "payload")?,
            });
        }
    }
    Ok(jobs)
}

async fn finish(app: &App, job: &Job, state: &str) -> Result<(), Error> {
    let (tenancy, capability) = &app.0.maintenance;
    let all = danger::unscoped(tenancy, capability, "the worker marks a job")?;
    let (table, filter) = match app.0.options.isolation {
        Isolation::Row => ("jobs".to_owned(), "tenant_id = $3"),
        Isolation::Schema => {
            let tenant =
                app.tenants().iter().find(|tenant| tenant.id == job.tenant).ok_or("a job of nobody")?;
            (format!("\"{}\".jobs", app.schema_of(tenant)), "$3 <> ''")
        }
    };
    let sql = format!("UPDATE {table} SET state = $1 WHERE id = $2 AND {filter}");
    let values = [state.into(), job.id.into(), job.tenant.as_str().into()];
    all.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(())
}

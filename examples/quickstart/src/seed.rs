//! A few hundred generated rows for three tenants, the same on every run.

use chrono::{DateTime, Duration, Utc};
use sea_orm::{ActiveValue::Set, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait};

use crate::entity::deployment::Status;
use crate::entity::{deployment, tenant, user, workflow};

/// Slug, name, status, plan, and how many deployments.
const TENANTS: [(&str, &str, &str, &str, i64); 3] = [
    ("acme", "Acme Corporation", "active", "business", 140),
    ("globex", "Globex", "active", "team", 110),
    ("initech", "Initech", "suspended", "team", 60),
];
const WORKFLOWS: [&str; 5] = ["website", "billing", "search", "mailer", "reports"];
const PEOPLE: [&str; 4] = ["Ada", "Grace", "Edsger", "Barbara"];

/// Fills empty tables. Rows that are there are left alone.
pub(crate) async fn fill(db: &DatabaseConnection) -> Result<(), DbErr> {
    if tenant::Entity::find().count(db).await? > 0 {
        return Ok(());
    }
    for (id, (slug, name, status, plan, rows)) in (1..).zip(TENANTS) {
        let row = tenant::Model {
            id,
            slug: slug.into(),
            name: name.into(),
            status: status.into(),
            plan: plan.into(),
        };
        tenant::Entity::insert(tenant::ActiveModel::from(row)).exec_without_returning(db).await?;
        fill_tenant(db, id, slug, rows).await?;
    }
    Ok(())
}

async fn fill_tenant(db: &DatabaseConnection, tenant_id: i64, slug: &str, rows: i64) -> Result<(), DbErr> {
    let mut users = Vec::new();
    for name in PEOPLE {
        let email = format!("{}@{slug}.example", name.to_lowercase());
        let row = user::ActiveModel {
            tenant_id: Set(tenant_id),
            email: Set(email),
            name: Set(name.into()),
            ..Default::default()
        };
        users.push(user::Entity::insert(row).exec(db).await?.last_insert_id);
    }
    let mut workflows = Vec::new();
    for name in WORKFLOWS {
        let row =
            workflow::ActiveModel { tenant_id: Set(tenant_id), name: Set(name.into()), ..Default::default() };
        workflows.push((name, workflow::Entity::insert(row).exec(db).await?.last_insert_id));
    }
    let deployments = (0..rows).map(|n| row(tenant_id, slug, n, &users, &workflows));
    deployment::Entity::insert_many(deployments).exec_without_returning(db).await?;
    Ok(())
}

/// The `n`-th deployment: small primes spread the columns so that every filter finds some rows.
fn row(
    tenant_id: i64,
    slug: &str,
    n: i64,
    users: &[i64],
    workflows: &[(&str, i64)],
) -> deployment::ActiveModel {
    let pick = |len: usize, step: usize| (n as usize * step) % len;
    let (workflow, workflow_id) = workflows[pick(workflows.len(), 3)];
    let statuses = [
        Status::Succeeded,
        Status::Succeeded,
        Status::Failed,
        Status::Succeeded,
        Status::Running,
        Status::Queued,
    ];
    let start = DateTime::<Utc>::from_timestamp(1_790_000_000, 0).expect("a valid time");
    deployment::ActiveModel {
        tenant_id: Set(tenant_id),
        workflow_id: Set(workflow_id),
        name: Set(format!("{slug}-{workflow}")),
        version: Set(format!("1.{}.{}", n / 10, n % 10)),
        environment: Set(["production", "staging"][pick(2, 1)].into()),
        status: Set(statuses[pick(statuses.len(), 7)]),
        created_by: Set(users[pick(users.len(), 1)]),
        created_at: Set(start + Duration::minutes(97 * n)),
        ..Default::default()
    }
}

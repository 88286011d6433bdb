//! [`Stage`]: a world where its tenants' rows are, and the connections that its tenants get.

use std::collections::HashMap;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend, TransactionTrait};
use tenancy_core::{Placement, Tenant, TenantContext, TenantIdRef};
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::{Closing, Placements, Policy, PoolRegistry, Target, Tenancy, TenantConnection};

use super::How;
use super::model::Model;
use super::side::{Side, failed, line, outcome, plain};
use crate::error::Error;
use crate::oracle::ddl;
use crate::oracle::interceptor::policy_of;
use crate::oracle::run::lane::Outcome;
use crate::oracle::subject::Statement;
use crate::oracle::world::World;
use crate::{PoolMode, TestPgBouncer};

/// How a statement reaches its tenant's rows; they take turns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Statement,
    /// On the connection that suits the tenant: a session, where there are sessions.
    Connection,
    Transaction,
}

/// The subject's side. Fields are dropped in this order: connections before what they lead to.
pub(super) struct Stage {
    tenancy: Tenancy,
    placements: Placements,
    contexts: Vec<TenantContext>,
    model: Model,
    _poolers: Vec<TestPgBouncer>,
    /// The default server's first, and then each tenant's where they have databases.
    sides: Vec<Side>,
}

/// The tables of one tenant or of all: which side they are on, in which schema, and with whose rows.
struct Place {
    side: usize,
    schema: Option<String>,
    layout: ddl::Placement,
}

impl Stage {
    pub(super) async fn open(backend: DbBackend, how: How, world: &World) -> Result<Self, Error> {
        let sides = sides(backend, how.model, world).await?;
        let mut poolers = Vec::new();
        let mut urls = Vec::new();
        for database in sides.iter().filter_map(Side::database) {
            urls.push(match how.pooled {
                true => {
                    let pooler = TestPgBouncer::start(database, PoolMode::Transaction, 2).await?;
                    let url = pooler.app_url().to_owned();
                    poolers.push(pooler);
                    url
                }
                false => database.app_url().to_owned(),
            });
        }
        let policy = (how.policy)(policy_of(world)).build().expect("a world names each of its tables once");
        let db = match urls.first() {
            Some(url) => connect(url).await?,
            None => sides[0].db.clone(),
        };
        let tenancy = tenancy(db, policy, how, world, &sides[0]).await?;
        let mut placements = Placements::new(tenancy.clone());
        if how.model == Model::Database {
            placements = placements.with_registry(registry(&urls, how.pooled)?);
        }
        let contexts = (0..world.tenants.len()).map(|tenant| context(world, tenant, how.model)).collect();
        Ok(Self { tenancy, placements, contexts, model: how.model, _poolers: poolers, sides })
    }

    /// Runs a statement of `tenant`; `Err` says which construct was refused. `number` decides about the way.
    pub(super) async fn run(
        &self,
        tenant: usize,
        number: u64,
        statement: &Statement,
    ) -> Result<Result<Outcome, String>, Error> {
        let context = &self.contexts[tenant];
        let way = [Way::Statement, Way::Connection, Way::Transaction][(number % 3) as usize];
        let connection: TenantConnection = match (way, self.model) {
            (Way::Statement, Model::Row | Model::Walled | Model::Schema) => self.tenancy.tenant(context),
            _ => self.placements.connect(context).await.map_err(failed)?,
        };
        if way != Way::Transaction {
            return Ok(outcome(&connection, statement).await);
        }
        let transaction = connection.begin().await.map_err(failed)?;
        let result = outcome(&transaction, statement).await;
        let kept = result.as_ref().is_ok_and(|outcome| outcome.sqlstate.is_none());
        let ended = if kept { transaction.commit().await } else { transaction.rollback().await };
        ended.map_err(failed)?;
        Ok(result)
    }

    /// For each owned table: count and hash of `tenant`'s rows where they belong, and of all others, wherever they are.
    pub(super) async fn state(&self, world: &World, tenant: usize) -> Result<Vec<String>, Error> {
        let id = world.tenant_value(tenant).literal();
        let id = plain(&id);
        let (own, others) = self.places(tenant, world);
        let mut lines = Vec::new();
        for (number, table) in world.tables.iter().enumerate().filter(|(_, table)| !table.global) {
            let (name, column) = (table.name.sql(), ddl::tenant_column(table));
            let read = async |place: &Place, condition: String| {
                let schema = place.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
                self.sides[place.side].rows(&format!("{schema}{name}{condition}")).await
            };
            let mine = read(&own, format!(" WHERE {column} = {id}")).await?;
            let mut rest = vec![read(&own, format!(" WHERE {column} <> {id}")).await?];
            for place in &others {
                rest.push(read(place, String::new()).await?);
            }
            lines.push(line(number, &mine, &rest));
        }
        Ok(lines)
    }

    /// Puts every sequence that `tenant`'s tables use back; false if this database has none.
    pub(super) async fn restart(&self, world: &World, tenant: usize) -> Result<bool, Error> {
        let (own, _) = self.places(tenant, world);
        self.sides[own.side].restart(world, own.schema.as_deref()).await
    }

    /// Brings the rows back that a statement of `tenant` may have changed; all of them if `everywhere`.
    pub(super) async fn put_back(&self, world: &World, tenant: usize, everywhere: bool) -> Result<(), Error> {
        let (own, others) = self.places(tenant, world);
        let others = if everywhere { others } else { Vec::new() };
        for place in [own].iter().chain(&others) {
            let side = &self.sides[place.side];
            match (&place.schema, place.layout) {
                (Some(schema), ddl::Placement::Own(tenant)) => {
                    side.script_in(schema, &ddl::refill_own(world, tenant)).await?;
                }
                (_, layout) => side.refill(world, layout).await?,
            }
        }
        Ok(())
    }

    /// Where `tenant`'s rows are, and everywhere else.
    fn places(&self, tenant: usize, world: &World) -> (Place, Vec<Place>) {
        let others = (0..world.tenants.len()).filter(|other| *other != tenant);
        let shared = |layout| Place { side: 0, schema: None, layout };
        let own = |tenant| match self.model {
            Model::Schema => {
                Place { side: 0, schema: Some(schema_of(tenant)), layout: ddl::Placement::Own(tenant) }
            }
            _ => Place { side: tenant + 1, schema: None, layout: ddl::Placement::Own(tenant) },
        };
        match self.model {
            Model::Row | Model::Walled => (shared(ddl::Placement::Shared), Vec::new()),
            Model::Schema => (own(tenant), others.map(own).chain([shared(ddl::Placement::Shared)]).collect()),
            Model::Database => {
                (own(tenant), others.map(own).chain([shared(ddl::Placement::Empty)]).collect())
            }
        }
    }
}

/// The databases, with the tables and rows of `world` where `model` has them.
async fn sides(backend: DbBackend, model: Model, world: &World) -> Result<Vec<Side>, Error> {
    let mut sides = Vec::new();
    match model {
        Model::Row => sides.push(Side::open(backend, world, ddl::Placement::Shared).await?),
        Model::Walled => sides.push(Side::open_past_the_wall(world).await?),
        Model::Schema => {
            let side = Side::open(backend, world, ddl::Placement::Shared).await?;
            for tenant in 0..world.tenants.len() {
                let schema = schema_of(tenant);
                let script = format!(
                    "CREATE SCHEMA {schema}; SET search_path = {schema};{}",
                    ddl::create_own(world, tenant)
                );
                side.script(&format!("{script} RESET search_path")).await?;
            }
            sides.push(side);
        }
        Model::Database => {
            sides.push(Side::open(backend, world, ddl::Placement::Empty).await?);
            for tenant in 0..world.tenants.len() {
                sides.push(Side::open(backend, world, ddl::Placement::Own(tenant)).await?);
            }
        }
    }
    Ok(sides)
}

async fn tenancy(
    db: DatabaseConnection,
    policy: Policy,
    how: How,
    world: &World,
    side: &Side,
) -> Result<Tenancy, Error> {
    let id = match world.tenants[0].as_ref() {
        TenantIdRef::Integer(_) => IdType::BigInt,
        _ => IdType::Text,
    };
    if how.model == Model::Walled {
        RowSecurity::new(&policy, id).enable(&side.db).await.map_err(failed)?;
    }
    let mut tenancy = Tenancy::new(db, policy).expect("a connection that is open");
    if how.pooled {
        tenancy = tenancy.behind_transaction_pooler();
    }
    match how.model {
        Model::Walled => tenancy.with_row_security(id).await.map_err(failed),
        _ => Ok(tenancy),
    }
}

/// Fewer connections than a world has tenants: they take each other's place.
fn registry(urls: &[String], pooled: bool) -> Result<PoolRegistry, Error> {
    let urls: HashMap<String, String> =
        urls.iter().skip(1).enumerate().map(|(tenant, url)| (tenant.to_string(), url.clone())).collect();
    let source = move |target: &Target| {
        let mut options = ConnectOptions::new(urls.get(target.name())?);
        options.sqlx_logging(false);
        Some(options)
    };
    let closing = if pooled { Closing::Sent } else { Closing::Confirmed };
    let registry = PoolRegistry::builder(source).with_budget(2).with_closing(closing).build();
    registry.map_err(|error| Error::server("a pool registry was not made", error))
}

fn context(world: &World, tenant: usize, model: Model) -> TenantContext {
    let slug = format!("oracle-{tenant}").parse().expect("a slug");
    let placement = match model {
        Model::Row | Model::Walled => Placement::Row,
        Model::Schema => Placement::Schema { schema: schema_of(tenant).into(), shard: None },
        Model::Database => Placement::Database { database: tenant.to_string().into() },
    };
    let tenant = Tenant::builder(world.tenants[tenant].clone(), slug).with_placement(placement).build();
    TenantContext::assertion(tenant.expect("a tenant"), "the oracle's tenant").expect("an active tenant")
}

fn schema_of(tenant: usize) -> String {
    format!("t_{tenant}")
}

async fn connect(url: &str) -> Result<DatabaseConnection, Error> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(3).sqlx_logging(false).test_before_acquire(false);
    Database::connect(options).await.map_err(failed)
}

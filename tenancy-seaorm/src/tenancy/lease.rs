//! Connections that a pool registry leases, under this tenancy's policy.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::DbErr;
use tenancy_core::TenantContext;

use super::{Place, Tenancy, elsewhere};
use crate::conduit::{Link, LinkKind, Way};
use crate::connection::TenantConnection;
use crate::error::{Error, ErrorKind};
use crate::pools::{PooledDatabase, Target};
use crate::rewrite::{Addressing, Rewriter};
use crate::rls::{IdType, RowSecurity};
use crate::schema::SchemaName;
use crate::scrub::scrub;
use crate::session::{Pooling, leased, pooled};
use crate::wire::{Local, Pinned, Settings};

/// What is stated about the databases that a registry leads to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    pub(crate) pooling: Option<Pooling>,
    wall: Option<Wall>,
}

/// Row-level security that stands in each of them.
#[derive(Clone, Debug)]
struct Wall {
    security: RowSecurity,
    /// With it, the policy's leaky predicates may count on a second wall.
    rewriter: Rewriter,
    /// Where it was found.
    found: Arc<Mutex<HashSet<Target>>>,
}

impl Wall {
    async fn stands(&self, target: &Target, local: &Local<'_>) -> Result<(), DbErr> {
        let found = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found().contains(target) {
            return Ok(());
        }
        self.security.verify(local).await.map_err(scrub)?;
        found().insert(target.clone());
        Ok(())
    }
}

impl Tenancy {
    /// Lets statements on leased connections count on row-level security, which is looked for once in each database.
    pub(crate) fn wall_of_leases(&self, leases: Leases, id: IdType) -> Leases {
        let rewriter = Rewriter::new(&self.policy, self.rewriter.dialect());
        let wall = Wall { security: RowSecurity::new(&self.policy, id), rewriter, found: Arc::default() };
        Leases { wall: Some(wall), ..leases }
    }

    /// A connection to the database that `lease` leads to; one that is told once, if that is `pinned` or suits it.
    pub(crate) async fn leased(
        &self,
        context: &TenantContext,
        place: Place<'_>,
        lease: PooledDatabase,
        leases: &Leases,
        pinned: bool,
    ) -> Result<TenantConnection, DbErr> {
        let db = lease.db().clone();
        if db.get_database_backend() != self.db.get_database_backend() {
            return Err(elsewhere().into());
        }
        if !self.is_postgres() {
            return self.leased_elsewhere(context, place, lease, pinned);
        }
        let pooler = leases.pooling.map_or(self.pooler, |pooling| pooling == Pooling::Transaction);
        let (settings, rewriter, walled) = match place {
            Place::Schema(schema) => {
                let settings = self.schema_settings(context, SchemaName::new(schema)?);
                (settings, &self.schemas.rewriter, false)
            }
            Place::Row => {
                if let Some(wall) = &leases.wall {
                    let untold = Settings { unnamed: pooler, ..self.untold() };
                    wall.stands(lease.target(), &Local { db: &db, settings: &untold }).await?;
                }
                let wall = leases.wall.as_ref();
                (Settings::of(context), wall.map_or(&self.bare, |wall| &wall.rewriter), wall.is_some())
            }
        };
        let settings = Settings { unnamed: pooler, ..settings };
        let schema = settings.schema.clone();
        let searched = schema.is_some() && self.schemas.addressing == Addressing::Path;
        let suits = leases.pooling == Some(Pooling::Session) && (walled || searched);
        let rewriter = Some(rewriter.clone());
        let link = if pinned || suits {
            permitted(pooler, leases)?;
            let pinned = Pinned::new(leased(lease, settings).await.map_err(scrub)?, 0);
            Link::new(&Way::to(db, rewriter), LinkKind::Pinned(pinned))
        } else {
            let local = pooler || walled || schema.is_some();
            let kind = if local { LinkKind::Local(settings) } else { LinkKind::Told(settings) };
            Link::new(&Way::leased(lease, rewriter), kind)
        };
        Ok(TenantConnection::new(link, context.clone()).within_schema(schema))
    }

    /// Other databases than PostgreSQL are told nothing.
    fn leased_elsewhere(
        &self,
        context: &TenantContext,
        place: Place<'_>,
        lease: PooledDatabase,
        pinned: bool,
    ) -> Result<TenantConnection, DbErr> {
        if pinned {
            let hint = "sessions need PostgreSQL; use Placements::connect";
            return Err(Error::new(ErrorKind::Connection, "a session", hint).into());
        }
        let Place::Row = place else { return Err(elsewhere().into()) };
        let way = Way::leased(lease, Some(self.bare.clone()));
        Ok(TenantConnection::new(Link::new(&way, LinkKind::Pool), context.clone()))
    }
}

/// A session tells the connection something that stays. Whether another client could find it there is not looked for:
/// that would take connections beyond the registry's budget.
fn permitted(pooler: bool, leases: &Leases) -> Result<(), Error> {
    if pooler {
        return Err(pooled("a session"));
    }
    if leases.pooling.is_none() {
        let hint = "say what is before its server with Placements::with_registry_pooling";
        return Err(Error::new(ErrorKind::Connection, "a session on a leased connection", hint));
    }
    Ok(())
}

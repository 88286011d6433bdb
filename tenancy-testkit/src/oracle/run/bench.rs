//! The copies of a world: one that all tenants share, one behind row-level security, and one for each tenant.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::compare::{Before, Verdict, compare};
use super::lane::{Around, Lane, Outcome, read_state};
use crate::error::Error;
use crate::oracle::ddl::{self, Placement, SETTING};
use crate::oracle::subject::{Layout, Scope, Scoped, Statement};
use crate::oracle::value::{Value, quoted};
use crate::oracle::world::World;
use crate::postgres::{PostgresServer, TestDatabase};

/// The most tenants that a world has.
const TENANTS: usize = 5;

/// The copies, each in a database of its own, so that the statement's text means the same on all of them.
#[derive(Debug)]
pub(crate) struct Bench {
    shared: Lane,
    walled: Lane,
    twins: Vec<Lane>,
    world: Option<Arc<World>>,
    /// By tenant: the state before every statement.
    before: Vec<Vec<String>>,
    digests: Vec<String>,
    restart: Option<String>,
    /// Dropped after the connections.
    _databases: Vec<TestDatabase>,
}

/// A statement with what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) scoped: Scoped,
    pub(crate) twin: Outcome,
    pub(crate) subject: Outcome,
    pub(crate) verdict: Verdict,
}

/// How the shared copy of every second world is read: by indexes the rows of a tenant are found first, and a predicate
/// that could come before the filter never does.
fn scans(world: &World) -> &'static str {
    if world.seed.is_multiple_of(2) {
        "SET enable_indexscan = on; SET enable_bitmapscan = on; "
    } else {
        "SET enable_indexscan = off; SET enable_bitmapscan = off; "
    }
}

impl Bench {
    pub(crate) async fn open(server: &PostgresServer) -> Result<Self, Error> {
        let databases = try_join_all((0..TENANTS + 2).map(|_| server.create_database())).await?;
        let mut lanes =
            try_join_all(databases.iter().map(|database| Lane::connect(database.owner_url()))).await?;
        let (Some(walled), Some(shared)) = (lanes.pop(), lanes.pop()) else {
            return Err(Error::configuration("an oracle needs databases"));
        };
        Ok(Self {
            shared,
            walled,
            twins: lanes,
            world: None,
            before: Vec::new(),
            digests: Vec::new(),
            restart: None,
            _databases: databases,
        })
    }

    /// Replaces the world before by `world` in all copies.
    pub(crate) async fn set_up(&mut self, world: Arc<World>) -> Result<(), Error> {
        let old = self.world.replace(Arc::clone(&world)).map(|old| ddl::remove(&old)).unwrap_or_default();
        let script = |placement| format!("{old}{}{}", ddl::remove(&world), ddl::create(&world, placement));
        let shared = vec![
            (&mut self.shared, format!("{}{}", scans(&world), script(Placement::Shared))),
            (&mut self.walled, script(Placement::Walled)),
        ];
        let present = world.tenants.len();
        let twin = |tenant| if tenant < present { script(Placement::Twin(tenant)) } else { old.clone() };
        let twins = self.twins.iter_mut().enumerate().map(|(tenant, lane)| (lane, twin(tenant)));
        let all = shared.into_iter().chain(twins);
        // All of them to their ends: a script that is cut off would go on while the next is sent.
        let done = join_all(all.map(|(lane, script)| async move { lane.run_script(&script).await })).await;
        done.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.prepare_states(&world).await?;
        self.digests = (0..world.tenants.len()).map(read_state).collect();
        self.restart = ddl::restart(&world);
        self.before.clear();
        for tenant in 0..world.tenants.len() {
            let state = self.shared.query(&self.digests[tenant]).await?;
            self.before.push(state);
        }
        Ok(())
    }

    async fn prepare_states(&mut self, world: &World) -> Result<(), Error> {
        let queries: Vec<_> = (0..world.tenants.len()).map(|tenant| ddl::digest(world, tenant)).collect();
        let all: Vec<_> =
            queries.iter().enumerate().map(|(tenant, query)| (tenant, query.as_str())).collect();
        for lane in [&mut self.shared, &mut self.walled] {
            lane.prepare_states(&all).await?;
        }
        for (state, twin) in all.iter().zip(&mut self.twins) {
            twin.prepare_states(std::slice::from_ref(state)).await?;
        }
        Ok(())
    }

    /// Runs a statement on the twin and, as it was scoped, on the subject's copy.
    pub(crate) async fn run(
        &mut self,
        tenant: usize,
        statement: &Statement,
        scoped: Scoped,
    ) -> Result<Trial, Error> {
        let walls = self.walls(tenant);
        let digest = statement.writes.then_some(self.digests[tenant].as_str());
        let mut before: Vec<&str> = Vec::new();
        if statement.restart {
            before.extend(self.restart.as_deref());
        }
        let alone = Around { before: before.clone(), digest };
        let lane = match scoped.layout {
            Layout::Shared => &mut self.shared,
            Layout::Walled => {
                before.push(&walls);
                &mut self.walled
            }
        };
        let around = Around { before, digest };
        let (twin, subject) = futures_util::future::try_join(
            self.twins[tenant].run(&statement.sql, &statement.values, &alone),
            lane.run(&scoped.sql, &scoped.values, &around),
        )
        .await?;
        let before = Before { state: &self.before[tenant], sees_others: scoped.layout == Layout::Shared };
        let verdict = compare(statement, &twin, &subject, before);
        Ok(Trial { scoped, twin, subject, verdict })
    }

    /// Scopes a statement and runs it; `None` if it is refused.
    pub(crate) async fn try_out(
        &mut self,
        tenant: usize,
        statement: &Statement,
        scope: &dyn Scope,
    ) -> Result<Option<Trial>, Error> {
        let Some(world) = &self.world else { return Ok(None) };
        let Ok(scoped) = scope.scope(&world.tenants[tenant], statement) else { return Ok(None) };
        self.run(tenant, statement, scoped).await.map(Some)
    }

    /// Tells row-level security whose rows are meant, until the end of the transaction.
    fn walls(&self, tenant: usize) -> String {
        let id = match self.world.as_ref().map(|world| world.tenant_value(tenant)) {
            Some(Value::Text(Some(id))) => quoted(&id),
            Some(value) => quoted(&value.literal()),
            None => quoted(""),
        };
        format!("SELECT set_config('{SETTING}', {id}, true)")
    }
}

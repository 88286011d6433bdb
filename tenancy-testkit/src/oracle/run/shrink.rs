//! Making a failure small: first the statement, then the rows.

use std::sync::Arc;

use proptest::strategy::ValueTree;

use super::bench::{Bench, Trial};
use super::compare::Verdict;
use super::lane::Outcome;
use crate::error::Error;
use crate::oracle::r#gen::Draft;
use crate::oracle::strategy::StatementTree;
use crate::oracle::subject::{RowSecurity, Statement, Subject};
use crate::oracle::world::World;

/// How many smaller statements, and smaller worlds, are tried.
const STATEMENTS: usize = 800;
const WORLDS: usize = 60;

/// A failure that nothing could be taken from any more.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) world: Arc<World>,
    pub(crate) statement: Statement,
    pub(crate) trial: Trial,
    /// What row-level security makes of it.
    pub(crate) walled: Option<Outcome>,
}

pub(crate) async fn shrink(
    bench: &mut Bench,
    subject: &dyn Subject,
    world: Arc<World>,
    draft: Draft,
    first: Trial,
) -> Result<Small, Error> {
    let tenant = draft.tenant;
    let (statement, trial) = statement(bench, subject, &world, draft, first).await?;
    let mut small = Small { world, statement, trial, walled: None };
    rows(bench, subject, tenant, &mut small).await?;
    small.walled = walled(bench, &small.world, tenant, &small.statement).await?;
    Ok(small)
}

/// What row-level security makes of a statement on the world that is set up.
pub(crate) async fn walled(
    bench: &mut Bench,
    world: &World,
    tenant: usize,
    statement: &Statement,
) -> Result<Option<Outcome>, Error> {
    let scope = RowSecurity::default().prepare(world);
    Ok(bench.try_out(tenant, statement, scope.as_ref()).await?.map(|trial| trial.subject))
}

/// The same failure, not just any.
fn alike(a: &Trial, b: &Trial) -> bool {
    a.verdict == b.verdict && a.twin.sqlstate == b.twin.sqlstate && a.subject.sqlstate == b.subject.sqlstate
}

async fn statement(
    bench: &mut Bench,
    subject: &dyn Subject,
    world: &Arc<World>,
    draft: Draft,
    first: Trial,
) -> Result<(Statement, Trial), Error> {
    let scope = subject.prepare(world);
    let mut best = (Statement::of(&draft), first);
    let mut tree = StatementTree::new(draft);
    let mut more = tree.simplify();
    for _ in 0..STATEMENTS {
        if !more {
            break;
        }
        let candidate = tree.current();
        let tenant = tree.draft().tenant;
        let trial = bench.try_out(tenant, &candidate, scope.as_ref()).await?;
        more = match trial {
            Some(trial) if alike(&trial, &best.1) => {
                best = (candidate, trial);
                tree.simplify()
            }
            _ => tree.complicate(),
        };
    }
    Ok(best)
}

async fn rows(
    bench: &mut Bench,
    subject: &dyn Subject,
    tenant: usize,
    small: &mut Small,
) -> Result<(), Error> {
    let mut tries = 0;
    // All rows of a tenant's table first, then each row.
    for whole in [true, false] {
        for table in 0..small.world.tables.len() {
            for owner in 0..small.world.tenants.len() {
                let mut row = small.world.rows[table][owner].len();
                while row > 0 && tries < WORLDS {
                    row -= 1;
                    tries += 1;
                    let mut world = World::clone(&small.world);
                    let rows = &mut world.rows[table][owner];
                    if whole {
                        rows.clear();
                    } else {
                        rows.remove(row);
                    }
                    let world = Arc::new(world);
                    // Without a row that others point at, there is no such world.
                    let smaller = bench.set_up(Arc::clone(&world)).await.is_ok();
                    if smaller
                        && let Some(trial) =
                            bench.try_out(tenant, &small.statement, subject.prepare(&world).as_ref()).await?
                        && matches!(trial.verdict, Verdict::Different(_))
                        && alike(&trial, &small.trial)
                    {
                        (small.world, small.trial) = (world, trial);
                    }
                    if whole {
                        break;
                    }
                }
            }
        }
    }
    bench.set_up(Arc::clone(&small.world)).await
}

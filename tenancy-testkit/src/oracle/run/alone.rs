//! The subject's copy without anybody else's rows.
//!
//! PostgreSQL promises no order in which the parts of a condition are asked, nor that it asks them all. A statement with a
//! part that always fails may fail or not, as its plan falls, and a fence changes the plan. That says something about
//! others' rows only if it comes out otherwise where there are none.

use std::sync::Arc;

use super::bench::{Bench, Trial};
use crate::error::Error;
use crate::oracle::subject::{Statement, Subject};
use crate::oracle::world::World;

/// True if a statement that differs from its twin came upon its own mine, and does so where no other tenant has a row too.
pub(crate) async fn fails_alone(
    bench: &mut Bench,
    subject: &dyn Subject,
    world: &Arc<World>,
    tenant: usize,
    (statement, trial): (&Statement, &Trial),
) -> Result<bool, Error> {
    let mined = statement.constructs.contains(&"mine");
    let failed = trial.subject.sqlstate.as_deref().is_some_and(|code| code.starts_with("22"));
    if !mined || !failed {
        return Ok(false);
    }
    let alone = Arc::new(world.without_others(tenant));
    let again = match bench.set_up(Arc::clone(&alone)).await {
        Ok(()) => bench.try_out(tenant, statement, subject.prepare(&alone).as_ref()).await?,
        Err(_) => None,
    };
    bench.set_up(Arc::clone(world)).await?;
    Ok(again
        .is_some_and(|again| again.subject.sqlstate == trial.subject.sqlstate && kind(&again) == kind(trial)))
}

/// What the database said, without the digits of the value that it names: a time is another one each time.
fn kind(trial: &Trial) -> String {
    trial.subject.message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

//! Joins the run's server, or starts it.

use std::{
    future::Future,
    io::{self, Write},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{task, time::timeout};

use super::{
    Ladder, Rung,
    reason::Reason,
    state::{Record, StateFolder},
    watchdog,
};
use crate::error::{Error, RungFailure};

/// What the kit has to know about a service to share one server of it.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// What the record holds beside the URL.
    type Detail: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The connection that this process holds for its whole life; the server's liveness may depend on it.
    type Guard: Send + 'static;

    /// The service's name in messages.
    const NAME: &'static str;

    /// Starts a server from one rung, ready to be used, or says why that is not possible.
    fn start(
        &self,
        rung: Rung,
        ladder: Ladder,
        folder: StateFolder,
    ) -> impl Future<Output = Result<Record<Self::Detail>, Reason>> + Send;

    /// Opens this process's guard connection, or says why the server cannot be used.
    fn join(&self, record: &Record<Self::Detail>)
    -> impl Future<Output = Result<Self::Guard, Reason>> + Send;
}

/// A server that this process uses.
pub(crate) struct Attached<S: Service> {
    pub(crate) record: Record<S::Detail>,
    pub(crate) guard: S::Guard,
}

/// What a server's start may take beside the pull of an image, and what the first look at one may take. Whoever waits
/// holds the lock: what hangs is told, not waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// Joins the run's server of this ladder, or climbs the ladder and starts one.
///
/// Only one process at a time gets here: the others wait for the lock and then find the record.
pub(crate) async fn attach<S: Service>(service: S, ladder: Ladder) -> Result<Attached<S>, Error> {
    let folder = StateFolder::open(S::NAME, &ladder)?;
    let opened = folder.clone();
    // Two processes before this one may start a server each, and the first of them fail.
    let limit = (ladder.pull_timeout.saturating_add(LIMIT * 2)).saturating_mul(2);
    let lock = task::spawn_blocking(move || opened.lock(limit)).await;
    let _lock = lock.expect("taking a lock does not panic")?;
    for home in folder.homes() {
        // What cannot be replaced now is tried again by the next process; this one's server is more urgent.
        let _ = watchdog::replace_if_dead(&home);
    }
    if let Some(attached) = join_current(&service, &folder).await? {
        return Ok(attached);
    }
    climb(&service, &ladder, &folder).await
}

async fn join_current<S: Service>(service: &S, folder: &StateFolder) -> Result<Option<Attached<S>>, Error> {
    let Some(seen) = folder.current::<S::Detail>() else { return Ok(None) };
    let watched = seen.rung() == Some(Rung::Local);
    if watched {
        folder.take_seat(&seen.id)?;
    }
    // The watchdog may have withdrawn the record before it could see this process.
    let current = folder.current::<S::Detail>().filter(|current| current.id == seen.id);
    if let Some(record) = current
        && let Ok(guard) = within(LIMIT, service.join(&record)).await
    {
        announce::<S>(&record);
        return Ok(Some(Attached { record, guard }));
    }
    if watched {
        folder.leave_seat(&seen.id);
    }
    Ok(None)
}

async fn climb<S: Service>(service: &S, ladder: &Ladder, folder: &StateFolder) -> Result<Attached<S>, Error> {
    let mut failures = Vec::new();
    for &rung in ladder.rungs() {
        match start(service, rung, ladder, folder).await {
            Ok(attached) => {
                folder.publish(&attached.record)?;
                announce::<S>(&attached.record);
                return Ok(attached);
            }
            Err(reason) => failures.push(RungFailure { rung, reason: reason.to_string() }),
        }
        if rung == Rung::Url && ladder.url.is_some() {
            // Whoever names a server means that server: nothing else takes its place.
            break;
        }
    }
    Err(Error::no_server(S::NAME, failures))
}

async fn start<S: Service>(
    service: &S,
    rung: Rung,
    ladder: &Ladder,
    folder: &StateFolder,
) -> Result<Attached<S>, Reason> {
    let starting = service.start(rung, ladder.clone(), folder.clone());
    let record = within(ladder.pull_timeout.saturating_add(LIMIT), starting).await?;
    let guard = within(LIMIT, service.join(&record)).await?;
    Ok(Attached { record, guard })
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Reason>>) -> Result<T, Reason> {
    let late = |_| Reason::from(format!("no answer within {} s", limit.as_secs()));
    timeout(limit, work).await.map_err(late)?
}

/// Says which server the tests run on, past the capture of passing tests' output: a run has to show it.
fn announce<S: Service>(record: &Record<S::Detail>) {
    let service = S::NAME.to_lowercase();
    // Nowhere to print to is no reason to fail a test.
    let _ = writeln!(io::stderr(), "{}: {} {}", service, record.rung, record.description);
}

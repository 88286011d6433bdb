//! [`check_isolation`], [`replay`] and [`Check`]: how a search is started.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Start;
use super::budget;
use super::describe::handler::BoxError;
use super::describe::{Service, World};
use super::leak::Leak;
use super::search::Search;
use super::seed::Seed;
use super::verdict::Verdict;
use crate::error::{Error, ErrorKind};

/// Searches a service for leaks, for as long as `TENANCY_BUDGET` says or for 30 seconds.
///
/// `start` starts the service with a database of its own, knowing the tenants of the [`World`] and no other. It is called
/// many times: each program begins with a fresh service.
///
/// # Panics
///
/// Panics with the leak, the shortest program that shows it, and a seed for [`replay`]; and if the search cannot vouch for
/// what it did not find: an operation never succeeded, or a leak that the kit planted was not seen.
pub fn check_isolation<F, Fut, E>(start: F)
where
    F: Fn(World) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Service, E>> + 'static,
    E: Into<BoxError>,
{
    let verdict = Check::new(start).run().unwrap_or_else(|error| panic!("{error:?}"));
    if let Some(leak) = verdict.leak {
        panic!("{leak}");
    }
}

/// Runs the program of a seed that a failure has printed.
///
/// # Panics
///
/// Panics with the leak for as long as it is there.
pub fn replay<F, Fut, E>(start: F, seed: &str)
where
    F: Fn(World) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Service, E>> + 'static,
    E: Into<BoxError>,
{
    let leak = Check::new(start).replay(seed).unwrap_or_else(|error| panic!("{error:?}"));
    if let Some(leak) = leak {
        panic!("{leak}");
    }
}

/// A search with options; [`check_isolation`] is the one without.
#[derive(Clone)]
pub struct Check {
    start: Start,
    budget: Option<Duration>,
    seed: Option<u64>,
    programs: u64,
    partial: bool,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("budget", &self.budget)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Check {
    /// Returns a search of the service that `start` starts.
    #[must_use]
    pub fn new<F, Fut, E>(start: F) -> Self
    where
        F: Fn(World) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Service, E>> + 'static,
        E: Into<BoxError>,
    {
        let start: Start = Arc::new(move |world| {
            let starting = start(world);
            Box::pin(async move { starting.await.map_err(Into::into) })
        });
        Self { start, budget: None, seed: None, programs: u64::MAX, partial: false }
    }

    /// Sets how long the search looks for a leak; a program that has begun, and shrinking, may take some seconds more.
    /// Without it `TENANCY_BUDGET` decides, and 30 seconds where that is not set.
    #[must_use]
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets the number from which all programs come. Without it `TENANCY_SEED` decides, and a fixed number where that is
    /// not set.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Ends the search after so many programs, if the budget has not ended it before: for a run that does the same on a
    /// fast machine and on a slow one.
    #[must_use]
    pub fn with_programs(mut self, programs: u64) -> Self {
        self.programs = programs;
        self
    }

    /// Lets a run pass in which operations were never exercised; [`Verdict::not_exercised`] names them.
    #[must_use]
    pub fn with_partial_coverage(mut self) -> Self {
        self.partial = true;
        self
    }

    /// Searches.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the description or a variable makes no sense; [`ErrorKind::Start`] if the service
    /// does not start or a hook fails; [`ErrorKind::PowerfulRole`] if the service's role proves nothing;
    /// [`ErrorKind::Void`] if the search cannot vouch for what it did not find.
    pub fn run(self) -> Result<Verdict, Error> {
        let (start, partial, programs) = (self.start.clone(), self.partial, self.programs);
        let seed = self.seed.map_or_else(budget::seed, Ok)?;
        let time = self.budget.map_or_else(budget::budget, Ok)?;
        let verdict = elsewhere(move || Search::new(start, seed, time)?.run(programs))?;
        let gaps = [&verdict.not_exercised, &verdict.not_attacked].map(|list| list.join(", "));
        let complete = gaps.iter().all(String::is_empty);
        if verdict.leak.is_none() && verdict.never_harmed() {
            let message = "the run is void: no fault was ever met; the service's connections do not go through the proxy";
            return Err(Error::new(ErrorKind::Void, message));
        }
        if verdict.leak.is_some() || partial || complete {
            return Ok(verdict);
        }
        let message = format!(
            "the run is void: never served to a tenant: [{}]; never asked for another tenant's: [{}]",
            gaps[0], gaps[1]
        );
        Err(Error::new(ErrorKind::Void, message))
    }

    /// Runs the program of `seed`, some times over if it does not leak at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `seed` is none; otherwise as [`run`](Self::run).
    pub fn replay(self, seed: &str) -> Result<Option<Leak>, Error> {
        let seed: Seed = seed.parse()?;
        elsewhere(move || Search::new(self.start, seed.run, Duration::ZERO)?.replay(&seed))
    }
}

/// On a thread without a runtime: a test that has one may call a search too.
fn elsewhere<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

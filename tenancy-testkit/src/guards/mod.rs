//! Takes guards away, one at a time, and requires a suite of tests to notice.
//!
//! A test that passes without the guard that it is about proves nothing. [`Guards`] runs the suite's own command: once as it
//! is, which must be green; once for each [`Guard`] with that one off, which must be red; and once more as it is.
//!
//! ```no_run
//! use std::process::Command;
//! use tenancy_testkit::guards::{Guard, Guards};
//!
//! let mut suite = Command::new("cargo");
//! suite.args(["test", "--package", "shop"]);
//! let roll = Guards::new(suite).with_unused(Guard::Force).run()?;
//! print!("{roll}");
//! assert_eq!(roll.exit_code(), 0, "a guard's absence went unnoticed");
//! # Ok::<(), tenancy_testkit::guards::Error>(())
//! ```
//!
//! As a program: `tenancy-guards --unused force -- cargo test --package shop`.
//!
//! # How a guard is off
//!
//! The tests are built with the feature `broken-on-purpose-for-tests-only` of `tenancy-tower` and `tenancy-seaorm`, in
//! `[dev-dependencies]` and nowhere else, and with that of this crate where they use its databases. Without the feature
//! there is no code for it. With it, all guards stand unless the variable [`Guard::VARIABLE`] names one; a name that is none
//! is refused. A guard that is off says so on standard error.
//!
//! The policies and `FORCE` are the database's. A [`TestDatabase`](crate::TestDatabase) undoes them where a migration makes
//! them, by an event trigger; databases that come from elsewhere keep theirs. That takes a superuser.
//!
//! # Two walls hide each other
//!
//! Where row-level security stands behind the filter, answers stay the same without either of the two. Such a suite notices
//! if it tests each wall without the other (`PolicyBuilder::break_on_purpose(Mutant::NoFilter)` for the second one), looks
//! at the database with the doctor, or starts the service with `Tenancy::with_row_security`, which looks whether the wall
//! stands.
//!
//! # What it does not see
//!
//! Nothing but the exit code tells red from green, so that a suite which does not always pass may look as if it had
//! noticed; that it is green at the start and at the end makes that less likely. A test that never ends is waited for: give
//! the command a limit of its own.

mod error;
mod roll;
mod suite;

use std::collections::BTreeSet;
use std::process::Command;

pub use tenancy_core::{Guard, UnknownGuard};

pub use self::error::{Error, ErrorKind};
pub use self::roll::{Answer, Roll, Tried};
use self::suite::Suite;

/// A suite of tests, and the guards that it has to miss.
#[derive(Debug)]
pub struct Guards {
    suite: Suite,
    guards: BTreeSet<Guard>,
    unused: BTreeSet<Guard>,
}

impl Guards {
    /// Returns a run over every guard of the tests that `command` runs: it exits with 0 if they pass.
    ///
    /// Its output is kept, and shown if it is red with all guards standing.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self { suite: Suite::new(command), guards: Guard::ALL.into(), unused: BTreeSet::new() }
    }

    /// Takes these guards away and no others.
    #[must_use]
    pub fn with_guards(self, guards: impl IntoIterator<Item = Guard>) -> Self {
        Self { guards: guards.into_iter().collect(), ..self }
    }

    /// States that the service does without this guard: nothing that never misses it is at fault for that.
    ///
    /// The suite is run without it all the same. If the guard is missed, the suite has to notice.
    #[must_use]
    pub fn with_unused(mut self, guard: Guard) -> Self {
        self.unused.insert(guard);
        self
    }

    /// Runs the suite without each guard, and says which were noticed.
    ///
    /// # Errors
    ///
    /// As [`Guards::run_and_tell`].
    pub fn run(&mut self) -> Result<Roll, Error> {
        self.run_and_tell(|_| {})
    }

    /// Runs the suite without each guard, and tells of each as soon as it was tried.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Command`] if the command does not start or is killed; [`ErrorKind::Red`], with the end of its
    /// output, if the suite is red at the start or at the end, with all guards standing; [`ErrorKind::File`] if the
    /// temporary file that guards are noted in cannot be used.
    pub fn run_and_tell(&mut self, mut tell: impl FnMut(&Tried)) -> Result<Roll, Error> {
        let standing = self.suite.standing()?;
        let mut tried = Vec::new();
        for &guard in &self.guards {
            let one = Tried::new(guard, self.suite.without(guard)?, self.unused.contains(&guard));
            tell(&one);
            tried.push(one);
        }
        self.suite.standing()?;
        Ok(Roll { standing, tried })
    }
}

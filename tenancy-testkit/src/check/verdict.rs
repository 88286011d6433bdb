//! [`Verdict`]: what a run found, and what it can vouch for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::coverage::Coverage;
use super::describe::Operation;
use super::describe::operation::Access;
use super::describe::world::NAMES;
use super::detect::Detector;
use super::leak::Leak;
use super::matrix::{AccessMatrix, aims};
use super::meter::Spent;
use crate::report::{self, MatrixCell, OperationCoverage, Report};

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The leak that ended the run, if there was one.
    pub leak: Option<Leak>,
    /// Who was served what.
    pub matrix: AccessMatrix,
    /// How many programs ran.
    pub programs: u64,
    /// How many requests were answered in programs, twins not counted.
    pub requests: u64,
    /// How long the run took.
    pub took: Duration,
    /// Operations that no tenant ever succeeded with: what they leak was not seen (KIT-02).
    pub not_exercised: Vec<String>,
    /// Operations that were never asked for another tenant's things.
    pub not_attacked: Vec<String>,
    /// The seed of the run, as `TENANCY_SEED` takes it.
    pub seed: String,
    /// The detectors that have shown in this run that they see: a leak was planted for each, and it was found.
    pub proved: BTreeSet<Detector>,
    /// What looked like a leak and turned out to be a matter of time, or of what was the caller's own: not reported, and
    /// worth a look where it is much.
    pub doubtful: Vec<String>,
    /// How long the run might have taken.
    pub budget: Duration,
    /// How many requests were sent in all, and where the time went.
    pub spent: Spent,
    coverage: Coverage,
    operations: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(
        operations: &[Operation],
        coverage: &Coverage,
        leak: Option<Leak>,
        took: Duration,
        seed: u64,
    ) -> Self {
        let rows = || operations.iter().zip(&coverage.rows).filter(|(op, _)| !op.never_exercised);
        let unserved = rows().filter(|(op, row)| op.access != Access::Admin && row.own.served == 0);
        let unattacked = rows().filter(|(op, row)| aims(op) && row.own.served > 0 && row.foreign.asked == 0);
        Self {
            leak,
            matrix: AccessMatrix::new(operations, coverage),
            programs: coverage.programs,
            requests: coverage.requests,
            took,
            not_exercised: unserved.map(|(op, _)| op.name()).collect(),
            not_attacked: unattacked.map(|(op, _)| op.name()).collect(),
            seed: format!("{seed:x}"),
            proved: BTreeSet::new(),
            doubtful: Vec::new(),
            budget: Duration::ZERO,
            spent: Spent::default(),
            coverage: coverage.clone(),
            operations: operations.iter().map(Operation::name).collect(),
        }
    }

    /// Whether breaks on the way to the database were asked for, and none was met.
    pub(super) fn never_harmed(&self) -> bool {
        self.coverage.harmed.asked > 0 && self.coverage.harmed.served == 0
    }

    /// Returns the run as a report, which writes itself as JSON, JUnit and a page; `service` is its title.
    #[must_use]
    pub fn report(&self, service: impl Into<String>) -> Report {
        let void = |list: &[String], what: &str| {
            list.iter().map(|name| format!("{name} was {what}")).collect::<Vec<_>>()
        };
        let mut gaps = void(&self.not_exercised, "never served to a tenant");
        gaps.extend(void(&self.not_attacked, "never asked for another tenant's things"));
        Report {
            service: service.into(),
            seed: self.seed.clone(),
            budget: self.budget,
            elapsed: self.took,
            time_to_first_catch: self.leak.as_ref().map(|leak| leak.after),
            programs: self.programs,
            requests: self.requests,
            tenants: self.tenants(),
            coverage: self.operation_coverage(),
            matrix: self.tenant_matrix(),
            checks: self.checks(),
            leaks: self.leak.iter().map(reported).collect(),
            doctor: None,
            void: gaps,
        }
    }

    /// Tenants in the order of their places; worlds give them short names and long ones, here they have the short ones.
    fn tenants(&self) -> Vec<String> {
        let most = self.coverage.pairs.keys().map(|(whose, who)| whose.max(who) + 1).max().unwrap_or(0);
        NAMES.iter().take(most).map(|name| (*name).to_owned()).collect()
    }

    fn operation_coverage(&self) -> Vec<OperationCoverage> {
        let rows = self.operations.iter().zip(&self.coverage.rows);
        rows.map(|(operation, row)| OperationCoverage {
            operation: operation.clone(),
            own: row.own.asked,
            foreign: row.foreign.asked,
            missing: row.missing.asked,
        })
        .collect()
    }

    fn tenant_matrix(&self) -> Vec<MatrixCell> {
        let leak = self.leak.as_ref();
        let cell = |(whose, who): (usize, usize), requests: u64| {
            let is = |name: &Option<String>, index: usize| name.as_deref() == NAMES.get(index).copied();
            let leaks = u64::from(leak.is_some_and(|leak| is(&leak.from, whose) && is(&leak.to, who)));
            MatrixCell { from: NAMES[whose].into(), to: NAMES[who].into(), requests, leaks }
        };
        self.coverage.pairs.iter().map(|(pair, requests)| cell(*pair, *requests)).collect()
    }

    fn checks(&self) -> Vec<report::Check> {
        let observed = self.coverage.observed.iter();
        observed
            .map(|(detector, observations)| report::Check {
                detector: detector.reported(),
                observations: *observations,
                planted_seen: self.proved.contains(detector).then_some(true),
            })
            .collect()
    }
}

fn reported(leak: &Leak) -> report::Leak {
    let last = leak.sequence.iter().find(|step| step.leaks).or_else(|| leak.sequence.last());
    report::Leak {
        detector: leak.detector.reported(),
        from: leak.from.clone().unwrap_or_default(),
        to: leak.to.clone().unwrap_or_default(),
        request: last.map(|step| step.request.clone()).unwrap_or_default(),
        what: leak.what.clone(),
        program: leak.script.join("\n"),
        curl: leak.curl.clone(),
        seed: leak.seed.clone(),
        steps: leak.sequence.clone(),
        shrunk_from: leak.shrunk_from,
        found_after: leak.after,
    }
}

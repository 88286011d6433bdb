//! [`Leak`]: what a failed check says.

use std::fmt;
use std::time::Duration;

use super::detect::Detector;
use super::program::run::Record;
use super::program::script::{curl, script};
use super::program::signal::Fault;
use super::seed::Seed;
use super::shrink::Shown;
use crate::report;

/// A leak: what crossed, from whom to whom, by which request, and how to see it again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// What noticed it.
    pub detector: Detector,
    /// What crossed.
    pub what: String,
    /// Whose data it is, by slug, where that is known.
    pub from: Option<String>,
    /// Who got at it, by slug, where it is somebody.
    pub to: Option<String>,
    /// The operation that was called, such as `GET /orders/{id}`; empty where it was none.
    pub operation: String,
    /// The shortest program that was found, a line for each request.
    pub script: Vec<String>,
    /// The same requests as commands.
    pub curl: Vec<String>,
    /// What [`replay`](super::replay) takes.
    pub seed: String,
    /// How many steps the shortest program has.
    pub steps: usize,
    /// The shortest program as the steps of a sequence diagram.
    pub sequence: Vec<report::Step>,
    /// How many requests the program had before it was made shorter.
    pub shrunk_from: usize,
    /// From the beginning of the run until the leak was first seen.
    pub after: Duration,
}

impl Leak {
    pub(crate) fn new(shown: &Shown, run: u64, program: u64, after: Duration, shrunk_from: usize) -> Self {
        let (finding, world) = (&shown.finding, &shown.program.world);
        let slug = |tenant: Option<usize>| Some(world.all().get(tenant?)?.slug().to_owned());
        let records = &shown.attempt.records;
        let by = |record: &&Record| record.step == finding.step && record.call == finding.call;
        let steps = shown.program.steps.iter().map(|step| step.number).collect();
        Self {
            detector: finding.detector,
            what: finding.what.clone(),
            from: slug(finding.from),
            to: slug(finding.to),
            operation: records.iter().find(by).map(|record| record.name.clone()).unwrap_or_default(),
            script: script(&shown.program, records),
            curl: records.iter().map(|record| curl(&record.outgoing)).collect(),
            seed: Seed { run, program, detector: finding.detector, steps }.to_string(),
            steps: shown.program.steps.len(),
            sequence: sequence(shown),
            shrunk_from,
            after,
        }
    }
}

fn sequence(shown: &Shown) -> Vec<report::Step> {
    let (finding, program) = (&shown.finding, &shown.program);
    let mut steps = Vec::new();
    for step in &program.steps {
        let leaks = |call: usize| step.number == finding.step && call == finding.call;
        if step.action.calls().is_empty() {
            let request = script(&program.only(&[step.number]), &[]).join(", ");
            steps.push(report::Step {
                kind: report::StepKind::Event,
                request,
                leaks: leaks(0),
                ..report::Step::default()
            });
        }
        for record in shown.attempt.records.iter().filter(|record| record.step == step.number) {
            let named = record.signal.fault != Fault::Missing;
            let tenant =
                if named { program.world.all()[record.caller].slug().to_owned() } else { String::new() };
            steps.push(report::Step {
                kind: report::StepKind::Request,
                tenant,
                request: format!("{} {}", record.outgoing.method, record.outgoing.target),
                answer: record.answer.as_ref().map(|answer| answer.status.to_string()).unwrap_or_default(),
                leaks: leaks(record.call),
            });
        }
    }
    steps
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "leak ({}): {}", self.detector, self.what)?;
        let name = |tenant: &Option<String>| tenant.clone().unwrap_or_else(|| "-".into());
        writeln!(f, "  from {} to {}", name(&self.from), name(&self.to))?;
        if !self.operation.is_empty() {
            writeln!(f, "  by {}", self.operation)?;
        }
        writeln!(f, "\nthe shortest program that shows it:")?;
        for (i, line) in self.script.iter().enumerate() {
            writeln!(f, "  {:2}. {line}", i + 1)?;
        }
        writeln!(f, "\nas commands:")?;
        for line in &self.curl {
            writeln!(f, "  {line}")?;
        }
        write!(f, "\nagain: replay(start, \"{}\")", self.seed)
    }
}

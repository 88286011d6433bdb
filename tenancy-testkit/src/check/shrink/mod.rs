//! From the program in which a leak was seen to the shortest one that still shows it.

use std::time::{Duration, Instant};

use super::attempt::{Attempt, Bench};
use super::detect::Finding;
use super::program::{Program, Step};
use crate::error::Error;

/// What shrinking may take: a person waits for it.
const LIMIT: Duration = Duration::from_secs(20);
/// A leak of chance gets this many tries to show itself.
const TRIES: usize = 2;

/// A program that shows a leak, and how it went.
pub(crate) struct Shown {
    pub(crate) program: Program,
    pub(crate) finding: Finding,
    pub(crate) attempt: Attempt,
}

/// Takes steps away for as long as the same detector still fires.
pub(crate) async fn shrink(bench: &mut Bench, mut shown: Shown, twin: Option<usize>) -> Result<Shown, Error> {
    let mut shrinker = Shrinker { bench, twin, deadline: Instant::now() + LIMIT };
    cut(&mut shown);
    // What most leaks need is not much: the request itself, or what its two tenants have done.
    for few in [shrinker.alone(&shown), shrinker.of_both(&shown)] {
        if few.len() < shown.program.steps.len()
            && !few.is_empty()
            && let Some(shorter) = shrinker.with(&shown, &few).await?
        {
            shown = shorter;
        }
    }
    let mut chunk = shown.program.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut removed = false;
        while at < shown.program.steps.len() {
            if shrinker.is_late() {
                return Ok(shown);
            }
            match shrinker.without(&shown, at, chunk).await? {
                Some(shorter) => {
                    shown = shorter;
                    removed = true;
                }
                None => at += chunk,
            }
        }
        match chunk {
            1 if !removed => return Ok(shown),
            1 => {}
            _ => chunk = chunk.div_ceil(2),
        }
    }
}

/// Nothing after the step in which the leak was seen has to do with it.
fn cut(shown: &mut Shown) {
    let steps = &mut shown.program.steps;
    if let Some(at) = steps.iter().position(|step| step.number == shown.finding.step) {
        steps.truncate(at + 1);
    }
}

struct Shrinker<'a> {
    bench: &'a mut Bench,
    twin: Option<usize>,
    deadline: Instant,
}

impl Shrinker<'_> {
    fn is_late(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// The step in which the leak was seen.
    fn alone(&self, shown: &Shown) -> Vec<u16> {
        vec![shown.finding.step]
    }

    /// What was done by those between whom something crossed.
    fn of_both(&self, shown: &Shown) -> Vec<u16> {
        let both = [shown.finding.from, shown.finding.to];
        let of = |step: &&Step| {
            let callers = step.action.calls().into_iter().map(|call| call.caller);
            let tenants = callers.chain(step.action.subject());
            step.number == shown.finding.step
                || tenants.into_iter().any(|tenant| both.contains(&Some(tenant)))
        };
        shown.program.steps.iter().filter(of).map(|step| step.number).collect()
    }

    /// The program with these steps alone, if it still leaks.
    async fn with(&mut self, shown: &Shown, numbers: &[u16]) -> Result<Option<Shown>, Error> {
        self.tried(shown, shown.program.only(numbers)).await
    }

    /// The program without some steps, if it still leaks.
    async fn without(&mut self, shown: &Shown, at: usize, count: usize) -> Result<Option<Shown>, Error> {
        let mut program = shown.program.clone();
        let end = (at + count).min(program.steps.len());
        program.steps.drain(at..end);
        if program.steps.is_empty() {
            return Ok(None);
        }
        self.tried(shown, program).await
    }

    async fn tried(&mut self, shown: &Shown, program: Program) -> Result<Option<Shown>, Error> {
        for _ in 0..TRIES {
            let attempt = self.bench.attempt(&program, self.twin, None).await?;
            let same = |new: &Finding| new.detector == shown.finding.detector;
            if let Some(finding) = attempt.finding.clone().filter(same)
                && self.bench.confirms(&program, &finding, &attempt.records).await?
            {
                let mut shorter = Shown { program, finding, attempt };
                cut(&mut shorter);
                return Ok(Some(shorter));
            }
            // What did not depend on chance before does not now.
            if shown.program.steps.len() > 40 {
                break;
            }
        }
        Ok(None)
    }
}

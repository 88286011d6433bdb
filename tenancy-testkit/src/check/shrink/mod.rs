//! From the program in which a leak was seen to the shortest one that still shows it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, Bench};
use super::detect::{Detector, Finding};
use super::program::run::Record;
use super::program::{Action, Program, Step};
use crate::error::Error;

/// What shrinking may take: a person waits for it.
const LIMIT: Duration = Duration::from_secs(20);
/// A leak of chance gets this many tries to show itself.
const TRIES: usize = 2;
/// How often, in how many more tries, one has to show itself that depends on when a client went away, for a replay, which tries
/// more often, to show it nearly always.
const OFTEN: usize = 2;
const MORE: usize = 6;

/// A program that shows a leak, and how it went.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) program: Program,
    pub(crate) finding: Finding,
    pub(crate) attempt: Attempt,
}

/// Takes steps away for as long as the same detector still fires.
///
/// A step less is believed without a second look; what is handed out was looked at again. Where that fails, the steps
/// that were taken away without one are put back.
pub(crate) async fn shrink(bench: &mut Bench, mut shown: Shown) -> Result<Shown, Error> {
    let mut shrinker = Shrinker { bench, deadline: Instant::now() + LIMIT };
    cut(&mut shown);
    let mut sure = shown.clone();
    for few in guesses(&shown) {
        if few.len() < shown.program.steps.len() && shrinker.has_time() {
            let shorter = shrinker.tried(&shown, shown.program.only(&few), TRIES).await?;
            if let Some(shorter) = shorter {
                shown = shorter;
                break;
            }
        }
    }
    if let Some(confirmed) = shrinker.confirmed(&shown, &sure).await? {
        sure = confirmed;
    }
    let least = shrinker.halved(sure.clone()).await?;
    Ok(shrinker.confirmed(&least, &sure).await?.unwrap_or(sure))
}

/// Nothing after the step in which the leak was seen has to do with it.
fn cut(shown: &mut Shown) {
    let steps = &mut shown.program.steps;
    if let Some(at) = steps.iter().position(|step| step.number == shown.finding.step) {
        steps.truncate(at + 1);
    }
}

/// What most leaks need is not much: the request itself, the answers that its values came from, what operators did
/// before, or what its two tenants have done. The shortest guess comes first.
fn guesses(shown: &Shown) -> Vec<Vec<u16>> {
    let last = shown.finding.step;
    let alone: BTreeSet<u16> = [last].into();
    let sourced = with_sources(alone.clone(), &shown.attempt.records);
    let events = shown.program.steps.iter().filter(|step| step.action.calls().is_empty());
    let events: BTreeSet<u16> = events.map(|step| step.number).collect();
    let named: BTreeSet<u16> = of_both(shown, is_named_alike(shown)).collect();
    let writes: BTreeSet<u16> = of_both(shown, writes(shown)).collect();
    let asked: BTreeSet<u16> = of_both(shown, asks_the_same(shown)).collect();
    let both: BTreeSet<u16> = of_both(shown, |_| true).collect();
    let mut all = vec![alone.clone(), sourced.clone()];
    for more in [&events, &asked, &named, &writes, &both] {
        let near = sourced.union(more).copied().collect::<BTreeSet<_>>();
        all.push(with_sources(near.clone(), &shown.attempt.records));
        all.push(with_sources(near.union(&events).copied().collect(), &shown.attempt.records));
    }
    all.retain(|few| few.contains(&last));
    all.sort_by_key(BTreeSet::len);
    all.dedup();
    all.into_iter().map(|few| few.into_iter().collect()).collect()
}

/// The steps, and those in whose answers their requests' values were seen first.
fn with_sources(mut steps: BTreeSet<u16>, records: &[Record]) -> BTreeSet<u16> {
    loop {
        let of = records.iter().filter(|record| steps.contains(&record.step));
        let more: BTreeSet<u16> = of.flat_map(|record| record.outgoing.used.sources.clone()).collect();
        if more.is_subset(&steps) {
            return steps;
        }
        steps.extend(more);
    }
}

/// What was done by those between whom something crossed, as far as `want` says.
fn of_both(shown: &Shown, want: impl Fn(&Step) -> bool) -> impl Iterator<Item = u16> {
    let both = [shown.finding.from, shown.finding.to];
    let of = move |step: &&Step| {
        let callers = step.action.calls().into_iter().map(|call| call.caller);
        let mut tenants = callers.chain(step.action.subject());
        step.number == shown.finding.step
            || (tenants.any(|tenant| both.contains(&Some(tenant))) && want(step))
    };
    shown.program.steps.iter().filter(of).map(|step| step.number)
}

/// Whether a step names its tenant in the way in which the last one does: what remembers a spelling has heard it before.
fn is_named_alike(shown: &Shown) -> impl Fn(&Step) -> bool {
    let signal = |step: &Step| {
        let calls = step.action.calls();
        calls.first().map(|call| (call.signal.fault, call.signal.variety, call.caller))
    };
    let last = shown.program.steps.iter().find(|step| step.number == shown.finding.step).and_then(signal);
    move |step| signal(step) == last
}

/// Whether a step asks for what the last one asks for: what a cache keeps of it came from there.
fn asks_the_same(shown: &Shown) -> impl Fn(&Step) -> bool {
    let operations =
        |step: &Step| -> Vec<usize> { step.action.calls().into_iter().map(|call| call.operation).collect() };
    let last = shown.program.steps.iter().find(|step| step.number == shown.finding.step);
    let last = last.map(operations).unwrap_or_default();
    move |step| operations(step).iter().any(|operation| last.contains(operation))
}

/// Whether a step has written something.
fn writes(shown: &Shown) -> impl Fn(&Step) -> bool {
    let writing = shown.attempt.records.iter().filter(|record| !record.reads).map(|record| record.step);
    let writing: BTreeSet<u16> = writing.collect();
    move |step| writing.contains(&step.number)
}

struct Shrinker<'a> {
    bench: &'a mut Bench,
    deadline: Instant,
}

impl Shrinker<'_> {
    fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// `shown` with what a second look has brought, if it is not the one that was looked at before.
    async fn confirmed(&mut self, shown: &Shown, sure: &Shown) -> Result<Option<Shown>, Error> {
        if shown.program.steps.len() == sure.program.steps.len() {
            return Ok(None);
        }
        let confirmed = self.bench.confirms(&shown.program, &shown.finding, &shown.attempt.records).await?;
        Ok(confirmed.then(|| shown.clone()))
    }

    /// Takes away a half of the steps, a quarter, and so on down to single ones.
    async fn halved(&mut self, mut shown: Shown) -> Result<Shown, Error> {
        let mut chunk = shown.program.steps.len().div_ceil(2).max(1);
        loop {
            let (mut at, mut removed) = (0, false);
            while at < shown.program.steps.len() {
                if !self.has_time() {
                    return Ok(shown);
                }
                match self.without(&shown, at, chunk).await? {
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

    /// The program without some steps, if it still leaks.
    async fn without(&mut self, shown: &Shown, at: usize, count: usize) -> Result<Option<Shown>, Error> {
        let mut program = shown.program.clone();
        let end = (at + count).min(program.steps.len());
        program.steps.drain(at..end);
        if program.steps.is_empty() {
            return Ok(None);
        }
        // What did not depend on chance before does not now.
        let tries = if shown.program.steps.len() > 40 { 1 } else { TRIES };
        self.tried(shown, program, tries).await
    }

    async fn tried(&mut self, shown: &Shown, program: Program, tries: usize) -> Result<Option<Shown>, Error> {
        for _ in 0..tries {
            if let Some(shorter) = self.once(shown, &program).await? {
                return Ok(self.often(&shorter).await?.then_some(shorter));
            }
            let by_chance = program.steps.iter().any(|step| {
                matches!(step.action, Action::Together(_)) || step.action.may_end_early() || program.threads
            });
            if !by_chance {
                break;
            }
        }
        Ok(None)
    }

    /// Whether a leak that may depend on how far a request came before it ended shows itself more than now and then.
    async fn often(&mut self, shown: &Shown) -> Result<bool, Error> {
        let mut seen =
            if shown.program.steps.iter().any(|step| step.action.may_end_early()) { 0 } else { OFTEN };
        for _ in 0..MORE {
            if seen < OFTEN && self.once(shown, &shown.program).await?.is_some() {
                seen += 1;
            }
        }
        Ok(seen >= OFTEN)
    }

    /// The program, if the same detector fires now.
    async fn once(&mut self, shown: &Shown, program: &Program) -> Result<Option<Shown>, Error> {
        let twins: Vec<usize> = match shown.finding.detector {
            Detector::Twin => shown.finding.to.into_iter().collect(),
            _ => Vec::new(),
        };
        let attempt = self.bench.attempt(program, &twins, None).await?;
        let same = |new: &Finding| new.detector == shown.finding.detector;
        Ok(attempt.finding.clone().filter(same).map(|finding| {
            let mut shorter = Shown { program: program.clone(), finding, attempt };
            cut(&mut shorter);
            shorter
        }))
    }
}

//! Budgets against what was measured.

use serde::{Deserialize, Serialize};

use super::budget::{self, Budget, Budgets, Limit, Metric};
use super::run::{BenchRun, GroupRun, Run};
use super::stats::{Bootstrap, Interval, median};
use super::{Error, ErrorKind};

/// How much more than its limit a figure must be to be caught for certain: an interval that reaches further says too
/// little either way.
pub(super) const CAUGHT_FROM: f64 = 1.1;

/// Whether a budget is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The machine cannot measure it, and need not.
    Skipped,
    /// It is kept, or so nearly that noise may be all there is.
    Within,
    /// The measurement is too coarse to tell, or is not there.
    Unclear,
    /// It is broken, beyond what noise explains.
    Over,
}

/// What a budget came to, for one bench.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The bench's group.
    pub group: String,
    /// The bench; the budget's own pattern where none was measured.
    pub bench: String,
    /// What was compared.
    pub metric: Metric,
    /// Of what, or with what, in words; may be empty.
    pub detail: String,
    /// The value, where one was measured.
    pub value: Option<Interval>,
    /// The limit.
    pub limit: f64,
    /// What is aimed at, if that is not the limit.
    pub goal: Option<f64>,
    /// Whether it is kept.
    pub verdict: Verdict,
    /// Why the limit is what it is.
    pub why: Option<String>,
}

/// Whether a figure is what was aimed at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aim {
    /// It is, with its whole interval.
    Reached,
    /// The goal lies within the interval: this measurement does not tell.
    Unclear,
    /// It is not, with its whole interval.
    Missed,
}

impl Finding {
    /// Returns whether the goal, or the limit where there is no other, is reached; `None` if nothing was measured.
    #[must_use]
    pub fn aim(&self) -> Option<Aim> {
        let (value, goal) = (self.value?, self.goal.unwrap_or(self.limit));
        Some(if value.high <= goal {
            Aim::Reached
        } else if value.low > goal {
            Aim::Missed
        } else {
            Aim::Unclear
        })
    }
}

/// Compares `run` with `budgets`.
///
/// A budget is [`Verdict::Over`] if the whole interval of the value is above the limit, so that noise alone breaks one
/// in a thousand at most, and far fewer where the true value keeps a distance. It is [`Verdict::Unclear`] if the
/// interval holds the limit and also 1.1 times the limit: then a true tenth too much could not be told from none.
///
/// # Errors
///
/// Returns [`ErrorKind::InvalidBudget`] if a budget compares with a bench that its group does not have.
pub fn judge(budgets: &Budgets, run: &Run) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for budget in &budgets.budgets {
        for pattern in budget.bench.iter() {
            let before = findings.len();
            for group in &run.groups {
                for bench in &group.benches {
                    if budget::matches(pattern, &format!("{}/{}", group.name, bench.name)) {
                        findings.extend(judge_bench(budget, group, bench)?);
                    }
                }
            }
            // A budget that nothing was measured for must not look as if it were kept.
            if findings.len() == before {
                findings.push(unmeasured(budget, pattern));
            }
        }
    }
    Ok(findings)
}

fn judge_bench(budget: &Budget, group: &GroupRun, bench: &BenchRun) -> Result<Option<Finding>, Error> {
    let Some(value) = measure(budget, group, bench)? else { return Ok(None) };
    let limit = budget.at_most.value();
    let mut verdict = verdict(value, limit);
    // A machine that makes such a difference out of nothing proves nothing by a quantile, unless all calls pay.
    let noise = bench.overhead.map(|overhead| match budget.metric {
        Metric::AddedP99 => (overhead.noise.p99, overhead.p50.low),
        Metric::AddedP999 => (overhead.noise.p999, overhead.p50.low),
        _ => (0.0, 0.0),
    });
    if noise.is_some_and(|(noise, typical)| noise > limit / 2.0 && typical <= limit)
        && verdict == Verdict::Over
    {
        verdict = Verdict::Unclear;
    }
    Ok(Some(Finding {
        group: group.name.clone(),
        bench: bench.name.clone(),
        metric: budget.metric,
        detail: detail(budget),
        value: Some(value),
        limit,
        goal: budget.goal.map(Limit::value),
        verdict,
        why: budget.why.clone(),
    }))
}

/// Returns what the interval of a value says of a limit.
fn verdict(value: Interval, limit: f64) -> Verdict {
    if value.low > limit {
        Verdict::Over
    } else if value.high > limit * CAUGHT_FROM && value.high > value.low {
        Verdict::Unclear
    } else {
        Verdict::Within
    }
}

fn unmeasured(budget: &Budget, pattern: &str) -> Finding {
    Finding {
        group: String::new(),
        bench: pattern.to_owned(),
        metric: budget.metric,
        detail: detail(budget),
        value: None,
        limit: budget.at_most.value(),
        goal: budget.goal.map(Limit::value),
        verdict: if budget.optional { Verdict::Skipped } else { Verdict::Unclear },
        why: budget.why.clone(),
    }
}

fn detail(budget: &Budget) -> String {
    let mut words: Vec<String> = budget.of.iter().cloned().collect();
    words.extend(budget.over.iter().map(|over| format!("over {over}")));
    words.extend(budget.against.iter().map(|against| format!("against {against}")));
    words.extend(budget.against_over.iter().map(|over| format!("over {over}")));
    words.join(" ")
}

/// Returns what a budget is about, or `None` if that was not measured of this bench.
fn measure(budget: &Budget, group: &GroupRun, bench: &BenchRun) -> Result<Option<Interval>, Error> {
    let find = |name: &Option<String>| -> Result<Option<&BenchRun>, Error> {
        match name {
            None => Ok(group.benches.first()),
            Some(name) => group.bench(name).map(Some).ok_or_else(|| {
                let reason = format!("a budget compares with {name}, which {} does not have", group.name);
                Error::new(ErrorKind::InvalidBudget, reason)
            }),
        }
    };
    let overhead = bench.overhead.as_ref();
    Ok(match budget.metric {
        Metric::AddedP50 => overhead.map(|overhead| overhead.p50),
        Metric::AddedP99 => overhead.map(|overhead| overhead.p99),
        Metric::AddedP999 => overhead.map(|overhead| overhead.p999),
        Metric::Time => Rounds::of(group, [Some(bench); 4]).map(|rounds| rounds.time()),
        Metric::Added => Rounds::of(group, [Some(bench), find(&budget.over)?, Some(bench), Some(bench)])
            .map(|rounds| rounds.added()),
        Metric::Ratio => Rounds::of(group, [Some(bench), find(&budget.against)?, Some(bench), Some(bench)])
            .map(|rounds| rounds.ratio()),
        Metric::AddedRatio => {
            let (over, against_over) = (find(&budget.over)?, find(&budget.against_over)?);
            Rounds::of(group, [Some(bench), over, find(&budget.against)?, against_over])
                .map(|rounds| rounds.added_ratio())
        }
        Metric::Count => count(budget, bench).map(Interval::exact),
        Metric::AddedCount => {
            let over = find(&budget.over)?.and_then(|over| count(budget, over));
            count(budget, bench).zip(over).map(|(count, over)| Interval::exact(count - over))
        }
        Metric::Change => None,
    })
}

fn count(budget: &Budget, bench: &BenchRun) -> Option<f64> {
    bench.counts.get(budget.of.as_ref()?).copied()
}

/// The rounds of up to four benches that one figure is made of.
struct Rounds {
    paired: bool,
    of: [Vec<f64>; 4],
}

impl Rounds {
    fn of(group: &GroupRun, benches: [Option<&BenchRun>; 4]) -> Option<Self> {
        let mut of = [const { Vec::new() }; 4];
        for (rounds, bench) in of.iter_mut().zip(benches) {
            rounds.clone_from(&bench?.rounds);
        }
        let shortest = of.iter().map(Vec::len).min().filter(|len| *len > 0)?;
        let mut rng = fastrand::Rng::with_seed(7);
        for rounds in &mut of {
            if !group.paired {
                rng.shuffle(rounds);
            }
            rounds.truncate(shortest);
        }
        Some(Self { paired: group.paired, of })
    }

    fn interval(&self, statistic: impl Fn(&Self, &[usize], &mut Vec<f64>) -> f64) -> Interval {
        let mut values = Vec::with_capacity(self.of[0].len());
        Bootstrap::default().interval(self.of[0].len(), |rounds| statistic(self, rounds, &mut values))
    }

    /// Returns the median of `value` over `rounds`.
    fn median(rounds: &[usize], values: &mut Vec<f64>, value: impl Fn(usize) -> f64) -> f64 {
        values.clear();
        values.extend(rounds.iter().map(|&round| value(round)));
        median(values)
    }

    fn time(&self) -> Interval {
        self.interval(|of, rounds, values| Self::median(rounds, values, |round| of.of[0][round]))
    }

    fn added(&self) -> Interval {
        self.interval(|of, rounds, values| of.median_added(rounds, values, 0, 1))
    }

    fn median_added(&self, rounds: &[usize], values: &mut Vec<f64>, bench: usize, over: usize) -> f64 {
        let (bench, over) = (&self.of[bench], &self.of[over]);
        if self.paired {
            return Self::median(rounds, values, |round| bench[round] - over[round]);
        }
        Self::median(rounds, values, |round| bench[round]) - Self::median(rounds, values, |round| over[round])
    }

    fn ratio(&self) -> Interval {
        self.interval(|of, rounds, values| {
            let (bench, against) = (&of.of[0], &of.of[1]);
            if of.paired {
                return Self::median(rounds, values, |round| bench[round] / against[round]);
            }
            Self::median(rounds, values, |round| bench[round])
                / Self::median(rounds, values, |round| against[round])
        })
    }

    fn added_ratio(&self) -> Interval {
        self.interval(|of, rounds, values| {
            let added = of.median_added(rounds, values, 0, 1);
            let against = of.median_added(rounds, values, 2, 3);
            // Next to nothing in the denominator would make any figure of it.
            added / against.max(0.1)
        })
    }
}

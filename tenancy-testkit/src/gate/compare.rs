//! A change against its base revision: two programs that take turns.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::budget::{Compare, Metric};
use super::judge::{CAUGHT_FROM, Finding, Verdict};
use super::stats::{Bootstrap, Interval, median};
use super::{Error, ErrorKind};

/// Compares two builds of one [`BenchProgram`](super::BenchProgram), which take turns bench by bench.
///
/// Where a program's memory lies differs from start to start and changes its speed, so both are started several times;
/// the starts, not the rounds, are what the interval is drawn from.
#[derive(Clone, Debug)]
#[must_use]
pub struct Alternation {
    starts: usize,
    rounds: usize,
    batch: Duration,
}

impl Default for Alternation {
    fn default() -> Self {
        Self { starts: 8, rounds: 16, batch: Duration::from_millis(1) }
    }
}

impl Alternation {
    /// Sets how many times both programs are started (default 8).
    ///
    /// # Panics
    ///
    /// Panics if `starts` is below 2: one start says nothing of the others.
    pub fn with_starts(mut self, starts: usize) -> Self {
        assert!(starts > 1, "an interval needs more than one start");
        self.starts = starts;
        self
    }

    /// Sets how many turns each bench gets per start (default 16).
    ///
    /// # Panics
    ///
    /// Panics if `rounds` is 0.
    pub fn with_rounds(mut self, rounds: usize) -> Self {
        assert!(rounds > 0, "a measurement needs rounds");
        self.rounds = rounds;
        self
    }

    /// Measures how many times the time of `base` the benches of `head` take, and compares that with `compare`.
    ///
    /// Benches that only one of them has are left out.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::BenchFailed`] if one of the programs cannot be started, or ends.
    pub fn compare(&self, base: &Path, head: &Path, compare: &Compare) -> Result<Vec<Finding>, Error> {
        let mut changes: Vec<Change> = Vec::new();
        for start in 0..self.starts {
            let mut pair = [Server::start(base)?, Server::start(head)?];
            let [of_base, of_head] = pair.each_mut().map(|server| server.ask("groups"));
            let (of_base, of_head) = (of_base?, of_head?);
            let shared = of_base.split('\t').filter(|group| of_head.split('\t').any(|other| other == *group));
            for group in shared.filter(|group| compare.groups.accept(group)) {
                self.compare_group(&mut pair, group, start, &mut changes)?;
            }
        }
        Ok(changes.into_iter().map(|change| change.finding(compare.at_most)).collect())
    }

    fn compare_group(
        &self,
        pair: &mut [Server; 2],
        group: &str,
        start: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let [base, head] = pair.each_mut().map(|server| server.ask(&format!("open\t{group}")));
        let (base, head) = (base?, head?);
        for bench in base
            .split('\t')
            .filter(|bench| !bench.is_empty() && head.split('\t').any(|other| other == *bench))
        {
            let ratios = self.take_turns(pair, bench, start)?;
            let known = changes.iter_mut().find(|change| change.group == group && change.bench == bench);
            match known {
                Some(change) => change.starts.push(ratios),
                None => changes.push(Change {
                    group: group.to_owned(),
                    bench: bench.to_owned(),
                    starts: vec![ratios],
                }),
            }
        }
        Ok(())
    }

    /// Returns head over base, turn by turn. Who begins changes with each turn.
    fn take_turns(&self, pair: &mut [Server; 2], bench: &str, start: usize) -> Result<Vec<f64>, Error> {
        let iterations = pair[start % 2].number(&format!("fit\t{bench}\t{}", self.batch.as_nanos()))?;
        let order = format!("run\t{bench}\t{iterations}");
        let warm_up = format!("run\t{bench}\t{}", (iterations as u64).div_ceil(4));
        let mut turns = Vec::with_capacity(self.rounds);
        for round in 0..self.rounds {
            let mut took = [0.0; 2];
            for at in [round % 2, (round + 1) % 2] {
                pair[at].number(&warm_up)?;
                took[at] = pair[at].number(&order)?;
            }
            turns.push(took[1] / took[0].max(1.0));
        }
        Ok(turns)
    }
}

/// What became of one bench: head over base, in turns, in starts.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) group: String,
    pub(super) bench: String,
    pub(super) starts: Vec<Vec<f64>>,
}

impl Change {
    pub(super) fn interval(&self) -> Interval {
        let medians: Vec<f64> = self.starts.iter().map(|turns| median(&mut turns.clone())).collect();
        // Few starts say too little of their own spread: the usual correction of the bootstrap for few samples.
        let count = medians.len() as f64;
        let mean = medians.iter().sum::<f64>() / count;
        let wider = (count / (count - 1.0)).sqrt();
        let drawn = Bootstrap::default().unblocked().interval(medians.len(), |starts| {
            starts.iter().map(|&start| medians[start]).sum::<f64>() / count
        });
        let widen = |end: f64| mean + (end - mean) * wider;
        Interval { low: widen(drawn.low), estimate: mean, high: widen(drawn.high) }
    }

    pub(super) fn finding(self, limit: f64) -> Finding {
        let value = self.interval();
        Finding {
            // The limit is the tolerance: what must be caught is a tenth more than the base, not than the limit.
            verdict: match value {
                Interval { low, .. } if low > limit => Verdict::Over,
                Interval { high, .. } if high > CAUGHT_FROM.max(limit) => Verdict::Unclear,
                _ => Verdict::Within,
            },
            group: self.group,
            bench: self.bench,
            metric: Metric::Change,
            detail: "against the base revision".to_owned(),
            value: Some(value),
            limit,
            goal: None,
            why: None,
        }
    }
}

/// A bench program that waits for orders.
struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    fn start(program: &Path) -> Result<Self, Error> {
        let failed = |error| {
            let reason = format!("{} could not be started", program.display());
            Error::new(ErrorKind::BenchFailed, reason).caused_by(error)
        };
        let mut child = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let orders = child.stdin.take().expect("the input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        Ok(Self { child, orders, answers })
    }

    fn ask(&mut self, order: &str) -> Result<String, Error> {
        let hung_up = || Error::new(ErrorKind::BenchFailed, "a bench program hung up");
        writeln!(self.orders, "{order}").map_err(|error| hung_up().caused_by(error))?;
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer).map_err(|error| hung_up().caused_by(error))?;
        if read == 0 { Err(hung_up()) } else { Ok(answer.trim_end_matches('\n').to_owned()) }
    }

    fn number(&mut self, order: &str) -> Result<f64, Error> {
        self.ask(order)?.parse().map_err(|error| {
            Error::new(ErrorKind::BenchFailed, "a bench program answered nonsense").caused_by(error)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its orders end with the pipe, but it may be deep in a measurement.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    /// Starts whose memory lies differently: each is off by a few per cent, and its turns by little more.
    fn change(times: f64, rng: &mut Rng) -> Change {
        let starts = (0..8).map(|_| {
            let start = times * (1.0 + 0.03 * (rng.f64() + rng.f64() - 1.0));
            (0..16).map(|_| start * (1.0 + 0.05 * (rng.f64() - 0.5))).collect()
        });
        Change { group: "group".to_owned(), bench: "bench".to_owned(), starts: starts.collect() }
    }

    #[test]
    fn starts_that_differ_raise_no_alarm_and_hide_no_tenth() {
        let mut rng = Rng::with_seed(5);
        for _ in 0..100 {
            assert_ne!(change(1.0, &mut rng).finding(1.05).verdict, Verdict::Over);
            assert_eq!(change(1.1, &mut rng).finding(1.05).verdict, Verdict::Over);
        }
    }

    #[test]
    fn starts_that_differ_too_much_are_no_pass() {
        let starts = [0.8, 1.3, 0.9, 1.4, 0.8, 1.3, 0.7, 1.2].map(|median| vec![median; 4]);
        let change = Change { group: String::new(), bench: String::new(), starts: starts.into() };
        assert_eq!(change.finding(1.05).verdict, Verdict::Unclear);
    }
}

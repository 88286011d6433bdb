//! Measuring in alternation: what disturbs the machine disturbs all benches of a group alike.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::run::{BenchRun, GroupRun};
use super::suite::Group;

/// Measures the benches of a group in alternation, a short batch of each per round, in random order.
///
/// Comparing two identical programs one after the other on a shared machine, medians differ by several per cent; the
/// median over the rounds of an alternation differs by a fraction of one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenancy_testkit::gate::{Group, Interleave};
///
/// let mut group = Group::new("add").with_bench("one", || 1 + 1).with_bench("other", || 2 + 2);
/// let run = Interleave::default().with_rounds(20).with_batch(Duration::from_micros(20)).measure(&mut group);
/// assert_eq!(run.benches[1].rounds.len(), 20);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Interleave {
    rounds: usize,
    batch: Duration,
    warm_up: Duration,
}

impl Default for Interleave {
    fn default() -> Self {
        Self { rounds: 400, batch: Duration::from_micros(300), warm_up: Duration::from_millis(20) }
    }
}

impl Interleave {
    /// Sets the number of rounds (default 400).
    ///
    /// # Panics
    ///
    /// Panics if `rounds` is 0.
    pub fn with_rounds(mut self, rounds: usize) -> Self {
        assert!(rounds > 0, "a measurement needs rounds");
        self.rounds = rounds;
        self
    }

    /// Sets how long the timed batch of one bench in one round lasts (default 300 µs): far shorter than what disturbs the
    /// machine, far longer than reading the clock.
    pub fn with_batch(mut self, batch: Duration) -> Self {
        self.batch = batch;
        self
    }

    /// Sets how long each bench runs before it is measured (default 20 ms).
    pub fn with_warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Measures `group`.
    pub fn measure(&self, group: &mut Group) -> GroupRun {
        let mut iterations: Vec<u64> =
            (0..group.benches.len()).map(|at| iterations(group, at, self.batch, self.warm_up)).collect();
        level(&mut iterations);
        let mut benches: Vec<BenchRun> =
            group.names().map(|name| BenchRun { name: name.to_owned(), ..BenchRun::default() }).collect();
        let mut order: Vec<usize> = (0..benches.len()).collect();
        let mut rng = Rng::with_seed(1);
        for _ in 0..self.rounds {
            rng.shuffle(&mut order);
            for &at in &order {
                // What the bench before has pushed out of the caches comes back before the clock runs.
                group.run(at, iterations[at].div_ceil(4));
                let took = group.run(at, iterations[at]);
                benches[at].rounds.push(took.as_nanos() as f64 / iterations[at] as f64);
            }
        }
        GroupRun { name: group.name().to_owned(), paired: true, benches }
    }
}

/// Benches of which none takes more than so many times as long as another run equally often in each round.
const ALIKE: u64 = 8;

/// Gives benches that take about as long as each other the same number of iterations, the smallest of theirs: the first
/// iteration of a batch costs more than the next ones, and that is more of a short batch than of a long one. Where a single
/// iteration nearly fills a batch, how many fit is a matter of luck.
fn level(iterations: &mut [u64]) {
    let mut ascending: Vec<&mut u64> = iterations.iter_mut().collect();
    ascending.sort_unstable();
    let mut least = 0;
    for count in ascending {
        if *count > ALIKE * least {
            least = *count;
        }
        *count = least;
    }
}

/// Returns how many iterations of a bench fill `batch`, found while it warms up for at least `warm_up`.
///
/// What counts is the fastest run: a machine that takes the processor away makes others long, and none short.
pub(super) fn iterations(group: &mut Group, at: usize, batch: Duration, warm_up: Duration) -> u64 {
    const RUNS: u32 = 8;
    let start = Instant::now();
    let (mut iterations, mut fastest, mut runs) = (1_u64, f64::INFINITY, 0);
    while start.elapsed() < warm_up || runs < RUNS {
        let took = group.run(at, iterations).max(Duration::from_nanos(1));
        fastest = fastest.min(took.as_nanos() as f64 / iterations as f64);
        runs += 1;
        if took * 4 < batch && fastest * (iterations as f64) < batch.as_nanos() as f64 / 4.0 {
            (iterations, runs) = (iterations * 2, 0);
        }
    }
    ((batch.as_nanos() as f64 / fastest) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn benches_that_take_about_as_long_run_as_often() {
        let leveled = |counts: &[u64]| {
            let mut counts = counts.to_vec();
            level(&mut counts);
            counts
        };
        assert_eq!(leveled(&[4, 1]), [1, 1]);
        assert_eq!(leveled(&[13, 11]), [11, 11]);
        assert_eq!(leveled(&[900, 40, 70, 1_700, 8_000]), [900, 40, 40, 900, 8_000]);
        assert_eq!(leveled(&[7]), [7]);
    }
}

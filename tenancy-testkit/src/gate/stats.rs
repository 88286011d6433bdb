//! Medians, quantiles, and how sure one can be of them.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// An estimate and the interval that holds the true value, at the confidence of the [`Bootstrap`] that made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The estimate from all the samples.
    pub estimate: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Returns the interval of a value that is known exactly, such as a count.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self { low: value, estimate: value, high: value }
    }
}

/// Draws rounds again, in blocks, to learn how much a statistic of them varies.
///
/// Blocks of neighbouring rounds stay together, because what disturbs a shared machine lasts longer than one round.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::gate::{Bootstrap, median};
///
/// let samples: Vec<f64> = (0..400).map(|n| 100.0 + f64::from(n % 7)).collect();
/// let interval = Bootstrap::default().interval(samples.len(), |rounds| {
///     median(&mut rounds.iter().map(|&round| samples[round]).collect::<Vec<_>>())
/// });
/// assert!(interval.low >= 102.0 && interval.high <= 104.0);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Bootstrap {
    resamples: usize,
    doubt: f64,
    seed: u64,
    blocks: bool,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 4_000, doubt: 0.001, seed: 0x7e4a_0c55, blocks: true }
    }
}

impl Bootstrap {
    /// Sets how many times the rounds are drawn again (default 4,000).
    ///
    /// # Panics
    ///
    /// Panics if `resamples` is 0.
    pub fn with_resamples(mut self, resamples: usize) -> Self {
        assert!(resamples > 0, "an interval needs resamples");
        self.resamples = resamples;
        self
    }

    /// Sets the probability that the true value lies below the interval, and that it lies above (default 0.001 each).
    ///
    /// # Panics
    ///
    /// Panics if `doubt` is not between 0 and 0.5.
    pub fn with_doubt(mut self, doubt: f64) -> Self {
        assert!(doubt > 0.0 && doubt < 0.5, "a doubt lies between 0 and 0.5");
        self.doubt = doubt;
        self
    }

    /// Sets the seed: the same samples and seed give the same interval.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Draws rounds one by one: where they are known to have nothing to do with each other.
    pub fn unblocked(mut self) -> Self {
        self.blocks = false;
        self
    }

    /// Returns `statistic` of the rounds `0..count`, and its interval.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0.
    pub fn interval(&self, count: usize, mut statistic: impl FnMut(&[usize]) -> f64) -> Interval {
        let [interval] = self.intervals(count, |rounds| [statistic(rounds)]);
        interval
    }

    /// Returns several statistics of the same rounds with their intervals, from one set of resamples.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0.
    pub fn intervals<const N: usize>(
        &self,
        count: usize,
        mut statistics: impl FnMut(&[usize]) -> [f64; N],
    ) -> [Interval; N] {
        assert!(count > 0, "an interval needs samples");
        let mut rng = Rng::with_seed(self.seed);
        let block = if self.blocks { block_len(count) } else { 1 };
        let estimates = statistics(&(0..count).collect::<Vec<_>>());
        let mut drawn = Vec::with_capacity(count + block);
        let mut seen: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(self.resamples));
        for _ in 0..self.resamples {
            drawn.clear();
            while drawn.len() < count {
                let start = rng.usize(..count);
                drawn.extend((start..start + block).map(|at| at % count));
            }
            drawn.truncate(count);
            for (seen, value) in seen.iter_mut().zip(statistics(&drawn)) {
                seen.push(value);
            }
        }
        std::array::from_fn(|which| Interval {
            low: quantile(&mut seen[which], self.doubt),
            estimate: estimates[which],
            high: quantile(&mut seen[which], 1.0 - self.doubt),
        })
    }
}

/// The cube root is the usual order for block lengths: long enough for neighbours, short enough for many blocks.
fn block_len(count: usize) -> usize {
    (1..=count).take_while(|len| len * len * len <= count).last().unwrap_or(1)
}

/// Returns the middle of `values`, which it reorders; of an even number the mean of the two middle ones.
///
/// # Panics
///
/// Panics if `values` is empty.
pub fn median(values: &mut [f64]) -> f64 {
    let odd = values.len() % 2 == 1;
    let (below, upper, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if !odd => f64::midpoint(lower, *upper),
        _ => *upper,
    }
}

/// Returns the value below which the part `at` (0 to 1) of `values` lies. It reorders `values`.
///
/// # Panics
///
/// Panics if `values` is empty, or `at` is not between 0 and 1.
pub fn quantile(values: &mut [f64], at: f64) -> f64 {
    assert!((0.0..=1.0).contains(&at), "a quantile lies between 0 and 1");
    let rank = ((values.len() - 1) as f64 * at).round() as usize;
    *values.select_nth_unstable_by(rank, f64::total_cmp).1
}

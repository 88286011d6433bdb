//! What a layer adds to single calls, as a difference between calls of the same moment.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::time::Instant;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tower_service::Service;

use super::stats::{Bootstrap, Interval, quantile};
use super::{Error, ErrorKind};

/// What calls take longer with a layer than without it, in nanoseconds.
///
/// Each call with the layer is paired with one without it, made next to it. The quantiles are those of the
/// differences, so that what every call pays shows in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// How many pairs were measured.
    pub calls: usize,
    /// The median of the difference.
    pub p50: Interval,
    /// What 99 of 100 pairs stay below.
    pub p99: Interval,
    /// What 999 of 1,000 pairs stay below.
    pub p999: Interval,
    /// The same quantiles of two calls that are both without the layer: what the machine alone makes of nothing.
    pub noise: Noise,
}

/// The quantiles of the difference between two calls that do the same, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
}

/// Measures what a layer adds to calls of a service.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use tenancy_testkit::gate::OverheadProbe;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plain = service_fn(async |n: u64| Ok::<_, Infallible>(n + 1));
/// let slow = service_fn(async |n: u64| {
///     std::thread::sleep(Duration::from_micros(200));
///     Ok::<_, Infallible>(n + 1)
/// });
/// let overhead = OverheadProbe::default().with_calls(500).measure(plain, slow, || 1).await?;
/// assert!(overhead.p50.estimate > 200_000.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OverheadProbe {
    calls: usize,
}

impl Default for OverheadProbe {
    fn default() -> Self {
        Self { calls: 20_000 }
    }
}

impl OverheadProbe {
    /// Sets how many pairs of calls are made (default 20,000, beside a tenth of that to warm up).
    ///
    /// # Panics
    ///
    /// Panics if `calls` is 0.
    pub fn with_calls(mut self, calls: usize) -> Self {
        assert!(calls > 0, "a measurement needs calls");
        self.calls = calls;
        self
    }

    /// Measures what `with` takes longer than `without`, on the requests that `request` makes.
    ///
    /// `with` is the same service as `without`, inside the layer. Making requests is not measured; dropping responses
    /// is. A layer that refuses the request is measured as it refuses: let `without` and `with` be services that fail
    /// on an answer other than the expected one.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::BenchFailed`] with the error of the first call that fails.
    pub async fn measure<Q, A, B>(
        &self,
        mut without: A,
        mut with: B,
        mut request: impl FnMut() -> Q,
    ) -> Result<Overhead, Error>
    where
        A: Service<Q, Error: Into<Box<dyn StdError + Send + Sync>>>,
        B: Service<Q, Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        let mut pairs = Pairs::with_capacity(self.calls);
        let mut rng = Rng::with_seed(1);
        let warm_up = self.calls / 10;
        for call in 0..self.calls + warm_up {
            let mut took = [0.0; 3];
            let mut order = [0, 1, 2];
            rng.shuffle(&mut order);
            for arm in order {
                let request = request();
                took[arm] = if arm == 1 {
                    time(&mut with, request).await
                } else {
                    time(&mut without, request).await
                }?;
            }
            if call >= warm_up {
                pairs.push(took);
            }
        }
        Ok(pairs.overhead())
    }
}

async fn time<Q, S>(service: &mut S, request: Q) -> Result<f64, Error>
where
    S: Service<Q, Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    let failed =
        |error: S::Error| Error::new(ErrorKind::BenchFailed, "a measured call failed").caused_by(error);
    let start = Instant::now();
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    drop(service.call(request).await.map_err(failed)?);
    Ok(start.elapsed().as_nanos() as f64)
}

/// The differences of each round: with the layer, and without it once more.
struct Pairs {
    added: Vec<f64>,
    noise: Vec<f64>,
}

impl Pairs {
    fn with_capacity(calls: usize) -> Self {
        Self { added: Vec::with_capacity(calls), noise: Vec::with_capacity(calls) }
    }

    fn push(&mut self, [without, with, again]: [f64; 3]) {
        self.added.push(with - without);
        self.noise.push(again - without);
    }

    fn overhead(mut self) -> Overhead {
        let mut drawn = Vec::with_capacity(self.added.len());
        let bootstrap = Bootstrap::default().with_resamples(1_000);
        let [p50, p99, p999] = bootstrap.intervals(self.added.len(), |rounds| {
            drawn.clear();
            drawn.extend(rounds.iter().map(|&round| self.added[round]));
            quantiles(&mut drawn)
        });
        let [noise50, noise99, noise999] = quantiles(&mut self.noise);
        let noise = Noise { p50: noise50, p99: noise99, p999: noise999 };
        Overhead { calls: self.added.len(), p50, p99, p999, noise }
    }
}

fn quantiles(values: &mut [f64]) -> [f64; 3] {
    [0.5, 0.99, 0.999].map(|at| quantile(values, at))
}

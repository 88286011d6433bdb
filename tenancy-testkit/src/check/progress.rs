//! A line that says how far a run is.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a log gets a line.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    budget: Duration,
    said: Mutex<Instant>,
}

impl Progress {
    pub(crate) fn new(budget: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:20} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(budget.as_millis().try_into().unwrap_or(u64::MAX)).with_style(style)
        });
        let now = Instant::now();
        Self { bar, begun: now, budget, said: Mutex::new(now) }
    }

    /// Says what was done so far: `exercised` of `operations`.
    pub(crate) fn tell(&self, programs: u64, requests: u64, exercised: usize, operations: usize) {
        let spent = self.begun.elapsed();
        let left = self.budget.saturating_sub(spent).as_secs();
        let rate = programs as f64 / spent.as_secs_f64().max(0.001);
        let text = format!(
            "{programs} programs ({rate:.1}/s), {requests} requests, {exercised} of {operations} operations served, {left} s left"
        );
        if let Some(bar) = &self.bar {
            bar.set_position(spent.as_millis().try_into().unwrap_or(u64::MAX));
            bar.set_message(text);
            return;
        }
        let Ok(mut said) = self.said.lock() else { return };
        if said.elapsed() >= EVERY {
            *said = Instant::now();
            // Past the capture of a test's output, and no matter if nobody reads it.
            let _ = writeln!(std::io::stderr(), "check: {text}");
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
